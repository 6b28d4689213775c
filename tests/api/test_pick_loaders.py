"""What the pick is asked, read from a real database: windows in local time, limits, wishes, breaks, crews, holds."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
import pytest
from depots import KM, LAT, LNG, NINE, Depot

from callout_dispatch import assign, engineers
from callout_dispatch.engineers import NewShift
from callout_dispatch.needs import load_order
from callout_dispatch.pick import pick
from callout_dispatch.pick_record import decode, kept
from callout_dispatch.pick_terms import PickResult
from callout_dispatch.policy import STANDARD, Capacity, DueDate, Policy
from callout_dispatch.roster import load_roster, window_from
from callout_dispatch.visit_holds import hold_visit
from callout_store.clock import ManualClock
from callout_store.errors import Busy, EngineerUnavailable, NoEngineerFits, WrongState
from callout_store.ids import new_id

HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)


async def propose(depot: Depot, order_id: UUID, **more: Any) -> PickResult:
    async with depot.work() as work:
        return (await assign.propose(work, order_id, **more)).result


async def run(depot: Depot, sql: str, *args: Any) -> None:
    async with depot.work() as work:
        await work.execute(sql, *args)


def by(*rules: Any) -> Policy:
    kinds = [type(rule) for rule in rules]
    kept_rules = [rule for rule in STANDARD.rules if type(rule) not in kinds]
    return msgspec.structs.replace(STANDARD, rules=(*kept_rules, *rules))


async def hours(depot: Depot, order_id: UUID, *rows: tuple[int, str, str]) -> None:
    text = msgspec.json.encode([{"weekday": d, "from": a, "until": b} for d, a, b in rows]).decode()
    await run(
        depot,
        "update site set visiting_hours = $2::text::jsonb where id = (select site_id from work_order where id = $1)",
        order_id,
        text,
    )


# ------------------------------------------------------------------------------------------------ time


@pytest.mark.parametrize(
    ("now", "opens"),
    (
        # New York goes to summer time on Sunday 8 March 2026: nine o'clock is 14:00 UTC before and 13:00 UTC after.
        (datetime(2026, 3, 6, 12, tzinfo=UTC), datetime(2026, 3, 6, 14, tzinfo=UTC)),
        (datetime(2026, 3, 9, 11, tzinfo=UTC), datetime(2026, 3, 9, 13, tzinfo=UTC)),
        # and back on Sunday 1 November 2026
        (datetime(2026, 10, 30, 11, tzinfo=UTC), datetime(2026, 10, 30, 13, tzinfo=UTC)),
        (datetime(2026, 11, 2, 12, tzinfo=UTC), datetime(2026, 11, 2, 14, tzinfo=UTC)),
    ),
)
async def test_a_site_opens_by_its_own_clock(
    standing: tuple[Depot, ManualClock], now: datetime, opens: datetime
) -> None:
    """Reckoned in UTC, half of the year everybody would stand before a closed door for an hour."""
    depot, clock = standing
    clock.set(now)
    await run(depot, "update organisation set time_zone = 'America/New_York' where id = callout_org()")
    await depot.crew(0, start=now - HOUR, hours=10)
    order_id = await depot.order()
    await hours(depot, order_id, *((day, "09:00", "17:30") for day in range(5)))
    (ranked,) = (await propose(depot, order_id)).ranked
    assert ranked.slot_start == opens


async def test_a_closed_site_and_a_missed_window_are_told_apart(depot: Depot) -> None:
    """The dispatcher rings the site about the one and the customer about the other."""
    await depot.crew(2)
    closed, asked = await depot.order(), await depot.order()
    await hours(depot, closed, (6, "09:00", "12:00"))  # Sundays only, and it is Wednesday
    await run(
        depot,
        "update work_order set requested_from = $2, requested_until = $3 where id = $1",
        asked,
        NINE - 2 * HOUR,
        NINE - HOUR,
    )
    for order_id, code in ((closed, "OUTSIDE_VISITING_HOURS"), (asked, "OUTSIDE_REQUESTED_WINDOW")):
        assert {c.value for c in (await propose(depot, order_id)).out_counts} == {code}
    async with depot.work() as work:
        with pytest.raises(NoEngineerFits):
            await assign.dispatch_order(work, closed)


async def test_an_order_without_a_promise_of_its_own_has_its_slas(depot: Depot) -> None:
    """No due date must never mean never: what the house promised by priority is what a hard due date goes by."""
    await depot.crew(2)
    order_id = await depot.order(priority="P1")
    async with depot.work() as work:
        order = await load_order(work, order_id)
    row = await depot.row("select arrive_due_at from work_order where id = $1", order_id)
    assert order.due_at == row["arrive_due_at"] > NINE
    await run(depot, "update work_order set arrive_due_at = $2 where id = $1", order_id, NINE - HOUR)
    assert {c.value for c in (await propose(depot, order_id, policy=by(DueDate()))).out_counts} == {
        "TOO_LATE"
    }
    assert (await propose(depot, order_id)).best is not None


async def test_an_order_waits_for_the_one_before_it(depot: Depot) -> None:
    """The pipe first, then the wall: nobody comes to close a wall behind which nothing is mended."""
    [one] = await depot.crew(0)
    first, second = await depot.order(), await depot.order()
    await run(
        depot,
        "update work_order set follows_order_id = $2, follows_gap_minutes = 45 where id = $1",
        second,
        first,
    )
    assert {c.value for c in (await propose(depot, second)).out_counts} == {"PREDECESSOR"}
    async with depot.work() as work:
        visit_id = await assign.assign(work, first, one, NINE + 2 * HOUR)
    (ranked,) = (await propose(depot, second)).ranked
    assert ranked.slot_start == NINE + 3 * HOUR + 45 * MINUTE
    await run(
        depot,
        "update visit set plan = 'canceled', state = 'canceled', ended_at = now() where id = $1",
        visit_id,
    )
    await run(depot, "update work_order set state = 'canceled' where id = $1", first)
    (ranked,) = (await propose(depot, second)).ranked
    assert ranked.slot_start < NINE + HOUR


async def test_a_break_over_midnight_is_read_with_its_shift(standing: tuple[Depot, ManualClock]) -> None:
    """The night shift eats at midnight. Its work counts on the evening's day, whatever the date is by then."""
    depot, clock = standing
    night = NINE + 13 * HOUR
    clock.set(night)
    [one] = await depot.crew(0, hours=0)
    async with depot.work() as work:
        [shift] = await engineers.set_shifts(
            work, [NewShift(engineer_id=one, starts_at=night, ends_at=night + 8 * HOUR)]
        )
        await work.execute(
            """
            insert into shift_break (id, shift_id, engineer_id, earliest, latest, minutes)
            values ($1, $2, $3, $4, $5, 45)
            """,
            new_id(),
            shift,
            one,
            night + 2 * HOUR,
            night + 3 * HOUR,
        )
    order_id = await depot.order(duration_minutes=150)
    (ranked,) = (await propose(depot, order_id)).ranked
    assert ranked.slot_start == night + 2 * HOUR + 45 * MINUTE
    short = await depot.order(duration_minutes=120)
    async with depot.work() as work:
        await assign.assign(work, short, one)
    clock.advance(3 * HOUR)
    result = await propose(depot, order_id, policy=by(Capacity(work_minutes_max=240)))
    assert {c.value for c in result.out_counts} == {"CAPACITY_HOURS"}


# ------------------------------------------------------------------------------------------------ people


async def test_wishes_are_read_and_the_closest_counts(depot: Depot) -> None:
    """The customer will not have Bob, but for this one order somebody asked for him by name."""
    ann, bob = await depot.crew(2, 3)
    order_id = await depot.order()
    row = await depot.row("select customer_id, site_id from work_order where id = $1", order_id)

    async def say(engineer: UUID, kind: str, **target: UUID) -> None:
        [(column, id_)] = target.items()
        await run(
            depot,
            f"insert into engineer_preference (id, engineer_id, {column}, kind, created_at) values ($1, $2, $3, $4, $5)",
            new_id(),
            engineer,
            id_,
            kind,
            NINE,
        )

    await say(bob, "excluded", customer_id=row["customer_id"])
    result = await propose(depot, order_id)
    assert [r.id for r in result.ranked] == [str(ann)]
    assert [r.code.value for r in result.out[0].reasons] == ["EXCLUDED"]
    await say(bob, "preferred", site_id=row["site_id"])
    components = {r.id: r.components["preferred"] for r in (await propose(depot, order_id)).ranked}
    assert components == {str(ann): 0.0, str(bob): 1.0}
    await say(bob, "required", order_id=order_id)
    result = await propose(depot, order_id)
    assert [r.id for r in result.ranked] == [str(bob)]
    assert [r.code.value for r in result.out[0].reasons] == ["OTHER_REQUIRED"]


async def test_limits_territories_and_places_are_read(depot: Depot) -> None:
    """What was agreed with one engineer holds for that one, and the reason names the place as people call it."""
    near, far, here, also, home = await depot.crew(1, 8, 1, 1, 1)
    order_id = await depot.order()
    north, south = new_id(), new_id()
    async with depot.work() as work:
        for id_, code, name in ((north, "N", "North"), (south, "S", "South")):
            await work.execute("insert into territory (id, code, name) values ($1, $2, $3)", id_, code, name)
        await work.execute("update site set territory_id = $1, territory_by = 'hand'", south)
        await work.execute("update engineer set territory_id = $1 where id = any($2)", north, [near, also])
        await work.execute(
            "insert into engineer_territory (engineer_id, territory_id) values ($1, $2)", also, south
        )
        await work.execute("update engineer set travel_minutes_max = 10 where id = $1", far)
        await work.execute("update engineer set visits_max = 1 where id = $1", here)
        await work.execute(
            "update engineer set end_lat = $2, end_lng = $3 where id = $1", home, LAT + 60 * KM, LNG
        )
    filled = await depot.order()
    async with depot.work() as work:
        await assign.assign(work, filled, here, NINE + 2 * HOUR, True, "fills the day")
    result = await propose(depot, order_id)
    told = {out.id: [reason.code.value for reason in out.reasons] for out in result.out}
    assert told == {
        str(near): ["OTHER_TERRITORY"],
        str(far): ["TOO_FAR"],
        str(here): ["CAPACITY_VISITS"],
        str(home): ["TOO_FAR"],
    }
    assert [ranked.id for ranked in result.ranked] == [str(also)]
    [territory] = [out.reasons[0].detail for out in result.out if out.id == str(near)]
    assert territory == {"required": "South", "have": "North"}


async def test_everything_is_read_in_a_fixed_number_of_statements(depot: Depot) -> None:
    """A statement an engineer would make every pick of a large house slow."""
    counts = []
    for more in (1, 12):
        await depot.crew(*[n / 5 for n in range(more)])
        async with depot.work() as work:
            seen: list[object] = []
            window = await window_from(work, work.now, 24)
            await load_roster(work, window, parts=["X"])
            work.conn.add_query_logger(seen.append)
            try:
                await load_roster(work, window, parts=["X"])
            finally:
                work.conn.remove_query_logger(seen.append)
        counts.append(len(seen))
    assert counts[0] == counts[1] <= 10


# ------------------------------------------------------------------------------------------------ crews


async def in_two_places(depot: Depot) -> list[Any]:
    """Visits at the same time with the same engineer, leading or going along."""
    return await depot.fetch(
        """
        with given as (
            select v.id, v.engineer_id as who, scheduled_start, scheduled_end from visit v
            union all
            select v.id, c.engineer_id, scheduled_start, scheduled_end from visit_crew c join visit v on v.id = c.visit_id
        )
        select a.id from given a join given b on a.who = b.who and a.id < b.id
            and a.scheduled_start < b.scheduled_end and b.scheduled_start < a.scheduled_end
        """
    )


async def test_a_crew_is_dispatched_and_nobody_of_it_twice(depot: Depot) -> None:
    """Two go; the helper's time is taken like the leader's, and whoever is sent next is somebody else or comes later."""
    lead, helper = await depot.crew(1, 2, skills=[{"hvac": 2}, {"hvac": 2, "lift": 1}])
    order_id = await depot.order()
    await run(depot, "update work_order set crew_size = 2 where id = $1", order_id)
    async with depot.work() as work:
        visit_id = await assign.dispatch_order(work, order_id)
    visit = await depot.visit(visit_id)
    crew = await depot.fetch("select engineer_id from visit_crew where visit_id = $1", visit_id)
    assert {visit["engineer_id"], *(row["engineer_id"] for row in crew)} == {lead, helper}
    result = await propose(depot, await depot.order())
    assert len(result.ranked) == 2
    assert all(ranked.slot_start >= visit["scheduled_end"] for ranked in result.ranked)
    assert all(ranked.components["visits"] == pytest.approx(0.9) for ranked in result.ranked)
    third = await depot.order()
    await run(depot, "update work_order set crew_size = 3 where id = $1", third)
    assert dict((await propose(depot, third)).out_counts) == {"CREW_INCOMPLETE": 2}


async def test_a_crews_visit_moves_only_where_all_of_it_can(depot: Depot) -> None:
    """Moved without asking, the helper would be expected in two places; the dispatcher may insist, and is on record."""
    lead, helper = await depot.crew(1, 2)
    order_id, other = await depot.order(), await depot.order()
    await run(depot, "update work_order set crew_size = 2 where id = $1", order_id)
    async with depot.work() as work:
        visit_id = await assign.dispatch_order(work, order_id)
        row = await work.fetchrow("select engineer_id from visit where id = $1", visit_id)
        assert row is not None
        member = helper if row["engineer_id"] == lead else lead
        await assign.assign(work, other, member, NINE + 4 * HOUR)
    with pytest.raises(EngineerUnavailable):
        async with depot.work() as work:
            await assign.move_visit(work, visit_id, NINE + 4 * HOUR)
    async with depot.work() as work:
        await assign.move_visit(work, visit_id, NINE + 6 * HOUR)
    # Who leads goes out of the crew: one is left for work for two, so that it takes a word from the dispatcher.
    with pytest.raises(EngineerUnavailable):
        async with depot.work() as work:
            await assign.reassign(work, visit_id, member, start=NINE + 6 * HOUR)
    async with depot.work() as work:
        await assign.reassign(
            work, visit_id, member, start=NINE + 6 * HOUR, override=True, reason="the apprentice comes along"
        )
    assert (await depot.visit(visit_id))["engineer_id"] == member
    assert await depot.fetch("select 1 from visit_crew where visit_id = $1", visit_id) == []


async def test_a_day_is_dispatched_with_crews(depot: Depot) -> None:
    """A day's plan that forgets the second man plans a day that cannot be worked."""
    await depot.crew(1, 2, 3)
    ids = await depot.orders(3)
    await run(depot, "update work_order set crew_size = 2 where id = any($1)", ids)
    async with depot.work() as work:
        day = await assign.dispatch_day(work, NINE, NINE + 8 * HOUR)
    assert len(day.assigned) == 3
    assert await in_two_places(depot) == []
    assert len(await depot.fetch("select 1 from visit_crew")) == 3


async def test_crews_sent_at_the_same_moment_share_nobody(depot: Depot) -> None:
    """Dispatchers press the button together: a helper's time must be as safe as a leader's."""
    await depot.crew(1, 2, 3, 4)
    ids = await depot.orders(6)
    await run(depot, "update work_order set crew_size = 2 where id = any($1)", ids[:4])

    async def dispatch(order_id: UUID) -> UUID:
        async with depot.work() as work:
            return await assign.dispatch_order(work, order_id)

    answers = await asyncio.gather(*map(dispatch, ids), return_exceptions=True)
    assert all(isinstance(answer, UUID | Busy) for answer in answers), answers
    assert any(isinstance(answer, UUID) for answer in answers[:4])
    assert await in_two_places(depot) == []


# ------------------------------------------------------------------------------------------------ holds, records


@pytest.mark.parametrize("hold", ("engineer", "time"))
async def test_what_is_held_by_hand_stays(depot: Depot, hold: str) -> None:
    """A dispatcher pinned it for a reason that no rule knows; a colleague may still insist, saying why."""
    one, other = await depot.crew(2, 3)
    order_id = await depot.order()
    async with depot.work() as work:
        visit_id = await assign.assign(work, order_id, one, NINE + 2 * HOUR)
        await hold_visit(work, visit_id, hold)
    with pytest.raises(WrongState) as caught:
        async with depot.work() as work:
            await assign.reassign(work, visit_id, other)
    assert "holds it" in caught.value.message("en")
    assert "锁定" in caught.value.message("zh")
    if hold == "time":
        with pytest.raises(WrongState):
            async with depot.work() as work:
                await assign.move_visit(work, visit_id, NINE + 4 * HOUR)
    else:
        async with depot.work() as work:
            await assign.move_visit(work, visit_id, NINE + 4 * HOUR)
    async with depot.work() as work:
        await assign.reassign(work, visit_id, other, override=True, reason="ill")
    assert (await depot.visit(visit_id))["engineer_id"] == other


async def test_a_stored_decision_can_be_made_again(depot: Depot) -> None:
    """The record holds what was known then: the same pick from it gives the same engineer and the same score."""
    await depot.crew(1, 2, 5, skills=[{"hvac": 2}, {"hvac": 3}, {"lift": 1}])
    order_id = await depot.order()
    first = await propose(depot, order_id)
    todays = await depot.orders(2)
    async with depot.work() as work:
        await assign.dispatch_order(work, order_id)
        await assign.dispatch_day(work, NINE, NINE + 8 * HOUR, order_ids=todays)
    rows = await depot.fetch(
        "select method, input, result::text as result from dispatch_decision order by at, id"
    )
    assert [row["method"] for row in rows] == ["pick", "day", "day"]
    for row in rows:
        again = pick(*decode(row["input"]))
        assert kept(row["input"]).total == 3
        best = msgspec.json.decode(msgspec.json.encode(again.ranked[0]))
        assert best == msgspec.json.decode(row["result"])["ranked"][0]
    assert pick(*decode(rows[0]["input"])) == first
