"""The proof that a pull loses nothing, however late a transaction commits, and that the proof can fail.

Three parts: a deterministic interleave of two transactions, a stress with writers in processes of their own against
pollers, and the same interleaves with the known wrong readers put in place of ours: each of them must lose a row. All of
it for both ways to pull: in a unit of work, and the quick one that phones take all day.
"""

import asyncio
import multiprocessing
import random
import uuid
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID

import asyncpg
import msgspec
import pytest

from callout_contracts import SCHEMA_VERSION
from callout_store.errors import ResyncRequired
from callout_store.ids import new_id
from callout_store.work import Actor, Database, Work
from callout_sync import cursor as cursors
from callout_sync import pull as pulling
from callout_sync import pull_quick
from callout_sync.pull import READ_PAGE, PullPage, pull

UPSERT = """
insert into sync_feed (org_id, scope_id, entity, row_id, op, body)
values ($1, $2, 'visit', $3, $4, $5)
on conflict (org_id, scope_id, entity, row_id) do update
set op = excluded.op, body = excluded.body, xid = pg_current_xact_id()
"""


def body(row_id: UUID, op: str, n: int) -> str:
    return msgspec.json.encode(
        {"entity": "visit", "id": str(row_id), "op": "upsert" if op == "U" else "delete", "doc": {"n": n}}
    ).decode()


class Phone:
    """A device that pulls: its copy is a dict, its writes nothing but what the pages say."""

    def __init__(
        self, db: Database, org_id: UUID, user_id: UUID, device_id: UUID, *, quickly: bool = False
    ) -> None:
        self.db, self.org_id, self.quickly = db, org_id, quickly
        self.quick_pages = 0
        self.actor = Actor(user_id=user_id, device_id=device_id, role="engineer")
        self.page = 50
        self.cursor: str | None = None
        self.copy: dict[str, int] = {}

    async def pull(self, limit: int | None = None) -> int:
        seen = 0
        limit = limit or self.page
        while True:
            page = await self._page(limit)
            for item in msgspec.json.decode(page.documents):
                seen += 1
                if item["op"] == "delete":
                    self.copy.pop(item["id"], None)
                else:
                    self.copy[item["id"]] = item["doc"]["n"]
            self.cursor = page.cursor
            if not page.more:
                return seen

    async def _page(self, limit: int) -> PullPage:
        if self.quickly and self.cursor is not None:
            page = await pull_quick.quick(
                self.db,
                self.org_id,
                self.actor,
                cursor=self.cursor,
                limit=limit,
                schema_version=SCHEMA_VERSION,
                app_version=None,
            )
            if page is not None:
                self.quick_pages += 1
                return page
        async with self.db.work(self.org_id, actor=self.actor) as work:
            return await pull(work, cursor=self.cursor, limit=limit, schema_version=SCHEMA_VERSION)


