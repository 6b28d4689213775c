"""The outbox: what is owed is done at least once, in order, by one worker at a time, and never silently dropped."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from callout_backend.embedded import Urls
from callout_backend.jobs.drain import Drainer, drain
from callout_store import outbox
from callout_store.errors import NotFound
from callout_store.ids import new_id
from callout_store.outbox import Claimed, Hopeless, Message, Retry
from callout_store.work import Database


@pytest.fixture
async def org_id(db: Database) -> UUID:
    """A fresh organisation, with nothing else in the outbox."""
    id_ = new_id()
    async with db.work(id_) as work:
        await work.execute(
            "insert into organisation (id, slug, name) values ($1, $2, 'O')", id_, f"o-{id_.hex}"
        )
    async with db.system_work() as work:
        await work.execute("update outbox set state = 'done' where state <> 'done'")
    return id_


async def owe(
    db: Database, org_id: UUID, *keys: str, stream: str | None = None, channel: str = "note"
) -> None:
    async with db.work(org_id) as work:
        await outbox.send(
            work,
            *(
                Message(channel=channel, stream=stream or key, dedupe_key=key, payload={"key": key})
                for key in keys
            ),
        )


async def owe_and_undo(db: Database, org_id: UUID) -> None:
    """A service that fails after it owed something."""
    async with db.work(org_id) as work:
        await outbox.send(work, Message(channel="note", stream="a", dedupe_key="undone", payload={}))
        raise ZeroDivisionError


async def states(db: Database, org_id: UUID) -> dict[str, str]:
    async with db.work(org_id) as work:
        rows = await work.fetch("select dedupe_key, state from outbox where org_id = $1", org_id)
    return {row["dedupe_key"]: row["state"] for row in rows}


async def due_now(db: Database, org_id: UUID) -> None:
    """Let the time of every backoff have passed."""
    async with db.system_work() as work:
        await work.execute("update outbox set run_at = now() - interval '1 second' where org_id = $1", org_id)


async def end_leases(db: Database, org_id: UUID) -> None:
    """Let every worker have slept past its lease."""
    async with db.system_work() as work:
        await work.execute(
            "update outbox set lease_until = now() - interval '1 second' where org_id = $1 and state = 'leased'",
            org_id,
        )


async def test_owed_with_its_cause_or_not_at_all(db: Database, org_id: UUID) -> None:
    """A message of a transaction that was undone would tell a customer of something that never happened."""
    with pytest.raises(ZeroDivisionError):
        await owe_and_undo(db, org_id)
    await owe(db, org_id, "once")
    await owe(db, org_id, "once")
    assert await states(db, org_id) == {"once": "ready"}


async def test_a_commit_that_owes_something_wakes(db: Database, org_id: UUID) -> None:
    """Without the wake-up every effect waits for the pump; with one for an undone transaction it is noise."""
    woken: list[int] = []
    db.on_outbox = lambda: woken.append(1)
    try:
        async with db.work(org_id) as work:
            await work.fetchval("select 1")
        with pytest.raises(ZeroDivisionError):
            await owe_and_undo(db, org_id)
        assert woken == []
        await owe(db, org_id, "a")
        assert woken == [1]
    finally:
        db.on_outbox = None


async def test_a_stream_stays_in_order(db: Database, org_id: UUID) -> None:
    """A customer would read "engineer arrived" after "work finished"."""
    await owe(db, org_id, "1", "2", "3", stream="visit")
    await owe(db, org_id, "other")
    first = await outbox.claim(db)
    assert [item.dedupe_key for item in first] == ["1", "other"]
    # Waiting to be tried again holds the stream as well as being worked on.
    assert await outbox.fail(db, first[0], RuntimeError("later"))
    assert await outbox.claim(db) == []
    await due_now(db, org_id)
    again = await outbox.claim(db)
    assert [(item.dedupe_key, item.attempt) for item in again] == [("1", 2)]
    assert await outbox.finish(db, again[0])
    assert [item.dedupe_key for item in await outbox.claim(db)] == ["2"]


async def test_a_worker_that_slept_past_its_lease_is_fenced(db: Database, org_id: UUID) -> None:
    """It would mark as done what the second worker is doing, or put back what the second has finished."""
    await owe(db, org_id, "a")
    (slept,) = await outbox.claim(db)
    assert await outbox.claim(db) == []
    await end_leases(db, org_id)
    (second,) = await outbox.claim(db)
    assert second.attempt == 2
    assert not await outbox.finish(db, slept)
    assert not await outbox.fail(db, slept, RuntimeError("late"))
    assert await states(db, org_id) == {"a": "leased"}
    assert await outbox.finish(db, second, provider_ref="r-7")
    async with db.work(org_id) as work:
        rows = await work.fetch(
            "select n, outcome, provider_ref from outbox_attempt where org_id = $1", org_id
        )
    assert sorted((row["n"], row["outcome"], row["provider_ref"]) for row in rows) == [
        (1, "fenced", None),
        (1, "fenced", None),
        (2, "done", "r-7"),
    ]


@pytest.mark.parametrize("attempt", (1, 2, 5, 12, 13, 25))
def test_backoff_stays_within_its_bounds(attempt: int) -> None:
    """Without a ceiling the 25th try is a year away; without a floor a fault becomes a hot loop."""
    ceiling = min(outbox.BACKOFF_MAX_S, outbox.BACKOFF_BASE_S * 2.0 ** (attempt - 1))
    assert outbox.backoff_s(attempt, roll=0.0) == 0.05
    assert outbox.backoff_s(attempt, roll=1.0) == ceiling
    rolled = {outbox.backoff_s(attempt) for _ in range(50)}
    assert all(0.05 <= wait <= ceiling for wait in rolled)
    assert len(rolled) > 25, "a storm would come back as one"


async def test_retry_after_is_kept(db: Database, org_id: UUID) -> None:
    """A receiver that said "in ten minutes" and is called in one second blocks us for good."""
    await owe(db, org_id, "a")
    (item,) = await outbox.claim(db)
    await outbox.fail(db, item, Retry("throttled", after_s=600))
    async with db.work(org_id) as work:
        wait_s = await work.fetchval(
            "select extract(epoch from run_at - now())::float8 from outbox where id = $1", item.id
        )
    assert 590 < wait_s <= 600


async def test_dead_letters_free_the_stream_and_can_be_replayed(db: Database, org_id: UUID) -> None:
    """One poisoned message would hold back an order's messages for ever; a dead one that is lost cannot be mended."""
    await owe(db, org_id, "poison", "next", stream="visit")
    (item,) = await outbox.claim(db)
    await outbox.fail(db, item, Hopeless("the receiver says never"))
    assert await states(db, org_id) == {"poison": "dead", "next": "ready"}
    assert [other.dedupe_key for other in await outbox.claim(db)] == ["next"]
    async with db.work(org_id) as work:
        assert await outbox.replay(work, [item.id]) == 1
    (revived,) = await outbox.claim(db)
    assert (revived.dedupe_key, revived.attempt) == ("poison", 1)
    stranger = new_id()
    async with db.work(stranger) as work:
        with pytest.raises(NotFound):
            await outbox.replay(work, [item.id])


