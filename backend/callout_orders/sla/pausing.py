"""An order on hold: which reasons stop which milestones stands in its policy; a hold may end by itself.

Several reasons may hold an order at once (waiting for parts, and for the customer too): the clock goes on when the last
of those that stop it is gone. One reason holds once.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from callout_orders import checks
from callout_orders.sla import clock, texts
from callout_orders.sla.clock import Event, EventKind, MilestoneName, MilestoneState
from callout_orders.sla.clocks import OrderClock, add_events, load, store
from callout_orders.sla.policy.terms import REASONS, STATE_REASON
from callout_orders.terms import FINAL
from callout_store import timers
from callout_store.errors import LimitExceeded, NotFound, WrongState
from callout_store.journal import write_many
from callout_store.work import Work

texts.know()

RESUME_CHANNEL: Final = "sla.resume"
NOTE_MAX: Final = 1000
AHEAD_MAX: Final = timedelta(days=366)
EVENTS_MAX: Final = 1000
"""Of one order's clock, that people and flows may add: what has to be noted by itself is always noted."""


def resume_key(order_id: UUID, reason: str) -> str:
    """The key of the timer that ends a hold."""
    return f"sla-resume:{order_id}:{reason}"


async def pause(
    work: Work, order_id: UUID, reason: str, *, note: str = "", until: datetime | None = None
) -> bool:
    """Put an order on hold for a reason (customer, parts, access, other), until a moment where one is given; False where
    that reason holds it already. Another moment for the same reason replaces the one before. Raises BadField, NotFound,
    WrongState for a final order, LimitExceeded.

    Journals `work_order.held` and, where a milestone's clock really stops by it, `sla.paused`.
    """
    gather = checks.Gather()
    with gather:
        checks.one_of("reason", reason, frozenset(REASONS))
    with gather:
        note = checks.text("note", note, chars_max=NOTE_MAX, blank=True)
    with gather:
        until = until and future("until", until, now=work.now)
    gather.settle()
    one = await _held(work, order_id)
    holding = clock.open_pauses(one.events).get(reason)
    if holding is not None and until in (None, holding.until):
        return False
    room(one)
    await _pause(work, one, reason, note, until)
    return True


async def resume(work: Work, order_id: UUID, reason: str | None = None, *, note: str = "") -> bool:
    """End the hold for a reason, or for all of them; False where there was none. Raises BadField, NotFound, WrongState.

    Journals `work_order.resumed` and, where a milestone's clock goes on by it, `sla.resumed`.
    """
    gather = checks.Gather()
    with gather:
        if reason is not None:
            checks.one_of("reason", reason, frozenset(REASONS))
    with gather:
        note = checks.text("note", note, chars_max=NOTE_MAX, blank=True)
    gather.settle()
    one = await _held(work, order_id)
    open_ = clock.open_pauses(one.events)
    reasons = [each for each in open_ if reason in (None, each) and not each.startswith(STATE_REASON)]
    for each in reasons:
        one = await _resume(work, one, each, note)
    return bool(reasons)


async def resume_by_itself(work: Work, order_id: UUID, reason: str) -> bool:
    """A hold's time is over. Nothing happens where it was ended or prolonged since, or the order is final."""
    one = (await load(work, [order_id], lock=True)).get(order_id)
    if one is None or one.state in FINAL or reason not in clock.open_pauses(one.events):
        return False
    await _resume(work, one, reason)
    return True


async def follow_state(work: Work, one: OrderClock) -> None:
    """Stop or free an order's clock as its state now says; its row is locked."""
    wanted = STATE_REASON + one.state
    holding = clock.open_pauses(one.events)
    for reason in holding:
        if reason.startswith(STATE_REASON) and reason != wanted:
            one = await _resume(work, one, reason)
    if one.policy.pauses.of(wanted) and wanted not in holding:
        await _pause(work, one, wanted)


async def arm_ends(work: Work, clocks: Iterable[OrderClock]) -> None:
    """Set the timers of the holds that end by themselves."""
    ends: list[tuple[str, datetime | None, str, Mapping[str, Any]]] = [
        (resume_key(one.order_id, reason), event.until, RESUME_CHANNEL, _payload(one.order_id, reason))
        for one in clocks
        for reason, event in clock.open_pauses(one.events).items()
        if event.until is not None
    ]
    if ends:
        await timers.move_many(work, ends)


async def _pause(
    work: Work, one: OrderClock, reason: str, note: str = "", until: datetime | None = None
) -> None:
    event = Event(n=0, at=work.now, kind=EventKind.PAUSED, reason=reason, note=note, until=until)
    (after,) = await store(work, await add_events(work, [(one, event)]))
    await arm_ends(work, [after])
    await _note(work, one, after, "held", "paused", {"reason": reason, "note": note, "until": until})


async def _resume(work: Work, one: OrderClock, reason: str, note: str = "") -> OrderClock:
    event = Event(n=0, at=work.now, kind=EventKind.RESUMED, reason=reason, note=note)
    (after,) = await store(work, await add_events(work, [(one, event)]))
    await timers.cancel(work, resume_key(one.order_id, reason))
    await _note(work, one, after, "resumed", "resumed", {"reason": reason, "note": note})
    return after


async def _note(
    work: Work, was: OrderClock, now: OrderClock, of_order: str, of_clock: str, data: dict[str, Any]
) -> None:
    turned = [
        name for name in MilestoneName if _stopped(was, name, work.now) != _stopped(now, name, work.now)
    ]
    kinds = [f"work_order.{of_order}", *([f"sla.{of_clock}"] if turned else [])]
    await write_many(work, [now.line(kind, {**data, "milestones": turned}) for kind in kinds])


def _payload(order_id: UUID, reason: str) -> dict[str, str]:
    return {"orderId": str(order_id), "reason": reason}


def room(one: OrderClock) -> None:
    """Refuse a further change of a clock that was changed so often that reading it would take too long."""
    if len(one.events) >= EVENTS_MAX:
        raise LimitExceeded(what="changes of an order's clock", limit=EVENTS_MAX, given=len(one.events) + 1)


def _stopped(one: OrderClock, name: MilestoneName, now: datetime) -> bool:
    return one.running and one.stand(name, now).state is MilestoneState.PAUSED


async def _held(work: Work, order_id: UUID) -> OrderClock:
    one = (await load(work, [order_id], lock=True)).get(order_id)
    if one is None:
        raise NotFound(entity="work order", path="orderId")
    if one.state in FINAL:
        raise WrongState(entity="work order", state=one.state, needed="an order that is not final")
    return one


def future(path: str, at: datetime, *, now: datetime) -> datetime:
    """An instant in UTC after `now`, at most a year ahead. Refuses others."""
    if at.tzinfo is not None and at > now + AHEAD_MAX:
        raise checks.FieldRefused(path, "hold_far", days=AHEAD_MAX.days)
    at = checks.instant(path, at, now=now, ahead_s=AHEAD_MAX.total_seconds())
    if at <= now:
        raise checks.FieldRefused(path, "hold_past")
    return at
