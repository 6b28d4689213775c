"""What happens to orders elsewhere and concerns the desk: a hook over the journal's lines.

A first response that is due at another time is looked after at another time. An order that was a duplicate, and is one of its
own again, needs somebody who answers it. One that is over asks nobody any more. What somebody had in hand who left needs
somebody else.
"""

from typing import Any, Final
from uuid import UUID

from callout_orders.desk import assignment, todos
from callout_orders.desk.unanswered import standings, watching
from callout_orders.sla import milestones
from callout_store import timers
from callout_store.journal import Entry, write_many
from callout_store.work import Work

AIMS_ANEW: Final = frozenset(
    {
        "work_order.priority_changed",
        "work_order.tier_changed",
        "work_order.deadline_moved",
        "work_order.deadline_restored",
        "work_order.reopened",
        "work_order.resumed",
        "sla.resumed",
    }
)
"""Journal kinds after which an order's first response may be due at another time."""
OVER: Final = frozenset({"work_order.closed", "work_order.canceled"})
ITS_OWN_AGAIN: Final = "work_order.duplicate_unlinked"


async def follow(work: Work, lines: list[tuple[UUID, Any]]) -> None:
    """The hook. Nothing is asked of the database unless a line matters."""
    free = {
        entry.order_id for _, entry in lines if entry.kind == ITS_OWN_AGAIN and entry.order_id is not None
    }
    moved = {entry.order_id for _, entry in lines if entry.kind in AIMS_ANEW and entry.order_id is not None}
    if free:
        known = await standings.load(work, free)
        await _give(work, [order.id for order in known.values() if not order.epoch])
    if free | moved:
        await watching.aim(work, free | moved)
    if over := {entry.order_id for _, entry in lines if entry.kind in OVER and entry.order_id is not None}:
        milestones.settle_later(work, over)
    if left := {timer[0]: timer for _, entry in lines for timer in _left(entry)}:
        await timers.move_many(work, list(left.values()))


def _left(entry: Entry) -> list[tuple[str, Any, str, Any]]:
    if entry.kind == "user.deactivated":
        return [todos.left_timer(entry.entity_id)]
    if entry.kind == "team.saved":
        return [todos.left_timer(user, entry.entity_id) for user in entry.data.get("left", ())]
    return []


async def _give(work: Work, ids: list[UUID]) -> None:
    given = await assignment.assign_team(work, ids)
    await write_many(
        work,
        [
            Entry(
                kind="work_order.handler_set",
                entity="work_order",
                entity_id=one.order_id,
                order_id=one.order_id,
                data={**one.told(), "to": one.handler_id},
            )
            for one in given.values()
        ],
    )
