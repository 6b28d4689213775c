"""Types of the scheduling policy and of what an organisation decided about its dispatch."""

from datetime import datetime
from uuid import UUID

import strawberry

from callout_graphql.scalars import JSON


@strawberry.type
class SchedulingPolicy:
    """A version of the scheduling policy; it is never edited. `body` is the policy in JSON, `version` 0 the house's own."""

    version: int
    name: str
    note: str
    body: JSON
    active: bool
    created_at: datetime | None
    created_by: UUID | None


@strawberry.type
class DispatchSettings:
    """`policyVersion` is the active policy (0: the house's own); positions are kept for `positionDays` and taken
    `positionMarginMinutes` before and after a shift too; `travelProvider`: estimate, osrm, valhalla."""

    policy_version: int
    position_days: int
    position_margin_minutes: int
    travel_provider: str
