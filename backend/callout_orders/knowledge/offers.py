"""Answers that are offered for an order, and what became of them (R2, T3).

An offer keeps the revision of the article that it showed. `solved it` closes the order; `did not help` makes a question a
malfunction (P2 to P1) and lets it go to dispatch. Either is said once for an order.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import msgspec

from callout_orders import checks, orders
from callout_orders.knowledge import closing, search
from callout_orders.knowledge.search import Question, Suggestion
from callout_orders.terms import FINAL, Priority
from callout_store import outbox
from callout_store.errors import NotFound, WrongState
from callout_store.ids import new_id
from callout_store.journal import Entry, write, write_many
from callout_store.work import Work

CHANNEL: Final = "knowledge.offer"
OFFERED_MAX: Final = 3
"""Answers that are offered for an order by themselves."""
CHUNK: Final = 200
"""Orders in one message."""
STANDING: Final = "standing"
"""What a message is about that wants standing answers only."""
BULK_MAX: Final = 5_000
"""Orders in one bulk call."""
_STATES: Final = tuple(state.value for state in FINAL)


class Offer(msgspec.Struct, frozen=True, kw_only=True):
    """An answer that was offered for an order, as it read then. `state`: offered, solved, did_not_help, passed (another
    one solved it, or nobody said anything); `decided_via`: link, desk, bulk."""

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
        chosen = [(order_id, one) for one in await _named(work, article_ids)]
        await write_offers(
            work, [(id_, one["id"], one["revision"], 1.0, one["title"]) for id_, one in chosen]
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
    given: list[tuple[UUID, UUID, int, float, str]] = []
    for at in range(0, len(questions), search.ORDERS_MAX):
        found = await search.suggest_many(
            work, questions[at : at + search.ORDERS_MAX], limit=limit, for_customers=True
        )
        for row, few in zip(rows[at : at + search.ORDERS_MAX], found, strict=True):
            given += [(row["id"], one.article_id, one.revision, one.score, one.title) for one in _spoken(few)]
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
    """Offer a canned answer on every open order with its error code; on how many it is new. Raises NotFound, and
    WrongState for an article without an error code."""
    (article,) = await _named(work, [article_id])
    if article["fault_code"] is None:
        raise WrongState(
            entity="article", state="about no error code", needed="an article with an error code"
        )
    rows = await work.fetch(
        """
        select id from work_order
        where org_id = callout_org() and upper(error_code) = upper($1) and state <> all($2) and duplicate_of_id is null
        order by id limit $3
        """,
        article["fault_code"],
        _STATES,
        checks.BATCH_MAX,
    )
    return await write_offers(
        work,
        [(row["id"], article_id, article["revision"], search.CODE_BONUS, article["title"]) for row in rows],
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


# ------------------------------------------------------------------------------------------------ what became of it


async def solved(
    work: Work, order_id: UUID, offer_id: UUID | None = None, *, via: str = "desk"
) -> list[Offer]:
    """An answer solved it: the order is closed. `offer_id` says which one did; without it, the best one that was offered.

    Twice changes nothing. Raises NotFound, WrongState for an order that is over otherwise or to which somebody is on the
    way.
    """
    state, offers = await _locked(work, order_id)
    if any(one.state == "solved" for one in offers):
        return offers
    chosen = _one_of(offers, offer_id)
    about = {"offerId": chosen.id, "articleId": chosen.article_id, "revision": chosen.article_revision}
    left = await closing.close(work, [order_id], via=via, data={order_id: about})
    if left:
        needed = "an order to which nobody is on the way"
        raise WrongState(entity="work order", state=state, needed=needed)
    await _decide(work, [order_id], via, {order_id: chosen.article_id})
    return (await by_order_ids(work, [order_id]))[0]


async def did_not_help(work: Work, order_id: UUID, *, reason: str = "", via: str = "desk") -> list[Offer]:
    """No answer helped: a P2 order becomes P1, and goes to dispatch. Twice changes nothing.

    Raises NotFound, WrongState for an order that is over.
    """
    why = checks.text("reason", reason, chars_max=1000, blank=True)
    state, offers = await _locked(work, order_id)
    if state in _STATES:
        raise WrongState(entity="work order", state=state, needed="an order that is not final")
    if offers and all(one.state != "offered" for one in offers):
        return offers
    _one_of(offers, None)
    await _decide(work, [order_id], via, {})
    await write(
        work,
        Entry(
            kind="work_order.answer_did_not_help",
            entity="work_order",
            entity_id=order_id,
            order_id=order_id,
            data={"via": via, "reason": why, "articles": [one.article_id for one in offers]},
        ),
    )
    priority = await work.fetchval(
        "select priority from work_order where org_id = callout_org() and id = $1", order_id
    )
    if priority == Priority.P2:
        await orders.change_priority(work, order_id, Priority.P1, reason=why or "no answer helped")
    else:
        work.touch("work_order", order_id)
    return (await by_order_ids(work, [order_id]))[0]


async def resolve_by_answer(
    work: Work, order_ids: Sequence[UUID], article_id: UUID
) -> tuple[list[UUID], dict[UUID, str]]:
    """Close many orders by one answer (T3): those that were closed, and of the others the state that kept them from it
    (`missing` where there is no such order). At most 5,000 at a time. Raises NotFound for the article."""
    given = checks.batch("orders", list(dict.fromkeys(order_ids)), limit=BULK_MAX)
    (article,) = await _named(work, [article_id])
    about = {"articleId": article_id, "revision": article["revision"]}
    left = await closing.close(work, given, via="bulk", data=dict.fromkeys(given, about))
    closed = [id_ for id_ in given if id_ not in left]
    rows = [(id_, article_id, article["revision"], search.CODE_BONUS, article["title"]) for id_ in closed]
    await write_offers(work, rows, told=False)
    await _decide(work, closed, "bulk", dict.fromkeys(closed, article_id))
    return closed, left


# ------------------------------------------------------------------------------------------------ reading


async def by_order_ids(work: Work, order_ids: Sequence[UUID]) -> list[list[Offer]]:
    """The answers offered for each order, best first, each as it read when it was offered."""
    rows = await work.fetch(
        """
        select f.id, f.order_id, f.article_id, f.article_revision, v.title, v.body, v.workaround, v.locale, f.score, f.state,
            f.offered_at, f.offered_by, f.decided_at, f.decided_by, f.decided_via
        from answer_offer f join article_version v
            on v.org_id = f.org_id and v.article_id = f.article_id and v.revision = f.article_revision
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


