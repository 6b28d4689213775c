"""Sync side by side in one run: Callout, the raw limit, Kinto on the same PostgreSQL, express-pouchdb, rxdb-server.

`make bench-sync` prints a table and writes it as JSON. No time is asserted: only that every answer is right and that
no row is missing on any side. Sides take turns, so that none works while another is measured. Smaller runs:

    CALLOUT_BENCH_DOCUMENTS  10000   documents of the first pull, and events pushed a round
    CALLOUT_BENCH_ROUNDS     3       rounds of pull and push; figures are their medians
    CALLOUT_BENCH_DEVICES    200     devices that poll
    CALLOUT_BENCH_SECONDS    60      how long they poll, in as many slices as there are rounds
    CALLOUT_BENCH_SIDES      all     names of sides, separated by commas (Callout is always one)
"""

import os
import statistics
import time
from collections.abc import AsyncIterator, Sequence
from typing import Any

import asyncpg
import psutil
import pytest
import sync_report
from load import Connection, Figures, drive_queues
from peer_kinto import KintoSide
from peer_node import PouchSide, RxSide
from polling import Polling
from side_callout import CalloutSide, RawSide
from sides import PolledSide, Side, resident_mb
from sync_report import Row, judge

DOCUMENTS = int(os.environ.get("CALLOUT_BENCH_DOCUMENTS", "10000"))
ROUNDS = int(os.environ.get("CALLOUT_BENCH_ROUNDS", "3"))
DEVICES = int(os.environ.get("CALLOUT_BENCH_DEVICES", "200"))
SECONDS = float(os.environ.get("CALLOUT_BENCH_SECONDS", "60"))
SIDES = os.environ.get("CALLOUT_BENCH_SIDES", "")
PAGE, BATCH, CLIENTS, SCOPE_ROWS, WRITTEN_ROWS, WRITES_PER_S = 500, 100, 4, 50, 4, 100.0
WARM_BATCHES = 5
PULLS = 5
"""First pulls in a round, one after the other: a single one is over too soon to be measured well."""
POLL_P99_MS_MAX = 250.0
ROWS: list[Row] = []


async def postgres_process(admin_url: str) -> psutil.Process | None:
    """PostgreSQL's first process, if it runs on this machine."""
    connection = await asyncpg.connect(admin_url)
    backend = await connection.fetchval("select pg_backend_pid()")
    try:
        server: psutil.Process | None = psutil.Process(backend).parent()
        return server if server is not None and "postgres" in server.name() else None
    except psutil.Error:
        return None
    finally:
        await connection.close()


