"""Tables of people: organisations, users, sessions with their refresh tokens, keys of other systems, and counted
attempts.

The database's own definition is in `callout_backend/migrations/sql`; a test holds the two together. Columns have no
default here: a value that was forgotten must be refused by PostgreSQL instead of being filled in silently.
"""

from piccolo.columns import UUID, Array, Boolean, Bytea, DoublePrecision, Integer, Text, Timestamptz
from piccolo.table import Table


class Organisation(Table, tablename="organisation"):
    id = UUID(primary_key=True, default=None)
    slug = Text(default=None)
    name = Text(default=None)
    locale = Text(default=None)
    time_zone = Text(default=None)
    webhook_url = Text(null=True, default=None)
    webhook_secret = Text(null=True, default=None)
    phone_window_days = Integer(default=None)
    created_at = Timestamptz(default=None)
    phone_history_events = Integer(default=None)
    phone_budget_mb = Integer(default=None)
    phone_parts = Text(default=None)
    hold_minutes = Integer(default=None)
    tombstone_days = Integer(default=None)
    app_version_min = Text(null=True, default=None)


class User(Table, tablename="app_user"):
    org_id = UUID(default=None)
    id = UUID(primary_key=True, default=None)
    email = Text(default=None)
    name = Text(default=None)
    role = Text(default=None)
    locale = Text(default=None)
    phone = Text(null=True, default=None)
    password_hash = Text(null=True, default=None)
    active = Boolean(default=False)
    created_at = Timestamptz(default=None)


class Session(Table, tablename="session"):
    org_id = UUID(default=None)
    id = UUID(primary_key=True, default=None)
    user_id = UUID(default=None)
    device_id = UUID(null=True, default=None)
    created_at = Timestamptz(default=None)
    expires_at = Timestamptz(default=None)
    ended_at = Timestamptz(null=True, default=None)
    ended_reason = Text(null=True, default=None)
    device_wiped = Boolean(default=False)


class RefreshToken(Table, tablename="refresh_token"):
    org_id = UUID(default=None)
    id = UUID(primary_key=True, default=None)
    session_id = UUID(default=None)
    token_hash = Bytea(default=None)
    issued_at = Timestamptz(default=None)
    expires_at = Timestamptz(default=None)
    used_at = Timestamptz(null=True, default=None)


class Throttle(Table, tablename="throttle"):
    key = Text(primary_key=True)
    window_starts_at = Timestamptz(default=None)
    attempts = Integer(default=None)


class ApiKey(Table, tablename="api_key"):
    org_id = UUID(default=None)
    id = UUID(primary_key=True, default=None)
    user_id = UUID(default=None)
    prefix = Text(default=None)
    secret_hash = Bytea(default=None)
    scopes = Array(base_column=Text())
    rate_per_s = Integer(default=None)
    burst = Integer(default=None)
    tokens = DoublePrecision(default=None)
    filled_at = Timestamptz(default=None)
    created_at = Timestamptz(default=None)
    created_by = UUID(null=True, default=None)
    expires_at = Timestamptz(null=True, default=None)
    last_used_at = Timestamptz(null=True, default=None)
    revoked_at = Timestamptz(null=True, default=None)
    replaced_by_id = UUID(null=True, default=None)


TABLES: tuple[type[Table], ...] = (
    Organisation,
    User,
    Session,
    RefreshToken,
    Throttle,
    ApiKey,
)
