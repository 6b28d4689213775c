"""Articles: what is known about a model, a fault or a kind of order, for the phones that will need it, and for customers.

An article whose `kind`, `model`, `fault_code` or `territory_id` is None holds for whatever it is. Which phones get one
is the scope's rule; a retired article leaves them all. One that is `for_customers` is an answer as well: it is offered where
an order asks about it, with its `workaround` until the fault is mended. Every revision is kept as it read
(`article_version`): what somebody was told can be looked up for ever.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import asyncpg
import msgspec

from callout_contracts.limits import ARTICLE_CHARS_MAX
from callout_orders import checks
from callout_orders.kinds import versions
from callout_orders.knowledge.words import weighed
from callout_orders.rows import Page, by_ids, columns_of, page_of, page_size, view_of
from callout_store.errors import NotFound, StaleRevision
from callout_store.ids import new_id
from callout_store.journal import Entry, write
from callout_store.work import Work

LOCALES: Final = frozenset({"en", "zh"})
INDEXED_AT_ONCE: Final = 100
_TEXTS: Final[Mapping[str, float]] = {
    "title": 3.0,
    "fault_code": 4.0,
    "model": 2.0,
    "workaround": 1.0,
    "body": 1.0,
}
"""Where words are looked for, with what one weighs there."""


class ArticleText(msgspec.Struct, frozen=True, kw_only=True):
    """What an article says and what it is about."""

    title: str
    body: str
    locale: str = "en"
    kind: str | None = None
    model: str | None = None
    fault_code: str | None = None
    territory_id: UUID | None = None
    workaround: str = ""
    for_customers: bool = False


class ArticleVersion(msgspec.Struct, frozen=True, kw_only=True):
    """An article as it read at a revision."""

    article_id: UUID
    revision: int
    title: str
    body: str
    workaround: str
    locale: str
    kind: str | None
    model: str | None
    fault_code: str | None
    territory_id: UUID | None
    for_customers: bool
    active: bool
    updated_at: datetime
    updated_by: UUID | None


class ArticleView(msgspec.Struct, frozen=True, kw_only=True):
    """An article as the office sees it."""

    id: UUID
    title: str
    body: str
    locale: str
    kind: str | None
    model: str | None
    fault_code: str | None
    territory_id: UUID | None
    workaround: str
    for_customers: bool
    active: bool
    revision: int
    updated_at: datetime
    updated_by: UUID | None
    standing_since: datetime | None = None
    standing_by: UUID | None = None


async def save_article(
    work: Work, article: ArticleText, *, id_: UUID | None = None, revision: int | None = None
) -> UUID:
    """Write an article anew (`id_` None), or over the one with this id; its id. A retired one comes back so.

    With `revision` the article must still be at it. Raises BadField, NotFound (article, territory), StaleRevision.
    """
    given = _checked(article, await versions.codes(work) if article.kind is not None else frozenset())
    values = tuple(getattr(given, name) for name in given.__struct_fields__)
    if id_ is not None:
        row = await locked(work, id_, revision)
        if row["active"] and values == tuple(row[name] for name in given.__struct_fields__):
            return id_
    article_id = id_ or new_id()
    if id_ is not None:
        same_code = (given.fault_code or "").upper() == (row["fault_code"] or "").upper()
        if row["standing_since"] is not None and not (given.for_customers and same_code):
            await end_standing(work, article_id, row, "changed")
        # Of one that was written before versions were kept, what it says now.
        await _keep(work, article_id)
    try:
        await work.execute(
            """
            insert into article as a (id, title, body, locale, kind, model, fault_code, territory_id, workaround,
                for_customers, updated_at, updated_by)
            values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
            on conflict (org_id, id) do update
            set title = excluded.title, body = excluded.body, locale = excluded.locale, kind = excluded.kind,
                model = excluded.model, fault_code = excluded.fault_code, territory_id = excluded.territory_id,
                workaround = excluded.workaround, for_customers = excluded.for_customers,
                updated_at = excluded.updated_at, updated_by = excluded.updated_by, active = true,
                revision = a.revision + 1
            """,
            article_id,
            *values,
            work.now,
            work.actor.user_id,
        )
    except asyncpg.ForeignKeyViolationError:
        raise NotFound(entity="territory", path="territoryId") from None
    await _keep(work, article_id)
    await _index(work, {article_id: msgspec.structs.asdict(given)})
    about = {"title": given.title, "kind": given.kind, "model": given.model, "faultCode": given.fault_code}
    await note(work, article_id, "article.created" if id_ is None else "article.changed", about)
    return article_id


async def retire_article(work: Work, article_id: UUID, revision: int | None = None) -> None:
    """Take an article from all phones; it stays on record. Twice changes nothing. Raises NotFound, StaleRevision."""
    row = await locked(work, article_id, revision)
    if not row["active"]:
        return
    if row["standing_since"] is not None:
        await end_standing(work, article_id, row, "retired")
    await work.execute(
        """
        update article set active = false, revision = revision + 1, updated_at = $2, updated_by = $3
        where org_id = callout_org() and id = $1
        """,
        article_id,
        work.now,
        work.actor.user_id,
    )
    await _keep(work, article_id)
    await work.execute(
        "delete from article_word where org_id = callout_org() and article_id = $1", article_id
    )
    await note(work, article_id, "article.retired", {"title": row["title"]})


async def end_standing(work: Work, article_id: UUID, row: Any, why: str) -> None:
    """An article is no standing answer any more (`why`: off, changed, retired). Its row is locked."""
    await work.execute(
        "update article set standing_since = null, standing_by = null where org_id = callout_org() and id = $1",
        article_id,
    )
    about = {"title": row["title"], "faultCode": row["fault_code"], "because": why}
    await note(work, article_id, "article.standing_ended", about)


async def versions_of(
    work: Work, article_id: UUID, *, after: int | None = None, limit: int = 50
) -> list[ArticleVersion]:
    """What an article said at each revision, newest first; `after` goes on below that revision. One that was written
    before versions were kept has those since."""
    rows = await work.fetch(
        f"""
        select {columns_of(ArticleVersion)} from article_version
        where org_id = callout_org() and article_id = $1 and ($2::int is null or revision < $2)
        order by revision desc limit $3
        """,
        article_id,
        after,
        page_size(limit),
    )
    return [view_of(ArticleVersion, row) for row in rows]


async def articles_by_ids(work: Work, ids: Sequence[UUID]) -> list[ArticleView | None]:
    """Articles in the order of `ids`."""
    return await by_ids(work, ArticleView, "article", ids)


async def articles_page(
    work: Work,
    *,
    active: bool | None = True,
    kind: str | None = None,
    model: str | None = None,
    search: str | None = None,
    standing: bool | None = None,
    after: UUID | None = None,
    limit: int = 50,
) -> Page[ArticleView]:
    """Articles, newest first; `search` finds a part of the title or the text, `kind` and `model` what they are about,
    `standing` those that are standing answers (False: those that are not)."""
    size = page_size(limit)
    conditions: list[str] = []
    values: list[Any] = [size + 1]

    def where(condition: str, value: object) -> None:
        values.append(value)
        conditions.append(condition.format(f"${len(values)}"))

    if active is not None:
        where("active = {}", active)
    if kind is not None:
        where("kind = {}", checks.one_of("kind", kind, await versions.codes(work)))
    if model is not None:
        where("model = {}", checks.text("model", model))
    if search is not None:
        where(
            "(strpos(lower(title), {0}) > 0 or strpos(lower(body), {0}) > 0)",
            checks.text("search", search, chars_max=80).lower(),
        )
    if standing is not None:
        where("(standing_since is not null) = {}", standing)
    return await page_of(work, ArticleView, "article", conditions, values, after, size)


def _checked(article: ArticleText, kinds: frozenset[str]) -> ArticleText:
    return ArticleText(
        title=checks.text("title", article.title),
        body=checks.text("body", article.body, chars_max=ARTICLE_CHARS_MAX),
        locale=checks.one_of("locale", article.locale, LOCALES),
        kind=None if article.kind is None else checks.one_of("kind", article.kind, kinds),
        model=checks.optional_text("model", article.model),
        fault_code=checks.optional_text("faultCode", article.fault_code, chars_max=40),
        territory_id=article.territory_id,
        workaround=checks.text("workaround", article.workaround, chars_max=checks.TEXT_CHARS_MAX, blank=True),
        for_customers=article.for_customers,
    )


async def _keep(work: Work, article_id: UUID) -> None:
    """Keep an article as it reads now."""
    columns = "revision, title, body, workaround, locale, kind, model, fault_code, territory_id, for_customers, active"
    await work.execute(
        f"""
        insert into article_version (article_id, {columns}, updated_at, updated_by)
        select id, {columns}, updated_at, updated_by from article where org_id = callout_org() and id = $1
        on conflict do nothing
        """,
        article_id,
    )


async def index_some(work: Work) -> int:
    """Cut the words of articles that were written before there was a search; how many. Called until there are none."""
    rows = await work.fetch(
        f"""
        select id, {", ".join(_TEXTS)} from article
        where org_id = callout_org() and active and not indexed order by id limit $1 for update skip locked
        """,
        INDEXED_AT_ONCE,
    )
    await _index(work, {row["id"]: row for row in rows})
    return len(rows)


async def _index(work: Work, given: Mapping[UUID, Any]) -> None:
    """Write articles' words anew, for the search; a mapping of texts by id."""
    if not given:
        return
    words = [
        (id_, word, weight)
        for id_, article in given.items()
        for word, weight in weighed(
            [(article[name] or "", weight) for name, weight in _TEXTS.items()]
        ).items()
    ]
    ids = list(given)
    await work.execute("delete from article_word where org_id = callout_org() and article_id = any($1)", ids)
    await work.execute(
        """
        insert into article_word (article_id, word, weight)
        select * from unnest($1::uuid[], $2::text[], $3::float8[])
        """,
        [id_ for id_, _, _ in words],
        [word for _, word, _ in words],
        [weight for _, _, weight in words],
    )
    await work.execute("update article set indexed = true where org_id = callout_org() and id = any($1)", ids)


async def locked(work: Work, article_id: UUID, revision: int | None) -> Any:
    """An article's row under lock. Raises NotFound, StaleRevision."""
    row = await work.fetchrow(
        """
        select title, body, locale, kind, model, fault_code, territory_id, workaround, for_customers, active, revision,
            standing_since
        from article where org_id = callout_org() and id = $1 for no key update
        """,
        article_id,
    )
    if row is None:
        raise NotFound(entity="article", path="id")
    if revision is not None and revision != row["revision"]:
        raise StaleRevision(entity="article", current=row["revision"], given=revision)
    return row


async def note(work: Work, article_id: UUID, kind: str, data: dict[str, Any]) -> None:
    """Write a line of the journal about an article; phones look at it again."""
    await write(work, Entry(kind=kind, entity="article", entity_id=article_id, data=data))
    work.touch("article", article_id)