@pytest.fixture(scope="module")
async def sides(database_urls: Any, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[list[Side]]:
    folder = tmp_path_factory.mktemp("bench-sync")
    ours = CalloutSide(database_urls)
    others = [RawSide(database_urls, ours), KintoSide(database_urls.admin), PouchSide(), RxSide()]
    chosen: list[Side] = [ours, *(s for s in others if not SIDES or s.name in SIDES.split(","))]
    postgres = await postgres_process(database_urls.admin)
    started: list[Side] = []
    try:
        for side in chosen:
            started.append(side)
            side.postgres = postgres if side.on_postgres else None
            await side.start(folder)
        yield chosen
        settings = {"documents": DOCUMENTS, "rounds": ROUNDS, "devices": DEVICES, "seconds": SECONDS}
        memory = resident_mb([postgres, *postgres.children(recursive=True)]) if postgres else 0.0
        sync_report.write(ROWS, settings, memory)
    finally:
        for side in reversed(started):
            await side.stop()


def row_of(work: str, unit: str, side: Side, runs: Sequence[Figures], missing: int) -> Row:
    """A row of medians."""

    def median(values: Sequence[float]) -> float:
        return round(statistics.median(values), 2)

    return Row(
        work=work,
        side=side.name,
        unit=unit,
        per_s=median([run.units_per_second for run in runs]),
        p50_ms=median([run.percentile(0.50) for run in runs]),
        p95_ms=median([run.percentile(0.95) for run in runs]),
        p99_ms=median([run.percentile(0.99) for run in runs]),
        missing=missing,
        server_mb=side.memory_mb(),
        cpu_us=round(sum(run.cpu_s for run in runs) / sum(run.units for run in runs) * 1e6, 1),
    )


async def first_pull(side: Side, figures: Figures) -> tuple[set[str], int]:
    """All pages of a first pull: ids and bytes. Only the waiting for answers is timed, not the reading of them."""
    ids, cursor, size, more = set[str](), None, 0, True
    with Connection("127.0.0.1", side.port) as connection:
        while more:
            raw = side.page(cursor, PAGE)
            began = time.perf_counter()
            answer = await connection.exchange(raw)
            waited = time.perf_counter() - began
            changes = side.read_page(answer, PAGE)
            figures.latencies_ms.append(waited * 1000)
            figures.seconds += waited
            figures.units += len(changes.rows)
            size += len(answer.body)
            ids |= changes.rows.keys()
            cursor, more = changes.cursor, changes.more
    return ids, size


@pytest.mark.timeout(1800)
async def test_push(sides: list[Side]) -> None:
    """A day's events from four phones at once: all stored on every side, whatever the load."""
    batches = max(1, DOCUMENTS // BATCH // CLIENTS)
    runs: dict[str, list[Figures]] = {side.name: [] for side in sides}
    before: dict[str, int] = {}
    for side in sides:
        queues = await side.push_queues(clients=CLIENTS, batches=WARM_BATCHES, size=BATCH)
        await drive_queues(side.name, side.port, queues, units=BATCH, check=lambda answer: None)
        await side.settled()
        before[side.name] = await side.pushed()
    for _ in range(ROUNDS):
        for side in sides:
            queues = await side.push_queues(clients=CLIENTS, batches=batches, size=BATCH)

            def check(answer: Any, side: Side = side) -> None:
                side.check_push(answer, BATCH)

            spent = side.cpu_s()
            figures = await drive_queues(side.name, side.port, queues, units=BATCH, check=check)
            figures.cpu_s = side.cpu_s() - spent
            runs[side.name].append(figures)
    rows = []
    for side in sides:
        sent = sum(run.units for run in runs[side.name])
        missing = before[side.name] + sent - await side.pushed()
        rows.append(row_of("events pushed, 4 × 100", "events", side, runs[side.name], missing))
    judge(rows, {"raw limit": 0.35, "kinto": 50, "express-pouchdb": 1.2})
    ROWS.extend(rows)
    assert {row.side: row.missing for row in rows} == {side.name: 0 for side in sides}


@pytest.mark.timeout(1800)
async def test_first_pull(sides: list[Side]) -> None:
    """A new phone's first pull: every document arrives on every side, page by page."""
    runs: dict[str, list[Figures]] = {side.name: [] for side in sides}
    missing: dict[str, int] = {}
    size: dict[str, int] = {}
    for side in sides:
        await side.fill(DOCUMENTS)
        await side.settled()
    for n in range(ROUNDS + 1):  # the first round warms up
        for side in sides:
            figures, must, spent = Figures(side.name), await side.filled(), side.cpu_s()
            for _ in range(PULLS):
                ids, size[side.name] = await first_pull(side, figures)
                missing[side.name] = missing.get(side.name, 0) + len(must - ids)
            figures.cpu_s = side.cpu_s() - spent
            if n:
                runs[side.name].append(figures)
    rows = [
        row_of("first pull, documents", "docs", side, runs[side.name], missing[side.name]) for side in sides
    ]
    for row in rows:
        row.more["bytes_per_document"] = round(size[row.side] / DOCUMENTS)
    # "Faster than" the two that keep all in memory: a ratio above one.
    judge(rows, {"raw limit": 0.6, "kinto": 3, "express-pouchdb": 1, "rxdb-server": 1})
    ROWS.extend(rows)
    assert {row.side: row.missing for row in rows} == {side.name: 0 for side in sides}


@pytest.mark.timeout(3600)
async def test_polls_under_writes(sides: list[Side], seed: int) -> None:
    """Two hundred phones ask once a second while a hundred rows a second change: none of them keeps an old row."""
    runs = [
        Polling(side, devices=DEVICES, written=WRITTEN_ROWS, seed=seed)
        for side in sides
        if isinstance(side, PolledSide)
    ]
    held = {}
    for run in runs:
        await run.side.open_scopes(devices=DEVICES, rows=SCOPE_ROWS, written=WRITTEN_ROWS)
        await run.side.settled()
        held[run.side.name] = await run.fill()
    for _ in range(ROUNDS):
        for run in runs:
            await run.slice(seconds=SECONDS / ROUNDS, writes_per_s=WRITES_PER_S)
    rows = []
    for run in runs:
        work = f"polls, {DEVICES} phones"
        row = row_of(work, "polls", run.side, run.polls, await run.missing())
        written = row_of(work, "writes", run.side, run.writes, 0)
        row.more = {
            "p99_worst_slice_ms": round(max(figures.percentile(0.99) for figures in run.polls), 2),
            "writes_per_s": written.per_s,
            "write_p50_ms": written.p50_ms,
            "write_p99_ms": written.p99_ms,
            "rows_a_scope": round(held[run.side.name] / DEVICES, 1),
        }
        rows.append(row)
    ours = rows[0]
    ours.target, ours.holds = (
        f"p99 ≤ {POLL_P99_MS_MAX:g} ms",
        ours.p99_ms <= POLL_P99_MS_MAX and not ours.missing,
    )
    for row in rows[1:]:
        row.ratio = round(row.p99_ms / ours.p99_ms, 3)
    ROWS.extend(rows)
    assert {row.side: row.missing for row in rows} == {row.side: 0 for row in rows}
