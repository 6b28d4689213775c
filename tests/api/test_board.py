"""The dispatcher's board, pages of visits, and reading by ids, on a real database."""

from datetime import timedelta

import pytest
from depots import NINE, Depot

from callout_dispatch import assign, engineers, reading
from callout_dispatch.board import minutes_within
from callout_dispatch.engineers import NewAbsence
from callout_dispatch.reading import VisitFilters
from callout_store.errors import BadField, LimitExceeded
from callout_store.ids import new_id

HOUR = timedelta(hours=1)
EIGHT, FIVE = NINE - HOUR, NINE + 8 * HOUR


async def test_a_lane_adds_up(depot: Depot) -> None:
    """Shift = work + way + idle: a dispatcher fills the idle minutes, so they must be there."""
    busy, idle = await depot.crew(2, 4)
    order_id, other_id = await depot.orders(2, 1.0, priority="P1")
    async with depot.work() as work:
        visit_id = await assign.assign(work, order_id, busy, NINE + HOUR)
        canceled = await assign.assign(work, other_id, busy, NINE + 4 * HOUR)
        await assign.cancel_visit(work, canceled, "called off")
        await engineers.set_absence(
            work, NewAbsence(engineer_id=idle, starts_at=NINE + HOUR, ends_at=NINE + 3 * HOUR)
        )
        board = await reading.board(work, EIGHT, FIVE)
        number = await work.fetchval("select number from work_order where id = $1", order_id)
    lanes = {lane.id: lane for lane in board.engineers}
    [visit] = lanes[busy].visits
    assert (visit.id, visit.order_number, visit.priority, visit.state) == (
        visit_id,
        number,
        "P1",
        "dispatched",
    )
    assert visit.lat is not None
    assert lanes[busy].load_minutes == 60
    assert lanes[busy].travel_minutes == pytest.approx(visit.travel_minutes, abs=0.01)
    assert lanes[busy].shift_minutes == 540
    assert lanes[busy].idle_minutes == pytest.approx(480 - visit.travel_minutes, abs=0.01)
    assert (lanes[idle].shift_minutes, lanes[idle].idle_minutes, lanes[idle].visits) == (420, 420, [])
    assert lanes[idle].absences == [(NINE + HOUR, NINE + 3 * HOUR)]
    assert [lane.online for lane in board.engineers] == [True, True]


async def test_a_forced_visit_shows_as_overbooked(depot: Depot) -> None:
    """An absence that was called in after planning: the board must show that the work lies in it."""
    [one] = await depot.crew(2)
    order_id = await depot.order()
    async with depot.work() as work:
        await assign.assign(work, order_id, one, NINE + HOUR)
        await engineers.set_absence(work, NewAbsence(engineer_id=one, starts_at=EIGHT, ends_at=FIVE))
        [lane] = (await reading.board(work, EIGHT, FIVE)).engineers
    assert (lane.overbooked, lane.online, lane.idle_minutes) == (True, False, 0)


async def test_who_left_but_has_visits_stays_on_the_board(depot: Depot) -> None:
    """Visits of an engineer who was taken out of service must not vanish from the dispatcher's sight."""
    gone, leaver = await depot.crew(2, 3)
    order_id = await depot.order()
    async with depot.work() as work:
        await assign.assign(work, order_id, gone, NINE + HOUR)
        for one in (gone, leaver):
            await engineers.set_active(work, one, False)
        board = await reading.board(work, EIGHT, FIVE)
    assert [(lane.id, lane.active) for lane in board.engineers] == [(gone, False)]


async def test_the_board_turns_pages(depot: Depot) -> None:
    """A large organisation sees every engineer once."""
    crew = await depot.crew(1, 2, 3)
    seen, after = [], None
    async with depot.work() as work:
        while True:
            board = await reading.board(work, EIGHT, FIVE, after=after, limit=2)
            seen += [lane.id for lane in board.engineers]
            after = board.end_cursor
            if not board.has_more:
                break
    assert sorted(seen) == sorted(crew)


async def test_a_wrong_board_is_refused(depot: Depot) -> None:
    """A board of a year would load the year."""
    async with depot.work() as work:
        for start, end in ((NINE, NINE), (NINE, NINE + 15 * 24 * HOUR), (NINE.replace(tzinfo=None), FIVE)):
            with pytest.raises(BadField):
                await reading.board(work, start, end)
        with pytest.raises(LimitExceeded):
            await reading.board(work, EIGHT, FIVE, limit=501)


