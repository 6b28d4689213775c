"""The rules of expected arrivals: where an engineer's day goes from now on, and when a customer hears of it."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callout_dispatch.arrivals.rules import Due, Rest, Whereabouts, expect, followed, minutes_away, tell
from callout_geo.distance import haversine_m
from callout_geo.points import Point

NINE = datetime(2026, 3, 4, 9, 0, tzinfo=UTC)
KM = 1 / 111.0
HOME = Point(37.77, -122.42)


def minute(n: float) -> timedelta:
    return timedelta(minutes=n)


def way(start: Point | None, end: Point | None, at: datetime) -> float:
    """A minute a kilometre; half an hour to nowhere."""
    return 30.0 if start is None or end is None else haversine_m(start, end) / 1000


def due(
    name: str, at: float, *, km: float = 0.0, stage: str = "waiting", length: float = 60, **more: object
) -> Due:
    return Due(
        id=name,
        point=Point(HOME.lat + km * KM, HOME.lng),
        start=NINE + minute(at),
        end=NINE + minute(at + length),
        stage=stage,  # type: ignore[arg-type]
        **more,  # type: ignore[arg-type]
    )


def at_home(at: datetime = NINE) -> Whereabouts:
    return Whereabouts(point=HOME, at=at)


def test_somebody_in_time_is_expected_at_the_planned_start() -> None:
    """Nobody rings the customer's bell before the hour that was agreed, however short the way."""
    (one,) = expect([due("a", 60, km=10)], at_home(), [], way, NINE)
    assert one.eta == NINE + minute(60)
    assert one.late_minutes == 0
    assert one.way_minutes == pytest.approx(10, abs=0.1)
    assert one.leaves == pytest.approx(NINE + minute(50), abs=timedelta(seconds=10))


def test_delay_travels_down_the_day() -> None:
    """A job that overruns makes every later customer wait: the second is late because the first is."""
    visits = [
        due("a", -60, stage="on_site", arrived_at=NINE - minute(50)),
        due("b", 5, km=20),
        due("c", 70, km=20),
    ]
    first, second = expect(visits, at_home(), [], way, NINE)
    assert first.visit_id == "b"
    assert first.eta == pytest.approx(NINE + minute(30), abs=timedelta(seconds=20))
    assert second.eta == first.done
    assert second.late_minutes == pytest.approx(20, abs=0.5)


def test_overdue_work_is_expected_to_need_some_time_still() -> None:
    """Work that should be over is not over: to expect its end at once tells the next customer a lie every five minutes."""
    visits = [due("a", -120, stage="on_site", arrived_at=NINE - minute(120)), due("b", 0)]
    (one,) = expect(visits, at_home(), [], way, NINE)
    assert one.eta == NINE + minute(15)


def test_on_the_way_counts_from_the_last_position() -> None:
    """What is left of the way counts, not the whole of it: else the ETA would stand still while the van moves."""
    visit = due("a", 10, km=30, stage="travelling", travelling_at=NINE - minute(20))
    halfway = Whereabouts(point=Point(HOME.lat + 20 * KM, HOME.lng), at=NINE - minute(1))
    (near,) = expect([visit], halfway, [], way, NINE)
    assert near.eta == pytest.approx(NINE + minute(9), abs=timedelta(seconds=20))
    (far,) = expect([visit], at_home(NINE - minute(30)), [], way, NINE)
    assert far.eta == pytest.approx(NINE + minute(10), abs=timedelta(seconds=20))


def test_the_way_under_way_is_not_held_back_to_the_plan() -> None:
    """Somebody who set out early is there early; the customer at the door should know."""
    visit = due("a", 120, km=10, stage="travelling", travelling_at=NINE)
    (one,) = expect([visit], at_home(), [], way, NINE)
    assert one.eta == pytest.approx(NINE + minute(10), abs=timedelta(seconds=20))


def test_overdue_on_the_way_is_never_in_the_past() -> None:
    """A phone without signal says nothing: "your engineer arrived ten minutes ago" would be nonsense on the page."""
    visit = due("a", -60, km=5, stage="travelling", travelling_at=NINE - minute(90))
    (one,) = expect([visit], at_home(NINE - minute(120)), [], way, NINE)
    assert one.eta == NINE + minute(1)


def test_a_rest_is_taken_where_it_fits_and_delays_where_it_must() -> None:
    """Lunch belongs to the day: without it the afternoon's customers are promised half an hour too early."""
    rest = Rest(earliest=NINE, latest=NINE + minute(90), minutes=30)
    (one,) = expect([due("a", 60)], at_home(), [rest], way, NINE)
    assert one.eta == NINE + minute(60)
    (one,) = expect([due("a", 10)], at_home(), [rest], way, NINE)
    assert one.eta == NINE + minute(30)
    over = Rest(earliest=NINE - minute(90), latest=NINE + minute(5), minutes=30)
    (one,) = expect([due("a", 10)], at_home(), [over], way, NINE)
    assert one.eta == NINE + minute(10)


