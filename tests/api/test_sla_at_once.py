"""The SLA clock with several worker processes: each mark is spoken of once, whoever looks, and whoever dies."""

import asyncio
import os
import sys
from collections import Counter
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from worlds import World

from callout_backend.embedded import Urls
from callout_orders import intake, orders
from callout_orders.intake import NewOrder
from callout_orders.sla import extensions, milestones, pausing, reading, tiers, watch
from callout_store.work import Database

WORKERS = 4
ORDERS = 60
MINUTE = timedelta(minutes=1)


class Workers:
    """Processes that drain when they are told to."""

    def __init__(self) -> None:
        self.running: list[asyncio.subprocess.Process] = []

    async def start(self, url: str) -> None:
        script = Path(__file__).parents[1] / "support" / "sla_worker.py"
        self.running = [
            await asyncio.create_subprocess_exec(
                sys.executable,
                str(script),
                url,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
            )
            for _ in range(WORKERS)
        ]
        for one in self.running:
            assert await self._said(one) == "ready"

    async def drain(self, *, kill: int = 0) -> None:
        """All drain at once; `kill` of them die before they are through, and stay dead."""
        for one in self.running:
            assert one.stdin is not None
            one.stdin.write(b"go\n")
            await one.stdin.drain()
        victims, self.running = self.running[:kill], self.running[kill:]
        for one in victims:
            one.kill()
            await one.wait()
        for one in self.running:
            assert await self._said(one) == "done"

    async def stop(self) -> None:
        for one in self.running:
            one.terminate()
            await one.wait()

    async def _said(self, one: asyncio.subprocess.Process) -> str:
        assert one.stdout is not None
        return (await one.stdout.readline()).decode().strip()


@pytest.fixture
async def workers(database_urls: Urls) -> AsyncIterator[Workers]:
    found = Workers()
    assert database_urls.database is not None
    try:
        await found.start(database_urls.database)
        yield found
    finally:
        await found.stop()


async def make(world: World, count: int, **more: Any) -> list[UUID]:
    order = NewOrder(
        customer_id=world.customer,
        site_id=world.site,
        priority="P1",
        kind="repair",
        description="leak",
        channel="hotline",
        **more,
    )
    return [
        ref.id
        for ref in await world.db.run(
            world.org, lambda work: intake.create_orders(work, [order] * count), actor=world.dispatcher
        )
    ]


async def let_pass(world: World, minutes: int) -> None:
    """So much later, without waiting: everything that has happened moves back."""
    async with world.db.work(world.org) as work:
        await work.execute(
            "update work_order set created_at = created_at - make_interval(mins => $1) where org_id = callout_org()",
            minutes,
        )
        await work.execute(
            "update timer set due_at = due_at - make_interval(mins => $1) where state = 'armed' and key like 'sla:%'",
            minutes,
        )
        # Leases of workers that died are over too.
        await work.execute(
            "update outbox set lease_until = lease_until - make_interval(mins => $1) where state = 'leased'",
            minutes,
        )
    async with world.db.system_work() as work:
        await work.execute("update clock_guard set frozen_until = null, looked_at = now()")


async def test_four_workers_say_each_mark_once(db: Database, workers: Workers) -> None:
    """With two workers a supervisor would be called twice, and after a crash never."""
    world = await World(db).build(phones=1)
    made = await make(world, ORDERS, created_at=datetime.now(UTC) - 6 * MINUTE)

    async def said() -> Counter[str]:
        rows = await world.fetch(
            """
            select concat_ws(' ', order_id, kind, coalesce(data->>'minutes', ''), data->>'milestone') as line
            from journal where kind in ('sla.warned', 'sla.missed')
            """
        )
        return Counter(row["line"] for row in rows)

    async def everything(kill: int = 0) -> None:
        await workers.drain(kill=kill)
        # What a dead one held comes back with its lease's end.
        await let_pass(world, 0)
        async with world.db.work(world.org) as work:
            await work.execute(
                "update outbox set lease_until = now() - interval '1 second' where state = 'leased'"
            )
        await workers.drain()

    expected: Counter[str] = Counter()
    await let_pass(world, 0)
    for mark, minutes, kill in ((10, 5, 0), (5, 2, 1), (3, 3, 1), (0, 0, 0)):
        await everything(kill)
        expected.update(f"{order_id} sla.warned {mark:.1f} first_response" for order_id in made)
        if mark == 0:
            expected.update(f"{order_id} sla.missed  first_response" for order_id in made)
        assert await said() == expected
        await let_pass(world, minutes)
    await everything()
    assert await said() == expected


async def test_everything_at_once_ends_in_one_truth(db: Database) -> None:
    """Holds, priorities, tiers, moved deadlines and alarms on the same orders: none may be lost, none may deadlock for good,
    and the planning dues must be those of the clock."""
    world = await World(db).build(phones=1)
    made = await make(world, 6, created_at=datetime.now(UTC) - 6 * MINUTE)

    async def on_each(act: Any) -> None:
        for order_id in made:
            await db.run(world.org, lambda work, id_=order_id: act(work, id_), actor=world.dispatcher)  # type: ignore[misc]

    until = datetime.now(UTC) + timedelta(hours=1)

    async def hold_and_resume(work: Any, id_: UUID) -> None:
        await pausing.pause(work, id_, "parts")
        await pausing.resume(work, id_, "parts")

    async def change_tier(tier: str) -> None:
        await db.run(
            world.org, lambda work: tiers.change_tier(work, world.customer, tier), actor=world.dispatcher
        )

    await asyncio.gather(
        on_each(lambda work, id_: pausing.pause(work, id_, "customer")),
        on_each(hold_and_resume),
        on_each(lambda work, id_: orders.change_priority(work, id_, "P0")),
        on_each(lambda work, id_: extensions.move(work, id_, "arrival", 30, until, "storm")),
        on_each(lambda work, id_: watch.check(work, id_, "first_response")),
        on_each(lambda work, id_: watch.check(work, id_, "first_response")),
        on_each(lambda work, id_: milestones.responded(work, id_)),
        change_tier("gold"),
        change_tier("silver"),
        make(world, 3),
    )
    async with db.work(world.org) as work:
        found = await reading.milestones_by_order_ids(work, made)
        rows = await work.fetch(
            "select id, hold_reason, arrive_due_at, resolve_due_at from work_order where id = any($1)", made
        )
        warned = await work.fetchval("select count(*) from journal where kind = 'sla.warned'")
        numbers = await work.fetch("select array_agg(n order by n) as ns from sla_event group by order_id")
    assert warned <= len(made)
    by_id = {row["id"]: row for row in rows}
    for first, arrival, resolution in found:
        row = by_id[first.order_id]
        assert row["hold_reason"] == "customer"
        assert (first.state, arrival.state, resolution.state) == ("met", "paused", "paused")
        assert arrival.rule == resolution.rule == "p0"
        assert arrival.budget_seconds == (120 + 30) * 60
        # What it would be, had it gone on at some moment between then and now.
        left = timedelta(seconds=resolution.remaining_seconds)
        assert resolution.paused_since + left <= row["resolve_due_at"] <= resolution.planning_due_at
    assert all(row["ns"] == list(range(1, len(row["ns"]) + 1)) for row in numbers)
