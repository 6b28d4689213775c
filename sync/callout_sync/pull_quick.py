"""The pull that phones repeat all day, in one round trip: nothing to write down, nothing to catch up on.

Device, horizon and page are one statement's (the database's function `look_pull`), the rows joined to one text. Whatever
is out of the ordinary (no cursor, a refusal, a wipe, an app that has learnt, deletes kept back, the minute's sign of
life) is left to `pull` in a unit of work, which looks again for itself.
"""

from functools import partial
from uuid import UUID

import msgspec

from callout_contracts import SCHEMA_VERSION, stamps
from callout_contracts.limits import PAGE_ROWS_MAX
from callout_store.errors import CursorInvalid, Refusal
from callout_store.glance import glance
from callout_store.work import Actor, Database
from callout_sync import cursor as cursors
from callout_sync.pull import PullPage, entities_of, pull, puller_of, to_be_noted

LOOK = "select * from look_pull($1, $2, $3, $4::text::xid8, $5, $6, $7::text::xid8, $8, $9)"


async def pull_page(
    db: Database,
    org_id: UUID,
    actor: Actor,
    *,
    cursor: str | None,
    limit: int,
    schema_version: int = 1,
    pending: int | None = None,
    hold_leaves: bool = False,
    app_version: str | None = None,
) -> PullPage:
    """The next page for the device of this actor, as `pull` gives it; refuses as it does."""
    page = None
    if cursor and not hold_leaves and 1 <= limit <= PAGE_ROWS_MAX:
        page = await quick(
            db,
            org_id,
            actor,
            cursor=cursor,
            limit=limit,
            schema_version=schema_version,
            app_version=app_version,
        )
    if page is not None:
        return page
    act = partial(
        pull,
        cursor=cursor,
        limit=limit,
        schema_version=schema_version,
        pending=pending,
        hold_leaves=hold_leaves,
        app_version=app_version,
    )
    # Tried again after a deadlock: it notes that the phone was seen, in a row that dispatchers lock too.
    return await db.run(org_id, act, actor=actor)


async def quick(
    db: Database,
    org_id: UUID,
    actor: Actor,
    *,
    cursor: str,
    limit: int,
    schema_version: int,
    app_version: str | None,
) -> PullPage | None:
    """The page, or None where it takes a unit of work to give or to refuse it."""
    try:
        at = cursors.parse(cursor)
    except CursorInvalid:
        return None
    schema = min(schema_version, SCHEMA_VERSION)
    if not at.base or at.schema != schema or at.since or at.left or at.behind:
        return None
    row = await glance(
        db,
        LOOK,
        org_id,
        actor.device_id,
        actor.user_id,
        str(at.xid),
        at.entity,
        at.row,
        str(at.base),
        limit,
        None if schema == SCHEMA_VERSION else entities_of(schema_version),
    )
    if row is None:
        return None
    try:
        who = puller_of(row, org_id, schema_version=schema_version, app_version=app_version)
        cursors.check(at, device=who.device_id, epoch=who.epoch, scopes=who.check)
    except Refusal:
        return None
    now = db.clock.now()
    needed_from, purged, horizon = max(at.xid, at.base), row["purged"], int(row["horizon"])
    if (
        who.wipe
        or who.withheld_from is not None
        or to_be_noted(who, at, now)
        or at.xid > horizon  # ahead of the feed: the database was set back
        or (purged is not None and needed_from <= int(purged))
    ):
        return None
    more = row["count"] == limit
    if more:
        after = msgspec.structs.replace(
            at, xid=int(row["xid"]), entity=row["entity"], row=UUID(row["row_id"])
        )
    else:
        after = msgspec.structs.replace(at, xid=max(at.xid, horizon), entity="", row=cursors.NIL)
    return PullPage(
        cursor=after.encode(),
        more=more,
        epoch=who.epoch,
        server_time=now,
        documents=msgspec.Raw(b"[" + row["documents"] + b"]"),
        count=row["count"],
        stamp=str(stamps.now(now)),
        budget_warning=who.over_budget(who.copy_bytes),
    )
