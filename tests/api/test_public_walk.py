"""Every route of `/v1` with every kind of caller and every kind of bad request, by the served document: a route that is
added is walked too."""

import asyncio
import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import httpx
import pytest
from public_api import csv_bytes, headers_of, key_of, public_client, work_off
from worlds import World

from callout_backend.doors.public import describe, imports, orders
from callout_backend.problems import PROBLEM_TYPE
from callout_people import api_keys
from callout_people.principals import SCOPES
from callout_store.ids import new_id
from callout_store.work import Database

DOCUMENT = describe.document()
ROUTES = {
    operation["operationId"]: (method, path, operation)
    for path, operations in DOCUMENT["paths"].items()
    for method, operation in operations.items()
}
READS_ORDERS, WRITES_ORDERS = {"orders:read", "orders:write"}, {"orders:write"}
READS_IMPORTS, WRITES_IMPORTS = {"imports:read", "imports:write"}, {"imports:write"}
LETS_IN: dict[str, set[str]] = {
    "createOrder": WRITES_ORDERS,
    "listOrders": READS_ORDERS,
    "getOrder": READS_ORDERS,
    "getOrderByNumber": READS_ORDERS,
    "getOrderByReference": READS_ORDERS,
    "linkReference": WRITES_ORDERS,
    "addNote": WRITES_ORDERS,
    "cancelOrder": WRITES_ORDERS,
    "getTimeline": READS_ORDERS,
    "exportOrders": READS_ORDERS,
    "createImport": WRITES_IMPORTS,
    "listImports": READS_IMPORTS,
    "getImport": READS_IMPORTS,
    "startImport": WRITES_IMPORTS,
    "cancelImport": WRITES_IMPORTS,
    "listImportRows": READS_IMPORTS,
    "downloadFailedRows": READS_IMPORTS,
    "downloadImportErrors": READS_IMPORTS,
}
"""Which scopes open a route, each by itself."""
BODIES: dict[str, dict[str, Any]] = {
    "createOrder": {"description": "The pump leaks", "contactPhone": "+14155552671", "contactName": "Ann"},
    "linkReference": {"system": "erp", "reference": "1"},
    "addNote": {"text": "Gate code 12"},
    "cancelOrder": {"reason": "by mistake"},
}
WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "createOrder": ({"durationMinutes": "long"}, "durationMinutes"),
    "linkReference": ({"reference": 7}, "reference"),
    "addNote": ({"text": ["x"]}, "text"),
    "cancelOrder": ({"revision": "first"}, "revision"),
}
"""A member of a wrong type, and where it is said to be."""
SHEET = csv_bytes([["description", "phone"], ["The pump leaks", "12"]])


class House:
    """An organisation with an order and an import, and a caller who is somebody else."""

    def __init__(self, client: httpx.AsyncClient, world: World, order: str, run: str) -> None:
        self.client, self.world, self.order, self.run = client, world, order, run
        self.number = ""

    def address(self, path: str) -> str:
        known = {
            "order_id": self.order,
            "import_id": self.run,
            "number": self.number,
            "system": "crm",
            "reference": "A/1",
        }
        return re.sub(r"\{(\w+)\}", lambda found: known[found[1]], path)

    async def call(self, name: str, headers: dict[str, str], **more: Any) -> httpx.Response:
        """The operation as it should be called, but for what is said otherwise."""
        method, path, _ = ROUTES[name]
        if not {"json", "content"} & more.keys():
            if name in BODIES:
                more["json"] = BODIES[name]
            elif name == "createImport":
                more["content"] = SHEET
        return await self.client.request(method.upper(), self.address(path), headers=headers, **more)


@pytest.fixture(scope="module")
async def house(db: Database) -> AsyncIterator[House]:
    world = await World(db).build(phones=0)
    headers = await headers_of(world)
    async with public_client(db) as client:
        order = str(await world.order())
        link = f"/v1/orders/{order}/references"
        await client.post(link, json={"system": "crm", "reference": "A/1"}, headers=headers)
        run = (await client.post("/v1/imports", content=SHEET, headers=headers)).json()["id"]
        await work_off(db)
        made = House(client, world, order, run)
        made.number = (await client.get(f"/v1/orders/{order}", headers=headers)).json()["number"]
        yield made


def refused(answer: httpx.Response, status: int, code: str) -> dict[str, Any]:
    """A problem in the form that the document gives, by its status and code."""
    assert answer.headers["content-type"].split(";")[0] == PROBLEM_TYPE, answer.text
    problem: dict[str, Any] = answer.json()
    assert (answer.status_code, problem["status"], problem["code"]) == (status, status, code), answer.text
    return problem


def test_the_table_names_every_route() -> None:
    """A route that nobody wrote down here is walked by nobody."""
    assert LETS_IN.keys() == ROUTES.keys()
    assert {name for name, (_, _, one) in ROUTES.items() if _takes_json(one)} == BODIES.keys() == WRONG.keys()


def _takes_json(operation: dict[str, Any]) -> bool:
    return "application/json" in operation.get("requestBody", {}).get("content", {})


