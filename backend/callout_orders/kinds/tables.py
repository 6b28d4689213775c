"""Tables of `kinds`. See `callout_orders.tables` for the manner."""

from piccolo.columns import JSONB, UUID, Boolean, Integer, Text, Timestamptz
from piccolo.table import Table


class OrderKindVersion(Table, tablename="order_kind"):
    org_id = UUID(default=None)
    code = Text(primary_key=True, default=None)
    version = Integer(default=None)
    body = JSONB(default=None)
    source = Text(default=None)
    note = Text(default=None)
    created_at = Timestamptz(default=None)
    created_by = UUID(null=True, default=None)


class OrderKindChoice(Table, tablename="order_kind_choice"):
    org_id = UUID(default=None)
    code = Text(primary_key=True, default=None)
    version = Integer(null=True, default=None)
    retired = Boolean(default=False)


TABLES: tuple[type[Table], ...] = (OrderKindVersion, OrderKindChoice)