class Ground:
    """An organisation with one engineer and one device, and a connection that writes into the engineer's scope."""

    def __init__(self, db: Database, owner: str) -> None:
        self.db, self.owner = db, owner
        self.page, self.quickly = 50, False
        self.phones: list[Phone] = []
        self.org, self.user, self.engineer, self.device = (new_id() for _ in range(4))

    async def build(self) -> "Ground":
        conn = await asyncpg.connect(self.owner)
        async with conn.transaction():
            await conn.execute("select set_config('callout.org', $1, true)", str(self.org))
            await conn.execute(
                "insert into organisation (id, slug, name) values ($1, $2, 'T')",
                self.org,
                f"t{self.org.hex[:20]}",
            )
            await conn.execute(
                "insert into app_user (id, email, name, role) values ($1, $2, 'E', 'engineer')",
                self.user,
                f"{self.user.hex}@example.org",
            )
            await conn.execute(
                "insert into engineer (id, user_id, name, home_lat, home_lng) values ($1, $2, 'E', 37.7, -122.4)",
                self.engineer,
                self.user,
            )
            await conn.execute(
                "insert into device (id, user_id, name, enrolled_at) values ($1, $2, 'p', now())",
                self.device,
                self.user,
            )
        await conn.close()
        return self

    async def phone(self) -> Phone:
        """A phone; one that pulls quickly has its first pull behind it, which cannot be quick."""
        phone = Phone(self.db, self.org, self.user, self.device, quickly=self.quickly)
        phone.page = self.page
        while self.quickly and not phone.quick_pages:
            await phone.pull()
        self.phones.append(phone)
        return phone

    async def writer(self) -> asyncpg.Connection:
        return await open_writer(self.owner, self.org)

    async def truth(self) -> dict[str, int]:
        """What SQL says a phone should hold."""
        async with self.db.work(self.org) as work:
            rows = await work.fetch(
                "select row_id, body from sync_feed where scope_id = $1 and op = 'U'", self.engineer
            )
        return {str(row["row_id"]): msgspec.json.decode(row["body"])["doc"]["n"] for row in rows}

    async def put(self, conn: asyncpg.Connection, row_id: UUID, n: int, op: str = "U") -> None:
        await conn.execute(UPSERT, self.org, self.engineer, row_id, op, body(row_id, op, n))


async def open_writer(owner: str, org: UUID) -> asyncpg.Connection:
    conn = await asyncpg.connect(owner, server_settings={"callout.org": str(org)})
    return conn


@pytest.fixture
async def ground(fresh_database: Any) -> Any:
    db = Database(fresh_database.database)
    await db.start()
    yield await Ground(db, fresh_database.admin).build()
    await db.stop()


Interleave = Callable[[Ground], Awaitable[None]]


async def slow_first_writer(ground: Ground) -> None:
    """The older transaction commits after the younger one was pulled."""
    phone = await ground.phone()
    slow, fast = await ground.writer(), await ground.writer()
    first, second = sorted((new_id(), new_id()))
    tx = slow.transaction()
    await tx.start()
    await ground.put(slow, first, 1)
    await ground.put(fast, second, 2)
    await phone.pull()
    await tx.commit()
    await phone.pull()
    await slow.close()
    await fast.close()
    assert phone.copy == await ground.truth()


async def slow_writer_of_a_lower_number(ground: Ground) -> None:
    """The younger transaction drew the lower number (here: the lower row id) and commits last."""
    phone = await ground.phone()
    older, younger = await ground.writer(), await ground.writer()
    low, high = sorted((new_id(), new_id()))
    tx_older, tx_younger = older.transaction(), younger.transaction()
    await tx_older.start()
    await older.execute("select pg_current_xact_id()")
    await tx_younger.start()
    await ground.put(younger, low, 1)
    await ground.put(older, high, 2)
    await tx_older.commit()
    await phone.pull()
    await tx_younger.commit()
    await phone.pull()
    await older.close()
    await younger.close()
    assert phone.copy == await ground.truth()


async def commit_between_statements(ground: Ground) -> None:
    """A transaction commits after the rows were read and before the page is answered."""
    phone = await ground.phone()
    slow, fast = await ground.writer(), await ground.writer()
    first, second = sorted((new_id(), new_id()))
    tx = slow.transaction()
    await tx.start()
    await ground.put(slow, first, 1)
    await ground.put(fast, second, 2)
    between.append(tx.commit)
    await phone.pull()
    for commit in between:
        await commit()
    between.clear()
    await phone.pull()
    await slow.close()
    await fast.close()
    assert phone.copy == await ground.truth()


async def rolled_back(ground: Ground) -> None:
    """A transaction that is undone neither shows nor hides a neighbour."""
    phone = await ground.phone()
    slow, fast = await ground.writer(), await ground.writer()
    tx = slow.transaction()
    await tx.start()
    await ground.put(slow, new_id(), 1)
    await ground.put(fast, new_id(), 2)
    await phone.pull()
    await tx.rollback()
    await phone.pull()
    await slow.close()
    await fast.close()
    assert phone.copy == await ground.truth()
    assert len(phone.copy) == 1


