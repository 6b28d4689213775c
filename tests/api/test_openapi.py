"""The OpenAPI document: right by the standard, in step with the doors, and true: what it says is what they do."""

import re
from collections.abc import AsyncIterator
from typing import Any

import httpx
import jsonschema_rs
import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from json_values import values_for
from openapi_spec_validator import validate
from public_api import headers_of, public_client
from worlds import World

from callout_backend.doors.public import describe
from callout_backend.problems import PROBLEM_TYPE
from callout_store.work import Database

DOCUMENT = describe.document()
OPERATIONS = [
    (method, path, operation)
    for path, operations in DOCUMENT["paths"].items()
    for method, operation in operations.items()
]


@pytest.fixture(scope="module")
async def world(db: Database) -> World:
    return await World(db).build(phones=0)


@pytest.fixture(scope="module")
async def client(db: Database) -> AsyncIterator[httpx.AsyncClient]:
    async with public_client(db) as client:
        yield client


@pytest.fixture(scope="module")
async def headers(world: World) -> dict[str, str]:
    return await headers_of(world)


def test_it_is_an_openapi_document() -> None:
    """A generator that chokes on it gives its user no client."""
    validate(DOCUMENT)
    assert DOCUMENT["openapi"].startswith("3.1")


def test_the_committed_file_is_the_generated_one() -> None:
    """A document that drifted describes a server that is no longer there."""
    assert describe.TARGET.read_text("utf-8") == describe.text(), (
        "openapi.json has drifted: run `python -m callout_backend.doors.public.describe`"
    )


@pytest.mark.parametrize(
    ("method", "path", "operation"), OPERATIONS, ids=lambda v: v if isinstance(v, str) else ""
)
def test_every_operation_is_described(method: str, path: str, operation: dict[str, Any]) -> None:
    """An operation without a name, a sentence and its refusals is guessed at."""
    assert re.fullmatch(r"[a-z][A-Za-z]+", operation["operationId"])
    assert operation["summary"]
    assert operation["description"]
    assert {"401", "403", "422", "429", "503"} <= set(operation["responses"])
    for status, answer in operation["responses"].items():
        if status >= "400":
            assert list(answer["content"]) == [PROBLEM_TYPE]
    named = {one["name"] for one in operation.get("parameters", ()) if one["in"] == "path"}
    assert named == set(re.findall(r"\{(\w+)\}", path))
    for parameter in operation.get("parameters", ()):
        assert "_" not in parameter["name"] or parameter["in"] == "path", parameter["name"]


def test_names_of_operations_are_their_own() -> None:
    """Of two operations with one name a generated client has one."""
    names = [operation["operationId"] for _, _, operation in OPERATIONS]
    assert len(names) == len(set(names))


def test_both_ways_to_sign_in_are_said() -> None:
    """A client that does not know how to sign in gets 401 from everything."""
    schemes = DOCUMENT["components"]["securitySchemes"]
    assert (schemes["apiKey"]["in"], schemes["apiKey"]["name"]) == ("header", "X-Api-Key")
    assert schemes["bearer"]["scheme"] == "bearer"
    assert DOCUMENT["security"] == [{"apiKey": []}, {"bearer": []}]


async def test_it_is_served_and_shown_without_any_other_server(client: httpx.AsyncClient) -> None:
    """A page that loads its scripts from elsewhere is blank in a factory without internet."""
    served = await client.get("/v1/openapi.json")
    assert served.json() == DOCUMENT
    page = await client.get("/v1/docs")
    assert "default-src 'self'" in page.headers["content-security-policy"]
    sources = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert sources
    assert all(source.startswith(("/static/", "/v1/openapi.json")) for source in sources)


def schema_of(name: str) -> Any:
    return {"$ref": f"#/components/schemas/{name}", "components": DOCUMENT["components"]}


def check(answer: httpx.Response, operation: dict[str, Any]) -> None:
    """The answer is one that the document names, in the form that it gives."""
    said = operation["responses"].get(str(answer.status_code))
    assert said is not None, f"{answer.status_code} is not in the document: {answer.text[:300]}"
    content = said.get("content", {})
    media_type = answer.headers.get("content-type", "").split(";")[0]
    if not content:
        return
    assert media_type in content, (media_type, list(content))
    if "json" in media_type:
        schema = {**content[media_type]["schema"], "components": DOCUMENT["components"]}
        jsonschema_rs.validator_for(schema).validate(msgspec.json.decode(answer.content))


@pytest.mark.parametrize(
    ("method", "path", "operation"), OPERATIONS, ids=lambda v: v if isinstance(v, str) else ""
)
async def test_answers_are_as_described(
    world: World,
    client: httpx.AsyncClient,
    headers: dict[str, str],
    method: str,
    path: str,
    operation: dict[str, Any],
) -> None:
    """A client that is generated from the document must be able to read every answer, refusals included."""
    order = str(await world.order())
    run = await client.post("/v1/imports", content=b"description\nx\n", headers=headers)
    run_id = run.json().get("id") or str((await world.fetch("select id from import_run limit 1"))[0]["id"])
    known = {"order_id": order, "import_id": run_id, "number": "WO-000001", "system": "crm", "reference": "1"}
    for values in (
        known,
        dict.fromkeys(known, "00000000-0000-7000-8000-000000000000"),
        dict.fromkeys(known, "~"),
    ):
        address = re.sub(r"\{(\w+)\}", lambda found, values=values: values[found[1]], path)
        for body in (None, {"reason": "x"}, {"text": "x"}, {"system": "crm", "reference": order}):
            if method == "get" and body is not None:
                continue
            check(await client.request(method.upper(), address, json=body, headers=headers), operation)
        check(await client.request(method.upper(), address), operation)
    await client.post(f"/v1/imports/{run_id}/cancel", headers=headers)


BODIES = [
    (method, path, operation)
    for method, path, operation in OPERATIONS
    if "application/json" in operation.get("requestBody", {}).get("content", {})
]


@pytest.mark.parametrize(
    ("method", "path", "operation"), BODIES, ids=lambda v: v if isinstance(v, str) else ""
)
async def test_no_body_that_fits_the_document_breaks_a_door(
    world: World,
    client: httpx.AsyncClient,
    headers: dict[str, str],
    method: str,
    path: str,
    operation: dict[str, Any],
) -> None:
    """What a generated client lets its user send is taken in or refused by name; it is no fault of ours."""
    import asyncio

    order = str(await world.order())
    schema = operation["requestBody"]["content"]["application/json"]["schema"]
    address = re.sub(r"\{\w+\}", order, path)
    loop = asyncio.get_running_loop()

    def send(body: Any) -> httpx.Response:
        call = client.request(method.upper(), address, json=body, headers=headers)
        return asyncio.run_coroutine_threadsafe(call, loop).result(30)

    @settings(max_examples=40, suppress_health_check=list(HealthCheck), database=None)
    @given(values_for(schema, DOCUMENT))
    def every(body: Any) -> None:
        check(send(body), operation)

    @settings(max_examples=20, suppress_health_check=list(HealthCheck), database=None)
    @given(
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.text(),
            lambda one: st.lists(one) | st.dictionaries(st.text(), one),
        )
    )
    def anything(body: Any) -> None:
        check(send(body), operation)

    await asyncio.to_thread(every)
    await asyncio.to_thread(anything)
