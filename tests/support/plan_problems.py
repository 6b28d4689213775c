"""Small problems of planning, made up at random for the laws, and by hand for single cases."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec
import numpy as np
from hypothesis import strategies as st

from callout_dispatch.planning.terms import (
    Lane,
    Left,
    Lock,
    Plan,
    Problem,
    Rest,
    Route,
    Seconds,
    Standing,
    Stock,
    Stop,
    Task,
)
from callout_dispatch.policy import (
    AnyRule,
    Availability,
    DueDate,
    MaxTravel,
    PartsOnVan,
    Policy,
    TerritoryRule,
)
from callout_orders.terms import Priority

HOUR: Final = 3_600
DAY: Final = 24 * HOUR
MORNING: Final = 1_768_464_000 + 8 * HOUR
"""2026-01-15 08:00 UTC: when shifts begin."""
STANDARD_RULES: Final = Policy().rules


@dataclass(frozen=True, kw_only=True)
class Size:
    """How large and how tricky made-up problems are."""

    tasks: int = 7
    engineers: int = 3
    days: int = 2
    crews: bool = True
    follows: bool = True
    parts: bool = True
    rests: bool = True
    absences: bool = True
    standing: bool = True


PLAIN: Final = Size(
    tasks=4, engineers=2, days=1, crews=False, follows=False, parts=False, absences=False, standing=False
)
"""Nothing but places, skills, windows and rests: what a brute force can look through."""


def matrix(points: Sequence[tuple[float, float]], *, seconds_per_unit: float = 1.0) -> Seconds:
    """Ways between points as the crow flies, whole seconds."""
    at = np.array(points, float).reshape(-1, 2)
    ways = np.hypot(at[:, None, 0] - at[None, :, 0], at[:, None, 1] - at[None, :, 1])
    rounded: Seconds = np.rint(ways * seconds_per_unit).astype(np.int32)
    return rounded


def task(id_: str, place: int, **values: Any) -> Task:
    """A task of an hour that may start at any time of the first day."""
    usual: dict[str, Any] = {
        "order_id": f"order-{id_}",
        "service_s": HOUR,
        "windows": ((MORNING - DAY, MORNING + DAY),),
        "due_s": MORNING + DAY,
        "priority": Priority.P2,
    }
    return Task(id=id_, place=place, **(usual | values))


def lane(id_: str, place: int = 0, **values: Any) -> Lane:
    """A shift from 8 to 17 o'clock, from that place and back."""
    usual: dict[str, Any] = {
        "engineer_id": id_.split(":")[0],
        "start_s": MORNING,
        "end_s": MORNING + 9 * HOUR,
        "start_place": place,
        "end_place": place,
    }
    return Lane(id=id_, **(usual | values))


def problem(
    tasks: Sequence[Task], lanes: Sequence[Lane], *, minutes_apart: int = 10, **values: Any
) -> Problem:
    """Places lie on a line, so many minutes apart; now is the beginning of the first shift."""
    last = max([*(one.place for one in tasks), *(one.start_place for one in lanes), 9])
    points = [(60.0 * minutes_apart * n, 0.0) for n in range(last + 1)]
    usual: dict[str, Any] = {"seconds": matrix(points), "now_s": MORNING}
    return Problem(tasks=tuple(tasks), lanes=tuple(lanes), **(usual | values))


def standing_at(plan: Plan, given: Problem, *, told: bool = False) -> Problem:
    """The problem as it is after the plan was accepted: everything in it stands."""
    lanes = {one.id: one.engineer_id for one in given.lanes}
    engineers: dict[str, list[str]] = {}
    starts: dict[str, int] = {}
    for route in plan.routes:
        for stop in route.stops:
            if stop.task_id is not None:
                engineers.setdefault(stop.task_id, []).append(lanes[route.lane_id])
                starts[stop.task_id] = stop.start_s
    tasks = tuple(
        msgspec.structs.replace(
            one,
            standing=Standing(engineer_ids=tuple(engineers[one.id]), start_s=starts[one.id], told=told),
        )
        if one.id in starts
        else msgspec.structs.replace(one, standing=None, lock=Lock.NONE)
        for one in given.tasks
    )
    return with_(given, tasks=tasks)


