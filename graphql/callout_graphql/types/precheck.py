"""Types of the pre-check: what is wrong with a request, what was found in it, and what it may be a duplicate of."""

from datetime import datetime
from uuid import UUID

import strawberry

from callout_graphql.edges import Info, edge
from callout_graphql.types.desk import Asset, Contact, Customer, Site, WorkOrder
from callout_orders.precheck import terms


@strawberry.type
class CheckFault:
    """One thing that is wrong with a request: the field it is about, a stable code with its case, what to do in both
    languages."""

    path: str
    code: str
    reason: str
    en: str
    zh: str

    @strawberry.field
    def text(root: strawberry.Parent[terms.Fault], info: Info) -> str:
        """What was wrong and what to do, in the caller's language."""
        return root.text(info.context.locale)


@strawberry.type
class CheckFound:
    """Something read from the description at `start`..`end` for `field` (contact_phone, serial, error_code …), 0..1 sure.
    `used`: it was taken, because nothing was given."""

    field: str
    value: str
    start: int
    end: int
    confidence: float
    used: bool


@strawberry.type
class CheckTag:
    """A tag, and the word of the description at `start`..`end` that it comes from."""

    tag: str
    word: str
    start: int
    end: int


@strawberry.type
class CheckProposal:
    """What the words suggest for `field` (priority or kind). Whoever takes the order decides."""

    field: str
    value: str
    reason: str
    en: str
    zh: str


@strawberry.type
class DuplicateReason:
    """One part of a duplicate's score: so many points of 1 in all."""

    code: str
    points: float
    en: str
    zh: str


@strawberry.type
class DuplicateCandidate:
    """An order that this may be a duplicate of. `sure`: alike enough to be linked by itself."""

    order_id: UUID
    number: str
    state: str
    description: str
    created_at: datetime
    score: float
    sure: bool
    reasons: list[DuplicateReason]

    order: WorkOrder | None = edge("orders", "order_id", "The order.")


@strawberry.type
class CheckKnown:
    """Who and what was recognised."""

    customer_id: UUID | None
    site_id: UUID | None
    contact_id: UUID | None
    asset_id: UUID | None

    customer: Customer | None = edge("customers", "customer_id", "Whose order it would be.")
    site: Site | None = edge("sites", "site_id", "Where the work would be.")
    contact: Contact | None = edge("contacts", "contact_id", "Whom to ask for.")
    asset: Asset | None = edge("assets", "asset_id", "The machine.")


@strawberry.type
class CheckedRequest:
    """A request with everything that was found filled in, in the form in which it would be kept."""

    contact_name: str | None
    contact_phone: str | None
    contact_email: str | None
    serial: str | None
    product: str | None
    error_code: str | None
    address: str | None


@strawberry.type
class OrderCheck:
    """What would become of a request; nothing was written. `makes`: what would be made anew (customer, site, contact).
    `missing`: paths that the requester could still fill in. `existingId`: the order that its references lead to."""

    ok: bool
    kind: str
    kind_version: int
    priority: str
    request: CheckedRequest
    faults: list[CheckFault]
    missing: list[str]
    found: list[CheckFound]
    tags: list[CheckTag]
    proposals: list[CheckProposal]
    duplicates: list[DuplicateCandidate]
    known: CheckKnown
    makes: list[str]
    existing_id: UUID | None


@strawberry.type
class OrderReporter:
    """Somebody else who reported the same matter, under `fromOrderId`; told of its course like the first one."""

    id: UUID
    order_id: UUID
    from_order_id: UUID
    contact_id: UUID | None
    name: str | None
    phone: str | None
    email: str | None
    locale: str
    added_at: datetime


@strawberry.type
class MergedOrders:
    """What a merge moved."""

    into_id: UUID
    into_number: str
    from_id: UUID
    from_number: str
    references: int
    duplicates: int

    into: WorkOrder | None = edge("orders", "into_id", "The order that stays.")


@strawberry.type
class Product:
    """A product: what it is called, and how its serials are written. `names`: further words for it, the models of its
    machines among them."""

    id: UUID
    code: str
    name_en: str
    name_zh: str
    names: list[str]
    serial_pattern: str | None
    serial_example: str | None
    active: bool
    revision: int
    updated_at: datetime


@strawberry.type
class Keyword:
    """A word that puts a tag on an order, and what it hints at. Without a tag it hides what stands inside of it."""

    id: UUID
    word: str
    tag: str
    priority: str | None
    kind: str | None


@strawberry.type
class DuplicateSettings:
    """When an order is a duplicate: scores from which one is linked by itself (where `link`) or shown; how far apart in time
    and place."""

    link: bool
    sure: float
    possible: float
    hours: int
    open_days: int
    closed_hours: int
    metres: int


@strawberry.type
class ChannelSettings:
    """What a channel may do: make what is not known, and raise the priority by the words of a request up to `raiseTo`."""

    channel: str
    create: bool
    kind: str
    priority: str
    raise_to: str | None


@strawberry.type
class PrecheckSettings:
    """How requests are looked at."""

    revision: int
    regions: list[str]
    confidence: float
    duplicates: DuplicateSettings
    channels: list[ChannelSettings]
