"""What a plan costs, in seconds of travel: one measure for all planners. Pure.

    travel + left out + lateness + moves

A task left out costs `LEFT_S` for each point of its priority's value: ten hours on the road for the least of the standard
policy, so that no detour within a shift is ever worth leaving out a visit. Lateness grows from 0 towards `LATE_SHARE` of
that, each `late_minutes_half` by half of what is left to it: late always beats never, and what is overdue for days is still
worth a way across town. A standing visit that gets another time or engineer costs what the policy's `planning` says, times
`told_factor` once the engineer knows of it.
"""

from __future__ import annotations

from typing import Final

import msgspec

from callout_dispatch.planning.terms import Plan, Problem, Task

LEFT_S: Final = 3_600
LATE_SHARE: Final = 0.5
"""Of what a task is worth, that lateness takes at most: if it took all of it, an order a day overdue would be left out for a
way of ten minutes, and wait longer the longer it has waited."""
MOVED_S_MIN: Final = 300
"""A start that shifts by less than that counts as the same time: nobody plans a day to the minute."""


class Cost(msgspec.Struct, frozen=True, kw_only=True):
    """A plan's cost in seconds of travel, part by part, and the counts behind it."""

    travel_s: int
    left_s: int
    late_s: float
    moves_s: float
    left: int
    late: int
    moved: int
    reassigned: int

    @property
    def total(self) -> float:
        """What planners make small."""
        return self.travel_s + self.left_s + self.late_s + self.moves_s


def worth_s(problem: Problem, task: Task) -> int:
    """What it costs to leave a task out."""
    return LEFT_S * max(1, problem.policy.planning.priority_values[task.priority])


def late_cost_s(problem: Problem, task: Task, start_s: int) -> float:
    """What it costs to start a task at that time, after its promise ran out."""
    late_s = start_s - task.due_s
    if late_s <= 0:
        return 0.0
    return late_share(late_s, problem.policy.late_minutes_half * 60) * worth_s(problem, task)


def late_share(late_s: float, half_s: float) -> float:
    """Which share of a task's worth is lost by so much lateness (above 0), each `half_s` taking half of what can be."""
    share: float = LATE_SHARE * (1.0 - 0.5 ** (late_s / half_s))
    return share


def move_prices_s(problem: Problem, task: Task) -> tuple[float, float]:
    """What another time and another engineer cost for a standing task; (0, 0) where nothing stands."""
    if task.standing is None:
        return 0.0, 0.0
    planning = problem.policy.planning
    factor = 60.0 * (planning.told_factor if task.standing.told else 1.0)
    return planning.move_minutes * factor, planning.engineer_minutes * factor


def cost(problem: Problem, plan: Plan) -> Cost:
    """The cost of a whole plan. A crew's task counts once, for each engineer who is exchanged."""
    engineers: dict[str, set[str]] = {}
    starts: dict[str, int] = {}
    lanes = {lane.id: lane for lane in problem.lanes}
    travel_s = 0
    for route in plan.routes:
        travel_s += route.back_s
        for stop in route.stops:
            travel_s += stop.travel_s
            if stop.task_id is not None:
                engineers.setdefault(stop.task_id, set()).add(lanes[route.lane_id].engineer_id)
                starts[stop.task_id] = stop.start_s
    left_s = late = moved = reassigned = 0
    late_s = moves_s = 0.0
    for task in problem.tasks:
        start_s = starts.get(task.id)
        if start_s is None:
            left_s += worth_s(problem, task)
            continue
        delay = late_cost_s(problem, task, start_s)
        late += delay > 0
        late_s += delay
        if task.standing is None:
            continue
        move_price, engineer_price = move_prices_s(problem, task)
        exchanged = len(set(task.standing.engineer_ids) - engineers[task.id])
        if exchanged:
            reassigned += 1
            moves_s += engineer_price * exchanged
        elif abs(start_s - task.standing.start_s) >= MOVED_S_MIN:
            moved += 1
            moves_s += move_price
    return Cost(
        travel_s=travel_s,
        left_s=left_s,
        late_s=late_s,
        moves_s=moves_s,
        left=len(problem.tasks) - len(starts),
        late=late,
        moved=moved,
        reassigned=reassigned,
    )
