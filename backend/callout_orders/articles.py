"""Articles: what is known about a model, a fault or a kind of order, for the phones that will need it.

An article whose `kind`, `model`, `fault_code` or `territory_id` is None holds for whatever it is. Which phones get one
is the scope's rule; a retired article leaves them all.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import asyncpg
import msgspec

from callout_contracts.limits import ARTICLE_CHARS_MAX
from callout_orders import checks
from callout_orders.rows import Page, by_ids, page_of, page_size
from callout_orders.terms import OrderKind
from callout_store.errors import NotFound, StaleRevision
from callout_store.ids import new_id
from callout_store.journal import Entry, write
from callout_store.work import Work

LOCALES: Final = frozenset({"en", "zh"})
_KINDS: Final = frozenset(kind.value for kind in OrderKind)


class ArticleText(msgspec.Struct, frozen=True, kw_only=True):
    """What an article says and what it is about."""

    title: str
    body: str
    locale: str = "en"
    kind: str | None = None
    model: str | None = None
    fault_code: str | None = None
    territory_id: UUID | None = None


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
    active: bool
    revision: int
    updated_at: datetime
    updated_by: UUID | None


async def save_article(
    work: Work, article: ArticleText, *, id_: UUID | None = None, revision: int | None = None
) -> UUID:
    """Write an article anew (`id_` None), or over the one with this id; its id. A retired one comes back so.

    With `revision` the article must still be at it. Raises BadField, NotFound (article, territory), StaleRevision.
    """
    given = _checked(article)
    values = tuple(getattr(given, name) for name in given.__struct_fields__)
    if id_ is not None:
        row = await _locked(work, id_, revision)
        if row["active"] and values == tuple(row[name] for name in given.__struct_fields__):
            return id_
    article_id = id_ or new_id()
    try:
        await work.execute(
            """
            insert into article as a (id, title, body, locale, kind, model, fault_code, territory_id, updated_at,
                updated_by)
            values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
            on conflict (org_id, id) do update
            set title = excluded.title, body = excluded.body, locale = excluded.locale, kind = excluded.kind,
                model = excluded.model, fault_code = excluded.fault_code, territory_id = excluded.territory_id,
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
    about = {"title": given.title, "kind": given.kind, "model": given.model, "faultCode": given.fault_code}
    await _note(work, article_id, "article.created" if id_ is None else "article.changed", about)
    return article_id


async def retire_article(work: Work, article_id: UUID, revision: int | None = None) -> None:
    """Take an article from all phones; it stays on record. Twice changes nothing. Raises NotFound, StaleRevision."""
    row = await _locked(work, article_id, revision)
    if not row["active"]:
        return
    await work.execute(
        """
        update article set active = false, revision = revision + 1, updated_at = $2, updated_by = $3 where id = $1
        """,
        article_id,
        work.now,
        work.actor.user_id,
    )
    await _note(work, article_id, "article.retired", {"title": row["title"]})


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
    after: UUID | None = None,
    limit: int = 50,
) -> Page[ArticleView]:
    """Articles, newest first; `search` finds a part of the title or the text, `kind` and `model` what they are about."""
    size = page_size(limit)
    conditions: list[str] = []
    values: list[Any] = [size + 1]

    def where(condition: str, value: object) -> None:
        values.append(value)
        conditions.append(condition.format(f"${len(values)}"))

    if active is not None:
        where("active = {}", active)
    if kind is not None:
        where("kind = {}", checks.one_of("kind", kind, _KINDS))
    if model is not None:
        where("model = {}", checks.text("model", model))
    if search is not None:
        where(
            "(strpos(lower(title), {0}) > 0 or strpos(lower(body), {0}) > 0)",
            checks.text("search", search, chars_max=80).lower(),
        )
    return await page_of(work, ArticleView, "article", conditions, values, after, size)


def _checked(article: ArticleText) -> ArticleText:
    return ArticleText(
        title=checks.text("title", article.title),
        body=checks.text("body", article.body, chars_max=ARTICLE_CHARS_MAX),
        locale=checks.one_of("locale", article.locale, LOCALES),
        kind=None if article.kind is None else checks.one_of("kind", article.kind, _KINDS),
        model=checks.optional_text("model", article.model),
        fault_code=checks.optional_text("faultCode", article.fault_code, chars_max=40),
        territory_id=article.territory_id,
    )


async def _locked(work: Work, article_id: UUID, revision: int | None) -> Any:
    row = await work.fetchrow(
        """
        select title, body, locale, kind, model, fault_code, territory_id, active, revision
        from article where id = $1 for no key update
        """,
        article_id,
    )
    if row is None:
        raise NotFound(entity="article", path="id")
    if revision is not None and revision != row["revision"]:
        raise StaleRevision(entity="article", current=row["revision"], given=revision)
    return row


async def _note(work: Work, article_id: UUID, kind: str, data: dict[str, Any]) -> None:
    await write(work, Entry(kind=kind, entity="article", entity_id=article_id, data=data))
    work.touch("article", article_id)
