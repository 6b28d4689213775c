"""One lane's stops with the slack between them: what fits where, found without trying. Pure.

A track holds its items in order. For each it knows the earliest start that the items before it allow and the latest that
those after it allow; an insertion between two of them is feasible exactly if the new item, started as early as it can be,
lets the next one start no later than its latest (Savelsbergh's slack for time windows, here with several windows, rests and
absences). Between the two, an item starts when it is wanted to (a standing visit: when it stands), else at once.

Frozen items start when they do, whatever is broken by it; nothing is ever put where it would break them further.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import count

from callout_dispatch.planning.cost import MOVED_S_MIN, late_share
from callout_dispatch.planning.terms import Lane, Stop, Task

Windows = tuple[tuple[int, int], ...]
NEVER_S = 1 << 60
_VERSIONS = count(1)


class Item:
    """A task, a rest or a pick-up on a lane; the windows are those in which it may start there. Never changed once made.

    `place` -1: a rest. `want_s` -1: as early as it can be. `flow`: parts into the van (+) and out of it (-).
    """

    __slots__ = (
        "coupled",
        "depot_id",
        "due_s",
        "fixed_price",
        "flow",
        "frozen",
        "half_s",
        "length_s",
        "move_price",
        "place",
        "stand_s",
        "task",
        "want_s",
        "windows",
        "worth_s",
    )

    def __init__(
        self,
        *,
        place: int,
        length_s: int,
        windows: Windows,
        task: Task | None = None,
        depot_id: str | None = None,
        frozen: bool = False,
        want_s: int = -1,
        flow: Mapping[str, int] | None = None,
    ) -> None:
        self.place, self.length_s, self.windows, self.task = place, length_s, windows, task
        self.depot_id, self.frozen, self.want_s, self.flow = depot_id, frozen, want_s, flow or {}
        self.coupled = False
        self.due_s, self.worth_s, self.half_s = NEVER_S, 0.0, 1.0
        self.stand_s, self.move_price, self.fixed_price = -1, 0.0, 0.0

    @property
    def is_rest(self) -> bool:
        return self.place < 0

    def first(self, ready_s: int) -> int:
        """The earliest start from then on; NEVER_S: none."""
        for low, high in self.windows:
            if ready_s <= high:
                return low if ready_s < low else ready_s
        return NEVER_S

    def last(self, by_s: int) -> int:
        """The latest start up to then; -1: none."""
        for low, high in reversed(self.windows):
            if by_s >= low:
                return high if by_s > high else by_s
        return -1

    def price(self, start_s: int) -> float:
        """What lateness and a move cost at this start, in seconds of travel: as in `cost.py`."""
        price = self.fixed_price
        if start_s > self.due_s:
            price += self.worth_s * late_share(start_s - self.due_s, self.half_s)
        if self.move_price and abs(start_s - self.stand_s) >= MOVED_S_MIN:
            price += self.move_price
        return price


class Ways:
    """Seconds from place to place at a lane's speed; a view of the problem's matrix, nothing is copied."""

    __slots__ = ("_seconds",)

    def __init__(self, seconds: memoryview) -> None:
        self._seconds = seconds

    def leg(self, speed: float, start: int, end: int) -> int:
        """Rounded up."""
        way: int = self._seconds[start, end]
        return way if speed == 1.0 else math.ceil(way / speed)


class Fit:
    """Where a chain of items fits: before the item at `position`; `travel_s` is what it adds to the road.

    The last item of the chain may start from `early_s` to `late_s`.
    """

    __slots__ = ("early_s", "late_s", "position", "travel_s")

    def __init__(self, position: int, early_s: int, late_s: int, travel_s: int) -> None:
        self.position, self.early_s, self.late_s, self.travel_s = position, early_s, late_s, travel_s


class Track:
    """A lane's items and their times. After `items` has changed, `refresh`; `version` names the content.

    `cost`: travel, and what is to pay for the starts of its uncoupled tasks, in seconds of travel. `timely`: feasible but
    for ways that may be too long. `closed`: takes no more.
    """

    __slots__ = (
        "at",
        "away",
        "begin_s",
        "closed",
        "cost",
        "early",
        "feasible",
        "free",
        "items",
        "lane",
        "late",
        "leg_max",
        "limit_s",
        "now_s",
        "starts",
        "timely",
        "travel_s",
        "version",
        "ways",
    )

    def __init__(self, lane: Lane, ways: Ways, *, now_s: int, limit_s: int, leg_max: int) -> None:
        self.lane, self.ways, self.now_s = lane, ways, now_s
        self.away = tuple(sorted(lane.away))
        self.begin_s, self.limit_s, self.leg_max = lane.start_s, limit_s, leg_max
        self.closed = False
        self.items: list[Item] = []
        self.refresh()

    # ------------------------------------------------------------------------------------ the clock

    def arrival(self, depart_s: int, way_s: int) -> int:
        """When somebody is there who may set out then; absences do not interrupt a way, they put it off."""
        if way_s:
            for gone, back in self.away:
                if depart_s < back and depart_s + way_s > gone:
                    depart_s = back
        return depart_s + way_s

    def depart_by(self, arrive_s: int, way_s: int) -> int:
        """The latest moment to be free in order to be there then."""
        depart_s = arrive_s - way_s
        if way_s:
            for gone, back in reversed(self.away):
                if depart_s < back and depart_s + way_s > gone:
                    depart_s = gone - way_s
        return depart_s

    def leg(self, start: int, end: int) -> int:
        """Seconds on the road."""
        return self.ways.leg(self.lane.speed, start, end)

    def refresh(self) -> None:
        """Times anew after the items have changed."""
        self.version = next(_VERSIONS)
        items, lane = self.items, self.lane
        place, free_s, travel_s = lane.start_place, self.begin_s, 0
        self.at, self.early, self.free = [], [], []
        self.feasible, far, placed, held = True, False, False, True
        legs = []
        for item in items:
            way_s = 0
            if item.place >= 0:
                way_s = self.leg(place, item.place)
                place, placed = item.place, True
                # A way between two that are frozen is as it is; any other was chosen.
                far = far or (way_s > self.leg_max and not (item.frozen and held))
                held = item.frozen
            legs.append(way_s)
            travel_s += way_s
            early_s = item.first(self.arrival(max(free_s, self.now_s), way_s))
            if item.frozen:
                early_s = item.want_s
            free_s = max(free_s, early_s + item.length_s)
            self.at.append(place)
            self.early.append(early_s)
            self.free.append(free_s)
        home_s = 0 if lane.end_place is None or not placed else self.leg(place, lane.end_place)
        self.travel_s = travel_s + home_s
        until_s = self.depart_by(self.limit_s, home_s)
        self.late = [0] * len(items)
        for n in range(len(items) - 1, -1, -1):
            item = items[n]
            late_s = item.want_s if item.frozen else item.last(until_s - item.length_s)
            if not item.frozen and self.early[n] > late_s:
                self.feasible = False
            self.late[n] = late_s
            until_s = self.depart_by(late_s, legs[n])
        self.timely, self.feasible = self.feasible, self.feasible and not far
        self._choose(legs)
        self.cost = self._price()

    def _choose(self, legs: list[int]) -> None:
        self.starts = []
        free_s = self.begin_s
        for n, item in enumerate(self.items):
            start_s = item.want_s
            if not item.frozen:
                ready_s = self.arrival(max(free_s, self.now_s), legs[n])
                if start_s < ready_s or start_s > self.late[n] or item.first(start_s) != start_s:
                    start_s = item.first(ready_s)
            self.starts.append(start_s)
            free_s = max(free_s, start_s + item.length_s)

    # ------------------------------------------------------------------------------------ what fits

    def fits(self, chain: Sequence[Item], position: int) -> Fit | None:
        """Whether the items, one after the other, fit before that position; the times are those of the last of them."""
        items, lane = self.items, self.lane
        place = self.at[position - 1] if position else lane.start_place
        free_s = self.free[position - 1] if position else self.begin_s
        free_s = max(free_s, self.now_s)
        before, added, early_s = place, 0, 0
        for item in chain:
            way_s = self.leg(place, item.place)
            if way_s > self.leg_max:
                return None
            added += way_s
            early_s = item.first(self.arrival(free_s, way_s))
            if early_s >= NEVER_S:
                return None
            free_s = early_s + item.length_s
            place = item.place
        n, count_ = position, len(items)
        while n < count_ and items[n].place < 0 and not items[n].frozen:
            start_s = items[n].first(free_s)
            if start_s >= NEVER_S:
                return None
            free_s = start_s + items[n].length_s
            n += 1
        if n < count_:
            way_s = self.leg(place, items[n].place)
            if way_s > self.leg_max:
                return None
            added += way_s - self.leg(before, items[n].place)
            until_s = self.late[n]
        else:
            way_s = 0
            if lane.end_place is not None:
                way_s = self.leg(place, lane.end_place)
                added += way_s
                if any(item.place >= 0 for item in items):
                    added -= self.leg(before, lane.end_place)
            until_s = self.limit_s
        if self.arrival(free_s, way_s) > until_s:
            return None
        late_s = self.depart_by(until_s, way_s)
        for rest in reversed(items[position:n]):
            late_s = rest.last(late_s - rest.length_s)
        return Fit(position, early_s, chain[-1].last(late_s - chain[-1].length_s), added)

    def _price(self) -> float:
        """Travel, lateness and moves of this lane's uncoupled items, in seconds of travel."""
        price = float(self.travel_s) if any(item.place >= 0 for item in self.items) else 0.0
        for item, start_s in zip(self.items, self.starts, strict=True):
            if item.task is not None and not item.coupled:
                price += item.price(start_s)
        return price

    def with_chain(self, chain: Sequence[Item], position: int) -> list[Item]:
        """The items as they would be."""
        return [*self.items[:position], *chain, *self.items[position:]]

    def twin(self, items: list[Item]) -> Track:
        """The same lane with other items."""
        other = Track.__new__(Track)
        other.lane, other.ways, other.now_s, other.away = self.lane, self.ways, self.now_s, self.away
        other.begin_s, other.limit_s, other.leg_max = self.begin_s, self.limit_s, self.leg_max
        other.closed, other.items = self.closed, items
        other.refresh()
        return other

    @property
    def works(self) -> list[Item]:
        """The tasks among the items."""
        return [item for item in self.items if item.task is not None]

    def stops(self) -> tuple[tuple[Stop, ...], int]:
        """The stops with their times, and the seconds back; nothing for a lane without tasks."""
        if not any(item.task is not None for item in self.items):
            return (), 0
        place, stops = self.lane.start_place, []
        for item, start_s in zip(self.items, self.starts, strict=True):
            way_s = 0 if item.place < 0 else self.leg(place, item.place)
            place = place if item.place < 0 else item.place
            stops.append(
                Stop(
                    kind="task" if item.task is not None else "pickup" if item.depot_id else "rest",
                    start_s=start_s,
                    end_s=start_s + item.length_s,
                    travel_s=way_s,
                    task_id=item.task.id if item.task is not None else None,
                    depot_id=item.depot_id,
                    parts={} if item.task is not None else dict(item.flow),
                )
            )
        return tuple(stops), 0 if self.lane.end_place is None else self.leg(place, self.lane.end_place)
