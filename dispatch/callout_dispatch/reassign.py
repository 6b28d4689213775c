"""Changing a visit that exists: to another engineer, another time, told, or called off.

Each locks the calendar of the engineer who gets the time, then the visit, and then compares the revision: whoever
decided on an older picture is told so instead of overruling somebody unseen.
"""

from datetime import datetime
from typing import Final
from uuid import UUID

import msgspec

from callout_dispatch import policies
from callout_dispatch.by_hand import Choice, choose, with_crew
from callout_dispatch.needs import Waiting, load_order
from callout_dispatch.policy import Policy
from callout_dispatch.texts import REASON_MAX, FieldRefused, InWrongState, checked_line
from callout_dispatch.visit_rows import (
    PROGRESS_CLEARED,
    CalledOff,
    call_off,
    close_assignments,
    insert_decisions,
    lock_calendars,
    open_assignments,
    visit_entry,
)
from callout_dispatch.visit_states import (
    ENDED,
    LOCKED_TO_ENGINEER_AND_TIME,
    VISIT_STATE_LABELS,
    VisitState,
)
from callout_dispatch.visits import sync_orders
from callout_orders import orders
from callout_orders.terms import FINAL, ORDER_STATE_LABELS
from callout_store import journal
from callout_store.errors import NotFound, StaleRevision
from callout_store.work import Work


class _Held(msgspec.Struct, frozen=True, kw_only=True):
    """A visit's row under lock."""

    id: UUID
    order_id: UUID
    engineer_id: UUID | None
    plan: str
    state: VisitState
    scheduled_start: datetime | None
    revision: int
    hold: str | None


async def reassign(
    work: Work,
    visit_id: UUID,
    engineer_id: UUID,
    revision: int | None = None,
    start: datetime | None = None,
    override: bool = False,
    reason: str = "",
    *,
    policy: Policy | None = None,
) -> None:
    """Give the visit to another engineer, who starts afresh; events of the one before stay, their progress does not.

    Without `start` the planned time is kept if the new engineer is free then, else it is their earliest slot. A visit
    whose engineer is on the way or on site, or that is held by hand, moves only by `override` with a `reason`, like one
    that breaks a hard rule. Who goes along stays, unless they are now the one who leads.
    Raises NotFound, WrongState (ended, or locked), StaleRevision, BadField, EngineerUnavailable.
    """
    reason = checked_line("reason", reason, limit=REASON_MAX, blank=True)
    crew = await crew_of(work, visit_id)
    await lock_calendars(work, [engineer_id, *crew])
    visit = await _lock(work, visit_id, revision)
    await _check_crew(work, visit, crew)
    if visit.engineer_id == engineer_id:
        raise FieldRefused("engineerId", "same_engineer")
    if override and not reason:
        raise FieldRefused("reason", "override_reason")
    if visit.state in LOCKED_TO_ENGINEER_AND_TIME and not override:
        raise _wrong(visit, "needs_unlocked")
    if visit.hold is not None and not override:
        raise _wrong(visit, "needs_unheld")
    policy = policy or await policies.active(work)
    order = await _order(work, visit)
    choice = await choose(
        work,
        order,
        engineer_id,
        start=start,
        override=override,
        reason=reason,
        policy=policy,
        prefer=visit.scheduled_start,
        without_visit=visit.id,
    )
    others = crew - {engineer_id}
    # Whoever takes the lead from within the crew leaves a place in it.
    needed = order.crew_size - 1 if len(others) < len(crew) else 0
    choice = await with_crew(
        work, order, others, choice, policy, override, needed=needed, without_visit=visit.id
    )
    await work.execute(
        "delete from visit_crew where org_id = callout_org() and visit_id = $1 and engineer_id = $2",
        visit.id,
        engineer_id,
    )
    await close_assignments(work, [visit.id])
    await open_assignments(work, [(visit.id, engineer_id)], reason)
    await work.execute(
        f"""
        update visit set engineer_id = $2, state = plan, scheduled_start = $3, scheduled_end = $4, travel_minutes = $5,
            leg_provider = 'estimate', leg_metres = null, pickup_depot_id = null,
            assigned_at = $6, revision = revision + 1, {PROGRESS_CLEARED}
        where org_id = callout_org() and id = $1
        """,
        visit.id,
        engineer_id,
        choice.start,
        choice.end,
        choice.travel_minutes,
        work.now,
    )
    await _store(
        work,
        visit,
        choice,
        engineer_id,
        reason,
        visit_entry(
            "visit.reassigned",
            visit.id,
            visit.order_id,
            engineerId=engineer_id,
            fromEngineerId=visit.engineer_id,
            fromState=visit.state.value,
            start=choice.start,
            end=choice.end,
            reason=reason,
            override=bool(choice.overridden),
        ),
    )


