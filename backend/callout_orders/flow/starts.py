"""The beginning of flows of which nothing has to be known: imports take in thousands of orders at once."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from msgspec.structs import replace

from callout_orders.flow import deadlines, needs, rules
from callout_orders.flow.rows import store_begun
from callout_orders.flow.state import Facts, Passed
from callout_orders.kinds.terms import Kind
from callout_orders.sla import clock, policies
from callout_store import timers
from callout_store.ids import new_id
from callout_store.work import Work


def plain(kind: Kind) -> bool:
    """Whether every order of this kind begins alike: it enters the first step, waits there, and nothing happens by itself."""
    first = kind.steps[0]
    return first.enter == needs.YES and bool(first.events or first.by_hand) and not first.on_enter


async def start_plain(work: Work, orders: Sequence[tuple[UUID, Kind]]) -> list[UUID]:
    """Begin such flows; five statements for any number of orders. Those that have steps already are left, and handed back."""
    if not orders:
        return []
    rows = await work.fetch(
        """
        select o.id, o.priority, c.tier, exists (
            select from order_step s where s.org_id = o.org_id and s.order_id = o.id) as begun
        from work_order o
        join customer c on c.org_id = o.org_id and c.id = o.customer_id
        where o.org_id = callout_org() and o.id = any($1)
        """,
        [order_id for order_id, _ in orders],
    )
    known = {row["id"]: (row["priority"], row["tier"]) for row in rows if not row["begun"]}
    policy = await policies.active(work)
    firsts: dict[int, tuple[Passed, frozenset[str]]] = {}
    dues: dict[tuple[int, str, str], datetime | None] = {}
    begun: list[tuple[UUID, Passed, str, datetime | None, frozenset[str]]] = []
    for order_id, kind in orders:
        if order_id not in known:
            continue
        first = kind.steps[0]
        # By the object, not the code: two versions of one kind may come in together.
        if id(kind) not in firsts:
            flow = rules.advance(kind, rules.begin(kind, work.now), (), Facts(env={}), work.now)
            firsts[id(kind)] = flow.steps[0], flow.waits
        passed, waits = firsts[id(kind)]
        priority, tier = known[order_id]
        key = (id(kind), priority, tier)
        if key not in dues:
            calendar = deadlines.calendar_of(policy, tier=tier, kind=kind.code, priority=priority)
            minutes = first.minutes
            dues[key] = None if minutes is None else clock.first_due(calendar, work.now, minutes)
        begun.append((order_id, replace(passed, id=new_id()), first.owner, dues[key], waits))
    await store_begun(work, begun)
    armed = [(order_id, step.id, due) for order_id, step, _, due, _ in begun if due is not None and step.id]
    if armed:
        await timers.arm_many(
            work,
            [
                (
                    deadlines.key_of(step_id),
                    due,
                    deadlines.CHANNEL,
                    {"orderId": str(order_id), "stepId": str(step_id)},
                )
                for order_id, step_id, due in armed
            ],
        )
    return [row["id"] for row in rows if row["begun"]]
