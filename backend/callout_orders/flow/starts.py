"""The beginning of flows of which nothing has to be known: imports take in thousands of orders at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from msgspec.structs import replace

from callout_orders.flow import deadlines, needs, rules
from callout_orders.flow.rows import store_begun, store_waits
from callout_orders.flow.state import Facts, Passed
from callout_orders.kinds.terms import Kind
from callout_orders.sla import clock
from callout_orders.sla.policy import policies
from callout_orders.sla.policy.terms import SlaPolicy
from callout_store import timers
from callout_store.ids import new_id
from callout_store.work import Work


class Incoming(msgspec.Struct, frozen=True, kw_only=True):
    """An order whose flow is to begin, before or after its row is there."""

    order_id: UUID
    kind: Kind
    priority: str
    tier: str


class Beginning(msgspec.Struct, frozen=True, kw_only=True):
    """The first step of an order's flow, with its id, and what the flow then waits for."""

    order_id: UUID
    step: Passed
    owner: str
    due_at: datetime | None
    waits: frozenset[str]


def plain(kind: Kind) -> bool:
    """Whether every order of this kind begins alike: it enters the first step, waits there, and nothing happens by itself."""
    first = kind.steps[0]
    return first.enter == needs.YES and bool(first.events or first.by_hand) and not first.on_enter


def beginnings(orders: Sequence[Incoming], policy: SlaPolicy, now: datetime) -> list[Beginning]:
    """How the flows of orders of plain kinds begin."""
    firsts: dict[int, tuple[Passed, frozenset[str]]] = {}
    dues: dict[tuple[int, str, str], datetime | None] = {}
    begun: list[Beginning] = []
    for order in orders:
        kind = order.kind
        first = kind.steps[0]
        # By the object, not the code: two versions of one kind may come in together.
        if id(kind) not in firsts:
            flow = rules.advance(kind, rules.begin(kind, now), (), Facts(env={}), now)
            firsts[id(kind)] = flow.steps[0], flow.waits
        passed, waits = firsts[id(kind)]
        key = (id(kind), order.priority, order.tier)
        if key not in dues:
            calendar = deadlines.calendar_of(policy, tier=order.tier, kind=kind.code, priority=order.priority)
            minutes = first.minutes
            dues[key] = None if minutes is None else clock.first_due(calendar, now, minutes)
        begun.append(
            Beginning(
                order_id=order.order_id,
                step=replace(passed, id=new_id()),
                owner=first.owner,
                due_at=dues[key],
                waits=waits,
            )
        )
    return begun


async def store(work: Work, begun: Sequence[Beginning]) -> None:
    """Write the first steps and their timers, two statements for any number. What they wait for stands on the orders."""
    if not begun:
        return
    await store_begun(work, [(one.order_id, one.step, one.owner, one.due_at) for one in begun])
    armed = [(one.order_id, one.step.id, one.due_at) for one in begun]
    timed: list[tuple[str, datetime, str, Mapping[str, Any]]] = [
        (
            deadlines.key_of(step_id),
            due,
            deadlines.CHANNEL,
            {"orderId": str(order_id), "stepId": str(step_id)},
        )
        for order_id, step_id, due in armed
        if due is not None and step_id is not None
    ]
    if timed:
        await timers.arm_many(work, timed)


async def start_plain(work: Work, orders: Mapping[UUID, Kind]) -> list[UUID]:
    """Begin such flows of orders that are there; four statements for any number. Those that have steps already are left,
    and handed back."""
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
        list(orders),
    )
    begun = beginnings(
        [
            Incoming(order_id=row["id"], kind=orders[row["id"]], priority=row["priority"], tier=row["tier"])
            for row in rows
            if not row["begun"]
        ],
        await policies.active(work),
        work.now,
    )
    await store(work, begun)
    store_waits(work, {one.order_id: one.waits for one in begun})
    return [row["id"] for row in rows if row["begun"]]
