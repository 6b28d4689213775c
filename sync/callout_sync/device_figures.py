"""How far behind phones are, what of theirs waits for a person, and how large their copies are: for pages of phones."""

from collections.abc import Sequence
from uuid import UUID

from msgspec import Struct

from callout_store.work import Work

LAG_ROWS_MAX = 10_000
"""Counting stops here: a phone that is further behind than this is simply far behind."""

# A device hears three scopes: the organisation's, its engineer's, its own.
_SCOPES = """
    select d.id as device_id, s.scope_id, d.pulled_xid
    from device d
    left join engineer e on e.org_id = d.org_id and e.user_id = d.user_id and e.active
    cross join lateral unnest(array[d.org_id, e.id, d.id]) as s(scope_id)
    where d.org_id = callout_org() and d.id = any($1) and s.scope_id is not null
"""


class Progress(Struct, frozen=True, kw_only=True):
    """Where a phone stands. `lag_rows`: rows it has not pulled, at most LAG_ROWS_MAX a scope, None where nobody knows (RxDB
    pulls each collection for itself, and keeps to itself how far); `lag_seconds`: since its last pull, None where it
    never pulled; then open conflicts, open quarantined commands, held commands."""

    lag_rows: int | None
    lag_seconds: float | None
    conflicts_open: int
    quarantined_open: int
    held: int


class CopySize(Struct, frozen=True, kw_only=True):
    """What lies in a phone's scopes: rows, bytes of their documents, and what its organisation allows."""

    rows: int
    bytes: int
    budget_bytes: int
    over_budget: bool


async def progress_by_device_ids(work: Work, ids: Sequence[UUID]) -> list[Progress | None]:
    """The progress of each device, in the order of the ids; three statements for all."""
    lag = await work.fetch(
        f"""
        with mine as ({_SCOPES})
        select m.device_id, sum(f.rows)::bigint as rows
        from mine m cross join lateral (
            select count(*) as rows from (
                select 1 from sync_feed f
                where f.org_id = callout_org() and f.scope_id = m.scope_id and f.op = 'U'
                  and f.xid >= coalesce(m.pulled_xid, '0'::xid8)
                union all
                select 1 from sync_feed f
                where f.org_id = callout_org() and f.scope_id = m.scope_id and f.op = 'D' and f.xid >= m.pulled_xid
                limit {LAG_ROWS_MAX}) one) f
        group by m.device_id
        """,
        list(ids),
    )
    waits = await work.fetch(
        """
        select d.id, extract(epoch from $2::timestamptz - d.pulled_at)::float8 as seconds,
            d.pulled_at is not null and d.pulled_xid is null as by_collection,
            (select count(*) from quarantine q where q.org_id = d.org_id and q.device_id = d.id and q.state = 'open'
                and q.category = 'conflict') as conflicts,
            (select count(*) from quarantine q where q.org_id = d.org_id and q.device_id = d.id and q.state = 'open'
                and q.category <> 'conflict') as quarantined,
            (select count(*) from held_command h where h.org_id = d.org_id and h.device_id = d.id
                and h.state = 'held') as held
        from device d where d.org_id = callout_org() and d.id = any($1)
        """,
        list(ids),
        work.now,
    )
    # The phone may stand on either side; open ones are few, so they are counted in one walk over their index.
    fields = await work.fetch(
        """
        select t.device_id, count(*) as conflicts from field_conflict c
        cross join lateral (
            select distinct one from unnest(array[c.kept_device_id, c.lost_device_id]) as u(one)) as t(device_id)
        where c.org_id = callout_org() and c.state = 'open' and t.device_id = any($1)
        group by t.device_id
        """,
        list(ids),
    )
    behind = {row["device_id"]: row["rows"] for row in lag}
    of_fields = {row["device_id"]: row["conflicts"] for row in fields}
    found = {
        row["id"]: Progress(
            lag_rows=None if row["by_collection"] else behind.get(row["id"], 0),
            lag_seconds=None if row["seconds"] is None else max(0.0, row["seconds"]),
            conflicts_open=row["conflicts"] + of_fields.get(row["id"], 0),
            quarantined_open=row["quarantined"],
            held=row["held"],
        )
        for row in waits
    }
    return [found.get(id_) for id_ in ids]


async def copies_by_device_ids(work: Work, ids: Sequence[UUID]) -> list[CopySize | None]:
    """How much each device should hold, in the order of the ids; each scope is added up once for all its devices."""
    rows = await work.fetch(
        f"""
        with mine as ({_SCOPES}),
        sizes as (
            select s.scope_id, count(*) as rows, sum(octet_length(f.body)) as bytes
            from (select distinct scope_id from mine) s
            join sync_feed f on f.org_id = callout_org() and f.scope_id = s.scope_id and f.op = 'U'
            group by s.scope_id
        )
        select m.device_id, coalesce(sum(z.rows), 0)::bigint as rows, coalesce(sum(z.bytes), 0)::bigint as bytes,
            (select phone_budget_mb from organisation where id = callout_org())::bigint * 1000000 as budget
        from mine m left join sizes z on z.scope_id = m.scope_id
        group by m.device_id
        """,
        list(ids),
    )
    found = {
        row["device_id"]: CopySize(
            rows=row["rows"],
            bytes=row["bytes"],
            budget_bytes=row["budget"],
            over_budget=row["bytes"] > row["budget"],
        )
        for row in rows
    }
    return [found.get(id_) for id_ in ids]
