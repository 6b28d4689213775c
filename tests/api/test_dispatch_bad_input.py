"""What dispatch is told that cannot be, through `/graphql`: a stable code, the field, what is wrong, and nothing changes."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from graph import Graph, application, token_of
from plan_runs import at_once, claimed
from worlds import World

from callout_backend.jobs.plans import plan_handler
from callout_backend.settings import Settings
from callout_dispatch.planning.processes import PlannerDied
from callout_dispatch.plans import runs
from callout_graphql.operations.plans import ASK_PLAN, PLAN
from callout_store.ids import new_id, parse_id
from callout_store.work import Database

HOUR = timedelta(hours=1)
TODAY = datetime.now(UTC)
NOON = datetime(2031, 3, 9, 12, 0, tzinfo=UTC)
"""In the night before, the clocks of New York go an hour ahead."""

ORDER = "mutation($input: CreateWorkOrder!) { createWorkOrder(input: $input) { id } }"
SITE = "mutation($input: CreateSite!) { createSite(input: $input) { id } }"
POINT = "mutation($s: UUID!, $lat: Float!, $lng: Float!) { setSitePoint(siteId: $s, lat: $lat, lng: $lng) { id } }"
ENGINEER = "mutation($id: UUID, $input: EngineerInput!) { saveEngineer(id: $id, input: $input) { id } }"
SHIFTS = """mutation($e: UUID!, $start: DateTime!, $end: DateTime!, $shifts: [ShiftInput!]!) {
    setShifts(engineerId: $e, start: $start, end: $end, shifts: $shifts) { startsAt endsAt } }"""
TERRITORY = (
    "mutation($input: SaveTerritory!) { saveTerritory(input: $input) { territory { id sites engineers } } }"
)
PLANNING = (
    "mutation($o: UUID!, $input: OrderPlanningInput!) { setOrderPlanning(orderId: $o, input: $input) { id } }"
)
PROPOSE = (
    "query($o: UUID!) { proposeEngineers(orderId: $o) { best rankedCount out { reasons { code text } } } }"
)


@pytest.fixture
async def world(db: Database) -> World:
    return await World(db).build()


@pytest.fixture(scope="module")
async def client(settings: Settings, db: Database) -> AsyncIterator[Any]:
    async with application(settings, db) as both:
        yield both


@pytest.fixture
async def desk(client: Any, world: World) -> Graph:
    app, http = client
    assert world.dispatcher.user_id is not None
    return Graph(http, await token_of(world.db, app.state.issuer, world.org, world.dispatcher.user_id))


def an_order(world: World, **more: Any) -> dict[str, Any]:
    return {
        "customerId": str(world.customer),
        "siteId": str(world.site),
        "priority": "P1",
        "kind": "repair",
        "description": "No power",
        "channel": "hotline",
        "serial": "SN-1",
        "contactPhone": "+1 415 555 2671",
        **more,
    }


def soon(hours: float) -> str:
    return (TODAY + hours * HOUR).isoformat()


def hour(n: float) -> str:
    return (NOON + n * HOUR).isoformat()


@pytest.mark.parametrize(
    ("more", "path", "word"),
    (
        ({"skills": [{"skill": "magic", "level": 2}]}, "skills.magic", "no skill 'magic'"),
        ({"skills": [{"skill": "sewer", "level": 0}]}, "skills.sewer", "1 to 5"),
        ({"skills": [{"skill": "sewer", "level": 6}]}, "skills.sewer", "1 to 5"),
        ({"requestedFrom": soon(2), "requestedUntil": soon(1)}, "requestedUntil", "before it starts"),
        ({"requestedFrom": soon(2), "requestedUntil": soon(2)}, "requestedUntil", "at once"),
        ({"requestedFrom": hour(2), "requestedUntil": hour(4)}, "requestedFrom", ""),
        ({"crewSize": 0}, "crewSize", "between 1 and"),
        ({"durationMinutes": 0}, "durationMinutes", "between 5 and"),
    ),
)
async def test_an_order_that_nobody_could_be_sent_to(
    desk: Graph, world: World, more: dict[str, Any], path: str, word: str
) -> None:
    """It would be taken in, wait for ever, and somebody would call in a week to ask why nobody came."""
    refused = await desk.refused(ORDER, {"input": an_order(world, **more)})
    assert (refused["code"], refused["path"]) == ("BAD_FIELD", path)
    assert word in refused["message"]
    assert await world.value("select count(*) from work_order") == 0


async def test_an_unknown_skill_is_refused_at_the_other_door_too(
    desk: Graph, client: Any, world: World
) -> None:
    """Another system's misspelt skill would fill the list of orders that nobody fits."""
    http: httpx.AsyncClient = client[1]
    body = {
        "customerId": str(world.customer),
        "siteId": str(world.site),
        "description": "x",
        "skills": {"swer": 1},
    }
    answer = await http.post(
        "/v1/work-orders", json=body, headers=desk.headers(**{"Accept-Language": "zh-CN"})
    )
    assert (answer.status_code, answer.json()["code"], answer.json()["path"]) == (
        422,
        "BAD_FIELD",
        "skills.swer",
    )
    assert "不存在技能" in answer.json()["detail"]


