"""Answers that may help at once, offered to who asked by a channel, and what they say of them (R2)."""

from uuid import UUID

from callout_orders.knowledge import decisions, offers, standing
from callout_orders.knowledge.offers import Offer
from callout_orders.precheck.terms import Taken
from callout_orders.terms import Priority
from callout_store.errors import NotFound, WrongState
from callout_store.work import Work


async def offered(work: Work, taken: Taken) -> list[Offer]:
    """The answers to what was just taken up, is new and no duplicate: the best to a question (P2), to anything else the
    standing answers of its error code."""
    if taken.existing or taken.duplicate_of_id is not None:
        return []
    await standing.offer(work, [taken.id])
    if taken.priority == Priority.P2:
        return await offers.offer(work, taken.id)
    return (await offers.by_order_ids(work, [taken.id]))[0]


async def answered(work: Work, order_id: UUID, solved: bool) -> bool:
    """Whoever asked says whether it helped; False where nothing was offered or the order is past that."""
    try:
        async with work.savepoint():
            if solved:
                await decisions.solved(work, order_id, via=decisions.CUSTOMER)
            else:
                await decisions.did_not_help(work, order_id, via=decisions.CUSTOMER)
    except (NotFound, WrongState):
        return False
    return True
