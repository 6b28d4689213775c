"""Content coding of answers and of request bodies, through the application as it is served."""

import gzip
import json
import os
import zlib
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
import zstandard
from graph import Graph, application, token_of
from hypothesis import given
from hypothesis import strategies as st
from worlds import World

from callout_backend.ops.compression import Compression, best_coding, unzip, unzstd
from callout_backend.settings import Settings
from callout_store.errors import BadRequestBody, BodyTooLarge, Refusal
from callout_store.work import Database

TYPENAME = b'{"query":"{__typename}"}'
LONG = "query { __schema { types { name description fields { name description } } } }"


@pytest.fixture(scope="module")
async def client(settings: Settings, db: Database) -> AsyncIterator[Any]:
    async with application(settings, db) as both:
        yield both


@pytest.fixture(scope="module")
async def dispatcher(client: Any, db: Database) -> Graph:
    app, http = client
    world = await World(db).build(phones=0)
    assert world.dispatcher.user_id is not None
    return Graph(http, await token_of(db, app.state.issuer, world.org, world.dispatcher.user_id))


async def raw(graph: Graph, query: str, coding: str | None) -> tuple[httpx.Response, bytes]:
    """The answer with its bytes as they travelled."""
    headers = graph.headers(**({"Accept-Encoding": coding} if coding is not None else {}))
    request = graph.client.build_request("POST", "/graphql", json={"query": query}, headers=headers)
    if coding is None:
        del request.headers["accept-encoding"]
    answer = await graph.client.send(request, stream=True)
    body = b"".join([chunk async for chunk in answer.aiter_raw()])
    await answer.aclose()
    return answer, body


@pytest.mark.parametrize(
    ("asked", "coding"),
    (
        ("gzip", "gzip"),
        ("zstd", "zstd"),
        ("gzip, deflate, br, zstd", "zstd"),
        ("zstd;q=0.5, gzip;q=0.8", "gzip"),
        ("*", "zstd"),
        ("GZIP", "gzip"),
        ("br", None),
        ("identity", None),
        ("gzip;q=0, zstd;q=0", None),
        (None, None),
    ),
)
async def test_a_long_answer_is_packed_as_the_client_asks(
    dispatcher: Graph, asked: str | None, coding: str | None
) -> None:
    """A first pull over a weak mobile line is six times as long unpacked; one the client cannot open is worthless."""
    plain, text = await raw(dispatcher, LONG, None)
    answer, body = await raw(dispatcher, LONG, asked)
    assert answer.headers.get("content-encoding") == coding
    assert int(answer.headers["content-length"]) == len(body)
    names = {name.strip() for name in answer.headers["vary"].split(",")}
    assert {"Accept", "Accept-Language", "Authorization", "Accept-Encoding"} <= names
    assert len(answer.headers.get_list("vary")) == 1
    opened = {None: bytes, "gzip": gzip.decompress, "zstd": zstandard.decompress}[coding](body)
    assert json.loads(opened) == json.loads(text)
    assert plain.headers.get("content-encoding") is None
    assert coding is None or len(body) < len(text) / 3


async def test_a_short_answer_travels_as_it_is(dispatcher: Graph) -> None:
    """Packing forty bytes makes them sixty."""
    answer, body = await raw(dispatcher, "{ __typename }", "gzip, zstd")
    assert "content-encoding" not in answer.headers
    assert json.loads(body) == {"data": {"__typename": "Query"}}
    assert "Accept-Encoding" in answer.headers["vary"]


async def test_what_hands_out_tokens_is_never_packed(client: Any) -> None:
    """The length of a packed answer tells about its secret."""
    answer = await client[1].post("/auth/login", json={"x": "y" * 4000}, headers={"Accept-Encoding": "gzip"})
    assert answer.status_code >= 400
    assert "content-encoding" not in answer.headers


async def test_static_files_are_packed_with_a_weak_tag(client: Any) -> None:
    """GraphiQL's script is megabytes; a strong tag on other bytes breaks range requests of caches."""
    page = (await client[1].get("/graphql", headers={"Accept": "text/html"})).text
    script = next(part.split('"')[0] for part in page.split('src="')[1:])
    plain = await client[1].get(script, headers={"Accept-Encoding": "identity"})
    packed = await client[1].get(script, headers={"Accept-Encoding": "gzip"})
    assert packed.headers["content-encoding"] == "gzip"
    assert packed.content == plain.content
    if "etag" in plain.headers:
        assert packed.headers["etag"] == "W/" + plain.headers["etag"].removeprefix("W/")


