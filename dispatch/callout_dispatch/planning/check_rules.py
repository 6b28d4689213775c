"""The feasibility checker's look at the work rules: who may do a task, when, with how many, after what. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from callout_dispatch.planning.check_terms import Booking, Code, Violation, bookings_of, minutes
from callout_dispatch.planning.check_times import place_of
from callout_dispatch.planning.terms import Lane, Lock, Plan, Problem, Route, Task
from callout_dispatch.policy import (
    Capacity,
    DueDate,
    ExcludedEngineer,
    MaxTravel,
    Online,
    RequestedWindow,
    RequiredEngineer,
    Skills,
    TerritoryRule,
    VisitingHours,
)


def check(problem: Problem, plan: Plan, *, base: bool) -> Iterator[Violation]:
    """All violations of rules but those of time and parts. `base`: the plan holds only what stands."""
    bookings = bookings_of(problem, plan)
    for task in problem.tasks:
        planned = bookings.get(task.id, [])
        if not planned:
            continue
        yield from _crew(task, planned)
        for booking in planned:
            yield from who(problem, task, booking.lane)
        yield from _when(problem, task, planned)
        yield from _follows(problem, task, planned, bookings, base=base)
    lanes = {lane.id: lane for lane in problem.lanes}
    for route in plan.routes:
        yield from _legs(problem, lanes[route.lane_id], route)
        yield from _capacity(problem, lanes[route.lane_id], route)


def _crew(task: Task, planned: list[Booking]) -> Iterator[Violation]:
    """Exactly so many different engineers, all at the same time."""
    engineers = {booking.lane.engineer_id for booking in planned}
    if len(planned) > max(task.crew, len(engineers)) or len(engineers) > task.crew:
        yield Violation(code=Code.TASK_TWICE, task_id=task.id, detail={"count": len(planned)})
    if len(engineers) < task.crew:
        detail = {"crew": task.crew, "count": len(engineers)}
        yield Violation(
            code=Code.CREW_SHORT, task_id=task.id, detail=detail, amount=task.crew - len(engineers)
        )
    starts = {booking.stop.start_s for booking in planned}
    if len(starts) > 1:
        yield Violation(code=Code.CREW_APART, task_id=task.id, amount=max(starts) - min(starts))


def who(problem: Problem, task: Task, lane: Lane) -> Iterator[Violation]:
    """Whether this engineer may do it at all."""
    policy = problem.policy
    if policy.rule(Skills):
        for skill, level in sorted(task.skills.items()):
            have = lane.skills.get(skill, 0)
            if have < level:
                detail: dict[str, str | int] = {"what": skill, "level": level, "have": have}
                yield Violation(
                    code=Code.SKILL, task_id=task.id, lane_id=lane.id, detail=detail, amount=level - have
                )
    territory = policy.rule(TerritoryRule)
    if territory and not _works_in(lane, task.territory_id, secondary=territory.secondary):
        yield Violation(
            code=Code.TERRITORY,
            task_id=task.id,
            lane_id=lane.id,
            detail={"territory": str(task.territory_id)},
        )
    if policy.rule(RequiredEngineer) and task.required and lane.engineer_id not in task.required:
        yield Violation(code=Code.NOT_REQUIRED, task_id=task.id, lane_id=lane.id)
    if policy.rule(ExcludedEngineer) and lane.engineer_id in task.excluded:
        yield Violation(code=Code.EXCLUDED, task_id=task.id, lane_id=lane.id)
    online = policy.rule(Online)
    if online and task.priority in online.priorities and not lane.online:
        yield Violation(code=Code.OFFLINE, task_id=task.id, lane_id=lane.id)


def _works_in(lane: Lane, territory_id: str | None, *, secondary: bool) -> bool:
    """A task without a territory fits with any; so does an engineer who has none, neither of their own nor others."""
    if territory_id is None or territory_id == lane.territory_id:
        return True
    if lane.territories is None:
        return secondary or lane.territory_id is None
    return secondary and territory_id in lane.territories


def _when(problem: Problem, task: Task, planned: list[Booking]) -> Iterator[Violation]:
    """Windows, the earliest moment, and the promise to arrive. A task without windows can never start."""
    policy = problem.policy
    for start_s in sorted({booking.stop.start_s for booking in planned}):
        windowed = policy.rule(VisitingHours) or policy.rule(RequestedWindow)
        if windowed and not any(first <= start_s <= last for first, last in task.windows):
            off_s = min(
                (max(first - start_s, start_s - last) for first, last in task.windows), default=86_400
            )
            detail = {"minutes": minutes(off_s)}
            yield Violation(code=Code.WINDOW, task_id=task.id, detail=detail, amount=off_s)
        early_s = task.not_before_s - start_s
        if early_s > 0:
            detail = {"minutes": minutes(early_s)}
            yield Violation(code=Code.NOT_BEFORE, task_id=task.id, detail=detail, amount=early_s)
        due = policy.rule(DueDate)
        late_s = start_s - task.due_s - due.grace_minutes * 60 if due else 0
        if late_s > 0:
            detail = {"minutes": minutes(late_s)}
            yield Violation(code=Code.DUE, task_id=task.id, detail=detail, amount=late_s)


def _follows(
    problem: Problem, task: Task, planned: list[Booking], bookings: dict[str, list[Booking]], *, base: bool
) -> Iterator[Violation]:
    """After its predecessor, and not without it."""
    if task.follows is None:
        return
    detail: dict[str, str | int] = {"other": task.follows}
    before = bookings.get(task.follows, [])
    if not before:
        # A predecessor that stands may not be dropped for the plan's sake; but a locked visit goes on without it.
        if not base or task.lock is not Lock.NONE or problem.task(task.follows).standing is None:
            yield Violation(code=Code.FOLLOWS_MISSING, task_id=task.id, detail=detail)
        return
    earliest_s = max(booking.stop.end_s for booking in before) + task.follows_gap_s
    early_s = earliest_s - min(booking.stop.start_s for booking in planned)
    if early_s > 0:
        detail["minutes"] = minutes(early_s)
        yield Violation(code=Code.FOLLOWS_EARLY, task_id=task.id, detail=detail, amount=early_s)


def _legs(problem: Problem, lane: Lane, route: Route) -> Iterator[Violation]:
    """No way to a stop is longer than allowed. The way back at the end of the day is nobody's visit."""
    rule = problem.policy.rule(MaxTravel)
    if rule is None:
        return
    limit_s = int(rule.minutes * 60) if lane.travel_s_max is None else lane.travel_s_max
    place = lane.start_place
    for stop in route.stops:
        here = place_of(problem, stop)
        if here is None:
            continue
        over_s = problem.way_s(lane, place, here) - limit_s
        if over_s > 0:
            detail: dict[str, str | int] = {
                "minutes": minutes(over_s + limit_s),
                "most": limit_s // 60,
                "what": stop.depot_id or "",
            }
            yield Violation(
                code=Code.TOO_FAR, task_id=stop.task_id, lane_id=lane.id, detail=detail, amount=over_s
            )
        place = here


def _capacity(problem: Problem, lane: Lane, route: Route) -> Iterator[Violation]:
    """Work and visits of one shift, which is what a lane has of a day."""
    rule = problem.policy.rule(Capacity)
    if rule is None:
        return
    works = [stop for stop in route.stops if stop.kind == "task" and stop.task_id is not None]
    work_s = sum(problem.task(stop.task_id).service_s for stop in works if stop.task_id is not None)
    work_s_max = rule.work_minutes_max * 60 if lane.work_s_max is None else lane.work_s_max
    if work_s > work_s_max:
        detail = {"minutes": minutes(work_s), "most": work_s_max // 60}
        yield Violation(code=Code.WORK_FULL, lane_id=lane.id, detail=detail, amount=work_s - work_s_max)
    visits_max = rule.visits_max if lane.visits_max is None else lane.visits_max
    if len(works) > visits_max:
        detail = {"count": len(works), "most": visits_max}
        yield Violation(code=Code.VISITS_FULL, lane_id=lane.id, detail=detail, amount=len(works) - visits_max)
