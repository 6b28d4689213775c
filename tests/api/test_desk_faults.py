"""Bad input and faults at the desk's doors, as a company meets them that is connected over HTTP: a clear answer, nothing
lost, and the orders of everybody else as if nothing had been."""

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest
from prechecks import Desk, make_desk
from public_api import csv_bytes, headers_of, public_client, work_off, write_bomb
from worlds import World

from callout_orders.desk import respond
from callout_orders.imports.sheets import UNPACKED_BYTES_MAX
from callout_orders.kinds import versions
from callout_orders.precheck import taking
from callout_orders.precheck.alike import links
from callout_orders.sla.policy import policies
from callout_store.errors import Refusal
from callout_store.work import Database, Work

ZH = {"Accept-Language": "zh"}
DUES = ("respond", "arrive", "resolve")
NEVER = {
    "name": "Never",
    "calendars": [{"code": "never", "timeZone": "Asia/Shanghai", "week": {}}],
    "rules": [
        {
            "code": "all",
            "calendar": "never",
            "firstResponse": {"minutes": 5},
            "arrival": {"minutes": 5},
            "resolution": {"minutes": 5},
        }
    ],
}
STEP = 'code = "{code}"\nlabel = {{ en = "{code}", zh = "{code}" }}\nowner = "handler"\n'


def kind_toml(when: str, *, back_to: str | None = None) -> str:
    """A kind whose first step leads on by `when`; with `back_to` its last one leads back."""
    steps = [
        STEP.format(code="look")
        + f'events = ["responded"]\nnext = [{{ to = "dear", when = {when!r} }}, {{ to = "done" }}]\n',
        STEP.format(code="dear") + 'by_hand = true\nnext = [{ to = "done" }]\n',
        STEP.format(code="done") + (f'by_hand = true\nnext = [{{ to = "{back_to}" }}]\n' if back_to else ""),
    ]
    fields = '[[fields]]\ncode = "cost"\nlabel = { en = "Cost", zh = "费用" }\ntype = "money"\n'
    head = 'code = "odd"\nlabel = { en = "Odd", zh = "特别" }\n'
    return head + fields + "".join(f"[[steps]]\n{step}" for step in steps)


@pytest.fixture
async def world(db: Database) -> World:
    return await World(db).build(phones=0)


@pytest.fixture
async def desk(db: Database) -> Desk:
    return await make_desk(db)


@pytest.fixture
async def client(db: Database) -> AsyncIterator[httpx.AsyncClient]:
    async with public_client(db) as client:
        yield client


async def order_of(
    client: httpx.AsyncClient, world: World, headers: dict[str, str], **more: Any
) -> httpx.Response:
    given = {
        "description": "The pump in the cellar leaks",
        "kind": "general",
        "customerId": str(world.customer),
        "siteId": str(world.site),
        "contactPhone": "13800138000",
        **more,
    }
    return await client.post("/v1/orders", json=given, headers=headers)


# ------------------------------------------------------------------------------------------------ what people write


@pytest.mark.parametrize(
    ("text", "shown", "digits"),
    (
        ("充电桩无法启动,电话1380013800", "1380013800", 10),
        ("充电桩无法启动,手机号:138-0013-80001", "138-0013-80001", 12),
    ),
)
async def test_a_number_with_a_digit_too_few_in_the_text_is_named(
    db: Database, desk: Desk, text: str, shown: str, digits: int
) -> None:
    """Who wrote a number and is told that none was given writes the same one again."""
    async with db.work(desk.org_id) as work:
        with pytest.raises(Refusal) as refused:
            await taking.take(work, desk.request(contact_phone=None, serial=None, description=text))
    (fault,) = (one for one in refused.value.extensions()["errors"] if one["path"] == "contactPhone")
    assert fault["reason"] == "phone_digits"
    assert f"{shown} 有 {digits} 位数字" in fault["zh"]


async def test_another_number_of_the_text_is_no_telephone(db: Database, desk: Desk) -> None:
    """A number of ten digits that is an order's would be called a wrong telephone number."""
    text = "订单 1380013800 的充电桩无法启动"
    async with db.work(desk.org_id) as work:
        with pytest.raises(Refusal) as refused:
            await taking.take(work, desk.request(contact_phone=None, serial=None, description=text))
    reasons = {one["path"]: one["reason"] for one in refused.value.extensions()["errors"]}
    assert reasons["contactPhone"] == "needed"


async def test_everything_wrong_with_an_order_of_another_system_at_once_in_chinese(
    world: World, client: httpx.AsyncClient
) -> None:
    """An integrator's user would mend one field after the other, and read half of it in English."""
    headers = {**await headers_of(world), **ZH}
    bad = {"kind": "repair", "contactPhone": "1380013800", "serial": "??", "fields": {"nonsense": 1}}
    refused = await order_of(client, world, headers, **bad)
    problem = refused.json()
    assert (refused.status_code, problem["code"]) == (422, "FIELDS_REFUSED")
    assert {one["path"] for one in problem["errors"]} == {"contactPhone", "serial", "fields.nonsense"}
    assert "1380013800 有 10 位数字" in problem["detail"]
    shape = await order_of(client, world, headers, durationMinutes="an hour")
    assert (shape.status_code, shape.json()["path"]) == (422, "durationMinutes")
    assert "应为整数,收到的是文本" in shape.json()["detail"]
    assert await world.value("select count(*) from work_order") == 0


