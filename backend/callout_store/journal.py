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
    actor = work.actor
    lines = [(new_id(), entry) for entry in entries]
    await work.execute(
        """
        insert into journal (id, at, kind, entity, entity_id, order_id, visit_id, actor_id, actor_role, device_id, data)
        select i, a, k, e, ei, o, v, $9, $10, $11, d::jsonb
        from unnest($1::uuid[], $2::timestamptz[], $3::text[], $4::text[], $5::uuid[], $6::uuid[], $7::uuid[], $8::text[])
            as t(i, a, k, e, ei, o, v, d)
        """,
        [id_ for id_, _ in lines],
        [e.at or work.now for e in entries],
        [e.kind for e in entries],
        [e.entity for e in entries],
        [e.entity_id for e in entries],
        [e.order_id for e in entries],
        [e.visit_id for e in entries],
        [msgspec.json.encode(e.data).decode() for e in entries],
        actor.user_id,
        actor.role,
        actor.device_id,
    )
    work.lines += lines
