"""Content coding both ways: answers packed for those who ask for it, packed request bodies opened.

Answers are packed with zstd (preferred) or gzip at their fastest level, where the content is text or JSON and longer than
BYTES_MIN. Packing an answer that holds both a secret and what an attacker may choose would leak the secret through its
length (BREACH). That needs a victim's client that sends the attacker's requests with the victim's rights; ours are asked
with a bearer token, which no foreign page can make a browser send. To be sure, what hands out tokens (`/auth/`) and the
customers' pages, whose address is the secret (`/s/`, `/q/`), are never packed.

A packed body is opened at most to the largest body that any door takes: each door's own, smaller limit still holds.
"""

import zlib
from collections.abc import Callable
from typing import Any, Final, Protocol

import zstandard
from litestar.enums import ScopeType
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from callout_store.errors import BadRequestBody, BodyTooLarge, UnsupportedEncoding

BYTES_MIN: Final = 1024
NEVER: Final = ("/auth/", "/q/", "/s/")
LEVEL: Final = 1
WINDOW_BYTES_MAX: Final = 8 * 1024 * 1024
"""What a zstd frame may ask us to remember; RFC 8878 recommends that decoders allow this much."""
HEADER_CHARS_MAX: Final = 500
GZIP: Final = 16 + zlib.MAX_WBITS
UPLOAD: Final = b"application/offset+octet-stream"
"""An upload's bytes are stored as they come: their door says what it thinks of a coding."""
CODINGS: Final = ("zstd", "gzip")
"""Of ours, the ones liked best first."""


class Compression:
    """Wraps an ASGI application."""

    def __init__(self, app: ASGIApp, *, body_bytes_max: int) -> None:
        self.app = app
        self.body_bytes_max = body_bytes_max

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == ScopeType.WEBSOCKET:
            await self.app(scope, receive, send)
            return
        headers = {name.lower(): value for name, value in scope["headers"]}
        coding = headers.get(b"content-encoding", b"").decode("latin-1").strip().lower()
        if coding and headers.get(b"content-type", b"").split(b";")[0].strip().lower() != UPLOAD:
            scope["headers"] = [
                (name, value)
                for name, value in scope["headers"]
                if name.lower() not in (b"content-encoding", b"content-length")
            ]
            if coding != "identity":
                receive = _opened(receive, coding, self.body_bytes_max)
        if not scope["path"].startswith(NEVER):
            asked = headers.get(b"accept-encoding", b"").decode("latin-1")
            send = _Packer(send, best_coding(asked), is_head=scope["method"] == "HEAD")
        await self.app(scope, receive, send)


# --- answers -----------------------------------------------------------------------------------------------------


def best_coding(accept_encoding: str) -> str | None:
    """The coding of ours that `Accept-Encoding` weighs highest; None where it wants none, or prefers plain bytes."""
    weights: dict[str, float] = {}
    for part in accept_encoding[:HEADER_CHARS_MAX].split(","):
        name, _, params = part.partition(";")
        weight = 1.0
        if params.strip():
            key, _, value = params.partition("=")
            try:
                weight = float(value) if key.strip().lower() == "q" else 0.0
            except ValueError:
                weight = 0.0
        weights[name.strip().lower()] = weight if 0.0 <= weight <= 1.0 else 0.0
    weights.setdefault("gzip", weights.get("x-gzip", weights.get("*", 0.0)))
    weights.setdefault("zstd", weights.get("*", 0.0))
    best = max(CODINGS, key=lambda coding: weights[coding])
    return best if weights[best] > 0 and weights[best] >= weights.get("identity", 0.0) else None


class _Packed(Protocol):
    """What both libraries offer for a body that comes in pieces."""

    def compress(self, data: bytes, /) -> bytes: ...
    def flush(self) -> bytes: ...


def packer(coding: str) -> _Packed:
    """A fresh packer for one body."""
    if coding == "gzip":
        return zlib.compressobj(LEVEL, zlib.DEFLATED, GZIP)
    return zstandard.ZstdCompressor(level=LEVEL).compressobj()


def pack(coding: str, body: bytes) -> bytes:
    """A whole body, packed."""
    if coding == "gzip":
        return zlib.compress(body, LEVEL, GZIP)
    # Tells the length of what is inside, so that the reader makes room for it at once.
    return zstandard.ZstdCompressor(level=LEVEL).compress(body)


