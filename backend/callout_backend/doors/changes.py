"""`GET /v1/changes`: Server-Sent Events that say "pull now", and nothing else.

    retry: 2417                 milliseconds to wait before connecting again after a loss
    id: 7                       counts on from the Last-Event-ID that the client sent
    event: pull                 for a phone; `board` for an office screen
    data: {"at": "…", "scopes": ["…"]}
    : beat                      every CALLOUT_LISTEN_BEAT_SECONDS without news
    event: end                  the last one: `data` holds the code why (the session is over)

The first event comes at once and several within a moment come as one. Nothing hangs on any single event: whoever was
cut off is told to pull as soon as they are back, and pulls by their own cursor.
"""

import asyncio
import contextlib
import random
from collections import Counter, OrderedDict
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing
from typing import Any, Final
from uuid import UUID

import msgspec
from litestar import Request, get
from litestar.types import ASGIApp, ControllerRouterHandler, Receive, Scope, Send

from callout_backend.doors.identity import principal_of
from callout_graphql.listening import ear_of, listen
from callout_graphql.refusals import SessionOver
from callout_people.principals import Principal, Role
from callout_store.errors import Busy, LimitExceeded, NotAllowed, Refusal

PHONE_LISTENERS_MAX: Final = 2
"""Of one phone's streams the newest stay: the older ones are mostly what a lost connection left behind."""
RETRY_MS: Final = (1000, 5000)
"""Spread, so that those who lose one server do not all come to the next at once."""
HEADERS: Final = (
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-store"),
    # A proxy that gathers bytes before it passes them on would hold pokes back.
    (b"x-accel-buffering", b"no"),
)
_encode = msgspec.json.Encoder().encode


class Listeners:
    """The open streams of this process: how many, whose, and how to end them."""

    def __init__(self, *, total_max: int, user_max: int) -> None:
        self.total_max = total_max
        self.user_max = user_max
        self._of_user: Counter[UUID] = Counter()
        self._of_phone: dict[UUID, OrderedDict[int, asyncio.Event]] = {}
        self._open: set[asyncio.Event] = set()
        self._ending = False

    def __len__(self) -> int:
        return len(self._open)

    @contextlib.contextmanager
    def place(self, who: Principal) -> Iterator[asyncio.Event]:
        """A place for a stream, for the length of the block; the event is set when the stream shall end.

        Raises Busy where the process has no place left or is about to end, LimitExceeded where the user has none.
        """
        if self._ending or len(self._open) >= self.total_max:
            raise Busy(what="listeners", retry_after_ms=random.randint(*RETRY_MS))
        ended = asyncio.Event()
        phone = self._of_phone.setdefault(who.device_id, OrderedDict()) if who.device_id else None
        if phone is not None:
            while len(phone) >= PHONE_LISTENERS_MAX:
                phone.popitem(last=False)[1].set()
        elif self._of_user[who.user_id] >= self.user_max:
            raise LimitExceeded(
                what="streams of one user",
                limit=self.user_max,
                given=self._of_user[who.user_id] + 1,
            )
        else:
            self._of_user[who.user_id] += 1
        self._open.add(ended)
        if phone is not None:
            phone[id(ended)] = ended
        try:
            yield ended
        finally:
            self._open.discard(ended)
            if phone is None:
                self._of_user[who.user_id] -= 1
                if not self._of_user[who.user_id]:
                    del self._of_user[who.user_id]
            elif who.device_id is not None:
                phone.pop(id(ended), None)
                if not phone and self._of_phone.get(who.device_id) is phone:
                    del self._of_phone[who.device_id]

    def end_all(self) -> None:
        """End all streams and take no more: the process is about to end."""
        self._ending = True
        for ended in self._open:
            ended.set()


@get("/v1/changes", include_in_schema=False)
async def changes(request: Request[Any, Any, Any]) -> ASGIApp:
    """The stream. Refusals come before it begins, as problem details."""
    who = await principal_of(request)
    if who.role is Role.CUSTOMER_CONTACT:
        raise NotAllowed(role=who.role.value, what="listen to changes")
    state = request.app.state
    if state.pokes is None:
        raise Busy(what="listeners", retry_after_ms=RETRY_MS[1])
    ear = await ear_of(state.db, who)
    beat_s = float(state.settings.listen_beat_seconds)
    last = request.headers.get("last-event-id", "")
    counted = int(last) if last.isascii() and last.isdigit() and len(last) <= 15 else 0

    async def chunks() -> AsyncIterator[bytes]:
        yield f"retry: {random.randint(*RETRY_MS)}\n\n".encode()
        number = counted
        name = "board" if ear.kind == "board" else "pull"
        try:
            async with aclosing(listen(state.db, state.pokes, who, ear, beat_s=beat_s)) as heard:
                async for news in heard:
                    if news is None:
                        yield b": beat\n\n"
                        continue
                    number += 1
                    data = _encode({"at": news.at, "scopes": news.scopes})
                    yield b"id: %d\nevent: %s\ndata: %s\n\n" % (number, name.encode(), data)
        except (SessionOver, Refusal) as refusal:
            code = "NOT_AUTHENTICATED" if isinstance(refusal, SessionOver) else refusal.code
            yield b"event: end\ndata: %s\n\n" % _encode({"code": code})

    return _Stream(state.listeners, who, chunks())


class _Stream:
    """The answer: sends what the source yields until it is through, the client goes, or the place is taken away."""

    def __init__(self, listeners: Listeners, who: Principal, source: AsyncIterator[bytes]) -> None:
        self.listeners, self.who, self.source = listeners, who, source

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with self.listeners.place(self.who) as ended:
            await send({"type": "http.response.start", "status": 200, "headers": list(HEADERS)})
            talking = asyncio.create_task(self._talk(send))
            others = {asyncio.create_task(_until_gone(receive)), asyncio.create_task(ended.wait())}
            try:
                await asyncio.wait({talking, *others}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for task in (talking, *others):
                    task.cancel()
                outcomes = await asyncio.gather(talking, *others, return_exceptions=True)
            if isinstance(outcomes[0], Exception):
                raise outcomes[0]
            # After the client has gone this does nothing.
            await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _talk(self, send: Send) -> None:
        async with aclosing(self.source) as chunks:  # type: ignore[type-var]
            async for chunk in chunks:
                await send({"type": "http.response.body", "body": chunk, "more_body": True})


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


ROUTES: tuple[ControllerRouterHandler, ...] = (changes,)