# ------------------------------------------------------------------------------------------------ files


async def test_a_bomb_holds_up_nobodys_orders(
    world: World, client: httpx.AsyncClient, tmp_path: Path
) -> None:
    """While a hostile sheet is looked at, the next order and the next sheet must come in."""
    headers = await headers_of(world)
    bomb = write_bomb(tmp_path / "bomb.xlsx", UNPACKED_BYTES_MAX // 1_000_000 + 1)
    good = csv_bytes(
        [["reference", "description", "kind", "customer number", "address"],
         ["A-1", "The pump leaks", "general", "X-1", "1 Bay Street"]]
    )  # fmt: skip
    refused, made, taken = await asyncio.gather(
        client.post("/v1/imports", content=bomb, headers=headers),
        order_of(client, world, headers),
        client.post("/v1/imports?dryRun=false", content=good, headers=headers),
    )
    assert (refused.status_code, refused.json()["details"]["reason"]) == (422, "zip_unpacked")
    assert (made.status_code, taken.status_code) == (201, 202)
    await work_off(world.db)
    assert await world.value("select count(*) from import_run") == 1


# ------------------------------------------------------------------------------------------------ configuration


async def save(world: World, text: str) -> int:
    async def act(work: Work) -> int:
        kept = await versions.save(work, text)
        await versions.activate(work, kept.code, kept.version)
        return kept.version

    return await world.db.run(world.org, act, actor=world.dispatcher)


async def test_a_flow_that_leads_in_circles_changes_nothing(world: World, client: httpx.AsyncClient) -> None:
    """A loop without a bound would be active before somebody notices, and its orders would never end."""
    headers = await headers_of(world)
    version = await save(world, kind_toml("fields.cost > 5"))
    with pytest.raises(Refusal) as refused:
        await save(world, kind_toml("fields.cost > 5", back_to="look"))
    assert refused.value.status == 422
    assert "循环" in refused.value.message("zh")
    assert "times_max" in refused.value.message("en")
    made = await order_of(client, world, headers, kind="odd")
    assert made.status_code == 201
    stored = await world.value("select kind_version from work_order where id = $1", UUID(made.json()["id"]))
    assert stored == version


@pytest.mark.parametrize(
    "when",
    (
        "[1, 2].all(a, [1, 2].all(b, [1, 2].all(c, [1, 2].all(d, a + b + c + d > 0))))",
        "fields.nothing > 5",
        "order.priority",
        "1 +",
    ),
)
async def test_a_rule_that_never_ends_or_is_wrong_is_not_taken(world: World, when: str) -> None:
    """It would be evaluated under the lock of every order of its kind."""
    with pytest.raises(Refusal) as refused:
        await save(world, kind_toml(when))
    (fault,) = refused.value.extensions()["errors"]
    assert fault["path"] == "steps.0.next.0.when"
    assert fault["zh"] != fault["en"]
    assert await world.value("select count(*) from order_kind") == 0


async def test_a_calendar_without_an_hour_leaves_the_promise_as_it_is(
    world: World, client: httpx.AsyncClient
) -> None:
    """Deadlines that never come would be promised to everybody whose order comes in next."""
    headers = await headers_of(world)
    before = (await order_of(client, world, headers)).json()["id"]
    with pytest.raises(Refusal) as refused:
        await world.db.run(
            world.org, lambda work: policies.save(work, NEVER, activate=True), actor=world.dispatcher
        )
    assert "没有任何工作时间" in refused.value.message("zh")
    after = (await order_of(client, world, headers, serial="SN-8")).json()["id"]
    promised = []
    for id_ in (before, after):
        order = (await client.get(f"/v1/orders/{id_}", headers=headers)).json()
        began = datetime.fromisoformat(order["createdAt"])
        promised.append([datetime.fromisoformat(order[f"{name}DueAt"]) - began for name in DUES])
    assert promised[0] == promised[1]
    assert min(promised[0]) > timedelta()


# ------------------------------------------------------------------------------------------------ duplicates


async def test_what_was_done_while_it_was_a_duplicate_counts(db: Database, desk: Desk) -> None:
    """An order that was answered as a duplicate stood for ever at a step that missed nothing, once it was on its own."""
    async with db.work(desk.org_id) as work:
        first = await taking.take(work, desk.request())
        second = await taking.take(work, desk.request(description="充电桩无法启动,屏幕不亮!"))
    assert second.duplicate_of_id == first.id
    async with db.work(desk.org_id) as work:
        await respond.respond(work, second.id)
    async with db.work(desk.org_id) as work:
        await links.unlink(work, second.id, "")
    async with db.work(desk.org_id) as work:
        standing = await work.fetchval(
            "select step from order_step where org_id = callout_org() and order_id = $1 order by n desc limit 1",
            second.id,
        )
    assert standing != "triage"
