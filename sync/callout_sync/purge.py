"""Forgetting deletes: what left a phone's scopes is told for `tombstone_days`, and then no longer.

A phone whose cursor is older than what was forgotten cannot be told what left it meanwhile: it starts again, and keeps
what it has to send. Rows that are there are never forgotten, so that a phone which starts needs no deletes at all.
"""

from callout_store.work import Work

PURGE_MAX = 5000
"""Rows in one transaction: a longer one would hold the feed's horizon back for every phone."""

OLD = """
select scope_id, entity, row_id, xid from sync_feed
where org_id = callout_org() and op = 'D' and changed_at < now() - make_interval(days => (
    select tombstone_days from organisation where id = callout_org()))
order by changed_at limit $1
"""
PURGE = f"""
with old as ({OLD} for update skip locked),
gone as (
    delete from sync_feed f using old
    where f.org_id = callout_org() and f.scope_id = old.scope_id and f.entity = old.entity and f.row_id = old.row_id
    returning f.xid
),
noted as (
    insert into sync_purge as p (purged_through, purged_at) select max(xid), $2 from gone having count(*) > 0
    on conflict (org_id) do update
    set purged_through = greatest(p.purged_through, excluded.purged_through), purged_at = excluded.purged_at
)
select count(*) from gone
"""
OLD_OUTCOMES = """
delete from outcome o using (
    select id from outcome
    where org_id = callout_org() and at < now() - make_interval(days => (
        select tombstone_days from organisation where id = callout_org()))
    limit $1) old
where o.org_id = callout_org() and o.id = old.id
returning o.id
"""


async def purge(work: Work) -> int:
    """Forget a chunk of what is too old to be told; how many rows, to be called until that is 0. Run daily by a timer.

    Outcomes of commands are told to their phone as long, then they leave it like anything that leaves a scope.
    """
    told = await work.fetch(OLD_OUTCOMES, PURGE_MAX)
    work.touch("outcome", *(row["id"] for row in told))
    return len(told) + int(await work.fetchval(PURGE, PURGE_MAX, work.now))