async def test_the_last_attempt_is_a_dead_letter(db: Database, org_id: UUID) -> None:
    """A message that is tried for ever costs a call a day for ever, and nobody is told."""
    await owe(db, org_id, "a")
    (item,) = await outbox.claim(db)
    async with db.system_work() as work:
        await work.execute("update outbox set attempts = $1 where id = $2", outbox.ATTEMPTS_MAX - 1, item.id)
    await end_leases(db, org_id)
    (last,) = await outbox.claim(db)
    assert last.attempt == outbox.ATTEMPTS_MAX
    await outbox.fail(db, last, RuntimeError("again"))
    assert await states(db, org_id) == {"a": "dead"}


@pytest.fixture
async def four(database_urls: Urls) -> AsyncIterator[list[Database]]:
    """Four workers' databases, each with connections of its own."""
    assert database_urls.database is not None
    found = [Database(database_urls.database, pool_max=3) for _ in range(4)]
    for one in found:
        await one.start()
    yield found
    for one in found:
        await one.stop()


async def test_concurrent_workers_handle_each_row_once(
    db: Database, org_id: UUID, four: list[Database], scale: int
) -> None:
    """Two workers with one row is a customer with two messages; a row with none is a customer with nothing."""
    streams, each = 60 * scale, 5
    for n in range(each):
        async with db.work(org_id) as work:
            await outbox.send(
                work,
                *(
                    Message(channel="note", stream=f"s{s}", dedupe_key=f"{s}-{n}", payload={"s": s, "n": n})
                    for s in range(streams)
                ),
            )
    seen: list[tuple[int, int]] = []

    async def handler(_: Database, item: Claimed) -> None:
        await asyncio.sleep(0)
        seen.append((item.payload["s"], item.payload["n"]))

    await asyncio.gather(*(drain(one, {"note": handler}) for one in four))
    # A worker that found nothing left may have ended while another still held the elder of a waiting row.
    await drain(db, {"note": handler})
    assert Counter(seen) == Counter({(s, n): 1 for s in range(streams) for n in range(each)})
    for s in range(streams):
        assert [n for stream, n in seen if stream == s] == list(range(each))


