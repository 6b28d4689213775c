"""The SLA clock's alarm: a timer fired, the facts decide.

A timer is only a reminder. Between its arming and its firing an engineer may have arrived, the priority may
have changed, the order may have been called off: so the order is read again, under its lock, and a miss is
journaled once.
"""

from datetime import datetime, timedelta
from uuid import UUID

from callout_orders.sla.clock import Facts, MilestoneName, MilestoneState, milestones
from callout_orders.terms import Priority
from callout_store.journal import Entry, write
from callout_store.work import Work

SKEW_MAX = timedelta(seconds=5)
"""The database's clock fires, this process's clock judges: they may differ by this much."""


async def check(work: Work, order_id: UUID, milestone: str, due_at: datetime) -> bool:
    """Journal `sla.missed` when the milestone is really missed, once; True where this call did it.

    `due_at` is the firing's: where the order's own is later by now (its priority changed), the firing is
    stale. What was journaled stays, even when a phone that comes back proves later that the engineer was in
    time; the order's columns then say so.
    """
    name = MilestoneName(milestone)
    row = await work.fetchrow(
        """
        select number, priority, state, created_at, respond_due_at, arrive_due_at, resolve_due_at,
               responded_at, arrived_at, resolved_at, canceled_at, closed_at
        from work_order where id = $1 for no key update
        """,
        order_id,
    )
    if row is None or row["canceled_at"] is not None:
        return False
    stands = next(
        one
        for one in milestones(
            created_at=row["created_at"],
            priority=Priority(row["priority"]),
            now=work.now + SKEW_MAX,
            facts=Facts(
                first_response_at=row["responded_at"],
                arrived_at=row["arrived_at"],
                resolved_at=row["resolved_at"],
            ),
        )
        if one.name == name
    )
    if stands.state != MilestoneState.MISSED or stands.due_at > due_at + SKEW_MAX:
        return False
    known = await work.fetchval(
        "select true from journal where order_id = $1 and kind = 'sla.missed' and data->>'milestone' = $2 limit 1",
        order_id,
        name.value,
    )
    if known:
        return False
    await write(
        work,
        Entry(
            kind="sla.missed",
            entity="work_order",
            entity_id=order_id,
            order_id=order_id,
            data={
                "milestone": name.value,
                "dueAt": stands.due_at,
                "metAt": stands.met_at,
                "number": row["number"],
                "priority": row["priority"],
                "state": row["state"],
            },
        ),
    )
    return True
