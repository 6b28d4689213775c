"""Types of expected arrivals."""

from datetime import datetime
from uuid import UUID

import strawberry


@strawberry.type
class Eta:
    """When an engineer is expected. `because`: departed, arrived, finished, plan, clock; `provider`: who reckoned the way.

    `toldEta` is what the customer was told last, at `toldAt`, or what was planned if they heard nothing; `missedAt` when they
    were told that the window will be missed.
    """

    eta: datetime
    computed_at: datetime
    because: str
    provider: str
    told_eta: datetime | None
    told_at: datetime | None
    missed_at: datetime | None


@strawberry.type
class TrackLink:
    """The address by which a customer sees where the engineer is. It is shown this once: only its hash is stored."""

    url: str
    order_id: UUID
