"""The agent's desk's part of the worker: an order that nobody answered is looked at, a screen that fell silent, and what
somebody left behind. And its news: whoever has something to do, or changed where they are, is seen on the screens that are
open."""

from typing import Any, Final
from uuid import UUID

from callout_orders.desk import todos
from callout_orders.desk.staff import leaving, presence
from callout_orders.desk.unanswered import handing, watching
from callout_store.outbox import Claimed, Hopeless
from callout_store.work import Database, Work
from callout_sync import poke

LOOK_CHANNEL = handing.CHANNEL
PRESENCE_CHANNEL = presence.CHANNEL
LEFT_CHANNEL = todos.LEFT_CHANNEL
NEWS: Final = ("todo.", "presence.")
"""Kinds of journal lines that change no order, and so would poke nobody."""


async def tell(work: Work, lines: list[tuple[UUID, Any]]) -> None:
    """The hook over journal lines: poke the people whose to-dos or presence changed, and the office with them."""
    told = {
        UUID(str(entry.data.get("userId", entry.entity_id)))
        for _, entry in lines
        if entry.kind.startswith(NEWS)
    }
    if told:
        await poke.tell(work, told)


async def look_after(db: Database, item: Claimed) -> None:
    """An order's first answer is about to be late, or its handler is gone. Harmless twice: the second finds it in other
    hands, or its timer moved."""
    key, epoch, order_id = _firing(item, "orderId")

    async def act(work: Work) -> bool:
        return await watching.look(work, order_id, key, epoch)

    await db.run(item.org_id, act)


async def look_for(db: Database, item: Claimed) -> None:
    """Somebody was not heard of for a while. Harmless twice: by then they are offline, or back."""
    key, epoch, user_id = _firing(item, "userId")

    async def act(work: Work) -> bool:
        return await presence.look(work, user_id, key, epoch)

    await db.run(item.org_id, act)


async def pass_on(db: Database, item: Claimed) -> None:
    """Somebody left: what they left behind reaches others. Harmless twice: the second finds nothing."""
    _, _, user_id = _firing(item, "userId")
    team_id = UUID(item.payload["teamId"]) if "teamId" in item.payload else None
    while await db.run(item.org_id, lambda work: leaving.pass_on(work, user_id, team_id)):
        pass


def _firing(item: Claimed, of: str) -> tuple[str, int, UUID]:
    try:
        return str(item.payload["timerKey"]), int(item.payload["timerEpoch"]), UUID(item.payload[of])
    except (KeyError, ValueError, TypeError) as fault:
        raise Hopeless(f"not a timer of the desk: {fault!r}") from fault
