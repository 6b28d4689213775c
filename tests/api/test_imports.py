"""Sheets that become orders, on a real database: mapping, dry run, faults by row, restart, twins."""

import asyncio
import csv
import io
import itertools
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import httpx
import msgspec
import pytest
from public_api import csv_bytes, headers_of, public_client, work_off, xlsx_bytes
from worlds import World

from callout_backend.demo.sf311 import packaged_rows
from callout_orders.imports import batches, runs, templates
from callout_store.errors import StaleRevision
from callout_store.work import Database

HEAD = ["工单号", "故障描述", "联系人", "联系电话", "客户名称", "地址", "优先级", "创建时间", "类型"]


@pytest.fixture
async def world(db: Database) -> World:
    made = await World(db).build(phones=1)
    async with db.work(made.org) as work:
        await work.execute("update organisation set time_zone = 'Asia/Shanghai' where id = $1", made.org)
    return made


@pytest.fixture
async def client(db: Database) -> AsyncIterator[httpx.AsyncClient]:
    async with public_client(db) as client:
        yield client


def rows(count: int, *, mark: str = "A") -> list[list[str]]:
    return [
        [
            f"{mark}-{n}",
            f"水泵 {n} 漏水",
            f"张三{n}",
            f"138{n:08d}",
            f"客户 {n}",
            f"上海市人民路 {n} 号",
            "高",
            f"2026/11/{n % 20 + 1:02d} 09:30",
            "其他",
        ]
        for n in range(1, count + 1)
    ]


async def send(
    client: httpx.AsyncClient,
    headers: dict[str, str],
    data: bytes,
    *,
    media_type: str = "text/csv",
    **params: Any,
) -> dict[str, Any]:
    answer = await client.post(
        "/v1/imports", content=data, params=params, headers={**headers, "Content-Type": media_type}
    )
    assert answer.status_code == 202, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def state_of(client: httpx.AsyncClient, headers: dict[str, str], id_: str) -> dict[str, Any]:
    found: dict[str, Any] = (await client.get(f"/v1/imports/{id_}", headers=headers)).json()
    return found


async def test_a_week_of_orders_looked_at_then_taken_in(world: World, client: httpx.AsyncClient) -> None:
    """L6: an office that changes over must see what is wrong before anything is made, and get local times right."""
    headers = await headers_of(world)
    sheet = csv_bytes([HEAD, *rows(30)], delimiter=";", encoding="gb18030")
    run = await send(client, headers, sheet, fileName="周报.csv")
    assert (run["state"], run["dryRun"], run["rowsTotal"], run["encoding"]) == ("queued", True, 30, "gb18030")
    await work_off(world.db)
    looked = await state_of(client, headers, run["id"])
    assert (looked["state"], looked["rowsOk"], looked["rowsFailed"]) == ("done", 30, 0), (
        await client.get(f"/v1/imports/{run['id']}/rows", params={"state": "failed"}, headers=headers)
    ).text
    assert await world.value("select count(*) from work_order") == 0, "a dry run makes nothing"
    started = await client.post(f"/v1/imports/{run['id']}/start", headers=headers)
    assert started.status_code == 202, started.text
    await work_off(world.db, rows=7)
    done = await state_of(client, headers, run["id"])
    assert (done["state"], done["rowsOk"], done["secondsLeft"]) == ("done", 30, 0)
    order = (await client.get("/v1/orders/by-reference/import/A-3", headers=headers)).json()
    assert order["priority"] == "P1"
    # 09:30 in Shanghai.
    assert datetime.fromisoformat(order["createdAt"]) == datetime(2026, 11, 4, 1, 30, tzinfo=UTC)
    assert order["reporterPhone"] == "+8613800000003"
    again = await client.post(f"/v1/imports/{run['id']}/start", headers=headers)
    assert (again.status_code, again.json()["code"]) == (409, "WRONG_STATE")


