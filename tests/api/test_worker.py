"""The worker with real arq and real Redis: nothing owed is lost, whatever of the three dies."""

import asyncio
import contextlib
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import replace
from pathlib import Path
from uuid import UUID

import pytest

from callout_backend.embedded.keys import Keys
from callout_backend.embedded.place import find_place
from callout_backend.embedded.redis import Redis
from callout_backend.jobs import sweeps, worker
from callout_backend.jobs.drain import Handlers
from callout_backend.jobs.wake import QUEUE, Waker, connect, disconnect, wake
from callout_backend.jobs.worker import Pace
from callout_backend.settings import Settings
from callout_backend.wiring import add_hooks
from callout_people.organisations import create_organisation
from callout_store import outbox
from callout_store.ids import new_id
from callout_store.outbox import Claimed, Message
from callout_store.work import Database

NEVER_S = 3600.0
WAIT_S = 20.0
QUICK = Pace(beat_s=0.5, pump_s=0.1, poll_s=0.05, patience_s=0.3)


@pytest.fixture(scope="module")
def redis() -> Iterator[Redis]:
    """A Redis of this file's own, to be stopped and flushed at will."""
    # Not below pytest's own folder, which every other run of pytest on the machine closes to the servers' user.
    folder = Path(tempfile.mkdtemp(prefix="callout-redis-"))
    folder.chmod(0o711)
    server = Redis(find_place(folder), Keys.fresh(), log=folder / "redis.log")
    server.start()
    yield server
    server.stop()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
async def org_id(db: Database) -> UUID:
    id_ = new_id()
    async with db.work(id_) as work:
        await work.execute(
            "insert into organisation (id, slug, name) values ($1, $2, 'O')", id_, f"o-{id_.hex}"
        )
    async with db.system_work() as work:
        await work.execute("update outbox set state = 'done' where state <> 'done'")
    return id_


async def owe(db: Database, org_id: UUID, *keys: str) -> None:
    async with db.work(org_id) as work:
        await outbox.send(
            work, *(Message(channel="note", stream=key, dedupe_key=key, payload={"key": key}) for key in keys)
        )


async def until(condition: Callable[[], Awaitable[bool]], seconds: float = WAIT_S) -> None:
    """Wait for a condition; fails when it does not come."""
    ends = time.monotonic() + seconds
    while not await condition():
        assert time.monotonic() < ends, "what was waited for did not happen"
        await asyncio.sleep(0.02)


class Heard:
    """A handler that notes what it was given."""

    def __init__(self) -> None:
        self.keys: list[str] = []

    async def __call__(self, _: Database, item: Claimed) -> None:
        self.keys.append(item.dedupe_key)

    async def until(self, *keys: str) -> None:
        async def all_heard() -> bool:
            return set(keys) <= set(self.keys)

        await until(all_heard)


@contextlib.asynccontextmanager
async def running(settings: Settings, handlers: Handlers, pace: Pace) -> AsyncIterator[asyncio.Task[None]]:
    stop = asyncio.Event()
    task = asyncio.create_task(worker.main(settings, handlers=handlers, pace=pace, stop=stop))
    try:
        yield task
    finally:
        stop.set()
        await asyncio.wait_for(task, WAIT_S)


async def test_a_commit_wakes_the_worker_through_arq(
    db: Database, org_id: UUID, settings: Settings, redis: Redis
) -> None:
    """Were it only the pump that found the row, every effect would come late and arq would be for show."""
    heard = Heard()
    waker = Waker(redis.url)
    waker.start()
    db.on_outbox = waker.nudge
    try:
        # Neither pump nor patience within this test: what is handled was woken through Redis.
        pace = replace(QUICK, pump_s=NEVER_S, patience_s=NEVER_S)
        async with running(replace(settings, redis_url=redis.url), {"note": heard}, pace):
            await owe(db, org_id, "first")
            await heard.until("first")
            await owe(db, org_id, "second")
            await heard.until("second")
    finally:
        db.on_outbox = None
        await waker.stop()
    assert heard.keys == ["first", "second"]


async def test_the_pump_finds_what_nobody_woke_for(
    db: Database, org_id: UUID, settings: Settings, redis: Redis
) -> None:
    """A wake-up lost between commit and Redis would leave the row until the next commit, maybe tomorrow's."""
    heard = Heard()
    # Patience is endless: it is arq that the pump wakes.
    async with running(
        replace(settings, redis_url=redis.url), {"note": heard}, replace(QUICK, patience_s=NEVER_S)
    ):
        await owe(db, org_id, "a")
        await heard.until("a")


async def test_a_flush_loses_nothing(db: Database, org_id: UUID, settings: Settings, redis: Redis) -> None:
    """Somebody flushes Redis in the belief that it is a cache; deferred work kept there would be gone."""
    heard = Heard()
    keys = [f"k{n}" for n in range(30)]
    async with running(replace(settings, redis_url=redis.url), {"note": heard}, QUICK):
        for key in keys:
            await owe(db, org_id, key)
            redis.flush()
        await heard.until(*keys)
    assert sorted(heard.keys) == sorted(keys)


