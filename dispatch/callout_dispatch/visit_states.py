"""A visit's progress as a merge of on-site events, and its state derived from that. Pure.

Phones send events late, twice and in any order. So nothing here depends on the order of arrival: a `Progress`
is a join-semilattice (each time keeps its earliest value, the outcome keeps its latest), and `merge` adds one
event to it. Merging is commutative, associative and idempotent; the state is a function of the merged values
alone. That is why a late event can add a time but never move a visit back.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final, Literal

import msgspec


class VisitState(StrEnum):
    """A visit's state, from planned to ended."""

    SCHEDULED = "scheduled"
    """Has an engineer and a slot; the engineer has not been told."""
    DISPATCHED = "dispatched"
    """The engineer has been told; locked to this engineer."""
    ACCEPTED = "accepted"
    TRAVELLING = "travelling"
    """From here on locked to engineer and time."""
    IN_PROGRESS = "in_progress"
    COMPLETED = "completed"
    COULD_NOT_COMPLETE = "could_not_complete"
    CANCELED = "canceled"


class EventKind(StrEnum):
    """The on-site events a phone may send."""

    ACCEPTED = "accepted"
    DECLINED = "declined"
    TRAVELLING = "travelling"
    ARRIVED = "arrived"
    DIAGNOSED = "diagnosed"
    PART_REPLACED = "part_replaced"
    NOTE = "note"
    PHOTO = "photo"
    FORM_FILLED = "form_filled"
    CUSTOMER_SIGNED = "customer_signed"
    COMPLETED = "completed"
    COULD_NOT_COMPLETE = "could_not_complete"
    LEFT = "left"


Base = Literal["scheduled", "dispatched", "canceled"]
Outcome = Literal["completed", "could_not_complete"]

#: Events that can only happen at the site, so that they prove presence even when `arrived` was lost or comes
#: later. Notes and photos can be made anywhere; an outcome can be given by telephone.
ON_SITE: Final = frozenset(
    {
        EventKind.ARRIVED,
        EventKind.DIAGNOSED,
        EventKind.PART_REPLACED,
        EventKind.CUSTOMER_SIGNED,
        EventKind.LEFT,
    }
)

#: Events that tell of work without moving it: they can be made anywhere and at any time. A decline is among them: what
#: follows from it is dispatch's decision (`answers.py`), which stands in `base` and not in what events say.
SAYS_NOTHING: Final = frozenset({EventKind.NOTE, EventKind.PHOTO, EventKind.FORM_FILLED, EventKind.DECLINED})

#: How far along a state is. The two outcomes are equally far: which of them holds is decided by time, not by
#: rank.
RANK: Final[dict[VisitState, int]] = {
    VisitState.SCHEDULED: 0,
    VisitState.DISPATCHED: 1,
    VisitState.ACCEPTED: 2,
    VisitState.TRAVELLING: 3,
    VisitState.IN_PROGRESS: 4,
    VisitState.COMPLETED: 5,
    VisitState.COULD_NOT_COMPLETE: 5,
    VisitState.CANCELED: 6,
}

ENDED: Final = frozenset({VisitState.COMPLETED, VisitState.COULD_NOT_COMPLETE, VisitState.CANCELED})
LOCKED_TO_ENGINEER: Final = frozenset({VisitState.DISPATCHED, VisitState.ACCEPTED})
LOCKED_TO_ENGINEER_AND_TIME: Final = frozenset({VisitState.TRAVELLING, VisitState.IN_PROGRESS}) | ENDED

VISIT_STATE_LABELS: Final[dict[VisitState, dict[str, str]]] = {
    VisitState.SCHEDULED: {"en": "Scheduled", "zh": "已排程"},
    VisitState.DISPATCHED: {"en": "Dispatched", "zh": "已派工"},
    VisitState.ACCEPTED: {"en": "Accepted", "zh": "已接单"},
    VisitState.TRAVELLING: {"en": "Travelling", "zh": "前往中"},
    VisitState.IN_PROGRESS: {"en": "In progress", "zh": "现场处理中"},
    VisitState.COMPLETED: {"en": "Completed", "zh": "已完成"},
    VisitState.COULD_NOT_COMPLETE: {"en": "Could not be completed", "zh": "未能完成"},
    VisitState.CANCELED: {"en": "Canceled", "zh": "已取消"},
}

_BASE_RANK: Final[dict[Base, int]] = {"scheduled": 0, "dispatched": 1, "canceled": 2}


