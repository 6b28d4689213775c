"""Tables of `precheck`. See `callout_orders.tables` for the manner."""

from piccolo.columns import JSONB, UUID, Array, BigInt, Boolean, Integer, Text, Timestamptz
from piccolo.table import Table


class Product(Table, tablename="product"):
    org_id = UUID(default=None)
    id = UUID(primary_key=True, default=None)
    code = Text(default=None)
    name_en = Text(default=None)
    name_zh = Text(default=None)
    names = Array(base_column=Text())
    serial_pattern = Text(null=True, default=None)
    serial_example = Text(null=True, default=None)
    active = Boolean(default=False)
    revision = Integer(default=None)
    updated_at = Timestamptz(default=None)
    updated_by = UUID(null=True, default=None)


class Keyword(Table, tablename="keyword"):
    org_id = UUID(default=None)
    id = UUID(primary_key=True, default=None)
    word = Text(default=None)
    tag = Text(default=None)
    priority = Text(null=True, default=None)
    kind = Text(null=True, default=None)
    updated_at = Timestamptz(default=None)


class PrecheckSettings(Table, tablename="precheck_settings"):
    org_id = UUID(primary_key=True, default=None)
    body = JSONB(default=None)
    revision = Integer(default=None)
    words_revision = BigInt(default=None)
    updated_at = Timestamptz(default=None)
    updated_by = UUID(null=True, default=None)


class OrderReporter(Table, tablename="order_reporter"):
    org_id = UUID(default=None)
    id = UUID(primary_key=True, default=None)
    order_id = UUID(default=None)
    from_order_id = UUID(default=None)
    contact_id = UUID(null=True, default=None)
    name = Text(null=True, default=None)
    phone = Text(null=True, default=None)
    email = Text(null=True, default=None)
    locale = Text(default=None)
    added_at = Timestamptz(default=None)


TABLES: tuple[type[Table], ...] = (Product, Keyword, PrecheckSettings, OrderReporter)
