"""A worker for the bench of timers, which looks every half a second as the product's pump does: `<url>`; says "ready"."""

import asyncio
import sys

from callout_backend.jobs.drain import Drainer
from callout_backend.jobs.handlers import check_sla, settle_sla
from callout_backend.wiring import add_hooks
from callout_orders.sla.clocks import CHANNEL, SETTLE_CHANNEL
from callout_store.work import Database

EVERY_S = 0.5


async def main(url: str) -> None:
    """Until it is killed."""
    db = Database(url, pool_max=4)
    add_hooks(db)
    await db.start()
    handlers = {CHANNEL: check_sla, SETTLE_CHANNEL: settle_sla}
    drainer = Drainer(db, handlers, slots=8, channels=sorted(handlers))
    print("ready", flush=True)
    while True:
        await drainer.wake()
        await asyncio.sleep(EVERY_S)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
