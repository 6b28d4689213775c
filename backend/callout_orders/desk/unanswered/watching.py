"""Looking after orders that nobody answered: durable timers, and what is done when one fires (R4).

A timer is only a reminder: when it fires the order is read again under its lock and the rules decide, so that it does not
matter which worker looks, how often, how late, or after which restart; the timer's own epoch counts only where it is set
again. Every change of hands raises the order's epoch.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from callout_orders.desk import todos
from callout_orders.desk.staff import people
from callout_orders.desk.unanswered import handing, standings
from callout_orders.desk.unanswered.handing import CHANNEL, LOOK_AGAIN, timer_key
from callout_orders.desk.unanswered.watch_rules import ByWhat, Flag, Why, judge, next_in_line
from callout_store import timers
from callout_store.journal import Entry, write
from callout_store.work import Work

SKEW_MAX: Final = timedelta(seconds=5)
"""The database's clock fires, this process's judges: they may differ by this much."""


async def aim(work: Work, order_ids: Iterable[UUID]) -> None:
    """Set the timers of orders that the desk looks after and that wait for an answer, by how they stand now."""
    found = await standings.load(work, order_ids)
    moves: list[tuple[str, datetime | None, str, Mapping[str, Any]]] = []
    for order in found.values():
        if not order.waits or not order.epoch:
            continue
        verdict = judge(order.standing, order.rules, now=work.now)
        if verdict.why or verdict.flag or verdict.again:
            moves.append((timer_key(order.id), verdict.again, CHANNEL, {"orderId": str(order.id)}))
    if moves:
        await timers.move_many(work, moves)


async def look(work: Work, order_id: UUID, key: str, epoch: int) -> bool:
    """A timer fired: turn the order over where it is late or its handler gone; whether this call did."""
    order = (await standings.load(work, [order_id], lock=True)).get(order_id)
    if order is None:
        return False
    if order.over:
        # Answered by somebody else, such as an engineer's phone: nobody has to any more.
        await todos.end(work, handing.matter(order_id, order.epoch), state="canceled")
    if not order.waits:
        return False
    verdict = judge(order.standing, order.rules, now=work.now + SKEW_MAX)
    if verdict.again is not None:
        soonest: datetime = await work.fetchval("select now() + $1::interval", LOOK_AGAIN)
        due = max(verdict.again, soonest)
        await timers.again(work, key=key, epoch=epoch, due_at=due, payload={"orderId": str(order_id)})
        return False
    if verdict.flag is not None:
        await _raise_flag(work, order, verdict.flag)
        return True
    if verdict.why is None:
        return False
    await turn_over(work, order, verdict.why)
    return True


async def turn_over(work: Work, order: standings.Watched, why: Why) -> None:
    """Give an order, whose row is locked, to the next in line, and say in the journal why."""
    above = (await people.supervisors_of(work, [order.id]))[order.id]
    on_duty = [one.user_id for one in await standings.duty_of_team(work, order.team_id, work.now)]
    chosen = next_in_line(
        on_duty,
        above,
        handler_id=order.handler_id,
        tried=order.tried,
        presence=await standings.presences(work, [*on_duty, *above]),
        now=work.now,
        has_team=order.team_id is not None,
    )
    to_supervisors = chosen.by_what is ByWhat.SUPERVISOR
    await handing.give(
        work,
        order,
        chosen.user_id,
        by_what=chosen.by_what,
        kind="work_order.turned_over",
        data={
            "why": why.value,
            "byWhat": chosen.by_what.value,
            "leftSeconds": round(order.left_seconds),
            "passed": [{"userId": one.user_id, "why": one.why} for one in chosen.passed],
        },
        flag=chosen.flag,
        tell=above if to_supervisors else [chosen.user_id] if chosen.user_id else [],
    )


async def _raise_flag(work: Work, order: standings.Watched, flag: Flag) -> None:
    await work.execute(
        "update order_watch set flag = $2 where org_id = callout_org() and order_id = $1",
        order.id,
        flag.value,
    )
    await write(
        work,
        Entry(
            kind="work_order.flagged",
            entity="work_order",
            entity_id=order.id,
            order_id=order.id,
            data={"flag": flag.value, "number": order.number, "handlerId": order.handler_id},
        ),
    )
    work.touch("work_order", order.id)
