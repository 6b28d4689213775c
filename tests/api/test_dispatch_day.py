"""Dispatching a whole day in one act, on a real database."""

from datetime import timedelta
from itertools import pairwise

import pytest
from depots import NINE, Depot

from callout_dispatch import assign, engineers, reading
from callout_dispatch.engineers import NewAbsence
from callout_store.clock import ManualClock
from callout_store.errors import BadField, LimitExceeded
from callout_store.ids import new_id

HOUR = timedelta(hours=1)
FIVE = NINE + 8 * HOUR


async def day(depot: Depot, **more: object) -> assign.DayResult:
    async with depot.work() as work:
        return await assign.dispatch_day(work, NINE, FIVE, **more)  # type: ignore[arg-type]


async def test_a_day_fits_together(depot: Depot) -> None:
    """A plan in which somebody is in two places, drives in no time, or works after hours is no plan."""
    crew = await depot.crew(1, 3, 5)
    for km in (0, 2, 4, 6):
        await depot.orders(4, km)
    result = await day(depot)
    assert (result.considered, len(result.assigned), result.unassigned) == (16, 16, [])
    visits = await depot.fetch("select * from visit order by engineer_id, scheduled_start")
    assert {visit["engineer_id"] for visit in visits} == set(crew)
    for before, after in pairwise(visits):
        if before["engineer_id"] == after["engineer_id"]:
            way = timedelta(minutes=after["travel_minutes"] - 0.01)
            assert before["scheduled_end"] + way <= after["scheduled_start"]
    assert all(visit["scheduled_end"] <= FIVE and visit["state"] == "dispatched" for visit in visits)
    states = await depot.fetch("select distinct state from work_order")
    assert [row["state"] for row in states] == ["scheduled"]
    assert len(await depot.fetch("select id from visit_assignment where until_at is null")) == 16
    assert len(await depot.fetch("select id from journal where kind = 'visit.dispatched'")) == 16


async def test_the_most_urgent_comes_first(depot: Depot) -> None:
    """When the day is too short, the questions wait and the failures do not."""
    await depot.crew(1)
    later = await depot.orders(4, priority="P2", duration_minutes=100)
    urgent = await depot.orders(2, priority="P1", duration_minutes=100)
    down = await depot.orders(1, priority="P0", duration_minutes=100)
    result = await day(depot)
    by_start = [one.order_id for one in sorted(result.assigned, key=lambda one: one.start)]
    assert by_start[:3] == [*down, *urgent]
    assert {one.order_id for one in result.unassigned} < set(later)
    assert len(result.assigned) + len(result.unassigned) == 7


async def test_who_is_left_over_is_told_with_reasons(depot: Depot) -> None:
    """An order without a visit must not just be missing: the dispatcher sees who was excluded by what, later too."""
    one, other = await depot.crew(1, 2, skills=[{"hvac": 1}, {"hvac": 3}])
    async with depot.work() as work:
        await engineers.set_absence(
            work, NewAbsence(engineer_id=other, starts_at=NINE - HOUR, ends_at=FIVE + HOUR)
        )
    order_id = await depot.order()
    [left] = (await day(depot)).unassigned
    assert left.order_id == order_id
    assert left.reasons == {"SKILL_LEVEL_LOW": 1, "ABSENT": 1}
    async with depot.work() as work:
        [[decision]] = await reading.decisions_by_order_ids(work, [order_id])
    assert (decision.method, decision.visit_id, decision.engineer_id) == ("day", None, None)
    told = {out["id"]: out["reasons"][0]["code"] for out in decision.result["out"]}
    assert told == {str(one): "SKILL_LEVEL_LOW", str(other): "ABSENT"}
    assert (await depot.row("select state from work_order"))["state"] == "new"
    assert len(await depot.fetch("select id from journal where kind = 'work_order.not_assigned'")) == 1


async def test_what_is_planned_stays_as_it_is(depot: Depot) -> None:
    """People want stable days: a second run adds, and moves nothing."""
    [one] = await depot.crew(1)
    order_id = await depot.order()
    async with depot.work() as work:
        fixed = await assign.assign(work, order_id, one, NINE + 2 * HOUR)
    await depot.orders(3)
    first = await day(depot)
    before = await depot.fetch("select id, engineer_id, scheduled_start, revision from visit order by id")
    again = await day(depot)
    after = await depot.fetch("select id, engineer_id, scheduled_start, revision from visit order by id")
    assert len(first.assigned) == 3
    assert again.considered == 0
    assert [tuple(row) for row in before] == [tuple(row) for row in after]
    assert fixed in {row["id"] for row in after}


async def test_nobody_sets_out_before_now(standing: tuple[Depot, ManualClock]) -> None:
    """A day that is dispatched at noon is what is left of it."""
    depot, clock = standing
    await depot.crew(1, hours=9)
    await depot.orders(6)
    clock.set(NINE + 4 * HOUR)
    result = await day(depot)
    assert all(one.start >= NINE + 4 * HOUR for one in result.assigned)
    assert 1 <= len(result.assigned) < 6


async def test_only_these_orders_and_only_so_many(depot: Depot) -> None:
    """A dispatcher who marks three orders gets three visits; the limit takes the most urgent."""
    await depot.crew(1, 2)
    rest = await depot.orders(4, priority="P2")
    urgent = await depot.orders(2, priority="P1")
    limited = await day(depot, limit=2)
    assert {one.order_id for one in limited.assigned} == set(urgent)
    chosen = await day(depot, order_ids=[rest[0], urgent[0], new_id()])
    assert [one.order_id for one in chosen.assigned] == [rest[0]]
    assert (await day(depot, order_ids=[])).considered == 0


async def test_a_wrong_day_is_refused(standing: tuple[Depot, ManualClock]) -> None:
    """A day of a week, or of yesterday, is a mistake of whoever asks."""
    depot, _ = standing
    for start, end in (
        (NINE, NINE),
        (NINE, NINE + 49 * HOUR),
        (NINE - 9 * HOUR, NINE - HOUR),
        (NINE.replace(tzinfo=None), FIVE),
    ):
        with pytest.raises(BadField):
            async with depot.work() as work:
                await assign.dispatch_day(work, start, end)
    for limit in (0, 2_001):
        with pytest.raises(LimitExceeded):
            await day(depot, limit=limit)


async def test_the_statements_do_not_grow_with_the_day(depot: Depot) -> None:
    """Three hundred orders must not become thousands of round trips."""
    await depot.crew(*[n / 10 for n in range(1, 9)])
    counts = []
    # The first day teaches the connection its types.
    for orders in (1, 4, 40):
        await depot.orders(orders, duration_minutes=30)
        async with depot.work() as work:
            statements = 0

            def count(_: object) -> None:
                nonlocal statements
                statements += 1

            work.conn.add_query_logger(count)
            try:
                result = await assign.dispatch_day(work, NINE, FIVE)
            finally:
                work.conn.remove_query_logger(count)
        assert len(result.assigned) == orders
        counts.append(statements)
    assert counts[1] == counts[2]


async def test_another_organisations_day_is_not_touched(depot: Depot) -> None:
    """Dispatching is for one tenant: neither their orders nor their engineers may be taken."""
    stranger = await Depot(depot.db).build()
    await stranger.crew(1)
    await stranger.orders(2)
    await depot.crew(1)
    await depot.orders(1)
    assert (await day(depot)).considered == 1
    assert await stranger.fetch("select id from visit") == []
