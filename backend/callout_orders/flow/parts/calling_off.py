"""Requisitions of orders that nobody works on any more: called off, put into another order, or solved by an answer.

What was not ordered yet is taken back. What was ordered comes all the same: whoever buys parts decides whether to cancel it
with the supplier or to put it on the shelf, and has a to-do until it is received or called off.
"""

from collections.abc import Mapping
from typing import Final
from uuid import UUID

from callout_orders.desk import todos
from callout_orders.desk.staff import people
from callout_orders.desk.todos import NewTodo
from callout_orders.flow.parts import requisition_rows as stored
from callout_store.journal import Entry, write_many
from callout_store.work import Work

TODO_KIND: Final = "parts.not_needed"
BUYER: Final = "post:purchasing"


def matter_of(requisition_id: UUID) -> str:
    """What a buyer's to-do is about."""
    return f"requisition:{requisition_id}:over"


async def call_off(work: Work, orders: Mapping[UUID, str]) -> list[UUID]:
    """Settle the requisitions of orders that are over, each with its reason (order_canceled, order_merged, order_solved).

    Returns those that were taken back. The caller holds the orders' rows; the same again changes nothing.
    """
    if not orders:
        return []
    rows = await work.fetch(
        """
        update requisition set state = 'canceled', canceled_at = $2, revision = revision + 1
        where org_id = callout_org() and order_id = any($1) and state in ('requested', 'approved')
        returning id, number, order_id
        """,
        list(orders),
        work.now,
    )
    for row in rows:
        await stored.note(work, row, "parts.canceled", {"reason": orders[row["order_id"]]})
    coming = await work.fetch(
        """
        select r.id, r.number, r.order_id, r.supplier, r.supplier_ref, r.expected_at, o.number as order_number
        from requisition r join work_order o on o.org_id = r.org_id and o.id = r.order_id
        -- Through the order: a matter that is put together here finds no index behind row-level security.
        where r.org_id = callout_org() and r.order_id = any($1) and r.state = 'ordered' and not exists (
            select from todo t where t.org_id = r.org_id and t.order_id = r.order_id
                and t.matter = 'requisition:' || r.id || ':over')
        order by r.id
        """,
        list(orders),
    )
    if not coming:
        return [row["id"] for row in rows]
    buyers = await people.holders_of(work, [(BUYER, row["order_id"]) for row in coming])
    await write_many(
        work,
        [
            Entry(
                kind="parts.not_needed",
                entity=stored.ENTITY,
                entity_id=row["id"],
                order_id=row["order_id"],
                data={"number": row["number"], "reason": orders[row["order_id"]], "userIds": users},
            )
            for row, users in zip(coming, buyers, strict=True)
        ],
    )
    await todos.ask(
        work,
        [
            NewTodo(
                user_id=user_id,
                kind=TODO_KIND,
                matter=matter_of(row["id"]),
                order_id=row["order_id"],
                data={
                    "number": row["order_number"],
                    "requisition": row["number"],
                    "requisitionId": row["id"],
                    "supplier": row["supplier"] or "",
                    "supplierRef": row["supplier_ref"] or "",
                    "expectedAt": row["expected_at"],
                    "reason": orders[row["order_id"]],
                },
            )
            for row, users in zip(coming, buyers, strict=True)
            for user_id in users
        ],
    )
    return [row["id"] for row in rows]


async def settled(work: Work, requisition_id: UUID) -> None:
    """The goods came in, or were called off: nobody has to decide any more."""
    await todos.end(work, matter_of(requisition_id))
