"""Tables of `sla`. See `callout_orders.tables` for the manner."""

from piccolo.columns import JSONB, UUID, Array, DoublePrecision, Integer, Text, Timestamptz
from piccolo.table import Table


class SlaPolicy(Table, tablename="sla_policy"):
    org_id = UUID(default=None)
    version = Integer(primary_key=True, default=None)
    name = Text(default=None)
    body = JSONB(default=None)
    note = Text(default=None)
    created_at = Timestamptz(default=None)
    created_by = UUID(null=True, default=None)


class SlaSetting(Table, tablename="sla_setting"):
    org_id = UUID(primary_key=True, default=None)
    policy_version = Integer(null=True, default=None)


class SlaEvent(Table, tablename="sla_event"):
    org_id = UUID(default=None)
    order_id = UUID(primary_key=True, default=None)
    n = Integer(default=None)
    at = Timestamptz(default=None)
    kind = Text(default=None)
    milestone = Text(null=True, default=None)
    reason = Text(null=True, default=None)
    note = Text(default=None)
    minutes = Integer(null=True, default=None)
    since = Timestamptz(null=True, default=None)
    until = Timestamptz(null=True, default=None)
    data = JSONB(default=None)
    actor_id = UUID(null=True, default=None)


class SlaMilestone(Table, tablename="sla_milestone"):
    org_id = UUID(default=None)
    order_id = UUID(primary_key=True, default=None)
    milestone = Text(default=None)
    epoch = Integer(default=None)
    warned = Array(base_column=DoublePrecision())
    missed_at = Timestamptz(null=True, default=None)
    missed_due_at = Timestamptz(null=True, default=None)


TABLES: tuple[type[Table], ...] = (SlaPolicy, SlaSetting, SlaEvent, SlaMilestone)
