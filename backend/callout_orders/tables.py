"""Tables of the service desk: customers and what they own, orders, stock and sign-off.

The database's own definition is in `callout_backend/migrations/sql`; a test holds the two together. Columns have no
default here: a value that was forgotten must be refused by PostgreSQL instead of being filled in silently.
"""

from piccolo.columns import (
    JSON,
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


class Customer(Table, tablename="customer"):
    org_id = UUID(default=None)
    id = UUID(primary_key=True, default=None)
    number = Text(default=None)
    name = Text(default=None)
    tier = Text(default=None)
    created_at = Timestamptz(default=None)


class Contact(Table, tablename="contact"):
    org_id = UUID(default=None)
    id = UUID(primary_key=True, default=None)
    customer_id = UUID(default=None)
    user_id = UUID(null=True, default=None)
    name = Text(default=None)
    phone = Text(null=True, default=None)
    email = Text(null=True, default=None)
    locale = Text(default=None)
    revision = Integer(default=None)


class Site(Table, tablename="site"):
    org_id = UUID(default=None)
    id = UUID(primary_key=True, default=None)
    customer_id = UUID(default=None)
    name = Text(default=None)
    address = Text(default=None)
    lat = DoublePrecision(null=True, default=None)
    lng = DoublePrecision(null=True, default=None)
    geofence_radius_m = Integer(default=None)
    revision = Integer(default=None)
    access_note = Text(default=None)
    visiting_hours = JSONB(default=None)
    territory_id = UUID(null=True, default=None)
    territory_by = Text(default=None)


class Asset(Table, tablename="asset"):
    org_id = UUID(default=None)
    id = UUID(primary_key=True, default=None)
    site_id = UUID(default=None)
    serial = Text(default=None)
    model = Text(default=None)
    name = Text(default=None)
    note = Text(default=None)
    revision = Integer(default=None)
    serial_key = Text(null=True, default=None)


class Part(Table, tablename="part"):
    org_id = UUID(default=None)
    id = UUID(primary_key=True, default=None)
    code = Text(default=None)
    name = Text(default=None)
    unit = Text(default=None)


class OrderCounter(Table, tablename="order_counter"):
    org_id = UUID(primary_key=True, default=None)
    next_number = BigInt(default=None)


class WorkOrder(Table, tablename="work_order"):
    org_id = UUID(default=None)
    id = UUID(primary_key=True, default=None)
    number = Text(default=None)
    customer_id = UUID(default=None)
    site_id = UUID(default=None)
    contact_id = UUID(null=True, default=None)
    asset_id = UUID(null=True, default=None)
    priority = Text(default=None)
    kind = Text(default=None)
    description = Text(default=None)
    channel = Text(default=None)
    state = Text(default=None)
    skills = JSONB(default=None)
    duration_minutes = Integer(default=None)
    created_at = Timestamptz(default=None)
    reported_at = Timestamptz(null=True, default=None)
    sla_policy = Text(default=None)
    respond_due_at = Timestamptz(default=None)
    arrive_due_at = Timestamptz(default=None)
    resolve_due_at = Timestamptz(default=None)
    responded_at = Timestamptz(null=True, default=None)
    arrived_at = Timestamptz(null=True, default=None)
    resolved_at = Timestamptz(null=True, default=None)
    canceled_at = Timestamptz(null=True, default=None)
    closed_at = Timestamptz(null=True, default=None)
    revision = Integer(default=None)
    requested_from = Timestamptz(null=True, default=None)
    requested_until = Timestamptz(null=True, default=None)
    crew_size = Integer(default=None)
    follows_order_id = UUID(null=True, default=None)
    follows_gap_minutes = Integer(default=None)
    kind_version = Integer(default=None)
    fields = JSONB(default=None)
    serial = Text(null=True, default=None)
    product = Text(null=True, default=None)
    error_code = Text(null=True, default=None)
    reporter_name = Text(null=True, default=None)
    reporter_phone = Text(null=True, default=None)
    reporter_email = Text(null=True, default=None)
    locale = Text(default=None)
    tags = Array(base_column=Text())
    duplicate_of_id = UUID(null=True, default=None)
    team_id = UUID(null=True, default=None)
    handler_id = UUID(null=True, default=None)
    created_by = UUID(null=True, default=None)
    hold_reason = Text(null=True, default=None)
    archived_at = Timestamptz(null=True, default=None)
    flow_waits = Array(base_column=Text())
    reopened_at = Timestamptz(null=True, default=None)
    serial_key = Text(null=True, default=None)


class ExternalReference(Table, tablename="external_reference"):
    org_id = UUID(default=None)
    id = UUID(primary_key=True, default=None)
    order_id = UUID(default=None)
    system = Text(default=None)
    reference = Text(default=None)


class StockLevel(Table, tablename="stock_level"):
    org_id = UUID(default=None)
    id = UUID(primary_key=True, default=None)
    holder_id = UUID(default=None)
    part_id = UUID(default=None)
    quantity = Integer(default=None)


class StockMove(Table, tablename="stock_move"):
    org_id = UUID(default=None)
    id = UUID(primary_key=True, default=None)
    holder_id = UUID(default=None)
    part_id = UUID(default=None)
    quantity = Integer(default=None)
    reason = Text(default=None)
    event_id = UUID(null=True, default=None)
    order_id = UUID(null=True, default=None)
    at = Timestamptz(default=None)
    actor_id = UUID(null=True, default=None)


class SignOffLink(Table, tablename="sign_off_link"):
    org_id = UUID(default=None)
    id = UUID(primary_key=True, default=None)
    order_id = UUID(default=None)
    visit_id = UUID(default=None)
    token_hash = Bytea(default=None)
    locale = Text(default=None)
    summary = Text(default=None)
    summary_sha256 = Bytea(default=None)
    created_at = Timestamptz(default=None)
    expires_at = Timestamptz(default=None)
    used_at = Timestamptz(null=True, default=None)
    created_by = UUID(null=True, default=None)


class Signature(Table, tablename="signature"):
    org_id = UUID(default=None)
    id = UUID(primary_key=True, default=None)
    order_id = UUID(default=None)
    visit_id = UUID(default=None)
    link_id = UUID(null=True, default=None)
    event_id = UUID(default=None)
    decision = Text(default=None)
    reason = Text(null=True, default=None)
    signer_name = Text(default=None)
    rating = Integer(null=True, default=None)
    strokes = JSONB(default=None)
    png = Bytea(default=None)
    signed_summary = Text(default=None)
    signed_sha256 = Bytea(default=None)
    signed_at = Timestamptz(default=None)
    received_at = Timestamptz(default=None)


class WorkOrderPart(Table, tablename="work_order_part"):
    org_id = UUID(default=None)
    order_id = UUID(default=None)
    part_id = UUID(primary_key=True, default=None)
    quantity = Integer(default=None)


class Form(Table, tablename="form"):
    org_id = UUID(default=None)
    id = UUID(primary_key=True, default=None)
    code = Text(default=None)
    version = Integer(default=None)
    kind = Text(null=True, default=None)
    title_en = Text(default=None)
    title_zh = Text(default=None)
    json_schema = JSON(default=None)
    active = Boolean(default=False)
    created_at = Timestamptz(default=None)
    created_by = UUID(null=True, default=None)


TABLES: tuple[type[Table], ...] = (
    Customer,
    Contact,
    Site,
    Asset,
    Part,
    OrderCounter,
    WorkOrder,
    ExternalReference,
    StockLevel,
    StockMove,
    SignOffLink,
    Signature,
    WorkOrderPart,
    Form,
)
