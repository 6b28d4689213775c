"""One organisation never sees, writes or guesses another's rows: checked on every table there is, and will be."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import asyncpg
import pytest
from people_world import make_people

from callout_backend.embedded import Urls
from callout_people.principals import Role
from callout_store.engine import APP_ROLE, WORKER_ROLE
from callout_store.ids import new_id
from callout_store.work import Database, Work

OUTSIDE = {
    "geocode_turn",
    "organisation",
    "throttle",
    "worker_heartbeat",
    "clock_guard",
    "sync_epoch",
    "migration",
}
"""Tables without org_id. One more must be put here by hand, by someone who has thought about it."""

APPEND_ONLY = {
    "journal",
    "outbox_attempt",
    "visit_event",
    "stock_move",
    "signature",
    "dispatch_decision",
    "scheduling_policy",
    "order_kind",
    "sla_policy",
    "sla_event",
    "article_version",
    "notice_template",
}

VALUES = {
    "uuid": "gen_random_uuid()",
    "text": "'x'",
    "character varying": "'x'",
    '"char"': "'U'",
    "integer": "1",
    "smallint": "1",
    "bigint": "1",
    "double precision": "1",
    "numeric": "1",
    "boolean": "true",
    "bytea": "'\\x00'",
    "jsonb": "'{}'",
    "json": "'{}'",
    "date": "now()",
    "timestamp with time zone": "now()",
    "xid8": "pg_current_xact_id()",
}
"""A value of each type, so that a row can be put into any table. A new type needs a line here."""


class Filled:
    """A database in which organisation A has one row in every table, and B has none but its own people."""

    def __init__(self, db: Database, admin: asyncpg.Connection, a: UUID, b: UUID, tables: list[str]) -> None:
        self.db, self.admin, self.a, self.b, self.tables = db, admin, a, b, tables

    async def count(self, table: str, org_id: UUID) -> int:
        """Rows past row-level security."""
        return await self.admin.fetchval(f"select count(*) from {table} where org_id = $1", org_id)  # type: ignore[no-any-return]


@pytest.fixture(scope="module")
async def filled(db: Database, database_urls: Urls) -> AsyncIterator[Filled]:
    a, b = await make_people(db), await make_people(db)
    admin = await asyncpg.connect(database_urls.admin)
    await fill(admin, a.org_id)
    rows = await admin.fetch(
        """
        select table_name from information_schema.columns
        join information_schema.tables using (table_schema, table_name)
        where table_schema = current_schema() and column_name = 'org_id' and table_type = 'BASE TABLE' order by 1
        """
    )
    yield Filled(db, admin, a.org_id, b.org_id, [row["table_name"] for row in rows])
    await admin.close()


async def fill(admin: asyncpg.Connection, org_id: UUID) -> None:
    """One row of `org_id` in every table, whatever it would mean: checks and references are taken off for that."""
    for row in await admin.fetch(
        "select conrelid::regclass::text as t, conname from pg_constraint "
        "where connamespace = current_schema()::regnamespace and contype in ('c', 'f') order by contype desc"
    ):
        await admin.execute(f'alter table {row["t"]} drop constraint "{row["conname"]}"')
    columns: dict[str, list[tuple[str, str]]] = {}
    for row in await admin.fetch(
        """
        select c.relname, a.attname, format_type(a.atttypid, null) as type
        from pg_class c
        join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
        where c.relnamespace = current_schema()::regnamespace and c.relkind = 'r' and a.attnotnull
            and a.attidentity = '' and a.attgenerated = '' and (not a.atthasdef or a.attname = 'org_id')
        """
    ):
        columns.setdefault(row["relname"], []).append((row["attname"], row["type"]))
    for table, needed in columns.items():
        if "org_id" not in dict(needed):
            continue
        names = ", ".join(f'"{name}"' for name, _ in needed)
        values = ", ".join(
            "$1" if name == "org_id" else "'{}'" if type_.endswith("[]") else VALUES[type_]
            for name, type_ in needed
        )
        await admin.execute(f"insert into {table} ({names}) values ({values})", org_id)


async def test_every_table_is_guarded(filled: Filled) -> None:
    """A new table whose author forgot row-level security would be open to all organisations at once."""
    bare = await filled.admin.fetch(
        """
        select relname from pg_class c where relnamespace = current_schema()::regnamespace and relkind in ('r', 'p')
            and not (relrowsecurity and relforcerowsecurity)
        """
    )
    assert {row["relname"] for row in bare} == OUTSIDE - {"organisation"}
    assert len(filled.tables) > 20
    # A key without the organisation could point into another one's rows.
    keys = await filled.admin.fetch(
        """
        select conrelid::regclass::text as t, conname from pg_constraint
        where connamespace = current_schema()::regnamespace and contype = 'p' and not exists (
            select from pg_attribute a where a.attrelid = conrelid and a.attnum = any(conkey) and a.attname = 'org_id')
        """
    )
    assert {row["t"] for row in keys} == OUTSIDE


async def test_references_carry_the_organisation(fresh_database: Urls) -> None:
    """A reference by id alone would let an order of B hang on a site of A: row security looks at no reference."""
    admin = await asyncpg.connect(fresh_database.admin)
    loose = await admin.fetch(
        """
        select conrelid::regclass::text || '.' || conname as what from pg_constraint
        where connamespace = current_schema()::regnamespace and contype = 'f'
            and confrelid <> 'organisation'::regclass
            and not exists (select from pg_attribute a
                            where a.attrelid = conrelid and a.attnum = any(conkey) and a.attname = 'org_id')
        """
    )
    await admin.close()
    assert [row["what"] for row in loose] == []


async def test_a_sees_its_rows(filled: Filled) -> None:
    """Were A's rows invisible to A as well, the tests below would pass on an empty house."""
    async with filled.db.work(filled.a) as work:
        for table in filled.tables:
            assert await work.fetchval(f"select count(*) from {table}") >= 1, table


