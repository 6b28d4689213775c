"""What others may read of the service desk, always many rows with one statement.

`…_by_ids` answer in the order of the ids, with None for what is not there (or belongs to another
organisation). Pages go backwards in time: ids are UUIDv7, so `id desc` is newest first, and the last id is
the cursor.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from callout_orders import checks
from callout_orders.kinds import versions
from callout_orders.rows import PAGE_MAX as PAGE_MAX
from callout_orders.rows import Page as Page
from callout_orders.rows import by_ids, lists, page_of, paged, view_of
from callout_orders.rows import page_size as page_size
from callout_orders.terms import Channel, OrderState, Priority
from callout_store.work import Work


class OrderView(msgspec.Struct, frozen=True, kw_only=True):
    """A work order. Times are UTC; `skills` are codes with the level needed.

    `requested_from` and `requested_until`: when the customer asked for the work to start. It starts at least
    `follows_gap_minutes` after the end of the order it follows. `fields` are the values of its kind's own fields, by the
    version `kind_version` of the kind.
    """

    id: UUID
    number: str
    customer_id: UUID
    site_id: UUID
    contact_id: UUID | None
    asset_id: UUID | None
    priority: str
    kind: str
    description: str
    channel: str
    state: str
    skills: dict[str, int]
    duration_minutes: int
    created_at: datetime
    reported_at: datetime | None
    sla_policy: str
    respond_due_at: datetime
    arrive_due_at: datetime
    resolve_due_at: datetime
    responded_at: datetime | None
    arrived_at: datetime | None
    resolved_at: datetime | None
    canceled_at: datetime | None
    closed_at: datetime | None
    requested_from: datetime | None
    requested_until: datetime | None
    crew_size: int
    follows_order_id: UUID | None
    follows_gap_minutes: int
    kind_version: int
    fields: dict[str, Any]
    serial: str | None
    product: str | None
    error_code: str | None
    reporter_name: str | None
    reporter_phone: str | None
    reporter_email: str | None
    locale: str
    tags: list[str]
    duplicate_of_id: UUID | None
    team_id: UUID | None
    handler_id: UUID | None
    created_by: UUID | None
    hold_reason: str | None
    archived_at: datetime | None
    revision: int


class CustomerView(msgspec.Struct, frozen=True, kw_only=True):
    """A customer; `tier` is standard, silver or gold."""

    id: UUID
    number: str
    name: str
    tier: str
    created_at: datetime


class ContactView(msgspec.Struct, frozen=True, kw_only=True):
    """A person at a customer; `phone` in E.164, `user_id` where they may sign in."""

    id: UUID
    customer_id: UUID
    user_id: UUID | None
    name: str
    phone: str | None
    email: str | None
    locale: str
    revision: int


class SiteView(msgspec.Struct, frozen=True, kw_only=True):
    """A place of a customer: WGS-84 degrees (both or neither), and the radius that counts as being there."""

    id: UUID
    customer_id: UUID
    name: str
    address: str
    lat: float | None
    lng: float | None
    geofence_radius_m: int
    access_note: str
    territory_id: UUID | None
    territory_by: str
    visiting_hours: list[dict[str, Any]]
    revision: int


class AssetView(msgspec.Struct, frozen=True, kw_only=True):
    """A machine on a site."""

    id: UUID
    site_id: UUID
    serial: str
    model: str
    name: str
    note: str
    revision: int


class PartView(msgspec.Struct, frozen=True, kw_only=True):
    """A spare part of the catalogue."""

    id: UUID
    code: str
    name: str
    unit: str


class StockView(msgspec.Struct, frozen=True, kw_only=True):
    """What a holder (a van, a depot) has of a part; below zero where the book is behind the truth."""

    id: UUID
    holder_id: UUID
    part_id: UUID
    quantity: int


class ReferenceView(msgspec.Struct, frozen=True, kw_only=True):
    """An order's id in another system (D1)."""

    order_id: UUID
    system: str
    reference: str


class SignatureView(msgspec.Struct, frozen=True, kw_only=True):
    """A sign-off without its picture; `signed_sha256` is the hash (hex) of the summary that was signed."""

    id: UUID
    visit_id: UUID
    order_id: UUID
    event_id: UUID
    decision: str
    reason: str | None
    signer_name: str
    rating: int | None
    signed_sha256: str
    signed_at: datetime
    by_link: bool


class TimelineEntry(msgspec.Struct, frozen=True, kw_only=True):
    """A line of the journal about an order."""

    id: UUID
    at: datetime
    kind: str
    entity: str
    entity_id: UUID
    visit_id: UUID | None
    actor_id: UUID | None
    actor_role: str
    device_id: UUID | None
    data: dict[str, Any]


class OrderFilters(msgspec.Struct, frozen=True, kw_only=True):
    """Which orders; empty means all. `number` finds a part of the number, as typed (`123`, `wo-000123`)."""

    states: tuple[str, ...] = ()
    priorities: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()
    channels: tuple[str, ...] = ()
    number: str | None = None
    customer_id: UUID | None = None
    site_id: UUID | None = None


async def orders_by_ids(work: Work, ids: Sequence[UUID]) -> list[OrderView | None]:
    """Orders in the order of `ids`."""
    return await by_ids(work, OrderView, "work_order", ids)


async def customers_by_ids(work: Work, ids: Sequence[UUID]) -> list[CustomerView | None]:
    """Customers in the order of `ids`."""
    return await by_ids(work, CustomerView, "customer", ids)


async def contacts_by_ids(work: Work, ids: Sequence[UUID]) -> list[ContactView | None]:
    """Contacts in the order of `ids`."""
    return await by_ids(work, ContactView, "contact", ids)


