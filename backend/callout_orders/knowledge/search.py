"""Which articles answer an order: full text in both languages, what they are about, and what helped others.

A word counts more the fewer articles have it (its inverse document frequency), and what an article scores is how much of
the question's weight its words cover: the more, the weightier they stand in it, but less and less so, as in BM25. An article
about another kind, model or error code than the order's is left out; one about the very error code needs no word in common.
"""

import math
from collections.abc import Collection, Sequence
from typing import Any, Final
from uuid import UUID

import msgspec

from callout_orders import checks
from callout_orders.knowledge.words import QUERY_CHARS_MAX, asked
from callout_store.work import Work

ORDERS_MAX: Final = 500
"""Questions in one call."""
SUGGESTED_MAX: Final = 50
TEXT_SHARE_MIN: Final = 0.15
"""An article that covers less of the question's weight and is not about its error code is no answer to it."""
PART_MAX: Final = 1.5
HALF_WEIGHT: Final = 2.0
"""A word covers `PART_MAX * weight / (weight + HALF_WEIGHT)` of itself: half of it in the body alone, all of it in body and
title. BM25's k1; our questions find the same answers with any value from 0.5 to 4."""
COUNTED_MAX: Final = 1_000
"""Articles, and decisions about one, are counted so far: beyond it shares hardly change, and counting takes ever longer."""
CODE_BONUS: Final = 2.0
"""More than words alone can score."""
MODEL_BONUS: Final = 0.3
KIND_BONUS: Final = 0.1
LOCALE_BONUS: Final = 0.25
HELPED_BONUS: Final = 0.3
"""At most, for one that solved it for all to whom it was offered."""


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked: the text of an order and what is known of it."""

    text: str
    kind: str | None = None
    model: str | None = None
    error_code: str | None = None
    locale: str = "en"


class Suggestion(msgspec.Struct, frozen=True, kw_only=True):
    """An article as it reads now, with its score and what it was found by: error_code, model, kind, text, helped, locale."""

    article_id: UUID
    revision: int
    title: str
    body: str
    workaround: str
    locale: str
    kind: str | None
    model: str | None
    fault_code: str | None
    for_customers: bool
    score: float
    why: tuple[str, ...]


async def suggest(
    work: Work,
    text: str,
    *,
    kind: str | None = None,
    model: str | None = None,
    error_code: str | None = None,
    locale: str = "en",
    limit: int = 5,
    for_customers: bool = False,
) -> list[Suggestion]:
    """The articles that answer a question, best first; with `for_customers` only those that a customer may read."""
    question = Question(
        text=checks.text("text", text, chars_max=QUERY_CHARS_MAX, blank=True),
        kind=checks.optional_text("kind", kind),
        model=checks.optional_text("model", model),
        error_code=checks.optional_text("errorCode", error_code, chars_max=40),
        locale=locale,
    )
    size = checks.whole("limit", limit, low=1, high=SUGGESTED_MAX)
    return (await suggest_many(work, [question], limit=size, for_customers=for_customers))[0]


async def suggest_many(
    work: Work, questions: Sequence[Question], *, limit: int = 5, for_customers: bool = False
) -> list[list[Suggestion]]:
    """For each question the articles that answer it, best first; two statements, however many questions."""
    given = checks.batch("questions", list(questions), limit=ORDERS_MAX)
    if not given:
        return []
    words = [asked(question.text) for question in given]
    rows = await work.fetch(
        _CANDIDATES,
        [n for n, one in enumerate(words) for _ in one],
        [word for one in words for word in one],
        [question.kind for question in given],
        [question.model for question in given],
        [question.error_code.upper() if question.error_code else None for question in given],
        for_customers,
        limit * 4 + 10,
    )
    found: list[list[tuple[float, tuple[str, ...], UUID]]] = [[] for _ in given]
    for row in rows:
        score, why = _scored(given[row["n"]], row)
        found[row["n"]].append((score, why, row["id"]))
    best = [sorted(few, key=lambda one: (-one[0], one[2]))[:limit] for few in found]
    texts = await _articles(work, {id_ for few in best for _, _, id_ in few}, for_customers)
    return [
        [
            Suggestion(**texts[id_], score=score, why=why)
            for score, why, id_ in few
            # One that was retired between the two statements is no answer any more.
            if id_ in texts
        ]
        for few in best
    ]


_CANDIDATES: Final = f"""
with asked as materialized (
    select t.n, t.word from unnest($1::int[], $2::text[]) as t(n, word)),
