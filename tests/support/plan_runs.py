"""For tests of plans: a proposal made in this very process, by the inserter, without a worker."""

import asyncio
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from depots import NINE, Depot

from callout_backend.jobs.plans import plan_handler
from callout_dispatch.planning.inserter import InserterPlanner
from callout_dispatch.planning.processes import PlannerCanceled
from callout_dispatch.planning.terms import Plan, Problem, Progress
from callout_dispatch.plans import run_rows, runs
from callout_dispatch.plans.run_rows import ChangeRow, Run
from callout_store.ids import new_id
from callout_store.outbox import Claimed

HOUR = timedelta(hours=1)
FIVE = NINE + 8 * HOUR


async def at_once(
    planner: str,
    problem: Problem,
    *,
    seconds_max: float,
    seed: int,
    on_progress: Progress,
    canceled: asyncio.Event,
) -> Plan:
    """The inserter in this process, whatever was asked for."""
    if canceled.is_set():
        raise PlannerCanceled
    return InserterPlanner().solve(problem, seconds_max=1.0, seed=seed, progress=on_progress)


def claimed(org: UUID, run_id: UUID, token: UUID | None = None) -> Claimed:
    """The run's message in a worker's hands."""
    return Claimed(
        org_id=org,
        id=new_id(),
        channel=runs.RUN_CHANNEL,
        stream=f"plan:{run_id}",
        dedupe_key=f"plan:{run_id}",
        payload={"runId": str(run_id)},
        attempt=1,
        lease_token=token or new_id(),
        started_at=NINE,
    )


async def ask(depot: Depot, start: datetime = NINE, end: datetime = FIVE, **more: Any) -> UUID:
    async with depot.work() as work:
        return await runs.ask(work, start, end, **{"planner": "inserter", **more})


async def work_off(depot: Depot, run_id: UUID, solve: Any = at_once) -> Run:
    """What a worker does with it; the run afterwards."""
    await plan_handler(solve, beat_s=0.02)(depot.db, claimed(depot.org, run_id))
    return await run(depot, run_id)


async def proposal(depot: Depot, start: datetime = NINE, end: datetime = FIVE, **more: Any) -> Run:
    """A plan that was asked for and made."""
    made = await work_off(depot, await ask(depot, start, end, **more))
    assert made.state == "proposed", (made.state, made.fault, made.figures)
    return made


async def run(depot: Depot, run_id: UUID) -> Run:
    async with depot.work() as work:
        return await run_rows.run_by_id(work, run_id)


async def lines(depot: Depot, run_id: UUID) -> list[ChangeRow]:
    async with depot.work() as work:
        return await run_rows.changes_by_number(work, run_id, None)
