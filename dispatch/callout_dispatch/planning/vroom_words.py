"""A problem in VROOM's words, and VROOM's answer as an order of tasks for each lane.

VROOM knows skills, windows, breaks, capacities and priorities; it prices nothing but travel, knows no longest way of one leg,
no moves and no lateness. So it is only asked who does what in which order; `sketch.py` times and prices what comes back.

How each thing is said: lanes that may take a task (skill and level, territory, required and excluded engineers, locks) as
one made-up skill for each distinct set of lanes; windows are of the start of work, as VROOM's are; work a day and parts on
the van as capacities; a soft due date as the end of the windows as long as something is left of them; a visit at a fixed
time as a window of no length and a skill of its lane alone; what reality has already fixed at the beginning of a lane as
the place and time where that lane begins; a way that is too long as one of months.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final

import numpy as np

from callout_dispatch.planning.check_times import free_pieces
from callout_dispatch.planning.reasons import NEVER_S
from callout_dispatch.planning.rows import Row
from callout_dispatch.planning.sketch import Sketch

Sequences = dict[int, tuple[int, ...]]
"""For each lane's index its tasks in order."""
Pause = tuple[int, int, int]
"""A break in VROOM's words: begun between the first two, and so long."""
TOO_LONG_S: Final = 10_000_000
COST_PER_S: Final = 16
"""What a second costs for VROOM, at most; ways of the same length differ by less than that."""
COSTS_MAX: Final = 2**31
MATRIX_ENTRIES_MAX: Final = 100_000_000
"""For all speeds and limits together; above, ways are not cut at the longest that may be."""
SEEN_S_MAX: Final = 400 * 86_400


