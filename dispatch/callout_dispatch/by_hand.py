"""A dispatcher's choice, held to the pick's hard rules unless the dispatcher insists. Reads only.

By hand a dispatcher names who leads and who goes along, so no crew is looked for here.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

import msgspec

from callout_dispatch import policies
from callout_dispatch.needs import Waiting
from callout_dispatch.pick import pick
from callout_dispatch.pick_record import encode
from callout_dispatch.pick_roster import Roster
from callout_dispatch.pick_terms import MINUTE_US, Need, Reason, ReasonCode, from_us, to_us
from callout_dispatch.policy import Availability, Policy, RequestedWindow, VisitingHours
from callout_dispatch.roster import load_roster, window_from
from callout_dispatch.slot_at import SlotAt, leg_minutes, slot_at
from callout_dispatch.texts import REASON_MAX, FieldRefused, Unavailable
from callout_dispatch.visit_rows import Decision, record_of
from callout_store.errors import NotFound
from callout_store.work import Work

__all__ = ["REASON_MAX", "Choice", "check_slot", "choose", "crew_reasons", "earliest_start", "with_crew"]

SLOT_HOURS: Final = 72
"""How far ahead a slot is looked for when the dispatcher names none."""
START_DAYS_MAX: Final = 366
PAST_MINUTES: Final = 5
"""A start named on a screen a moment ago still counts as now."""


class Choice(msgspec.Struct, frozen=True, kw_only=True):
    """The slot, and the record of why. `overridden` are the reasons that the dispatcher set aside."""

    start: datetime
    end: datetime
    travel_minutes: float
    policy_version: str
    result: dict[str, Any]
    overridden: tuple[Reason, ...] = ()
    input: bytes = b""

    def decision(self, order_id: UUID, visit_id: UUID, engineer_id: UUID, reason: str) -> Decision:
        """The decision for the record."""
        return Decision(
            order_id=order_id,
            visit_id=visit_id,
            engineer_id=engineer_id,
            method="hand",
            policy_version=self.policy_version,
            result=self.result,
            reason=reason,
            input=self.input,
        )


def earliest_start(work: Work) -> datetime:
    """The moment from which an engineer may set out: now."""
    return work.now


async def choose(
    work: Work,
    order: Waiting,
    engineer_id: UUID,
    *,
    start: datetime | None,
    override: bool,
    reason: str,
    policy: Policy,
    parts: Mapping[str, int] | None = None,
    prefer: datetime | None = None,
    without_visit: UUID | None = None,
) -> Choice:
    """The slot of this engineer for this order. The caller holds the engineer's calendar.

    `start` is a must; `prefer` is a time that is kept if it is free (the customer was told of it). `without_visit` is
    the visit that moves and so is in nobody's way. Raises NotFound, BadField, EngineerUnavailable.
    """
    if override and not reason:
        raise FieldRefused("reason", "override_reason")
    if start is not None:
        _check_start(work, start)
    for wish in (start, prefer if start is None else None):
        if wish is None or (wish is prefer and wish <= work.now):
            continue
        need = _need(work, order, parts, wish)
        roster = await _one(work, engineer_id, need, min(wish, work.now), wish, without_visit, policy)
        slot = slot_at(need, roster, wish, policy)
        if not slot.reasons or (wish is start and override):
            return _chosen(slot, need, roster, policy, override)
        if wish is start:
            raise Unavailable(slot.reasons)
    need = _need(work, order, parts, work.now)
    roster = await _one(work, engineer_id, need, work.now, work.now, without_visit, policy)
    result = pick(need, roster, policy)
    if result.best is not None:
        best = result.ranked[0]
        return Choice(
            start=best.slot_start,
            end=best.slot_end,
            travel_minutes=best.travel_minutes,
            policy_version=policy.label,
            result=record_of(result),
            input=encode(need, roster, policy, roster.travel),
        )
    reasons = result.out[0].reasons
    if not override:
        raise Unavailable(reasons)
    return _chosen(_forced(need, roster, reasons, policy), need, roster, policy, override)


async def check_slot(
    work: Work,
    order: Waiting,
    engineer_id: UUID,
    start: datetime,
    *,
    without_visit: UUID | None = None,
    policy: Policy | None = None,
) -> SlotAt:
    """What would speak against this engineer at this time, before anybody decides. Locks nothing. NotFound, BadField."""
    _check_start(work, start)
    policy = policy or await policies.active(work)
    need = _need(work, order, None, start)
    roster = await _one(work, engineer_id, need, min(start, work.now), start, without_visit, policy)
    return slot_at(need, roster, start, policy)


async def crew_reasons(
    work: Work,
    order: Waiting,
    crew: Collection[UUID],
    start: datetime,
    *,
    without_visit: UUID | None,
    policy: Policy,
    needed: int = 0,
    joining: bool = False,
) -> tuple[Reason, ...]:
    """What speaks against those who go along, at the time to which their visit moves, and whether fewer than `needed` do.

    `joining`: they come to a visit that stands; where it has begun, or will before they can be there, they may come later.
    """
    need = msgspec.structs.replace(
        _need(work, order, None, start), skills={}, parts={}, required=frozenset(), preferred=frozenset()
    )
    found: list[Reason] = []
    if len(crew) < needed:
        found.append(Reason(ReasonCode.CREW_INCOMPLETE, {"crew": order.crew_size}))
    for member in sorted(crew):
        roster = await _one(work, member, need, min(start, work.now), start, without_visit, policy)
        at = start
        if joining:
            way = leg_minutes(roster.candidates[0].position, need.point, policy, roster.travel, work.now)
            at = max(start, _whole_minute(work.now + timedelta(minutes=way)))
        found.extend(slot_at(need, roster, at, policy).reasons)
    return tuple(found)


async def with_crew(
    work: Work,
    order: Waiting,
    crew: Collection[UUID],
    choice: Choice,
    policy: Policy,
    override: bool,
    *,
    needed: int = 0,
    without_visit: UUID | None = None,
) -> Choice:
    """The choice, once those who go along were asked as well: nobody is booked twice without being told.

    `needed` is how many have to go along. Raises EngineerUnavailable unless `override`.
    """
    reasons = await crew_reasons(
        work, order, crew, choice.start, without_visit=without_visit, policy=policy, needed=needed
    )
    if not reasons:
        return choice
    if not override:
        raise Unavailable(reasons)
    result = choice.result | {"crew_reasons": msgspec.to_builtins(reasons)}
    return msgspec.structs.replace(choice, overridden=(*choice.overridden, *reasons), result=result)


def _need(work: Work, order: Waiting, parts: Mapping[str, int] | None, around: datetime) -> Need:
    until = max(around, work.now) + timedelta(hours=SLOT_HOURS)
    return msgspec.structs.replace(order.need(earliest_start(work), parts, until=until), crew=1)


async def _one(
    work: Work,
    engineer_id: UUID,
    need: Need,
    start: datetime,
    around: datetime,
    without_visit: UUID | None,
    policy: Policy,
) -> Roster:
    hours = SLOT_HOURS + max((around - start).total_seconds(), 0.0) / 3600.0
    window = await window_from(work, start, hours)
    roster = await load_roster(
        work,
        window,
        engineer_ids=[engineer_id],
        parts=need.parts,
        without_visit=without_visit,
        policy=policy,
    )
    if not len(roster):
        raise NotFound(entity="engineer")
    return roster


def _check_start(work: Work, start: datetime) -> None:
    if start.tzinfo is None:
        raise FieldRefused("start", "no_zone")
    if start < work.now - timedelta(minutes=PAST_MINUTES):
        raise FieldRefused("start", "start_past")
    if start > work.now + timedelta(days=START_DAYS_MAX):
        raise FieldRefused("start", "start_far", limit=START_DAYS_MAX)


def _forced(need: Need, roster: Roster, reasons: Sequence[Reason], policy: Policy) -> SlotAt:
    """A slot against the rules: what of free time and of the site's hours can be kept, else free time, else at once."""
    anybody = msgspec.structs.replace(
        need, skills={}, parts={}, territory_id=None, required=frozenset(), excluded=frozenset()
    )
    any_time = msgspec.structs.replace(anybody, visiting=None, requested=None, not_before=None)
    free = tuple(rule for rule in policy.rules if isinstance(rule, Availability))
    for relaxed, kept in ((anybody, (*free, VisitingHours(), RequestedWindow())), (any_time, free)):
        ranked = pick(relaxed, roster, msgspec.structs.replace(policy, rules=kept)).ranked
        if len(ranked):
            best = ranked[0]
            start, way = best.slot_start, best.travel_minutes
            break
    else:
        way = leg_minutes(roster.candidates[0].position, need.point, policy, roster.travel, need.earliest)
        start = _whole_minute(need.earliest + timedelta(minutes=way))
    end = start + timedelta(minutes=need.duration_minutes)
    return SlotAt(start=start, end=end, travel_minutes=round(way, 2), reasons=tuple(reasons))


def _whole_minute(at: datetime) -> datetime:
    """Rounded up."""
    return from_us(-(-to_us(at) // MINUTE_US) * MINUTE_US)


def _chosen(slot: SlotAt, need: Need, roster: Roster, policy: Policy, override: bool) -> Choice:
    overridden = slot.reasons if override else ()
    return Choice(
        start=slot.start,
        end=slot.end,
        travel_minutes=slot.travel_minutes,
        policy_version=policy.label,
        overridden=overridden,
        result={
            "policy_version": policy.label,
            "override": override,
            "slot": msgspec.to_builtins(slot),
        },
        input=encode(need, roster, policy, roster.travel),
    )
