"""Taking orders in: a look that writes nothing, an order taken, and a sheet of thousands of rows, dry and for real."""

from __future__ import annotations

import hashlib
import os
import time
from datetime import UTC, datetime
from typing import Final
from uuid import UUID

from desk_report import Row, percentile, spread, verdict
from public_api import csv_bytes
from worlds import World

from callout_backend.jobs.drain import drain
from callout_backend.jobs.imports import import_handler
from callout_orders import intake
from callout_orders.imports import runs, sheets
from callout_orders.imports.mapping import Config
from callout_orders.intake import NewOrder
from callout_orders.precheck import taking
from callout_orders.precheck.terms import Request
from callout_store.work import Database

TIMES: Final = 200
ROWS: Final = int(os.environ.get("CALLOUT_BENCH_ROWS_IMPORTED", "10000"))
TARGET_CHECK_MS: Final = 50.0
TARGET_TAKE_MS: Final = 100.0
TARGET_ROWS_S: Final = 100.0
HEAD: Final = ["工单号", "故障描述", "联系人", "联系电话", "客户名称", "地址", "优先级", "类型"]


def _request(n: int, **more: object) -> Request:
    values: dict[str, object] = {
        "channel": "hotline",
        "kind": "general",
        "description": f"The pump in cellar {n} leaks, 水泵漏水, please call 138{n:08d} before you come",
        "contact_name": f"Caller {n}",
        "address": f"{n} Main Street",
        **more,
    }
    return Request(**values)  # type: ignore[arg-type]


async def rows(db: Database) -> list[Row]:
    """A check and a take, for known and for unknown customers."""
    world = await World(db).build(phones=1)
    spent: dict[str, list[float]] = {"check": [], "take": [], "take, known customer": [], "create_order": []}
    order = NewOrder(
        customer_id=world.customer,
        site_id=world.site,
        priority="P2",
        kind="general",
        description="The pump leaks",
        channel="hotline",
    )
    for n in range(TIMES + 10):
        given = _request(n)
        known = _request(n, address=None, contact_name=None, link_duplicates=False)
        for side in spent:
            began = time.perf_counter()
            async with db.work(world.org, actor=world.dispatcher) as work:
                if side == "check":
                    checked = await taking.check(work, given)
                    assert checked.ok, checked.faults
                elif side == "take":
                    taken = await taking.take(work, given)
                elif side == "create_order":
                    await intake.create_order(work, order)
                else:
                    again = await taking.take(work, known)
                    assert again.customer_id == taken.customer_id
            if n >= 10:
                spent[side].append((time.perf_counter() - began) * 1000)
    takes = percentile(spent["take"], 0.95)
    return [
        Row(
            work="intake: a look that writes nothing (telephone found in the text, tags, duplicates, rules)",
            ours=spread(spent["check"]),
            target=f"p95 <= {TARGET_CHECK_MS:g} ms",
            verdict=verdict(percentile(spent["check"], 0.95) <= TARGET_CHECK_MS),
            more={"p50": percentile(spent["check"], 0.5), "p95": percentile(spent["check"], 0.95)},
        ),
        Row(
            work="intake: an order taken, its customer, site and contact made; committed",
            ours=f"{spread(spent['take'])}; of a known customer {spread(spent['take, known customer'])}",
            beside=f"the order alone, by its ids: {spread(spent['create_order'])}",
            target=f"p95 <= {TARGET_TAKE_MS:g} ms",
            verdict=verdict(takes <= TARGET_TAKE_MS),
            more={
                side: {"p50": percentile(ms, 0.5), "p95": percentile(ms, 0.95)} for side, ms in spent.items()
            },
        ),
    ]


def _sheet(count: int) -> bytes:
    body = [
        [
            f"A-{n}",
            f"水泵 {n} 漏水, cellar {n % 97}",
            f"张三{n}",
            f"139{n:08d}",
            f"客户 {n % 4000}",
            f"人民路 {n} 号",
            "低",
            "其他",
        ]
        for n in range(count)
    ]
    return csv_bytes([HEAD, *body])


async def import_rows(db: Database) -> list[Row]:
    """A sheet looked at, then taken in."""
    world = await World(db).build(phones=1)
    data = _sheet(ROWS)
    began = time.perf_counter()
    sheet = sheets.read(data)
    read_s = time.perf_counter() - began
    async with db.work(world.org, actor=world.dispatcher) as work:
        run = await runs.begin(
            work,
            sheet,
            file_name="orders.csv",
            sha256=hashlib.sha256(data).digest(),
            size_bytes=len(data),
            config=Config(),
            time_zone="Asia/Shanghai",
        )
    dry_s = await _worked_off(db, world, run.id)
    async with db.work(world.org, actor=world.dispatcher) as work:
        await runs.start(work, run.id)
    real_s = await _worked_off(db, world, run.id)
    made = await world.value("select count(*) from external_reference where system = 'import'")
    assert made == ROWS, made
    slowest = min(ROWS / dry_s, ROWS / real_s)
    return [
        Row(
            work=f"import: {ROWS:,} rows of a CSV, each of another caller",
            ours=f"dry {ROWS / dry_s:,.0f} rows/s, for real {ROWS / real_s:,.0f} rows/s; the file read in {read_s:.2f} s",
            target=f">= {TARGET_ROWS_S:g} rows/s",
            verdict=verdict(slowest >= TARGET_ROWS_S),
            more={
                "dry_s": dry_s,
                "real_s": real_s,
                "read_s": read_s,
                "rows": ROWS,
                "at": str(datetime.now(UTC)),
            },
        )
    ]


async def _worked_off(db: Database, world: World, id_: UUID) -> float:
    """Seconds of the worker's part; every row was taken or would be."""
    began = time.perf_counter()
    await drain(db, {runs.CHANNEL: import_handler()}, only=True)
    took = time.perf_counter() - began
    async with db.work(world.org) as work:
        run = await runs.get(work, id_)
    assert (run.state, run.rows_failed) == ("done", 0), run
    assert run.rows_done == ROWS
    return took
