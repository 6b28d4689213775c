"""After the day: does every phone hold what it should, and is every command exactly once where it belongs?

What a phone should hold is worked out here once more, from the tables of the domain and not from the sync feed, so that
a mistake in the feed's rule shows.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Any, Final
from uuid import UUID

import msgspec

from callout_backend.demo.crew import EngineerDay, Made
from callout_store.work import Database, Work

SAMPLES_MAX: Final = 5

COPY_AGAINST_TABLES: Final = """
with copy as (
    select entity, id, doc::jsonb as doc from unnest($2::text[], $3::uuid[], $4::text[]) as t(entity, id, doc)
),
mine as (
    select v.* from visit v join organisation g on g.id = v.org_id
    where v.org_id = callout_org() and v.engineer_id = $1 and v.plan in ('dispatched', 'canceled')
      and (v.ended_at is null or v.ended_at > now() - g.phone_window_days * interval '1 day')
),
orders as (select o.* from work_order o where o.org_id = callout_org() and o.id in (select order_id from mine)),
expected as (
    select 'visit' as entity, id, jsonb_build_object('id', id, 'orderId', order_id, 'number', number, 'state', state,
        'scheduledStart', scheduled_start, 'scheduledEnd', scheduled_end, 'acceptedAt', accepted_at,
        'travellingAt', travelling_at, 'arrivedAt', arrived_at, 'signedAt', signed_at, 'completedAt', completed_at,
        'endedAt', ended_at, 'outcome', outcome, 'revision', revision) as doc
    from mine
    union all
    select 'work_order', id, jsonb_build_object('id', id, 'number', number, 'priority', priority, 'kind', kind,
        'description', description, 'channel', channel, 'state', state, 'skills', skills,
        'durationMinutes', duration_minutes, 'siteId', site_id, 'contactId', contact_id, 'assetId', asset_id,
        'createdAt', created_at, 'respondDueAt', respond_due_at, 'arriveDueAt', arrive_due_at,
        'resolveDueAt', resolve_due_at, 'revision', revision)
    from orders
    union all
    select 'site', s.id, jsonb_build_object('id', s.id, 'name', s.name, 'address', s.address, 'lat', s.lat,
        'lng', s.lng, 'geofenceRadiusM', s.geofence_radius_m, 'customerName', c.name)
    from site s join customer c on c.org_id = s.org_id and c.id = s.customer_id
    where s.org_id = callout_org() and s.id in (select site_id from orders)
    union all
    select 'contact', id, jsonb_build_object('id', id, 'name', name, 'phone', phone, 'email', email, 'locale', locale)
    from contact where org_id = callout_org() and id in (select contact_id from orders)
    union all
    select 'asset', id, jsonb_build_object('id', id, 'siteId', site_id, 'serial', serial, 'model', model, 'name', name)
    from asset where org_id = callout_org() and id in (select asset_id from orders)
    union all
    select 'event', id, jsonb_build_object('id', id, 'visitId', visit_id, 'kind', kind, 'at', corrected_at,
        'deviceTime', device_time, 'receivedAt', received_at, 'geofence', geofence, 'flags', to_jsonb(flags),
        'source', source, 'data', data)
    from visit_event where org_id = callout_org() and visit_id in (select id from mine)
    union all
    select 'part', id, jsonb_build_object('id', id, 'code', code, 'name', name, 'unit', unit)
    from part where org_id = callout_org()
    union all
    select 'stock', id, jsonb_build_object('id', id, 'partId', part_id, 'quantity', quantity)
    from stock_level where org_id = callout_org() and holder_id = $1
)
select coalesce(e.entity, c.entity) as entity, coalesce(e.id, c.id) as id,
       case when c.id is null then 'lost' when e.id is null then 'extra' when e.doc <> c.doc then 'stale'
            else 'same' end as verdict,
       e.doc::text as expected, c.doc::text as held
from expected e full join copy c on c.entity = e.entity and c.id = e.id
"""

COMMANDS: Final = """
with made as (select * from unnest($1::uuid[], $2::text[]) as t(id, kind)),
counted as (
    select m.id, m.kind,
        (select count(*) from visit_event e where e.org_id = callout_org() and e.id = m.id) as events,
        (select count(*) from quarantine q
         where q.org_id = callout_org() and q.command_id = m.id and q.category = 'quarantined') as quarantined,
        (select count(*) from stock_move s where s.org_id = callout_org() and s.event_id = m.id) as moves,
        (select count(*) from signature s where s.org_id = callout_org() and s.event_id = m.id) as signatures,
        coalesce(j.lines, 0) as lines
    from made m
    left join (select entity_id, count(*) as lines from journal where org_id = callout_org() and entity = 'event'
               group by entity_id) j on j.entity_id = m.id
)
select id, kind, events, quarantined, moves, signatures, lines,
    events + quarantined = 0
        or (events = 1 and (lines = 0 or (kind = 'visit.replace_part' and moves = 0)
                            or (kind = 'visit.sign' and signatures = 0))) as lost,
    events + quarantined > 1 or lines > 1 or moves > 1 or signatures > 1 as doubled
