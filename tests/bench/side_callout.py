"""Callout and the raw limit as sides of the sync bench: real phones, commands and orders through the GraphQL door."""

import json
import sys
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
from http_phone import PULL, PUSH
from load import Answer, post
from processes import Api, Program, device_token, free_port
from raw_tables import RAW_TABLES
from sides import DOCUMENT_BYTES, Changes, PolledSide, Side, analyze, encode, note, taken
from worlds import Phone, World

from callout_backend.wiring import add_hooks
from callout_store.work import Database

WORKERS = 2
CHANGE = """
mutation Change($id: UUID!, $priority: String!) { changePriority(id: $id, priority: $priority) { id revision } }
"""
PRIORITIES = ("P0", "P1", "P2")
NOTES_PER_VISIT = 100


class CalloutSide(PolledSide):
    """`callout serve` with two processes. Push: notes on visits. Write: the desk changes an order's priority."""

    name = "callout"
    on_postgres = True

    def __init__(self, urls: Any) -> None:
        super().__init__()
        self.urls = urls
        self.db = Database(urls.database)
        self.text = note(DOCUMENT_BYTES // 2)
        self.worlds: dict[str, World] = {}
        self.visits: list[list[UUID]] = []
        self.tokens: dict[UUID, str] = {}
        self.desk = ""
        self.orders: list[list[UUID]] = []
        self.turn: dict[UUID, int] = {}

    async def start(self, folder: Path) -> None:
        await self.db.start()
        add_hooks(self.db)
        api = Api(self.urls, folder, workers=WORKERS)
        self.programs, self.port = [api], api.port

    async def stop(self) -> None:
        await super().stop()
        await self.db.stop()

    async def _world(self, name: str, phones: int) -> World:
        """An organisation for one workload, its phones signed in."""
        if name not in self.worlds:
            world = self.worlds[name] = await World(self.db).build(phones=phones)
            for phone in world.phones:
                assert phone.actor.user_id is not None
                self.tokens[phone.device_id] = await device_token(
                    self.db, world.org, phone.actor.user_id, phone.device_id
                )
        return self.worlds[name]

    async def settled(self) -> None:
        await analyze(self.urls.admin)

    def _ask(self, phone: Phone, query: str, variables: dict[str, Any]) -> bytes:
        return graphql(self.tokens[phone.device_id], query, variables)

    async def _calibrate(self, world: World, phone: Phone, visit: UUID) -> None:
        """A note's text so long that the document phones pull is of the bench's size."""
        for _ in range(2):
            command = phone.command("visit.note", visit, {"text": self.text})
            await phone.push(command)
            size = await world.value(
                "select octet_length(body) from sync_feed where row_id = $1", UUID(command["id"])
            )
            self.text = note(len(self.text) + DOCUMENT_BYTES - size)

    # ------------------------------------------------------------------------------------------ push
    async def push_queues(self, *, clients: int, batches: int, size: int) -> list[list[bytes]]:
        world = await self._world("push", clients)
        if not self.visits:
            self.visits = [[await world.visit(phone) for _ in range(25)] for phone in world.phones]
            await self._calibrate(world, world.phones[0], self.visits[0][0])
        return [
            [
                self._ask(phone, PUSH, {"input": {"sentAt": made[-1]["deviceTime"], "commands": made}})
                for made in (self._notes(phone, visits, size) for _ in range(batches))
            ]
            for phone, visits in zip(world.phones, self.visits, strict=True)
        ]

    def _notes(self, phone: Phone, visits: list[UUID], count: int) -> list[dict[str, Any]]:
        return [
            phone.command("visit.note", visits[n % len(visits)], {"text": self.text}) for n in range(count)
        ]

    def check_push(self, answer: Answer, size: int) -> None:
        answers = data_of(answer)["push"]["answers"]
        wrong = [a for a in answers if a["status"] != "applied"]
        if wrong or len(answers) != size:
            raise AssertionError(f"{len(answers)} answers, not applied: {wrong[:2]}")

    async def pushed(self) -> int:
        return int(
            await self.worlds["push"].value(
                "select count(*) from visit_event where data->>'text' = $1", self.text
            )
        )

    # ------------------------------------------------------------------------------------- bootstrap
    async def fill(self, documents: int) -> None:
        world = await self._world("bootstrap", 1)
        phone = world.phones[0]
        visits = [await world.visit(phone) for _ in range(max(1, documents // NOTES_PER_VISIT))]
        await self._calibrate(world, phone, visits[0])
        rows = await world.value("select count(*) from sync_feed where op = 'U'")
        for start in range(0, documents - rows, 200):
            await phone.push(*self._notes(phone, visits, min(200, documents - rows - start)))

    async def filled(self) -> set[str]:
        world = self.worlds["bootstrap"]
        rows = await world.fetch(
            "select row_id from sync_feed where op = 'U' and scope_id = any($1)", self.scopes()
        )
        return {str(row["row_id"]) for row in rows}

    def scopes(self) -> list[UUID]:
        """The bootstrapped phone's scopes."""
        world = self.worlds["bootstrap"]
        phone = world.phones[0]
        return [world.org, phone.engineer_id, phone.device_id]

    def page(self, cursor: Any, limit: int) -> bytes:
        return self._ask(self.worlds["bootstrap"].phones[0], PULL, {"cursor": cursor, "limit": limit})

    def read_page(self, answer: Answer, limit: int) -> Changes:
        return self.read_poll(answer, None)

    # ------------------------------------------------------------------------------------------ poll
    async def open_scopes(self, *, devices: int, rows: int, written: int) -> None:
        world = await self._world("poll", devices)
        assert world.dispatcher.user_id is not None
        self.desk = await device_token(self.db, world.org, world.dispatcher.user_id, None)
        for phone in world.phones:
            orders = [await world.order() for _ in range(written)]
            visits = [await world.visit(phone, order) for order in orders]
            held = await world.value(
                "select count(*) from sync_feed where op = 'U' and scope_id = any($1)",
                [world.org, phone.engineer_id],
            )
            await phone.push(*self._notes(phone, visits, max(0, rows - held)))
            self.orders.append(orders)

    def poll(self, device: int, cursor: Any) -> bytes:
        return self._ask(self.worlds["poll"].phones[device], PULL, {"cursor": cursor, "limit": 500})

    def read_poll(self, answer: Answer, cursor: Any) -> Changes:
        page = data_of(answer)["pull"]
        rows = {
            item["id"]: int(item["doc"].get("revision") or 0)
            for item in page["documents"]
            if item["op"] != "delete"
        }
        return Changes(rows, page["cursor"], page["more"])

    def write(self, device: int, row: int) -> bytes:
        order = self.orders[device][row]
        self.turn[order] = self.turn.get(order, 0) + 1
        priority = PRIORITIES[self.turn[order] % len(PRIORITIES)]
        return graphql(self.desk, CHANGE, {"id": str(order), "priority": priority})

    def read_write(self, device: int, row: int, answer: Answer) -> tuple[str, int]:
        changed = data_of(answer)["changePriority"]
        return changed["id"], changed["revision"]

    async def truth(self) -> list[dict[str, int]]:
        world = self.worlds["poll"]
        found = []
        for phone in world.phones:
            rows = await world.fetch(
                """
                select o.id, o.revision from visit v join work_order o on o.org_id = v.org_id and o.id = v.order_id
                where v.engineer_id = $1
                union all select v.id, v.revision from visit v where v.engineer_id = $1
                union all select e.id, 0 from visit v join visit_event e on e.org_id = v.org_id and e.visit_id = v.id
                where v.engineer_id = $1
                """,
                phone.engineer_id,
            )
            found.append({str(row["id"]): int(row["revision"]) for row in rows})
        return found


def graphql(token: str, query: str, variables: dict[str, Any]) -> bytes:
    """A ready request of the GraphQL door."""
    body = json.dumps({"query": query, "variables": variables}).encode()
    return post("/graphql", body, {"authorization": f"Bearer {token}"})


def data_of(answer: Answer) -> dict[str, Any]:
    """The data of a GraphQL answer; raises on any error."""
    body: dict[str, Any] = taken(answer)
    if body.get("errors"):
        raise RuntimeError(str(body["errors"])[:500])
    data: dict[str, Any] = body["data"]
    return data


class RawSide(Side):
    """No rules: the bootstrapped phone's feed rows by key, and one insert statement a batch, with two processes."""

    name = "raw limit"
    on_postgres = True

    def __init__(self, urls: Any, ours: CalloutSide) -> None:
        super().__init__()
        self.urls, self.ours = urls, ours
        self.sequence = 0

    async def start(self, folder: Path) -> None:
        connection = await asyncpg.connect(self.urls.admin)
        await connection.execute(RAW_TABLES)
        await connection.close()
        self.port = free_port()
        self.programs = [
            Program(
                [
                    *(sys.executable, "-m", "uvicorn", "raw_app:app", "--no-access-log"),
                    *("--port", str(self.port), "--workers", str(WORKERS)),
                    *("--app-dir", str(Path(__file__).parent)),
                ],
                {"BENCH_DATABASE_URL": self.urls.admin},
                folder / "raw.log",
            )
        ]

    async def push_queues(self, *, clients: int, batches: int, size: int) -> list[list[bytes]]:
        # The same commands as Callout gets, for visits that nobody looks up.
        phones = self.ours.worlds["push"].phones
        return [
            [post("/push", encode(self.ours._notes(phone, visits, size))) for _ in range(batches)]
            for phone, visits in zip(phones, self.ours.visits, strict=True)
        ]

    def check_push(self, answer: Answer, size: int) -> None:
        if len(taken(answer)) != size:
            raise AssertionError("rows missing in an answer")

    async def pushed(self) -> int:
        connection = await asyncpg.connect(self.urls.admin)
        try:
            return int(await connection.fetchval("select count(*) from bench_feed"))
        finally:
            await connection.close()

    async def fill(self, documents: int) -> None:
        """It reads what Callout was filled with."""

    async def filled(self) -> set[str]:
        return await self.ours.filled()

    def page(self, cursor: Any, limit: int) -> bytes:
        world = self.ours.worlds["bootstrap"]
        scopes = [str(scope) for scope in self.ours.scopes()]
        return post(
            "/feed", encode({"org": str(world.org), "scopes": scopes, "limit": limit, **(cursor or {})})
        )

    def read_page(self, answer: Answer, limit: int) -> Changes:
        page = taken(answer)["data"]["pull"]
        rows = {item["id"]: 0 for item in page["documents"]}
        return Changes(rows, page["cursor"], len(page["documents"]) == limit)
