"""Articles, forms, parts of orders and the phones' settings through `/graphql`: who may, and what comes back."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from graph import Graph, application, someone, token_of
from worlds import World

from callout_backend.jobs import sweeps
from callout_backend.settings import Settings
from callout_graphql.operations.content import CONTENT, PHONES
from callout_people.principals import Role
from callout_store.work import Database

PARTS = "query($id: UUID!) { order(id: $id) { revision parts { quantity part { code } } } }"
CREATE = "mutation($input: CreateWorkOrder!) { createWorkOrder(input: $input) { id } }"
SETTINGS = """
query { viewer { organisation { phoneWindowDays phoneHistoryEvents phoneBudgetMb phoneParts holdMinutes tombstoneDays
    appVersionMin } } }
"""


@pytest.fixture(scope="module")
async def world(db: Database) -> World:
    return await World(db).build()


@pytest.fixture(scope="module")
async def client(settings: Settings, db: Database) -> AsyncIterator[Any]:
    async with application(settings, db) as both:
        yield both


async def graph_of(client: Any, world: World, role: Role) -> Graph:
    app, http = client
    user = world.phones[0].actor.user_id if role is Role.ENGINEER else await someone(world, role)
    assert user is not None
    return Graph(http, await token_of(world.db, app.state.issuer, world.org, user))


@pytest.fixture(scope="module")
async def admin(client: Any, world: World) -> Graph:
    return await graph_of(client, world, Role.ADMIN)


@pytest.fixture(scope="module")
async def engineer(client: Any, world: World) -> Graph:
    return await graph_of(client, world, Role.ENGINEER)


async def run(graph: Graph, name: str, **variables: Any) -> Any:
    """One of the exported operations, as our own clients send them."""
    text = PHONES if name == "ConfigurePhones" else CONTENT
    answer = (await graph.send(text, variables, operationName=name)).json()
    assert "errors" not in answer, answer["errors"]
    (found,) = answer["data"].values()
    return found


async def refusal(graph: Graph, name: str, **variables: Any) -> dict[str, Any]:
    text = PHONES if name == "ConfigurePhones" else CONTENT
    answer = (await graph.send(text, variables, operationName=name)).json()
    error: dict[str, Any] = answer["errors"][0]
    return {"message": error["message"], **error["extensions"]}


async def test_an_article_through_the_door(admin: Graph) -> None:
    """What the office writes must come back as it was written, with the revision that the next change needs."""
    made = await run(admin, "SaveArticle", input={"title": "Seal", "body": "Left", "kind": "repair"})
    assert made["revision"] == 1
    again = await run(
        admin, "SaveArticle", id=made["id"], revision=1, input={"title": "Seal", "body": "Right"}
    )
    assert again == {"id": made["id"], "revision": 2}
    stale = await refusal(admin, "SaveArticle", id=made["id"], revision=1, input={"title": "S", "body": "B"})
    assert stale["code"] == "STALE_REVISION"
    (found,) = (await run(admin, "Articles", search="right"))["nodes"]
    assert (found["body"], found["kind"], found["active"]) == ("Right", None, True)
    assert (await run(admin, "RetireArticle", id=made["id"]))["active"] is False
    assert (await run(admin, "Articles"))["nodes"] == []
    assert len((await run(admin, "Articles", active=None))["nodes"]) == 1


async def test_a_form_through_the_door(admin: Graph, engineer: Graph) -> None:
    """A phone author reads the schema here; a refusal must say where the schema is wrong, in the office's language."""
    given = {"code": "check", "titleEn": "Check", "titleZh": "检查", "schema": {"required": ["b", "a"]}}
    first = await run(admin, "SaveForm", input=given)
    second = await run(admin, "SaveForm", input={**given, "schema": {"required": ["a"]}})
    assert (first["version"], second["version"]) == (1, 2)
    (found,) = (await run(engineer, "Forms", code="check"))["nodes"]
    assert (found["id"], found["schema"], found["titleZh"]) == (second["id"], {"required": ["a"]}, "检查")
    bad = await refusal(admin, "SaveForm", input={**given, "schema": {"$ref": "https://example.org/x"}})
    assert (bad["code"], bad["path"]) == ("BAD_FIELD", "schema.$ref")
    assert (await run(admin, "RetireForm", id=second["id"]))["active"] is False
    assert len((await run(admin, "Forms", active=None, code="check"))["nodes"]) == 2


