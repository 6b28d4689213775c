"""A worker that is killed in the middle of a sheet: the next one goes on, and no order is made twice."""

import asyncio
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest
from processes import Program, environment
from public_api import csv_bytes, headers_of, public_client, work_off
from worlds import World

from callout_backend.wiring import ALL_TABLES
from callout_store.work import Database

ROWS = 400
ROUNDS = 3


@pytest.mark.crash
async def test_killed_with_kill_9_it_goes_on_where_it_was(fresh_database: Any, tmp_path: Path) -> None:
    """A power cut in the middle of an import must cost the batch in hand, and neither lose nor double a row."""
    db = Database(fresh_database.database, tables=ALL_TABLES)
    await db.start()
    try:
        world = await World(db).build(phones=0)
        headers = await headers_of(world)
        sheet = csv_bytes(
            [
                ["reference", "description", "name", "phone", "address", "type"],
                *(
                    [f"R-{n}", f"Pump {n} leaks", f"N {n}", f"+1415555{n:04d}", f"{n} Main St", "general"]
                    for n in range(ROWS)
                ),
            ]
        )
        async with public_client(db) as client:
            run = (
                await client.post("/v1/imports", content=sheet, params={"dryRun": "false"}, headers=headers)
            ).json()
            for n in range(ROUNDS):
                await _killed_midway(fresh_database, tmp_path / str(n), world, ROWS * (n + 1) // (ROUNDS + 2))
                # The lease of the dead worker runs out; nobody else could have the row before.
                async with db.system_work() as work:
                    await work.execute("update outbox set lease_until = now() where state = 'leased'")
            await work_off(db)
            end = (await client.get(f"/v1/imports/{run['id']}", headers=headers)).json()
        assert (end["state"], end["rowsDone"], end["rowsTotal"]) == ("done", ROWS, ROWS)
        assert end["rowsFailed"] == 0
        assert await world.value("select count(*) from work_order") == ROWS
        assert await world.value("select count(distinct reference) from external_reference") == ROWS
        assert (
            await world.value("select count(*) from import_row where state = 'ok' and order_id is not null")
            == ROWS
        )
        assert await world.value("select count(*) from journal where kind = 'import.started'") == 1
        assert await world.value("select count(*) from journal where kind = 'import.finished'") == 1
    finally:
        await db.stop()


async def _killed_midway(urls: Any, data: Path, world: World, enough: int) -> None:
    """Start a worker, and kill it as soon as it has taken in so many rows."""
    data.mkdir()
    worker = Program(
        [sys.executable, "-m", "callout_backend", "worker"], environment(urls, data), data / "worker.log"
    )
    try:
        while await world.value("select rows_ok from import_run") < enough:
            assert worker.process.poll() is None, worker.log.read_text()[-2000:]
            await asyncio.sleep(0.02)
    finally:
        worker.kill()
    assert not psutil.pid_exists(worker.process.pid) or worker.process.poll() is not None
