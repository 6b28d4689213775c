"""Who sees what on a phone: the one rule, and how it becomes feed rows.

A scope is a bucket of rows: one per engineer (its id is the engineer's) and one for the whole organisation (its id is
the organisation's). A device holds its engineer's scope and the organisation's. The rule:

* a visit lies in its engineer's scope once it was dispatched, and until `phone_window_days` after it ended;
* its events, its order, and that order's site, contact and asset lie where the visit lies;
* a van's stock lies in its engineer's scope; the parts catalogue lies in the organisation's.

`refresh` runs inside the transaction that changed rows, over those rows only. It reads what each scope should hold now
and upserts the difference into `sync_feed`: documents as ready JSON text, leavers as deletes.

Two transactions that change a scope's membership from different sides could each miss the other's uncommitted half (one
takes a visit away and with it its site, the other brings a second visit of that site). So the scopes concerned are
locked first, and the rule is read after: READ COMMITTED shows a statement all that was committed before it began.
"""

from collections.abc import Iterable
from uuid import UUID

import msgspec

from callout_store.work import Touched, Work

ENTITIES = ("visit", "work_order", "site", "contact", "asset", "event", "part", "stock")
SWEEP_MAX = 2000
PLANNED_ANEW_ROWS = 200
"""From so many rows on, planning anew costs nothing beside the work."""
NOTIFY_SCOPES_MAX = 150
"""A NOTIFY payload may hold 8,000 bytes; a scope id takes 36 and a comma."""
CHANNEL = "callout_poke"

VISIBLE_VISIT = """
    v.engineer_id is not null and v.plan <> 'scheduled'
    and (v.ended_at is null or v.ended_at > now() - make_interval(days => (
        select phone_window_days from organisation where id = callout_org())))
"""

HOLDERS = f"""
select distinct h.scope_id, case when t.entity = 'visit' then t.row_id end as visit_id, false as wanted
from unnest($1::text[], $2::uuid[]) as t(entity, row_id)
cross join lateral (
    select f.scope_id from sync_feed f
    where f.org_id = callout_org() and f.entity = t.entity and f.row_id = t.row_id and f.op = 'U'
    offset 0) h
union all
select v.engineer_id, v.id, true
from visit v where v.org_id = callout_org() and v.id = any($3) and {VISIBLE_VISIT}
union all
select distinct v.engineer_id, null::uuid, true
from visit_event e join visit v on v.org_id = e.org_id and v.id = e.visit_id
where e.org_id = callout_org() and e.id = any($4) and v.engineer_id is not null
union all
select distinct l.holder_id, null::uuid, true from stock_level l where l.org_id = callout_org() and l.id = any($5)
"""
# OFFSET 0 keeps the planner from turning a few index look-ups into a join with the whole feed.

CHILDREN = """
with o as (
    select distinct o.id, o.site_id, o.contact_id, o.asset_id
    from visit v join work_order o on o.org_id = v.org_id and o.id = v.order_id
    where v.org_id = callout_org() and v.id = any($1)
)
select 'work_order' as entity, id as row_id from o
union select 'site', site_id from o
union select 'contact', contact_id from o where contact_id is not null
union select 'asset', asset_id from o where asset_id is not null
union select 'event', e.id from visit_event e where e.org_id = callout_org() and e.visit_id = any($1)
"""

VISIT_DOC = """v.id, v.order_id as "orderId", v.number, v.state, v.scheduled_start as "scheduledStart",
    v.scheduled_end as "scheduledEnd", v.accepted_at as "acceptedAt", v.travelling_at as "travellingAt",
    v.arrived_at as "arrivedAt", v.signed_at as "signedAt", v.completed_at as "completedAt", v.ended_at as "endedAt",
    v.outcome, v.revision"""
ORDER_DOC = """o.id, o.number, o.priority, o.kind, o.description, o.channel, o.state, o.skills,
    o.duration_minutes as "durationMinutes", o.site_id as "siteId", o.contact_id as "contactId",
    o.asset_id as "assetId", o.created_at as "createdAt", o.respond_due_at as "respondDueAt",
    o.arrive_due_at as "arriveDueAt", o.resolve_due_at as "resolveDueAt", o.revision"""
SITE_DOC = """s.id, s.name, s.address, s.lat, s.lng, s.geofence_radius_m as "geofenceRadiusM",
    c.name as "customerName\""""
