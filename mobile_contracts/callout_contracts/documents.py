"""Documents: what a phone's copy holds. One page item is `{"entity", "id", "op", "doc"}`; a delete has no `doc`.

The server builds these as JSON text inside PostgreSQL and never parses them on their way out; a test reads real pages
back through these classes. Instants are RFC 3339 in UTC. Names on the wire are camelCase. A client takes no offence at
fields that it does not know: a newer server may send some.

Who may write a field stands beside it. A field without a word is the server's, and never conflicts. `merge` names the
policy for a field that was written on two sides since the phone's base: `newest` (by stamp), `office` (the dispatcher's
stays) or `phone` (the engineer's stays); fields written on one side only are simply taken. `counter` fields add. Events,
photos, signatures and filled-in forms are appended: they are accepted in any order, and a child before its parent.
"""

from datetime import datetime
from typing import Annotated, Any, Literal, get_type_hints
from uuid import UUID

from msgspec import Meta, Struct

from callout_contracts.limits import TEXT_CHARS_MAX


def _merge(policy: Literal["newest", "office", "phone"], **bounds: Any) -> Meta:
    return Meta(extra={"merge": policy}, **bounds)


Note = Annotated[str, _merge("newest", max_length=TEXT_CHARS_MAX)]
Counter = Annotated[int, Meta(extra={"merge": "counter"})]


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
    engineer_note: Annotated[str, _merge("phone", max_length=TEXT_CHARS_MAX)] = ""
    crew: list[UUID] = []


class NeededPart(Struct, rename="camel", frozen=True, forbid_unknown_fields=True):
    """So many of a part will be needed."""

    part_id: UUID
    quantity: int


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
    parts: list[NeededPart] = []


class Site(Document, frozen=True):
    """Where to go. WGS-84 degrees; `geofenceRadiusM` in metres."""

    name: str
    address: str
    lat: float | None
    lng: float | None
    geofence_radius_m: int
    customer_name: str
    access_note: Note = ""
    revision: int = 1


class Contact(Document, frozen=True):
    """Whom to ask for."""

    name: Annotated[str, _merge("office", min_length=1, max_length=200)]
    phone: Annotated[str, _merge("newest", max_length=40)] | None
    email: Annotated[str, _merge("newest", max_length=254)] | None
    locale: str
    revision: int = 1


class Asset(Document, frozen=True):
    """The equipment."""

    site_id: UUID
    serial: str
    model: str
    name: Annotated[str, _merge("office", min_length=1, max_length=200)]
    note: Note = ""
    revision: int = 1


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
    quantity: Counter


class PastEvent(Struct, rename="camel", frozen=True, forbid_unknown_fields=True):
    """An on-site event of an earlier visit."""

    id: UUID
    order_number: str
    kind: str
    at: datetime
    data: dict[str, Any]


class History(Document, frozen=True):
    """The last events of an asset's earlier visits, the newest first; `id` is the asset's."""

    events: list[PastEvent]


class Article(Document, frozen=True):
    """What is known about a model, a fault or a kind of order; null means whatever it is."""

    title: str
    body: str
    locale: str
    kind: str | None
    model: str | None
    fault_code: str | None
    revision: int


class Form(Document, frozen=True):
    """What is to be filled in on site. `schema` is a JSON Schema of the values; a version never changes."""

    code: str
    version: int
    kind: str | None
    title: dict[str, str]
    schema: dict[str, Any]


class Attachment(Document, frozen=True):
    """A picture that an event names (`id` is the event's). `state`: awaited (its bytes have not come), received, ready
    (checked and shown), rejected (`code` says why)."""

    visit_id: UUID
    kind: Literal["photo", "signature"]
    sha256: str
    media_type: str
    size_bytes: int
    caption: str | None
    state: Literal["awaited", "received", "ready", "rejected"]
    code: str | None


class Outcome(Document, frozen=True):
    """What became of a command of this very device that was not simply applied; `id` is the command's.

    `status`: held, applied (after it was held or mended), conflict, quarantined, dismissed. `note` is a person's word.
    """

    visit_id: UUID | None
    kind: str
    status: str
    code: str | None
    path: str | None
    message: str | None
    note: str | None
    at: datetime


DOCUMENTS: dict[str, type[Document]] = {
    "visit": Visit,
    "work_order": WorkOrder,
    "site": Site,
    "contact": Contact,
    "asset": Asset,
    "event": Event,
    "part": Part,
    "stock": Stock,
    "history": History,
    "article": Article,
    "form": Form,
    "attachment": Attachment,
    "outcome": Outcome,
}

SINCE: dict[str, int] = {"history": 2, "article": 2, "form": 2, "attachment": 2, "outcome": 2}
"""The schema version that first had an entity; 1 for the others. A phone is sent nothing that its version does not know,
and is sent it all when it has learnt it."""


def _policies(document: type[Document]) -> dict[str, str]:
    hints = get_type_hints(document, include_extras=True)
    found = {}
    for field in document.__struct_fields__:
        for part in (hints[field], *getattr(hints[field], "__args__", ())):
            for meta in getattr(part, "__metadata__", ()):
                if isinstance(meta, Meta) and meta.extra and "merge" in meta.extra:
                    found[field] = str(meta.extra["merge"])
    return found


MERGE: dict[str, dict[str, str]] = {
    entity: policies for entity, document in DOCUMENTS.items() if (policies := _policies(document))
}
"""Entity → field (as in Python) → policy, for the fields that a phone may write."""


class Item(Struct, rename="camel", frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One row of a page."""

    entity: str
    id: UUID
    op: Literal["upsert", "delete"]
    doc: dict[str, Any] | None = None


class Page(Struct, rename="camel", frozen=True, kw_only=True):
    """One page of a pull. `more`: pull again at once with `cursor`. `total` is given on a first pull only.

    `stamp`: see `stamps`. `wipe`: the office asks this phone to send what it has and then to forget everything.
    `budgetWarning`: this phone's copy is larger than its organisation wants it to be.
    """

    cursor: str
    more: bool
    epoch: UUID
    server_time: datetime
    documents: list[Item]
    total: int | None = None
    stamp: str | None = None
    wipe: bool = False
    budget_warning: bool = False