@pytest.mark.parametrize(
    ("shifts", "absences", "minutes"),
    (
        ([], [], 0),
        ([(EIGHT, FIVE)], [], 480),  # only what lies in the window counts
        ([(NINE, NINE + 2 * HOUR), (NINE + HOUR, NINE + 3 * HOUR)], [], 180),  # an overlap counts once
        ([(NINE, FIVE)], [(NINE + HOUR, NINE + 2 * HOUR), (NINE + HOUR, NINE + 3 * HOUR)], 360),
        ([(NINE, FIVE)], [(EIGHT - HOUR, FIVE + HOUR)], 0),
        ([(EIGHT, EIGHT + HOUR)], [], 0),
    ),
)
def test_minutes_at_work(shifts: list[tuple], absences: list[tuple], minutes: float) -> None:  # type: ignore[type-arg]
    """Idle time is counted from these minutes; counted twice, it would promise time that nobody has."""
    assert minutes_within(shifts, absences, (NINE, FIVE)) == minutes


async def test_pages_of_visits_by_every_filter(depot: Depot) -> None:
    """Lists that the API offers: of an engineer, a state, a stretch of time; each visit once, newest first."""
    one, other = await depot.crew(2, 3)
    orders = await depot.orders(5)
    async with depot.work() as work:
        ids = [
            await assign.assign(work, order_id, (one, other)[n % 2], NINE + (1 + n // 2 * 2) * HOUR)
            for n, order_id in enumerate(orders)
        ]
        await assign.cancel_visit(work, ids[4], "called off")

        async def of(**filters: object) -> list[int]:
            page = await reading.visits_page(work, VisitFilters(**filters))  # type: ignore[arg-type]
            return [ids.index(visit.id) for visit in page.items]

        assert await of() == [4, 3, 2, 1, 0]
        assert await of(engineer_id=one) == [4, 2, 0]
        assert await of(states=("canceled",)) == [4]
        assert await of(states=("dispatched", "canceled"), engineer_id=other) == [3, 1]
        assert await of(start=NINE + 3 * HOUR, end=NINE + 5 * HOUR) == [3, 2]
        assert await of(order_id=orders[1]) == [1]
        with pytest.raises(BadField):
            await of(states=("lost",))

        seen, after = [], None
        while True:
            page = await reading.visits_page(work, after=after, limit=2)
            seen += [ids.index(visit.id) for visit in page.items]
            after = page.end_cursor
            if not page.has_more:
                break
        assert seen == [4, 3, 2, 1, 0]
        with pytest.raises(LimitExceeded):
            await reading.visits_page(work, limit=201)


async def test_reading_by_ids_keeps_the_order_and_the_gaps(depot: Depot) -> None:
    """A loader matches answers to questions by place: one row too few would give every visit its neighbour's data."""
    [one] = await depot.crew(2)
    first, second = await depot.orders(2)
    async with depot.work() as work:
        a = await assign.assign(work, first, one)
        b = await assign.assign(work, second, one)
        found = await reading.visits_by_ids(work, [b, new_id(), a, b])
        assert [visit.id if visit else None for visit in found] == [b, None, a, b]
        lists = await reading.visits_by_order_ids(work, [second, new_id(), first])
        assert [[visit.id for visit in of_one] for of_one in lists] == [[b], [], [a]]
        assert await reading.events_by_visit_ids(work, [a, b]) == [[], []]
        assert [len(of_one) for of_one in await reading.decisions_by_order_ids(work, [first, first])] == [
            1,
            1,
        ]
        assert await reading.territories(work) == []
        assert await reading.territories_by_ids(work, [new_id()]) == [None]
        assert await reading.absences_by_engineer_ids(work, [one], EIGHT, FIVE) == [[]]


async def test_events_are_read_with_all_their_dimensions(depot: Depot) -> None:
    """What was measured on site is the evidence in a dispute: nothing of it may be lost on the way to a reader."""
    [one] = await depot.crew(2)
    order_id = await depot.order()
    event_id = new_id()
    async with depot.work() as work:
        visit_id = await assign.assign(work, order_id, one)
        await work.execute(
            """
            insert into visit_event (id, visit_id, order_id, engineer_id, kind, device_time, received_at,
                corrected_at, clock_offset_ms, lat, lng, accuracy_m, provider, duration_s, device_sequence,
                schema_version, source, geofence, geofence_distance_m, flags, data)
            values ($1, $2, $3, $4, 'arrived', $5, $5, $5, -1500, 37.5, -122.5, 12.5, 'gps', 90, 7, 1, 'phone',
                    'inside', 20.5, '{mock}', '{"note": "gate"}')
            """,
            event_id,
            visit_id,
            order_id,
            one,
            NINE,
        )
        [[event]] = await reading.events_by_visit_ids(work, [visit_id])
        assert await reading.events_by_ids(work, [event_id]) == [event]
    assert (event.kind, event.clock_offset_ms, event.accuracy_m, event.provider) == (
        "arrived",
        -1500,
        12.5,
        "gps",
    )
    assert (event.geofence_distance_m, event.flags, event.data) == (20.5, ["mock"], {"note": "gate"})
    assert (event.device_id, event.duration_s, event.device_sequence) == (None, 90.0, 7)
