"""The planner "vroom": every plan passes the checker; these tests are of what it must also be."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import pytest

from callout_dispatch.planning.checker import Plan, check
from callout_dispatch.planning.cost import cost
from callout_dispatch.planning.terms import Lane, Lock, Problem, Rest, Standing, Stock, Task
from callout_dispatch.planning.vroom_planner import VroomPlanner
from callout_dispatch.planning.vroom_words import Words
from callout_dispatch.policy import (
    STANDARD,
    AnyRule,
    Availability,
    DueDate,
    MaxTravel,
    PartsOnVan,
    Planning,
    Policy,
    Skills,
    VisitingHours,
)
from callout_orders.terms import Priority

MINUTE, HOUR = 60, 3600
DAY = 1_750_032_000
EIGHT = DAY + 8 * HOUR
RULES: tuple[AnyRule, ...] = (*STANDARD.rules, PartsOnVan())


def line(count: int = 12, step_s: int = 10 * MINUTE) -> Any:
    """Places on a road, ten minutes from one to the next."""
    at = np.arange(count)
    return (np.abs(at[:, None] - at) * step_s).astype(np.int32)


def task(name: str, place: int, **more: Any) -> Task:
    given: dict[str, Any] = {
        "id": name,
        "order_id": f"o-{name}",
        "place": place,
        "service_s": 30 * MINUTE,
        "windows": ((EIGHT, EIGHT + 24 * HOUR),),
        "due_s": EIGHT + 48 * HOUR,
        "priority": Priority.P1,
    }
    return Task(**{**given, **more})


def lane(name: str = "li:0", place: int = 0, day: int = 0, **more: Any) -> Lane:
    start_s = EIGHT + day * 24 * HOUR
    given: dict[str, Any] = {
        "id": name,
        "engineer_id": name.split(":")[0],
        "start_s": start_s,
        "end_s": start_s + 9 * HOUR,
        "start_place": place,
        "end_place": place,
    }
    return Lane(**{**given, **more})


def problem(tasks: list[Task], lanes: list[Lane], **more: Any) -> Problem:
    given: dict[str, Any] = {"seconds": line(), "now_s": EIGHT, "policy": Policy(rules=RULES)}
    return Problem(tasks=tuple(tasks), lanes=tuple(lanes), **{**given, **more})


def solved(given: Problem, seconds_max: float = 1.5, seed: int = 1, **how: Any) -> Plan:
    """The plan, already passed by the checker."""
    plan = VroomPlanner(**how).solve(
        given, seconds_max=seconds_max, seed=seed, progress=lambda share, stage: None
    )
    assert check(given, plan) == []
    return plan


def who(plan: Plan) -> dict[str, tuple[str, int]]:
    """Lane and start of each planned task."""
    return {
        stop.task_id: (route.lane_id, stop.start_s)
        for route in plan.routes
        for stop in route.stops
        if stop.task_id is not None
    }


def left(plan: Plan) -> dict[str, dict[str, Any]]:
    """What is left out, with the engineers whom each reason excludes."""
    return {one.task_id: {r.code.value: r.detail.get("engineers") for r in one.reasons} for one in plan.left}


def test_nothing_to_do_and_nobody_to_do_it() -> None:
    """An empty day, or one on which nobody works, would crash the planner's process for that organisation."""
    assert solved(problem([], [lane()])).routes == ()
    assert left(solved(problem([task("a", 1)], []))) == {"a": {"NO_SHIFT": 0}}


def test_a_skill_counts_from_its_level_up() -> None:
    """A level taken for a name would send an apprentice to a high-voltage job, or nobody but exact matches."""
    plan = solved(
        problem(
            [task("a", 1, skills={"hv": 2}), task("b", 1, skills={"hv": 3}), task("c", 1, skills={"gas": 1})],
            [
                lane("low:0", skills={"hv": 1}),
                lane("mid:0", skills={"hv": 2}),
                lane("top:0", skills={"hv": 3}),
            ],
        )
    )
    placed = who(plan)
    assert placed["a"][0] in ("mid:0", "top:0")
    assert placed["b"][0] == "top:0"
    assert left(plan) == {"c": {"SKILL_MISSING": 3}}


