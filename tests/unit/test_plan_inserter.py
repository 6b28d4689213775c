"""The inserter by hand-made cases: what goes where, who gives way, and what a repaired day looks like."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest
from plan_problems import HOUR, MORNING, drive, lane, plan_of, problem, standing_at, task, with_

from callout_dispatch.planning.checker import check
from callout_dispatch.planning.figures import figures
from callout_dispatch.planning.inserter import InserterPlanner, insert, remove, repair, standing_plan
from callout_dispatch.planning.terms import Lock, Plan, Problem, Rest, Standing, Stock
from callout_dispatch.policy import PartsOnVan, Policy, RedLane
from callout_orders.terms import Priority

MINUTE = 60


def solve(given: Problem) -> Plan:
    """What the planner answers in its smallest number of rounds."""
    return InserterPlanner().solve(given, seconds_max=0.5, seed=1, progress=lambda part, stage: None)


def starts(plan: Plan) -> dict[str, int]:
    """Minutes after 8 o'clock by task."""
    return {
        stop.task_id: (stop.start_s - MORNING) // MINUTE
        for route in plan.routes
        for stop in route.stops
        if stop.task_id
    }


def test_urgent_task_goes_between_and_nobody_moves() -> None:
    """With room in the day, nobody who was told a time hears of another one."""
    given = problem([task("a", 1), task("b", 3), task("u", 2, priority=Priority.P0)], [lane("e0:0")])
    plan = plan_of(drive(given, "e0:0", ("a", 60), ("b", 240)), left=["u"])
    answer = insert(given, plan, "u")
    assert answer is not None
    assert starts(answer.plan) == {"a": 60, "b": 240, "u": 130}
    assert (answer.moves, answer.displaced, answer.engineer_ids) == ((), (), ("e0",))
    assert check(given, answer.plan) == []
    assert answer.plan.left == ()


def test_those_who_give_way_are_named() -> None:
    """A visit that starts later because of the urgent one must be named, or its customer is never told."""
    window = ((MORNING, MORNING + 70 * MINUTE),)
    given = problem([task("a", 1), task("u", 1, windows=window)], [lane("e0:0")])
    answer = insert(given, plan_of(drive(given, "e0:0", ("a", 10)), left=["u"]), "u")
    assert answer is not None
    assert starts(answer.plan) == {"a": 10, "u": 70}
    given = problem([task("a", 1), task("u", 1, windows=((MORNING, MORNING + 20 * MINUTE),))], [lane("e0:0")])
    answer = insert(given, plan_of(drive(given, "e0:0", ("a", 10)), left=["u"]), "u")
    assert answer is not None
    assert [(move.task_id, move.shift_s) for move in answer.moves] == [("a", HOUR)]


def test_no_room_without_displacing() -> None:
    """A visit locked to its time keeps it; only what the policy names gives way, and never more than it allows."""
    narrow = ((MORNING + 10 * MINUTE, MORNING + 20 * MINUTE),)
    tasks = [task("a", 1, windows=narrow), task("u", 1, windows=narrow, priority=Priority.P0)]
    given = problem(tasks, [lane("e0:0")])
    plan = plan_of(drive(given, "e0:0", ("a", 10)), left=["u"])
    assert insert(given, plan, "u") is None
    assert insert(given, plan, "u", displace={Priority.P1}) is None
    answer = insert(given, plan, "u", displace={Priority.P2})
    assert answer is not None
    assert answer.displaced == ("a",)
    assert [(move.task_id, move.to_s) for move in answer.moves] == [("a", None)]
    assert [left.task_id for left in answer.plan.left] == ["a"]
    nobody = with_(given, policy=Policy(red_lane=RedLane(displaced_max=0)))
    assert insert(nobody, plan, "u", displace={Priority.P2}) is None
    told = with_(standing_at(plan, given))
    for lock, by_priority, by_id in ((Lock.ENGINEER, False, True), (Lock.TIME, False, False)):
        locked = with_(told, tasks=(msgspec.structs.replace(told.tasks[0], lock=lock), told.tasks[1]))
        assert (insert(locked, plan, "u", displace={Priority.P2}) is not None) is by_priority
        assert (insert(locked, plan, "u", displace={"a"}) is not None) is by_id


def test_displaced_visit_goes_elsewhere() -> None:
    """Who had to give way gets the next best engineer instead of being forgotten."""
    narrow = ((MORNING + 10 * MINUTE, MORNING + 40 * MINUTE),)
    tasks = [task("a", 1, windows=narrow), task("u", 1, windows=narrow, required=frozenset({"e0"}))]
    given = problem(tasks, [lane("e0:0"), lane("e1:0", 3)])
    plan = plan_of(drive(given, "e0:0", ("a", 10)), left=["u"])
    answer = insert(given, plan, "u", displace={"a"})
    assert answer is not None
    assert [(move.task_id, move.to_engineer_ids) for move in answer.moves] == [("a", ("e1",))]
    assert check(given, answer.plan) == []


def test_task_of_the_plan_is_refused() -> None:
    """Put in twice, it would stand in two places."""
    given = problem([task("a", 1)], [lane("e0:0")])
    with pytest.raises(ValueError, match="in the plan already"):
        insert(given, plan_of(drive(given, "e0:0", ("a", 10))), "a")


