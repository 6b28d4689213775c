"""Tables of `notices`. See `callout_orders.tables` for the manner."""

from piccolo.columns import JSONB, UUID, Array, BigInt, Boolean, Date, Integer, Text, Timestamptz
from piccolo.table import Table


class NoticeSetting(Table, tablename="notice_setting"):
    org_id = UUID(primary_key=True, default=None)
    staff_media = Array(base_column=Text())
    customer_media = Array(base_column=Text())
    quiet = Text(default=None)
    fallback_minutes = Integer(default=None)
    acknowledge_seconds = Integer(default=None)
    mail_pixel = Boolean(default=False)
    order_url = Text(null=True, default=None)
    keep_days = Integer(default=None)
    changed_at = Timestamptz(default=None)


class NoticeCount(Table, tablename="notice_count"):
    org_id = UUID(default=None)
    day = Date(primary_key=True, default=None)
    medium = Text(default=None)
    state = Text(default=None)
    notices = Integer(default=None)


class NoticePreference(Table, tablename="notice_preference"):
    org_id = UUID(default=None)
    user_id = UUID(primary_key=True, default=None)
    media = Array(base_column=Text(), null=True)
    quiet = Text(null=True, default=None)
    time_zone = Text(null=True, default=None)
    locale = Text(null=True, default=None)
    muted = Array(base_column=Text())
    changed_at = Timestamptz(default=None)


class NoticeAddress(Table, tablename="notice_address"):
    org_id = UUID(default=None)
    id = UUID(primary_key=True, default=None)
    user_id = UUID(default=None)
    medium = Text(default=None)
    address = Text(default=None)
    created_at = Timestamptz(default=None)
    broken_at = Timestamptz(null=True, default=None)


class NoticeChannel(Table, tablename="notice_channel"):
    org_id = UUID(default=None)
    id = UUID(primary_key=True, default=None)
    medium = Text(default=None)
    provider = Text(default=None)
    name = Text(default=None)
    team_id = UUID(null=True, default=None)
    config = JSONB(default=None)
    secret = JSONB(default=None)
    per_minute = Integer(default=None)
    urgent_reserve = Integer(default=None)
    active = Boolean(default=False)
    created_at = Timestamptz(default=None)
    changed_at = Timestamptz(default=None)
    spent = Array(base_column=Timestamptz())
    rest_until = Timestamptz(null=True, default=None)
    failures = Integer(default=None)
    last_ok_at = Timestamptz(null=True, default=None)
    last_error = Text(null=True, default=None)
    access_token = Text(null=True, default=None)
    access_until = Timestamptz(null=True, default=None)


class NoticeMessage(Table, tablename="notice_message"):
    org_id = UUID(default=None)
    id = UUID(primary_key=True, default=None)
    lane = Text(default=None)
    channel_id = UUID(null=True, default=None)
    medium = Text(default=None)
    address = Text(default=None)
    mentions = Array(base_column=Text())
    order_ids = Array(base_column=UUID())
    urgent = Boolean(default=False)
    digest = Boolean(default=False)
    wants_ack = Boolean(default=False)
    locale = Text(default=None)
    subject = Text(default=None)
    body = Text(default=None)
    state = Text(default=None)
    unsure = Boolean(default=False)
    attempts = Integer(default=None)
    next_at = Timestamptz(default=None)
    lease_token = UUID(null=True, default=None)
    lease_until = Timestamptz(null=True, default=None)
    provider_ref = Text(null=True, default=None)
    error = Text(null=True, default=None)
    created_at = Timestamptz(default=None)
    sent_at = Timestamptz(null=True, default=None)
    ended_at = Timestamptz(null=True, default=None)


class Notice(Table, tablename="notice"):
    org_id = UUID(default=None)
    id = UUID(primary_key=True, default=None)
    position = BigInt(default=None)
    order_id = UUID(null=True, default=None)
    line_id = UUID(default=None)
    kind = Text(default=None)
    recipient = Text(default=None)
    user_id = UUID(null=True, default=None)
    contact_id = UUID(null=True, default=None)
    name = Text(default=None)
    role = Text(default=None)
    medium = Text(default=None)
    lane = Text(default=None)
    address = Text(default=None)
    mention = Text(null=True, default=None)
    locale = Text(default=None)
    urgent = Boolean(default=False)
    wants_ack = Boolean(default=False)
    title = Text(default=None)
    body = Text(default=None)
    state = Text(default=None)
    due_at = Timestamptz(default=None)
    digest = Boolean(default=False)
    message_id = UUID(null=True, default=None)
    fallback_of = UUID(null=True, default=None)
    created_at = Timestamptz(default=None)
    sent_at = Timestamptz(null=True, default=None)
    delivered_at = Timestamptz(null=True, default=None)
    failed_at = Timestamptz(null=True, default=None)
    read_at = Timestamptz(null=True, default=None)
    acknowledged_at = Timestamptz(null=True, default=None)
    acknowledged_by = UUID(null=True, default=None)
    error = Text(null=True, default=None)


class NoticeTemplate(Table, tablename="notice_template"):
    org_id = UUID(default=None)
    medium = Text(default=None)
    kind = Text(default=None)
    locale = Text(default=None)
    version = Integer(primary_key=True, default=None)
    title = Text(default=None)
    body = Text(default=None)
    note = Text(default=None)
    created_at = Timestamptz(default=None)
    created_by = UUID(null=True, default=None)


class NoticeTemplateChoice(Table, tablename="notice_template_choice"):
    org_id = UUID(default=None)
    medium = Text(default=None)
    kind = Text(default=None)
    locale = Text(primary_key=True)
    version = Integer(default=None)
    changed_at = Timestamptz(default=None)
    changed_by = UUID(null=True, default=None)


TABLES: tuple[type[Table], ...] = (
    NoticeSetting,
    NoticeCount,
    NoticePreference,
    NoticeAddress,
    NoticeChannel,
    NoticeMessage,
    Notice,
    NoticeTemplate,
    NoticeTemplateChoice,
)