def test_reasons_count_engineers_once() -> None:
    """An engineer of three shifts counted three times would tell the dispatcher of people who do not exist."""
    plan = solved(
        problem(
            [task("a", 1, skills={"hv": 3}, required=frozenset())],
            [
                lane("li:0", skills={"hv": 1}),
                lane("li:1", day=1, skills={"hv": 1}),
                lane("wu:0", territory_id="n"),
            ],
        )
    )
    assert left(plan) == {"a": {"SKILL_LEVEL_LOW": 1, "SKILL_MISSING": 1}}


@pytest.mark.parametrize(
    ("more", "reason"),
    (
        ({"excluded": frozenset({"li", "wu"})}, "EXCLUDED"),
        ({"required": frozenset({"he"})}, "OTHER_REQUIRED"),
        ({"territory_id": "south"}, "OTHER_TERRITORY"),
        ({"priority": Priority.P0}, "OFFLINE"),
        ({"windows": ((DAY, DAY + HOUR),)}, "OUTSIDE_VISITING_HOURS"),
        ({"windows": ((EIGHT + 15 * HOUR, EIGHT + 16 * HOUR),)}, "NO_SHIFT"),
        ({"parts": {"fuse": 1}}, "PART_NOT_ON_VAN"),
        ({"place": 11}, "TOO_FAR"),
        ({"service_s": 9 * HOUR}, "SHIFT_FULL"),
    ),
)
def test_why_nobody_does_it(more: dict[str, Any], reason: str) -> None:
    """A visit left out without the true reason cannot be mended by whoever plans."""
    lanes = [lane(f"{name}:0", territories=frozenset({"north"}), online=False) for name in ("li", "wu")]
    plan = solved(problem([task("a", more.pop("place", 1), **more)], lanes))
    assert left(plan) == {"a": {reason: 2}}


def test_windows_are_of_the_start_of_work() -> None:
    """Read as of its end, the last start of a window would be lost, and a short window could never be kept."""
    plan = solved(
        problem(
            [
                task("a", 1, windows=((EIGHT + 2 * HOUR, EIGHT + 2 * HOUR),)),
                task("b", 2, windows=((EIGHT, EIGHT + 1), (EIGHT + 5 * HOUR, EIGHT + 5 * HOUR + 1))),
            ],
            [lane()],
        )
    )
    assert who(plan)["a"] == ("li:0", EIGHT + 2 * HOUR)
    assert who(plan)["b"][1] >= EIGHT + 5 * HOUR


def test_a_break_is_taken_and_told() -> None:
    """Without it people work nine hours on end, against the law."""
    rest = Rest(earliest_s=EIGHT + 3 * HOUR, latest_s=EIGHT + 6 * HOUR, length_s=45 * MINUTE)
    given = problem([task(f"t{n}", n % 3, service_s=HOUR) for n in range(9)], [lane(rests=(rest,))])
    plan = solved(given)
    rests = [stop for stop in plan.routes[0].stops if stop.kind == "rest"]
    assert len(rests) == 1
    assert len(who(plan)) >= 7


def lunch() -> Rest:
    return Rest(earliest_s=EIGHT + 3 * HOUR, latest_s=EIGHT + 6 * HOUR, length_s=45 * MINUTE)


def locked(name: str, place: int, start_s: int, service_s: int) -> Task:
    standing = Standing(engineer_ids=("li",), start_s=start_s, told=True)
    return task(name, place, service_s=service_s, standing=standing, lock=Lock.TIME)


@pytest.mark.parametrize(
    ("start_s", "length_s", "away", "rested"),
    (
        pytest.param(4 * HOUR, 2 * HOUR, (), True, id="before it"),
        pytest.param(3 * HOUR, 75 * MINUTE, (), True, id="behind it"),
        pytest.param(3 * HOUR, 3 * HOUR, (), False, id="no room"),
        pytest.param(5 * HOUR, HOUR, ((3 * HOUR, 4 * HOUR),), True, id="between an absence and it"),
        pytest.param(5 * HOUR, HOUR, ((3 * HOUR, 270 * MINUTE),), False, id="absent too long"),
        pytest.param(230 * MINUTE, HOUR, ((190 * MINUTE, 225 * MINUTE),), True, id="absent, and then behind"),
        pytest.param(
            4 * HOUR, 2 * HOUR, ((190 * MINUTE, 235 * MINUTE),), False, id="on the road in an absence"
        ),
    ),
)
def test_a_locked_visit_takes_no_break_that_has_room(
    start_s: int, length_s: int, away: tuple[tuple[int, int], ...], rested: bool
) -> None:
    """Reality may leave no room for a break, and the plan must stand nonetheless; but a break that has room must be there.

    The checker refuses the plan that leaves such a one out (`solved`), and the dispatcher would have no plan at all.
    """
    stands = locked("a", 1, EIGHT + start_s, length_s)
    absent = tuple((EIGHT + a, EIGHT + b) for a, b in away)
    free = task("b", 2, windows=((EIGHT + 7 * HOUR, EIGHT + 8 * HOUR),))
    plan = solved(problem([stands, free], [lane(rests=(lunch(),), away=absent)]))
    assert who(plan)["a"] == ("li:0", EIGHT + start_s)
    assert "b" in who(plan)
    assert any(stop.kind == "rest" for stop in plan.routes[0].stops) is rested


