"""The greedy day planner: urgent first, nobody in two places, every refusal explained."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from callout_dispatch.day import DayNeed, plan_day
from callout_dispatch.pick_terms import Busy, Candidate, Interval, Need, ReasonCode, Shift
from callout_dispatch.policy import STANDARD, PartsOnVan
from callout_geo.distance import haversine_m, travel_minutes
from callout_geo.points import Point
from callout_orders.terms import Priority

MORNING = datetime(2026, 1, 15, 8, tzinfo=UTC)
EVENING = MORNING + timedelta(hours=9)
HOME = Point(37.75, -122.42)


def engineer(id_: str, **values: object) -> Candidate:
    standard: dict[str, object] = {"name": id_, "position": HOME, "shifts": (Shift(MORNING, EVENING),)}
    return Candidate(id=id_, **(standard | values))  # type: ignore[arg-type]


def order(id_: str, priority: Priority = Priority.P1, **values: object) -> DayNeed:
    standard: dict[str, object] = {"point": HOME, "duration_minutes": 60, "earliest": MORNING}
    return DayNeed(id_, Need(priority=priority, **(standard | values)))  # type: ignore[arg-type]


def test_the_urgent_come_first() -> None:
    """With room for one visit, the service that is down gets it, and not the question that came first."""
    short = engineer("a", shifts=(Shift(MORNING, MORNING + timedelta(minutes=70)),))
    plan = plan_day([order("1", Priority.P2), order("2", Priority.P0), order("3")], [short])
    assert [assignment.need_id for assignment in plan.assignments] == ["2"]
    assert {unassigned.need_id for unassigned in plan.unassigned} == {"1", "3"}
    for unassigned in plan.unassigned:
        assert unassigned.result.out_counts == {ReasonCode.SHIFT_FULL: 1}


def test_among_equals_the_one_due_first() -> None:
    """And one without a due date has one all the same: it comes before an order due in a week."""
    in_a_week = order("1", due_at=MORNING + timedelta(days=7))
    none = order("2")
    soon = order("3", due_at=MORNING + timedelta(hours=3))
    plan = plan_day([in_a_week, none, soon], [engineer("a")])
    assert [assignment.need_id for assignment in plan.assignments] == ["3", "2", "1"]


def test_the_way_starts_where_the_last_visit_was() -> None:
    """Planned from home each time, every second visit of a day would be late."""
    there = Point(37.80, -122.30)
    plan = plan_day([order("1", point=there), order("2", point=there)], [engineer("a")])
    first, second = plan.assignments
    assert first.chosen.travel_minutes == pytest.approx(travel_minutes(haversine_m(HOME, there)), abs=0.01)
    assert second.chosen.travel_minutes == 0
    assert second.chosen.slot_start == first.chosen.slot_end


def test_load_is_spread() -> None:
    """Equal engineers share the day; otherwise the first by name does all of it."""
    plan = plan_day([order(str(i)) for i in range(6)], [engineer(id_) for id_ in "abc"])
    assert sorted(assignment.chosen.id for assignment in plan.assignments) == list("aabbcc")


def test_a_part_leaves_the_van_once() -> None:
    """One fuse on the van serves one order; the second goes to the colleague who has another."""
    with_fuse = [engineer("a", van_stock={"fuse": 1}), engineer("b", van_stock={"fuse": 1})]
    policy = msgspec.structs.replace(STANDARD, rules=(*STANDARD.rules, PartsOnVan()), version=7)
    orders = [order(str(i), parts={"fuse": 1}) for i in range(3)]
    plan = plan_day(orders, with_fuse, policy)
    assert {assignment.chosen.id for assignment in plan.assignments} == {"a", "b"}
    assert plan.unassigned[0].result.out_counts == {ReasonCode.PART_NOT_ON_VAN: 2}
    assert plan.policy_version == "7"


def test_an_id_must_not_come_twice() -> None:
    """One order planned twice sends two engineers."""
    with pytest.raises(ValueError, match="twice"):
        plan_day([order("1"), order("1")], [engineer("a")])


POINTS = st.builds(Point, st.floats(37.6, 37.9), st.floats(-122.6, -122.3))
ENGINEERS = st.lists(
    st.builds(
        engineer,
        st.sampled_from("abcd"),
        position=POINTS,
        skills=st.dictionaries(st.sampled_from(["power", "cooling"]), st.integers(1, 3)),
        absences=st.integers(0, 8).map(
            lambda hour: (Interval(MORNING + timedelta(hours=hour), MORNING + timedelta(hours=hour + 1)),)
        ),
        busy=st.integers(0, 8).flatmap(
            lambda hour: POINTS.map(
                lambda point: (
                    Busy(MORNING + timedelta(hours=hour), MORNING + timedelta(hours=hour, minutes=40), point),
                )
            )
        ),
    ),
    max_size=4,
    unique_by=lambda candidate: candidate.id,
)
ORDERS = st.lists(
    st.builds(
        order,
        st.integers(0, 30).map(str),
        st.sampled_from(list(Priority)),
        point=POINTS,
        duration_minutes=st.integers(10, 150),
        earliest=st.integers(0, 6).map(lambda hour: MORNING + timedelta(hours=hour)),
        due_at=st.none() | st.integers(0, 12).map(lambda hour: MORNING + timedelta(hours=hour)),
        skills=st.dictionaries(st.sampled_from(["power", "cooling"]), st.integers(1, 3), max_size=1),
    ),
    max_size=12,
    unique_by=lambda item: item.id,
)


@settings(deadline=None)
@given(orders=ORDERS, engineers=ENGINEERS)
def test_nobody_is_in_two_places(orders: list[DayNeed], engineers: list[Candidate]) -> None:
    """Each engineer's day can really be driven: in shift, between visits enough time for the way, no absence
    cut.
    """
    plan = plan_day(orders, engineers)
    needs = {item.id: item.need for item in orders}
    for who in engineers:
        absence, visit = who.absences[0], who.busy[0]
        stops = [(visit.start, visit.end, visit.point)]
        for assignment in plan.assignments:
            if assignment.chosen.id == who.id:
                chosen = assignment.chosen
                stops.append((chosen.slot_start, chosen.slot_end, needs[assignment.need_id].point))
                assert MORNING <= chosen.slot_start < chosen.slot_end <= EVENING
                assert chosen.slot_end <= absence.start or chosen.slot_start >= absence.end
        stops.sort(key=lambda stop: stop[0])
        for (_, left, a), (reached, _, b) in pairwise(stops):
            assert a is not None
            assert b is not None
            apart = (reached - left).total_seconds() / 60
            # What was standing before may already have been too close to an absence; an absence in between
            # also gives time for the way, though not to its very end.
            if left <= absence.start and absence.end <= reached:
                assert apart >= 0
            else:
                assert apart >= travel_minutes(haversine_m(a, b)) - 1e-6


@settings(deadline=None)
@given(orders=ORDERS, engineers=ENGINEERS)
def test_every_order_is_answered_and_every_refusal_true(
    orders: list[DayNeed], engineers: list[Candidate]
) -> None:
    """Nothing is dropped on the way, and what is left over has a reason from every engineer."""
    plan = plan_day(orders, engineers)
    answered = [item.need_id for item in (*plan.assignments, *plan.unassigned)]
    assert sorted(answered) == sorted(item.id for item in orders)
    for unassigned in plan.unassigned:
        assert {out.id for out in unassigned.result.out} == {who.id for who in engineers}
    worked = sum(len(who.busy) for who in plan.candidates)
    assert worked == len(plan.assignments) + len(engineers)


@settings(deadline=None)
@given(orders=ORDERS, engineers=ENGINEERS, seed=st.randoms(use_true_random=False))
def test_the_plan_does_not_depend_on_the_order_of_input(
    orders: list[DayNeed], engineers: list[Candidate], seed: random.Random
) -> None:
    """The same morning planned twice must send the same people."""
    shuffled_orders, shuffled_engineers = list(orders), list(engineers)
    seed.shuffle(shuffled_orders)
    seed.shuffle(shuffled_engineers)
    assert plan_day(shuffled_orders, shuffled_engineers) == plan_day(orders, engineers)
