"""A worker of its own that drains the SLA clock's timers whenever it is told to, until its input ends.

    python tests/support/sla_worker.py DATABASE_URL

It writes `ready`, and `done` after each line of input.
"""

import asyncio
import sys

from callout_backend.jobs.drain import drain
from callout_backend.jobs.handlers import check_sla
from callout_orders.sla.milestones import CHANNEL
from callout_store.work import Database


async def main(url: str) -> None:
    """Drain for each line."""
    db = Database(url, pool_max=4)
    await db.start()
    print("ready", flush=True)
    try:
        while await asyncio.to_thread(sys.stdin.readline):
            await drain(db, {CHANNEL: check_sla})
            print("done", flush=True)
    finally:
        await db.stop()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
