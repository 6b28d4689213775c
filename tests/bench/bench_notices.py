"""How long ten thousand changes take to become notices, and notices messages in the sink: `python -m pytest tests/bench/bench_notices.py -s`.

Two shapes: a chat robot without a limit (digests), and mails to many readers (one message each).
"""

import time

import pytest
from telling import Telling

from callout_backend.notify.adapter import MemoryAdapter
from callout_backend.wiring import add_hooks
from callout_people.principals import Role
from callout_store.work import Database

CHANGES = 10_000


@pytest.mark.slow
@pytest.mark.parametrize("medium", ("wecom_robot", "email"))
async def test_bench(db: Database, medium: str) -> None:
    """Ten thousand changes must not take the worker minutes."""
    add_hooks(db)
    told = await Telling(db, sink="sink", memory=MemoryAdapter()).build()
    readers = [await told.person(Role.SUPERVISOR, f"S{n}") for n in range(3)]
    await told.configure(staff_media=(medium,), customer_media=("email",))
    orders = [await told.world.order() for _ in range(500)]
    await told.drain()
    start = time.perf_counter()
    for n in range(0, CHANGES, 10):
        await told.happen("work_order.handler_set", [orders[(n + k) % len(orders)] for k in range(10)])
    owed = time.perf_counter()
    await told.drain("notice.fan")
    written = time.perf_counter()
    notices = await told.world.value("select count(*) from notice where kind = 'handler_set'")
    await told.drain("notice.send")
    sent = time.perf_counter()
    left = await told.world.value("select count(*) from notice where state in ('held', 'queued', 'sending')")
    messages = await told.world.value("select count(*) from notice_message")
    print(
        f"\n{medium}: {CHANGES} lines in 1,000 units of work {owed - start:.1f} s; {notices} notices written in "
        f"{written - owed:.1f} s ({notices / (written - owed):.0f}/s); {messages} messages sent in {sent - written:.1f} s "
        f"({notices / (sent - written):.0f} notices/s); {left} left, {len(readers)} supervisors"
    )
    assert left == 0
