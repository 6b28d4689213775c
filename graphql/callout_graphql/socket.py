"""The protocol graphql-transport-ws, and no other: operations over one WebSocket, each with an id of the client's.

Own code rather than Strawberry's handler, so that a socket goes through the same guard, cache and masking as HTTP, and
so that an end of the session can close it.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from typing import Any, Final

import msgspec
import structlog
from graphql import ExecutionResult
from litestar import WebSocket
from litestar.exceptions import WebSocketException

from callout_graphql.context import Context, Services, identify, pick_locale, request_id_now
from callout_graphql.execution import Engine, GraphQLRequest, Reply, masked, refused
from callout_graphql.refusals import SessionOver
from callout_people.principals import Principal
from callout_people.sessions import look_again
from callout_store.errors import DeviceRevoked, NotAuthenticated, Refusal

log = structlog.get_logger(__name__)

PROTOCOL: Final = "graphql-transport-ws"
INIT_WITHIN_S: Final = 10.0
PING_EVERY_S: Final = 20.0
SILENCE_MAX_S: Final = 65.0
"""A phone in a dead spot keeps its socket "open" while nothing passes; three unanswered pings end it."""
OPERATIONS_MAX: Final = 20
MESSAGE_CHARS_MAX: Final = 1_000_000

_encode = msgspec.json.Encoder().encode
AnySocket = WebSocket[Any, Any, Any]


class Payload(GraphQLRequest, frozen=True):
    """What `subscribe` carries: a request as over HTTP."""


class Message(msgspec.Struct, frozen=True):
    """Any message of a client; `payload` is read once its type is known."""

    type: str
    id: str | None = None
    payload: msgspec.Raw = msgspec.Raw()


_decode = msgspec.json.Decoder(Message).decode
_decode_payload = msgspec.json.Decoder(Payload).decode


class _Close(Exception):
    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


async def serve_socket(socket: AnySocket, engine: Engine, services: Services) -> None:
    """Serve one socket until either side ends it."""
    if PROTOCOL not in socket.scope["subprotocols"]:
        await socket.accept()
        await socket.close(code=4406, reason="Subprotocol not acceptable")
        return
    await socket.accept(subprotocols=PROTOCOL)
    await _Session(socket, engine, services).serve()


class _Session:
    def __init__(self, socket: AnySocket, engine: Engine, services: Services) -> None:
        self.socket = socket
        self.engine = engine
        self.services = services
        self.context: Context | None = None
        self.running: dict[str, asyncio.Task[None]] = {}
        self.sending = asyncio.Lock()
        self.heard_at = time.monotonic()
        self.place = contextlib.ExitStack()
        self.ended: asyncio.Future[_Close | None] = asyncio.get_running_loop().create_future()

    async def serve(self) -> None:
        """Read until the client leaves, or until something here decides to close."""
        reader = asyncio.create_task(self._read())
        beat = asyncio.create_task(self._beat())
        try:
            # Every way out of `_read` and `_beat` sets it.
            end = await self.ended
            if end is not None:
                with contextlib.suppress(Exception):
                    await self.socket.close(code=end.code, reason=end.reason)
        finally:
            tasks = [reader, beat, *self.running.values()]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            self.place.close()

    def end(self, end: _Close | None) -> None:
        """Have the socket closed; the first reason counts."""
        if not self.ended.done():
            self.ended.set_result(end)

    async def send(self, **message: Any) -> None:
        """Send one message; a client that has gone ends the session."""
        try:
            async with self.sending:
                await self.socket.send_data(_encode(message).decode())
        except (WebSocketException, RuntimeError, OSError):
            self.end(None)

    async def _beat(self) -> None:
        await asyncio.sleep(INIT_WITHIN_S)
        if self.context is None or self.context.principal is None:
            # Who has not signed in by now holds the socket for nothing.
            self.end(_Close(4408, "Connection initialisation timeout"))
            return
        while True:
            await self.send(type="ping")
            await asyncio.sleep(PING_EVERY_S)
            if time.monotonic() - self.heard_at > SILENCE_MAX_S:
                self.end(_Close(4499, "Silence"))
                return

    async def _read(self) -> None:
        try:
            while True:
                text = await self.socket.receive_text()
                self.heard_at = time.monotonic()
                await self._message(text)
        except _Close as end:
            self.end(end)
        except WebSocketException:
            self.end(None)
        except Exception:
            log.error("socket_fault", exc_info=True)
            self.end(_Close(4500, "Internal error"))

    async def _message(self, text: str) -> None:
        if len(text) > MESSAGE_CHARS_MAX:
            raise _Close(4400, "Message too large")
        try:
            message = _decode(text)
        except (msgspec.MsgspecError, RecursionError, ValueError):
            raise _Close(4400, "Invalid message") from None
        match message.type:
            case "connection_init":
                await self._init(message)
            case "ping":
                await self.send(type="pong")
            case "pong":
                pass
            case "subscribe":
                self._subscribe(message)
            case "complete":
                task = self.running.pop(message.id or "", None)
                if task is not None:
                    task.cancel()
            case _:
                raise _Close(4400, "Unknown message type")

    async def _init(self, message: Message) -> None:
        if self.context is not None:
            raise _Close(4429, "Too many initialisation requests")
        principal = None
        header = self.socket.headers.get("authorization")
        if message.payload:
            try:
                given = msgspec.json.decode(message.payload)
            except (msgspec.MsgspecError, RecursionError, ValueError):
                raise _Close(4400, "Invalid connection_init payload") from None
            if isinstance(given, dict):
                # RxDB sends `{headers: {…}}`.
                for named in (given, given.get("headers")):
                    if isinstance(named, dict):
                        header = named.get("Authorization") or named.get("authorization") or header
        if header:
            try:
                principal = await identify(self.services, str(header))
            except Refusal:
                raise _Close(4403, "Forbidden") from None
            self._take_place(principal)
        self.context = Context(
            self.services,
            principal,
            locale=pick_locale(self.socket.headers.get("accept-language")),
            request_id=request_id_now(),
        )
        await self.send(type="connection_ack")

    def _take_place(self, who: Principal | None) -> None:
        """Sockets are counted together with the streams of `/v1/changes`; of a phone's the newest stay."""
        if who is None or self.services.places is None:
            return
        try:
            ended = self.place.enter_context(self.services.places.place(who))
        except Refusal as refusal:
            raise _Close(4429, refusal.message()) from None
        watch = asyncio.create_task(ended.wait())
        watch.add_done_callback(lambda _: self.end(_Close(4499, "Place taken away")))
        self.place.callback(watch.cancel)

    def _subscribe(self, message: Message) -> None:
        if self.context is None:
            raise _Close(4401, "Unauthorized")
        if message.id is None or not message.payload:
            raise _Close(4400, "Invalid message")
        if message.id in self.running:
            raise _Close(4409, f"Subscriber for {message.id[:64]} already exists")
        if len(self.running) >= OPERATIONS_MAX:
            raise _Close(4429, "Too many operations")
        try:
            request = _decode_payload(message.payload)
        except (msgspec.MsgspecError, RecursionError, ValueError):
            raise _Close(4400, "Invalid subscribe payload") from None
        task = asyncio.create_task(
            self._run(message.id, request, self.context, may_hold_nul=b"\\u0000" in bytes(message.payload))
        )
        self.running[message.id] = task

    async def _run(
        self, id_: str, request: GraphQLRequest, opened_as: Context, *, may_hold_nul: bool
    ) -> None:
        # Loaders remember what they read, so that every operation gets a context of its own.
        context = Context(
            self.services,
            opened_as.principal,
            locale=opened_as.asked_locale,
            request_id=opened_as.request_id,
            base_url=opened_as.base_url,
        )
        try:
            if context.principal is not None:
                # A socket outlives what it was opened with: rights may have changed, the session may be over.
                context.principal = await self._stands(context.principal)
            opened = await self.engine.open(request, context, may_hold_nul=may_hold_nul)
            if isinstance(opened, Reply):
                await self._send_reply(id_, opened)
            else:
                await self._send_stream(id_, opened, context)
        except SessionOver:
            self.end(_Close(4403, "Forbidden"))
        except Refusal as refusal:
            await self.send(id=id_, type="error", payload=refused(refusal, context).body["errors"])
        except Exception as fault:
            await self.send(
                id=id_, type="error", payload=refused(masked(fault, context), context).body["errors"]
            )
        finally:
            if self.running.get(id_) is asyncio.current_task():
                del self.running[id_]

    async def _stands(self, who: Principal) -> Principal:
        try:
            return await look_again(self.services.db, self.services.issuer, who)
        except (NotAuthenticated, DeviceRevoked):
            raise SessionOver() from None

    async def _send_reply(self, id_: str, reply: Reply) -> None:
        if reply.refused is not None:
            await self.send(id=id_, type="error", payload=reply.body["errors"])
            return
        await self.send(id=id_, type="next", payload=reply.body)
        await self.send(id=id_, type="complete")

    async def _send_stream(self, id_: str, stream: AsyncIterator[ExecutionResult], context: Context) -> None:
        try:
            async for result in stream:
                await self.send(id=id_, type="next", payload=self.engine.reply(result, context).body)
        finally:
            close = getattr(stream, "aclose", None)
            if close is not None:
                await close()
        await self.send(id=id_, type="complete")
