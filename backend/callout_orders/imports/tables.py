"""Tables of `imports`. See `callout_orders.tables` for the manner."""

from piccolo.columns import JSONB, UUID, BigInt, Boolean, Bytea, Integer, Text, Timestamptz
from piccolo.table import Table


class ImportTemplate(Table, tablename="import_template"):
    org_id = UUID(default=None)
    id = UUID(primary_key=True, default=None)
    name = Text(default=None)
    config = JSONB(default=None)
    revision = Integer(default=None)
    created_at = Timestamptz(default=None)
    updated_at = Timestamptz(default=None)
    updated_by = UUID(null=True, default=None)


class ImportRun(Table, tablename="import_run"):
    org_id = UUID(default=None)
    id = UUID(primary_key=True, default=None)
    template_id = UUID(null=True, default=None)
    config = JSONB(default=None)
    file_name = Text(default=None)
    file_sha256 = Bytea(default=None)
    file_bytes = BigInt(default=None)
    format = Text(default=None)
    encoding = Text(default=None)
    headers = JSONB(default=None)
    time_zone = Text(default=None)
    locale = Text(default=None)
    dry_run = Boolean(default=False)
    round = Integer(default=None)
    state = Text(default=None)
    rows_total = Integer(default=None)
    rows_ok = Integer(default=None)
    rows_existing = Integer(default=None)
    rows_failed = Integer(default=None)
    fault = Text(null=True, default=None)
    cancel_asked = Boolean(default=False)
    runner = UUID(null=True, default=None)
    begun_at = Timestamptz(null=True, default=None)
    begun_rows = Integer(null=True, default=None)
    beat_at = Timestamptz(null=True, default=None)
    stalled = Integer(default=0)
    created_at = Timestamptz(default=None)
    created_by = UUID(null=True, default=None)
    ended_at = Timestamptz(null=True, default=None)


class ImportRow(Table, tablename="import_row"):
    org_id = UUID(default=None)
    import_id = UUID(default=None)
    n = Integer(primary_key=True, default=None)
    cells = JSONB(default=None)
    fingerprint = Text(default=None)
    state = Text(default=None)
    order_id = UUID(null=True, default=None)
    faults = JSONB(default=None)


class IdempotencyKey(Table, tablename="idempotency_key"):
    org_id = UUID(default=None)
    id = UUID(primary_key=True, default=None)
    user_id = UUID(default=None)
    key = Text(default=None)
    body_sha256 = Bytea(default=None)
    order_id = UUID(null=True, default=None)
    created_at = Timestamptz(default=None)


TABLES: tuple[type[Table], ...] = (ImportTemplate, ImportRun, ImportRow, IdempotencyKey)
