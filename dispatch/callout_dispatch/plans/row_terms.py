"""What a plan is made of, as rows: engineers with their shifts, visits that stand, orders that wait. Pure values."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from callout_dispatch.visit_states import VisitState
from callout_orders.terms import Priority

Place = tuple[float, float]


class Scope(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked for: a stretch of time, a territory or all, or only these engineers and orders.

    With `engineer_ids` and `order_ids` (both or none) the plan is of these lanes, their visits and these waiting orders:
    so a proposal is looked at again. `at` is the moment as of which it is planned.
    """

    start: datetime
    end: datetime
    at: datetime
    territory_id: UUID | None = None
    engineer_ids: tuple[UUID, ...] | None = None
    order_ids: tuple[UUID, ...] | None = None


class ShiftRow(msgspec.Struct, frozen=True, kw_only=True):
    """A shift with its own places, where it has some, and its breaks (earliest, latest, minutes)."""

    start: datetime
    end: datetime
    from_place: Place | None
    to_place: Place | None
    breaks: tuple[tuple[datetime, datetime, int], ...]


class EngineerRow(msgspec.Struct, frozen=True, kw_only=True):
    """An engineer. `live` is a fresh position, `territories` are all where they work (None: everywhere)."""

    id: UUID
    name: str
    home: Place
    end: Place | None
    live: Place | None
    territory_id: str | None
    territories: frozenset[str] | None
    online: bool
    travel_minutes_max: int | None
    work_minutes_max: int | None
    visits_max: int | None
    skills: Mapping[str, int]
    shifts: tuple[ShiftRow, ...] = ()
    absences: tuple[tuple[datetime, datetime], ...] = ()
    van: Mapping[str, int] = {}


class OrderRow(msgspec.Struct, frozen=True, kw_only=True):
    """An order as a plan sees it. `hours` are the site's as they are stored, `due_at` the promise still open."""

    id: UUID
    number: str
    priority: Priority
    duration_minutes: int
    skills: Mapping[str, int]
    parts: Mapping[str, int]
    due_at: datetime
    customer_id: UUID
    site_id: UUID
    place: Place | None
    territory_id: UUID | None
    hours: list[Any]
    requested: tuple[datetime, datetime] | None
    crew_size: int
    follows_order_id: UUID | None
    follows_gap_minutes: int


class VisitRow(msgspec.Struct, frozen=True, kw_only=True):
    """A visit that stands. `eta` is when its engineer is expected, where they are on the way."""

    id: UUID
    order: OrderRow
    revision: int
    state: VisitState
    engineer_id: UUID
    start: datetime
    end: datetime
    hold: str | None
    eta: datetime | None
    crew: tuple[UUID, ...]
    pickup_depot_id: UUID | None


class DepotRow(msgspec.Struct, frozen=True, kw_only=True):
    """A depot and what it holds, by code of part."""

    id: UUID
    place: Place
    pickup_minutes: int
    parts: Mapping[str, int]


class Wish(msgspec.Struct, frozen=True, kw_only=True):
    """Whom a customer, a site or an order wants, must have, or will not have; exactly one of the three is set."""

    engineer_id: UUID
    kind: str
    customer_id: UUID | None = None
    site_id: UUID | None = None
    order_id: UUID | None = None


class Before(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of an order that another one follows: whether it is done with, and until when its work lasts."""

    order_id: UUID
    done: bool
    end: datetime | None


class Rows(msgspec.Struct, frozen=True, kw_only=True):
    """All of it."""

    scope: Scope
    time_zone: str
    provider: str
    engineers: tuple[EngineerRow, ...]
    visits: tuple[VisitRow, ...]
    waiting: tuple[OrderRow, ...]
    depots: tuple[DepotRow, ...] = ()
    wishes: tuple[Wish, ...] = ()
    before: Mapping[UUID, Before] = {}
