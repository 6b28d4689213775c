"""Which lanes may take a task at all, and in words of `ReasonCode` why the others may not. Pure.

Only what does not depend on the rest of the plan is judged here; a lane that passes can still be full.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Final

import numpy as np

from callout_dispatch.pick_terms import Reason, ReasonCode
from callout_dispatch.planning.terms import Lane, Left, Lock, Problem, Task
from callout_dispatch.policy import (
    Capacity,
    DueDate,
    ExcludedEngineer,
    MaxTravel,
    Online,
    PartsOnVan,
    RequestedWindow,
    RequiredEngineer,
    Skills,
    TerritoryRule,
    VisitingHours,
)

NEVER_S: Final = 1 << 60
"""Later than everything."""


def leg_s_max(problem: Problem, lane: Lane) -> int:
    """The longest way that this lane's engineer is sent, seconds."""
    rule = problem.policy.rule(MaxTravel)
    if rule is None:
        return NEVER_S
    return int(rule.minutes * 60) if lane.travel_s_max is None else lane.travel_s_max


def work_limits(problem: Problem, lane: Lane) -> tuple[int, int]:
    """The most work (seconds) and visits of a lane."""
    rule = problem.policy.rule(Capacity)
    if rule is None:
        return NEVER_S, NEVER_S
    return (
        rule.work_minutes_max * 60 if lane.work_s_max is None else lane.work_s_max,
        rule.visits_max if lane.visits_max is None else lane.visits_max,
    )


def start_windows(problem: Problem, task: Task) -> tuple[tuple[int, int], ...]:
    """When work may start: the task's windows from now on and, where the policy says so, until it is due."""
    rule = problem.policy.rule(DueDate)
    low = max(problem.now_s, task.not_before_s)
    high = NEVER_S if rule is None else task.due_s + rule.grace_minutes * 60
    windowed = problem.policy.rule(VisitingHours) or problem.policy.rule(RequestedWindow)
    windows = task.windows if windowed else ((low, high),)
    return tuple((max(a, low), min(b, high)) for a, b in windows if max(a, low) <= min(b, high))


