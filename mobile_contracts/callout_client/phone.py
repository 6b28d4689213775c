"""The protocol: enrol once, record work at any time, and whenever there is a network, push and then pull.

Push comes first so that what the pull brings already holds this phone's own work. Neither needs the other to succeed.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Literal, TypeVar
from uuid import UUID

import msgspec

from callout_client.clock import DeviceClock, uuid7
from callout_client.store import PageItem, Store
from callout_client.transport import NetworkLost, Transport
from callout_contracts import SCHEMA_VERSION
from callout_contracts.commands import Answer, Location

BATCH_COMMANDS = 100
BATCH_BYTES = 2_000_000
"""A batch with signatures must stay below the server's limit on bodies; a single command always goes."""
PAGE_ROWS = 500
ATTEMPTS_MAX = 12
BACKOFF_S, BACKOFF_S_MAX = 0.5, 60.0
START_AGAIN = ("RESYNC_REQUIRED", "CURSOR_INVALID", "CURSOR_OF_ANOTHER_DEVICE")
SIGNED_OUT = ("DEVICE_REVOKED", "REFRESH_TOKEN_INVALID", "REFRESH_TOKEN_REUSED")

PULL = """query PhonePull($cursor: String, $limit: Int!) {
  pull(cursor: $cursor, limit: $limit) { cursor more epoch serverTime total documents }
}"""
PUSH = """mutation PhonePush($input: PushInput!) {
  push(input: $input) { answers { index status id code path message firstStatus } }
}"""
T = TypeVar("T")
_encode = msgspec.json.Encoder().encode


class Refused(Exception):
    """The server understood and refused: `code` is stable; `retryable` ones may be sent again as they are."""

    def __init__(
        self, code: str, message: str = "", *, retryable: bool = False, retry_after_ms: int = 0
    ) -> None:
        super().__init__(f"{code}: {message}" if message else code)
        self.code, self.retryable, self.retry_after_ms = code, retryable, retry_after_ms


class DeviceShutOut(Refused):
    """The device was revoked or its session ended. The queue stays: after a new enrolment it is sent."""


class Page(msgspec.Struct, rename="camel", frozen=True):
    """A page of the feed, its documents unread."""

    cursor: str
    more: bool
    epoch: str
    documents: list[PageItem]


class Answers(msgspec.Struct, frozen=True):
    """What a push is answered with."""

    answers: list[Answer]


class Reply(msgspec.Struct, frozen=True):
    """GraphQL's envelope; `data` is read by whoever knows its shape."""

    data: msgspec.Raw = msgspec.Raw(b"null")
    errors: list[dict[str, Any]] | None = None


