"""Whatever is sent, the answer says what was wrong, in the caller's language, and never shows our insides."""

import asyncio
import io
from collections import defaultdict
from collections.abc import AsyncIterator
from typing import Annotated, Any, cast

import asyncpg
import httpx
import msgspec
import pytest
from litestar import Litestar, get, post
from litestar.params import FromPath, FromQuery, JSONBody

from callout_backend.app import NoEvents
from callout_backend.ops import logs
from callout_backend.ops.envelope import Envelope
from callout_backend.problems import EXCEPTION_HANDLERS, locale_of
from callout_store.errors import BadField, DatabaseUnavailable, NotAuthenticated, Refusal, StaleRevision

CANARY = "hunter2-canary"
BODY_BYTES_MAX = 50_000


class Point(msgspec.Struct):
    lat: Annotated[float, msgspec.Meta(ge=-90, le=90)]


class Thing(msgspec.Struct):
    name: str
    count: int = 0
    point: Point | None = None


calls: list[Thing] = []


@post("/things")
async def make_thing(data: JSONBody[Thing]) -> dict[str, str]:
    calls.append(data)
    return {"name": data.name}


@get("/things")
async def list_things(limit: FromQuery[int] = 10) -> int:
    return limit


@get("/fault/{kind:str}")
async def fault(kind: FromPath[str]) -> None:
    raise {
        "unforeseen": KeyError(CANARY),
        "stale": StaleRevision(entity="visit", current=7, given=6, path="revision"),
        "busy": DatabaseUnavailable(retry_after_ms=1500),
        "stranger": NotAuthenticated(),
        "away": asyncpg.ConnectionDoesNotExistError(CANARY),
        "nul": asyncpg.CharacterNotInRepertoireError("invalid byte sequence"),
        "recursion": RecursionError(CANARY),
    }[kind]


def make_app() -> Litestar:
    app = Litestar(
        [make_thing, list_things, fault],
        exception_handlers=EXCEPTION_HANDLERS,
        event_emitter_backend=NoEvents,
        request_max_body_size=BODY_BYTES_MAX,
        logging_config=None,
        openapi_config=None,
    )
    app.asgi_handler = Envelope(app.asgi_handler, body_seconds_max=1)
    return app


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    calls.clear()
    app = make_app()
    async with (
        app.lifespan(),
        httpx.AsyncClient(transport=httpx.ASGITransport(cast(Any, app)), base_url="http://t") as http,
    ):
        yield http


def assert_problem(response: httpx.Response, status: int, code: str) -> dict[str, Any]:
    """The answer is a whole problem document of this status and code."""
    assert response.headers["content-type"] == "application/problem+json"
    body: dict[str, Any] = response.json()
    assert (response.status_code, body["status"], body["code"]) == (status, status, code)
    assert body["type"] == f"urn:callout:problem:{code}"
    assert body["requestId"] == response.headers["x-request-id"]
    assert body["detail"]
    assert body["title"]
    return body


@pytest.mark.parametrize(
    ("body", "status", "code"),
    (
        (b"", 400, "BAD_BODY"),
        (b"null", 400, "BAD_BODY"),
        (b"1", 400, "BAD_BODY"),
        (b"[1]", 400, "BAD_BODY"),
        (b"{", 400, "BAD_BODY"),
        (b'{"name":NaN}', 400, "BAD_BODY"),
        (b'{"name":"a","point":{"lat":Infinity}}', 400, "BAD_BODY"),
        (b"\xff\xfe\x00", 400, "BAD_BODY"),
        (b'{"name":"\xff"}', 400, "BAD_BODY"),  # invalid UTF-8 inside a well-formed string
        (b'{"name":"\\ud800"}', 400, "BAD_BODY"),  # half of a surrogate pair
        (b"[" * 40_000, 400, "BAD_BODY"),
        (b'{"name":' + b'{"name":' * 5_000, 400, "BAD_BODY"),
        (b'{"name":"a","count":' + b"9" * 5_000 + b"}", 422, "BAD_FIELD"),
        (b'{"count":1}', 422, "BAD_FIELD"),  # a member is missing
        (b'{"name":5}', 422, "BAD_FIELD"),
        (b"x" * (BODY_BYTES_MAX + 1), 413, "BODY_TOO_LARGE"),
    ),
)
async def test_bad_bodies_are_refused_and_reach_no_handler(
    client: httpx.AsyncClient, body: bytes, status: int, code: str
) -> None:
    """A phone with a bug would be told 500, retry for ever, and fill the error log."""
    response = await client.post("/things", content=body, headers={"content-type": "application/json"})
    assert_problem(response, status, code)
    assert calls == []


async def test_a_nested_field_is_named(client: httpx.AsyncClient) -> None:
    """Without the path, the author of a client searches a batch of 500 commands for the bad one."""
    response = await client.post("/things", json={"name": "a", "point": {"lat": 91}})
    assert assert_problem(response, 422, "BAD_FIELD")["path"] == "point.lat"
    response = await client.get("/things", params={"limit": "many"})
    assert assert_problem(response, 422, "BAD_FIELD")["path"] == "limit"


