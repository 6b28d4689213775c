"""Opening an order again: by the office, or because the customer is not content. What was done before counts as not done."""

from typing import Any, Final
from uuid import UUID

from callout_orders import checks
from callout_orders.flow import rules, run
from callout_orders.flow.ending import survey
from callout_orders.flow.rows import Running, load
from callout_orders.sla import milestones
from callout_orders.terms import OrderState
from callout_store.errors import NotFound, StaleRevision, WrongState
from callout_store.journal import Entry, write
from callout_store.work import Work

REASON_CHARS_MAX: Final = 1000
DONE: Final = frozenset({OrderState.COMPLETED.value, OrderState.CLOSED.value})

checks.add_reasons(
    {
        "reopen_duplicate": (
            "it is a duplicate of {given}, to which somebody goes: open that one again",
            "该工单是 {given} 的重复单,处理以原单为准:请重新打开原单",
        ),
    }
)


async def reopen(
    work: Work, order_id: UUID, reason: str, *, to: str | None = None, revision: int | None = None
) -> int:
    """Open a completed or closed order again; its revision. It waits to be planned, and its clock of resolution goes on.

    Its flow is led back to the step `to`; without one to the first step that may be entered once more. Raises NotFound,
    StaleRevision, WrongState, BadField (reason, a duplicate, a step that cannot be led back to).
    """
    why = checks.text("reason", reason, chars_max=REASON_CHARS_MAX)
    row = await _locked(work, order_id)
    if revision is not None and revision != row["revision"]:
        raise StaleRevision(entity="work order", current=row["revision"], given=revision)
    if row["state"] not in DONE:
        raise WrongState(
            entity="work order", state=row["state"], needed="an order that is completed or closed"
        )
    if row["first"] is not None:
        # Nobody plans a duplicate and no clock runs for it: it would be open, and forgotten.
        raise checks.FieldRefused("orderId", "reopen_duplicate", given=row["first"])
    await _open(work, row, why, to=to, by="office")
    return int(row["revision"]) + 1


async def reopen_unsatisfied(work: Work, order_id: UUID, why: str) -> bool:
    """Open an order again whose customer is not content; False where it is not done, or called off."""
    row = await _locked(work, order_id)
    if row["state"] not in DONE or row["first"] is not None:
        return False
    await _open(work, row, why, to=None, by="survey")
    return True


async def _locked(work: Work, order_id: UUID) -> Any:
    row = await work.fetchrow(
        """
        select id, number, state, resolved_at, revision, (
            select number from work_order f where f.org_id = callout_org() and f.id = o.duplicate_of_id) as first
        from work_order o where org_id = callout_org() and id = $1 for no key update
        """,
        order_id,
    )
    if row is None:
        raise NotFound(entity="work order", path="orderId")
    return row


async def _open(work: Work, row: Any, why: str, *, to: str | None, by: str) -> None:
    [running] = await load(work, [row["id"]])
    # Refused before anything is written.
    target = _target(running, to)
    await work.execute(
        """
        update work_order set state = $2, reopened_at = $3, closed_at = null, archived_at = null, resolved_at = null,
            revision = revision + 1
        where org_id = callout_org() and id = $1
        """,
        row["id"],
        OrderState.CANNOT_COMPLETE.value,
        work.now,
    )
    await write(
        work,
        Entry(
            kind="work_order.reopened",
            entity="work_order",
            entity_id=row["id"],
            order_id=row["id"],
            data={"from": row["state"], "reason": why, "by": by, "step": target},
        ),
    )
    work.touch("work_order", row["id"])
    await survey.give_up(work, row["id"])
    if row["resolved_at"] is not None:
        await milestones.reopened(work, [(row["id"], row["resolved_at"])], bump=0)
    if target is not None:
        [fresh] = await load(work, [row["id"]])
        fresh.steps = rules.lead_back(fresh.steps, target, work.now)
        await run.settle(work, [fresh])


def _target(one: Running, to: str | None) -> str | None:
    """The step that the flow is led back to; None where the order has no flow."""
    if not one.steps:
        return None
    may = rules.may_lead_to(one.kind, one.steps, here_too=True)
    if to is not None:
        return checks.one_of("to", to, frozenset(may))
    # Where no step has room, a person's decision stands above the kind's bound.
    return may[0] if may else one.kind.steps[0].code
