"""The SLA clock's voice: a timer fired, the facts decide what is said.

A timer is only a reminder. Between its arming and its firing an engineer may have arrived, the priority may have changed, the
order may have been called off: so the order is read again, under its lock. Each mark is spoken of once an epoch, a miss
once for ever, whoever handles the firing and however often. After it the timer waits for the next thing to say.
"""

from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

import msgspec

from callout_orders.desk import todos
from callout_orders.desk.staff import people
from callout_orders.sla import clock
from callout_orders.sla.clock import Event, EventKind, MilestoneName, MilestoneState, Stand
from callout_orders.sla.clocks import (
    SETTLED,
    TODO_KIND,
    OrderClock,
    Said,
    add_events,
    key_of,
    load,
    matter_of,
    payload_of,
    say,
    store,
)
from callout_orders.sla.policy import terms
from callout_orders.terms import FINAL
from callout_store import timers
from callout_store.journal import write
from callout_store.work import Work

SKEW_MAX: Final = timedelta(seconds=5)
"""The database's clock fires, this process's clock judges: where it is behind by no more than this, a mark is spoken of at
once; where it is behind by more, after another wait of this long."""


async def check(work: Work, order_id: UUID, milestone: str) -> bool:
    """Say what there is to say about a milestone now; True where this call journaled its miss.

    `sla.warned` names the closest mark that was passed; `skipped` are those before it that nobody spoke of in time. What was
    journaled stays, even when a phone that comes back proves later that the engineer was in time: then the order shows
    both.
    """
    name = MilestoneName(milestone)
    one = (await load(work, [order_id], lock=True)).get(order_id)
    if one is None or not one.running or one.facts.canceled_at is not None:
        return False
    stands, said = one.stand(name, work.now), one.of(name)
    waits = stands.met_at is None and stands.state is not MilestoneState.PAUSED
    left = stands.remaining_seconds - SKEW_MAX.total_seconds()
    passed = [
        mark
        for mark in terms.marks(one.policy, one.rule, name)
        if waits and mark not in said.warned and left <= mark * 60
    ]
    # A mark may come a little early; a breach, which nothing takes back, may not.
    over = stands.state is MilestoneState.MISSED or (waits and stands.planning_due_at <= work.now)
    missed = over and said.missed_at is None
    if not passed and not missed:
        return False
    said = msgspec.structs.replace(
        said,
        warned=tuple(sorted({*said.warned, *passed}, reverse=True)),
        missed_at=work.now if missed else said.missed_at,
        missed_due_at=stands.planning_due_at if missed else said.missed_due_at,
    )
    one = msgspec.structs.replace(one, said={**one.said, name.value: said})
    await say(work, [(one, name)])
    if passed:
        await _warn(work, one, stands, said, passed)
    if missed:
        await _miss(work, one, stands)
    # An order's page shows the countdown; whoever looks at it is poked.
    work.touch("work_order", order_id)
    return missed


async def wake_again(work: Work, order_id: UUID, milestone: str, *, epoch: int) -> None:
    """Let the timer that fired in this epoch wait for what there will be to say next; it stays as it is where it was moved
    meanwhile.

    It is set by how long that is from now, not by when: a process whose clock is behind the database's would have it fire at
    once, again and again.
    """
    name = MilestoneName(milestone)
    one = (await load(work, [order_id])).get(order_id)
    at = one.wake_at(name, work.now) if one is not None else None
    if at is not None:
        fires_at: datetime = await work.fetchval("select now() + $1::interval", max(at - work.now, SKEW_MAX))
        await timers.again(
            work,
            key=key_of(order_id, name),
            epoch=epoch,
            due_at=fires_at,
            payload=payload_of(order_id, name),
        )


