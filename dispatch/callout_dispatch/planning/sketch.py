"""A problem as plain numbers, and tours that are timed and priced: what the planners search with. Pure.

A token is a task's index, or, from `Sketch.depot0` on, a visit to a depot where everything is taken aboard that the later
tasks of that tour need. A tour is a lane's tokens in order; it never changes, a changed one is a new one. Its price is that
of `cost.py` (travel, lateness, moves), so that the sum over all tours and the tasks left out is what a plan costs.

How a tour is timed: everything as early as it may be, but a standing task waits for the time it was told, as long as all
later ones stay possible. Rests are taken before setting out, as late as they may be; where that fails, as early.

The inserter has a picture of its own (`sheet.py`, `timing.py`), on purpose: it changes one plan in place, may displace what
stands, and tells what stood against it. This one holds thousands of tours that never change. The checker judges both.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from callout_dispatch.planning import spots
from callout_dispatch.planning.cost import MOVED_S_MIN, late_cost_s, move_prices_s, worth_s
from callout_dispatch.planning.pauses import Pauses
from callout_dispatch.planning.reasons import NEVER_S, Compatibility, start_windows
from callout_dispatch.planning.rows import Row, Tour
from callout_dispatch.planning.terms import Lock, Problem, Route, Stop
from callout_dispatch.policy import PartsOnVan

LISTED_PLACES_MAX: Final = 1_200
"""Up to here a matrix is kept as lists, which are read faster; above, as it is."""
TOURS_KEPT_MAX: Final = 60_000
"""So many timed tours are remembered before all are forgotten: a search meets most of them again and again."""

LOCKED_FACTOR: Final = 1_000
"""A task that is locked is worth so many times what it is without a lock."""


class Sketch:
    """A problem in numbers. `fixed`: starts of tasks that are not moved; `real` are those among them that reality has
    fixed, so that coming late to one, straight from another or from the start of the shift, breaks no rule.

    `waiting`: what a second of waiting costs, beside a second on the road: 1 makes the length of working days small.
    """

    def __init__(self, problem: Problem, *, waiting: float = 0.0) -> None:
        self.problem, self.waiting = problem, waiting
        self.compatibility = Compatibility(problem)
        rule = problem.policy.rule(PartsOnVan)
        names = {part for task in problem.tasks for part in task.parts} if rule else set()
        self.parts = tuple(sorted(names))
        self.pickup = bool(rule and rule.pickup and problem.depots)
        engineers = {
            name: n for n, name in enumerate(dict.fromkeys(row.engineer_id for row in problem.lanes))
        }
        ways = {lane.speed: self._ways(lane.speed) for lane in problem.lanes}
        self.rows = [
            Row(problem, lane, ways[lane.speed], engineers[lane.engineer_id], self.parts)
            for lane in problem.lanes
        ]
        self.rows_of: dict[int, list[int]] = {}
        for n in sorted(range(len(self.rows)), key=lambda n: (self.rows[n].open_s, self.rows[n].lane.id)):
            own = self.rows_of.setdefault(self.rows[n].engineer, [])
            own.append(n)
            self.rows[n].van = self.rows[own[0]].van
        self.stretched = waiting > 0 or self.pickup
        self.depot0 = len(problem.tasks)
        self.fixed: dict[int, int] = {}
        self.real: set[int] = set()
        self.allowed: list[list[int]] = []
        tasks, depots = problem.tasks, problem.depots
        self.places = [task.place for task in tasks] + [depot.place for depot in depots]
        self.service_s = [task.service_s for task in tasks] + [depot.service_s for depot in depots]
        anytime = ((problem.now_s, NEVER_S),)
        self.windows = [start_windows(problem, task) for task in tasks] + [anytime for _ in depots]
        self.due_s = [task.due_s for task in tasks] + [NEVER_S for _ in depots]
        # What is locked is not given up for anything, however urgent.
        self.worth_s = [
            worth_s(problem, task) * (1 if task.lock is Lock.NONE else LOCKED_FACTOR) for task in tasks
        ]
        self.needs = [self._need(task.parts) for task in tasks] + [None for _ in depots]
        self.stock = [tuple(depot.parts.get(part, 0) for part in self.parts) for depot in depots]
        self.standing: list[tuple[frozenset[int], int, float, float] | None] = [None] * (
            len(tasks) + len(depots)
        )
        for n, task in enumerate(tasks):
            self.allowed.append(self.compatibility.lanes(task))
            if task.standing is not None:
                stood = frozenset(engineers[name] for name in task.standing.engineer_ids if name in engineers)
                self.standing[n] = (stood, task.standing.start_s, *move_prices_s(problem, task))
        # The single window of what is plain (see `spots.py`); else where work may begin first and last.
        self.first_s = [windows[0][0] if windows else NEVER_S for windows in self.windows]
        self.last_s = [windows[-1][1] if windows else NEVER_S for windows in self.windows]
        self.plain = [
            len(windows) == 1 and stood is None and due_s >= windows[0][1]
            for windows, stood, due_s in zip(self.windows, self.standing, self.due_s, strict=True)
        ]
        wanted = [sum(column) for column in zip(*(need for need in self.needs if need), strict=True)]
        self.plenty = all(all(a <= b for a, b in zip(wanted, stock, strict=False)) for stock in self.stock)
        self._known: dict[tuple[int, tuple[int, ...]], Tour | None] = {}

    def tour(self, row: int, tokens: tuple[int, ...]) -> Tour | None:
        """The tour of a lane over these tokens in this order; None where it cannot be driven."""
        key = (row, tokens)
        if key in self._known:
            return self._known[key]
        if len(self._known) > TOURS_KEPT_MAX:
            self._known.clear()
        found = self._known[key] = self.make(row, tokens)
        return found

    def insertion(self, tour: Tour, token: int) -> tuple[float, tuple[int, ...]] | None:
        """The cheapest way to take a task into a tour: what it costs more, and the tokens with it; None: no way.

        Where a lane's engineer has several lanes, their van is judged by `van_holds`, not here.
        """
        if token in tour.best:
            return tour.best[token]
        found = tour.best[token] = spots.insertion(self, tour, token)
        return found

    def without(self, tour: Tour, gone: set[int]) -> Tour | None:
        """The tour without these tasks, and without a visit to a depot that is for nothing then.

        None where a way between two that are left is longer than may be.
        """
        tokens = tuple(token for token in tour.tokens if token not in gone)
        at = next((n for n, token in enumerate(tokens) if token >= self.depot0), None)
        if at is not None:
            bare = tokens[:at] + tokens[at + 1 :]
            if at == len(tokens) - 1 or self._covers(self.rows[tour.row].van, bare):
                tokens = bare
        return self.tour(tour.row, tokens)

    def van_need(self, tokens: tuple[int, ...]) -> tuple[int, ...] | None:
        """What a tour takes from the van: the parts of all tasks before its visit to a depot."""
        if not self.parts:
            return None
        total = [0] * len(self.parts)
        for token in tokens:
            if token >= self.depot0:
                break
            need = self.needs[token]
            if need is not None:
                total = [a + b for a, b in zip(total, need, strict=True)]
        return tuple(total)

    def van_lasts(self, row: Row, tokens: tuple[int, ...]) -> int:
        """How many of these tasks the van serves before it lacks something."""
        left = list(row.van)
        for n, token in enumerate(tokens):
            need = self.needs[token]
            if need is not None:
                left = [a - b for a, b in zip(left, need, strict=True)]
                if min(left) < 0:
                    return n
        return len(tokens)

    def bare(self, tour: Tour, at: int) -> Tour | None:
        """A plain tour without its visit to a depot, whatever its van lacks then."""
        if tour.bare is None:
            tour.bare = self._plain(tour.row, tour.tokens[:at] + tour.tokens[at + 1 :])
        return tour.bare

    def taken(self, tokens: tuple[int, ...]) -> tuple[int, tuple[int, ...]] | None:
        """Which depot a tour visits and what it takes there."""
        for n, token in enumerate(tokens):
            if token >= self.depot0:
                rest = self.van_need(tokens[n + 1 :])
                return None if rest is None else (token - self.depot0, rest)
        return None

    def stops(self, tour: Tour) -> Route:
        """A tour as the route of a plan."""
        stops: list[Stop] = []
        timed = self._time(self.rows[tour.row], tour.tokens, tour.hold, tour.eager, stops)
        assert timed is not None, "a tour that was made can be timed"
        return Route(lane_id=self.rows[tour.row].lane.id, stops=tuple(stops), back_s=timed[1])

    # ---------------------------------------------------------------------------------------- timing

    def make(self, row_index: int, tokens: tuple[int, ...]) -> Tour | None:
        """As `tour`, remembering nothing."""
        row = self.rows[row_index]
        tasks = [token for token in tokens if token < self.depot0]
        work_s = sum([self.service_s[token] for token in tasks])
        pinned = self.real.issuperset(tokens)
        if (len(tasks) > row.visits_max or work_s > row.work_s_max) and not pinned:
            return None
        need = self.van_need(tokens)
        if need is not None and not pinned and any([a > b for a, b in zip(need, row.van, strict=True)]):
            return None
        plain = row.plain and self.fixed.keys().isdisjoint(tokens) and all([self.plain[t] for t in tokens])
        tour = self._plain(row_index, tokens) if plain else self.timed(row_index, tokens)
        if tour is not None:
            tour.work_s, tour.tasks, tour.need = work_s, len(tasks), need
        return tour

    def timed(self, row_index: int, tokens: tuple[int, ...]) -> Tour | None:
        """A tour by the clock alone: told times, rests and absences, but neither the van nor a day's work."""
        row = self.rows[row_index]
        holds = (True, False) if any(self._stands(row, token) for token in tokens) else (False,)
        eagers = (False, True) if row.rests else (False,)
        for hold in holds:
            for eager in eagers:
                timed = self._time(row, tokens, hold, eager, None)
                if timed is not None:
                    tour = Tour(row_index, tokens, timed[0], hold, eager)
                    self._bounds(row, tour)
                    return tour
        return None

    def _plain(self, row_index: int, tokens: tuple[int, ...]) -> Tour | None:
        """The same as `timed` with less work, where `spots.py` calls all of it plain."""
        row = self.rows[row_index]
        ways, places, service_s = row.ways, self.places, self.service_s
        first_s, last_s, leg_s_max = self.first_s, self.last_s, row.leg_s_max
        now_s, home_s, work_end_s = self.problem.now_s, row.home_s, row.work_end_s
        free_s, place, travel_s = max(row.open_s, now_s), row.start, 0
        legs, early = list[int](), [free_s]
        for token in tokens:
            to = places[token]
            way_s = ways[place][to]
            free_s += way_s
            if free_s < first_s[token]:
                free_s = first_s[token]
            if way_s > leg_s_max or free_s > last_s[token]:
                return None
            free_s += service_s[token]
            if free_s > work_end_s:
                return None
            travel_s += way_s
            place = to
            legs.append(way_s)
            early.append(free_s)
        back_s = 0 if row.end is None or not tokens else ways[place][row.end]
        if free_s + back_s > home_s and tokens:
            return None
        legs.append(back_s)
        tour = Tour(row_index, tokens, float(travel_s + back_s), False, False)
        tour.plain, tour.early_s = True, early
        late = [home_s]
        for n in range(len(tokens) - 1, -1, -1):
            latest_s = late[-1] - legs[n + 1] - service_s[tokens[n]]
            late.append(min(latest_s, last_s[tokens[n]]))
        tour.late_s = late[::-1]
        if self.stretched:
            spots.stretch_out(self, tour, legs)
        return tour

    def _stands(self, row: Row, token: int) -> bool:
        standing = self.standing[token]
        return standing is not None and row.engineer in standing[0]

    def _time(
        self, row: Row, tokens: tuple[int, ...], hold: bool, eager: bool, out: list[Stop] | None
    ) -> tuple[float, int] | None:
        """Price of these tokens in this order and the way back, None where a rule is broken; `out` gets the stops."""
        ways, places, now_s = row.ways, self.places, self.problem.now_s
        free_s, place, cost = row.open_s, row.start, 0.0
        waited_s, slack_s, first = 0, NEVER_S, True
        pauses = Pauses(row, eager, out) if row.rests or row.away else None
        lenient = True
        for token in tokens:
            to, length_s, fixed_s = places[token], self.service_s[token], self.fixed.get(token)
            way_s = ways[place][to]
            real = token in self.real
            if real:
                if not lenient and free_s + way_s > fixed_s:
                    return None
            else:
                free_s = max(free_s, now_s)
                if way_s > row.leg_s_max:
                    return None
            while True:
                if fixed_s is not None:
                    start_s = fixed_s
                    if free_s + way_s > fixed_s and not (real and lenient):
                        return None
                else:
                    start_s = self.start(token, free_s + way_s)
                    if start_s < 0:
                        return None
                    if hold and self._stands(row, token):
                        start_s = max(start_s, self.start(token, self.standing[token][1]))  # type: ignore[index]
                if start_s + length_s > row.work_end_s and not real:
                    return None
                if pauses is None:
                    break
                later_s = pauses.before(free_s, way_s, start_s, start_s + length_s, bend=real and lenient)
                if later_s < 0:
                    return None
                if later_s == free_s:
                    break
                free_s = later_s
            cost += way_s
            spare_s = self.last_s[token] - start_s if fixed_s is None else 0
            if first:
                slack_s, first = spare_s, False
            else:
                waited_s += start_s - free_s - way_s
                slack_s = min(slack_s, waited_s + spare_s)
            if token < self.depot0:
                cost += self._extra(row, token, start_s)
            if out is not None:
                out.append(self._stop(token, tokens, start_s, way_s))
            free_s = max(free_s, start_s + length_s)
            place, lenient = to, real
        if first:
            return 0.0, 0
        back_s = 0 if row.end is None else ways[place][row.end]
        pinned = self.real.issuperset(tokens)
        if pauses is not None:
            free_s = pauses.after(free_s, back_s, bend=pinned)
        if (free_s < 0 or free_s + back_s > row.home_s) and not pinned:
            return None
        cost += back_s
        if self.waiting:
            cost += self.waiting * (waited_s - min(max(slack_s, 0), waited_s))
        return cost, back_s

    def start(self, token: int, at_s: int) -> int:
        """The first start at or after `at_s`; -1 where there is none."""
        for first, last in self.windows[token]:
            if at_s <= last:
                return max(at_s, first)
        return -1

    def _extra(self, row: Row, token: int, start_s: int) -> float:
        """Lateness and moves of a task that starts at that time in that lane."""
        cost = 0.0
        if start_s > self.due_s[token]:
            cost = late_cost_s(self.problem, self.problem.tasks[token], start_s)
        standing = self.standing[token]
        if standing is not None:
            if row.engineer not in standing[0]:
                cost += standing[3]
            elif abs(start_s - standing[1]) >= MOVED_S_MIN:
                cost += standing[2]
        return cost

    def _stop(self, token: int, tokens: tuple[int, ...], start_s: int, way_s: int) -> Stop:
        end_s = start_s + self.service_s[token]
        if token < self.depot0:
            task_id = self.problem.tasks[token].id
            return Stop(kind="task", start_s=start_s, end_s=end_s, travel_s=way_s, task_id=task_id)
        depot = self.problem.depots[token - self.depot0]
        taken = self.taken(tokens)
        parts = {} if taken is None else {k: n for k, n in zip(self.parts, taken[1], strict=True) if n}
        return Stop(
            kind="pickup", start_s=start_s, end_s=end_s, travel_s=way_s, depot_id=depot.id, parts=parts
        )

    def _bounds(self, row: Row, tour: Tour) -> None:
        ways, now_s = row.ways, self.problem.now_s
        free_s, place = row.open_s, row.start
        early = [max(free_s, now_s)]
        for token in tour.tokens:
            fixed_s = self.fixed.get(token)
            at_s = max(free_s, now_s if fixed_s is None else 0) + ways[place][self.places[token]]
            start_s = self.start(token, at_s) if fixed_s is None else fixed_s
            free_s = max(free_s, start_s + self.service_s[token])
            place = self.places[token]
            early.append(max(free_s, now_s))
        late = [row.home_s]
        place = -1 if row.end is None else row.end
        for token in reversed(tour.tokens):
            back_s = ways[self.places[token]][place] if place >= 0 else 0
            bound = late[-1] - back_s - self.service_s[token]
            if token in self.fixed:
                bound = self.fixed[token]
            else:
                bound = max(
                    (min(last, bound) for first, last in self.windows[token] if first <= bound), default=-1
                )
            late.append(bound)
            place = self.places[token]
        tour.early_s, tour.late_s = early, late[::-1]

    # ------------------------------------------------------------------------------------------ parts

    def _need(self, parts: Any) -> tuple[int, ...] | None:
        if not self.parts or not parts:
            return None
        return tuple(parts.get(part, 0) for part in self.parts)

    def _van_takes(self, row: Row, tour: Tour, need: tuple[int, ...]) -> bool:
        has = tour.need or (0,) * len(need)
        return all(a + b <= c for a, b, c in zip(has, need, row.van, strict=True))

    def _covers(self, van: tuple[int, ...], tokens: tuple[int, ...]) -> bool:
        need = self.van_need(tokens)
        return need is None or all(a <= b for a, b in zip(need, van, strict=True))

    def _ways(self, speed: float) -> Any:
        seconds = self.problem.seconds
        if speed != 1.0:
            seconds = np.ceil(seconds / speed).astype(np.int32)
        elif len(seconds) <= LISTED_PLACES_MAX:
            return seconds.tolist()
        return [memoryview(np.ascontiguousarray(row).data) for row in seconds]
