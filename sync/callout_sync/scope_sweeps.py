"""What no write brings about, as SQL: rows of the feed that lie elsewhere than the rule says, or are written otherwise."""

from typing import Final

from callout_sync.scope_rules import (
    ALL_PARTS,
    HISTORY_EVENTS,
    HISTORY_SHAPE,
    HOLDERS_OF_VISIT,
    SHAPE,
    VISIBLE_VISIT,
)

VISITS: Final = (
    # Their window has passed.
    f"""
    select v.id from sync_feed f join visit v on v.org_id = f.org_id and v.id = f.row_id
    where f.org_id = callout_org() and f.entity = 'visit' and f.op = 'U' and not ({VISIBLE_VISIT})
    limit $1
    for update of v skip locked
    """,
    # It was made longer.
    f"""
    select v.id from visit v
    where v.org_id = callout_org() and v.ended_at is not null and {VISIBLE_VISIT} and not exists (
        select 1 from sync_feed f
        where f.org_id = v.org_id and f.scope_id = v.engineer_id and f.entity = 'visit' and f.row_id = v.id
          and f.op = 'U')
    limit $1
    for update of v skip locked
    """,
)
"""Visits that leave the phones or come back, at most `$1` each. Takes the visits' rows like everybody who changes what a
phone holds: a visit that is just being reported on is left for the next sweep."""

ROWS: Final = (
    # Documents as an earlier version of the house made them.
    f"""
    select distinct entity, row_id from sync_feed
    where org_id = callout_org() and op = 'U' and shape < {SHAPE} limit $1
    """,
    # Histories cut to another number of events, and those of assets that had none under another number.
    f"""
    select distinct entity, row_id from sync_feed
    where org_id = callout_org() and entity = 'history' and op = 'U'
      and shape <> {SHAPE} + {HISTORY_SHAPE} * {HISTORY_EVENTS}
    limit $1
    """,
    f"""
    select distinct 'history' as entity, f.row_id from sync_feed f
    where f.org_id = callout_org() and f.entity = 'asset' and f.op = 'U' and {HISTORY_EVENTS} > 0
      and not exists (
        select 1 from sync_feed h
        where h.org_id = f.org_id and h.scope_id = f.scope_id and h.entity = 'history' and h.row_id = f.row_id
          and h.op = 'U')
      and exists (
        select 1 from visit_event e join visit v on v.org_id = e.org_id and v.id = e.visit_id
        where e.org_id = f.org_id and e.asset_id = f.row_id and v.ended_at is not null)
    limit $1
    """,
    f"""
    select 'part' as entity, p.id as row_id from part p
    where p.org_id = callout_org() and {ALL_PARTS} and not exists (
        select 1 from sync_feed f
        where f.org_id = p.org_id and f.scope_id = p.org_id and f.entity = 'part' and f.row_id = p.id and f.op = 'U')
    limit $1
    """,
    f"""
    select distinct f.entity, f.row_id from sync_feed f
    where f.org_id = callout_org() and f.entity = 'part' and f.op = 'U'
      and (f.scope_id = callout_org()) <> {ALL_PARTS}
    limit $1
    """,
    f"""
    select distinct 'part' as entity, n.part_id as row_id
    from (
        select l.holder_id as scope_id, l.part_id from stock_level l
        join engineer g on g.org_id = l.org_id and g.id = l.holder_id
        where l.org_id = callout_org()
        union
        select h.scope_id, n.part_id from visit v
        join work_order_part n on n.org_id = v.org_id and n.order_id = v.order_id
        cross join {HOLDERS_OF_VISIT} h
        where v.org_id = callout_org() and {VISIBLE_VISIT}) n
    where not {ALL_PARTS} and not exists (
        select 1 from sync_feed f
        where f.org_id = callout_org() and f.scope_id = n.scope_id and f.entity = 'part' and f.row_id = n.part_id
          and f.op = 'U')
    limit $1
    """,
)
"""Rows (entity, row_id) of all kinds, at most `$1` each."""
