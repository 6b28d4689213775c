"""The timer of a phone's held commands: when one has waited long enough, it is applied without its predecessor."""

from uuid import UUID

from callout_store import timers
from callout_store.outbox import Claimed, Hopeless
from callout_store.work import Database, Work
from callout_sync.again import force
from callout_sync.holds import CHANNEL

__all__ = ["CHANNEL", "force_held"]


async def force_held(db: Database, item: Claimed) -> None:
    """Force what waits too long. Harmless twice: the second finds nothing that is due, and only sets the timer again."""
    try:
        key, epoch = str(item.payload["timerKey"]), int(item.payload["timerEpoch"])
        device_id = UUID(item.payload["deviceId"])
    except (KeyError, ValueError) as fault:
        raise Hopeless(f"not a timer of held commands: {fault!r}") from fault

    async def meant(work: Work) -> bool:
        return await timers.is_current(work, key=key, epoch=epoch)

    if await db.run(item.org_id, meant):
        await force(db, org_id=item.org_id, device_id=device_id)
