"""Merging two orders: the desk moves what it keeps, once it is sure that nobody is on the way for the one that goes."""

from uuid import UUID

from callout_orders.checks import FieldRefused
from callout_orders.precheck.alike import links
from callout_store.work import Work


async def merge_orders(
    work: Work, into_id: UUID, from_id: UUID, reason: str = "", *, across_customers: bool = False
) -> links.Merged:
    """Put one order into another, see `links.merge`. Visits of the one that goes must have ended: they stay with it.

    Raises FieldRefused, NotFound, WrongState.
    """
    live = await work.fetchval(
        """
        select o.number
        from visit v join work_order o on o.org_id = v.org_id and o.id = v.order_id
        where v.org_id = callout_org() and v.order_id = $1 and v.ended_at is null and v.plan <> 'canceled'
        order by v.id limit 1 for update of v
        """,
        from_id,
    )
    if live is not None:
        raise FieldRefused("from", "merge_visits", given=live)
    merged = await links.merge(work, into_id, from_id, reason, across_customers=across_customers)
    # One that was planned while this waited for the order is seen now: whoever plans holds the order.
    late = await work.fetchval(
        """
        select exists (select 1 from visit where org_id = callout_org() and order_id = $1 and ended_at is null
                       and plan <> 'canceled')
        """,
        from_id,
    )
    if late:
        raise FieldRefused("from", "merge_visits", given=merged.from_number)
    return merged
