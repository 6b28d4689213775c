"""Listening for pokes, for every door that stays open: what a caller hears, and whether they still may.

Pokes carry no data. Whether the listener may still listen is asked again at every delivery, and now and then without.
"""

import asyncio
import time
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID
from weakref import WeakKeyDictionary

from callout_graphql.refusals import SessionOver
from callout_graphql.sight import sight_of
from callout_people.principals import Principal
from callout_store.errors import DeviceWiped
from callout_store.work import Database
from callout_sync.poke import Pokes

RECHECK_S: Final = 15.0
"""Without news the rights are asked for this often: a revoked phone is not left listening to silence."""


@dataclass(frozen=True, slots=True)
class Ear:
    """What a caller hears: `sync` is a phone's own scopes, `board` (`scopes` None) the whole organisation."""

    kind: str
    scopes: frozenset[UUID] | None


@dataclass(frozen=True, slots=True)
class News:
    """Something changed; `scopes` say where, none: anywhere."""

    at: datetime
    scopes: tuple[UUID, ...] = ()


async def ear_of(db: Database, who: Principal) -> Ear:
    """The ear of a caller. A phone hears the organisation, its engineer, its user and itself, whatever its user may see."""
    async with db.work(who.org_id, actor=who.actor()) as work:
        sight = await sight_of(work, who)
        if who.device_id is None and sight.everything:
            return Ear("board", None)
        engineer_id = sight.engineer_id or await work.fetchval(
            "select id from engineer where org_id = callout_org() and user_id = $1 and active", who.user_id
        )
    held = (who.org_id, engineer_id, who.device_id, who.user_id)
    return Ear("sync", frozenset(scope for scope in held if scope is not None))


async def listen(
    db: Database, pokes: Pokes, who: Principal, ear: Ear, *, beat_s: float = RECHECK_S
) -> AsyncGenerator[News | None, None]:
    """News as they come, several within a moment as one; the first at once, since some may have been missed before.

    None every `beat_s` without news. Raises SessionOver as soon as the caller is seen to have no right to it any more, and
    DeviceWiped as soon as their phone is one that was stolen.
    """
    standing = standing_of(db)
    with pokes.subscription(who.org_id, ear.scopes) as mine:
        yield News(at=db.clock.now())
        asked_at = time.monotonic()
        waiting = asyncio.create_task(mine.next())
        try:
            while True:
                left_s = max(0.0, asked_at + beat_s - time.monotonic())
                done, _ = await asyncio.wait({waiting}, timeout=left_s)
                asked_at = time.monotonic()
                if not await standing.ask(who):
                    raise SessionOver()
                if done:
                    news = waiting.result()
                    waiting = asyncio.create_task(mine.next())
                    yield News(at=news.at, scopes=news.scope_ids)
                else:
                    yield None
        finally:
            waiting.cancel()


class Standing:
    """Whether sessions still stand; what many listeners ask at one time is read with one statement."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._asked: dict[UUID, dict[UUID, asyncio.Future[tuple[str, bool] | None]]] = {}

    async def ask(self, who: Principal) -> bool:
        """Whether the session is open, its user active and of the same role, and its device not revoked. Raises DeviceWiped
        for that of a stolen one."""
        group = self._asked.get(who.org_id)
        if group is None:
            group = self._asked[who.org_id] = {}
            asyncio.get_running_loop().call_soon(self._start, who.org_id)
        future = group.get(who.session_id)
        if future is None:
            future = group[who.session_id] = asyncio.get_running_loop().create_future()
        role, wiped = await asyncio.shield(future) or (None, False)
        if wiped:
            raise DeviceWiped()
        return role == who.role.value

    def _start(self, org_id: UUID) -> None:
        task = asyncio.create_task(self._look(org_id, self._asked.pop(org_id)))
        _running.add(task)
        task.add_done_callback(_running.discard)

    async def _look(self, org_id: UUID, asked: dict[UUID, asyncio.Future[tuple[str, bool] | None]]) -> None:
        try:
            async with self._db.work(org_id) as work:
                rows = await work.fetch(
                    """
                    select s.id, u.role, s.device_wiped from session s
                    join app_user u on u.org_id = s.org_id and u.id = s.user_id
                    left join device d on d.org_id = s.org_id and d.id = s.device_id
                    where s.org_id = callout_org() and s.id = any($1) and s.ended_at is null and s.expires_at > now()
                      and u.active and d.revoked_at is null
                    """,
                    list(asked),
                )
            standing = {row["id"]: (row["role"], row["device_wiped"]) for row in rows}
            for session_id, future in asked.items():
                if not future.done():
                    future.set_result(standing.get(session_id))
        except Exception as fault:
            for future in asked.values():
                if not future.done():
                    future.set_exception(fault)


_running: set[asyncio.Task[None]] = set()
_standing: WeakKeyDictionary[Database, Standing] = WeakKeyDictionary()


def standing_of(db: Database) -> Standing:
    """The process's one asker for a database."""
    found = _standing.get(db)
    if found is None:
        found = _standing[db] = Standing(db)
    return found
