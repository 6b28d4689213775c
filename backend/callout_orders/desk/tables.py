"""Tables of `desk`. See `callout_orders.tables` for the manner."""

from piccolo.columns import JSONB, UUID, Boolean, Text, Timestamptz
from piccolo.table import Table


class Todo(Table, tablename="todo"):
    org_id = UUID(default=None)
    id = UUID(primary_key=True, default=None)
    user_id = UUID(default=None)
    order_id = UUID(null=True, default=None)
    kind = Text(default=None)
    matter = Text(default=None)
    data = JSONB(default=None)
    state = Text(default=None)
    urgent = Boolean(default=False)
    due_at = Timestamptz(null=True, default=None)
    created_at = Timestamptz(default=None)
    acknowledged_at = Timestamptz(null=True, default=None)
    ended_at = Timestamptz(null=True, default=None)
    ended_by = UUID(null=True, default=None)


TABLES: tuple[type[Table], ...] = (Todo,)
