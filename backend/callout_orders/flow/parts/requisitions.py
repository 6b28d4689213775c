"""Parts that are bought for an order: asked for, approved, ordered, taken into stock; then the order's parts are ready (C1).

A requisition belongs to one order. Its lines name parts of the catalogue; what a phone misses is asked for by
`missing_parts`, what an order that is over no longer needs is taken back by `calling_off`. Goods come in through
`stock.move` into a depot or a van, once for each delivery, whoever says it twice.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID, uuid5

import asyncpg
import msgspec

from callout_orders import checks, stock
from callout_orders.flow.parts import calling_off
from callout_orders.flow.parts import requisition_rows as stored
from callout_orders.flow.parts.missing_parts import NOTE_CHARS_MAX
from callout_orders.flow.parts.missing_parts import OPEN as OPEN
from callout_orders.order_parts import PartNeeded, resolve
from callout_store.errors import AlreadyExists
from callout_store.journal import Entry, write
from callout_store.work import Work


class Delivered(msgspec.Struct, frozen=True, kw_only=True):
    """So many of a part came in."""

    part: str | UUID
    quantity: int


async def request(
    work: Work,
    order_id: UUID,
    parts: Sequence[PartNeeded],
    *,
    note: str = "",
    visit_id: UUID | None = None,
) -> UUID:
    """Ask for parts for an order; the requisition's id.

    Raises NotFound (order, part), BadField (quantity, twice), LimitExceeded, WrongState for an order that is over.
    """
    words = checks.text("note", note, chars_max=NOTE_CHARS_MAX, blank=True)
    if not parts:
        raise checks.FieldRefused("parts", "missing")
    await stored.hold_order(work, order_id)
    ((wanted,), _) = await resolve(work, [parts], ["parts"])
    ids = await stored.insert(work, [(order_id, visit_id, words, wanted)])
    return ids[0]


async def request_needed(work: Work, order_ids: Sequence[UUID]) -> list[UUID]:
    """Ask for the parts that these orders are said to need, where none are on their way; the new requisitions' ids.

    The caller holds the orders' rows. An order that needs no parts that anybody named gets none, nor does one that has as
    many requisitions as it may: that must not stop the phone whose visit led here.
    """
    rows = await work.fetch(
        """
        select n.order_id, n.part_id, n.quantity from work_order_part n
        where n.org_id = callout_org() and n.order_id = any($1) and not exists (
            select 1 from requisition r
            where r.org_id = n.org_id and r.order_id = n.order_id and r.state = any($2))
          and (select count(*) from requisition r where r.org_id = n.org_id and r.order_id = n.order_id) < $3
        order by n.order_id, n.part_id
        """,
        list(order_ids),
        list(OPEN),
        stored.PER_ORDER_MAX,
    )
    wanted: dict[UUID, dict[UUID, int]] = {}
    for row in rows:
        wanted.setdefault(row["order_id"], {})[row["part_id"]] = row["quantity"]
    return await stored.insert(work, [(id_, None, "", parts) for id_, parts in wanted.items()])


async def set_lines(
    work: Work, requisition_id: UUID, parts: Sequence[PartNeeded], revision: int | None = None
) -> int:
    """Name the parts of a requisition that was not ordered yet, in place of what stood there; its revision."""
    row = await stored.locked(work, requisition_id, revision)
    stored.need(row, ("requested", "approved"), "a requisition that was not ordered yet")
    if not parts:
        raise checks.FieldRefused("parts", "missing")
    ((wanted,), _) = await resolve(work, [parts], ["parts"])
    await work.execute(
        "delete from requisition_line where org_id = callout_org() and requisition_id = $1", requisition_id
    )
    await stored.insert_lines(work, {requisition_id: wanted})
    await stored.note(work, row, "parts.named", {"parts": {str(part): n for part, n in wanted.items()}})
    # Who approved other parts did not approve these.
    return await stored.update(work, row, state="requested", approved_at=None, approved_by=None)


async def approve(work: Work, requisition_id: UUID, revision: int | None = None) -> int:
    """Say that it may be bought; its revision. Twice changes nothing."""
    row = await stored.locked(work, requisition_id, revision)
    if row["state"] == "approved":
        return int(row["revision"])
    stored.need(row, ("requested",), "a requisition that waits for approval")
    stored.need_lines(row)
    revision = await stored.update(
        work, row, state="approved", approved_at=work.now, approved_by=work.actor.user_id
    )
    await stored.note(work, row, "parts.approved", {})
    return revision


async def order(
    work: Work,
    requisition_id: UUID,
    *,
    supplier: str | None = None,
    supplier_ref: str | None = None,
    expected_at: datetime | None = None,
    revision: int | None = None,
) -> int:
    """Say that it was ordered, of whom, under which number of theirs and for when; its revision.

    Said again of an ordered one it changes what is known of the order. Raises AlreadyExists for a supplier's number that
    another requisition has.
    """
    of = checks.optional_text("supplier", supplier)
    ref = checks.optional_text("supplierRef", supplier_ref, chars_max=120)
    if ref is not None and of is None:
        raise checks.FieldRefused("supplier", "missing")
    expected = None if expected_at is None else checks.instant(
        "expectedAt", expected_at, now=work.now, ahead_s=3 * 366 * 86_400.0
    )  # fmt: skip
    row = await stored.locked(work, requisition_id, revision)
    stored.need(row, OPEN, "a requisition that is open")
    stored.need_lines(row)
    first = row["state"] != "ordered"
    try:
        changed = await stored.update(
            work,
            row,
            state="ordered",
            supplier=of,
            supplier_ref=ref,
            expected_at=expected,
            ordered_at=work.now if first else row["ordered_at"],
        )
    except asyncpg.UniqueViolationError:
        raise AlreadyExists(entity="requisition", key="supplierRef", path="supplierRef") from None
    kind = "parts.ordered" if first else "parts.order_changed"
    await stored.note(work, row, kind, {"supplier": of, "supplierRef": ref, "expectedAt": expected})
    return changed


async def receive(
    work: Work,
    requisition_id: UUID,
    holder_id: UUID,
    delivered: Sequence[Delivered] | None = None,
    *,
    delivery: str = "",
    revision: int | None = None,
) -> int:
    """Take goods into the stock of a depot or a van; the requisition's revision.

    Without `delivered` everything that is still to come. `delivery` is the number of the delivery note: the same one again
    books nothing. Once all is there the requisition is received; once an order's last one is, its parts are ready.
    Whether the holder exists is for the caller to know, who lives above. Raises NotFound, BadField, WrongState.
    """
    number = checks.text("delivery", delivery, chars_max=120, blank=True)
    row = await stored.locked(work, requisition_id, revision)
    if row["state"] == "received":
        return int(row["revision"])
    stored.need(row, OPEN, "a requisition that is open")
    stored.need_lines(row)
    lines = await work.fetch(
        """
        select l.id, l.part_id, p.code, l.quantity, l.received from requisition_line l
        join part p on p.org_id = l.org_id and p.id = l.part_id
        where l.org_id = callout_org() and l.requisition_id = $1 order by p.code
        """,
        requisition_id,
    )
    coming = _coming(lines, delivered)
    # What one delivery brings of a part is booked once, under an id that follows from both.
    names = {line_id: uuid5(line_id, number or f"rest:{row['revision']}") for line_id in coming}
    known = await work.fetch(
        "select event_id from stock_move where org_id = callout_org() and event_id = any($1)",
        list(names.values()),
    )
    booked = {one["event_id"] for one in known}
    fresh = {id_: n for id_, n in coming.items() if names[id_] not in booked}
    if not fresh:
        return int(row["revision"])
    parts = {line["id"]: line["part_id"] for line in lines}
    await stock.move(
        work,
        [
            stock.Move(
                holder_id=holder_id,
                part_id=parts[id_],
                quantity=quantity,
                reason="requisition",
                event_id=names[id_],
                order_id=row["order_id"],
            )
            for id_, quantity in fresh.items()
        ],
    )
    await work.execute(
        """
        update requisition_line l set received = l.received + t.n
        from unnest($1::uuid[], $2::int[]) as t(id, n)
        where l.org_id = callout_org() and l.id = t.id
        """,
        list(fresh),
        list(fresh.values()),
    )
    whole = all(line["received"] + fresh.get(line["id"], 0) >= line["quantity"] for line in lines)
    codes = {line["id"]: line["code"] for line in lines}
    changed = await stored.update(
        work, row, **({"state": "received", "received_at": work.now} if whole else {"state": "ordered"})
    )
    await stored.note(
        work,
        row,
        "parts.received",
        {
            "holderId": holder_id,
            "parts": {codes[id_]: n for id_, n in fresh.items()},
            "complete": whole,
            "delivery": number,
        },
    )
    if whole:
        await calling_off.settled(work, requisition_id)
        await _ready(work, row["order_id"])
    return changed


async def cancel(work: Work, requisition_id: UUID, reason: str, revision: int | None = None) -> int:
    """Take a requisition back; its revision. Twice changes nothing; what came in already stays in stock."""
    why = checks.text("reason", reason, chars_max=NOTE_CHARS_MAX)
    row = await stored.locked(work, requisition_id, revision)
    if row["state"] == "canceled":
        return int(row["revision"])
    stored.need(row, OPEN, "a requisition that is open")
    changed = await stored.update(work, row, state="canceled", canceled_at=work.now)
    await stored.note(work, row, "parts.canceled", {"reason": why})
    await calling_off.settled(work, requisition_id)
    await _ready(work, row["order_id"])
    return changed


async def _ready(work: Work, order_id: UUID) -> None:
    """Say that an order's parts are there, where nothing is on its way any more and something came."""
    ready = await work.fetchrow(
        """
        select array_agg(r.number order by r.id) filter (where r.state = 'received') as numbers,
               bool_or(r.state = any($2)) as open
        from requisition r where r.org_id = callout_org() and r.order_id = $1
        """,
        order_id,
        list(OPEN),
    )
    if ready is None or ready["open"] or not ready["numbers"]:
        return
    data = {"requisitions": list(ready["numbers"])}
    await write(
        work,
        Entry(kind="parts.ready", entity="work_order", entity_id=order_id, order_id=order_id, data=data),
    )


def _coming(lines: Sequence[Any], delivered: Sequence[Delivered] | None) -> dict[UUID, int]:
    """What comes in by line. More than was ordered may come; nothing that was not."""
    rest = {line["id"]: line["quantity"] - line["received"] for line in lines}
    if delivered is None:
        return {id_: n for id_, n in rest.items() if n > 0}
    by_name: dict[Any, UUID] = {line["code"]: line["id"] for line in lines}
    by_name |= {line["part_id"]: line["id"] for line in lines}
    found: dict[UUID, int] = {}
    gather = checks.Gather()
    for i, one in enumerate(delivered):
        with gather:
            quantity = checks.whole(f"delivered.{i}.quantity", one.quantity, low=1, high=10_000)
            line_id = by_name.get(one.part)
            if line_id is None:
                options = ", ".join(line["code"] for line in lines)
                raise checks.FieldRefused(f"delivered.{i}.part", "not_one_of", options=options)
            if line_id in found:
                raise checks.FieldRefused(f"delivered.{i}.part", "twice")
            found[line_id] = quantity
    gather.settle()
    if not found:
        raise checks.FieldRefused("delivered", "missing")
    return found