class Words:
    """One problem, told to VROOM as often as needed. `movable`: the tasks that it shall place."""

    def __init__(self, sketch: Sketch, movable: list[int], fixed: Mapping[int, tuple[int, ...]]) -> None:
        self.sketch, self.movable, self.fixed = sketch, movable, fixed
        begins = [row.open_s for row in sketch.rows] + [sketch.fixed[t] for ts in fixed.values() for t in ts]
        self.base_s = min(begins, default=0) - 86_400
        self.lead: dict[int, tuple[int, ...]] = {n: self._leading(n) for n in range(len(sketch.rows))}
        self.jobs: list[tuple[int, int | None]] = [
            (token, None) for token in movable if sketch.allowed[token]
        ]
        for lane, tokens in fixed.items():
            self.jobs += [(token, lane) for token in tokens if token not in self.lead[lane]]
        self.numbers = {job: number for number, job in enumerate(self.jobs)}
        sets: dict[tuple[int, ...], int] = {}
        for token, row in self.jobs:
            sets.setdefault((row,) if row is not None else tuple(sketch.allowed[token]), len(sets))
        self.skill_of = sets
        self.skills: list[set[int]] = [set() for _ in sketch.rows]
        for rows, skill in sets.items():
            for row in rows:
                self.skills[row].add(skill)
        self.limited_work = any(row.work_s_max < row.work_end_s - row.open_s for row in sketch.rows)
        self.due = [self._promised(token) for token in range(sketch.depot0)]

    def solve(
        self,
        *,
        exploration: int,
        threads: int,
        seconds_max: float,
        standing: Mapping[int, tuple[int, ...]] | None,
    ) -> Sequences | None:
        """VROOM's order of tasks for each lane; `standing` is where it begins. None: it will not begin there."""
        import vroom  # Takes a second and pandas: only a planner's process ever does that.

        if not self.jobs:
            return {row: tokens for row, tokens in self.fixed.items() if tokens}
        told = vroom.Input()
        profiles: dict[tuple[float, int], str] = {}
        several = {(row.lane.speed, row.leg_s_max) for row in self.sketch.rows}
        cut = len(several) * len(self.sketch.problem.seconds) ** 2 <= MATRIX_ENTRIES_MAX
        for n, row in enumerate(self.sketch.rows):
            if self.skills[n]:
                key = (row.lane.speed, row.leg_s_max) if cut else (1.0, NEVER_S)
                if key not in profiles:
                    profiles[key] = f"p{len(profiles)}"
                    ways = self._matrix(*key)
                    told.set_durations_matrix(profiles[key], ways)
                    told.set_costs_matrix(profiles[key], self._prices(ways))
                steps = None if standing is None else standing.get(n, ())
                speed = 1.0 if cut else row.lane.speed
                told.add_vehicle(self._vehicle(vroom, n, row, profiles[key], speed, steps))
        told.add_job([self._job(vroom, number) for number in range(len(self.jobs))])
        try:
            solved = told.solve(exploration, threads, timedelta(seconds=max(0.05, seconds_max)))
        except Exception as error:
            # A standing plan that reality has made impossible is refused as a whole.
            if standing is not None and type(error).__name__.startswith("Vroom"):
                return None
            raise
        answer: dict[int, list[int]] = {
            row: list(tokens) for row, tokens in self.lead.items() if tokens or self.fixed.get(row)
        }
        routes = solved.routes
        if "id" in routes:  # VROOM leaves a column out that has nothing in it.
            for lane, kind, number in zip(routes["vehicle_id"], routes["type"], routes["id"], strict=True):
                if kind == "job":
                    answer.setdefault(int(lane), []).append(self.jobs[int(number)][0])
        for lane, tokens in self.fixed.items():
            self._mend(answer.setdefault(lane, []), tokens)
        return {lane: tuple(order) for lane, order in answer.items()}

    def _mend(self, answer: list[int], fixed: tuple[int, ...]) -> None:
        """What is fixed and VROOM had no room for goes where its time is."""
        for token in fixed:
            if token not in answer:
                at_s = self.sketch.fixed[token]
                later = (
                    n
                    for n, other in enumerate(answer)
                    if other in self.sketch.fixed and self.sketch.fixed[other] > at_s
                )
                answer.insert(next(later, len(answer)), token)

    def _leading(self, row: int) -> tuple[int, ...]:
        """What reality has fixed at the beginning of a lane: under way, or against a strict clock."""
        sketch = self.sketch
        tokens = self.fixed.get(row, ())
        real = [n for n, token in enumerate(tokens) if token in sketch.real]
        free_s, place, count = sketch.rows[row].open_s, sketch.rows[row].start, 0
        for n in real:
            token = tokens[n]
            start_s = sketch.fixed[token]
            arrival_s = free_s + sketch.rows[row].ways[place][sketch.places[token]]
            if start_s <= sketch.problem.now_s or arrival_s > start_s:
                count = n + 1
            free_s, place = start_s + sketch.service_s[token], sketch.places[token]
        return tokens[:count]

    def _promised(self, token: int) -> tuple[tuple[int, int], ...]:
        due_s = self.sketch.due_s[token]
        windows = self.sketch.windows[token]
        return tuple((a, min(b, due_s)) for a, b in windows if a <= due_s) or windows

    def _vehicle(
        self, vroom: Any, n: int, row: Row, profile: str, speed: float, steps: tuple[int, ...] | None
    ) -> Any:
        lead = self.lead[n]
        open_s, start = max(row.open_s, self.sketch.problem.now_s), row.start
        if lead:
            open_s = max(open_s, *(self.sketch.fixed[token] + self.sketch.service_s[token] for token in lead))
            start = self.sketch.places[lead[-1]]
        open_s, close_s, breaks = _day(row, open_s)
        breaks = [(self._at(first), self._at(last), length_s) for first, last, length_s in breaks]
        more: dict[str, Any] = {}
        if steps is not None:
            own = [self.numbers.get((token, n), self.numbers.get((token, None))) for token in steps]
            jobs = [number for number in own if number is not None]
            more["steps"] = self._steps(vroom, jobs, breaks) if jobs else []
        return vroom.Vehicle(
            n,
            start=int(start),
            end=None if row.end is None else int(row.end),
            profile=profile,
            capacity=self._amount(min(row.work_s_max, SEEN_S_MAX), row.van),
            skills=self.skills[n],
            time_window=(self._at(open_s), self._at(close_s)),
            breaks=[vroom.Break(k, [(a, b)], length) for k, (a, b, length) in enumerate(breaks)],
            speed_factor=speed,
            max_tasks=min(row.visits_max, len(self.sketch.problem.tasks) + 1),
            **more,
        )

    def _steps(self, vroom: Any, jobs: list[int], breaks: list[tuple[int, int, int]]) -> list[Any]:
        """Tasks in their order, and each break before the first task that starts after it could begin."""
        from vroom.input.vehicle_step import (
            VehicleStepBreak,
            VehicleStepEnd,
            VehicleStepSingle,
            VehicleStepStart,
        )

        pending = sorted(range(len(breaks)), key=lambda k: breaks[k][1])
        steps: list[Any] = [VehicleStepStart()]
        for number in jobs:
            token = self.jobs[number][0]
            standing = self.sketch.standing[token]
            at_s = self.sketch.fixed.get(token, standing[1] if standing else NEVER_S)
            while pending and breaks[pending[0]][1] < self._at(at_s) + self.sketch.service_s[token]:
                steps.append(VehicleStepBreak(pending.pop(0)))
            steps.append(VehicleStepSingle(number))
        return [*steps, *(VehicleStepBreak(k) for k in pending), VehicleStepEnd()]

    def _job(self, vroom: Any, number: int) -> Any:
        sketch, (token, row) = self.sketch, self.jobs[number]
        if row is not None:
            windows: tuple[tuple[int, int], ...] = ((sketch.fixed[token], sketch.fixed[token]),)
            priority, skill = 100, self.skill_of[(row,)]
        else:
            windows = self.due[token]
            values = sketch.problem.policy.planning.priority_values
            priority = values[sketch.problem.tasks[token].priority]
            skill = self.skill_of[tuple(sketch.allowed[token])]
        return vroom.Job(
            number,
            location=int(sketch.places[token]),
            default_service=int(sketch.service_s[token]),
            delivery=self._amount(sketch.service_s[token], sketch.needs[token]),
            skills={skill},
            priority=int(priority),
            time_windows=self._joined(windows),
        )

    def _joined(self, windows: tuple[tuple[int, int], ...]) -> list[tuple[int, int]]:
        return [(self._at(a), self._at(b)) for a, b in windows]

    def _amount(self, work_s: int, parts: tuple[int, ...] | None) -> list[int]:
        work = [int(work_s)] if self.limited_work else []
        return work + list(parts or (0,) * len(self.sketch.parts))

    def _at(self, at_s: int) -> int:
        return int(min(max(0, at_s - self.base_s), SEEN_S_MAX))

    def _matrix(self, speed: float, leg_s_max: int) -> Any:
        seconds = self.sketch.problem.seconds
        ways = seconds if speed == 1.0 else np.ceil(seconds / speed)
        return np.where(ways > leg_s_max, TOO_LONG_S, np.minimum(ways, TOO_LONG_S)).astype(np.uint32)

    def _prices(self, ways: Any) -> Any:
        """The ways as costs, each a bit different from all others.

        Between plans that cost the same VROOM decides by what lies where in memory, and the same seed would hardly ever
        give the same plan. It adds up 32 bits: what is too long to be driven need not be dear as well.
        """
        most = COSTS_MAX // (len(self.jobs) + len(self.sketch.rows) + 2)
        longest = int(np.where(ways < TOO_LONG_S, ways, 0).max(initial=1))
        scale = max(1, min(COST_PER_S, (most - COST_PER_S) // max(1, longest)))
        noise = np.random.default_rng(0).integers(0, scale, ways.shape)
        return np.minimum(ways.astype(np.int64) * scale + noise, most).astype(np.uint32)


def _day(row: Row, open_s: int) -> tuple[int, int, list[Pause]]:
    """When a lane begins and ends for VROOM, and its pauses: absences within it, and rests that fit between those.

    VROOM wants pauses in one order, and refuses everything where they cannot follow each other.
    """
    close_s, gone = max(row.home_s, open_s), list[tuple[int, int]]()
    for first, last in row.away:
        if last <= open_s or first >= close_s:
            continue
        if first <= open_s:
            open_s = min(last, close_s)
        elif last >= close_s:
            close_s = first
        elif gone and first <= gone[-1][1]:
            gone[-1] = gone[-1][0], max(last, gone[-1][1])
        else:
            gone.append((first, last))
    pauses: list[Pause] = [(first, first, last - first) for first, last in gone]
    for rest in row.rests:
        rooms = [
            (max(first, rest.earliest_s), min(last, rest.latest_s) - rest.length_s)
            for first, last in free_pieces((open_s, close_s), gone)
        ]
        first, last = max(rooms, key=lambda room: room[1] - room[0], default=(1, 0))
        more = sorted([*pauses, (first, last, rest.length_s)])
        if first <= last and _follow(more, open_s, close_s):
            pauses = more
    return open_s, close_s, sorted(pauses)


def _follow(pauses: list[Pause], open_s: int, close_s: int) -> bool:
    """Whether all pauses find room one after the other."""
    earliest = []
    for first, last, length_s in pauses:
        open_s = max(open_s, first)
        if open_s > last:
            return False
        earliest.append(open_s)
        open_s += length_s
    for (_, last, length_s), soonest in zip(reversed(pauses), reversed(earliest), strict=True):
        close_s = min(close_s - length_s, last)
        if close_s < soonest:
            return False
    return True
