"""Tables of dispatch: engineers and their time, visits with their on-site events, decisions, plans; `TABLES` are all of them,
those of `place_tables.py` too.

The database's own definition is in `callout_backend/migrations/sql`; a test holds the two together. Columns have no
default here: a value that was forgotten must be refused by PostgreSQL instead of being filled in silently.
"""

from piccolo.columns import (
    JSONB,
    UUID,
    Array,
    BigInt,
    Boolean,
    Bytea,
    DoublePrecision,
    Integer,
    Text,
    Timestamptz,
)
from piccolo.table import Table

from callout_dispatch import place_tables


class Territory(Table, tablename="territory"):
    org_id = UUID(default=None)
    id = UUID(primary_key=True, default=None)
    code = Text(default=None)
    name = Text(default=None)
    polygon = JSONB(null=True, default=None)
    active = Boolean(default=False)
    revision = Integer(default=None)


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
    end_lat = DoublePrecision(null=True, default=None)
    end_lng = DoublePrecision(null=True, default=None)
    travel_minutes_max = Integer(null=True, default=None)
    work_minutes_max = Integer(null=True, default=None)
    visits_max = Integer(null=True, default=None)


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
    start_lat = DoublePrecision(null=True, default=None)
    start_lng = DoublePrecision(null=True, default=None)
    end_lat = DoublePrecision(null=True, default=None)
    end_lng = DoublePrecision(null=True, default=None)


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
    hold = Text(null=True, default=None)
    held_by = UUID(null=True, default=None)
    leg_provider = Text(null=True, default=None)
    leg_metres = DoublePrecision(null=True, default=None)
    pickup_depot_id = UUID(null=True, default=None)


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
    input = Bytea(null=True, default=None)


class VisitCrew(Table, tablename="visit_crew"):
    org_id = UUID(default=None)
    visit_id = UUID(default=None)
    engineer_id = UUID(primary_key=True, default=None)
    added_at = Timestamptz(default=None)
    added_by = UUID(null=True, default=None)


class SchedulingPolicy(Table, tablename="scheduling_policy"):
    org_id = UUID(default=None)
    version = Integer(primary_key=True, default=None)
    name = Text(default=None)
    body = JSONB(default=None)
    note = Text(default=None)
    created_at = Timestamptz(default=None)
    created_by = UUID(null=True, default=None)


class DispatchSetting(Table, tablename="dispatch_setting"):
    org_id = UUID(primary_key=True, default=None)
    policy_version = Integer(null=True, default=None)
    position_days = Integer(default=None)
    position_margin_minutes = Integer(default=None)
    travel_provider = Text(default=None)


class EngineerTerritory(Table, tablename="engineer_territory"):
    org_id = UUID(default=None)
    engineer_id = UUID(default=None)
    territory_id = UUID(primary_key=True, default=None)


class ShiftBreak(Table, tablename="shift_break"):
    org_id = UUID(default=None)
    id = UUID(primary_key=True, default=None)
    shift_id = UUID(default=None)
    engineer_id = UUID(default=None)
    earliest = Timestamptz(default=None)
    latest = Timestamptz(default=None)
    minutes = Integer(default=None)


class EngineerPreference(Table, tablename="engineer_preference"):
    org_id = UUID(default=None)
    id = UUID(primary_key=True, default=None)
    engineer_id = UUID(default=None)
    customer_id = UUID(null=True, default=None)
    site_id = UUID(null=True, default=None)
    order_id = UUID(null=True, default=None)
    kind = Text(default=None)
    created_at = Timestamptz(default=None)
    created_by = UUID(null=True, default=None)


class Depot(Table, tablename="depot"):
    org_id = UUID(default=None)
    id = UUID(primary_key=True, default=None)
    code = Text(default=None)
    name = Text(default=None)
    lat = DoublePrecision(default=None)
    lng = DoublePrecision(default=None)
    pickup_minutes = Integer(default=None)
    active = Boolean(default=False)


