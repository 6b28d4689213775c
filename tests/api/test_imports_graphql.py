"""Imports, keys and timelines as the office's own screens use them, over `/graphql`."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from graph import Graph, application, someone, token_of
from public_api import csv_bytes, key_of, work_off
from root_fields import operation_of
from worlds import World

from callout_backend.settings import Settings
from callout_graphql.rights import FIELDS
from callout_people.principals import Role
from callout_store.work import Database

TEMPLATE = """mutation($config: JSON!) { saveImportTemplate(name: "Weekly", config: $config) { id revision config } }"""
IMPORT = """query($id: UUID!) { import(id: $id) { state rowsTotal rowsDone rowsOk rowsFailed secondsLeft
  rows(state: "failed") { nodes { row cells faults { column code reason text } } hasMore } } }"""
LIFE = """query($system: String, $reference: String) { timeline(system: $system, reference: $reference) {
  orderId nodes { at source kind actor role text textZh } hasMore } }"""


@pytest.fixture(scope="module")
async def app(settings: Settings, db: Database) -> AsyncIterator[tuple[Any, httpx.AsyncClient]]:
    async with application(settings, db) as pair:
        yield pair


@pytest.fixture
async def world(db: Database) -> World:
    return await World(db).build(phones=0)


async def as_(world: World, app: tuple[Any, httpx.AsyncClient], role: Role) -> Graph:
    user = await someone(world, role)
    return Graph(app[1], await token_of(world.db, app[0].state.issuer, world.org, user))


async def test_an_import_from_template_to_timeline(world: World, app: tuple[Any, httpx.AsyncClient]) -> None:
    """The whole of L6 and D1 as a dispatcher goes through it: template, sheet, faults, start, the order's life."""
    graph = await as_(world, app, Role.DISPATCHER)
    saved = await graph.ask(TEMPLATE, {"config": {"system": "old", "constants": {"kind": "general"}}})
    assert saved["saveImportTemplate"]["revision"] == 1
    sheet = csv_bytes(
        [
            ["No", "Description", "Phone", "Name", "Address"],
            ["1", "Pump leaks at the seal", "+14155550101", "Ann", "1 Main St"],
            ["2", "Pump is loud when it starts", "12", "Bob", "2 Main St"],
        ]
    )
    sent = await app[1].post(
        "/v1/imports?template=Weekly", content=sheet, headers={**graph.headers(), "Content-Type": "text/csv"}
    )
    assert sent.status_code == 202, sent.text
    id_ = sent.json()["id"]
    await work_off(world.db)
    found = (await graph.ask(IMPORT, {"id": id_}))["import"]
    assert (found["state"], found["rowsOk"], found["rowsFailed"]) == ("done", 1, 1)
    (bad,) = found["rows"]["nodes"]
    assert (bad["row"], bad["faults"][0]["column"]) == (3, "Phone")
    await graph.ask("mutation($id: UUID!) { startImport(id: $id) { state dryRun } }", {"id": id_})
    await work_off(world.db)
    life = (await graph.ask(LIFE, {"system": "old", "reference": "1"}))["timeline"]
    assert life["nodes"][0]["kind"] == "work_order.created"
    assert life["nodes"][0]["textZh"] != life["nodes"][0]["text"]
    order = (
        await graph.ask('{ orderByReference(system: "old", reference: "1") { id number customer { name } } }')
    )["orderByReference"]
    assert order["id"] == life["orderId"]
    listed = await graph.ask("{ imports { nodes { id fileName } } importTemplates { name config } }")
    assert [one["id"] for one in listed["imports"]["nodes"]] == [id_]
    assert listed["importTemplates"][0]["config"]["system"] == "old"
    assert (await graph.refused(LIFE, {"system": "old", "reference": "none"}))["code"] == "NOT_FOUND"


async def test_a_template_that_is_wrong_is_told_where(
    world: World, app: tuple[Any, httpx.AsyncClient]
) -> None:
    """A mapping is written by hand at first: each slip is named."""
    graph = await as_(world, app, Role.DISPATCHER)
    bad = {"columns": [{"header": "A", "field": "colour"}, {"header": "", "field": "serial"}]}
    refused = await graph.refused(TEMPLATE, {"config": bad})
    assert {one["path"] for one in refused["errors"]} == {"config.columns.0.field", "config.columns.1.header"}
    for given in ({"columns": 1}, [], "x", {"colour": "red"}):
        assert (await graph.refused(TEMPLATE, {"config": given}))["code"] == "BAD_FIELD", given
    await graph.ask(TEMPLATE, {"config": {}})
    assert (await graph.refused(TEMPLATE, {"config": {}}))["code"] == "ALREADY_EXISTS"