@pytest.mark.parametrize(
    ("asked", "coding"),
    (
        ("", None),
        (" gzip ; q=1 ", "gzip"),
        ("gzip;q=x", None),
        ("gzip;q=2", None),
        ("gzip;q=nan", None),
        ("gzip;q=-1", None),
        ("*;q=0.1, gzip;q=0", "zstd"),
        ("*;q=0", None),
        ("identity;q=1, gzip;q=0.5", None),
        ("identity;q=0, gzip;q=0.001", "gzip"),
        ("x-gzip", "gzip"),
        (",;,=,", None),
        ("zstd," * 400, "zstd"),
    ),
)
def test_preferences_are_weighed(asked: str, coding: str | None) -> None:
    """A client that says q=0 cannot read it; one that names several gets the best of them."""
    assert best_coding(asked) == coding


@given(st.text(max_size=80))
def test_no_header_breaks_the_choice(asked: str) -> None:
    """A header that raises would be a way to make every answer a 500."""
    assert best_coding(asked) in (None, "gzip", "zstd")


def bomb(coding: str) -> bytes:
    zeros = b"0" * 50_000_000
    return gzip.compress(zeros, 9) if coding == "gzip" else zstandard.ZstdCompressor(level=3).compress(zeros)


def zstd(body: bytes) -> bytes:
    return zstandard.ZstdCompressor().compress(body)


def wide(body: bytes) -> bytes:
    """A frame that asks the reader to remember 128 MB."""
    parameters = zstandard.ZstdCompressionParameters(window_log=27, write_content_size=0)
    packing = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    return packing.compress(body) + packing.flush()


@pytest.mark.parametrize(
    ("coding", "body", "status", "code"),
    (
        ("gzip", gzip.compress(TYPENAME), 200, None),
        ("x-gzip", gzip.compress(TYPENAME), 200, None),
        ("zstd", zstd(TYPENAME), 200, None),
        ("ZSTD", zstandard.ZstdCompressor(write_content_size=False).compress(TYPENAME), 200, None),
        ("identity", TYPENAME, 200, None),
        ("gzip", bomb("gzip"), 413, "BODY_TOO_LARGE"),
        ("zstd", bomb("zstd"), 413, "BODY_TOO_LARGE"),
        ("gzip", gzip.compress(TYPENAME)[:-9], 400, "BAD_BODY"),
        ("zstd", zstd(TYPENAME)[:-3], 400, "BAD_BODY"),
        ("gzip", TYPENAME, 400, "BAD_BODY"),
        ("zstd", TYPENAME, 400, "BAD_BODY"),
        ("gzip", zlib.compress(TYPENAME), 400, "BAD_BODY"),
        ("gzip", gzip.compress(TYPENAME) * 2, 400, "BAD_BODY"),
        ("zstd", zstd(TYPENAME) * 2, 400, "BAD_BODY"),
        ("zstd", wide(os.urandom(2000)), 400, "BAD_BODY"),
        ("gzip", b"", 400, "BAD_BODY"),
        ("br", b"x", 415, "UNSUPPORTED_ENCODING"),
        ("gzip, zstd", b"x", 415, "UNSUPPORTED_ENCODING"),
        ("deflate", zlib.compress(TYPENAME), 415, "UNSUPPORTED_ENCODING"),
    ),
)
async def test_packed_bodies_are_opened_or_refused_by_code(
    dispatcher: Graph, coding: str, body: bytes, status: int, code: str | None
) -> None:
    """A phone packs a week of offline work; a bomb must not take the memory that other phones need."""
    answer = await dispatcher.raw(body, **{"Content-Encoding": coding})
    found = answer.json()
    assert answer.status_code == status, found
    assert (found["errors"][0]["extensions"]["code"] if code else found["data"]["__typename"]) == (
        code or "Query"
    )


