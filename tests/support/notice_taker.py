"""A process that takes messages of a lane as fast as it can, for tests of buckets: `<url> <org> <lane> <rounds>`.

Says "ready", waits for a line, and prints how many messages it took.
"""

import asyncio
import sys
from uuid import UUID

from callout_orders.notices.sending import outgoing, settling
from callout_orders.notices.sending.outgoing import Outcome
from callout_store.sealing import Seal
from callout_store.work import Database


async def main(url: str, org: UUID, lane: str, rounds: int) -> int:
    db = Database(url)
    db.seal = Seal(lambda: ("tests-only-" + "0123456789abcdef" * 2,))
    await db.start()
    print("ready", flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)
    taken = 0
    for _ in range(rounds):
        found = await db.run(org, lambda work: outgoing.take(work, lane))
        taken += len(found.messages)
        done = [(one, Outcome(kind="delivered")) for one in found.messages]
        await db.run(org, lambda work, done=done: settling.settle(work, done))  # type: ignore[misc]
    await db.stop()
    return taken


if __name__ == "__main__":
    print(asyncio.run(main(sys.argv[1], UUID(sys.argv[2]), sys.argv[3], int(sys.argv[4]))), flush=True)
