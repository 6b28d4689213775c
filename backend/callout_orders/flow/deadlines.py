"""Deadlines of steps: counted in the working time of the order's SLA calendar, kept by durable timers, told once each."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from callout_orders.desk import people, todos
from callout_orders.desk.todos import NewTodo
from callout_orders.flow.rows import Running
from callout_orders.flow.state import Flow, Passed, StepState
from callout_orders.kinds import versions
from callout_orders.sla import clock, policies
from callout_orders.sla.calendar import ALWAYS, Calendar
from callout_orders.sla.policy import SlaPolicy, match
from callout_store import timers
from callout_store.journal import Entry, write
from callout_store.work import Work

CHANNEL: Final = "flow.step"
LATE_TODO: Final = "flow.late"


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
    wanted: list[tuple[Running, Passed, int]] = []
    for one, flow in flows:
        for step in entered(flow, one):
            configured = one.kind.step(step.step)
            if configured is not None and configured.minutes is not None:
                wanted.append((one, step, configured.minutes))
    if not wanted:
        return {}
    policy = await policies.active(work)
    found: dict[tuple[UUID, int], datetime] = {}
    for one, step, minutes in wanted:
        assert step.entered_at is not None
        calendar = calendar_of(policy, tier=one.tier, kind=one.kind.code, priority=one.priority)
        found[one.order_id, step.n] = clock.first_due(calendar, step.entered_at, minutes)
    return found


def calendar_of(policy: SlaPolicy, *, tier: str, kind: str, priority: str) -> Calendar:
    """The working time in which the steps of such an order are counted: that of its resolution."""
    try:
        rule = match(policy, tier=tier, kind=kind, priority=priority).rule
    except LookupError:
        return ALWAYS
    return policy.calendar(rule.resolution.calendar or rule.calendar)


async def set_timers(
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
    if new:
        await timers.arm_many(work, new)
    if over:
        await timers.cancel(work, *over)


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
