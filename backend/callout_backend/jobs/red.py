"""The red lane's part of the worker: an offer's time is up, it was declined, or an urgent order came in."""

from uuid import UUID

from callout_dispatch import red_lane
from callout_dispatch.red_rows import CHANNEL, START_CHANNEL
from callout_store.errors import NotFound
from callout_store.outbox import Claimed, Hopeless
from callout_store.work import Database, Work

__all__ = ["CHANNEL", "START_CHANNEL", "advance_lane", "start_lane"]


async def advance_lane(db: Database, item: Claimed) -> None:
    """Ask the next engineer. Harmless twice: the second finds the lane a round further, or over."""
    try:
        lane_id, round_ = UUID(item.payload["laneId"]), int(item.payload["round"])
        firing = None
        if "timerKey" in item.payload:
            firing = red_lane.Firing(str(item.payload["timerKey"]), int(item.payload["timerEpoch"]))
    except (KeyError, ValueError) as fault:
        raise Hopeless(f"not a lane's message: {fault!r}") from fault

    async def act(work: Work) -> bool:
        return await red_lane.advance(work, lane_id, round_, firing)

    await db.run(item.org_id, act)


async def start_lane(db: Database, item: Claimed) -> None:
    """Start an urgent order's lane. Harmless twice: by then the order has its visit."""
    try:
        order_id = UUID(item.payload["orderId"])
    except (KeyError, ValueError) as fault:
        raise Hopeless(f"not an urgent order's message: {fault!r}") from fault

    async def act(work: Work) -> UUID | None:
        return await red_lane.start_if_waiting(work, order_id)

    try:
        await db.run(item.org_id, act)
    except NotFound as fault:
        raise Hopeless("there is no such order") from fault
