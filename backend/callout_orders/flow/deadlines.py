"""Deadlines of steps: counted as the order's resolution is, in the working time of the policy that it came in by, and
standing still with it; kept by durable timers, told once each.

Only what the step itself stops the clock for does not stop its own deadline: whoever orders parts has so long for it, however
long the customer waits.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import msgspec

from callout_orders.desk import todos
from callout_orders.desk.staff import people
from callout_orders.desk.todos import NewTodo
from callout_orders.flow.rows import Running
from callout_orders.flow.state import Flow, Passed, StepState
from callout_orders.kinds import versions
from callout_orders.kinds.terms import ActionName, Step
from callout_orders.sla import clock, clocks
from callout_orders.sla.calendar import ALWAYS, Calendar
from callout_orders.sla.clock import Facts, MilestoneName, Reopening
from callout_orders.sla.clocks import OrderClock
from callout_orders.sla.policy.terms import REASONS, SlaPolicy, match
from callout_store import timers
from callout_store.journal import Entry, write
from callout_store.work import Work

CHANNEL: Final = "flow.step"
LATE_TODO: Final = "flow.late"
CUSTOMER: Final = "customer"
OTHER: Final = "other"
TURNS: Final = frozenset(
    {
        "work_order.held",
        "work_order.resumed",
        "work_order.priority_changed",
        "work_order.tier_changed",
        "work_order.duplicate_unlinked",
    }
)
"""Lines after which an order's deadlines may be others."""


def key_of(step_id: UUID) -> str:
    """The key of a step's timer."""
    return f"flow:{step_id}"


def entered(flow: Flow, one: Running) -> list[Passed]:
    """Steps that this move entered."""
    before = {step.n for step in one.stored if step.entered_at is not None}
    return [step for step in flow.steps if step.entered_at is not None and step.n not in before]


async def due_of_entered(
    work: Work, flows: Sequence[tuple[Running, Flow]]
) -> dict[tuple[UUID, int], datetime]:
    """When the steps that were entered are due, by order and number; those without a deadline are left out."""
    wanted = [
        (one.order_id, passed, step, step.minutes)
        for one, flow in flows
        for passed in entered(flow, one)
        if (step := one.kind.step(passed.step)) is not None and step.minutes is not None
    ]
    if not wanted:
        return {}
    running = await clocks.load(work, [order_id for order_id, _, _, _ in wanted])
    found: dict[tuple[UUID, int], datetime] = {}
    for order_id, passed, step, minutes in wanted:
        assert passed.entered_at is not None
        due = _due(running[order_id], step, passed.entered_at, minutes, work.now)
        if due is not None:
            found[order_id, passed.n] = due
    return found


def _due(of: OrderClock, step: Step, entered_at: datetime, minutes: int, now: datetime) -> datetime | None:
    """When a step is due; None while its clock stands still."""
    whole = of.promise(MilestoneName.RESOLUTION)
    own = stops_for(step)
    promise = msgspec.structs.replace(
        whole,
        started_at=entered_at,
        minutes=minutes,
        pausing=whole.pausing - own,
        # A step that was open when the order was opened again is left, and another one begins.
        reopening=Reopening.UNBROKEN,
    )
    if not of.events:
        return clock.first_due(promise.calendar, entered_at, minutes)
    return clock.stand(promise, of.events, facts=Facts(), now=max(now, entered_at)).due_at


def stops_for(step: Step) -> frozenset[str]:
    """The reasons for which a step stops the order's clock by itself."""
    found = (action.value or CUSTOMER for action in step.on_enter if action.do is ActionName.PAUSE_SLA)
    return frozenset(reason if reason in REASONS else OTHER for reason in found)


