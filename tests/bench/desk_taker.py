"""A process that takes a lane's messages for so long: `<url> <org> <lane> <seconds>`; prints how many it took."""

import asyncio
import sys
import time
from uuid import UUID

from telling import SECRET

from callout_orders.notices.sending import outgoing, settling
from callout_orders.notices.sending.outgoing import Outcome
from callout_store.sealing import Seal
from callout_store.work import Database

PAUSE_S = 0.2


async def main(url: str, org: UUID, lane: str, seconds: float) -> int:
    """How many messages it took."""
    db = Database(url)
    db.seal = Seal(lambda: (SECRET,))
    await db.start()
    taken = 0
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        found = await db.run(org, lambda work: outgoing.take(work, lane))
        taken += len(found.messages)
        done = [(one, Outcome(kind="delivered")) for one in found.messages]
        await db.run(org, lambda work, done=done: settling.settle(work, done))  # type: ignore[misc]
        await asyncio.sleep(PAUSE_S)
    await db.stop()
    return taken


if __name__ == "__main__":
    print(asyncio.run(main(sys.argv[1], UUID(sys.argv[2]), sys.argv[3], float(sys.argv[4]))), flush=True)
