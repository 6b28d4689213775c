"""Does every phone hold what it should? Worked out once more from the domain's tables and not from the sync feed, so that a
mistake in the feed's rule shows. Used by the demo and by the swarm."""

from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

import msgspec

from callout_store.work import Database

SAMPLES_MAX: Final = 5

COPY_AGAINST_TABLES: Final = """
with copy as (
    select entity, id, doc::jsonb as doc from unnest($3::text[], $4::uuid[], $5::text[]) as t(entity, id, doc)
),
organ as (select * from organisation where id = callout_org()),
mine as (
    select v.*, coalesce((select jsonb_agg(c.engineer_id order by c.engineer_id) from visit_crew c
                          where c.org_id = v.org_id and c.visit_id = v.id), '[]') as crew
    from visit v cross join organ g
    where v.org_id = callout_org() and v.plan in ('dispatched', 'canceled')
      and (v.engineer_id = $1 or (v.engineer_id is not null and exists (
          select 1 from visit_crew c where c.org_id = v.org_id and c.visit_id = v.id and c.engineer_id = $1)))
      and (v.ended_at is null or v.ended_at > coalesce($6, now()) - g.phone_window_days * interval '1 day')
),
orders as (select o.* from work_order o where o.org_id = callout_org() and o.id in (select order_id from mine)),
assets as (select a.* from asset a where a.org_id = callout_org() and a.id in (select asset_id from orders)),
expected as (
    select 'visit' as entity, id, jsonb_build_object('id', id, 'orderId', order_id, 'number', number, 'state', state,
        'scheduledStart', scheduled_start, 'scheduledEnd', scheduled_end, 'acceptedAt', accepted_at,
        'travellingAt', travelling_at, 'arrivedAt', arrived_at, 'signedAt', signed_at, 'completedAt', completed_at,
        'endedAt', ended_at, 'outcome', outcome, 'revision', revision, 'engineerNote', engineer_note,
        'crew', crew) as doc
    from mine
    union all
    select 'work_order', id, jsonb_build_object('id', id, 'number', number, 'priority', priority, 'kind', kind,
        'description', description, 'channel', channel, 'state', state, 'skills', skills,
        'durationMinutes', duration_minutes, 'siteId', site_id, 'contactId', contact_id, 'assetId', asset_id,
        'createdAt', created_at, 'respondDueAt', respond_due_at, 'arriveDueAt', arrive_due_at,
        'resolveDueAt', resolve_due_at, 'revision', revision, 'parts', coalesce((
            select jsonb_agg(jsonb_build_object('partId', p.part_id, 'quantity', p.quantity) order by p.part_id)
            from work_order_part p where p.org_id = o.org_id and p.order_id = o.id), '[]'))
    from orders o
    union all
    select 'site', s.id, jsonb_build_object('id', s.id, 'name', s.name, 'address', s.address, 'lat', s.lat,
        'lng', s.lng, 'geofenceRadiusM', s.geofence_radius_m, 'customerName', c.name, 'accessNote', s.access_note,
        'revision', s.revision)
    from site s join customer c on c.org_id = s.org_id and c.id = s.customer_id
    where s.org_id = callout_org() and s.id in (select site_id from orders)
    union all
    select 'contact', id, jsonb_build_object('id', id, 'name', name, 'phone', phone, 'email', email, 'locale', locale,
        'revision', revision)
    from contact where org_id = callout_org() and id in (select contact_id from orders)
    union all
    select 'asset', id, jsonb_build_object('id', id, 'siteId', site_id, 'serial', serial, 'model', model, 'name', name,
        'note', note, 'revision', revision)
    from assets
    union all
    select 'history', a.id, jsonb_build_object('id', a.id, 'events',
        jsonb_agg(jsonb_build_object('id', h.id, 'orderNumber', h.number, 'kind', h.kind, 'at', h.corrected_at,
                                     'data', h.data) order by h.corrected_at desc, h.id desc))
    from assets a
    cross join lateral (
        select e.id, o.number, e.kind, e.corrected_at, e.data
        from visit_event e
        join visit v on v.org_id = e.org_id and v.id = e.visit_id
        join work_order o on o.org_id = v.org_id and o.id = v.order_id
        where e.org_id = a.org_id and e.asset_id = a.id and v.ended_at is not null
        order by e.corrected_at desc, e.id desc limit (select phone_history_events from organ)) h
    group by a.id
    union all
    select 'event', id, jsonb_build_object('id', id, 'visitId', visit_id, 'kind', kind, 'at', corrected_at,
        'deviceTime', device_time, 'receivedAt', received_at, 'geofence', geofence, 'flags', to_jsonb(flags),
        'source', source, 'data', data)
    from visit_event where org_id = callout_org() and visit_id in (select id from mine)
    union all
    select 'attachment', id, jsonb_build_object('id', id, 'visitId', visit_id, 'kind', kind,
        'sha256', encode(sha256, 'hex'), 'mediaType', media_type, 'sizeBytes', size_bytes, 'caption', caption,
        'state', state, 'code', code)
    from attachment where org_id = callout_org() and visit_id in (select id from mine)
    union all
    select 'part', id, jsonb_build_object('id', id, 'code', code, 'name', name, 'unit', unit)
    from part cross join (select phone_parts from organ) g
    where org_id = callout_org() and (phone_parts = 'all'
        or id in (select part_id from stock_level where org_id = callout_org() and holder_id = $1)
        or id in (select part_id from work_order_part
                  where org_id = callout_org() and order_id in (select id from orders)))
    union all
    select 'stock', id, jsonb_build_object('id', id, 'partId', part_id, 'quantity', quantity)
    from stock_level where org_id = callout_org() and holder_id = $1
    union all
    select 'article', r.id, jsonb_build_object('id', r.id, 'title', r.title, 'body', r.body, 'locale', r.locale,
        'kind', r.kind, 'model', r.model, 'faultCode', r.fault_code, 'revision', r.revision)
    from article r
    where r.org_id = callout_org() and r.active and (
        (r.kind is null and r.model is null and r.territory_id is null)
        or exists (
            select 1 from orders o left join assets a on a.id = o.asset_id
            where (r.kind is null or r.kind = o.kind) and (r.model is null or r.model = a.model)
              and (r.territory_id is null or r.territory_id = (
                  select territory_id from engineer where org_id = callout_org() and id = $1))))
    union all
    select 'form', f.id, jsonb_build_object('id', f.id, 'code', f.code, 'version', f.version, 'kind', f.kind,
        'title', jsonb_build_object('en', f.title_en, 'zh', f.title_zh), 'schema', f.json_schema)
    from form f
    where f.org_id = callout_org() and f.active and (f.kind is null or f.kind in (select kind from orders))
    union all
    select 'outcome', id, jsonb_build_object('id', id, 'visitId', visit_id, 'kind', kind, 'status', status, 'code', code,
        'path', path, 'message', message, 'note', note, 'at', at)
    from outcome where org_id = callout_org() and device_id = $2
)
select coalesce(e.entity, c.entity) as entity, coalesce(e.id, c.id) as id,
       case when c.id is null then 'lost' when e.id is null then 'extra' when e.doc <> c.doc then 'stale'
            else 'same' end as verdict,
       e.doc::text as expected, c.doc::text as held
from expected e full join copy c on c.entity = e.entity and c.id = e.id
"""


