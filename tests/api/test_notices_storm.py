"""Storms: thousands of changes at once, several processes on one robot. Nothing lost, in order, never above the limit."""

import asyncio
import os
import random
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from providers import channel
from telling import Telling

from callout_backend.notify.adapter import MemoryAdapter
from callout_backend.wiring import add_hooks
from callout_orders.notices.sending import outgoing, settling
from callout_orders.notices.sending.outgoing import Outcome
from callout_orders.notices.terms import ROBOT_PER_MINUTE, Medium
from callout_store.work import Database

TAKER = Path(__file__).parents[1] / "support" / "notice_taker.py"


@pytest.fixture
async def told(db: Database) -> Telling:
    add_hooks(db)
    telling = await Telling(db, sink="send", memory=MemoryAdapter()).build()
    await telling.configure(staff_media=("wecom_robot",), customer_media=())
    return telling


async def robot(told: Telling) -> UUID:
    return await told.channel(channel(Medium.WECOM_ROBOT, "http://127.0.0.1:1"))


async def a_minute_later(told: Telling) -> None:
    """As far as the robot's bucket knows."""
    async with told.db.work(told.world.org) as work:
        await work.execute(
            "update notice_channel set spent = (select coalesce(array_agg(one - interval '62 seconds'), '{}') "
            "from unnest(spent) one)"
        )
    await told.hasten("notice.send:%")


async def test_a_storm(told: Telling, scale: int, seed: int) -> None:
    """Ten thousand changes in a minute (with --large): the robot is not shut out, P0s are first, every line arrives, and no
    order's lines change places."""
    assert told.memory is not None
    dice = random.Random(f"{seed}:storm")
    await robot(told)
    orders = [await told.world.order() for _ in range(40)]
    pressing = await told.world.order(priority="P0")
    await told.drain("notice.fan")
    async with told.db.work(told.world.org) as work:
        await work.execute("update notice set state = 'delivered'")
    calm = len(await told.notices())
    changes = 1_000 * scale
    for start in range(0, changes, 20):
        kinds = ["work_order.held", "work_order.resumed", "work_order.reopened"]
        # Small units of work, as they really come.
        await told.happen(dice.choice(kinds), dice.choices(orders, k=20))
        if start == changes // 2 // 20 * 20:
            await told.happen("work_order.turned_over", [pressing])
    owed = await told.world.value(
        "select count(*) from outbox where channel = 'notice.fan' and state = 'ready'"
    )
    handled = await told.drain("notice.fan")
    assert handled <= owed / 10, "what waits behind a message is handled with it"
    minutes = 0
    while await told.world.value("select count(*) from notice where state in ('held', 'queued', 'sending')"):
        sent = len(told.memory.sent)
        await told.drain("notice.send")
        fresh = told.memory.sent[sent:]
        assert len(fresh) <= ROBOT_PER_MINUTE
        if minutes == 0:
            assert fresh[0].urgent, "the P0 does not stand in the queue"
        await a_minute_later(told)
        minutes += 1
        assert minutes < 60 * scale
    rows = [row for row in (await told.notices())[calm:] if row["medium"] == Medium.WECOM_ROBOT]
    assert {row["state"] for row in rows} == {"delivered"}
    lines = await told.world.value(
        "select count(distinct line_id) from notice where kind in ('held', 'resumed', 'reopened')"
    )
    assert lines == changes
    rank = {UUID(one.key): n for n, one in enumerate(told.memory.sent)}
    for order in orders:
        of_order = [row for row in rows if row["order_id"] == order]
        messages = [rank[row["message_id"]] for row in of_order]
        assert messages == sorted(messages)
    digests = {row["message_id"] for row in rows if row["digest"]}
    assert len(digests) > 1, "the rest went as digests, and each notice says in which"
    assert all(len(one.body.encode()) <= 4_000 for one in told.memory.sent)


async def _fill(told: Telling, lane: UUID, count: int, urgent_every: int) -> None:
    async with told.db.work(told.world.org) as work:
        await work.execute(
            """
            insert into notice (id, line_id, kind, recipient, name, role, medium, lane, address, locale, urgent, wants_ack,
                title, body, state, due_at, created_at)
            select gen_random_uuid(), gen_random_uuid(), 'held', 'user:' || n, 'N', 'next', 'wecom_robot', $1, '', 'en',
                n % $3 = 0, false, 't' || n, 'b', 'queued', now() - interval '1 second', now()
            from generate_series(1, $2) n
            """,
            str(lane),
            count,
            urgent_every,
        )


@pytest.mark.slow
async def test_several_processes_share_one_bucket(told: Telling, database_url: str, scale: int) -> None:
    """Three workers that each count for themselves send sixty a minute, and the robot is shut out."""
    lane = await robot(told)
    await _fill(told, lane, 2_000 * scale, urgent_every=50)
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    workers = [
        await asyncio.create_subprocess_exec(
            sys.executable,
            str(TAKER),
            database_url,
            str(told.world.org),
            str(lane),
            "25",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            env=env,
        )
        for _ in range(3)
    ]
    for one in workers:
        assert one.stdout is not None
        assert (await one.stdout.readline()).strip() == b"ready"
    ends = [one.communicate(b"go\n") for one in workers]
    taken = [int(out) for out, _ in await asyncio.gather(*ends)]
    assert sum(taken) == ROBOT_PER_MINUTE
    spent = await told.world.value("select spent from notice_channel where id = $1", lane)
    assert len(spent) == ROBOT_PER_MINUTE
    twice = await told.world.value(
        "select count(*) from (select id from notice_message group by id having count(*) > 1) t"
    )
    assert twice == 0
    urgent = await told.world.value("select count(*) from notice_message where urgent")
    assert urgent == ROBOT_PER_MINUTE, "forty urgent ones wait: they go before everything else"


async def test_tokens_are_left_for_what_is_urgent(told: Telling) -> None:
    """A storm of small changes must not leave a P0 without a token."""
    lane = str(await robot(told))
    await _fill(told, UUID(lane), 1_000, urgent_every=10_000)

    async def take() -> list[Any]:
        found = await told.db.run(told.world.org, lambda work: outgoing.take(work, lane))
        done = [(one, Outcome(kind="delivered")) for one in found.messages]
        await told.db.run(told.world.org, lambda work: settling.settle(work, done))
        return found.messages

    first = await take()
    assert (len(first), await take()) == (ROBOT_PER_MINUTE - 4, [])
    await _fill(told, UUID(lane), 6, urgent_every=1)
    assert [one.urgent for one in await take()] == [True] * 4


async def test_what_waits_is_looked_at_again_when_a_token_is_back(told: Telling) -> None:
    """Without a timer the rest of a storm would lie there until somebody changes an order."""
    lane = await robot(told)
    await _fill(told, lane, 1_000, urgent_every=10_000)
    found = await told.db.run(told.world.org, lambda work: outgoing.take(work, str(lane)))
    done = [(one, Outcome(kind="delivered")) for one in found.messages]
    await told.db.run(told.world.org, lambda work: settling.settle(work, done))
    again = await told.db.run(told.world.org, lambda work: outgoing.take(work, str(lane)))
    assert again.messages == []
    assert again.next_in is not None
    assert timedelta(seconds=50) < again.next_in <= timedelta(seconds=62)
