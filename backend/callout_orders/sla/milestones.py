"""Milestones of orders: their clocks start with the orders, and change when an order's promise or state does."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from callout_orders.sla import clock
from callout_orders.sla.clock import Event, EventKind, MilestoneName, Reopening
from callout_orders.sla.clocks import (
    CHANNEL,
    DUES,
    SETTLE_CHANNEL,
    SETTLED,
    OrderClock,
    add_events,
    key_of,
    load,
    payload_of,
    store,
)
from callout_orders.sla.pausing import arm_ends
from callout_orders.sla.policy import policies, terms
from callout_orders.terms import FINAL
from callout_store import timers
from callout_store.ids import new_id
from callout_store.journal import Entry, write_many
from callout_store.work import Work

__all__ = [
    "CHANNEL",
    "DUES",
    "SETTLE_CHANNEL",
    "Dues",
    "StartClock",
    "closed",
    "key_of",
    "recompute",
    "reopened",
    "responded",
    "settle_later",
    "start",
    "tiers_of",
]


class StartClock(msgspec.Struct, frozen=True, kw_only=True):
    """An order that comes in. `running` is False for one that is linked as a duplicate: only the first one's clock runs."""

    order_id: UUID
    created_at: datetime
    priority: str
    kind: str
    tier: str = "standard"
    running: bool = True


class Dues(msgspec.Struct, frozen=True, kw_only=True):
    """What an order was promised; `stamp` belongs into its `sla_policy`, `response` is the promise of its first response."""

    order_id: UUID
    stamp: str
    first_response: datetime
    arrival: datetime
    resolution: datetime
    response: clock.Promise


async def start(work: Work, orders: Sequence[StartClock]) -> list[Dues]:
    """Start the clocks of new orders by the active policy and arm their timers; the dues in the order of `orders`.

    The orders' rows need not be there yet. One statement for the policy and one for the timers, for any number.
    """
    of = await policies.active(work)
    found: list[Dues] = []
    wakes: list[tuple[str, datetime, str, Mapping[str, Any]]] = []
    # Orders of a batch are much alike: each promise is reckoned once.
    promised: dict[
        tuple[str, str, str, datetime],
        tuple[str, dict[MilestoneName, tuple[datetime, datetime]], clock.Promise],
    ] = {}
    for order in orders:
        alike = order.tier, order.kind, order.priority, order.created_at
        if alike not in promised:
            promised[alike] = _promised(of, order)
        stamp, moments, response = promised[alike]
        if order.running:
            wakes += [
                (key_of(order.order_id, name), wake, CHANNEL, payload_of(order.order_id, name))
                for name, (_, wake) in moments.items()
            ]
        dues = {name.value: due for name, (due, _) in moments.items()}
        found.append(Dues(order_id=order.order_id, stamp=stamp, response=response, **dues))
    await timers.arm_many(work, wakes)
    return found


def _promised(
    of: terms.SlaPolicy, order: StartClock
) -> tuple[str, dict[MilestoneName, tuple[datetime, datetime]], clock.Promise]:
    """The stamp of such an order, of each milestone its due and when there is something to say about it first, and what is
    promised for its first response."""
    rule = terms.match(of, tier=order.tier, kind=order.kind, priority=order.priority).rule
    moments: dict[MilestoneName, tuple[datetime, datetime]] = {}
    for name in MilestoneName:
        promise = terms.promise(of, rule, name, order.created_at)
        due = clock.first_due(promise.calendar, order.created_at, promise.minutes)
        marks = terms.marks(of, rule, name)
        left = promise.minutes - marks[0] if marks else 0
        moments[name] = due, clock.first_due(promise.calendar, order.created_at, left) if marks else due
    response = terms.promise(of, rule, MilestoneName.FIRST_RESPONSE, order.created_at)
    return terms.stamp(of.version, rule.code), moments, response


async def tiers_of(work: Work, customer_ids: Collection[UUID]) -> dict[UUID, str]:
    """The tiers of customers."""
    rows = await work.fetch(
        "select id, tier from customer where org_id = callout_org() and id = any($1)", list(set(customer_ids))
    )
    return {row["id"]: row["tier"] for row in rows}


