"""Documents: what a phone's copy holds. One page item is `{"entity", "id", "op", "doc"}`; a delete has no `doc`.

The server builds these as JSON text inside PostgreSQL and never parses them on their way out; a test reads real pages
back through these classes. Instants are RFC 3339 in UTC. Names on the wire are camelCase.
"""

from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from msgspec import Struct


class Document(Struct, rename="camel", frozen=True, forbid_unknown_fields=True):
    """Base of all documents; `id` is the row's."""

    id: UUID


class Visit(Document, frozen=True):
    """A visit of this engineer. `state` follows from the events; a phone never sets it."""

    order_id: UUID
    number: int
    state: str
    scheduled_start: datetime | None
    scheduled_end: datetime | None
    accepted_at: datetime | None
    travelling_at: datetime | None
    arrived_at: datetime | None
    signed_at: datetime | None
    completed_at: datetime | None
    ended_at: datetime | None
    outcome: str | None
    revision: int


class WorkOrder(Document, frozen=True):
    """The order behind a visit."""

    number: str
    priority: Literal["P0", "P1", "P2"]
    kind: str
    description: str
    channel: str
    state: str
    skills: dict[str, int]
    duration_minutes: int
    site_id: UUID
    contact_id: UUID | None
    asset_id: UUID | None
    created_at: datetime
    respond_due_at: datetime
    arrive_due_at: datetime
    resolve_due_at: datetime
    revision: int


class Site(Document, frozen=True):
    """Where to go. WGS-84 degrees; `geofenceRadiusM` in metres."""

    name: str
    address: str
    lat: float | None
    lng: float | None
    geofence_radius_m: int
    customer_name: str


class Contact(Document, frozen=True):
    """Whom to ask for."""

    name: str
    phone: str | None
    email: str | None
    locale: str


class Asset(Document, frozen=True):
    """The equipment."""

    site_id: UUID
    serial: str
    model: str
    name: str


class Event(Document, frozen=True):
    """An on-site event, from this phone or another."""

    visit_id: UUID
    kind: str
    at: datetime
    device_time: datetime
    received_at: datetime
    geofence: str
    flags: list[str]
    source: str
    data: dict[str, Any]


class Part(Document, frozen=True):
    """A part of the catalogue."""

    code: str
    name: str
    unit: str


class Stock(Document, frozen=True):
    """How many of a part are in this engineer's van."""

    part_id: UUID
    quantity: int


DOCUMENTS: dict[str, type[Document]] = {
    "visit": Visit,
    "work_order": WorkOrder,
    "site": Site,
    "contact": Contact,
    "asset": Asset,
    "event": Event,
    "part": Part,
    "stock": Stock,
}


class Item(Struct, rename="camel", frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One row of a page."""

    entity: str
    id: UUID
    op: Literal["upsert", "delete"]
    doc: dict[str, Any] | None = None


class Page(Struct, rename="camel", frozen=True, kw_only=True):
    """One page of a pull. `more`: pull again at once with `cursor`. `total` is given on a first pull only."""

    cursor: str
    more: bool
    epoch: UUID
    server_time: datetime
    documents: list[Item]
    total: int | None = None