def test_told_on_a_change_above_the_limit_or_a_missed_window_once() -> None:
    """A message for every minute would be switched off by the customer; none for an hour would be a complaint."""
    visit = due("a", 0)
    assert tell(visit, NINE + minute(10), 10) == "nothing"
    assert tell(visit, NINE + minute(10.1), 10) == "changed"
    assert tell(visit, NINE - minute(10.1), 10) == "changed"
    knows = due("a", 0, told_eta=NINE + minute(20))
    assert tell(knows, NINE + minute(25), 10) == "nothing"
    window = due("a", 0, promised_until=NINE + minute(5))
    assert tell(window, NINE + minute(5), 10) == "nothing"
    assert tell(window, NINE + minute(6), 10) == "missed"
    again = due("a", 0, promised_until=NINE + minute(5), told_eta=NINE + minute(6), missed=True)
    assert tell(again, NINE + minute(7), 10) == "nothing"


def test_minutes_away_are_rounded_up() -> None:
    """ "0 minutes away" for somebody still on the road makes people run to the door."""
    assert minutes_away(NINE + timedelta(seconds=61), NINE) == 2
    assert minutes_away(NINE, NINE) == 0
    assert minutes_away(NINE - minute(3), NINE) == 0


STAGES = st.sampled_from(["waiting", "waiting", "waiting", "travelling", "on_site"])


@given(
    st.lists(st.tuples(st.integers(-300, 600), st.integers(5, 240), st.integers(0, 80), STAGES), max_size=8),
    st.integers(-60, 0),
)
def test_laws_of_a_day(plan: list[tuple[int, int, int, str]], heard: int) -> None:
    """Every visit that was not reached has one expected arrival, none in the past, none before the work before it is done,
    and no waiting one before its planned start; asked again the answer is the same."""
    visits = [
        due(
            str(n),
            at,
            km=km,
            stage=stage,
            length=length,
            travelling_at=NINE - minute(30) if stage == "travelling" else None,
            arrived_at=NINE - minute(10) if stage == "on_site" else None,
        )
        for n, (at, length, km, stage) in enumerate(plan)
    ]
    found = expect(visits, at_home(NINE + minute(heard)), [], way, NINE)
    by_id = {visit.id: visit for visit in visits}
    assert sorted(one.visit_id for one in found) == sorted(v.id for v in visits if v.stage != "on_site")
    free = NINE
    for one in found:
        visit = by_id[one.visit_id]
        assert one.eta >= NINE
        if visit.stage == "waiting":
            assert one.eta >= visit.start
            assert one.eta >= free
        free = one.done
    assert expect(list(reversed(visits)), at_home(NINE + minute(heard)), [], way, NINE) == found


def test_by_the_clock_alone_a_delay_is_told_again_when_it_has_doubled() -> None:
    """Nothing is heard of the engineer: 15 minutes late, 30, an hour; not a message every quarter of an hour all day."""
    late = due("a", 0, told_eta=NINE + minute(20))
    assert tell(late, NINE + minute(35), 10, "clock") == "nothing"
    assert tell(late, NINE + minute(41), 10, "clock") == "changed"
    assert tell(late, NINE + minute(35), 10, "finished") == "changed"
    # On the way the clock does tell: the ETA follows the van.
    driving = due("a", 0, stage="travelling", told_eta=NINE + minute(20))
    assert tell(driving, NINE + minute(35), 10, "clock") == "changed"
    # Measured against a plan that has moved since, there is no delay that could double.
    moved = due("a", 60, told_eta=NINE)
    assert tell(moved, NINE + minute(60), 10, "clock") == "changed"


def test_what_nobody_ended_is_forgotten_in_the_end() -> None:
    """A visit of yesterday that nobody closed is not the first one of today."""
    waiting = due("a", 0, length=60)
    assert followed(waiting, NINE + minute(60 + 4 * 60))
    assert not followed(waiting, NINE + minute(61 + 4 * 60))
    on_site = due("a", 0, length=60, stage="on_site", arrived_at=NINE + minute(30))
    assert followed(on_site, NINE + minute(90 + 12 * 60))
    assert not followed(on_site, NINE + minute(91 + 12 * 60))
    driving = due("a", 600, length=60, stage="travelling", travelling_at=NINE)
    assert not followed(driving, NINE + minute(61 + 12 * 60))
