"""What readers of dispatch get: frozen values, one class a kind of row. Times are UTC, points WGS-84 degrees."""

from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec


class VisitView(msgspec.Struct, frozen=True, kw_only=True):
    """A visit. `plan` is what the dispatcher decided, the times are what events told, `state` follows from both."""

    id: UUID
    order_id: UUID
    number: int
    plan: str
    state: str
    engineer_id: UUID | None
    scheduled_start: datetime | None
    scheduled_end: datetime | None
    travel_minutes: float | None
    assigned_at: datetime | None
    accepted_at: datetime | None
    travelling_at: datetime | None
    arrived_at: datetime | None
    first_on_site_at: datetime | None
    signed_at: datetime | None
    left_at: datetime | None
    completed_at: datetime | None
    could_not_complete_at: datetime | None
    outcome: str | None
    outcome_at: datetime | None
    ended_at: datetime | None
    created_at: datetime
    engineer_note: str
    hold: str | None
    leg_provider: str | None
    leg_metres: float | None
    revision: int


class EventView(msgspec.Struct, frozen=True, kw_only=True):
    """An on-site event with all its dimensions. `corrected_at` is when it happened by the server's clock."""

    id: UUID
    visit_id: UUID
    order_id: UUID
    asset_id: UUID | None
    engineer_id: UUID | None
    actor_id: UUID | None
    device_id: UUID | None
    kind: str
    device_time: datetime
    monotonic_ms: int | None
    boot_id: str | None
    received_at: datetime
    corrected_at: datetime
    clock_offset_ms: int
    lat: float | None
    lng: float | None
    accuracy_m: float | None
    provider: str | None
    mock: bool
    duration_s: float | None
    device_sequence: int | None
    schema_version: int
    source: str
    geofence: str
    geofence_distance_m: float | None
    flags: list[str]
    data: dict[str, Any]


class EngineerView(msgspec.Struct, frozen=True, kw_only=True):
    """An engineer; `online` is as of this unit of work: seen lately, in service and not absent."""

    id: UUID
    user_id: UUID
    name: str
    territory_id: UUID | None
    home_lat: float
    home_lng: float
    last_lat: float | None
    last_lng: float | None
    last_accuracy_m: float | None
    last_position_at: datetime | None
    last_seen_at: datetime | None
    active: bool
    online: bool


class SkillLevel(msgspec.Struct, frozen=True, kw_only=True):
    """A skill that an engineer has, with its level 1 to 5."""

    skill: str
    level: int


class SkillView(msgspec.Struct, frozen=True, kw_only=True):
    """A skill of the organisation."""

    code: str
    name_en: str
    name_zh: str


class TerritoryView(msgspec.Struct, frozen=True, kw_only=True):
    """A territory."""

    id: UUID
    code: str
    name: str


class ShiftView(msgspec.Struct, frozen=True, kw_only=True):
    """A shift."""

    id: UUID
    engineer_id: UUID
    starts_at: datetime
    ends_at: datetime


class AbsenceView(msgspec.Struct, frozen=True, kw_only=True):
    """An absence."""

    id: UUID
    engineer_id: UUID
    starts_at: datetime
    ends_at: datetime
    reason: str


class AssignmentView(msgspec.Struct, frozen=True, kw_only=True):
    """Who held a visit from when until when; None is until now."""

    id: UUID
    visit_id: UUID
    engineer_id: UUID
    from_at: datetime
    until_at: datetime | None
    by_user: UUID | None
    reason: str


class DecisionView(msgspec.Struct, frozen=True, kw_only=True):
    """A decision for the record: by which method and policy, for whom, and `result` with all candidates' reasons."""

    id: UUID
    order_id: UUID
    visit_id: UUID | None
    at: datetime
    method: str
    policy_version: str
    engineer_id: UUID | None
    actor_id: UUID | None
    reason: str
    result: dict[str, Any]


class VisitFilters(msgspec.Struct, frozen=True, kw_only=True):
    """Which visits; times are of the planned start, [start, end)."""

    engineer_id: UUID | None = None
    order_id: UUID | None = None
    states: tuple[str, ...] = ()
    start: datetime | None = None
    end: datetime | None = None
