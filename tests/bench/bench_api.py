"""Callout beside the raw limit: the same rows, the same machine, the same run.

`make bench` prints a table and writes it as JSON (CALLOUT_BENCH_JSON, default `bench.json`). Figures are medians of
rounds in which the two sides take turns. Nothing here asserts a time: only that every answer is right and complete.
"""

import asyncio
import json
import os
import platform
import statistics
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import httpx
import pytest
from http_phone import PULL, PUSH
from load import Connection, Figures, drive, post
from pick_sides import BESIDE, EMPTY, FULL, acts, timed
from processes import Api, Program, device_token, free_port
from raw_tables import RAW_TABLES
from worlds import World

from callout_backend.wiring import add_hooks
from callout_store.work import Database

ROUNDS = int(os.environ.get("CALLOUT_BENCH_ROUNDS", "5"))
NOTES, PAGE, BATCH, BATCHES = 4000, 1000, 100, 40
VISITS_QUERY = """
query Visits { visits(first: 100) { nodes { id state number revision
  order { id number priority state description site { id name address lat lng } } } } }
"""
RESULTS: list[dict[str, Any]] = []


@pytest.fixture(scope="module", autouse=True)
def report() -> Iterator[None]:
    """Print the table and write the JSON when all of the module has run."""
    yield
    out = Path(os.environ.get("CALLOUT_BENCH_JSON", "bench.json"))
    out.write_text(
        json.dumps({"python": platform.python_version(), "rounds": ROUNDS, "rows": RESULTS}, indent=2)
    )
    print(
        f"\n{'work':34}{'side':22}{'units/s':>11}{'p50 ms':>9}{'p95 ms':>9}{'p99 ms':>9}{'missing':>9}{'ratio':>8}  target"
    )
    for row in RESULTS:
        verdict = (
            "" if row["target"] is None else ("holds" if row["ratio"] >= row["target"] else "falls short")
        )
        target = "" if row["target"] is None else f"≥ {row['target']:.3g} {verdict}"
        print(
            f"{row['work']:34}{row['side']:22}{row['units_per_s']:>11,.0f}{row['p50_ms']:>9.2f}{row['p95_ms']:>9.2f}"
            f"{row['p99_ms']:>9.2f}{row['missing']:>9}{row['ratio']:>8.2f}  {target}"
        )


def record(
    work: str, sides: dict[str, list[Figures]], *, missing: dict[str, int], target: float | None
) -> None:
    """One row a side; the ratio is of the median rates, ours over the raw one's (the last side)."""
    rates = {side: statistics.median(f.units_per_second for f in runs) for side, runs in sides.items()}
    raw = list(rates)[-1]
    for side, runs in sides.items():
        RESULTS.append(
            {
                "work": work,
                "side": side,
                "units_per_s": round(rates[side], 1),
                "p50_ms": round(statistics.median(f.percentile(0.50) for f in runs), 2),
                "p95_ms": round(statistics.median(f.percentile(0.95) for f in runs), 2),
                "p99_ms": round(statistics.median(f.percentile(0.99) for f in runs), 2),
                "missing": missing.get(side, 0),
                "ratio": round(rates[side] / rates[raw], 3),
                "target": target if side != raw else None,
            }
        )


class Bench:
    """Both servers, one database, a phone with a full scope, a dispatcher."""

    def __init__(self, db: Database, world: World, api: Api, raw: Program, raw_port: int, admin: str) -> None:
        self.db, self.world, self.api, self.raw, self.raw_port, self.admin = (
            db,
            world,
            api,
            raw,
            raw_port,
            admin,
        )
        self.phone = world.phones[0]
        self.tokens: list[str] = []
        self.desk = ""
        self.visits: list[list[UUID]] = []

    async def build(self) -> "Bench":
        for phone in self.world.phones:
            assert phone.actor.user_id is not None
            self.tokens.append(
                await device_token(self.db, self.world.org, phone.actor.user_id, phone.device_id)
            )
        assert self.world.dispatcher.user_id is not None
        self.desk = await device_token(self.db, self.world.org, self.world.dispatcher.user_id, None)
        self.visits = [
            [await self.world.visit(phone) for _ in range(100 if phone is self.phone else 25)]
            for phone in self.world.phones
        ]
        notes = [
            self.phone.command(
                "visit.note", self.visits[0][n % 100], {"text": "The pump in the cellar leaks. " * 12}
            )
            for n in range(NOTES)
        ]
        for start in range(0, NOTES, 200):
            await self.phone.push(*notes[start : start + 200])
        conn = await asyncpg.connect(self.admin)
        await conn.execute(RAW_TABLES)
        await conn.execute("vacuum analyze")
        await conn.close()
        return self

    def ask(self, token: str, query: str, variables: dict[str, Any]) -> bytes:
        body = json.dumps({"query": query, "variables": variables}).encode()
        return post("/graphql", body, {"authorization": f"Bearer {token}"})

    async def turns(
        self, ours: Callable[[int], Awaitable[Figures]], raw: Callable[[int], Awaitable[Figures]]
    ) -> dict[str, list[Figures]]:
        """Warm both up once, then let them take turns."""
        await ours(-1)
        await raw(-1)
        sides: dict[str, list[Figures]] = {"callout": [], "raw asyncpg + msgspec": []}
        for n in range(ROUNDS):
            sides["callout"].append(await ours(n))
            sides["raw asyncpg + msgspec"].append(await raw(n))
        return sides


