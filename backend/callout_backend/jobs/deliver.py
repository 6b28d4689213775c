"""Delivering a webhook: a signed POST, and what its answer means.

    POST <webhook_url>
    Content-Type: application/json
    Idempotency-Key: webhook:<line id>            the same on every attempt
    Callout-Signature: t=<unix seconds>,v1=<hex>  HMAC-SHA256 of "<t>.<body>" with the organisation's webhook_secret

2xx is success, unless a JSON body says `errcode` other than 0 (chat robots answer their throttle so).
408, 409, 425, 429 and 5xx are tried again, after Retry-After where given; other answers, redirects included, never.
"""

import email.utils
import hashlib
import hmac
import ssl
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import httpx
import msgspec

from callout_backend.jobs.address import pin
from callout_store.outbox import Claimed, Hopeless, Retry
from callout_store.work import Database

TIMEOUT_S = 10.0
ANSWER_BYTES_MAX = 64 * 1024
RETRY_AFTER_MAX_S = 3600.0
RETRIED = frozenset({408, 409, 425, 429})
REFERENCE_CHARS_MAX = 200


def signature(secret: str, timestamp: int, body: bytes) -> str:
    """The Callout-Signature header."""
    mac = hmac.new(secret.encode(), str(timestamp).encode() + b"." + body, hashlib.sha256)
    return f"t={timestamp},v1={mac.hexdigest()}"


class WebhookHandler:
    """The handler of the channel `webhook`. One HTTP client for the worker's life."""

    def __init__(
        self,
        *,
        private_allowed: bool = False,
        timeout_s: float = TIMEOUT_S,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.private_allowed = private_allowed
        # No proxy from the environment: it would resolve the name again, on its own terms.
        self.client = httpx.AsyncClient(
            timeout=timeout_s,
            follow_redirects=False,
            trust_env=False,
            verify=tls or ssl.create_default_context(),
            headers={"User-Agent": "Callout"},
        )

    async def close(self) -> None:
        """Close the connections."""
        await self.client.aclose()

    async def __call__(self, db: Database, item: Claimed) -> str | None:
        """Deliver one message; the receiver's X-Request-Id, where it sends one."""
        async with db.work(item.org_id) as work:
            row = await work.fetchrow(
                "select webhook_url, webhook_secret from organisation where id = $1", item.org_id
            )
        if row is None or row["webhook_url"] is None:
            # Switched off since: nothing is owed any more.
            return None
        target = await pin(row["webhook_url"], private_allowed=self.private_allowed)
        body = msgspec.json.encode(item.payload)
        headers = {
            "Host": target.host_header,
            "Content-Type": "application/json",
            "Idempotency-Key": item.dedupe_key,
            "Callout-Attempt": str(item.attempt),
        }
        if row["webhook_secret"]:
            headers["Callout-Signature"] = signature(row["webhook_secret"], int(time.time()), body)
        request = self.client.build_request(
            "POST", target.url, content=body, headers=headers, extensions={"sni_hostname": target.host}
        )
        try:
            response = await self.client.send(request, stream=True)
            try:
                answer = await _read(response)
            finally:
                await response.aclose()
        except httpx.HTTPError as fault:
            # The text may hold the address; the class says enough.
            raise Retry(f"no answer: {type(fault).__name__}") from None
        judge(response.status_code, response.headers, answer)
        return response.headers.get("x-request-id", "")[:REFERENCE_CHARS_MAX] or None


def judge(status: int, headers: Mapping[str, str], answer: bytes) -> None:
    """Raise Retry or Hopeless unless the answer is a success."""
    if 200 <= status < 300:
        code = _errcode(answer)
        if code not in (None, 0, "0"):
            raise Retry(f"answered {status} with errcode {str(code)[:40]}", after_s=_retry_after_s(headers))
        return
    if status >= 500 or status in RETRIED:
        raise Retry(f"answered {status}", after_s=_retry_after_s(headers))
    raise Hopeless(f"answered {status}")


async def _read(response: httpx.Response) -> bytes:
    """The answer's beginning: a receiver that answers without end is not listened to without end."""
    out = b""
    async for chunk in response.aiter_bytes():
        out += chunk
        if len(out) >= ANSWER_BYTES_MAX:
            break
    return out


def _errcode(answer: bytes) -> Any:
    try:
        found = msgspec.json.decode(answer)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return found.get("errcode") if isinstance(found, dict) else None


def _retry_after_s(headers: Mapping[str, str]) -> float | None:
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
