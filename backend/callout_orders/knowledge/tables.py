"""Tables of `knowledge`. See `callout_orders.tables` for the manner."""

from piccolo.columns import UUID, Boolean, Bytea, DoublePrecision, Integer, Text, Timestamptz
from piccolo.table import Table


class Article(Table, tablename="article"):
    org_id = UUID(default=None)
    id = UUID(primary_key=True, default=None)
    title = Text(default=None)
    body = Text(default=None)
    locale = Text(default=None)
    kind = Text(null=True, default=None)
    model = Text(null=True, default=None)
    fault_code = Text(null=True, default=None)
    territory_id = UUID(null=True, default=None)
    active = Boolean(default=False)
    revision = Integer(default=None)
    updated_at = Timestamptz(default=None)
    updated_by = UUID(null=True, default=None)
    workaround = Text(default=None)
    for_customers = Boolean(default=False)
    indexed = Boolean(default=False)
    standing_since = Timestamptz(null=True, default=None)
    standing_by = UUID(null=True, default=None)


class ArticleVersion(Table, tablename="article_version"):
    org_id = UUID(default=None)
    article_id = UUID(primary_key=True, default=None)
    revision = Integer(default=None)
    title = Text(default=None)
    body = Text(default=None)
    workaround = Text(default=None)
    locale = Text(default=None)
    kind = Text(null=True, default=None)
    model = Text(null=True, default=None)
    fault_code = Text(null=True, default=None)
    territory_id = UUID(null=True, default=None)
    for_customers = Boolean(default=False)
    active = Boolean(default=False)
    updated_at = Timestamptz(default=None)
    updated_by = UUID(null=True, default=None)


class ArticleWord(Table, tablename="article_word"):
    org_id = UUID(default=None)
    word = Text(primary_key=True, default=None)
    article_id = UUID(default=None)
    weight = DoublePrecision(default=None)


class AnswerOffer(Table, tablename="answer_offer"):
    org_id = UUID(default=None)
    id = UUID(primary_key=True, default=None)
    order_id = UUID(default=None)
    article_id = UUID(default=None)
    article_revision = Integer(default=None)
    score = DoublePrecision(default=None)
    state = Text(default=None)
    offered_at = Timestamptz(default=None)
    offered_by = UUID(null=True, default=None)
    decided_at = Timestamptz(null=True, default=None)
    decided_by = UUID(null=True, default=None)
    decided_via = Text(null=True, default=None)


class AnswerLink(Table, tablename="answer_link"):
    org_id = UUID(default=None)
    id = UUID(primary_key=True, default=None)
    order_id = UUID(default=None)
    token_hash = Bytea(default=None)
    locale = Text(default=None)
    created_at = Timestamptz(default=None)
    created_by = UUID(null=True, default=None)
    expires_at = Timestamptz(default=None)
    used_at = Timestamptz(null=True, default=None)


TABLES: tuple[type[Table], ...] = (Article, ArticleVersion, ArticleWord, AnswerOffer, AnswerLink)
