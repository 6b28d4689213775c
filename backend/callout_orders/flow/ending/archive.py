"""The end of an order's life: closed by its flow, put into the archive, opened again."""

from collections.abc import Sequence
from uuid import UUID

from callout_orders.sla import milestones
from callout_orders.terms import FINAL, OrderState
from callout_store.journal import Entry, write_many
from callout_store.work import Work


async def close_by_flow(work: Work, order_ids: Sequence[UUID]) -> list[UUID]:
    """Close orders whose flow says so; those that were closed. An order that is final already, or has a live visit, stays."""
    rows = await work.fetch(
        """
        update work_order o set state = $2, closed_at = $3, resolved_at = coalesce(o.resolved_at, $3),
            revision = o.revision + 1
        from (select id, state from work_order where org_id = callout_org() and id = any($1)) before
        where o.org_id = callout_org() and o.id = before.id and not o.state = any($4)
        returning o.id, before.state
        """,
        list(order_ids),
        OrderState.CLOSED.value,
        work.now,
        [*(state.value for state in FINAL), OrderState.SCHEDULED.value, OrderState.IN_PROGRESS.value],
    )
    if rows:
        ids = [row["id"] for row in rows]
        await milestones.closed(work, ids)
        await _note(
            work, "work_order.closed", {row["id"]: {"from": row["state"], "by": "flow"} for row in rows}
        )
    return [row["id"] for row in rows]


async def archive(work: Work, order_ids: Sequence[UUID]) -> list[UUID]:
    """Put closed or called-off orders into the archive; those that were not there yet. An open order stays where it is."""
    rows = await work.fetch(
        """
        update work_order set archived_at = $2, revision = revision + 1
        where org_id = callout_org() and id = any($1) and archived_at is null and state = any($3)
        returning id
        """,
        list(order_ids),
        work.now,
        [state.value for state in FINAL],
    )
    if rows:
        await _note(work, "work_order.archived", {row["id"]: {} for row in rows})
    return [row["id"] for row in rows]


async def _note(work: Work, kind: str, data: dict[UUID, dict[str, str]]) -> None:
    await write_many(
        work,
        [
            Entry(kind=kind, entity="work_order", entity_id=id_, order_id=id_, data=told)
            for id_, told in data.items()
        ],
    )
    work.touch("work_order", *data)