async def test_keys_are_made_and_ended_by_admins_alone(
    world: World, app: tuple[Any, httpx.AsyncClient]
) -> None:
    """Who may make a key may do what the key may: that is the admin's."""
    admin = await as_(world, app, Role.ADMIN)
    made = (
        await admin.ask(
            'mutation { createApiKey(name: "CRM", scopes: ["orders:read"], days: 30) { text key { id prefix } } }'
        )
    )["createApiKey"]
    assert made["text"].startswith("ck_")
    answer = await app[1].get("/v1/orders", headers={"X-Api-Key": made["text"]})
    assert answer.status_code == 200
    # A key opens the public API, and nothing else.
    assert (await Graph(app[1], made["text"]).send("{ viewer { name } }")).status_code == 401
    listed = (await admin.ask("{ apiKeys { name prefix lastUsedAt expiresAt } }"))["apiKeys"]
    assert listed[0]["lastUsedAt"] is not None
    assert made["text"] not in str(listed)
    rotated = (
        await admin.ask(
            "mutation($id: UUID!) { rotateApiKey(id: $id, overlapHours: 1) { text key { id } } }",
            {"id": made["key"]["id"]},
        )
    )["rotateApiKey"]
    again = "mutation($id: UUID!) { rotateApiKey(id: $id) { text } }"
    assert (await admin.refused(again, {"id": made["key"]["id"]}))["code"] == "NOT_FOUND", "replaced once"
    revoke = "mutation($id: UUID!) { revokeApiKey(id: $id) { revokedAt } }"
    for _ in range(2):
        assert (await admin.ask(revoke, {"id": rotated["key"]["id"]}))["revokeApiKey"]["revokedAt"]
    answer = await app[1].get("/v1/orders", headers={"X-Api-Key": rotated["text"]})
    assert answer.status_code == 401
    for arguments, path in (
        ('name: "", scopes: ["orders:read"]', "name"),
        ('name: "X", scopes: []', "scopes"),
        ('name: "X", scopes: ["everything"]', "scopes.0"),
        ('name: "X", scopes: ["orders:read"], days: 0', "days"),
        ('name: "X", scopes: ["orders:read"], ratePerS: 0', "ratePerS"),
        ('name: "X", scopes: ["orders:read"], burst: 999999', "burst"),
    ):
        refused = await admin.refused(f"mutation {{ createApiKey({arguments}) {{ text }} }}")
        assert refused["path"] == path
    for role in (Role.DISPATCHER, Role.ENGINEER, Role.CUSTOMER_CONTACT):
        graph = await as_(world, app, role)
        assert (await graph.refused("{ apiKeys { name } }"))["code"] == "NOT_ALLOWED"


async def test_another_systems_key_opens_no_root_field(
    world: World, app: tuple[Any, httpx.AsyncClient]
) -> None:
    """A key's scopes are written for `/v1`: a partner who tried it here would read what no scope speaks of.

    Also where a session could be had in the name of the key's system, which has no password.
    """
    key = await key_of(world)
    async with world.db.work(world.org) as work:
        assert (
            await work.fetchval("select password_hash from app_user where id = $1", key.key.user_id) is None
        )
    token = await token_of(world.db, app[0].state.issuer, world.org, key.key.user_id)
    for name in sorted(FIELDS):
        root, field = name.split(".")
        if root not in ("Query", "Mutation"):
            continue
        query = {"query": operation_of(name)}
        for headers in ({"Authorization": f"Bearer {key.text}"}, {"X-Api-Key": key.text}):
            answer = await app[1].post("/graphql", json=query, headers=headers)
            body = answer.json()
            assert body["errors"][0]["extensions"]["code"] == "NOT_AUTHENTICATED", (name, headers)
            assert not (body.get("data") or {}).get(field), name
        assert (await Graph(app[1], token).refused(query["query"]))["code"] == "NOT_ALLOWED", name


async def test_engineers_and_customers_see_no_imports(
    world: World, app: tuple[Any, httpx.AsyncClient]
) -> None:
    """A sheet holds everybody's names and telephone numbers."""
    for role in (Role.ENGINEER, Role.CUSTOMER_CONTACT):
        graph = await as_(world, app, role)
        assert (await graph.refused("{ imports { nodes { id } } }"))["code"] == "NOT_ALLOWED"
        assert (await graph.refused(LIFE, {"system": "a", "reference": "b"}))["code"] == "NOT_ALLOWED"
        answer = await app[1].get("/v1/imports", headers=graph.headers())
        assert answer.status_code == 403


async def test_the_secret_of_a_key_is_nowhere(world: World, app: tuple[Any, httpx.AsyncClient]) -> None:
    """A copy of the database must open no door."""
    admin = await as_(world, app, Role.ADMIN)
    text = (await admin.ask('mutation { createApiKey(name: "A", scopes: ["orders:read"]) { text } }'))[
        "createApiKey"
    ]["text"]
    secret = text.split(".", 1)[1]
    for table in ("api_key", "journal", "app_user"):
        rows = await world.fetch(f"select t::text as row from {table} t")
        assert rows
        assert all(secret not in row["row"] for row in rows)
