"""Tables of `flow`. See `callout_orders.tables` for the manner."""

from piccolo.columns import JSONB, UUID, BigInt, Bytea, Integer, Text, Timestamptz
from piccolo.table import Table


class OrderStep(Table, tablename="order_step"):
    org_id = UUID(default=None)
    id = UUID(primary_key=True, default=None)
    order_id = UUID(default=None)
    n = Integer(default=None)
    step = Text(default=None)
    owner = Text(default=None)
    times = Integer(default=None)
    state = Text(default=None)
    reached_at = Timestamptz(default=None)
    entered_at = Timestamptz(null=True, default=None)
    lap_at = Timestamptz(null=True, default=None)
    lap = Integer(default=1)
    said_at = Timestamptz(null=True, default=None)
    said_by = UUID(null=True, default=None)
    comment = Text(null=True, default=None)
    done_at = Timestamptz(null=True, default=None)
    due_at = Timestamptz(null=True, default=None)
    late_at = Timestamptz(null=True, default=None)
    blocked = JSONB(null=True, default=None)
    settled = JSONB(default=None)
    used = JSONB(default=None)


class StepApproval(Table, tablename="step_approval"):
    org_id = UUID(default=None)
    id = UUID(primary_key=True, default=None)
    order_id = UUID(default=None)
    step_id = UUID(default=None)
    code = Text(default=None)
    owner = Text(default=None)
    about = JSONB(default=None)
    state = Text(default=None)
    asked_at = Timestamptz(default=None)
    decided_at = Timestamptz(null=True, default=None)
    decided_by = UUID(null=True, default=None)
    comment = Text(null=True, default=None)


class RequisitionCounter(Table, tablename="requisition_counter"):
    org_id = UUID(primary_key=True, default=None)
    next_number = BigInt(default=1)


class Requisition(Table, tablename="requisition"):
    org_id = UUID(default=None)
    id = UUID(primary_key=True, default=None)
    number = Text(default=None)
    order_id = UUID(default=None)
    visit_id = UUID(null=True, default=None)
    state = Text(default=None)
    note = Text(default="")
    supplier = Text(null=True, default=None)
    supplier_ref = Text(null=True, default=None)
    expected_at = Timestamptz(null=True, default=None)
    created_at = Timestamptz(default=None)
    created_by = UUID(null=True, default=None)
    approved_at = Timestamptz(null=True, default=None)
    approved_by = UUID(null=True, default=None)
    ordered_at = Timestamptz(null=True, default=None)
    received_at = Timestamptz(null=True, default=None)
    canceled_at = Timestamptz(null=True, default=None)
    revision = Integer(default=1)


class RequisitionLine(Table, tablename="requisition_line"):
    org_id = UUID(default=None)
    id = UUID(primary_key=True, default=None)
    requisition_id = UUID(default=None)
    part_id = UUID(default=None)
    quantity = Integer(default=None)
    received = Integer(default=0)


class Survey(Table, tablename="survey"):
    org_id = UUID(default=None)
    id = UUID(primary_key=True, default=None)
    order_id = UUID(default=None)
    step_id = UUID(null=True, default=None)
    locale = Text(default=None)
    asked_at = Timestamptz(default=None)
    expires_at = Timestamptz(default=None)
    reminded_at = Timestamptz(null=True, default=None)
    expired_at = Timestamptz(null=True, default=None)
    answered_at = Timestamptz(null=True, default=None)
    score = Integer(null=True, default=None)
    comment = Text(null=True, default=None)


class SurveyLink(Table, tablename="survey_link"):
    org_id = UUID(default=None)
    id = UUID(primary_key=True, default=None)
    survey_id = UUID(default=None)
    token_hash = Bytea(default=None)
    created_at = Timestamptz(default=None)


TABLES: tuple[type[Table], ...] = (
    OrderStep,
    StepApproval,
    RequisitionCounter,
    Requisition,
    RequisitionLine,
    Survey,
    SurveyLink,
)
