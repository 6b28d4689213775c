"""Tables of sync: devices, the feed, receipts and quarantine.

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
    schema_version = Integer(default=None)
    pulled_at = Timestamptz(null=True, default=None)
    pushed_at = Timestamptz(null=True, default=None)
    pending = Integer(null=True, default=None)
    storage_used_bytes = BigInt(null=True, default=None)
    storage_free_bytes = BigInt(null=True, default=None)
    settled_sequence = BigInt(default=None)
    timed_sequence = BigInt(default=None)
    timed_at = Timestamptz(null=True, default=None)
    copy_bytes = BigInt(null=True, default=None)
    copy_measured_at = Timestamptz(null=True, default=None)
    wipe_mode = Text(null=True, default=None)
    wipe_reason = Text(null=True, default=None)
    wipe_requested_at = Timestamptz(null=True, default=None)
    wipe_requested_by = UUID(null=True, default=None)
    wiped_at = Timestamptz(null=True, default=None)


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
    changed_at = Timestamptz(default=None)
    shape = Integer(default=None)


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
    clocks = JSONB(null=True, default=None)
    mended_body = Bytea(null=True, default=None)
    mended_by = UUID(null=True, default=None)
    mended_at = Timestamptz(null=True, default=None)


class SyncPurge(Table, tablename="sync_purge"):
    org_id = UUID(primary_key=True, default=None)
    purged_at = Timestamptz(default=None)


class HeldCommand(Table, tablename="held_command"):
    org_id = UUID(default=None)
    command_id = UUID(primary_key=True, default=None)
    device_id = UUID(default=None)
    user_id = UUID(default=None)
    visit_id = UUID(null=True, default=None)
    sequence = BigInt(default=None)
    body = Bytea(default=None)
    clocks = JSONB(default=None)
    received_at = Timestamptz(default=None)
    force_at = Timestamptz(default=None)
    state = Text(default=None)
    settled_at = Timestamptz(null=True, default=None)


class Outcome(Table, tablename="outcome"):
    org_id = UUID(default=None)
    id = UUID(primary_key=True, default=None)
    device_id = UUID(default=None)
    visit_id = UUID(null=True, default=None)
    kind = Text(default=None)
    status = Text(default=None)
    code = Text(null=True, default=None)
    path = Text(null=True, default=None)
    message = Text(null=True, default=None)
    note = Text(null=True, default=None)
    at = Timestamptz(default=None)


class FieldVersion(Table, tablename="field_version"):
    org_id = UUID(default=None)
    entity = Text(default=None)
    row_id = UUID(default=None)
    field = Text(primary_key=True, default=None)
    revision = Integer(default=None)
    stamp = Text(default=None)
    value = JSONB(default=None)
    before = JSONB(default=None)
    command_id = UUID(null=True, default=None)
    device_id = UUID(null=True, default=None)
    user_id = UUID(null=True, default=None)
    at = Timestamptz(default=None)
    lat = DoublePrecision(null=True, default=None)
    lng = DoublePrecision(null=True, default=None)


class FieldConflict(Table, tablename="field_conflict"):
    org_id = UUID(default=None)
    id = UUID(primary_key=True, default=None)
    entity = Text(default=None)
    row_id = UUID(default=None)
    field = Text(default=None)
    visit_id = UUID(null=True, default=None)
    code = Text(default=None)
    policy = Text(default=None)
    base = JSONB(null=True, default=None)
    kept = JSONB(default=None)
    kept_by = UUID(null=True, default=None)
    kept_device_id = UUID(null=True, default=None)
    kept_at = Timestamptz(null=True, default=None)
    kept_stamp = Text(null=True, default=None)
    kept_lat = DoublePrecision(null=True, default=None)
    kept_lng = DoublePrecision(null=True, default=None)
    lost = JSONB(default=None)
    lost_by = UUID(null=True, default=None)
    lost_device_id = UUID(null=True, default=None)
    lost_at = Timestamptz(default=None)
    lost_stamp = Text(default=None)
    lost_since = Integer(null=True, default=None)
    lost_until = Integer(null=True, default=None)
    lost_lat = DoublePrecision(null=True, default=None)
    lost_lng = DoublePrecision(null=True, default=None)
    command_id = UUID(default=None)
    received_at = Timestamptz(default=None)
    state = Text(default=None)
    choice = Text(null=True, default=None)
    settled_value = JSONB(null=True, default=None)
    settled_at = Timestamptz(null=True, default=None)
    settled_by = UUID(null=True, default=None)
    note = Text(null=True, default=None)


class Blob(Table, tablename="blob"):
    org_id = UUID(default=None)
    sha256 = Bytea(primary_key=True, default=None)
    size_bytes = BigInt(default=None)
    media_type = Text(default=None)
    state = Text(default=None)
    code = Text(null=True, default=None)
    width = Integer(null=True, default=None)
    height = Integer(null=True, default=None)
    taken_at = Timestamptz(null=True, default=None)
    lat = DoublePrecision(null=True, default=None)
    lng = DoublePrecision(null=True, default=None)
    clean_sha256 = Bytea(null=True, default=None)
    clean_size_bytes = BigInt(null=True, default=None)
    clean_media_type = Text(null=True, default=None)
    thumb_sha256 = Bytea(null=True, default=None)
    received_at = Timestamptz(default=None)
    processed_at = Timestamptz(null=True, default=None)
    device_id = UUID(null=True, default=None)


class Upload(Table, tablename="upload"):
    org_id = UUID(default=None)
    id = UUID(primary_key=True, default=None)
    device_id = UUID(null=True, default=None)
    user_id = UUID(default=None)
    length_bytes = BigInt(default=None)
    offset_bytes = BigInt(default=None)
    metadata = Text(default=None)
    sha256 = Bytea(null=True, default=None)
    concat = Text(default=None)
    parts = Array(base_column=Text(), default=None)
    state = Text(default=None)
    code = Text(null=True, default=None)
    token = UUID(null=True, default=None)
    created_at = Timestamptz(default=None)
    expires_at = Timestamptz(default=None)
    finished_at = Timestamptz(null=True, default=None)


class StorageClaim(Table, tablename="storage_claim"):
    org_id = UUID(default=None)
    id = UUID(primary_key=True, default=None)
    sha256 = Bytea(default=None)
    claimed_at = Timestamptz(default=None)


class UploadPiece(Table, tablename="upload_piece"):
    org_id = UUID(default=None)
    upload_id = UUID(default=None)
    start_bytes = BigInt(primary_key=True, default=None)
    size_bytes = BigInt(default=None)
    key = Text(default=None)


class Attachment(Table, tablename="attachment"):
    org_id = UUID(default=None)
    id = UUID(primary_key=True, default=None)
    visit_id = UUID(default=None)
    kind = Text(default=None)
    sha256 = Bytea(default=None)
    media_type = Text(default=None)
    size_bytes = BigInt(default=None)
    caption = Text(null=True, default=None)
    state = Text(default=None)
    code = Text(null=True, default=None)
    created_at = Timestamptz(default=None)


TABLES: tuple[type[Table], ...] = (
    Device,
    EnrolmentCode,
    SyncEpoch,
    SyncFeed,
    Receipt,
    Quarantine,
    SyncPurge,
    HeldCommand,
    Outcome,
    FieldVersion,
    FieldConflict,
    Blob,
    StorageClaim,
    Upload,
    UploadPiece,
    Attachment,
)
