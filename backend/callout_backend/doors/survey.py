"""The customer's door to a survey: `GET /q/{token}` asks, `POST /q/{token}` takes the answer, once.

The token in the address is the right (`pages`). Looking changes nothing, so that a mail scanner answers for nobody.
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
from callout_backend.web.survey_page import closed_page, form_page, thanks_page
from callout_orders.flow.ending import survey, survey_answers
from callout_orders.flow.ending.survey_answers import Answer
from callout_store.errors import (
    Refusal,
    SurveyLinkExpired,
    SurveyLinkInvalid,
    SurveyLinkUsed,
)

PATH = "/q"
BODY_BYTES_MAX = 20_000
"""A comment at its limit, with room."""

_STATES: dict[str, type[Refusal]] = {"used": SurveyLinkUsed, "expired": SurveyLinkExpired}


@get(f"{PATH}/{{token:str}}", media_type=MediaType.HTML, include_in_schema=False)
async def show(request: AnyRequest) -> Response[str]:
    """The page of a link: 200, 410 answered or over, 404 unknown."""
    try:
        link = await _look(request)
        locale = locale_for(request, link.locale)
        return html(form_page(link, locale=locale), 200, locale)
    except Exception as exc:
        return _refused(request, exc)


@post(
    f"{PATH}/{{token:str}}",
    request_max_body_size=BODY_BYTES_MAX,
    status_code=200,
    include_in_schema=False,
)
async def answer(request: AnyRequest) -> Response[Any]:
    """Take an answer. JSON (`Answer`) is answered with JSON or problem details, a plain form with a page.

    200 `{"state":"answered","score","reopened"}`.
    """
    as_json = request.content_type[0] == "application/json"
    comment = ""
    try:
        token: str = request.path_params["token"]
        org_id = survey.organisation_of(token)
        given = await read_json(request, Answer) if as_json else _read_form(await request.form())
        comment = given.comment
        taken = await database_of(request).run(
            org_id, lambda work: survey_answers.answer(work, token, given), actor=CUSTOMER
        )
    except Exception as exc:
        if as_json:
            return problem_response(_refusal(request, exc), request, headers=HEADERS)
        return await _asked_again(request, exc, comment)
    if as_json:
        return Response(
            {"state": "answered", "score": taken.score, "reopened": taken.reopened},
            headers=HEADERS,
            media_type=MediaType.JSON,
        )
    locale = locale_for(request, None)
    return html(thanks_page(reopened=taken.reopened, locale=locale), 200, locale)


async def _look(request: AnyRequest) -> survey.SurveyLink:
    token: str = request.path_params["token"]
    async with database_of(request).work(survey.organisation_of(token), actor=CUSTOMER) as work:
        link = await survey.look(work, token)
    if link.state != "valid":
        raise _STATES.get(link.state, SurveyLinkInvalid)()
    return link


def _read_form(form: Any) -> Answer:
    """A form; without a star its score is 0, which is refused like any other that is none."""
    score = str(form.get("score") or "").strip()
    return Answer(
        score=int(score) if score in ("1", "2", "3", "4", "5") else 0, comment=str(form.get("comment") or "")
    )


def _refusal(request: AnyRequest, exc: Exception) -> Refusal:
    return refusal_of(request, exc, limit_bytes=BODY_BYTES_MAX, event="survey_failed")


async def _asked_again(request: AnyRequest, exc: Exception, comment: str) -> Response[str]:
    """The form once more with what was wrong, where the link is still good; the words that were typed are kept."""
    refusal = _refusal(request, exc)
    if refusal.status != 422:
        return _refused(request, exc)
    try:
        link = await _look(request)
    except Exception as fault:
        return _refused(request, fault)
    locale = locale_for(request, link.locale)
    return html(form_page(link, locale=locale, refusal=refusal, comment=comment), refusal.status, locale)


def _refused(request: AnyRequest, exc: Exception) -> Response[str]:
    refusal = _refusal(request, exc)
    locale = locale_for(request, None)
    return refused(refusal, closed_page(refusal, locale=locale), locale)


ROUTES: tuple[ControllerRouterHandler, ...] = (show, answer)
