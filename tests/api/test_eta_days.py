"""Expected arrivals when plans move, days pass and phones are silent: who hears of it, how often, and from what day on."""

from datetime import datetime, timedelta
from uuid import UUID

import pytest
from depots import NINE, Depot
from etas import HANDLERS, eta, let_timers_fire, lines, tell

from callout_backend.jobs.drain import drain
from callout_dispatch import assign, crew, engineers
from callout_dispatch.engineers import NewShift
from callout_store.clock import ManualClock
from callout_store.work import Database


@pytest.fixture
async def depot(depot: Depot) -> Depot:
    await let_timers_fire(depot)
    return depot


async def given(depot: Depot, order: UUID, engineer: UUID, at: datetime) -> UUID:
    """A visit at that time, whatever was promised."""
    async with depot.work() as work:
        return await assign.assign(work, order, engineer, at, override=True, reason="test")


async def look(depot: Depot, db: Database) -> None:
    """The five minutes are over."""
    async with depot.work() as work:
        await work.execute(
            "update timer set state = 'armed', due_at = now(), epoch = epoch + 1 where channel = 'eta'"
        )
    assert await drain(db, HANDLERS) >= 1


async def told(depot: Depot) -> list[UUID]:
    return [row["visit_id"] for row in await lines(depot, "visit.eta_told", "visit.window_missed")]


async def shift(depot: Depot, engineer: UUID, days: int) -> None:
    start = NINE + timedelta(days=days, hours=-1)
    async with depot.work() as work:
        await engineers.set_shifts(
            work, [NewShift(engineer_id=engineer, starts_at=start, ends_at=start + timedelta(hours=9))]
        )


async def test_a_customer_whose_visit_is_moved_hears_of_it_once(
    depot: Depot, standing: tuple[Depot, ManualClock]
) -> None:
    """The dispatcher moves the visit by an hour: measured against the new plan nothing changed, and nobody opens the door."""
    db = depot.db
    (engineer,) = await depot.crew(0)
    visit = await given(depot, await depot.order(km=3), engineer, NINE + timedelta(minutes=60))
    await drain(db, HANDLERS)
    assert (await eta(depot, visit))["told_at"] is None
    async with depot.work() as work:
        await assign.move_visit(work, visit, NINE + timedelta(minutes=120))
    await drain(db, HANDLERS)
    assert await told(depot) == [visit]
    await look(depot, db)
    assert await told(depot) == [visit]
    async with depot.work() as work:
        await assign.move_visit(work, visit, NINE + timedelta(minutes=125))
    await drain(db, HANDLERS)
    assert await told(depot) == [visit]


async def test_a_visit_put_off_to_another_day_leaves_no_false_hour(
    depot: Depot, standing: tuple[Depot, ManualClock]
) -> None:
    """Put off by two days: the page must not go on showing today's hour, and the message names the day."""
    db = depot.db
    (engineer,) = await depot.crew(0)
    await shift(depot, engineer, 2)
    visit = await given(depot, await depot.order(km=3, priority="P2"), engineer, NINE + timedelta(minutes=60))
    await drain(db, HANDLERS)
    later = NINE + timedelta(days=2, minutes=60)
    async with depot.work() as work:
        await assign.move_visit(work, visit, later, override=True, reason="the customer asked")
    await drain(db, HANDLERS)
    assert (await eta(depot, visit))["eta"] == later
    (line,) = await lines(depot, "visit.eta_told")
    assert "6 March at 10:00" in line["data"]
    assert "3月6日" in line["data"]


