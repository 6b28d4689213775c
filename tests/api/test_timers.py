"""Timers: each fires once per epoch, whatever crashes or runs beside it, and not because a clock leapt."""

import asyncio
from datetime import UTC, datetime, timedelta
from uuid import UUID
from weakref import WeakKeyDictionary

import pytest

from callout_backend.embedded import Urls
from callout_backend.jobs.drain import drain
from callout_store import timers
from callout_store.clock import ManualClock
from callout_store.ids import new_id
from callout_store.outbox import Claimed
from callout_store.work import Database

PAST = datetime(2020, 1, 1, tzinfo=UTC)
FUTURE = datetime(2100, 1, 1, tzinfo=UTC)


@pytest.fixture
async def org_id(db: Database) -> UUID:
    id_ = new_id()
    async with db.work(id_) as work:
        await work.execute(
            "insert into organisation (id, slug, name) values ($1, $2, 'O')", id_, f"o-{id_.hex}"
        )
    async with db.system_work() as work:
        await work.execute("update clock_guard set frozen_until = null")
        await work.execute("update timer set state = 'canceled' where state = 'armed'")
        await work.execute("update outbox set state = 'done' where state <> 'done'")
    return id_


async def fired(db: Database, org_id: UUID) -> list[str]:
    """What the outbox owes because of timers, by dedupe key."""
    async with db.work(org_id) as work:
        rows = await work.fetch("select dedupe_key from outbox where org_id = $1 order by dedupe_key", org_id)
    return [row["dedupe_key"] for row in rows]


async def test_four_firers_and_two_thousand_timers(
    db: Database, org_id: UUID, database_urls: Urls, scale: int
) -> None:
    """A milestone that fires twice alarms twice; one that is skipped is a missed SLA nobody hears of."""
    count = 2000 * scale
    async with db.work(org_id) as work:
        await timers.arm_many(work, [(f"t{n}", PAST, "note", {"n": n}) for n in range(count)])
        await timers.arm(work, key="later", due_at=FUTURE, channel="note", payload={})
    assert database_urls.database is not None
    firers = [Database(database_urls.database, pool_max=2) for _ in range(4)]
    for one in firers:
        await one.start()

    async def fire_all(one: Database) -> int:
        total = 0
        while n := await timers.fire_due(one, limit=100):
            total += n
        return total

    try:
        shares = await asyncio.gather(*(fire_all(one) for one in firers))
    finally:
        for one in firers:
            await one.stop()
    assert sum(shares) == count
    assert sorted(await fired(db, org_id)) == sorted(f"timer:t{n}:1" for n in range(count))


async def test_a_moved_timer_makes_the_old_firing_stale(db: Database, org_id: UUID) -> None:
    """A reassigned visit would be reported late by the deadline it had before."""
    heard: list[tuple[int, bool]] = []

    async def handler(_: Database, item: Claimed) -> None:
        async with db.work(item.org_id) as work:
            epoch = item.payload["timerEpoch"]
            heard.append((epoch, await timers.is_current(work, key=item.payload["timerKey"], epoch=epoch)))

    async with db.work(org_id) as work:
        assert await timers.arm(work, key="a", due_at=PAST, channel="note", payload={"x": 1}) == 1
    assert await timers.fire_due(db) == 1
    async with db.work(org_id) as work:
        assert await timers.arm(work, key="a", due_at=PAST, channel="note", payload={}) == 2
    await drain(db, {"note": handler})
    assert heard == [(1, False), (2, True)]


async def test_setting_a_timer_again_overwrites_nobody(db: Database, org_id: UUID) -> None:
    """Whoever handles a firing and comes back in five minutes would put off what somebody else wants looked at now."""
    async with db.work(org_id) as work:
        await timers.arm_many(work, [(key, PAST, "note", {}) for key in ("quiet", "moved", "canceled")])
    assert await timers.fire_due(db) == 3
    async with db.work(org_id) as work:
        await timers.arm(work, key="moved", due_at=PAST, channel="note", payload={})
        await timers.cancel(work, "canceled")
        done = {
            key: await timers.again(work, key=key, epoch=1, due_at=work.now + timedelta(days=1), payload={})
            for key in ("quiet", "moved", "canceled", "unknown")
        }
    assert done == {"quiet": True, "moved": False, "canceled": False, "unknown": False}
    assert await timers.fire_due(db) == 1
    assert sorted(await fired(db, org_id)) == [
        "timer:canceled:1",
        "timer:moved:1",
        "timer:moved:2",
        "timer:quiet:1",
    ]