async def test_rest_doors_open_packed_bodies_too(client: Any, dispatcher: Graph) -> None:
    """A bridge that packs its orders gets the same refusals as one that does not; problem details, not a fault."""
    for body, coding, status, code in (
        (gzip.compress(b"{}"), "gzip", 422, "BAD_FIELD"),
        (zstd(b"{}"), "zstd", 422, "BAD_FIELD"),
        (bomb("zstd"), "zstd", 413, "BODY_TOO_LARGE"),
        (b"x", "gzip", 400, "BAD_BODY"),
        (b"x", "br", 415, "UNSUPPORTED_ENCODING"),
    ):
        headers = dispatcher.headers(**{"Content-Encoding": coding, "Content-Type": "application/json"})
        answer = await client[1].post("/v1/work-orders", content=body, headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (status, code)


@given(st.binary(max_size=300), st.sampled_from((unzip, unzstd)))
def test_no_bytes_break_the_openers(packed: bytes, opener: Any) -> None:
    """Whatever a library raises beside its own error would be a fault of ours, and a way to fill the log."""
    try:
        assert len(opener(packed, 1000)) <= 1000
    except Refusal as refusal:
        assert isinstance(refusal, BadRequestBody | BodyTooLarge)  # noqa: PT017


@given(st.binary(max_size=5000))
def test_what_was_packed_comes_back(body: bytes) -> None:
    """An opener that loses a byte loses a signature."""
    for packed, opener in ((gzip.compress(body), unzip), (zstd(body), unzstd)):
        assert opener(packed, 5000) == body
        if body:
            with pytest.raises(BodyTooLarge):
                opener(packed, len(body) - 1)


async def through(
    headers: list[tuple[bytes, bytes]],
    pieces: list[bytes],
    *,
    status: int = 200,
    method: str = "GET",
    path: str = "/x",
    asked: bytes = b"gzip",
) -> tuple[dict[bytes, bytes], bytes]:
    """Headers and body that leave the layer around an application that answers so."""
    sent: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": status, "headers": headers})
        for n, piece in enumerate(pieces):
            await send({"type": "http.response.body", "body": piece, "more_body": n < len(pieces) - 1})

    async def receive() -> Any:
        return {"type": "http.request"}

    async def send(message: Any) -> None:
        sent.append(message)

    scope: Any = {"type": "http", "method": method, "path": path, "headers": [(b"accept-encoding", asked)]}
    await Compression(app, body_bytes_max=1000)(scope, receive, send)
    return dict(sent[0]["headers"]), b"".join(message["body"] for message in sent[1:])


LONG_TEXT = b"callout " * 1000


@pytest.mark.parametrize(
    ("kind", "status", "more"),
    (
        (b"text/event-stream; charset=utf-8", 200, []),
        (b"image/png", 200, []),
        (b"application/octet-stream", 200, []),
        (b"application/json", 200, [(b"content-encoding", b"br")]),
        (b"application/json", 206, [(b"content-range", b"bytes 0-7999/9000")]),
        (b"application/json", 200, [(b"cache-control", b"no-transform")]),
    ),
)
async def test_what_must_stay_as_it_is_stays(kind: bytes, status: int, more: list[Any]) -> None:
    """A packed event stream waits in the packer's buffer: its pokes come when nobody needs them any more."""
    given_headers = [(b"content-type", kind), (b"content-length", b"8000"), *more]
    headers, body = await through(given_headers, [LONG_TEXT], status=status)
    assert body == LONG_TEXT
    assert headers == dict(given_headers)


async def test_a_body_in_pieces_is_packed_as_one() -> None:
    """A length that was true before packing would cut the answer off."""
    headers, body = await through(
        [(b"content-type", b"application/json"), (b"content-length", b"24000")], [LONG_TEXT] * 3 + [b""]
    )
    assert b"content-length" not in headers
    assert gzip.decompress(body) == LONG_TEXT * 3
    headers, body = await through([(b"content-type", b"text/html")], [LONG_TEXT, LONG_TEXT], asked=b"zstd")
    assert zstandard.ZstdDecompressor().decompressobj().decompress(body) == LONG_TEXT * 2


async def test_a_head_request_is_answered_like_its_get() -> None:
    """A cache that learns from HEAD that nothing is packed serves packed bytes as plain ones."""
    long = [(b"content-type", b"application/json"), (b"content-length", b"8000")]
    headers, body = await through(long, [b""], method="HEAD")
    assert (headers[b"content-encoding"], headers[b"vary"], body) == (b"gzip", b"Accept-Encoding", b"")
    assert b"content-length" not in headers
    headers, _ = await through(
        [(b"content-type", b"application/json"), (b"content-length", b"8")], [b""], method="HEAD"
    )
    assert (headers.get(b"content-encoding"), headers[b"content-length"]) == (None, b"8")


@pytest.mark.parametrize("status", (204, 304))
async def test_answers_without_a_body_get_none(status: int) -> None:
    """A body after a 304 is read as the beginning of the next answer."""
    headers, body = await through([(b"etag", b'"a"')], [b""], status=status)
    assert (body, headers[b"etag"]) == (b"", b'"a"')
    assert (headers.get(b"vary") == b"Accept-Encoding") is (status == 304)


async def test_customers_pages_are_not_packed() -> None:
    """Their address is the secret that signs."""
    headers, body = await through([(b"content-type", b"text/html")], [LONG_TEXT], path="/s/token")
    assert (body, b"content-encoding" in headers) == (LONG_TEXT, False)