EVENT_DOC = """e.id, e.visit_id as "visitId", e.kind, e.corrected_at as "at", e.device_time as "deviceTime",
    e.received_at as "receivedAt", e.geofence, e.flags, e.source, e.data"""

WANTED = f"""
select v.engineer_id as scope_id, 'visit' as entity, v.id as row_id, (
    select row_to_json(d)::text from (select {VISIT_DOC}) d) as doc
from visit v where v.org_id = callout_org() and v.id = any($1) and {VISIBLE_VISIT}
union all
select h.engineer_id, 'work_order', o.id, (select row_to_json(d)::text from (select {ORDER_DOC}) d)
from work_order o
cross join lateral (
    select distinct v.engineer_id from visit v
    where v.org_id = o.org_id and v.order_id = o.id and {VISIBLE_VISIT}) h
where o.org_id = callout_org() and o.id = any($2)
union all
select h.engineer_id, 'site', s.id, (select row_to_json(d)::text from (select {SITE_DOC}) d)
from site s
join customer c on c.org_id = s.org_id and c.id = s.customer_id
cross join lateral (
    select distinct v.engineer_id from work_order o join visit v on v.org_id = o.org_id and v.order_id = o.id
    where o.org_id = s.org_id and o.site_id = s.id and {VISIBLE_VISIT}) h
where s.org_id = callout_org() and s.id = any($3)
union all
select h.engineer_id, 'contact', c.id, (
    select row_to_json(d)::text from (select c.id, c.name, c.phone, c.email, c.locale) d)
from contact c
cross join lateral (
    select distinct v.engineer_id from work_order o join visit v on v.org_id = o.org_id and v.order_id = o.id
    where o.org_id = c.org_id and o.contact_id = c.id and {VISIBLE_VISIT}) h
where c.org_id = callout_org() and c.id = any($4)
union all
select h.engineer_id, 'asset', a.id, (
    select row_to_json(d)::text from (select a.id, a.site_id as "siteId", a.serial, a.model, a.name) d)
from asset a
cross join lateral (
    select distinct v.engineer_id from work_order o join visit v on v.org_id = o.org_id and v.order_id = o.id
    where o.org_id = a.org_id and o.asset_id = a.id and {VISIBLE_VISIT}) h
where a.org_id = callout_org() and a.id = any($5)
union all
select v.engineer_id, 'event', e.id, (select row_to_json(d)::text from (select {EVENT_DOC}) d)
from visit_event e
join visit v on v.org_id = e.org_id and v.id = e.visit_id
where e.org_id = callout_org() and e.id = any($6) and {VISIBLE_VISIT}
union all
select callout_org(), 'part', p.id, (select row_to_json(d)::text from (select p.id, p.code, p.name, p.unit) d)
from part p where p.org_id = callout_org() and p.id = any($7)
union all
select l.holder_id, 'stock', l.id, (
    select row_to_json(d)::text from (select l.id, l.part_id as "partId", l.quantity) d)
from stock_level l join engineer g on g.org_id = l.org_id and g.id = l.holder_id
where l.org_id = callout_org() and l.id = any($8)
"""

WRITE = f"""
with wanted as ({WANTED}),
gone as (
    select f.scope_id, f.entity, f.row_id
    from (
        select 'visit' as entity, unnest($1::uuid[]) as row_id
        union all select 'work_order', unnest($2::uuid[])
        union all select 'site', unnest($3::uuid[])
        union all select 'contact', unnest($4::uuid[])
        union all select 'asset', unnest($5::uuid[])
        union all select 'event', unnest($6::uuid[])
        union all select 'part', unnest($7::uuid[])
        union all select 'stock', unnest($8::uuid[])
    ) t
    join sync_feed f on f.org_id = callout_org() and f.entity = t.entity and f.row_id = t.row_id and f.op = 'U'
    where not exists (
        select 1 from wanted w where w.scope_id = f.scope_id and w.entity = f.entity and w.row_id = f.row_id)
)
insert into sync_feed as f (org_id, scope_id, entity, row_id, op, body)
select callout_org(), scope_id, entity, row_id, 'U',
       '{{"entity":"' || entity || '","id":"' || row_id || '","op":"upsert","doc":' || doc || '}}'
from wanted
union all
select callout_org(), scope_id, entity, row_id, 'D',
       '{{"entity":"' || entity || '","id":"' || row_id || '","op":"delete"}}'
from gone
on conflict (org_id, scope_id, entity, row_id) do update
set op = excluded.op, body = excluded.body, xid = pg_current_xact_id()
where f.op <> excluded.op or f.body <> excluded.body
returning f.scope_id
"""

