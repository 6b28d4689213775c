"""Orders as they leave the house: one shape for the public API and for exports, read a page at a time."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final, Literal
from uuid import UUID

import msgspec

from callout_orders import checks, reading
from callout_orders.reading import OrderFilters
from callout_store.errors import LimitExceeded
from callout_store.pages import Page
from callout_store.work import Work

Priority = Literal["P0", "P1", "P2"]
OrderState = Literal["new", "scheduled", "in_progress", "completed", "cannot_complete", "closed", "canceled"]
OVERLAP_S: Final = 120
"""A change may become visible so long after the time that it carries: a transaction that lasts longer is ended."""
_SELECT: Final = """
select o.id, o.number, o.state, o.priority, o.kind, o.channel, o.description, o.customer_id, c.number as customer_number,
    c.name as customer_name, o.site_id, s.name as site_name, s.address, o.contact_id, o.asset_id, o.serial, o.product,
    o.error_code, o.reporter_name, o.reporter_phone, o.reporter_email, o.tags, o.fields::text as fields, o.locale,
    o.duplicate_of_id, o.hold_reason, o.created_at, o.reported_at, o.requested_from, o.requested_until, o.respond_due_at,
    o.arrive_due_at, o.resolve_due_at, o.responded_at, o.arrived_at, o.resolved_at, o.closed_at, o.canceled_at, o.revision,
    coalesce((select json_agg(json_build_object('system', r.system, 'reference', r.reference) order by r.system, r.reference)
        from external_reference r where r.org_id = o.org_id and r.order_id = o.id), '[]')::text as refs
from unnest($1::uuid[]) with ordinality as t(id, n)
join work_order o on o.org_id = callout_org() and o.id = t.id
join customer c on c.org_id = o.org_id and c.id = o.customer_id
join site s on s.org_id = o.org_id and s.id = o.site_id
order by t.n
"""


class Reference(msgspec.Struct, frozen=True, kw_only=True):
    """An order's id in another system."""

    system: str
    reference: str


class ListedOrder(msgspec.Struct, rename="camel", frozen=True, kw_only=True):
    """An order with the names of whose it is and where. Times are UTC; `fields` are those of its kind."""

    id: UUID
    number: str
    state: OrderState
    priority: Priority
    kind: str
    channel: str
    description: str
    customer_id: UUID
    customer_number: str
    customer_name: str
    site_id: UUID
    site_name: str
    address: str
    contact_id: UUID | None
    asset_id: UUID | None
    serial: str | None
    product: str | None
    error_code: str | None
    reporter_name: str | None
    reporter_phone: str | None
    reporter_email: str | None
    tags: list[str]
    fields: dict[str, Any]
    locale: str
    duplicate_of_id: UUID | None
    hold_reason: str | None
    created_at: datetime
    reported_at: datetime | None
    requested_from: datetime | None
    requested_until: datetime | None
    respond_due_at: datetime
    arrive_due_at: datetime
    resolve_due_at: datetime
    responded_at: datetime | None
    arrived_at: datetime | None
    resolved_at: datetime | None
    closed_at: datetime | None
    canceled_at: datetime | None
    revision: int
    references: list[Reference]


async def by_ids(work: Work, ids: Sequence[UUID]) -> list[ListedOrder]:
    """Orders in the order of the ids, those that are not there left out."""
    if not ids:
        return []
    rows = await work.fetch(_SELECT, checks.ids("ids", list(ids)))
    return [
        ListedOrder(
            **{
                **{name: value for name, value in row.items() if name != "refs"},
                "fields": msgspec.json.decode(row["fields"]),
                "references": msgspec.json.decode(row["refs"], type=list[Reference]),
            }
        )
        for row in rows
    ]


async def page(
    work: Work, filters: OrderFilters | None = None, after: UUID | None = None, limit: int = 50
) -> Page[ListedOrder]:
    """Orders, newest first; `limit` 1..200."""
    found = await reading.orders_page(work, filters, after, limit)
    return Page(
        items=await by_ids(work, [order.id for order in found.items]),
        end_cursor=str(found.end_cursor) if found.end_cursor else None,
        has_more=found.has_more,
    )


async def check_count(work: Work, filters: OrderFilters, limit: int) -> None:
    """Refuse where more orders than `limit` meet the filters. Counts no further than that."""
    values: list[Any] = []
    conditions = await reading.conditions_of(work, filters, values)
    clause = f"where {' and '.join(['org_id = callout_org()', *conditions])}"
    given = await work.fetchval(
        f"select count(*) from (select 1 from work_order {clause} limit {limit + 1}) t", *values
    )
    if given > limit:
        raise LimitExceeded(what="orders of an export", limit=limit, given=f"{limit + 1}+")


async def changed_since(
    work: Work, since: datetime, after: UUID | None = None, limit: int = 50
) -> Page[ListedOrder]:
    """Orders that anything happened to since then, the longest unchanged first, each once: whatever is in its journal,
    notes and visits included. The cursor is the last line of the last order; it leads on for ever, as the journal grows.

    Lines that another transaction still holds back may carry an earlier time: ask again from OVERLAP_S before the last
    answer.
    """
    size = reading.page_size(limit)
    rows = await work.fetch(
        """
        select order_id, max(id::text)::uuid as line from journal
        where org_id = callout_org() and order_id is not null and id > greatest($1::uuid, $2::uuid) and id >= $1
        group by order_id order by line limit $3
        """,
        _first_id(since),
        after or _first_id(since),
        size + 1,
    )
    items = await by_ids(work, [row["order_id"] for row in rows[:size]])
    return Page(
        items=items,
        end_cursor=str(rows[:size][-1]["line"]) if rows else (str(after) if after else None),
        has_more=len(rows) > size,
    )


def _first_id(at: datetime) -> UUID:
    """The smallest UUIDv7 of an instant (RFC 9562, 5.7): the journal's ids sort by the time at which they were made."""
    milliseconds = max(0, int(at.timestamp() * 1000))
    return UUID(int=(milliseconds & (2**48 - 1)) << 80)
