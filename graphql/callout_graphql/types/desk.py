"""Types of the service desk. Their fields are read by name from the structs of `callout_orders.reading`."""

from datetime import datetime
from typing import TYPE_CHECKING, Annotated
from uuid import UUID

import strawberry

from callout_graphql.connections import Connection, connection, cursor_id, page_size
from callout_graphql.edges import Info, edge
from callout_graphql.scalars import JSON
from callout_graphql.types.sla import Milestone, OrderHold
from callout_orders import reading
from callout_store.journal_texts import texts

if TYPE_CHECKING:
    from callout_graphql.types.channels import IntakeFile
    from callout_graphql.types.dispatch import DispatchDecision, Visit
    from callout_graphql.types.flow import (
        FlowStanding,
        OrderStep,
        Requisition,
        StepApproval,
        Survey,
        VisitOffer,
    )
    from callout_graphql.types.knowledge import AnswerOffer
    from callout_graphql.types.red import RedLane


@strawberry.type
class Customer:
    """Who has sites to be looked after. `tier`: standard, silver, gold."""

    id: UUID
    number: str
    name: str
    tier: str
    created_at: datetime

    contacts: list["Contact"] = edge("contacts_of_customer", "id", "The people at this customer.")


@strawberry.type
class Contact:
    """A person at a customer. `phone` in E.164."""

    id: UUID
    customer_id: UUID
    name: str
    phone: str | None
    email: str | None
    locale: str
    revision: int


@strawberry.type
class OpeningHours:
    """An interval of a site's week in local time: `weekday` 0 is Monday; `from` and `until` such as 09:00, up to 24:00."""

    weekday: int
    from_: str = strawberry.field(name="from")
    until: str


@strawberry.type
class Site:
    """A place where engineers go: WGS-84 degrees, and the radius in metres that counts as being there. `territoryBy`:
    polygon (where its point lies) or hand."""

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
    revision: int

    @strawberry.field
    def visiting_hours(root: strawberry.Parent[reading.SiteView]) -> list[OpeningHours]:
        """When it can be visited; nothing means always."""
        return [
            OpeningHours(weekday=one["weekday"], from_=one["from"], until=one["until"])
            for one in root.visiting_hours
        ]

    customer: Customer | None = edge("customers", "customer_id", "Whose place it is.")

    assets: list["Asset"] = edge("assets_of_site", "id", "The machines on this site.")


@strawberry.type
class Asset:
    """A machine on a site; its serial is unique in the organisation."""

    id: UUID
    site_id: UUID
    serial: str
    model: str
    name: str
    note: str
    revision: int

    site: Site | None = edge("sites", "site_id", "Where it stands.")


@strawberry.type
class Part:
    """A spare part of the catalogue."""

    id: UUID
    code: str
    name: str
    unit: str


@strawberry.type
class OrderPart:
    """So many of a part will be needed for an order."""

    part_id: UUID
    quantity: int

    part: Part | None = edge("parts", "part_id", "The part.")


@strawberry.type
class StockLevel:
    """What a van or depot has of a part; below zero where the book is behind the truth."""

    id: UUID
    holder_id: UUID
    part_id: UUID
    quantity: int

    part: Part | None = edge("parts", "part_id", "The part.")


@strawberry.type
class ExternalReference:
    """The order's id in another system."""

    system: str
    reference: str


@strawberry.type
class Signature:
    """A sign-off. `signedSha256` is the hash of the text that was signed; `byLink`: it came by the customer's link."""

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


@strawberry.type
class TimelineEntry:
    """A line of the journal."""

    id: UUID
    at: datetime
    kind: str
    entity: str
    entity_id: UUID
    visit_id: UUID | None
    actor_id: UUID | None
    actor_role: str
    device_id: UUID | None
    data: JSON

    @strawberry.field
    def text(root: strawberry.Parent[reading.TimelineEntry], info: Info) -> str:
        """The line as a sentence, in the reader's language. `Query.timeline` has what else is known of the order."""
        english, chinese = texts(root.kind, root.data)
        return chinese if info.context.locale.startswith("zh") else english


@strawberry.type
class SkillLevel:
    """A skill by its code, with a level from 1 to 5: held by an engineer or needed by an order."""

    skill: str
    level: int