def _one_of(offers: Sequence[Offer], offer_id: UUID | None) -> Offer:
    found = next((one for one in offers if offer_id in (None, one.id)), None)
    if found is None:
        raise NotFound(entity="answer", path="offerId")
    return found


async def _named(work: Work, article_ids: Sequence[UUID]) -> list[Any]:
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


async def _locked(work: Work, order_id: UUID) -> tuple[str, list[Offer]]:
    state = await work.fetchval(
        "select state from work_order where org_id = callout_org() and id = $1 for no key update", order_id
    )
    if state is None:
        raise NotFound(entity="work order", path="orderId")
    return str(state), (await by_order_ids(work, [order_id]))[0]


async def write_offers(
    work: Work,
    given: Sequence[tuple[UUID, UUID, int, float, str]],
    *,
    told: bool = True,
    standing: bool = False,
) -> int:
    """Write offers (order, article, revision, score, title); how many were new. Journals `work_order.answers_offered`."""
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
        sorted({article for _, article, _, _, _ in given}),
    )
    rows = await work.fetch(
        """
        insert into answer_offer (id, order_id, article_id, article_revision, score, offered_at, offered_by)
        select i, o, a, r, s, $6, $7
        from unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::int[], $5::float8[]) as t(i, o, a, r, s)
        on conflict (org_id, order_id, article_id, article_revision) do nothing
        returning order_id, article_id
        """,
        [new_id() for _ in given],
        [order for order, _, _, _, _ in given],
        [article for _, article, _, _, _ in given],
        [revision for _, _, revision, _, _ in given],
        [score for _, _, _, score, _ in given],
        work.now,
        work.actor.user_id,
    )
    if told and rows:
        title_of = {article: title for _, article, _, _, title in given}
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


async def _decide(work: Work, order_ids: Sequence[UUID], via: str, solved_by: Mapping[UUID, UUID]) -> None:
    """Write what became of these orders' open offers: the article that solved it, or that none helped."""
    await work.execute(
        """
        update answer_offer f set decided_at = $3, decided_by = $4, decided_via = $5,
            state = case when t.article is null then 'did_not_help' when f.article_id = t.article then 'solved'
                else 'passed' end
        from unnest($1::uuid[], $2::uuid[]) as t(id, article)
        where f.org_id = callout_org() and f.order_id = t.id and f.state = 'offered'
        """,
        list(order_ids),
        [solved_by.get(id_) for id_ in order_ids],
        work.now,
        work.actor.user_id,
        via,
    )
