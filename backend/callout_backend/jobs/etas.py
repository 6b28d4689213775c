"""The worker's half of expected arrivals: an engineer's day is followed anew, and again in five minutes."""

import math
from typing import Final
from uuid import UUID

import msgspec

from callout_dispatch.arrivals import etas
from callout_dispatch.arrivals.rules import Because
from callout_dispatch.places.legs import Leg, matrix
from callout_dispatch.places.place_settings import settings
from callout_dispatch.places.speeds import travel_model
from callout_geo.points import Point
from callout_store import timers
from callout_store.outbox import Claimed, Hopeless
from callout_store.work import Database, Work

CHANNEL = etas.CHANNEL
ESTIMATE: Final = "estimate"


async def refresh(db: Database, item: Claimed) -> None:
    """Follow one engineer's day. Harmless twice: the same look stores the same, and a message is owed once a change."""
    try:
        key, epoch = str(item.payload["timerKey"]), int(item.payload["timerEpoch"])
        engineer_id = UUID(item.payload["engineerId"])
        because = msgspec.convert(item.payload["because"], Because)
    except (KeyError, ValueError) as fault:
        raise Hopeless(f"not a timer of expected arrivals: {fault!r}") from fault

    async def look(work: Work) -> tuple[etas.Situation, bool] | None:
        # Moved since it fired: the newer firing looks at the same day.
        if not await timers.is_current(work, key=key, epoch=epoch):
            return None
        asked = (await settings(work)).travel_provider != ESTIMATE
        return await etas.situation(work, engineer_id, await travel_model(work)), asked

    looked = await db.run(item.org_id, look)
    if looked is None:
        return
    given, asked = looked
    # A routing service is asked between the two transactions; what it cannot say is estimated.
    legs = await _legs(db, item.org_id, etas.places(given)) if asked and given.visits else {}

    async def keep(work: Work) -> None:
        if await timers.is_current(work, key=key, epoch=epoch):
            await etas.store(work, given, etas.follow(given, work.now, legs), because, legs)
            await etas.arm_next(work, engineer_id, given, epoch)

    await db.run(item.org_id, keep)


async def _legs(db: Database, org_id: UUID, points: list[Point]) -> dict[tuple[Point, Point], Leg]:
    """The ways between all these places that the organisation's routing service answered for."""
    found = await matrix(db, org_id, points)
    return {
        (start, end): Leg(
            seconds=float(found.seconds[n, m]),
            metres=float(found.metres[n, m]),
            provider=found.provider_of(n, m),
        )
        for n, start in enumerate(points)
        for m, end in enumerate(points)
        if found.provider_of(n, m) not in (ESTIMATE, "none") and not math.isnan(found.seconds[n, m])
    }