async def test_a_visit_of_a_later_day_wakes_the_clock_and_is_heard_of(
    depot: Depot, standing: tuple[Depot, ManualClock]
) -> None:
    """Planned two days ahead, and on the day nobody sets out: the customer must hear that it gets late, and of a move the
    day before as well."""
    db, clock = depot.db, standing[1]
    (engineer,) = await depot.crew(0)
    await shift(depot, engineer, 2)
    at = NINE + timedelta(days=2, minutes=60)
    visit = await given(depot, await depot.order(km=3, priority="P2"), engineer, at)
    await drain(db, HANDLERS)
    timer = await depot.row(
        "select state, extract(epoch from due_at - now())::int as seconds from timer where channel = 'eta'"
    )
    assert timer["state"] == "armed"
    assert timer["seconds"] == pytest.approx((48 + 1 - 2) * 3600, abs=600)
    async with depot.work() as work:
        await assign.move_visit(work, visit, at + timedelta(minutes=60), override=True, reason="he asked")
    await drain(db, HANDLERS)
    assert await told(depot) == [visit]
    clock.set(at + timedelta(minutes=90))
    await look(depot, db)
    assert await told(depot) == [visit, visit]


async def test_nobody_heard_of_on_the_way_does_not_begin_the_way_anew(
    depot: Depot, standing: tuple[Depot, ManualClock]
) -> None:
    """A phone that gives no position: half an hour after setting out the engineer is half an hour nearer, and the customer
    is not told every quarter of an hour that it will be half an hour more."""
    db, clock = depot.db, standing[1]
    (engineer,) = await depot.crew(0)
    visit = await given(depot, await depot.order(km=10), engineer, NINE + timedelta(minutes=40))
    await tell(depot, engineer, visit, "travelling", NINE)
    await drain(db, HANDLERS)
    first = (await eta(depot, visit))["eta"]
    for minutes in (5, 10, 15):
        clock.set(NINE + timedelta(minutes=minutes))
        await look(depot, db)
        assert (await eta(depot, visit))["eta"] == first


async def test_silence_is_told_less_and_less_and_then_not_at_all(
    depot: Depot, standing: tuple[Depot, ManualClock]
) -> None:
    """An engineer who never sets out and never says why: the customer gets a few messages and not one every quarter of an
    hour until the day after."""
    db, clock = depot.db, standing[1]
    (engineer,) = await depot.crew(0)
    visit = await given(depot, await depot.order(km=1), engineer, NINE + timedelta(minutes=30))
    await drain(db, HANDLERS)
    for minutes in range(35, 12 * 60, 5):
        clock.set(NINE + timedelta(minutes=minutes))
        await look(depot, db)
    assert 3 <= len(await told(depot)) <= 6
    timer = await depot.row("select state from timer where channel = 'eta'")
    assert timer["state"] == "fired"
    assert visit in await told(depot)


async def test_what_nobody_ended_yesterday_delays_nobody_today(
    depot: Depot, standing: tuple[Depot, ManualClock]
) -> None:
    """Yesterday's forgotten visit would send an apology to every customer of today."""
    db, clock = depot.db, standing[1]
    (engineer,) = await depot.crew(0)
    await shift(depot, engineer, 1)
    await given(depot, await depot.order(km=20), engineer, NINE + timedelta(minutes=60))
    today = NINE + timedelta(days=1, minutes=60)
    visit = await given(depot, await depot.order(km=3, priority="P2"), engineer, today)
    await drain(db, HANDLERS)
    before = await told(depot)
    clock.set(NINE + timedelta(days=1))
    await look(depot, db)
    assert (await eta(depot, visit))["eta"] == today
    assert await told(depot) == before


async def test_a_crew_members_report_is_the_leaders_departure(
    depot: Depot, standing: tuple[Depot, ManualClock]
) -> None:
    """The second man presses the button: the visit is on its way, whoever's phone said so."""
    db, clock = depot.db, standing[1]
    one, two = await depot.crew(0, 1)
    visit = await given(depot, await depot.order(km=7), one, NINE + timedelta(minutes=60))
    async with depot.work() as work:
        await crew.set_crew(work, visit, [two])
    await drain(db, HANDLERS)
    clock.set(NINE + timedelta(minutes=10))
    await tell(depot, two, visit, "travelling", clock.now())
    await drain(db, HANDLERS)
    assert (await eta(depot, visit))["because"] == "departed"
