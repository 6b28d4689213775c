"""Requests to providers: to a checked and pinned address, and an answer that is believed only after a look inside.

DingTalk, WeCom and Feishu answer errors in a 200 body. A request that got no answer may have arrived.
"""

import asyncio
import ssl
from collections.abc import Mapping
from typing import Any, Final

import httpx
import msgspec

from callout_backend.jobs.outward import RETRIED, Outward, retry_after_s
from callout_orders.notices.sending.outgoing import Outcome
from callout_store.outbox import Hopeless, Retry

TIMEOUT_S: Final = 10.0
ANSWER_BYTES_MAX: Final = 64 * 1024
THROTTLE_S: Final = 60.0
"""So long a provider is left alone that says "too often" and not for how long."""
CODE_NAMES: Final = ("errcode", "code", "StatusCode")
THROTTLES: Final = frozenset(
    {45009, 45033, 130101, 130102, 660026, 410100, 410101, 11232, 9499, 99991400, -1_000_429}
)
"""WeCom 45009 and 45033, DingTalk 130101 and 410100, Feishu 11232 and 99991400: too many of one robot."""
LATER: Final = frozenset({-1, 1, 88, 500, 50001})
"""The provider's own trouble: the same again may succeed."""
NOT_SENT: Final = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.UnsupportedProtocol)


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What a provider said."""

    status: int
    headers: Mapping[str, str]
    body: Any
    """The JSON, or None where there is none."""


class Wire:
    """One HTTP client for the worker's life."""

    def __init__(
        self,
        *,
        private_allowed: bool = False,
        timeout_s: float = TIMEOUT_S,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._timeout_s = timeout_s
        self._outward = Outward(private_allowed=private_allowed, timeout_s=timeout_s, tls=tls)

    async def close(self) -> None:
        """Close the connections."""
        await self._outward.close()

    async def ask(
        self,
        url: str,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer | Outcome:
        """POST `body` (GET without one); the answer, or what became of the message where there is none."""
        try:
            # The client's timeout is one of silence; a server that drips bytes is cut off all the same.
            async with asyncio.timeout(self._timeout_s * 2):
                answer = await self._outward.ask(
                    "GET" if body is None else "POST",
                    url,
                    body=body,
                    headers=headers,
                    bytes_max=ANSWER_BYTES_MAX,
                )
        except Hopeless:
            return Outcome(kind="refused", error="the provider's address may not be called")
        except Retry:
            return Outcome(kind="away", error="the provider's host cannot be resolved")
        except NOT_SENT as fault:
            return Outcome(kind="away", error=f"no connection: {type(fault).__name__}")
        except (httpx.HTTPError, TimeoutError) as fault:
            # The text may hold the address, and in it the robot's key; the class says enough.
            return Outcome(kind="unsure", error=f"no answer: {type(fault).__name__}")
        return Answer(status=answer.status, headers=answer.headers, body=_json(answer.body))


def judge(answer: Answer | Outcome, *, code_needed: bool = True) -> Outcome:
    """What became of a message. `code_needed`: a 200 without the provider's own code of success is none."""
    if isinstance(answer, Outcome):
        return answer
    after = retry_after_s(answer.headers)
    if answer.status == 429:
        return Outcome(kind="throttled", error="answered 429", after_s=after or THROTTLE_S)
    if answer.status >= 500 or answer.status in RETRIED:
        return Outcome(kind="away", error=f"answered {answer.status}", after_s=after)
    if not 200 <= answer.status < 300:
        return Outcome(kind="refused", error=f"answered {answer.status}")
    code = code_of(answer.body)
    if code is None:
        if code_needed:
            return Outcome(
                kind="unsure", error=f"answered {answer.status} without saying whether it was taken"
            )
        return Outcome(kind="delivered", provider_ref=_reference(answer.body))
    if code == 0:
        return Outcome(kind="delivered", provider_ref=_reference(answer.body))
    said = f"answered errcode {code}: {_said(answer.body)}"
    if code in THROTTLES:
        return Outcome(kind="throttled", error=said, after_s=after or THROTTLE_S)
    return Outcome(kind="away" if code in LATER else "refused", error=said)


def code_of(body: Any) -> int | None:
    """The provider's own code; None where it says none."""
    if not isinstance(body, dict):
        return None
    for name in CODE_NAMES:
        value = body.get(name)
        if isinstance(value, bool):
            continue
        if isinstance(value, int) or (
            isinstance(value, str) and value.lstrip("-").isdigit() and len(value) < 12
        ):
            return int(value)
    return None


def _said(body: Any) -> str:
    return str(body.get("errmsg") or body.get("msg") or "")[:120]


def _reference(body: Any) -> str | None:
    if not isinstance(body, dict):
        return None
    found = body.get("msgid") or body.get("messageId") or body.get("id") or body.get("response_code")
    return str(found)[:200] if found else None


def _json(found: bytes) -> Any:
    try:
        return msgspec.json.decode(found)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
