"""What dispatch stands on, through `/graphql` and the web form's door: as the office's screens and forms send it."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from graph import Graph, application, someone, token_of
from worlds import World

from callout_backend.settings import Settings
from callout_people.principals import Role
from callout_people.users import NewUser, create_user
from callout_store.ids import new_id
from callout_store.work import Database

HOUR = timedelta(hours=1)


async def user(world: World) -> UUID:
    async with world.db.work(world.org) as work:
        return await create_user(
            work, NewUser(email=f"{new_id().hex}@example.org", name="New", role=Role.ENGINEER)
        )


@pytest.fixture(scope="module")
async def town(settings: Settings, db: Database) -> AsyncIterator[tuple[Any, World]]:
    async with application(settings, db) as both:
        yield both, await World(db).build(phones=1)


async def caller(town: Any, role: Role) -> Graph:
    (app, http), world = town
    users = {Role.DISPATCHER: world.dispatcher.user_id, Role.ENGINEER: world.phones[0].actor.user_id}
    user_id = users.get(role) or await someone(world, role)
    return Graph(http, await token_of(world.db, app.state.issuer, world.org, user_id))


async def test_the_office_sets_an_engineer_up_through_the_door(town: Any) -> None:
    """From a new skill to a shift with lunch: what the screen sends must come back as it was entered."""
    desk, world = await caller(town, Role.DISPATCHER), town[1]
    skill = await desk.ask(
        'mutation { saveSkill(code: "hvac", nameEn: "Air", nameZh: "暖通") { code name } }'
    )
    assert skill["saveSkill"] == {"code": "hvac", "name": "Air"}
    bad = await desk.refused('mutation { saveSkill(code: "9", nameEn: "a", nameZh: "b") { code } }')
    assert (bad["code"], bad["path"]) == ("BAD_FIELD", "code")
    text = """mutation($id: UUID, $input: EngineerInput!) {
      saveEngineer(id: $id, input: $input) { id name active home { lat } skills { skill level } }
    }"""
    given: dict[str, Any] = {
        "userId": str(await user(world)),
        "name": "Li",
        "homeLat": 37.7,
        "homeLng": -122.4,
        "skills": [{"skill": "hvac", "level": 4}],
        "visitsMax": 5,
    }
    made = (await desk.ask(text, {"input": given}))["saveEngineer"]
    assert (made["name"], made["home"], made["skills"]) == (
        "Li",
        {"lat": 37.7},
        [{"skill": "hvac", "level": 4}],
    )
    changed = await desk.ask(
        text, {"id": made["id"], "input": {"endLat": 37.9, "endLng": -122.4, "name": None}}
    )
    assert changed["saveEngineer"]["name"] == "Li"
    terms = await desk.ask(
        "query($ids: [UUID!]!) { engineerTerms(engineerIds: $ids) { endLat visitsMax workMinutesMax engineer { name } } }",
        {"ids": [made["id"], str(new_id())]},
    )
    assert terms["engineerTerms"] == [
        {"endLat": 37.9, "visitsMax": 5, "workMinutesMax": None, "engineer": {"name": "Li"}}
    ]
    for values, path in (
        ({**given, "homeLat": None}, "home"),
        ({**given, "skills": [{"skill": "nope", "level": 1}]}, "skills.nope"),
        ({**given, "skills": [{"skill": "hvac", "level": 9}]}, "skills.hvac"),
        ({**given, "skills": [{"skill": "hvac", "level": 1}, {"skill": "hvac", "level": 2}]}, "skills"),
    ):
        fault = await desk.refused(text, {"input": values})
        assert (fault["code"], fault["path"]) == ("BAD_FIELD", path)
    shift_text = """mutation($e: UUID!, $a: DateTime!, $b: DateTime!, $s: [ShiftInput!]!) {
      setShifts(engineerId: $e, start: $a, end: $b, shifts: $s) { id startsAt breaks { minutes } }
    }"""
    day = {"a": "2026-03-02T00:00:00+08:00", "b": "2026-03-03T00:00:00+08:00"}
    lunch = {"earliest": "2026-03-02T11:30:00+08:00", "latest": "2026-03-02T13:30:00+08:00", "minutes": 45}
    eight = {
        "startsAt": "2026-03-02T08:00:00+08:00",
        "endsAt": "2026-03-02T17:00:00+08:00",
        "breaks": [lunch],
    }
    (one,) = (await desk.ask(shift_text, {"e": made["id"], **day, "s": [eight]}))["setShifts"]
    assert one["breaks"] == [{"minutes": 45}]
    await desk.ask(
        """mutation($e: UUID!, $a: DateTime!, $b: DateTime!) {
          setAbsence(engineerId: $e, start: $a, end: $b, reason: "ill") { id }
        }""",
        {"e": made["id"], **day},
    )
    time_text = """query($e: UUID!, $a: DateTime!, $b: DateTime!) { engineerTime(engineerIds: [$e], start: $a, end: $b) {
      shifts { id endsAt } absences { id reason }
    } }"""
    (time,) = (await desk.ask(time_text, {"e": made["id"], **day}))["engineerTime"]
    assert [found["id"] for found in time["shifts"]] == [one["id"]]
    (away,) = time["absences"]
    assert away["reason"] == "ill"
    gone = "mutation($id: UUID!) { removeAbsence(id: $id) }"
    assert (await desk.ask(gone, {"id": away["id"]}))["removeAbsence"] is True
    assert (await desk.refused(gone, {"id": away["id"]}))["code"] == "NOT_FOUND"
    assert (await desk.refused(time_text, {"e": made["id"], "a": day["b"], "b": day["a"]}))[
        "code"
    ] == "BAD_FIELD"


async def test_preferences_depots_and_hours_through_the_door(town: Any) -> None:
    """The rest of what the rules need: each must be reachable by the office alone, without a hand in the database."""
    desk, world = await caller(town, Role.DISPATCHER), town[1]
    engineer = str(world.phones[0].engineer_id)
    word = """mutation($e: UUID!, $k: String, $c: UUID) {
      setEngineerPreference(engineerId: $e, kind: $k, customerId: $c) { id kind engineer { name } }
    }"""
    said = await desk.ask(word, {"e": engineer, "k": "excluded", "c": str(world.customer)})
    assert said["setEngineerPreference"]["kind"] == "excluded"
    pages = "query($c: UUID) { engineerPreferences(customerId: $c) { nodes { kind engineerId } } }"
    listed = (await desk.ask(pages, {"c": str(world.customer)}))["engineerPreferences"]["nodes"]
    assert listed == [{"kind": "excluded", "engineerId": engineer}]
    assert (await desk.ask(word, {"e": engineer, "c": str(world.customer)}))["setEngineerPreference"] is None
    assert (await desk.refused(word, {"e": engineer, "k": "required"}))["path"] == "target"

    made = await desk.ask(
        'mutation { saveDepot(input: {code: "D-9", name: "Main", lat: 37.7, lng: -122.4}) { id pickupMinutes } }'
    )
    depot = made["saveDepot"]["id"]
    moved = await desk.ask(
        """mutation($h: UUID!, $p: UUID!) {
          moveStock(holderId: $h, partId: $p, quantity: 4, reason: "in") { quantity part { code } }
        }""",
        {"h": depot, "p": str(world.part)},
    )
    assert moved["moveStock"] == {"quantity": 4, "part": {"code": "SEAL-1"}}
    (found,) = (await desk.ask("{ depots { nodes { id code stock { quantity } } } }"))["depots"]["nodes"]
    assert found == {"id": depot, "code": "D-9", "stock": [{"quantity": 4}]}

    hours = """mutation($s: UUID!, $h: [OpeningHoursInput!]!) {
      setVisitingHours(siteId: $s, hours: $h) { revision visitingHours { weekday from until } }
    }"""
    nine = {"weekday": 0, "from": "09:00", "until": "17:30"}
    shown = await desk.ask(hours, {"s": str(world.site), "h": [nine]})
    assert shown["setVisitingHours"] == {"revision": 1, "visitingHours": [nine]}
    fault = await desk.refused(hours, {"s": str(world.site), "h": [{**nine, "until": "08:00"}]})
    assert (fault["code"], fault["path"]) == ("BAD_FIELD", "visitingHours.0.until")
    site = await desk.ask(
        """mutation($c: UUID!, $h: [OpeningHoursInput!]!) {
          createSite(input: {customerId: $c, name: "S", address: "A", visitingHours: $h}) { visitingHours { from } }
        }""",
        {"c": str(world.customer), "h": [nine]},
    )
    assert site["createSite"]["visitingHours"] == [{"from": "09:00"}]

    order, before = str(await world.order()), str(await world.order())
    planning = """mutation($id: UUID!, $input: OrderPlanningInput!, $r: Int) {
      setOrderPlanning(orderId: $id, input: $input, revision: $r) {
        revision requestedFrom crewSize followsOrderId followsGapMinutes
      }
    }"""
    ahead = datetime.now(UTC).replace(microsecond=0) + HOUR
    window = {"requestedFrom": ahead.isoformat(), "requestedUntil": (ahead + HOUR).isoformat()}
    changed = await desk.ask(planning, {"id": order, "input": {**window, "crewSize": 2}, "r": 1})
    assert changed["setOrderPlanning"]["crewSize"] == 2
    changed = await desk.ask(planning, {"id": order, "input": {"followsOrderId": before, "crewSize": None}})
    assert changed["setOrderPlanning"]["followsOrderId"] == before
    assert changed["setOrderPlanning"]["crewSize"] == 2
    assert changed["setOrderPlanning"]["requestedFrom"] is not None
    assert (await desk.refused(planning, {"id": order, "input": {"crewSize": 3}, "r": 1}))[
        "code"
    ] == "STALE_REVISION"
    taken = await desk.ask(
        """mutation($input: CreateWorkOrder!) { createWorkOrder(input: $input) { crewSize requestedUntil } }""",
        {
            "input": {
                "customerId": str(world.customer),
                "siteId": str(world.site),
                "priority": "P1",
                "kind": "repair",
                "description": "It does not start",
                "channel": "hotline",
                "serial": "SN-1",
                "contactPhone": "+1 415 555 2671",
                "crewSize": 2,
                **window,
            }
        },
    )
    assert taken["createWorkOrder"]["crewSize"] == 2


async def test_the_web_form_takes_a_window_and_a_crew(town: Any) -> None:
    """A customer's wish that the form drops is a customer who waits at home for nobody."""
    (_, http), world = town
    desk = await caller(town, Role.DISPATCHER)
    ahead = datetime.now(UTC).replace(microsecond=0) + HOUR
    body = {
        "siteId": str(world.site),
        "customerId": str(world.customer),
        "description": "It does not start",
        "serial": "SN-1",
        "contactPhone": "+1 415 555 2671",
        "requestedFrom": ahead.isoformat(),
        "requestedUntil": (ahead + HOUR).isoformat(),
        "crewSize": 3,
    }
    answer = await http.post("/v1/work-orders", json=body, headers=desk.headers())
    assert answer.status_code == 201, answer.text
    row = await world.fetch(
        "select requested_from, crew_size from work_order where id = $1", UUID(answer.json()["id"])
    )
    assert (row[0]["requested_from"], row[0]["crew_size"]) == (ahead, 3)
    back = {**body, "requestedUntil": body["requestedFrom"], "requestedFrom": body["requestedUntil"]}
    refused = await http.post("/v1/work-orders", json=back, headers=desk.headers())
    assert (refused.status_code, refused.json()["code"]) == (422, "BAD_FIELD")
    assert refused.json()["path"] == "requestedUntil"


