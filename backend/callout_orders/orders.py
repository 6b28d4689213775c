"""What people decide about an order: calling it off, closing it, changing its priority, linking another id.

An order's state otherwise follows its visits (`progress`). Visits of an order that is called off are called
off by the floor that owns them.
"""

from typing import Any
from uuid import UUID

from callout_orders import checks
from callout_orders.flow.ending.gate import check_close
from callout_orders.intake import lock_counter
from callout_orders.sla import milestones
from callout_orders.sla.clock import MilestoneName
from callout_orders.terms import FINAL, OrderState, Priority
from callout_store import timers
from callout_store.errors import AlreadyExists, NotFound, StaleRevision, WrongState
from callout_store.ids import new_id
from callout_store.journal import Entry, write
from callout_store.work import Work


async def cancel_order(work: Work, order_id: UUID, reason: str, revision: int | None = None) -> int:
    """Call an order off; returns its revision. Calling off twice changes nothing; a closed order stays closed."""
    why = checks.text("reason", reason, chars_max=1000)
    row = await _locked(work, order_id, revision)
    if row["state"] == OrderState.CANCELED:
        return int(row["revision"])
    if row["state"] == OrderState.CLOSED:
        raise WrongState(entity="work order", state=row["state"], needed="an order that is not closed")
    await work.execute(
        "update work_order set state = $2, canceled_at = $3, revision = revision + 1 where id = $1",
        order_id,
        OrderState.CANCELED.value,
        work.now,
    )
    await timers.cancel(work, *(milestones.key_of(order_id, name) for name in MilestoneName))
    await _note(work, order_id, "work_order.canceled", {"from": row["state"], "reason": why})
    return int(row["revision"]) + 1


async def close_order(work: Work, order_id: UUID, revision: int | None = None) -> int:
    """Close a completed order after its sign-off; returns its revision. Closing twice changes nothing.

    Refused with what stands in the way before its flow has come that far: WrongState, FlowNotThere.
    """
    row = await _locked(work, order_id, revision)
    if row["state"] == OrderState.CLOSED:
        return int(row["revision"])
    await check_close(work, order_id, row["state"])
    await work.execute(
        "update work_order set state = $2, closed_at = $3, revision = revision + 1 where id = $1",
        order_id,
        OrderState.CLOSED.value,
        work.now,
    )
    await _note(work, order_id, "work_order.closed", {"from": row["state"]})
    return int(row["revision"]) + 1


async def change_priority(
    work: Work, order_id: UUID, priority: str, reason: str = "", revision: int | None = None
) -> int:
    """Change the priority and with it what is due when, counted from creation with all pauses; returns the order's
    revision. What is overdue by the new promise is told at once."""
    wanted = Priority(checks.one_of("priority", priority, frozenset(p.value for p in Priority)))
    why = checks.text("reason", reason, chars_max=1000, blank=True)
    row = await _locked(work, order_id, revision)
    if row["state"] in FINAL:
        raise WrongState(entity="work order", state=row["state"], needed="an order that is not final")
    if row["priority"] == wanted:
        return int(row["revision"])
    await work.execute(
        "update work_order set priority = $2, revision = revision + 1 where id = $1", order_id, wanted.value
    )
    await milestones.recompute(work, [order_id], "priority", bump=0)
    await _note(
        work,
        order_id,
        "work_order.priority_changed",
        {"from": row["priority"], "to": wanted.value, "reason": why},
    )
    return int(row["revision"]) + 1


async def link_reference(work: Work, order_id: UUID, system: str, reference: str) -> None:
    """Link an id of another system to an order (D1). Linking twice changes nothing; another order's id is refused."""
    in_system = checks.text("system", system, chars_max=40)
    as_reference = checks.text("reference", reference, chars_max=120)
    await lock_counter(work)
    await _locked(work, order_id, None)
    linked = await work.fetchval(
        """
        insert into external_reference (id, order_id, system, reference) values ($1, $2, $3, $4)
        on conflict (org_id, system, reference) do nothing returning true
        """,
        new_id(),
        order_id,
        in_system,
        as_reference,
    )
    if linked:
        await _note(
            work, order_id, "work_order.reference_linked", {"system": in_system, "reference": as_reference}
        )
        return
    holder = await work.fetchval(
        "select order_id from external_reference where system = $1 and reference = $2",
        in_system,
        as_reference,
    )
    if holder != order_id:
        raise AlreadyExists(entity="work order", key="reference", path="reference")


async def _locked(work: Work, order_id: UUID, revision: int | None) -> Any:
    row = await work.fetchrow(
        """
        select state, priority, revision from work_order where id = $1 for no key update
        """,
        order_id,
    )
    if row is None:
        raise NotFound(entity="work order", path="orderId")
    if revision is not None and revision != row["revision"]:
        raise StaleRevision(entity="work order", current=row["revision"], given=revision)
    return row


async def _note(work: Work, order_id: UUID, kind: str, data: dict[str, Any]) -> None:
    await write(work, Entry(kind=kind, entity="work_order", entity_id=order_id, order_id=order_id, data=data))
    work.touch("work_order", order_id)
