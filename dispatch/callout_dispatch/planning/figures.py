"""A plan in figures that a person reads: travel, work, idle time, lateness, what is left out, who has how much. Pure."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from typing import Final

import msgspec

from callout_dispatch.planning.check_times import free_pieces, place_of
from callout_dispatch.planning.cost import cost
from callout_dispatch.planning.terms import Lane, Plan, Problem, Route
from callout_orders.terms import Priority

AT_RISK_S: Final = 30 * 60
"""A visit that starts less than this before its promise to arrive runs out is at risk."""


class EngineerFigures(msgspec.Struct, frozen=True, kw_only=True):
    """What a plan gives to one engineer over all of their shifts, in minutes; `shift_minutes` without absences."""

    engineer_id: str
    visits: int = 0
    work_minutes: int = 0
    travel_minutes: int = 0
    idle_minutes: int = 0
    shift_minutes: int = 0


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """A whole plan. A crew's visit counts once for each engineer in `engineers` and minutes, once in `visits`.

    `waiting_minutes`: on site before the work may start. `idle_minutes`: what is left of the shifts after work, travel, rests
    and pick-ups, waiting included. `sla_missed`: visits that start after their promise to arrive, by `late_minutes` together;
    `sla_at_risk`: less than half an hour before. `visits_spread`, `work_minutes_spread`: the most that an engineer has, less
    the least. `travel_metres` None: not known.
    """

    visits: int
    travel_minutes: int
    travel_metres: int | None
    work_minutes: int
    waiting_minutes: int
    idle_minutes: int
    late_minutes: int
    sla_missed: int
    sla_at_risk: int
    unassigned: Mapping[Priority, int]
    moved: int
    reassigned: int
    cost: float
    visits_spread: int
    work_minutes_spread: int
    engineers: tuple[EngineerFigures, ...]


class _Time(msgspec.Struct):
    """Seconds of one lane."""

    work: int = 0
    travel: int = 0
    waiting: int = 0
    busy: int = 0
    metres: int = 0
    visits: int = 0


def figures(problem: Problem, plan: Plan) -> Figures:
    """The figures of a plan, all lanes of the problem included, those without work too."""
    routes = {route.lane_id: route for route in plan.routes}
    of_engineer: dict[str, Counter[str]] = defaultdict(Counter)
    total = _Time()
    for lane in problem.lanes:
        time = _time(problem, lane, routes.get(lane.id, Route(lane_id=lane.id)))
        shift_s = sum(last - first for first, last in free_pieces((lane.start_s, lane.end_s), lane.away))
        of_engineer[lane.engineer_id].update(
            visits=time.visits,
            work=time.work,
            travel=time.travel,
            idle=max(0, shift_s - time.busy - time.travel),
            shift=shift_s,
        )
        total.work += time.work
        total.travel += time.travel
        total.waiting += time.waiting
        total.metres += time.metres
    engineers = tuple(
        EngineerFigures(
            engineer_id=name,
            visits=sums["visits"],
            work_minutes=_minutes(sums["work"]),
            travel_minutes=_minutes(sums["travel"]),
            idle_minutes=_minutes(sums["idle"]),
            shift_minutes=_minutes(sums["shift"]),
        )
        for name, sums in sorted(of_engineer.items())
    )
    starts = {stop.task_id: stop.start_s for route in plan.routes for stop in route.stops if stop.task_id}
    slack = [problem.task(name).due_s - start_s for name, start_s in starts.items()]
    left = Counter(task.priority for task in problem.tasks if task.id not in starts)
    price = cost(problem, plan)
    return Figures(
        visits=len(starts),
        travel_minutes=_minutes(total.travel),
        travel_metres=None if problem.metres is None else total.metres,
        work_minutes=_minutes(total.work),
        waiting_minutes=_minutes(total.waiting),
        idle_minutes=_minutes(sum(sums["idle"] for sums in of_engineer.values())),
        late_minutes=_minutes(sum(-spare for spare in slack if spare < 0)),
        sla_missed=sum(spare < 0 for spare in slack),
        sla_at_risk=sum(0 <= spare < AT_RISK_S for spare in slack),
        unassigned={priority: left[priority] for priority in Priority},
        moved=price.moved,
        reassigned=price.reassigned,
        cost=price.total,
        visits_spread=_spread([one.visits for one in engineers]),
        work_minutes_spread=_spread([one.work_minutes for one in engineers]),
        engineers=engineers,
    )


def _time(problem: Problem, lane: Lane, route: Route) -> _Time:
    time = _Time(travel=route.back_s)
    place, free_s = lane.start_place, lane.start_s
    for number, stop in enumerate(route.stops):
        here = place_of(problem, stop)
        time.travel += stop.travel_s
        time.busy += stop.end_s - stop.start_s
        if stop.kind == "task":
            time.work += stop.end_s - stop.start_s
            time.visits += 1
        if number and stop.kind != "rest":
            # Before the first stop nobody waits: one sets out in time.
            time.waiting += max(0, stop.start_s - free_s - stop.travel_s)
        if here is not None:
            time.metres += _metres(problem, place, here)
            place = here
        free_s = stop.end_s
    if route.stops and lane.end_place is not None:
        time.metres += _metres(problem, place, lane.end_place)
    return time


def _metres(problem: Problem, start: int, end: int) -> int:
    return 0 if problem.metres is None else int(problem.metres[start, end])


def _minutes(seconds: int) -> int:
    """Rounded to the nearest minute."""
    return (seconds + 30) // 60


def _spread(values: list[int]) -> int:
    return max(values, default=0) - min(values, default=0)
