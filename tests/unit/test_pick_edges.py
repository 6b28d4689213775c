"""The pick at the very edge of each rule: the last minute that still counts, and the first that does not."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from callout_dispatch.pick import pick
from callout_dispatch.pick_terms import Break, Busy, Candidate, Interval, Need, Shift
from callout_dispatch.policy import STANDARD, Availability, Capacity, DueDate, MaxTravel, Policy, Rule
from callout_geo.points import Point
from callout_orders.terms import Priority

DAY = datetime(2026, 1, 15, tzinfo=UTC)
HERE = Point(37.75, -122.42)
NEAR = Point(37.75, -122.38)
"""About ten minutes and a half away from here."""
FAR = Point(37.90, -122.42)
"""About forty-eight minutes."""


def at(hour: float) -> datetime:
    return DAY + timedelta(hours=hour)


def by(*rules: Rule) -> Policy:
    kept = [rule for rule in STANDARD.rules if type(rule) not in {type(one) for one in rules}]
    return msgspec.structs.replace(STANDARD, rules=(*kept, *rules))


def start(
    policy: Policy = STANDARD,
    *,
    shift: dict[str, Any] | None = None,
    who: dict[str, Any] | None = None,
    **need: Any,
) -> float | None:
    """The hour of the earliest slot of somebody who works here from 8 to 17; None: no slot. An hour's work, here."""
    given = {"start": at(8), "end": at(17), **(shift or {})}
    asked: dict[str, Any] = {
        "point": HERE,
        "duration_minutes": 60,
        "earliest": at(7),
        "priority": Priority.P1,
    }
    engineer = Candidate(id="a", name="A", **{"position": HERE, "shifts": (Shift(**given),), **(who or {})})
    ranked = pick(Need(**(asked | need)), [engineer], policy).ranked
    return (ranked[0].slot_start - DAY).total_seconds() / 3600 if ranked else None


@pytest.mark.parametrize(
    ("need", "expected"),
    (
        ({"visiting": (Interval(at(9), at(10)),)}, 9),
        ({"visiting": (Interval(at(9), at(10)),), "not_before": at(9.25)}, None),
        (
            {"visiting": (Interval(at(9), at(9.5)), Interval(at(9.5), at(10.25)))},
            9,
        ),  # one opening: they touch
        ({"visiting": (Interval(at(9), at(9.5)), Interval(at(10), at(10.5)))}, None),
        ({"requested": Interval(at(7), at(8))}, 8),
        ({"requested": Interval(at(7), at(8.5)), "not_before": at(8.5)}, 8.5),
        ({"requested": Interval(at(7), at(8.5)), "not_before": at(8.75)}, None),
        ({"not_before": at(16)}, 16),
        ({"not_before": at(16.25)}, None),
        ({"earliest": at(9) + timedelta(seconds=1)}, 9 + 1 / 60),
    ),
)
def test_the_last_moment_counts(need: dict[str, Any], expected: float | None) -> None:
    """A minute too generous locks the engineer in; one too strict sends the customer to the competitor."""
    assert start(**need) == (None if expected is None else pytest.approx(expected))


@pytest.mark.parametrize(("due", "expected"), ((8, 8), (7.5, 8), (7.25, None)))
def test_grace_is_part_of_the_promise(due: float, expected: float | None) -> None:
    """Half an hour of grace was agreed: not a minute more, and not a minute less."""
    assert start(by(DueDate(grace_minutes=30)), due_at=at(due)) == expected


@pytest.mark.parametrize(("overtime", "last"), ((0, 15.75), (10, 15.9), (15, 16), (60, 16)))
def test_overtime_is_for_the_way_back_alone(overtime: int, last: float) -> None:
    """Work ends with the shift at the latest; the way home may end by so many minutes after it."""
    policy, shift = by(Availability(overtime_minutes=overtime)), {"end_place": NEAR}
    assert start(policy, shift=shift, not_before=at(last)) == last
    assert start(policy, shift=shift, not_before=at(last) + timedelta(minutes=12)) is None


def test_limits_of_one_engineer_hold_instead() -> None:
    """What was agreed with somebody counts, whether it is more than the house's rule or less."""
    policy = by(MaxTravel(minutes=40), Capacity(work_minutes_max=59, visits_max=1))
    busy = (Busy(at(12), at(13), HERE),)
    assert start(by(MaxTravel(minutes=40)), point=FAR) is None
    assert start(by(MaxTravel(minutes=40)), point=FAR, who={"travel_minutes_max": 60.0}) is not None
    assert start(point=FAR, who={"travel_minutes_max": 40.0}) is None
    assert start(policy) is None
    assert start(policy, who={"work_minutes_max": 60.0}) == 8
    assert start(policy, who={"work_minutes_max": 120.0, "busy": busy}) is None
    assert start(policy, who={"work_minutes_max": 120.0, "visits_max": 2, "busy": busy}) == 8
    assert start(policy, who={"work_minutes_max": 119.0, "visits_max": 2, "busy": busy}) is None


