"""Types of what dispatch stands on: engineers' time and terms, preferences, depots."""

from datetime import datetime
from uuid import UUID

import strawberry

from callout_graphql.edges import edge
from callout_graphql.types.desk import StockLevel
from callout_graphql.types.dispatch import Engineer


@strawberry.type
class ShiftBreak:
    """A rest of so many minutes, from `earliest` on and over by `latest`."""

    earliest: datetime
    latest: datetime
    minutes: int


@strawberry.type
class Shift:
    """Working time [startsAt, endsAt). Places in WGS-84 degrees, where it does not start or end at the engineer's own."""

    id: UUID
    engineer_id: UUID
    starts_at: datetime
    ends_at: datetime
    start_lat: float | None
    start_lng: float | None
    end_lat: float | None
    end_lng: float | None
    breaks: list[ShiftBreak]


@strawberry.type
class Absence:
    """A stretch of time in which the engineer is away."""

    id: UUID
    engineer_id: UUID
    starts_at: datetime
    ends_at: datetime
    reason: str


@strawberry.type
class EngineerTime:
    """Shifts and absences of an engineer that reach into a stretch of time, each in order."""

    engineer_id: UUID
    shifts: list[Shift]
    absences: list[Absence]


@strawberry.type
class EngineerTerms:
    """Where an engineer's day ends if not at home, own limits (null: the policy's), and where they also work."""

    engineer_id: UUID
    end_lat: float | None
    end_lng: float | None
    travel_minutes_max: int | None
    work_minutes_max: int | None
    visits_max: int | None
    secondary_territory_ids: list[UUID]

    engineer: Engineer | None = edge("engineers", "engineer_id", "The engineer.")


@strawberry.type
class EngineerPreference:
    """A word on an engineer: `kind` is required, excluded or preferred, for a customer, a site or one order."""

    id: UUID
    engineer_id: UUID
    customer_id: UUID | None
    site_id: UUID | None
    order_id: UUID | None
    kind: str
    created_at: datetime
    created_by: UUID | None

    engineer: Engineer | None = edge("engineers", "engineer_id", "The engineer.")


@strawberry.type
class Depot:
    """A place where engineers fetch parts: WGS-84 degrees, and how many minutes that takes."""

    id: UUID
    code: str
    name: str
    lat: float
    lng: float
    pickup_minutes: int
    active: bool

    stock: list[StockLevel] = edge("stock_of_holder", "id", "What is there.")
