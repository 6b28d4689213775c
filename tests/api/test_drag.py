"""Dragging on the board: what is asked before is what the move does."""

from datetime import timedelta
from uuid import UUID

import pytest
from depots import NINE, Depot

from callout_dispatch import assign, drag
from callout_dispatch.board import board
from callout_store.errors import BadField, EngineerUnavailable, NotFound, StaleRevision, WrongState
from callout_store.ids import new_id


async def given(depot: Depot, engineer: UUID, minutes: int, km: float = 2, **more: object) -> UUID:
    order = await depot.order(km=km, **more)
    async with depot.work() as work:
        return await assign.assign(work, order, engineer, NINE + timedelta(minutes=minutes))


async def check(depot: Depot, visit: UUID, engineer: UUID | None, minutes: int | None) -> drag.DragCheck:
    async with depot.work() as work:
        start = None if minutes is None else NINE + timedelta(minutes=minutes)
        return await drag.check_drag(work, visit, engineer, start)


async def test_a_drag_that_fits_is_told_and_done(depot: Depot) -> None:
    """The dispatcher lets go of the mouse and the visit stays where it was dropped, with the minutes that were shown."""
    first, second = await depot.crew(0, 4)
    visit = await given(depot, first, 60)
    seen = await check(depot, visit, second, 120)
    assert (seen.allowed, seen.locked, seen.reasons) == (True, False, ())
    assert {lane.engineer_id: lane.work_minutes for lane in seen.lanes} == {first: -60.0, second: 60.0}
    assert all(lane.new_conflicts == [] for lane in seen.lanes)
    async with depot.work() as work:
        await drag.drag(work, visit, second, NINE + timedelta(minutes=120), seen.revision)
    row = await depot.visit(visit)
    assert (row["engineer_id"], row["scheduled_start"]) == (second, NINE + timedelta(minutes=120))
    assert row["travel_minutes"] == pytest.approx(seen.travel_minutes)


async def test_what_would_break_is_named_and_needs_an_override_with_a_reason(depot: Depot) -> None:
    """Dropping onto another visit: the check names the overlap and the rule, the move refuses it, and who insists is on
    record."""
    (engineer,) = await depot.crew(0)
    await given(depot, engineer, 60)
    visit = await given(depot, engineer, 300)
    seen = await check(depot, visit, None, 70)
    assert not seen.allowed
    assert {reason.code.value for reason in seen.reasons} == {"SHIFT_FULL"}
    [lane] = seen.lanes
    assert [one.code.value for one in lane.new_conflicts] == ["OVERLAP"]
    async with depot.work() as work:
        with pytest.raises(EngineerUnavailable):
            await drag.drag(work, visit, None, NINE + timedelta(minutes=70), seen.revision)
    async with depot.work() as work:
        with pytest.raises(BadField):
            await drag.drag(work, visit, None, NINE + timedelta(minutes=70), seen.revision, override=True)
    async with depot.work() as work:
        await drag.drag(
            work,
            visit,
            None,
            NINE + timedelta(minutes=70),
            seen.revision,
            override=True,
            reason="both are next door",
        )
    line = await depot.row(
        "select data->>'reason' as reason, data->>'override' as forced, actor_id from journal where kind = 'visit.moved'"
    )
    assert (line["reason"], line["forced"], line["actor_id"]) == (
        "both are next door",
        "true",
        depot.dispatcher.user_id,
    )
    async with depot.work() as work:
        [row] = (await board(work, NINE - timedelta(hours=1), NINE + timedelta(hours=8))).engineers
    assert [one.code.value for one in row.conflicts] == ["OVERLAP"]


async def test_a_conflict_that_a_drag_solves_is_told(depot: Depot) -> None:
    """A dispatcher drags to mend: that the overlap goes away is the point."""
    first, second = await depot.crew(0, 1)
    await given(depot, first, 60)
    visit = await given(depot, first, 200)
    async with depot.work() as work:
        await drag.drag(work, visit, None, NINE + timedelta(minutes=80), None, True, "forced")
    seen = await check(depot, visit, second, None)
    left = next(lane for lane in seen.lanes if lane.engineer_id == first)
    assert [one.code.value for one in left.solved_conflicts] == ["OVERLAP"]
    assert seen.allowed


