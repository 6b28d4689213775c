"""Answers that are offered for an order (R2, T3). What becomes of them: `decisions`.

An offer keeps the revision of the article that it showed; a later revision of the same article that is offered as well takes
its place.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple
from uuid import UUID

import msgspec

from callout_orders import checks
from callout_orders.knowledge import search
from callout_orders.knowledge.search import Question, Suggestion
from callout_orders.terms import FINAL, Priority
from callout_store import outbox
from callout_store.errors import NotFound, WrongState
from callout_store.ids import new_id
from callout_store.journal import Entry, write_many
from callout_store.work import Work

CHANNEL: Final = "knowledge.offer"
OFFERED_MAX: Final = 3
"""Answers that are offered for an order by themselves."""
CHUNK: Final = 200
"""Orders in one message."""
STANDING: Final = "standing"
"""What a message is about that wants standing answers only."""
_STATES: Final = tuple(state.value for state in FINAL)


class Offer(msgspec.Struct, frozen=True, kw_only=True):
    """An answer that was offered for an order, as it read then. `state`: offered, solved, did_not_help, passed (another
    one solved it, or a later revision took its place); `decided_via`: link, desk, bulk. `withdrawn`: the article was retired
    since, or is for the staff alone."""

    id: UUID
    order_id: UUID
    article_id: UUID
    article_revision: int
    title: str
    body: str
    workaround: str
    locale: str
    score: float
    state: str
    offered_at: datetime
    offered_by: UUID | None
    decided_at: datetime | None
    decided_by: UUID | None
    decided_via: str | None
    withdrawn: bool


class NewOffer(NamedTuple):
    """An offer to be written."""

    order_id: UUID
    article_id: UUID
    revision: int
    score: float
    title: str


# ------------------------------------------------------------------------------------------------ offering


async def offer(
    work: Work, order_id: UUID, article_ids: Sequence[UUID] = (), *, limit: int = OFFERED_MAX
) -> list[Offer]:
    """Offer answers for an order: those named, else the best there are. Offering again changes nothing; all its offers.

    Raises NotFound (order, article), WrongState for an order that is over.
    """
    checks.batch("articles", list(article_ids), limit=search.SUGGESTED_MAX)
    row = await work.fetchrow(
        "select state from work_order where org_id = callout_org() and id = $1 for no key update", order_id
    )
    if row is None:
        raise NotFound(entity="work order", path="orderId")
    if row["state"] in _STATES:
        raise WrongState(entity="work order", state=row["state"], needed="an order that is not final")
    if article_ids:
        chosen = await named(work, article_ids)
        await write_offers(
            work, [NewOffer(order_id, one["id"], one["revision"], 1.0, one["title"]) for one in chosen]
        )
    else:
        await offer_many(work, [order_id], limit=limit)
    return (await by_order_ids(work, [order_id]))[0]


async def offer_many(work: Work, order_ids: Sequence[UUID], *, limit: int = OFFERED_MAX) -> int:
    """Offer the best answers for each order that is not over; how many offers were new. A fixed number of statements."""
    rows = await work.fetch(
        """
        select o.id, o.description, o.kind, o.locale, o.error_code, coalesce(x.model, o.product) as model
        from work_order o left join asset x on x.org_id = o.org_id and x.id = o.asset_id
        where o.org_id = callout_org() and o.id = any($1) and o.state <> all($2) and o.duplicate_of_id is null
        order by o.id
        """,
        list(order_ids),
        _STATES,
    )
    questions = [
        Question(
            text=row["description"],
            kind=row["kind"],
            model=row["model"],
            error_code=row["error_code"],
            locale=row["locale"],
        )
        for row in rows
    ]
    given: list[NewOffer] = []
    for at in range(0, len(questions), search.ORDERS_MAX):
        found = await search.suggest_many(
            work, questions[at : at + search.ORDERS_MAX], limit=limit, for_customers=True
        )
        for row, few in zip(rows[at : at + search.ORDERS_MAX], found, strict=True):
            given += [
                NewOffer(row["id"], one.article_id, one.revision, one.score, one.title)
                for one in _spoken(few)
            ]
    return await write_offers(work, given)


async def offer_new(work: Work, order_ids: Sequence[UUID]) -> int:
    """Offer answers for questions that just came in; how many. One for which there is none is a person's from now on:
    `work_order.no_answer_found`, once. Again changes nothing."""
    found = await offer_many(work, order_ids)
    rows = await work.fetch(
        """
        select o.id from work_order o
        where o.org_id = callout_org() and o.id = any($1) and o.state <> all($2) and o.duplicate_of_id is null
          and not exists (select 1 from answer_offer f where f.org_id = o.org_id and f.order_id = o.id)
          and not exists (select 1 from journal j
              where j.org_id = o.org_id and j.order_id = o.id and j.kind = 'work_order.no_answer_found')
        order by o.id for no key update
        """,
        list(order_ids),
        _STATES,
    )
    if rows:
        await write_many(
            work,
            [
                Entry(
                    kind="work_order.no_answer_found",
                    entity="work_order",
                    entity_id=row["id"],
                    order_id=row["id"],
                )
                for row in rows
            ],
        )
    return found


async def offer_to_all(work: Work, article_id: UUID) -> int:
    """Offer a canned answer on every open order with its error code; on how many it is new, at most 20,000 at a time: called
    again, it goes on with the rest. Raises NotFound, and WrongState for an article without an error code."""
    (article,) = await named(work, [article_id])
    if article["fault_code"] is None:
        raise WrongState(
            entity="article", state="about no error code", needed="an article with an error code"
        )
    rows = await work.fetch(
        """
        select o.id from work_order o
        where o.org_id = callout_org() and upper(o.error_code) = upper($1) and o.state <> all($2)
          and o.duplicate_of_id is null and not exists (
              select from answer_offer f where f.org_id = o.org_id and f.order_id = o.id
                and f.article_id = $3 and f.article_revision = $4)
        order by o.id limit $5
        """,
        article["fault_code"],
        _STATES,
        article_id,
        article["revision"],
        checks.BATCH_MAX,
    )
    return await write_offers(
        work,
        [
            NewOffer(row["id"], article_id, article["revision"], search.CODE_BONUS, article["title"])
            for row in rows
        ],
    )


async def offer_later(work: Work, lines: list[tuple[UUID, Any]]) -> None:
    """The hook over a unit of work's journal lines: orders that just came in get answers, by a message each 200: questions
    those that are found, and what has an error code its standing answers.

    Whether that code has any is looked at by the worker: an answer that somebody makes a standing one in this very moment
    cannot be seen from here, nor this order from there.
    """
    questions: list[UUID] = []
    coded: list[UUID] = []
    for _, entry in lines:
        if entry.kind == "work_order.duplicate_unlinked":
            coded.append(entry.entity_id)
        elif entry.kind != "work_order.created" or entry.data.get("duplicateOf") or entry.data.get("doneAt"):
            continue
        elif entry.data.get("priority") == Priority.P2:
            questions.append(entry.entity_id)
        elif entry.data.get("errorCode"):
            coded.append(entry.entity_id)
    messages = [*_owed(questions, "knowledge"), *_owed(coded, STANDING)]
    if messages:
        await outbox.send(work, *messages)


def _owed(ids: Sequence[UUID], about: str) -> list[outbox.Message]:
    return [
        outbox.Message(
            channel=CHANNEL,
            stream=f"{about}:{ids[at]}",
            dedupe_key=f"{about}:{ids[at]}",
            payload={"about": about, "orderIds": [str(one) for one in ids[at : at + CHUNK]]},
        )
        for at in range(0, len(ids), CHUNK)
    ]


# ------------------------------------------------------------------------------------------------ reading


async def by_order_ids(work: Work, order_ids: Sequence[UUID]) -> list[list[Offer]]:
    """The answers offered for each order, best first, each as it read when it was offered."""
    rows = await work.fetch(
        """
        select f.id, f.order_id, f.article_id, f.article_revision, v.title, v.body, v.workaround, v.locale, f.score, f.state,
            f.offered_at, f.offered_by, f.decided_at, f.decided_by, f.decided_via,
            not (a.active and a.for_customers) as withdrawn
        from answer_offer f
        join article_version v on v.org_id = f.org_id and v.article_id = f.article_id and v.revision = f.article_revision
        join article a on a.org_id = f.org_id and a.id = f.article_id
        where f.org_id = callout_org() and f.order_id = any($1) order by f.score desc, f.id
        """,
        list(order_ids),
    )
    found: dict[UUID, list[Offer]] = {}
    for row in rows:
        found.setdefault(row["order_id"], []).append(Offer(**dict(row)))
    return [found.get(id_, []) for id_ in order_ids]


# ------------------------------------------------------------------------------------------------ rows


def _spoken(found: Sequence[Suggestion]) -> list[Suggestion]:
    """Answers in the reader's language; those in the other only where there is none in theirs."""
    own = [one for one in found if "locale" in one.why]
    return own or list(found)