@strawberry.type
class WorkOrder:
    """An order from report to signature.

    `priority`: P0 (service down), P1 (malfunction), P2 (question). `state`, derived from the visits: new, scheduled,
    in_progress, completed, cannot_complete, closed, canceled. The `…DueAt` are what was promised. Work shall start from
    `requestedFrom` until `requestedUntil`, with `crewSize` engineers, and at least `followsGapMinutes` after the end of the
    order `followsOrderId`. `fields` are the values of its kind's own fields, by the version `kindVersion` of the kind
    (0: built in). `serial`, `product`, `errorCode` and `reporter…` are as they were reported. `holdReason`: why the clock
    stands still.
    """

    id: UUID
    number: str
    priority: str
    kind: str
    description: str
    channel: str
    state: str
    duration_minutes: int
    customer_id: UUID
    site_id: UUID
    contact_id: UUID | None
    asset_id: UUID | None
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
    fields: JSON
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

    @strawberry.field
    def skills(root: strawberry.Parent[reading.OrderView]) -> list[SkillLevel]:
        """The skills that the work needs."""
        return [SkillLevel(skill=skill, level=level) for skill, level in sorted(root.skills.items())]

    customer: Customer | None = edge("customers", "customer_id", "Whose order it is.")

    site: Site | None = edge("sites", "site_id", "Where the work is.")

    contact: Contact | None = edge("contacts", "contact_id", "Whom to ask for.")

    asset: Asset | None = edge("assets", "asset_id", "The machine.")

    parts: list[OrderPart] = edge("parts_of_order", "id", "Parts that the work is said to need.")

    references: list[ExternalReference] = edge(
        "references_of_order", "id", "Ids of this order in other systems."
    )

    answers: list[Annotated["AnswerOffer", strawberry.lazy("callout_graphql.types.knowledge")]] = edge(
        "answers_of_order", "id", "Answers that were offered for it, best first, each as it read then."
    )

    files: list[Annotated["IntakeFile", strawberry.lazy("callout_graphql.types.channels")]] = edge(
        "files_of_order", "id", "What was sent with the request."
    )

    visits: list[Annotated["Visit", strawberry.lazy("callout_graphql.types.dispatch")]] = edge(
        "visits_of_order", "id", "The order's visits that the caller may see, in the order they were planned."
    )

    decisions: list[Annotated["DispatchDecision", strawberry.lazy("callout_graphql.types.dispatch")]] = edge(
        "decisions_of_order", "id", "Who was sent and why, each time that was decided."
    )

    milestones: list[Milestone] = edge(
        "milestones_of_order",
        "id",
        "What was promised and how it stands: first response, arrival, resolution. None of a linked duplicate.",
    )

    holds: list[OrderHold] = edge(
        "holds_of_order", "id", "When the order was on hold, and why, the oldest first."
    )

    flow: Annotated["FlowStanding", strawberry.lazy("callout_graphql.types.flow")] | None = edge(
        "flow_of_order",
        "id",
        "Where the order's flow stands, and what its step still needs; null at its end.",
    )

    steps: list[Annotated["OrderStep", strawberry.lazy("callout_graphql.types.flow")]] = edge(
        "steps_of_order", "id", "The steps of its flow that the order reached, the first one first."
    )

    approvals: list[Annotated["StepApproval", strawberry.lazy("callout_graphql.types.flow")]] = edge(
        "approvals_of_order", "id", "What somebody was asked to agree to."
    )

    requisitions: list[Annotated["Requisition", strawberry.lazy("callout_graphql.types.flow")]] = edge(
        "requisitions_of_order", "id", "Parts that are bought for it."
    )

    surveys: list[Annotated["Survey", strawberry.lazy("callout_graphql.types.flow")]] = edge(
        "surveys_of_order", "id", "How the customer found it."
    )

    visit_offers: list[Annotated["VisitOffer", strawberry.lazy("callout_graphql.types.flow")]] = edge(
        "visit_offers_of_order", "id", "Further visits that were offered to the dispatcher."
    )

    red_lane: Annotated["RedLane", strawberry.lazy("callout_graphql.types.red")] | None = edge(
        "red_lane_of_order", "id", "The latest red lane of an urgent order: who was asked to take it."
    )

    @strawberry.field
    async def timeline(
        self, info: Info, first: int = 50, after: str | None = None
    ) -> Connection[TimelineEntry]:
        """The whole life of the order, oldest first."""
        async with info.context.work() as work:
            return connection(
                await reading.timeline(work, self.id, after=cursor_id(after), limit=page_size(first))
            )
