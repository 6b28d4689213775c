"""Quarantine: field work that could not be applied, kept whole where a person sees it; and conflicts to decide.

A person may mend a command: what the phone sent stays as it came, and the mended text lies beside it with who wrote it. The
receipt keeps the hash of the first, so that the phone's own replay is still known.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Literal
from uuid import UUID

import msgspec
from asyncpg import Record

from callout_dispatch.events import Clocks
from callout_store import journal
from callout_store.errors import BadField, LimitExceeded, NotFound, WrongState
from callout_store.ids import new_id
from callout_store.work import Work
from callout_sync import outcomes
from callout_sync.commands import read

PAGE_MAX = 201
"""Entries on a page; a door asks for one more than it shows."""


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """A command to keep. `category` `conflict`: it was recorded, and a person decides what follows from it."""

    command_id: UUID | None
    category: Literal["quarantined", "conflict"]
    code: str
    path: str | None
    message: str
    body: bytes
    visit_id: UUID | None
    clocks: Clocks


class Quarantined(msgspec.Struct, frozen=True, kw_only=True):
    """One entry as a person sees it; `body` is the command's JSON as it came, `mended_body` what a person made of it."""

    id: UUID
    command_id: UUID | None
    device_id: UUID
    device_name: str
    user_id: UUID
    user_name: str
    visit_id: UUID | None
    category: str
    code: str
    path: str | None
    message: str
    body: str
    received_at: datetime
    state: str
    settled_at: datetime | None
    settled_by: UUID | None
    note: str | None
    mended_body: str | None
    mended_at: datetime | None
    mended_by: UUID | None


async def keep(work: Work, kept: Sequence[Kept]) -> None:
    """Store commands of this unit of work's device, once each."""
    if not kept:
        return
    await work.execute(
        """
        insert into quarantine (id, command_id, device_id, user_id, visit_id, category, code, path, message, body,
                                received_at, clocks)
        select i, c, $8, $9, v, g, o, p, m, b, r, k::jsonb
        from unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::text[], $5::text[], $6::text[], $7::text[], $10::bytea[],
                    $11::timestamptz[], $12::text[])
            as t(i, c, v, g, o, p, m, b, r, k)
        on conflict (org_id, command_id, category) where command_id is not null do nothing
        """,
        [new_id() for _ in kept],
        [k.command_id for k in kept],
        [k.visit_id for k in kept],
        [k.category for k in kept],
        [k.code for k in kept],
        [k.path for k in kept],
        [k.message for k in kept],
        work.actor.device_id,
        work.actor.user_id,
        [k.body for k in kept],
        [k.clocks.received_at for k in kept],
        [msgspec.json.encode(k.clocks).decode() for k in kept],
    )
    await journal.write_many(
        work,
        [
            journal.Entry(
                kind=f"sync.{k.category}",
                entity="command",
                entity_id=k.command_id or new_id(),
                visit_id=k.visit_id,
                data={"code": k.code, "path": k.path},
            )
            for k in kept
        ],
    )


async def page(
    work: Work,
    *,
    state: str | None = "open",
    device_id: UUID | None = None,
    visit_id: UUID | None = None,
    category: str | None = None,
    code: str | None = None,
    after: UUID | None = None,
    limit: int = 50,
) -> list[Quarantined]:
    """Entries, newest first; `state` open, applied, dismissed or None for all; the other filters where they are given."""
    if not 1 <= limit <= PAGE_MAX:
        raise LimitExceeded(path="limit", what="rows a page", limit=PAGE_MAX, given=limit)
    rows = await work.fetch(
        """
        select q.id, q.command_id, q.device_id, d.name as device_name, q.user_id, u.name as user_name, q.visit_id,
               q.category, q.code, q.path, q.message, q.body, q.received_at, q.state, q.settled_at, q.settled_by, q.note,
               q.mended_body, q.mended_at, q.mended_by
        from quarantine q
        join device d on d.org_id = q.org_id and d.id = q.device_id
        join app_user u on u.org_id = q.org_id and u.id = q.user_id
        where q.org_id = callout_org() and ($1::text is null or q.state = $1) and ($2::uuid is null or q.id < $2)
          and ($4::uuid is null or q.device_id = $4) and ($5::uuid is null or q.visit_id = $5)
          and ($6::text is null or q.category = $6) and ($7::text is null or q.code = $7)
        order by q.id desc limit $3
        """,
        state,
        after,
        limit,
        device_id,
        visit_id,
        category,
        code,
    )
    return [
        Quarantined(
            **{**dict(row), "body": _text(row["body"]), "mended_body": _text(row["mended_body"])},
        )
        for row in rows
    ]