class _Packer:
    """`send` of one answer: the start is held back until the first piece of the body shows how long it is."""

    def __init__(self, send: Send, coding: str | None, *, is_head: bool) -> None:
        self.send, self.coding, self.is_head = send, coding, is_head
        self.start: Any = None
        self.packing: _Packed | None = None

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = list(message.get("headers", ()))
            if not _may_be_packed(message["status"], headers):
                await self.send(message)
                return
            message["headers"] = _varied(headers)
            if self.coding is None:
                await self.send(message)
            else:
                self.start = message
            return
        if message["type"] != "http.response.body":
            await self._begin(packed=False)
            await self.send(message)
            return
        body, more = message.get("body", b""), message.get("more_body", False)
        if self.start is not None:
            body = await self._first(body, more)
        elif self.packing is not None:
            body = self.packing.compress(body) + (b"" if more else self.packing.flush())
        await self.send({"type": "http.response.body", "body": body, "more_body": more})

    async def _first(self, body: bytes, more: bool) -> bytes:
        assert self.coding is not None
        if self.is_head:
            # As the same GET would have been answered, but for the length, which only packing would tell.
            await self._begin(packed=_length(self.start["headers"]) > BYTES_MIN)
            return body
        if not more:
            if len(body) <= BYTES_MIN:
                await self._begin(packed=False)
                return body
            small = pack(self.coding, body)
            await self._begin(packed=True, length=len(small))
            return small
        if 0 <= _length(self.start["headers"]) <= BYTES_MIN:
            await self._begin(packed=False)
            return body
        await self._begin(packed=True)
        self.packing = packer(self.coding)
        return self.packing.compress(body)

    async def _begin(self, *, packed: bool, length: int | None = None) -> None:
        start, self.start = self.start, None
        if start is None:
            return
        if packed:
            assert self.coding is not None
            kept = [(name, value) for name, value in start["headers"] if name.lower() != b"content-length"]
            # What is packed is another sequence of bytes: a strong tag would claim that it is the same.
            headers = [
                (name, b"W/" + value) if name.lower() == b"etag" and value.startswith(b'"') else (name, value)
                for name, value in kept
            ]
            headers.append((b"content-encoding", self.coding.encode()))
            if length is not None:
                headers.append((b"content-length", str(length).encode()))
            start["headers"] = headers
        await self.send(start)


def _may_be_packed(status: int, headers: list[tuple[bytes, bytes]]) -> bool:
    """Whether this answer's content is one that is packed for those who ask for it (a 304 stands for one)."""
    found = {name.lower(): value for name, value in headers}
    if status < 200 or status in (204, 206) or b"content-encoding" in found or b"content-range" in found:
        return False
    if b"no-transform" in found.get(b"cache-control", b"").lower():
        return False
    kind = found.get(b"content-type", b"").split(b";")[0].strip().lower()
    return kind != b"text/event-stream" and (
        kind.startswith(b"text/")
        or kind.endswith((b"json", b"javascript", b"xml"))
        or (status == 304 and not kind)
    )


def _varied(headers: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """The headers with `Accept-Encoding` in their `Vary`."""
    given = b", ".join(value for name, value in headers if name.lower() == b"vary")
    names = {name.strip().lower() for name in given.split(b",")}
    if names & {b"*", b"accept-encoding"}:
        return headers
    rest = [(name, value) for name, value in headers if name.lower() != b"vary"]
    return [*rest, (b"vary", given + b", Accept-Encoding" if given else b"Accept-Encoding")]


def _length(headers: list[tuple[bytes, bytes]]) -> int:
    """The stated length; -1 where there is none."""
    for name, value in headers:
        if name.lower() == b"content-length":
            return int(value)
    return -1


# --- bodies of requests ------------------------------------------------------------------------------------------


def _opened(receive: Receive, coding: str, limit: int) -> Receive:
    """`receive` that gives the opened body as one message. Its refusals are raised to the door that reads it."""
    done = False

    async def opened() -> Any:
        nonlocal done
        if done:
            return await receive()
        open_ = OPENERS.get(coding)
        if open_ is None:
            raise UnsupportedEncoding(given=coding[:40])
        packed = bytearray()
        while True:
            message = await receive()
            if message["type"] != "http.request":
                return message
            packed += message.get("body", b"")
            if len(packed) > limit:
                raise BodyTooLarge(limit=limit)
            if not message.get("more_body", False):
                break
        done = True
        body = open_(bytes(packed), limit) if packed else b""
        return {"type": "http.request", "body": body, "more_body": False}

    return opened


def unzip(packed: bytes, limit: int) -> bytes:
    """A gzip body opened, of at most `limit` bytes. Raises BodyTooLarge, BadRequestBody."""
    reader = zlib.decompressobj(GZIP)
    try:
        body = reader.decompress(packed, limit + 1)
    except zlib.error:
        raise BadRequestBody(why="it is not gzip, as its Content-Encoding says") from None
    if len(body) > limit:
        raise BodyTooLarge(limit=limit)
    if not reader.eof or reader.unused_data:
        raise BadRequestBody(why="its gzip stream is cut off, or something follows it")
    return body


def unzstd(packed: bytes, limit: int) -> bytes:
    """A zstd body opened, of at most `limit` bytes. Raises BodyTooLarge, BadRequestBody."""
    reader = zstandard.ZstdDecompressor(max_window_size=WINDOW_BYTES_MAX)
    try:
        # Read by a measure first: only this way of reading stops at a length, and only the other tells a cut.
        if len(reader.stream_reader(packed).read(limit + 1)) > limit:
            raise BodyTooLarge(limit=limit)
        whole = reader.decompressobj()
        body = whole.decompress(packed)
    except zstandard.ZstdError:
        raise BadRequestBody(why="it is not zstd, as its Content-Encoding says") from None
    if not whole.eof or whole.unused_data:
        raise BadRequestBody(why="its zstd frame is cut off, or something follows it")
    return body


OPENERS: Final[dict[str, Callable[[bytes, int], bytes]]] = {"gzip": unzip, "x-gzip": unzip, "zstd": unzstd}
