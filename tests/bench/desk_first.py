"""The way of an urgent order: from its coming in to the first engineer's offer, and to the notices of it."""

from __future__ import annotations

import asyncio
import time
from typing import Final
from uuid import UUID

from desk_report import Row, percentile, spread, verdict
from telling import SECRET
from worlds import World

from callout_backend.jobs import red
from callout_backend.jobs.drain import Drainer
from callout_backend.notify.pump import Notifier, handlers_of
from callout_dispatch import engineers, policies
from callout_orders import orders
from callout_orders.precheck import taking
from callout_orders.precheck.terms import Request
from callout_people.principals import Role
from callout_people.users import NewUser, create_user
from callout_store.work import Database

ENGINEERS: Final = 20
TIMES: Final = 40
WARM: Final = 5
LOOK_S: Final = 0.002
PATIENCE_S: Final = 20.0
TARGET_MS: Final = 1_000.0


async def rows(db: Database) -> list[Row]:
    """One row; the worker is woken as after any commit, and works in this process."""
    world = await World(db).build(phones=ENGINEERS)
    async with db.work(world.org, actor=world.dispatcher) as work:
        await policies.save(work, {"name": "red", "redLane": {"auto": True}}, activate=True)
        await engineers.mark_seen(work, *(phone.engineer_id for phone in world.phones))
        await create_user(
            work, NewUser(email=f"s-{world.org.hex}@example.org", name="Sue", role=Role.SUPERVISOR)
        )
    notifier = Notifier(secret=lambda: SECRET, base_url="http://t", sink="sink")
    handlers = {red.CHANNEL: red.advance_lane, red.START_CHANNEL: red.start_lane, **handlers_of(notifier)}
    drainer = Drainer(db, handlers, channels=sorted(handlers))
    db.on_outbox = lambda: wake(drainer)
    spent: dict[str, list[float]] = {"taken": [], "offered": [], "engineer told": [], "desk told": []}
    try:
        for n in range(TIMES + WARM):
            took = await _once(world, n)
            if n >= WARM:
                for name, ms in took.items():
                    spent[name].append(ms)
    finally:
        db.on_outbox = None
        await drainer.stop()
        await notifier.close()
    last = spent["engineer told"]
    return [
        Row(
            work=f"first answer: a P0 comes in, {ENGINEERS} engineers; times from the request on",
            ours=(
                f"taken {spread(spent['taken'])}; offered to an engineer {spread(spent['offered'])}; "
                f"that engineer's notice in the sink {spread(last)}; the desk's {spread(spent['desk told'])}"
            ),
            target=f"told within {TARGET_MS:,.0f} ms",
            verdict=verdict(percentile(last, 0.95) <= TARGET_MS),
            more={
                name: {"p50": percentile(ms, 0.5), "p95": percentile(ms, 0.95)} for name, ms in spent.items()
            },
        )
    ]


def wake(drainer: Drainer) -> None:
    """What a commit does that put something into the outbox."""
    drainer.wake()


async def _once(world: World, n: int) -> dict[str, float]:
    """Milliseconds from the request to each step of one urgent order."""
    request = Request(
        channel="hotline",
        kind="general",
        priority="P0",
        description=f"The lift {n} stands still, somebody is inside",
        customer_id=world.customer,
        site_id=world.site,
        contact_id=world.contact,
        skills={"sewer": 2},
        link_duplicates=False,
    )
    began = time.perf_counter()
    async with world.db.work(world.org, actor=world.dispatcher) as work:
        order_id = (await taking.take(work, request)).id
    took = {"taken": (time.perf_counter() - began) * 1000}
    while len(took) < 4:
        for name in await _steps(world, order_id):
            took.setdefault(name, (time.perf_counter() - began) * 1000)
        if time.perf_counter() - began > PATIENCE_S:
            raise AssertionError(f"after {PATIENCE_S:.0f} s only {took}")
        await asyncio.sleep(LOOK_S)
    async with world.db.work(world.org, actor=world.dispatcher) as work:
        await orders.cancel_order(work, order_id, reason="over")
    return took


async def _steps(world: World, order_id: UUID) -> list[str]:
    row = await world.fetch(
        """
        select exists (select from red_lane l join red_offer f on f.org_id = l.org_id and f.lane_id = l.id
                       where l.order_id = $1) as offered,
               exists (select from notice n join engineer e on e.org_id = n.org_id and e.user_id = n.user_id
                       where n.order_id = $1 and n.state = 'delivered') as engineer_told,
               exists (select from notice n where n.order_id = $1 and n.state = 'delivered'
                       and not exists (select from engineer e where e.org_id = n.org_id and e.user_id = n.user_id)
                      ) as desk_told
        """,
        order_id,
    )
    return [name.replace("_", " ") for name, there in row[0].items() if there]
