"""Giving an order to an engineer: by the pick, or by hand.

`propose` only asks. `dispatch_order` takes the best; `assign` takes whom a dispatcher names, held to the pick's hard
rules unless the dispatcher insists and says why. Changes of a visit that exists are in `reassign.py`, a whole day in
`whole_day.py`; all are reachable from here.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import msgspec

from callout_dispatch import policies
from callout_dispatch.by_hand import REASON_MAX, choose, earliest_start, with_crew
from callout_dispatch.crew import check_in_service, checked_crew
from callout_dispatch.needs import BY_HAND, Waiting, load_order
from callout_dispatch.pick import pick
from callout_dispatch.pick_record import encode
from callout_dispatch.pick_terms import PickResult, Ranked
from callout_dispatch.policy import Policy
from callout_dispatch.reassign import (
    cancel_order,
    cancel_visit,
    cancel_visits_of_order,
    dispatch_visit,
    move_visit,
    reassign,
)
from callout_dispatch.roster import load_roster, window_from
from callout_dispatch.texts import FieldRefused, checked_line, say
from callout_dispatch.visit_rows import (
    Decision,
    NewVisit,
    insert_decisions,
    insert_visits,
    lock_calendars,
    record_of,
)
from callout_dispatch.whole_day import DayAssigned, DayResult, DayUnassigned, dispatch_day
from callout_orders.terms import TO_BE_PLANNED
from callout_store.errors import Busy, NoEngineerFits
from callout_store.work import Work

__all__ = [
    "DayAssigned",
    "DayResult",
    "DayUnassigned",
    "Proposal",
    "assign",
    "cancel_order",
    "cancel_visit",
    "cancel_visits_of_order",
    "dispatch_day",
    "dispatch_order",
    "dispatch_visit",
    "move_visit",
    "propose",
    "reassign",
]

HORIZON_HOURS: Final = 72
"""How far ahead a slot is looked for: from Friday evening to Monday evening."""
FINALISTS: Final = 5
ROUNDS_MAX: Final = 3


class Proposal(msgspec.Struct, frozen=True, kw_only=True):
    """A pick for an order, with the names of all engineers by id."""

    order: Waiting
    result: PickResult
    names: Mapping[str, str]


async def propose(
    work: Work, order_id: UUID, *, parts: Mapping[str, int] | None = None, policy: Policy | None = None
) -> Proposal:
    """Who should go, who else could, and why not each of the others. Writes and locks nothing; NotFound.

    `parts` are quantities by part code that the work will need.
    """
    policy = policy or await policies.active(work)
    return (await _propose(work, await load_order(work, order_id), parts, policy))[0]


async def dispatch_order(
    work: Work, order_id: UUID, *, parts: Mapping[str, int] | None = None, policy: Policy | None = None
) -> UUID:
    """Give the order to the best engineer and tell them; the visit's id.

    Raises NotFound, WrongState (the order has a visit or is over), NoEngineerFits, and Busy (retryable) when others
    take every finalist's time while this looks.
    """
    policy = policy or await policies.active(work)
    for _ in range(ROUNDS_MAX):
        order = await load_order(work, order_id)
        order.check_state(TO_BE_PLANNED)
        proposal, kept = await _propose(work, order, parts, policy)
        if proposal.result.best is None:
            raise NoEngineerFits(
                number=order.number,
                engineers=len(proposal.names),
                reasons=", ".join(f"{code}: {count}" for code, count in proposal.result.out_counts.items()),
            )
        try:
            # Undoing the savepoint gives the finalists' calendars free again, so that no round holds two sets.
            async with work.savepoint():
                return await _take_finalist(work, order_id, proposal, kept, parts, policy)
        except _OutrunError:
            continue
    raise Busy(what=say("dispatch", work.actor.locale), retry_after_ms=200)


async def assign(
    work: Work,
    order_id: UUID,
    engineer_id: UUID,
    start: datetime | None = None,
    override: bool = False,
    reason: str = "",
    *,
    told: bool = True,
    crew: Sequence[UUID] = (),
    parts: Mapping[str, int] | None = None,
    policy: Policy | None = None,
) -> UUID:
    """Give the order to this engineer by hand; the visit's id. Without `start` it gets the earliest free slot.

    `crew` go along, and must be free then; fewer than the order needs is a broken rule like any other: nobody is sent
    alone to work for two without being asked.

    The pick's hard rules hold: who breaks one is refused as EngineerUnavailable with the reasons, unless `override`
    with a `reason`, which is stored with the decision. `told=False` only schedules the visit; `dispatch_visit` tells.
    Raises NotFound, WrongState, BadField, EngineerUnavailable.
    """
    reason = checked_line("reason", reason, limit=REASON_MAX, blank=True)
    others = checked_crew(crew)
    if engineer_id in others:
        raise FieldRefused("crew", "leads_already")
    await lock_calendars(work, [engineer_id, *others])
    order = await load_order(work, order_id, lock=True)
    order.check_state(BY_HAND)
    await check_in_service(work, others)
    policy = policy or await policies.active(work)
    choice = await choose(
        work, order, engineer_id, start=start, override=override, reason=reason, parts=parts, policy=policy
    )
    choice = await with_crew(work, order, others, choice, policy, override, needed=order.crew_size - 1)
    visit = NewVisit(
        order_id=order.id,
        engineer_id=engineer_id,
        start=choice.start,
        end=choice.end,
        travel_minutes=choice.travel_minutes,
        method="hand",
        told=told,
        crew=tuple(others),
    )
    await insert_visits(work, [visit])
    await insert_decisions(work, [choice.decision(order.id, visit.id, engineer_id, reason)])
    return visit.id


class _OutrunError(Exception):
    """Every finalist's time was taken between the pick and the locks."""


