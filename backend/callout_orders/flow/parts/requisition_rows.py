"""Rows of requisitions, their lines and their lines of the journal."""

from collections.abc import Mapping, Sequence
from typing import Any, Final
from uuid import UUID

from callout_orders import checks
from callout_orders.terms import FINAL
from callout_store.errors import LimitExceeded, NotFound, StaleRevision, WrongState
from callout_store.ids import new_id
from callout_store.journal import Entry, write, write_many
from callout_store.work import Work

PER_ORDER_MAX: Final = 50
ENTITY: Final = "requisition"


async def insert(work: Work, new: Sequence[tuple[UUID, UUID | None, str, Mapping[UUID, int]]]) -> list[UUID]:
    """New requisitions (order, visit, note, quantities by part); the caller holds the orders' rows."""
    if not new:
        return []
    number: int = await work.fetchval(
        """
        insert into requisition_counter (next_number) values (1 + $1)
        on conflict (org_id) do update set next_number = requisition_counter.next_number + $1
        returning next_number - $1
        """,
        len(new),
    )
    crowded = await work.fetchrow(
        """
        select order_id, count(*) as n from requisition where org_id = callout_org() and order_id = any($1)
        group by order_id having count(*) >= $2 limit 1
        """,
        [order_id for order_id, _, _, _ in new],
        PER_ORDER_MAX,
    )
    if crowded is not None:
        raise LimitExceeded(what="requisitions of an order", limit=PER_ORDER_MAX, given=crowded["n"] + 1)
    ids = [new_id() for _ in new]
    numbers = [f"PR-{number + i:06d}" for i in range(len(new))]
    await work.execute(
        """
        insert into requisition (id, number, order_id, visit_id, state, note, created_at, created_by)
        select i, n, o, v, 'requested', t, $6, $7
        from unnest($1::uuid[], $2::text[], $3::uuid[], $4::uuid[], $5::text[]) as g(i, n, o, v, t)
        """,
        ids,
        numbers,
        [order_id for order_id, _, _, _ in new],
        [visit_id for _, visit_id, _, _ in new],
        [note for _, _, note, _ in new],
        work.now,
        work.actor.user_id,
    )
    await insert_lines(work, dict(zip(ids, (parts for _, _, _, parts in new), strict=True)))
    await write_many(
        work,
        [
            Entry(
                kind="parts.requested",
                entity=ENTITY,
                entity_id=id_,
                order_id=order_id,
                data={
                    "number": number_,
                    "parts": {str(part): n for part, n in parts.items()},
                    "visitId": visit_id,
                    "note": note,
                },
            )
            for id_, number_, (order_id, visit_id, note, parts) in zip(ids, numbers, new, strict=True)
        ],
    )
    return ids


async def insert_lines(work: Work, lines: Mapping[UUID, Mapping[UUID, int]]) -> None:
    rows = [(id_, part, n) for id_, parts in lines.items() for part, n in parts.items()]
    if rows:
        await work.execute(
            """
            insert into requisition_line (id, requisition_id, part_id, quantity)
            select * from unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::int[])
            """,
            [new_id() for _ in rows],
            [id_ for id_, _, _ in rows],
            [part for _, part, _ in rows],
            [n for _, _, n in rows],
        )


async def hold_order(work: Work, order_id: UUID) -> None:
    state = await work.fetchval(
        "select state from work_order where org_id = callout_org() and id = $1 for no key update", order_id
    )
    if state is None:
        raise NotFound(entity="work order", path="orderId")
    if state in FINAL:
        raise WrongState(entity="work order", state=state, needed="an order that is not final")


async def locked(work: Work, requisition_id: UUID, revision: int | None) -> Any:
    """The requisition's row under lock, its order's before it."""
    order_id = await work.fetchval(
        "select order_id from requisition where org_id = callout_org() and id = $1", requisition_id
    )
    if order_id is None:
        raise NotFound(entity="requisition", path="id")
    await work.fetchval(
        "select true from work_order where org_id = callout_org() and id = $1 for no key update", order_id
    )
    row = await work.fetchrow(
        """
        select r.*, exists (select 1 from requisition_line l
            where l.org_id = r.org_id and l.requisition_id = r.id) as lines
        from requisition r where r.org_id = callout_org() and r.id = $1 for no key update of r
        """,
        requisition_id,
    )
    assert row is not None
    if revision is not None and revision != row["revision"]:
        raise StaleRevision(entity="requisition", current=row["revision"], given=revision)
    return row


def need(row: Any, states: Sequence[str], needed: str) -> None:
    if row["state"] not in states:
        raise WrongState(entity="requisition", state=row["state"], needed=needed)


def need_lines(row: Any) -> None:
    if not row["lines"]:
        raise checks.FieldRefused("parts", "requisition_lines")


async def update(work: Work, row: Any, **values: Any) -> int:
    names = list(values)
    sets = ", ".join(f"{name} = ${i}" for i, name in enumerate(names, start=2))
    return int(
        await work.fetchval(
            f"""
            update requisition set {sets}, revision = revision + 1
            where org_id = callout_org() and id = $1 returning revision
            """,
            row["id"],
            *values.values(),
        )
    )


async def note(work: Work, row: Any, kind: str, data: Mapping[str, Any]) -> None:
    told = {"number": row["number"], **data}
    await write(
        work,
        Entry(kind=kind, entity=ENTITY, entity_id=row["id"], order_id=row["order_id"], data=told),
    )


checks.add_reasons(
    {"requisition_lines": ("it names no parts yet; name them first", "尚未填写备件,请先填写")},
)
