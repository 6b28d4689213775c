"""The tables' classes against the real database, and the house rules that every table must keep."""

import asyncio
import sys
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest

from callout_backend.migrations import applied_ids, known_ids, migrate
from callout_backend.wiring import ALL_TABLES
from callout_store.work import Database

TYPES = {
    "UUID": "uuid",
    "Text": "text",
    "Integer": "int4",
    "BigInt": "int8",
    "DoublePrecision": "float8",
    "Boolean": "bool",
    "JSON": "json",
    "JSONB": "jsonb",
    "Bytea": "bytea",
    "Timestamptz": "timestamptz",
    "Date": "date",
}
OF_THE_INSTALLATION = {
    "throttle",
    "worker_heartbeat",
    "clock_guard",
    "sync_epoch",
    "migration",
    "geocode_turn",
}
APPEND_ONLY = {
    "journal",
    "outbox_attempt",
    "visit_event",
    "stock_move",
    "signature",
    "dispatch_decision",
    "scheduling_policy",
    "notice_template",
    "sla_event",
    "sla_policy",
    "order_kind",
    "article_version",
}


@pytest.fixture
async def admin(database_urls: Any) -> Any:
    conn = await asyncpg.connect(database_urls.admin)
    yield conn
    await conn.close()


@pytest.mark.parametrize("table", ALL_TABLES, ids=lambda t: t._meta.tablename)
async def test_class_and_table_agree(admin: asyncpg.Connection, table: Any) -> None:
    """A column that exists on one side only fails in production at the first query that names it."""
    rows = await admin.fetch(
        "select column_name, udt_name, is_nullable = 'YES' as nullable from information_schema.columns "
        "where table_schema = 'public' and table_name = $1",
        table._meta.tablename,
    )
    real = {r["column_name"]: (r["udt_name"], r["nullable"]) for r in rows if r["udt_name"] != "xid8"}
    declared = {}
    for column in table._meta.columns:
        base = getattr(column, "base_column", None)
        kind = TYPES[type(column).__name__] if base is None else f"_{TYPES[type(base).__name__]}"
        declared[column._meta.db_column_name] = (kind, column._meta.null)
    assert declared == real


async def test_every_table_has_an_owner(admin: asyncpg.Connection) -> None:
    """A table that no package's `tables.py` lists has nobody who answers for its writes."""
    rows = await admin.fetch(
        "select relname from pg_class where relkind = 'r' and relnamespace = 'public'::regnamespace"
    )
    listed = {table._meta.tablename for table in ALL_TABLES} | {"migration"}
    assert {row["relname"] for row in rows} == listed


async def test_every_table_of_an_organisation_is_fenced(admin: asyncpg.Connection) -> None:
    """One table without forced row-level security is enough to read another company's customers."""
    rows = await admin.fetch(
        "select relname, relrowsecurity, relforcerowsecurity from pg_class "
        "where relkind = 'r' and relnamespace = 'public'::regnamespace"
    )
    for row in rows:
        if row["relname"] not in OF_THE_INSTALLATION:
            assert row["relrowsecurity"], row["relname"]
            assert row["relforcerowsecurity"], row["relname"]


async def test_the_organisation_leads_every_key(admin: asyncpg.Connection) -> None:
    """A key without the organisation lets a row of one point to a row of another."""
    rows = await admin.fetch(
        """
        select c.conrelid::regclass::text as tbl, c.conname, c.contype::text as kind, f.relname as target,
               (select array_agg(a.attname order by k.n) from unnest(c.conkey) with ordinality k(num, n)
                join pg_attribute a on a.attrelid = c.conrelid and a.attnum = k.num) as cols
        from pg_constraint c left join pg_class f on f.oid = c.confrelid
        where c.connamespace = 'public'::regnamespace and c.contype in ('p', 'u', 'f')
        """
    )
    assert len(rows) > 60
    for row in rows:
        if row["tbl"] in OF_THE_INSTALLATION or row["tbl"] == "organisation":
            continue
        assert row["cols"][0] == "org_id", (row["tbl"], row["conname"], row["cols"])
        if row["kind"] == "f" and row["target"] != "organisation":
            assert len(row["cols"]) >= 2, (row["tbl"], row["conname"])


async def test_what_happened_cannot_be_rewritten(db: Database) -> None:
    """Events, signatures and the journal are evidence: the app's role may add to them and nothing else."""
    for table in APPEND_ONLY:
        for right in ("update", "delete", "truncate"):
            assert not await db.pool.fetchval(
                "select has_table_privilege(current_user, $1, $2)", table, right
            ), table
        assert await db.pool.fetchval("select has_table_privilege(current_user, $1, 'insert')", table)


async def test_migrating_again_or_at_once_is_harmless(fresh_database: Any) -> None:
    """Two processes that start together must not run a migration twice."""
    name = urlsplit(fresh_database.admin).path.lstrip("/")
    conn = await asyncpg.connect(urlunsplit(urlsplit(fresh_database.admin)._replace(path="/postgres")))
    await conn.execute(f"create database {name}_again")
    owner = urlunsplit(urlsplit(fresh_database.admin)._replace(path=f"/{name}_again"))
    script = "import asyncio, sys; from callout_backend.migrations import migrate; print(asyncio.run(migrate(sys.argv[1])))"
    runs = [
        await asyncio.create_subprocess_exec(
            sys.executable, "-c", script, owner, stdout=asyncio.subprocess.PIPE
        )
        for _ in range(4)
    ]
    said = sorted([(await run.communicate())[0].decode().strip() for run in runs])
    assert sorted(said) == sorted([*["[]"] * 3, str(known_ids())])
    fresh = await asyncpg.connect(owner)
    assert await applied_ids(fresh) == known_ids()
    await fresh.close()
    await conn.execute(f"drop database {name}_again with (force)")
    await conn.close()


async def test_a_restored_dump_starts_a_new_epoch(fresh_database: Any) -> None:
    """After a restore transaction ids start low: cursors of before would skip everything written since."""
    conn = await asyncpg.connect(fresh_database.admin)
    await conn.execute(
        "insert into organisation (id, slug, name) values (gen_random_uuid(), 'restored', 'R')"
    )
    before = await conn.fetchval("select epoch from sync_epoch")
    await migrate(fresh_database.owner)
    assert await conn.fetchval("select epoch from sync_epoch") == before
    await conn.execute(
        """
        insert into sync_feed (org_id, scope_id, entity, row_id, op, xid)
        select id, id, 'visit', gen_random_uuid(), 'U', '4000000000000'::xid8 from organisation
        """
    )
    await migrate(fresh_database.owner)
    assert await conn.fetchval("select epoch from sync_epoch") != before
    assert await conn.fetchval("select xid < pg_snapshot_xmax(pg_current_snapshot()) from sync_feed")
    await conn.close()
