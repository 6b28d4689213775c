"""Standing answers (T3): an article about an error code that every open order with that code is offered, also those that come
in later, of any priority, until it is retired, changed to be about something else, or switched off.

Two who act in the same moment do not see each other: an order that is just coming in, and whoever makes an article a standing
answer. So both owe a message, and it is looked at again once each has committed.
"""

from collections.abc import Sequence
from typing import Any, Final
from uuid import UUID

from callout_orders.knowledge import articles, offers, search
from callout_orders.terms import FINAL
from callout_store import outbox
from callout_store.errors import LimitExceeded, WrongState
from callout_store.work import Work

PER_CODE_MAX: Final = 3
"""Standing answers of one error code: whoever gets more reads none."""
STANDING_MAX: Final = 200
"""Standing answers of an organisation."""
CHUNK: Final = 1_000
"""Open orders that are offered one in one transaction."""
_STATES: Final = tuple(state.value for state in FINAL)
_WANTED: Final = """
select o.id, a.id as article_id, a.revision, a.title from article a
join work_order o on o.org_id = a.org_id and upper(o.error_code) = upper(a.fault_code)
where a.org_id = callout_org() and a.standing_since is not null
  and o.state <> all($1) and o.duplicate_of_id is null and not exists (
      select from answer_offer f where f.org_id = o.org_id and f.order_id = o.id and f.article_id = a.id)
"""


async def switch(work: Work, article_id: UUID, on: bool, revision: int | None = None) -> bool:
    """Make an article the standing answer of its error code, or no longer; False where it was so already.

    Raises NotFound, StaleRevision, WrongState (retired, not for customers, about no error code), LimitExceeded.
    """
    row = await articles.locked(work, article_id, revision)
    if on is (row["standing_since"] is not None):
        return False
    if not on:
        await articles.end_standing(work, article_id, row, "off")
        return True
    if not row["active"]:
        raise WrongState(entity="article", state="retired", needed="an article that is not retired")
    if not row["for_customers"]:
        raise WrongState(entity="article", state="for the staff", needed="an article for customers")
    if row["fault_code"] is None:
        raise WrongState(
            entity="article", state="about no error code", needed="an article with an error code"
        )
    # Two who count at once would both find room.
    await work.fetchval("select pg_advisory_xact_lock(hashtextextended('standing:' || callout_org(), 0))")
    counts = await work.fetchrow(
        """
        select count(*) as every, count(*) filter (where upper(fault_code) = upper($1)) as of_code
        from article where org_id = callout_org() and standing_since is not null
        """,
        row["fault_code"],
    )
    assert counts is not None
    for what, limit, count in (
        ("standing answers of an error code", PER_CODE_MAX, counts["of_code"]),
        ("standing answers", STANDING_MAX, counts["every"]),
    ):
        if count >= limit:
            raise LimitExceeded(what=what, limit=limit, given=count + 1)
    await work.execute(
        "update article set standing_since = $2, standing_by = $3 where org_id = callout_org() and id = $1",
        article_id,
        work.now,
        work.actor.user_id,
    )
    about = {"title": row["title"], "faultCode": row["fault_code"]}
    await articles.note(work, article_id, "article.made_standing", about)
    key = f"standing:{article_id}:{work.now.isoformat()}"
    await outbox.send(
        work,
        outbox.Message(
            channel=offers.CHANNEL,
            stream=f"standing:{article_id}",
            dedupe_key=key,
            payload={"articleId": str(article_id)},
        ),
    )
    return True


async def offer(work: Work, order_ids: Sequence[UUID]) -> int:
    """Offer these orders the standing answers of their error codes; how many offers are new.

    Not one that is over or a duplicate, nor an answer that it was offered before, in whatever words.
    """
    rows = await work.fetch(f"{_WANTED} and o.id = any($2) order by o.id, a.id", _STATES, list(order_ids))
    return await offers.write_offers(work, [_row(one) for one in rows], standing=True)


async def offer_on_open(work: Work, article_id: UUID) -> int:
    """Offer a standing answer on the next of the open orders of its code that were not offered it; how many. Called until
    there are none."""
    rows = await work.fetch(f"{_WANTED} and a.id = $2 order by o.id limit $3", _STATES, article_id, CHUNK)
    return await offers.write_offers(work, [_row(one) for one in rows], standing=True)


def _row(found: Any) -> offers.NewOffer:
    return offers.NewOffer(
        found["id"], found["article_id"], found["revision"], search.CODE_BONUS, found["title"]
    )
