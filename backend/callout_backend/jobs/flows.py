"""Flows' part of the worker: a step's time is up, a survey wants a reminder or its end, a further visit wants a slot."""

from uuid import UUID

from callout_dispatch.second_visit import CHANNEL as VISIT_CHANNEL
from callout_dispatch.second_visit import look
from callout_orders.flow import deadlines
from callout_orders.flow.ending import survey
from callout_store import timers
from callout_store.outbox import Claimed, Hopeless
from callout_store.work import Database, Work

STEP_CHANNEL = deadlines.CHANNEL
SURVEY_CHANNEL = survey.CHANNEL
__all__ = ["STEP_CHANNEL", "SURVEY_CHANNEL", "VISIT_CHANNEL", "look_for_slot", "step_late", "survey_time"]


async def step_late(db: Database, item: Claimed) -> None:
    """A step's deadline passed. Harmless twice: it is noted once, and a step that is over is left alone."""
    key, epoch = _timer(item)
    order_id, step_id = _id(item, "orderId"), _id(item, "stepId")

    async def act(work: Work) -> None:
        if await timers.is_current(work, key=key, epoch=epoch):
            await deadlines.late(work, order_id, step_id)

    await db.run(item.org_id, act)


async def survey_time(db: Database, item: Claimed) -> None:
    """Time to remind a customer, or to stop waiting. Harmless twice: each happens once."""
    key, epoch = _timer(item)
    survey_id, what = _id(item, "surveyId"), str(item.payload.get("what"))

    async def act(work: Work) -> None:
        if await timers.is_current(work, key=key, epoch=epoch):
            await survey.time_is_up(work, survey_id, what)

    await db.run(item.org_id, act)


async def look_for_slot(db: Database, item: Claimed) -> None:
    """A further visit is offered: when could that engineer come? Harmless twice: the second look replaces the first."""
    offer_id = _id(item, "offerId")

    async def act(work: Work) -> None:
        await look(work, offer_id)

    await db.run(item.org_id, act)


def _timer(item: Claimed) -> tuple[str, int]:
    try:
        return str(item.payload["timerKey"]), int(item.payload["timerEpoch"])
    except (KeyError, ValueError, TypeError) as fault:
        raise Hopeless(f"not a timer of a flow: {fault!r}") from fault


def _id(item: Claimed, name: str) -> UUID:
    try:
        return UUID(item.payload[name])
    except (KeyError, ValueError, TypeError) as fault:
        raise Hopeless(f"not a message of a flow: {fault!r}") from fault
