"""The one migration history, run by Piccolo's runner inside one transaction and under one lock.

A migration is a module here with `ID` and `forwards()`; its SQL lies in `sql/<number>/`, run in name order. SQL and not
Piccolo's generated operations, because composite keys, row-level security, rights and partial indexes are what matters
and Piccolo has no words for them; `tests/api/test_schema.py` holds the tables' classes against the database.
"""

import contextlib
import io
from pathlib import Path
from typing import Any

import asyncpg
from piccolo.apps.migrations.commands.forwards import ForwardsMigrationManager
from piccolo.apps.migrations.tables import Migration
from piccolo.conf.apps import AppConfig

from callout_store.engine import CalloutEngine

APP_NAME = "callout"
FOLDER = Path(__file__).parent
LOCK = 0x0CA1_10F7
"""Piccolo takes no lock around migrations: two processes starting at once would both run them."""


def known_ids() -> list[str]:
    """The ids of all migrations that this code carries, oldest first."""
    return sorted(path.stem for path in FOLDER.glob("m[0-9]*.py"))


async def applied_ids(conn: Any) -> list[str]:
    """The ids that the database has seen; empty where it was never migrated."""
    if await conn.fetchval("select to_regclass('migration')") is None:
        return []
    rows = await conn.fetch("select name from migration where app_name = $1 order by name", APP_NAME)
    return [row["name"] for row in rows]


async def migrate(url: str) -> list[str]:
    """Bring the database to the head; returns the ids that were run. Safe to call from several processes at once.

    `url` is the owner's: it must be able to create tables, and roles the first time.
    """
    engine = CalloutEngine({"dsn": url, "min_size": 1, "max_size": 1, "timeout": 10})
    await engine.start_connection_pool()
    Migration._meta.db = engine
    try:
        async with engine.transaction() as tx:
            conn = tx.connection
            await conn.execute("select pg_advisory_xact_lock($1)", LOCK)
            before = await applied_ids(conn)
            runner = ForwardsMigrationManager(app_name=APP_NAME)
            config = AppConfig(
                app_name=APP_NAME,
                migrations_folder_path=str(FOLDER),
                table_classes=[],
                migration_dependencies=[],
            )
            with contextlib.redirect_stdout(io.StringIO()):
                await runner.create_migration_table()
                result = await runner.run_migrations(config)
            if not result.success:
                raise RuntimeError(f"migration failed: {result.message}")
            after = await applied_ids(conn)
            await _guard_epoch(conn)
    finally:
        await engine.close_connection_pool()
    return [id_ for id_ in after if id_ not in before]


async def run_sql(folder: str) -> None:
    """Run every file of `sql/<folder>/` on the connection of the open migration."""
    tx: Any = Migration._meta.db.current_transaction.get()
    for path in sorted((FOLDER / "sql" / folder).glob("*.sql")):
        try:
            await tx.connection.execute(path.read_text(encoding="utf-8"))
        except asyncpg.PostgresError as fault:
            raise RuntimeError(f"{path.name}: {fault}") from fault


STAMPED = ("field_version", "device", "sync_purge")
"""Tables beside the feed whose rows name transactions."""


async def _guard_epoch(conn: Any) -> None:
    """After a dump was restored, transaction ids start low again: no cursor handed out before may be believed.

    Feed rows of the old epoch are stamped with the present transaction, and phones are told to pull from the start. What
    else names a transaction is stamped likewise, or forgotten.
    """
    # The owner is bound by row-level security too (FORCE); the look across organisations needs it lifted, in this
    # transaction only.
    await conn.execute("alter table sync_feed no force row level security")
    restored = await conn.fetchval(
        "select true from sync_feed where xid > pg_snapshot_xmax(pg_current_snapshot()) limit 1"
    )
    if restored:
        for table in STAMPED:
            await conn.execute(f"alter table {table} no force row level security")
        await conn.execute("update sync_epoch set epoch = gen_random_uuid(), changed_at = now()")
        await conn.execute("update sync_feed set xid = pg_current_xact_id()")
        await conn.execute("update field_version set xid = pg_current_xact_id()")
        await conn.execute("update device set pulled_xid = null, withheld_from = null, rows_base_xid = null")
        # Phones of the old epoch start again anyway; those of the new one have missed no delete.
        await conn.execute("delete from sync_purge")
        for table in STAMPED:
            await conn.execute(f"alter table {table} force row level security")
    await conn.execute("alter table sync_feed force row level security")