@pytest.mark.parametrize("name", ROUTES)
async def test_who_is_nobody_any_more_is_let_in_nowhere(house: House, name: str) -> None:
    """A partner whose contract is over, whose key leaked, or who never had one."""
    world = house.world
    expired, revoked, shut_out = [await key_of(world) for _ in range(3)]

    async def ends(work: Any) -> None:
        yesterday = datetime.now(UTC) - timedelta(days=1)
        await work.execute("update api_key set expires_at = $2 where id = $1", expired.key.id, yesterday)
        await api_keys.revoke(work, revoked.key.id)
        await work.execute("update app_user set active = false where id = $1", shut_out.key.user_id)

    await world.db.run(world.org, ends, actor=world.dispatcher)
    nobody: list[dict[str, str]] = [
        {},
        {"X-Api-Key": ""},
        {"X-Api-Key": "ck_x"},
        {"Authorization": "Bearer "},
        {"Authorization": "Basic eDp5"},
        {"Authorization": "Bearer not.a.token"},
        *({"X-Api-Key": one.text} for one in (expired, revoked, shut_out)),
        *({"Authorization": f"Bearer {one.text}"} for one in (expired, revoked, shut_out)),
    ]
    for headers in nobody:
        refused(await house.call(name, headers), 401, "NOT_AUTHENTICATED")
        # Nor does a stranger hear what is wrong with a request.
        refused(await house.call(name, headers, content=b"{"), 401, "NOT_AUTHENTICATED")


@pytest.mark.parametrize("name", ROUTES)
async def test_each_scope_opens_what_it_says_and_no_more(house: House, name: str) -> None:
    """A key for reading that could write, or one for orders that could read sheets of telephone numbers."""
    for scope in sorted(SCOPES):
        answer = await house.call(name, await headers_of(house.world, scope), json={})
        if scope in LETS_IN[name]:
            assert answer.status_code not in (401, 403), (scope, answer.text)
        else:
            refused(answer, 403, "NOT_ALLOWED")


@pytest.mark.parametrize("name", ROUTES)
async def test_another_organisation_is_not_there(house: House, name: str) -> None:
    """The wall between tenants, at each door: nothing is shown, and nothing that is done reaches over it."""
    other = await World(house.world.db).build(phones=0)
    headers = await headers_of(other)
    before = await _standing(house)
    path, mine = ROUTES[name][1], {"customerId": str(house.world.customer), "siteId": str(house.world.site)}
    if name == "createOrder":
        answer = await house.call(name, headers, json={**BODIES[name], **mine})
        assert answer.status_code in (404, 422), answer.text
    else:
        answer = await house.call(name, headers)
        if "{" in path:
            refused(answer, 404, "NOT_FOUND")
        else:
            assert answer.status_code in (200, 202)
    for secret in (house.order, house.run, str(house.world.customer), "The pump leaks"):
        assert secret not in answer.text
    if name == "listOrders":
        filtered = await house.client.get("/v1/orders", params=mine, headers=headers)
        assert filtered.json()["items"] == []
    assert await _standing(house) == before


async def _standing(house: House) -> list[Any]:
    counted = ("work_order", "external_reference", "import_run", "journal")
    return [
        *[
            await house.world.value(f"select count(*) from {name} where org_id = $1", house.world.org)
            for name in counted
        ],
        await house.world.value("select state from work_order where id = $1", UUID(house.order)),
        await house.world.value("select state from import_run where id = $1", UUID(house.run)),
    ]


@pytest.mark.parametrize("name", ROUTES)
async def test_a_method_that_an_address_has_not_is_refused_by_name(house: House, name: str) -> None:
    """A client that deletes and hears 404 believes that it is gone."""
    path = ROUTES[name][1]
    headers = await headers_of(house.world)
    for method in ("PUT", "PATCH", "DELETE"):
        answer = await house.client.request(method, house.address(path), headers=headers)
        refused(answer, 405, "METHOD_REFUSED")
        allowed = {one.strip() for one in answer.headers["allow"].split(",")}
        assert {one.upper() for one in DOCUMENT["paths"][path]} <= allowed


@pytest.mark.parametrize("name", BODIES)
async def test_bodies_that_cannot_be_read_are_told_apart(house: House, name: str) -> None:
    """ "Bad request" for six kinds of mistakes leaves an integrator with nothing but to guess."""
    headers = await headers_of(house.world)
    before = await _standing(house)
    for content in (b"", b"{", b"\xff\xfe{}", b"[" * 5_000, b"null", b"[]", b'"x"', b"{} {}"):
        answer = await house.call(name, headers, content=content)
        assert answer.status_code in (400, 422), (content[:20], answer.text)
        refused(answer, answer.status_code, answer.json()["code"])
        assert answer.json()["code"] in ("BAD_BODY", "BAD_FIELD"), answer.text
    unknown = refused(
        await house.call(name, headers, json={**BODIES[name], "colour": "red"}), 422, "BAD_FIELD"
    )
    assert "colour" in str(unknown)
    given, path = WRONG[name]
    wrong = refused(await house.call(name, headers, json={**BODIES[name], **given}), 422, "BAD_FIELD")
    assert wrong["path"] == path
    large = b'{"text": "' + b"x" * orders.BODY_BYTES_MAX + b'"}'
    refused(await house.call(name, headers, content=large), 413, "BODY_TOO_LARGE")
    for content_type in ("text/plain", "application/xml"):
        answer = await house.call(name, {**headers, "Content-Type": content_type}, content=b"{}")
        refused(answer, 415, "UNSUPPORTED_BODY")
    refused(
        await house.call(name, {**headers, "Content-Encoding": "gzip"}, content=b"x"), 415, "UNSUPPORTED_BODY"
    )
    assert await _standing(house) == before


