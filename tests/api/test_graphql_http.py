"""`/graphql` over HTTP: bodies that are no requests, media types, statuses, masking, limits."""

import re
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from graph import Graph, application, token_of
from worlds import World

from callout_backend.settings import Settings
from callout_dispatch import reading as dispatch
from callout_store.work import Database

TYPENAME = b'{"query":"{__typename}"}'
PUSH = "mutation($input: PushInput!) { push(input: $input) { answers { index status code path } } }"
CREATE = "mutation($input: CreateCustomer!) { createCustomer(input: $input) { id } }"


@pytest.fixture(scope="module")
async def world(db: Database) -> World:
    return await World(db).build()


@pytest.fixture(scope="module")
async def client(settings: Settings, db: Database) -> AsyncIterator[Any]:
    async with application(settings, db) as both:
        yield both


@pytest.fixture(scope="module")
async def nobody(client: Any) -> Graph:
    return Graph(client[1])


@pytest.fixture(scope="module")
async def dispatcher(client: Any, world: World) -> Graph:
    app, http = client
    assert world.dispatcher.user_id is not None
    return Graph(http, await token_of(world.db, app.state.issuer, world.org, world.dispatcher.user_id))


@pytest.fixture(scope="module")
async def phone(client: Any, world: World) -> Graph:
    app, http = client
    actor = world.phones[0].actor
    assert actor.user_id is not None
    return Graph(http, await token_of(world.db, app.state.issuer, world.org, actor.user_id, actor.device_id))


def well_refused(answer: httpx.Response, status: int, code: str) -> dict[str, Any]:
    body = answer.json()
    assert answer.status_code == status, body
    assert "data" not in body
    error: dict[str, Any] = body["errors"][0]
    assert error["message"]
    assert error["extensions"]["code"] == code
    assert isinstance(error["extensions"]["retryable"], bool)
    return error


@pytest.mark.parametrize(
    "body",
    (
        b"null",
        b"1",
        b"[]",
        b'"text"',
        b"",
        b"{",
        b'{"query":"{__typename}"}x',
        b'{"query":"\xff"}',
        b"\xef\xbb\xbf{}",
        b"[" * 100_000,
        b'{"query":' * 100_000,
        b'{"query":"{__typename}","variables":{"a":' + b"[" * 100_000,
        b'{"query":"{__typename}","variables":{"a":' + b"1" * 5_000 + b"}}",
        b'{"query":"{__typename}","variables":{"a":NaN}}',
        b'{"query":"{__typename}","variables":{"a":1e999}}',
        b'{"query":"\\ud800"}',  # a lone surrogate
        b'{"query":1}',
        b'{"query":"{__typename}","variables":[]}',
        b'{"query":"{__typename}","operationName":1}',
        b'{"variables":{}}',
        b'[{"query":"{__typename}"}]',  # batches are not served
    ),
    ids=lambda body: body[:24].decode("latin-1"),
)
async def test_bodies_that_are_no_request_are_refused_and_not_a_fault(nobody: Graph, body: bytes) -> None:
    """A broken client must learn what is wrong; a 500 would make it retry for ever and wake somebody at night."""
    well_refused(await nobody.raw(body), 400, "BAD_BODY")


@pytest.mark.parametrize(
    "query", ("{a" * 30_000, "{" * 1900, "{a(x:" + "[" * 1900, "{ " + "a " * 4001 + "}", "#" * 60_000)
)
async def test_monstrous_documents_are_refused_quickly(dispatcher: Graph, query: str) -> None:
    """A document must not cost more than its size: parsing is the first thing a stranger can make the server do."""
    answer = await dispatcher.send(query)
    assert answer.status_code in (200, 400)
    assert answer.json()["errors"][0]["extensions"]["code"] in ("QUERY_TOO_COMPLEX", "GRAPHQL_PARSE_FAILED")


async def test_too_large_a_body_names_the_limit(nobody: Graph, settings: Settings) -> None:
    """A phone that was offline for weeks learns by the limit how to cut its queue."""
    error = well_refused(await nobody.raw(b" " * (settings.body_bytes_max + 1)), 413, "BODY_TOO_LARGE")
    assert str(settings.body_bytes_max) in error["message"]