async def test_work_goes_on_without_redis_and_arq_comes_back_with_it(
    db: Database, org_id: UUID, settings: Settings, redis: Redis
) -> None:
    """arq's worker exits when Redis goes away: timers, SLA alarms and webhooks would stop for the night."""
    heard = Heard()
    async with running(replace(settings, redis_url=redis.url), {"note": heard}, QUICK):
        await owe(db, org_id, "before")
        await heard.until("before")
        redis.stop()
        await owe(db, org_id, "during")
        await heard.until("during")
        redis.start()
        client = connect(redis.url)

        async def taken() -> bool:
            return bool(await client.zcard(QUEUE) == 0)

        try:
            assert await wake(client)
            await until(taken, 40)
        finally:
            await disconnect(client)
        await owe(db, org_id, "after")
        await heard.until("after")
    assert heard.keys == ["before", "during", "after"]


async def test_waking_a_dead_redis_is_quick_and_quiet(db: Database, org_id: UUID) -> None:
    """A push that waits for a dead Redis, or fails with it, would make Redis a thing the phones depend on."""
    waker = Waker("redis://127.0.0.1:1/0")
    waker.start()
    db.on_outbox = waker.nudge
    try:
        began = time.perf_counter()
        await asyncio.gather(*(owe(db, org_id, f"q{n}") for n in range(5)))
        assert time.perf_counter() - began < 5
    finally:
        db.on_outbox = None
        await waker.stop()


async def test_wake_ups_do_not_pile_up(redis: Redis) -> None:
    """With the workers down over a weekend, a wake-up a commit would fill Redis until it refuses."""
    redis.flush()
    client = connect(redis.url, "callout:test-pile")
    try:
        for _ in range(20):
            assert await wake(client)
        assert await client.zcard("callout:test-pile") <= 5
        # JSON and no pickle: who can write to Redis must not be able to run code here.
        (key,) = [key async for key in client.scan_iter("arq:job:*", count=1000)][:1]
        assert (await client.get(key)).startswith(b"{")
    finally:
        await disconnect(client)


async def test_the_heartbeat_is_seen_and_goes_with_the_worker(
    db: Database, org_id: UUID, settings: Settings, redis: Redis
) -> None:
    """A row left behind by a clean end would say "alive" for fifteen seconds after every deployment."""

    async def beats() -> int:
        async with db.work(None) as work:
            count: int = await work.fetchval("select count(*) from worker_heartbeat")
            return count

    async def one_beats() -> bool:
        return await beats() == 1

    assert await beats() == 0
    async with running(replace(settings, redis_url=redis.url), {}, QUICK):
        await until(one_beats)
    assert await beats() == 0


PROGRAM = """
import asyncio, sys
from pathlib import Path
from callout_backend.jobs import worker
from callout_backend.settings import Settings

async def handler(db, item):
    Path(sys.argv[1], f"started-{item.attempt}").touch()
    await asyncio.sleep(float(sys.argv[2]))
    Path(sys.argv[1], f"ended-{item.attempt}").touch()

pace = worker.Pace(pump_s=0.1, patience_s=0.2, lease_s=2.5, deadline_s=2.0, beat_s=0.5)
asyncio.run(worker.main(Settings.from_env(), handlers={"note": handler}, pace=pace))
"""


@contextlib.asynccontextmanager
async def worker_process(
    settings: Settings, folder: Path, sleep_s: float
) -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        PROGRAM,
        str(folder),
        str(sleep_s),
        env={**os.environ, **settings.environment(), "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)},
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


def appears(path: Path) -> Callable[[], Awaitable[bool]]:
    async def there() -> bool:
        return path.exists()

    return there


@pytest.mark.crash
async def test_a_killed_workers_message_is_done_by_another(
    db: Database, org_id: UUID, settings: Settings, tmp_path: Path
) -> None:
    """A worker killed in the middle of a message (out of memory, kill -9) must cost time and not the message."""
    alone = replace(settings, redis_url=None)
    await owe(db, org_id, "a")
    async with worker_process(alone, tmp_path, 60) as first:
        await until(appears(tmp_path / "started-1"))
        first.kill()
        await first.wait()
    async with worker_process(alone, tmp_path, 0):
        await until(appears(tmp_path / "ended-2"))

        async def done() -> bool:
            async with db.work(org_id) as work:
                return bool(
                    await work.fetchval("select state = 'done' from outbox where org_id = $1", org_id)
                )

        await until(done)
    assert not (tmp_path / "ended-1").exists()


@pytest.mark.crash
async def test_sigterm_lets_the_running_message_end(
    db: Database, org_id: UUID, settings: Settings, tmp_path: Path
) -> None:
    """Every deployment would cut messages in half, and each would be sent twice."""
    await owe(db, org_id, "a")
    async with worker_process(replace(settings, redis_url=None), tmp_path, 1.0) as process:
        await until(appears(tmp_path / "started-1"))
        process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(process.wait(), WAIT_S) == 0
    assert (tmp_path / "ended-1").exists()
    async with db.work(org_id) as work:
        assert await work.fetchval("select state from outbox where org_id = $1", org_id) == "done"


async def test_a_new_organisation_is_swept_daily(db: Database) -> None:
    """Without its first timer an organisation's phones would keep every visit they ever had."""
    add_hooks(db)
    id_ = new_id()
    async with db.work(id_) as work:
        await create_organisation(work, slug=f"s-{id_.hex}", name="S")
    async with db.work(id_) as work:
        row = await work.fetchrow(
            "select channel, epoch, due_at > now() as ahead from timer where key = $1", sweeps.KEY
        )
        assert row is not None
        assert (row["channel"], row["epoch"], row["ahead"]) == (sweeps.CHANNEL, 1, True)