async def move_visit(
    work: Work,
    visit_id: UUID,
    start: datetime,
    revision: int | None = None,
    override: bool = False,
    reason: str = "",
    *,
    policy: Policy | None = None,
) -> None:
    """Move the visit to another time of the same engineer and crew. One that is held at its time moves only by `override`.

    Raises NotFound, WrongState (ended, or the engineer is on the way), StaleRevision, BadField, EngineerUnavailable.
    """
    reason = checked_line("reason", reason, limit=REASON_MAX, blank=True)
    holder: UUID | None = await work.fetchval(
        "select engineer_id from visit where org_id = callout_org() and id = $1", visit_id
    )
    if holder is None:
        raise NotFound(entity="visit")
    crew = await crew_of(work, visit_id)
    await lock_calendars(work, [holder, *crew])
    visit = await _lock(work, visit_id, revision)
    await _check_crew(work, visit, crew)
    if visit.engineer_id != holder:
        raise StaleRevision(entity="visit", current=visit.revision, given=revision or visit.revision - 1)
    if visit.state in LOCKED_TO_ENGINEER_AND_TIME:
        raise _wrong(visit, "needs_not_started")
    if visit.hold == "time" and not override:
        raise _wrong(visit, "needs_unheld")
    policy = policy or await policies.active(work)
    order = await _order(work, visit)
    choice = await choose(
        work,
        order,
        holder,
        start=start,
        override=override,
        reason=reason,
        policy=policy,
        without_visit=visit.id,
    )
    choice = await with_crew(work, order, crew, choice, policy, override, without_visit=visit.id)
    await work.execute(
        """
        update visit set scheduled_start = $2, scheduled_end = $3, travel_minutes = $4, leg_provider = 'estimate',
            leg_metres = null, revision = revision + 1
        where org_id = callout_org() and id = $1
        """,
        visit.id,
        choice.start,
        choice.end,
        choice.travel_minutes,
    )
    await _store(
        work,
        visit,
        choice,
        holder,
        reason,
        visit_entry(
            "visit.moved",
            visit.id,
            visit.order_id,
            engineerId=holder,
            fromStart=visit.scheduled_start,
            start=choice.start,
            end=choice.end,
            reason=reason,
            override=bool(choice.overridden),
        ),
    )


async def dispatch_visit(work: Work, visit_id: UUID, revision: int | None = None) -> None:
    """Tell the engineer of a visit that was only scheduled. Raises NotFound, WrongState, StaleRevision."""
    visit = await _lock(work, visit_id, revision)
    if visit.plan != "scheduled":
        raise _wrong(visit, "needs_scheduled")
    # A phone may have accepted ahead of being told (the plan was read out by telephone): progress stands above plan.
    await work.execute(
        """
        update visit set plan = 'dispatched', state = case when state = 'scheduled' then 'dispatched' else state end,
            revision = revision + 1
        where org_id = callout_org() and id = $1
        """,
        visit.id,
    )
    await journal.write(
        work,
        visit_entry(
            "visit.dispatched", visit.id, visit.order_id, engineerId=visit.engineer_id, method="hand"
        ),
    )
    work.touch("visit", visit.id)
    await sync_orders(work, {visit.order_id})


