"""Parts that an order will need: known to the pick, and to the phone that goes there offline."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

import msgspec

from callout_contracts.limits import ORDER_PARTS_MAX
from callout_orders import checks
from callout_orders.terms import FINAL
from callout_store.errors import NotFound, StaleRevision, WrongState
from callout_store.journal import Entry, write
from callout_store.work import Work

QUANTITY_MAX = 10_000

PartNeeded = tuple[str | UUID, int]
"""A part by its code or id, and how many of it."""


class OrderPartView(msgspec.Struct, frozen=True, kw_only=True):
    """So many of a part will be needed for an order."""

    order_id: UUID
    part_id: UUID
    quantity: int


async def set_order_parts(
    work: Work, order_id: UUID, parts: Sequence[PartNeeded], revision: int | None = None
) -> int:
    """Say what the order will need, in place of what was said before; its revision. The same again changes nothing.

    Raises NotFound (order, part), BadField, LimitExceeded, StaleRevision, WrongState for an order that is over.
    """
    order = await work.fetchrow(
        "select state, revision from work_order where id = $1 for no key update", order_id
    )
    if order is None:
        raise NotFound(entity="work order", path="orderId")
    if revision is not None and revision != order["revision"]:
        raise StaleRevision(entity="work order", current=order["revision"], given=revision)
    if order["state"] in FINAL:
        raise WrongState(entity="work order", state=order["state"], needed="an order that is not final")
    ((wanted,), known) = await resolve(work, [parts], ["parts"])
    before = {
        row["part_id"]: row["quantity"]
        for row in await work.fetch(
            "select part_id, quantity from work_order_part where org_id = callout_org() and order_id = $1",
            order_id,
        )
    }
    if before == wanted:
        return int(order["revision"])
    await work.execute("delete from work_order_part where org_id = callout_org() and order_id = $1", order_id)
    await insert(work, {order_id: wanted})
    await work.execute("update work_order set revision = revision + 1 where id = $1", order_id)
    await write(
        work,
        Entry(
            kind="work_order.parts_set",
            entity="work_order",
            entity_id=order_id,
            order_id=order_id,
            data={"parts": [{"code": known[id_], "quantity": n} for id_, n in sorted(wanted.items())]},
        ),
    )
    work.touch("work_order", order_id)
    # Where phones hold only the parts that they need, these come or go.
    work.touch("part", *(before.keys() | wanted.keys()))
    return int(order["revision"]) + 1


async def grow(work: Work, order_id: UUID, wanted: Mapping[UUID, int]) -> None:
    """Let an order need at least so many of these parts; what it needs already stays. The caller holds the order's row.

    An engineer's word is never refused: beyond the limit of an order's parts, further ones are left out here.
    """
    rows = await work.fetch(
        """
        select n.part_id, n.quantity, p.code, false as new from work_order_part n
        join part p on p.org_id = n.org_id and p.id = n.part_id
        where n.org_id = callout_org() and n.order_id = $1
        union all
        select p.id, 0, p.code, true from part p where p.org_id = callout_org() and p.id = any($2) and not exists (
            select from work_order_part n where n.org_id = p.org_id and n.order_id = $1 and n.part_id = p.id)
        order by new, code
        """,
        order_id,
        list(wanted),
    )
    kept = rows[:ORDER_PARTS_MAX]
    after = {row["part_id"]: max(row["quantity"], wanted.get(row["part_id"], 0)) for row in kept}
    grown = {row["part_id"] for row in kept if after[row["part_id"]] > row["quantity"]}
    if not grown:
        return
    await work.execute(
        """
        insert into work_order_part (order_id, part_id, quantity) select $1, * from unnest($2::uuid[], $3::int[])
        on conflict (org_id, order_id, part_id) do update set quantity = excluded.quantity
        """,
        order_id,
        list(grown),
        [after[id_] for id_ in grown],
    )
    await work.execute(
        "update work_order set revision = revision + 1 where org_id = callout_org() and id = $1", order_id
    )
    parts = [{"code": row["code"], "quantity": after[row["part_id"]]} for row in kept]
    await write(
        work,
        Entry(
            kind="work_order.parts_set",
            entity="work_order",
            entity_id=order_id,
            order_id=order_id,
            data={"parts": sorted(parts, key=lambda one: str(one["code"])), "by": "engineer"},
        ),
    )
    work.touch("work_order", order_id)
    work.touch("part", *grown)


async def resolve(
    work: Work, lists: Sequence[Sequence[PartNeeded]], paths: Sequence[str]
) -> tuple[list[dict[UUID, int]], dict[UUID, str]]:
    """Each list as quantities by part id, and the codes of all parts; one statement. `paths` name the lists in refusals."""
    for parts, path in zip(lists, paths, strict=True):
        checks.batch("parts of an order", list(parts), limit=ORDER_PARTS_MAX)
        for i, (_, quantity) in enumerate(parts):
            checks.whole(f"{path}.{i}.quantity", quantity, low=1, high=QUANTITY_MAX)
    names = [part for parts in lists for part, _ in parts]
    if not names:
        return [{} for _ in lists], {}
    rows = await work.fetch(
        "select id, code from part where org_id = callout_org() and (id = any($1) or code = any($2))",
        [name for name in names if isinstance(name, UUID)],
        [name for name in names if isinstance(name, str) and _storable(name)],
    )
    by_name: dict[Any, UUID] = {row["code"]: row["id"] for row in rows} | {
        row["id"]: row["id"] for row in rows
    }
    answers: list[dict[UUID, int]] = []
    for parts, path in zip(lists, paths, strict=True):
        wanted: dict[UUID, int] = {}
        for i, (name, quantity) in enumerate(parts):
            part_id = by_name.get(name)
            if part_id is None:
                raise NotFound(entity="part", path=f"{path}.{i}")
            if part_id in wanted:
                raise checks.FieldRefused(f"{path}.{i}", "twice")
            wanted[part_id] = quantity
        answers.append(wanted)
    return answers, {row["id"]: row["code"] for row in rows}


async def insert(work: Work, needs: dict[UUID, dict[UUID, int]]) -> None:
    """Store quantities by part for orders that have none; one statement."""
    rows = [(order_id, part_id, n) for order_id, wanted in needs.items() for part_id, n in wanted.items()]
    if rows:
        await work.execute(
            """
            insert into work_order_part (order_id, part_id, quantity)
            select * from unnest($1::uuid[], $2::uuid[], $3::int[])
            """,
            [order_id for order_id, _, _ in rows],
            [part_id for _, part_id, _ in rows],
            [quantity for _, _, quantity in rows],
        )


async def parts_by_order_ids(work: Work, order_ids: Sequence[UUID]) -> list[list[OrderPartView]]:
    """What each order will need, in the order of the ids."""
    wanted = checks.ids("ids", list(order_ids))
    if not wanted:
        return []
    rows = await work.fetch(
        """
        select n.order_id, n.part_id, n.quantity
        from work_order_part n join part p on p.org_id = n.org_id and p.id = n.part_id
        where n.org_id = callout_org() and n.order_id = any($1) order by p.code
        """,
        wanted,
    )
    found: dict[UUID, list[OrderPartView]] = {}
    for row in rows:
        found.setdefault(row["order_id"], []).append(OrderPartView(**dict(row)))
    return [found.get(one, []) for one in wanted]


def _storable(text: str) -> bool:
    """Whether PostgreSQL can be asked for it."""
    return "\x00" not in text and not any("\ud800" <= char <= "\udfff" for char in text)
