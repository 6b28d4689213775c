"""Subscriptions poke; they carry no data. Whether the listener may still listen is asked again at every delivery."""

import asyncio
import time
from collections.abc import AsyncGenerator
from uuid import UUID
from weakref import WeakKeyDictionary

import strawberry

from callout_graphql.context import Context
from callout_graphql.edges import Info
from callout_graphql.refusals import SessionOver
from callout_graphql.types_sync import Poke
from callout_people.principals import Principal
from callout_store.errors import Busy
from callout_store.work import Database

RECHECK_S = 15.0
"""Without news the rights are asked for this often: a revoked phone is not left listening to silence."""


class Standing:
    """Whether sessions still stand; what many subscribers ask at one time is read with one statement."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._asked: dict[UUID, dict[UUID, asyncio.Future[str | None]]] = {}

    async def ask(self, who: Principal) -> bool:
        """Whether the session is open, its user active and of the same role, and its device not revoked."""
        group = self._asked.get(who.org_id)
        if group is None:
            group = self._asked[who.org_id] = {}
            asyncio.get_running_loop().call_soon(self._start, who.org_id)
        future = group.get(who.session_id)
        if future is None:
            future = group[who.session_id] = asyncio.get_running_loop().create_future()
        return await asyncio.shield(future) == who.role.value

    def _start(self, org_id: UUID) -> None:
        task = asyncio.create_task(self._look(org_id, self._asked.pop(org_id)))
        _running.add(task)
        task.add_done_callback(_running.discard)

    async def _look(self, org_id: UUID, asked: dict[UUID, asyncio.Future[str | None]]) -> None:
        try:
            async with self._db.work(org_id) as work:
                rows = await work.fetch(
                    """
                    select s.id, u.role from session s
                    join app_user u on u.org_id = s.org_id and u.id = s.user_id
                    left join device d on d.org_id = s.org_id and d.id = s.device_id
                    where s.org_id = callout_org() and s.id = any($1) and s.ended_at is null and s.expires_at > now()
                      and u.active and d.revoked_at is null
                    """,
                    list(asked),
                )
            standing = {row["id"]: row["role"] for row in rows}
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


@strawberry.type
class Subscription:
    """What may be listened to."""

    @strawberry.subscription
    async def changed(self, info: Info) -> AsyncGenerator[Poke, None]:
        """A poke when something that the caller may see has changed; one comes at once, to begin with a pull."""
        context: Context = info.context
        who, pokes = context.who, context.services.pokes
        if pokes is None:
            raise Busy(what="subscriptions", retry_after_ms=60_000)
        sight = await context.sight()
        standing = standing_of(context.services.db)
        if sight.everything:
            scopes, kind = None, "board"
        else:
            held = [who.org_id, *([sight.engineer_id] if sight.engineer_id else [])]
            scopes, kind = frozenset(held), "sync"
        with pokes.subscription(who.org_id, scopes) as mine:
            yield Poke(at=context.services.db.clock.now(), kind=kind, scopes=[])
            asked_at = time.monotonic()
            waiting = asyncio.create_task(mine.next())
            try:
                while True:
                    done, _ = await asyncio.wait(
                        {waiting}, timeout=max(0.0, asked_at + RECHECK_S - time.monotonic())
                    )
                    asked_at = time.monotonic()
                    if not await standing.ask(who):
                        raise SessionOver()
                    if done:
                        news = waiting.result()
                        waiting = asyncio.create_task(mine.next())
                        yield Poke(at=news.at, kind=kind, scopes=list(news.scope_ids))
            finally:
                waiting.cancel()
