"""A day planned greedily: one need after the other, each to the best engineer left. Pure.

The most urgent first, and among equals the one due first. Each decision books its slot, so the next one sees
the engineer busy, more loaded, and starting from the site just visited.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from callout_dispatch.pick import pick
from callout_dispatch.pick_roster import Roster
from callout_dispatch.pick_terms import STANDARD, Busy, Candidate, Need, PickPolicy, PickResult, Ranked
from callout_orders.terms import Priority


@dataclass(frozen=True, slots=True)
class DayNeed:
    """A need with the id of what it stands for (an order or a visit); ids within a day differ."""

    id: str
    need: Need


@dataclass(frozen=True, slots=True)
class Assignment:
    """A need that found its engineer: the slot taken, and the whole decision."""

    need_id: str
    chosen: Ranked
    result: PickResult


@dataclass(frozen=True, slots=True)
class Unassigned:
    """A need that nobody can take; `result.out` says why not for each engineer."""

    need_id: str
    result: PickResult


@dataclass(frozen=True, slots=True)
class DayPlan:
    """All decisions of a day in the order in which they were taken, and the engineers as they end up."""

    policy_version: str
    assignments: tuple[Assignment, ...]
    unassigned: tuple[Unassigned, ...]
    candidates: tuple[Candidate, ...]


def plan_day(
    needs: Iterable[DayNeed], candidates: Iterable[Candidate], policy: PickPolicy = STANDARD
) -> DayPlan:
    """Assign every need that can be; neither the order of needs nor that of candidates matters.

    Raises ValueError when an id comes twice.
    """
    roster = Roster(candidates)
    decisions = list(decide(needs, roster, policy))
    return DayPlan(
        policy_version=policy.version,
        assignments=tuple(decision for decision in decisions if isinstance(decision, Assignment)),
        unassigned=tuple(decision for decision in decisions if isinstance(decision, Unassigned)),
        candidates=tuple(roster.candidates),
    )


def decide(
    needs: Iterable[DayNeed], roster: Roster, policy: PickPolicy = STANDARD
) -> Iterator[Assignment | Unassigned]:
    """The decisions of a day one by one; books into `roster`. For days too large to hold all reasons at once.

    Raises ValueError when a need's id comes twice.
    """
    waiting = sorted(needs, key=lambda item: (_urgency(item.need, policy), item.id))
    if len({item.id for item in waiting}) != len(waiting):
        raise ValueError("a need's id came twice")
    for item in waiting:
        result = pick(item.need, roster, policy)
        if result.best is None:
            yield Unassigned(item.id, result)
            continue
        chosen = result.ranked[0]
        roster.book(chosen.id, Busy(chosen.slot_start, chosen.slot_end, item.need.point), item.need.parts)
        yield Assignment(item.id, chosen, result)


def _urgency(need: Need, policy: PickPolicy) -> tuple[Priority, datetime]:
    # The same rule as the pick's: a need without a due moment has one all the same, or it would wait for
    # ever.
    due = need.due_at or need.earliest + timedelta(minutes=policy.due_minutes_default)
    return (Priority(need.priority), due)