def with_(given: Problem, **values: Any) -> Problem:
    """The problem with other values."""
    names = ("tasks", "lanes", "seconds", "now_s", "policy", "depots", "metres", "provider")
    return Problem(**({name: getattr(given, name) for name in names} | values))


# ------------------------------------------------------------------------------------------ made up


def made_up(seed: int, size: Size = Size()) -> Problem:
    """A problem from a seed; the same one for the same seed and size."""
    dice = random.Random(f"{seed} {size}")
    engineers = dice.randint(1, size.engineers)
    count = dice.randint(1, size.tasks)
    points = [(dice.uniform(0, 3 * HOUR / 2), dice.uniform(0, HOUR)) for _ in range(count + engineers + 2)]
    depots = tuple(
        Stock(
            id=f"d{n}",
            place=count + engineers + n,
            service_s=600,
            parts={"fan": dice.randint(0, 3), "disk": 1},
        )
        for n in range(dice.randint(0, 2) if size.parts else 0)
    )
    lanes = [made for n in range(engineers) for made in _lanes(dice, n, count + n, size)]
    tasks: list[Task] = []
    for n in range(count):
        tasks.append(_task(dice, n, tasks, lanes, engineers, size))
    return Problem(
        tasks=tuple(tasks),
        lanes=tuple(lanes),
        seconds=matrix(points),
        now_s=MORNING + dice.choice((-HOUR, 0, 0, 2 * HOUR)),
        policy=_policy(dice),
        depots=depots,
    )


def problems(size: Size = Size()) -> st.SearchStrategy[Problem]:
    """Problems for `@given`; shrinks towards small seeds, not small problems."""
    return st.integers(0, 2**32 - 1).map(lambda seed: made_up(seed, size))


def _policy(dice: random.Random) -> Policy:
    rules: list[AnyRule] = [*STANDARD_RULES, PartsOnVan(pickup=dice.random() < 0.8)]
    if dice.random() < 0.3:
        rules.append(DueDate(grace_minutes=dice.choice((0, 60))))
    changed: dict[type, AnyRule] = {
        Availability: Availability(overtime_minutes=dice.choice((0, 0, 30))),
        MaxTravel: MaxTravel(minutes=dice.choice((45, 90, 90))),
        TerritoryRule: TerritoryRule(secondary=dice.random() < 0.7),
    }
    rules = [changed.get(type(rule), rule) for rule in rules]
    if dice.random() < 0.2:
        dropped = dice.choice([rule for rule in rules if not isinstance(rule, Availability)])
        rules.remove(dropped)
    return Policy(rules=tuple(rules))


def _lanes(dice: random.Random, number: int, place: int, size: Size) -> list[Lane]:
    skills = {skill: dice.randint(1, 3) for skill in ("power", "radio") if dice.random() < 0.7}
    van = {part: dice.randint(0, 2) for part in ("fan", "disk") if dice.random() < 0.6}
    speed = dice.choice((1.0, 1.0, 0.8, 1.3))
    territory = dice.choice((None, "north", "south"))
    territories = dice.choice((None, frozenset({"north"}), frozenset({"north", "south"})))
    lanes = []
    for day in range(dice.randint(1, size.days)):
        start = MORNING + day * DAY
        rests: tuple[Rest, ...] = ()
        if size.rests and dice.random() < 0.6:
            rests = (
                Rest(
                    earliest_s=start + 3 * HOUR,
                    latest_s=start + 6 * HOUR,
                    length_s=dice.choice((1_800, 2_700)),
                ),
            )
        away: tuple[tuple[int, int], ...] = ()
        if size.absences and dice.random() < 0.3:
            gone = start + dice.randint(0, 7) * HOUR
            away = ((gone, gone + dice.choice((1, 2, 4)) * HOUR),)
        lanes.append(
            Lane(
                id=f"e{number}:{day}",
                engineer_id=f"e{number}",
                start_s=start,
                end_s=start + 9 * HOUR,
                start_place=place,
                end_place=dice.choice((place, place, None)),
                rests=rests,
                away=away,
                skills=skills,
                territory_id=territory,
                territories=territories,
                visits_max=dice.choice((None, None, 3)),
                work_s_max=dice.choice((None, None, 4 * HOUR)),
                van=van if size.parts else {},
                online=dice.random() < 0.8,
                speed=speed,
            )
        )
    return lanes