async def settle(work: Work, order_id: UUID) -> None:
    """End the supervisors' to-dos about milestones of an order that were reached, or do not count any more."""
    rows = await work.fetch(
        """
        select distinct matter, kind from todo
        where org_id = callout_org() and order_id = $1 and kind = any($2) and state in ('open', 'acknowledged')
        """,
        order_id,
        list(SETTLED),
    )
    one = (await load(work, [order_id], lock=True)).get(order_id)
    if one is None:
        return
    waiting = {
        matter_of(order_id, name.value, one.of(name).epoch)
        for name in MilestoneName
        if one.facts.met_at(name) is None and one.state not in FINAL
    }
    # Who is asked for an answer has to give none once somebody else gave the first.
    owed = one.facts.met_at(MilestoneName.FIRST_RESPONSE) is None and one.state not in FINAL
    for row in rows:
        if row["matter"] not in waiting and not (owed and row["kind"] != TODO_KIND):
            await todos.end(work, row["matter"], state="canceled" if one.facts.canceled_at else "done")


async def expire(work: Work, order_id: UUID, milestone: str) -> bool:
    """A moved deadline's time may be over: then the original one stands again; True where this call said so."""
    name = MilestoneName(milestone)
    one = (await load(work, [order_id], lock=True)).get(order_id)
    if one is None or one.state in FINAL:
        return False
    # The timer fired, by the database's clock; while firing is allowed at all, this process's is behind by less than this.
    now = work.now + timedelta(seconds=timers.LEAP_MAX_S)
    last = next(
        (
            event
            for event in reversed(one.events)
            if event.milestone == name and event.kind in (EventKind.MOVED, EventKind.RESTORED)
        ),
        None,
    )
    if last is None or last.kind != EventKind.MOVED or clock.moved_until(one.events, name, now) is not None:
        return False
    event = Event(n=0, at=work.now, kind=EventKind.RESTORED, milestone=name.value, data={"why": "expired"})
    (one,) = await store(work, await add_events(work, [(one, event)]), renewed=(name,))
    stands = one.stand(name, work.now)
    await _note(work, one, "work_order.deadline_restored", stands, {"why": "expired"})
    return True


async def _warn(work: Work, one: OrderClock, stands: Stand, said: Said, passed: list[float]) -> None:
    mark = min(passed)
    supervisors: tuple[UUID, ...] = ()
    call = terms.supervisor_at(one.policy, one.rule, stands.name)
    if call is not None and any(passing <= call for passing in passed):
        supervisors = (await people.supervisors_of(work, [one.order_id])).get(one.order_id, ())
        await todos.ask(
            work,
            [
                todos.NewTodo(
                    user_id=user_id,
                    kind=TODO_KIND,
                    matter=matter_of(one.order_id, stands.name.value, said.epoch),
                    order_id=one.order_id,
                    data={
                        "number": one.number,
                        "priority": one.priority,
                        "milestone": stands.name.value,
                        "minutes": mark,
                        "dueAt": stands.planning_due_at,
                    },
                    urgent=True,
                    due_at=stands.planning_due_at,
                )
                for user_id in supervisors
            ],
        )
    await _note(
        work,
        one,
        "sla.warned",
        stands,
        {
            "minutes": mark,
            "mark": mark,
            "epoch": said.epoch,
            "remainingSeconds": round(stands.remaining_seconds),
            "skipped": sorted(set(passed) - {mark}, reverse=True),
            "supervisorIds": list(supervisors),
        },
    )


async def _miss(work: Work, one: OrderClock, stands: Stand) -> None:
    event = Event(
        n=0,
        at=work.now,
        kind=EventKind.MISSED,
        milestone=stands.name.value,
        data={"dueAt": stands.planning_due_at.isoformat()},
    )
    await add_events(work, [(one, event)])
    await _note(work, one, "sla.missed", stands, {"metAt": stands.met_at})


async def _note(work: Work, one: OrderClock, kind: str, stands: Stand, more: dict[str, Any]) -> None:
    about = {"milestone": stands.name.value, "dueAt": stands.planning_due_at, "state": one.state}
    await write(work, one.line(kind, {**about, **more}))
