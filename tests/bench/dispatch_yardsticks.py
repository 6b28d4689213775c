"""Rows of the dispatch bench on instances that others published: our planner beside bare VROOM, PyVRP and the best known."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator

import dispatch_technicians as technicians
import dispatch_windows as windows
import fetch_instances
from dispatch_peers import VERSIONS, pyvrp_windows
from dispatch_report import CannotRun, Row, gap, verdict
from dispatch_settings import SECONDS, SHARED, shared, some

from callout_dispatch.planning.checker import check
from callout_dispatch.planning.terms import Plan, Problem
from callout_dispatch.planning.vroom_planner import VroomPlanner

GAP_MAX = 2.0
SIDES = ("callout", "bare VROOM", VERSIONS["pyvrp"])
Gaps = dict[str, float | None]


def planned(problem: Problem, planner: VroomPlanner, *, seconds_max: float = SECONDS) -> tuple[Plan, float]:
    """The plan, which the checker has to find sound, and how long it took."""
    began = time.perf_counter()
    plan = planner.solve(problem, seconds_max=seconds_max, seed=1, progress=lambda share, stage: None)
    spent = time.perf_counter() - began
    faults = check(problem, plan)
    assert not faults, f"a plan that breaks a rule: {faults[:3]}"
    return plan, spent


def solomon() -> list[Row]:
    """Distance over the optima of Solomon's type 1 instances."""
    gaps: dict[str, Gaps] = {}
    seconds: list[float] = []
    for path in some(shared("solomon", "*.json")):
        instance = windows.read_solomon(path)
        gaps[instance.name], spent = _gaps(instance, windows.OPTIMA[instance.name])
        seconds.append(spent)
        _tell("solomon", instance.name, gaps[instance.name])
    return _window_rows(f"Solomon, {len(gaps)} instances", "optimal distance", gaps, seconds, GAP_MAX)


def homberger() -> list[Row]:
    """Distance over the best known of Gehring and Homberger's instances with 1,000 customers."""
    gaps: dict[str, Gaps] = {}
    seconds: list[float] = []
    for name in some(fetch_instances.names()):
        try:
            instance = windows.read_vrplib(fetch_instances.fetched(name, "vrp"))
            routes = windows.read_routes(fetch_instances.fetched(name, "sol"))
        except fetch_instances.NotFetched as missing:
            raise CannotRun(str(missing)) from missing
        gaps[name], spent = _gaps(instance, windows.distance(instance, routes))
        seconds.append(spent)
        _tell("homberger", name, gaps[name])
    what = f"Gehring and Homberger, {len(gaps)} instances of 1,000"
    return _window_rows(what, "best known distance", gaps, seconds, None)


def _gaps(instance: windows.Windows, best: float) -> tuple[Gaps, float]:
    """Each side's gap in percent, None where customers were left out or the side cannot run; our seconds."""
    problem = windows.problem(instance)
    plan, spent = planned(problem, VroomPlanner())
    found: Gaps = dict.fromkeys(SIDES)
    if not plan.left:
        found["callout"] = gap(windows.distance(instance, windows.routes_of(plan)), best)
    left, travel = windows.bare_vroom(problem, seconds_max=SECONDS)
    if not left:
        found["bare VROOM"] = gap(travel, best)
    try:
        left, tenths = pyvrp_windows(problem, windows.LOAD, seconds_max=SECONDS)
        if not left:
            found[VERSIONS["pyvrp"]] = gap(tenths / windows.TENTHS, best)
    except CannotRun:
        pass
    return found, spent


def _window_rows(
    what: str, measure: str, gaps: dict[str, Gaps], seconds: list[float], gap_max: float | None
) -> list[Row]:
    """One row beside each other side, and one for each type of instances."""
    ours = _side(gaps, "callout")
    whole = len(ours) == len(gaps)
    mean = statistics.mean(ours) if ours else float("nan")
    rows = [
        Row(
            work=f"{what}: gap to the {measure}",
            ours=_told(ours, len(gaps)),
            beside=f"{side} {_told(_side(gaps, side), len(gaps))}",
            ratio=f"{mean:+.2f} %",
            target=f"<= {gap_max:g} % on average" if gap_max is not None and not n else "",
            verdict=verdict(whole and mean <= gap_max) if gap_max is not None and not n else "",
            more={"gaps": gaps, "seconds_mean": round(statistics.mean(seconds), 2)} if not n else {},
        )
        for n, side in enumerate(SIDES[1:])
    ]
    for kind in sorted({_kind(name) for name in gaps}):
        mine = {name: one for name, one in gaps.items() if _kind(name) == kind}
        rows.append(
            Row(
                work=f"  of these type {kind}",
                ours=_told(_side(mine, "callout"), len(mine)),
                beside="; ".join(f"{side} {_told(_side(mine, side), len(mine))}" for side in SIDES[1:]),
            )
        )
    return rows


def technician_rows() -> list[Row]:
    """Working time over the published values of the technician instances."""
    best = technicians.published(SHARED / "trsp" / "published.csv") if SHARED.exists() else {}
    gaps: dict[str, Gaps] = {}
    seconds: list[float] = []
    for path in some(shared("trsp", "*.xml")):
        instance = technicians.read(path)
        problem = technicians.problem(instance)
        plan, spent = planned(problem, VroomPlanner(waiting=1.0))
        found = None if plan.left else gap(technicians.duration(problem, plan), best[instance.name])
        gaps[instance.name] = {"callout": found}
        seconds.append(spent)
        _tell("technicians", instance.name, gaps[instance.name])
    ours = _side(gaps, "callout")
    mean = statistics.mean(ours) if ours else float("nan")
    better = sum(one < 0 for one in ours)
    held = len(ours) == len(gaps) and mean <= GAP_MAX and better > 0
    rows = [
        Row(
            work=f"Technicians, {len(gaps)} instances: gap to the published working time",
            ours=f"{_told(ours, len(gaps))}, better on {better}",
            beside="Pillac et al. 2013",
            ratio=f"{mean:+.2f} %",
            target=f"<= {GAP_MAX:g} % on average, better on some",
            verdict=verdict(held),
            more={"gaps": gaps, "seconds_mean": round(statistics.mean(seconds), 2)},
        )
    ]
    for kind in sorted({_kind(name) for name in gaps}):
        mine = {name: one for name, one in gaps.items() if _kind(name) == kind}
        rows.append(Row(work=f"  of these type {kind}", ours=_told(_side(mine, "callout"), len(mine))))
    return rows


def _side(gaps: dict[str, Gaps], side: str) -> list[float]:
    return [found for one in gaps.values() if (found := one[side]) is not None]


def _told(found: list[float], of: int) -> str:
    if not found:
        return "no answer"
    whole = "" if len(found) == of else f" ({len(found)} of {of})"
    return f"{statistics.mean(found):+.2f} %, worst {max(found):+.2f} %{whole}"


def _kind(name: str) -> str:
    """C1, R1, RC1 and so on: letters and the first digit."""
    return next(name[: n + 1] for n, letter in enumerate(name) if letter.isdigit())


def _tell(what: str, name: str, one: Gaps) -> None:
    figures: Iterator[str] = (
        f"{side} {'-' if found is None else f'{found:+.2f} %'}" for side, found in one.items()
    )
    print(f"{what} {name}: {', '.join(figures)}", flush=True)
