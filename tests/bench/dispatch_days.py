"""Rows of the dispatch bench on days: made-up ones of 50 x 400, urgent visits, picks, a month of real requests."""

from __future__ import annotations

import statistics
from collections.abc import Callable

import dispatch_insertion
import dispatch_instances
import dispatch_peers
import pick_sides
from dispatch_instances import HOUR, Outcome
from dispatch_report import CannotRun, Row, share, verdict
from dispatch_settings import SECONDS, SEEDS
from dispatch_yardsticks import planned

from callout_dispatch.planning.terms import Plan, Problem
from callout_dispatch.planning.vroom_planner import VroomPlanner

GREEDY_FACTOR = 3.0
PICK_FACTOR = 3.0
PICKS = 1_000
MONTHS = (6, 9, 12)
MONTH_SECONDS_MAX = 1.0
"""A day of the month has some twenty requests: more time for its plan buys nothing."""
Side = Callable[[Problem], Outcome]


def outcome(plan: Plan) -> Outcome:
    """A plan of ours as the figures of the table."""
    travel_s = sum(route.back_s + sum(stop.travel_s for stop in route.stops) for route in plan.routes)
    return Outcome(left=len(plan.left), travel_hours=travel_s / HOUR)


def city() -> list[Row]:
    """50 engineers, 400 visits: visits left out and hours on the road, without and with a break."""
    beside: dict[str, Side] = {
        "bare pyvroom": lambda given: dispatch_instances.bare_vroom(given, seconds_max=SECONDS),
        "greedy": dispatch_instances.greedy,
        dispatch_peers.VERSIONS["ortools"]: lambda given: dispatch_peers.ortools_city(
            given, seconds_max=SECONDS
        ),
    }
    rows = []
    for rests in (False, True):
        days = [dispatch_instances.city(seed, rests=rests) for seed in range(1, SEEDS + 1)]
        ours = [outcome(planned(day, VroomPlanner())[0]) for day in days]
        for name, side in beside.items():
            what = f"50 x 400, {SEEDS} days {'with a break' if rests else 'without breaks'}: left out, travel"
            try:
                others = [side(day) for day in days]
            except CannotRun as reason:
                rows.append(Row(work=what, ours=_told(ours), beside=f"{name}: {reason}"))
                continue
            mine, theirs = (sum(one.left for one in all_) for all_ in (ours, others))
            row = Row(
                work=what,
                ours=_told(ours),
                beside=f"{name} {_told(others)}",
                ratio=share(mine, theirs),
                more={"left": [one.left for one in ours], "left_beside": [one.left for one in others]},
            )
            if name == "bare pyvroom":
                row.target, row.verdict = "<= left out by it", verdict(mine <= theirs)
            elif name == "greedy":
                held = mine * GREEDY_FACTOR <= theirs
                row.target, row.verdict = f">= {GREEDY_FACTOR:g} times fewer left out", verdict(held)
            rows.append(row)
            print(f"{what}: callout {_told(ours)}; {row.beside}", flush=True)
    return rows


def _told(outcomes: list[Outcome]) -> str:
    left = "+".join(str(one.left) for one in outcomes)
    return f"{left}, {statistics.mean(one.travel_hours for one in outcomes):.0f} h"


def urgent() -> list[Row]:
    """An urgent visit into a running plan, by the inserter and by planning anew from what stands."""
    rows = []
    for work, ours, beside, ratio, target, held in dispatch_insertion.rows():
        rows.append(Row(work=work, ours=ours, beside=beside, ratio=ratio, target=target, verdict=held))
    for work, ours, beside, ratio, target, held in dispatch_insertion.replan_rows():
        rows.append(Row(work=work, ours=ours, beside=beside, ratio=ratio, target=target, verdict=held))
    return rows


def picks() -> list[Row]:
    """A pick among 10,000 engineers beside bare numpy."""
    rows = []
    for days in (pick_sides.EMPTY, pick_sides.FULL):
        given = pick_sides.acts(days)
        pick_sides.timed(given, 20)
        spent = pick_sides.timed(given, PICKS)
        for side, other in pick_sides.BESIDE:
            ratio = statistics.median(spent[side]) / statistics.median(spent[other])
            row = Row(
                work=f"pick among 10,000, {days}, {PICKS:,} picks ({side})",
                ours=_ms(spent[side]),
                beside=f"{other} {_ms(spent[other])}",
                ratio=f"{ratio:.2f} x",
            )
            if days == pick_sides.EMPTY:
                row.target, row.verdict = f"<= {PICK_FACTOR:g} x", verdict(ratio <= PICK_FACTOR)
            rows.append(row)
    return rows


def _ms(spent: list[float]) -> str:
    return f"p50 {statistics.median(spent):.2f}, p95 {statistics.quantiles(spent, n=20)[-1]:.2f} ms"


def months() -> list[Row]:
    """Months of San Francisco's requests, beside nearest-first and round-robin: better in travel and in lateness.

    Three of them: the way ours plans anew within a day was found while looking at December alone.
    """
    return [row for number in MONTHS for row in _month(number)]


def _month(number: int) -> list[Row]:
    import dispatch_replay  # Brings the demo's reader of the data with it.

    given = dispatch_replay.load(month=number)
    seconds_max = min(SECONDS, MONTH_SECONDS_MAX)
    ours, *others = dispatch_replay.compare(VroomPlanner(), seconds_max=seconds_max, month=given)
    rows = []
    for other in others:
        rows.append(
            Row(
                work=f"month {number}, {ours.jobs} real requests: travel a visit",
                ours=f"{ours.travel_minutes_a_visit:.1f} min",
                beside=f"{other.name} {other.travel_minutes_a_visit:.1f} min",
                ratio=share(ours.travel_minutes_a_visit, other.travel_minutes_a_visit),
                target="less",
                verdict=verdict(ours.travel_minutes_a_visit < other.travel_minutes_a_visit),
            )
        )
        rows.append(
            Row(
                work="  late or not done, late on average",
                ours=f"{ours.late}, {ours.late_minutes_mean:.0f} min",
                beside=f"{other.name} {other.late}, {other.late_minutes_mean:.0f} min",
                ratio=share(ours.late, other.late),
                target="fewer",
                verdict=verdict(ours.late < other.late),
                more={"done": ours.done, "done_beside": other.done},
            )
        )
    return rows