class Compatibility:
    """Which lanes a problem's tasks may go to. Tasks that ask for the same are judged once."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        policy = problem.policy
        self._skills = policy.rule(Skills) is not None
        self._territory = policy.rule(TerritoryRule)
        self._required = policy.rule(RequiredEngineer) is not None
        self._excluded = policy.rule(ExcludedEngineer) is not None
        online = policy.rule(Online)
        self._online = frozenset(online.priorities) if online else frozenset()
        self.parts = policy.rule(PartsOnVan)
        self._starts = np.array([max(lane.start_s, problem.now_s) for lane in problem.lanes], np.int64)
        self._ends = np.array([lane.end_s for lane in problem.lanes], np.int64)
        self._legs = np.array([leg_s_max(problem, lane) for lane in problem.lanes], np.int64)
        self._first_lanes: dict[str, Lane] = {}
        for lane in sorted(problem.lanes, key=lambda lane: (lane.start_s, lane.id)):
            self._first_lanes.setdefault(lane.engineer_id, lane)
        self._kept: dict[object, tuple[ReasonCode | None, ...]] = {}
        self._nearest_s = self._nearest()

    def codes(self, task: Task) -> tuple[ReasonCode | None, ...]:
        """For each lane why its engineer may not do this task, None where nothing speaks against it."""
        key = (
            frozenset(task.skills.items()),
            task.territory_id,
            task.required,
            task.excluded,
            task.priority in self._online,
            task.standing.engineer_ids if task.lock is not Lock.NONE and task.standing else None,
            frozenset(task.parts.items()) if self.parts else None,
        )
        found = self._kept.get(key)
        if found is None:
            found = self._kept[key] = tuple(self._code(task, lane) for lane in self.problem.lanes)
        return found

    def lanes(self, task: Task) -> list[int]:
        """Indexes of the lanes that may take this task, judged also by time and way."""
        windows = start_windows(self.problem, task)
        if not windows or not self.problem.lanes:
            return []
        fits = np.zeros(len(self.problem.lanes), bool)
        for first, last in windows:
            fits |= np.maximum(self._starts, first) <= np.minimum(self._ends - task.service_s, last)
        fits &= self._nearest_s[task.place] <= self._legs
        return [n for n, code in enumerate(self.codes(task)) if code is None and fits[n]]

    def left(self, task: Task) -> Left:
        """A task that found no place, with how many engineers each reason excludes."""
        return Left(task_id=task.id, reasons=self.reasons(task))

    def reasons(self, task: Task) -> tuple[Reason, ...]:
        """Each reason with the number of engineers whom it excludes, most of them first.

        An engineer counts once, under what speaks against the lane that came closest.
        """
        windows = start_windows(self.problem, task)
        closest: dict[str, int] = {}
        for lane, code in zip(self.problem.lanes, self.codes(task), strict=True):
            if code is None:
                code = self._later_code(task, lane, windows)
            rank = _RANK[code]
            closest[lane.engineer_id] = max(closest.get(lane.engineer_id, -1), rank)
        counts = Counter(_CODES[rank] for rank in closest.values())
        if not counts:
            return (Reason(ReasonCode.NO_SHIFT, {"engineers": 0}),)
        ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0].value))
        return tuple(Reason(code, {"engineers": count}) for code, count in ordered)

    def _code(self, task: Task, lane: Lane) -> ReasonCode | None:
        if (
            task.lock is not Lock.NONE
            and task.standing
            and lane.engineer_id not in task.standing.engineer_ids
        ):
            return ReasonCode.OTHER_REQUIRED
        if self._required and task.required and lane.engineer_id not in task.required:
            return ReasonCode.OTHER_REQUIRED
        if self._excluded and lane.engineer_id in task.excluded:
            return ReasonCode.EXCLUDED
        if self._skills:
            for skill, level in task.skills.items():
                held = lane.skills.get(skill)
                if held is None:
                    return ReasonCode.SKILL_MISSING
                if held < level:
                    return ReasonCode.SKILL_LEVEL_LOW
        if not self._in_territory(task, lane):
            return ReasonCode.OTHER_TERRITORY
        if task.priority in self._online and not lane.online:
            return ReasonCode.OFFLINE
        if self.parts and not self._parts_reach(task, lane):
            return ReasonCode.PART_NOT_ON_VAN
        return None

    def _in_territory(self, task: Task, lane: Lane) -> bool:
        if self._territory is None or task.territory_id is None or task.territory_id == lane.territory_id:
            return True
        if lane.territories is None:
            return self._territory.secondary or lane.territory_id is None
        return self._territory.secondary and task.territory_id in lane.territories

    def _parts_reach(self, task: Task, lane: Lane) -> bool:
        assert self.parts is not None
        lane = self._first_lanes[lane.engineer_id]  # An engineer's lanes share one van.
        if all(lane.van.get(part, 0) >= quantity for part, quantity in task.parts.items()):
            return True
        return self.parts.pickup and any(
            all(depot.parts.get(part, 0) >= quantity for part, quantity in task.parts.items())
            for depot in self.problem.depots
        )

    def _later_code(self, task: Task, lane: Lane, windows: Iterable[tuple[int, int]]) -> ReasonCode:
        start = max(lane.start_s, self.problem.now_s)
        latest = lane.end_s - task.service_s
        if not windows:
            return (
                ReasonCode.TOO_LATE if task.due_s < self.problem.now_s else ReasonCode.OUTSIDE_VISITING_HOURS
            )
        if not any(max(start, first) <= min(latest, last) for first, last in windows):
            return ReasonCode.NO_SHIFT
        if any(
            a <= max(start, first) and min(latest, last) < b for a, b in lane.away for first, last in windows
        ):
            return ReasonCode.ABSENT
        if self.problem.way_s(lane, lane.start_place, task.place) > leg_s_max(self.problem, lane):
            return ReasonCode.TOO_FAR
        return ReasonCode.SHIFT_FULL

    def _nearest(self) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
        """For each place the shortest way to it from any other place of the problem, at the best speed."""
        seconds = self.problem.seconds
        if len(seconds) == 0:
            return np.zeros(0, np.int64)
        places = {task.place for task in self.problem.tasks} | {depot.place for depot in self.problem.depots}
        places |= {lane.start_place for lane in self.problem.lanes}
        speed = max((lane.speed for lane in self.problem.lanes), default=1.0)
        if not places:
            return np.zeros(len(seconds), np.int64)
        rows = np.array(sorted(places))
        ways = seconds[rows].astype(np.int64)
        # A way from a place to itself is no way to it, unless it is all there is.
        if len(rows) > 1:
            ways[np.arange(len(rows)), rows] = np.iinfo(np.int64).max
        nearest: np.ndarray[tuple[int], np.dtype[np.int64]] = (ways.min(axis=0) / speed).astype(np.int64)
        return nearest


_CODES: Final = (
    ReasonCode.OTHER_REQUIRED,
    ReasonCode.EXCLUDED,
    ReasonCode.SKILL_MISSING,
    ReasonCode.SKILL_LEVEL_LOW,
    ReasonCode.OTHER_TERRITORY,
    ReasonCode.PART_NOT_ON_VAN,
    ReasonCode.OFFLINE,
    ReasonCode.OUTSIDE_VISITING_HOURS,
    ReasonCode.TOO_LATE,
    ReasonCode.NO_SHIFT,
    ReasonCode.ABSENT,
    ReasonCode.TOO_FAR,
    ReasonCode.SHIFT_FULL,
)
"""From what can least be mended to what can be mended best."""
_RANK: Final = {code: rank for rank, code in enumerate(_CODES)}
