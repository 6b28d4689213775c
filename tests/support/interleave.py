"""Two transactions brought into an exact order: one is held before its commit, the other is seen to wait for it."""

import asyncio
from typing import Any

import asyncpg

from callout_store.work import Database, Touched, Work
from callout_sync import scope

WAIT_S = 10.0
LOOK_S = 0.01
WAITING = """
select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'
"""


class Held:
    """A second `Database` whose transactions stop right before COMMIT, with all their locks, until `go` is set."""

    def __init__(self, url: str, *, refresh: bool = True) -> None:
        self.db = Database(url, pool_max=3)
        self.reached, self.go = asyncio.Event(), asyncio.Event()
        self.db.hooks += [scope.refresh, self._hold] if refresh else [self._hold]

    async def _hold(self, work: Work, touched: Touched) -> None:
        self.reached.set()
        await asyncio.wait_for(self.go.wait(), WAIT_S)

    async def __aenter__(self) -> "Held":
        await self.db.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        self.go.set()
        await self.db.stop()


async def until_waiting(admin_url: str, sessions: int = 1) -> None:
    """Return once so many sessions of the database wait for a lock; fails after ten seconds."""
    conn: Any = await asyncpg.connect(admin_url)
    try:
        for _ in range(int(WAIT_S / LOOK_S)):
            if await conn.fetchval(WAITING) >= sessions:
                return
            await asyncio.sleep(LOOK_S)
        raise AssertionError("nobody waits for a lock")
    finally:
        await conn.close()
