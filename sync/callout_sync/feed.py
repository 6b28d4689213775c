"""Reading the feed: pages that are safe against late commits.

A feed row carries the id of the transaction that wrote it. A page is read in ONE statement, whose snapshot gives both
the rows and the horizon: rows at or above the oldest transaction still running are left for a later pull, since an older
one may yet commit below them. A cursor made of a sequence or a timestamp loses such rows for ever.

Rows that are there and rows that left are read from an index each, so that a phone that starts steps over no tombstones.
"""

from collections.abc import Sequence
from uuid import UUID

from asyncpg import Record

from callout_store.errors import ResyncRequired
from callout_store.work import Work
from callout_sync import cursor as cursors

NO_DELETES = 2**63
"""Above every transaction id: a device that has nothing needs no deletes."""

# One lower bound for the deletes: with two of them PostgreSQL would begin at the cursor and step over what is older.
READ_PAGE = """
with h as (
    select pg_snapshot_xmin(pg_current_snapshot()) as horizon, (
        select purged_through from sync_purge where org_id = callout_org()) as purged
)
select f.xid::text as xid, f.entity, f.row_id, f.body, h.horizon::text as horizon, h.purged::text as purged
from h left join lateral (
    select p.xid, p.entity, p.row_id, p.body
    from unnest($1::uuid[]) as s(scope_id)
    cross join lateral (
        (select xid, entity, row_id, body from sync_feed f
        where f.org_id = callout_org() and f.scope_id = s.scope_id and f.op = 'U'
          and (f.xid, f.entity, f.row_id) > ($2::text::xid8, $3::text, $4::uuid) and f.xid < h.horizon
        order by f.xid, f.entity, f.row_id limit $6)
        union all
        (select xid, entity, row_id, body from sync_feed f
        where f.org_id = callout_org() and f.scope_id = s.scope_id and f.op = 'D'
          and (f.xid, f.entity, f.row_id) > (
              greatest($2::text::xid8, $5::text::xid8),
              case when $2::text::xid8 >= $5::text::xid8 then $3::text else '' end,
              case when $2::text::xid8 >= $5::text::xid8 then $4::uuid
                  else '00000000-0000-0000-0000-000000000000' end)
          and f.xid < h.horizon and not exists (
              select 1 from sync_feed o
              where o.org_id = f.org_id and o.entity = f.entity and o.row_id = f.row_id and o.op = 'U'
                and o.scope_id = any($1))
        order by f.xid, f.entity, f.row_id limit $6)
    ) p
    order by p.xid, p.entity, p.row_id limit $6
) f on true
order by f.xid, f.entity, f.row_id
"""
_SCOPE = "f.scope_id = s.scope_id"
READ_SOME = READ_PAGE.replace(_SCOPE, f"{_SCOPE} and f.entity = any($7)")
"""The same for some entities only."""
READ_BEHIND = READ_SOME.replace(
    "f.xid < h.horizon", "(f.xid, f.entity, f.row_id) <= ($8::text::xid8, $9::text, $10::uuid)"
).replace("f.op = 'U'\n", "f.op = 'U' and $11\n")
"""Behind a place where a device stands already: nothing there can be committed late."""


async def read_page(
    work: Work,
    scopes: list[UUID],
    at: cursors.Cursor,
    limit: int,
    entities: Sequence[str] | None = None,
    *,
    deletes: bool = True,
) -> tuple[list[Record], int]:
    """Rows after a cursor, in feed order, and the horizon below which they lie: both of one statement's snapshot.

    `entities` are those to read, None all of them; without `deletes` rows that left are left out. Raises ResyncRequired
    where deletes that this device may need were purged, and for a place that lies ahead of the feed.
    """
    since = at.base if at.base and deletes else NO_DELETES
    args = [scopes, str(at.xid), at.entity, at.row, str(since), limit]
    if entities is None:
        rows = await work.fetch(READ_PAGE, *args)
    else:
        rows = await work.fetch(READ_SOME, *args, list(entities))
    horizon = int(rows[0]["horizon"])
    if at.xid > horizon:
        # No place is ahead of the database that told it: this one was set back to an earlier state.
        raise ResyncRequired(path="cursor", reason="epoch")
    if at.base:
        check_purged(rows, max(at.xid, at.base))
    return [row for row in rows if row["xid"] is not None], horizon


async def read_behind(
    work: Work,
    scopes: list[UUID],
    at: cursors.Cursor,
    limit: int,
    entities: Sequence[str],
    *,
    deletes_from: int,
    deletes_only: bool = False,
) -> list[Record]:
    """Rows from `at.behind` up to where the cursor stands, in feed order: what the device did not get at the time."""
    xid, entity, row = at.behind or (0, "", cursors.NIL)
    rows = await work.fetch(
        READ_BEHIND,
        scopes,
        str(xid),
        entity,
        row,
        str(deletes_from),
        limit,
        list(entities),
        str(at.xid),
        at.entity,
        at.row,
        not deletes_only,
    )
    check_purged(rows, deletes_from)
    return [row for row in rows if row["xid"] is not None]


def check_purged(rows: Sequence[Record], needed_from: int) -> None:
    """Raises ResyncRequired where deletes were purged that a device needs which needs those from a transaction on."""
    purged = rows[0]["purged"]
    if purged is not None and needed_from <= int(purged):
        raise ResyncRequired(path="cursor", reason="tombstones")


COUNT = """
select count(*) from sync_feed f
where f.org_id = callout_org() and f.scope_id = any($1) and f.op = 'U' and f.entity = any($2)
"""
MEASURE = """
select count(*) as rows, coalesce(sum(octet_length(body)), 0)::bigint as bytes from sync_feed f
where f.org_id = callout_org() and f.scope_id = any($1) and f.op = 'U' and f.entity = any($2)
"""
COUNT_BEHIND = """
select count(*) from sync_feed f
where f.org_id = callout_org() and f.scope_id = any($1) and f.op = 'U' and f.entity = any($2)
  and (f.xid, f.entity, f.row_id) <= ($3::text::xid8, $4::text, $5::uuid)
"""
ANY_LEFT = """
select exists (
    select 1 from unnest($1::uuid[]) as s(scope_id) cross join lateral (
        select 1 from sync_feed f
        where f.org_id = callout_org() and f.scope_id = s.scope_id and f.op = 'D' and f.entity = any($2)
          and f.xid >= $3::text::xid8 and f.xid <= $4::text::xid8
        limit 1) f)
"""


async def count(work: Work, scopes: list[UUID], entities: Sequence[str]) -> int:
    """Rows that the scopes hold of these entities; read from an index alone."""
    return int(await work.fetchval(COUNT, scopes, list(entities)))


async def measure(work: Work, scopes: list[UUID], entities: Sequence[str]) -> tuple[int, int]:
    """Rows and bytes of what the scopes hold of these entities."""
    row = await work.fetchrow(MEASURE, scopes, list(entities))
    return (row["rows"], row["bytes"]) if row else (0, 0)


async def count_behind(work: Work, scopes: list[UUID], at: cursors.Cursor, entities: Sequence[str]) -> int:
    """Rows of these entities up to where the cursor stands."""
    return int(await work.fetchval(COUNT_BEHIND, scopes, list(entities), str(at.xid), at.entity, at.row))


async def any_left(work: Work, scopes: list[UUID], entities: Sequence[str], first: int, last: int) -> bool:
    """Whether rows left one of the scopes in transactions from `first` to `last`."""
    return bool(await work.fetchval(ANY_LEFT, scopes, list(entities), str(first), str(last)))
