"""A look: one row of a function of the database that opens its organisation itself, in one round trip.

A unit of work takes three (BEGIN, statement, COMMIT). A statement of its own is a transaction of its own: what the function
sets within it is gone when it ends. For reads that phones repeat all day; see migrations/sql/0002/60_looks.sql.
"""

from typing import Any

from asyncpg import Record

from callout_store.engine import ACQUIRE_TIMEOUT_S
from callout_store.work import Database, database_faults


async def glance(db: Database, sql: str, *args: Any) -> Record | None:
    """The row that a call of a look gives, or None."""
    with database_faults():
        pool = db.pool
        conn = await pool.acquire(timeout=None if pool.get_idle_size() else ACQUIRE_TIMEOUT_S)
        try:
            row: Record | None = await conn.fetchrow(sql, *args)
        finally:
            await pool.release(conn)
    return row
