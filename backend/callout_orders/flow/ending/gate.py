"""Whether an order may be closed by hand: only where its flow says so."""

from uuid import UUID

from msgspec.structs import replace

from callout_orders.flow import rules
from callout_orders.flow.events import CLOSED
from callout_orders.flow.rows import load
from callout_orders.flow.texts import missing_texts
from callout_orders.kinds.terms import ActionName
from callout_orders.terms import OrderState
from callout_store.errors import FlowNotThere, NotCompleted, WrongState
from callout_store.work import Work


async def check_close(work: Work, order_id: UUID, state: str) -> None:
    """Refuse to close an order whose flow has not come that far: as WrongState, with what lies ahead, where it is not even
    completed, else as FlowNotThere. The caller holds the order's row.

    It has come that far where it is over (or never began), where its present step waits for nothing but being closed, and
    where that step would close the order itself and wants nothing but somebody's word.
    """
    found = await load(work, [order_id])
    here = next((one for one in reversed(found[0].steps) if one.live), None) if found else None
    if here is None:
        if state != OrderState.COMPLETED:
            raise WrongState(entity="work order", state=state, needed=OrderState.COMPLETED.value)
        return
    running = found[0]
    step = running.kind.step(here.step)
    assert step is not None
    locale = work.actor.locale
    missing = rules.where(running.kind, running.steps, running.words, running.facts)
    if state != OrderState.COMPLETED:
        after = rules.ahead(running.kind, running.steps, running.facts)
        raise NotCompleted(
            entity="work order",
            state=state,
            needed=OrderState.COMPLETED.value,
            step=step.label.of(locale),
            missing="; ".join(missing_texts(running.kind, step, missing, locale)) or "-",
            ahead=" → ".join(one.label.of(locale) for one in after) or "-",
            at=here.step,
            steps=", ".join(one.code for one in after),
        )
    closes = any(action.do is ActionName.CLOSE for action in step.on_done)
    wanted = replace(
        missing,
        events=tuple(name for name in missing.events if name != CLOSED),
        hand=missing.hand and not closes,
    )
    if wanted.nothing and (closes or CLOSED in missing.events):
        return
    if wanted.nothing:
        # All is there, and it does not go on: no rule says where to.
        wanted = replace(missing, rule=True)
    texts = missing_texts(running.kind, step, wanted, locale)
    raise FlowNotThere(step=step.label.of(locale), missing="; ".join(texts), at=here.step)
