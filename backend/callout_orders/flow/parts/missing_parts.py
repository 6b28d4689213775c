"""Parts that an engineer on site misses: the order is said to need them, and they are asked for at once (C1).

What the phone names is taken as it is: an event of a day ago must not be refused because a code was misread. What the
catalogue does not have stands in the requisition's note, for the office to name.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final
from uuid import UUID

import msgspec

from callout_orders import order_parts
from callout_orders.flow.parts import requisition_rows as stored
from callout_orders.terms import FINAL
from callout_store.work import Work

OPEN: Final = ("requested", "approved", "ordered")
NOTE_CHARS_MAX: Final = 1000
UNKNOWN: Final = "Not in the catalogue / 目录中没有"


class Missed(msgspec.Struct, rename="camel", frozen=True, kw_only=True):
    """A part as the phone named it; see `callout_contracts.commands.PartWanted`."""

    part_id: UUID | None = None
    code: str | None = None
    quantity: int = 1


async def part_missing(
    work: Work, order_id: UUID, visit_id: UUID, note: str, missed: Sequence[Missed] = ()
) -> UUID | None:
    """An engineer could not go on for want of parts: the requisition that asks for them.

    With `missed` the order is said to need these, and those that are not on their way are asked for, no others. Without, a
    requisition for what the order was said to need, or without lines for the office to name them, unless some are on their
    way already. None where nothing had to be asked for, or the order is over. The caller holds the visit's row.
    """
    await work.fetchval(
        "select true from work_order where org_id = callout_org() and id = $1 for no key update", order_id
    )
    row = await work.fetchrow(
        """
        select o.state, count(r.id) as made, coalesce(bool_or(r.state = any($2)), false) as open,
            coalesce(bool_or(r.visit_id = $3), false) as told,
            (array_agg(r.id) filter (where r.state = 'requested' and r.visit_id = $3 and not exists (
                select from requisition_line l where l.org_id = r.org_id and l.requisition_id = r.id)))[1] as blank
        from work_order o left join requisition r on r.org_id = o.org_id and r.order_id = o.id
        where o.org_id = callout_org() and o.id = $1 group by o.org_id, o.id, o.state
        """,
        order_id,
        list(OPEN),
        visit_id,
    )
    if row is None or row["state"] in FINAL or row["made"] >= stored.PER_ORDER_MAX:
        return None
    if missed:
        return await _named(work, order_id, visit_id, note, missed, row)
    if row["open"] or row["told"]:
        return None
    needed = await work.fetch(
        "select part_id, quantity from work_order_part where org_id = callout_org() and order_id = $1",
        order_id,
    )
    parts = {one["part_id"]: one["quantity"] for one in needed}
    return (await stored.insert(work, [(order_id, visit_id, note[:NOTE_CHARS_MAX], parts)]))[0]


async def _named(
    work: Work, order_id: UUID, visit_id: UUID, note: str, missed: Sequence[Missed], row: Any
) -> UUID | None:
    wanted, unknown = await _known(work, missed)
    await order_parts.grow(work, order_id, wanted)
    coming = await work.fetch(
        """
        select l.part_id, sum(greatest(l.quantity - l.received, 0))::int as quantity
        from requisition r join requisition_line l on l.org_id = r.org_id and l.requisition_id = r.id
        where r.org_id = callout_org() and r.order_id = $1 and r.state = any($2) group by l.part_id
        """,
        order_id,
        list(OPEN),
    )
    on_its_way = {one["part_id"]: one["quantity"] for one in coming}
    rest = {id_: n - on_its_way.get(id_, 0) for id_, n in wanted.items() if n > on_its_way.get(id_, 0)}
    words = _words(note, unknown)
    if row["blank"] is not None and (rest or unknown):
        await _fill(work, order_id, row["blank"], rest, words)
        found: UUID = row["blank"]
        return found
    # What nobody knows cannot be compared: it was told where this visit has a requisition that names it.
    if not rest and (not unknown or await _told(work, order_id, visit_id, unknown)):
        return None
    return (await stored.insert(work, [(order_id, visit_id, words, rest)]))[0]


async def _known(work: Work, missed: Sequence[Missed]) -> tuple[dict[UUID, int], dict[str, int]]:
    """Quantities of the parts of the catalogue by id, and of what it does not have by how it was named."""
    rows = await work.fetch(
        "select id, code from part where org_id = callout_org() and (id = any($1) or code = any($2))",
        [one.part_id for one in missed if one.part_id is not None],
        [one.code for one in missed if one.code is not None],
    )
    by_name: dict[Any, UUID] = {row["code"]: row["id"] for row in rows} | {
        row["id"]: row["id"] for row in rows
    }
    wanted: dict[UUID, int] = {}
    unknown: dict[str, int] = {}
    for one in missed:
        id_ = by_name.get(one.part_id or one.code)
        if id_ is None:
            name = one.code or str(one.part_id)
            unknown[name] = unknown.get(name, 0) + one.quantity
        else:
            wanted[id_] = min(wanted.get(id_, 0) + one.quantity, order_parts.QUANTITY_MAX)
    return wanted, unknown


def _words(note: str, unknown: Mapping[str, int]) -> str:
    """The requisition's note: what the catalogue does not have comes first, so that it is never cut off."""
    told = "; ".join(f"{name} × {n}" for name, n in unknown.items())
    return "\n".join(part for part in (f"{UNKNOWN}: {told}" if told else "", note) if part)[:NOTE_CHARS_MAX]


async def _told(work: Work, order_id: UUID, visit_id: UUID, unknown: Mapping[str, int]) -> bool:
    notes = await work.fetch(
        """
        select note from requisition
        where org_id = callout_org() and order_id = $1 and visit_id = $2 and state <> 'canceled'
        """,
        order_id,
        visit_id,
    )
    return any(all(f"{name} × {n}" in row["note"] for name, n in unknown.items()) for row in notes)


async def _fill(work: Work, order_id: UUID, id_: UUID, parts: Mapping[UUID, int], words: str) -> None:
    """Name the parts of a requisition that was opened without any."""
    row = await work.fetchrow(
        """
        update requisition set revision = revision + 1,
            note = left(case when note = '' or position(note in $2) > 0 then $2 else $2 || chr(10) || note end, $3)
        where org_id = callout_org() and id = $1 returning id, number, order_id
        """,
        id_,
        words,
        NOTE_CHARS_MAX,
    )
    await stored.insert_lines(work, {id_: parts})
    await stored.note(work, row, "parts.named", {"parts": {str(part): n for part, n in parts.items()}})
