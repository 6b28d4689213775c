"""An engineer's shifts of a range of days, with breaks and places."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from worlds import World

from callout_dispatch import shifts
from callout_dispatch.shifts import Break, PlannedShift
from callout_store.errors import BadField, Refusal
from callout_store.work import Database

HOUR = timedelta(hours=1)
MONDAY = datetime(2026, 3, 2, tzinfo=UTC)
NEW_YORK = ZoneInfo("America/New_York")


@pytest.fixture
async def world(db: Database) -> World:
    return await World(db).build(phones=2)


def shift(start: float, end: float, *breaks: Break, **more: Any) -> PlannedShift:
    return PlannedShift(starts_at=MONDAY + start * HOUR, ends_at=MONDAY + end * HOUR, breaks=breaks, **more)


def rest(earliest: float, latest: float, minutes: int = 30) -> Break:
    return Break(earliest=MONDAY + earliest * HOUR, latest=MONDAY + latest * HOUR, minutes=minutes)


async def put(world: World, *given: PlannedShift, start: float = 0, end: float = 48) -> list[UUID]:
    engineer = world.phones[0].engineer_id
    return await world.db.run(
        world.org,
        lambda work: shifts.replace_shifts(work, engineer, MONDAY + start * HOUR, MONDAY + end * HOUR, given),
        actor=world.dispatcher,
    )


async def kept(world: World) -> list[tuple[float, float]]:
    async with world.db.work(world.org) as work:
        (found,) = await shifts.shifts_between(
            work, [world.phones[0].engineer_id], MONDAY - 48 * HOUR, MONDAY + 96 * HOUR
        )
    return [((one.starts_at - MONDAY) / HOUR, (one.ends_at - MONDAY) / HOUR) for one in found]


async def test_a_range_of_shifts_is_replaced(world: World) -> None:
    """A roster that is entered anew must leave no old shift in which somebody is sent out, and touch no other day."""
    await put(world, shift(8, 16), shift(32, 40), shift(56, 64), end=72)
    ids = await put(world, shift(33, 41, rest(36, 38)), shift(22, 30))
    assert len(ids) == 2
    assert await kept(world) == [(22, 30), (33, 41), (56, 64)]
    assert await put(world) == []
    assert await kept(world) == [(56, 64)]
    assert await world.value("select count(*) from shift_break") == 0, "breaks leave with their shift"
    lines = await world.fetch("select kind from journal where kind = 'engineer.shifts_set' and entity_id = $1",
                              world.phones[0].engineer_id)  # fmt: skip
    assert len(lines) == 4


async def test_a_shift_over_midnight_belongs_to_the_day_it_starts(world: World) -> None:
    """Replacing Tuesday must not cut off Monday's night shift, nor be laid over it unseen."""
    await put(world, shift(22, 30), end=24)
    await put(world, shift(32, 40), start=24, end=48)
    assert await kept(world) == [(22, 30), (32, 40)]
    with pytest.raises(BadField) as caught:
        await put(world, shift(29, 37), start=24, end=48)
    assert (caught.value.path, caught.value.details["reason"]) == ("shifts.0", "overlap_kept")
    with pytest.raises(BadField):
        await put(world, shift(12, 33), end=24)
    assert await kept(world) == [(22, 30), (32, 40)]


@pytest.mark.parametrize(
    ("day", "hours"),
    (((2026, 3, 7), 7), ((2026, 10, 31), 9), ((2026, 3, 14), 8)),  # forward, back, and an ordinary night
)
async def test_a_night_is_as_long_as_it_really_is(world: World, day: tuple[int, ...], hours: int) -> None:
    """A shift from ten to six has seven hours in the night the clocks go forward: eight would be work nobody does."""
    starts = datetime(*day, 22, tzinfo=NEW_YORK)  # type: ignore[misc, arg-type]
    ends = (
        datetime(*day[:2], day[2] + 1, 6, tzinfo=NEW_YORK)
        if day[2] < 31
        else datetime(2026, 11, 1, 6, tzinfo=NEW_YORK)
    )
    engineer = world.phones[0].engineer_id
    async with world.db.work(world.org) as work:
        await shifts.replace_shifts(
            work, engineer, starts, ends, [PlannedShift(starts_at=starts, ends_at=ends)]
        )
        ((found,),) = await shifts.shifts_between(work, [engineer], starts, ends)
    assert found.ends_at - found.starts_at == hours * HOUR


