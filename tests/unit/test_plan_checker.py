"""The feasibility checker: it lets a good plan pass, and finds every single fault that is planted in it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec
import pytest
from plan_problems import HOUR, MORNING, drive, lane, plan_of, problem, task, with_

from callout_dispatch.planning.check_texts import explain
from callout_dispatch.planning.checker import Code, Violation, check
from callout_dispatch.planning.terms import Lock, Plan, Problem, Rest, Route, Standing, Stock, Stop
from callout_dispatch.policy import Availability, DueDate, MaxTravel, PartsOnVan, Policy
from callout_orders.terms import Priority

MINUTE = 60
RULES = (*Policy().rules, DueDate(), PartsOnVan())
POLICY = Policy(rules=RULES)


def good() -> tuple[Problem, Plan]:
    """Two engineers: one alone with a rest, both together at c, the other after a pick-up and after b."""
    given = problem(
        [
            task(
                "a",
                1,
                priority=Priority.P0,
                windows=((MORNING, MORNING + 30 * MINUTE),),
                due_s=MORNING + 30 * MINUTE,
                skills={"power": 2},
                territory_id="north",
                required=frozenset({"e0"}),
                excluded=frozenset({"e1"}),
                standing=Standing(engineer_ids=("e0",), start_s=MORNING + 20 * MINUTE),
            ),
            task("b", 2),
            task("c", 3, crew=2),
            task("d", 4, follows="b", parts={"fan": 1}),
        ],
        [
            lane(
                "e0:0",
                0,
                skills={"power": 2},
                territory_id="north",
                territories=frozenset({"west"}),
                rests=(Rest(earliest_s=MORNING + 3 * HOUR, latest_s=MORNING + 6 * HOUR, length_s=1_800),),
                visits_max=3,
                work_s_max=3 * HOUR,
            ),
            lane("e1:0", 5, away=((MORNING + 5 * HOUR, MORNING + 6 * HOUR),)),
        ],
        policy=POLICY,
        depots=(Stock(id="d0", place=6, service_s=600, parts={"fan": 1}),),
    )
    return given, plan_of(
        drive(given, "e0:0", ("a", 10), ("b", 80), ("rest", 180, 30), ("c", 220)),
        drive(given, "e1:0", ("d0", 10), ("d", 150), ("c", 220)),
    )


@dataclass
class Work:
    """A problem and a plan, to be spoilt."""

    given: Problem
    plan: Plan

    def stop(self, route: int, number: int, **values: Any) -> None:
        """Other values of one stop."""
        stops = list(self.plan.routes[route].stops)
        stops[number] = msgspec.structs.replace(stops[number], **values)
        self.stops(route, stops)

    def later(self, route: int, number: int, minutes: int) -> None:
        """One stop at another time."""
        stop = self.plan.routes[route].stops[number]
        self.stop(route, number, start_s=stop.start_s + 60 * minutes, end_s=stop.end_s + 60 * minutes)

    def without(self, route: int, number: int) -> Stop:
        """One stop less."""
        stops = list(self.plan.routes[route].stops)
        gone = stops.pop(number)
        self.stops(route, stops)
        return gone

    def stops(self, route: int, stops: list[Stop]) -> None:
        """Other stops of one route."""
        routes = list(self.plan.routes)
        routes[route] = msgspec.structs.replace(routes[route], stops=tuple(stops))
        self.routes(*routes)

    def routes(self, *routes: Route) -> None:
        """Other routes."""
        self.plan = msgspec.structs.replace(self.plan, routes=routes)

    def leave(self, *names: str) -> None:
        """Tasks named as left out."""
        self.plan = msgspec.structs.replace(self.plan, left=plan_of(left=names).left)

    def task(self, number: int, **values: Any) -> None:
        """Other values of one task."""
        tasks = list(self.given.tasks)
        tasks[number] = msgspec.structs.replace(tasks[number], **values)
        self.given = with_(self.given, tasks=tuple(tasks))

    def lane(self, number: int, **values: Any) -> None:
        """Other values of one lane."""
        lanes = list(self.given.lanes)
        lanes[number] = msgspec.structs.replace(lanes[number], **values)
        self.given = with_(self.given, lanes=tuple(lanes))

    def rule(self, rule: Any) -> None:
        """Another rule in place of that of the same kind."""
        rules = tuple(rule if type(one) is type(rule) else one for one in self.given.policy.rules)
        self.given = with_(self.given, policy=Policy(rules=rules))


def _elsewhere(work: Work) -> None:
    standing = Standing(engineer_ids=("e1",), start_s=MORNING)
    work.task(1, standing=standing, lock=Lock.ENGINEER)


def _another_time(work: Work) -> None:
    work.task(1, standing=Standing(engineer_ids=("e0",), start_s=MORNING), lock=Lock.TIME)


def _dropped(work: Work) -> None:
    work.without(0, 1)
    work.leave("b")


def _twice(work: Work) -> None:
    stop = work.plan.routes[0].stops[0]
    work.stops(1, [stop, *work.plan.routes[1].stops])


FAULTS: dict[Code, Callable[[Work], object]] = {
    Code.UNKNOWN_TASK: lambda w: w.stop(0, 0, task_id="nobody's"),
    Code.UNKNOWN_LANE: lambda w: w.routes(
        msgspec.structs.replace(w.plan.routes[0], lane_id="e9:0"), w.plan.routes[1]
    ),
    Code.UNKNOWN_DEPOT: lambda w: w.stop(1, 0, depot_id="d9"),
    Code.LANE_TWICE: lambda w: w.routes(*w.plan.routes, w.plan.routes[0]),
    Code.TASK_TWICE: _twice,
    Code.TASK_LOST: lambda w: w.without(0, 0),
    Code.LEFT_AND_PLANNED: lambda w: w.leave("a"),
    Code.CREW_SHORT: lambda w: w.without(1, 2),
    Code.CREW_APART: lambda w: w.later(1, 2, 1),
    Code.WRONG_LENGTH: lambda w: w.stop(0, 3, end_s=w.plan.routes[0].stops[3].end_s - 60),
    Code.WRONG_TRAVEL: lambda w: w.stop(0, 1, travel_s=599),
    Code.OVERLAP: lambda w: w.later(0, 1, -15),
    Code.TOO_SOON: lambda w: w.later(0, 1, -1),
    Code.OUTSIDE_LANE: lambda w: w.lane(0, end_s=MORNING + 279 * MINUTE),
    Code.BACK_LATE: lambda w: w.lane(0, end_s=MORNING + 309 * MINUTE),
    Code.ABSENT: lambda w: w.lane(0, away=((MORNING + 139 * MINUTE, MORNING + 145 * MINUTE),)),
    Code.BEFORE_NOW: lambda w: setattr(w, "given", with_(w.given, now_s=MORNING + 11 * MINUTE)),
    Code.REST_MISSING: lambda w: w.without(0, 2),
    Code.REST_WRONG: lambda w: w.stop(0, 2, end_s=w.plan.routes[0].stops[2].end_s - 60),
    Code.SKILL: lambda w: w.task(0, skills={"power": 3}),
    Code.TERRITORY: lambda w: w.task(0, territory_id="south"),
    Code.TOO_FAR: lambda w: w.lane(0, travel_s_max=599),
    Code.NOT_REQUIRED: lambda w: w.task(0, required=frozenset({"e7"})),
    Code.EXCLUDED: lambda w: w.task(0, excluded=frozenset({"e0"})),
    Code.OFFLINE: lambda w: w.lane(0, online=False),
    Code.WINDOW: lambda w: w.task(0, windows=((MORNING, MORNING + 9 * MINUTE),)),
    Code.NOT_BEFORE: lambda w: w.task(0, not_before_s=MORNING + 11 * MINUTE),
    Code.DUE: lambda w: w.task(0, due_s=MORNING + 9 * MINUTE),
    Code.WORK_FULL: lambda w: w.lane(0, work_s_max=3 * HOUR - 1),
    Code.VISITS_FULL: lambda w: w.lane(0, visits_max=2),
    Code.PART_SHORT: lambda w: w.stop(1, 0, parts={}),
    Code.PICKUP_FORBIDDEN: lambda w: w.rule(PartsOnVan(pickup=False)),
    Code.DEPOT_SHORT: lambda w: w.stop(1, 0, parts={"fan": 2}),
    Code.FOLLOWS_MISSING: _dropped,
    Code.FOLLOWS_EARLY: lambda w: w.task(3, follows_gap_s=11 * MINUTE),
    Code.LOCK_ENGINEER: _elsewhere,
    Code.LOCK_TIME: _another_time,
}


def test_good_plan_passes() -> None:
    """A checker that finds fault with a good plan would keep every plan from the dispatcher."""
    assert check(*good()) == []


@pytest.mark.parametrize("code", list(Code))
def test_planted_fault_is_found(code: Code) -> None:
    """A fault that passes unseen sends an engineer where they cannot be; each is told in both languages."""
    work = Work(*good())
    FAULTS[code](work)
    found = [violation for violation in check(work.given, work.plan) if violation.code is code]
    assert found
    for locale in ("en", "zh-CN"):
        assert explain(found[0], locale).strip()
    assert explain(found[0], "zh") != explain(found[0], "en") == explain(found[0], "fr")


UNCHECKED = {
    MaxTravel: Code.TOO_FAR,
    DueDate: Code.DUE,
    PartsOnVan: Code.PART_SHORT,
    **{
        type(rule): code
        for rule in RULES
        for code, name in {
            Code.SKILL: "Skills",
            Code.TERRITORY: "TerritoryRule",
            Code.NOT_REQUIRED: "RequiredEngineer",
            Code.EXCLUDED: "ExcludedEngineer",
            Code.WORK_FULL: "Capacity",
            Code.VISITS_FULL: "Capacity",
            Code.OFFLINE: "Online",
        }.items()
        if type(rule).__name__ == name
    },
}


@pytest.mark.parametrize("kind", list(UNCHECKED), ids=lambda kind: str(kind.__name__))
def test_rule_left_out_is_not_checked(kind: type) -> None:
    """An organisation that left a rule out would otherwise never get the plan that it asked for."""
    work = Work(*good())
    FAULTS[UNCHECKED[kind]](work)
    rules = tuple(rule for rule in work.given.policy.rules if type(rule) is not kind)
    given = with_(work.given, policy=Policy(rules=rules))
    assert UNCHECKED[kind] not in {violation.code for violation in check(given, work.plan)}


def test_windows_count_until_both_rules_are_left_out() -> None:
    """Hours of the site and the customer's wish come as one list: one of the rules is enough to hold to it."""
    work = Work(*good())
    FAULTS[Code.WINDOW](work)
    for dropped, expected in (({"VisitingHours"}, True), ({"VisitingHours", "RequestedWindow"}, False)):
        rules = tuple(rule for rule in RULES if type(rule).__name__ not in dropped)
        codes = {one.code for one in check(with_(work.given, policy=Policy(rules=rules)), work.plan)}
        assert (Code.WINDOW in codes) is expected


