"""Orders' clocks on a real database, with a clock that is set by hand: for the tests of the SLA."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
from worlds import World

from callout_backend.jobs.drain import drain
from callout_backend.jobs.handlers import check_sla, restore_deadline, resume_sla, settle_sla
from callout_orders.sla import extensions, milestones, pausing, reading
from callout_orders.sla.clocks import SETTLE_CHANNEL
from callout_store.clock import ManualClock
from callout_store.work import Database

NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
HANDLERS = {
    milestones.CHANNEL: check_sla,
    SETTLE_CHANNEL: settle_sla,
    pausing.RESUME_CHANNEL: resume_sla,
    extensions.MOVED_CHANNEL: restore_deadline,
}
OFFICE: dict[str, Any] = {"code": "office", "timeZone": "Asia/Shanghai", "week": {
    day: ["09:00-12:00", "13:00-18:00"] for day in ("mon", "tue", "wed", "thu", "fri")}}  # fmt: skip


def rule(
    code: str, first: int = 15, arrival: int = 120, resolution: int = 240, **more: Any
) -> dict[str, Any]:
    return {
        "code": code,
        "firstResponse": {"minutes": first},
        "arrival": {"minutes": arrival},
        "resolution": {"minutes": resolution},
        **more,
    }


async def drain_all(db: Database) -> None:
    """Run what is due; timers rest for a while after the clock was seen to jump, as it does between tests."""
    async with db.system_work() as work:
        await work.execute("update clock_guard set frozen_until = null, looked_at = now()")
    await drain(db, HANDLERS)


class Clocked:
    """A world whose clock is set by hand."""

    def __init__(self, world: World, clock: ManualClock) -> None:
        self.world, self.clock, self.db = world, clock, world.db

    async def order(self, priority: str = "P0", **more: Any) -> UUID:
        return await self.world.order(priority=priority, **more)

    async def run(self, act: Any) -> Any:
        return await self.db.run(self.world.org, act, actor=self.world.dispatcher)

    def wait(self, minutes: float) -> None:
        self.clock.set(self.clock.now() + minutes * MINUTE)

    async def milestone(self, order_id: UUID, name: str = "resolution") -> reading.MilestoneView:
        found = await self.run(lambda work: reading.milestones_by_order_ids(work, [order_id]))
        return next(one for one in found[0] if one.name == name)

    async def lines(self, order_id: UUID, *kinds: str) -> list[dict[str, Any]]:
        rows = await self.world.fetch(
            "select kind, data::text as data from journal where order_id = $1 and kind = any($2) order by id",
            order_id,
            list(kinds),
        )
        return [msgspec.json.decode(row["data"]) for row in rows]

    async def timer(self, order_id: UUID, name: str) -> Any:
        (row,) = await self.world.fetch(
            "select due_at, state, epoch from timer where key = $1", f"sla:{order_id}:{name}"
        )
        return row


@asynccontextmanager
async def clocked(database_url: str) -> AsyncIterator[Clocked]:
    """An organisation with a dispatcher and an engineer, at noon."""
    clock = ManualClock(NOON)
    db = Database(database_url, clock=clock)
    await db.start()
    try:
        yield Clocked(await World(db).build(phones=1), clock)
    finally:
        await db.stop()
