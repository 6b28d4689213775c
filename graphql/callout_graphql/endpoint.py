"""`/graphql`: POST for everything, GET for queries and for the page in a browser, WebSocket for subscriptions."""

from collections.abc import AsyncIterator
from typing import Any, Final

import msgspec
from litestar import Controller, MediaType, Request, Response, WebSocket, get, post, websocket

from callout_graphql.context import Context, Services, identify, pick_locale, request_id_now
from callout_graphql.execution import TIMEOUT_S, Engine, GraphQLRequest, Reply, read_request, refused
from callout_graphql.guard import Limits
from callout_graphql.negotiation import PLAIN_JSON, answer_type, is_json, status_of, wants_page
from callout_graphql.refusals import NotAcceptable
from callout_graphql.schema import engine
from callout_graphql.socket import serve_socket
from callout_people.sessions import Remembered
from callout_store.errors import BadRequestBody, BodyTooLarge, Busy, Refusal, UnsupportedBody

BODY_BYTES_MAX: Final = 8 * 1024 * 1024
"""Where the settings do not say. A batch of 50 commands takes some 40 kB, one with signatures up to 600 kB each."""
PAGE_POLICY: Final = (
    "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; font-src 'self' data:; "
    "connect-src 'self' ws: wss:; object-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""GraphiQL's editor writes style elements as it runs; its scripts are files of ours."""

_encode = msgspec.json.Encoder().encode
AnyRequest = Request[Any, Any, Any]


class CalloutGraphQL(Controller):
    """The door. Reads from `app.state`: `db`, `issuer`, `pokes`, `settings`, `graphiql_page` (its HTML, or None)."""

    path = "/graphql"
    tags = ("graphql",)

    @post(status_code=200, request_max_body_size=None, include_in_schema=False)
    async def by_post(self, request: AnyRequest) -> Response[bytes]:
        """A query or mutation in a JSON body."""
        return await _answer(request, by_get=False)

    @get(include_in_schema=False)
    async def by_get(self, request: AnyRequest) -> Response[Any]:
        """GraphiQL for a browser; for others a query in the address."""
        if "query" not in request.query_params and wants_page(request.headers.get("accept")):
            page = getattr(request.app.state, "graphiql_page", None)
            if page is not None:
                return Response(
                    page, media_type=MediaType.HTML, headers={"Content-Security-Policy": PAGE_POLICY}
                )
        return await _answer(request, by_get=True)

    @websocket()
    async def by_socket(self, socket: WebSocket[Any, Any, Any]) -> None:
        """Operations over graphql-transport-ws."""
        await serve_socket(socket, _engine(socket.app.state), Services.of(socket.app.state))


async def _answer(request: AnyRequest, *, by_get: bool) -> Response[bytes]:
    services, running = Services.of(request.app.state), _engine(request.app.state)
    locale = pick_locale(request.headers.get("accept-language"))
    context = Context(
        services,
        None,
        locale=locale,
        request_id=request_id_now(),
        base_url=_origin(request),
        app_version=request.headers.get("x-app-version"),
    )
    media_type = PLAIN_JSON
    try:
        media_type = answer_type(request.headers.get("accept"))
        if by_get:
            asked, may_hold_nul = _from_address(request)
        else:
            asked, may_hold_nul = read_request(await _body(request))
        compared, header = running.compares(asked), request.headers.get("authorization")
        # A look at the session that is seconds old is good enough to read by, not to write by.
        cached = running.only_reads(asked)
        context.principal = await identify(services, header, cached=cached, compared=compared)
        if compared and context.principal is not None and not context.principal.wiped:
            context.remembered = Remembered(principal=context.principal, at=services.issuer.now())
        reply = await running.run(asked, context, may_hold_nul=may_hold_nul, by_get=by_get)
        if context.remembered is not None and not context.remembered.confirmed and reply.refused is not Busy:
            # Nothing was done in the name of whoever was remembered: now it is told what the database says of them.
            context.remembered = None
            context.principal = await identify(services, header)
            reply = await running.run(asked, context, may_hold_nul=may_hold_nul, by_get=by_get)
    except Refusal as refusal:
        reply = refused(refusal, context)
    return _response(reply, media_type)


def _engine(state: Any) -> Engine:
    settings = getattr(state, "settings", None)
    return engine(
        int(getattr(settings, "graphql_tokens_max", Limits.tokens)),
        # Before the database's own limit for a statement, so that it is this door that answers.
        min(TIMEOUT_S, float(getattr(settings, "request_seconds_max", TIMEOUT_S))),
    )


def _response(reply: Reply, media_type: str) -> Response[bytes]:
    status = status_of(reply.refused, media_type)
    headers = {"Vary": "Accept, Accept-Language, Authorization"}
    if status == 401:
        headers["WWW-Authenticate"] = 'Bearer realm="callout"'
    if status == 405:
        headers["Allow"] = "POST"
    if status in (429, 503) and reply.body.get("errors"):
        wait_ms = reply.body["errors"][0]["extensions"].get("retryAfterMs", 1000)
        headers["Retry-After"] = str(max(1, -(-wait_ms // 1000)))
    content_type = media_type if reply.refused is not NotAcceptable else PLAIN_JSON
    return Response(
        _encode(reply.body), status_code=status, media_type=f"{content_type}; charset=utf-8", headers=headers
    )


def _from_address(request: AnyRequest) -> tuple[GraphQLRequest, bool]:
    """The request that stands in the address's query string."""
    given = request.query_params
    parts: dict[str, Any] = {"query": given.get("query"), "operationName": given.get("operationName")}
    for name in ("variables", "extensions"):
        text = given.get(name)
        if text:
            try:
                parts[name] = msgspec.json.decode(text)
            except (msgspec.MsgspecError, RecursionError, ValueError) as fault:
                raise BadRequestBody(path=name, why=str(fault)) from None
    if not parts["operationName"]:
        parts["operationName"] = None
    try:
        return msgspec.convert(parts, GraphQLRequest), True
    except msgspec.ValidationError as fault:
        raise BadRequestBody(why=str(fault)) from None


async def _body(request: AnyRequest) -> bytes:
    """The body, as long as it is JSON and within the limit."""
    if not is_json(request.headers.get("content-type")) or request.headers.get("content-encoding"):
        raise UnsupportedBody()
    settings = getattr(request.app.state, "settings", None)
    limit = int(getattr(settings, "body_bytes_max", BODY_BYTES_MAX))
    stated = request.headers.get("content-length", "")
    if stated.isdigit() and (len(stated) > 15 or int(stated) > limit):
        raise BodyTooLarge(limit=limit)
    body = bytearray()
    chunks: AsyncIterator[bytes] = request.stream()
    async for chunk in chunks:
        body += chunk
        if len(body) > limit:
            raise BodyTooLarge(limit=limit)
    return bytes(body)


def _origin(request: AnyRequest) -> str:
    return f"{request.url.scheme}://{request.headers.get('host', '')}"
