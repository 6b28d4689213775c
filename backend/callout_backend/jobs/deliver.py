"""Delivering a webhook: a signed POST, and what its answer means.

    POST <webhook_url>
    Content-Type: application/json
    Idempotency-Key: webhook:<line id>            the same on every attempt
    Callout-Signature: t=<unix seconds>,v1=<hex>  HMAC-SHA256 of "<t>.<body>" with the organisation's webhook_secret

2xx is success, unless a JSON body says `errcode` other than 0 (chat robots answer their throttle so).
408, 409, 425, 429 and 5xx are tried again, after Retry-After where given; other answers, redirects included, never.
"""

import hashlib
import hmac
import ssl
import time
from collections.abc import Mapping
from typing import Any

import httpx
import msgspec

from callout_backend.jobs.outward import RETRIED, Outward, retry_after_s
from callout_store.outbox import Claimed, Hopeless, Retry
from callout_store.work import Database

TIMEOUT_S = 10.0
ANSWER_BYTES_MAX = 64 * 1024
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
        self._outward = Outward(private_allowed=private_allowed, timeout_s=timeout_s, tls=tls)

    async def close(self) -> None:
        """Close the connections."""
        await self._outward.close()

    async def __call__(self, db: Database, item: Claimed) -> str | None:
        """Deliver one message; the receiver's X-Request-Id, where it sends one."""
        async with db.work(item.org_id) as work:
            row = await work.fetchrow(
                "select webhook_url, webhook_secret from organisation where id = $1", item.org_id
            )
        if row is None or row["webhook_url"] is None:
            # Switched off since: nothing is owed any more.
            return None
        body = msgspec.json.encode(item.payload)
        headers = {"Idempotency-Key": item.dedupe_key, "Callout-Attempt": str(item.attempt)}
        if row["webhook_secret"]:
            headers["Callout-Signature"] = signature(row["webhook_secret"], int(time.time()), body)
        try:
            answer = await self._outward.ask(
                "POST", row["webhook_url"], body=body, headers=headers, bytes_max=ANSWER_BYTES_MAX
            )
        except httpx.HTTPError as fault:
            # The text may hold the address; the class says enough.
            raise Retry(f"no answer: {type(fault).__name__}") from None
        judge(answer.status, answer.headers, answer.body)
        return answer.headers.get("x-request-id", "")[:REFERENCE_CHARS_MAX] or None


def judge(status: int, headers: Mapping[str, str], answer: bytes) -> None:
    """Raise Retry or Hopeless unless the answer is a success."""
    if 200 <= status < 300:
        code = _errcode(answer)
        if code not in (None, 0, "0"):
            raise Retry(f"answered {status} with errcode {str(code)[:40]}", after_s=retry_after_s(headers))
        return
    if status >= 500 or status in RETRIED:
        raise Retry(f"answered {status}", after_s=retry_after_s(headers))
    raise Hopeless(f"answered {status}")


def _errcode(answer: bytes) -> Any:
    try:
        found = msgspec.json.decode(answer)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return found.get("errcode") if isinstance(found, dict) else None