def _text(body: bytes | None) -> str | None:
    return None if body is None else bytes(body).decode("utf-8", "replace")


async def mend(work: Work, *, id: UUID, body: object) -> None:
    """Store what a person made of a quarantined command; the next retry runs that. What the phone sent stays as it is.

    Raises NotFound, WrongState for an entry that is settled or a conflict, BadField for a body that is no command or that
    has another id: it is still the same thing that was done.
    """
    row = await work.fetchrow(
        """
        select state, category, command_id, visit_id from quarantine
        where org_id = callout_org() and id = $1 for update
        """,
        id,
    )
    if row is None:
        raise NotFound(entity="quarantined command")
    if row["category"] != "quarantined":
        raise WrongState(entity="quarantined command", state=row["category"], needed="quarantined")
    if row["state"] != "open":
        raise WrongState(entity="quarantined command", state=row["state"], needed="open")
    item = read(0, body)
    if item.fault is not None:
        path = "body" if item.fault.path is None else f"body.{item.fault.path}"
        raise BadField(path=path, why=f"{item.fault.code} {item.fault.why}".strip())
    if item.id != row["command_id"]:
        raise BadField(path="body.id", why=f"the command's id is {row['command_id']}")
    await work.execute(
        """
        update quarantine set mended_body = $2, mended_by = $3, mended_at = $4
        where org_id = callout_org() and id = $1
        """,
        id,
        item.body,
        work.actor.user_id,
        work.now,
    )
    await journal.write(
        work,
        journal.Entry(kind="sync.mended", entity="quarantine", entity_id=id, visit_id=row["visit_id"]),
    )


async def dismiss(work: Work, *, id: UUID, note: str) -> None:
    """A person looked and decided that nothing follows; the entry and its body stay, and the phone is told."""
    row = await settle(work, id=id, state="dismissed", note=note)
    if row["command_id"] is not None:
        await outcomes.write(
            work,
            [
                outcomes.Became(
                    id=row["command_id"],
                    device_id=row["device_id"],
                    visit_id=row["visit_id"],
                    status="dismissed",
                    code=row["code"],
                    path=row["path"],
                    note=note,
                    at=work.now,
                )
            ],
        )


async def settle(work: Work, *, id: UUID, state: Literal["applied", "dismissed"], note: str | None) -> Record:
    """Close an open entry; its row as it was."""
    row = await work.fetchrow(
        """
        select state, visit_id, command_id, device_id, code, path from quarantine
        where org_id = callout_org() and id = $1 for update
        """,
        id,
    )
    if row is None:
        raise NotFound(entity="quarantined command")
    if row["state"] != "open":
        raise WrongState(entity="quarantined command", state=row["state"], needed="open")
    await work.execute(
        """
        update quarantine set state = $2, settled_at = $3, settled_by = $4, note = $5
        where org_id = callout_org() and id = $1
        """,
        id,
        state,
        work.now,
        work.actor.user_id,
        note,
    )
    await journal.write(
        work,
        journal.Entry(
            kind=f"sync.{state}",
            entity="quarantine",
            entity_id=id,
            visit_id=row["visit_id"],
            data={"note": note},
        ),
    )
    return row