class PlanRun(Table, tablename="plan_run"):
    org_id = UUID(default=None)
    id = UUID(primary_key=True, default=None)
    kind = Text(default=None)
    state = Text(default=None)
    starts_at = Timestamptz(default=None)
    ends_at = Timestamptz(default=None)
    territory_id = UUID(null=True, default=None)
    policy_version = Integer(default=None)
    other_policy_version = Integer(null=True, default=None)
    planner = Text(default=None)
    seconds_max = DoublePrecision(default=None)
    seed = BigInt(default=None)
    progress = DoublePrecision(default=None)
    stage = Text(default=None)
    cancel_asked = Boolean(default=False)
    runner = UUID(null=True, default=None)
    attempts = Integer(default=None)
    figures = JSONB(default=None)
    problem = Bytea(null=True, default=None)
    fault = Text(null=True, default=None)
    asked_at = Timestamptz(default=None)
    asked_by = UUID(null=True, default=None)
    started_at = Timestamptz(null=True, default=None)
    alive_at = Timestamptz(null=True, default=None)
    finished_at = Timestamptz(null=True, default=None)
    expires_at = Timestamptz(null=True, default=None)
    settled_at = Timestamptz(null=True, default=None)
    settled_by = UUID(null=True, default=None)
    revision = Integer(default=None)


class PlanChange(Table, tablename="plan_change"):
    org_id = UUID(default=None)
    run_id = UUID(default=None)
    number = Integer(primary_key=True, default=None)
    kind = Text(default=None)
    order_id = UUID(default=None)
    visit_id = UUID(null=True, default=None)
    visit_revision = Integer(null=True, default=None)
    from_engineer_id = UUID(null=True, default=None)
    from_start = Timestamptz(null=True, default=None)
    engineer_id = UUID(null=True, default=None)
    crew = Array(base_column=UUID())
    starts_at = Timestamptz(null=True, default=None)
    ends_at = Timestamptz(null=True, default=None)
    travel_minutes = DoublePrecision(null=True, default=None)
    leg_provider = Text(null=True, default=None)
    leg_metres = DoublePrecision(null=True, default=None)
    pickup_depot_id = UUID(null=True, default=None)
    reasons = JSONB(default=None)
    state = Text(default=None)


class RedLane(Table, tablename="red_lane"):
    org_id = UUID(default=None)
    id = UUID(primary_key=True, default=None)
    order_id = UUID(default=None)
    state = Text(default=None)
    visit_id = UUID(null=True, default=None)
    policy_version = Integer(default=None)
    round = Integer(default=None)
    started_at = Timestamptz(default=None)
    ended_at = Timestamptz(null=True, default=None)


class RedOffer(Table, tablename="red_offer"):
    org_id = UUID(default=None)
    id = UUID(primary_key=True, default=None)
    lane_id = UUID(default=None)
    round = Integer(default=None)
    engineer_id = UUID(default=None)
    visit_id = UUID(default=None)
    offered_at = Timestamptz(default=None)
    expires_at = Timestamptz(default=None)
    answer = Text(null=True, default=None)
    answered_at = Timestamptz(null=True, default=None)
    answered_by = UUID(null=True, default=None)
    reason = Text(default=None)
    displaced = JSONB(default=None)


class VisitEta(Table, tablename="visit_eta"):
    org_id = UUID(default=None)
    visit_id = UUID(primary_key=True, default=None)
    eta = Timestamptz(default=None)
    computed_at = Timestamptz(default=None)
    because = Text(default=None)
    provider = Text(default=None)
    told_eta = Timestamptz(null=True, default=None)
    told_at = Timestamptz(null=True, default=None)
    missed_at = Timestamptz(null=True, default=None)


class TrackLink(Table, tablename="track_link"):
    org_id = UUID(default=None)
    id = UUID(primary_key=True, default=None)
    order_id = UUID(default=None)
    token_hash = Bytea(default=None)
    locale = Text(default=None)
    created_at = Timestamptz(default=None)
    created_by = UUID(null=True, default=None)
    expires_at = Timestamptz(default=None)
    shows_place = Boolean(default=True)


class VisitOffer(Table, tablename="visit_offer"):
    org_id = UUID(default=None)
    id = UUID(primary_key=True, default=None)
    order_id = UUID(default=None)
    engineer_id = UUID(null=True, default=None)
    because = Text(default=None)
    state = Text(default=None)
    created_at = Timestamptz(default=None)
    looked_at = Timestamptz(null=True, default=None)
    proposed_start = Timestamptz(null=True, default=None)
    proposed_end = Timestamptz(null=True, default=None)
    reasons = JSONB(default=None)
    visit_id = UUID(null=True, default=None)
    decided_at = Timestamptz(null=True, default=None)
    decided_by = UUID(null=True, default=None)
    comment = Text(null=True, default=None)


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
    SchedulingPolicy,
    DispatchSetting,
    EngineerTerritory,
    ShiftBreak,
    EngineerPreference,
    Depot,
    PlanRun,
    PlanChange,
    RedLane,
    RedOffer,
    VisitEta,
    TrackLink,
    VisitOffer,
    *place_tables.TABLES,
)
