"""Types of the red lane: who was asked to take an urgent order, when, and what they said."""

from datetime import datetime
from typing import TYPE_CHECKING, Annotated
from uuid import UUID

import strawberry

from callout_dispatch import red_rows
from callout_graphql.edges import edge
from callout_graphql.types.dispatch import Engineer, Visit

if TYPE_CHECKING:
    from callout_graphql.types.desk import WorkOrder


@strawberry.type
class DisplacedVisit:
    """A visit that gave way to an urgent one. `became`: reassigned (to `engineerId`), moved (to `start` of the same
    engineer), or waiting (called off; its order is to be planned)."""

    visit_id: UUID
    order_id: UUID
    became: str
    from_engineer_id: UUID
    from_start: datetime
    engineer_id: UUID | None
    start: datetime | None
    end: datetime | None

    visit: Visit | None = edge("visits", "visit_id", "The visit as it is now.")


@strawberry.type
class RedOffer:
    """One engineer who was asked. `answer`: accepted, declined, timeout, withdrawn (somebody else decided), or null while
    it is open; `answeredBy` is whoever gave it, a dispatcher where it came by telephone. `reason`: why they declined."""

    id: UUID
    lane_id: UUID
    round: int
    engineer_id: UUID
    visit_id: UUID
    offered_at: datetime
    expires_at: datetime
    answer: str | None
    answered_at: datetime | None
    answered_by: UUID | None
    reason: str

    engineer: Engineer | None = edge("engineers", "engineer_id", "Who was asked.")

    @strawberry.field
    def displaced(root: strawberry.Parent[red_rows.OfferView]) -> list[DisplacedVisit]:
        """Visits that moved so that this engineer can come; no others did."""
        return [
            DisplacedVisit(
                visit_id=UUID(one["visitId"]),
                order_id=UUID(one["orderId"]),
                became=one["became"],
                from_engineer_id=UUID(one["fromEngineerId"]),
                from_start=datetime.fromisoformat(one["fromStart"]),
                engineer_id=UUID(one["engineerId"]) if one["engineerId"] else None,
                start=datetime.fromisoformat(one["start"]) if one["start"] else None,
                end=datetime.fromisoformat(one["end"]) if one["end"] else None,
            )
            for one in root.displaced
        ]


@strawberry.type
class RedLane:
    """An urgent order on its way from one engineer to the next. `state`: offering, accepted, exhausted (nobody was left to
    ask; the order waits), canceled (somebody else decided). `round` counts the engineers asked."""

    id: UUID
    order_id: UUID
    state: str
    visit_id: UUID | None
    policy_version: int
    round: int
    started_at: datetime
    ended_at: datetime | None

    offers: list[RedOffer] = edge("offers_of_lane", "id", "Who was asked, the first one first.")

    visit: Visit | None = edge("visits", "visit_id", "The visit that is offered.")

    order: Annotated["WorkOrder", strawberry.lazy("callout_graphql.types.desk")] | None = edge(
        "orders", "order_id", "The urgent order."
    )
