"""A day planned greedily: one need after the other, each to the best engineer left. Pure.

The most urgent first, and among equals the one due first. Each decision books its slot, so the next one sees
the engineer busy, more loaded, and starting from the site just visited.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from callout_dispatch.pick import pick
from callout_dispatch.pick_record import encode
from callout_dispatch.pick_roster import Roster
from callout_dispatch.pick_slots import due_us
from callout_dispatch.pick_terms import Busy, Candidate, Need, PickResult, Ranked
from callout_dispatch.policy import STANDARD, Policy
from callout_geo.travel import STANDARD_TRAVEL, Travel
from callout_orders.terms import Priority


@dataclass(frozen=True, slots=True)
class DayNeed:
    """A need with the id of what it stands for (an order or a visit); ids within a day differ."""

    id: str
    need: Need


@dataclass(frozen=True, slots=True)
class Assignment:
    """A need that found its engineer: the slot taken, and the whole decision; `input` is its record for replay."""

    need_id: str
    chosen: Ranked
    result: PickResult
    input: bytes = b""


@dataclass(frozen=True, slots=True)
class Unassigned:
    """A need that nobody can take; `result.out` says why not for each engineer."""

    need_id: str
    result: PickResult
    input: bytes = b""


@dataclass(frozen=True, slots=True)
class DayPlan:
    """All decisions of a day in the order in which they were taken, and the engineers as they end up."""

    policy_version: str
    assignments: tuple[Assignment, ...]
    unassigned: tuple[Unassigned, ...]
    candidates: tuple[Candidate, ...]


def plan_day(
    needs: Iterable[DayNeed],
    candidates: Iterable[Candidate],
    policy: Policy = STANDARD,
    travel: Travel = STANDARD_TRAVEL,
) -> DayPlan:
    """Assign every need that can be; neither the order of needs nor that of candidates matters.

    Raises ValueError when an id comes twice.
    """
    roster = Roster(candidates, travel, policy.travel_minutes_unknown)
    decisions = list(decide(needs, roster, policy, travel))
    return DayPlan(
        policy_version=policy.label,
        assignments=tuple(decision for decision in decisions if isinstance(decision, Assignment)),
        unassigned=tuple(decision for decision in decisions if isinstance(decision, Unassigned)),
        candidates=tuple(roster.candidates),
    )


def decide(
    needs: Iterable[DayNeed],
    roster: Roster,
    policy: Policy = STANDARD,
    travel: Travel | None = None,
    *,
    recorded: int = 0,
) -> Iterator[Assignment | Unassigned]:
    """The decisions of a day one by one; books into `roster`. For days too large to hold all reasons at once.

    `recorded`: keep what each decision was made of, with so many candidates. Raises ValueError when a need's id comes
    twice.
    """
    waiting = sorted(needs, key=lambda item: (*_urgency(item.need, policy), item.id))
    if len({item.id for item in waiting}) != len(waiting):
        raise ValueError("a need's id came twice")
    for item in waiting:
        result = pick(item.need, roster, policy, travel)
        # Before booking, after which the roster is another one.
        kept = (
            encode(item.need, roster, policy, travel or roster.travel, result=result, candidates_max=recorded)
            if recorded
            else b""
        )
        if result.best is None:
            yield Unassigned(item.id, result, kept)
            continue
        chosen = result.ranked[0]
        busy = Busy(chosen.slot_start, chosen.slot_end, item.need.point)
        roster.book(chosen.id, busy, item.need.parts)
        for id_ in chosen.crew:
            roster.book(id_, busy)
        yield Assignment(item.id, chosen, result, kept)


def _urgency(need: Need, policy: Policy) -> tuple[Priority, int]:
    # The same rule as the pick's: a need without a due moment has one all the same, or it would wait for ever.
    return (Priority(need.priority), due_us(need, policy))
