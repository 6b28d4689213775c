"""The demo's day in a minute: API processes that live by a fast clock, and phones' clocks that follow a plan on it."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Final

import httpx

from callout_backend.embedded import EmbeddedError
from callout_backend.house import callout, child_environment
from callout_backend.settings import Settings
from callout_backend.supervise import Supervisor
from callout_store.clock import FastClock

PROCESSES: Final = 2
READY_SECONDS: Final = 60.0
LOOPBACK: Final = "127.0.0.1"


async def until(clock: FastClock, instant: datetime) -> None:
    """Wait for an instant of the fast day; returns at once when it has passed."""
    left_s = (instant - clock.now()).total_seconds() / clock.speed
    if left_s > 0:
        await asyncio.sleep(left_s)


class Truth:
    """The real time behind one phone's clocks: the fast clock's, or while `planned` is set, that moment.

    A phone is woken a little late by a busy machine. What it writes down then carries the moment that was planned.
    """

    def __init__(self, clock: FastClock) -> None:
        self.clock = clock
        self.planned: datetime | None = None

    def __call__(self) -> datetime:
        return self.planned or self.clock.now()


@asynccontextmanager
async def api_servers(
    settings: Settings, clock: FastClock, folder: Path
) -> AsyncIterator[list[httpx.AsyncClient]]:
    """`callout serve` processes on free local ports, on the fast clock; a client for each."""
    with Supervisor(settings.data) as children:
        urls = []
        for number, port in enumerate(free_ports(PROCESSES), start=1):
            own = replace(
                settings,
                host=LOOPBACK,
                port=port,
                workers=1,
                clock=clock.spell(),
                public_url=None,
                log_level="warning",
            )
            children.start(f"demo-api-{number}", callout("serve", "--workers", "1"), child_environment(own))
            urls.append(own.base_url)
        async with AsyncExitStack() as stack:
            clients = []
            for url in urls:
                client = httpx.AsyncClient(
                    base_url=url, timeout=30, limits=httpx.Limits(max_connections=60), trust_env=False
                )
                clients.append(await stack.enter_async_context(client))
            await wait_until_ready(clients, children)
            yield clients


async def wait_until_ready(clients: list[httpx.AsyncClient], children: Supervisor) -> None:
    """Until each of the servers answers; raises EmbeddedError with the end of its log where one ended."""
    async with asyncio.timeout(READY_SECONDS):
        for client in clients:
            while True:
                ended = children.ended()
                if ended is not None:
                    raise EmbeddedError(ended.explain())
                try:
                    if (await client.get("/healthz")).status_code == 200:
                        break
                except httpx.TransportError:
                    pass
                await asyncio.sleep(0.05)


def slow() -> float:
    """How much longer starting the API takes on a machine that has other work: its load for each processor, 1 to 4."""
    return min(max(os.getloadavg()[0] / (os.cpu_count() or 1), 1.0), 4.0)


def free_ports(count: int) -> list[int]:
    """Ports of this machine that nobody listens on now."""
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind((LOOPBACK, 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports
