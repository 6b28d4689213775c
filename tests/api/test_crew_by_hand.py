"""Crews that a dispatcher names: nobody is booked twice, nobody is sent alone to work for two without being asked."""

import asyncio
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from depots import NINE, Depot

from callout_dispatch import assign, crew, drag
from callout_dispatch.board import board
from callout_store.errors import BadField, EngineerUnavailable, NotFound, Refusal
from callout_store.ids import new_id

MINUTE = timedelta(minutes=1)
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


async def given(depot: Depot, order: UUID, engineer: UUID, minutes: int, **more: Any) -> UUID:
    async with depot.work() as work:
        return await assign.assign(work, order, engineer, NINE + minutes * MINUTE, **more)


async def crew_of(depot: Depot, visit: UUID) -> set[UUID]:
    rows = await depot.fetch("select engineer_id from visit_crew where visit_id = $1", visit)
    return {row["engineer_id"] for row in rows}


async def test_who_is_busy_then_joins_no_crew_unless_somebody_insists(depot: Depot) -> None:
    """The second man is at another customer at ten: the first waits at the lift in vain, and both customers complain."""
    one, two = await depot.crew(1, 2)
    await given(depot, await depot.order(2), two, 60)
    visit = await given(depot, await depot.order(1), one, 60)
    async with depot.work() as work:
        with pytest.raises(EngineerUnavailable) as refused:
            await crew.set_crew(work, visit, [two])
    assert refused.value.details["reasons"] == "SHIFT_FULL"
    async with depot.work() as work:
        with pytest.raises(BadField):
            await crew.set_crew(work, visit, [two], override=True)
    assert await crew_of(depot, visit) == set()
    async with depot.work() as work:
        await crew.set_crew(work, visit, [two], override=True, reason="he is next door")
    assert await crew_of(depot, visit) == {two}
    line = await depot.row("select data::text as data, actor_id from journal where kind = 'visit.crew_set'")
    assert '"SHIFT_FULL"' in line["data"]
    assert '"he is next door"' in line["data"]
    assert line["actor_id"] == depot.dispatcher.user_id


async def test_who_is_free_joins_also_a_visit_that_has_begun(depot: Depot) -> None:
    """Help is called while the work goes on: that the visit's start has passed is no reason against somebody who is free."""
    one, two = await depot.crew(1, 8)
    visit = await given(depot, await depot.order(1, duration_minutes=120), one, 20)
    async with depot.work() as work:
        await work.execute(
            "update visit set scheduled_start = $2, state = 'in_progress' where id = $1",
            visit,
            NINE - 30 * MINUTE,
        )
    async with depot.work() as work:
        assert await crew.set_crew(work, visit, [two]) == [two]
    # Whoever leaves needs no free time, nor does who stays.
    async with depot.work() as work:
        assert await crew.set_crew(work, visit, []) == []


async def test_two_dispatchers_want_the_same_helper_at_one_time(depot: Depot) -> None:
    """Both see a free engineer on their screens: the second is told, and nobody is promised to two customers."""
    people = await depot.crew(1, 2, 3)
    helper = people[2]
    for n in range(5):
        first = await given(depot, await depot.order(1), people[0], 60 + n * 70)
        second = await given(depot, await depot.order(2), people[1], 60 + n * 70)

        async def join(visit: UUID) -> str:
            try:
                async with depot.work() as work:
                    await crew.set_crew(work, visit, [helper])
                return "joined"
            except Refusal as refusal:
                return refusal.code

        told = await asyncio.gather(join(first), join(second))
        assert sorted(told) == ["ENGINEER_UNAVAILABLE", "joined"]
        assert await depot.fetch(TWICE) == []


async def test_a_helper_and_a_visit_of_their_own_at_one_time(depot: Depot) -> None:
    """One dispatcher sends them along, the other gives them a job of their own: one of the two is told."""
    one, two = await depot.crew(1, 2)
    for n in range(5):
        visit = await given(depot, await depot.order(1), one, 60 + n * 70)
        order = await depot.order(2)

        async def join(visit: UUID = visit) -> None:
            async with depot.work() as work:
                await crew.set_crew(work, visit, [two])

        async def lead(order: UUID = order, n: int = n) -> None:
            await given(depot, order, two, 60 + n * 70)

        told = await asyncio.gather(join(), lead(), return_exceptions=True)
        assert [type(one).__base__ for one in told if one is not None] == [EngineerUnavailable]
        assert await depot.fetch(TWICE) == []


async def test_work_for_two_needs_two_named_or_an_override(depot: Depot) -> None:
    """A lift's counterweight is not lifted alone: who assigns one engineer to it by hand is asked, and the board shows it."""
    one, two = await depot.crew(1, 2)
    order = await depot.order(1, crew_size=2)
    async with depot.work() as work:
        with pytest.raises(EngineerUnavailable) as refused:
            await assign.assign(work, order, one, NINE + 60 * MINUTE)
    assert refused.value.details["reasons"] == "CREW_INCOMPLETE"
    visit = await given(depot, order, one, 60, crew=[two])
    assert await crew_of(depot, visit) == {two}
    assert await shown(depot) == []
    alone = await given(
        depot, await depot.order(1, crew_size=2), one, 200, override=True, reason="the customer helps"
    )
    decision = await depot.row(
        "select result::text as result from dispatch_decision where visit_id = $1", alone
    )
    assert "CREW_INCOMPLETE" in decision["result"]
    assert await shown(depot) == [("CREW_INCOMPLETE", str(alone))]


async def test_a_crew_named_with_the_order_is_held_to_the_rules(depot: Depot) -> None:
    """Busy, twice, the leader again, or nobody at all: as when a crew is set later."""
    one, two = await depot.crew(1, 2)
    await given(depot, await depot.order(2), two, 60)
    order = await depot.order(1, crew_size=2)
    for wrong, refusal in (
        ([two], EngineerUnavailable),
        ([one], BadField),
        ([two, two], BadField),
        ([new_id()], NotFound),
    ):
        async with depot.work() as work:
            with pytest.raises(refusal):
                await assign.assign(work, order, one, NINE + 60 * MINUTE, crew=wrong)
    assert await depot.fetch("select 1 from visit where order_id = $1", order) == []


async def test_who_leads_from_within_the_crew_leaves_a_place(depot: Depot) -> None:
    """The leader falls ill and the second man takes over: that there is no second man now must not pass unnoticed."""
    one, two = await depot.crew(1, 2)
    visit = await given(depot, await depot.order(1, crew_size=2), one, 60, crew=[two])
    async with depot.work() as work:
        seen = await drag.check_drag(work, visit, two)
    assert (seen.allowed, seen.possible) == (False, True)
    assert [reason.code.value for reason in seen.reasons] == ["CREW_INCOMPLETE"]
    async with depot.work() as work:
        with pytest.raises(EngineerUnavailable):
            await assign.reassign(work, visit, two)
    async with depot.work() as work:
        await assign.reassign(work, visit, two, override=True, reason="he is ill")
    assert await shown(depot) == [("CREW_INCOMPLETE", str(visit))]


async def test_a_drag_looks_at_the_crew_as_well(depot: Depot) -> None:
    """The new hour suits the leader and not the second man: the check must say what the move will refuse."""
    one, two = await depot.crew(1, 2)
    visit = await given(depot, await depot.order(1, crew_size=2), one, 60, crew=[two])
    await given(depot, await depot.order(2), two, 240)
    async with depot.work() as work:
        seen = await drag.check_drag(work, visit, None, NINE + 250 * MINUTE)
    assert not seen.allowed
    assert [reason.code.value for reason in seen.reasons] == ["SHIFT_FULL"]
    [lane] = [lane for lane in seen.lanes if lane.engineer_id == two]
    assert [conflict.code.value for conflict in lane.new_conflicts] == ["OVERLAP"]
    async with depot.work() as work:
        with pytest.raises(EngineerUnavailable):
            await drag.drag(work, visit, None, NINE + 250 * MINUTE, seen.revision)


async def shown(depot: Depot) -> list[tuple[str, str | None]]:
    async with depot.work() as work:
        lanes = (await board(work, NINE - 60 * MINUTE, NINE + 480 * MINUTE)).engineers
    return [(one.code.value, one.visit_id) for lane in lanes for one in lane.conflicts]