async def test_engineers_set_none_of_it_up(town: Any) -> None:
    """An engineer who may change shifts, limits or stock may send the work to others."""
    one, world = await caller(town, Role.ENGINEER), town[1]
    id_ = str(world.phones[0].engineer_id)
    for text in (
        'mutation { saveSkill(code: "a", nameEn: "a", nameZh: "a") { code } }',
        'mutation { saveEngineer(input: {name: "x"}) { id } }',
        f'mutation {{ setShifts(engineerId: "{id_}", start: "2026-03-02T00:00:00Z", end: "2026-03-03T00:00:00Z",'
        " shifts: []) { id } }",
        f'mutation {{ removeAbsence(id: "{id_}") }}',
        f'mutation {{ setEngineerPreference(engineerId: "{id_}", siteId: "{world.site}") {{ id }} }}',
        'mutation { saveDepot(input: {code: "x", name: "x", lat: 1, lng: 1}) { id } }',
        f'mutation {{ moveStock(holderId: "{id_}", partId: "{world.part}", quantity: 1, reason: "x") {{ id }} }}',
        f'mutation {{ setVisitingHours(siteId: "{world.site}", hours: []) {{ id }} }}',
        f'mutation {{ setOrderPlanning(orderId: "{id_}", input: {{}}) {{ id }} }}',
        f'{{ engineerTerms(engineerIds: ["{id_}"]) {{ engineerId }} }}',
        "{ engineerPreferences { hasMore } }",
    ):
        assert (await one.refused(text))["code"] == "NOT_ALLOWED", text