async def test_addresses_and_methods(client: httpx.AsyncClient) -> None:
    """Mistyped addresses would come back as Litestar's own JSON, which no client of ours reads."""
    assert_problem(await client.get("/nowhere"), 404, "NO_SUCH_ADDRESS")
    response = await client.put("/things", json={})
    assert_problem(response, 405, "METHOD_REFUSED")
    assert "POST" in response.headers["allow"]


async def test_refusals_carry_their_extensions(client: httpx.AsyncClient) -> None:
    """Clients decide by code, retryable and Retry-After; a missing one makes them give up or hammer."""
    body = assert_problem(await client.get("/fault/stale"), 409, "STALE_REVISION")
    assert (body["path"], body["retryable"], body["details"]["current"]) == ("revision", False, 7)
    response = await client.get("/fault/busy")
    body = assert_problem(response, 503, "DATABASE_UNAVAILABLE")
    assert (body["retryable"], body["retryAfterMs"], response.headers["retry-after"]) == (True, 1500, "2")
    response = await client.get("/fault/stranger")
    assert_problem(response, 401, "NOT_AUTHENTICATED")
    assert response.headers["www-authenticate"].startswith("Bearer")


async def test_database_faults_outside_a_unit_of_work(client: httpx.AsyncClient) -> None:
    """A database restart during a plain read must read "try again", not "something broke"."""
    response = await client.get("/fault/away")
    assert_problem(response, 503, "DATABASE_UNAVAILABLE")
    assert CANARY not in response.text
    assert_problem(await client.get("/fault/nul"), 422, "BAD_FIELD")


@pytest.mark.parametrize("kind", ("unforeseen", "recursion"))
async def test_the_unforeseen_is_logged_and_not_shown(client: httpx.AsyncClient, kind: str) -> None:
    """A raw exception's text would leak to the caller; without its stack in the log nobody could mend it."""
    out = io.StringIO()
    logs.configure("json", stream=out)
    response = await client.get(f"/fault/{kind}")
    body = assert_problem(response, 500, "INTERNAL")
    assert CANARY not in response.text
    assert "Traceback" in out.getvalue()
    assert body["requestId"] in out.getvalue()


async def test_the_callers_language(client: httpx.AsyncClient) -> None:
    """An engineer who reads Chinese would be shown English."""
    response = await client.get("/fault/stale", headers={"accept-language": "zh-CN,zh;q=0.9,en;q=0.8"})
    assert response.json()["detail"] == StaleRevision(entity="visit", current=7, given=6).message("zh")
    assert response.headers["content-language"] == "zh"


@pytest.mark.parametrize(
    ("header", "locale"),
    (
        (None, "en"),
        ("", "en"),
        ("fr", "en"),
        ("zh", "zh"),
        ("en;q=0.3, zh-Hant;q=0.4", "zh"),
        ("zh;q=0.1, en", "en"),
        ("zh;q=nonsense", "en"),
        ("," * 5000, "en"),
    ),
)
def test_locale_of(header: str | None, locale: str) -> None:
    """A browser's odd header must choose a language and never fail the request."""
    assert locale_of(header) == locale


async def test_a_body_that_trickles_in_is_cut_off() -> None:
    """Ten thousand sockets that send a byte a minute would hold ten thousand tasks (slow loris)."""
    app = make_app()
    sent: list[dict[str, Any]] = []
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "POST",
        "path": "/things",
        "raw_path": b"/things",
        "root_path": "",
        "scheme": "http",
        "query_string": b"",
        "headers": [(b"content-type", b"application/json")],
        "client": ("127.0.0.1", 1),
        "server": ("t", 80),
    }
    pieces = iter([{"type": "http.request", "body": b'{"na', "more_body": True}])

    async def receive() -> Any:
        for piece in pieces:
            return piece
        await asyncio.Event().wait()

    async def send(message: Any) -> None:
        sent.append(message)

    async with app.lifespan():
        await app(scope, receive, send)  # type: ignore[arg-type]
    assert sent[0]["status"] == 408
    assert msgspec.json.decode(sent[1]["body"])["code"] == "BODY_TOO_SLOW"


def test_every_refusal_speaks_both_languages() -> None:
    """A refusal without a Chinese sentence, or with another class's code, would confuse people or programs."""
    classes = [cls for cls in Refusal.__subclasses__() if not cls.__name__.startswith("_")]
    assert len({cls.code for cls in classes}) == len(classes)
    for cls in classes:
        assert cls.en != Refusal.en, cls
        assert any("\u4e00" <= sign <= "\u9fff" for sign in cls.zh), cls
        # Some are made with what they are about; their sentences must be fit to be filled in all the same.
        assert cls.zh.format_map(defaultdict(str)), cls


def test_details_cannot_inject_into_the_sentence() -> None:
    """A detail that looks like a format field would raise inside the error handler."""
    assert "{x}" in BadField(why="{x}").message("en")