async def test_an_order_with_parts_through_the_door(admin: Graph, world: World) -> None:
    """The parts that are typed with the order are those the engineer loads."""
    given = {
        "customerId": str(world.customer),
        "siteId": str(world.site),
        "priority": "P1",
        "kind": "repair",
        "description": "It does not start",
        "channel": "hotline",
        "serial": "SN-1",
        "contactPhone": "+1 415 555 2671",
        "parts": [{"code": "SEAL-1", "quantity": 2}],
    }
    order = (await admin.ask(CREATE, {"input": given}))["createWorkOrder"]["id"]
    assert (await admin.ask(PARTS, {"id": order}))["order"] == {
        "revision": 1,
        "parts": [{"quantity": 2, "part": {"code": "SEAL-1"}}],
    }
    changed = await run(admin, "SetOrderParts", orderId=order, parts=[], revision=1)
    assert changed == {"id": order, "revision": 2, "parts": []}
    missing = await admin.refused(CREATE, {"input": {**given, "parts": [{"code": "X", "quantity": 1}]}})
    assert (missing["code"], missing["path"]) == ("NOT_FOUND", "parts.0")


@pytest.mark.parametrize(
    ("name", "variables"),
    (
        ("SaveArticle", {"input": {"title": "T", "body": "B"}}),
        ("SaveForm", {"input": {"code": "a", "titleEn": "a", "titleZh": "a", "schema": {}}}),
        ("ConfigurePhones", {"windowDays": 1}),
    ),
)
async def test_engineers_write_none_of_it(engineer: Graph, name: str, variables: dict[str, Any]) -> None:
    """An engineer who can change what all phones hold can empty them."""
    assert (await refusal(engineer, name, **variables))["code"] == "NOT_ALLOWED"


async def test_dispatchers_do_not_configure_the_phones(client: Any, world: World) -> None:
    """How long data stays on phones is the organisation's decision, not the shift's."""
    dispatcher = await graph_of(client, world, Role.SUPERVISOR)
    assert (await refusal(dispatcher, "ConfigurePhones", holdMinutes=1))["code"] == "NOT_ALLOWED"


async def test_the_phones_are_configured_and_swept_when_they_hold_other_rows(
    admin: Graph, world: World
) -> None:
    """A shorter window that waits for the nightly sweep leaves customers' data on phones for a day; a sweep for
    nothing rebuilds everybody's copy."""

    async def sweep_due() -> Any:
        return await world.value("select due_at from timer where key = $1", sweeps.KEY)

    nightly = await sweep_due()
    changed = await run(
        admin, "ConfigurePhones", holdMinutes=30, budgetMb=80, tombstoneDays=200, appVersionMin="2.10"
    )
    assert (changed["holdMinutes"], changed["phoneBudgetMb"], changed["appVersionMin"]) == (30, 80, "2.10")
    assert await sweep_due() == nightly
    await run(admin, "ConfigurePhones", windowDays=7, historyEvents=5, parts="needed", appVersionMin="")
    assert await sweep_due() < nightly
    assert (await admin.ask(SETTINGS))["viewer"]["organisation"] == {
        "phoneWindowDays": 7,
        "phoneHistoryEvents": 5,
        "phoneBudgetMb": 80,
        "phoneParts": "needed",
        "holdMinutes": 30,
        "tombstoneDays": 200,
        "appVersionMin": None,
    }
    lines = "select data::text from journal where kind = 'organisation.changed' order by id"
    before = await world.fetch(lines)
    assert '"phoneParts": "needed"' in before[-1][0]
    await run(admin, "ConfigurePhones", windowDays=7)
    assert await world.fetch(lines) == before, "what is as it was is no change"


@pytest.mark.parametrize(
    ("variables", "path"),
    (
        ({"windowDays": 0}, "windowDays"),
        ({"windowDays": 366}, "windowDays"),
        ({"historyEvents": 201}, "historyEvents"),
        ({"budgetMb": 0}, "budgetMb"),
        ({"parts": "some"}, "parts"),
        ({"holdMinutes": 43201}, "holdMinutes"),
        ({"tombstoneDays": 0}, "tombstoneDays"),
        ({"appVersionMin": "two"}, "appVersionMin"),
        ({"appVersionMin": "1.2.3.4.5"}, "appVersionMin"),
    ),
)
async def test_settings_out_of_range_are_refused_by_name(
    admin: Graph, variables: dict[str, Any], path: str
) -> None:
    """A window of no days would empty every phone in the field."""
    found = await refusal(admin, "ConfigurePhones", **variables)
    assert (found["code"], found["path"]) == ("BAD_FIELD", path)