@pytest.mark.parametrize(
    ("given", "path"),
    (
        ((shift(8, 33),), "shifts.0.endsAt"),  # longer than a day
        ((shift(8, 8),), "shifts.0.endsAt"),
        ((shift(8, 7),), "shifts.0.endsAt"),
        ((shift(8, 16), shift(15, 20)), "shifts.1.startsAt"),
        ((shift(15, 20), shift(8, 16)), "shifts.0.startsAt"),
        ((shift(8, 16), shift(8, 16)), "shifts.1.startsAt"),
        ((shift(48, 56),), "shifts.0.startsAt"),  # outside of what is being set
        ((shift(-1, 7),), "shifts.0.startsAt"),
        ((shift(8, 16, start_lat=91.0, start_lng=0.0),), "shifts.0.start.lat"),
        ((shift(8, 16, end_lat=0.0, end_lng=0.0),), "shifts.0.end"),  # null island
        ((shift(8, 16, end_lat=1.0),), "shifts.0.endLng"),
        ((shift(8, 16, rest(7, 9)),), "shifts.0.breaks.0.earliest"),
        ((shift(8, 16, rest(15, 17)),), "shifts.0.breaks.0.latest"),
        ((shift(8, 16, rest(12, 12.4)),), "shifts.0.breaks.0.latest"),
        ((shift(8, 16, rest(12, 11)),), "shifts.0.breaks.0.latest"),
        ((shift(8, 16, rest(12, 14, 0)),), "shifts.0.breaks.0.minutes"),
        ((shift(8, 16, rest(12, 14, 481)),), "shifts.0.breaks.0.minutes"),
        ((shift(8, 16, rest(12, 13, 40), rest(12, 13, 30)),), "shifts.0.breaks"),
        ((shift(8, 9, rest(8, 9, 60)),), "shifts.0.breaks"),  # no time to work
        ((shift(8, 16, *[rest(8, 16, 1)] * 7),), "shifts.0.breaks"),
    ),
)
async def test_a_bad_shift_is_refused_by_name(
    world: World, given: tuple[PlannedShift, ...], path: str
) -> None:
    """A month's roster is hundreds of rows: without the row and field nobody mends it."""
    with pytest.raises(Refusal) as caught:
        await put(world, *given)
    assert caught.value.path == path
    assert caught.value.message("zh") != caught.value.message("en")
    assert await kept(world) == []


async def test_breaks_that_can_be_taken_in_some_order_are_taken(world: World) -> None:
    """The office enters lunch first and coffee second, whichever comes first in the day."""
    await put(world, shift(8, 16, rest(9, 15, 60), rest(9, 9.5, 30)))
    engineer = world.phones[0].engineer_id
    async with world.db.work(world.org) as work:
        ((found,),) = await shifts.shifts_between(work, [engineer], MONDAY, MONDAY + 48 * HOUR)
    assert [one.minutes for one in found.breaks] == [30, 60]


async def test_a_naive_time_is_refused(world: World) -> None:
    """Eight o'clock somewhere is not a time at which anybody can be sent."""
    naive = PlannedShift(starts_at=datetime(2026, 3, 2, 8), ends_at=datetime(2026, 3, 2, 9))
    with pytest.raises(BadField) as caught:
        await put(world, naive)
    assert caught.value.path == "shifts.0.startsAt"


async def test_a_range_has_limits(world: World) -> None:
    """A range of a thousand years would delete whatever was ever planned."""
    with pytest.raises(BadField) as caught:
        await put(world, end=401 * 24)
    assert caught.value.path == "range.endsAt"
    with pytest.raises(BadField):
        await put(world, end=-1)
    with pytest.raises(Refusal) as many:
        await put(world, *[shift(8, 9)] * 2001)
    assert many.value.code == "LIMIT_EXCEEDED"


async def test_two_who_set_the_same_day_leave_one_roster(world: World) -> None:
    """Two offices that both save the week would otherwise leave an engineer with two shifts at once."""
    await asyncio.gather(put(world, shift(8, 16)), put(world, shift(9, 17)), put(world, shift(7, 15)))
    assert len(await kept(world)) == 1
