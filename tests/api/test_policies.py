"""Scheduling policies: versions that nobody edits, one of which is active; and who may decide about them."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest
from graph import Graph, application, someone, token_of
from worlds import World

from callout_backend.settings import Settings
from callout_dispatch import policies
from callout_dispatch.policy import STANDARD, MaxTravel, Policy, to_json
from callout_people.principals import Role
from callout_store.errors import BadField, NotFound
from callout_store.work import Database

AVAILABLE = {"rule": "availability"}
SAVE = """mutation($body: JSON!, $note: String! = "", $activate: Boolean! = false) {
  saveSchedulingPolicy(body: $body, note: $note, activate: $activate) { version name note active body createdBy }
}"""
GET = "query($n: Int) { schedulingPolicy(version: $n) { version name active body } }"
PAGE = """query($after: String) { schedulingPolicies(first: 2, after: $after) {
  endCursor hasMore nodes { version active }
} }"""
SETTINGS = "{ dispatchSettings { policyVersion positionDays travelProvider } }"


@pytest.fixture
async def world(db: Database) -> World:
    return await World(db).build(phones=1)


async def save(world: World, body: Any, **more: Any) -> int:
    return await world.db.run(
        world.org, lambda work: policies.save(work, body, **more), actor=world.dispatcher
    )


async def active(world: World) -> Policy:
    async with world.db.work(world.org) as work:
        return await policies.active(work)


async def test_until_somebody_decides_the_houses_own_policy_holds(world: World) -> None:
    """An organisation that never heard of policies must be able to dispatch on its first day."""
    assert await active(world) == STANDARD
    async with world.db.work(world.org) as work:
        assert await policies.version(work, 0) == STANDARD
        own = await policies.get(work)
        assert (own.version, own.active, own.created_by) == (0, True, None)
        assert own.body == to_json(STANDARD)


async def test_a_policy_is_saved_then_activated_then_given_up(world: World) -> None:
    """A draft that already decides, or an active one that does not, would send people by rules nobody chose."""
    first = await save(
        world, {"name": " short ", "rules": [AVAILABLE, {"rule": "max_travel", "minutes": 45}]}
    )
    assert await active(world) == STANDARD
    async with world.db.work(world.org, actor=world.dispatcher) as work:
        await policies.activate(work, first)
    now = await active(world)
    rule = now.rule(MaxTravel)
    assert rule is not None
    assert (now.version, now.name, rule.minutes, now.label) == (1, "short", 45.0, "1")
    second = await save(world, {"name": "far"}, activate=True, note="winter")
    assert (await active(world)).version == second == 2
    async with world.db.work(world.org, actor=world.dispatcher) as work:
        await policies.activate(work, 0)
        await policies.activate(work, 0)
        assert (await policies.version(work, 1)).name == "short"
        with pytest.raises(NotFound):
            await policies.version(work, 3)
        with pytest.raises(NotFound):
            await policies.activate(work, 3)
    assert await active(world) == STANDARD
    lines = await world.fetch(
        "select kind, data::text as data, actor_id from journal where kind like 'policy.%' order by id"
    )
    assert [line["kind"] for line in lines] == [
        "policy.saved",
        "policy.activated",
        "policy.saved",
        "policy.activated",
        "policy.activated",
    ]
    assert '"note": "winter"' in lines[2]["data"]
    assert {line["actor_id"] for line in lines} == {world.dispatcher.user_id}


async def test_what_is_stored_is_whole(world: World) -> None:
    """Were only the differences stored, a new default of the house would change what old decisions went by."""
    await save(world, {"rules": [AVAILABLE]})
    async with world.db.work(world.org) as work:
        kept = await policies.get(work, 1)
    assert kept.body["slackMinutesFull"] == STANDARD.slack_minutes_full
    assert kept.body["redLane"]["offerSeconds"] == STANDARD.red_lane.offer_seconds
    assert "version" not in kept.body


async def test_two_who_save_at_once_make_two_versions(world: World) -> None:
    """Of two supervisors' versions, one would otherwise fail on the other's number, or be lost."""
    made = await asyncio.gather(*(save(world, {"name": f"p{n}"}, activate=True) for n in range(5)))
    assert sorted(made) == [1, 2, 3, 4, 5]
    assert (await active(world)).version in made


@pytest.mark.parametrize(
    "statement",
    (
        "update scheduling_policy set body = '{}'",
        "delete from scheduling_policy",
    ),
)
async def test_the_database_lets_nobody_edit_a_version(world: World, statement: str) -> None:
    """A version that changed under its decisions would explain them by rules that did not hold."""
    await save(world, {})
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        async with world.db.work(world.org) as work:
            await work.execute(statement)


@pytest.mark.parametrize(
    ("body", "more", "path"),
    (
        ({"rules": []}, {}, "body.rules"),
        ({"rules": [AVAILABLE, {"rule": "max_travel", "minutes": 0}]}, {}, "body.rules.1.minutes"),
        ({"name": "a\0b"}, {}, "body.name"),
        ({"name": "\ud800"}, {}, "body.name"),
        ({}, {"note": "x" * 501}, "note"),
        ({}, {"note": "a\0b"}, "note"),
    ),
)
async def test_a_bad_policy_stores_nothing(world: World, body: Any, more: dict[str, Any], path: str) -> None:
    """A half-stored policy could be activated."""
    with pytest.raises(BadField) as caught:
        await save(world, body, activate=True, **more)
    assert caught.value.path == path
    assert await world.value("select count(*) from scheduling_policy") == 0
    assert await active(world) == STANDARD


async def test_one_organisations_policies_are_not_anothers(db: Database, world: World) -> None:
    """A neighbour's version, reached by its number, would let one company dispatch by another's rules."""
    other = await World(db).build(phones=1)
    await save(world, {"name": "ours"}, activate=True)
    assert await active(other) == STANDARD
    async with db.work(other.org) as work:
        assert (await policies.versions_page(work)).items == []
        with pytest.raises(NotFound):
            await policies.activate(work, 1)
    assert await save(other, {"name": "theirs"}) == 1
    assert (await active(world)).name == "ours"


# ------------------------------------------------------------------------------------------------ through the door


@pytest.fixture(scope="module")
async def client(settings: Settings, db: Database) -> AsyncIterator[Any]:
    async with application(settings, db) as both:
        yield both


async def caller(client: Any, world: World, role: Role) -> Graph:
    app, http = client
    users = {Role.DISPATCHER: world.dispatcher.user_id, Role.ENGINEER: world.phones[0].actor.user_id}
    user = users.get(role) or await someone(world, role)
    return Graph(http, await token_of(world.db, app.state.issuer, world.org, user))


async def test_a_supervisor_changes_the_policy_through_the_door(client: Any, world: World) -> None:
    """What was read must be able to go back, changed in one word, and be what is decided by."""
    boss, desk = await caller(client, world, Role.SUPERVISOR), await caller(client, world, Role.DISPATCHER)
    body = (await boss.ask(GET))["schedulingPolicy"]["body"]
    body["name"] = "calm"
    body["objectives"]["P2"]["travel"] = 90
    saved = (await boss.ask(SAVE, {"body": body, "note": "n", "activate": True}))["saveSchedulingPolicy"]
    assert (saved["version"], saved["name"], saved["note"], saved["active"]) == (1, "calm", "n", True)
    assert saved["body"] == body
    assert (await desk.ask(GET))["schedulingPolicy"]["body"] == body
    assert (await desk.ask(GET, {"n": 0}))["schedulingPolicy"]["active"] is False
    for n in (2, 3):
        assert (await boss.ask(SAVE, {"body": {"name": f"p{n}"}}))["saveSchedulingPolicy"]["version"] == n
    page = (await desk.ask(PAGE))["schedulingPolicies"]
    assert [node["version"] for node in page["nodes"]] == [3, 2]
    assert page["hasMore"]
    rest = (await desk.ask(PAGE, {"after": page["endCursor"]}))["schedulingPolicies"]
    assert rest["nodes"] == [{"version": 1, "active": True}]
    back = await boss.ask("mutation { activateSchedulingPolicy(version: 0) { version active } }")
    assert back["activateSchedulingPolicy"] == {"version": 0, "active": True}
    assert (await boss.refused("mutation { activateSchedulingPolicy(version: 9) { version } }"))[
        "code"
    ] == "NOT_FOUND"
    assert (await desk.refused(PAGE, {"after": "x"}))["code"] == "BAD_FIELD"


async def test_the_refusal_speaks_the_callers_language(client: Any, world: World) -> None:
    """A supervisor in Shenzhen must read what is wrong with the policy, and where."""
    _, http = client
    admin = await caller(client, world, Role.ADMIN)
    answer = await http.post(
        "/graphql",
        json={"query": SAVE, "variables": {"body": {"rules": []}}},
        headers={"Authorization": f"Bearer {admin.token}", "Accept-Language": "zh"},
    )
    error = answer.json()["errors"][0]
    assert error["extensions"]["path"] == "body.rules"
    assert "请假" in error["message"]
    fault = await admin.refused(SAVE, {"body": {"rules": [AVAILABLE, {"rule": "weather"}]}})
    assert (fault["code"], fault["path"]) == ("BAD_FIELD", "body.rules.1.rule")
    assert "max_travel" in fault["message"]


@pytest.mark.parametrize("role", (Role.DISPATCHER, Role.ENGINEER, Role.CUSTOMER_CONTACT))
async def test_only_admins_and_supervisors_decide(client: Any, world: World, role: Role) -> None:
    """Whoever may change the rules may send anybody anywhere."""
    one = await caller(client, world, role)
    for text, variables in (
        (SAVE, {"body": {}}),
        ("mutation { activateSchedulingPolicy(version: 0) { version } }", None),
        ("mutation { setDispatchSettings(positionDays: 3) { positionDays } }", None),
    ):
        assert (await one.refused(text, variables))["code"] == "NOT_ALLOWED"
    if role is not Role.DISPATCHER:
        assert (await one.refused(GET))["code"] == "NOT_ALLOWED"


async def test_the_dispatch_settings_through_the_door(client: Any, world: World) -> None:
    """How long people's positions are kept is the organisation's word: it must be read back as it was given."""
    boss = await caller(client, world, Role.ADMIN)
    assert (await boss.ask(SETTINGS))["dispatchSettings"] == {
        "policyVersion": 0,
        "positionDays": 30,
        "travelProvider": "estimate",
    }
    await boss.ask(SAVE, {"body": {}, "activate": True})
    changed = await boss.ask(
        'mutation { setDispatchSettings(positionDays: 7, travelProvider: "osrm") { positionDays } }'
    )
    assert changed["setDispatchSettings"] == {"positionDays": 7}
    assert (await boss.ask(SETTINGS))["dispatchSettings"] == {
        "policyVersion": 1,
        "positionDays": 7,
        "travelProvider": "osrm",
    }
    for arguments, path in (
        ("positionDays: 0", "positionDays"),
        ("positionDays: 401", "positionDays"),
        ('travelProvider: "guess"', "travelProvider"),
    ):
        fault = await boss.refused(f"mutation {{ setDispatchSettings({arguments}) {{ positionDays }} }}")
        assert (fault["code"], fault["path"]) == ("BAD_FIELD", path)
