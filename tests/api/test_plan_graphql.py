"""Plans through `/graphql`: who may, what they read, in their language."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from graph import Graph, application, someone, token_of
from plan_runs import at_once, claimed
from worlds import World

from callout_backend.jobs.plans import plan_handler
from callout_backend.settings import Settings
from callout_dispatch import policies
from callout_dispatch.policy import STANDARD, to_json
from callout_graphql.operations.plans import ACCEPT_PLAN, ASK_PLAN, ASK_WHAT_IF, PLAN, PLANS
from callout_people.principals import Role
from callout_store.ids import new_id, parse_id
from callout_store.work import Database

CANCEL = "mutation($id: UUID!) { cancelPlan(id: $id) { state stateText } }"
REJECT = 'mutation($id: UUID!) { rejectPlan(id: $id, reason: "rain") { state } }'


@pytest.fixture
async def world(db: Database) -> World:
    return await World(db).build()


@pytest.fixture(scope="module")
async def client(settings: Settings, db: Database) -> AsyncIterator[Any]:
    async with application(settings, db) as both:
        yield both


async def caller(client: Any, world: World, role: Role | None = None) -> Graph:
    app, http = client
    user = world.dispatcher.user_id if role is None else await someone(world, role)
    assert user is not None
    return Graph(http, await token_of(world.db, app.state.issuer, world.org, user))


def day() -> dict[str, str]:
    now = datetime.now(UTC)
    return {"start": now.isoformat(), "end": (now + timedelta(hours=10)).isoformat()}


async def made(world: World, id_: str) -> None:
    """What a worker does."""
    await plan_handler(at_once, beat_s=0.02)(world.db, claimed(world.org, parse_id(id_)))


async def test_from_asking_to_accepting(client: Any, world: World) -> None:
    """The dispatcher's whole way: ask, watch, read, take one line, take the rest."""
    dispatcher = await caller(client, world)
    orders = [await world.order() for _ in range(2)]
    asked = (await dispatcher.ask(ASK_PLAN, {**day(), "planner": "inserter"}))["askPlan"]
    assert (asked["state"], asked["stage"], asked["progress"]) == ("queued", "queued", 0)
    await made(world, asked["id"])
    plan = (await dispatcher.ask(PLAN, {"id": asked["id"]}))["plan"]
    assert (plan["state"], plan["stateText"], plan["fault"]) == ("proposed", "proposed", None)
    assert plan["figures"]["after"]["unassigned"] == 0
    lines = plan["changes"]["nodes"]
    assert {line["orderId"] for line in lines} == {str(order) for order in orders}
    assert all(line["kind"] == "assign" and line["text"].startswith(line["orderNumber"]) for line in lines)
    first = {"id": asked["id"], "numbers": [1], "revision": plan["revision"]}
    taken = (await dispatcher.ask(ACCEPT_PLAN, first))["acceptPlan"]
    assert (taken["taken"], taken["plan"]["state"], len(taken["visitIds"])) == ([1], "partly_accepted", 1)
    stale = await dispatcher.refused(ACCEPT_PLAN, first)
    assert stale["code"] == "STALE_REVISION"
    again = await dispatcher.refused(ACCEPT_PLAN, {"id": asked["id"], "numbers": [1]})
    assert (again["code"], again["details"]["codes"]) == ("PLAN_STALE", "1:settled")
    rest = (await dispatcher.ask(ACCEPT_PLAN, {"id": asked["id"], "tell": True}))["acceptPlan"]
    assert rest["plan"]["state"] == "accepted"
    states = await world.fetch("select state from visit order by state")
    assert [row["state"] for row in states] == ["dispatched", "scheduled"]
    page = (await dispatcher.ask(PLANS, {"states": ["accepted"]}))["plans"]
    assert [node["id"] for node in page["nodes"]] == [asked["id"]]


async def test_a_proposal_reads_in_chinese(client: Any, world: World) -> None:
    """A dispatcher in Shanghai reads whose day changes, and why an order is left, in Chinese."""
    dispatcher = await caller(client, world)
    await world.order()
    await world.order(skills={"sewer": 5})
    asked = (await dispatcher.ask(ASK_PLAN, {**day(), "planner": "inserter"}))["askPlan"]
    await made(world, asked["id"])
    answer = await client[1].post(
        "/graphql",
        json={"query": PLAN, "variables": {"id": asked["id"]}},
        headers=dispatcher.headers(**{"Accept-Language": "zh-CN"}),
    )
    plan = answer.json()["data"]["plan"]
    assert (plan["stateText"], plan["stageText"]) == ("已提出方案", "已提出方案")
    left = [line for line in plan["changes"]["nodes"] if line["kind"] == "unassigned"]
    assert left[0]["text"].endswith("继续等待:2 名工程师技能等级不足")
    assert left[0]["reasons"] == [{"code": "SKILL_LEVEL_LOW", "engineers": 2}]


