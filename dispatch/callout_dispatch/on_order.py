"""Which user is the engineer of an order: what the service desk, which knows no visits, asks dispatch for."""

from collections.abc import Sequence
from uuid import UUID

from callout_store.work import Work


async def engineer_users(work: Work, order_ids: Sequence[UUID]) -> dict[UUID, UUID]:
    """The user of each order's engineer: of the visit that is not over, else of the last one; none where nobody was sent,
    or whoever was may not sign in any more."""
    rows = await work.fetch(
        """
        select distinct on (v.order_id) v.order_id, u.id as user_id
        from visit v
        join engineer e on e.org_id = v.org_id and e.id = v.engineer_id
        left join app_user u on u.org_id = e.org_id and u.id = e.user_id and u.active
        where v.org_id = callout_org() and v.order_id = any($1) and v.plan <> 'canceled'
        order by v.order_id, v.ended_at is not null, v.number desc
        """,
        list(order_ids),
    )
    return {row["order_id"]: row["user_id"] for row in rows if row["user_id"] is not None}