def test_absences_hold_neither_work_nor_ways() -> None:
    """Somebody at the dentist's at ten would be sent out at ten."""
    away = ((EIGHT + 2 * HOUR, EIGHT + 4 * HOUR),)
    plan = solved(problem([task(f"t{n}", n, service_s=HOUR) for n in range(6)], [lane(away=away)]))
    assert plan.routes
    assert all(start + HOUR <= away[0][0] or start >= away[0][1] for _, start in who(plan).values())


def test_own_speed_start_and_end() -> None:
    """An engineer on a bicycle, or one who goes home elsewhere, would come too late all day."""
    given = problem(
        [task("a", 2, windows=((EIGHT, EIGHT + 40 * MINUTE),))],
        [lane("slow:0", speed=0.5, end_place=5), lane("far:0", place=9)],
    )
    plan = solved(given)
    assert who(plan) == {"a": ("slow:0", EIGHT + 40 * MINUTE)}
    assert plan.routes[0].back_s == HOUR


def test_a_locked_time_stays_even_when_reality_is_late() -> None:
    """A visit under way would be given to somebody else because nobody could be there in time any more."""
    locked = task(
        "a",
        6,
        standing=Standing(engineer_ids=("li",), start_s=EIGHT + 10 * MINUTE, told=True),
        lock=Lock.TIME,
    )
    given = problem([locked, task("b", 7), task("c", 1)], [lane(), lane("wu:0")])
    placed = who(solved(given))
    assert placed["a"] == ("li:0", EIGHT + 10 * MINUTE)
    assert placed["b"][0] == "li:0"


def test_a_locked_engineer_may_get_another_time() -> None:
    """What an engineer was told of must stay theirs; but it may give way to something with a window."""
    told = Standing(engineer_ids=("li",), start_s=EIGHT + HOUR, told=True)
    given = problem(
        [
            task("a", 9, standing=told, lock=Lock.ENGINEER),
            task(
                "b",
                1,
                required=frozenset({"li"}),
                windows=((EIGHT + HOUR, EIGHT + HOUR),),
                priority=Priority.P1,
            ),
        ],
        [lane(), lane("wu:0", place=9)],
    )
    placed = who(solved(given))
    assert placed["a"][0] == placed["b"][0] == "li:0"
    assert placed["b"][1] == EIGHT + HOUR


def test_what_stands_moves_only_for_more_than_it_costs() -> None:
    """Every plan would shuffle everybody's day anew for a minute's gain."""
    stands = {
        "a": ("li", 1, EIGHT + HOUR),
        "b": ("li", 2, EIGHT + 2 * HOUR),
        "c": ("wu", 1, EIGHT + 3 * HOUR),
    }
    tasks = [
        task(name, place, standing=Standing(engineer_ids=(engineer,), start_s=start_s, told=True))
        for name, (engineer, place, start_s) in stands.items()
    ]
    lanes = [lane(), lane("wu:0", place=0)]
    given = problem(tasks, lanes)
    plan = solved(given)
    assert who(plan) == {name: (f"{engineer}:0", start_s) for name, (engineer, _, start_s) in stands.items()}
    assert cost(given, plan).moved == cost(given, plan).reassigned == 0
    # Free of charge, one engineer does it all and the other stays at home.
    free = msgspec.structs.replace(given.policy, planning=Planning(move_minutes=0, engineer_minutes=0))
    assert len(solved(problem(tasks, lanes, policy=free)).routes) == 1


