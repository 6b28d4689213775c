"""The worker's half of expected arrivals: an engineer's day is followed anew, and again in five minutes."""

from uuid import UUID

import msgspec

from callout_dispatch.arrivals import etas
from callout_dispatch.arrivals.rules import Because
from callout_dispatch.places.speeds import travel_model
from callout_store import timers
from callout_store.outbox import Claimed, Hopeless
from callout_store.work import Database, Work

CHANNEL = etas.CHANNEL


async def refresh(db: Database, item: Claimed) -> None:
    """Follow one engineer's day. Harmless twice: the same look stores the same, and a message is owed once a change."""
    try:
        key, epoch = str(item.payload["timerKey"]), int(item.payload["timerEpoch"])
        engineer_id = UUID(item.payload["engineerId"])
        because = msgspec.convert(item.payload["because"], Because)
    except (KeyError, ValueError) as fault:
        raise Hopeless(f"not a timer of expected arrivals: {fault!r}") from fault

    async def act(work: Work) -> None:
        # Moved since it fired: the newer firing looks at the same day.
        if not await timers.is_current(work, key=key, epoch=epoch):
            return
        given = await etas.situation(work, engineer_id, await travel_model(work))
        await etas.store(work, given, etas.follow(given, work.now), because)
        await etas.arm_next(work, engineer_id, given)

    await db.run(item.org_id, act)
