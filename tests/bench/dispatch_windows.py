"""Solomon's and Gehring and Homberger's instances of routing with time windows: read, put to our planner, measured.

Distance is what counts, in tenths of a unit cut off (not rounded), the convention of the DIMACS challenge and of exact
solvers; so figures are equal to the digit where plans are. Our problem has no price on engineers, as theirs has none on
vehicles.

OPTIMA: best distances of Solomon's type 1 instances with 100 customers in that convention, as published by exact solvers and
collected in github.com/christianmaxmike/ALNS-VRPTW-FL (OptimalSolutions.java, commit 05be6db); a second public list has the
same for R1 and RC1. The routes of `best_known/` have these very distances for all of C1. For R1 and RC1 they were made for
few vehicles and are up to 8 % longer, so that they are no measure of distance.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Final

import msgspec
import numpy as np

from callout_dispatch.planning.terms import Lane, Plan, Problem, Seconds, Task
from callout_dispatch.policy import Availability, PartsOnVan, Policy, VisitingHours
from callout_orders.terms import Priority

TENTHS: Final = 10
LOAD: Final = "load"
RULES: Final = Policy(rules=(Availability(), VisitingHours(), PartsOnVan(pickup=False)))
OPTIMA: Final[Mapping[str, float]] = {
    **{"C101": 827.3, "C102": 827.3, "C103": 826.3, "C104": 822.9, "C105": 827.3},
    **{"C106": 827.3, "C107": 827.3, "C108": 827.3, "C109": 827.3},
    **{"R101": 1637.7, "R102": 1466.6, "R103": 1208.7, "R104": 971.5, "R105": 1355.3, "R106": 1234.6},
    **{"R107": 1064.6, "R108": 932.1, "R109": 1146.9, "R110": 1068.0, "R111": 1048.7, "R112": 948.6},
    **{"RC101": 1619.8, "RC102": 1457.4, "RC103": 1258.0, "RC104": 1132.3, "RC105": 1513.7},
    **{"RC106": 1372.7, "RC107": 1207.8, "RC108": 1114.2},
}


class Windows(msgspec.Struct, frozen=True, kw_only=True):
    """An instance; the first place is the depot. `places`: x, y, demand, earliest and latest start, length of the work."""

    name: str
    vehicles: int
    capacity: int
    places: tuple[tuple[float, float, int, int, int, int], ...]


def read_solomon(path: Path) -> Windows:
    """An instance of `solomon/*.json`. ValueError: not one."""
    told = json.loads(path.read_text())
    return Windows(
        name=told["instance"],
        vehicles=told["vehicle-nr"],
        capacity=told["capacity"],
        places=tuple(
            (one["x"], one["y"], one["demand"], one["earliest"], one["latest"], one["cost"])
            for one in told["customers"]
        ),
    )


def read_vrplib(path: Path) -> Windows:
    """An instance in VRPLIB's format, as Gehring and Homberger's are spread. ValueError: not one."""
    heads: dict[str, str] = {}
    sections: dict[str, dict[int, list[int]]] = {}
    section: dict[int, list[int]] | None = None
    for line in path.read_text().splitlines():
        head, colon, value = line.partition(":")
        if colon:
            heads[head.strip()] = value.strip()
        elif line.strip().endswith("_SECTION"):
            section = sections.setdefault(line.strip(), {})
        elif section is not None and line.strip() not in ("EOF", ""):
            number, *values = (int(word) for word in line.split())
            section[number] = values
    try:
        at, wanted = sections["NODE_COORD_SECTION"], sections["DEMAND_SECTION"]
        windows, service = sections["TIME_WINDOW_SECTION"], int(heads["SERVICE_TIME"])
        return Windows(
            name=heads["NAME"],
            vehicles=int(heads["VEHICLES"]),
            capacity=int(heads["CAPACITY"]),
            places=tuple(
                (*at[n][:2], wanted[n][0], *windows[n][:2], service if n != 1 else 0) for n in sorted(at)
            ),
        )
    except (KeyError, IndexError, TypeError) as error:
        raise ValueError(f"{path.name} is no instance with time windows: {error!r}") from error


def read_routes(path: Path) -> tuple[tuple[int, ...], ...]:
    """Routes of a .sol file, or of a file of `best_known/`; empty ones left out."""
    text = path.read_text()
    if path.suffix == ".json":
        routes = json.loads(text)["solution"]
    else:
        routes = [[int(n) for n in found.split()] for found in re.findall(r"Route #\d+:([\d ]*)", text)]
    return tuple(tuple(route) for route in routes if route)


def ways(instance: Windows) -> Seconds:
    """Distances between all places in tenths, cut off."""
    at = np.array([one[:2] for one in instance.places], float)
    straight = np.hypot(at[:, None, 0] - at[None, :, 0], at[:, None, 1] - at[None, :, 1])
    tenths: Seconds = np.floor(straight * TENTHS + 1e-9).astype(np.int32)
    return tenths


def problem(instance: Windows) -> Problem:
    """The instance as ours: an engineer a vehicle, the load as a part on the van, a tenth of a unit as a second."""
    _, _, _, opens, closes, _ = instance.places[0]
    lanes = tuple(
        Lane(
            id=f"e{n}:0",
            engineer_id=f"e{n}",
            start_s=opens * TENTHS,
            end_s=closes * TENTHS,
            start_place=0,
            end_place=0,
            van={LOAD: instance.capacity},
        )
        for n in range(instance.vehicles)
    )
    tasks = tuple(
        Task(
            id=str(n),
            order_id=str(n),
            place=n,
            service_s=service * TENTHS,
            windows=((first * TENTHS, last * TENTHS),),
            due_s=1_000_000_000,
            priority=Priority.P0,
            parts={LOAD: demand},
        )
        for n, (_, _, demand, first, last, service) in enumerate(instance.places)
        if n
    )
    return Problem(tasks=tasks, lanes=lanes, seconds=ways(instance), now_s=0, policy=RULES)


def distance(instance: Windows, routes: Sequence[Sequence[int]]) -> float:
    """Units travelled on these routes. ValueError: they are no answer (a customer missing or late, a vehicle too full)."""
    if sorted(n for route in routes for n in route) != list(range(1, len(instance.places))):
        raise ValueError("not every customer is visited once")
    matrix, total = ways(instance), 0
    for route in routes:
        if sum(instance.places[n][2] for n in route) > instance.capacity:
            raise ValueError("a vehicle carries too much")
        at, clock = 0, instance.places[0][3] * TENTHS
        for n in (*route, 0):
            total += int(matrix[at, n])
            _, _, _, first, last, service = instance.places[n]
            clock = max(clock + int(matrix[at, n]), first * TENTHS)
            if clock > last * TENTHS:
                raise ValueError(f"customer {n} is visited too late")
            clock += service * TENTHS
            at = n
    return total / TENTHS


def routes_of(plan: Plan) -> tuple[tuple[int, ...], ...]:
    """A plan's routes as numbers of customers."""
    found = (tuple(int(s.task_id) for s in route.stops if s.task_id) for route in plan.routes)
    return tuple(route for route in found if route)


def bare_vroom(given: Problem, *, seconds_max: float, exploration: int = 5) -> tuple[int, float]:
    """(customers left out, units travelled) by VROOM alone, in its plainest words."""
    import vroom  # As in the planner: slow to load, so only where it is used.

    told = vroom.Input()
    told.set_durations_matrix("car", given.seconds.astype("uint32"))
    for n, lane in enumerate(given.lanes):
        told.add_vehicle(
            vroom.Vehicle(
                n, start=0, end=0, capacity=[lane.van[LOAD]], time_window=(lane.start_s, lane.end_s)
            )
        )
    told.add_job(
        [
            vroom.Job(
                n,
                location=task.place,
                default_service=task.service_s,
                delivery=[task.parts[LOAD]],
                time_windows=list(task.windows),
            )
            for n, task in enumerate(given.tasks)
        ]
    )
    solved = told.solve(exploration, 1, timedelta(seconds=seconds_max))
    return len(solved.unassigned), solved.summary.duration / TENTHS