async def left_and_came_back(ground: Ground) -> None:
    """A row leaves the scope and returns while an older transaction is still open."""
    phone = await ground.phone()
    slow, fast = await ground.writer(), await ground.writer()
    row, other = new_id(), new_id()
    await ground.put(fast, row, 1)
    await phone.pull()
    tx = slow.transaction()
    await tx.start()
    await ground.put(slow, other, 1)
    await ground.put(fast, row, 1, op="D")
    await phone.pull()
    await ground.put(fast, row, 2)
    await tx.commit()
    await phone.pull()
    assert phone.copy == await ground.truth()
    await ground.put(fast, row, 3, op="D")
    await phone.pull()
    await slow.close()
    await fast.close()
    assert phone.copy == await ground.truth()
    assert str(row) not in phone.copy


between: list[Callable[[], Awaitable[None]]] = []
INTERLEAVES: list[Interleave] = [
    slow_first_writer,
    slow_writer_of_a_lower_number,
    commit_between_statements,
    rolled_back,
    left_and_came_back,
]


@pytest.mark.parametrize("interleave", INTERLEAVES, ids=lambda f: f.__name__)
@pytest.mark.parametrize("page", (50, 1))
@pytest.mark.parametrize("quickly", (False, True), ids=("whole", "quick"))
async def test_interleaves_lose_nothing(
    ground: Ground, interleave: Interleave, page: int, quickly: bool
) -> None:
    """An engineer would never learn of a visit if one of these orders of events lost its row.

    With pages of one row every page is full, so that the cursor is a row's and not the horizon's.
    """
    ground.page, ground.quickly = page, quickly
    await interleave(ground)
    assert not quickly or all(phone.quick_pages > 2 for phone in ground.phones), "pulled the long way"


def changed(sql: str, old: str, new: str) -> str:
    assert old in sql, f"the mutant no longer applies: {old!r}"
    return sql.replace(old, new)


async def without_horizon(work: Work, scopes: list[UUID], at: cursors.Cursor, limit: int) -> Any:
    sql = changed(READ_PAGE, "and f.xid < h.horizon", "")
    rows = await work.fetch(sql, scopes, str(at.xid), at.entity, at.row, str(at.base or 2**63), limit)
    found = [row for row in rows if row["xid"] is not None]
    return found, (int(found[-1]["xid"]) + 1 if found else at.xid)


async def horizon_of_a_later_statement(work: Work, scopes: list[UUID], at: cursors.Cursor, limit: int) -> Any:
    sql = changed(READ_PAGE, "and f.xid < h.horizon", "")
    rows = await work.fetch(sql, scopes, str(at.xid), at.entity, at.row, str(at.base or 2**63), limit)
    while between:
        await between.pop()()
    horizon = int(await work.fetchval("select pg_snapshot_xmin(pg_current_snapshot())::text"))
    return [row for row in rows if row["xid"] is not None and int(row["xid"]) < horizon], horizon


async def sequence_cursor(work: Work, scopes: list[UUID], at: cursors.Cursor, limit: int) -> Any:
    sql = changed(
        READ_PAGE,
        "(f.xid, f.entity, f.row_id) > ($2::text::xid8, $3::text, $4::uuid)",
        "f.row_id > $4::uuid and $2::text is not null and $3::text is not null",
    )
    sql = sql.replace("order by f.xid, f.entity, f.row_id", "order by f.row_id").replace(
        "order by p.xid, p.entity, p.row_id", "order by p.row_id"
    )
    rows = await work.fetch(sql, scopes, str(at.xid), at.entity, at.row, str(at.base or 2**63), limit)
    found = [row for row in rows if row["xid"] is not None]
    memory[at.device] = max([memory.get(at.device, cursors.NIL), *(row["row_id"] for row in found)])
    return found, int(rows[0]["horizon"])


memory: dict[UUID, UUID] = {}