class Held(msgspec.Struct, frozen=True, kw_only=True):
    """One phone's copy: (entity, id, JSON text)."""

    engineer_id: UUID
    device_id: UUID
    documents: Sequence[tuple[str, str, str]]


class Copies(msgspec.Struct, frozen=True, kw_only=True):
    """All phones together. `lost`: should be there and is not; `extra`: is there and should not; `stale`: differs."""

    documents: int
    lost: int
    extra: int
    stale: int
    samples: list[str]

    @property
    def mismatched(self) -> int:
        """Documents that are wrong in any way."""
        return self.lost + self.extra + self.stale


async def compare_copies(
    db: Database, org_id: UUID, phones: Sequence[Held], *, swept_at: datetime | None = None
) -> Copies:
    """Compare every phone's copy with the tables, one statement a phone.

    Visits leave a phone by a daily sweep, not by the second: `swept_at` is the instant of the last one, None where no visit
    is old enough to leave.
    """
    verdicts: Counter[str] = Counter()
    samples: list[str] = []
    async with db.work(org_id) as work:
        for phone in phones:
            rows = await work.fetch(
                COPY_AGAINST_TABLES,
                phone.engineer_id,
                phone.device_id,
                [entity for entity, _, _ in phone.documents],
                [UUID(id_) for _, id_, _ in phone.documents],
                [doc for _, _, doc in phone.documents],
                swept_at,
            )
            verdicts.update(row["verdict"] for row in rows)
            samples += [
                f"{row['verdict']} {row['entity']} {row['id']}: expected {row['expected']}, held {row['held']}"
                for row in rows
                if row["verdict"] != "same"
            ][:SAMPLES_MAX]
    return Copies(
        documents=verdicts["same"],
        lost=verdicts["lost"],
        extra=verdicts["extra"],
        stale=verdicts["stale"],
        samples=samples[:SAMPLES_MAX],
    )
