"""An organisation's own keywords, beside the built-in ones (`builtin_words`)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final
from uuid import UUID

import msgspec

from callout_orders import checks
from callout_orders.checks import FieldRefused, Gather
from callout_orders.precheck import settings
from callout_orders.precheck import texts as _texts
from callout_orders.precheck.text.builtin_words import BUILT_IN
from callout_orders.precheck.text.tags import KEYWORDS_MAX, WORD_CHARS_MAX, Keyword, Tagger
from callout_orders.precheck.text.words import fold
from callout_orders.rows import Page, page_size, paged
from callout_orders.terms import Priority
from callout_store.errors import LimitExceeded
from callout_store.ids import new_id
from callout_store.work import Work

BATCH_MAX: Final = 5000
TAG_CHARS_MAX: Final = 60
_PRIORITIES: Final = frozenset(priority.value for priority in Priority)
assert _texts.PATHS


class NewKeyword(msgspec.Struct, frozen=True, kw_only=True):
    """A word, the tag it puts on an order, and what it hints at. An empty tag hides what stands inside of the word."""

    word: str
    tag: str = ""
    priority: str | None = None
    kind: str | None = None


class KeywordView(msgspec.Struct, frozen=True, kw_only=True):
    """A keyword as it is kept: `word` in half width and small letters."""

    id: UUID
    word: str
    tag: str
    priority: str | None
    kind: str | None


async def save_keywords(work: Work, new: Sequence[NewKeyword]) -> int:
    """Add keywords, or change what the same word with the same tag hints at; how many rows were written.

    All that is wrong is said at once, with paths `keywords.{index}.{field}`.
    """
    checks.batch("keywords", list(new), limit=BATCH_MAX)
    rows = _checked(new)
    if not rows:
        return 0
    await settings.words_changed(work)
    written = await work.execute(
        """
        insert into keyword (id, word, tag, priority, kind, updated_at)
        select i, w, t, p, k, $6
        from unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[]) as n(i, w, t, p, k)
        on conflict (org_id, word, tag) do update set priority = excluded.priority, kind = excluded.kind,
            updated_at = excluded.updated_at
        where (keyword.priority, keyword.kind) is distinct from (excluded.priority, excluded.kind)
        """,
        [new_id() for _ in rows],
        [row.word for row in rows],
        [row.tag for row in rows],
        [row.priority for row in rows],
        [row.kind for row in rows],
        work.now,
    )
    count = await work.fetchval("select count(*) from keyword where org_id = callout_org()")
    if count > KEYWORDS_MAX:
        raise LimitExceeded(what="keywords", limit=KEYWORDS_MAX, given=count, path="keywords")
    if written:
        await settings.note(work, "precheck.keywords_saved", {"written": written, "count": count})
    return written


async def remove_keywords(work: Work, ids: Sequence[UUID]) -> int:
    """Take keywords away; how many there were."""
    await settings.words_changed(work)
    gone = await work.execute(
        "delete from keyword where org_id = callout_org() and id = any($1)",
        checks.ids("keywords", list(ids), limit=BATCH_MAX),
    )
    if gone:
        await settings.note(work, "precheck.keywords_removed", {"removed": gone})
    return gone


async def keywords_page(
    work: Work,
    *,
    tag: str | None = None,
    search: str | None = None,
    after: UUID | None = None,
    limit: int = 50,
) -> Page[KeywordView]:
    """The organisation's own keywords, newest first; `search` is part of a word."""
    size = page_size(limit)
    rows = await work.fetch(
        """
        select id, word, tag, priority, kind from keyword
        where org_id = callout_org() and ($1::text is null or tag = $1) and ($2::text is null or strpos(word, $2) > 0)
          and ($3::uuid is null or id < $3)
        order by id desc limit $4
        """,
        tag,
        None if search is None else fold(search),
        after,
        size + 1,
    )
    return paged([KeywordView(**dict(row)) for row in rows], size)


async def tagger(work: Work) -> Tagger:
    """The organisation's keywords with the built-in ones; its own takes the place of a built-in one of the same word."""
    rows = await work.fetch(
        "select word, tag, priority, kind from keyword where org_id = callout_org() order by id"
    )
    own = [Keyword(row["word"], row["tag"], row["priority"], row["kind"]) for row in rows]
    taken = {keyword.word for keyword in own}
    return Tagger([*own, *(keyword for keyword in BUILT_IN if keyword.word not in taken)])


BUILT_IN_TAGGER: Final = Tagger(BUILT_IN)


def _checked(new: Sequence[NewKeyword]) -> list[NewKeyword]:
    gather = Gather()
    rows: dict[tuple[str, str], NewKeyword] = {}
    for n, one in enumerate(new):
        path = f"keywords.{n}"
        with gather:
            word = fold(" ".join(checks.text(f"{path}.word", one.word).split()))
            if len(word) > WORD_CHARS_MAX or not any(char.isalnum() for char in word):
                raise FieldRefused(f"{path}.word", "keyword_word", limit=WORD_CHARS_MAX)
            tag = checks.text(f"{path}.tag", one.tag, chars_max=TAG_CHARS_MAX, blank=True)
            if one.priority is not None:
                checks.one_of(f"{path}.priority", one.priority, _PRIORITIES)
            kind = checks.optional_text(f"{path}.kind", one.kind, chars_max=40)
            rows[word, tag] = NewKeyword(word=word, tag=tag, priority=one.priority, kind=kind)
        if len(gather.faults) >= 100:
            break
    gather.settle()
    return list(rows.values())
