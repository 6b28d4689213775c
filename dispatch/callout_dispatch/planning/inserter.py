"""The own inserter: one task into a running plan at once, a whole plan without any solver, a broken plan mended. Pure.

It is what dispatchers see work live, and what plans when VROOM is not there or dies. It needs no library but numpy, and its
plans pass the checker: whatever it should have got wrong is taken out again before anybody sees it.
"""

from __future__ import annotations

import time

from callout_dispatch.planning.checker import check
from callout_dispatch.planning.improve import fill, improve, rounds
from callout_dispatch.planning.insertion import Insertion, Move, insert, remove
from callout_dispatch.planning.settle import planned, settle, standing
from callout_dispatch.planning.sheet import Sheet
from callout_dispatch.planning.terms import Lock, Plan, Problem, Progress

__all__ = ["InserterPlanner", "Insertion", "Move", "insert", "remove", "repair", "standing_plan"]

NAME = "inserter"


class InserterPlanner:
    """Plans by insertion: what is locked and what stands first, then by regret, then better step by step."""

    name = NAME

    def solve(self, problem: Problem, *, seconds_max: float, seed: int, progress: Progress) -> Plan:
        """A feasible plan. The same seed gives the same one, unless the machine is so slow that `seconds_max` ends it."""
        end = time.monotonic() + seconds_max

        def told(stage: str, start: float, share: float, part: float) -> bool:
            progress(start + share * part, stage)
            return time.monotonic() >= end

        sheet = Sheet(problem)
        progress(0.0, "standing")
        waiting = settle(sheet, standing(sheet))
        fill(sheet, waiting, lambda part: told("insert", 0.05, 0.45, part))
        rounds_max = rounds(len(problem.tasks), seconds_max)
        improve(sheet, rounds_max=rounds_max, seed=seed, told=lambda part: told("improve", 0.5, 0.45, part))
        fill(sheet, [task for task in sheet.problem.tasks if task.id not in sheet.where])
        progress(0.95, "check")
        plan = _sound(problem, sheet.plan(NAME))
        progress(1.0, "done")
        return plan


def repair(problem: Problem, plan: Plan) -> Plan:
    """The plan made feasible again after something went wrong: what cannot stay is taken out and put in elsewhere.

    Visits stay with their engineers, and at their times, wherever they can. Tasks that the plan leaves out are tried too.
    """
    starts = {stop.task_id: stop.start_s for route in plan.routes for stop in route.stops if stop.task_id}
    sheet = Sheet(problem, wants=starts)
    booked, pickups = planned(sheet, plan)
    fill(sheet, settle(sheet, booked, pickups))
    return _sound(problem, sheet.plan(plan.planner))


def standing_plan(problem: Problem) -> Plan:
    """What stands, as a plan: mended only where it cannot be as it stands; everything else is left."""
    sheet = Sheet(problem)
    settle(sheet, standing(sheet))
    return _sound(problem, sheet.plan("standing"))


def _sound(problem: Problem, plan: Plan) -> Plan:
    """The plan without whatever the checker finds wrong. Locked visits are never taken out."""
    for _ in range(len(problem.tasks) + 1):
        violations = check(problem, plan)
        if not violations:
            break
        lanes = {violation.lane_id for violation in violations if violation.task_id is None}
        bad = {violation.task_id for violation in violations} | {
            stop.task_id for route in plan.routes if route.lane_id in lanes for stop in route.stops
        }
        bad = {task.id for task in problem.tasks if task.id in bad and task.lock is Lock.NONE}
        planned_ids = {stop.task_id for route in plan.routes for stop in route.stops}
        bad &= planned_ids
        if not bad:
            break
        starts = {stop.task_id: stop.start_s for route in plan.routes for stop in route.stops if stop.task_id}
        sheet = Sheet(problem, wants=starts)
        booked, pickups = planned(sheet, plan)
        settle(sheet, [one for one in booked if one.task.id not in bad], pickups)
        plan = sheet.plan(plan.planner)
    return plan
