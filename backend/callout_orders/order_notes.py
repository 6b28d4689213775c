"""Notes about an order: what somebody wants remembered with it. They stand in the journal, and so in its timeline."""

from typing import Final
from uuid import UUID

from callout_orders import checks
from callout_store.errors import NotFound
from callout_store.ids import new_id
from callout_store.journal import Entry, write
from callout_store.work import Work

NOTE_CHARS_MAX: Final = checks.TEXT_CHARS_MAX
KIND: Final = "work_order.note_added"


async def add_note(work: Work, order_id: UUID, text: str) -> UUID:
    """Add a note; its id. It cannot be changed afterwards. Raises BadField or NotFound."""
    said = checks.text("text", text, chars_max=NOTE_CHARS_MAX)
    there = await work.fetchval(
        "select true from work_order where org_id = callout_org() and id = $1", order_id
    )
    if not there:
        raise NotFound(entity="work order", path="id")
    note_id = new_id()
    await write(
        work,
        Entry(
            kind=KIND,
            entity="work_order",
            entity_id=order_id,
            order_id=order_id,
            data={"noteId": note_id, "text": said},
        ),
    )
    return note_id
