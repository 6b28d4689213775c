"""Tables of `desk`. See `callout_orders.tables` for the manner."""

from piccolo.columns import JSONB, UUID, Array, Boolean, Date, Integer, Text, Timestamptz
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


class Team(Table, tablename="team"):
    org_id = UUID(default=None)
    id = UUID(primary_key=True, default=None)
    code = Text(default=None)
    name_en = Text(default=None)
    name_zh = Text(default=None)
    time_zone = Text(default=None)
    kinds = Array(base_column=Text())
    channels = Array(base_column=Text())
    is_default = Boolean(default=False)
    active = Boolean(default=False)
    late_minutes = Integer(default=None)
    offline_minutes = Integer(default=None)
    step_minutes = Integer(default=None)
    move_minutes_max = Integer(default=None)
    move_hours_max = Integer(default=None)
    revision = Integer(default=None)


class TeamTerritory(Table, tablename="team_territory"):
    org_id = UUID(default=None)
    team_id = UUID(default=None)
    territory_id = UUID(primary_key=True, default=None)


class TeamMember(Table, tablename="team_member"):
    org_id = UUID(default=None)
    team_id = UUID(default=None)
    user_id = UUID(primary_key=True, default=None)
    part = Text(default=None)


class TeamDuty(Table, tablename="team_duty"):
    org_id = UUID(default=None)
    id = UUID(primary_key=True, default=None)
    team_id = UUID(default=None)
    user_id = UUID(null=True, default=None)
    rank = Integer(default=None)
    weekday = Integer(null=True, default=None)
    on_date = Date(null=True, default=None)
    starts_minute = Integer(default=None)
    ends_minute = Integer(default=None)


class Staff(Table, tablename="staff"):
    org_id = UUID(default=None)
    user_id = UUID(primary_key=True, default=None)
    department = Text(default=None)
    title = Text(default=None)
    phone = Text(null=True, default=None)
    chat_ids = JSONB(default=None)
    kinds = Array(base_column=Text())
    revision = Integer(default=None)


class StaffPost(Table, tablename="staff_post"):
    org_id = UUID(default=None)
    id = UUID(primary_key=True, default=None)
    user_id = UUID(default=None)
    post = Text(default=None)
    territory_id = UUID(null=True, default=None)
    team_id = UUID(null=True, default=None)


class Presence(Table, tablename="presence"):
    org_id = UUID(default=None)
    user_id = UUID(primary_key=True, default=None)
    state = Text(default=None)
    by_hand = Boolean(default=False)
    since = Timestamptz(default=None)
    seen_at = Timestamptz(default=None)


class OrderWatch(Table, tablename="order_watch"):
    org_id = UUID(default=None)
    order_id = UUID(primary_key=True, default=None)
    epoch = Integer(default=None)
    handler_since = Timestamptz(default=None)
    tried = Array(base_column=UUID())
    by_what = Text(default=None)
    flag = Text(null=True, default=None)


TABLES: tuple[type[Table], ...] = (
    Todo,
    Team,
    TeamTerritory,
    TeamMember,
    TeamDuty,
    Staff,
    StaffPost,
    Presence,
    OrderWatch,
)
