"""The customer's door to see where the engineer is: `GET /t/{token}` a page, `GET /t/{token}/state` the same as JSON.

No account and no cookie: the token in the address is the right, and is kept out of logs, Referer and caches like that of
the sign-off page.
"""

import math
from typing import Any

import structlog
from litestar import MediaType, Request, Response, get
from litestar.types import ControllerRouterHandler

from callout_backend.doors.signoff import CUSTOMER, HEADERS, html, locale_for
from callout_backend.problems import current_request_id, problem_response, translate
from callout_backend.web.track_page import closed_page, seen_page, shown
from callout_dispatch.arrivals import tracking
from callout_store.errors import InternalFault, Refusal
from callout_store.work import Database

PATH = "/t"

log = structlog.get_logger(__name__)

AnyRequest = Request[Any, Any, Any]


@get("/t/{token:str}", media_type=MediaType.HTML, include_in_schema=False)
async def show(request: AnyRequest) -> Response[str]:
    """The page of a link: 200, 410 expired, 404 unknown."""
    try:
        seen, spoken = await _look(request)
        locale = locale_for(request, spoken)
        address = f"{PATH}/{request.path_params['token']}/state"
        return html(seen_page(seen, locale=locale, state_address=address), 200, locale)
    except Exception as exc:
        refusal = _refusal(request, exc)
        locale = locale_for(request, None)
        answer = html(closed_page(refusal, locale=locale), refusal.status, locale)
        if refusal.retry_after_ms is not None:
            answer.headers["Retry-After"] = str(math.ceil(refusal.retry_after_ms / 1000))
        return answer


@get("/t/{token:str}/state", include_in_schema=False)
async def state(request: AnyRequest) -> Response[Any]:
    """What the page shows now, for its script and for apps: the lines in both languages, the sketch, and the bare values."""
    try:
        seen, _ = await _look(request)
    except Exception as exc:
        return problem_response(_refusal(request, exc), request, headers=HEADERS)
    return Response({**shown(seen), "seen": seen}, headers=HEADERS, media_type=MediaType.JSON)


async def _look(request: AnyRequest) -> tuple[tracking.Seen, str]:
    token: str = request.path_params["token"]
    database: Database = request.app.state.db
    async with database.work(tracking.organisation_of(token), actor=CUSTOMER) as work:
        return await tracking.look(work, token)


def _refusal(request: AnyRequest, exc: Exception) -> Refusal:
    refusal = translate(exc, limit_bytes=0, method=request.method)
    if refusal is None:
        log.error("track_failed", exc_info=exc)
        return InternalFault(request_id=current_request_id() or "?")
    return refusal


ROUTES: tuple[ControllerRouterHandler, ...] = (show, state)