async def test_a_cancelled_timer_is_stale_and_does_not_fire(db: Database, org_id: UUID) -> None:
    """An order that was met or called off would still raise its alarm."""
    async with db.work(org_id) as work:
        await timers.arm_many(work, [(key, PAST, "note", {}) for key in ("fired", "armed")])
        await timers.cancel(work, "armed")
    await timers.fire_due(db)
    assert await fired(db, org_id) == ["timer:fired:1"]
    async with db.work(org_id) as work:
        assert await timers.is_current(work, key="fired", epoch=1)
        await timers.cancel(work, "fired")
        assert not await timers.is_current(work, key="fired", epoch=1)


async def test_another_organisations_timers_are_out_of_reach(db: Database, org_id: UUID) -> None:
    """Keys are the same words in every organisation: cancelling one's own must not cancel the neighbour's."""
    async with db.work(org_id) as work:
        await timers.arm(work, key="a", due_at=PAST, channel="note", payload={})
    neighbour = new_id()
    async with db.work(neighbour) as work:
        assert await timers.cancel(work, "a") == 0
        assert not await timers.is_current(work, key="a", epoch=1)
    assert await timers.fire_due(db) == 1


@pytest.mark.parametrize("leap", (timedelta(days=1), timedelta(minutes=6), timedelta(days=-1)))
async def test_a_leap_of_the_clock_freezes_firing(
    db: Database, org_id: UUID, database_urls: Urls, leap: timedelta
) -> None:
    """A server whose clock jumps a day ahead would declare every open order late at once, for ever."""
    async with db.work(org_id) as work:
        await timers.arm(work, key="a", due_at=PAST, channel="note", payload={})
    assert database_urls.database is not None
    # The database is `leap` away from what this process's clock says.
    clock = ManualClock(datetime.now(UTC) - leap)
    leapt = Database(database_urls.database, machine_clock=clock, pool_max=1)
    await leapt.start()
    try:
        assert await timers.fire_due(leapt) == 0
        # Others wait as well, for a while.
        assert await timers.fire_due(db) == 0
        assert await fired(db, org_id) == []
        async with db.system_work() as work:
            await work.execute("update clock_guard set frozen_until = now() - interval '1 second'")
        clock.set(datetime.now(UTC))
        assert await timers.fire_due(leapt) == 1
    finally:
        await leapt.stop()


@pytest.mark.parametrize("leap_s", (86_400.0, -86_400.0, 301.0))
async def test_one_machines_leap_freezes_firing_as_well(
    db: Database, org_id: UUID, monkeypatch: pytest.MonkeyPatch, leap_s: float
) -> None:
    """Where the database runs beside the worker both clocks leap together: comparing the two would show nothing."""
    monkeypatch.setattr(timers, "_looks", WeakKeyDictionary())
    await timers.fire_due(db)
    async with db.work(org_id) as work:
        await timers.arm(work, key="a", due_at=PAST, channel="note", payload={})
    really = timers._really_s
    monkeypatch.setattr(timers, "_really_s", lambda: really() - leap_s)
    assert await timers.fire_due(db) == 0
    # It is frozen for a while, and seen once: what comes after is compared with the clock as it is now.
    assert await timers.fire_due(db) == 0
    async with db.system_work() as work:
        await work.execute("update clock_guard set frozen_until = now() - interval '1 second'")
    assert await timers.fire_due(db) == 1


async def test_workers_that_slept_for_a_day_fire_at_once(
    db: Database, org_id: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A quiet weekend, or a stopped worker, is no leap: what fell due meanwhile would wait a minute for nothing."""
    monkeypatch.setattr(timers, "_looks", WeakKeyDictionary())
    await timers.fire_due(db)
    async with db.work(org_id) as work:
        await timers.arm(work, key="a", due_at=PAST, channel="note", payload={})
    timers._looks[db] = (timers._looks[db][0] - 86_400, timers._looks[db][1] - 86_400)
    assert await timers.fire_due(db) == 1


async def test_the_demos_fast_clock_does_not_freeze_timers(
    db: Database, org_id: UUID, database_urls: Urls
) -> None:
    """A day played in a minute is a leap for the business clock; leases and timers go by the machine's."""
    async with db.work(org_id) as work:
        await timers.arm(work, key="a", due_at=PAST, channel="note", payload={})
    assert database_urls.database is not None
    fast = Database(database_urls.database, clock=ManualClock(FUTURE), pool_max=1)
    await fast.start()
    try:
        assert await timers.fire_due(fast) == 1
    finally:
        await fast.stop()
