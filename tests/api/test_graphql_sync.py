"""What a phone and the office meet at the doors of sync: the app's version, why a record is there, a wipe by rows."""

from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import pytest
from graph import Graph, application, token_of
from worlds import Phone, World

from callout_backend.settings import Settings
from callout_backend.wiring import add_hooks
from callout_people import organisations
from callout_store.work import Database

PULL = "query P($cursor: String) { pull(cursor: $cursor, limit: 500, schemaVersion: 2) { cursor more wipe count } }"
PUSH = "mutation P($input: PushInput!) { push(input: $input) { answers { status code } wipe } }"
RX_PULL = "query P { pullSite(limit: 10) { documents { id } checkpoint { cursor } wipe } }"
EXPLAIN = """query E($device: UUID!, $id: UUID!) {
  explain(deviceId: $device, entity: "visit", id: $id) { held delivered reasons { code sentence facts } }
}"""


@pytest.fixture
async def world(db: Database) -> World:
    add_hooks(db)
    return await World(db).build()


@pytest.fixture
async def door(settings: Settings, db: Database, world: World) -> AsyncIterator[Any]:
    """Callers by device (None: the dispatcher)."""
    async with application(settings, db) as (app, client):

        async def caller(phone: Phone | None = None, **headers: str) -> Graph:
            user = world.dispatcher.user_id if phone is None else phone.actor.user_id
            assert user is not None
            device = None if phone is None else phone.device_id
            token = await token_of(db, app.state.issuer, world.org, user, device)
            client.headers.update(headers)
            return Graph(client, token)

        yield caller


async def test_an_old_app_pulls_no_more_and_still_hands_in_its_work(world: World, door: Any) -> None:
    """The header is how apps say their version: read by nobody, the gate would be open, or shut for the upgraded."""
    phone = world.phones[0]
    visit = await world.visit(phone)
    async with world.db.work(world.org, actor=world.dispatcher) as work:
        await organisations.configure_phones(work, organisations.Phones(app_version_min="2.10"))
    old = await door(phone, **{"X-App-Version": "2.9.1"})
    refused = await old.refused(PULL)
    assert (refused["code"], refused["details"]) == ("UPGRADE_REQUIRED", {"given": "2.9.1", "needed": "2.10"})
    given = {
        "sentAt": "2026-01-01T00:00:00Z",
        "commands": [phone.command("visit.note", visit, {"text": "x"})],
    }
    pushed = (await old.ask(PUSH, {"input": given}))["push"]
    assert pushed["answers"] == [{"status": "applied", "code": None}]
    assert (await old.refused(RX_PULL))["code"] == "UPGRADE_REQUIRED"
    upgraded = await door(phone, **{"X-App-Version": "2.10.0"})
    assert (await upgraded.ask(PULL))["pull"]["count"] > 0


async def test_why_a_visit_is_on_a_phone_and_not_on_another(world: World, door: Any) -> None:
    """Asked by a dispatcher on the telephone, in the caller's language; an engineer is not told who else holds what."""
    mine, other = world.phones
    visit = await world.visit(mine)
    office = await door()
    here = (await office.ask(EXPLAIN, {"device": str(mine.device_id), "id": str(visit)}))["explain"]
    assert here["held"] is True
    assert "VISIT_IS_YOURS" in {reason["code"] for reason in here["reasons"]}
    assert all(reason["sentence"] for reason in here["reasons"])
    there = (await office.ask(EXPLAIN, {"device": str(other.device_id), "id": str(visit)}))["explain"]
    assert there["held"] is False
    assert "OTHER_ENGINEER" in {reason["code"] for reason in there["reasons"]}
    engineer = await door(mine)
    refused = await engineer.refused(EXPLAIN, {"device": str(other.device_id), "id": str(visit)})
    assert refused["code"] == "NOT_ALLOWED"


async def ask_to_wipe(world: World, device: UUID, mode: str) -> None:
    async with world.db.work(world.org) as work:
        await work.execute("update device set wipe_mode = $2 where id = $1", device, mode)


async def test_a_wipe_reaches_clients_of_rows(world: World, door: Any) -> None:
    """They know no `pull`: a lost phone that syncs by rows would go on receiving customers' addresses."""
    phone = world.phones[0]
    await world.visit(phone)
    caller = await door(phone)
    asked = {"lastPulledAt": None, "dirty": False}
    before = await caller.client.post("/v1/watermelon/pull", json=asked, headers=caller.headers())
    assert before.json()["changes"]["site"]["updated"]
    await ask_to_wipe(world, phone.device_id, "after_upload")
    rows = (await caller.ask(RX_PULL))["pullSite"]
    assert (rows["documents"], rows["wipe"]) == ([], True)
    told = (await caller.client.post("/v1/watermelon/pull", json=asked, headers=caller.headers())).json()
    assert (told["changes"], told["wipe"]) == ({}, True)
    await ask_to_wipe(world, phone.device_id, "stolen")
    assert (await caller.refused(RX_PULL))["code"] == "DEVICE_WIPED"
    answer = await caller.client.post("/v1/watermelon/pull", json=asked, headers=caller.headers())
    assert (answer.status_code, answer.json()["code"]) == (403, "DEVICE_WIPED")