def test_pick_up_on_the_way() -> None:
    """Without the part on the van the visit would be for nothing: the depot comes first, as far as it has stock."""
    depot = Stock(id="d0", place=3, service_s=600, parts={"fan": 1})
    policy = Policy(rules=(*Policy().rules, PartsOnVan()))
    tasks = [task("a", 1, parts={"fan": 1}), task("b", 2, parts={"fan": 1})]
    given = problem(tasks, [lane("e0:0")], depots=(depot,), policy=policy)
    plan = solve(given)
    assert check(given, plan) == []
    assert [stop.kind for stop in plan.routes[0].stops] == ["pickup", "task"]
    assert len(plan.left) == 1
    two = with_(given, depots=(msgspec.structs.replace(depot, parts={"fan": 2}),))
    plan = solve(two)
    assert [stop.kind for stop in plan.routes[0].stops] == ["pickup", "task", "task"]
    less = remove(two, plan, "a")
    assert [dict(stop.parts) for stop in less.routes[0].stops if stop.kind == "pickup"] == [{"fan": 1}]


def test_crew_and_what_follows() -> None:
    """Two engineers lift together, and the acceptance comes after the installation."""
    tasks = [task("lift", 3, crew=2), task("accept", 3, follows="lift", follows_gap_s=1_800)]
    given = problem(tasks, [lane("e0:0"), lane("e1:0", 6)])
    plan = solve(given)
    assert check(given, plan) == []
    assert plan.left == ()
    found = starts(plan)
    assert found["accept"] >= found["lift"] + 90


def test_late_engineer_is_mended() -> None:
    """Still on site an hour after the plan said: what follows moves or goes to others, and the locked stay."""
    tasks = [
        task(
            "x",
            1,
            service_s=3 * HOUR,
            standing=Standing(engineer_ids=("e0",), start_s=MORNING),
            lock=Lock.TIME,
        ),
        task("y", 2, windows=((MORNING, MORNING + 2 * HOUR),)),
        task("z", 2),
    ]
    given = problem(tasks, [lane("e0:0"), lane("e1:0", 4)], now_s=MORNING + HOUR)
    plan = plan_of(drive(given, "e0:0", ("x", 0), ("y", 70), ("z", 140)))
    mended = repair(given, plan)
    assert check(given, mended) == []
    assert mended.left == ()
    found = starts(mended)
    assert found["x"] == 0
    assert found["z"] >= 180


def test_standing_plan_keeps_what_stands() -> None:
    """The plan that is compared with must be the one that people drive."""
    given = problem([task("a", 1), task("b", 3), task("c", 5)], [lane("e0:0")])
    plan = plan_of(drive(given, "e0:0", ("a", 60), ("b", 240)), left=["c"])
    stands = standing_at(plan, given)
    assert starts(standing_plan(stands)) == {"a": 60, "b": 240}
    again = starts(solve(stands))
    assert {name: again[name] for name in ("a", "b")} == {"a": 60, "b": 240}
    assert "c" in again


@pytest.mark.parametrize(
    ("tasks", "lanes"),
    ((0, 0), (0, 2), (3, 0)),
)
def test_nothing_to_plan(tasks: int, lanes: int) -> None:
    """A day without visits or without engineers is a day like any other."""
    given = problem([task(f"t{n}", n) for n in range(tasks)], [lane(f"e{n}:0") for n in range(lanes)])
    plan = solve(given)
    assert check(given, plan) == []
    assert len(plan.left) == tasks


def test_figures_of_a_day() -> None:
    """The dispatcher weighs plans by these figures: each is reckoned here by hand."""
    rest = Rest(earliest_s=MORNING + 3 * HOUR, latest_s=MORNING + 6 * HOUR, length_s=1_800)
    tasks = [
        task("a", 1, due_s=MORNING + 5 * MINUTE),
        task("b", 3, due_s=MORNING + 4 * HOUR + 10 * MINUTE),
        task("c", 5, priority=Priority.P1),
    ]
    metres = np.full((10, 10), 1_000, np.int32)
    given = problem(tasks, [lane("e0:0", rests=(rest,)), lane("e1:0", 9)], metres=metres)
    plan = plan_of(drive(given, "e0:0", ("a", 10), ("rest", 180, 30), ("b", 240)), left=["c"])
    assert check(given, plan) == []
    found = figures(given, plan)
    assert (found.visits, found.travel_minutes, found.travel_metres) == (2, 60, 3_000)
    assert (found.work_minutes, found.waiting_minutes) == (120, 10)
    assert found.idle_minutes == 2 * 540 - 120 - 60 - 30
    assert (found.sla_missed, found.late_minutes, found.sla_at_risk) == (1, 5, 1)
    assert found.unassigned == {Priority.P0: 0, Priority.P1: 1, Priority.P2: 0}
    assert (found.visits_spread, found.work_minutes_spread) == (2, 120)
    after = figures(
        given,
        plan_of(
            drive(given, "e0:0", ("a", 10), ("rest", 180, 30), ("b", 240)), drive(given, "e1:0", ("c", 60))
        ),
    )
    days = [(one.engineer_id, one.visits, one.travel_minutes) for one in after.engineers]
    assert days == [("e0", 2, 60), ("e1", 1, 80)]
    assert after.work_minutes == found.work_minutes + 60
    assert figures(with_(given, metres=None), plan).travel_metres is None
