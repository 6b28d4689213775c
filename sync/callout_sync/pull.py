"""Pull: pages of the feed for one device, safe against late commits.

A feed row carries the id of the transaction that wrote it. A page is read in ONE statement, whose snapshot gives both
the rows and the horizon: rows at or above the oldest transaction still running are left for a later pull, since an older
one may yet commit below them. A cursor made of a sequence or a timestamp loses such rows for ever.
"""

import uuid
from datetime import datetime
from uuid import UUID

import msgspec
from asyncpg import Record

from callout_dispatch import engineers
from callout_store.errors import DeviceRequired, DeviceRevoked, LimitExceeded
from callout_store.work import Work
from callout_sync import cursor as cursors

PAGE_MAX = 2000
SEEN_EVERY_S = 60
NO_DELETES = 2**63
"""Above every transaction id: a device that has nothing needs no deletes."""

READ_PAGE = """
with h as (select pg_snapshot_xmin(pg_current_snapshot()) as horizon)
select f.xid::text as xid, f.entity, f.row_id, f.body, h.horizon::text as horizon
from h left join lateral (
    select p.xid, p.entity, p.row_id, p.body
    from unnest($1::uuid[]) as s(scope_id)
    cross join lateral (
        select xid, entity, row_id, body from sync_feed f
        where f.org_id = callout_org() and f.scope_id = s.scope_id
          and (f.xid, f.entity, f.row_id) > ($2::text::xid8, $3::text, $4::uuid) and f.xid < h.horizon
          and (f.op = 'U' or (f.xid >= $5::text::xid8 and not exists (
              select 1 from sync_feed o
              where o.org_id = f.org_id and o.entity = f.entity and o.row_id = f.row_id and o.op = 'U'
                and o.scope_id = any($1))))
        order by f.xid, f.entity, f.row_id limit $6
    ) p
    order by p.xid, p.entity, p.row_id limit $6
) f on true
order by f.xid, f.entity, f.row_id
"""


class PullPage(msgspec.Struct, frozen=True, kw_only=True):
    """One page. `documents` is a ready JSON array; `total` (rows to come, for a progress bar) on a first pull only."""

    cursor: str
    more: bool
    epoch: UUID
    server_time: datetime
    documents: msgspec.Raw
    count: int
    total: int | None = None


async def pull(work: Work, *, cursor: str | None, limit: int) -> PullPage:
    """The next page for the device of this unit of work's actor; `limit` 1 to 2,000 rows.

    Refuses: no device, a revoked device, a cursor that is not this device's or of an earlier epoch.
    """
    if not 1 <= limit <= PAGE_MAX:
        raise LimitExceeded(path="limit", what="rows a page", limit=PAGE_MAX, given=limit)
    device_id = work.actor.device_id
    if device_id is None:
        raise DeviceRequired(what="pull")
    device = await work.fetchrow(
        """
        select d.revoked_at, d.last_seen_at, e.id as engineer_id, (select epoch from sync_epoch) as epoch
        from device d left join engineer e on e.org_id = d.org_id and e.user_id = d.user_id and e.active
        where d.org_id = callout_org() and d.id = $1 and d.user_id = $2
        """,
        device_id,
        work.actor.user_id,
    )
    if device is None:
        raise DeviceRequired(what="pull")
    if device["revoked_at"] is not None:
        raise DeviceRevoked()
    scopes = scopes_of(work.org_id, device["engineer_id"])
    check = uuid.uuid5(work.org_id, ",".join(map(str, scopes)))
    at = (
        cursors.decode(cursor, device=device_id, epoch=device["epoch"], scopes=check)
        if cursor
        else cursors.start(device=device_id, epoch=device["epoch"], scopes=check)
    )
    total = await _total(work, scopes) if not cursor else None
    found, horizon = await read_page(work, scopes, at, limit)
    more = len(found) == limit
    base = at.base or horizon
    if more:
        last = found[-1]
        after = msgspec.structs.replace(
            at, base=base, xid=int(last["xid"]), entity=last["entity"], row=last["row_id"]
        )
    else:
        # All below the horizon was sent: the next pull begins there, before any row of that transaction.
        after = msgspec.structs.replace(at, base=base, xid=max(at.xid, horizon), entity="", row=cursors.NIL)
    await _seen(work, device_id, device["engineer_id"], device["last_seen_at"])
    return PullPage(
        cursor=after.encode(),
        more=more,
        epoch=device["epoch"],
        server_time=work.now,
        documents=msgspec.Raw(("[" + ",".join(row["body"] for row in found) + "]").encode()),
        count=len(found),
        total=total,
    )


async def read_page(
    work: Work, scopes: list[UUID], at: cursors.Cursor, limit: int
) -> tuple[list[Record], int]:
    """Rows after a cursor, in feed order, and the horizon below which they lie: both of one statement's snapshot."""
    rows = await work.fetch(
        READ_PAGE, scopes, str(at.xid), at.entity, at.row, str(at.base or NO_DELETES), limit
    )
    return [row for row in rows if row["xid"] is not None], int(rows[0]["horizon"])


def scopes_of(org_id: UUID, engineer_id: UUID | None) -> list[UUID]:
    """The scopes a device holds: the organisation's, and its engineer's where its user is one."""
    return [org_id] if engineer_id is None else [org_id, engineer_id]


async def _total(work: Work, scopes: list[UUID]) -> int:
    return int(
        await work.fetchval(
            "select count(*) from sync_feed where org_id = callout_org() and scope_id = any($1) and op = 'U'",
            scopes,
        )
    )


async def _seen(work: Work, device_id: UUID, engineer_id: UUID | None, last_seen_at: datetime | None) -> None:
    """Note the sign of life, at most once a minute: a pull that writes is a transaction that holds the horizon."""
    if last_seen_at is None or (work.now - last_seen_at).total_seconds() > SEEN_EVERY_S:
        # The engineer before the device, as a push locks them: the other way round both wait for each other.
        if engineer_id is not None:
            await engineers.mark_seen(work, engineer_id)
        await work.execute(
            "update device set last_seen_at = $2 where org_id = callout_org() and id = $1",
            device_id,
            work.now,
        )
