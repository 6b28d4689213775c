"""Refusals as problem details (RFC 9457), in the caller's language, whatever part of the request went wrong.

Everything a request can meet ends in one `Refusal`: our own are passed on, Litestar's and msgspec's are translated, and
what nobody foresaw becomes `InternalFault`, with its text in the log and not in the answer.
"""

import math
import re
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import asyncpg
import msgspec
import structlog
from litestar import Request, Response
from litestar.enums import ParamType
from litestar.exceptions import (
    HTTPException,
    MethodNotAllowedException,
    NotAuthorizedException,
    NotFoundException,
    PermissionDeniedException,
    SerializationException,
    TooManyRequestsException,
    ValidationException,
)
from litestar.exceptions.http_exceptions import RequestEntityTooLarge
from litestar.handlers import HTTPRouteHandler
from litestar.types import ExceptionHandlersMap

from callout_store.errors import (
    BadField,
    BadRequestBody,
    BodyTooLarge,
    InternalFault,
    MethodRefused,
    NoSuchAddress,
    NotAllowed,
    NotAuthenticated,
    Refusal,
    TooManyRequests,
    UnsupportedBody,
)
from callout_store.work import database_faults

log = structlog.get_logger(__name__)

PROBLEM_TYPE = "application/problem+json"
WHY_CHARS_MAX = 200
DISCONNECTED = "client disconnected prematurely"
FIELD_NAMED = re.compile(r"(?:missing required|contains unknown) field `([^`]{1,80})`")
DECODING_MODULES = (
    "litestar/serialization/",
    "litestar/_parsers",
    "litestar/_multipart",
    "litestar/_signature/",
)


def locale_of(accept_language: str | None) -> str:
    """`en` or `zh`, whichever of the two the Accept-Language header weighs higher; `en` where it names neither."""
    best, best_weight = "en", 0.0
    for part in (accept_language or "")[:500].split(","):
        name, _, params = part.strip().partition(";")
        primary = name.strip().lower().split("-")[0]
        if primary not in ("en", "zh"):
            continue
        try:
            weight = float(params.strip().removeprefix("q=")) if params.strip() else 1.0
        except ValueError:
            continue
        if weight > best_weight:
            best, best_weight = primary, weight
    return best


def problem_details(refusal: Refusal, *, locale: str, request_id: str | None) -> dict[str, Any]:
    """The body of a refusal: RFC 9457 members, then code, retryable, retryAfterMs, path, details, requestId."""
    out: dict[str, Any] = {
        "type": f"urn:callout:problem:{refusal.code}",
        "title": refusal.code.replace("_", " ").capitalize(),
        "status": refusal.status,
        "detail": refusal.message(locale),
        **refusal.extensions(),
    }
    if request_id is not None:
        out["requestId"] = request_id
    return out


def problem_response(
    refusal: Refusal, request: Request[Any, Any, Any], *, headers: Mapping[str, str] | None = None
) -> Response[bytes]:
    """The answer of a REST door to a refusal."""
    locale = locale_of(request.headers.get("accept-language"))
    body = problem_details(refusal, locale=locale, request_id=current_request_id())
    sent = {"Content-Language": locale, "Vary": "Accept-Language", **(headers or {})}
    if refusal.retry_after_ms is not None:
        sent["Retry-After"] = str(math.ceil(refusal.retry_after_ms / 1000))
    if isinstance(refusal, NotAuthenticated):
        sent.setdefault("WWW-Authenticate", 'Bearer realm="callout"')
    return Response(
        content=msgspec.json.encode(body), status_code=body["status"], media_type=PROBLEM_TYPE, headers=sent
    )


def current_request_id() -> str | None:
    """The id that the envelope bound to this request."""
    return structlog.contextvars.get_contextvars().get("request_id")


def translate(exc: Exception, *, limit_bytes: int | None = None, method: str = "?") -> Refusal | None:
    """The refusal that stands for `exc`; None where it is a fault of ours."""
    if isinstance(exc, Refusal):
        return exc
    if isinstance(exc, HTTPException):
        return _of_litestar(exc, limit_bytes=limit_bytes, method=method)
    if isinstance(exc, msgspec.ValidationError):
        return field_fault(str(exc))
    if isinstance(exc, msgspec.DecodeError | SerializationException):
        return body_fault(str(exc))
    if isinstance(exc, asyncpg.CharacterNotInRepertoireError | asyncpg.UntranslatableCharacterError):
        # The last net: fields are checked where they are built; PostgreSQL's text refuses what slipped through.
        return BadField(why="the text holds a character that cannot be stored (U+0000)")
    if isinstance(exc, RecursionError | ValueError) and _raised_while_decoding(exc):
        return body_fault("nested too deeply" if isinstance(exc, RecursionError) else "not UTF-8 or not JSON")
    return _of_database(exc)


def body_fault(why: str) -> BadRequestBody:
    """A body that is no JSON (or no form) at all."""
    return BadRequestBody(why=why[:WHY_CHARS_MAX])


