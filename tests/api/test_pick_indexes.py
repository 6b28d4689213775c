"""A pick reads the days ahead, not all that was ever done: every statement of it goes by an index."""

import json
from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any

import asyncpg
from depots import NINE, Depot

from callout_backend.embedded import Urls
from callout_dispatch import assign

GROWING = frozenset(
    {
        "visit",
        "visit_crew",
        "visit_event",
        "work_order",
        "shift",
        "shift_break",
        "absence",
        "decision",
        "journal",
    }
)
"""Tables with a row for all that ever happened."""
OLD = 4_000


def nodes(plan: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    yield plan
    for below in plan.get("Plans", ()):
        yield from nodes(below)


async def grow(depot: Depot) -> None:
    """A year of work that is over, copied from one visit, and shifts and absences with it."""
    people = await depot.crew(1, 2)
    order_id = await depot.order()
    async with depot.work() as work:
        visit_id = await assign.assign(work, order_id, people[0], NINE + timedelta(hours=1))
        await work.execute(
            """
            insert into work_order select (jsonb_populate_record(o, jsonb_build_object(
                'id', gen_random_uuid(), 'number', 'OLD-' || n, 'state', 'closed'))).*
            from work_order o cross join generate_series(1, $2) n where o.id = $1
            """,
            order_id,
            OLD,
        )
        await work.execute(
            """
            insert into visit select (jsonb_populate_record(v, jsonb_build_object(
                'id', gen_random_uuid(), 'order_id', o.id, 'number', 1, 'plan', 'dispatched', 'state', 'completed',
                'scheduled_start', v.scheduled_start - o.n * interval '2 hours' - interval '5 days',
                'scheduled_end', v.scheduled_end - o.n * interval '2 hours' - interval '5 days',
                'ended_at', v.scheduled_end - o.n * interval '2 hours' - interval '5 days'))).*
            from visit v cross join (
                select id, row_number() over () as n from work_order where state = 'closed') o
            where v.id = $1
            """,
            visit_id,
        )
        await work.execute(
            """
            insert into visit_crew (visit_id, engineer_id, added_at)
            select id, $1, ended_at from visit where ended_at is not null
            """,
            people[1],
        )
        await work.execute(
            """
            insert into shift select (jsonb_populate_record(s, jsonb_build_object('id', gen_random_uuid(),
                'starts_at', s.starts_at - n * interval '1 day', 'ends_at', s.ends_at - n * interval '1 day'))).*
            from shift s cross join generate_series(1, $1) n
            """,
            OLD // 2,
        )
        await work.execute(
            """
            insert into shift_break (id, shift_id, engineer_id, earliest, latest, minutes)
            select gen_random_uuid(), id, engineer_id, starts_at + interval '3 hours', starts_at + interval '5 hours', 30
            from shift
            """
        )
        await work.execute(
            """
            insert into absence (id, org_id, engineer_id, starts_at, ends_at, reason)
            select gen_random_uuid(), callout_org(), $1, $2::timestamptz - n * interval '1 day',
                   $2::timestamptz - n * interval '1 day' + interval '1 hour', 'leave'
            from generate_series(1, $3) n
            """,
            people[0],
            NINE,
            OLD,
        )


async def test_old_work_is_never_read(depot: Depot, database_urls: Urls) -> None:
    """With a scan among its statements, a pick would take longer with every order of the last ten years."""
    await grow(depot)
    order_id = await depot.order()
    owner = await asyncpg.connect(database_urls.owner)
    await owner.execute("analyze")
    await owner.close()
    asked: list[Any] = []
    async with depot.work() as work:
        work.conn.add_query_logger(asked.append)
        try:
            assert len((await assign.propose(work, order_id)).result.ranked) == 2
        finally:
            work.conn.remove_query_logger(asked.append)
        looked_at: set[str] = set()
        for record in asked:
            if not record.query.lstrip().lower().startswith(("select", "with")):
                continue
            told = await work.fetchval(f"explain (format json) {record.query}", *record.args)
            [plan] = json.loads(told) if isinstance(told, str) else told
            for node in nodes(plan["Plan"]):
                table = node.get("Relation Name")
                looked_at.add(str(table))
                scan = node["Node Type"] == "Seq Scan" and table in GROWING
                assert not scan, f"all of {table} is read by {record.query}"
    assert {"visit", "shift", "shift_break", "absence", "work_order"} <= looked_at
