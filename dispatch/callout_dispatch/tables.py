"""Tables of dispatch: engineers and their time, visits with their on-site events, decisions.

The database's own definition is in `callout_backend/migrations/sql`; a test holds the two together. Columns have no
default here: a value that was forgotten must be refused by PostgreSQL instead of being filled in silently.
"""

from piccolo.columns import JSONB, UUID, Array, BigInt, Boolean, DoublePrecision, Integer, Text, Timestamptz
from piccolo.table import Table


class Territory(Table, tablename="territory"):
    org_id = UUID(default=None)
    id = UUID(primary_key=True, default=None)
    code = Text(default=None)
    name = Text(default=None)


class Skill(Table, tablename="skill"):
    org_id = UUID(default=None)
    code = Text(primary_key=True)
    name_en = Text(default=None)
    name_zh = Text(default=None)


class Engineer(Table, tablename="engineer"):
    org_id = UUID(default=None)
    id = UUID(primary_key=True, default=None)
    user_id = UUID(default=None)
    name = Text(default=None)
    territory_id = UUID(null=True, default=None)
    home_lat = DoublePrecision(default=None)
    home_lng = DoublePrecision(default=None)
    last_lat = DoublePrecision(null=True, default=None)
    last_lng = DoublePrecision(null=True, default=None)
    last_accuracy_m = DoublePrecision(null=True, default=None)
    last_position_at = Timestamptz(null=True, default=None)
    last_seen_at = Timestamptz(null=True, default=None)
    active = Boolean(default=False)


class EngineerSkill(Table, tablename="engineer_skill"):
    org_id = UUID(default=None)
    engineer_id = UUID(default=None)
    skill = Text(primary_key=True)
    level = Integer(default=None)


class Shift(Table, tablename="shift"):
    org_id = UUID(default=None)
    id = UUID(primary_key=True, default=None)
    engineer_id = UUID(default=None)
    starts_at = Timestamptz(default=None)
    ends_at = Timestamptz(default=None)


class Absence(Table, tablename="absence"):
    org_id = UUID(default=None)
    id = UUID(primary_key=True, default=None)
    engineer_id = UUID(default=None)
    starts_at = Timestamptz(default=None)
    ends_at = Timestamptz(default=None)
    reason = Text(default=None)


class Visit(Table, tablename="visit"):
    org_id = UUID(default=None)
    id = UUID(primary_key=True, default=None)
    order_id = UUID(default=None)
    number = Integer(default=None)
    plan = Text(default=None)
    state = Text(default=None)
    engineer_id = UUID(null=True, default=None)
    scheduled_start = Timestamptz(null=True, default=None)
    scheduled_end = Timestamptz(null=True, default=None)
    travel_minutes = DoublePrecision(null=True, default=None)
    assigned_at = Timestamptz(null=True, default=None)
    accepted_at = Timestamptz(null=True, default=None)
    travelling_at = Timestamptz(null=True, default=None)
    arrived_at = Timestamptz(null=True, default=None)
    first_on_site_at = Timestamptz(null=True, default=None)
    signed_at = Timestamptz(null=True, default=None)
    left_at = Timestamptz(null=True, default=None)
    completed_at = Timestamptz(null=True, default=None)
    could_not_complete_at = Timestamptz(null=True, default=None)
    outcome = Text(null=True, default=None)
    outcome_at = Timestamptz(null=True, default=None)
    outcome_event_id = UUID(null=True, default=None)
    ended_at = Timestamptz(null=True, default=None)
    created_at = Timestamptz(default=None)
    revision = Integer(default=None)
    engineer_note = Text(default=None)


class VisitAssignment(Table, tablename="visit_assignment"):
    org_id = UUID(default=None)
    id = UUID(primary_key=True, default=None)
    visit_id = UUID(default=None)
    engineer_id = UUID(default=None)
    from_at = Timestamptz(default=None)
    until_at = Timestamptz(null=True, default=None)
    by_user = UUID(null=True, default=None)
    reason = Text(default=None)


class VisitEvent(Table, tablename="visit_event"):
    org_id = UUID(default=None)
    id = UUID(primary_key=True, default=None)
    visit_id = UUID(default=None)
    order_id = UUID(default=None)
    asset_id = UUID(null=True, default=None)
    engineer_id = UUID(null=True, default=None)
    actor_id = UUID(null=True, default=None)
    device_id = UUID(null=True, default=None)
    kind = Text(default=None)
    device_time = Timestamptz(default=None)
    monotonic_ms = BigInt(null=True, default=None)
    boot_id = Text(null=True, default=None)
    received_at = Timestamptz(default=None)
    corrected_at = Timestamptz(default=None)
    clock_offset_ms = BigInt(default=None)
    lat = DoublePrecision(null=True, default=None)
    lng = DoublePrecision(null=True, default=None)
    accuracy_m = DoublePrecision(null=True, default=None)
    provider = Text(null=True, default=None)
    mock = Boolean(default=False)
    duration_s = DoublePrecision(null=True, default=None)
    device_sequence = BigInt(null=True, default=None)
    schema_version = Integer(default=None)
    source = Text(default=None)
    geofence = Text(default=None)
    geofence_distance_m = DoublePrecision(null=True, default=None)
    flags = Array(base_column=Text())
    data = JSONB(default=None)


class DispatchDecision(Table, tablename="dispatch_decision"):
    org_id = UUID(default=None)
    id = UUID(primary_key=True, default=None)
    order_id = UUID(default=None)
    visit_id = UUID(null=True, default=None)
    at = Timestamptz(default=None)
    method = Text(default=None)
    policy_version = Text(default=None)
    engineer_id = UUID(null=True, default=None)
    actor_id = UUID(null=True, default=None)
    reason = Text(default=None)
    result = JSONB(default=None)


class VisitCrew(Table, tablename="visit_crew"):
    org_id = UUID(default=None)
    visit_id = UUID(default=None)
    engineer_id = UUID(primary_key=True, default=None)
    added_at = Timestamptz(default=None)
    added_by = UUID(null=True, default=None)


TABLES: tuple[type[Table], ...] = (
    Territory,
    Skill,
    Engineer,
    EngineerSkill,
    Shift,
    Absence,
    Visit,
    VisitAssignment,
    VisitEvent,
    DispatchDecision,
    VisitCrew,
)
