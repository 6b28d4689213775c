"""The wire: one request and its answer. Everything that may lie between a phone and the server implements `Transport`."""

from collections.abc import Mapping
from typing import Protocol

import httpx

Answered = tuple[int, Mapping[str, str], bytes]
"""Status, headers (asked for in any spelling of their names where the transport is real HTTP; else lower case), body."""


class NetworkLost(Exception):
    """No answer came. Whether the server did the work is unknown, so the request is sent again as it was."""


class Transport(Protocol):
    """Something that sends a request."""

    async def request(self, method: str, path: str, body: bytes, headers: Mapping[str, str]) -> Answered:
        """The answer; NetworkLost when there is none."""
        ...


class HttpTransport:
    """Real HTTP through an `httpx.AsyncClient` with its `base_url` set; phones may share one.

    httpx says by itself which encodings it unpacks: gzip, and zstd where the `zstandard` package is there.
    """

    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client

    async def request(self, method: str, path: str, body: bytes, headers: Mapping[str, str]) -> Answered:
        """Send and read whole."""
        try:
            answer = await self._client.request(method, path, content=body or None, headers=dict(headers))
        except (httpx.TransportError, httpx.DecodingError) as fault:
            raise NetworkLost(str(fault) or type(fault).__name__) from fault
        return answer.status_code, answer.headers, answer.content
