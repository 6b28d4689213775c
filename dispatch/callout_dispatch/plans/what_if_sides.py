"""Two solutions of one day side by side: figures of each, and where they differ. Pure."""

from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from callout_dispatch.plans.changes import Change, changes_of
from callout_dispatch.plans.loaded import Loaded
from callout_dispatch.plans.run_figures import plan_figures
from callout_dispatch.plans.solving import Solved
from callout_dispatch.windows import instant

DIFFERENCES_MAX: Final = 2_000
"""Orders listed with what becomes of them under either policy."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """The day by one policy."""

    version: int
    given: Loaded
    solved: Solved


def compare(a: Side, b: Side) -> dict[str, Any]:
    """Both days as JSON: figures of each, and by engineer and by order what differs."""
    of_a, of_b = _orders_of(a), _orders_of(b)
    differing = [id_ for id_ in of_a if _said(of_a[id_]) != _said(of_b[id_])]
    orders = {order.id: order for order in a.given.draft.orders.values()}
    totals_a, engineers_a = plan_figures(a.given, a.solved.plan)
    totals_b, engineers_b = plan_figures(b.given, b.solved.plan)
    names = {**a.given.draft.engineers, **b.given.draft.engineers}
    return {
        "a": _side(a, totals_a),
        "b": _side(b, totals_b),
        "engineers": [
            {
                "engineerId": id_,
                "name": names[id_].name,
                "a": engineers_a.get(id_),
                "b": engineers_b.get(id_),
            }
            for id_ in sorted(names)
            if engineers_a.get(id_) != engineers_b.get(id_)
        ],
        "orderCount": len(differing),
        "orders": [
            {
                "orderId": id_,
                "number": orders[id_].number,
                "priority": orders[id_].priority,
                "a": _said(of_a[id_]),
                "b": _said(of_b[id_]),
            }
            for id_ in sorted(differing, key=lambda one: orders[one].number)[:DIFFERENCES_MAX]
        ],
    }


def _side(side: Side, totals: dict[str, Any]) -> dict[str, Any]:
    return {
        "policyVersion": side.version,
        "planner": side.solved.planner,
        "fallback": side.solved.fallback,
        **totals,
    }


def _orders_of(side: Side) -> dict[UUID, Change]:
    return {change.order_id: change for change in changes_of(side.given, side.solved.plan)}


def _said(change: Change) -> dict[str, Any]:
    return {
        "engineerId": change.engineer_id,
        "crew": change.crew,
        "start": None if change.start_s is None else instant(change.start_s),
        "reasons": [reason.code.value for reason in change.reasons],
    }
