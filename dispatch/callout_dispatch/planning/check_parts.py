"""The feasibility checker's look at parts: what each van carries when, and what the depots give out. Pure."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator

from callout_dispatch.planning.check_terms import Code, Violation
from callout_dispatch.planning.terms import Lane, Plan, Problem, Stop, Task
from callout_dispatch.policy import PartsOnVan


def check(problem: Problem, plan: Plan, whole: Plan, *, base: bool) -> Iterator[Violation]:
    """All violations of parts. Pick-ups are always those of `whole`, tasks those of `plan`."""
    rule = problem.policy.rule(PartsOnVan)
    if rule is None:
        return
    lanes = {lane.id: lane for lane in problem.lanes}
    if not base:
        yield from _pickups(problem, plan, allowed=rule.pickup)
    doings: list[tuple[int, int, str, Lane, Stop]] = []
    for route in plan.routes:
        lane = lanes[route.lane_id]
        doings += [(stop.start_s, 1, lane.id, lane, stop) for stop in route.stops if stop.kind == "task"]
    for route in whole.routes:
        lane = lanes[route.lane_id]
        doings += [(stop.end_s, 0, lane.id, lane, stop) for stop in route.stops if stop.kind == "pickup"]
    doings.sort(key=lambda doing: doing[:3])
    vans = vans_at_start(problem)
    crews: dict[str, list[str]] = defaultdict(list)
    for *_, lane, stop in doings:
        if stop.task_id is not None:
            crews[stop.task_id].append(lane.engineer_id)
    for *_, lane, stop in doings:
        van = vans[lane.engineer_id]
        if stop.task_id is None:
            van.update(stop.parts)
            continue
        task = problem.task(stop.task_id)
        if bearer(task, crews[task.id]) != lane.engineer_id:
            continue
        for part, needed in sorted(task.parts.items()):
            short = needed - van[part]
            if short > 0:
                detail: dict[str, str | int] = {"what": part, "have": van[part], "needed": needed}
                yield Violation(
                    code=Code.PART_SHORT, task_id=task.id, lane_id=lane.id, detail=detail, amount=short
                )
            van[part] = max(0, van[part] - needed)


def vans_at_start(problem: Problem) -> dict[str, Counter[str]]:
    """What each engineer's van carries when the first of their lanes begins. Stock below zero counts as none."""
    vans: dict[str, Counter[str]] = {}
    for lane in sorted(problem.lanes, key=lambda lane: (lane.start_s, lane.id)):
        if lane.engineer_id not in vans:
            vans[lane.engineer_id] = Counter({part: max(0, count) for part, count in lane.van.items()})
    return vans


def bearer(task: Task, engineer_ids: list[str]) -> str:
    """Who of a crew brings the parts: the one who leads where it stands, else the first by id."""
    if task.standing is not None and task.standing.engineer_ids[0] in engineer_ids:
        return task.standing.engineer_ids[0]
    return min(engineer_ids)


def _pickups(problem: Problem, plan: Plan, *, allowed: bool) -> Iterator[Violation]:
    """Pick-ups where there are to be none, and depots that give out more than they hold."""
    taken: dict[str, Counter[str]] = defaultdict(Counter)
    for route in plan.routes:
        for stop in route.stops:
            if stop.kind == "pickup" and stop.depot_id is not None:
                taken[stop.depot_id].update(stop.parts)
                if not allowed:
                    detail = {"what": stop.depot_id}
                    yield Violation(code=Code.PICKUP_FORBIDDEN, lane_id=route.lane_id, detail=detail)
    for depot in problem.depots:
        for part, count in sorted(taken[depot.id].items()):
            over = count - max(0, depot.parts.get(part, 0))
            if over > 0:
                detail2: dict[str, str | int] = {"what": f"{depot.id}/{part}", "part": part, "short": over}
                yield Violation(code=Code.DEPOT_SHORT, detail=detail2, amount=over)