def test_a_standing_plan_that_cannot_be_any_more_is_left_behind() -> None:
    """The solver refuses to begin from an impossible plan with an exception: nothing could be planned on a bad day."""
    rest = Rest(earliest_s=EIGHT + 3 * HOUR, latest_s=EIGHT + 5 * HOUR, length_s=HOUR)
    tasks = [
        task(
            f"t{n}", n, service_s=2 * HOUR, standing=Standing(engineer_ids=("li",), start_s=EIGHT + n * HOUR)
        )
        for n in range(6)
    ]
    plan = solved(problem(tasks, [lane(rests=(rest,)), lane("wu:0", rests=(rest,))]))
    assert len(who(plan)) == 6


def test_lanes_of_one_engineer_share_a_van() -> None:
    """Two days would each spend the one part that is on the van."""
    given = problem(
        [
            task(f"t{n}", 0, parts={"fuse": 1}, windows=((EIGHT + n * 24 * HOUR, EIGHT + n * 24 * HOUR),))
            for n in (1, 2)
        ],
        [lane(f"li:{n}", day=n, van={"fuse": 1}) for n in (1, 2)],
    )
    plan = solved(given)
    assert len(who(plan)) == 1
    assert len(plan.left) == 1


def test_a_missing_part_is_fetched_on_the_way() -> None:
    """Without the way to the depot the engineer stands before the broken machine with empty hands."""
    given = problem(
        [task(f"t{n}", n, parts={"pump": 1}) for n in (3, 4, 5)],
        [lane(van={"pump": 1})],
        depots=(Stock(id="d", place=2, service_s=10 * MINUTE, parts={"pump": 9}),),
    )
    plan = solved(given)
    pickups = [stop for stop in plan.routes[0].stops if stop.kind == "pickup"]
    assert len(who(plan)) == 3
    assert len(pickups) == 1
    assert 2 <= pickups[0].parts["pump"] <= 3


def test_a_depot_gives_out_only_what_it_has() -> None:
    """Two engineers would drive to the depot for the same pump."""
    given = problem(
        [task(f"t{n}", n, parts={"pump": 1}) for n in (3, 4)],
        [lane(), lane("wu:0")],
        depots=(Stock(id="d", place=2, service_s=60, parts={"pump": 1}),),
    )
    assert len(solved(given).left) == 1


def test_a_crew_starts_together() -> None:
    """One would wait at the gate for the other, or lift alone what takes two."""
    given = problem(
        [task("a", 5, crew=2), *(task(f"t{n}", n % 4) for n in range(8))],
        [lane(), lane("wu:0", place=3), lane("he:0", place=6)],
    )
    plan = solved(given)
    lanes = [r.lane_id for r in plan.routes if any(s.task_id == "a" for s in r.stops)]
    assert len(lanes) == len(set(lanes)) == 2
    assert len(who(plan)) == 9
    alone = solved(problem([task("a", 5, crew=2)], [lane()]))
    assert "CREW_INCOMPLETE" in left(alone)["a"]


def test_what_follows_comes_after() -> None:
    """The painter would stand before a wall that is not plastered."""
    plaster = task("plaster", 2, windows=((EIGHT + 4 * HOUR, EIGHT + 9 * HOUR),))
    paint = task("paint", 2, follows="plaster", follows_gap_s=HOUR)
    placed = who(solved(problem([paint, plaster], [lane(), lane("wu:0")])))
    assert placed["paint"][1] >= placed["plaster"][1] + 30 * MINUTE + HOUR
    never = task("plaster", 2, skills={"none": 1})
    assert "PREDECESSOR" in left(solved(problem([paint, never], [lane()])))["paint"]


@pytest.mark.parametrize("due_s", (EIGHT + 5 * MINUTE, EIGHT - 3 * 24 * HOUR, EIGHT - 10 * 365 * 24 * HOUR))
@pytest.mark.parametrize("priority", (Priority.P1, Priority.P2))
def test_late_beats_never_unless_the_policy_says_otherwise(due_s: int, priority: Priority) -> None:
    """A promise that cannot be kept any more must not mean that nobody comes at all; nor less and less, the longer the
    customer has waited already."""
    late = task("a", 5, due_s=due_s, priority=priority)
    assert "a" in who(solved(problem([late], [lane()])))
    strict = Policy(rules=(*RULES, DueDate()))
    assert who(solved(problem([late], [lane()], policy=strict))) == {}


def test_in_time_before_short_ways() -> None:
    """The shorter round would keep the customer waiting whom the promise is about to run out for."""
    tasks = [task(f"t{n}", n, service_s=HOUR) for n in (1, 2, 3)]
    urgent = task("u", 4, service_s=HOUR, due_s=EIGHT + HOUR)
    assert who(solved(problem([*tasks, urgent], [lane()])))["u"][1] <= urgent.due_s