async def test_a_chunked_body_is_cut_at_the_limit(nobody: Graph, settings: Settings) -> None:
    """Without a Content-Length nothing announces the size: it is counted while it comes in."""

    async def endless() -> AsyncIterator[bytes]:
        for _ in range(settings.body_bytes_max // 65536 + 2):
            yield b" " * 65536

    answer = await nobody.client.post(
        "/graphql", content=endless(), headers={"Content-Type": "application/json"}
    )
    well_refused(answer, 413, "BODY_TOO_LARGE")


@pytest.mark.parametrize(
    "content_type",
    (
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data",
        "application/json; charset=latin-1",
    ),
)
async def test_only_json_is_read(nobody: Graph, content_type: str) -> None:
    """Forms and plain text are what a hostile page can make a browser send unasked."""
    well_refused(await nobody.raw(TYPENAME, **{"Content-Type": content_type}), 415, "UNSUPPORTED_BODY")


@pytest.mark.parametrize(
    ("accept", "expected"),
    (
        ("application/graphql-response+json", "application/graphql-response+json"),
        ("application/json", "application/json"),
        ("*/*", "application/json"),
        ("application/*", "application/json"),
        ("application/graphql-response+json, application/json;q=0.9", "application/graphql-response+json"),
        ("application/json;q=0.2, application/graphql-response+json;q=0.1", "application/json"),
        ("application/graphql-response+json; charset=utf-8, */*;q=0.1", "application/graphql-response+json"),
    ),
)
async def test_the_answer_takes_the_type_that_was_asked_for(
    nobody: Graph, accept: str, expected: str
) -> None:
    """Apollo and urql tell a GraphQL answer from a proxy's error page by its type."""
    answer = await nobody.raw(TYPENAME, Accept=accept)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == f"{expected}; charset=utf-8"
    assert answer.json() == {"data": {"__typename": "Query"}}


async def test_a_type_that_is_not_spoken_is_not_acceptable(nobody: Graph) -> None:
    """A client that can read neither type must not be given one."""
    well_refused(await nobody.raw(TYPENAME, Accept="image/png"), 406, "NOT_ACCEPTABLE")


@pytest.mark.parametrize(
    ("query", "code"),
    (
        ("{", "GRAPHQL_PARSE_FAILED"),
        ("{ nothing }", "GRAPHQL_VALIDATION_FAILED"),
        ("query($id: UUID!) { visit(id: $id) { id } }", "VARIABLES_INVALID"),
        ("query A { __typename } query B { __typename }", "OPERATION_UNKNOWN"),
    ),
)
async def test_a_bad_document_is_200_in_plain_json_and_400_in_the_new_type(
    dispatcher: Graph, query: str, code: str
) -> None:
    """GraphQL over HTTP has it so: clients of plain JSON take any other status for a failure of the line."""
    body = {"query": query}
    plain = await dispatcher.client.post("/graphql", json=body, headers=dispatcher.headers())
    well_refused(plain, 200, code)
    new = await dispatcher.client.post(
        "/graphql", json=body, headers=dispatcher.headers(Accept="application/graphql-response+json")
    )
    well_refused(new, 400, code)


async def test_get_serves_queries_and_no_mutations(dispatcher: Graph) -> None:
    """A link in a mail must not change anything when it is opened."""
    seen = await dispatcher.client.get(
        "/graphql", params={"query": "{ viewer { role } }"}, headers=dispatcher.headers()
    )
    assert seen.json() == {"data": {"viewer": {"role": "dispatcher"}}}
    answer = await dispatcher.client.get(
        "/graphql",
        params={"query": CREATE, "variables": '{"input":{"number":"G-1","name":"By link"}}'},
        headers=dispatcher.headers(),
    )
    well_refused(answer, 405, "ONLY_QUERIES_BY_GET")
    assert answer.headers["allow"] == "POST"
    bad = await dispatcher.client.get("/graphql", params={"query": "{__typename}", "variables": "["})
    well_refused(bad, 400, "BAD_BODY")


async def test_a_browser_gets_the_page_and_nothing_from_elsewhere(nobody: Graph) -> None:
    """In a plant without internet the page must work: every file of it is ours."""
    page = await nobody.client.get(
        "/graphql", headers={"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
    )
    assert page.headers["content-type"].startswith("text/html")
    policy = page.headers["content-security-policy"]
    assert "default-src 'self'" in policy
    assert "script-src" not in policy
    files = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert len(files) >= 6
    for file in files:
        assert file.startswith("/static/")
        assert (await nobody.client.get(file)).status_code == 200


@pytest.mark.parametrize("text", ("a\0b", "\0"))
async def test_nul_is_refused_before_anything_is_stored(dispatcher: Graph, world: World, text: str) -> None:
    """PostgreSQL cannot store U+0000: it must be the caller's fault and not ours."""
    before = await world.value("select count(*) from customer")
    answer = await dispatcher.send(CREATE, {"input": {"number": "N-1", "name": text}})
    error = well_refused(answer, 400, "NUL_CHARACTER")
    assert error["extensions"]["path"] == "variables.input.name"
    written = await dispatcher.send(
        'mutation { createCustomer(input: {number: "N-2", name: "a\\u0000b"}) { id } }'
    )
    well_refused(written, 400, "NUL_CHARACTER")
    assert await world.value("select count(*) from customer") == before


async def test_nul_in_a_command_stops_that_command_only(phone: Graph, world: World) -> None:
    """A note with a stray character must not hold back the rest of the day's work: push keeps it for a person."""
    device = world.phones[0]
    visit = await world.visit(device)
    good = device.command("visit.note", visit, {"text": "fine"})
    bad = device.command("visit.note", visit, {"text": "a\0b"})
    data = await phone.ask(PUSH, {"input": {"sentAt": good["deviceTime"], "commands": [bad, good]}})
    assert [answer["status"] for answer in data["push"]["answers"]] == ["quarantined", "applied"]
    assert data["push"]["answers"][0]["code"] == "NUL_CHARACTER"


async def test_the_language_of_a_refusal_is_the_callers(nobody: Graph) -> None:
    """A dispatcher who reads Chinese must not be answered in English."""
    body = b'{"query":"{viewer{name}}"}'
    chinese = (await nobody.raw(body, **{"Accept-Language": "fr, zh-CN;q=0.9, en;q=0.5"})).json()
    english = (await nobody.raw(body, **{"Accept-Language": "en"})).json()
    assert "请先登录" in chinese["errors"][0]["message"]
    assert english["errors"][0]["message"].startswith("Sign in first")
    assert chinese["errors"][0]["extensions"]["code"] == "NOT_AUTHENTICATED"
    assert chinese["data"] is None


@pytest.mark.parametrize("header", ("Bearer x", "Basic abc", "Bearer", "Bearer " + "a" * 5000))
async def test_a_bad_token_is_401_with_errors(nobody: Graph, header: str) -> None:
    """RxDB and others retry for ever where a 401 holds no `errors`."""
    answer = await nobody.raw(TYPENAME, Authorization=header)
    well_refused(answer, 401, "NOT_AUTHENTICATED")
    assert answer.headers["www-authenticate"].startswith("Bearer")


async def test_a_fault_of_ours_is_masked(dispatcher: Graph, monkeypatch: pytest.MonkeyPatch) -> None:
    """What broke is for the log: a stranger learns of no table, path or library."""

    async def broken(*_: object, **__: object) -> None:
        raise ValueError("secret table app_user")

    monkeypatch.setattr(dispatch, "skills", broken)
    answer = (await dispatcher.send("{ skills { code } }")).json()
    assert answer["errors"][0]["extensions"]["code"] == "INTERNAL"
    assert answer["errors"][0]["extensions"]["retryable"] is True
    assert answer["errors"][0]["path"] == ["skills"]
    assert "secret" not in str(answer)
    assert answer["errors"][0]["extensions"]["details"]["request_id"] in answer["errors"][0]["message"]


async def test_the_schema_is_told_to_who_has_signed_in_only(nobody: Graph, dispatcher: Graph) -> None:
    """The list of fields is a map for whoever looks for a way in."""
    query = "{ __schema { queryType { name } } }"
    well_refused(await nobody.send(query), 200, "INTROSPECTION_CLOSED")
    assert (await dispatcher.ask(query))["__schema"]["queryType"]["name"] == "Query"
    hidden = (await nobody.send("{ viewe { name } }")).json()["errors"][0]["message"]
    assert "viewer" not in hidden


async def test_pages_over_the_limit_are_refused_before_they_cost(dispatcher: Graph) -> None:
    """Whoever asks for everything at once is told to ask for less, not served slowly."""
    assert (await dispatcher.refused("{ orders(first: 201) { endCursor } }"))["code"] == "LIMIT_EXCEEDED"
    deep = (
        "query($n: Int!) { orders(first: $n) { nodes { visits { order { visits { events { kind } } } } } } }"
    )
    assert (await dispatcher.refused(deep, {"n": 200}))["code"] == "QUERY_TOO_COMPLEX"
    assert (await dispatcher.ask(deep, {"n": 2}))["orders"]["nodes"] is not None


async def test_a_subscription_is_not_for_http(dispatcher: Graph) -> None:
    """A client that was set up wrongly is told where subscriptions are."""
    well_refused(await dispatcher.send("subscription { changed { at } }"), 400, "OPERATION_NOT_HERE")