@pytest.fixture(scope="module")
async def bench(database_urls: Any, tmp_path_factory: Any) -> Any:
    folder = tmp_path_factory.mktemp("bench")
    db = Database(database_urls.database)
    await db.start()
    add_hooks(db)
    world = await World(db).build(phones=4)
    api = Api(database_urls, folder)
    raw_port = free_port()
    here = str(Path(__file__).parent)
    raw = Program(
        [
            sys.executable,
            *f"-m uvicorn raw_app:app --port {raw_port} --no-access-log --app-dir".split(),
            here,
        ],
        {"BENCH_DATABASE_URL": database_urls.admin},
        folder / "raw.log",
    )
    async with httpx.AsyncClient() as client:
        for _ in range(200):
            try:
                await client.get(f"http://127.0.0.1:{raw_port}/")
                break
            except httpx.HTTPError:
                await asyncio.sleep(0.1)
    yield await Bench(db, world, api, raw, raw_port, database_urls.admin).build()
    api.end()
    raw.end()
    await db.stop()


@pytest.mark.timeout(600)
async def test_pull_pages(bench: Bench) -> None:
    """A first pull in pages of 1,000 through the API, beside the raw rows."""
    total = await bench.world.value(
        "select count(*) from sync_feed where scope_id = any($1) and op = 'U'",
        [bench.phone.engineer_id, bench.world.org],
    )
    seen: dict[str, int] = {}

    async def ours(_: int) -> Figures:
        figures = Figures("pull")
        ids: set[str] = set()
        cursor = None
        connection = Connection("127.0.0.1", bench.api.port)
        while True:
            raw = bench.ask(bench.tokens[0], PULL, {"cursor": cursor, "limit": PAGE})
            began = time.perf_counter()
            body = await connection.request(raw)
            figures.latencies_ms.append((time.perf_counter() - began) * 1000)
            page = json.loads(body)["data"]["pull"]
            ids |= {item["id"] for item in page["documents"]}
            figures.units += len(page["documents"])
            figures.requests += 1
            cursor = page["cursor"]
            if not page["more"]:
                break
        figures.seconds = sum(figures.latencies_ms) / 1000
        connection.close()
        seen["callout"] = total - len(ids)
        return figures

    async def raw(_: int) -> Figures:
        scopes = [str(bench.phone.engineer_id), str(bench.world.org)]
        body = json.dumps(
            {"scopes": scopes, "after": "00000000-0000-0000-0000-000000000000", "limit": PAGE}
        ).encode()
        return await drive(
            "raw",
            "127.0.0.1",
            bench.raw_port,
            clients=1,
            requests=max(1, total // PAGE),
            make=lambda _n: (post("/pull", body), PAGE),
            check=lambda answer: None if len(answer) > 100 else pytest.fail("empty page"),
        )

    record("pull, documents, pages of 1,000", await bench.turns(ours, raw), missing=seen, target=0.6)
    assert seen["callout"] == 0


@pytest.mark.timeout(600)
async def test_push_batches(bench: Bench) -> None:
    """Batches of 100 events by 4 clients, all rules and receipts on, beside one raw statement a batch."""
    sent = 0

    def commands(turn: int) -> list[dict[str, Any]]:
        nonlocal sent
        sent += BATCH
        phone, visits = bench.world.phones[turn % 4], bench.visits[turn % 4]
        return [
            phone.command("visit.note", visits[n % 25], {"text": "Checked the seal again."})
            for n in range(BATCH)
        ]

    async def ours(_: int) -> Figures:
        ready = [
            bench.ask(
                bench.tokens[n % 4],
                PUSH,
                {"input": {"sentAt": "2026-01-01T00:00:00+00:00", "commands": commands(n)}},
            )
            for n in range(BATCHES)
        ]

        def check(body: bytes) -> None:
            answers = json.loads(body)["data"]["push"]["answers"]
            assert [a["status"] for a in answers] == ["applied"] * BATCH, answers[0]

        return await drive(
            "push",
            "127.0.0.1",
            bench.api.port,
            clients=4,
            requests=BATCHES,
            make=lambda n: (ready[n], BATCH),
            check=check,
        )

    async def raw(_: int) -> Figures:
        ready = [post("/push", json.dumps(commands(n)).encode()) for n in range(BATCHES)]
        return await drive(
            "raw",
            "127.0.0.1",
            bench.raw_port,
            clients=4,
            requests=BATCHES,
            make=lambda n: (ready[n], BATCH),
            check=lambda body: None if len(json.loads(body)) == BATCH else pytest.fail("rows missing"),
        )

    before = await bench.world.value("select count(*) from visit_event")
    sides = await bench.turns(ours, raw)
    stored = await bench.world.value("select count(*) from visit_event") - before
    missing = sent // 2 - stored
    record("push, events, batches of 100", sides, missing={"callout": missing}, target=0.35)
    assert missing == 0


@pytest.mark.timeout(600)
async def test_list_of_visits(bench: Bench) -> None:
    """100 visits with order and site, as the dispatcher's screen asks for them."""

    def check(body: bytes) -> None:
        data = json.loads(body)["data"]["visits"]
        assert len(data if isinstance(data, list) else data["nodes"]) == 100

    async def ours(_: int) -> Figures:
        raw = bench.ask(bench.desk, VISITS_QUERY, {})
        return await drive(
            "list", "127.0.0.1", bench.api.port, clients=4, requests=60, make=lambda _n: (raw, 1), check=check
        )

    async def raw(_: int) -> Figures:
        return await drive(
            "raw",
            "127.0.0.1",
            bench.raw_port,
            clients=4,
            requests=200,
            make=lambda _n: (post("/visits", b"{}"), 1),
            check=check,
        )

    record("list of 100 visits, requests", await bench.turns(ours, raw), missing={}, target=None)


@pytest.mark.parametrize("days", (EMPTY, FULL))
def test_pick_among_ten_thousand(days: str) -> None:
    """Ranking 10,000 engineers with reasons, beside a bare numpy mask, great-circle distance and partition.

    Full days have no target: the bare sides know nothing of gaps and breaks.
    """
    given = acts(days)
    sides: dict[str, list[Figures]] = {name: [] for name in given}
    for _ in range(ROUNDS):
        for name, latencies_ms in timed(given, 50).items():
            # The median call counts: a slice of time that somebody else got is many times as long as any of these.
            figures = Figures(name, latencies_ms=latencies_ms, units=len(latencies_ms))
            figures.seconds = figures.units * statistics.median(latencies_ms) / 1000
            sides[name].append(figures)
    target = None if days == FULL else 1 / 3
    for side, other in BESIDE:
        pair = {side: sides[side], other: sides[other]}
        record(f"pick of 10,000, {days}", pair, missing={}, target=target)


def test_start_and_rest(database_urls: Any, tmp_path: Path) -> None:
    """From starting `callout serve` to its first answer, and the memory it then holds."""
    start = time.perf_counter()
    api = Api(database_urls, tmp_path)
    ready = (time.perf_counter() - start) * 1000
    memory = sum(p.memory_info().rss for p in api.family()) / 1e6
    api.end()
    print(
        f"\nstart to first answer {ready:,.0f} ms (target ≤ 3,000); resident {memory:,.0f} MB (target ≤ 150)"
    )
    RESULTS.append(
        {
            "work": "start of callout serve",
            "side": "callout",
            "units_per_s": 1000 / ready,
            "p50_ms": ready,
            "p95_ms": ready,
            "p99_ms": ready,
            "missing": 0,
            "ratio": round(3000 / ready, 3),
            "target": 1.0,
            "resident_mb": round(memory, 1),
        }
    )