def test_the_precious_goes_first_when_there_is_no_room_for_all() -> None:
    """A server that is down would wait for next week's maintenance."""
    tasks = [task(f"t{n}", 1, service_s=2 * HOUR, priority=Priority.P2) for n in range(5)]
    plan = solved(problem([*tasks, task("u", 8, service_s=2 * HOUR, priority=Priority.P1)], [lane()]))
    assert "u" in who(plan)
    assert plan.left


def test_no_leg_is_longer_than_allowed() -> None:
    """A rule on ways that only holds for the way from home would be none from the second visit on."""
    rules = (Availability(), Skills(), VisitingHours(), MaxTravel(minutes=30))
    policy = Policy(rules=rules, travel_minutes_unknown=30)
    placed = who(
        solved(problem([task("near", 3), task("far", 6), task("lost", 11)], [lane()], policy=policy))
    )
    assert set(placed) == {"near", "far"}


def test_a_longest_way_does_not_overflow_a_large_day() -> None:
    """VROOM adds up 32 bits: from some hundred visits on, ways that nobody may drive left the dispatcher without any plan."""
    policy = Policy(
        rules=(*(rule for rule in RULES if not isinstance(rule, MaxTravel)), MaxTravel(minutes=40))
    )
    tasks = [task(f"t{n}", n % 12, service_s=10 * MINUTE) for n in range(600)]
    lanes = [lane(f"e{n}:0", place=n % 12) for n in range(20)]
    plan = solved(problem(tasks, lanes, policy=policy), seconds_max=2.0, exploration=0, search=False)
    assert len(who(plan)) > 400


def test_the_same_seed_gives_the_same_plan(monkeypatch: pytest.MonkeyPatch) -> None:
    """A plan that cannot be had again cannot be explained either: what is ours in it must not be left to chance."""
    answered: list[Any] = []
    ask = Words.solve

    def remembered(self: Words, **given: Any) -> Any:
        answered.append(ask(self, **given) if not answered else answered[0])
        return answered[-1]

    # VROOM itself answers differently now and then.
    monkeypatch.setattr(Words, "solve", remembered)
    rng = np.random.default_rng(3)
    tasks = [task(f"t{n}", int(rng.integers(12)), service_s=int(rng.integers(2, 8)) * 600) for n in range(25)]
    given = problem(tasks, [lane(), lane("wu:0", place=5), lane("he:0", place=9)])
    # So few steps, and so much time, that no clock decides.
    first, second = (solved(given, seconds_max=600.0, seed=7, exploration=1, steps=150) for _ in range(2))
    assert first == second
    assert len(answered) == 2
    assert len(who(first)) > 20


def test_plans_do_not_get_worse_by_standing_in_them() -> None:
    """Planning again from the last plan, with nothing new, must not cost anything."""
    rng = np.random.default_rng(5)
    tasks = [task(f"t{n}", int(rng.integers(12)), service_s=int(rng.integers(2, 8)) * 600) for n in range(30)]
    lanes = [lane(), lane("wu:0", place=5), lane("he:0", place=9)]
    first = problem(tasks, lanes)
    plan = solved(first)
    placed = who(plan)
    again = [
        msgspec.structs.replace(
            one, standing=Standing(engineer_ids=(placed[one.id][0].split(":")[0],), start_s=placed[one.id][1])
        )
        if one.id in placed
        else one
        for one in tasks
    ]
    second = problem(again, lanes)
    assert cost(second, solved(second)).total <= cost(first, plan).total + 1


def test_a_locked_visit_is_not_given_up_for_an_urgent_one() -> None:
    """An engineer was told of a visit and it is gone, because something more urgent has come in."""
    told = task(
        "told",
        1,
        priority=Priority.P2,
        service_s=8 * HOUR,
        windows=((EIGHT, EIGHT + HOUR),),
        standing=Standing(engineer_ids=("li",), start_s=EIGHT + 10 * MINUTE, told=True),
        lock=Lock.ENGINEER,
    )
    urgent = task("urgent", 2, priority=Priority.P0, windows=((EIGHT, EIGHT + HOUR),))
    given = problem([told, urgent], [lane()])
    assert list(left(solved(given))) == ["urgent"]
