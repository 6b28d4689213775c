"""Tables of `channels`. See `callout_orders.tables` for the manner."""

from piccolo.columns import JSONB, UUID, BigInt, Boolean, Bytea, Integer, Text, Timestamptz
from piccolo.table import Table


class IntakeChannel(Table, tablename="intake_channel"):
    org_id = UUID(default=None)
    id = UUID(primary_key=True, default=None)
    code = Text(default=None)
    kind = Text(default=None)
    name = Text(default=None)
    enabled = Boolean(default=False)
    settings = JSONB(default=None)
    secrets = JSONB(default=None)
    default_kind = Text(null=True, default=None)
    default_priority = Text(null=True, default=None)
    locale = Text(default=None)
    may_create = Boolean(null=True, default=None)
    answers = Boolean(default=False)
    patience_minutes = Integer(default=None)
    revision = Integer(default=None)
    created_at = Timestamptz(default=None)
    updated_at = Timestamptz(default=None)
    updated_by = UUID(null=True, default=None)


class IntakeMessage(Table, tablename="intake_message"):
    org_id = UUID(default=None)
    id = UUID(primary_key=True, default=None)
    channel_id = UUID(default=None)
    direction = Text(default=None)
    external_id = Text(default=None)
    peer = Text(default=None)
    thread = Text(default=None)
    kind = Text(default=None)
    content = JSONB(default=None)
    raw_bytes = Bytea(null=True, default=None)
    raw_key = Text(null=True, default=None)
    size_bytes = BigInt(default=None)
    state = Text(default=None)
    reason = Text(null=True, default=None)
    draft_id = UUID(null=True, default=None)
    order_id = UUID(null=True, default=None)
    answer_id = UUID(null=True, default=None)
    at = Timestamptz(default=None)
    settled_at = Timestamptz(null=True, default=None)


class IntakeNonce(Table, tablename="intake_nonce"):
    org_id = UUID(default=None)
    channel_id = UUID(default=None)
    nonce = Bytea(primary_key=True, default=None)
    body_sha256 = Bytea(default=None)
    seen_at = Timestamptz(default=None)


class IntakeDraft(Table, tablename="intake_draft"):
    org_id = UUID(default=None)
    id = UUID(primary_key=True, default=None)
    channel_id = UUID(default=None)
    peer = Text(default=None)
    thread = Text(default=None)
    state = Text(default=None)
    reason = Text(null=True, default=None)
    locale = Text(default=None)
    facts = JSONB(default=None)
    faults = JSONB(default=None)
    reference = Text(default=None)
    order_id = UUID(null=True, default=None)
    created_at = Timestamptz(default=None)
    updated_at = Timestamptz(default=None)
    ended_at = Timestamptz(null=True, default=None)


class IntakeFile(Table, tablename="intake_file"):
    org_id = UUID(default=None)
    id = UUID(primary_key=True, default=None)
    channel_id = UUID(null=True, default=None)
    draft_id = UUID(null=True, default=None)
    order_id = UUID(null=True, default=None)
    message_id = UUID(null=True, default=None)
    holder = Text(default=None)
    name = Text(default=None)
    media_type = Text(default=None)
    size_bytes = BigInt(default=None)
    sha256 = Bytea(null=True, default=None)
    state = Text(default=None)
    code = Text(null=True, default=None)
    source = JSONB(null=True, default=None)
    created_at = Timestamptz(default=None)
    stored_at = Timestamptz(null=True, default=None)


class IntakeMailbox(Table, tablename="intake_mailbox"):
    org_id = UUID(default=None)
    channel_id = UUID(primary_key=True, default=None)
    uid_validity = BigInt(default=None)
    last_uid = BigInt(default=None)
    polled_at = Timestamptz(null=True, default=None)
    failed_since = Timestamptz(null=True, default=None)
    last_error = Text(null=True, default=None)


TABLES: tuple[type[Table], ...] = (
    IntakeChannel,
    IntakeMessage,
    IntakeNonce,
    IntakeDraft,
    IntakeFile,
    IntakeMailbox,
)
