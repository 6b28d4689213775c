"""Crews and drags at the API's door: what is asked, what is refused, and what an override takes."""

from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from graph import Graph, application, token_of
from worlds import World

from callout_backend.settings import Settings
from callout_backend.wiring import add_hooks
from callout_store.work import Database

ASSIGN = """mutation A($order: UUID!, $engineer: UUID!, $start: DateTime, $crew: [UUID!]) {
  assignWorkOrder(orderId: $order, engineerId: $engineer, start: $start, crew: $crew) {
    id revision scheduledStart crew { id }
  }
}"""
CREW = """mutation C($id: UUID!, $who: [UUID!]!, $override: Boolean! = false, $reason: String! = "") {
  setVisitCrew(id: $id, engineerIds: $who, override: $override, reason: $reason) { crew { id } }
}"""
CHECK = """query D($id: UUID!, $engineer: UUID, $start: DateTime) {
  checkDrag(visitId: $id, engineerId: $engineer, start: $start) {
    allowed possible locked reasons { code text } lanes { engineerId newConflicts { code } }
  }
}"""
DRAG = """mutation D($id: UUID!, $start: DateTime, $override: Boolean! = false, $reason: String! = "") {
  dragVisit(id: $id, start: $start, override: $override, reason: $reason) { scheduledStart }
}"""


@pytest.fixture
async def world(db: Database) -> World:
    add_hooks(db)
    return await World(db).build(phones=2)


@pytest.fixture
async def office(settings: Settings, db: Database, world: World) -> AsyncIterator[Graph]:
    async with application(settings, db) as (app, client):
        assert world.dispatcher.user_id is not None
        yield Graph(client, await token_of(db, app.state.issuer, world.org, world.dispatcher.user_id, None))


async def test_a_crew_from_the_first_hour_to_the_override(world: World, office: Graph) -> None:
    """The desk sends two to a lift, sees what a new hour would break, and who insists says why."""
    one, two = (str(phone.engineer_id) for phone in world.phones)
    start = world.db.clock.now() + timedelta(hours=6)
    at = {"start": start.isoformat()}
    asked: dict[str, Any] = {"order": str(await world.order()), "engineer": one, "crew": [two], **at}
    visit = (await office.ask(ASSIGN, asked))["assignWorkOrder"]
    assert visit["crew"] == [{"id": two}]
    busy = {"order": str(await world.order()), "engineer": two, **at}
    refused = await office.refused(ASSIGN, busy)
    assert refused["code"] == "ENGINEER_UNAVAILABLE"
    later = (start + timedelta(hours=4)).isoformat()
    other = (await office.ask(ASSIGN, {**busy, "start": later}))["assignWorkOrder"]
    seen = (await office.ask(CHECK, {"id": visit["id"], "start": later}))["checkDrag"]
    assert (seen["allowed"], seen["possible"], seen["locked"]) == (False, True, False)
    assert [reason["code"] for reason in seen["reasons"]] == ["SHIFT_FULL"]
    conflicts = {lane["engineerId"]: [one["code"] for one in lane["newConflicts"]] for lane in seen["lanes"]}
    assert {lane: "OVERLAP" in codes for lane, codes in conflicts.items()} == {one: False, two: True}
    drag = {"id": visit["id"], "start": later}
    assert (await office.refused(DRAG, drag))["code"] == "ENGINEER_UNAVAILABLE"
    assert (await office.refused(DRAG, {**drag, "override": True}))["code"] == "BAD_FIELD"
    insisted = {**drag, "override": True, "reason": "it takes ten minutes"}
    moved = (await office.ask(DRAG, insisted))["dragVisit"]
    assert datetime.fromisoformat(moved["scheduledStart"]) == datetime.fromisoformat(later)
    crew: dict[str, Any] = {"id": other["id"], "who": [one]}
    assert (await office.refused(CREW, crew))["code"] == "ENGINEER_UNAVAILABLE"
    assert (await office.refused(CREW, {**crew, "override": True}))["code"] == "BAD_FIELD"
    insisted = {**crew, "override": True, "reason": "same house"}
    assert (await office.ask(CREW, insisted))["setVisitCrew"]["crew"] == [{"id": one}]
