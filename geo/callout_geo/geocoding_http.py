"""geopy's way out over httpx: asynchronous, with one deadline for a whole answer, a limit on its size, and no redirects."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final

import httpx
from geopy.adapters import AdapterHTTPError, BaseAsyncAdapter
from geopy.exc import GeocoderParseError, GeocoderServiceError, GeocoderTimedOut, GeocoderUnavailable

#: Bytes of one answer, unpacked. Ten candidates with all their names are a hundredth of it.
BODY_MAX: Final = 2 * 1024 * 1024


@lru_cache(maxsize=1)
def _tls() -> ssl.SSLContext:
    """One for the process: reading all certificates takes longer than most answers."""
    return httpx.create_ssl_context(trust_env=False)


class HttpxAdapter(BaseAsyncAdapter):  # type: ignore[misc]  # geopy has no types
    """An `adapter_factory` for geopy's geocoders. Proxies of the environment are not used: addresses of customers go to
    the service that was configured and nowhere else."""

    def __init__(self, *, proxies: object = None, ssl_context: ssl.SSLContext | None = None) -> None:
        super().__init__(proxies=proxies, ssl_context=ssl_context)
        self._client = httpx.AsyncClient(
            follow_redirects=False,
            trust_env=False,
            verify=ssl_context or _tls(),
        )

    async def __aexit__(self, *_: object) -> None:
        await self._client.aclose()

    async def get_json(self, url: str, *, timeout: float, headers: Mapping[str, str]) -> Any:
        """The decoded answer; geopy's exceptions for everything else."""
        text = await self.get_text(url, timeout=timeout, headers=headers)
        try:
            return json.loads(text)
        except (ValueError, RecursionError):
            raise GeocoderParseError("the answer is no JSON") from None

    async def get_text(self, url: str, *, timeout: float, headers: Mapping[str, str]) -> str:
        """The answer's text. No message names the address: it holds the customer's address, and the key."""
        try:
            async with (
                asyncio.timeout(timeout),
                self._client.stream("GET", url, headers=dict(headers), timeout=timeout) as response,
            ):
                raw = bytearray()
                async for chunk in response.aiter_bytes(65_536):
                    raw += chunk
                    if len(raw) > BODY_MAX:
                        raise GeocoderParseError(f"the answer has more than {BODY_MAX} bytes")
        except (TimeoutError, httpx.TimeoutException):
            raise GeocoderTimedOut(f"no answer within {timeout:g} s") from None
        except httpx.TransportError as error:
            raise GeocoderUnavailable(type(error).__name__) from None
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise GeocoderServiceError(type(error).__name__) from None
        text = raw.decode("utf-8", "replace")
        if 300 <= response.status_code < 400:
            raise GeocoderParseError(f"redirected with status {response.status_code}")
        if response.status_code >= 400:
            raise AdapterHTTPError(
                f"status {response.status_code}",
                status_code=response.status_code,
                headers=response.headers,
                text=None,
            )
        return text