class VisitEvent(msgspec.Struct, frozen=True):
    """One on-site event as far as states need it.

    `corrected_at` (aware) is the device's time mended by its clock offset. `event_id` is the id under which
    the event is stored: one id, one event. A `kind` that is none raises ValueError.
    """

    kind: EventKind
    corrected_at: datetime
    event_id: str

    def __post_init__(self) -> None:
        EventKind(self.kind)
        if self.corrected_at.tzinfo is None:
            raise ValueError("corrected_at must carry a time zone")


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """All that the events said about a visit, merged; `base` is what the dispatcher last decided.

    Every `*_at` but `outcome_at` is the earliest corrected time of its kind. `outcome`, `outcome_at` and
    `outcome_id` belong to the latest outcome event by (time, id): whoever corrects a mistaken "completed" has
    the last word. `first_on_site_at` is the earliest time of any event that proves presence (`ON_SITE`),
    `arrived_at` only the engineer's own word.
    """

    base: Base = "scheduled"
    accepted_at: datetime | None = None
    travelling_at: datetime | None = None
    arrived_at: datetime | None = None
    first_on_site_at: datetime | None = None
    signed_at: datetime | None = None
    completed_at: datetime | None = None
    could_not_complete_at: datetime | None = None
    left_at: datetime | None = None
    outcome: Outcome | None = None
    outcome_at: datetime | None = None
    outcome_id: str | None = None


def merge(progress: Progress, event: VisitEvent) -> Progress:
    """The progress with one more event. The same event again changes nothing."""
    if event.kind in SAYS_NOTHING:
        return progress
    return combine(progress, _alone(event))


def combine(a: Progress, b: Progress) -> Progress:
    """The join of two progresses: what is known when both are known. The base furthest along stands."""
    a_wins = _outcome_key(a) >= _outcome_key(b)
    last = a if a_wins else b
    return Progress(
        base=a.base if _BASE_RANK[a.base] >= _BASE_RANK[b.base] else b.base,
        accepted_at=_earlier(a.accepted_at, b.accepted_at),
        travelling_at=_earlier(a.travelling_at, b.travelling_at),
        arrived_at=_earlier(a.arrived_at, b.arrived_at),
        first_on_site_at=_earlier(a.first_on_site_at, b.first_on_site_at),
        signed_at=_earlier(a.signed_at, b.signed_at),
        completed_at=_earlier(a.completed_at, b.completed_at),
        could_not_complete_at=_earlier(a.could_not_complete_at, b.could_not_complete_at),
        left_at=_earlier(a.left_at, b.left_at),
        outcome=last.outcome,
        outcome_at=last.outcome_at,
        outcome_id=last.outcome_id,
    )


def state_of(progress: Progress) -> VisitState:
    """The visit's state. A canceled visit stays canceled, whatever its engineer did; the times are kept."""
    if progress.base == "canceled":
        return VisitState.CANCELED
    if progress.outcome is not None:
        return VisitState(progress.outcome)
    if progress.first_on_site_at is not None or progress.arrived_at is not None:
        return VisitState.IN_PROGRESS
    if progress.travelling_at is not None:
        return VisitState.TRAVELLING
    if progress.accepted_at is not None:
        return VisitState.ACCEPTED
    return VisitState(progress.base)


def ended_at(progress: Progress) -> datetime | None:
    """When the outcome that holds was given; what `callout_orders.order_states` orders visits by."""
    return progress.outcome_at


def work_duration(progress: Progress) -> timedelta | None:
    """Time on site: from the first proof of presence to the outcome, or to leaving while there is none.

    None while either end is unknown. Never negative: an outcome given before arriving took no time on site.
    """
    start = progress.first_on_site_at or progress.arrived_at
    end = progress.outcome_at or progress.left_at
    if start is None or end is None:
        return None
    return max(end - start, timedelta())


_FIELD: Final[dict[EventKind, str]] = {
    EventKind.ACCEPTED: "accepted_at",
    EventKind.TRAVELLING: "travelling_at",
    EventKind.ARRIVED: "arrived_at",
    EventKind.CUSTOMER_SIGNED: "signed_at",
    EventKind.COMPLETED: "completed_at",
    EventKind.COULD_NOT_COMPLETE: "could_not_complete_at",
    EventKind.LEFT: "left_at",
}


def _alone(event: VisitEvent) -> Progress:
    """What one event says when nothing else is known. Its base is the lowest, so it never moves a
    dispatcher's.
    """
    values: dict[str, object] = {}
    field = _FIELD.get(event.kind)
    if field is not None:
        values[field] = event.corrected_at
    if event.kind in ON_SITE:
        values["first_on_site_at"] = event.corrected_at
    if event.kind in (EventKind.COMPLETED, EventKind.COULD_NOT_COMPLETE):
        values |= {
            "outcome": str(event.kind),
            "outcome_at": event.corrected_at,
            "outcome_id": event.event_id,
        }
    return Progress(**values)  # type: ignore[arg-type]


def _earlier(a: datetime | None, b: datetime | None) -> datetime | None:
    if a is None or b is None:
        return b if a is None else a
    return min(a, b)


def _outcome_key(progress: Progress) -> tuple[float | datetime, str, str] | tuple[()]:
    # The empty tuple sorts before any other, so "no outcome" loses to every outcome.
    if progress.outcome_at is None:
        return ()
    return (progress.outcome_at, progress.outcome_id or "", progress.outcome or "")
