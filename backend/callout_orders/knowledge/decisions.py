"""What became of the answers that were offered for an order (R2, T3).

`solved it` closes the order; `did not help` makes a question a malfunction (P2 to P1) and lets it go to dispatch. A customer
says either once for an order; the desk may still write down later that an answer helped after all. An order that is opened
again may be solved again.
"""

from collections.abc import Sequence
from typing import Final
from uuid import UUID

from callout_orders import checks, orders
from callout_orders.knowledge import closing, search
from callout_orders.knowledge.offers import NewOffer, Offer, by_order_ids, named, write_offers
from callout_orders.terms import FINAL, Priority
from callout_store.errors import NotFound, WrongState
from callout_store.journal import Entry, write
from callout_store.work import Work

BULK_MAX: Final = 5_000
"""Orders in one bulk call."""
CUSTOMER: Final = "link"
"""By a link or a chat: whoever asked says it themselves."""


async def solved(
    work: Work, order_id: UUID, offer_id: UUID | None = None, *, via: str = "desk"
) -> list[Offer]:
    """An answer solved it: the order is closed. `offer_id` says which one did; without it, the best one that is open.

    Twice changes nothing. Raises NotFound, WrongState for an order that is over otherwise or to which somebody is on the
    way, and where the customer has said before that none helped.
    """
    state, offers = await _locked(work, order_id)
    if state in FINAL and any(one.state == "solved" for one in offers):
        return offers
    open_ = [one for one in offers if one.state == "offered"]
    if via == CUSTOMER and offers and not open_:
        raise WrongState(entity="answer", state="decided", needed="an answer that is still open")
    chosen = next((one for one in (*open_, *offers) if offer_id in (None, one.id)), None)
    if chosen is None:
        raise NotFound(entity="answer", path="offerId")
    about = {"offerId": chosen.id, "articleId": chosen.article_id, "revision": chosen.article_revision}
    left = await closing.close(work, [order_id], via=via, data={order_id: about})
    if left:
        needed = "an order to which nobody is on the way"
        raise WrongState(entity="work order", state=state, needed=needed)
    await _decide(work, [order_id], via, (chosen.article_id, chosen.article_revision))
    return (await by_order_ids(work, [order_id]))[0]


async def did_not_help(work: Work, order_id: UUID, *, reason: str = "", via: str = "desk") -> list[Offer]:
    """No answer helped: a P2 order becomes P1, and goes to dispatch. Twice changes nothing.

    Raises NotFound, WrongState for an order that is over.
    """
    why = checks.text("reason", reason, chars_max=1000, blank=True)
    state, offers = await _locked(work, order_id)
    if state in FINAL:
        raise WrongState(entity="work order", state=state, needed="an order that is not final")
    if not offers:
        raise NotFound(entity="answer", path="orderId")
    if all(one.state != "offered" for one in offers):
        return offers
    await _decide(work, [order_id], via, None)
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
    (article,) = await named(work, [article_id])
    about = {"articleId": article_id, "revision": article["revision"]}
    left = await closing.close(work, given, via="bulk", data=dict.fromkeys(given, about))
    closed = [id_ for id_ in given if id_ not in left]
    title, revision = article["title"], article["revision"]
    rows = [NewOffer(id_, article_id, revision, search.CODE_BONUS, title) for id_ in closed]
    await write_offers(work, rows, told=False)
    await _decide(work, closed, "bulk", (article_id, revision))
    return closed, left


async def _locked(work: Work, order_id: UUID) -> tuple[str, list[Offer]]:
    state = await work.fetchval(
        "select state from work_order where org_id = callout_org() and id = $1 for no key update", order_id
    )
    if state is None:
        raise NotFound(entity="work order", path="orderId")
    return str(state), (await by_order_ids(work, [order_id]))[0]


async def _decide(
    work: Work, order_ids: Sequence[UUID], via: str, solved_by: tuple[UUID, int] | None
) -> None:
    """Write what became of these orders' open offers: the article and revision that solved it, or that none helped."""
    article_id, revision = solved_by or (None, None)
    await work.execute(
        """
        update answer_offer f set decided_at = $4, decided_by = $5, decided_via = $6,
            state = case when $2::uuid is null then 'did_not_help'
                when f.article_id = $2 and f.article_revision = $3 then 'solved' else 'passed' end
        where f.org_id = callout_org() and f.order_id = any($1)
          and (f.state = 'offered' or f.article_id = $2 and f.article_revision = $3::int)
        """,
        list(order_ids),
        article_id,
        revision,
        work.now,
        work.actor.user_id,
        via,
    )