def _late() -> tuple[Problem, Plan]:
    """On site at x until 10:00 by lock, while y is locked for 9:30."""
    stand = {"lock": Lock.TIME}
    given = problem(
        [
            task("x", 1, standing=Standing(engineer_ids=("e0",), start_s=MORNING + HOUR), **stand),
            task("y", 2, standing=Standing(engineer_ids=("e0",), start_s=MORNING + 90 * MINUTE), **stand),
            task("z", 3),
        ],
        [lane("e0:0")],
    )
    return given, plan_of(drive(given, "e0:0", ("x", 60), ("y", 90), ("z", 160)))


def test_reality_does_not_make_plans_infeasible() -> None:
    """While two locked visits overlap, nobody could plan anything at all."""
    given, plan = _late()
    assert check(given, plan) == []
    standing = check(given, plan, with_standing=True)
    assert {one.code for one in standing} == {Code.OVERLAP, Code.TOO_SOON}
    assert all(one.standing for one in standing)


def test_new_work_next_to_a_standing_fault_is_judged() -> None:
    """What reality broke must not open the door for plans that break more."""
    given, _ = _late()
    plan = plan_of(drive(given, "e0:0", ("x", 60), ("y", 90), ("z", 155)))
    assert [(one.code, one.task_id) for one in check(given, plan)] == [(Code.TOO_SOON, "z")]