async def follow_clocks(work: Work, lines: Iterable[tuple[UUID, Any]]) -> None:
    """The hook's part: orders whose clock was stopped, goes on, or counts by another promise. The deadlines of their open
    steps are reckoned anew, in nothing but one look where none has any. A step that is late already stays late."""
    turned = sorted(
        {entry.order_id for _, entry in lines if entry.kind in TURNS and entry.order_id is not None}
    )
    if not turned:
        return
    rows = await work.fetch(
        """
        select s.id, s.order_id, s.step, s.entered_at, s.due_at, o.kind, o.kind_version
        from work_order o join order_step s on s.org_id = o.org_id and s.order_id = o.id
        where o.org_id = callout_org() and o.id = any($1) and o.canceled_at is null
          and s.state = 'open' and s.late_at is null and s.entered_at is not null
        order by o.id for no key update of o
        """,
        turned,
    )
    kinds = await versions.kinds_of(work, {(row["kind"], row["kind_version"]) for row in rows})
    timed = [
        (row, step, step.minutes)
        for row in rows
        if (step := kinds[row["kind"], row["kind_version"]].step(row["step"])) is not None
        and step.minutes is not None
    ]
    if not timed:
        return
    running = await clocks.load(work, [row["order_id"] for row, _, _ in timed])
    moved: list[tuple[Any, datetime | None]] = []
    for row, step, minutes in timed:
        due = _due(running[row["order_id"]], step, row["entered_at"], minutes, work.now)
        if due != row["due_at"]:
            moved.append((row, due))
    if not moved:
        return
    await work.execute(
        """
        update order_step s set due_at = t.d from unnest($1::uuid[], $2::timestamptz[]) as t(id, d)
        where s.org_id = callout_org() and s.id = t.id
        """,
        [row["id"] for row, _ in moved],
        [due for _, due in moved],
    )
    runs: list[tuple[str, datetime | None, str, Mapping[str, Any]]] = [
        (key_of(row["id"]), due, CHANNEL, {"orderId": str(row["order_id"]), "stepId": str(row["id"])})
        for row, due in moved
        if due is not None
    ]
    rests = [key_of(row["id"]) for row, due in moved if due is None]
    if runs:
        await timers.move_many(work, runs)
    if rests:
        await timers.cancel(work, *rests)


def calendar_of(policy: SlaPolicy, *, tier: str, kind: str, priority: str) -> Calendar:
    """The working time in which the steps of such an order are counted: that of its resolution."""
    try:
        rule = match(policy, tier=tier, kind=kind, priority=priority).rule
    except LookupError:
        return ALWAYS
    return policy.calendar(rule.resolution.calendar or rule.calendar)


def set_timers(
    work: Work, flows: Sequence[tuple[Running, Flow]], due: Mapping[tuple[UUID, int], datetime]
) -> None:
    """Set the timers of steps that were entered and are still open, and cancel those of steps that are over."""
    new: list[tuple[str, datetime, str, Mapping[str, Any]]] = []
    over: list[str] = []
    for one, flow in flows:
        was_open = {step.n for step in one.stored if step.state is StepState.OPEN}
        for step in flow.steps:
            assert step.id is not None
            at = due.get((one.order_id, step.n))
            if step.state is StepState.OPEN and at is not None:
                payload = {"orderId": str(one.order_id), "stepId": str(step.id)}
                new.append((key_of(step.id), at, CHANNEL, payload))
            elif step.n in was_open and not step.live:
                over.append(key_of(step.id))
    timers.arm_later(work, new)
    timers.cancel_later(work, *over)


async def late(work: Work, order_id: UUID, step_id: UUID) -> bool:
    """A step's time is up: noted once, and its owners and the supervisors are asked to look. False where it is over."""
    row = await work.fetchrow(
        """
        select o.number, o.kind, o.kind_version, o.canceled_at from work_order o
        where o.org_id = callout_org() and o.id = $1 for no key update
        """,
        order_id,
    )
    if row is None or row["canceled_at"] is not None:
        return False
    step = await work.fetchrow(
        """
        update order_step set late_at = $2
        where org_id = callout_org() and id = $1 and state = 'open' and late_at is null
        returning step, owner, due_at, n
        """,
        step_id,
        work.now,
    )
    if step is None:
        return False
    kinds = await versions.kinds_of(work, [(row["kind"], row["kind_version"])])
    configured = kinds[row["kind"], row["kind_version"]].step(step["step"])
    label = (
        {"en": step["step"], "zh": step["step"]}
        if configured is None
        else {"en": configured.label.en, "zh": configured.label.zh}
    )
    told = {"step": step["step"], "label": label, "owner": step["owner"], "dueAt": step["due_at"]}
    await write(
        work,
        Entry(
            kind="flow.step_late",
            entity="work_order",
            entity_id=order_id,
            order_id=order_id,
            data={**told, "n": step["n"]},
        ),
    )
    owners = await people.holders(work, step["owner"], order_id)
    above = (await people.supervisors_of(work, [order_id])).get(order_id, ())
    await todos.ask(
        work,
        [
            NewTodo(
                user_id=user_id,
                kind=LATE_TODO,
                matter=f"flow.step:{step_id}:late",
                order_id=order_id,
                data={"number": row["number"], **told},
                urgent=True,
                due_at=step["due_at"],
            )
            for user_id in dict.fromkeys((*owners, *above))
        ],
    )
    return True
