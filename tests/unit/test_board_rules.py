"""What the board calls a conflict, and how it adds up a day."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from hypothesis import given
from hypothesis import strategies as st

from callout_dispatch.board_rules import ConflictCode, Pause, Placed, at_risk, conflicts, days
from callout_geo.distance import haversine_m
from callout_geo.points import Point

EIGHT = datetime(2026, 3, 4, 8, 0, tzinfo=UTC)
HERE = Point(37.77, -122.42)
KM = 1 / 111.0
DAY = [(EIGHT, EIGHT + timedelta(hours=9))]


def way(start: Point | None, end: Point | None, at: datetime) -> float:
    return 30.0 if start is None or end is None else haversine_m(start, end) / 1000


def placed(name: str, at: int, length: int = 60, *, km: float = 0, due: int = 600, **more: object) -> Placed:
    return Placed(
        id=name,
        start=EIGHT + timedelta(minutes=at),
        end=EIGHT + timedelta(minutes=at + length),
        point=Point(HERE.lat + km * KM, HERE.lng),
        due_at=EIGHT + timedelta(minutes=due),
        **more,  # type: ignore[arg-type]
    )


def codes(*visits: Placed, **more: object) -> list[tuple[str, str | None]]:
    given = {"shifts": DAY, "absences": [], "pauses": [], **more}
    found = conflicts(visits, given["shifts"], given["absences"], given["pauses"], way)  # type: ignore[arg-type]
    return [(one.code.value, one.visit_id) for one in found]


def test_a_day_that_fits_has_no_conflict() -> None:
    """A board that cries at every day is not looked at."""
    assert codes(placed("a", 0), placed("b", 75, km=10), placed("c", 240, km=5)) == []


def test_two_at_one_time_and_a_way_that_is_too_long() -> None:
    """The forced visit: somebody will wait in vain, and the dispatcher sees who."""
    assert codes(placed("a", 0), placed("b", 30)) == [("OVERLAP", "b")]
    assert codes(placed("a", 0), placed("b", 65, km=20)) == [("WAY_TOO_SHORT", "b")]
    # Who is there already made the way, however short the time for it was.
    assert codes(placed("a", 0), placed("b", 65, km=20, reached=True)) == []
    [one] = conflicts([placed("a", 0), placed("b", 65, km=20)], DAY, [], [], way)
    assert one.minutes == 15
    assert one.other_id == "a"
    assert "15" in one.text("en")
    assert "15" in one.text("zh-CN")


def test_outside_shift_absent_outside_window_after_due() -> None:
    """Each promise that is broken has a name: the shift's, the absence's, the customer's window, the contract's."""
    assert codes(placed("a", -30)) == [("OUTSIDE_SHIFT", "a")]
    assert codes(placed("a", 500)) == [("OUTSIDE_SHIFT", "a")]
    away = [(EIGHT + timedelta(minutes=30), EIGHT + timedelta(minutes=90))]
    assert codes(placed("a", 0), absences=away) == [("ABSENT", "a")]
    asked = (EIGHT + timedelta(hours=2), EIGHT + timedelta(hours=3))
    assert codes(placed("a", 0, requested=asked)) == [("OUTSIDE_WINDOW", "a")]
    assert codes(placed("a", 120, requested=asked)) == []
    assert codes(placed("a", 100, due=60)) == [("AFTER_DUE", "a")]
    assert codes(placed("a", 100, due=60, reached=True)) == []


def test_what_is_over_conflicts_with_nothing() -> None:
    """Yesterday's overlap cannot be mended today."""
    assert codes(placed("a", 0, over=True), placed("b", 30)) == []


def test_a_break_needs_a_gap() -> None:
    """Lunch between two visits counts only what the way leaves of the gap, and two breaks need room for both."""
    noon = Pause(earliest=EIGHT + timedelta(minutes=60), latest=EIGHT + timedelta(minutes=180), minutes=30)
    tight = [placed("a", 0), placed("b", 100, 200, km=15)]
    assert codes(*tight, pauses=[noon]) == [("NO_ROOM_FOR_BREAK", None)]
    assert codes(placed("a", 0), placed("b", 100, 200, km=5), pauses=[noon]) == []
    assert codes(placed("a", 0), placed("b", 100, 200, km=5), pauses=[noon, noon]) == [
        ("NO_ROOM_FOR_BREAK", None)
    ]
    assert codes(pauses=[noon]) == []


