"""What of an organisation a caller may see, where it is not all of it.

An engineer sees the visits that lie in the scope of their phone, and those visits' orders; a customer's contact sees
the orders of that customer. Which visits a phone holds is `callout_sync.scope_rules`, used here and not repeated.
"""

from collections.abc import Collection
from uuid import UUID

import msgspec

from callout_people.principals import Principal, Right, Role
from callout_store.errors import LimitExceeded
from callout_store.work import Work
from callout_sync.scope_rules import VISIBLE_VISIT, works_on

PAGE_MAX = 200


class Sight(msgspec.Struct, frozen=True, kw_only=True):
    """Everything, or the visits of one engineer, or the orders of some customers (of none: nothing)."""

    everything: bool = False
    engineer_id: UUID | None = None
    customer_ids: tuple[UUID, ...] = ()


async def sight_of(work: Work, who: Principal) -> Sight:
    """The sight of a caller."""
    if who.may(Right.ORDERS_READ):
        return Sight(everything=True)
    if who.role is Role.ENGINEER:
        engineer_id = await work.fetchval(
            "select id from engineer where org_id = callout_org() and user_id = $1 and active", who.user_id
        )
        return Sight(engineer_id=engineer_id)
    rows = await work.fetch(
        "select distinct customer_id from contact where org_id = callout_org() and user_id = $1", who.user_id
    )
    return Sight(customer_ids=tuple(row["customer_id"] for row in rows))


async def orders_in_sight(work: Work, sight: Sight, order_ids: Collection[UUID]) -> set[UUID]:
    """Those of the orders that may be seen."""
    if sight.everything:
        return set(order_ids)
    rows = await work.fetch(
        f"""
        select o.id from work_order o
        where o.org_id = callout_org() and o.id = any($1) and (o.customer_id = any($2) or exists (
            select 1 from visit v
            where v.org_id = o.org_id and v.order_id = o.id and {works_on("$3")} and {VISIBLE_VISIT}))
        """,
        list(order_ids),
        list(sight.customer_ids),
        sight.engineer_id,
    )
    return {row["id"] for row in rows}


async def visits_in_sight(work: Work, sight: Sight, visit_ids: Collection[UUID]) -> set[UUID]:
    """Those of the visits that may be seen."""
    if sight.everything:
        return set(visit_ids)
    rows = await work.fetch(
        f"""
        select v.id from visit v join work_order o on o.org_id = v.org_id and o.id = v.order_id
        where v.org_id = callout_org() and v.id = any($1)
          and (o.customer_id = any($2) or ({works_on("$3")} and {VISIBLE_VISIT}))
        """,
        list(visit_ids),
        list(sight.customer_ids),
        sight.engineer_id,
    )
    return {row["id"] for row in rows}


async def order_ids_in_sight(
    work: Work, sight: Sight, *, states: Collection[str] = (), after: UUID | None = None, limit: int
) -> list[UUID]:
    """Ids of visible orders, newest first, one more than `limit` where there are more."""
    _check(limit)
    rows = await work.fetch(
        f"""
        select o.id from work_order o
        where o.org_id = callout_org() and ($4::uuid is null or o.id < $4)
          and ($5::text[] = '{{}}' or o.state = any($5)) and (o.customer_id = any($1) or exists (
            select 1 from visit v
            where v.org_id = o.org_id and v.order_id = o.id and {works_on("$2")} and {VISIBLE_VISIT}))
        order by o.id desc limit $3
        """,
        list(sight.customer_ids),
        sight.engineer_id,
        limit + 1,
        after,
        list(states),
    )
    return [row["id"] for row in rows]


async def visit_ids_in_sight(
    work: Work, sight: Sight, *, after: UUID | None = None, limit: int
) -> list[UUID]:
    """Ids of visible visits, newest first, one more than `limit` where there are more."""
    _check(limit)
    rows = await work.fetch(
        f"""
        select v.id from visit v join work_order o on o.org_id = v.org_id and o.id = v.order_id
        where v.org_id = callout_org() and ($4::uuid is null or v.id < $4)
          and (o.customer_id = any($1) or ({works_on("$2")} and {VISIBLE_VISIT}))
        order by v.id desc limit $3
        """,
        list(sight.customer_ids),
        sight.engineer_id,
        limit + 1,
        after,
    )
    return [row["id"] for row in rows]


def _check(limit: int) -> None:
    if not 1 <= limit <= PAGE_MAX:
        raise LimitExceeded(path="first", what="rows a page", limit=PAGE_MAX, given=limit)
