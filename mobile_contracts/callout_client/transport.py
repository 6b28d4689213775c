"""The wire: one POST and its answer. Everything that may lie between a phone and the server implements `Transport`."""

from collections.abc import Mapping
from typing import Protocol

import httpx


class NetworkLost(Exception):
    """No answer came. Whether the server did the work is unknown, so the request is sent again as it was."""


class Transport(Protocol):
    """Something that posts JSON."""

    async def post(self, path: str, body: bytes, headers: Mapping[str, str]) -> tuple[int, bytes]:
        """The answer's status and body; NetworkLost when there is none."""
        ...


class HttpTransport:
    """Real HTTP through an `httpx.AsyncClient` with its `base_url` set; phones may share one."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client

    async def post(self, path: str, body: bytes, headers: Mapping[str, str]) -> tuple[int, bytes]:
        """Send and read whole."""
        try:
            answer = await self._client.post(
                path, content=body, headers={"Content-Type": "application/json", **headers}
            )
        except httpx.TransportError as fault:
            raise NetworkLost(str(fault) or type(fault).__name__) from fault
        return answer.status_code, answer.content
