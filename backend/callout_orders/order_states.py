"""A work order's state, derived from its visits. Pure.

The visits' states are the texts that the dispatch floor stores (`callout_dispatch.visit_states.VisitState`);
they are named here and not imported, because this floor lies below that one.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from callout_orders.terms import OrderState

PLANNED_VISIT: Final = frozenset({"scheduled", "dispatched", "accepted"})
#: Travelling counts as work: from then on the visit is locked to its engineer and its time.
WORKING_VISIT: Final = frozenset({"travelling", "in_progress"})
COMPLETED_VISIT: Final = "completed"
FAILED_VISIT: Final = "could_not_complete"
CANCELED_VISIT: Final = "canceled"
VISIT_STATES: Final = PLANNED_VISIT | WORKING_VISIT | {COMPLETED_VISIT, FAILED_VISIT, CANCELED_VISIT}

_BEFORE_ALL: Final = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class VisitFact:
    """What an order needs to know of one of its visits.

    `ended_at` (aware) is the time of the outcome; it orders ended visits, and `visit_id` breaks ties. An
    ended visit without a time counts as the oldest. Raises ValueError for a state that is none.
    """

    visit_id: str
    state: str
    ended_at: datetime | None = None

    def __post_init__(self) -> None:
        if self.state not in VISIT_STATES:
            raise ValueError(f"unknown visit state {self.state!r}")


def derive(visits: Iterable[VisitFact], *, canceled: bool = False, closed: bool = False) -> OrderState:
    """The order's state; the visits may come in any order.

    `closed` and `canceled` are the two explicit decisions of people and stand above all visits; an order
    closed after sign-off stays closed even if somebody also cancels it. Then the visit furthest along that is
    still live decides; a second visit planned after the first one ended makes the order scheduled again.
    Without a live visit the last outcome decides. Canceled visits count for nothing.
    """
    if closed:
        return OrderState.CLOSED
    if canceled:
        return OrderState.CANCELED
    facts = list(visits)
    states = {fact.state for fact in facts}
    if states & WORKING_VISIT:
        return OrderState.IN_PROGRESS
    if states & PLANNED_VISIT:
        return OrderState.SCHEDULED
    # The state takes part in the key only so that even two facts with one id give one answer in any order.
    ended = [
        (fact.ended_at or _BEFORE_ALL, fact.visit_id, fact.state)
        for fact in facts
        if fact.state in (COMPLETED_VISIT, FAILED_VISIT)
    ]
    if not ended:
        return OrderState.NEW
    return OrderState.COMPLETED if max(ended)[2] == COMPLETED_VISIT else OrderState.CANNOT_COMPLETE