def field_fault(text: str) -> BadField:
    """msgspec's sentence ``Expected `int`, got `str` - at `$.location.lat` `` as a field and a reason."""
    why, _, place = text.partition(" - at `$")
    # A place below a wildcard is written `[...]`: then nobody can say which field it is.
    path = "" if "..." in place else place.rstrip("`").replace("[", ".").replace("]", "").strip(".")
    return BadField(path=_with_name(path, why), why=why[:WHY_CHARS_MAX])


def _with_name(path: str, why: str) -> str | None:
    """The path of a field; msgspec names one that is missing or unknown in its sentence and not in the place."""
    named = FIELD_NAMED.search(why)
    return ".".join(part for part in (path, named[1] if named else "") if part) or None


def _of_litestar(exc: HTTPException, *, limit_bytes: int | None, method: str) -> Refusal | None:
    cause = exc.__cause__
    if isinstance(cause, SerializationException):
        inner = cause.__cause__
        return (
            field_fault(str(inner)) if isinstance(inner, msgspec.ValidationError) else body_fault(str(cause))
        )
    if isinstance(exc, ValidationException):
        return _of_validation(exc)
    if isinstance(exc, RequestEntityTooLarge):
        return BodyTooLarge(limit=limit_bytes if limit_bytes is not None else "?")
    if isinstance(exc, NotFoundException):
        return NoSuchAddress()
    if isinstance(exc, MethodNotAllowedException):
        return MethodRefused(method=method)
    if isinstance(exc, NotAuthorizedException):
        return NotAuthenticated()
    if isinstance(exc, PermissionDeniedException):
        return NotAllowed(role="?", what=exc.detail)
    if isinstance(exc, TooManyRequestsException):
        return TooManyRequests()
    if exc.status_code == HTTPStatus.UNSUPPORTED_MEDIA_TYPE:
        return UnsupportedBody()
    if exc.status_code < 500:
        return body_fault(exc.detail)
    return None


def _of_validation(exc: ValidationException) -> Refusal:
    extra = exc.extra
    if isinstance(extra, list) and extra and isinstance(extra[0], dict):
        key, why = extra[0].get("key"), str(extra[0].get("message", ""))
        if key != "data":
            named = None if not key or "..." in key else _as_sent(key, extra[0].get("source"))
            return BadField(path=named, why=why[:WHY_CHARS_MAX])
        # The whole body is of the wrong kind (`null`, `1`, a list), or empty, or lacks a member.
        if why.startswith("Expected") or why == "'data'":
            return body_fault("it is empty" if why == "'data'" else why)
        return BadField(path=_with_name("", why), why=why[:WHY_CHARS_MAX])
    return BadField(why=exc.detail[:WHY_CHARS_MAX])


def _as_sent(key: str, source: object) -> str:
    """A parameter's name as callers write it; Litestar tells the one that it has in our code."""
    first, *rest = key.split("_")
    if source == ParamType.QUERY:
        return first + "".join(word.capitalize() for word in rest)
    return "-".join(word.capitalize() for word in (first, *rest)) if source == ParamType.HEADER else key


def _of_database(exc: Exception) -> Refusal | None:
    """The refusal for a database that went away under a read outside a unit of work."""
    stack = exc.__traceback__
    try:
        with database_faults():
            raise exc
    except Refusal as refusal:
        return refusal
    except Exception:
        return None
    finally:
        # The log shows where it happened, not where it was looked at.
        exc.__traceback__ = stack


def _raised_while_decoding(exc: Exception) -> bool:
    """Whether the innermost frame is Litestar's decoding of the request: then the caller's bytes are at fault."""
    frame = exc.__traceback__
    if frame is None:
        return False
    while frame.tb_next is not None:
        frame = frame.tb_next
    file = frame.tb_frame.f_code.co_filename.replace("\\", "/")
    return any(module in file for module in DECODING_MODULES)


def handle(request: Request[Any, Any, Any], exc: Exception) -> Response[bytes]:
    """Litestar's handler for every exception."""
    refusal = translate(exc, limit_bytes=_limit_of(request), method=request.method)
    if refusal is None and isinstance(exc, HTTPException) and DISCONNECTED in exc.detail:
        refusal = body_fault("it ended early")
    if refusal is None:
        log.error("unhandled_fault", exc_info=exc)
        refusal = InternalFault(request_id=current_request_id() or "?")
    elif refusal.status >= 500:
        log.warning("request_failed", code=refusal.code, exc_info=exc)
    headers = dict(exc.headers) if isinstance(exc, HTTPException) and exc.headers else None
    return problem_response(refusal, request, headers=headers)


def _limit_of(request: Request[Any, Any, Any]) -> int | None:
    """The largest body that the door of this request takes; the application's where no door was found."""
    handler = request.scope.get("route_handler")
    if isinstance(handler, HTTPRouteHandler):
        return handler.resolve_request_max_body_size()
    limit = request.app.request_max_body_size
    return limit if isinstance(limit, int) else None


EXCEPTION_HANDLERS: ExceptionHandlersMap = {HTTPException: handle, Refusal: handle, Exception: handle}
"""For `Litestar(exception_handlers=…)`."""