async def _propose(
    work: Work, order: Waiting, parts: Mapping[str, int] | None, policy: Policy
) -> tuple[Proposal, bytes]:
    """The proposal, and the record of what was asked."""
    window = await window_from(work, work.now, HORIZON_HOURS)
    need = order.need(earliest_start(work), parts, until=window.end)
    roster = await load_roster(work, window, parts=need.parts, policy=policy)
    names = {candidate.id: candidate.name for candidate in roster.candidates}
    result = pick(need, roster, policy)
    kept = encode(need, roster, policy, roster.travel, result=result)
    return Proposal(order=order, result=result, names=names), kept


async def _take_finalist(
    work: Work,
    order_id: UUID,
    proposal: Proposal,
    kept: bytes,
    parts: Mapping[str, int] | None,
    policy: Policy,
) -> UUID:
    """Lock the best few, look at them again as they are now, and take the best of them.

    Locking everybody before the pick would let one dispatcher work at a time, for a pick over thousands.
    """
    best: Sequence[Ranked] = proposal.result.ranked[:FINALISTS]
    finalists = sorted({UUID(id_) for ranked in best for id_ in (ranked.id, *ranked.crew)})
    await lock_calendars(work, finalists)
    order = await load_order(work, order_id, lock=True)
    order.check_state(TO_BE_PLANNED)
    window = await window_from(work, work.now, HORIZON_HOURS)
    need = order.need(earliest_start(work), parts, until=window.end)
    roster = await load_roster(work, window, engineer_ids=finalists, parts=need.parts, policy=policy)
    again = pick(need, roster, policy)
    if again.best is None:
        raise _OutrunError
    chosen = again.ranked[0]
    visit = NewVisit(
        order_id=order.id,
        engineer_id=UUID(chosen.id),
        start=chosen.slot_start,
        end=chosen.slot_end,
        travel_minutes=chosen.travel_minutes,
        method="pick",
        crew=tuple(UUID(id_) for id_ in chosen.crew),
    )
    result: dict[str, Any] = record_of(proposal.result)
    if chosen != proposal.result.ranked[0]:
        # Somebody else was quicker: the record says what was true when the choice fell.
        result |= {"best": again.best, "finalists": record_of(again)}
        kept = encode(need, roster, policy, roster.travel, result=again)
    await insert_visits(work, [visit])
    await insert_decisions(
        work,
        [
            Decision(
                order_id=order.id,
                visit_id=visit.id,
                engineer_id=visit.engineer_id,
                method="pick",
                policy_version=policy.label,
                result=result,
                input=kept,
            )
        ],
    )
    return visit.id
