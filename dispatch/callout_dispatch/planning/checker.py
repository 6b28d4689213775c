"""Is a plan feasible? Written without a look at any planner, and trusted by none of them: every plan passes here first. Pure.

Each thing that is wrong is one `Violation` with a stable code; `check_texts.explain` puts it into words. Rules that the
problem's policy leaves out are not looked at (windows: if it leaves out both visiting hours and requested windows).

What is broken in reality must not make every plan infeasible: somebody runs late, two locked visits overlap. So a violation
is *standing* if it would be there just as badly were the plan to hold nothing but the visits that stay exactly where they
stand (same engineers, same start). No plan is blamed for those: `check` leaves them out unless asked for them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

import msgspec

from callout_dispatch.planning import check_parts, check_rules, check_times
from callout_dispatch.planning.check_terms import Booking, Code, Violation, bookings_of
from callout_dispatch.planning.terms import Lane, Lock, Plan, Problem, Route, Task

__all__ = ["Code", "Violation", "check", "home_lane"]


def check(problem: Problem, plan: Plan, *, with_standing: bool = False) -> list[Violation]:
    """Everything that is wrong with the plan; empty: feasible. `with_standing`: also what is so in reality anyway."""
    found = list(_unknown(problem, plan))
    plan = _known(problem, plan)
    bookings = bookings_of(problem, plan)
    found += _complete(problem, plan, bookings)
    found += _locks(problem, bookings)
    found += _feasible(problem, plan, plan)
    if found:
        still = _feasible(problem, _unchanged(problem, plan, bookings), plan, base=True)
        anyway: dict[tuple[str, ...], int] = defaultdict(int)
        for violation in still:
            anyway[violation.key] = max(anyway[violation.key], violation.amount)
        found = [
            msgspec.structs.replace(violation, standing=True)
            if violation.amount <= anyway.get(violation.key, 0)
            else violation
            for violation in found
        ]
    return [violation for violation in found if with_standing or not violation.standing]


def _feasible(problem: Problem, plan: Plan, whole: Plan, *, base: bool = False) -> list[Violation]:
    """Times and rules of the plan's stops. `base`: it is what stays of `whole`, without its rests and pick-ups."""
    return [
        *check_times.check(problem, plan, base=base),
        *check_rules.check(problem, plan, base=base),
        *check_parts.check(problem, plan, whole, base=base),
    ]


def home_lane(problem: Problem, engineer_id: str, at_s: int) -> Lane | None:
    """The engineer's lane in which this moment lies, else the one nearest to it; None: no lane here."""
    own = [lane for lane in problem.lanes if lane.engineer_id == engineer_id]
    return min(
        own, key=lambda lane: (max(lane.start_s - at_s, at_s - lane.end_s + 1, 0), lane.id), default=None
    )


# ------------------------------------------------------------------------------------------ what is there at all


def _unknown(problem: Problem, plan: Plan) -> Iterator[Violation]:
    """Tasks, lanes and depots that the problem does not have, and lanes that come twice."""
    lanes = {lane.id for lane in problem.lanes}
    tasks = {task.id for task in problem.tasks}
    depots = {depot.id for depot in problem.depots}
    seen: set[str] = set()
    for route in plan.routes:
        if route.lane_id not in lanes:
            yield Violation(code=Code.UNKNOWN_LANE, lane_id=route.lane_id)
        elif route.lane_id in seen:
            yield Violation(code=Code.LANE_TWICE, lane_id=route.lane_id)
        seen.add(route.lane_id)
        for stop in route.stops:
            if stop.kind == "task" and stop.task_id not in tasks:
                yield Violation(code=Code.UNKNOWN_TASK, task_id=stop.task_id, lane_id=route.lane_id)
            if stop.kind == "pickup" and stop.depot_id not in depots:
                detail = {"what": str(stop.depot_id)}
                yield Violation(code=Code.UNKNOWN_DEPOT, lane_id=route.lane_id, detail=detail)
    for left in plan.left:
        if left.task_id not in tasks:
            yield Violation(code=Code.UNKNOWN_TASK, task_id=left.task_id)


def _known(problem: Problem, plan: Plan) -> Plan:
    """The plan without what `_unknown` found, so that the rest of it can be judged."""
    lanes = {lane.id for lane in problem.lanes}
    tasks = {task.id for task in problem.tasks}
    depots = {depot.id for depot in problem.depots}
    routes: dict[str, Route] = {}
    for route in plan.routes:
        if route.lane_id in lanes and route.lane_id not in routes:
            stops = tuple(
                stop
                for stop in route.stops
                if stop.kind == "rest"
                or (stop.kind == "task" and stop.task_id in tasks)
                or (stop.kind == "pickup" and stop.depot_id in depots)
            )
            routes[route.lane_id] = msgspec.structs.replace(route, stops=stops)
    return msgspec.structs.replace(plan, routes=tuple(routes.values()))


def _complete(problem: Problem, plan: Plan, bookings: dict[str, list[Booking]]) -> Iterator[Violation]:
    """Nothing vanishes: every task is planned or left, and not both."""
    left = [left.task_id for left in plan.left]
    for task in problem.tasks:
        told = left.count(task.id) if task.id in left else 0
        if told + (task.id in bookings) > 1:
            yield Violation(code=Code.LEFT_AND_PLANNED, task_id=task.id)
        elif not told and task.id not in bookings:
            yield Violation(code=Code.TASK_LOST, task_id=task.id)


# ------------------------------------------------------------------------------------------ what stands and stays


def _here(problem: Problem, task: Task) -> set[str]:
    """Those of a standing task's engineers who have a lane in this problem at all."""
    engineers = {lane.engineer_id for lane in problem.lanes}
    return engineers.intersection(task.standing.engineer_ids) if task.standing else set()


def _locks(problem: Problem, bookings: dict[str, list[Booking]]) -> Iterator[Violation]:
    for task in problem.tasks:
        if task.lock is Lock.NONE or task.standing is None:
            continue
        here = _here(problem, task)
        planned = bookings.get(task.id, [])
        if {booking.lane.engineer_id for booking in planned} != here or not here:
            # An engineer without a lane cannot be planned at all: that is so, not this plan's doing.
            yield Violation(code=Code.LOCK_ENGINEER, task_id=task.id, standing=not here and not planned)
        elif task.lock is Lock.TIME and any(
            booking.stop.start_s != task.standing.start_s for booking in planned
        ):
            yield Violation(code=Code.LOCK_TIME, task_id=task.id)


def _unchanged(problem: Problem, plan: Plan, bookings: dict[str, list[Booking]]) -> Plan:
    """Of the plan only the visits that stay exactly as they stand: same engineers, same start, in the lane of that time."""
    staying = set()
    for task in problem.tasks:
        planned = bookings.get(task.id, [])
        if task.standing is None or not planned:
            continue
        start_s = task.standing.start_s
        if {booking.lane.engineer_id for booking in planned} == _here(problem, task) and all(
            booking.stop.start_s == start_s
            and booking.lane == home_lane(problem, booking.lane.engineer_id, start_s)
            for booking in planned
        ):
            staying.add(task.id)
    routes = (
        msgspec.structs.replace(
            route,
            stops=tuple(stop for stop in route.stops if stop.kind == "task" and stop.task_id in staying),
        )
        for route in plan.routes
    )
    return msgspec.structs.replace(plan, routes=tuple(routes))
