"""After the day: does every phone hold what it should, and is every command exactly once where it belongs?

What a phone should hold is worked out here once more, from the tables of the domain and not from the sync feed, so that
a mistake in the feed's rule shows.
"""

from collections.abc import Sequence
from typing import Any, Final
from uuid import UUID

import msgspec

from callout_backend.demo.crew import Made
from callout_store.work import Database, Work

SAMPLES_MAX: Final = 5

COMMANDS: Final = """
with made as (select * from unnest($1::uuid[], $2::text[]) as t(id, kind)),
counted as (
    select m.id, m.kind,
        (select count(*) from visit_event e where e.org_id = callout_org() and e.id = m.id) as events,
        (select count(*) from receipt r
         where r.org_id = callout_org() and r.command_id = m.id and m.kind = 'record.edit'
           and r.answer::json->>'status' in ('applied', 'conflict')) as edits,
        (select count(*) from quarantine q
         where q.org_id = callout_org() and q.command_id = m.id and q.category = 'quarantined') as quarantined,
        (select count(*) from stock_move s where s.org_id = callout_org() and s.event_id = m.id) as moves,
        (select count(*) from signature s where s.org_id = callout_org() and s.event_id = m.id) as signatures,
        coalesce(j.lines, 0) as lines
    from made m
    left join (select entity_id, count(*) as lines from journal where org_id = callout_org() and entity = 'event'
               group by entity_id) j on j.entity_id = m.id
)
select id, kind, events, edits, quarantined, moves, signatures, lines,
    events + edits + quarantined = 0
        or (events = 1 and (lines = 0 or (kind = 'visit.replace_part' and moves = 0)
                            or (kind = 'visit.sign' and signatures = 0))) as lost,
    events + edits + quarantined > 1 or lines > 1 or moves > 1 or signatures > 1 as doubled
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

AWAITED: Final = "select count(*) from attachment where org_id = callout_org() and state = 'awaited'"

STRANGERS: Final = """
select count(*) from visit_event e
where e.org_id = callout_org() and e.source = 'phone' and not (e.id = any($1::uuid[]))
"""


class Commands(msgspec.Struct, frozen=True, kw_only=True):
    """What became of the commands. `from_nowhere`: events that no phone made; `stock_wrong`: levels not their sum;
    `awaited`: photos whose bytes never came."""

    made: int
    events: int
    edits: int
    quarantined: int
    lost: int
    doubled: int
    from_nowhere: int
    stock_wrong: int
    awaited: int
    samples: list[str]


async def compare_commands(db: Database, org_id: UUID, made: Sequence[Made]) -> Commands:
    """Every command that a phone ever made is in the events or in the quarantine, once, and so are its effects."""
    real = [one for one in made if not one.twin]
    async with db.work(org_id) as work:
        rows = await work.fetch(COMMANDS, [UUID(one.id) for one in real], [one.kind for one in real])
        return Commands(
            made=len(real),
            events=sum(row["events"] for row in rows),
            edits=sum(row["edits"] for row in rows),
            quarantined=sum(row["quarantined"] for row in rows),
            lost=sum(row["lost"] for row in rows),
            doubled=sum(row["doubled"] for row in rows),
            from_nowhere=await work.fetchval(STRANGERS, [UUID(one.id) for one in real]),
            stock_wrong=await work.fetchval(STOCK),
            awaited=await work.fetchval(AWAITED),
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
        "pictures": await by(
            "select state, count(*) from attachment where org_id = callout_org() group by 1 order by 1"
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