async def test_failing_rows_stop_no_others_and_come_back_mended(
    world: World, client: httpx.AsyncClient
) -> None:
    """One bad telephone among a hundred rows must cost one row, and its mended list must not double the rest."""
    headers = {**await headers_of(world), "Accept-Language": "zh"}
    given = rows(5)
    given[1][3] = "1380013800"
    given[2][1] = ""
    given[3][7] = "last Tuesday"
    run = await send(client, headers, csv_bytes([HEAD, *given]), dryRun=False)
    await work_off(world.db)
    done = await state_of(client, headers, run["id"])
    assert (done["rowsOk"], done["rowsFailed"]) == (2, 3)
    page = (
        await client.get(f"/v1/imports/{run['id']}/rows", params={"state": "failed"}, headers=headers)
    ).json()
    by_row = {one["row"]: one["faults"] for one in page["items"]}
    assert by_row[3][0]["column"] == "联系电话"
    assert by_row[5][0]["column"] == "创建时间"
    assert {fault["field"] for fault in by_row[4]} == {"description"}
    assert all(
        "last Tuesday" in fault["text"] or fault["text"] for faults in by_row.values() for fault in faults
    )
    errors = (await client.get(f"/v1/imports/{run['id']}/errors", headers=headers)).text
    assert errors.startswith("\ufeff行号,列,代码,问题")
    failed = (await client.get(f"/v1/imports/{run['id']}/failed", headers=headers)).content.decode(
        "utf-8-sig"
    )
    table = list(csv.reader(io.StringIO(failed)))
    assert [row[0] for row in table[1:]] == ["3", "4", "5"]
    phone, text, time = table[0].index("联系电话"), table[0].index("故障描述"), table[0].index("创建时间")
    table[1][phone], table[2][text], table[3][time] = "13800138000", "水泵漏油严重", "2026-11-03 10:00"
    again = await send(client, headers, csv_bytes(table), dryRun=False)
    await work_off(world.db)
    done = await state_of(client, headers, again["id"])
    assert (done["rowsOk"], done["rowsFailed"], done["rowsTotal"]) == (3, 0, 3)
    whole = await send(client, headers, csv_bytes([HEAD, *rows(5)]), dryRun=False)
    await work_off(world.db)
    done = await state_of(client, headers, whole["id"])
    assert (done["rowsExisting"], done["rowsOk"]) == (5, 0), "the same references are the same orders"
    assert await world.value("select count(*) from work_order") == 5


async def test_a_row_whose_reference_another_row_has_is_not_passed_over_in_silence(
    world: World, client: httpx.AsyncClient
) -> None:
    """A sheet that numbers its rows anew each week would lose a week of orders as "there already"; a change that is not
    carried out would be believed to be."""
    headers = {**await headers_of(world), "Accept-Language": "en"}
    first, second, third = rows(3)
    twin = [*first[:1], "another matter altogether", *first[2:]]
    run = await send(client, headers, csv_bytes([HEAD, first, twin, second]), dryRun=False)
    await work_off(world.db)
    done = await state_of(client, headers, run["id"])
    assert (done["rowsOk"], done["rowsExisting"]) == (2, 1)
    told = (await client.get(f"/v1/imports/{run['id']}/errors", headers=headers)).text.splitlines()
    assert [line.split(",")[:3] for line in told[1:]] == [["3", "工单号", "BAD_FIELD/row_differs"]]
    changed = [*second[:1], "the pump burns", *second[2:]]
    for dry in (True, False):
        run = await send(client, headers, csv_bytes([HEAD, first, changed, third]), dryRun=dry)
        await work_off(world.db)
        page = (await client.get(f"/v1/imports/{run['id']}/rows", headers=headers)).json()["items"]
        assert [(one["state"], [fault["reason"] for fault in one["faults"]]) for one in page] == [
            ("existing", []),
            ("existing", ["row_differs"]),
            ("ok", []),
        ]
    order = (await client.get("/v1/orders/by-reference/import/A-2", headers=headers)).json()
    assert order["description"] == second[1]


async def test_a_row_with_a_skill_that_nobody_knows_is_refused(
    world: World, client: httpx.AsyncClient
) -> None:
    """Such an order would wait for an engineer who does not exist."""
    headers = await headers_of(world)
    table = [[*HEAD, "技能"], [*rows(1)[0], "sewer:2"], [*rows(2)[1], "sewer, flying"]]
    run = await send(client, headers, csv_bytes(table), dryRun=False)
    await work_off(world.db)
    done = await state_of(client, headers, run["id"])
    assert (done["rowsOk"], done["rowsFailed"]) == (1, 1)
    (bad,) = (
        await client.get(f"/v1/imports/{run['id']}/rows", params={"state": "failed"}, headers=headers)
    ).json()["items"]
    assert [(one["column"], one["reason"]) for one in bad["faults"]] == [("技能", "not_one_of")]
    assert "sewer" in bad["faults"][0]["text"]
    assert await world.value("select skills::text from work_order") == '{"sewer": 2}'


async def test_rows_without_a_reference_are_known_by_their_content(
    world: World, client: httpx.AsyncClient
) -> None:
    """Sending the same sheet twice by mistake must not call everybody out twice; two like rows in one sheet are two."""
    headers = await headers_of(world)
    table = [HEAD[1:], *(row[1:] for row in [*rows(3), rows(1)[0]])]
    for expected in ((4, 0), (0, 4)):
        run = await send(
            client, headers, xlsx_bytes(table), media_type="application/octet-stream", dryRun=False
        )
        await work_off(world.db)
        done = await state_of(client, headers, run["id"])
        assert (done["rowsOk"], done["rowsExisting"]) == expected
    assert await world.value("select count(*) from work_order") == 4


