"""Tables of sync: devices, the feed, receipts and quarantine.

The database's own definition is in `callout_backend/migrations/sql`; a test holds the two together. Columns have no
default here: a value that was forgotten must be refused by PostgreSQL instead of being filled in silently.
"""

from piccolo.columns import UUID, BigInt, Boolean, Bytea, Text, Timestamptz
from piccolo.table import Table


class Device(Table, tablename="device"):
    org_id = UUID(default=None)
    id = UUID(primary_key=True, default=None)
    user_id = UUID(default=None)
    name = Text(default=None)
    platform = Text(default=None)
    app_version = Text(default=None)
    enrolled_at = Timestamptz(default=None)
    revoked_at = Timestamptz(null=True, default=None)
    revoked_reason = Text(null=True, default=None)
    last_seen_at = Timestamptz(null=True, default=None)
    last_sequence = BigInt(default=None)
    clock_offset_ms = BigInt(null=True, default=None)


class EnrolmentCode(Table, tablename="enrolment_code"):
    org_id = UUID(default=None)
    id = UUID(primary_key=True, default=None)
    user_id = UUID(default=None)
    code_hash = Bytea(default=None)
    created_by = UUID(null=True, default=None)
    created_at = Timestamptz(default=None)
    expires_at = Timestamptz(default=None)
    used_at = Timestamptz(null=True, default=None)
    device_id = UUID(null=True, default=None)


class SyncEpoch(Table, tablename="sync_epoch"):
    only_row = Boolean(primary_key=True, default=False)
    epoch = UUID(default=None)
    changed_at = Timestamptz(default=None)


class SyncFeed(Table, tablename="sync_feed"):
    org_id = UUID(default=None)
    scope_id = UUID(default=None)
    entity = Text(default=None)
    row_id = UUID(primary_key=True, default=None)
    op = Text(default=None)
    body = Text(default=None)


class Receipt(Table, tablename="receipt"):
    org_id = UUID(default=None)
    command_id = UUID(primary_key=True, default=None)
    device_id = UUID(default=None)
    body_sha256 = Bytea(default=None)
    sequence = BigInt(default=None)
    received_at = Timestamptz(default=None)
    answer = Text(default=None)


class Quarantine(Table, tablename="quarantine"):
    org_id = UUID(default=None)
    id = UUID(primary_key=True, default=None)
    command_id = UUID(null=True, default=None)
    device_id = UUID(default=None)
    user_id = UUID(default=None)
    visit_id = UUID(null=True, default=None)
    category = Text(default=None)
    code = Text(default=None)
    path = Text(null=True, default=None)
    message = Text(default=None)
    body = Bytea(default=None)
    received_at = Timestamptz(default=None)
    state = Text(default=None)
    settled_at = Timestamptz(null=True, default=None)
    settled_by = UUID(null=True, default=None)
    note = Text(null=True, default=None)


TABLES: tuple[type[Table], ...] = (
    Device,
    EnrolmentCode,
    SyncEpoch,
    SyncFeed,
    Receipt,
    Quarantine,
)
