"""What the clients of rows read: pages of one collection, single documents, and who wrote their fields."""

import uuid
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
from asyncpg import Record

from callout_contracts import SCHEMA_VERSION
from callout_dispatch import engineers
from callout_store.errors import DeviceRequired
from callout_store.work import Work
from callout_sync.cursor import Cursor
from callout_sync.feed import read_page
from callout_sync.pull import SEEN_EVERY_S, puller, scopes_of


class Stand(msgspec.Struct, frozen=True, kw_only=True):
    """A device that may pull; `start` is where it begins.

    `check` changes with the device, with what it holds, and with the epoch. Deletes written up to `purged` may be gone.
    """

    device_id: UUID
    engineer_id: UUID | None
    scopes: list[UUID]
    check: UUID
    start: Cursor
    purged: int
    wipe: bool
    pulled_at: datetime | None
    pulled_xid: int | None


class Version(msgspec.Struct, frozen=True, kw_only=True):
    """Who wrote a field last, in which transaction, and what was there before."""

    xid: int
    device_id: UUID | None
    before: Any


class _Body(msgspec.Struct):
    doc: dict[str, Any]


_decode_body = msgspec.json.Decoder(_Body).decode


async def stand(work: Work, *, app_version: str | None = None) -> Stand:
    """The device of this unit of work's actor. Refuses what a pull refuses: no device, a revoked or stolen one, an app
    that is too old."""
    who = await puller(work, schema_version=SCHEMA_VERSION, app_version=app_version)
    purged = await work.fetchval(
        "select purged_through::text from sync_purge where org_id = callout_org()",
    )
    return Stand(
        device_id=who.device_id,
        engineer_id=who.engineer_id,
        scopes=who.scopes,
        check=uuid.uuid5(who.epoch, ",".join(map(str, (who.device_id, *who.scopes)))),
        start=who.start(),
        purged=int(purged or 0),
        wipe=who.wipe,
        pulled_at=who.pulled_at,
        pulled_xid=who.pulled_xid,
    )


async def holdings(work: Work) -> tuple[UUID, list[UUID]]:
    """The device of this unit of work's actor and the scopes it holds, for a push. Refuses where there is none."""
    device_id = work.actor.device_id
    if device_id is None:
        raise DeviceRequired(what="push")
    engineer_id = await work.fetchval(
        "select id from engineer where org_id = callout_org() and user_id = $1 and active", work.actor.user_id
    )
    return device_id, scopes_of(work.org_id, engineer_id, device_id)


async def seen(work: Work, where: Stand, *, xid: int | None = None) -> None:
    """Note the sign of life, at most once a minute and when a first pull is known to have arrived: a pull that writes is
    a transaction that holds the horizon. `xid`: how far the device is, where that is one place for all that it holds."""
    arrived = bool(xid) and not where.pulled_xid
    if arrived or where.pulled_at is None or work.now - where.pulled_at > timedelta(seconds=SEEN_EVERY_S):
        # The engineer before the device, as a push locks them: the other way round both wait for each other.
        if where.engineer_id is not None:
            await engineers.mark_seen(work, where.engineer_id)
        await work.execute(
            """
            update device set last_seen_at = $2, pulled_at = $2, schema_version = $3,
                              pulled_xid = coalesce($4::text::xid8, pulled_xid)
            where org_id = callout_org() and id = $1
            """,
            where.device_id,
            work.now,
            SCHEMA_VERSION,
            None if xid is None else str(xid),
        )


async def rows_after(
    work: Work, where: Stand, *, entity: str, xid: int, row_id: UUID, base: int, limit: int
) -> tuple[list[Record], int]:
    """Feed rows of one entity after `(xid, row_id)`, and the horizon below which they lie: of one snapshot.

    Deletes older than `base` (0: all of them) are of rows that the client never had.
    """
    at = msgspec.structs.replace(where.start, base=base, xid=xid, entity=entity, row=row_id)
    return await read_page(work, where.scopes, at, limit, [entity])


async def latest(work: Work, where: Stand, *, entity: str) -> Record | None:
    """The row of an entity that was written last."""
    return await work.fetchrow(
        """
        select xid::text as xid, row_id, op, body from sync_feed
        where org_id = callout_org() and scope_id = any($1) and entity = $2
          and xid < pg_snapshot_xmin(pg_current_snapshot())
        order by xid desc, row_id desc limit 1
        """,
        where.scopes,
        entity,
    )


async def masters(
    work: Work, scopes: Sequence[UUID], entity: str, ids: Sequence[UUID]
) -> dict[UUID, dict[str, Any]]:
    """Documents as a device that holds these scopes would pull them now."""
    if not ids:
        return {}
    rows = await work.fetch(
        """
        select row_id, body from sync_feed
        where org_id = callout_org() and entity = $2 and row_id = any($3) and op = 'U' and scope_id = any($1)
        """,
        list(scopes),
        entity,
        list(ids),
    )
    return {row["row_id"]: _decode_body(row["body"]).doc for row in rows}


async def versions(work: Work, entity: str, ids: Sequence[UUID]) -> dict[UUID, dict[str, Version]]:
    """Row → field → who wrote it last; nothing for what was never written since the row was made."""
    if not ids:
        return {}
    rows = await work.fetch(
        """
        select row_id, field, xid::text as xid, device_id, before::text as before from field_version
        where org_id = callout_org() and entity = $1 and row_id = any($2)
        """,
        entity,
        list(ids),
    )
    found: dict[UUID, dict[str, Version]] = {}
    for row in rows:
        found.setdefault(row["row_id"], {})[row["field"]] = Version(
            xid=int(row["xid"]), device_id=row["device_id"], before=msgspec.json.decode(row["before"])
        )
    return found


async def send_again(
    work: Work,
    device_id: UUID,
    scopes: Sequence[UUID],
    *,
    entity: str,
    present: Sequence[UUID],
    gone: Sequence[UUID],
) -> None:
    """Have rows pulled again by whoever holds them (`present`), or pulled as deletes by this device (`gone`).

    For clients that take an accepted push for the truth: what they believe to have written is not what stands here.
    """
    if present:
        await work.execute(
            """
            update sync_feed set xid = pg_current_xact_id()
            where org_id = callout_org() and entity = $2 and row_id = any($3) and op = 'U' and scope_id = any($1)
            """,
            list(scopes),
            entity,
            sorted(present),
        )
    if gone:
        await work.execute(
            """
            insert into sync_feed (org_id, scope_id, entity, row_id, op, body)
            select callout_org(), $1, $2, id, 'D',
                   '{"entity":"' || $2 || '","id":"' || id || '","op":"delete"}'
            from unnest($3::uuid[]) as t(id)
            on conflict (org_id, scope_id, entity, row_id) do update set xid = pg_current_xact_id(), changed_at = now()
            where sync_feed.op = 'D'
            """,
            device_id,
            entity,
            sorted(gone),
        )
