"""The red lane at the API's door: who may start, answer and look, and what they are shown."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from graph import Graph, application, someone, token_of
from reds import HANDLERS
from worlds import Phone, World

from callout_backend.jobs.drain import drain
from callout_backend.settings import Settings
from callout_backend.wiring import add_hooks
from callout_dispatch import engineers
from callout_people.principals import Role
from callout_store.ids import new_id
from callout_store.work import Database

START = """mutation S($order: UUID!) { startRedLane(orderId: $order) {
  id state round visitId visit { state } order { number priority }
  offers { round engineerId engineer { name } answer answeredBy reason displaced { visitId } }
} }"""
ANSWER = """mutation A($visit: UUID!, $accept: Boolean!, $reason: String! = "") {
  answerOffer(visitId: $visit, accept: $accept, reason: $reason) { id state round }
}"""
HOLD = """mutation H($id: UUID!, $hold: String, $revision: Int) {
  holdVisit(id: $id, hold: $hold, revision: $revision) { hold revision }
}"""
LANES = """query L($state: String) {
  redLanes(state: $state, first: 1) { nodes { id state offers { answer } } hasMore endCursor }
}"""
OF_ORDER = "query O($id: UUID!) { order(id: $id) { redLane { state offers { engineerId answer answeredBy reason } } } }"


@pytest.fixture
async def world(db: Database) -> World:
    add_hooks(db)
    world = await World(db).build()
    async with db.work(world.org) as work:
        await engineers.mark_seen(work, *(phone.engineer_id for phone in world.phones))
    return world


@pytest.fixture
async def door(settings: Settings, db: Database, world: World) -> AsyncIterator[Any]:
    """Callers by phone, or by the user's id (None: the dispatcher)."""
    async with application(settings, db) as (app, client):

        async def caller(who: Phone | UUID | None = None) -> Graph:
            user = who.actor.user_id if isinstance(who, Phone) else who or world.dispatcher.user_id
            assert user is not None
            device = who.device_id if isinstance(who, Phone) else None
            return Graph(client, await token_of(db, app.state.issuer, world.org, user, device))

        yield caller


async def test_from_the_alarm_to_the_yes(world: World, door: Any) -> None:
    """The dispatcher's screen: who is asked, who said no and why, who goes; and who answered for whom by telephone."""
    office = await door()
    order = await world.order(priority="P0")
    lane = (await office.ask(START, {"order": str(order)}))["startRedLane"]
    assert (lane["state"], lane["round"], lane["visit"]["state"]) == ("offering", 1, "dispatched")
    assert lane["order"]["priority"] == "P0"
    [offer] = lane["offers"]
    first = next(phone for phone in world.phones if str(phone.engineer_id) == offer["engineerId"])
    second = next(phone for phone in world.phones if phone is not first)
    assert (offer["answer"], offer["displaced"]) == (None, [])
    no = {"visit": lane["visitId"], "accept": False, "reason": "Flat tyre"}
    answered = (await office.ask(ANSWER, no))["answerOffer"]
    assert answered == {"id": lane["id"], "state": "offering", "round": 1}
    async with world.db.work(world.org) as work:
        await work.execute("delete from timer where channel <> 'red.lane'")
    await drain(world.db, HANDLERS)
    # The second engineer answers at another screen than the phone; the first one's visit it is no more.
    assert (await (await door(first)).refused(ANSWER, {**no, "accept": True}))["code"] == "NOT_FOUND"
    theirs = await (await door(second)).ask(ANSWER, {"visit": lane["visitId"], "accept": True})
    assert theirs["answerOffer"] == {"id": lane["id"], "state": "accepted", "round": 2}
    seen = (await office.ask(OF_ORDER, {"id": str(order)}))["order"]["redLane"]
    assert seen["state"] == "accepted"
    assert [(one["engineerId"], one["answer"]) for one in seen["offers"]] == [
        (str(first.engineer_id), "declined"),
        (str(second.engineer_id), "accepted"),
    ]
    assert seen["offers"][0]["answeredBy"] == str(world.dispatcher.user_id)
    assert seen["offers"][0]["reason"] == "other: Flat tyre"
    assert (await office.refused(ANSWER, {**no, "accept": True}))["code"] == "WRONG_STATE"


