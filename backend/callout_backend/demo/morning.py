"""The morning of the demo's day: the office gives out a draft by hand of the pick, has it planned anew, and tells everybody.

The plan is made by the worker's own handler, in this process: a worker beside us lives today, and for it the day is over.
"""

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import msgspec

from callout_backend.demo.world import Staff
from callout_backend.jobs.plans import plan_handler
from callout_dispatch import assign
from callout_dispatch.planning import processes
from callout_dispatch.plans import accept, runs
from callout_dispatch.plans.run_rows import run_by_id
from callout_store import outbox
from callout_store.work import Database, Work

PLANNER: Final = "vroom"
LEASE_S: Final = 300.0


class Given(msgspec.Struct, frozen=True, kw_only=True):
    """A visit that somebody was told of."""

    visit_id: UUID
    order_id: UUID
    engineer_id: UUID


class Morning(msgspec.Struct, frozen=True, kw_only=True):
    """What came out of it. `plan` has the proposal's figures; `unassigned` orders wait on."""

    considered: int
    visits: list[Given]
    unassigned: int
    plan: dict[str, Any]


async def plan_day(
    db: Database, staff: Staff, start: datetime, end: datetime, order_ids: Collection[UUID], *, seed: int
) -> Morning:
    """Dispatch these orders: first one by one, then by a plan over all of them that the dispatcher accepts."""
    async with db.work(staff.org_id, actor=staff.dispatcher) as work:
        drafted = await assign.dispatch_day(work, start, end, order_ids=order_ids, told=False)
    run_id = await _run(db, staff, start, end, seed)
    async with db.work(staff.org_id, actor=staff.dispatcher) as work:
        run = await run_by_id(work, run_id)
        taken = 0
        if run.state == "proposed" and run.figures:
            taken = len((await accept.accept(work, run_id, revision=run.revision, told=True)).taken)
        await _tell_the_rest(work)
        visits = await _visits(work, order_ids)
    return Morning(
        considered=drafted.considered,
        visits=visits,
        unassigned=drafted.considered - len(visits),
        plan=_told(run.figures, run.state, taken),
    )


async def _run(db: Database, staff: Staff, start: datetime, end: datetime, seed: int) -> UUID:
    async with db.work(staff.org_id, actor=staff.dispatcher) as work:
        run_id = await runs.ask(work, start, end, planner=PLANNER, seed=seed)
        item = await outbox.take(work, f"plan:{run_id}", lease_s=LEASE_S)
    assert item is not None, "it was sent in this transaction"
    try:
        await plan_handler()(db, item)
        await outbox.finish(db, item)
    finally:
        await processes.close()
    return run_id


async def _tell_the_rest(work: Work) -> None:
    """The visits that the plan left as they were."""
    rows = await work.fetch(
        "select id from visit where org_id = callout_org() and plan = 'scheduled' and ended_at is null order by id"
    )
    for row in rows:
        await assign.dispatch_visit(work, row["id"])


async def _visits(work: Work, order_ids: Collection[UUID]) -> list[Given]:
    rows = await work.fetch(
        """
        select id, order_id, engineer_id from visit
        where org_id = callout_org() and plan = 'dispatched' and ended_at is null and order_id = any($1) order by id
        """,
        list(order_ids),
    )
    return [
        Given(visit_id=row["id"], order_id=row["order_id"], engineer_id=row["engineer_id"]) for row in rows
    ]


def _told(figures: Mapping[str, Any], state: str, taken: int) -> dict[str, Any]:
    """The proposal in a few figures."""
    if not figures:
        return {"state": state}
    before, after, changes = figures["before"], figures["after"], figures["changes"]
    return {
        "state": state,
        "planner": figures["planner"],
        "fallback": figures["fallback"],
        "travel_before_min": round(before["travelMinutes"]),
        "travel_after_min": round(after["travelMinutes"]),
        "at_risk_before": before["late"] + before["atRisk"],
        "at_risk_after": after["late"] + after["atRisk"],
        "moved": changes["move"] + changes["reassign"],
        "new": changes["assign"],
        "unassigned": after["unassigned"],
        "taken": taken,
    }
