"""A deadline moved for a time: after that time the original one stands again, and what was missed by it is missed.

Who may do so is the desk's business. Every move stands in the clock's events and in the journal, with who did it and why.
"""

from datetime import datetime
from typing import Final
from uuid import UUID

from callout_orders import checks
from callout_orders.sla import clock
from callout_orders.sla.clock import Event, EventKind, MilestoneName, MilestoneState, Stand
from callout_orders.sla.clocks import OrderClock, add_events, load, payload_of, store
from callout_orders.sla.pausing import future, room
from callout_orders.terms import FINAL
from callout_store import timers
from callout_store.errors import NotFound, WrongState
from callout_store.journal import write
from callout_store.work import Work

MOVED_CHANNEL: Final = "sla.moved"
MINUTES_MAX: Final = 30 * 1440
REASON_MAX: Final = 1000


def moved_key(order_id: UUID, name: MilestoneName) -> str:
    """The key of the timer that puts a deadline back."""
    return f"sla-moved:{order_id}:{name.value}"


async def move(
    work: Work, order_id: UUID, milestone: str, minutes: int, until: datetime, reason: str
) -> Stand:
    """Move a milestone's deadline by so many working minutes of its calendar, until a moment; how it stands then.

    A later move replaces an earlier one: both count from the original deadline. Whoever reaches the milestone while it stands
    is judged by it. Journals `work_order.deadline_moved`. Raises BadField with all faults, NotFound, and WrongState for a
    final order and for a milestone that was reached, or whose breach was recorded.
    """
    gather = checks.Gather()
    with gather:
        checks.one_of("milestone", milestone, frozenset(name.value for name in MilestoneName))
    with gather:
        checks.whole("minutes", minutes, low=1, high=MINUTES_MAX)
    with gather:
        until = future("until", until, now=work.now)
    with gather:
        reason = checks.text("reason", reason, chars_max=REASON_MAX)
    gather.settle()
    name = MilestoneName(milestone)
    one, before = await _open(work, order_id, name)
    room(one)
    event = Event(
        n=0,
        at=work.now,
        kind=EventKind.MOVED,
        milestone=name.value,
        minutes=minutes,
        until=until,
        note=reason,
    )
    (one,) = await store(work, await add_events(work, [(one, event)]), renewed=(name,))
    await timers.move_many(
        work,
        [(moved_key(order_id, name), until, MOVED_CHANNEL, payload_of(order_id, name))],
    )
    stands = one.stand(name, work.now)
    told = {
        "milestone": name.value,
        "from": before.planning_due_at,
        "dueAt": stands.planning_due_at,
        "originalDueAt": stands.original_due_at,
        "minutes": minutes,
        "until": until,
        "reason": reason,
    }
    await write(work, one.line("work_order.deadline_moved", told))
    return stands


async def restore(work: Work, order_id: UUID, milestone: str) -> bool:
    """Put a moved deadline back before its time; False where none stands. Journals `work_order.deadline_restored`."""
    name = MilestoneName(
        checks.one_of("milestone", milestone, frozenset(name.value for name in MilestoneName))
    )
    one, _ = await _open(work, order_id, name)
    if clock.moved_until(one.events, name, work.now) is None:
        return False
    event = Event(n=0, at=work.now, kind=EventKind.RESTORED, milestone=name.value, data={"why": "person"})
    (one,) = await store(work, await add_events(work, [(one, event)]), renewed=(name,))
    await timers.cancel(work, moved_key(order_id, name))
    told = {"milestone": name.value, "dueAt": one.stand(name, work.now).planning_due_at, "why": "person"}
    await write(work, one.line("work_order.deadline_restored", told))
    return True


async def _open(work: Work, order_id: UUID, name: MilestoneName) -> tuple[OrderClock, Stand]:
    one = (await load(work, [order_id], lock=True)).get(order_id)
    if one is None:
        raise NotFound(entity="work order", path="orderId")
    if one.state in FINAL or not one.running:
        state = one.state if one.running else "duplicate"
        raise WrongState(entity="work order", state=state, needed="an order whose clock runs")
    stands = one.stand(name, work.now)
    if stands.met_at is not None or stands.state is MilestoneState.MISSED:
        state = "met" if stands.met_at is not None else "missed"
        raise WrongState(
            entity="milestone", state=state, needed="a milestone that is neither reached nor missed"
        )
    return one, stands
