"""From a problem to a plan that may be shown: solved by the planner that was asked for, held to the checker, and given to the
own inserter where that planner dies, is late, or plans what cannot be.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final, Protocol

import msgspec
import structlog

from callout_dispatch.planning.checker import check
from callout_dispatch.planning.processes import PlannerCanceled, solve
from callout_dispatch.planning.terms import Plan, Problem, Progress

log = structlog.get_logger(__name__)

FALLBACK: Final = "inserter"
VIOLATIONS_KEPT: Final = 20


class Solve(Protocol):
    """How a planner is run; `processes.solve` in production."""

    def __call__(
        self,
        planner: str,
        problem: Problem,
        /,
        *,
        seconds_max: float,
        seed: int,
        on_progress: Progress,
        canceled: asyncio.Event,
    ) -> Awaitable[Plan]:
        """The plan; raises PlannerDied, PlannerTimeout, PlannerCanceled."""
        ...


class NoPlan(Exception):
    """No planner gave a plan that keeps to the rules; `faults` say why, planner by planner."""

    def __init__(self, faults: list[dict[str, Any]]) -> None:
        super().__init__("no planner gave a feasible plan")
        self.faults = faults


class Solved(msgspec.Struct, frozen=True, kw_only=True):
    """A plan that passed the checker. `fallback`: not by the planner that was asked for, and `faults` say why."""

    plan: Plan
    planner: str
    fallback: bool
    faults: list[dict[str, Any]]


async def solve_checked(
    problem: Problem,
    planner: str,
    *,
    seconds_max: float,
    seed: int,
    told: Callable[[float, str], None],
    canceled: asyncio.Event,
    run: Solve = solve,
) -> Solved:
    """A plan that keeps to every rule. `told` hears of progress (0 to 1) and stages. Raises NoPlan, PlannerCanceled."""
    faults: list[dict[str, Any]] = []
    for name in dict.fromkeys((planner, FALLBACK)):
        if faults:
            told(0.0, "fallback")
        try:
            plan = await run(
                name, problem, seconds_max=seconds_max, seed=seed, on_progress=told, canceled=canceled
            )
        except PlannerCanceled:
            raise
        except Exception as fault:  # Whatever ends a planner, there is another one.
            log.warning("planner_failed", planner=name, tasks=len(problem.tasks), exc_info=fault)
            faults.append({"planner": name, "fault": type(fault).__name__, "text": str(fault)[:500]})
            continue
        told(1.0, "checking")
        violations = await asyncio.to_thread(check, problem, plan)
        if not violations:
            return Solved(plan=plan, planner=name, fallback=name != planner, faults=faults)
        kept = msgspec.to_builtins(violations[:VIOLATIONS_KEPT])
        log.error("plan_infeasible", planner=name, violations=len(violations), first=kept)
        faults.append({"planner": name, "fault": "infeasible", "count": len(violations), "violations": kept})
    raise NoPlan(faults)
