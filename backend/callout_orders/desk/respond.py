"""The desk answers: the first response to whoever reported an order (R3, R4)."""

from datetime import datetime
from typing import Final
from uuid import UUID

import msgspec

from callout_orders import checks
from callout_orders.channels.conversations import replies
from callout_orders.desk import todos
from callout_orders.desk.unanswered import handing, standings
from callout_orders.desk.unanswered.watch_rules import ByWhat
from callout_orders.sla import milestones
from callout_store import timers
from callout_store.errors import NotFound, WrongState
from callout_store.journal import Entry, write
from callout_store.work import Work

TEXT_CHARS_MAX: Final = 4000


class Response(msgspec.Struct, frozen=True, kw_only=True):
    """The first answer that counts. `first`: whether this call gave it; else somebody was before."""

    order_id: UUID
    responded_at: datetime
    first: bool


async def respond(work: Work, order_id: UUID, text: str | None = None) -> Response:
    """Answer an order in the name of the actor; `text` is what was said: it goes to the conversation that the order came
    out of, or to the customer as a notice, and stands in the timeline.

    A further answer is journaled as `work_order.answered` and moves no clock. An order that nobody had is its answerer's from
    now on, and has another epoch: whoever was about to take it from nobody is told. Raises NotFound, or WrongState for one
    that is over.
    """
    said = checks.optional_text("text", text, chars_max=TEXT_CHARS_MAX)
    order = (await standings.load(work, [order_id], lock=True)).get(order_id)
    if order is None:
        raise NotFound(entity="work order", path="orderId")
    row = await work.fetchrow(
        "select state, responded_at from work_order where org_id = callout_org() and id = $1", order_id
    )
    assert row is not None
    if row["state"] in ("closed", "canceled"):
        raise WrongState(entity="work order", state=row["state"], needed="an order that is not final")
    carried = said is not None and await replies.to_order(work, order_id, said)
    takes = order.handler_id is None and work.actor.user_id is not None
    told = {
        "number": order.number,
        "priority": order.priority,
        "by": "desk",
        "text": said,
        "carried": carried,
        "handlerId": work.actor.user_id if takes else order.handler_id,
        "dueAt": order.standing.due_at,
        "leftSeconds": round(order.left_seconds),
    }
    first = row["responded_at"] is None and await milestones.responded(work, order_id, data=told)
    if first:
        await timers.cancel(work, handing.timer_key(order_id))
        await todos.end(work, handing.matter(order_id, order.epoch))
    elif said or takes:
        await write(
            work,
            Entry(
                kind="work_order.answered",
                entity="work_order",
                entity_id=order_id,
                order_id=order_id,
                data=told,
            ),
        )
    if takes:
        await handing.put(work, order, work.actor.user_id, by_what=ByWhat.TAKEN)
    if first or said or takes:
        work.touch("work_order", order_id)
    return Response(order_id=order_id, responded_at=row["responded_at"] or work.now, first=first)
