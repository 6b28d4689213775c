"""What a proposal is worth, as JSON that is kept with its run: totals before and after, each engineer's day. Pure."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Any

from callout_dispatch.planning.figures import Figures, figures
from callout_dispatch.planning.inserter import standing_plan
from callout_dispatch.planning.terms import Plan
from callout_dispatch.plans.changes import WRITES, Change, Kind
from callout_dispatch.plans.loaded import Loaded
from callout_dispatch.plans.solving import Solved
from callout_orders.terms import Priority


def figures_of(given: Loaded, solved: Solved, changes: Sequence[Change]) -> dict[str, Any]:
    """All of it. `before` is what stands, the waiting orders unassigned; `aside` counts visits that are in no plan."""
    before, after = figures(given.problem, standing_plan(given.problem)), figures(given.problem, solved.plan)
    old, new = by_engineer(before), by_engineer(after)
    moved = _moved(changes)
    names = given.draft.engineers
    counts = Counter(change.kind for change in changes)
    return {
        "planner": solved.planner,
        "fallback": solved.fallback,
        "faults": solved.faults,
        "before": totals(given, before),
        "after": totals(given, after),
        "changes": {kind.value: counts[kind] for kind in Kind},
        "aside": len(given.draft.aside),
        "engineers": [
            {
                "engineerId": id_,
                "name": names[id_].name,
                "gains": moved[id_]["gains"],
                "loses": moved[id_]["loses"],
                "moves": moved[id_]["moves"],
                "before": old.get(id_),
                "after": new.get(id_),
            }
            for id_ in sorted(names, key=lambda one: (names[one].name, one))
            if id_ in moved or old.get(id_) != new.get(id_)
        ],
    }


def plan_figures(given: Loaded, plan: Plan) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    """Totals and days of one plan."""
    found = figures(given.problem, plan)
    return totals(given, found), by_engineer(found)


def totals(given: Loaded, found: Figures) -> dict[str, Any]:
    """A plan in a few figures. Orders that no planner was asked about are unassigned as well."""
    left = Counter(found.unassigned)
    left.update(given.draft.orders[barred.task_id].priority for barred in given.barred)
    return {
        "visits": found.visits,
        "unassigned": sum(left.values()),
        "unassignedByPriority": {priority.value: left[priority] for priority in Priority},
        "travelMinutes": found.travel_minutes,
        "kilometres": None if found.travel_metres is None else round(found.travel_metres / 1000, 1),
        "workMinutes": found.work_minutes,
        "waitingMinutes": found.waiting_minutes,
        "idleMinutes": found.idle_minutes,
        "late": found.sla_missed,
        "lateMinutes": found.late_minutes,
        "atRisk": found.sla_at_risk,
        "visitsSpread": found.visits_spread,
        "workMinutesSpread": found.work_minutes_spread,
        "costMinutes": round(found.cost / 60, 1),
    }


def by_engineer(found: Figures) -> dict[str, dict[str, Any]]:
    """The days of those who have work, over all their shifts."""
    return {
        one.engineer_id: {
            "visits": one.visits,
            "workMinutes": one.work_minutes,
            "travelMinutes": one.travel_minutes,
            "idleMinutes": one.idle_minutes,
        }
        for one in found.engineers
        if one.visits
    }


def _moved(changes: Sequence[Change]) -> dict[str, Counter[str]]:
    """How many visits each engineer gains, loses, and keeps at another time."""
    found: dict[str, Counter[str]] = defaultdict(Counter)
    for change in changes:
        if change.kind not in WRITES:
            continue
        to, was = change.engineer_id, change.from_engineer_id
        if to == was:
            found[str(to)]["moves"] += 1
            continue
        if to is not None:
            found[str(to)]["gains"] += 1
        if was is not None:
            found[str(was)]["loses"] += 1
    return found
