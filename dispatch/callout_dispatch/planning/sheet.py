"""All tracks of a plan in the making: who may do what, which parts are where, and the best place for one task. Pure.

One plan that is changed in place, for the inserter; the search of the planner "vroom" has `sketch.py`, which says why.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from itertools import pairwise

import msgspec

from callout_dispatch.pick_terms import ReasonCode
from callout_dispatch.planning.check_parts import bearer, vans_at_start
from callout_dispatch.planning.check_times import back_limit_s, free_pieces
from callout_dispatch.planning.cost import MOVED_S_MIN, late_cost_s, move_prices_s, worth_s
from callout_dispatch.planning.reasons import NEVER_S, Compatibility, leg_s_max, work_limits
from callout_dispatch.planning.terms import Left, Plan, Problem, Rest, Route, Stock, Task
from callout_dispatch.planning.timing import Item, Track, Ways, Windows
from callout_dispatch.policy import DueDate, PartsOnVan, RequestedWindow, VisitingHours


class Place(msgspec.Struct, frozen=True):
    """A place for one task in one track: the price of having it there, and the track's items with it.

    `also`: another lane whose pick-up has to take more for it.
    """

    price: float
    index: int
    items: list[Item]
    also: tuple[tuple[int, list[Item]], ...] = ()


class Sheet:
    """A plan in the making. Tasks and lanes go by id, so that the order in which they are given decides nothing.

    `wants`: starts that tasks keep if they can, other than those where they stand (a plan that is being changed).
    """

    def __init__(self, problem: Problem, *, wants: Mapping[str, int] | None = None) -> None:
        self.problem = problem = replace(
            problem,
            tasks=tuple(sorted(problem.tasks, key=lambda task: task.id)),
            lanes=tuple(sorted(problem.lanes, key=lambda lane: lane.id)),
        )
        self.wants = wants or {}
        self.fits = Compatibility(problem)
        rule = problem.policy.rule(PartsOnVan)
        self.parts_count, self.pickup_allowed = rule is not None, rule is not None and rule.pickup
        self.vans = vans_at_start(problem)
        self.depots = {depot.id: depot for depot in problem.depots}
        ways = Ways(memoryview(problem.seconds.data))
        self.tracks = [
            Track(
                lane,
                ways,
                now_s=problem.now_s,
                limit_s=back_limit_s(problem, lane),
                leg_max=leg_s_max(problem, lane),
            )
            for lane in problem.lanes
        ]
        self.limits = [work_limits(problem, lane) for lane in problem.lanes]
        self.by_engineer: dict[str, list[int]] = defaultdict(list)
        for index in sorted(range(len(problem.lanes)), key=lambda n: (problem.lanes[n].start_s, n)):
            self.by_engineer[problem.lanes[index].engineer_id].append(index)
        self.where: dict[str, tuple[int, ...]] = {}
        self.frozen: set[str] = set()
        followed = {task.follows for task in problem.tasks if task.follows is not None}
        self.coupled = {
            task.id for task in problem.tasks if task.crew > 1 or task.follows or task.id in followed
        }
        self.followers: dict[str, list[Task]] = defaultdict(list)
        for task in problem.tasks:
            if task.follows is not None:
                self.followers[task.follows].append(task)
        self._items: dict[tuple[str, int], Item] = {}
        self._lanes: dict[str, list[int]] = {}
        self.kept: dict[tuple[str, int, bool], tuple[int, Place | None]] = {}
        self._keep_shifts_apart()

    def _keep_shifts_apart(self) -> None:
        """One engineer's shifts may touch or overlap: the way back of one ends before the next begins."""
        for indexes in self.by_engineer.values():
            for before, after in pairwise(indexes):
                one, other = self.tracks[before], self.tracks[after]
                other.begin_s = max(other.begin_s, one.lane.end_s)
                one.limit_s = min(one.limit_s, other.begin_s)

    # ------------------------------------------------------------------------------------ items

    def windows(self, task: Task, index: int) -> Windows:
        """When the task may start on that lane: its windows within the shift, from now on, outside absences."""
        lane, policy = self.problem.lanes[index], self.problem.policy
        due = policy.rule(DueDate)
        low = max(lane.start_s, self.problem.now_s, task.not_before_s)
        high = lane.end_s - task.service_s
        if due is not None:
            high = min(high, task.due_s + due.grace_minutes * 60)
        windowed = policy.rule(VisitingHours) is not None or policy.rule(RequestedWindow) is not None
        return starts_within(
            task.windows if windowed else ((low, high),), low, high, task.service_s, lane.away
        )

    def item(self, task: Task, index: int) -> Item:
        """The task as an item of that lane."""
        found = self._items.get((task.id, index))
        if found is None:
            found = self._items[task.id, index] = self._make(task, index)
        return found

    def _make(self, task: Task, index: int) -> Item:
        policy, engineer_id = self.problem.policy, self.problem.lanes[index].engineer_id
        want_s = self.wants.get(task.id, -1)
        item = Item(
            place=task.place,
            length_s=task.service_s,
            windows=self.windows(task, index),
            task=task,
            want_s=want_s,
            flow={part: -count for part, count in task.parts.items()} if self.parts_count else {},
        )
        item.due_s, item.worth_s = task.due_s, float(worth_s(self.problem, task))
        item.half_s = policy.late_minutes_half * 60
        if task.standing is not None:
            another_time, another_engineer = move_prices_s(self.problem, task)
            if engineer_id in task.standing.engineer_ids:
                item.stand_s, item.move_price = task.standing.start_s, another_time
                item.want_s = task.standing.start_s if want_s < 0 else want_s
            else:
                item.fixed_price = another_engineer
        elif want_s >= 0:
            # It stands nowhere yet, but in the plan that is being changed; if it is late there, sooner is better.
            item.stand_s, item.want_s = want_s, min(want_s, task.due_s)
            item.move_price = policy.planning.move_minutes * 60
        return item

    def price_at(self, task: Task, engineer_ids: Collection[str], start_s: int) -> float:
        """What it costs that these engineers do the task then, beside their travel."""
        price = late_cost_s(self.problem, task, start_s)
        if task.standing is not None:
            another_time, another_engineer = move_prices_s(self.problem, task)
            exchanged = len(set(task.standing.engineer_ids).difference(engineer_ids))
            if exchanged:
                price += another_engineer * exchanged
            elif abs(start_s - task.standing.start_s) >= MOVED_S_MIN:
                price += another_time
        return price

    def pinned(
        self, task: Task, index: int, start_s: int, engineer_ids: list[str], *, frozen: bool = False
    ) -> Item:
        """The task at exactly that time, done by these engineers together."""
        flow = {}
        if self.parts_count and bearer(task, engineer_ids) == self.problem.lanes[index].engineer_id:
            flow = {part: -count for part, count in task.parts.items()}
        item = Item(
            place=task.place,
            length_s=task.service_s,
            windows=((start_s, start_s),),
            task=task,
            want_s=start_s,
            frozen=frozen,
            flow=flow,
        )
        item.coupled = True
        return item

    def rest_item(self, rest: Rest, index: int) -> Item | None:
        """The rest as an item; None: there is no time left for it in this shift."""
        lane = self.problem.lanes[index]
        low = max(rest.earliest_s, lane.start_s, self.problem.now_s)
        high = min(rest.latest_s, lane.end_s) - rest.length_s
        windows = starts_within(((low, high),) if low <= high else (), low, high, rest.length_s, lane.away)
        return Item(place=-1, length_s=rest.length_s, windows=windows) if windows else None

    def pickup_item(self, depot: Stock, index: int, parts: Mapping[str, int]) -> Item:
        """A stop at a depot that takes these parts aboard."""
        lane = self.problem.lanes[index]
        low, high = max(lane.start_s, self.problem.now_s), lane.end_s - depot.service_s
        windows = starts_within(((low, high),) if low <= high else (), low, high, depot.service_s, lane.away)
        return Item(
            place=depot.place, length_s=depot.service_s, windows=windows, depot_id=depot.id, flow=parts
        )

    # ------------------------------------------------------------------------------------ who may

    def lanes_for(self, task: Task) -> list[int]:
        """Indexes of the lanes on which nothing forbids the task from the outset."""
        found = self._lanes.get(task.id)
        if found is None:
            codes = self.fits.codes(task)
            found = self._lanes[task.id] = [
                index
                for index, code in enumerate(codes)
                # One of a crew brings the parts: who lacks them may still be one of the others.
                if (code is None or (code is ReasonCode.PART_NOT_ON_VAN and task.crew > 1))
                and self.item(task, index).windows
            ]
        return found

    def has_room(self, task: Task, index: int) -> bool:
        """Whether work and visits of the lane allow one more."""
        works = self.tracks[index].works
        work_s_max, visits_max = self.limits[index]
        if len(works) >= visits_max or self.tracks[index].closed:
            return False
        return work_s_max >= NEVER_S or task.service_s + sum(item.length_s for item in works) <= work_s_max

    # ------------------------------------------------------------------------------------ parts

    def lacking(self, index: int, position: int, parts: Mapping[str, int]) -> dict[str, int]:
        """What the van lacks of these parts before that position, so that everything later still has its own."""
        if not parts or not self.parts_count:
            return {}
        least = self._least(index, position, parts)
        return {part: needed - least[part] for part, needed in parts.items() if least[part] < needed}

    def _least(self, index: int, position: int, parts: Iterable[str]) -> dict[str, int]:
        """The least that the van ever carries of these parts from before that position on."""
        level = Counter(self.vans[self.problem.lanes[index].engineer_id])
        least: dict[str, int] = {}
        for track, at, item in self.van_items(index):
            if track == index and at == position:
                least = {part: level[part] for part in parts}
            if item is None:
                continue
            for part, count in item.flow.items():
                level[part] += count
                if part in least:
                    least[part] = min(least[part], level[part])
        return least

    def van_items(self, index: int) -> Iterator[tuple[int, int, Item | None]]:
        """Lane, position and item of all that this lane's van goes through; None: the end of a lane."""
        for track in self.by_engineer[self.problem.lanes[index].engineer_id]:
            items = self.tracks[track].items
            for at, item in enumerate(items):
                yield track, at, item
            yield track, len(items), None

    def stock_left(self, depot: Stock, part: str) -> int:
        """What the depot still holds after all pick-ups of the plan."""
        taken = sum(
            item.flow.get(part, 0)
            for track in self.tracks
            for item in track.items
            if item.depot_id == depot.id
        )
        return max(0, depot.parts.get(part, 0)) - taken

    # ------------------------------------------------------------------------------------ changes

    def set_items(self, index: int, items: list[Item]) -> None:
        """Other items on a lane: a new track, so that whoever keeps the old one can put it back."""
        self.tracks[index] = self.tracks[index].twin(items)

    def put(self, task: Task, places: Iterable[Place]) -> None:
        """The task where it was found to fit."""
        places = list(places)
        for place in places:
            self.set_items(place.index, place.items)
            for index, items in place.also:
                self.set_items(index, items)
        self.where[task.id] = tuple(place.index for place in places)

    def take(self, task_id: str) -> None:
        """The task out of the plan, and pick-ups that nobody needs any more."""
        for index in self.where.pop(task_id):
            items = [
                item for item in self.tracks[index].items if item.task is None or item.task.id != task_id
            ]
            self.set_items(index, items)
            self._drop_pickups(index)

    def _drop_pickups(self, index: int) -> None:
        """Pick-ups of this engineer become as small as they can be, and vanish where nothing needs them."""
        for track in self.by_engineer[self.problem.lanes[index].engineer_id]:
            for item in [item for item in self.tracks[track].items if item.depot_id is not None]:
                items = self.tracks[track].items
                at = items.index(item)
                least = self._least(track, at + 1, item.flow)
                needed = {part: count - max(0, least[part]) for part, count in item.flow.items()}
                needed = {part: count for part, count in needed.items() if count > 0}
                if needed == dict(item.flow) or item.depot_id is None:
                    continue
                smaller = [self.pickup_item(self.depots[item.depot_id], track, needed)] if needed else []
                self.set_items(track, [*items[:at], *smaller, *items[at + 1 :]])

    def start_of(self, task_id: str) -> int:
        """When a planned task starts."""
        track = self.tracks[self.where[task_id][0]]
        return next(
            start_s
            for item, start_s in zip(track.items, track.starts, strict=True)
            if item.task is not None and item.task.id == task_id
        )

    def total(self) -> float:
        """The cost of the plan as it is, in seconds of travel; the same figure as that of `cost.py`."""
        price = sum(track.cost for track in self.tracks)
        for task in self.problem.tasks:
            if task.id not in self.where:
                price += worth_s(self.problem, task)
            elif task.id in self.coupled or task.id in self.frozen:
                price += self.price_at(task, self.engineers_of(task.id), self.start_of(task.id))
        return price

    def engineers_of(self, task_id: str) -> list[str]:
        """Who does a planned task."""
        return [self.tracks[index].lane.engineer_id for index in self.where[task_id]]

    def plan(self, planner: str) -> Plan:
        """The plan with everything that found no place."""
        routes = []
        for track in self.tracks:
            stops, back_s = track.stops()
            if stops:
                routes.append(Route(lane_id=track.lane.id, stops=stops, back_s=back_s))
        left: tuple[Left, ...] = tuple(
            self.fits.left(task) for task in self.problem.tasks if task.id not in self.where
        )
        return Plan(routes=tuple(routes), left=left, planner=planner)


def starts_within(
    windows: Iterable[tuple[int, int]], low: int, high: int, length_s: int, away: Iterable[tuple[int, int]]
) -> Windows:
    """The starts [first, last] within these windows and [low, high] at which no absence falls into the time it takes."""
    blocked = [(gone - length_s + 1, back) for gone, back in away]
    found = []
    for first, last in windows:
        first, last = max(first, low), min(last, high)
        if first <= last:
            found += [(a, b - 1) for a, b in free_pieces((first, last + 1), blocked)]
    return tuple(found)
