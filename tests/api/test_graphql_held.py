"""Held and quarantined commands through `/graphql`: what the phone is told, what the office sees and does."""

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest
from graph import Graph, application, token_of
from worlds import Phone, World

from callout_backend.settings import Settings
from callout_contracts import stamps
from callout_graphql.operations import PUSH
from callout_graphql.operations.desk import HELD, QUARANTINE
from callout_store.work import Database


@pytest.fixture
async def world(db: Database) -> World:
    return await World(db).build()


@pytest.fixture(scope="module")
async def client(settings: Settings, db: Database) -> AsyncIterator[Any]:
    async with application(settings, db) as both:
        yield both


@pytest.fixture
async def office(client: Any, world: World) -> Graph:
    app, http = client
    assert world.dispatcher.user_id is not None
    return Graph(http, await token_of(world.db, app.state.issuer, world.org, world.dispatcher.user_id))


async def graph_of(client: Any, world: World, phone: Phone) -> Graph:
    app, http = client
    actor = phone.actor
    assert actor.user_id is not None
    return Graph(http, await token_of(world.db, app.state.issuer, world.org, actor.user_id, actor.device_id))


async def run(graph: Graph, text: str, name: str, **variables: Any) -> Any:
    """One of the exported operations."""
    answer = (await graph.send(text, variables, operationName=name)).json()
    assert "errors" not in answer, answer["errors"]
    (found,) = answer["data"].values()
    return found


async def push(graph: Graph, *commands: dict[str, Any], **envelope: Any) -> Any:
    given = {"sentAt": datetime.now(UTC).isoformat(), "commands": list(commands), **envelope}
    return await run(graph, PUSH, "Push", input=given)


async def test_a_held_command_and_the_button_of_the_dispatcher(
    client: Any, world: World, office: Graph
) -> None:
    """From the phone to the screen and back: held, listed, forced at once, and told as applied when it is sent again."""
    phone = world.phones[0]
    visit = await world.visit(phone)
    graph = await graph_of(client, world, phone)
    phone.sequence = 1
    second = phone.command("visit.accept", visit, schemaVersion=2)
    told = await push(graph, second, oldestPending=1, pending=2, schemaVersion=2, storageFreeBytes=2**40)
    assert [(one["status"], one["code"]) for one in told["answers"]] == [("held", "PREDECESSOR_MISSING")]
    assert told["wipe"] is False
    assert stamps.parse(told["stamp"]).ms > 0
    listed = await run(office, HELD, "HeldCommands", deviceId=str(phone.device_id))
    [node] = listed["nodes"]
    assert (node["id"], node["sequence"], node["state"]) == (second["id"], 2, "held")
    assert json.loads(node["body"]) == second
    assert not listed["hasMore"]
    assert await run(office, HELD, "ForceHeld", deviceId=str(phone.device_id)) == 1
    assert (await run(office, HELD, "HeldCommands"))["nodes"] == []
    [node] = (await run(office, HELD, "HeldCommands", state="forced"))["nodes"]
    assert node["settledAt"]
    [again] = (await push(graph, second, oldestPending=1))["answers"]
    assert (again["status"], again["firstStatus"]) == ("duplicate", "applied")


async def test_a_quarantined_command_is_mended_on_the_screen(
    client: Any, world: World, office: Graph
) -> None:
    """The dispatcher corrects a field and tries again; a body that is none is told with the place of the fault."""
    phone = world.phones[0]
    visit = await world.visit(phone)
    command = phone.command("visit.note", visit, {"text": 5})
    for _ in range(2):
        await phone.push(phone.command("visit.note", visit, {"text": ""}))
    await phone.push(command)
    page = await run(office, QUARANTINE, "Quarantined", deviceId=str(phone.device_id), first=2)
    assert (len(page["nodes"]), page["hasMore"]) == (2, True)
    rest = await run(office, QUARANTINE, "Quarantined", first=2, after=page["endCursor"])
    assert (len(rest["nodes"]), rest["hasMore"]) == (1, False)
    exact = await run(office, QUARANTINE, "Quarantined", first=3)
    assert not exact["hasMore"], "a full page that is the last one says so"
    entry = page["nodes"][0]
    assert entry["commandId"] == command["id"]
    answer = (
        await office.send(
            QUARANTINE,
            {"id": entry["id"], "body": {**command, "payload": {}}},
            operationName="QuarantineMend",
        )
    ).json()
    assert answer["errors"][0]["extensions"]["path"] == "body.payload"
    mended = {**command, "payload": {"text": "5"}}
    assert await run(office, QUARANTINE, "QuarantineMend", id=entry["id"], body=mended) is True
    assert (await run(office, QUARANTINE, "QuarantineRetry", id=entry["id"]))["status"] == "applied"
    [done] = (await run(office, QUARANTINE, "Quarantined", state="applied"))["nodes"]
    assert json.loads(done["mendedBody"]) == mended
    assert json.loads(done["body"]) == command


async def test_what_the_phone_says_of_itself_is_held_to_its_limits(client: Any, world: World) -> None:
    """A number that no phone has must be refused with its name, not stored or answered with a fault of ours."""
    graph = await graph_of(client, world, world.phones[0])
    for field, value in (
        ("oldestPending", 0),
        ("pending", -1),
        ("storageFreeBytes", -1),
        ("schemaVersion", 0),
    ):
        given = {"sentAt": datetime.now(UTC).isoformat(), "commands": [], field: value}
        refused = await graph.refused(PUSH, {"input": given})
        assert (refused["code"], refused["path"]) == ("BAD_FIELD", f"input.{field}")
