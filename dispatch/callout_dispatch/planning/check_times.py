"""The feasibility checker's look at the clock: ways, shifts, absences, rests, and nobody in two places. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

from callout_dispatch.planning.check_terms import Code, Detail, Violation, minutes
from callout_dispatch.planning.terms import Lane, Lock, Plan, Problem, Rest, Route, Stop
from callout_dispatch.policy import Availability

Stretch = tuple[int, int]


def check(problem: Problem, plan: Plan, *, base: bool) -> Iterator[Violation]:
    """All violations of time. `base`: the routes hold only what stands, and their rests are still to be put in."""
    lanes = {lane.id: lane for lane in problem.lanes}
    by_engineer: dict[str, list[tuple[Lane, Route]]] = defaultdict(list)
    for route in plan.routes:
        lane = lanes[route.lane_id]
        by_engineer[lane.engineer_id].append((lane, route))
        yield from _walk(problem, lane, route, base=base)
        yield from _rests(problem, lane, route, base=base)
    for driven in by_engineer.values():
        yield from _two_places(problem, driven)


def free_pieces(stretch: Stretch, away: Sequence[Stretch]) -> list[Stretch]:
    """What is left of a stretch of time without the absences, sorted; perhaps empty."""
    pieces = []
    first, last = stretch
    for gone, back in sorted(away):
        if back <= first or gone >= last:
            continue
        if gone > first:
            pieces.append((first, gone))
        first = max(first, back)
    if first < last:
        pieces.append((first, last))
    return pieces


def arrival(depart_s: int, way_s: int, away: Sequence[Stretch]) -> int:
    """When somebody is there who may set out at `depart_s`; a way is not interrupted by an absence."""
    if way_s == 0:
        return depart_s
    for gone, back in sorted(away):
        if depart_s < back and depart_s + way_s > gone:
            depart_s = back
    return depart_s + way_s


def place_of(problem: Problem, stop: Stop) -> int | None:
    """Where a stop is; None: a rest, which is where the engineer is."""
    if stop.kind == "task" and stop.task_id is not None:
        return problem.task(stop.task_id).place
    if stop.kind == "pickup":
        return next(depot.place for depot in problem.depots if depot.id == stop.depot_id)
    return None


def _length_s(problem: Problem, stop: Stop) -> int:
    if stop.kind == "task" and stop.task_id is not None:
        return problem.task(stop.task_id).service_s
    if stop.kind == "pickup":
        return next(depot.service_s for depot in problem.depots if depot.id == stop.depot_id)
    return stop.end_s - stop.start_s


def _walk(problem: Problem, lane: Lane, route: Route, *, base: bool) -> Iterator[Violation]:
    """From stop to stop along the lane, and back."""
    place, free_s = lane.start_place, lane.start_s
    for stop in route.stops:
        here = place_of(problem, stop)
        locked = stop.task_id is not None and problem.task(stop.task_id).lock is Lock.TIME
        way_s = 0 if here is None else problem.way_s(lane, place, here)
        if not base and stop.travel_s != way_s:
            yield _wrong(Code.WRONG_TRAVEL, lane, stop, way_s=way_s, told_s=stop.travel_s)
        length_s = _length_s(problem, stop)
        if stop.end_s - stop.start_s != length_s:
            yield _wrong(Code.WRONG_LENGTH, lane, stop, needed=minutes(length_s))
        # Whoever is locked may be on the way already; nobody else sets out before now.
        depart_s = free_s if locked else max(free_s, problem.now_s)
        short_s = arrival(depart_s, way_s, lane.away) - stop.start_s
        if short_s > 0:
            yield _wrong(Code.TOO_SOON, lane, stop, amount=short_s, minutes=minutes(short_s))
        if stop.start_s < problem.now_s and not locked:
            yield _wrong(Code.BEFORE_NOW, lane, stop, amount=problem.now_s - stop.start_s)
        out_s = max(lane.start_s - stop.start_s, stop.end_s - lane.end_s)
        if out_s > 0:
            yield _wrong(Code.OUTSIDE_LANE, lane, stop, amount=out_s, minutes=minutes(out_s))
        gone_s = sum(max(0, min(stop.end_s, back) - max(stop.start_s, gone)) for gone, back in lane.away)
        if gone_s > 0:
            yield _wrong(Code.ABSENT, lane, stop, amount=gone_s, minutes=minutes(gone_s))
        place, free_s = place if here is None else here, stop.end_s
    yield from _back(problem, lane, route, place, free_s, base=base)


def _back(
    problem: Problem, lane: Lane, route: Route, place: int, free_s: int, *, base: bool
) -> Iterator[Violation]:
    if not any(stop.kind != "rest" for stop in route.stops):
        return
    way_s = 0 if lane.end_place is None else problem.way_s(lane, place, lane.end_place)
    if not base and route.back_s != way_s:
        detail: Detail = {"what": "back", "way_s": way_s, "told_s": route.back_s}
        yield Violation(code=Code.WRONG_TRAVEL, lane_id=lane.id, detail=detail)
    late_s = arrival(free_s, way_s, lane.away) - back_limit_s(problem, lane)
    if late_s > 0:
        yield Violation(
            code=Code.BACK_LATE, lane_id=lane.id, detail={"minutes": minutes(late_s)}, amount=late_s
        )


def back_limit_s(problem: Problem, lane: Lane) -> int:
    """When the way back must be over."""
    rule = problem.policy.rule(Availability)
    return lane.end_s + (rule.overtime_minutes * 60 if rule else 0)


# ------------------------------------------------------------------------------------------ rests


def _rests(problem: Problem, lane: Lane, route: Route, *, base: bool) -> Iterator[Violation]:
    """Each rest that is due once, within its stretch, as long as agreed; nothing for a lane without work."""
    works = any(stop.kind == "task" for stop in route.stops)
    open_rests = sorted(lane.rests, key=lambda rest: (rest.latest_s, rest.earliest_s))
    for stop in route.stops:
        if stop.kind != "rest":
            continue
        taken = next((rest for rest in open_rests if _is_taken(rest, stop)), None)
        if taken is None:
            yield _wrong(Code.REST_WRONG, lane, stop, what=str(stop.start_s))
        else:
            open_rests.remove(taken)
    for rest in open_rests:
        if not works or not _is_due(problem, lane, rest):
            continue
        if base and _would_fit(problem, lane, route, rest):
            continue
        detail: Detail = {"what": f"{rest.earliest_s}-{rest.latest_s}", "minutes": minutes(rest.length_s)}
        yield Violation(code=Code.REST_MISSING, lane_id=lane.id, detail=detail)


def _is_taken(rest: Rest, stop: Stop) -> bool:
    return (
        stop.end_s - stop.start_s == rest.length_s
        and rest.earliest_s <= stop.start_s
        and stop.end_s <= rest.latest_s
    )


def _is_due(problem: Problem, lane: Lane, rest: Rest) -> bool:
    """Whether it can be taken at all in what is left of the shift; an absence over all of its stretch takes its place."""
    stretch = (max(rest.earliest_s, lane.start_s, problem.now_s), min(rest.latest_s, lane.end_s))
    return any(last - first >= rest.length_s for first, last in free_pieces(stretch, lane.away))


def _would_fit(problem: Problem, lane: Lane, route: Route, rest: Rest) -> bool:
    """Whether the rest finds room between the route's stops as they are."""
    place, free_s = lane.start_place, max(lane.start_s, problem.now_s)
    for stop in route.stops:
        here = place_of(problem, stop)
        way_s = 0 if here is None else problem.way_s(lane, place, here)
        if _fits_between(lane, rest, free_s, way_s, stop.start_s):
            return True
        place, free_s = place if here is None else here, max(free_s, stop.end_s)
    way_s = 0 if lane.end_place is None else problem.way_s(lane, place, lane.end_place)
    return _fits_between(lane, rest, free_s, way_s, back_limit_s(problem, lane))