@pytest.mark.parametrize(
    ("lat", "lng", "path", "reason"),
    (
        (0.0, 0.0, "point", "null_island"),
        (90.5, 10.0, "lat", "out_of_range"),
        (10.0, -180.5, "lng", "out_of_range"),
    ),
)
async def test_a_place_that_is_none(
    desk: Graph, world: World, lat: float, lng: float, path: str, reason: str
) -> None:
    """One site in the Gulf of Guinea, and every engineer of the day is sent there first."""
    refused = await desk.refused(POINT, {"s": str(world.site), "lat": lat, "lng": lng})
    assert (refused["code"], refused["path"], refused["details"]["reason"]) == ("POINT_INVALID", path, reason)
    made = {"customerId": str(world.customer), "name": "x", "address": "x", "lat": lat, "lng": lng}
    assert (await desk.refused(SITE, {"input": made}))["code"] == "POINT_INVALID"
    engineer = {"id": str(world.phones[0].engineer_id), "input": {"homeLat": lat, "homeLng": lng}}
    refused = await desk.refused(ENGINEER, engineer)
    assert (refused["code"], refused["path"].split(".")[0]) == ("POINT_INVALID", "home")
    assert await world.value("select count(*) from site where lat = $1 and lng = $2", lat, lng) == 0


async def test_an_engineer_without_a_base(desk: Graph, world: World) -> None:
    """The way to the first visit would begin nowhere, and every plan of that day would be wrong."""
    for given in ({}, {"homeLat": 37.7}, {"homeLat": None, "homeLng": None}):
        refused = await desk.refused(ENGINEER, {"input": {"userId": str(new_id()), "name": "Li", **given}})
        assert (refused["code"], refused["path"]) == ("BAD_FIELD", "home")
        assert "give its latitude and longitude" in refused["message"]


async def test_shifts_over_midnight_and_the_change_of_clocks(desk: Graph, world: World) -> None:
    """A night shift is one shift, and in the night in which an hour is missing it is an hour shorter by the clock on the
    wall; what no shift can be is told with its place in the list."""
    engineer = str(world.phones[0].engineer_id)
    asked = {"e": engineer, "start": hour(-24), "end": hour(24)}
    night = {"startsAt": "2031-03-08T22:00:00-05:00", "endsAt": "2031-03-09T06:00:00-04:00"}
    (made,) = (await desk.ask(SHIFTS, {**asked, "shifts": [night]}))["setShifts"]
    assert (made["startsAt"], made["endsAt"]) == ("2031-03-09T03:00:00Z", "2031-03-09T10:00:00Z")
    bad = [
        ([{"startsAt": hour(9), "endsAt": hour(8)}], "shifts.0.endsAt"),
        ([{"startsAt": hour(-10), "endsAt": hour(15)}], "shifts.0.endsAt"),
        ([night, {"startsAt": hour(-5), "endsAt": hour(0)}], "shifts.1.startsAt"),
        ([{"startsAt": hour(30), "endsAt": hour(31)}], "shifts.0.startsAt"),
    ]
    for shifts, path in bad:
        refused = await desk.refused(SHIFTS, {**asked, "shifts": shifts})
        assert (refused["code"], refused["path"]) == ("BAD_FIELD", path)
    kept = await world.fetch("select starts_at from shift where starts_at >= $1", NOON - 24 * HOUR)
    assert len(kept) == 1


@pytest.mark.parametrize(
    ("ring", "reason", "path"),
    (
        ([[0, 10], [2, 12], [2, 10], [0, 12], [0, 10]], "self_crossing", "polygon.coordinates"),
        ([[1, 10], [2, 11], [3, 12], [1, 10]], "no_area", "polygon.coordinates[0]"),
        ([[200, 10], [201, 10], [201, 11], [200, 10]], "out_of_range", "polygon.coordinates[0][0][0]"),
        ([[0, 0], [1, 0], [1, 1], [0, 0]], "null_island", "polygon.coordinates[0][0]"),
    ),
)
async def test_an_outline_that_cannot_be(
    desk: Graph, world: World, ring: list[list[float]], reason: str, path: str
) -> None:
    """Sites would lie inside and outside of it at once, depending on who asks."""
    before = await world.value("select count(*) from territory")
    outline = {"type": "Polygon", "coordinates": [ring]}
    refused = await desk.refused(TERRITORY, {"input": {"code": "t", "name": "T", "polygon": outline}})
    assert (refused["code"], refused["path"], refused["details"]["reason"]) == ("BAD_FIELD", path, reason)
    assert await world.value("select count(*) from territory") == before


