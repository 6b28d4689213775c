"""Requests to servers of others: to a checked and pinned address (`address.pin`), and answers that are heard only so long.

No redirect is followed, and no proxy of the environment asked: it would resolve the name again, on its own terms.
"""

import email.utils
import ssl
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final

import httpx
import msgspec

from callout_backend.jobs.address import pin

RETRIED: Final = frozenset({408, 409, 425, 429})
"""Statuses below 500 after which the same may be tried again."""
RETRY_AFTER_MAX_S: Final = 3600.0


class Reply(msgspec.Struct, frozen=True, kw_only=True):
    """What was answered; of `body` no more than a little over the limit."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Outward:
    """One HTTP client for a worker's life."""

    def __init__(
        self, *, private_allowed: bool = False, timeout_s: float, tls: ssl.SSLContext | None = None
    ) -> None:
        self.private_allowed = private_allowed
        self._client = httpx.AsyncClient(
            timeout=timeout_s,
            follow_redirects=False,
            trust_env=False,
            verify=tls or ssl.create_default_context(),
            headers={"User-Agent": "Callout"},
        )

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def ask(
        self,
        method: str,
        url: str,
        *,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        bytes_max: int,
    ) -> Reply:
        """Ask once; a body is JSON. Reading ends at `bytes_max`: who answers without end is not listened to without end.

        Raises Hopeless and Retry as `pin` does, and httpx.HTTPError where there was no answer.
        """
        target = await pin(url, private_allowed=self.private_allowed)
        request = self._client.build_request(
            method,
            target.url,
            content=body,
            headers={
                "Host": target.host_header,
                **({} if body is None else {"Content-Type": "application/json"}),
                **(headers or {}),
            },
            extensions={"sni_hostname": target.host},
        )
        response = await self._client.send(request, stream=True)
        try:
            heard = bytearray()
            async for chunk in response.aiter_bytes():
                heard += chunk
                if len(heard) > bytes_max:
                    break
            return Reply(status=response.status_code, headers=response.headers, body=bytes(heard))
        finally:
            await response.aclose()


def retry_after_s(headers: Mapping[str, str]) -> float | None:
    """Retry-After in seconds, from either of its forms, at most an hour; None where absent or unreadable."""
    text = headers.get("retry-after", "").strip()
    if not text:
        return None
    if text.isascii() and text.isdigit() and len(text) <= 9:
        return min(float(text), RETRY_AFTER_MAX_S)
    try:
        at = email.utils.parsedate_to_datetime(text)
    except ValueError:
        return None
    if at.tzinfo is None:
        at = at.replace(tzinfo=UTC)
    return min(max((at - datetime.now(UTC)).total_seconds(), 0.0), RETRY_AFTER_MAX_S)