async def test_a_slow_handler_holds_up_nobody_else(db: Database, org_id: UUID) -> None:
    """One receiver that hangs for 45 seconds would delay every other customer's message by 45 seconds."""
    release = asyncio.Event()
    quick: list[str] = []

    async def slow(_: Database, item: Claimed) -> None:
        await release.wait()

    async def note(_: Database, item: Claimed) -> None:
        quick.append(item.dedupe_key)
        if len(quick) == 3:
            release.set()

    await owe(db, org_id, "slow", channel="slow")
    await owe(db, org_id, "1", "2", "3", stream="s")
    # Ends only if the stream's three rows are handled one after the other while the slow one still hangs.
    assert await asyncio.wait_for(drain(db, {"slow": slow, "note": note}), 20) == 4
    assert quick == ["1", "2", "3"]


async def test_a_handler_that_hangs_is_cut_off_before_its_lease_ends(db: Database, org_id: UUID) -> None:
    """Past the lease a second worker runs the same message beside the first."""

    async def hang(_: Database, item: Claimed) -> None:
        await asyncio.Event().wait()

    await owe(db, org_id, "a")
    drainer = Drainer(db, {"note": hang}, lease_s=5, deadline_s=0.05)
    (item,) = await outbox.claim(db, lease_s=5)
    await drainer._handle(item)
    async with db.work(org_id) as work:
        row = await work.fetchrow("select state, last_error from outbox where org_id = $1", org_id)
    assert row is not None
    assert row["state"] == "ready"
    assert row["last_error"].startswith("TimeoutError")
    with pytest.raises(ValueError, match="shorter"):
        Drainer(db, {}, lease_s=5, deadline_s=5)


async def test_an_unknown_channel_is_a_dead_letter(db: Database, org_id: UUID) -> None:
    """After a downgrade, rows of a channel the worker does not know would be tried for hours in silence."""
    await owe(db, org_id, "a", channel="of-the-future")
    await drain(db, {})
    assert await states(db, org_id) == {"a": "dead"}


async def test_what_is_sent_and_taken_at_once_no_worker_ever_sees(db: Database, org_id: UUID) -> None:
    """A worker that lives by another clock would do the demo's work for a day that is over, beside the demo itself."""
    handled: list[str] = []

    async def handle(_: Database, item: Claimed) -> None:
        handled.append(item.dedupe_key)

    async with db.work(org_id) as work:
        await outbox.send(work, Message(channel="note", stream="mine", dedupe_key="mine", payload={"n": 1}))
        item = await outbox.take(work, "mine")
        again = await outbox.take(work, "mine")
    await owe(db, org_id, "other")
    await drain(db, {"note": handle})
    assert handled == ["other"]
    assert again is None
    assert item is not None
    assert (item.payload, item.attempt, item.channel) == ({"n": 1}, 1, "note")
    assert await outbox.finish(db, item)
    assert await states(db, org_id) == {"mine": "done", "other": "done"}