async def test_nothing_to_plan_and_nobody_to_plan_for(desk: Graph, world: World) -> None:
    """An empty territory, a day without orders, an order without engineers: an answer, not a fault."""
    square = {"type": "Polygon", "coordinates": [[[10, 10], [11, 10], [11, 11], [10, 11], [10, 10]]]}
    saved = await desk.ask(TERRITORY, {"input": {"code": "far", "name": "Far", "polygon": square}})
    territory = saved["saveTerritory"]["territory"]
    assert (territory["sites"], territory["engineers"]) == (0, 0)
    plan = await planned(desk, world, territoryId=territory["id"])
    assert (plan["state"], plan["stage"]) == ("proposed", "empty")
    assert "nothing to plan" in plan["stageText"]
    async with world.db.work(world.org) as work:
        await work.execute("delete from shift where engineer_id is not null")
    order = await world.order()
    plan = await planned(desk, world)
    (line,) = plan["changes"]["nodes"]
    assert (line["orderId"], line["kind"]) == (str(order), "unassigned")
    assert "nobody has a shift" in line["text"]
    proposed = (await desk.ask(PROPOSE, {"o": str(order)}))["proposeEngineers"]
    assert (proposed["best"], proposed["rankedCount"]) == (None, 0)
    assert {reason["code"] for one in proposed["out"] for reason in one["reasons"]} == {"NO_SHIFT"}


async def test_more_than_a_planner_can_finish(
    desk: Graph, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A hundred thousand orders are told while the dispatcher is looking, with what to do about it."""
    for _ in range(3):
        await world.order()
    monkeypatch.setattr(runs, "TASKS_MAX", 2)
    refused = await desk.refused(ASK_PLAN, day())
    assert (refused["code"], refused["path"]) == ("LIMIT_EXCEEDED", "end")
    assert (refused["details"]["limit"], refused["details"]["given"]) == (2, 3)
    assert "shorter range or for one territory" in refused["message"]
    assert await world.value("select count(*) from plan_run") == 0


@pytest.mark.parametrize(
    ("more", "path"),
    (
        ({"end": (datetime.now(UTC) - HOUR).isoformat()}, "end"),
        ({"end": (datetime.now(UTC) + timedelta(days=20)).isoformat()}, "end"),
        ({"planner": "magic"}, "planner"),
        ({"secondsMax": 0}, "secondsMax"),
        ({"secondsMax": 100_000}, "secondsMax"),
        ({"seed": -1}, "seed"),
        ({"territoryId": str(new_id())}, "territoryId"),
    ),
)
async def test_a_plan_that_cannot_be_asked_for(
    desk: Graph, world: World, more: dict[str, Any], path: str
) -> None:
    """A run that nobody could make would be watched for minutes before it says so."""
    refused = await desk.refused(ASK_PLAN, {**day(), **more})
    assert (refused["code"], refused["path"]) == (
        "NOT_FOUND" if path == "territoryId" else "BAD_FIELD",
        path,
    )
    assert await world.value("select count(*) from plan_run") == 0


async def test_what_is_followed_must_be_there_and_no_circle(desk: Graph, world: World) -> None:
    """Two orders that wait for each other would wait for ever."""
    one, two = await world.order(), await world.order()
    refused = await desk.refused(PLANNING, {"o": str(one), "input": {"followsOrderId": str(new_id())}})
    assert (refused["code"], refused["path"]) == ("NOT_FOUND", "followsOrderId")
    await desk.ask(PLANNING, {"o": str(one), "input": {"followsOrderId": str(two)}})
    refused = await desk.refused(PLANNING, {"o": str(two), "input": {"followsOrderId": str(one)}})
    assert (refused["code"], refused["path"]) == ("BAD_FIELD", "followsOrderId")


async def test_a_planner_that_dies_is_told_and_changes_nothing(desk: Graph, world: World) -> None:
    """Killed by the machine in the middle of the night: in the morning the old plan stands, and the page says why."""
    await world.visit(world.phones[0])
    await world.order()
    before = await standing(world)

    async def dies(*_: Any, **__: Any) -> Any:
        raise PlannerDied("killed by signal 9")

    asked = (await desk.ask(ASK_PLAN, day()))["askPlan"]
    await plan_handler(dies, beat_s=0.02)(world.db, claimed(world.org, parse_id(asked["id"])))
    plan = (await desk.ask(PLAN, {"id": asked["id"]}))["plan"]
    assert plan["state"] == "failed"
    assert "standing plan is as it was" in plan["stageText"]
    assert await standing(world) == before
    assert (await planned(desk, world))["state"] == "proposed"


def day() -> dict[str, Any]:
    now = datetime.now(UTC)
    return {"start": now.isoformat(), "end": (now + 8 * HOUR).isoformat()}


async def planned(desk: Graph, world: World, **more: Any) -> Any:
    """A plan that was asked for and made."""
    asked = (await desk.ask(ASK_PLAN, {**day(), "planner": "inserter", **more}))["askPlan"]
    await plan_handler(at_once, beat_s=0.02)(world.db, claimed(world.org, parse_id(asked["id"])))
    return (await desk.ask(PLAN, {"id": asked["id"]}))["plan"]


async def standing(world: World) -> list[tuple[Any, ...]]:
    rows = await world.fetch(
        "select id, engineer_id, scheduled_start, scheduled_end, revision, plan, state from visit order by id"
    )
    return [tuple(row.values()) for row in rows]
