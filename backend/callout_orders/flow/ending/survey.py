"""How it was: the customer is asked once an order is done, reminded once, and answers by a link without an account.

A token is `base64url(organisation) . 256-bit secret`, as of the sign-off; only its SHA-256 is stored. Each message that asks
carries a token of its own, because what was sent before is known to nobody here any more; any of them answers, once.
Looking at a link changes nothing. Answers are in `survey_answers`.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final, Literal
from uuid import UUID

import msgspec

from callout_store import link_tokens, timers
from callout_store.errors import NotFound, SurveyLinkExpired, SurveyLinkInvalid, SurveyLinkUsed
from callout_store.ids import new_id
from callout_store.journal import Entry, write, write_many
from callout_store.work import Work

CHANNEL: Final = "flow.survey"
DAYS: Final = 7
"""So long an answer is waited for; then the order goes into the archive without one."""
REMIND_AFTER: Final = timedelta(days=3)
LINKS_MAX: Final = 10
"""Links of one survey; the oldest end first."""


LinkState = Literal["valid", "used", "expired", "unknown"]


class SurveyLink(msgspec.Struct, frozen=True, kw_only=True):
    """A link as its page needs it; everything but `state` is empty where it is unknown."""

    state: LinkState
    locale: str | None = None
    survey_id: UUID | None = None
    order_number: str = ""
    organisation: str = ""
    description: str = ""
    engineer: str = ""
    score: int | None = None
    expires_at: datetime | None = None


async def ask(work: Work, orders: Sequence[tuple[UUID, UUID | None]]) -> list[UUID]:
    """Ask the customers of these orders (order, step); the new surveys' ids. An order is asked once at a time."""
    if not orders:
        return []
    rows = await work.fetch(
        """
        insert into survey (id, order_id, step_id, locale, asked_at, expires_at)
        select t.i, o.id, t.s, coalesce(case when c.locale like 'zh%' then 'zh' end, o.locale), $4, $5
        from unnest($1::uuid[], $2::uuid[], $3::uuid[]) as t(i, o, s)
        join work_order o on o.org_id = callout_org() and o.id = t.o
        left join contact c on c.org_id = o.org_id and c.id = o.contact_id
        on conflict (org_id, order_id) where answered_at is null and expired_at is null do nothing
        returning id, order_id, locale
        """,
        [new_id() for _ in orders],
        [order_id for order_id, _ in orders],
        [step_id for _, step_id in orders],
        work.now,
        work.now + timedelta(days=DAYS),
    )
    await timers.arm_many(
        work,
        [
            (key_of(row["id"], what), work.now + after, CHANNEL, {"surveyId": str(row["id"]), "what": what})
            for row in rows
            for what, after in (("remind", REMIND_AFTER), ("expire", timedelta(days=DAYS)))
        ],
    )
    await write_many(
        work,
        [
            _entry(
                "work_order.survey_asked",
                row["order_id"],
                surveyId=row["id"],
                locale=row["locale"],
                expiresAt=work.now + timedelta(days=DAYS),
            )
            for row in rows
        ],
    )
    return [row["id"] for row in rows]


async def link(work: Work, survey_id: UUID) -> str:
    """A fresh token for a message that asks; shown once. Raises NotFound, SurveyLinkUsed, SurveyLinkExpired."""
    row = await work.fetchrow(
        """
        select answered_at, expires_at, expired_at from survey
        where org_id = callout_org() and id = $1 for no key update
        """,
        survey_id,
    )
    if row is None:
        raise NotFound(entity="survey")
    if row["answered_at"] is not None:
        raise SurveyLinkUsed
    if row["expires_at"] <= work.now or row["expired_at"] is not None:
        raise SurveyLinkExpired
    await work.execute(
        """
        delete from survey_link where org_id = callout_org() and id in (
            select id from survey_link where org_id = callout_org() and survey_id = $1
            order by created_at desc, id desc offset $2)
        """,
        survey_id,
        LINKS_MAX - 1,
    )
    token = link_tokens.new_token(work.org_id)
    await work.execute(
        "insert into survey_link (id, survey_id, token_hash, created_at) values ($1, $2, $3, $4)",
        new_id(),
        survey_id,
        link_tokens.digest(token),
        work.now,
    )
    return token


def organisation_of(token: str) -> UUID:
    """The organisation whose link this claims to be; SurveyLinkInvalid where it is no token at all."""
    org_id = link_tokens.organisation_of(token)
    if org_id is None:
        raise SurveyLinkInvalid
    return org_id


async def look(work: Work, token: str) -> SurveyLink:
    """How a link stands. Changes nothing."""
    row = await work.fetchrow(
        """
        select s.id, s.locale, s.expires_at, s.expired_at, s.answered_at, s.score, o.number, o.description,
               g.name as organisation
        from survey_link l
        join survey s on s.org_id = l.org_id and s.id = l.survey_id
        join work_order o on o.org_id = s.org_id and o.id = s.order_id
        join organisation g on g.id = s.org_id
        where l.org_id = callout_org() and l.token_hash = $1
        """,
        link_tokens.digest(token),
    )
    if row is None:
        return SurveyLink(state="unknown")
    state: LinkState = "valid"
    if row["answered_at"] is not None:
        state = "used"
    elif row["expires_at"] <= work.now or row["expired_at"] is not None:
        state = "expired"
    return SurveyLink(
        state=state,
        locale=row["locale"],
        survey_id=row["id"],
        order_number=row["number"],
        organisation=row["organisation"],
        description=row["description"],
        score=row["score"],
        expires_at=row["expires_at"],
    )


async def time_is_up(work: Work, survey_id: UUID, what: str) -> bool:
    """A survey's timer fired: remind once, or stop waiting. False where it is over already."""
    order_id = await work.fetchval(
        "select order_id from survey where org_id = callout_org() and id = $1", survey_id
    )
    if order_id is None:
        return False
    await work.fetchval(
        "select true from work_order where org_id = callout_org() and id = $1 for no key update", order_id
    )
    column, kind = (
        ("reminded_at", "work_order.survey_reminded")
        if what == "remind"
        else ("expired_at", "work_order.survey_expired")
    )
    row = await work.fetchrow(
        f"""
        update survey set {column} = $2
        where org_id = callout_org() and id = $1 and answered_at is null and expired_at is null and {column} is null
        returning locale
        """,
        survey_id,
        work.now,
    )
    if row is None:
        return False
    await write(work, _entry(kind, order_id, surveyId=survey_id, locale=row["locale"]))
    return True


async def give_up(work: Work, order_id: UUID) -> None:
    """Ask no further: the order goes on, and will be asked about again when it is done. The caller holds the order's row."""
    ids = await work.fetch(
        """
        update survey set expired_at = $2
        where org_id = callout_org() and order_id = $1 and answered_at is null and expired_at is null returning id
        """,
        order_id,
        work.now,
    )
    if ids:
        await timers.cancel(work, *(key_of(row["id"], what) for row in ids for what in ("remind", "expire")))


def _entry(kind: str, order_id: UUID, **data: Any) -> Entry:
    return Entry(kind=kind, entity="work_order", entity_id=order_id, order_id=order_id, data=data)


def key_of(survey_id: UUID, what: str) -> str:
    """The key of a survey's timer; `what` is remind or expire."""
    return f"survey:{survey_id}:{what}"