def test_an_unknown_place_is_never_too_far() -> None:
    """A site that nobody has put on the map yet still needs somebody; its way counts as the policy assumes."""
    policy = msgspec.structs.replace(by(MaxTravel(minutes=40)), travel_minutes_unknown=30.0)
    assert start(policy, point=None, who={"travel_minutes_max": 20.0}) == 8.5


@pytest.mark.parametrize(
    ("away", "site", "next_start", "expected"),
    (
        # Away from 9 to 10; the next visit is far. Its way fits between the absence and it, or it does not.
        ((9, 10), HERE, 11, 8),
        ((9, 10), HERE, 10.5, None),
        ((9.9, 10.1), HERE, 10.5, 8),  # the way fits before the absence
        ((9, 10.5), HERE, 10.75, None),
        ((9, 10.5), FAR, 10.75, None),  # an hour's work far away does not fit before nine
    ),
)
def test_a_way_is_driven_before_or_after_an_absence(
    away: tuple[float, float], site: Point, next_start: float, expected: float | None
) -> None:
    """Who comes from the dentist's to a visit far away cannot also have been sent in the other direction before."""
    who = {
        "absences": (Interval(at(away[0]), at(away[1])),),
        "busy": (Busy(at(next_start), at(17), FAR),),
    }
    assert start(point=site, who=who) == expected


def test_who_leaves_early_is_home_by_then() -> None:
    """Off for the rest of the day from ten: an hour's way home is not the engineer's own time."""
    who, shift = {"absences": (Interval(at(10), at(17)),)}, {"end_place": FAR}
    assert start(shift=shift, who=who) == 8
    assert start(shift=shift, who=who, not_before=at(8.5)) is None
    # Overtime comes after the shift, not after the work before an absence: half an hour of it is no way of 48 minutes.
    over = by(Availability(overtime_minutes=30))
    assert start(over, shift=shift, who=who, not_before=at(8.5)) is None
    assert start(who=who, not_before=at(9)) == 9
    back = {"absences": (Interval(at(10), at(16)),)}
    assert start(shift=shift, who=back, not_before=at(8.5)) == 8.5


def test_a_break_needs_what_an_absence_leaves_of_its_time() -> None:
    """Half an hour at the dentist's is no lunch while there is room for one; where there is none, it has to do."""
    lunch = {"breaks": (Break(at(12), at(13), 30),)}
    for away, expected in (((12, 12.5), None), ((12, 12.75), 12.75)):
        who = {
            "absences": (Interval(at(away[0]), at(away[1])),),
            "busy": (Busy(at(8), at(12), HERE), Busy(at(13.75), at(17), HERE)),
        }
        assert start(shift=lunch, who=who) == expected


def test_work_before_an_absence_leaves_time_for_the_break_after_it() -> None:
    """After the absence come lunch and then the way on: both must fit, or the engineer eats at the wheel."""
    lunch = {"breaks": (Break(at(11), at(12), 45),)}
    who = {
        "position": FAR,
        "absences": (Interval(at(10), at(11)),),
        "busy": (Busy(at(12), at(17), FAR),),
    }
    assert start(shift=lunch, who=who) is None
    assert start(shift=lunch, who=who, point=FAR) == 8
    assert start(who=who) == pytest.approx(8.82, abs=0.02)


def test_shifts_that_touch_are_one() -> None:
    """Morning and afternoon entered as two shifts are one day's work: a job at noon fits, as does one over both."""
    halves = {"shifts": (Shift(at(8), at(12)), Shift(at(12), at(17)))}
    assert start(who=halves, not_before=at(11.5)) == 11.5
    apart = {"shifts": (Shift(at(8), at(12)), Shift(at(12) + timedelta(minutes=1), at(17)))}
    assert start(who=apart, not_before=at(11.5)) == pytest.approx(12 + 1 / 60)


@pytest.mark.parametrize("level", (1, 2, 3, 99))
def test_a_level_is_enough_from_itself_up(level: int) -> None:
    """One level below what high voltage asks for is a danger to life, however high both are."""
    assert start(skills={"power": level}, who={"skills": {"power": level}}) == 8
    assert start(skills={"power": level + 1}, who={"skills": {"power": level}}) is None


def test_whoever_is_required_may_bring_others() -> None:
    """The customer asked for Ada to come; that somebody helps her lift is no breach of it."""
    shifts = (Shift(at(8), at(17)),)
    both = [Candidate(id=id_, name=id_, position=HERE, shifts=shifts) for id_ in ("a", "b")]
    need = Need(
        point=HERE,
        duration_minutes=60,
        earliest=at(7),
        priority=Priority.P1,
        crew=2,
        required=frozenset({"a"}),
    )
    assert [(one.id, one.crew) for one in pick(need, both).ranked] == [("a", ("b",))]
