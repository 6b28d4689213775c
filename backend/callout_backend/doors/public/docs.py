"""`/v1/openapi.json` and the page that shows it, `/v1/docs`. Both are for everybody: they hold nothing of anybody."""

from functools import cache
from typing import Any

import msgspec
from litestar import MediaType, Response, get
from litestar.types import ControllerRouterHandler

from callout_backend.doors.public.describe import document
from callout_backend.web.assets import api_page
from callout_graphql.endpoint import PAGE_POLICY


@cache
def _packed() -> bytes:
    return msgspec.json.encode(document())


@get("/v1/openapi.json", include_in_schema=False)
async def openapi() -> Response[bytes]:
    """The document."""
    return Response(
        _packed(),
        media_type="application/vnd.oai.openapi+json;version=3.1",
        headers={"Cache-Control": "public, max-age=300", "Access-Control-Allow-Origin": "*"},
    )


@get("/v1/docs", include_in_schema=False, media_type=MediaType.HTML)
async def docs() -> Response[str]:
    """The page."""
    headers: dict[str, Any] = {"Content-Security-Policy": PAGE_POLICY}
    return Response(api_page(), media_type=MediaType.HTML, headers=headers)


ROUTES: tuple[ControllerRouterHandler, ...] = (openapi, docs)
