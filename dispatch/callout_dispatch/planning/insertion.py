"""One task into a plan that runs: where, at what price, and whom it touches. Pure.

Nothing but the lanes that take the task changes, and on these only what must give way: stops keep their starts where they
can. With `displace`, visits may be taken out to make room; they are put in elsewhere if that is possible.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from typing import Final

import msgspec

from callout_dispatch.planning.check_times import place_of
from callout_dispatch.planning.checker import Code, check
from callout_dispatch.planning.cost import worth_s
from callout_dispatch.planning.places import Found, best, best_on, with_rests
from callout_dispatch.planning.settle import taken_over
from callout_dispatch.planning.sheet import Sheet
from callout_dispatch.planning.terms import Lock, Plan, Problem, Route, Task
from callout_dispatch.planning.timing import Track
from callout_orders.terms import Priority

TRIED_MAX: Final = 8
"""So many of the most promising displacements are carried through to the end."""


class Move(msgspec.Struct, frozen=True, kw_only=True):
    """A visit that is no longer when or with whom it was; `to_s` None: it lost its place."""

    task_id: str
    from_s: int
    to_s: int | None
    from_engineer_ids: tuple[str, ...]
    to_engineer_ids: tuple[str, ...]

    @property
    def shift_s(self) -> int:
        """By how much it starts later, in seconds; 0 for one that lost its place."""
        return 0 if self.to_s is None else self.to_s - self.from_s


class Insertion(msgspec.Struct, frozen=True, kw_only=True):
    """A task in a plan: the new plan, where the task went, what that costs in seconds of travel, and all whom it touches.

    `displaced` had to give way; each of them is among `moves` too.
    """

    plan: Plan
    task_id: str
    start_s: int
    engineer_ids: tuple[str, ...]
    lane_ids: tuple[str, ...]
    price: float
    moves: tuple[Move, ...]
    displaced: tuple[str, ...]


def insert(
    problem: Problem, plan: Plan, task_id: str, *, displace: Collection[str | Priority] = frozenset()
) -> Insertion | None:
    """The best feasible place for one task of the problem in a plan that does not have it; None: there is none.

    `displace`: ids of tasks, or priorities, whose visits may give way, at most `policy.red_lane.displaced_max` at once.
    By priority only those that nothing locks, by id also those locked to their engineer (who then keeps them, or loses
    them for good); never one that is locked to its time, or that works with or after another.
    """
    starts = {stop.task_id: stop.start_s for route in plan.routes for stop in route.stops if stop.task_id}
    if task_id in starts:
        raise ValueError(f"task {task_id} is in the plan already")
    sheet = Sheet(problem, wants=starts)
    taken_over(sheet, plan)
    task = sheet.problem.task(task_id)
    before = list(sheet.tracks)
    where = dict(sheet.where)
    found = best(sheet, task)
    options: list[tuple[float, int, tuple[str, ...], Found]] = []
    if found is not None:
        options.append((found.price, 0, (), found))
    if displace and task.id not in sheet.coupled:
        options += _displacing(sheet, task, displace)
    options.sort(key=lambda option: option[:3])
    answer: Insertion | None = None
    for price, _, gone, place in options[:TRIED_MAX]:
        if answer is not None and price - sum(_worth(sheet, gone)) >= answer.price:
            continue
        sheet.tracks, sheet.where = list(before), dict(where)
        for name in gone:
            sheet.take(name)
        sheet.put(task, place.places)
        total = price
        for name in gone:
            again = best(sheet, problem.task(name))
            if again is not None:
                sheet.put(problem.task(name), again.places)
                total += again.price - worth_s(problem, problem.task(name))
        if answer is None or total < answer.price:
            tried = _answer(sheet, plan, task, where, starts, gone, total, before)
            if _is_sound(problem, plan, tried):
                answer = tried
    return answer


def _is_sound(problem: Problem, plan: Plan, tried: Insertion) -> bool:
    """Whether nothing is wrong with the new plan that was not wrong with the old one.

    Whoever names a visit to give way lifts its lock.
    """
    wrong = [
        violation
        for violation in check(problem, tried.plan)
        if not (violation.code is Code.LOCK_ENGINEER and violation.task_id in tried.displaced)
    ]
    if not wrong:
        return True
    anyway = {violation.key: violation.amount for violation in check(problem, plan)}
    return all(violation.amount <= anyway.get(violation.key, 0) for violation in wrong)


def remove(problem: Problem, plan: Plan, task_id: str) -> Plan:
    """The plan without one of its tasks, which is not left either: it was called off, or is about to go elsewhere.

    Others keep their starts where they can; ways are told anew, and pick-ups that nothing needs any more vanish. Where no
    day can be driven without the stop (a break would fall before too long a way), `repair` decides what gives way.
    """
    starts = {stop.task_id: stop.start_s for route in plan.routes for stop in route.stops if stop.task_id}
    sheet = Sheet(problem, wants=starts)
    taken_over(sheet, plan)
    before = list(sheet.tracks)
    sheet.take(task_id)
    broken = set()
    for index, (old, new) in enumerate(zip(before, sheet.tracks, strict=True)):
        if new is old or new.timely:
            continue
        rests = [item for item in new.items if item.is_rest]
        mended = with_rests(new.twin([item for item in new.items if not item.is_rest]), rests)
        if mended is None:
            broken.add(new.lane.id)
        else:
            sheet.tracks[index] = mended
    routes = _routes(plan, before, sheet)
    told = {route.lane_id: route for route in plan.routes}
    return msgspec.structs.replace(
        plan,
        routes=tuple(
            _as_told(problem, told[route.lane_id], task_id) if route.lane_id in broken else route
            for route in routes
        ),
    )


def _as_told(problem: Problem, route: Route, task_id: str) -> Route:
    """The route without the task, all else when it was, though that cannot be driven: the way to the next is too long now."""
    lane = next(lane for lane in problem.lanes if lane.id == route.lane_id)
    place, stops = lane.start_place, []
    for stop in route.stops:
        if stop.task_id != task_id:
            here = place_of(problem, stop)
            way_s = 0 if here is None else problem.way_s(lane, place, here)
            stops.append(msgspec.structs.replace(stop, travel_s=way_s))
            place = place if here is None else here
    back_s = 0 if lane.end_place is None else problem.way_s(lane, place, lane.end_place)
    return Route(lane_id=lane.id, stops=tuple(stops), back_s=back_s)


def _routes(plan: Plan, before: list[Track], sheet: Sheet) -> tuple[Route, ...]:
    """The plan's routes with those lanes anew that are not as before."""
    routes = {route.lane_id: route for route in plan.routes}
    for old, new in zip(before, sheet.tracks, strict=True):
        if new is not old:
            stops, back_s = new.stops()
            routes[new.lane.id] = Route(lane_id=new.lane.id, stops=stops, back_s=back_s)
    return tuple(route for route in routes.values() if route.stops)


