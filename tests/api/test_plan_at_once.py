"""A plan is accepted while the red lane, a dispatcher and a phone decide about the same people: one wins, the others hear.

Every test plays many rounds, each act in a process of its own; the seed is printed with the round that fails.
"""

import random
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from depots import NINE, Depot, deadlocks
from plan_runs import proposal
from reds import TWO_VISITS, phone_of
from rivals import rivals

from callout_dispatch import assign, engineers
from callout_dispatch.plans import runs

TOLD = {
    "ENGINEER_UNAVAILABLE",
    "WRONG_STATE",
    "NO_ENGINEER_FITS",
    "PLAN_STALE",
    "PLAN_INFEASIBLE",
    "STALE_REVISION",
}
"""What a loser may be told: the time, the visit or the order is somebody else's by now."""
TWICE = """
with booked as (
    select v.id, v.engineer_id as who, v.scheduled_start as starts, v.scheduled_end as ends from visit v
    where v.ended_at is null and v.plan <> 'canceled'
    union all
    select v.id, c.engineer_id, v.scheduled_start, v.scheduled_end from visit v
    join visit_crew c on c.org_id = v.org_id and c.visit_id = v.id
    where v.ended_at is null and v.plan <> 'canceled'
)
select a.id, b.id from booked a join booked b on a.who = b.who and a.id < b.id
where a.starts < b.ends and b.starts < a.ends
"""
"""Pairs of live visits for which one engineer is booked at one time, as their leader or in the crew."""


@pytest.fixture
def depot(alone: Depot) -> Depot:
    return alone


async def test_a_plan_the_red_lane_a_dispatcher_and_a_phone(
    depot: Depot, fresh_database: Any, seed: int, scale: int
) -> None:
    """A morning's plan is accepted in the second in which a boiler bursts, a colleague answers the telephone and an engineer
    drives off: nobody is promised to two customers, no order has two visits, and nobody on the road loses their visit."""
    rng = random.Random(f"{seed}:plan-at-once")
    people = await depot.crew(1, 3, 6)
    phone = await phone_of(depot, people[0])
    before = await deadlocks(fresh_database.admin)
    async with rivals(fresh_database, 5) as all_:
        for n in range(5 * scale):
            async with depot.work() as work:
                await engineers.mark_seen(work, *people)
            low = await depot.order(rng.choice([1, 20]), priority="P2", duration_minutes=90)
            async with depot.work() as work:
                at = NINE + timedelta(minutes=rng.choice([30, 240]))
                visit = await assign.assign(work, low, people[0], at, override=True, reason="test")
            waiting = [await depot.order(rng.choice([0, 2, 5]), priority="P2") for _ in range(3)]
            waiting.append(await depot.order(2, priority="P2", crew_size=2))
            run = (await proposal(depot)).id
            urgent = await depot.order(0, priority="P0", duration_minutes=rng.choice([60, 180]))
            user = str(depot.dispatcher.user_id)
            desk: dict[str, Any] = {"org": str(depot.org), "user": user}
            slot = (NINE + timedelta(minutes=rng.choice([20, 90, 330]))).isoformat()
            acts = [
                desk | {"act": "accept", "run": str(run), "skip": rng.random() < 0.5},
                desk | {"act": "lane", "order": str(urgent)},
                desk
                | {
                    "act": "hand",
                    "order": str(rng.choice(waiting[:3])),
                    "engineer": str(rng.choice(people)),
                    "start": slot,
                },
                desk | {"act": "crew", "visit": str(visit), "engineer": str(rng.choice(people[1:]))},
                desk
                | {
                    "act": "push",
                    "user": str(phone.actor.user_id),
                    "device": str(phone.actor.device_id),
                    "commands": [phone.command("visit.travel", visit)],
                },
            ]
            acts = [act | {"after_s": rng.uniform(0, 0.08)} for act in acts]
            answers = await all_.at_once(*acts)
            where = f"seed {seed} round {n}: {[act['act'] for act in acts]} {answers}"
            for answer in answers:
                assert "ok" in answer or answer.get("refused") in TOLD, where
            assert any("ok" in answer for answer in answers[:3]), where
            assert await depot.fetch(TWICE) == [], where
            assert await depot.fetch(TWO_VISITS) == [], where
            [[status, _]] = answers[4]["ok"]
            held = await depot.visit(visit)
            if held["engineer_id"] == people[0] and held["state"] != "canceled":
                assert (status, held["state"]) == ("applied", "travelling"), where
            else:
                assert status == "conflict", where
            await clear(depot, run)
    assert await deadlocks(fresh_database.admin) == before


async def clear(depot: Depot, run: UUID) -> None:
    """Call everything off, so that the next round begins with an empty day."""
    rows = await depot.fetch("select id from work_order where canceled_at is null and org_id = $1", depot.org)
    for row in rows:
        async with depot.work() as work:
            await assign.cancel_order(work, row["id"], "next round")
    async with depot.work() as work:
        state = await work.fetchval("select state from plan_run where id = $1", run)
        if state in runs.TO_SETTLE:
            await runs.reject(work, run)