def test_a_standing_fault_may_not_get_worse() -> None:
    """Five minutes late already is no leave to squeeze in something more and be an hour late."""
    stand = {"lock": Lock.TIME}
    given = problem(
        [
            task("x", 1, standing=Standing(engineer_ids=("e0",), start_s=MORNING + HOUR), **stand),
            task("y", 2, standing=Standing(engineer_ids=("e0",), start_s=MORNING + 125 * MINUTE), **stand),
            task("z", 7, service_s=MINUTE),
        ],
        [lane("e0:0")],
    )
    assert check(given, plan_of(drive(given, "e0:0", ("x", 60), ("y", 125)), left=["z"])) == []
    found = check(given, plan_of(drive(given, "e0:0", ("x", 60), ("z", 122), ("y", 125))))
    assert {(one.code, one.task_id) for one in found} == {(Code.TOO_SOON, "z"), (Code.TOO_SOON, "y")}


def test_nobody_sets_out_in_the_past() -> None:
    """At nine o'clock a free engineer is at the start of the way, not at its end; who is locked may be on it already."""
    given = problem([task("x", 3)], [lane("e0:0")], now_s=MORNING + HOUR)
    assert check(given, plan_of(drive(given, "e0:0", ("x", 90)))) == []
    assert [v.code for v in check(given, plan_of(drive(given, "e0:0", ("x", 89))))] == [Code.TOO_SOON]
    under_way = Standing(engineer_ids=("e0",), start_s=MORNING + 70 * MINUTE, told=True)
    given = problem([task("x", 3, standing=under_way, lock=Lock.TIME)], [lane("e0:0")], now_s=MORNING + HOUR)
    assert check(given, plan_of(drive(given, "e0:0", ("x", 70))), with_standing=True) == []