def _fits_between(lane: Lane, rest: Rest, free_s: int, way_s: int, until_s: int) -> bool:
    """Whether the rest and then the way find room from `free_s` until `until_s`."""
    stretch = (max(free_s, rest.earliest_s), min(until_s, rest.latest_s, lane.end_s))
    return any(
        last - first >= rest.length_s and arrival(first + rest.length_s, way_s, lane.away) <= until_s
        for first, last in free_pieces(stretch, lane.away)
    )


# ------------------------------------------------------------------------------------------ nobody in two places


def _two_places(problem: Problem, driven: list[tuple[Lane, Route]]) -> Iterator[Violation]:
    """Stops of one engineer that overlap, in one lane or in several; a way back that reaches into the next shift."""
    driven.sort(key=lambda pair: (pair[0].start_s, pair[0].id))
    spans: list[tuple[int, int, Lane, Stop | None]] = []
    for number, (lane, route) in enumerate(driven):
        spans += [(stop.start_s, stop.end_s, lane, stop) for stop in route.stops]
        if route.stops and number:
            first = route.stops[0]
            spans.append((first.start_s - first.travel_s, first.start_s, lane, None))
        if route.stops and lane.end_place is not None and number + 1 < len(driven):
            end_s = route.stops[-1].end_s
            spans.append((end_s, arrival(end_s, route.back_s, lane.away), lane, None))
    spans.sort(key=lambda span: (span[0], span[1], (span[3] and span[3].task_id) or ""))
    until_s, before = -1, ""
    for start_s, end_s, lane, doing in spans:
        over_s = min(until_s, end_s) - start_s
        if over_s > 0:
            detail: dict[str, str | int] = {"minutes": minutes(over_s), "other": before}
            task_id = doing.task_id if doing is not None else None
            yield Violation(code=Code.OVERLAP, task_id=task_id, lane_id=lane.id, detail=detail, amount=over_s)
        if end_s > until_s:
            until_s, before = end_s, (doing.task_id or doing.kind) if doing is not None else "way"


def _wrong(code: Code, lane: Lane, stop: Stop, *, amount: int = 1, **detail: str | int) -> Violation:
    if stop.kind == "pickup":
        detail.setdefault("what", str(stop.depot_id))
    elif stop.kind == "rest":
        detail.setdefault("what", "rest")
    return Violation(code=code, task_id=stop.task_id, lane_id=lane.id, detail=detail, amount=amount)