LOCK = "select pg_advisory_xact_lock(k) from (select unnest($1::bigint[]) as k) t"


async def refresh(work: Work, touched: Touched) -> None:
    """Bring the feed up to date with the touched rows; runs as a hook before commit."""
    rows = {entity: set(ids) for entity, ids in touched.rows.items() if entity in ENTITIES and ids}
    if not rows:
        return
    scopes, moved = await _scopes_of(work, rows)
    if moved:
        for child in await work.fetch(CHILDREN, list(moved)):
            rows.setdefault(child["entity"], set()).add(child["row_id"])
        more, _ = await _scopes_of(work, rows)
        scopes |= more
    if rows.get("part"):
        scopes.add(work.org_id)
    if sum(map(len, rows.values())) >= PLANNED_ANEW_ROWS:
        # A connection may hold a plan from when the tables were empty: over a day's dispatch it takes minutes.
        await work.execute("set local plan_cache_mode = force_custom_plan")
    locked: set[UUID] = set()
    told: set[UUID] = set()
    while True:
        await work.fetch(LOCK, sorted(_lock_key(scope) for scope in scopes - locked))
        locked |= scopes
        written = await work.fetch(WRITE, *(list(rows.get(entity, ())) for entity in ENTITIES))
        scopes = {row["scope_id"] for row in written}
        told |= scopes
        if scopes <= locked:
            break
        # Membership changed between the look and the lock: lock the newcomers too and read the rule once more.
    await _poke(work, told)


async def sweep(work: Work) -> int:
    """Let visits leave the phones whose window has passed, and come back where the window was made longer.

    Returns how many were looked at. Run daily by a timer, and when the window changes. Takes the visits' rows like
    everybody who changes what a phone holds: a visit that is just being reported on is left for the next sweep.
    """
    rows = await work.fetch(
        f"""
        select v.id from sync_feed f join visit v on v.org_id = f.org_id and v.id = f.row_id
        where f.org_id = callout_org() and f.entity = 'visit' and f.op = 'U' and not ({VISIBLE_VISIT})
        limit $1
        for update of v skip locked
        """,
        SWEEP_MAX,
    )
    rows += await work.fetch(
        f"""
        select v.id from visit v
        where v.org_id = callout_org() and v.ended_at is not null and {VISIBLE_VISIT} and not exists (
            select 1 from sync_feed f
            where f.org_id = v.org_id and f.scope_id = v.engineer_id and f.entity = 'visit' and f.row_id = v.id
              and f.op = 'U')
        limit $1
        for update of v skip locked
        """,
        SWEEP_MAX,
    )
    work.touch("visit", *(row["id"] for row in rows))
    return len(rows)


async def _scopes_of(work: Work, rows: dict[str, set[UUID]]) -> tuple[set[UUID], set[UUID]]:
    """The scopes that hold or will hold the rows, and the visits whose scopes change."""
    pairs = [(entity, id_) for entity, ids in rows.items() for id_ in ids]
    visits = rows.get("visit", set())
    found = await work.fetch(
        HOLDERS,
        [entity for entity, _ in pairs],
        [id_ for _, id_ in pairs],
        list(visits),
        list(rows.get("event", ())),
        list(rows.get("stock", ())),
    )
    now: dict[UUID, set[UUID]] = {}
    then: dict[UUID, set[UUID]] = {}
    for row in found:
        if row["visit_id"] is not None:
            (now if row["wanted"] else then).setdefault(row["visit_id"], set()).add(row["scope_id"])
    moved = {id_ for id_ in visits if now.get(id_) != then.get(id_)}
    return {row["scope_id"] for row in found}, moved


async def _poke(work: Work, scopes: Iterable[UUID]) -> None:
    """Tell the listeners of all processes, at commit, that these scopes and the organisation's board have news."""
    ids = sorted(str(scope) for scope in scopes)
    for start in range(0, max(len(ids), 1), NOTIFY_SCOPES_MAX):
        payload = {"org": str(work.org_id), "scopes": ids[start : start + NOTIFY_SCOPES_MAX]}
        await work.execute("select pg_notify($1, $2)", CHANNEL, msgspec.json.encode(payload).decode())


def _lock_key(scope: UUID) -> int:
    """A 64-bit advisory key; two scopes that share one only wait for each other."""
    return int.from_bytes(scope.bytes[-8:], "big", signed=True)
