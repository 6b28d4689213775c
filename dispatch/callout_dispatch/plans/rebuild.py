"""A plan from nothing but who does what when: rests and pick-ups are put where there is room for them. Pure.

So the standing plan becomes one that can be judged, and so what a dispatcher takes of a proposal, together with what stands
by then. Where there is no room, the stop is set all the same: it is the checker who says so.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import msgspec

from callout_dispatch.planning.check_parts import bearer
from callout_dispatch.planning.check_times import free_pieces
from callout_dispatch.planning.checker import home_lane
from callout_dispatch.planning.terms import Lane, Left, Plan, Problem, Rest, Route, Stock, Stop


class Booked(msgspec.Struct, frozen=True, kw_only=True):
    """A task at a time with these engineers; `depot_id` is where parts for it are fetched on the way."""

    task_id: str
    engineer_ids: tuple[str, ...]
    start_s: int
    depot_id: str | None = None


def standing_of(problem: Problem, depots: Mapping[str, str]) -> list[Booked]:
    """What stands in a problem; `depots` by task id."""
    return [
        Booked(
            task_id=task.id,
            engineer_ids=task.standing.engineer_ids,
            start_s=task.standing.start_s,
            depot_id=depots.get(task.id),
        )
        for task in problem.tasks
        if task.standing is not None
    ]


def rebuild(problem: Problem, booked: Iterable[Booked], *, planner: str) -> Plan:
    """The plan in which exactly this is done; the other tasks are left, without reasons. An engineer without a lane is passed
    over, the one nearest in time is taken where no lane has that moment."""
    by_lane: dict[str, list[Booked]] = {}
    lanes = {lane.id: lane for lane in problem.lanes}
    done: set[str] = set()
    for one in booked:
        for engineer_id in one.engineer_ids:
            lane = home_lane(problem, engineer_id, one.start_s)
            if lane is not None:
                by_lane.setdefault(lane.id, []).append(one)
                done.add(one.task_id)
    return Plan(
        routes=tuple(
            _route(problem, lanes[lane_id], sorted(of_one, key=lambda one: (one.start_s, one.task_id)))
            for lane_id, of_one in sorted(by_lane.items())
        ),
        left=tuple(Left(task_id=task.id, reasons=()) for task in problem.tasks if task.id not in done),
        planner=planner,
    )


def _route(problem: Problem, lane: Lane, booked: Sequence[Booked]) -> Route:
    stocks = {depot.id: depot for depot in problem.depots}
    rests = sorted(lane.rests, key=lambda rest: (rest.latest_s, rest.earliest_s))
    stops: list[Stop] = []
    place, free_s = lane.start_place, max(lane.start_s, problem.now_s)
    aboard = Counter(lane.van)
    for n, one in enumerate(booked):
        task = problem.task(one.task_id)
        fetches = one.depot_id is not None and bearer(task, list(one.engineer_ids)) == lane.engineer_id
        depot = stocks.get(one.depot_id) if fetches and one.depot_id is not None else None
        if depot is not None:
            taken = _missing(problem, booked[n:], aboard, depot)
            pickup_s = one.start_s - problem.way_s(lane, depot.place, task.place) - depot.service_s
            way_s = problem.way_s(lane, place, depot.place)
            _rest_before(stops, rests, lane, free_s, pickup_s - way_s)
            stops.append(
                Stop(
                    kind="pickup",
                    start_s=pickup_s,
                    end_s=pickup_s + depot.service_s,
                    travel_s=way_s,
                    depot_id=depot.id,
                    parts=taken,
                )
            )
            aboard.update(taken)
            place, free_s = depot.place, pickup_s + depot.service_s
        way_s = problem.way_s(lane, place, task.place)
        _rest_before(stops, rests, lane, free_s, one.start_s - way_s)
        stops.append(
            Stop(
                kind="task",
                start_s=one.start_s,
                end_s=one.start_s + task.service_s,
                travel_s=way_s,
                task_id=task.id,
            )
        )
        aboard.subtract(task.parts)
        place, free_s = task.place, max(free_s, one.start_s + task.service_s)
    back_s = problem.way_s(lane, place, lane.end_place) if lane.end_place is not None and booked else 0
    _rest_before(stops, rests, lane, free_s, lane.end_s - back_s)
    return Route(lane_id=lane.id, stops=tuple(stops), back_s=back_s)


def _rest_before(stops: list[Stop], rests: list[Rest], lane: Lane, free_s: int, until_s: int) -> None:
    """Take every rest that finds room from `free_s` until one must set out at `until_s`."""
    for rest in list(rests):
        first_s = max(free_s, rest.earliest_s, lane.start_s)
        last_s = min(until_s, rest.latest_s, lane.end_s)
        for start_s, end_s in free_pieces((first_s, last_s), lane.away) if first_s < last_s else ():
            if end_s - start_s >= rest.length_s:
                stops.append(Stop(kind="rest", start_s=start_s, end_s=start_s + rest.length_s))
                rests.remove(rest)
                free_s = start_s + rest.length_s
                break


def _missing(
    problem: Problem, booked: Sequence[Booked], aboard: Counter[str], depot: Stock
) -> dict[str, int]:
    """What the van lacks for this stop and those after it that fetch nothing themselves, as far as the depot has it."""
    needed: Counter[str] = Counter()
    for n, one in enumerate(booked):
        if n and one.depot_id is not None:
            break
        needed.update(problem.task(one.task_id).parts)
    lacking = {part: min(count - aboard[part], depot.parts.get(part, 0)) for part, count in needed.items()}
    return {part: count for part, count in lacking.items() if count > 0}