def _task(
    dice: random.Random, number: int, before: list[Task], lanes: list[Lane], engineers: int, size: Size
) -> Task:
    day = dice.randrange(size.days)
    first = MORNING + day * DAY + dice.randint(0, 6) * HOUR
    windows = dice.choice(
        (
            ((MORNING - DAY, MORNING + 3 * DAY),),
            ((first, first + 2 * HOUR),),
            ((first, first + HOUR), (first + 3 * HOUR, first + 5 * HOUR)),
        )
    )
    follows = None
    if size.follows and before and dice.random() < 0.2:
        follows = dice.choice(before).id
    crew = dice.randint(1, min(2, engineers)) if size.crews and dice.random() < 0.25 else 1
    standing, lock = None, Lock.NONE
    if size.standing and dice.random() < 0.4:
        engineer_ids = tuple(dice.sample(sorted({one.engineer_id for one in lanes}), crew))
        standing = Standing(engineer_ids=engineer_ids, start_s=first + 900, told=dice.random() < 0.5)
        lock = dice.choice((Lock.NONE, Lock.ENGINEER, Lock.TIME))
    return Task(
        id=f"t{number}",
        order_id=f"o{number}",
        place=number,
        service_s=dice.choice((1_800, HOUR, 2 * HOUR)),
        windows=windows,
        due_s=first + dice.randint(0, 12) * HOUR,
        priority=dice.choice(tuple(Priority)),
        not_before_s=dice.choice((0, 0, first)),
        skills={"power": dice.randint(1, 3)} if dice.random() < 0.5 else {},
        territory_id=dice.choice((None, None, "north", "south")),
        required=frozenset({"e0"}) if dice.random() < 0.1 else frozenset(),
        excluded=frozenset({"e1"}) if dice.random() < 0.1 else frozenset(),
        parts={"fan": dice.randint(1, 2)} if size.parts and dice.random() < 0.3 else {},
        crew=crew,
        follows=follows,
        follows_gap_s=dice.choice((0, 1_800)) if follows else 0,
        standing=standing,
        lock=lock,
    )


# ------------------------------------------------------------------------------------------ plans by hand


def drive(given: Problem, lane_id: str, *stops: tuple[str, int] | tuple[str, int, int]) -> Route:
    """A lane's route; stops are (task, "rest" or a depot's id, minutes after 8 o'clock, and a rest's length in minutes)."""
    on = next(one for one in given.lanes if one.id == lane_id)
    depots = {depot.id: depot for depot in given.depots}
    place, made = on.start_place, []
    for name, minute, *length in stops:
        start_s = MORNING + 60 * minute
        if name == "rest":
            made.append(Stop(kind="rest", start_s=start_s, end_s=start_s + 60 * length[0]))
            continue
        here = depots[name].place if name in depots else given.task(name).place
        service_s = depots[name].service_s if name in depots else given.task(name).service_s
        made.append(
            Stop(
                kind="pickup" if name in depots else "task",
                start_s=start_s,
                end_s=start_s + service_s,
                travel_s=given.way_s(on, place, here),
                task_id=None if name in depots else name,
                depot_id=name if name in depots else None,
                parts=depots[name].parts if name in depots else {},
            )
        )
        place = here
    back_s = 0 if on.end_place is None else given.way_s(on, place, on.end_place)
    return Route(lane_id=lane_id, stops=tuple(made), back_s=back_s)


def plan_of(*routes: Route, left: Sequence[str] = ()) -> Plan:
    """These routes as a plan."""
    return Plan(routes=routes, left=tuple(Left(task_id=name, reasons=()) for name in left), planner="by hand")