async def test_a_template_maps_columns_words_and_dates(world: World, client: httpx.AsyncClient) -> None:
    """Every company's sheet looks different: what its columns and words mean is said once."""
    headers = await headers_of(world)
    async with world.db.work(world.org, actor=world.dispatcher) as work:
        await templates.save(
            work,
            name="Old system",
            config={
                "system": "old",
                "columns": [
                    {"header": "Nr", "field": "reference"},
                    {"header": "Was", "field": "description"},
                    {"header": "Dringend", "field": "priority", "values": {"ja": "P0", "nein": "P2"}},
                    {"header": "Am", "field": "created_at", "formats": ["%d.%m.%Y %H:%M"]},
                    {"header": "Tel", "field": "contact_phone"},
                    {"header": "Wo", "field": "address"},
                    {"header": "ERP", "field": "reference.erp"},
                    {"header": "Intern", "field": "-"},
                ],
                "constants": {"channel": "hotline", "kind": "general", "customer_name": "Werk AG"},
                "guess": False,
            },
        )
    table = [
        ["Nr", "Was", "Dringend", "Am", "Tel", "Wo", "ERP", "Intern"],
        ["7", "Pumpe leckt", "ja", "03.04.2026 10:15", "13800138000", "Tor 2", "SO-9", "geheim"],
    ]
    run = await send(client, headers, csv_bytes(table), template="Old system", dryRun=False)
    await work_off(world.db)
    done = await state_of(client, headers, run["id"])
    assert done["rowsOk"] == 1, (await client.get(f"/v1/imports/{run['id']}/rows", headers=headers)).text
    order = (await client.get("/v1/orders/by-reference/erp/SO-9", headers=headers)).json()
    assert (order["priority"], order["channel"], order["customerName"]) == ("P0", "hotline", "Werk AG")
    assert datetime.fromisoformat(order["createdAt"]) == datetime(2026, 4, 3, 2, 15, tzinfo=UTC)
    assert {"system": "old", "reference": "7"} in order["references"]
    bad = await client.post(
        "/v1/imports", content=csv_bytes(table), params={"template": "None such"}, headers=headers
    )
    assert (bad.status_code, bad.json()["path"]) == (404, "template")


async def test_twins_at_once_are_one_set_of_orders(world: World, client: httpx.AsyncClient) -> None:
    """Two colleagues who send the same sheet in the same minute, taken up by two workers, make each order once."""
    headers = await headers_of(world)
    sheet = csv_bytes([HEAD, *rows(24)])
    ids = [(await send(client, headers, sheet, dryRun=False))["id"] for _ in range(2)]
    await asyncio.gather(work_off(world.db, rows=5), work_off(world.db, rows=5))
    await work_off(world.db)
    ends = [await state_of(client, headers, id_) for id_ in ids]
    assert [end["state"] for end in ends] == ["done", "done"]
    assert sum(end["rowsOk"] for end in ends) == 24
    assert sum(end["rowsExisting"] for end in ends) == 24
    assert await world.value("select count(*) from work_order") == 24


async def test_canceled_it_keeps_what_was_taken_in(world: World, client: httpx.AsyncClient) -> None:
    """Who stops a wrong import must know which orders it made."""
    headers = await headers_of(world)
    run = await send(client, headers, csv_bytes([HEAD, *rows(9)]), dryRun=False)
    id_, token = UUID(run["id"]), uuid4()
    await world.db.run(world.org, lambda work: runs.take_up(work, id_, token))
    assert await world.db.run(world.org, lambda work: batches.step(work, id_, token, skills=(), rows=4))
    canceled = await client.post(f"/v1/imports/{run['id']}/cancel", headers=headers)
    assert canceled.status_code == 200
    assert not await world.db.run(world.org, lambda work: batches.step(work, id_, token, skills=(), rows=4))
    end = await state_of(client, headers, run["id"])
    assert (end["state"], end["rowsOk"]) == ("canceled", 4)
    with pytest.raises(runs.LostRun):
        await world.db.run(world.org, lambda work: batches.step(work, id_, token, skills=(), rows=4))


