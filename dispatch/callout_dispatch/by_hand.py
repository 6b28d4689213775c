"""A dispatcher's choice, held to the pick's hard rules unless the dispatcher insists. Reads only."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

import msgspec

from callout_dispatch.needs import Waiting
from callout_dispatch.pick import pick
from callout_dispatch.pick_roster import Roster
from callout_dispatch.pick_terms import MINUTE_US, Need, PickPolicy, Reason, from_us, to_us
from callout_dispatch.roster import load_roster, window_from
from callout_dispatch.slot_at import SlotAt, leg_minutes, slot_at
from callout_dispatch.texts import REASON_MAX, FieldRefused, Unavailable
from callout_dispatch.visit_rows import Decision, record_of
from callout_orders.terms import Priority
from callout_store.errors import NotFound
from callout_store.work import Work

__all__ = ["REASON_MAX", "Choice", "choose", "earliest_start"]

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
    policy: PickPolicy,
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
    need = order.need(earliest_start(work), parts)
    for wish in (start, prefer if start is None else None):
        if wish is None or (wish is prefer and wish <= work.now):
            continue
        roster = await _one(work, engineer_id, need, min(wish, work.now), wish, without_visit)
        slot = slot_at(need, roster, wish, policy)
        if not slot.reasons or (wish is start and override):
            return _chosen(slot, policy, override)
        if wish is start:
            raise Unavailable(slot.reasons)
    roster = await _one(work, engineer_id, need, work.now, work.now, without_visit)
    result = pick(need, roster, policy)
    if result.best is not None:
        best = result.ranked[0]
        return Choice(
            start=best.slot_start,
            end=best.slot_end,
            travel_minutes=best.travel_minutes,
            policy_version=policy.version,
            result=record_of(result),
        )
    reasons = result.out[0].reasons
    if not override:
        raise Unavailable(reasons)
    return _chosen(_forced(need, roster, reasons, policy), policy, override)


async def _one(
    work: Work, engineer_id: UUID, need: Need, start: datetime, around: datetime, without_visit: UUID | None
) -> Roster:
    hours = SLOT_HOURS + max((around - start).total_seconds(), 0.0) / 3600.0
    window = await window_from(work, start, hours)
    roster = await load_roster(
        work, window, engineer_ids=[engineer_id], parts=need.parts, without_visit=without_visit
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


def _forced(need: Need, roster: Roster, reasons: Sequence[Reason], policy: PickPolicy) -> SlotAt:
    """A slot against the rules: free time if there is any once skills and the like are set aside, else at once."""
    relaxed = msgspec.structs.replace(need, skills={}, territory_id=None, priority=Priority.P2)
    ranked = pick(relaxed, roster, policy).ranked
    if len(ranked):
        best = ranked[0]
        start, way = best.slot_start, best.travel_minutes
    else:
        way = leg_minutes(roster.candidates[0].position, need.point, policy)
        arrival = to_us(need.earliest + timedelta(minutes=way))
        start = from_us(-(-arrival // MINUTE_US) * MINUTE_US)
    end = start + timedelta(minutes=need.duration_minutes)
    return SlotAt(start=start, end=end, travel_minutes=round(way, 2), reasons=tuple(reasons))


def _chosen(slot: SlotAt, policy: PickPolicy, override: bool) -> Choice:
    overridden = slot.reasons if override else ()
    return Choice(
        start=slot.start,
        end=slot.end,
        travel_minutes=slot.travel_minutes,
        policy_version=policy.version,
        overridden=overridden,
        result={
            "policy_version": policy.version,
            "override": override,
            "slot": msgspec.to_builtins(slot),
        },
    )
