"""Types of running flows: an order's steps, approvals, purchase requisitions, surveys, offers of a further visit."""

from datetime import datetime
from typing import TYPE_CHECKING, Annotated, cast
from uuid import UUID

import strawberry

from callout_dispatch import second_visit
from callout_graphql.edges import edge
from callout_graphql.scalars import JSON
from callout_orders.flow import reading

if TYPE_CHECKING:
    from callout_graphql.types.desk import Part, WorkOrder
    from callout_graphql.types.dispatch import Engineer, Visit


@strawberry.type
class FlowBlock:
    """Why a flow cannot go on by itself. `code`: rule (one of the kind's expressions cannot be evaluated) or way (no branch
    is left); `place`: enter, next, or approvals.<code>."""

    code: str
    place: str
    why: str


@strawberry.type
class OrderStep:
    """A step that an order reached: its `n`th, entered for the `times`th time. `state`: waiting (its condition does not hold
    yet), open, done, back (a person led the flow elsewhere), canceled. `owner` as in the kind (role:dispatcher …)."""

    id: UUID
    order_id: UUID
    n: int
    step: str
    label_en: str
    label_zh: str
    owner: str
    times: int
    state: str
    reached_at: datetime
    entered_at: datetime | None
    done_at: datetime | None
    said_by: UUID | None
    comment: str | None
    due_at: datetime | None
    late_at: datetime | None

    @strawberry.field
    def blocked(root: strawberry.Parent[reading.StepView]) -> FlowBlock | None:
        """Why the flow cannot go on by itself, where it cannot."""
        if root.blocked is None:
            return None
        return FlowBlock(**{name: root.blocked[name] for name in ("code", "place", "why")})


@strawberry.type
class FlowStanding:
    """Where an order's flow stands, and what its step still needs: `fields`, `events` and `approvals` by code, `byHand`
    where somebody has to say that it is done; `missingEn` and `missingZh` in words. `mayLeadTo`: where it may be led back."""

    step: str
    label_en: str
    label_zh: str
    owner: str
    missing_en: list[str]
    missing_zh: list[str]
    fields: list[str]
    events: list[str]
    approvals: list[str]
    by_hand: bool
    may_lead_to: list[str]


@strawberry.type
class StepApproval:
    """An approval. `about`: the values that it was asked for; another value is asked again. `state`: asked, approved,
    rejected, superseded (the value changed), canceled."""

    id: UUID
    order_id: UUID
    step: str
    code: str
    label_en: str
    label_zh: str
    owner: str
    state: str
    asked_at: datetime
    decided_at: datetime | None
    decided_by: UUID | None
    comment: str | None

    @strawberry.field
    def about(root: strawberry.Parent[reading.ApprovalView]) -> JSON:
        """The values, by the names that the rule reads (`fields.repair_cost`)."""
        return cast(JSON, root.about)

    order: Annotated["WorkOrder", strawberry.lazy("callout_graphql.types.desk")] | None = edge(
        "orders", "order_id", "The order."
    )


@strawberry.type
class RequisitionLine:
    """So many of a part are wanted, and so many came in."""

    part_id: UUID
    quantity: int
    received: int

    part: Annotated["Part", strawberry.lazy("callout_graphql.types.desk")] | None = edge(
        "parts", "part_id", "The part."
    )


@strawberry.type
class Requisition:
    """Parts that are bought for an order. `state`: requested, approved, ordered, received, canceled."""

    id: UUID
    number: str
    order_id: UUID
    visit_id: UUID | None
    state: str
    note: str
    supplier: str | None
    supplier_ref: str | None
    expected_at: datetime | None
    created_at: datetime
    created_by: UUID | None
    approved_at: datetime | None
    approved_by: UUID | None
    ordered_at: datetime | None
    received_at: datetime | None
    canceled_at: datetime | None
    revision: int
    lines: list[RequisitionLine]

    order: Annotated["WorkOrder", strawberry.lazy("callout_graphql.types.desk")] | None = edge(
        "orders", "order_id", "The order that waits for them."
    )


@strawberry.type
class Survey:
    """How the customer found it: `score` 1 to 5. Without an answer until `expiresAt` nobody waits any longer."""

    id: UUID
    order_id: UUID
    locale: str
    asked_at: datetime
    expires_at: datetime
    reminded_at: datetime | None
    expired_at: datetime | None
    answered_at: datetime | None
    score: int | None
    comment: str | None


@strawberry.type
class VisitOffer:
    """A further visit offered to the dispatcher, with the engineer who was there before. `because`: parts_ready, flow or
    asked; `state`: offered, accepted, declined, withdrawn. `proposedStart`: when that engineer could come, known shortly
    after the offer was made (`lookedAt`)."""

    id: UUID
    order_id: UUID
    engineer_id: UUID | None
    because: str
    state: str
    created_at: datetime
    looked_at: datetime | None
    proposed_start: datetime | None
    proposed_end: datetime | None
    visit_id: UUID | None
    decided_at: datetime | None
    decided_by: UUID | None
    comment: str | None

    @strawberry.field
    def reasons_en(root: strawberry.Parent[second_visit.OfferView]) -> list[str]:
        """Why that engineer cannot come within three days."""
        return [one["en"] for one in root.reasons]

    @strawberry.field
    def reasons_zh(root: strawberry.Parent[second_visit.OfferView]) -> list[str]:
        """The same in Chinese."""
        return [one["zh"] for one in root.reasons]

    order: Annotated["WorkOrder", strawberry.lazy("callout_graphql.types.desk")] | None = edge(
        "orders", "order_id", "The order."
    )

    engineer: Annotated["Engineer", strawberry.lazy("callout_graphql.types.dispatch")] | None = edge(
        "engineers", "engineer_id", "Who was there before."
    )

    visit: Annotated["Visit", strawberry.lazy("callout_graphql.types.dispatch")] | None = edge(
        "visits", "visit_id", "The visit that was made of it."
    )


@strawberry.type
class SurveyLink:
    """An address at which the customer answers, once. It is shown here and never again."""

    survey_id: UUID
    url: str
