"""Around every request: its id, its log line, its measure, its headers, its body's deadline.

A plain ASGI wrapper and not Litestar middleware, because Litestar runs middleware only for addresses it knows:
a scan of addresses that do not exist must be seen in the log and in the metrics too.
"""

import asyncio
import re
import time
from typing import Any

import structlog
from litestar.enums import ScopeType
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from callout_backend.ops import metrics
from callout_store.errors import BodyTooSlow
from callout_store.ids import new_id

log = structlog.get_logger("callout.access")

REQUEST_ID = re.compile(rb"^[A-Za-z0-9_.-]{1,64}$")
BODY_PATIENCE = 8
"""The whole body may take this many times as long as one silence in it: a bad line is slow, an attack is endless."""
QUIET_ROUTES = frozenset({"/healthz", "/readyz", "/metrics"})
NO_ROUTE = "(none)"
STATIC = "/static/"
EVENT_STREAM = b"text/event-stream; charset=utf-8"
OWN_PACE = "/v1/uploads"
"""Photos over a bad line take their time: their door has bounds of its own."""

CONTENT_SECURITY_POLICY = (
    "default-src 'self'; img-src 'self' data: blob:; object-src 'none'; base-uri 'none'; form-action 'self'; "
    "frame-ancestors 'none'"
)
SECURITY_HEADERS: tuple[tuple[bytes, bytes], ...] = (
    (b"content-security-policy", CONTENT_SECURITY_POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    # A sign-off link's token stands in its path and must not travel on as a Referer.
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"x-frame-options", b"DENY"),
)


class Envelope:
    """Wraps the application's ASGI handler."""

    def __init__(self, app: ASGIApp, *, body_seconds_max: int) -> None:
        self.app = app
        self.body_seconds_max = body_seconds_max

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request_id = incoming_id(scope) or str(new_id())
        with structlog.contextvars.bound_contextvars(request_id=request_id):
            if scope["type"] == ScopeType.WEBSOCKET:
                await self.app(scope, receive, send)
            else:
                await self._http(scope, receive, send, request_id)

    async def _http(self, scope: Any, receive: Receive, send: Send, request_id: str) -> None:
        started = time.perf_counter()
        status = 500
        stream_began: float | None = None

        async def answer(message: Message) -> None:
            nonlocal status, stream_began
            if message["type"] == "http.response.start":
                status = message["status"]
                if (b"content-type", EVENT_STREAM) in message.get("headers", ()):
                    stream_began = time.perf_counter()
                message["headers"] = _with_headers(list(message.get("headers", [])), scope, request_id)
            await send(message)

        try:
            patient = scope["path"].startswith(OWN_PACE)
            await self.app(
                scope, receive if patient else _with_deadline(receive, self.body_seconds_max), answer
            )
        finally:
            route = scope.get("path_template") or NO_ROUTE
            took_s = time.perf_counter() - started
            # A stream is open for hours by design: what was waited for is its beginning.
            waited_s = took_s if stream_began is None else stream_began - started
            metrics.observe_request(scope["method"], route, status, waited_s)
            write = log.debug if route in QUIET_ROUTES and status < 500 else log.info
            # The route's template: the path itself may hold a sign-off token, the query string anything.
            write(
                "request", method=scope["method"], route=route, status=status, took_ms=round(took_s * 1000, 1)
            )


def incoming_id(scope: Any) -> str | None:
    """The caller's X-Request-Id, where it is harmless to write into a log."""
    for name, value in scope["headers"]:
        if name == b"x-request-id" and REQUEST_ID.match(value):
            return str(value.decode("ascii"))
    return None


def _with_headers(
    headers: list[tuple[bytes, bytes]], scope: Any, request_id: str
) -> list[tuple[bytes, bytes]]:
    present = {name.lower() for name, _ in headers}
    headers.append((b"x-request-id", request_id.encode()))
    headers.extend(pair for pair in SECURITY_HEADERS if pair[0] not in present)
    if b"cache-control" not in present:
        headers.append((b"cache-control", _cache_control(scope)))
    return headers


def _cache_control(scope: Any) -> bytes:
    if not scope["path"].startswith(STATIC):
        return b"no-store"
    # `callout_backend.web.assets.asset` puts the content's hash into the address: that content never changes.
    return (
        b"public, max-age=31536000, immutable" if b"v=" in scope["query_string"] else b"public, max-age=300"
    )


def _with_deadline(receive: Receive, seconds: int) -> Receive:
    complete = False
    ends_at: float | None = None

    async def limited() -> Any:
        nonlocal complete, ends_at
        if complete:
            # Afterwards the server waits here for the caller to hang up, as long as the answer takes.
            return await receive()
        now = time.monotonic()
        ends_at = ends_at or now + seconds * BODY_PATIENCE
        try:
            message = await asyncio.wait_for(receive(), min(seconds, max(0.0, ends_at - now)))
        except TimeoutError:
            complete = True
            raise BodyTooSlow(seconds=seconds) from None
        complete = message["type"] != "http.request" or not message.get("more_body", False)
        return message

    return limited