async def test_b_sees_nothing_of_a(filled: Filled) -> None:
    """The first promise to every customer."""
    for org_id in (filled.b, new_id(), None):
        async with filled.db.work(org_id) as work:
            for table in filled.tables:
                seen = await work.fetchval(f"select count(*) from {table} where org_id = $1", filled.a)
                assert seen == 0, table
            assert await work.fetchval("select count(*) from organisation where id = $1", filled.a) == 0
            assert await work.fetchval("select count(*) from organisation") == (
                1 if org_id == filled.b else 0
            )


async def attempt(work: Work, sql: str, *args: Any) -> int | str:
    """Rows touched, or the name of the error; the transaction goes on."""
    try:
        async with work.savepoint():
            return await work.execute(sql, *args)
    except asyncpg.PostgresError as fault:
        return type(fault).__name__


async def test_b_writes_nothing_into_a(filled: Filled) -> None:
    """A row smuggled into another organisation would reach its engineers' phones."""
    async with filled.db.work(filled.b) as work:
        for table in filled.tables:
            smuggled = await attempt(work, f"insert into {table} (org_id) values ($1)", filled.a)
            assert smuggled == "InsufficientPrivilegeError", table
            # The same row for itself is not stopped by the organisation, but, if at all, by the columns it lacks.
            own = await attempt(work, f"insert into {table} (org_id) values ($1)", filled.b)
            assert own in (1, "NotNullViolationError"), table


async def test_b_changes_nothing_of_a(filled: Filled) -> None:
    """Neither by naming A's rows nor by a statement that forgot its condition."""
    before = {table: await filled.count(table, filled.a) for table in filled.tables}
    async with filled.db.work(filled.b) as work:
        for table in filled.tables:
            for sql in (
                f"update {table} set org_id = org_id where org_id = $1",
                f"delete from {table} where org_id = $1",
            ):
                expected = "InsufficientPrivilegeError" if table in APPEND_ONLY else 0
                assert await attempt(work, sql, filled.a) == expected, sql
        assert await attempt(work, "update organisation set name = 'x' where id = $1", filled.a) == 0
        # B's own rows cannot be handed over either.
        moved = await attempt(work, "update app_user set org_id = $1", filled.a)
        assert moved == "InsufficientPrivilegeError"
        assert await attempt(work, "delete from app_user where false") == 0
    assert {table: await filled.count(table, filled.a) for table in filled.tables} == before


async def test_what_happened_stays(filled: Filled) -> None:
    """Who can change the journal can deny what was done, and who can empty it can deny everything."""
    async with filled.db.work(filled.a) as work:
        for table in APPEND_ONLY:
            for sql in (f"update {table} set org_id = org_id", f"delete from {table}", f"truncate {table}"):
                assert await attempt(work, sql) == "InsufficientPrivilegeError", sql


async def test_our_role_cannot_step_around(filled: Filled) -> None:
    """Row-level security binds neither superusers, nor roles with BYPASSRLS, nor owners of tables not forced."""
    roles = await filled.admin.fetch(
        "select rolname, rolsuper, rolbypassrls, rolcanlogin from pg_roles where rolname = any($1)",
        [APP_ROLE, WORKER_ROLE],
    )
    assert {(row["rolsuper"], row["rolbypassrls"], row["rolcanlogin"]) for row in roles} == {
        (False, False, False)
    }
    owned = await filled.admin.fetchval(
        "select count(*) from pg_class where relowner::regrole::text = any($1)", [APP_ROLE, WORKER_ROLE]
    )
    assert owned == 0
    async with filled.db.work(filled.b) as work:
        assert await work.fetchval("select current_user") == APP_ROLE
        for sql in (
            "alter table journal disable row level security",
            "alter table journal no force row level security",
        ):
            assert await attempt(work, sql) == "InsufficientPrivilegeError"
    async with filled.db.system_work() as work:
        # The worker reads what is owed of all organisations, and nothing that is theirs.
        assert await work.fetchval("select count(*) from outbox where org_id = $1", filled.a) == 1
        assert await attempt(work, "select * from app_user") == "InsufficientPrivilegeError"
        assert await attempt(work, "select * from journal") == "InsufficientPrivilegeError"


async def test_a_pooled_connection_forgets_its_organisation(filled: Filled) -> None:
    """The next request on the connection, perhaps of another organisation, would run as the last one."""
    db = Database(filled.db.url, pool_max=1)
    await db.start()

    async def nobody() -> None:
        async with db.pool.acquire() as conn:
            assert await conn.fetchval("select coalesce(current_setting('callout.org', true), '')") == ""
            assert await conn.fetchval("select current_user") == APP_ROLE
            assert await conn.fetchval("select count(*) from app_user") == 0

    async def raising() -> None:
        async with db.work(filled.a) as work:
            assert await work.fetchval("select count(*) from app_user") >= len(Role)
            raise LookupError

    async def failing() -> None:
        async with db.work(filled.a) as work:
            await work.execute("select 1 / 0")

    async def never_ending() -> None:
        async with db.work(filled.a) as work:
            await work.execute("select pg_sleep(60)")

    async def system() -> None:
        async with db.system_work():
            raise LookupError

    try:
        for act, error in (
            (raising, LookupError),
            (failing, asyncpg.DivisionByZeroError),
            (system, LookupError),
        ):
            with pytest.raises(error):
                await act()
            await nobody()
        canceled = asyncio.create_task(never_ending())
        await asyncio.sleep(0.05)
        canceled.cancel()
        with pytest.raises(asyncio.CancelledError):
            await canceled
        await nobody()
    finally:
        await db.stop()