from counted
"""

CLOCKS: Final = """
select count(*) as events, count(*) filter (where 'time_uncertain' = any(e.flags)) as uncertain,
    coalesce(max(abs(extract(epoch from e.device_time - m.at))), 0)::float8 as phone_off_max_s,
    coalesce(percentile_cont(0.5) within group (order by abs(extract(epoch from e.corrected_at - m.at))), 0)::float8
        as corrected_off_median_s,
    coalesce(max(abs(extract(epoch from e.corrected_at - m.at))), 0)::float8 as corrected_off_max_s
from unnest($1::uuid[], $2::timestamptz[]) as m(id, at)
join visit_event e on e.org_id = callout_org() and e.id = m.id
"""

STOCK: Final = """
select count(*) from stock_level l
where l.org_id = callout_org() and l.quantity <> coalesce((
    select sum(m.quantity) from stock_move m
    where m.org_id = l.org_id and m.holder_id = l.holder_id and m.part_id = l.part_id), 0)
"""

STRANGERS: Final = """
select count(*) from visit_event e
where e.org_id = callout_org() and e.source = 'phone' and not (e.id = any($1::uuid[]))
"""


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


class Commands(msgspec.Struct, frozen=True, kw_only=True):
    """What became of the commands. `from_nowhere`: events that no phone made; `stock_wrong`: levels not their sum."""

    made: int
    events: int
    quarantined: int
    lost: int
    doubled: int
    from_nowhere: int
    stock_wrong: int
    samples: list[str]


async def compare_copies(db: Database, org_id: UUID, days: Sequence[EngineerDay]) -> Copies:
    """Compare every phone's copy with the tables, one statement a phone."""
    verdicts: Counter[str] = Counter()
    samples: list[str] = []
    async with db.work(org_id) as work:
        for day in days:
            held = day.phone.store.documents()
            rows = await work.fetch(
                COPY_AGAINST_TABLES,
                day.seat.id,
                [entity for entity, _, _ in held],
                [UUID(id_) for _, id_, _ in held],
                [doc for _, _, doc in held],
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


async def compare_commands(db: Database, org_id: UUID, made: Sequence[Made]) -> Commands:
    """Every command that a phone ever made is in the events or in the quarantine, once, and so are its effects."""
    real = [one for one in made if not one.twin]
    async with db.work(org_id) as work:
        rows = await work.fetch(COMMANDS, [UUID(one.id) for one in real], [one.kind for one in real])
        return Commands(
            made=len(real),
            events=sum(row["events"] for row in rows),
            quarantined=sum(row["quarantined"] for row in rows),
            lost=sum(row["lost"] for row in rows),
            doubled=sum(row["doubled"] for row in rows),
            from_nowhere=await work.fetchval(STRANGERS, [UUID(one.id) for one in real]),
            stock_wrong=await work.fetchval(STOCK),
            samples=[str(dict(row)) for row in rows if row["lost"] or row["doubled"]][:SAMPLES_MAX],
        )


async def compare_clocks(db: Database, org_id: UUID, made: Sequence[Made]) -> dict[str, float]:
    """How wrong the phones' clocks were, and how wrong the corrected times are: seconds of the fast day, in which one
    second of a slow network counts as many times more as the day runs faster."""
    async with db.work(org_id) as work:
        row = await work.fetchrow(CLOCKS, [UUID(one.id) for one in made], [one.at for one in made])
    assert row is not None
    return {name: round(value, 1) for name, value in row.items()}


async def tallies(work: Work) -> dict[str, Any]:
    """What the day left behind, counted in the tables."""

    async def by(sql: str) -> dict[str, int]:
        return {row[0]: row[1] for row in await work.fetch(sql)}

    return {
        "visits": await by(
            "select state, count(*) from visit where org_id = callout_org() group by 1 order by 1"
        ),
        "orders": await by(
            "select state, count(*) from work_order where org_id = callout_org() group by 1 order by 1"
        ),
        "events": await by(
            "select kind, count(*) from visit_event where org_id = callout_org() group by 1 order by 1"
        ),
        "geofence": await by(
            "select geofence, count(*) from visit_event where org_id = callout_org() group by 1 order by 1"
        ),
        "flags": await by(
            "select unnest(flags), count(*) from visit_event where org_id = callout_org() group by 1 order by 1"
        ),
        "conflicts": await by(
            "select code, count(*) from quarantine where org_id = callout_org() and category = 'conflict' "
            "group by 1 order by 1"
        ),
        "quarantined": await by(
            "select code, count(*) from quarantine where org_id = callout_org() and category = 'quarantined' "
            "group by 1 order by 1"
        ),
        "sign_offs": await by(
            "select case when link_id is null then 'phone' else 'link' end || ' ' || decision, count(*) "
            "from signature where org_id = callout_org() group by 1 order by 1"
        ),
        "sla_missed": await by(
            "select data->>'milestone', count(*) from journal where org_id = callout_org() and kind = 'sla.missed' "
            "group by 1 order by 1"
        ),
        "moves": int(
            await work.fetchval(
                "select count(*) from stock_move where org_id = callout_org() and event_id is not null"
            )
        ),
    }