def _worth(sheet: Sheet, task_ids: Iterable[str]) -> list[float]:
    return [worth_s(sheet.problem, sheet.problem.task(name)) for name in task_ids]


def _displacing(
    sheet: Sheet, task: Task, displace: Collection[str | Priority]
) -> Iterator[tuple[float, int, tuple[str, ...], Found]]:
    """Each way to put the task where others are taken out, as if those found no other place."""
    most = sheet.problem.policy.red_lane.displaced_max
    before, where = list(sheet.tracks), dict(sheet.where)
    for index in sheet.lanes_for(task):
        works = [item.task for item in before[index].works if item.task is not None]
        for first in range(len(works)):
            for gone in (works[first : first + count] for count in range(1, most + 1)):
                if not all(_may_go(sheet, other, displace) for other in gone):
                    break
                for other in gone:
                    if other.id in sheet.where:
                        sheet.take(other.id)
                touched = [n for n, old in enumerate(before) if sheet.tracks[n] is not old]
                if all(sheet.tracks[n].feasible for n in touched) and sheet.has_room(task, index):
                    place = best_on(sheet, task, index)
                    if place is not None:
                        names = tuple(other.id for other in gone)
                        price = place.price + sum(_worth(sheet, names))
                        price += sum(sheet.tracks[n].cost - before[n].cost for n in touched)
                        yield price, len(gone), names, Found(price, (place,))
                sheet.tracks, sheet.where = list(before), dict(where)


def _may_go(sheet: Sheet, task: Task, displace: Collection[str | Priority]) -> bool:
    if task.lock is Lock.TIME or task.id in sheet.coupled or task.id in sheet.frozen:
        return False
    return task.id in displace or (task.lock is Lock.NONE and task.priority in displace)


def _answer(
    sheet: Sheet,
    plan: Plan,
    task: Task,
    where: dict[str, tuple[int, ...]],
    starts: dict[str, int],
    gone: tuple[str, ...],
    price: float,
    before: list[Track],
) -> Insertion:
    routes = _routes(plan, before, sheet)
    left = [one for one in plan.left if one.task_id != task.id]
    left += [sheet.fits.left(sheet.problem.task(name)) for name in gone if name not in sheet.where]
    now = {stop.task_id: stop.start_s for route in routes for stop in route.stops if stop.task_id}
    moves = []
    for name, from_s in starts.items():
        if now.get(name) != from_s or sheet.where.get(name) != where[name]:
            moves.append(
                Move(
                    task_id=name,
                    from_s=from_s,
                    to_s=now.get(name),
                    from_engineer_ids=tuple(before[index].lane.engineer_id for index in where[name]),
                    to_engineer_ids=tuple(sheet.engineers_of(name)) if name in sheet.where else (),
                )
            )
    return Insertion(
        plan=msgspec.structs.replace(plan, routes=routes, left=tuple(left)),
        task_id=task.id,
        start_s=now[task.id],
        engineer_ids=tuple(sheet.engineers_of(task.id)),
        lane_ids=tuple(sheet.tracks[index].lane.id for index in sheet.where[task.id]),
        price=price,
        moves=tuple(sorted(moves, key=lambda move: (move.from_s, move.task_id))),
        displaced=gone,
    )
