"""Red lanes in a storm: dispatchers, phones and workers at once, in whatever order chance brings, and then silence."""

import asyncio
import random
from datetime import timedelta
from typing import Any
from uuid import UUID

import asyncpg
import pytest
from depots import NINE, Depot
from reds import DOUBLE_BOOKED, TWO_VISITS, Sender, phone_of, start, turn

from callout_dispatch import assign, red_answers, visit_holds
from callout_orders import orders
from callout_store.errors import Refusal

HALF_DONE = """
select l.id, l.state, o.answer from red_lane l
join red_offer o on o.org_id = l.org_id and o.lane_id = l.id and o.round = l.round
where l.org_id = callout_org() and (l.state = 'offering' or o.answer is null or l.ended_at is null
  or (l.state = 'accepted') is distinct from (o.answer = 'accepted'))
"""
"""Lanes that go on, offers without an answer, and ends that the last answer does not bear out."""
TWICE = """
select lane_id, engineer_id from red_offer where org_id = callout_org() group by 1, 2 having count(*) > 1
"""
ARMED = "select key from timer where org_id = callout_org() and key like 'red:%' and state = 'armed'"


@pytest.fixture
def depot(alone: Depot) -> Depot:
    return alone


async def live(depot: Depot) -> list[Any]:
    return await depot.fetch(
        "select id, engineer_id from visit where org_id = $1 and ended_at is null order by id", depot.org
    )


@pytest.mark.parametrize("storm", range(2))
async def test_whatever_happens_every_lane_comes_to_an_end(
    depot: Depot, fresh_database: Any, seed: int, scale: int, storm: int
) -> None:
    """No lane is left ringing, no engineer asked twice, no order with two visits and no hour sold twice; nobody was refused
    for another reason than that somebody else was first."""
    rng = random.Random(f"{seed}:red-storm:{storm}")
    crew = await depot.crew(1, 2, 4, 8)
    phones = [await phone_of(depot, one) for one in crew]
    urgent = [await depot.order(n / 2, priority="P0", duration_minutes=30) for n in range(4)]
    lower = [await depot.order(n, priority="P2", duration_minutes=60) for n in range(4)]
    refused: list[Refusal] = []

    async def careful(act: Any) -> None:
        try:
            await depot.db.run(depot.org, act, actor=depot.dispatcher)
        except Refusal as refusal:
            refused.append(refusal)

    async def lanes() -> None:
        for _ in range(8 * scale):
            try:
                await start(depot, rng.choice(urgent))
            except Refusal as refusal:
                refused.append(refusal)

    async def dispatcher() -> None:
        for _ in range(10 * scale):
            visits, roll, who = await live(depot), rng.random(), rng.choice(crew)
            at, low, high = (
                NINE + timedelta(minutes=rng.randrange(10, 300)),
                rng.choice(lower),
                rng.choice(urgent),
            )
            if roll < 0.35 or not visits:
                await careful(lambda work, o=low, w=who, a=at: assign.assign(work, o, w, a))
                continue
            visit: UUID = rng.choice(visits)["id"]
            if roll < 0.5:
                await careful(lambda work, v=visit, w=who: assign.reassign(work, v, w))
            elif roll < 0.6:
                await careful(lambda work, v=visit: assign.cancel_visit(work, v, "storm"))
            elif roll < 0.7:
                hold = rng.choice(["time", "engineer", None])
                await careful(lambda work, v=visit, h=hold: visit_holds.hold_visit(work, v, h))
            elif roll < 0.85:
                yes = rng.random() < 0.5
                await careful(lambda work, v=visit, y=yes: red_answers.answer_offer(work, v, y))
            else:
                changed = rng.choice(["P0", "P0", "P2"])
                await careful(lambda work, o=high, p=changed: orders.change_priority(work, o, p))

    async def engineer(phone: Sender) -> None:
        for _ in range(8 * scale):
            mine = [row["id"] for row in await live(depot) if row["engineer_id"] == phone.engineer_id]
            if not mine:
                await asyncio.sleep(0.01)
                continue
            kind = rng.choice(["visit.decline", "visit.decline", "visit.accept", "visit.travel"])
            payload = {"reason": "busy"} if kind == "visit.decline" else {}
            answers = await phone.push(phone.command(kind, rng.choice(mine), payload))
            assert all(one.status in ("applied", "conflict") for one in answers), answers

    async def worker() -> None:
        for _ in range(6 * scale):
            await up(rng.random() < 0.5)
            await turn(depot)

    async def up(really: bool = True) -> None:
        async with depot.work() as work:
            await work.execute(
                "update timer set due_at = now() - interval '1 second' where key like 'red:%' and state = 'armed' and $1",
                really,
            )

    await asyncio.gather(lanes(), dispatcher(), dispatcher(), worker(), worker(), *map(engineer, phones))
    assert not [one for one in refused if one.retryable], [repr(one) for one in refused if one.retryable]
    # And then nobody answers any more.
    for _ in range(len(crew) + 2):
        await up()
        await turn(depot)
    where = f"seed {seed} storm {storm}"
    assert await depot.fetch(HALF_DONE) == [], where
    assert await depot.fetch(TWICE) == [], where
    assert await depot.fetch(ARMED) == [], where
    assert await depot.fetch(TWO_VISITS) == [], where
    assert await depot.fetch(DOUBLE_BOOKED) == [], where
    conn: Any = await asyncpg.connect(fresh_database.admin)
    try:
        dead = await conn.fetchval(
            "select count(*) from outbox where state = 'dead' and channel like 'red.%'"
        )
    finally:
        await conn.close()
    assert dead == 0, where