async def test_pages_of_changes(client: Any, world: World) -> None:
    """A proposal of a thousand lines is read page by page, none twice and none left out."""
    dispatcher = await caller(client, world)
    for _ in range(5):
        await world.order()
    asked = (await dispatcher.ask(ASK_PLAN, {**day(), "planner": "inserter"}))["askPlan"]
    await made(world, asked["id"])
    seen: list[int] = []
    after = None
    for _ in range(3):
        variables = {"id": asked["id"], "first": 2, "after": after, "kinds": ["assign"]}
        page = (await dispatcher.ask(PLAN, variables))["plan"]["changes"]
        seen += [line["number"] for line in page["nodes"]]
        after = page["endCursor"]
    assert (seen, page["hasMore"]) == ([1, 2, 3, 4, 5], False)
    wrong = await dispatcher.refused(PLAN, {"id": asked["id"], "kinds": ["teleport"]})
    assert wrong["code"] == "BAD_FIELD"
    engineer = str(world.phones[0].engineer_id)
    own = await dispatcher.ask(PLAN, {"id": asked["id"], "engineerId": engineer})
    assert all(line["engineerId"] == engineer for line in own["plan"]["changes"]["nodes"])


async def test_a_what_if_over_http(client: Any, world: World) -> None:
    """Who decides on a policy asks, waits and reads both sides."""
    dispatcher = await caller(client, world)
    await world.order()
    async with world.db.work(world.org) as work:
        await policies.save(work, to_json(STANDARD))
    variables = {**day(), "policyVersion": 0, "otherPolicyVersion": 1, "planner": "inserter"}
    asked = (await dispatcher.ask(ASK_WHAT_IF, variables))["askWhatIf"]
    await made(world, asked["id"])
    found = (await dispatcher.ask(PLAN, {"id": asked["id"]}))["plan"]
    assert (found["kind"], found["state"], found["otherPolicyVersion"]) == ("what_if", "done", 1)
    assert found["figures"]["a"]["visits"] == found["figures"]["b"]["visits"] == 1
    page = (await dispatcher.ask(PLANS, {"kind": "what_if"}))["plans"]
    assert len(page["nodes"]) == 1


async def test_calling_off_and_turning_down(client: Any, world: World) -> None:
    """Both are one click, and the answer says what the run is now."""
    dispatcher = await caller(client, world)
    await world.order()
    one = (await dispatcher.ask(ASK_PLAN, day()))["askPlan"]
    assert (await dispatcher.ask(CANCEL, {"id": one["id"]}))["cancelPlan"]["state"] == "canceled"
    refused = await dispatcher.refused(REJECT, {"id": one["id"]})
    assert refused["code"] == "WRONG_STATE"
    two = (await dispatcher.ask(ASK_PLAN, {**day(), "planner": "inserter"}))["askPlan"]
    await made(world, two["id"])
    assert (await dispatcher.ask(REJECT, {"id": two["id"]}))["rejectPlan"]["state"] == "rejected"


async def test_who_may(client: Any, world: World) -> None:
    """An engineer who could accept plans would choose the nearest customers; a supervisor may look."""
    dispatcher = await caller(client, world)
    await world.order()
    asked = (await dispatcher.ask(ASK_PLAN, {**day(), "planner": "inserter"}))["askPlan"]
    await made(world, asked["id"])
    supervisor, engineer = (
        await caller(client, world, Role.SUPERVISOR),
        await caller(client, world, Role.ENGINEER),
    )
    assert (await supervisor.ask(PLAN, {"id": asked["id"]}))["plan"]["state"] == "proposed"
    for who, query, variables in (
        (supervisor, ACCEPT_PLAN, {"id": asked["id"]}),
        (supervisor, ASK_PLAN, day()),
        (engineer, PLAN, {"id": asked["id"]}),
        (engineer, PLANS, {}),
        (engineer, REJECT, {"id": asked["id"]}),
    ):
        assert (await who.refused(query, variables))["code"] == "NOT_ALLOWED"


async def test_another_organisations_plan_is_not_there(client: Any, world: World) -> None:
    """What one organisation plans is nobody else's business."""
    dispatcher = await caller(client, world)
    await world.order()
    asked = (await dispatcher.ask(ASK_PLAN, day()))["askPlan"]
    stranger = await caller(client, await World(world.db).build())
    assert (await stranger.ask(PLAN, {"id": asked["id"]}))["plan"] is None
    assert (await stranger.refused(ACCEPT_PLAN, {"id": asked["id"]}))["code"] == "NOT_FOUND"
    assert (await dispatcher.ask(PLAN, {"id": str(new_id())}))["plan"] is None


async def test_bad_input_over_http(client: Any, world: World) -> None:
    """Each mistake has its code and names its field."""
    dispatcher = await caller(client, world)
    now = day()
    for variables, code, path in (
        ({"start": now["end"], "end": now["start"]}, "BAD_FIELD", "end"),
        ({**now, "planner": "oracle"}, "BAD_FIELD", "planner"),
        ({**now, "secondsMax": 1e9}, "BAD_FIELD", "secondsMax"),
        ({**now, "territoryId": str(new_id())}, "NOT_FOUND", "territoryId"),
    ):
        refused = await dispatcher.refused(ASK_PLAN, variables)
        assert (refused["code"], refused["path"]) == (code, path)