async def test_a_sheet_that_is_too_large_is_refused_before_it_is_read(house: House) -> None:
    """Read into memory first, a few of them at once would end the process for everybody."""
    headers = await headers_of(house.world)
    answer = await house.call("createImport", headers, content=b"x" * (imports.BODY_BYTES_MAX + 1))
    refused(answer, 413, "BODY_TOO_LARGE")


@pytest.mark.parametrize(
    ("name", "params", "path"),
    (
        *(
            (name, params, path)
            for name in ("listOrders", "getTimeline", "listImports", "listImportRows")
            for params, path in (
                ({"first": 0}, "first"),
                ({"first": 201}, "first"),
                ({"first": "many"}, "first"),
                ({"after": "~"}, "after"),
                ({"after": "x" * 5_000}, "after"),
                ({"after": "\u4e2d"}, "after"),
                # Cursors of another make: a time without an end, one with a wrong zone.
                ({"after": "WyI5OTk5LTEyLTMxVDIzOjU5OjU5LTIzOjU5IiwiZXZlbnQiLCJ4Il0"}, "after"),
            )
        ),
        ("listOrders", {"state": "lost"}, "state"),
        ("listOrders", {"priority": "P9"}, "priority"),
        ("listOrders", {"customerId": "x"}, "customerId"),
        ("listOrders", {"updatedSince": "yesterday"}, "updatedSince"),
        ("listOrders", {"updatedSince": "2026-01-01T00:00:00"}, "updatedSince"),
        ("exportOrders", {"format": "pdf"}, "format"),
        ("exportOrders", {"state": "lost"}, "state"),
        ("listImportRows", {"state": "lost"}, "state"),
        ("downloadFailedRows", {"format": "pdf"}, "format"),
    ),
)
async def test_what_an_address_says_wrongly_is_named(
    house: House, name: str, params: dict[str, Any], path: str
) -> None:
    """A filter that is passed over in silence answers another question than was asked."""
    answer = await house.call(name, await headers_of(house.world), params=params)
    assert answer.status_code == 422, answer.text
    assert answer.json()["path"].split(".")[0] == path, answer.text


async def test_the_same_reference_with_other_content_is_the_order_that_there_is(house: House) -> None:
    """After a lost answer a system may have changed its mind: it must learn which order there is, not get a second one."""
    headers = await headers_of(house.world)
    body = {
        **BODIES["createOrder"],
        "customerId": str(house.world.customer),
        "siteId": str(house.world.site),
        "kind": "general",
        "references": [{"system": "crm", "reference": new_id().hex}],
    }
    answers = await asyncio.gather(*(house.call("createOrder", headers, json=body) for _ in range(4)))
    assert sorted(one.status_code for one in answers) == [200, 200, 200, 201], answers[0].text
    changed = await house.call("createOrder", headers, json={**body, "description": "The lamp is dark now"})
    assert (changed.status_code, changed.json()["existing"]) == (200, True)
    assert len({one.json()["id"] for one in (*answers, changed)}) == 1
    there = await house.client.get(f"/v1/orders/{changed.json()['id']}", headers=headers)
    assert there.json()["description"] == body["description"]


async def test_of_two_at_once_each_is_answered_and_one_thing_is_done(house: House) -> None:
    """A double click, or a retry that overtakes the first try."""
    headers, world = await headers_of(house.world), house.world
    first, second = str(await world.order()), str(await world.order())

    async def both(address: str, other: str, body: Any) -> list[int]:
        calls = (house.client.post(one, json=body, headers=headers) for one in (address, other))
        return sorted(one.status_code for one in await asyncio.gather(*calls))

    reference = {"system": "erp", "reference": new_id().hex}
    one, two = f"/v1/orders/{first}", f"/v1/orders/{second}"
    assert await both(f"{one}/references", f"{one}/references", reference) == [200, 200]
    contested = {"system": "erp", "reference": new_id().hex}
    assert await both(f"{one}/references", f"{two}/references", contested) == [200, 409]
    assert await both(f"{one}/cancel", f"{one}/cancel", BODIES["cancelOrder"]) == [200, 200]
    told = "select count(*) from journal where kind = 'work_order.canceled' and order_id = $1"
    assert await world.value(told, UUID(first)) == 1
    run = (await house.call("createImport", headers)).json()["id"]
    await work_off(world.db)
    start = f"/v1/imports/{run}/start"
    assert await both(start, start, None) == [202, 409]
    cancel = f"/v1/imports/{run}/cancel"
    assert await both(cancel, cancel, None) == [200, 200]