async def named(work: Work, article_ids: Sequence[UUID]) -> list[Any]:
    """Active articles that customers may read, in the order of the ids; NotFound for any other."""
    rows = await work.fetch(
        """
        select id, revision, title, fault_code from article
        where org_id = callout_org() and id = any($1) and active and for_customers
        """,
        list(article_ids),
    )
    of = {row["id"]: row for row in rows}
    if any(id_ not in of for id_ in article_ids):
        raise NotFound(entity="article", path="articleId")
    return [of[id_] for id_ in dict.fromkeys(article_ids)]


async def write_offers(
    work: Work,
    given: Sequence[NewOffer],
    *,
    told: bool = True,
    standing: bool = False,
) -> int:
    """Write offers; how many were new. Journals `work_order.answers_offered` where customers are `told`."""
    if not given:
        return 0
    # Before versions were kept, none may be there of an article that nobody has changed since.
    await work.execute(
        """
        insert into article_version (article_id, revision, title, body, workaround, locale, kind, model, fault_code,
            territory_id, for_customers, active, updated_at, updated_by)
        select id, revision, title, body, workaround, locale, kind, model, fault_code, territory_id, for_customers, active,
            updated_at, updated_by
        from article where org_id = callout_org() and id = any($1)
        on conflict do nothing
        """,
        sorted({one.article_id for one in given}),
    )
    rows = await work.fetch(
        """
        insert into answer_offer (id, order_id, article_id, article_revision, score, offered_at, offered_by)
        select i, o, a, r, s, $6, $7
        from unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::int[], $5::float8[]) as t(i, o, a, r, s)
        on conflict (org_id, order_id, article_id, article_revision) do nothing
        returning order_id, article_id, article_revision
        """,
        [new_id() for _ in given],
        [one.order_id for one in given],
        [one.article_id for one in given],
        [one.revision for one in given],
        [one.score for one in given],
        work.now,
        work.actor.user_id,
    )
    if any(row["article_revision"] > 1 for row in rows):
        # What it said before is not to be read beside what it says now.
        await work.execute(
            """
            update answer_offer f set state = 'passed', decided_at = $4
            from unnest($1::uuid[], $2::uuid[], $3::int[]) as t(o, a, r)
            where f.org_id = callout_org() and f.order_id = t.o and f.article_id = t.a and f.article_revision < t.r
              and f.state = 'offered'
            """,
            [row["order_id"] for row in rows],
            [row["article_id"] for row in rows],
            [row["article_revision"] for row in rows],
            work.now,
        )
    if told and rows:
        title_of = {one.article_id: one.title for one in given}
        fresh: dict[UUID, list[UUID]] = {}
        for row in rows:
            fresh.setdefault(row["order_id"], []).append(row["article_id"])
        await write_many(
            work,
            [
                Entry(
                    kind="work_order.answers_offered",
                    entity="work_order",
                    entity_id=order,
                    order_id=order,
                    data={"articles": [{"id": one, "title": title_of[one]} for one in articles]}
                    | ({"standing": True} if standing else {}),
                )
                for order, articles in fresh.items()
            ],
        )
    return len(rows)