async def sites_by_ids(work: Work, ids: Sequence[UUID]) -> list[SiteView | None]:
    """Sites in the order of `ids`."""
    return await by_ids(work, SiteView, "site", ids)


async def assets_by_ids(work: Work, ids: Sequence[UUID]) -> list[AssetView | None]:
    """Assets in the order of `ids`."""
    return await by_ids(work, AssetView, "asset", ids)


async def parts_by_ids(work: Work, ids: Sequence[UUID]) -> list[PartView | None]:
    """Parts in the order of `ids`."""
    return await by_ids(work, PartView, "part", ids)


async def orders_page(
    work: Work, filters: OrderFilters | None = None, after: UUID | None = None, limit: int = 50
) -> Page[OrderView]:
    """Orders, newest first; `limit` 1..200."""
    size = page_size(limit)
    values: list[Any] = [size + 1]
    conditions = await conditions_of(work, filters or OrderFilters(), values)
    return await page_of(work, OrderView, "work_order", conditions, values, after, size)


async def conditions_of(work: Work, given: OrderFilters, values: list[Any]) -> list[str]:
    """The filters as conditions on `work_order`; their parameters are added to `values`."""
    conditions: list[str] = []

    def where(condition: str, value: object) -> None:
        values.append(value)
        conditions.append(condition.format(f"${len(values)}"))

    for column, wanted, options in (
        ("state", given.states, OrderState),
        ("priority", given.priorities, Priority),
        ("kind", given.kinds, await versions.codes(work) if given.kinds else ()),
        ("channel", given.channels, Channel),
    ):
        if wanted:
            allowed = frozenset(str(option) for option in options)
            where(column + " = any({}::text[])", [checks.one_of(column, one, allowed) for one in wanted])
    if given.number is not None:
        typed = checks.text("number", given.number, chars_max=40).upper()
        where("strpos(number, {}) > 0", typed)
    if given.customer_id is not None:
        where("customer_id = {}", given.customer_id)
    if given.site_id is not None:
        where("site_id = {}", given.site_id)
    return conditions


async def parts_page(
    work: Work, search: str | None = None, after: UUID | None = None, limit: int = 50
) -> Page[PartView]:
    """Parts, newest first, whose code or name holds `search`; `limit` 1..200."""
    size = page_size(limit)
    conditions: list[str] = []
    values: list[Any] = [size + 1]
    if search is not None:
        values.append(checks.text("search", search, chars_max=80).lower())
        conditions.append("(strpos(lower(code), $2) > 0 or strpos(lower(name), $2) > 0)")
    return await page_of(work, PartView, "part", conditions, values, after, size)


async def external_references_by_order_ids(
    work: Work, order_ids: Sequence[UUID]
) -> list[list[ReferenceView]]:
    """The references of each order, in the order of the ids."""
    return await lists(work, ReferenceView, "external_reference", "order_id", order_ids, "system, reference")


async def contacts_by_customer_ids(work: Work, customer_ids: Sequence[UUID]) -> list[list[ContactView]]:
    """The contacts of each customer."""
    return await lists(work, ContactView, "contact", "customer_id", customer_ids, "name, id")


async def contacts_by_user_ids(work: Work, user_ids: Sequence[UUID]) -> list[list[ContactView]]:
    """The contacts that each user signs in as: what a customer contact may see hangs on them."""
    return await lists(work, ContactView, "contact", "user_id", user_ids, "id")


async def assets_by_site_ids(work: Work, site_ids: Sequence[UUID]) -> list[list[AssetView]]:
    """The assets of each site."""
    return await lists(work, AssetView, "asset", "site_id", site_ids, "serial")


async def stock_by_holder_ids(work: Work, holder_ids: Sequence[UUID]) -> list[list[StockView]]:
    """What each holder has, parts that are at zero included."""
    return await lists(work, StockView, "stock_level", "holder_id", holder_ids, "part_id")


async def signatures_by_visit_ids(work: Work, visit_ids: Sequence[UUID]) -> list[list[SignatureView]]:
    """The sign-offs of each visit, oldest first."""
    return await lists(work, SignatureView, "signature", "visit_id", visit_ids, "id")


async def signature_png(work: Work, signature_id: UUID) -> bytes | None:
    """A signature's picture, or None."""
    png: bytes | None = await work.fetchval("select png from signature where id = $1", signature_id)
    return png


async def order_id_by_reference(work: Work, system: str, reference: str) -> UUID | None:
    """The order behind an id of another system, or None."""
    order_id: UUID | None = await work.fetchval(
        "select order_id from external_reference where system = $1 and reference = $2",
        checks.text("system", system, chars_max=40),
        checks.text("reference", reference, chars_max=120),
    )
    return order_id


async def order_id_by_number(work: Work, number: str) -> UUID | None:
    """The order with this number (`WO-000123`), or None."""
    order_id: UUID | None = await work.fetchval(
        "select id from work_order where number = $1", checks.text("number", number, chars_max=40).upper()
    )
    return order_id


async def timeline(
    work: Work, order_id: UUID, after: UUID | None = None, limit: int = PAGE_MAX
) -> Page[TimelineEntry]:
    """The whole life of an order from the journal, oldest first, its visits' entries included."""
    size = page_size(limit)
    rows = await work.fetch(
        """
        select id, at, kind, entity, entity_id, visit_id, actor_id, actor_role, device_id, data::text as data
        from journal where order_id = $1 and ($2::uuid is null or id > $2) order by id limit $3
        """,
        order_id,
        after,
        size + 1,
    )
    return paged([view_of(TimelineEntry, row) for row in rows], size)
