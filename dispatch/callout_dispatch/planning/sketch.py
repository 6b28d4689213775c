"""A problem as plain numbers, and tours that are timed and priced: what the planners search with. Pure.

A token is a task's index, or, from `Sketch.depot0` on, a visit to a depot where everything is taken aboard that the later
tasks of that tour need. A tour is a lane's tokens in order; it never changes, a changed one is a new one. Its price is that
of `cost.py` (travel, lateness, moves), so that the sum over all tours and the tasks left out is what a plan costs.

How a tour is timed: everything as early as it may be, but a standing task waits for the time it was told, as long as all
later ones stay possible. Rests are taken before setting out, as late as they may be; where that fails, as early.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import numpy as np

from callout_dispatch.planning.check_times import free_pieces
from callout_dispatch.planning.cost import MOVED_S_MIN, late_cost_s, move_prices_s, worth_s
from callout_dispatch.planning.reasons import NEVER_S, Compatibility, leg_s_max, start_windows, work_limits
from callout_dispatch.planning.terms import Lane, Problem, Route, Stop
from callout_dispatch.policy import Availability, PartsOnVan

LISTED_PLACES_MAX: Final = 1_200
"""Up to here a matrix is kept as lists, which are read faster; above, as it is."""

TOURS_KEPT_MAX: Final = 60_000
"""So many timed tours are remembered before all are forgotten: a search meets most of them again and again."""


class Rested(NamedTuple):
    """A rest in numbers: begun at `earliest_s` or later, over by `latest_s`."""

    earliest_s: int
    latest_s: int
    length_s: int


class Row:
    """A lane in numbers."""

    __slots__ = (
        *("lane", "open_s", "work_end_s", "home_s", "start", "end", "ways", "rests", "away"),
        *("leg_s_max", "work_s_max", "visits_max", "engineer", "van"),
    )

    def __init__(self, problem: Problem, lane: Lane, ways: Any, engineer: int, parts: Sequence[str]) -> None:
        rule = problem.policy.rule(Availability)
        self.lane = lane
        self.open_s = lane.start_s
        self.work_end_s = lane.end_s
        self.home_s = lane.end_s + (rule.overtime_minutes * 60 if rule else 0)
        self.start, self.end, self.ways, self.engineer = lane.start_place, lane.end_place, ways, engineer
        self.away = tuple(sorted((a, b) for a, b in lane.away if b > lane.start_s and a < lane.end_s))
        self.rests = _rests(problem, lane)
        self.leg_s_max = leg_s_max(problem, lane)
        self.work_s_max, self.visits_max = work_limits(problem, lane)
        self.van = tuple(max(0, lane.van.get(part, 0)) for part in parts)


class Tour:
    """A lane's tokens in order, with what they cost and what is needed to change them quickly.

    `early_s[n]`: when the engineer is free after the n-th token at the soonest, [0] at the start. `late_s[n]`: at the n-th
    token at the latest, [-1] at the end. Both leave rests and told times out, so they only ever rule out too little.
    `best` keeps where each task would best go in.
    """

    __slots__ = ("best", "cost", "eager", "early_s", "hold", "late_s", "need", "row", "tokens", "work_s")

    def __init__(self, row: int, tokens: tuple[int, ...], cost: float, hold: bool, eager: bool) -> None:
        self.row, self.tokens, self.cost, self.hold, self.eager = row, tokens, cost, hold, eager
        self.best: dict[int, tuple[float, tuple[int, ...]] | None] = {}
        self.early_s: list[int] = []
        self.late_s: list[int] = []
        self.work_s = 0
        self.need: tuple[int, ...] | None = None


class Sketch:
    """A problem in numbers. `fixed`: starts of tasks that are not moved; `real` are those among them that reality has
    fixed, so that coming late to one, straight from another or from the start of the shift, breaks no rule.

    `waiting`: what a second of waiting costs, beside a second on the road: 1 makes the length of working days small.
    """

    def __init__(self, problem: Problem, *, waiting: float = 0.0) -> None:
        self.problem = problem
        self.waiting = waiting
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
        self.worth_s = [worth_s(problem, task) for task in tasks]
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
        self._known: dict[tuple[int, tuple[int, ...]], Tour | None] = {}

    def tour(self, row: int, tokens: tuple[int, ...]) -> Tour | None:
        """The tour of a lane over these tokens in this order; None where it cannot be driven."""
        key = (row, tokens)
        if key in self._known:
            return self._known[key]
        if len(self._known) > TOURS_KEPT_MAX:
            self._known.clear()
        found = self._known[key] = self._make(row, tokens)
        return found

    def insertion(self, tour: Tour, token: int) -> tuple[float, tuple[int, ...]] | None:
        """The cheapest way to take a task into a tour: what it costs more, and the tokens with it; None: no way.

        Where a lane's engineer has several lanes, their van is judged by `van_holds`, not here.
        """
        if token in tour.best:
            return tour.best[token]
        found = tour.best[token] = self._insertion(tour, token)
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

    def insertion_at(self, tour: Tour, token: int, start_s: int) -> tuple[float, tuple[int, ...]] | None:
        """As `insertion`, for a start at just that time; remembers nothing."""
        row, tokens = self.rows[tour.row], tour.tokens
        to, end_s = self.places[token], start_s + self.service_s[token]
        best: tuple[float, tuple[int, ...]] | None = None
        before, self.fixed[token] = self.fixed.get(token), start_s
        try:
            for n in range(len(tokens) + 1):
                place = self.places[tokens[n - 1]] if n else row.start
                after = self.places[tokens[n]] if n < len(tokens) else row.end
                on_s = 0 if after is None else row.ways[to][after]
                if tour.early_s[n] + row.ways[place][to] > start_s:
                    break
                if end_s > row.work_end_s or end_s + on_s > tour.late_s[n]:
                    continue
                changed = (*tokens[:n], token, *tokens[n:])
                made = self._make(tour.row, changed)
                if made is not None and (best is None or made.cost - tour.cost < best[0]):
                    best = made.cost - tour.cost, changed
        finally:
            if before is None:
                del self.fixed[token]
            else:
                self.fixed[token] = before
        return best

    # ---------------------------------------------------------------------------------------- timing

    def _make(self, row_index: int, tokens: tuple[int, ...]) -> Tour | None:
        row = self.rows[row_index]
        tasks = [token for token in tokens if token < self.depot0]
        work_s = sum(self.service_s[token] for token in tasks)
        pinned = self.real.issuperset(tokens)
        if (len(tasks) > row.visits_max or work_s > row.work_s_max) and not pinned:
            return None
        if self.parts and not pinned and not self._covers(row.van, tokens):
            return None
        holds = (True, False) if any(self._stands(row, token) for token in tasks) else (False,)
        eagers = (False, True) if row.rests else (False,)
        for hold in holds:
            for eager in eagers:
                timed = self._time(row, tokens, hold, eager, None)
                if timed is not None:
                    tour = Tour(row_index, tokens, timed[0], hold, eager)
                    tour.work_s = work_s
                    tour.need = self.van_need(tokens)
                    self._bounds(row, tour)
                    return tour
        return None

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
        pauses = _Pauses(row, eager, out) if row.rests or row.away else None
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
                    start_s = self._start(token, free_s + way_s)
                    if start_s < 0:
                        return None
                    if hold and self._stands(row, token):
                        start_s = max(start_s, self._start(token, self.standing[token][1]))  # type: ignore[index]
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
            spare_s = self._last(token) - start_s if fixed_s is None else 0
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

    def _start(self, token: int, at_s: int) -> int:
        """The first start at or after `at_s`; -1 where there is none."""
        for first, last in self.windows[token]:
            if at_s <= last:
                return max(at_s, first)
        return -1

    def _last(self, token: int) -> int:
        windows = self.windows[token]
        return windows[-1][1] if windows else NEVER_S

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
            start_s = self._start(token, at_s) if fixed_s is None else fixed_s
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

    # ------------------------------------------------------------------------------------- insertion

    def _insertion(self, tour: Tour, token: int) -> tuple[float, tuple[int, ...]] | None:
        row, tokens = self.rows[tour.row], tour.tokens
        places, ways, service_s = self.places, row.ways, self.service_s[token]
        if tour.work_s + service_s > row.work_s_max:
            return None
        to, count = places[token], len(tokens)
        last_s = self._last(token)
        spots: list[tuple[float, int]] = []
        for n in range(count + 1):
            before = places[tokens[n - 1]] if n else row.start
            way_s = ways[before][to]
            at_s = tour.early_s[n] + way_s
            if at_s > last_s:
                break  # Later spots are later still.
            if way_s > row.leg_s_max:
                continue
            start_s = self._start(token, at_s)
            after = places[tokens[n]] if n < count else row.end
            on_s = 0 if after is None else ways[to][after]
            if start_s + service_s + on_s > tour.late_s[n] or start_s + service_s > row.work_end_s:
                continue
            old_s = 0 if after is None or not count else ways[before][after]
            spots.append((way_s + on_s - old_s, n))
        spots.sort()
        best: tuple[float, tuple[int, ...]] | None = None
        need = self.needs[token]
        at = next((n for n, t in enumerate(tokens) if t >= self.depot0), None) if need is not None else None
        for detour, n in spots:
            if best is not None and not self.waiting and detour >= best[0]:
                break
            if need is not None and (at is None or n <= at) and not self._van_takes(row, tour, need):
                if at is None and self.pickup:
                    best = self._with_pickup(tour, token, n, best)
                continue
            best = self._better(tour, (*tokens[:n], token, *tokens[n:]), best)
        return best

    def _with_pickup(
        self, tour: Tour, token: int, n: int, best: tuple[float, tuple[int, ...]] | None
    ) -> tuple[float, tuple[int, ...]] | None:
        """The task at spot n, and a depot that has its parts visited at the best moment before."""
        need = self.needs[token]
        assert need is not None
        for depot, stock in enumerate(self.stock):
            if any(a > b for a, b in zip(need, stock, strict=True)):
                continue
            for m in range(n + 1):
                if m < n and tour.tokens[m] in self.fixed:
                    continue
                tokens = (
                    *tour.tokens[:m],
                    self.depot0 + depot,
                    *tour.tokens[m:n],
                    token,
                    *tour.tokens[n:],
                )
                best = self._better(tour, tokens, best)
        return best

    def _better(
        self, tour: Tour, tokens: tuple[int, ...], best: tuple[float, tuple[int, ...]] | None
    ) -> tuple[float, tuple[int, ...]] | None:
        made = self.tour(tour.row, tokens)
        if made is None:
            return best
        more = made.cost - tour.cost
        return (more, tokens) if best is None or more < best[0] else best

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


class _Pauses:
    """The rests and absences of one lane, taken one by one while a tour is timed."""

    __slots__ = ("absence", "eager", "out", "rest", "row")

    def __init__(self, row: Row, eager: bool, out: list[Stop] | None) -> None:
        self.row, self.eager, self.out = row, eager, out
        self.rest = self.absence = 0

    def before(self, free_s: int, way_s: int, start_s: int, end_s: int, *, bend: bool) -> int:
        """When the engineer is free after whatever pause must or may as well come before work at [start_s, end_s).

        The same as `free_s`: none. -1: one that must come before has no room; with `bend` it is dropped instead.
        """
        row = self.row
        gone_s, back_s = row.away[self.absence] if self.absence < len(row.away) else (NEVER_S, NEVER_S)
        absent = end_s > gone_s
        if self.rest < len(row.rests):
            earliest_s, latest_s, length_s = row.rests[self.rest]
            at_s = max(free_s, earliest_s)
            must = (back_s if absent else end_s) + length_s > latest_s
            fits = at_s + length_s + way_s <= start_s and at_s + length_s <= gone_s
            early = self.eager and not bend and free_s >= earliest_s  # where work stands, only if it fits
            if (must or fits or early) and at_s + length_s <= gone_s:
                return self._take(at_s, length_s, latest_s, bend=bend, until_s=start_s - way_s, free_s=free_s)
            if must and not absent:
                absent = True  # It runs into an absence, which is then waited for.
        if absent:
            if gone_s == NEVER_S:
                return -1
            self.absence += 1
            if free_s > gone_s and not bend:
                return -1
            return free_s if bend else max(free_s, back_s)
        return free_s

    def after(self, free_s: int, back_s: int, *, bend: bool) -> int:
        """When the engineer is free for the way back, all rests taken; -1: one has no room."""
        row = self.row
        while free_s >= 0 and (self.rest < len(row.rests) or self.absence < len(row.away)):
            gone_s, again_s = row.away[self.absence] if self.absence < len(row.away) else (NEVER_S, NEVER_S)
            if self.rest == len(row.rests):
                if free_s + back_s <= gone_s:
                    break
                self.absence += 1
                if free_s > gone_s and not bend:
                    return -1
                free_s = max(free_s, again_s)
                continue
            earliest_s, latest_s, length_s = row.rests[self.rest]
            at_s = max(free_s, earliest_s)
            if at_s + length_s > gone_s:
                self.absence += 1
                free_s = max(free_s, again_s)
                continue
            free_s = self._take(at_s, length_s, latest_s, bend=bend, until_s=NEVER_S, free_s=free_s)
        return free_s

    def _take(self, at_s: int, length_s: int, latest_s: int, *, bend: bool, until_s: int, free_s: int) -> int:
        end_s = at_s + length_s
        if end_s > latest_s or (bend and end_s > until_s):
            self.rest += 1
            return self._next(free_s, bend=bend)
        if self.out is not None:
            self.out.append(Stop(kind="rest", start_s=at_s, end_s=end_s))
        self.rest += 1
        return end_s

    @staticmethod
    def _next(free_s: int, *, bend: bool) -> int:
        return free_s if bend else -1


def _rests(problem: Problem, lane: Lane) -> tuple[Rested, ...]:
    """The rests of a lane that can still be taken in it."""
    found = []
    for rest in lane.rests:
        first_s = max(rest.earliest_s, lane.start_s, problem.now_s)
        last_s = min(rest.latest_s, lane.end_s)
        pieces = free_pieces((first_s, last_s), lane.away) if first_s < last_s else []
        if any(b - a >= rest.length_s for a, b in pieces):
            found.append(Rested(first_s, last_s, rest.length_s))
    return tuple(sorted(found, key=lambda rest: (rest.latest_s, rest.earliest_s)))
