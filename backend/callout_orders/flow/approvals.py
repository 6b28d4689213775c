"""Approvals of steps (L2): given or refused once, by who was asked or a supervisor, for the values as they are then."""

from typing import Any, Final
from uuid import UUID

import msgspec
from msgspec.structs import replace

from callout_orders import checks
from callout_orders.desk import todos
from callout_orders.flow import actions, hand, rules, run
from callout_orders.flow.rows import load
from callout_store.errors import NotFound, WrongState
from callout_store.journal import Entry, write
from callout_store.work import Work

COMMENT_CHARS_MAX: Final = 1000


async def approve(work: Work, approval_id: UUID, comment: str = "") -> str:
    """Agree; the approval's state. Twice changes nothing. Raises NotFound, NotYours, WrongState."""
    return await _decide(work, approval_id, "approved", comment, to=None)


async def reject(work: Work, approval_id: UUID, comment: str, *, to: str | None = None) -> str:
    """Refuse, with a reason; the approval's state. Twice changes nothing.

    The order's flow stays where it is until the value is another one (then it is asked again), or is led back to the step
    `to`, where the kind lets that one be entered once more. Raises NotFound, NotYours, WrongState, BadField.
    """
    checks.text("comment", comment, chars_max=COMMENT_CHARS_MAX)
    return await _decide(work, approval_id, "rejected", comment, to=to)


async def _decide(work: Work, approval_id: UUID, state: str, comment: str, *, to: str | None) -> str:
    words = checks.text("comment", comment, chars_max=COMMENT_CHARS_MAX, blank=True)
    order_id = await work.fetchval(
        "select order_id from step_approval where org_id = callout_org() and id = $1", approval_id
    )
    if order_id is None:
        raise NotFound(entity="approval", path="id")
    await run.hold(work, [order_id])
    row = await work.fetchrow(
        """
        select p.code, p.owner, p.state, p.about::text as about, s.step from step_approval p
        join order_step s on s.org_id = p.org_id and s.id = p.step_id
        where p.org_id = callout_org() and p.id = $1
        """,
        approval_id,
    )
    assert row is not None
    await hand.require_owner(work, row["owner"], order_id)
    if row["state"] == state:
        return state
    if row["state"] != "asked":
        raise WrongState(entity="approval", state=row["state"], needed="an approval that was asked for")
    [running] = await load(work, [order_id])
    if to is not None:
        checks.one_of("to", to, frozenset(rules.may_lead_to(running.kind, running.steps)))
    await work.execute(
        """
        update step_approval set state = $2, decided_at = $3, decided_by = $4, comment = $5
        where org_id = callout_org() and id = $1
        """,
        approval_id,
        state,
        work.now,
        work.actor.user_id,
        words or None,
    )
    about: dict[str, Any] = msgspec.json.decode(row["about"])
    await write(
        work,
        Entry(
            kind=f"flow.{state}",
            entity="work_order",
            entity_id=order_id,
            order_id=order_id,
            data={
                "approvalId": approval_id,
                "code": row["code"],
                "step": row["step"],
                "about": about,
                "comment": words,
                "to": to,
            },
        ),
    )
    await todos.end(work, actions.matter_of_approval(approval_id))
    running.words = tuple(
        replace(word, state=state, decided_at=work.now) if word.id == approval_id else word
        for word in running.words
    )
    if to is not None:
        running.steps = rules.lead_back(running.steps, to, work.now)
    await run.settle(work, [running])
    return state
