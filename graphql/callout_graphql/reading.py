"""Reading that crosses the floors below and belongs to none of them."""

from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from callout_dispatch import reading as dispatch
from callout_orders import reading as desk
from callout_orders.summary import Summary, SummaryPart
from callout_people.organisations import organisation
from callout_store.errors import NotFound
from callout_store.work import Work


class DeadLetterView(msgspec.Struct, frozen=True, kw_only=True):
    """An effect that was given up after many tries."""

    id: UUID
    channel: str
    stream: str
    attempts: int
    last_error: str | None
    created_at: datetime


async def dead_letters(work: Work, limit: int) -> list[DeadLetterView]:
    """Dead letters, newest first."""
    rows = await work.fetch(
        """
        select id, channel, stream, attempts, last_error, created_at from outbox
        where org_id = callout_org() and state = 'dead' order by id desc limit $1
        """,
        limit,
    )
    return [DeadLetterView(**dict(row)) for row in rows]


async def sign_off_summary(work: Work, visit_id: UUID) -> tuple[UUID, dict[str, Any]]:
    """The order of a visit, and what its customer is asked to sign: what was done, parts, time. Raises NotFound."""
    (visit,) = await dispatch.visits_by_ids(work, [visit_id])
    if visit is None:
        raise NotFound(entity="visit")
    (order,) = await desk.orders_by_ids(work, [visit.order_id])
    if order is None:
        raise NotFound(entity="work order")
    (site,) = await desk.sites_by_ids(work, [order.site_id])
    (customer,) = await desk.customers_by_ids(work, [order.customer_id])
    assets = await desk.assets_by_ids(work, [order.asset_id]) if order.asset_id else [None]
    engineers = await dispatch.engineers_by_ids(work, [visit.engineer_id]) if visit.engineer_id else [None]
    (events,) = await dispatch.events_by_visit_ids(work, [visit_id])
    replaced = [event.data for event in events if event.kind == "part_replaced"]
    ids = [UUID(data["partId"]) for data in replaced]
    parts = {part.id: part for part in await desk.parts_by_ids(work, ids) if part is not None}
    home = await organisation(work)
    words = (
        event.data.get("finding") or event.data.get("text") or event.data.get("resolution") or ""
        for event in events
        if event.kind in ("diagnosed", "note", "completed", "could_not_complete")
    )
    summary = Summary(
        organisation=home.name,
        order_number=order.number,
        description=order.description,
        engineer=engineers[0].name if engineers[0] is not None else "",
        customer=customer.name if customer is not None else "",
        site=site.name if site is not None else "",
        address=site.address if site is not None else "",
        asset=f"{assets[0].name} {assets[0].serial}" if assets[0] is not None else "",
        outcome=visit.outcome or "",
        work=tuple(text for text in words if text),
        parts=tuple(
            SummaryPart(
                code=part.code,
                name=part.name,
                unit=part.unit,
                quantity=int(data.get("quantity", 1)),
                old_serial=data.get("oldSerial"),
                new_serial=data.get("newSerial"),
            )
            for data in replaced
            if (part := parts.get(UUID(data["partId"]))) is not None
        ),
        arrived_at=visit.arrived_at,
        finished_at=visit.outcome_at or visit.left_at,
        time_zone=home.time_zone,
    )
    return order.id, summary.as_dict()
