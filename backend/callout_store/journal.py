"""The journal: what happened, in business terms, written in the transaction that did it and never changed.

Message threads, SLA clocks, the dispatcher's screen, reports and bridges read it. Its rows carry the writer's
transaction id, so that a reader can follow it with the same late-commit-safe cursor as the phones' feed.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from callout_store.ids import new_id
from callout_store.work import Work


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One line. `kind` is `<entity>.<what happened>`; `data` holds what a reader needs beside the rows themselves."""

    kind: str
    entity: str
    entity_id: UUID
    order_id: UUID | None = None
    visit_id: UUID | None = None
    at: datetime | None = None
    data: Mapping[str, Any] = {}


async def write(work: Work, *entries: Entry) -> None:
    """Write entries as the actor of this unit of work, in one statement."""
    if entries:
        await write_many(work, entries)


async def write_many(work: Work, entries: Sequence[Entry]) -> None:
    """Write a batch of entries in one statement."""
    await work.execute(INSERT, *_rows(work, entries))


def write_later(work: Work, entries: Sequence[Entry]) -> None:
    """Write a batch of entries at the end of this unit of work, together with what else can wait until then."""
    work.later(INSERT, *_rows(work, entries))


# One JSON text instead of typed arrays: the driver's encoding of those was the dearest part of a push.
INSERT = """
insert into journal (id, at, kind, entity, entity_id, order_id, visit_id, actor_id, actor_role, device_id, data)
select id, at, kind, entity, entity_id, order_id, visit_id, $2::uuid, $3::text, $4::uuid, data
from json_to_recordset($1::text::json) as t(
    id uuid, at timestamptz, kind text, entity text, entity_id uuid, order_id uuid, visit_id uuid, data jsonb)
"""


def _rows(work: Work, entries: Sequence[Entry]) -> tuple[Any, ...]:
    """The statement's parameters; the lines are noted for the hooks."""
    actor = work.actor
    lines = [(new_id(), entry) for entry in entries]
    work.lines += lines
    rows = [
        {
            "id": id_,
            "at": entry.at or work.now,
            "kind": entry.kind,
            "entity": entry.entity,
            "entity_id": entry.entity_id,
            "order_id": entry.order_id,
            "visit_id": entry.visit_id,
            "data": entry.data,
        }
        for id_, entry in lines
    ]
    return msgspec.json.encode(rows).decode(), actor.user_id, actor.role, actor.device_id
