"""The agent's desk: `GET /desk` is a page that holds no data; its script signs in and asks `/graphql` like any client."""

from typing import Any

from litestar import MediaType, Request, Response, get
from litestar.types import ControllerRouterHandler

from callout_backend.doors.pages import html, locale_for
from callout_backend.web.desk_page import desk_page


@get("/desk", media_type=MediaType.HTML, include_in_schema=False)
async def desk(request: Request[Any, Any, Any]) -> Response[str]:
    """The page, in the visitor's language."""
    locale = locale_for(request, None)
    return html(desk_page(locale), 200, locale)


ROUTES: tuple[ControllerRouterHandler, ...] = (desk,)