async def test_locked_ended_stale_and_nowhere(depot: Depot) -> None:
    """What must not move, what is over, what somebody else moved meanwhile, and what would not move at all."""
    first, second = await depot.crew(0, 1)
    visit = await given(depot, first, 60)
    async with depot.work() as work:
        with pytest.raises(BadField):
            await drag.check_drag(work, visit, first, NINE + timedelta(minutes=60))
        with pytest.raises(NotFound):
            await drag.check_drag(work, new_id())
        with pytest.raises(NotFound):
            await drag.check_drag(work, visit, new_id(), None)
    seen = await check(depot, visit, second, None)
    async with depot.work() as work:
        await drag.drag(work, visit, None, NINE + timedelta(minutes=90), seen.revision)
    async with depot.work() as work:
        with pytest.raises(StaleRevision):
            await drag.drag(work, visit, second, None, seen.revision)
    async with depot.work() as work:
        await work.execute(
            "update visit set state = 'travelling', travelling_at = $2 where id = $1", visit, NINE
        )
    under_way = await check(depot, visit, second, None)
    assert (under_way.allowed, under_way.locked) == (False, True)
    async with depot.work() as work:
        with pytest.raises(WrongState):
            await drag.drag(work, visit, second, None, None)
        await work.execute("update visit set state = 'completed', ended_at = $2 where id = $1", visit, NINE)
    with pytest.raises(WrongState):
        await check(depot, visit, second, None)


async def test_the_check_writes_nothing(depot: Depot) -> None:
    """Hovering over the board must change no visit, no journal and no phone."""
    first, second = await depot.crew(0, 1)
    visit = await given(depot, first, 60)
    before = await depot.visit(visit), await depot.row("select count(*) from journal")
    await check(depot, visit, second, 200)
    assert (await depot.visit(visit), await depot.row("select count(*) from journal")) == before


STATES = {
    "scheduled": {"plan": "scheduled"},
    "dispatched": {},
    "accepted": {"accepted_at": NINE},
    "travelling": {"travelling_at": NINE},
    "in_progress": {"travelling_at": NINE, "arrived_at": NINE},
}


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("hold", (None, "engineer", "time"))
@pytest.mark.parametrize("away", (True, False), ids=("to another", "to another time"))
async def test_the_check_says_what_the_move_does(
    depot: Depot, state: str, hold: str | None, away: bool
) -> None:
    """A board that shows green and then refuses, or red for what an override could do, is not believed a second time."""
    first, second = await depot.crew(0, 1)
    visit = await given(depot, first, 60)
    columns = {"state": state, "hold": hold, **STATES[state]}
    async with depot.work() as work:
        for name, value in columns.items():
            await work.execute(f"update visit set {name} = $2 where id = $1", visit, value)
    target, minutes = (second, None) if away else (None, 120)
    seen = await check(depot, visit, target, minutes)
    start = None if minutes is None else NINE + timedelta(minutes=minutes)

    async def tried(**more: object) -> bool:
        try:
            async with depot.work() as work:
                await drag.drag(work, visit, target, start, **more)  # type: ignore[arg-type]
                raise Undone
        except Undone:
            return True
        except WrongState:
            return False

    assert await tried() is seen.allowed
    assert await tried(override=True, reason="the customer asked") is seen.possible
    assert seen.locked is (
        state in ("travelling", "in_progress") or hold == "time" or (hold is not None and away)
    )


class Undone(Exception):
    """It was done, and shall not stand."""


async def test_a_visit_that_another_takes_over_has_a_way_of_its_own(depot: Depot) -> None:
    """The minutes and the depot of the engineer before would send the new one to pick up parts for another's van."""
    first, second = await depot.crew(0, 1)
    visit = await given(depot, first, 60)
    async with depot.work() as work:
        await work.execute("update visit set leg_provider = 'osrm', leg_metres = 4321 where id = $1", visit)
    async with depot.work() as work:
        await drag.drag(work, visit, None, NINE + timedelta(minutes=90))
    row = await depot.visit(visit)
    assert (row["leg_provider"], row["leg_metres"]) == ("estimate", None)
    async with depot.work() as work:
        await work.execute("update visit set leg_provider = 'osrm', leg_metres = 4321 where id = $1", visit)
    async with depot.work() as work:
        await drag.drag(work, visit, second)
    row = await depot.visit(visit)
    assert (row["leg_provider"], row["leg_metres"], row["pickup_depot_id"]) == ("estimate", None, None)
