"""Whether an order may be closed by hand: only where its flow says so."""

from typing import Final
from uuid import UUID

from msgspec.structs import replace

from callout_orders.flow import rules
from callout_orders.flow.rows import load
from callout_orders.flow.texts import missing_texts
from callout_orders.kinds.terms import ActionName
from callout_store.errors import FlowNotThere
from callout_store.work import Work

CLOSED: Final = "closed"
"""The event that closing is."""


async def check_close(work: Work, order_id: UUID) -> None:
    """Refuse, as FlowNotThere, to close an order whose flow has not come that far. The caller holds the order's row.

    It has where it is over (or never began), where its present step waits for nothing but being closed, and where that step
    would close the order itself and wants nothing but somebody's word.
    """
    found = await load(work, [order_id])
    here = next((one for one in reversed(found[0].steps) if one.live), None) if found else None
    if here is None:
        return
    running = found[0]
    step = running.kind.step(here.step)
    assert step is not None
    missing = rules.where(running.kind, running.steps, running.words, running.facts)
    closes = any(action.do is ActionName.CLOSE for action in step.on_done)
    wanted = replace(
        missing,
        events=tuple(name for name in missing.events if name != CLOSED),
        hand=missing.hand and not closes,
    )
    if wanted.nothing and (closes or CLOSED in missing.events):
        return
    locale = work.actor.locale
    texts = missing_texts(running.kind, step, missing if wanted.nothing else wanted, locale)
    raise FlowNotThere(step=step.label.of(locale), missing="; ".join(texts) or "-", at=here.step)
