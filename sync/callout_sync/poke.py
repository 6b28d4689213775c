"""Pokes: "something changed, pull now". One LISTEN connection a process; ids only, never data.

NOTIFY is sent inside the writing transaction, so a poke leaves exactly when its cause is committed, and needs no Redis.
A poke may be lost (connection cut, process restarted): clients pull on reconnect and now and then anyway, so losing one
costs time, not data. After a reconnect all subscribers are poked once for what may have been missed.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterable
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import asyncpg
import msgspec
import structlog

from callout_store.tasks import end
from callout_store.work import Work
from callout_sync.scope import CHANNEL, NOTIFY_SCOPES_MAX

log = structlog.get_logger(__name__)

RECONNECT_S = 1.0
COALESCE_S = 0.15


async def tell(work: Work, scopes: Iterable[UUID]) -> None:
    """Poke those who hear these scopes, in all processes, when this unit of work commits."""
    ids = sorted(str(scope) for scope in scopes)
    for start in range(0, len(ids), NOTIFY_SCOPES_MAX):
        payload = {"org": str(work.org_id), "scopes": ids[start : start + NOTIFY_SCOPES_MAX]}
        await work.execute("select pg_notify($1, $2)", CHANNEL, msgspec.json.encode(payload).decode())


class Poke(msgspec.Struct, frozen=True, kw_only=True):
    """News for a subscriber since `at`; `scope_ids` says where, empty after a reconnect (anywhere)."""

    at: datetime
    scope_ids: tuple[UUID, ...] = ()


class _Notice(msgspec.Struct):
    org: UUID
    scopes: list[UUID]


class Subscription:
    """One listener: a set of scopes (None: the whole organisation), and what was heard since it last looked."""

    def __init__(self, org_id: UUID, scopes: frozenset[UUID] | None) -> None:
        self.org_id = org_id
        self.scopes = scopes
        self._heard: set[UUID] = set()
        self._event = asyncio.Event()

    def offer(self, notice_scopes: list[UUID] | None) -> None:
        """Take note if it concerns this subscription; None is news from anywhere."""
        if notice_scopes is None or self.scopes is None:
            self._heard.update(notice_scopes or ())
        else:
            common = self.scopes.intersection(notice_scopes)
            if not common:
                return
            self._heard |= common
        self._event.set()

    async def next(self) -> Poke:
        """Wait for news; several within a moment come as one."""
        await self._event.wait()
        await asyncio.sleep(COALESCE_S)
        self._event.clear()
        heard, self._heard = self._heard, set()
        return Poke(at=datetime.now(UTC), scope_ids=tuple(sorted(heard)))


class Pokes:
    """The process's ear: start it with the application, subscribe from any task."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._subscriptions: dict[UUID, set[Subscription]] = {}
        self._task: asyncio.Task[None] | None = None
        self.connected = asyncio.Event()

    async def start(self) -> None:
        """Begin to listen; does not wait for the database."""
        self._task = asyncio.create_task(self._listen(), name="pokes")

    async def stop(self) -> None:
        """Stop listening."""
        task, self._task = self._task, None
        await end(task)

    @contextlib.contextmanager
    def subscription(self, org_id: UUID, scopes: frozenset[UUID] | None) -> Any:
        """A subscription for the length of the block."""
        mine = Subscription(org_id, scopes)
        group = self._subscriptions.setdefault(org_id, set())
        group.add(mine)
        try:
            yield mine
        finally:
            group.discard(mine)
            if not group:
                self._subscriptions.pop(org_id, None)

    async def subscribe(self, org_id: UUID, scopes: frozenset[UUID] | None) -> AsyncIterator[Poke]:
        """Pokes for an organisation (`scopes` None) or for some scopes of it, until the caller stops."""
        with self.subscription(org_id, scopes) as mine:
            while True:
                yield await mine.next()

    def publish(self, payload: str) -> None:
        """Hand a notification's payload to whom it concerns; a malformed one is logged and dropped."""
        try:
            notice = msgspec.json.decode(payload, type=_Notice)
        except msgspec.MsgspecError:
            log.warning("poke_malformed")
            return
        for subscription in self._subscriptions.get(notice.org, ()):
            subscription.offer(notice.scopes)

    async def _listen(self) -> None:
        while True:
            try:
                conn = await asyncpg.connect(self._url, timeout=5)
                closed = asyncio.Event()
                conn.add_termination_listener(lambda _, closed=closed: closed.set())
                await conn.add_listener(CHANNEL, lambda _c, _pid, _channel, payload: self.publish(payload))
                self.connected.set()
                self._poke_all()
                try:
                    await closed.wait()
                finally:
                    self.connected.clear()
                    if not conn.is_closed():
                        conn.terminate()
            except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, TimeoutError):
                log.warning("poke_listener_away", exc_info=False)
            await asyncio.sleep(RECONNECT_S)

    def _poke_all(self) -> None:
        for group in self._subscriptions.values():
            for subscription in group:
                subscription.offer(None)
