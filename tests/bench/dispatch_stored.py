"""A pick in an organisation with more and more of stored orders: what is over must not make the next pick slower."""

from __future__ import annotations

import statistics
import time
from datetime import timedelta
from uuid import UUID

import asyncpg
from depots import NINE, Depot, standing_database
from dispatch_report import Row, verdict
from dispatch_settings import STORED

from callout_backend.embedded import Urls
from callout_dispatch import assign

ENGINEERS = 50
BATCH = 50_000
PICKS = 40
FLAT = 1.3
"""Times of the same pick differ by that much from one run to the next anyway."""

STORE = """
with given as materialized (select n, gen_random_uuid() as id from generate_series($4::int, $5::int) n),
stored as (
    insert into work_order select (jsonb_populate_record(o, jsonb_build_object(
        'id', g.id, 'number', 'OLD-' || g.n, 'state', 'closed'))).*
    from work_order o cross join given g where o.id = $1)
insert into visit select (jsonb_populate_record(v, jsonb_build_object(
    'id', gen_random_uuid(), 'order_id', g.id, 'number', 1, 'plan', 'dispatched', 'state', 'completed',
    'engineer_id', ($3::uuid[])[1 + g.n % cardinality($3)],
    'scheduled_start', v.scheduled_start - g.n / cardinality($3) * interval '2 hours' - interval '5 days',
    'scheduled_end', v.scheduled_end - g.n / cardinality($3) * interval '2 hours' - interval '5 days',
    'ended_at', v.scheduled_end - g.n / cardinality($3) * interval '2 hours' - interval '5 days'))).*
from visit v cross join given g where v.id = $2
"""


async def flat(urls: Urls) -> list[Row]:
    """Milliseconds of a pick among 50 engineers, database included, for each number of stored orders."""
    assert urls.database is not None
    async with standing_database(urls.database) as (database, _):
        depot = await Depot(database).build()
        people = await depot.crew(*(1.0 + n / 10 for n in range(ENGINEERS)))
        old_id, asked_id = await depot.order(), await depot.order()
        async with depot.work() as work:
            visit_id = await assign.assign(work, old_id, people[0], NINE + timedelta(hours=1))
        found: dict[int, list[float]] = {}
        stored = 0
        for count in STORED:
            await _store(urls, old_id, visit_id, people, stored, count)
            stored = count
            found[count] = await _picks(depot, asked_id)
            print(f"stored orders {count:,}: pick {statistics.median(found[count]):.2f} ms", flush=True)
    few, many = min(found), max(found)
    ratio = statistics.median(found[many]) / statistics.median(found[few])
    return [
        Row(
            work=f"a pick, database included, with {many:,} stored orders",
            ours=_told(found[many]),
            beside=f"with {few:,} {_told(found[few])}",
            ratio=f"{ratio:.2f} x",
            target=f"flat: <= {FLAT:g} x",
            verdict=verdict(ratio <= FLAT),
        )
    ]


async def _store(
    urls: Urls, old_id: UUID, visit_id: UUID, people: list[UUID], stored: int, count: int
) -> None:
    """Closed orders with a visit each up to that number, copied from one; engineers take turns."""
    connection = await asyncpg.connect(urls.admin)
    try:
        # Copies of rows that are sound: no key is checked a million times.
        await connection.execute("set session_replication_role = replica")
        for first in range(stored + 1, count + 1, BATCH):
            last = min(first + BATCH - 1, count)
            await connection.execute(STORE, old_id, visit_id, people, first, last)
        await connection.execute("vacuum analyze")
    finally:
        await connection.close()


async def _picks(depot: Depot, order_id: UUID) -> list[float]:
    spent = []
    for n in range(PICKS + 5):
        async with depot.work() as work:
            began = time.perf_counter()
            proposed = await assign.propose(work, order_id)
            if n >= 5:  # The first ones warm caches up.
                spent.append((time.perf_counter() - began) * 1000)
        assert len(proposed.result.ranked) == ENGINEERS
    return spent


def _told(spent: list[float]) -> str:
    return f"p50 {statistics.median(spent):.1f}, p95 {statistics.quantiles(spent, n=20)[-1]:.1f} ms"
