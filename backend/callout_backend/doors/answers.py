"""The customer's door to answers: `GET /a/{token}` shows them, `POST /a/{token}` takes one decision, once.

The token in the address is the right (`pages`). Looking changes nothing, so that a mail scanner decides nothing.
"""

from typing import Any

from litestar import MediaType, Response, get, post
from litestar.types import ControllerRouterHandler

from callout_backend.doors.bodies import read_json
from callout_backend.doors.pages import (
    CUSTOMER,
    HEADERS,
    AnyRequest,
    database_of,
    html,
    locale_for,
    refusal_of,
    refused,
)
from callout_backend.problems import problem_response
from callout_backend.web.answers_page import answers_page, closed_page, decided_page
from callout_graphql.resolvers.knowledge_api import ANSWER_PATH as PATH
from callout_orders.knowledge import links
from callout_orders.knowledge.links import Decision
from callout_store.errors import Refusal
from callout_store.ids import parse_id

BODY_BYTES_MAX = 20_000
"""A reason at its limit, with room."""


@get(f"{PATH}/{{token:str}}", media_type=MediaType.HTML, include_in_schema=False)
async def show(request: AnyRequest) -> Response[str]:
    """The page of a link: 200, 410 expired, 404 unknown."""
    try:
        token: str = request.path_params["token"]
        async with database_of(request).work(links.organisation_of(token), actor=CUSTOMER) as work:
            shown = await links.look(work, token)
        locale = locale_for(request, shown.locale)
        return html(answers_page(shown, locale=locale), 200, locale)
    except Exception as exc:
        return _refused(request, exc)


@post(
    f"{PATH}/{{token:str}}",
    request_max_body_size=BODY_BYTES_MAX,
    status_code=200,
    include_in_schema=False,
)
async def decide(request: AnyRequest) -> Response[Any]:
    """Say whether an answer helped. JSON (`Decision`) is answered with JSON or problem details, a form with a page."""
    as_json = request.content_type[0] == "application/json"
    try:
        token: str = request.path_params["token"]
        org_id = links.organisation_of(token)
        given = await read_json(request, Decision) if as_json else _read_form(await request.form())
        decision = await database_of(request).run(
            org_id, lambda work: links.decide(work, token, given), actor=CUSTOMER
        )
    except Exception as exc:
        if as_json:
            return problem_response(_refusal(request, exc), request, headers=HEADERS)
        return _refused(request, exc)
    if as_json:
        return Response({"state": decision}, headers=HEADERS, media_type=MediaType.JSON)
    locale = locale_for(request, None)
    return html(decided_page(decision, locale=locale), 200, locale)


def _read_form(form: Any) -> Decision:
    fields = {name: str(form.get(name) or "") for name in ("decision", "offerId", "reason")}
    try:
        offer_id = parse_id(fields["offerId"]) if fields["offerId"] else None
    except ValueError:
        offer_id = None
    return Decision(decision=fields["decision"], offer_id=offer_id, reason=fields["reason"])


def _refusal(request: AnyRequest, exc: Exception) -> Refusal:
    return refusal_of(request, exc, limit_bytes=BODY_BYTES_MAX, event="answers_failed")


def _refused(request: AnyRequest, exc: Exception) -> Response[str]:
    refusal = _refusal(request, exc)
    locale = locale_for(request, None)
    return refused(refusal, closed_page(refusal, locale=locale), locale)


ROUTES: tuple[ControllerRouterHandler, ...] = (show, decide)
