"""The customer's answer to a survey. Whoever is not content (two stars or fewer) has the order opened again."""

from typing import Final
from uuid import UUID

import msgspec

from callout_orders import checks
from callout_orders.flow.ending import reopening, survey
from callout_store import timers
from callout_store.errors import SurveyLinkExpired, SurveyLinkInvalid, SurveyLinkUsed
from callout_store.journal import Entry, write
from callout_store.work import Work

CONTENT: Final = 3
"""Fewer stars than this, and the customer is not content."""
COMMENT_CHARS_MAX: Final = 2000


class Answer(msgspec.Struct, rename="camel", frozen=True, kw_only=True):
    """What the customer says: one to five stars, and a word about it."""

    score: int
    comment: str = ""


class Answered(msgspec.Struct, frozen=True, kw_only=True):
    """An answer that was taken; `reopened`: the order is open again because of it."""

    survey_id: UUID
    order_id: UUID
    score: int
    reopened: bool


async def answer(work: Work, token: str, given: Answer) -> Answered:
    """Take the customer's answer, once. Raises SurveyLinkInvalid, SurveyLinkExpired, SurveyLinkUsed, BadField."""
    gather = checks.Gather()
    score, comment = 0, ""
    with gather:
        score = checks.whole("score", given.score, low=1, high=5)
    with gather:
        comment = checks.text("comment", given.comment, chars_max=COMMENT_CHARS_MAX, blank=True)
    gather.settle()
    seen = await survey.look(work, token)
    if seen.state != "valid":
        raise {"used": SurveyLinkUsed, "expired": SurveyLinkExpired}.get(seen.state, SurveyLinkInvalid)()
    order_id = await work.fetchval(
        """
        select o.id from work_order o
        join survey s on s.org_id = o.org_id and s.order_id = o.id
        where o.org_id = callout_org() and s.id = $1 for no key update of o
        """,
        seen.survey_id,
    )
    # Of two who press at once the second waited for the order, and finds it answered.
    taken = await work.execute(
        """
        update survey set answered_at = $2, score = $3, comment = $4
        where org_id = callout_org() and id = $1 and answered_at is null and expired_at is null
        """,
        seen.survey_id,
        work.now,
        score,
        comment or None,
    )
    if not taken:
        raise SurveyLinkUsed
    assert seen.survey_id is not None
    await timers.cancel(
        work, survey.key_of(seen.survey_id, "remind"), survey.key_of(seen.survey_id, "expire")
    )
    await write(
        work,
        Entry(
            kind="work_order.survey_answered",
            entity="work_order",
            entity_id=order_id,
            order_id=order_id,
            data={
                "surveyId": seen.survey_id,
                "score": score,
                "comment": comment,
                "content": score >= CONTENT,
            },
        ),
    )
    reopened = False
    if score < CONTENT:
        why = f"{score}/5" + (f": {comment}" if comment else "")
        reopened = await reopening.reopen_unsatisfied(work, order_id, why[: reopening.REASON_CHARS_MAX])
    return Answered(survey_id=seen.survey_id, order_id=order_id, score=score, reopened=reopened)
