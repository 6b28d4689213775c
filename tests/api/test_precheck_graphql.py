"""The pre-check through GraphQL and the form's door, as a desk's page and other systems use it."""

import asyncio
import contextvars
from collections.abc import AsyncIterator
from typing import Any

import pytest
from graph import Graph, application, someone, token_of
from worlds import World

from callout_backend.settings import Settings
from callout_dispatch import merging
from callout_graphql.operations.precheck import PRECHECK
from callout_orders.checks import FieldRefused
from callout_orders.precheck.alike import links
from callout_people.principals import Role
from callout_store.work import Database

CREATE = (
    "mutation($input: CreateWorkOrder!) { createWorkOrder(input: $input) { id number duplicateOfId tags } }"
)


@pytest.fixture
async def town(settings: Settings, db: Database) -> AsyncIterator[Any]:
    world = await World(db).build()
    async with application(settings, db) as both:
        yield both, world


async def caller(town: Any, role: Role) -> Graph:
    (app, http), world = town
    users = {Role.DISPATCHER: world.dispatcher.user_id, Role.ENGINEER: world.phones[0].actor.user_id}
    user_id = users.get(role) or await someone(world, role)
    return Graph(http, await token_of(world.db, app.state.issuer, world.org, user_id))


async def run(graph: Graph, name: str, **variables: Any) -> Any:
    """One of the exported operations, as our own clients send them."""
    answer = (await graph.send(PRECHECK, variables, operationName=name)).json()
    assert "errors" not in answer, answer["errors"]
    (found,) = answer["data"].values()
    return found


async def refusal(graph: Graph, name: str, **variables: Any) -> dict[str, Any]:
    answer = (await graph.send(PRECHECK, variables, operationName=name)).json()
    return dict(answer["errors"][0]["extensions"])


def typed(**more: Any) -> dict[str, Any]:
    return {
        "channel": "hotline",
        "kind": "repair",
        "description": "The pump SN-1 leaks, call Ann at +1 415 555 2671",
        **more,
    }


async def test_the_agent_sees_while_typing_what_would_become_of_it(town: Any) -> None:
    """The caller would have hung up when the missing serial shows."""
    desk = await caller(town, Role.DISPATCHER)
    first = await run(desk, "CheckOrder", input=typed())
    assert (first["ok"], first["missing"]) == (False, ["serial"])
    assert first["known"]["contact"]["name"] == "Ann"
    assert first["request"]["contactPhone"] == "+14155552671"
    assert [tag["tag"] for tag in first["tags"]] == ["leak"]
    assert first["faults"][0]["text"].startswith("the machine's serial number is needed")
    whole = await run(desk, "CheckOrder", input=typed(serial="SN-1"))
    assert (whole["ok"], whole["faults"], whole["known"]["asset"]["model"]) == (True, [], "P-200")
    assert whole["priority"] == "P1"
    assert await town[1].value("select count(*) from work_order") == 0
    made = (await desk.ask(CREATE, {"input": typed(serial="SN-1")}))["createWorkOrder"]
    twin = await run(desk, "CheckOrder", input=typed(serial="SN-1"))
    assert [(one["number"], one["sure"]) for one in twin["duplicates"]] == [(made["number"], True)]


async def test_faults_come_in_the_callers_language(town: Any) -> None:
    """A Chinese customer would read what to correct in English."""
    desk = await caller(town, Role.DISPATCHER)
    (_, http), _ = town
    body = {"description": "坏", "kind": "repair", "contactPhone": "1380013800"}
    answer = await http.post(
        "/v1/work-orders", json=body, headers=desk.headers(**{"Accept-Language": "zh-CN"})
    )
    assert (answer.status_code, answer.json()["code"]) == (422, "FIELDS_REFUSED")
    assert {one["path"] for one in answer.json()["errors"]} == {"contactPhone", "serial", "description"}
    assert "1380013800 有 10 位数字" in answer.json()["detail"]
    assert all(one["en"] and one["zh"] for one in answer.json()["errors"])