class Phone:
    """One device. `sleep` and `rng` are injected so that a simulated network can be played fast and again."""

    def __init__(
        self,
        transport: Transport,
        store: Store,
        clock: DeviceClock,
        *,
        rng: random.Random | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        backoff_s: float = BACKOFF_S,
        app_version: str = "1.0.0",
        batch_commands: int = BATCH_COMMANDS,
        attempts_max: int = ATTEMPTS_MAX,
    ) -> None:
        self.transport, self.store, self.clock = transport, store, clock
        self.rng = rng or random.SystemRandom()
        self.app_version, self._batch_commands = app_version, batch_commands
        self._sleep, self._backoff_s, self._attempts_max = sleep, backoff_s, attempts_max
        self.heard: Callable[[list[Answer]], object] = lambda answers: None
        """Told of every batch of answers as it comes in; what comes after it may fail and raise."""
        self._one_at_a_time = asyncio.Lock()

    # ------------------------------------------------------------------------------------------- who it is

    async def enrol(self, *, organisation: str, code: str, name: str, platform: str = "reference") -> str:
        """Use a one-time code up; the device's id. The tokens stay on the phone."""
        body = {
            "organisation": organisation,
            "code": code,
            "deviceName": name,
            "platform": platform,
            "appVersion": self.app_version,
        }
        answer = await self._retrying(lambda: self._rest("/auth/enrol", body))
        self.store.set_marks(
            device=answer["deviceId"], access=answer["accessToken"], refresh=answer["refreshToken"]
        )
        return str(answer["deviceId"])

    async def _refresh(self) -> None:
        """Trade the refresh token. If the answer gets lost, the same token again brings the same successor."""
        answer = await self._rest("/auth/refresh", {"refreshToken": self.store.mark("refresh") or ""})
        self.store.set_marks(access=answer["accessToken"], refresh=answer["refreshToken"])

    # ------------------------------------------------------------------------------------------- recording

    def record(
        self,
        kind: str,
        visit_id: str,
        payload: Mapping[str, Any] | None = None,
        *,
        location: Location | None = None,
        duration_s: float | None = None,
    ) -> UUID:
        """Write down what was done, here and now, with or without a network; the command's id."""
        at = self.clock.wall()
        id_, sequence = uuid7(at, self.rng), self.store.next_sequence()
        body = {
            "id": str(id_),
            "sequence": sequence,
            "schemaVersion": SCHEMA_VERSION,
            "kind": kind,
            "visitId": visit_id,
            "deviceTime": at.isoformat(),
            "monotonicMs": self.clock.monotonic_ms(),
            "bootId": self.clock.boot_id,
            "location": None if location is None else msgspec.to_builtins(location),
            "durationS": duration_s,
            "payload": dict(payload or {}),
        }
        self.store.enqueue(sequence, str(id_), visit_id, kind, _encode(body))
        return id_

    # ------------------------------------------------------------------------------------------- in and out

    async def sync(self) -> int:
        """Push all that is pending, then pull all there is; the documents that came."""
        await self.push()
        return await self.pull()

    async def push(self) -> list[Answer]:
        """Send the queue, oldest first, a batch at a time, until it is empty; the answers.

        An answer takes its command out of the queue, whatever it says (`quarantined` too: a person at the office has
        it). No answer leaves it in. Raises NetworkLost or Refused when trying again did not help.
        """
        async with self._one_at_a_time:
            answers: list[Answer] = []
            while batch := self._batch():
                answers += await self._retrying(lambda batch=batch: self._push_batch(batch))  # type: ignore[misc]
            return answers

    async def pull(self) -> int:
        """Pull pages until the server has no more; the documents that came."""
        async with self._one_at_a_time:
            told = self.store.answered_sequences()
            count, more, restarts = 0, True, 0
            while more:
                try:
                    page = await self._retrying(self._pull_page)
                except Refused as refused:
                    if refused.code not in START_AGAIN or restarts:
                        raise
                    restarts += 1
                    self.store.start_again()
                    continue
                self.store.apply_page(
                    page.documents, cursor=page.cursor, epoch=page.epoch, last=not page.more
                )
                count, more = count + len(page.documents), page.more
            self.store.forget(told)
            return count

    def _batch(self) -> list[tuple[int, bytes]]:
        batch: list[tuple[int, bytes]] = []
        room = BATCH_BYTES
        for sequence, body in self.store.pending(self._batch_commands):
            room -= len(body)
            if batch and room < 0:
                break
            batch.append((sequence, body))
        return batch

    async def _push_batch(self, batch: list[tuple[int, bytes]]) -> list[Answer]:
        pushed = await self._graphql(
            PUSH,
            dict[Literal["push"], Answers],
            {
                "input": {
                    "sentAt": self.clock.wall().isoformat(),
                    "monotonicMs": self.clock.monotonic_ms(),
                    "bootId": self.clock.boot_id,
                    "appVersion": self.app_version,
                    "commands": [msgspec.Raw(body) for _, body in batch],
                }
            },
        )
        answers = pushed["push"].answers
        left = self.store.answered([(batch[answer.index][0], answer) for answer in answers])
        settled = [answer for answer in answers if answer not in left]
        self.heard(settled)
        if any(answer.code == "DEVICE_REVOKED" for answer in left):
            raise DeviceShutOut("DEVICE_REVOKED")
        if not settled:
            # Nothing of the batch got through: to send it again at once would be hammering.
            raise Refused(next((answer.code for answer in left if answer.code), "NO_ANSWER"), retryable=True)
        return settled

    async def _pull_page(self) -> Page:
        variables = {"cursor": self.store.mark("cursor"), "limit": PAGE_ROWS}
        return (await self._graphql(PULL, dict[Literal["pull"], Page], variables))["pull"]

    # ------------------------------------------------------------------------------------------- the wire

    async def operation(self, query: str, variables: Mapping[str, Any]) -> dict[str, Any]:
        """Another operation of the GraphQL API, as this phone."""
        return await self._retrying(lambda: self._graphql(query, dict[str, Any], variables))

    async def _retrying(self, act: Callable[[], Awaitable[T]]) -> T:
        """`act` until it is answered, with full jitter: a storm of phones must not come back in step."""
        for attempt in range(self._attempts_max):
            try:
                return await act()
            except (NetworkLost, Refused) as fault:
                if (isinstance(fault, Refused) and not fault.retryable) or attempt == self._attempts_max - 1:
                    raise
                least_s = fault.retry_after_ms / 1000 if isinstance(fault, Refused) else 0.0
            wait_s = self.rng.uniform(0, min(BACKOFF_S_MAX, self._backoff_s * 2**attempt))
            await self._sleep(max(least_s, wait_s))
        raise AssertionError("unreachable")

    async def _graphql(self, query: str, shape: type[T], variables: Mapping[str, Any]) -> T:
        """Run an operation with the access token; refresh once where the server says that it has run out."""
        body = _encode({"query": query, "variables": variables})
        for refreshed in (False, True):
            headers = {"Authorization": f"Bearer {self.store.mark('access') or ''}"}
            status, raw = await self.transport.post("/graphql", body, headers)
            answer = _read(status, raw, Reply)
            if not answer.errors:
                return msgspec.json.decode(answer.data, type=shape)
            error = answer.errors[0]
            fault = _fault({"detail": error.get("message", ""), **error.get("extensions", {})}, status)
            if fault.code != "NOT_AUTHENTICATED" or refreshed:
                raise fault
            await self._refresh()
        raise AssertionError("unreachable")

    async def _rest(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        status, raw = await self.transport.post(path, _encode(body), {})
        answer = _read(status, raw, dict[str, Any])
        if status >= 400:
            raise _fault(answer, status)
        return answer


def _read(status: int, raw: bytes, shape: type[T]) -> T:
    """The body as JSON. A gateway's HTML page is no answer of ours: as good as none."""
    try:
        return msgspec.json.decode(raw, type=shape)
    except (msgspec.DecodeError, UnicodeDecodeError) as fault:
        raise NetworkLost(f"HTTP {status} without JSON") from fault


def _fault(said: Mapping[str, Any], status: int) -> Refused:
    code = str(said.get("code") or f"HTTP_{status}")
    kind = DeviceShutOut if code in SIGNED_OUT else Refused
    return kind(
        code,
        str(said.get("detail", "")),
        retryable=bool(said.get("retryable", status in (429, 502, 503, 504))),
        retry_after_ms=int(said.get("retryAfterMs") or 0),
    )
