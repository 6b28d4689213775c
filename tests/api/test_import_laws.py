"""Imports: however a sheet is cut up, mended, stopped and sent again, the same orders come of it, each once."""

import asyncio
import csv
import io
import random
from collections.abc import AsyncIterator, Sequence
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from public_api import csv_bytes, headers_of, public_client, work_off
from worlds import World

from callout_orders.imports import batches, runs
from callout_orders.precheck import many, taking
from callout_orders.precheck.terms import Request, Taken
from callout_store.errors import Busy, LimitExceeded, NotFound, Refusal
from callout_store.work import Database, Work

HEAD = ["工单号", "故障描述", "联系人", "联系电话", "客户名称", "地址", "优先级", "创建时间", "类型"]
TEXT, PHONE, PRIORITY, TIME = 1, 3, 6, 7


@pytest.fixture
async def client(db: Database) -> AsyncIterator[httpx.AsyncClient]:
    async with public_client(db) as client:
        yield client


@pytest.fixture
async def world(db: Database) -> World:
    return await World(db).build(phones=0)


def good(n: int) -> list[str]:
    return [
        f"R-{n}",
        f"{n} 号楼水泵漏水",
        f"张三{n}",
        f"138{n:08d}",
        f"客户 {n}",
        f"上海市人民路 {n} 号",
        ("紧急", "高", "低")[n % 3],
        f"2026-11-{n % 20 + 1:02d} 09:30",
        "其他",
    ]


def broken(row: list[str], rng: random.Random) -> list[str]:
    column, text = rng.choice(((TEXT, ""), (PHONE, "1380013"), (TIME, "yesterday")))
    return [text if n == column else cell for n, cell in enumerate(row)]


async def send(
    client: httpx.AsyncClient, headers: dict[str, str], table: list[list[str]], **params: Any
) -> dict[str, Any]:
    answer = await client.post(
        "/v1/imports",
        content=csv_bytes(table),
        params={"dryRun": False, **params},
        headers={**headers, "Content-Type": "text/csv"},
    )
    assert answer.status_code == 202, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def orders_of(world: World) -> dict[str, tuple[Any, ...]]:
    """What became of each reference: all of an order that the sheet says."""
    rows = await world.fetch(
        """
        select r.reference, o.description, o.priority, o.reported_at, o.created_at - now() < interval '0' as before,
            o.reporter_name, o.reporter_phone, o.kind, c.name, s.address, o.state, o.tags
        from external_reference r join work_order o on o.id = r.order_id
        join customer c on c.id = o.customer_id join site s on s.id = o.site_id
        """
    )
    return {row["reference"]: tuple(row)[1:] for row in rows}


@pytest.mark.parametrize("case", range(2))
async def test_mended_rows_and_those_before_are_the_whole_sheet(
    db: Database, client: httpx.AsyncClient, seed: int, case: int
) -> None:
    """An office that mends its bad rows in three goes must end with what one clean sheet would have made."""
    rng = random.Random(f"{seed}:import-laws:{case}")
    count = rng.randint(7, 11)
    clean = [good(n) for n in range(1, count + 1)]
    by_goes, at_once = [await World(db).build(phones=0) for _ in range(2)]
    headers = await headers_of(by_goes)
    table = [HEAD, *(broken(row, rng) if rng.random() < 0.5 else row for row in clean)]
    made = 0
    for _ in range(20):
        run = await send(client, headers, table)
        await work_off(db, rows=rng.randint(1, 7))
        done = (await client.get(f"/v1/imports/{run['id']}", headers=headers)).json()
        made += done["rowsOk"]
        assert done["rowsOk"] + done["rowsFailed"] + done["rowsExisting"] == len(table) - 1
        if not done["rowsFailed"]:
            break
        answer = await client.get(f"/v1/imports/{run['id']}/failed", headers=headers)
        found = list(csv.reader(io.StringIO(answer.content.decode("utf-8-sig"))))
        at = found[0].index(HEAD[0])
        # Some are mended; now and then a row that is done already comes along.
        mended = [
            clean[int(row[at].removeprefix("R-")) - 1]
            if rng.random() < 0.7
            else [row[found[0].index(name)] for name in HEAD]
            for row in found[1:]
        ]
        table = [HEAD, *mended, *rng.sample(clean, rng.randint(0, 2))]
        table = [HEAD, *{row[0]: row for row in table[1:]}.values()]
    assert made == count
    other = await headers_of(at_once)
    await send(client, other, [HEAD, *clean])
    await work_off(db)
    assert await orders_of(by_goes) == await orders_of(at_once)
    assert len(await orders_of(at_once)) == count == await by_goes.value("select count(*) from work_order")


async def test_a_sheet_is_worked_off_from_its_beginning(world: World, client: httpx.AsyncClient) -> None:
    """Who stops an import at row 400 counts on what stands above it being there, and nothing of what stands below."""
    headers = await headers_of(world)
    run = await send(client, headers, [HEAD, *(good(n) for n in range(1, 10))])
    id_, token = UUID(run["id"]), uuid4()
    await world.db.run(world.org, lambda work: runs.take_up(work, id_, token))
    for there in (4, 8, 9):
        assert await world.db.run(world.org, lambda work: batches.step(work, id_, token, skills=(), rows=4))
        assert set(await orders_of(world)) == {f"R-{n}" for n in range(1, there + 1)}


