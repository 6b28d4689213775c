"""What goes in and out of the public API. Their docstrings are the descriptions that other people's clients show."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
from msgspec import Meta

from callout_orders.imports.listing import ListedOrder, Priority
from callout_orders.imports.runs import Run, RunRow, spoken
from callout_orders.intake import REFERENCES_MAX

Moment = Annotated[datetime, Meta(tz=True)]


class Reference(msgspec.Struct, rename="camel", frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An order's id in another system. The same pair leads to the same order, always."""

    system: Annotated[str, Meta(min_length=1, max_length=40, examples=["crm"])]
    reference: Annotated[str, Meta(min_length=1, max_length=120, examples=["CASE-4711"])]


class NewOrder(msgspec.Struct, rename="camel", frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An order to be made. Whose it is and where: by ids, or by customer number, serial, phone or e-mail, by which those
    that are known are found, or by name and address, where new ones may be made. What is left out is looked for in the
    description."""

    description: Annotated[
        str, Meta(max_length=4000, examples=["Charging pile shows E07 and does not start"])
    ]
    kind: str | None = None
    priority: Priority | None = None
    channel: str = "api"
    locale: Literal["en", "zh"] | None = None
    customer_id: UUID | None = None
    site_id: UUID | None = None
    contact_id: UUID | None = None
    asset_id: UUID | None = None
    customer_number: str | None = None
    customer_name: str | None = None
    contact_name: str | None = None
    contact_phone: Annotated[str, Meta(examples=["13800138000"])] | None = None
    contact_email: str | None = None
    serial: str | None = None
    product: str | None = None
    error_code: Annotated[str, Meta(examples=["E07"])] | None = None
    address: str | None = None
    lat: float | None = None
    lng: float | None = None
    fields: dict[str, Any] = {}
    tags: Annotated[list[str], Meta(max_length=40)] = []
    references: Annotated[list[Reference], Meta(max_length=REFERENCES_MAX)] = []
    skills: dict[str, int] = {}
    duration_minutes: Annotated[int, Meta(ge=5, le=1440)] = 60
    reported_at: Moment | None = None
    requested_from: Moment | None = None
    requested_until: Moment | None = None
    crew_size: Annotated[int, Meta(ge=1, le=10)] = 1


class MadeOrder(msgspec.Struct, rename="camel", frozen=True, kw_only=True):
    """The order that was made, or that was there already (`existing`). `duplicateOfId`: it was linked to that order."""

    id: UUID
    number: str
    existing: bool
    kind: str
    priority: str
    customer_id: UUID
    site_id: UUID
    contact_id: UUID | None
    duplicate_of_id: UUID | None
    tags: list[str]


class Order(ListedOrder, rename="camel", frozen=True, kw_only=True):
    """An order. The `…DueAt` are what was promised, the others what happened. `revision` grows with each change of the
    order itself."""

    references: list[Reference]  # type: ignore[assignment]


class OrderPage(msgspec.Struct, rename="camel", frozen=True, kw_only=True):
    """A page of orders: ask again with `after=endCursor` while `hasMore`. `since` is what to give as `updatedSince` the next
    time; it lies a little before this answer, so that what was being written meanwhile is not missed."""

    items: list[Order]
    end_cursor: str | None
    has_more: bool
    since: datetime


class NewNote(msgspec.Struct, rename="camel", frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A note for the order's timeline."""

    text: Annotated[str, Meta(min_length=1, max_length=4000)]


class Note(msgspec.Struct, rename="camel", frozen=True, kw_only=True):
    """The note that was added."""

    id: UUID


class Cancellation(msgspec.Struct, rename="camel", frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Why an order is called off. `revision`: refuse where the order was changed since it was read."""

    reason: Annotated[str, Meta(min_length=1, max_length=1000)]
    revision: int | None = None


class TimelineEntry(msgspec.Struct, rename="camel", frozen=True, kw_only=True):
    """Something that happened to an order. `source` says where it was written down, `kind` what it was; `text` is it in a
    sentence, `data` in values. `actor` is the name of who did it, where that is known."""

    id: str
    at: datetime
    source: str
    kind: str
    actor: str | None
    role: str | None
    visit_id: UUID | None
    text: str
    text_en: str
    text_zh: str
    data: dict[str, Any]


class TimelinePage(msgspec.Struct, rename="camel", frozen=True, kw_only=True):
    """A page of an order's life, oldest first."""

    items: list[TimelineEntry]
    end_cursor: str | None
    has_more: bool


class RowFault(msgspec.Struct, rename="camel", frozen=True, kw_only=True):
    """What is wrong with a row: the column's header, the field, a stable code with its reason, and the text."""

    column: str | None
    field: str
    code: str
    reason: str
    text: str


class ImportRow(msgspec.Struct, rename="camel", frozen=True, kw_only=True):
    """A row of a sheet; `row` is its number as a person counts."""

    row: int
    state: Literal["waiting", "ok", "existing", "failed"]
    order_id: UUID | None
    cells: list[str]
    faults: list[RowFault]


class ImportRowPage(msgspec.Struct, rename="camel", frozen=True, kw_only=True):
    """A page of an import's rows."""

    items: list[ImportRow]
    end_cursor: str | None
    has_more: bool


class Import(msgspec.Struct, rename="camel", frozen=True, kw_only=True):
    """An import as it stands. In a dry run `rowsOk` would become orders; `rowsExisting` are orders already."""

    id: UUID
    state: Literal["queued", "running", "done", "canceled", "failed"]
    dry_run: bool
    file_name: str
    format: str
    encoding: str
    headers: list[str]
    rows_total: int
    rows_done: int
    rows_ok: int
    rows_existing: int
    rows_failed: int
    seconds_left: int | None
    fault: str | None
    created_at: datetime
    ended_at: datetime | None


class ImportPage(msgspec.Struct, rename="camel", frozen=True, kw_only=True):
    """A page of imports, newest first."""

    items: list[Import]
    end_cursor: str | None
    has_more: bool


class Fault(msgspec.Struct, rename="camel", frozen=True, kw_only=True):
    """One of several things that are wrong with a form."""

    path: str
    code: str
    reason: str
    en: str
    zh: str


class Problem(msgspec.Struct, rename="camel", frozen=True, kw_only=True):
    """A refusal (RFC 9457), in the language of `Accept-Language`. `code` is stable; `errors` are all that is wrong."""

    type: str
    title: str
    status: int
    detail: str
    code: Annotated[str, Meta(examples=["FIELDS_REFUSED"])]
    retryable: bool
    path: str | None = None
    retry_after_ms: int | None = None
    request_id: str | None = None
    details: dict[str, Any] = {}
    errors: list[Fault] = []


def order_of(found: ListedOrder) -> Order:
    """As it is sent."""
    return msgspec.convert(found, Order, from_attributes=True)


def import_of(run: Run) -> Import:
    """As it is sent."""
    return msgspec.convert(run, Import, from_attributes=True)


def row_of(row: RunRow, locale: str) -> ImportRow:
    """As it is sent, in the reader's language."""
    return msgspec.convert(spoken(row, locale), ImportRow, from_attributes=True)
