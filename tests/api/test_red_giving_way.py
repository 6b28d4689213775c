"""What gives way to an urgent order: only what the policy lets, only where it is worth it, and never unseen."""

import re
from datetime import timedelta
from uuid import UUID

import pytest
from depots import NINE, Depot
from reds import DOUBLE_BOOKED, hand, kinds, p0, phone_of, said, start, state_of_order, use, visit_of

from callout_dispatch import visit_holds


async def busy_day(depot: Depot, engineer: UUID, *, priority: str = "P2", minutes: int = 240) -> UUID:
    """The engineer is at work from half past nine on, far longer than a P0 can wait."""
    order = await depot.order(1, priority=priority, duration_minutes=minutes)
    return await hand(depot, order, engineer, NINE + timedelta(minutes=30), override=True, reason="test")


async def test_a_lower_visit_gives_way_where_that_is_much_earlier(depot: Depot) -> None:
    """The only engineer near has a P2 in hand that can be done by another: the P0 goes first, and the P2's customer, both
    engineers and the record know of it."""
    [one] = await depot.crew(1, skills={"hvac": 3, "lift": 3}, hours=6)
    [helper] = await depot.crew(20)
    moved = await busy_day(depot, one)
    order = await p0(depot, skills={"lift": 1}, duration_minutes=120)
    lane_id = await start(depot, order)
    [(who, _)] = await said(depot, lane_id)
    assert who == one
    visit = await visit_of(depot, lane_id)
    assert visit["scheduled_start"] < NINE + timedelta(minutes=30)
    other = await depot.visit(moved)
    assert (other["engineer_id"], other["state"]) == (helper, "dispatched")
    [entry] = await depot.fetch(
        "select data::text as d, visit_id from journal where kind = 'visit.displaced'"
    )
    assert entry["visit_id"] == moved
    assert {str(id_) for id_ in (helper, one, order)} <= set(re.findall(r"[0-9a-f-]{36}", entry["d"]))
    offer = await depot.row("select displaced::text as d from red_offer where lane_id = $1", lane_id)
    assert str(moved) in offer["d"]
    assert '"reassigned"' in offer["d"]
    fed = await depot.fetch(
        "select scope_id, op from sync_feed where org_id = $1 and entity = 'visit' and row_id = $2",
        depot.org,
        moved,
    )
    assert {(row["scope_id"], row["op"]) for row in fed} >= {(one, "D"), (helper, "U")}
    assert await depot.fetch(DOUBLE_BOOKED) == []


async def test_who_finds_no_other_place_waits_to_be_planned(depot: Depot) -> None:
    """Nobody else can do the P2: it is not silently left under the P0, but back on the list with its reason."""
    [one] = await depot.crew(1, hours=5)
    order = await depot.order(1, priority="P2", duration_minutes=200)
    moved = await hand(depot, order, one, NINE + timedelta(minutes=10))
    lane_id = await start(depot, await p0(depot, duration_minutes=120))
    [offer] = await depot.fetch("select displaced::text as d from red_offer where lane_id = $1", lane_id)
    assert '"waiting"' in offer["d"]
    assert (await depot.visit(moved))["state"] == "canceled"
    assert await state_of_order(depot, order) == "new"
    canceled = await depot.row("select data->>'reason' as why from journal where kind = 'visit.canceled'")
    assert canceled["why"] == "displaced"


@pytest.mark.parametrize("lock", ("engineer", "time", "travelling", "P1", "policy", "gain"))
async def test_who_must_not_give_way_stays(depot: Depot, lock: str) -> None:
    """Held by hand, on the road, of a priority the policy does not name, or for a gain of minutes: nobody moves."""
    [one] = await depot.crew(1)
    if lock == "policy":
        await use(depot, displacedMax=0)
    if lock == "gain":
        await use(depot, displaceGainMinutes=600)
    moved = await busy_day(depot, one, priority="P1" if lock == "P1" else "P2")
    before = await depot.visit(moved)
    if lock in ("engineer", "time"):
        async with depot.work() as work:
            await visit_holds.hold_visit(work, moved, lock)
    if lock == "travelling":
        assert await (await phone_of(depot, one)).says("visit.travel", moved) == "applied"
    lane_id = await start(depot, await p0(depot, duration_minutes=120))
    after = await depot.visit(moved)
    assert after["scheduled_start"] == before["scheduled_start"]
    assert (after["engineer_id"], after["plan"]) == (one, "dispatched")
    assert (await visit_of(depot, lane_id))["scheduled_start"] >= after["scheduled_end"]
    assert "visit.displaced" not in await kinds(depot)


async def test_at_most_the_visits_named_move(depot: Depot) -> None:
    """The answer names who moves; every other visit of every other engineer stays where it was told to be."""
    one, two, three = await depot.crew(1, 30, 40)
    await use(depot, displacedMax=2, displace=["P2"])
    made = [await busy_day(depot, who, minutes=100) for who in (one, two, three)]
    later = await hand(
        depot, await depot.order(2, priority="P2"), one, NINE + timedelta(hours=3), override=True, reason="t"
    )
    before = {id_: await depot.visit(id_) for id_ in (*made, later)}
    lane_id = await start(depot, await p0(depot, duration_minutes=90))
    offer = await depot.row("select displaced::text as d from red_offer where lane_id = $1", lane_id)
    for id_, was in before.items():
        now = await depot.visit(id_)
        same = (now["engineer_id"], now["scheduled_start"]) == (was["engineer_id"], was["scheduled_start"])
        assert same == (str(id_) not in offer["d"])
    assert await depot.fetch(DOUBLE_BOOKED) == []
