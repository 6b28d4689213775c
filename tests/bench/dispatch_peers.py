"""Other people's solvers on our problems: PyVRP and OR-Tools in a process and an environment of their own.

Each is told what it has words for and nothing else, see `peers/solve.py`. They cannot run where their packages cannot be had
(`CannotRun`).
"""

from __future__ import annotations

import functools
import json
import subprocess
from pathlib import Path
from typing import Any, Literal

from dispatch_instances import HOUR, MORNING, Outcome
from dispatch_report import CannotRun
from peer_python import PEERS, NotInstalled, environment

from callout_dispatch.planning.terms import Problem

Solver = Literal["pyvrp", "ortools"]
VERSIONS = {"pyvrp": "PyVRP 0.14.1", "ortools": "OR-Tools 9.15"}
START_S = 60.0
"""Loading and reading, on top of the time that is granted."""


@functools.cache
def _python() -> Path:
    return environment("solvers") / "bin" / "python"


def solve(solver: Solver, told: dict[str, Any], *, seconds_max: float, seed: int) -> tuple[int, int]:
    """(visits left out, units travelled)."""
    try:
        python = _python()
    except NotInstalled as error:
        raise CannotRun(f"{VERSIONS[solver]} could not be installed: {str(error)[-200:]}") from error
    asked = {"solver": solver, "seconds": seconds_max, "seed": seed, **told}
    done = subprocess.run(
        [str(python), str(PEERS / "solve.py")],
        input=json.dumps(asked),
        capture_output=True,
        text=True,
        timeout=2 * seconds_max + START_S,
    )
    if done.returncode:
        raise CannotRun(f"{VERSIONS[solver]} failed: {done.stderr[-300:]}")
    answer = json.loads(done.stdout)
    return answer["left"], answer["travel"]


def ortools_city(problem: Problem, *, seconds_max: float, seed: int = 1) -> Outcome:
    """The day of `dispatch_instances.city` by OR-Tools."""
    told = {
        "ways": problem.seconds.tolist(),
        "visits": [
            {
                "place": task.place,
                "service": task.service_s,
                "window": [at - MORNING for at in task.windows[0]],
                "able": [
                    n
                    for n, lane in enumerate(problem.lanes)
                    if all(lane.skills.get(skill, 0) >= level for skill, level in task.skills.items())
                ],
            }
            for task in problem.tasks
        ],
        "vehicles": [
            {
                "place": lane.start_place,
                "start": lane.start_s - MORNING,
                "end": lane.end_s - MORNING,
                "rests": [
                    {
                        "earliest": rest.earliest_s - MORNING,
                        "latest": rest.latest_s - MORNING,
                        "length": rest.length_s,
                    }
                    for rest in lane.rests
                ],
            }
            for lane in problem.lanes
        ],
    }
    left, travel_s = solve("ortools", told, seconds_max=seconds_max, seed=seed)
    return Outcome(left=left, travel_hours=travel_s / HOUR)


def pyvrp_windows(problem: Problem, part: str, *, seconds_max: float, seed: int = 1) -> tuple[int, int]:
    """A problem of `dispatch_windows` by PyVRP: (visits left out, units travelled). `part`: what the load is called."""
    told = {
        "ways": problem.seconds.tolist(),
        "visits": [
            {
                "place": task.place,
                "service": task.service_s,
                "window": list(task.windows[0]),
                "demand": task.parts.get(part, 0),
            }
            for task in problem.tasks
        ],
        "vehicles": [
            {"place": lane.start_place, "end": lane.end_s, "capacity": lane.van.get(part, 0)}
            for lane in problem.lanes
        ],
    }
    return solve("pyvrp", told, seconds_max=seconds_max, seed=seed)
