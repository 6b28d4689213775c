"""Outcomes: what became of a command that was not simply applied, as a document for the phone that sent it.

An answer reaches a phone once, and what follows later would not reach it at all: a held command is applied, a person mends
a quarantined one or decides that nothing follows. The document lies in the scope of the device and is pulled like all else.
"""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import msgspec

from callout_store.work import Work


class Became(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a command: `id` and `kind` are the command's; `status` as in `callout_contracts.documents.Outcome`."""

    id: UUID
    device_id: UUID
    status: str
    kind: str = ""
    visit_id: UUID | None = None
    code: str | None = None
    path: str | None = None
    message: str | None = None
    note: str | None = None
    at: datetime


async def write(work: Work, rows: Sequence[Became]) -> None:
    """Write outcomes, or write them anew: one a command. A later one that does not know the kind or the visit keeps them."""
    if not rows:
        return
    await work.execute(
        """
        insert into outcome as o (id, device_id, visit_id, kind, status, code, path, message, note, at)
        select id, device_id, visit_id, kind, status, code, path, message, note, at
        from json_to_recordset($1::text::json) as t(
            id uuid, device_id uuid, visit_id uuid, kind text, status text, code text, path text, message text, note text,
            at timestamptz)
        on conflict (org_id, id) do update
        set status = excluded.status, code = excluded.code, path = excluded.path, message = excluded.message,
            note = excluded.note, at = excluded.at, visit_id = coalesce(excluded.visit_id, o.visit_id),
            kind = coalesce(nullif(excluded.kind, ''), o.kind)
        where o.device_id = excluded.device_id
        """,
        msgspec.json.encode(rows).decode(),
    )
    work.touch("outcome", *(row.id for row in rows))