def test_one_of_a_crew_brings_the_parts() -> None:
    """The one who leads it, or, until somebody does, the first by id; the other's van is not looked at."""
    values = {"crew": 2, "parts": {"fan": 1}}
    route = [("x", 60)]

    def found(vans: tuple[int, int], **more: Any) -> list[tuple[Code, str | None]]:
        lanes = [lane(f"e{n}:0", van={"fan": count}) for n, count in enumerate(vans)]
        given = problem([task("x", 1, **values, **more)], lanes, policy=POLICY)
        plan = plan_of(*(drive(given, f"e{n}:0", *route) for n in range(2)))
        return [(one.code, one.lane_id) for one in check(given, plan)]

    assert found((1, 0)) == []
    assert found((0, 1)) == [(Code.PART_SHORT, "e0:0")]
    leads = Standing(engineer_ids=("e1", "e0"), start_s=MORNING)
    assert found((0, 1), standing=leads) == []
    assert found((1, 0), standing=leads) == [(Code.PART_SHORT, "e1:0")]


def test_unlocked_visit_may_stay_broken_but_not_get_worse() -> None:
    """A visit that stands outside its window stays the dispatcher's decision; the plan may not move it further out."""
    window = ((MORNING, MORNING + HOUR),)
    given = problem(
        [task("x", 1, windows=window, standing=Standing(engineer_ids=("e0",), start_s=MORNING + 2 * HOUR))],
        [lane("e0:0")],
    )
    assert check(given, plan_of(drive(given, "e0:0", ("x", 120)))) == []
    codes = [one.code for one in check(given, plan_of(drive(given, "e0:0", ("x", 130))))]
    assert codes == [Code.WINDOW]


