"""The SLA clock through the API: policies, countdowns, holds; and who may see and do what."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from graph import Graph, application, someone, token_of
from worlds import World

from callout_backend.settings import Settings
from callout_people.principals import Role
from callout_store.work import Database

WEEK = {day: ["09:00-12:00", "13:00-18:00"] for day in ("mon", "tue", "wed", "thu", "fri")}
BODY: dict[str, Any] = {
    "name": "Office",
    "calendars": [{"code": "office", "timeZone": "Asia/Shanghai", "week": WEEK, "country": "CN"}],
    "rules": [
        {
            "code": "all",
            "calendar": "office",
            "firstResponse": {"minutes": 15, "calendar": "always"},
            "arrival": {"minutes": 120},
            "resolution": {"minutes": 240},
        }
    ],
}
SAVE = """mutation($body: JSON!, $activate: Boolean! = false) {
  saveSlaPolicy(body: $body, activate: $activate) { version name active body createdBy }
}"""
TRIED = """{ rule named others milestones { name minutes calendar timeZone dueAt marks days { date kind hours name } } }"""
CHECK = f"query($body: JSON!, $tries: [SlaTry!]!) {{ checkSlaPolicy(body: $body, tries: $tries) {TRIED} }}"
PREVIEW = f"query($tries: [SlaTry!]!, $n: Int) {{ previewSla(tries: $tries, version: $n) {TRIED} }}"
ORDER = """query($id: UUID!) { order(id: $id) { holdReason
  milestones { name state dueAt remainingSeconds elapsedSeconds budgetSeconds serverNow policyVersion rule calendar
    pausedSince pausedReasons metAt missedAt why { code en zh } }
  holds { reason note until endedAt milestones } } }"""
SEEN = "query($id: UUID!) { order(id: $id) { milestones { name dueAt remainingSeconds } } }"
HOLD = """mutation($id: UUID!, $reason: String!, $until: DateTime) {
  holdWorkOrder(id: $id, reason: $reason, note: "rings back", until: $until) {
    revision holdReason milestones { name state dueAt remainingSeconds } } }"""
RESUME = "mutation($id: UUID!) { resumeWorkOrder(id: $id) { holdReason milestones { name state } } }"
TIER = "mutation($id: UUID!, $tier: String!) { changeCustomerTier(id: $id, tier: $tier) { tier } }"


@pytest.fixture
async def world(db: Database) -> World:
    return await World(db).build(phones=2)


@pytest.fixture
async def as_role(settings: Settings, db: Database, world: World) -> AsyncIterator[Any]:
    async with application(settings, db) as (app, client):

        async def make(role: Role) -> Graph:
            user = world.dispatcher.user_id if role is Role.DISPATCHER else await someone(world, role)
            assert user is not None
            return Graph(client, await token_of(db, app.state.issuer, world.org, user))

        async def engineer(n: int) -> Graph:
            phone = world.phones[n]
            return Graph(
                client, await token_of(db, app.state.issuer, world.org, phone.actor.user_id, phone.device_id)
            )

        make.engineer = engineer  # type: ignore[attr-defined]
        yield make


async def test_a_policy_is_tried_saved_and_activated(as_role: Any, world: World) -> None:
    """A supervisor who cannot try a calendar before it counts will find out from the first late order."""
    boss = await as_role(Role.SUPERVISOR)
    tries = [{"start": "2026-02-14T09:30:00Z", "priority": "P1"}]
    (tried,) = (await boss.ask(CHECK, {"body": BODY, "tries": tries}))["checkSlaPolicy"]
    first, arrival, _ = tried["milestones"]
    assert (tried["rule"], first["calendar"], arrival["calendar"]) == ("all", "always", "office")
    assert first["dueAt"] == "2026-02-14T09:45:00Z"
    assert arrival["dueAt"] == "2026-02-24T02:30:00Z"
    assert arrival["days"][0] == {
        "date": "2026-02-14",
        "kind": "makeup",
        "hours": ["09:00-12:00", "13:00-18:00"],
        "name": "",
    }
    assert (await boss.ask("{ slaPolicy { version active } }"))["slaPolicy"] == {"version": 0, "active": True}
    saved = (await boss.ask(SAVE, {"body": BODY}))["saveSlaPolicy"]
    assert (saved["version"], saved["active"], saved["name"]) == (1, False, "Office")
    assert saved["body"]["reopening"] == "continue"
    activated = await boss.ask("mutation { activateSlaPolicy(version: 1) { version active } }")
    assert activated["activateSlaPolicy"] == {"version": 1, "active": True}
    assert (await boss.ask(PREVIEW, {"tries": tries}))["previewSla"] == [tried]
    house = (await boss.ask(PREVIEW, {"tries": tries, "n": 0}))["previewSla"][0]
    assert house["milestones"][1]["dueAt"] == "2026-02-14T17:30:00Z"
    page = (await boss.ask("{ slaPolicies { hasMore nodes { version active } } }"))["slaPolicies"]
    assert page == {"hasMore": False, "nodes": [{"version": 1, "active": True}]}
    order_id = await world.order()
    found = (await boss.ask(ORDER, {"id": str(order_id)}))["order"]["milestones"]
    assert [(one["policyVersion"], one["calendar"]) for one in found] == [
        (1, "always"),
        (1, "office"),
        (1, "office"),
    ]


async def test_what_is_wrong_with_a_policy_comes_in_both_languages(as_role: Any) -> None:
    """Whoever writes a calendar by hand mends all of it at once, in their language."""
    boss = await as_role(Role.SUPERVISOR)
    body = {**BODY, "calendars": [{**BODY["calendars"][0], "week": {}, "timeZone": "Shanghai"}]}
    for query, more in ((SAVE, {}), (CHECK, {"tries": [{"start": "2026-02-14T09:30:00Z", "tier": "tin"}]})):
        refused = await boss.refused(query, {"body": body, **more})
        assert refused["code"] == "FIELDS_REFUSED"
        errors = {error["path"]: error for error in refused["errors"]}
        assert "no working hour" in errors["body.calendars.0.week"]["en"]
        assert "没有任何工作时间" in errors["body.calendars.0.week"]["zh"]
        assert "body.calendars.0.timeZone" in errors
        assert ("tries.0.tier" in errors) == bool(more)
    refused = await boss.refused("mutation { activateSlaPolicy(version: 7) { version } }")
    assert refused["code"] == "NOT_FOUND"
    refused = await boss.refused(PREVIEW, {"tries": [{"start": "2026-02-14T09:30:00Z"}] * 21})
    assert refused["code"] == "LIMIT_EXCEEDED"
    assert "20" in refused["message"]
    refused = await boss.refused(PREVIEW, {"tries": [{"start": "2026-02-14T09:30:00Z", "kind": "k" * 41}]})
    assert (refused["code"], refused["path"]) == ("BAD_FIELD", "tries.0.kind")
    refused = await boss.refused(PREVIEW, {"tries": [{"start": "1720-02-14T09:30:00Z"}]})
    assert refused["code"] == "VARIABLES_INVALID"


async def test_the_countdown_of_an_order(as_role: Any, world: World) -> None:
    """The page must count down to the same moment as the server, and know when not to count."""
    desk = await as_role(Role.DISPATCHER)
    order_id = str(await world.order(created_at=datetime.now(UTC) - timedelta(minutes=5)))
    found = (await desk.ask(ORDER, {"id": order_id}))["order"]
    first, arrival, resolution = found["milestones"]
    assert [one["name"] for one in found["milestones"]] == ["first_response", "arrival", "resolution"]
    assert [one["state"] for one in found["milestones"]] == ["running"] * 3
    assert first["budgetSeconds"] == 900 == round(first["remainingSeconds"] + first["elapsedSeconds"])
    ends = datetime.fromisoformat(first["serverNow"]) + timedelta(seconds=first["remainingSeconds"])
    assert abs(ends - datetime.fromisoformat(first["dueAt"])) < timedelta(milliseconds=1)
    assert (first["rule"], first["policyVersion"], arrival["why"][0]["code"]) == ("p1", 0, "promised")
    assert resolution["why"][0]["zh"].startswith("策略第 0 版")

    until = (datetime.now(UTC) + timedelta(hours=2)).isoformat()
    held = (await desk.ask(HOLD, {"id": order_id, "reason": "customer", "until": until}))["holdWorkOrder"]
    assert held["holdReason"] == "customer"
    assert [(one["state"], one["dueAt"] is None) for one in held["milestones"]] == [
        ("running", False),
        ("paused", True),
        ("paused", True),
    ]
    found = (await desk.ask(ORDER, {"id": order_id}))["order"]
    assert found["milestones"][2]["pausedReasons"] == ["customer"]
    assert found["milestones"][2]["remainingSeconds"] == held["milestones"][2]["remainingSeconds"]
    assert found["holds"][0]["note"] == "rings back"
    assert found["holds"][0]["endedAt"] is None
    resumed = (await desk.ask(RESUME, {"id": order_id}))["resumeWorkOrder"]
    assert resumed["holdReason"] is None
    assert [one["state"] for one in resumed["milestones"]] == ["running"] * 3

    customer = str(world.customer)
    assert (await desk.ask(TIER, {"id": customer, "tier": "gold"}))["changeCustomerTier"] == {"tier": "gold"}
    refused = await desk.refused(TIER, {"id": customer, "tier": "tin"})
    assert (refused["code"], refused["path"]) == ("BAD_FIELD", "tier")
    refused = await desk.refused(HOLD, {"id": order_id, "reason": "rain"})
    assert (refused["code"], refused["path"]) == ("BAD_FIELD", "reason")
    assert "customer" in refused["message"]


async def test_who_may_see_and_do_what(as_role: Any, world: World) -> None:
    """An engineer would stop the clock that counts against them; a customer would read what other tiers are promised."""
    order_id = await world.order()
    await world.visit(world.phones[0], order_id)
    mine, other = await as_role.engineer(0), await as_role.engineer(1)
    seen = (await mine.ask(SEEN, {"id": str(order_id)}))["order"]
    assert len(seen["milestones"]) == 3
    assert (await other.ask(SEEN, {"id": str(order_id)}))["order"] is None
    contact = await as_role(Role.CUSTOMER_CONTACT)
    async with world.db.work(world.org) as work:
        await work.execute(
            """
            update contact set user_id = (select id from app_user where role = 'customer_contact' and org_id = $2)
            where id = $1
            """,
            world.contact,
            world.org,
        )
    assert len((await contact.ask(SEEN, {"id": str(order_id)}))["order"]["milestones"]) == 3
    refused = await contact.refused(ORDER, {"id": str(order_id)})
    assert refused["code"] == "NOT_ALLOWED"
    for who in (mine, contact):
        for query, values in (
            (HOLD, {"id": str(order_id), "reason": "other"}),
            (RESUME, {"id": str(order_id)}),
            (TIER, {"id": str(world.customer), "tier": "gold"}),
            (SAVE, {"body": BODY}),
            ("{ slaPolicy { version } }", None),
        ):
            assert (await who.refused(query, values))["code"] == "NOT_ALLOWED"
    dispatcher = await as_role(Role.DISPATCHER)
    assert (await dispatcher.refused(SAVE, {"body": BODY}))["code"] == "NOT_ALLOWED"


async def test_another_organisation_sees_nothing(as_role: Any, world: World, db: Database) -> None:
    """A neighbour's policies and orders' clocks are business secrets."""
    boss = await as_role(Role.SUPERVISOR)
    await boss.ask(SAVE, {"body": BODY, "activate": True})
    there = await World(db).build(phones=0)
    order_id = await there.order()
    assert (await boss.ask(SEEN, {"id": str(order_id)}))["order"] is None
    assert (await boss.refused(HOLD, {"id": str(order_id), "reason": "other"}))["code"] == "NOT_FOUND"
    async with db.work(there.org) as work:
        assert await work.fetchval("select count(*) from sla_policy") == 0
        assert await work.fetchval("select sla_policy from work_order where id = $1", order_id) == "0:p1"