async def recompute(work: Work, order_ids: Iterable[UUID], why: str, *, bump: int = 1) -> list[OrderClock]:
    """Orders whose priority, tier or kind changed: their promise is looked up anew in their own version and counts from
    creation, with all pauses. `why` is kept in the event. Final orders, and those whose promise stays, are left alone.
    """
    held = await load(work, order_ids, lock=True)
    changed: list[tuple[OrderClock, Event]] = []
    for one in held.values():
        rule = terms.match(one.policy, tier=one.tier, kind=one.kind, priority=one.priority).rule
        if rule.code == one.rule.code or one.state in FINAL:
            continue
        event = Event(
            n=0,
            at=work.now,
            kind=EventKind.CHANGED,
            data={"why": why, "from": one.rule.code, "to": rule.code, "version": one.policy.version},
        )
        changed.append((msgspec.structs.replace(one, rule=rule), event))
    return await store(work, await add_events(work, changed), renewed=tuple(MilestoneName), bump=bump)


async def reopened(work: Work, orders: Sequence[tuple[UUID, datetime]], *, bump: int = 1) -> None:
    """Orders that counted as resolved since a moment and do no longer: the resolution's clock goes on as their policy says.
    To be called when `resolved_at` is gone from their rows."""
    since = dict(orders)
    held = await load(work, since, lock=True)
    events = [
        (
            _anew(one),
            Event(
                n=0,
                at=work.now,
                kind=EventKind.REOPENED,
                since=since[id_],
                data={"rule": one.policy.reopening},
            ),
        )
        for id_, one in held.items()
    ]
    clocks = await store(work, await add_events(work, events), renewed=(MilestoneName.RESOLUTION,), bump=bump)
    # A hold whose time was over while its order was closed would hold it for ever.
    await arm_ends(work, clocks)


def _anew(one: OrderClock) -> OrderClock:
    """The clock for an order that is opened again: with its whole time anew its resolution may be missed anew. The breach of
    before stays in the events and in the journal."""
    if one.policy.reopening is not Reopening.RESTART:
        return one
    name = MilestoneName.RESOLUTION
    said = msgspec.structs.replace(one.of(name), missed_at=None, missed_due_at=None)
    return msgspec.structs.replace(one, said={**one.said, name.value: said})


async def closed(work: Work, order_ids: Collection[UUID]) -> None:
    """Orders were closed: their timers rest, and supervisors are asked no more. A timer that is due is left to tell what
    was late."""
    keys = [key_of(id_, name) for id_ in order_ids for name in MilestoneName]
    await timers.cancel(work, *keys, due_after=work.now)
    settle_later(work, order_ids)


async def responded(
    work: Work, order_id: UUID, at: datetime | None = None, *, data: Mapping[str, Any] | None = None
) -> bool:
    """Somebody answered the customer. The first answer counts; an earlier one that is told later replaces it.

    True where this call changed it; then `work_order.responded` is journaled, with `data` beside. Answering a final order
    changes nothing.
    """
    at = at or work.now
    row = await work.fetchrow(
        """
        select number, state, created_at, responded_at, respond_due_at
        from work_order where org_id = callout_org() and id = $1 for no key update
        """,
        order_id,
    )
    if row is None or row["state"] in FINAL:
        return False
    at = max(min(at, work.now), row["created_at"])
    if row["responded_at"] is not None and row["responded_at"] <= at:
        return False
    await work.execute(
        "update work_order set responded_at = $2, revision = revision + 1 where org_id = callout_org() and id = $1",
        order_id,
        at,
    )
    if at <= row["respond_due_at"]:
        # The timer of a late one is left to tell that it was.
        await timers.cancel(work, key_of(order_id, MilestoneName.FIRST_RESPONSE))
    settle_later(work, [order_id])
    await write_many(
        work,
        [
            Entry(
                kind="work_order.responded",
                entity="work_order",
                entity_id=order_id,
                order_id=order_id,
                data={"number": row["number"], "at": at, **(data or {})},
            )
        ],
    )
    work.touch("work_order", order_id)
    return True


def settle_later(work: Work, order_ids: Collection[UUID]) -> None:
    """Let the supervisors' to-dos about milestones that were reached end, soon after this unit of work.

    It is on the path of every push: one statement that joins the others at its end, and finds nothing for most orders.
    """
    work.later(
        """
        insert into outbox (id, dedupe_key, channel, stream, payload)
        select gen_random_uuid(), 'sla-settle:' || order_id || ':' || $4::text, $2::text, 'sla-settle:' || order_id,
               jsonb_build_object('orderId', order_id)
        from (select distinct order_id from todo
              where org_id = (select callout_org()) and order_id = any($1::uuid[]) and kind = any($3::text[])
                    and state in ('open', 'acknowledged')) asked
        """,
        list(order_ids),
        SETTLE_CHANNEL,
        list(SETTLED),
        # Of its own each time: two pushed events of one order in one unit of work ask twice, and twice is once.
        str(new_id()),
    )