def test_locked_visit_of_an_engineer_without_shift() -> None:
    """Who is ill has no lane here: that their locked visit cannot be planned is nobody's fault but is told."""
    given = problem(
        [task("x", 1, standing=Standing(engineer_ids=("e7",), start_s=MORNING), lock=Lock.ENGINEER)],
        [lane("e0:0")],
    )
    assert check(given, plan_of(left=["x"])) == []
    assert [one.code for one in check(given, plan_of(left=["x"]), with_standing=True)] == [Code.LOCK_ENGINEER]
    assert check(given, plan_of(drive(given, "e0:0", ("x", 60))))[0].code is Code.LOCK_ENGINEER


def test_way_back_reaches_into_the_next_shift() -> None:
    """An engineer of two shifts is still on the way back from the first when the second begins."""
    given = problem(
        [task("x", 6), task("y", 1)],
        [
            lane("e0:0", end_s=MORNING + 3 * HOUR),
            lane("e0:1", start_s=MORNING + 3 * HOUR, end_s=MORNING + 6 * HOUR),
        ],
        policy=Policy(
            rules=(Availability(overtime_minutes=60), *(r for r in RULES if not isinstance(r, Availability)))
        ),
    )
    one, two = drive(given, "e0:0", ("x", 120)), drive(given, "e0:1", ("y", 190))
    assert {v.code for v in check(given, plan_of(one, two))} == {Code.OVERLAP}
    # The way to y would begin before the way back is over, though y itself would not.
    assert {v.code for v in check(given, plan_of(one, drive(given, "e0:1", ("y", 245))))} == {Code.OVERLAP}
    assert check(given, plan_of(one, drive(given, "e0:1", ("y", 250)))) == []


def test_absence_puts_a_way_off() -> None:
    """A way that would cross an absence is driven before or after it, never through it."""
    given = problem([task("x", 3)], [lane("e0:0", away=((MORNING + 20 * MINUTE, MORNING + 40 * MINUTE),))])
    assert check(given, plan_of(drive(given, "e0:0", ("x", 70)))) == []
    assert [v.code for v in check(given, plan_of(drive(given, "e0:0", ("x", 69))))] == [Code.TOO_SOON]


def test_rest_under_an_absence_is_not_asked_for() -> None:
    """Who is away over all of the lunch hours needs no break then; otherwise their shift could not be planned."""
    rest = Rest(earliest_s=MORNING + 3 * HOUR, latest_s=MORNING + 4 * HOUR, length_s=1_800)
    away = ((MORNING + 3 * HOUR, MORNING + 4 * HOUR - 1_000),)
    given = problem([task("x", 1)], [lane("e0:0", rests=(rest,), away=away)])
    assert check(given, plan_of(drive(given, "e0:0", ("x", 60)))) == []
    given = problem([task("x", 1)], [lane("e0:0", rests=(rest,))])
    assert [v.code for v in check(given, plan_of(drive(given, "e0:0", ("x", 60))))] == [Code.REST_MISSING]


def test_van_serves_two_shifts() -> None:
    """Parts used in the morning are not on the van in the afternoon, and other vans do not count."""
    lanes = [
        lane("e0:0", end_s=MORNING + 3 * HOUR, van={"fan": 1}),
        lane("e0:1", start_s=MORNING + 4 * HOUR, van={"fan": 1}),
        lane("e1:0", van={"fan": 5}),
    ]
    given = problem([task("x", 1, parts={"fan": 1}), task("y", 1, parts={"fan": 1})], lanes, policy=POLICY)
    plan = plan_of(drive(given, "e0:0", ("x", 60)), drive(given, "e0:1", ("y", 300)))
    found = check(given, plan)
    assert [(v.code, v.task_id) for v in found] == [(Code.PART_SHORT, "y")]


def test_every_code_has_its_words() -> None:
    """A code without a sentence would reach the dispatcher as an error instead of a reason."""
    assert set(FAULTS) == set(Code)
    assert explain(Violation(code=Code.BEFORE_NOW, lane_id="e0:0", detail={"what": "rest"}), "zh")