async def test_a_worker_that_was_believed_dead_writes_no_more(
    world: World, client: httpx.AsyncClient
) -> None:
    """A paused worker that wakes up beside its successor would take rows in twice."""
    headers = await headers_of(world)
    id_ = UUID((await send(client, headers, csv_bytes([HEAD, *rows(4)]), dryRun=False))["id"])
    old, new = uuid4(), uuid4()
    for token in (old, new):
        await world.db.run(world.org, lambda work, token=token: runs.take_up(work, id_, token))
    with pytest.raises(runs.LostRun):
        await world.db.run(world.org, lambda work: batches.step(work, id_, old, skills=()))
    assert await world.db.run(world.org, lambda work: batches.step(work, id_, new, skills=()))


async def test_a_hundred_real_requests(world: World, client: httpx.AsyncClient) -> None:
    """L6's figure, with the city's own columns: what cannot be an order is named, the rest is taken in."""
    headers = await headers_of(world)
    given = list(itertools.islice(packaged_rows(), 100))
    table = [list(given[0]), *([row[name] for name in given[0]] for row in given)]
    config = {
        "system": "sf311",
        "columns": [
            {"header": "complaint_type", "field": "description"},
            {"header": "descriptor", "field": "description"},
            {"header": "agency_name", "field": "customer_name"},
            {"header": "category", "field": "-"},
        ],
        "constants": {
            "kind": "general",
            "priority": "P2",
            "contact_phone": "+14155550132",
            "contact_name": "311",
        },
    }
    answer = await client.post(
        "/v1/imports",
        files={"file": ("sf311.csv", csv_bytes(table), "text/csv")},
        data={"config": msgspec.json.encode(config).decode()},
        params={"dryRun": "false"},
        headers=headers,
    )
    assert answer.status_code == 202, answer.text
    await work_off(world.db)
    done = await state_of(client, headers, answer.json()["id"])
    assert done["state"] == "done"
    failed = (
        await client.get(
            f"/v1/imports/{done['id']}/rows", params={"state": "failed", "first": 200}, headers=headers
        )
    ).json()["items"]
    assert done["rowsOk"] + len(failed) == 100
    assert failed == []
    assert (
        await world.value("select count(*) from external_reference where system = 'sf311'") == done["rowsOk"]
    )


async def test_sheets_are_forgotten_and_their_counts_kept(world: World, client: httpx.AsyncClient) -> None:
    """A sheet holds names and telephone numbers: kept for ever they are a liability, dropped too soon a loss."""
    headers = await headers_of(world)
    old = (await send(client, headers, csv_bytes([HEAD, *rows(3)])))["id"]
    await work_off(world.db)
    young = (await send(client, headers, csv_bytes([HEAD, *rows(2)])))["id"]
    await work_off(world.db)
    async with world.db.work(world.org) as work:
        await work.execute(
            "update import_run set created_at = created_at - make_interval(days => $2) where id = $1",
            UUID(old),
            runs.KEEP_DAYS + 1,
        )
        assert not await runs.purge(work)
    left = [
        (await client.get(f"/v1/imports/{id_}/rows", headers=headers)).json()["items"] for id_ in (old, young)
    ]
    assert [len(one) for one in left] == [0, 2]
    assert (await state_of(client, headers, old))["rowsOk"] == 3
    started = await client.post(f"/v1/imports/{old}/start", headers=headers)
    assert (started.status_code, started.json()["code"]) == (409, "WRONG_STATE"), "nothing is left to start"


async def test_two_who_change_a_template_are_told(world: World) -> None:
    """The second one would undo the first one's mapping without knowing."""
    async with world.db.work(world.org, actor=world.dispatcher) as work:
        made = await templates.save(work, name="T", config={})
        changed = await templates.save(work, name="T", config={"system": "x"}, id_=made.id, revision=1)
        assert changed.revision == 2
        with pytest.raises(StaleRevision):
            await templates.save(work, name="T", config={}, id_=made.id, revision=1)


async def test_progress_tells_how_long_it_will_take(world: World, client: httpx.AsyncClient) -> None:
    """Whoever waits for ten thousand rows wants to know whether to fetch a coffee or to go home."""
    headers = await headers_of(world)
    id_, token = UUID((await send(client, headers, csv_bytes([HEAD, *rows(6)]), dryRun=False))["id"]), uuid4()
    assert (await state_of(client, headers, str(id_)))["secondsLeft"] is None
    await world.db.run(world.org, lambda work: runs.take_up(work, id_, token))
    await world.db.run(world.org, lambda work: batches.step(work, id_, token, skills=(), rows=2))
    async with world.db.work(world.org) as work:
        await work.execute(
            "update import_run set beat_at = begun_at + interval '10 seconds' where id = $1", id_
        )
    seen = await state_of(client, headers, str(id_))
    assert (seen["state"], seen["rowsDone"], seen["secondsLeft"]) == ("running", 2, 20)
    await client.post(f"/v1/imports/{id_}/cancel", headers=headers)