async def test_a_dry_run_is_started_once_it_is_over(world: World, client: httpx.AsyncClient) -> None:
    """Started while a worker still looks at it, a sheet would be half looked at and half taken in."""
    headers = await headers_of(world)
    run = await send(client, headers, [HEAD, good(1), good(2)], dryRun=True)
    id_, token = UUID(run["id"]), uuid4()

    async def start() -> int:
        return (await client.post(f"/v1/imports/{id_}/start", headers=headers)).status_code

    assert await start() == 409
    await world.db.run(world.org, lambda work: runs.take_up(work, id_, token))
    assert await world.db.run(world.org, lambda work: batches.step(work, id_, token, skills=(), rows=1))
    assert await start() == 409
    while await world.db.run(world.org, lambda work: batches.step(work, id_, token, skills=(), rows=1)):
        pass
    assert await start() == 202
    assert await start() == 409
    await work_off(world.db)
    assert len(await orders_of(world)) == 2


async def test_no_more_than_so_many_at_once(
    world: World, client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One office that drops a folder of sheets in must not keep the workers from everybody else."""
    monkeypatch.setattr(runs, "OPEN_MAX", 2)
    headers = await headers_of(world)

    async def status() -> int:
        answer = await client.post(
            "/v1/imports",
            content=csv_bytes([HEAD, good(1)]),
            headers={**headers, "Content-Type": "text/csv"},
        )
        return answer.status_code

    codes = await asyncio.gather(*(status() for _ in range(4)))
    assert sorted(codes)[:2] == [202, 202]
    assert all(code == LimitExceeded.status for code in sorted(codes)[2:])
    await work_off(world.db)
    assert await status() == 202


async def test_what_is_forgotten_is_old_and_over(world: World, client: httpx.AsyncClient) -> None:
    """A sheet that waits since long must not lose its rows on the way, and last month's list of faults is still wanted."""
    headers = await headers_of(world)
    ids = [UUID((await send(client, headers, [HEAD, good(1)], dryRun=True))["id"]) for _ in range(2)]
    await work_off(world.db)
    ids.append(UUID((await send(client, headers, [HEAD, good(1)], dryRun=True))["id"]))
    async with world.db.work(world.org) as work:
        for id_, days in zip(ids, (runs.KEEP_DAYS - 1, runs.KEEP_DAYS + 1, runs.KEEP_DAYS + 1), strict=True):
            await work.execute(
                "update import_run set created_at = now() - make_interval(days => $2) where id = $1",
                id_,
                days,
            )
        assert not await runs.purge(work)
    left = {row["import_id"] for row in await world.fetch("select import_id from import_row")}
    assert left == {ids[0], ids[2]}
    await work_off(world.db)
    assert (await client.get(f"/v1/imports/{ids[2]}", headers=headers)).json()["rowsOk"] == 1


async def test_a_row_that_breaks_leaves_nothing_behind(
    world: World, client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half of a refused row (its customer without its order) would stay; one row that breaks us would hold up the sheet."""
    make, take = many._make, taking.take

    def fault(description: str) -> None:
        if "2 号楼" in description:
            raise NotFound(entity="site")
        if "3 号楼" in description:
            raise RuntimeError("a fault of ours")

    async def makes(work: Work, looks: Sequence[Any]) -> list[Taken]:
        made = await make(work, looks)
        for look in looks:
            fault(look.request.description)
        return made

    async def takes(work: Work, request: Request) -> Taken:
        taken = await take(work, request)
        fault(request.description)
        return taken

    monkeypatch.setattr(many, "_make", makes)
    monkeypatch.setattr(taking, "take", takes)
    headers = await headers_of(world)
    run = await send(client, headers, [HEAD, *(good(n) for n in range(1, 5))])
    await work_off(world.db)
    done = (await client.get(f"/v1/imports/{run['id']}", headers=headers)).json()
    assert (done["state"], done["rowsOk"], done["rowsFailed"]) == ("done", 2, 2)
    rows = (
        await client.get(f"/v1/imports/{run['id']}/rows", params={"state": "failed"}, headers=headers)
    ).json()["items"]
    assert [one["faults"][0]["code"] for one in rows] == ["NOT_FOUND", "INTERNAL"]
    assert set(await orders_of(world)) == {"R-1", "R-4"}
    names = {row["name"] for row in await world.fetch("select name from customer")}
    assert {"客户 1", "客户 4"} <= names
    assert not names & {"客户 2", "客户 3"}
    assert await world.db.run(world.org, lambda work: runs.take_up(work, UUID(run["id"]), uuid4())) is None


async def test_what_will_pass_is_no_fault_of_a_row(
    world: World, client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A database that was busy for a second would be written beside the row as if the row were wrong."""
    make, calls = many._make, 0

    async def busy(work: Work, looks: Sequence[Any]) -> list[Taken]:
        nonlocal calls
        calls += 1
        made = await make(work, looks)
        if calls == 1:
            raise Busy(what="the database", retry_after_ms=10)
        return made

    monkeypatch.setattr(many, "_make", busy)
    headers = await headers_of(world)
    run = await send(client, headers, [HEAD, good(1), good(2)])
    id_, token = UUID(run["id"]), uuid4()
    await world.db.run(world.org, lambda work: runs.take_up(work, id_, token))
    with pytest.raises(Refusal):
        await world.db.run(world.org, lambda work: batches.step(work, id_, token, skills=()))
    assert {row["state"] for row in await world.fetch("select state from import_row")} == {"waiting"}
    assert await orders_of(world) == {}
    assert await world.db.run(world.org, lambda work: batches.step(work, id_, token, skills=()))
    assert set(await orders_of(world)) == {"R-1", "R-2"}
