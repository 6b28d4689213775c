"""Waiting for a server that was just started."""

import asyncio
import time

import httpx

READY_S_MAX = 60.0


async def until_answers(client: httpx.AsyncClient, path: str) -> None:
    """Until the server answers at all; fails after a minute."""
    until = time.monotonic() + READY_S_MAX
    while True:
        try:
            await client.get(path)
            return
        except httpx.TransportError:
            if time.monotonic() > until:
                raise
            await asyncio.sleep(0.1)
