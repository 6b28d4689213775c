"""The office's page of phones through `/graphql`, and the phone's side of a wipe."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from graph import Graph, application, token_of
from worlds import Phone, World

from callout_backend.settings import Settings
from callout_graphql.operations.devices import DEVICES, WIPE
from callout_store.work import Database

PULL = "query { pull { cursor } }"


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


async def refusal(graph: Graph, text: str, name: str, **variables: Any) -> dict[str, Any]:
    answer = (await graph.send(text, variables, operationName=name)).json()
    found: dict[str, Any] = answer["errors"][0]["extensions"]
    return found


async def test_the_page_shows_who_is_behind(client: Any, world: World, office: Graph) -> None:
    """The dispatcher rings up the engineer whose phone is silent, before the customer does."""
    await world.visit(world.phones[0])
    silent, heard = (phone.device_id for phone in world.phones)
    async with world.db.work(world.org) as work:
        await work.execute(
            """
            update device set last_seen_at = $2, pulled_at = $2, schema_version = 2, pending = 3,
                pulled_xid = pg_snapshot_xmax(pg_current_snapshot()),
                storage_used_bytes = 5000000000, storage_free_bytes = 1, clock_offset_ms = -3000000000
            where id = $1
            """,
            heard,
            work.now,
        )
    found = (await run(office, DEVICES, "Devices", sort="SILENT"))["nodes"]
    assert [one["id"] for one in found] == [str(silent), str(heard)]
    first, second = found
    assert first["progress"]["lagRows"] > second["progress"]["lagRows"] == 0
    assert first["progress"]["lagSeconds"] is None
    assert first["copy"]["rows"] > second["copy"]["rows"]
    assert first["copy"]["overBudget"] is False
    assert (second["pending"], second["schemaVersion"]) == (3, 2)
    assert (second["storageUsedBytes"], second["clockOffsetMs"]) == (5_000_000_000, -3_000_000_000)
    before = (datetime.now(UTC) - timedelta(days=1)).isoformat()
    stale = await run(office, DEVICES, "Devices", staleBefore=before)
    assert [one["id"] for one in stale["nodes"]] == [str(silent)]


async def test_a_phone_is_wiped_through_the_door(client: Any, world: World, office: Graph) -> None:
    """The whole way: the office asks, the phone confirms with its own token, and is shut out by that."""
    phone = world.phones[0]
    graph = await graph_of(client, world, phone)
    assert (await refusal(graph, WIPE, "ConfirmWipe"))["code"] == "WRONG_STATE"
    asked = await run(office, WIPE, "WipeDevice", id=str(phone.device_id), mode="AFTER_UPLOAD", reason="sold")
    assert asked["wipeMode"] == "AFTER_UPLOAD"
    assert (await run(office, WIPE, "CancelWipe", id=str(phone.device_id)))["wipeMode"] is None
    await run(office, WIPE, "WipeDevice", id=str(phone.device_id), mode="STOLEN", reason="sold")
    assert await run(graph, WIPE, "ConfirmWipe") is True
    (found,) = [
        one for one in (await run(office, DEVICES, "Devices"))["nodes"] if one["id"] == str(phone.device_id)
    ]
    assert found["wipedAt"] is not None
    assert found["revokedReason"] == "wiped"
    assert (await graph.refused(PULL))["code"] == "DEVICE_REVOKED"


async def test_a_stolen_phone_learns_it_and_gives_nothing(client: Any, world: World, office: Graph) -> None:
    """Pull and push are refused with the code that makes the app forget everything; with DEVICE_REVOKED it would
    keep its data for the next sign-in."""
    phone = world.phones[0]
    graph = await graph_of(client, world, phone)
    await graph.ask(PULL)
    await run(office, WIPE, "WipeDevice", id=str(phone.device_id), mode="STOLEN", reason="gone")
    push = "mutation($i: PushInput!) { push(input: $i) { answers { status } } }"
    sent = {"i": {"sentAt": datetime.now(UTC).isoformat(), "commands": []}}
    assert (await graph.refused(PULL))["code"] == "DEVICE_WIPED"
    assert (await graph.refused(push, sent))["code"] == "DEVICE_WIPED"
    # Nor may a thief read or sign through any other door with its session.
    for query in ("{ viewer { name } }", "{ visits { nodes { id } } }", "{ parts { nodes { id } } }"):
        assert (await graph.refused(query))["code"] == "DEVICE_WIPED"
    for door in ("/v1/changes", "/auth/me"):
        answer = await client[1].get(door, headers=graph.headers())
        assert (answer.status_code, answer.json()["code"]) == (403, "DEVICE_WIPED")
    await run(office, WIPE, "CancelWipe", id=str(phone.device_id))
    await graph.ask(PULL)


async def test_phones_do_not_wipe_each_other(client: Any, world: World, office: Graph) -> None:
    """An engineer with a grudge must not empty a colleague's phone; nor the office say that a phone was wiped."""
    graph = await graph_of(client, world, world.phones[0])
    other = str(world.phones[1].device_id)
    for name in ("WipeDevice", "CancelWipe"):
        more = {"mode": "STOLEN", "reason": "x"} if name == "WipeDevice" else {}
        assert (await refusal(graph, WIPE, name, id=other, **more))["code"] == "NOT_ALLOWED"
    assert (await refusal(office, WIPE, "ConfirmWipe"))["code"] in ("NOT_ALLOWED", "DEVICE_REQUIRED")