async def test_lanes_are_found_by_state(world: World, door: Any) -> None:
    """A supervisor looks for what nobody took; a state that is none is said to be so."""
    office = await door()
    for _ in range(2):
        await office.ask(START, {"order": str(await world.order(priority="P0"))})
    page = (await office.ask(LANES, {"state": "offering"}))["redLanes"]
    assert len(page["nodes"]) == 1
    assert page["hasMore"] is True
    assert (await office.ask(LANES, {"state": "exhausted"}))["redLanes"]["nodes"] == []
    assert (await office.refused(LANES, {"state": "burning"}))["code"] == "BAD_FIELD"


async def test_who_may_not(world: World, door: Any) -> None:
    """An engineer must not start lanes or pin colleagues' visits, a customer must not see whom we asked and who said no."""
    order = await world.order(priority="P0")
    visit = await world.visit(world.phones[0])
    engineer = await door(world.phones[0])
    supervisor = await door(await someone(world, Role.SUPERVISOR))
    for caller in (engineer, supervisor):
        assert (await caller.refused(START, {"order": str(order)}))["code"] == "NOT_ALLOWED"
        assert (await caller.refused(HOLD, {"id": str(visit), "hold": "time"}))["code"] == "NOT_ALLOWED"
    assert (await engineer.refused(LANES))["code"] == "NOT_ALLOWED"
    assert (await supervisor.ask(LANES))["redLanes"]["nodes"] == []
    assert (await supervisor.refused(ANSWER, {"visit": str(visit), "accept": True}))["code"] == "NOT_ALLOWED"
    # Own, but not offered: there is nothing to answer.
    assert (await engineer.refused(ANSWER, {"visit": str(visit), "accept": True}))["code"] == "WRONG_STATE"
    stranger = await door(world.phones[1])
    assert (await stranger.refused(ANSWER, {"visit": str(visit), "accept": True}))["code"] == "NOT_FOUND"


async def test_what_cannot_be_started_is_said(world: World, door: Any) -> None:
    """A wrong order gets a sentence and no lane."""
    office = await door()
    assert (await office.refused(START, {"order": str(await world.order())}))["code"] == "WRONG_STATE"
    assert (await office.refused(START, {"order": str(new_id())}))["code"] == "NOT_FOUND"


async def test_a_pin_is_shown(world: World, door: Any) -> None:
    """Whoever looks at the board sees that a visit is pinned, before they wonder why no plan moves it."""
    office = await door()
    visit = await world.visit(world.phones[0])
    held = (await office.ask(HOLD, {"id": str(visit), "hold": "engineer", "revision": 1}))["holdVisit"]
    assert held == {"hold": "engineer", "revision": 2}
    assert (await office.refused(HOLD, {"id": str(visit), "hold": "time", "revision": 1}))[
        "code"
    ] == "STALE_REVISION"
    refused = await office.refused(HOLD, {"id": str(visit), "hold": "glue"})
    assert (refused["code"], refused["path"]) == ("BAD_FIELD", "hold")
    now = datetime.now(UTC)
    board = await office.ask(
        "query B($a: DateTime!, $b: DateTime!) { board(start: $a, end: $b) { rows { visits { id hold } } } }",
        {"a": (now - timedelta(hours=12)).isoformat(), "b": (now + timedelta(hours=24)).isoformat()},
    )
    [shown] = [one for row in board["board"]["rows"] for one in row["visits"]]
    assert shown == {"id": str(visit), "hold": "engineer"}
    assert (await office.ask(HOLD, {"id": str(visit)}))["holdVisit"]["hold"] is None
