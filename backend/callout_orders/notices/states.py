"""What became of a notice with its reader: read, acknowledged. Both may come in any order with its delivery."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from callout_orders.notices.terms import Role
from callout_store.errors import NotFound
from callout_store.work import Work


async def read(work: Work, ids: Sequence[UUID]) -> int:
    """Notices were read; how many were not before. Who has read has been told: what still waits of them is not sent."""
    rows = await work.fetch(
        """
        update notice set state = case when state = 'acknowledged' then state else 'read' end, read_at = $2,
            delivered_at = coalesce(delivered_at, $2)
        where org_id = callout_org() and id = any($1) and read_at is null returning id
        """,
        list(ids),
        work.now,
    )
    return len(rows)


async def read_of(work: Work, user_id: UUID, ids: Sequence[UUID]) -> int:
    """The same for a person's own notices; another's are left alone."""
    own = await work.fetch(
        "select id from notice where org_id = callout_org() and id = any($1) and user_id = $2",
        list(ids),
        user_id,
    )
    return await read(work, [row["id"] for row in own])


async def acknowledge(work: Work, notice_id: UUID, *, user_id: UUID | None = None) -> str:
    """Whoever got the notice has it in hand; its state. All of their notices of the same line are acknowledged with it, and
    nobody is called any more about what was told until then.

    With `user_id` only a notice of that person. Raises NotFound. Twice changes nothing. A customer has nothing in hand: they
    have read it.
    """
    row = await _row(work, notice_id, user_id)
    if row["role"] == Role.CUSTOMER:
        await read(work, [notice_id])
        return "read"
    # Whoever calls the next in line holds the order: they see this acknowledgement, or their call is seen here.
    await work.execute(
        "select from work_order where org_id = callout_org() and id = $1 for no key update", row["order_id"]
    )
    await work.execute(
        """
        update notice set state = 'acknowledged', acknowledged_at = $4, acknowledged_by = $5,
            read_at = coalesce(read_at, $4), delivered_at = coalesce(delivered_at, $4)
        where org_id = callout_org() and line_id = $2 and recipient = $3 and (id = $1 or wants_ack)
              and acknowledged_at is null
        """,
        notice_id,
        row["line_id"],
        row["recipient"],
        work.now,
        user_id or row["user_id"],
    )
    await work.execute(
        """
        update notice n set state = 'failed', failed_at = $3, error = 'somebody has it in hand'
        where org_id = callout_org() and order_id = $1 and kind = 'escalated' and state in ('held', 'queued')
          and $2 >= (select min(position) from notice o where o.org_id = n.org_id and o.line_id = n.line_id)
        """,
        row["order_id"],
        row["position"],
        work.now,
    )
    return "acknowledged"


async def is_addressed_to(work: Work, notice_id: UUID, address: str) -> bool:
    """Whether the notice went to this address."""
    return bool(
        await work.fetchval(
            "select true from notice where org_id = callout_org() and id = $1 and lower(address) = lower($2)",
            notice_id,
            address,
        )
    )


async def _row(work: Work, notice_id: UUID, user_id: UUID | None) -> Any:
    row = await work.fetchrow(
        """
        select line_id, recipient, user_id, role, order_id, position from notice
        where org_id = callout_org() and id = $1 and ($2::uuid is null or user_id = $2)
        """,
        notice_id,
        user_id,
    )
    if row is None:
        raise NotFound(entity="notice", path="id")
    return row
