"""The timers' handlers on a real order: an alarm when a milestone is missed, once, and none when it is not."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from callout_backend.jobs import sweeps
from callout_backend.jobs.drain import drain
from callout_backend.jobs.handlers import make_handlers
from callout_backend.settings import Settings
from callout_backend.wiring import add_hooks
from callout_orders.customers import NewCustomer, NewSite, create_customer, create_site
from callout_orders.intake import NewOrder, create_order
from callout_people.organisations import create_organisation
from callout_store import outbox, timers
from callout_store.ids import new_id
from callout_store.outbox import Message
from callout_store.work import Database


@pytest.fixture
async def org_id(db: Database) -> UUID:
    add_hooks(db)
    id_ = new_id()
    async with db.work(id_) as work:
        await create_organisation(work, slug=f"o-{id_.hex}", name="O")
    return id_


async def order(db: Database, org_id: UUID, *, age: timedelta) -> UUID:
    """An order of priority P0 that came in `age` ago."""
    async with db.work(org_id) as work:
        customer_id = await create_customer(work, NewCustomer(number=new_id().hex, name="C"))
        site_id = await create_site(work, NewSite(customer_id=customer_id, name="S", address="1 Main St"))
        made = await create_order(
            work,
            NewOrder(
                customer_id=customer_id,
                site_id=site_id,
                priority="P0",
                kind="repair",
                description="no power",
                channel="hotline",
                created_at=datetime.now(UTC) - age,
            ),
        )
    return made.id


async def missed(db: Database, org_id: UUID, order_id: UUID) -> list[str]:
    async with db.work(org_id) as work:
        rows = await work.fetch(
            "select data->>'milestone' as m from journal where order_id = $1 and kind = 'sla.missed' order by 1",
            order_id,
        )
    return [row["m"] for row in rows]


async def test_missed_milestones_are_journaled_once(db: Database, org_id: UUID, settings: Settings) -> None:
    """An SLA missed at night without an alarm is found by the customer; two alarms are one too many."""
    order_id = await order(db, org_id, age=timedelta(days=30))
    handlers = make_handlers(settings)
    await drain(db, handlers)
    first = await missed(db, org_id, order_id)
    assert len(first) == 3
    # The very messages again, as after a worker that died before it could say "done".
    async with db.system_work() as work:
        again = await work.execute(
            "update outbox set state = 'ready' where org_id = $1 and channel = 'sla.check'", org_id
        )
    assert again == 3
    await drain(db, handlers)
    assert await missed(db, org_id, order_id) == first


async def test_no_alarm_before_its_time_or_after_it_was_met(
    db: Database, org_id: UUID, settings: Settings
) -> None:
    """False alarms teach dispatchers to ignore the true ones."""
    young = await order(db, org_id, age=timedelta(seconds=1))
    moved = await order(db, org_id, age=timedelta(days=30))
    await timers.fire_due(db)
    async with db.work(org_id) as work:
        keys = await work.fetch(
            "select key from timer where org_id = $1 and key like $2", org_id, f"%{moved}%"
        )
        await timers.cancel(work, *(row["key"] for row in keys))
    assert len(keys) == 3
    await drain(db, make_handlers(settings))
    assert await missed(db, org_id, young) == []
    assert await missed(db, org_id, moved) == []


async def test_the_sweep_sets_its_next_timer(db: Database, org_id: UUID, settings: Settings) -> None:
    """A sweep that does not come back leaves last year's visits on the phones."""
    async with db.work(org_id) as work:
        await work.execute("update timer set due_at = now() - interval '1 minute' where key = $1", sweeps.KEY)
    await drain(db, make_handlers(settings))
    async with db.work(org_id) as work:
        row = await work.fetchrow(
            "select state, epoch, due_at > now() as ahead from timer where key = $1", sweeps.KEY
        )
    assert row is not None
    assert (row["state"], row["epoch"], row["ahead"]) == ("armed", 2, True)


@pytest.mark.parametrize(
    "payload", ({}, {"timerKey": "k", "timerEpoch": "x"}, {"timerKey": "k", "timerEpoch": 1})
)
async def test_a_malformed_timer_is_a_dead_letter(
    db: Database, org_id: UUID, settings: Settings, payload: dict[str, object]
) -> None:
    """25 tries over a day of something that can never work hide the fault."""
    async with db.work(org_id) as work:
        await outbox.send(
            work, Message(channel="sla.check", stream="x", dedupe_key=str(new_id()), payload=payload)
        )
    await drain(db, make_handlers(settings))
    async with db.work(org_id) as work:
        assert (
            await work.fetchval("select state from outbox where org_id = $1 and stream = 'x'", org_id)
            == "dead"
        )