async def test_duplicates_are_shown_unlinked_and_merged(town: Any) -> None:
    """What a machine linked, nobody could take apart again."""
    desk = await caller(town, Role.DISPATCHER)
    one = (await desk.ask(CREATE, {"input": typed(serial="SN-1")}))["createWorkOrder"]
    two = (await desk.ask(CREATE, {"input": typed(serial="SN-1")}))["createWorkOrder"]
    assert two["duplicateOfId"] == one["id"]
    free = await run(desk, "UnlinkDuplicate", orderId=two["id"], reason="another pump")
    assert free["duplicateOfId"] is None
    shown = await run(desk, "PossibleDuplicates", orderId=two["id"])
    assert [row["number"] for row in shown] == [one["number"]]
    assert sum(reason["points"] for reason in shown[0]["reasons"]) == pytest.approx(
        shown[0]["score"], abs=1e-3
    )
    merged = await run(desk, "MergeWorkOrders", **{"into": one["id"], "from": two["id"]})
    assert (merged["intoNumber"], merged["fromNumber"]) == (one["number"], two["number"])
    refused = await refusal(desk, "MergeWorkOrders", **{"into": two["id"], "from": one["id"]})
    assert refused["details"]["reason"] == "merge_duplicate"


async def test_an_order_with_an_engineer_on_the_way_is_not_swallowed(town: Any) -> None:
    """The engineer would arrive for an order that was closed under way."""
    desk = await caller(town, Role.DISPATCHER)
    world = town[1]
    one = (await desk.ask(CREATE, {"input": typed(serial="SN-1", linkDuplicate=False)}))["createWorkOrder"]
    two = (await desk.ask(CREATE, {"input": typed(serial="SN-1", linkDuplicate=False)}))["createWorkOrder"]
    three = (await desk.ask(CREATE, {"input": typed(serial="SN-1", linkDuplicate=True)}))["createWorkOrder"]
    assign = """mutation($o: UUID!, $e: UUID!) { assignWorkOrder(orderId: $o, engineerId: $e, override: true,
        reason: "x") { id } }"""
    engineer = str(world.phones[0].engineer_id)
    await desk.ask(assign, {"o": two["id"], "e": engineer})
    refused = await refusal(desk, "MergeWorkOrders", **{"into": one["id"], "from": two["id"]})
    assert refused["details"]["reason"] == "merge_visits"
    linked = await desk.refused(assign, {"o": three["id"], "e": engineer})
    assert linked["code"] == "WRONG_STATE"
    assert "unlinkDuplicate" in linked["message"]


