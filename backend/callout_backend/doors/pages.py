"""What the doors of customers' pages have in common.

No account and no cookie: the token in the address is the right. It is therefore kept out of logs (only the route's template
is logged, and faults are answered here and not by the app, whose messages hold the address), of the Referer (no-referrer)
and of caches (no-store).
"""

import math
from typing import Any, Final

import structlog
from litestar import MediaType, Request, Response

from callout_backend.problems import current_request_id, locale_of, translate
from callout_store.errors import InternalFault, Refusal
from callout_store.work import Actor, Database

HEADERS: Final = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self' data:; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "Referrer-Policy": "no-referrer",
    "Vary": "Accept-Language",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "X-Robots-Tag": "noindex, nofollow",
}
CUSTOMER: Final = Actor(role="customer")

log = structlog.get_logger(__name__)

AnyRequest = Request[Any, Any, Any]


def database_of(request: AnyRequest) -> Database:
    """The app's database."""
    database: Database = request.app.state.db
    return database


def locale_for(request: AnyRequest, of_link: str | None) -> str:
    """The visitor's choice, else the link's language, else the browser's."""
    chosen = request.query_params.get("lang")
    if chosen in ("en", "zh"):
        return str(chosen)
    return of_link or locale_of(request.headers.get("accept-language"))


def html(page: str, status: int, locale: str) -> Response[str]:
    """A page with the headers that every customer's page has."""
    return Response(
        page,
        status_code=status,
        media_type=MediaType.HTML,
        headers={**HEADERS, "Content-Language": locale},
    )


def refusal_of(request: AnyRequest, exc: Exception, *, limit_bytes: int, event: str) -> Refusal:
    """What is answered to `exc`; a fault of ours is logged as `event`."""
    refusal = translate(exc, limit_bytes=limit_bytes, method=request.method)
    if refusal is None:
        log.error(event, exc_info=exc)
        return InternalFault(request_id=current_request_id() or "?")
    return refusal


def refused(refusal: Refusal, page: str, locale: str) -> Response[str]:
    """A page that says why nothing is shown or taken."""
    answer = html(page, refusal.status, locale)
    if refusal.retry_after_ms is not None:
        answer.headers["Retry-After"] = str(math.ceil(refusal.retry_after_ms / 1000))
    return answer
