"""Quarantine: field work that could not be applied, kept whole where a person sees it; and conflicts to decide."""

from collections.abc import Sequence
from datetime import datetime
from typing import Literal
from uuid import UUID

import msgspec

from callout_store import journal
from callout_store.errors import LimitExceeded, NotFound, WrongState
from callout_store.ids import new_id
from callout_store.work import Work

PAGE_MAX = 200


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """A command to keep. `category` `conflict`: it was recorded, and a person decides what follows from it."""

    command_id: UUID | None
    category: Literal["quarantined", "conflict"]
    code: str
    path: str | None
    message: str
    body: bytes
    visit_id: UUID | None


class Quarantined(msgspec.Struct, frozen=True, kw_only=True):
    """One entry as a person sees it; `body` is the command's JSON as it came."""

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


async def keep(work: Work, kept: Sequence[Kept]) -> None:
    """Store commands of this unit of work's device, once each."""
    if not kept:
        return
    await work.execute(
        """
        insert into quarantine (id, command_id, device_id, user_id, visit_id, category, code, path, message, body,
                                received_at)
        select i, c, $8, $9, v, g, o, p, m, b, $10
        from unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::text[], $5::text[], $6::text[], $7::text[], $11::bytea[])
            as t(i, c, v, g, o, p, m, b)
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
        work.now,
        [k.body for k in kept],
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
    work: Work, *, state: str | None = "open", after: UUID | None = None, limit: int = 50
) -> list[Quarantined]:
    """Entries, newest first; `state` open, applied, dismissed or None for all."""
    if not 1 <= limit <= PAGE_MAX:
        raise LimitExceeded(path="limit", what="rows a page", limit=PAGE_MAX, given=limit)
    rows = await work.fetch(
        """
        select q.id, q.command_id, q.device_id, d.name as device_name, q.user_id, u.name as user_name, q.visit_id,
               q.category, q.code, q.path, q.message, q.body, q.received_at, q.state, q.settled_at, q.settled_by, q.note
        from quarantine q
        join device d on d.org_id = q.org_id and d.id = q.device_id
        join app_user u on u.org_id = q.org_id and u.id = q.user_id
        where q.org_id = callout_org() and ($1::text is null or q.state = $1) and ($2::uuid is null or q.id < $2)
        order by q.id desc limit $3
        """,
        state,
        after,
        limit,
    )
    return [
        Quarantined(**{**dict(row), "body": bytes(row["body"]).decode("utf-8", "replace")}) for row in rows
    ]


async def dismiss(work: Work, *, id: UUID, note: str) -> None:
    """A person looked and decided that nothing follows; the entry and its body stay."""
    await settle(work, id=id, state="dismissed", note=note)


async def settle(work: Work, *, id: UUID, state: Literal["applied", "dismissed"], note: str | None) -> None:
    """Close an open entry."""
    row = await work.fetchrow(
        "select state, visit_id from quarantine where org_id = callout_org() and id = $1 for update", id
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
