"""The customer's door to see where the engineer is: `GET /t/{token}` a page, `GET /t/{token}/state` the same as JSON.

The token in the address is the right (`pages`).
"""

from typing import Any

from litestar import MediaType, Response, get
from litestar.types import ControllerRouterHandler

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
from callout_backend.web.track_page import closed_page, seen_page, shown
from callout_dispatch.arrivals import tracking
from callout_store.errors import Refusal

PATH = "/t"


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
        return refused(refusal, closed_page(refusal, locale=locale), locale)


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
    async with database_of(request).work(tracking.organisation_of(token), actor=CUSTOMER) as work:
        return await tracking.look(work, token)


def _refusal(request: AnyRequest, exc: Exception) -> Refusal:
    return refusal_of(request, exc, limit_bytes=0, event="track_failed")


ROUTES: tuple[ControllerRouterHandler, ...] = (show, state)
