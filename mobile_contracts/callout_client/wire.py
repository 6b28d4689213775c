"""Asking the server: tokens, refusals, and trying again with full jitter."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar

import msgspec

from callout_client.store import Store
from callout_client.transport import Answered, NetworkLost, Transport

BACKOFF_S, BACKOFF_S_MAX = 0.5, 60.0
ATTEMPTS_MAX = 12
SIGNED_OUT = ("DEVICE_REVOKED", "REFRESH_TOKEN_INVALID", "REFRESH_TOKEN_REUSED")
T = TypeVar("T")
_encode = msgspec.json.Encoder().encode
_JSON = {"Content-Type": "application/json"}


class Refused(Exception):
    """The server understood and refused: `code` is stable; `retryable` ones may be sent again as they are."""

    def __init__(
        self, code: str, message: str = "", *, retryable: bool = False, retry_after_ms: int = 0
    ) -> None:
        super().__init__(f"{code}: {message}" if message else code)
        self.code, self.retryable, self.retry_after_ms = code, retryable, retry_after_ms


class DeviceShutOut(Refused):
    """The device was revoked or its session ended. The queue stays: after a new enrolment it is sent."""


class DeviceWiped(Refused):
    """The office had this phone forget everything, and it has; nothing is left to be sent."""


class Reply(msgspec.Struct, frozen=True):
    """GraphQL's envelope; `data` is read by whoever knows its shape."""

    data: msgspec.Raw = msgspec.Raw(b"null")
    errors: list[dict[str, Any]] | None = None


class Wire:
    """One phone's way to the server; `sleep` and `rng` are injected so that a simulation can be played fast and again."""

    def __init__(
        self,
        transport: Transport,
        store: Store,
        *,
        rng: random.Random,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        backoff_s: float = BACKOFF_S,
        attempts_max: int = ATTEMPTS_MAX,
        app_version: str | None = None,
    ) -> None:
        self.transport = transport
        self._always = {} if app_version is None else {"X-App-Version": app_version}
        self._store, self._rng, self._sleep = store, rng, sleep
        self._backoff_s, self._attempts_max = backoff_s, attempts_max
        self._refreshing = asyncio.Lock()

    async def retrying(self, act: Callable[[], Awaitable[T]]) -> T:
        """`act` until it is answered, with full jitter: a storm of phones must not come back in step."""
        for attempt in range(self._attempts_max):
            try:
                return await act()
            except (NetworkLost, Refused) as fault:
                if (isinstance(fault, Refused) and not fault.retryable) or attempt == self._attempts_max - 1:
                    raise
                least_s = fault.retry_after_ms / 1000 if isinstance(fault, Refused) else 0.0
            wait_s = self._rng.uniform(0, min(BACKOFF_S_MAX, self._backoff_s * 2**attempt))
            await self._sleep(max(least_s, wait_s))
        raise AssertionError("unreachable")

    async def graphql(self, query: str, shape: type[T], variables: Mapping[str, Any]) -> T:
        """Run an operation; its `data` in the given shape."""

        def read(answer: Answered) -> Reply:
            reply = read_json(answer, Reply)
            if reply.errors:
                error = reply.errors[0]
                raise fault_of({"detail": error.get("message", ""), **error.get("extensions", {})}, answer[0])
            return reply

        body = _encode({"query": query, "variables": variables})
        reply = await self._signed("POST", "/graphql", body, _JSON, read)
        return msgspec.json.decode(reply.data, type=shape)

    async def file(
        self, method: str, path: str, body: bytes, headers: Mapping[str, str], may: tuple[int, ...]
    ) -> Answered:
        """A request of the upload protocol; besides 2xx these statuses `may` come back, all others are raised.

        What does not say that it speaks tus is some gateway's page: a 404 of such must not make the phone begin anew.
        """

        def read(answer: Answered) -> Answered:
            if "tus-resumable" not in answer[1]:
                raise NetworkLost(f"HTTP {answer[0]} from something that does not take uploads")
            if answer[0] >= 300 and answer[0] not in may:
                raise fault_of(problem_of(answer), answer[0])
            return answer

        return await self._signed(method, path, body, {"Tus-Resumable": "1.0.0", **headers}, read)

    async def rest(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Post JSON without a token."""
        answer = await self.transport.request("POST", path, _encode(body), _JSON)
        told = read_json(answer, dict[str, Any])
        if answer[0] >= 400:
            raise fault_of(told, answer[0])
        return told

    async def post(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Post JSON as this phone."""

        def read(answer: Answered) -> dict[str, Any]:
            told = read_json(answer, dict[str, Any])
            if answer[0] >= 400:
                raise fault_of(told, answer[0])
            return told

        return await self._signed("POST", path, _encode(body), _JSON, read)

    async def _signed(
        self, method: str, path: str, body: bytes, headers: Mapping[str, str], read: Callable[[Answered], T]
    ) -> T:
        """With the access token; refreshed once where the server says that it has run out."""
        for refreshed in (False, True):
            access = self._store.mark("access") or ""
            signed = {"Authorization": f"Bearer {access}", **self._always, **headers}
            answer = await self.transport.request(method, path, body, signed)
            try:
                return read(answer)
            except Refused as fault:
                if fault.code != "NOT_AUTHENTICATED" or refreshed:
                    raise
            async with self._refreshing:
                if access == (self._store.mark("access") or ""):
                    await self._refresh()
        raise AssertionError("unreachable")

    async def _refresh(self) -> None:
        """Trade the refresh token. If the answer gets lost, the same token again brings the same successor."""
        answer = await self.rest("/auth/refresh", {"refreshToken": self._store.mark("refresh") or ""})
        self._store.set_marks(access=answer["accessToken"], refresh=answer["refreshToken"])


def read_json(answer: Answered, shape: type[T]) -> T:
    """The body as JSON. A gateway's HTML page is no answer of ours: as good as none."""
    try:
        return msgspec.json.decode(answer[2], type=shape)
    except (msgspec.DecodeError, UnicodeDecodeError) as fault:
        raise NetworkLost(f"HTTP {answer[0]} without JSON") from fault


def problem_of(answer: Answered) -> dict[str, Any]:
    """A refusal's problem details; an answer to HEAD has no body, and a gateway's has no code."""
    try:
        return msgspec.json.decode(answer[2], type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError):
        return {"code": "NOT_AUTHENTICATED"} if answer[0] == 401 else {}


def fault_of(said: Mapping[str, Any], status: int) -> Refused:
    """The refusal that problem details or an error's extensions tell."""
    code = str(said.get("code") or f"HTTP_{status}")
    kind = DeviceWiped if code == "DEVICE_WIPED" else DeviceShutOut if code in SIGNED_OUT else Refused
    return kind(
        code,
        str(said.get("detail", "")),
        retryable=bool(said.get("retryable", status in (429, 502, 503, 504))),
        retry_after_ms=int(said.get("retryAfterMs") or 0),
    )