async def test_an_order_that_is_planned_meanwhile_is_not_swallowed(
    town: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two dispatchers at once: one sends somebody, the other closes the order as merged; nobody expects the engineer."""
    world = town[1]
    into, gone = await world.order(), await world.order()
    merge = links.merge

    async def late(*args: Any, **more: Any) -> links.Merged:
        # Planned after it was looked at whether it is, and before the order is held.
        planned = world.visit(world.phones[0], gone)
        await asyncio.create_task(planned, context=contextvars.Context())
        return await merge(*args, **more)

    monkeypatch.setattr(links, "merge", late)
    async with world.db.work(world.org, actor=world.dispatcher) as work:
        with pytest.raises(FieldRefused) as refused:
            async with work.savepoint():
                await merging.merge_orders(work, into, gone)
    assert refused.value.details["reason"] == "merge_visits"
    assert await world.value("select state from work_order where id = $1", gone) == "scheduled"


async def test_products_keywords_and_settings(town: Any) -> None:
    """A pattern or a keyword that was typed in would work on one process and not on the next."""
    admin = await caller(town, Role.ADMIN)
    given = {"code": "PX", "nameEn": "Pump X", "nameZh": "X水泵", "serialPattern": r"PX-\d{6}"}
    made = await run(admin, "SaveProduct", input={**given, "serialExample": "PX-000001"})
    assert made["revision"] == 1
    assert (await run(admin, "SaveProduct", input={**given, "serialExample": "PX-000001"}))["revision"] == 1
    bad = await refusal(
        admin, "SaveProduct", input={"code": "-", "nameEn": "", "nameZh": "x", "serialPattern": "(a+)+"}
    )
    assert {one["path"] for one in bad["errors"]} == {"code", "nameEn", "serialPattern"}
    wrong = await refusal(admin, "SaveProduct", input={**given, "serialExample": "PY-1"})
    assert wrong["path"] == "serialExample"
    words = [{"word": " Ice  Maker ", "tag": "ice"}, {"word": "制冰机", "tag": "ice", "priority": "P0"}]
    assert await run(admin, "SaveKeywords", keywords=words) == 2
    assert await run(admin, "SaveKeywords", keywords=words) == 0
    checked = await run(
        admin, "CheckOrder", input=typed(description="ICE MAKER 制冰机 PX 000 123", kind="service")
    )
    assert [tag["tag"] for tag in checked["tags"]] == ["ice"]
    assert checked["request"]["serial"] == "PX-000123"
    assert checked["request"]["product"] == "PX"
    assert checked["proposals"][0]["value"] == "P0"
    rows = (await run(admin, "Keywords", tag="ice"))["nodes"]
    assert {row["word"] for row in rows} == {"ice maker", "制冰机"}
    assert await run(admin, "RemoveKeywords", ids=[row["id"] for row in rows]) == 2
    checked = await run(admin, "CheckOrder", input=typed(description="ICE MAKER broken"))
    assert "ice" not in [tag["tag"] for tag in checked["tags"]]
    refused = await refusal(
        admin, "SaveKeywords", keywords=[{"word": "!!"}, {"word": "x" * 90}, {"word": "a", "priority": "P7"}]
    )
    assert [one["path"] for one in refused["errors"]] == [
        "keywords.0.word",
        "keywords.1.word",
        "keywords.2.priority",
    ]
    before = await run(admin, "PrecheckSettings")
    saved = await run(
        admin,
        "SavePrecheckSettings",
        input={
            "duplicates": {"link": False},
            "channels": [{"channel": "hotline", "kind": "general", "raiseTo": "P0"}],
        },
        revision=before["revision"],
    )
    after = await run(admin, "PrecheckSettings")
    assert (after["revision"], after["duplicates"]["link"]) == (saved["revision"], False)
    assert after["duplicates"]["hours"] == before["duplicates"]["hours"]
    assert {row["channel"]: row["kind"] for row in after["channels"]}["hotline"] == "general"
    bad = await refusal(
        admin,
        "SavePrecheckSettings",
        input={"regions": ["XX"], "duplicates": {"sure": 0.5, "possible": 0.9, "hours": 0}},
    )
    assert {one["path"] for one in bad["errors"]} == {
        "regions.0",
        "duplicates.possible",
        "duplicates.hours",
    }
    stale = await refusal(admin, "SavePrecheckSettings", input={"confidence": 0.9}, revision=0)
    assert stale["code"] == "STALE_REVISION"


async def test_two_admins_change_settings_at_once(town: Any) -> None:
    """What one of them has just switched off would be on again, and neither would know."""
    admin = await caller(town, Role.ADMIN)
    channels = ("web_form", "hotline", "app", "chat", "email", "api")
    await asyncio.gather(
        *(
            run(admin, "SavePrecheckSettings", input={"channels": [{"channel": one, "kind": f"k-{one}"}]})
            for one in channels
        )
    )
    after = (await run(admin, "PrecheckSettings"))["channels"]
    assert {row["channel"]: row["kind"] for row in after} == {one: f"k-{one}" for one in channels}


async def test_engineers_see_none_of_it(town: Any) -> None:
    """A stolen phone would search the customers by their telephones."""
    engineer = await caller(town, Role.ENGINEER)
    for name, variables in (
        ("CheckOrder", {"input": typed()}),
        ("PossibleDuplicates", {"orderId": str(town[1].site)}),
        ("Keywords", {}),
        ("SaveProduct", {"input": {"code": "A", "nameEn": "A", "nameZh": "A"}}),
    ):
        assert (await refusal(engineer, name, **variables))["code"] == "NOT_ALLOWED"
