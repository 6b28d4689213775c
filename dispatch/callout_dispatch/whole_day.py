"""Dispatching a day: every order that waits, the most urgent first, each to the best engineer left.

One transaction: the plan is computed while nobody else can give these engineers work, and written in sets.
"""

from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

import msgspec

from callout_dispatch import policies
from callout_dispatch.day import Assignment, DayNeed, decide
from callout_dispatch.needs import lock_waiting
from callout_dispatch.pick_record import CANDIDATES_MAX as KEPT_MAX
from callout_dispatch.pick_terms import PickResult
from callout_dispatch.policy import Policy
from callout_dispatch.roster import Window, load_roster
from callout_dispatch.texts import FieldRefused
from callout_dispatch.visit_rows import (
    CANDIDATES_MAX,
    Decision,
    NewVisit,
    insert_decisions,
    insert_visits,
    lock_all_calendars,
    record_of,
)
from callout_store import journal
from callout_store.errors import LimitExceeded
from callout_store.work import Work

ORDERS_MAX: Final = 2_000
DAY_HOURS_MAX: Final = 48
RECORDED_MAX: Final = 100_000
"""Candidates with reasons stored for a whole day: a large day stores fewer of them with each decision."""
RECORDED_MIN: Final = 20
KEPT_DAY_MAX: Final = 20_000
"""Candidates kept for replay with all decisions of a day together."""


class DayAssigned(msgspec.Struct, frozen=True, kw_only=True):
    """An order that got a visit."""

    order_id: UUID
    visit_id: UUID
    engineer_id: UUID
    start: datetime
    end: datetime
    travel_minutes: float


class DayUnassigned(msgspec.Struct, frozen=True, kw_only=True):
    """An order that nobody can take: how many engineers each hard rule excluded, by reason code."""

    order_id: UUID
    number: str
    reasons: Mapping[str, int]


class DayResult(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a day. `considered` orders waited; each is in one of the two lists."""

    considered: int
    assigned: list[DayAssigned]
    unassigned: list[DayUnassigned]


async def dispatch_day(
    work: Work,
    day_start: datetime,
    day_end: datetime,
    limit: int = 500,
    order_ids: Collection[UUID] | None = None,
    *,
    told: bool = True,
    policy: Policy | None = None,
) -> DayResult:
    """Dispatch waiting orders (the most urgent `limit`, or those of `order_ids` that wait) within [day_start, day_end).

    Nobody sets out before now. Every decision is stored, also where nobody was found. Raises BadField, LimitExceeded.
    """
    start, end = _checked_day(work, day_start, day_end)
    given = limit if order_ids is None else len(set(order_ids))
    if not 1 <= given <= ORDERS_MAX:
        if order_ids is not None and given == 0:
            return DayResult(considered=0, assigned=[], unassigned=[])
        raise LimitExceeded(what="orders", limit=ORDERS_MAX, given=given)
    policy = policy or await policies.active(work)
    await lock_all_calendars(work)
    waiting = {str(order.id): order for order in await lock_waiting(work, order_ids, given)}
    if not waiting:
        return DayResult(considered=0, assigned=[], unassigned=[])
    window = Window(start=start, end=end, load_start=day_start, load_end=day_end)
    parts = {code for order in waiting.values() for code in order.parts}
    roster = await load_roster(work, window, parts=parts, policy=policy)
    kept = min(KEPT_MAX, max(RECORDED_MIN, KEPT_DAY_MAX // len(waiting)))
    recorded = min(CANDIDATES_MAX, max(RECORDED_MIN, RECORDED_MAX // len(waiting)))

    visits: list[NewVisit] = []
    decisions: list[Decision] = []
    unassigned: list[DayUnassigned] = []
    needs = [DayNeed(id_, order.need(start, until=end)) for id_, order in waiting.items()]
    for decided in decide(needs, roster, policy, recorded=kept):
        order = waiting[decided.need_id]
        visit: NewVisit | None = None
        if isinstance(decided, Assignment):
            visit = NewVisit(
                order_id=order.id,
                engineer_id=UUID(decided.chosen.id),
                start=decided.chosen.slot_start,
                end=decided.chosen.slot_end,
                travel_minutes=decided.chosen.travel_minutes,
                method="day",
                told=told,
                crew=tuple(UUID(id_) for id_ in decided.chosen.crew),
            )
            visits.append(visit)
        else:
            unassigned.append(
                DayUnassigned(order_id=order.id, number=order.number, reasons=_counts(decided.result))
            )
        decisions.append(
            Decision(
                order_id=order.id,
                visit_id=visit.id if visit else None,
                engineer_id=visit.engineer_id if visit else None,
                method="day",
                policy_version=policy.label,
                result=record_of(decided.result, recorded),
                input=decided.input,
            )
        )
    await insert_visits(work, visits)
    await insert_decisions(work, decisions)
    await journal.write_many(
        work,
        [
            journal.Entry(
                kind="work_order.not_assigned",
                entity="work_order",
                entity_id=one.order_id,
                order_id=one.order_id,
                data={"reasons": dict(one.reasons), "method": "day"},
            )
            for one in unassigned
        ],
    )
    return DayResult(
        considered=len(waiting),
        assigned=[
            DayAssigned(
                order_id=visit.order_id,
                visit_id=visit.id,
                engineer_id=visit.engineer_id,
                start=visit.start,
                end=visit.end,
                travel_minutes=visit.travel_minutes,
            )
            for visit in visits
        ],
        unassigned=unassigned,
    )


def _checked_day(work: Work, day_start: datetime, day_end: datetime) -> tuple[datetime, datetime]:
    for path, at in (("dayStart", day_start), ("dayEnd", day_end)):
        if at.tzinfo is None:
            raise FieldRefused(path, "no_zone")
    if day_end <= day_start:
        raise FieldRefused("dayEnd", "ends_early")
    if day_end - day_start > timedelta(hours=DAY_HOURS_MAX):
        raise FieldRefused("dayEnd", "hours_max", limit=DAY_HOURS_MAX)
    if day_end <= work.now:
        raise FieldRefused("dayEnd", "day_over")
    return max(day_start, work.now), day_end


def _counts(result: PickResult) -> dict[str, int]:
    return {code.value: count for code, count in result.out_counts.items()}
