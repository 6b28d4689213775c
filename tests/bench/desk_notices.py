"""Notices in a storm: ten thousand changes told, urgent ones within it, one robot shared by several processes.

Beside it Apprise in a loop, as its own documentation has it, with its own pace between two sends: ten sends to a local
server are timed and multiplied.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import sys
import time
from pathlib import Path
from typing import Final
from uuid import UUID

from desk_first import wake
from desk_report import Row, verdict
from peer_python import PEERS
from providers import channel
from telling import Telling
from worlds import World

from callout_backend.jobs.drain import Drainer
from callout_backend.notify.adapter import MemoryAdapter, Parcel
from callout_backend.notify.pump import handlers_of
from callout_orders.notices.sending.outgoing import Outcome
from callout_orders.notices.terms import ROBOT_PER_MINUTE, Medium
from callout_people.principals import Role
from callout_store.work import Database

CHANGES: Final = 10_000
TOGETHER: Final = 10
"""Changes of one unit of work."""
ORDERS: Final = 500
READERS: Final = 3
URGENT: Final = 10
APPRISE_SENDS: Final = 10
PROCESSES: Final = 3
WATCHED_S: Final = 75.0
TARGET_URGENT_S: Final = 5.0
TARGET_STORM_S: Final = 300.0


async def storm_rows(db: Database, medium: Medium, apprise_s: float) -> list[Row]:
    """The storm by one medium, without a limit of the provider's: what the worker itself can do."""
    told = await Telling(db, sink="sink", memory=MemoryAdapter()).build()
    for n in range(READERS):
        await told.person(Role.SUPERVISOR, f"S{n}")
    await told.configure(staff_media=(str(medium),), customer_media=("email",))
    orders = [await told.world.order() for _ in range(ORDERS)]
    await told.drain()
    before = await told.world.value("select count(*) from notice")
    began = time.perf_counter()
    for n in range(0, CHANGES, TOGETHER):
        await told.happen("work_order.handler_set", [orders[(n + k) % ORDERS] for k in range(TOGETHER)])
    owed = time.perf_counter()
    await told.drain("notice.fan")
    written = time.perf_counter()
    await told.drain("notice.send")
    sent = time.perf_counter()
    notices = await told.world.value("select count(*) from notice") - before
    lines = await told.world.value("select count(distinct line_id) from notice where kind = 'handler_set'")
    left = await told.world.value("select count(*) from notice where state in ('held', 'queued', 'sending')")
    messages = await told.world.value("select count(*) from notice_message")
    await told.notifier.close()
    assert (lines, left) == (CHANGES, 0)
    whole = sent - owed
    return [
        Row(
            work=f"notices: a storm of {CHANGES:,} changes by {medium}, {notices:,} notices",
            ours=(
                f"{whole:.0f} s: written in {written - owed:.0f} s, sent as {messages:,} messages in {sent - written:.0f} s; "
                f"none left; making the changes took {owed - began:.0f} s"
            ),
            beside=f"Apprise in a loop, a message a change: {apprise_s * CHANGES / 3600:.1f} h (of {APPRISE_SENDS} sends)",
            ratio=f"{apprise_s * CHANGES / whole:.0f} x",
            target=f"<= {TARGET_STORM_S:g} s",
            verdict=verdict(whole <= TARGET_STORM_S),
            more={
                "notices": notices,
                "messages": messages,
                "write_s": written - owed,
                "send_s": sent - written,
            },
        )
    ]


