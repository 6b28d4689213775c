"""What people do to a flow by hand: say that a step is done, fill in fields, lead back, decide in place of a broken rule."""

from collections.abc import Mapping
from typing import Any, Final
from uuid import UUID

from msgspec.structs import replace

from callout_orders import checks
from callout_orders.desk.staff import people
from callout_orders.flow import needs, rules, run
from callout_orders.flow.rows import Running, load
from callout_orders.flow.state import Missing
from callout_orders.flow.texts import missing_texts, nothing
from callout_orders.kinds.owners import owner_text
from callout_orders.kinds.terms import Step
from callout_orders.kinds.values import set_fields
from callout_people.principals import Role
from callout_store.errors import FlowNotThere, NotFound, NotYours, WrongState
from callout_store.journal import Entry, write
from callout_store.work import Work

ABOVE: Final = frozenset({Role.SUPERVISOR.value, Role.ADMIN.value})
COMMENT_CHARS_MAX: Final = 1000


async def complete_step(
    work: Work,
    order_id: UUID,
    step: str | None = None,
    *,
    values: Mapping[str, Any] | None = None,
    comment: str = "",
) -> None:
    """Say that the present step is done, filling in `values` of the order's fields with it.

    With `step` only where the flow stands there: two people who press at once do not pass two steps. Refused as
    FlowNotThere with everything that is missing and where the flow stands; NotYours for somebody else's step; NotFound,
    WrongState (no flow, or over), BadField. A step that was done by then stays done.
    """
    words = checks.text("comment", comment, chars_max=COMMENT_CHARS_MAX, blank=True)
    running, configured = await _present(work, order_id)
    here = next(one for one in reversed(running.steps) if one.live)
    locale = work.actor.locale
    if step is not None and step != here.step:
        if running.kind.step(step) is None:
            known = frozenset(one.code for one in running.kind.steps)
            raise checks.FieldRefused("step", "not_one_of", options=", ".join(sorted(known)))
        if any(one.step == step and one.done_at is not None for one in running.steps):
            return
        raise FlowNotThere(
            step=configured.label.of(locale),
            missing=_said(running, configured, _missing(running), locale),
            path="step",
            at=here.step,
        )
    await require_owner(work, configured.owner, order_id)
    if values:
        await set_fields(work, order_id, values)
        [running] = await load(work, [order_id])
    said = replace(here, said_at=work.now)
    given = tuple(said if one.n == here.n else one for one in running.steps)
    missing = rules.where(running.kind, given, running.words, running.facts)
    if not missing.nothing and not _only_approvals(missing):
        raise FlowNotThere(
            step=configured.label.of(locale),
            missing=_said(running, configured, missing, locale),
            path="step",
            at=here.step,
        )
    running.steps = given
    await run.settle(work, [running])
    await work.execute(
        """
        update order_step set said_at = $2, said_by = $3, comment = nullif($4, '')
        where org_id = callout_org() and id = $1
        """,
        here.id,
        work.now,
        work.actor.user_id,
        words,
    )


async def lead_back(work: Work, order_id: UUID, to: str, reason: str) -> None:
    """Lead the flow back to a step that may be entered once more; what happened before does not count there again.

    For supervisors. Raises NotFound, WrongState, NotYours, BadField.
    """
    why = checks.text("reason", reason, chars_max=COMMENT_CHARS_MAX)
    running, _ = await _present(work, order_id)
    require_above(work)
    checks.one_of("to", to, frozenset(rules.may_lead_to(running.kind, running.steps)))
    here = next(one for one in reversed(running.steps) if one.live)
    running.steps = rules.lead_back(running.steps, to, work.now)
    await _note(work, order_id, "flow.led_back", {"from": here.step, "step": to, "reason": why})
    await run.settle(work, [running])


async def settle_blocked(work: Work, order_id: UUID, decision: str, reason: str) -> None:
    """Decide in place of a rule that cannot be evaluated: the step to go to, or `true` or `false` for a condition.

    Only one of the step's own ways may be chosen: nothing is skipped. For supervisors. Raises NotFound, WrongState (not
    blocked), NotYours, BadField.
    """
    why = checks.text("reason", reason, chars_max=COMMENT_CHARS_MAX)
    running, configured = await _present(work, order_id)
    require_above(work)
    here = next(one for one in reversed(running.steps) if one.live)
    if here.blocked is None:
        raise WrongState(entity="work order", state="on its way", needed="a flow that is blocked")
    ways = frozenset(branch.to for branch in configured.next)
    options = ways if here.blocked.place == "next" else frozenset({needs.YES, needs.NO})
    checks.one_of("decision", decision, options)
    settled = replace(here, settled={**here.settled, here.blocked.place: decision})
    running.steps = tuple(settled if one.n == here.n else one for one in running.steps)
    await _note(
        work,
        order_id,
        "flow.settled",
        {"step": here.step, "place": here.blocked.place, "decision": decision, "reason": why},
    )
    await run.settle(work, [running])


async def require_owner(work: Work, owner: str, order_id: UUID) -> None:
    """Raise NotYours unless the actor is one of this owner, or a supervisor."""
    actor = work.actor
    if actor.role in ABOVE or actor.user_id is None:
        # The house itself (a job, an import) acts for whoever set it up.
        return
    if owner == f"role:{actor.role}" or actor.user_id in await people.holders(work, owner, order_id):
        return
    above = (await people.supervisors_of(work, [order_id])).get(order_id, ())
    if actor.user_id in above:
        return
    # Where nobody holds a post, or an order has no handler, the desk is who handles it.
    if owner in ("handler", "initiator") and actor.role == Role.DISPATCHER:
        return
    raise NotYours(who=owner_text(owner), who_zh=owner_text(owner, "zh"), owner=owner)


def require_above(work: Work) -> None:
    """Raise NotYours unless the actor is a supervisor or admin."""
    if work.actor.user_id is not None and work.actor.role not in ABOVE:
        raise NotYours(who=owner_text("role:supervisor"), who_zh=owner_text("role:supervisor", "zh"))


def _only_approvals(missing: Missing) -> bool:
    """Whether nothing but approvals is missing: the word is kept, and the step ends with the last approval."""
    return missing == Missing(asked=missing.asked)


def _missing(one: Running) -> Missing:
    return rules.where(one.kind, one.steps, one.words, one.facts)


def _said(one: Running, step: Step, missing: Missing, locale: str) -> str:
    return "; ".join(missing_texts(one.kind, step, missing, locale)) or nothing(locale)


async def _order(work: Work, order_id: UUID) -> Any:
    row = await work.fetchrow(
        "select state, revision from work_order where org_id = callout_org() and id = $1 for no key update",
        order_id,
    )
    if row is None:
        raise NotFound(entity="work order", path="orderId")
    return row


async def _present(work: Work, order_id: UUID) -> tuple[Running, Step]:
    """The order's flow and the step that it is at; its row is held."""
    await _order(work, order_id)
    [running] = await load(work, [order_id])
    here = next((one for one in reversed(running.steps) if one.live), None)
    if here is None:
        state = "without a flow" if not running.steps else "at its end"
        raise WrongState(entity="work order", state=state, needed="an order whose flow goes on")
    configured = running.kind.step(here.step)
    assert configured is not None
    return running, configured


async def _note(work: Work, order_id: UUID, kind: str, data: Mapping[str, Any]) -> None:
    await write(work, Entry(kind=kind, entity="work_order", entity_id=order_id, order_id=order_id, data=data))