posting as materialized (
    select word, article_id, {PART_MAX} * weight / (weight + {HALF_WEIGHT}) as part from article_word
    where org_id = callout_org() and word = any(array(select distinct word from asked))),
known as materialized (
    select word, ln(1 + (select count(*) from (
        select from article where org_id = callout_org() limit {COUNTED_MAX}) a)::float8 / count(*)) as idf
    from posting group by word),
mass as (
    -- A word that no article has tells nothing. Of a long story, its twelve most telling words are the question.
    select n, sum(idf) as whole from (
        select q.n, k.idf, row_number() over (partition by q.n order by k.idf desc) as place
        from asked q join known k on k.word = q.word) t
    where place <= 12 group by n),
question as (
    select n - 1 as n, kind, model, code
    from unnest($3::text[], $4::text[], $5::text[]) with ordinality as t(kind, model, code, n)),
hit as (
    select q.n, p.article_id, sum(k.idf * p.part) / max(m.whole) as share
    from asked q
    join known k on k.word = q.word
    join mass m on m.n = q.n
    join posting p on p.word = q.word
    group by q.n, p.article_id
    having sum(k.idf * p.part) >= {TEXT_SHARE_MIN} * max(m.whole)
    union all
    select q.n, a.id, 0.0 from question q
    join article a on a.org_id = callout_org() and a.active and a.fault_code is not null and upper(a.fault_code) = q.code
),
best as (
    select *, row_number() over (partition by n order by by_code desc, share desc, article_id) as place from (
    select h.n, h.article_id, max(h.share) as share, coalesce(bool_or(upper(a.fault_code) = q.code), false) as by_code
    from hit h join question q on q.n = h.n
    join article a on a.org_id = callout_org() and a.id = h.article_id and a.active
      and (a.for_customers or not $6)
      and (a.kind is null or q.kind is null or a.kind = q.kind)
      and (a.model is null or q.model is null or lower(a.model) = lower(q.model))
      and (a.fault_code is null or q.code is null or upper(a.fault_code) = q.code)
    group by h.n, h.article_id) t)
select b.n::int as n, a.id, b.share, b.by_code, a.kind, a.model, a.locale,
    (select count(*) from (select from answer_offer f where f.org_id = a.org_id and f.article_id = a.id
        and f.state = 'solved' limit {COUNTED_MAX}) t) as solved,
    (select count(*) from (select from answer_offer f where f.org_id = a.org_id and f.article_id = a.id
        and f.state = 'did_not_help' limit {COUNTED_MAX}) t) as failed
from best b join article a on a.org_id = callout_org() and a.id = b.article_id where b.place <= $7
"""


async def _articles(work: Work, ids: Collection[UUID], for_customers: bool) -> dict[UUID, dict[str, Any]]:
    if not ids:
        return {}
    rows = await work.fetch(
        """
        select id as article_id, revision, title, body, workaround, locale, kind, model, fault_code, for_customers
        from article where org_id = callout_org() and id = any($1) and active and (for_customers or not $2)
        """,
        list(ids),
        for_customers,
    )
    return {row["article_id"]: dict(row) for row in rows}


def _scored(question: Question, row: Any) -> tuple[float, tuple[str, ...]]:
    """What an article scores, and what it was found by."""
    found = {
        "error_code": CODE_BONUS * row["by_code"],
        "model": MODEL_BONUS * (row["model"] is not None and question.model is not None),
        "kind": KIND_BONUS * (row["kind"] is not None and question.kind is not None),
        "text": float(row["share"]),
        # Of few who said so, little is known: two that say neither are thought along.
        "helped": HELPED_BONUS * row["solved"] / (row["solved"] + row["failed"] + 2),
        "locale": LOCALE_BONUS * (row["locale"] == question.locale),
    }
    return round(math.fsum(found.values()), 4), tuple(name for name, points in found.items() if points > 0)