def test_risk_is_what_little_is_left_of_the_promise() -> None:
    """Half an hour before the promise runs out is when a dispatcher can still do something."""
    assert not at_risk(placed("a", 0, due=30))
    assert at_risk(placed("a", 1, due=30))
    assert not at_risk(placed("a", 1, due=30, reached=True))


def test_days_are_local_and_lose_nothing() -> None:
    """A night shift in Shanghai belongs to two local days, and its minutes to both."""
    zone = ZoneInfo("Asia/Shanghai")
    window = (datetime(2026, 3, 4, 0, 0, tzinfo=zone), datetime(2026, 3, 6, 0, 0, tzinfo=zone))
    late = Placed(
        id="a",
        start=datetime(2026, 3, 4, 23, 30, tzinfo=zone),
        end=datetime(2026, 3, 5, 0, 30, tzinfo=zone),
        point=HERE,
        due_at=datetime(2026, 3, 9, tzinfo=zone),
    )
    shift = (datetime(2026, 3, 4, 22, 0, tzinfo=zone), datetime(2026, 3, 5, 6, 0, tzinfo=zone))

    def at_work(part: tuple[datetime, datetime]) -> float:
        return max((min(part[1], shift[1]) - max(part[0], shift[0])).total_seconds() / 60, 0)

    first, second = days(window, zone, [(late, 12.0)], [], at_work)
    assert (first.day.isoformat(), first.visits, first.shift_minutes, first.travel_minutes) == (
        "2026-03-04",
        1,
        120,
        12,
    )
    assert (second.visits, second.shift_minutes, second.idle_minutes) == (0, 360, 360)


@given(st.lists(st.tuples(st.integers(0, 480), st.integers(5, 120), st.integers(0, 30)), max_size=7))
def test_conflicts_are_exactly_what_a_slow_look_finds(plan: list[tuple[int, int, int]]) -> None:
    """A visit that swallows several short ones must not hide the later of them: each that starts before another's end is
    told."""
    visits = [placed(f"{n}", at, length, km=km) for n, (at, length, km) in enumerate(plan)]
    found = conflicts(visits, [(EIGHT, EIGHT + timedelta(days=2))], [], [], way)
    ordered = sorted(visits, key=lambda v: (v.start, v.id))
    told = {one.visit_id for one in found if one.code is ConflictCode.OVERLAP}
    slow = {
        visit.id for n, visit in enumerate(ordered) if any(other.end > visit.start for other in ordered[:n])
    }
    assert told == slow


def test_a_day_on_which_the_clock_changes_has_its_own_length() -> None:
    """The night shift of 29 March in Berlin has an hour less: a board that counts 24 shows idle time that nobody has."""
    zone = ZoneInfo("Europe/Berlin")
    for month, day, hours in ((3, 29, 23), (10, 25, 25), (6, 1, 24)):
        window = (
            datetime(2026, month, day, tzinfo=zone).astimezone(UTC),
            (datetime(2026, month, day, tzinfo=zone) + timedelta(days=1)).astimezone(UTC),
        )
        [one] = days(window, zone, [], [], lambda part: (part[1] - part[0]).total_seconds() / 60)
        assert one.shift_minutes == hours * 60, (month, day)


def test_a_crew_with_a_gap_is_a_conflict() -> None:
    """Work for two that one drives to: the dispatcher who forced it yesterday is not the one who looks today."""
    assert codes(placed("a", 0, crew_lacks=1)) == [("CREW_INCOMPLETE", "a")]
    assert codes(placed("a", 0, crew_lacks=1, over=True)) == []


def test_spans_are_said_as_people_say_them() -> None:
    """ "5702632 minutes late" is a number and no message."""
    late = conflicts([placed("a", 121, due=0)], DAY, [], [], way)[0]
    assert late.text("en") == "Starts 2 hours after the promise to arrive runs out."
    one = conflicts([placed("a", 1, due=0)], DAY, [], [], way)[0]
    assert one.text("en") == "Starts 1 minute after the promise to arrive runs out."
    days_late = conflicts([placed("a", 0, due=-6000)], DAY, [], [], way)[0]
    assert days_late.text("en") == "Starts 4 days after the promise to arrive runs out."
    assert days_late.text("zh") == "开始时间晚于承诺到达时限 4 天。"
