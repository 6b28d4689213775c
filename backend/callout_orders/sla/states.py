"""Orders whose state stops their clock, where their policy says so: a hook over journal lines, and what its timer does.

A state changes in the middle of a phone's push: the hook only sets a timer, in one statement, and that only in an
organisation with a policy that looks at states.
"""

from typing import Any, Final
from uuid import UUID

from callout_orders.sla.clocks import load
from callout_orders.sla.pausing import follow_state
from callout_orders.sla.policy.terms import STATES
from callout_store.work import Work

CHANNEL: Final = "sla.state"
_MOVED: Final = "work_order.state_changed"


async def watch(work: Work, lines: list[tuple[UUID, Any]]) -> None:
    """The hook. Nothing is asked of the database unless an order came into, or left, a state that may stop a clock."""
    moved = {
        str(entry.order_id)
        for _, entry in lines
        if entry.kind == _MOVED and (entry.data.get("from") in STATES or entry.data.get("to") in STATES)
    }
    if moved:
        await work.execute(
            """
            insert into timer (key, due_at, channel, payload)
            select 'sla-state:' || id, now(), $2, jsonb_build_object('orderId', id)
            from unnest($1::text[]) as id
            where exists (select 1 from sla_policy
                          where org_id = callout_org() and body->'pauses'->'cannotComplete' <> '[]'::jsonb)
            on conflict (org_id, key) do update
            set due_at = excluded.due_at, state = 'armed', epoch = timer.epoch + 1, fired_at = null
            """,
            sorted(moved),
            CHANNEL,
        )


async def follow(work: Work, order_id: UUID) -> None:
    """Let an order's clock stand still, or go on, as its state now says. Twice is once."""
    one = (await load(work, [order_id], lock=True)).get(order_id)
    if one is not None:
        await follow_state(work, one)