async def urgent_rows(db: Database) -> list[Row]:
    """Urgent orders in the middle of a storm that is being written and sent at the same time."""
    seen: dict[str, float] = {}

    def answer(parcel: Parcel) -> Outcome:
        if parcel.urgent:
            seen.setdefault(parcel.subject + parcel.body, time.perf_counter())
        return Outcome(kind="delivered")

    told = await Telling(db, sink="sink", memory=MemoryAdapter(answer)).build()
    await told.configure(staff_media=("email",), customer_media=())
    orders = [await told.world.order() for _ in range(100)]
    pressing = [await told.world.order(priority="P0") for _ in range(URGENT)]
    await told.drain()
    numbers = {
        row["id"]: row["number"]
        for row in await told.world.fetch("select id, number from work_order where id = any($1)", pressing)
    }
    seen.clear()
    handlers = handlers_of(told.notifier)
    drainer = Drainer(db, handlers, channels=sorted(handlers))
    db.on_outbox = lambda: wake(drainer)
    asked: dict[str, float] = {}
    try:
        for n in range(0, CHANGES // 4, TOGETHER):
            await told.happen("work_order.handler_set", [orders[(n + k) % 100] for k in range(TOGETHER)])
            if n % (CHANGES // 4 // URGENT) == 0 and len(asked) < URGENT:
                order = pressing[len(asked)]
                await told.happen("work_order.turned_over", [order])
                asked[numbers[order]] = time.perf_counter()
        await drainer.wake()
    finally:
        db.on_outbox = None
        await drainer.stop()
        await told.notifier.close()
    late = []
    for number, at in asked.items():
        first = min(
            (then for text, then in seen.items() if number in text and then >= at - 1.0), default=None
        )
        assert first is not None, number
        late.append(first - at)
    return [
        Row(
            work=f"notices: {URGENT} urgent ones within a storm of {CHANGES // 4:,} changes, written and sent at once",
            ours=f"after the commit p50 {statistics.median(late):.2f}, at most {max(late):.2f} s",
            target=f"<= {TARGET_URGENT_S:g} s",
            verdict=verdict(max(late) <= TARGET_URGENT_S),
            more={"late_s": late},
        )
    ]


async def shared_robot(db: Database, url: str) -> tuple[int, int]:
    """Several processes take one robot's messages as fast as they can: the most in any minute, and all."""
    told = await Telling(db, sink="send", memory=MemoryAdapter()).build()
    lane = await told.channel(channel(Medium.WECOM_ROBOT, "http://127.0.0.1:1"))
    async with db.work(told.world.org) as work:
        await work.execute(
            """
            insert into notice (id, line_id, kind, recipient, name, role, medium, lane, address, locale, urgent, wants_ack,
                title, body, state, due_at, created_at)
            select gen_random_uuid(), gen_random_uuid(), 'held', 'user:' || n, 'N', 'next', 'wecom_robot', $1, '', 'en',
                n % 20 = 0, false, 't' || n, 'b', 'queued', now() - interval '1 second', now()
            from generate_series(1, $2) n
            """,
            str(lane),
            CHANGES,
        )
    takers = [await _taker(url, told.world, lane) for _ in range(PROCESSES)]
    taken = sum(int(out) for out, _ in await asyncio.gather(*(one.communicate() for one in takers)))
    sent = [
        row["at"]
        for row in await told.world.fetch("select sent_at as at from notice_message order by sent_at")
    ]
    assert len(sent) == taken
    await told.notifier.close()
    worst, first = 0, 0
    for last, at in enumerate(sent):
        while (at - sent[first]).total_seconds() >= 60:
            first += 1
        worst = max(worst, last - first + 1)
    return worst, taken


async def _taker(url: str, world: World, lane: UUID) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        str(Path(__file__).with_name("desk_taker.py")),
        *(url, str(world.org), str(lane), str(WATCHED_S)),
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )


async def apprise_loop() -> float:
    """Seconds a send of Apprise with its own pace, over ten sends to a local server."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(PEERS / "desk_apprise.py"), str(APPRISE_SENDS), stdout=asyncio.subprocess.PIPE
    )
    out, _ = await process.communicate()
    assert process.returncode == 0, out
    return float(out)


async def rows(db: Database, url: str) -> list[Row]:
    """All of it. The robot's minute and Apprise's loop wait most of the time: they do so together."""
    (worst, taken), apprise_s = await asyncio.gather(shared_robot(db, url), apprise_loop())
    robot = Row(
        work=f"notices: one robot, {PROCESSES} processes, {WATCHED_S:.0f} s with {CHANGES:,} waiting",
        ours=f"at most {worst} in any minute; {taken} in all, urgent ones first",
        beside=f"Apprise in a loop: one each {apprise_s:.1f} s a process, {PROCESSES * 60 / apprise_s:.0f} a minute",
        target=f"<= {ROBOT_PER_MINUTE}",
        verdict=verdict(0 < worst <= ROBOT_PER_MINUTE),
        more={"worst": worst, "taken": taken, "apprise_s": apprise_s},
    )
    found = [robot, *await urgent_rows(db)]
    for medium in (Medium.WECOM_ROBOT, Medium.EMAIL):
        found += await storm_rows(db, medium, apprise_s)
    return found