async def sequence_cursor_remembered(work: Work, scopes: list[UUID], at: cursors.Cursor, limit: int) -> Any:
    at = msgspec.structs.replace(at, row=memory.get(at.device, cursors.NIL))
    return await sequence_cursor(work, scopes, at, limit)


MUTANTS = [
    (without_horizon, slow_first_writer),
    (horizon_of_a_later_statement, commit_between_statements),
    (sequence_cursor_remembered, slow_writer_of_a_lower_number),
]


@pytest.mark.parametrize(("mutant", "interleave"), MUTANTS, ids=lambda f: f.__name__)
async def test_wrong_readers_are_caught(
    ground: Ground, monkeypatch: pytest.MonkeyPatch, mutant: Any, interleave: Interleave
) -> None:
    """If a wrong reader passed, the interleaves above would prove nothing about the right one."""
    monkeypatch.setattr(pulling, "read_page", mutant)
    memory.clear()
    between.clear()
    with pytest.raises(AssertionError, match="=="):
        await interleave(ground)
    between.clear()


async def test_a_wrong_quick_reader_is_caught(ground: Ground) -> None:
    """The quick way reads in the database's own function: without its horizon the same interleave must lose a row, or show
    that its cursor has run ahead of what may be told."""
    admin = await asyncpg.connect(ground.owner)
    try:
        told = await admin.fetchval("select pg_get_functiondef('look_pull'::regproc)")
        await admin.execute(changed(told, "and f.xid < h.horizon", ""))
    finally:
        await admin.close()
    ground.page, ground.quickly = 1, True
    with pytest.raises((AssertionError, ResyncRequired)):
        await slow_first_writer(ground)


def write_for_a_while(owner: str, org: UUID, scope: UUID, seed: str, transactions: int) -> None:
    """A writer process: small transactions with pauses, rollbacks and deletes, over rows that writers share."""

    async def main() -> None:
        rng = random.Random(seed)
        conn = await open_writer(owner, org)
        rows = [uuid.uuid5(org, str(n)) for n in range(60)]
        for n in range(transactions):
            tx = conn.transaction()
            await tx.start()
            fresh = uuid.UUID(int=rng.getrandbits(128), version=4)
            for row in sorted([*rng.sample(rows, rng.randint(1, 3)), fresh]):
                op = "D" if rng.random() < 0.2 else "U"
                await conn.execute(UPSERT, org, scope, row, op, body(row, op, n))
                if rng.random() < 0.3:
                    await asyncio.sleep(rng.random() * 0.006)
            if rng.random() < 0.15:
                await tx.rollback()
            else:
                await tx.commit()
        await conn.close()

    asyncio.run(main())


@pytest.mark.parametrize("quickly", (False, True), ids=("whole", "quick"))
async def test_stress_over_processes(ground: Ground, seed: int, scale: int, quickly: bool) -> None:
    """Two phones pull without pause while four processes write: at rest both copies equal what SQL says."""
    ground.quickly = quickly
    context = multiprocessing.get_context("spawn")
    writers = [
        context.Process(
            target=write_for_a_while,
            args=(ground.owner, ground.org, ground.engineer, f"{seed}:{n}", 150 * scale),
        )
        for n in range(4)
    ]
    for writer in writers:
        writer.start()
    phones = [await ground.phone(), await ground.phone()]
    pulled = 0
    while any(writer.is_alive() for writer in writers):
        for phone, limit in zip(phones, (7, 40), strict=True):
            pulled += await phone.pull(limit)
        await asyncio.sleep(0)
    assert [writer.exitcode for writer in writers] == [0, 0, 0, 0]
    truth = await ground.truth()
    for phone in phones:
        await phone.pull()
        missing = set(truth.items()) - set(phone.copy.items())
        assert not missing, f"{len(missing)} rows lost or stale, seed {seed}"
        assert phone.copy == truth
        assert not quickly or phone.quick_pages > 20, "pulled the long way"
    assert pulled > 0