async def test_a_drain_of_some_channels_leaves_the_others_alone(db: Database, org_id: UUID) -> None:
    """A one-off command that knows one channel would make dead letters of a photo that a worker is about to develop."""

    async def handle(_: Database, item: Claimed) -> None:
        """Nothing to do."""

    await owe(db, org_id, "known")
    await owe(db, org_id, "photo", channel="pictures")
    assert await drain(db, {"note": handle}, only=True) == 1
    assert await states(db, org_id) == {"known": "done", "photo": "ready"}


async def test_a_message_that_kills_its_workers_ends_as_a_dead_letter(db: Database, org_id: UUID) -> None:
    """A killed worker settles nothing: without a limit on claims such a message kills one worker a minute for ever."""
    handled: list[str] = []

    async def handler(_: Database, item: Claimed) -> None:
        handled.append(item.dedupe_key)

    await owe(db, org_id, "a")
    async with db.system_work() as work:
        await work.execute("update outbox set attempts = $1 where org_id = $2", outbox.ATTEMPTS_MAX, org_id)
    await drain(db, {"note": handler})
    assert handled == []
    assert await states(db, org_id) == {"a": "dead"}


async def test_stop_lets_running_handlers_end(db: Database, org_id: UUID) -> None:
    """A deployment would cut off messages half sent, and each would be sent twice."""
    started, release, ended = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def handler(_: Database, item: Claimed) -> None:
        started.set()
        await release.wait()
        ended.set()

    await owe(db, org_id, "a")
    drainer = Drainer(db, {"note": handler})
    drainer.wake()
    await asyncio.wait_for(started.wait(), 10)
    stopping = asyncio.create_task(drainer.stop(grace_s=10))
    await asyncio.sleep(0)
    release.set()
    await stopping
    assert ended.is_set()
    assert await states(db, org_id) == {"a": "done"}


async def test_a_database_away_ends_the_drain_quietly(
    db: Database, org_id: UUID, database_urls: Urls
) -> None:
    """A PostgreSQL restart would kill the worker, and nobody starts it again at night."""
    await owe(db, org_id, "a")
    gone = Database("postgresql://x@127.0.0.1:1/x")
    gone.engine.pool = await asyncpg.create_pool("postgresql://x@127.0.0.1:1/x", min_size=0, max_size=1)
    assert await drain(gone, {}) == 0
    assert await states(db, org_id) == {"a": "ready"}


async def test_next_due_ignores_rows_that_wait_for_an_elder(db: Database, org_id: UUID) -> None:
    """Otherwise the pump wakes twice a second for hours because of one message in backoff."""
    async with db.system_work() as work:
        await work.execute("update timer set state = 'canceled' where state = 'armed'")
    await owe(db, org_id, "1", "2", stream="s")
    assert await outbox.next_due_s(db) == 0
    (item,) = await outbox.claim(db)
    await outbox.fail(db, item, Retry("later", after_s=300))
    wait_s = await outbox.next_due_s(db)
    assert wait_s is not None
    assert 290 < wait_s <= 300


async def test_what_a_handler_owes_while_the_next_look_is_under_way_is_not_left(
    db: Database, org_id: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The look sees nothing yet, and when it is over nobody runs any more: what was owed in between would lie there until
    somebody else comes along."""
    looked = asyncio.Event()
    seen: list[str] = []

    async def handle(db: Database, item: Claimed) -> None:
        if item.dedupe_key == "first":
            await looked.wait()
            await owe(db, org_id, "second")
        seen.append(item.dedupe_key)

    drainer = Drainer(db, {"note": handle})
    whole = outbox.claim

    async def slow_look(*given: Any, **more: Any) -> list[Claimed]:
        found = await whole(*given, **more)
        if not found and not looked.is_set():
            looked.set()
            await asyncio.gather(*drainer._running)
        return found

    monkeypatch.setattr(outbox, "claim", slow_look)
    await owe(db, org_id, "first")
    await drainer.wake()
    assert seen == ["first", "second"]
