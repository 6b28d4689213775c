"""The journal: what happened, in business terms, written in the transaction that did it and never changed.

Message threads, SLA clocks, the dispatcher's screen, reports and bridges read it. Its rows carry the writer's
transaction id, so that a reader can follow it with the same late-commit-safe cursor as the phones' feed.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from callout_store.columns import column, json_column
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


def write_from(work: Work, rows: str, ids: Sequence[UUID], entries: Sequence[Entry]) -> None:
    """Write entries at the end of this unit of work, their columns read from what was put off under a name.

    `rows` selects from it (id, at, kind, entity, entity_id, order_id, visit_id, data): the same as stands in `entries`,
    which are noted for the hooks only.
    """
    work.lines += zip(ids, entries, strict=True)
    actor = work.actor
    work.later(
        f"""
        insert into journal (org_id, id, at, kind, entity, entity_id, order_id, visit_id, data,
                             actor_id, actor_role, device_id)
        select (select callout_org()), t.*, $1::uuid, $2::text, $3::uuid from ({rows}) t
        """,
        actor.user_id,
        actor.role,
        actor.device_id,
    )


def write_later(work: Work, entries: Sequence[Entry]) -> None:
    """Write a batch of entries at the end of this unit of work, together with what else can wait until then."""
    if entries:
        work.later(INSERT, *_rows(work, entries))


INSERT = """
insert into journal (org_id, id, at, kind, entity, entity_id, order_id, visit_id, actor_id, actor_role, device_id, data)
select (select callout_org()), i, at, k, e, ei, o, v, $9::uuid, $10::text, $11::uuid, d
from unnest($1::text::uuid[], $2::text::timestamptz[], $3::text::text[], $4::text::text[], $5::text::uuid[],
    $6::text::uuid[], $7::text::uuid[], $8::text::jsonb[]) as t(i, at, k, e, ei, o, v, d)
"""


def _rows(work: Work, entries: Sequence[Entry]) -> tuple[Any, ...]:
    """The statement's parameters; the lines are noted for the hooks."""
    actor = work.actor
    ids = [new_id() for _ in entries]
    work.lines += zip(ids, entries, strict=True)
    return (
        column(ids),
        column([entry.at or work.now for entry in entries]),
        column([entry.kind for entry in entries]),
        column([entry.entity for entry in entries]),
        column([entry.entity_id for entry in entries]),
        column([entry.order_id for entry in entries]),
        column([entry.visit_id for entry in entries]),
        json_column([entry.data for entry in entries]),
        actor.user_id,
        actor.role,
        actor.device_id,
    )
