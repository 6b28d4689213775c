"""The customer's link to the answers for an order: shows them without an account, and takes one decision.

A token is `base64url(organisation) . 256-bit secret`, as for sign-off; only its SHA-256 is stored. Looking changes nothing,
so that a mail scanner that opens the link decides nothing.
"""

from datetime import timedelta
from typing import Any, Final
from uuid import UUID

import msgspec

from callout_orders import checks
from callout_orders.knowledge import decisions, offers
from callout_orders.knowledge.offers import Offer
from callout_orders.terms import FINAL
from callout_store import link_tokens
from callout_store.errors import AnswerLinkExpired, AnswerLinkInvalid, AnswerLinkUsed, NotFound
from callout_store.ids import new_id
from callout_store.work import Work

TTL: Final = timedelta(days=14)
OPEN_MAX: Final = 20
"""Links of one order that are open at a time; the oldest end first."""
LOCALES: Final = frozenset({"en", "zh"})
DECISIONS: Final = frozenset({"solved", "did_not_help"})


class Answers(msgspec.Struct, frozen=True, kw_only=True):
    """What a link shows. `state`: open, solved (the customer said so), did_not_help, over (the order ended otherwise).
    `offers`: what is there to be read, and what is withdrawn is not."""

    order_number: str
    organisation: str
    description: str
    locale: str
    state: str
    offers: list[Offer]


class Decision(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What the customer says: `solved` (with the offer that did it, where they know) or `did_not_help`."""

    decision: str
    offer_id: UUID | None = None
    reason: str = ""


def organisation_of(token: str) -> UUID:
    """The organisation whose link this claims to be; AnswerLinkInvalid where it is no token at all."""
    org_id = link_tokens.organisation_of(token)
    if org_id is None:
        raise AnswerLinkInvalid
    return org_id


async def create_link(work: Work, order_id: UUID, locale: str = "en", ttl: timedelta = TTL) -> str:
    """A fresh token for the answers of this order, to be shown once. Raises NotFound where none was offered, FieldRefused."""
    checks.one_of("locale", locale, LOCALES)
    offered = await work.fetchval(
        """
        select exists (select 1 from answer_offer f where f.org_id = o.org_id and f.order_id = o.id)
        from work_order o where o.org_id = callout_org() and o.id = $1 for no key update
        """,
        order_id,
    )
    if offered is None:
        raise NotFound(entity="work order", path="orderId")
    if not offered:
        raise NotFound(entity="answer", path="orderId")
    await work.execute(
        """
        update answer_link set expires_at = $2 where org_id = callout_org() and id in (
            select id from answer_link where org_id = callout_org() and order_id = $1 and expires_at > $2
            order by created_at desc, id desc offset $3)
        """,
        order_id,
        work.now,
        OPEN_MAX - 1,
    )
    token = link_tokens.new_token(work.org_id)
    await work.execute(
        """
        insert into answer_link (id, order_id, token_hash, locale, created_at, created_by, expires_at)
        values ($1, $2, $3, $4, $5, $6, $7)
        """,
        new_id(),
        order_id,
        link_tokens.digest(token),
        locale,
        work.now,
        work.actor.user_id,
        work.now + ttl,
    )
    return token


async def look(work: Work, token: str) -> Answers:
    """What the link shows now. Raises AnswerLinkInvalid, AnswerLinkExpired."""
    link = await _link(work, token)
    row = await work.fetchrow(
        """
        select o.number, o.description, o.state, g.name as organisation
        from work_order o join organisation g on g.id = o.org_id
        where o.org_id = callout_org() and o.id = $1
        """,
        link["order_id"],
    )
    assert row is not None
    (found,) = await offers.by_order_ids(work, [link["order_id"]])
    state = _state(row["state"], found)
    return Answers(
        order_number=row["number"],
        organisation=row["organisation"],
        description=row["description"],
        locale=link["locale"],
        # What was offered since comes with a link of its own.
        state="did_not_help" if state == "open" and link["used_at"] is not None else state,
        offers=[one for one in found if not one.withdrawn],
    )


async def decide(work: Work, token: str, given: Decision) -> str:
    """Take the customer's decision, once; the state after it. Raises AnswerLinkInvalid, AnswerLinkExpired, AnswerLinkUsed
    (also where the order is decided or over already), FieldRefused, NotFound (the offer), WrongState (somebody is on the
    way)."""
    checks.one_of("decision", given.decision, DECISIONS)
    link = await _link(work, token)
    # The order first, as everywhere; of two who decide at once the second finds the link used.
    state = await work.fetchval(
        "select state from work_order where org_id = callout_org() and id = $1 for no key update",
        link["order_id"],
    )
    (found,) = await offers.by_order_ids(work, [link["order_id"]])
    if _state(state, found) != "open":
        raise AnswerLinkUsed
    used = await work.fetchval(
        """
        update answer_link set used_at = $2
        where org_id = callout_org() and token_hash = $1 and used_at is null returning true
        """,
        link_tokens.digest(token),
        work.now,
    )
    if not used:
        raise AnswerLinkUsed
    if given.decision == "solved":
        await decisions.solved(work, link["order_id"], given.offer_id, via=decisions.CUSTOMER)
    else:
        await decisions.did_not_help(work, link["order_id"], reason=given.reason, via=decisions.CUSTOMER)
    return given.decision


def _state(order_state: str, found: list[Offer]) -> str:
    if order_state in FINAL:
        said = any(one.state == "solved" and one.decided_via == decisions.CUSTOMER for one in found)
        return "solved" if said else "over"
    return "open" if any(one.state == "offered" for one in found) else "did_not_help"


async def _link(work: Work, token: str) -> Any:
    row = await work.fetchrow(
        """
        select order_id, locale, expires_at, used_at from answer_link
        where org_id = callout_org() and token_hash = $1
        """,
        link_tokens.digest(token),
    )
    if row is None:
        raise AnswerLinkInvalid
    if row["expires_at"] <= work.now:
        raise AnswerLinkExpired
    return row
