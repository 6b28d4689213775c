"""Where a notice's link leads on to: staff to the order's page, customers to what is for them to do.

Survey, answers, sign-off and the engineer's way have links of their own, of which only hashes are stored: each is made when
its reader follows the notice, and not before, so that no message holds the right to sign.
"""

from datetime import timedelta
from typing import Final

from callout_backend.doors import survey, track
from callout_dispatch.arrivals import tracking
from callout_graphql.reading import sign_off_summary
from callout_graphql.resolvers.knowledge_api import ANSWER_PATH
from callout_orders import signoff
from callout_orders.flow.ending import survey as surveys
from callout_orders.knowledge import links as answer_links
from callout_orders.notices.opened import Opened
from callout_store.errors import Refusal
from callout_store.work import Work

WAY: Final = frozenset({"assigned", "reassigned", "on_the_way", "eta", "window_missed", "arrived"})


async def target(work: Work, found: Opened, *, base_url: str, signoff_days: int) -> str | None:
    """The address to go on to; None where the notice's own page is all there is."""
    if found.role != "customer":
        return found.order_url
    if found.order_id is None:
        return None
    try:
        # A link that cannot be made (an order that is over, a limit) leaves the reader on the notice's page.
        async with work.savepoint():
            path = await _path(work, found, signoff_days)
    except Refusal:
        return None
    return None if path is None else base_url + path


async def _path(work: Work, found: Opened, signoff_days: int) -> str | None:
    order_id = found.order_id
    assert order_id is not None
    if found.kind == "survey_asked":
        survey_id = await work.fetchval(
            "select id from survey where org_id = callout_org() and order_id = $1 order by id desc limit 1",
            order_id,
        )
        return None if survey_id is None else f"{survey.PATH}/{await surveys.link(work, survey_id)}"
    if found.kind == "answers_offered":
        return f"{ANSWER_PATH}/{await answer_links.create_link(work, order_id, found.locale)}"
    if found.kind == "done":
        visit_id = await work.fetchval(
            """
            select id from visit
            where org_id = callout_org() and order_id = $1 and state = 'completed' and signed_at is null
            order by number desc limit 1
            """,
            order_id,
        )
        if visit_id is None:
            return None
        _, summary = await sign_off_summary(work, visit_id)
        ttl = timedelta(days=signoff_days)
        token = await signoff.create_link(work, visit_id, order_id, summary, locale=found.locale, ttl=ttl)
        return f"/s/{token}"
    if found.kind in WAY:
        return f"{track.PATH}/{await tracking.create_link(work, order_id, found.locale)}"
    return None