async def cancel_visit(work: Work, visit_id: UUID, reason: str, revision: int | None = None) -> None:
    """Call the visit off. Its events stay; its engineer's phone learns of it. The order waits to be planned again.

    Raises NotFound, WrongState (ended already), StaleRevision, BadField (no reason).
    """
    reason = checked_line("reason", reason, limit=REASON_MAX)
    visit = await _lock(work, visit_id, revision)
    await _cancel(work, [visit], reason)


async def cancel_order(work: Work, order_id: UUID, reason: str, revision: int | None = None) -> None:
    """Call an order off, with all its visits that have not ended.

    Raises NotFound, WrongState (closed), StaleRevision (of the order), BadField (no reason).
    """
    # Visits before their order, like phones that report on them; the revision is compared before anything is written.
    await work.fetch(
        "select id from visit where org_id = callout_org() and order_id = $1 order by id for update", order_id
    )
    await orders.cancel_order(work, order_id, reason, revision)
    await cancel_visits_of_order(work, order_id, reason)


async def cancel_visits_of_order(work: Work, order_id: UUID, reason: str) -> list[UUID]:
    """Call off every visit of an order that has not ended; their ids. For orders that are cancelled themselves."""
    reason = checked_line("reason", reason, limit=REASON_MAX)
    rows = await work.fetch(
        f"select {_COLUMNS} from visit where org_id = callout_org() and order_id = $1 order by id for update",
        order_id,
    )
    live = [visit for row in rows if (visit := _held(row)).state not in ENDED]
    await _cancel(work, live, reason)
    return [visit.id for visit in live]


async def _cancel(work: Work, visits: list[_Held], reason: str) -> None:
    if not visits:
        return
    await call_off(
        work,
        [
            CalledOff(
                visit_id=visit.id,
                order_id=visit.order_id,
                engineer_id=visit.engineer_id,
                state=visit.state.value,
                reason=reason,
            )
            for visit in visits
        ],
    )
    await sync_orders(work, {visit.order_id for visit in visits})


async def _store(
    work: Work, visit: _Held, choice: Choice, engineer_id: UUID, reason: str, entry: journal.Entry
) -> None:
    await insert_decisions(work, [choice.decision(visit.order_id, visit.id, engineer_id, reason)])
    await journal.write(work, entry)
    work.touch("visit", visit.id)
    await sync_orders(work, {visit.order_id})


_COLUMNS: Final = "id, order_id, engineer_id, plan, state, scheduled_start, revision, hold"


async def _lock(work: Work, visit_id: UUID, revision: int | None) -> _Held:
    """The visit's row under lock, not ended, of the revision that the caller saw."""
    row = await work.fetchrow(
        f"select {_COLUMNS} from visit where org_id = callout_org() and id = $1 for update", visit_id
    )
    if row is None:
        raise NotFound(entity="visit")
    visit = _held(row)
    if revision is not None and revision != visit.revision:
        raise StaleRevision(entity="visit", current=visit.revision, given=revision)
    if visit.state in ENDED:
        raise _wrong(visit, "needs_live")
    return visit


def _held(row: object) -> _Held:
    return msgspec.convert(dict(row), _Held)  # type: ignore[call-overload]


async def crew_of(work: Work, visit_id: UUID) -> frozenset[UUID]:
    """Who goes along: their calendars are locked together with the engineer's."""
    rows = await work.fetch(
        "select engineer_id from visit_crew where org_id = callout_org() and visit_id = $1", visit_id
    )
    return frozenset(row["engineer_id"] for row in rows)


async def _check_crew(work: Work, visit: _Held, crew: frozenset[UUID]) -> None:
    # Whoever changes a crew locks the visit's row: under that lock it is what it will stay.
    if await crew_of(work, visit.id) != crew:
        raise StaleRevision(entity="visit", current=visit.revision, given=visit.revision - 1)


async def _order(work: Work, visit: _Held) -> Waiting:
    order = await load_order(work, visit.order_id, lock=True)
    if order.state in FINAL:
        raise InWrongState("work_order", order.state.value, "needs_open", ORDER_STATE_LABELS[order.state])
    return order


def _wrong(visit: _Held, needed: str) -> InWrongState:
    return InWrongState("visit", visit.state.value, needed, VISIT_STATE_LABELS[visit.state])
