"""Webhooks: an organisation with a `webhook_url` is told of the journal lines below, in order per work order.

The message is owed in the transaction that wrote the line, and carries the line alone; address and secret are read when
it is delivered, so that a changed secret holds for what still waits.
"""

from typing import Any
from uuid import UUID

from callout_store import outbox
from callout_store.journal import Entry
from callout_store.work import Work

CHANNEL = "webhook"
PREFIXES = (
    "work_order.",
    "visit.",
    "sla.",
    "red_lane.",
    "plan.",
    "flow.",
    "parts.",
    "todo.",
    "import.",
    "intake.",
)
"""Kinds of journal lines that are told: what happened to orders, visits, deadlines, urgent offers and plans."""


def is_told(entry: Entry) -> bool:
    """Whether a journal line is for webhooks."""
    return entry.kind.startswith(PREFIXES)


async def owe(work: Work, lines: list[tuple[UUID, Any]]) -> None:
    """The hook over a unit of work's journal lines."""
    told = [(id_, entry) for id_, entry in lines if is_told(entry)]
    if not told:
        return
    if work.webhook is None:
        work.webhook = await work.fetchval(
            "select webhook_url is not null from organisation where id = $1", work.org_id
        )
    if work.webhook:
        await outbox.send(work, *(message(work, id_, entry) for id_, entry in told))


def message(work: Work, line_id: UUID, entry: Entry) -> outbox.Message:
    """A journal line as an owed message; the line's id is the idempotency key that the receiver sees."""
    return outbox.Message(
        channel=CHANNEL,
        stream=f"order:{entry.order_id or entry.entity_id}",
        dedupe_key=f"webhook:{line_id}",
        payload={
            "id": line_id,
            "kind": entry.kind,
            "at": entry.at or work.now,
            "entity": entry.entity,
            "entityId": entry.entity_id,
            "orderId": entry.order_id,
            "visitId": entry.visit_id,
            "actorId": work.actor.user_id,
            "actorRole": work.actor.role,
            "data": entry.data,
        },
    )
