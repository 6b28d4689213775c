"""Orders following their visits, on a real database."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import msgspec
import pytest

from callout_orders import customers, intake, orders, progress, reading
from callout_orders.flow.ending import archive
from callout_store.ids import new_id
from callout_store.work import Database, Work

T0 = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)


class Desk(msgspec.Struct):
    """An organisation with three new orders."""

    org_id: UUID
    orders: list[UUID]


@pytest.fixture
async def desk(db: Database) -> Desk:
    org_id = new_id()
    async with db.work(org_id) as work:
        await work.execute(
            "insert into organisation (id, slug, name) values ($1, $2, 'Desk')", org_id, f"desk-{org_id}"
        )
        customer = await customers.create_customer(work, customers.NewCustomer(number="C-1", name="Ada"))
        site = await customers.create_site(
            work, customers.NewSite(customer_id=customer, name="Tower", address="1 Main St")
        )
        made = await intake.create_orders(
            work,
            [
                intake.NewOrder(
                    customer_id=customer,
                    site_id=site,
                    priority="P1",
                    kind="repair",
                    description="broken",
                    channel="app",
                    created_at=T0,
                )
                for _ in range(3)
            ],
        )
    return Desk(org_id, [ref.id for ref in made])


def at(minutes: float) -> datetime:
    return T0 + timedelta(minutes=minutes)


def facts(order_id: UUID, *visits: tuple[str, datetime | None], **moments: datetime) -> progress.VisitFacts:
    return progress.VisitFacts(order_id=order_id, visits=visits, **moments)


async def one(work: Work, order_id: UUID) -> reading.OrderView:
    (order,) = await reading.orders_by_ids(work, [order_id])
    assert order is not None
    return order


async def timer_states(work: Work, order_id: UUID) -> dict[str, str]:
    await work.flush()
    rows = await work.fetch("select key, state from timer where key like $1", f"sla:{order_id}:%")
    return {row["key"].rsplit(":", 1)[1]: row["state"] for row in rows}


async def test_an_order_follows_its_visit(db: Database, desk: Desk) -> None:
    """The customer asking by telephone would be told yesterday's state."""
    first, second, _ = desk.orders
    async with db.work(desk.org_id) as work:
        changed = await progress.apply_visit_facts(
            work,
            [
                facts(first, ("in_progress", None), responded_at=at(5), arrived_at=at(50)),
                facts(second, ("dispatched", None)),
            ],
        )
        assert set(changed) == {first, second} == work.touched.rows["work_order"]
        order = await one(work, first)
        assert (order.state, order.responded_at, order.arrived_at) == ("in_progress", at(5), at(50))
        assert order.revision == 2
        assert await timer_states(work, first) == {
            "first_response": "canceled",
            "arrival": "canceled",
            "resolution": "armed",
        }
        assert (await one(work, second)).state == "scheduled"
        assert (await timer_states(work, second))["first_response"] == "armed"
        await progress.apply_visit_facts(
            work,
            [facts(first, ("completed", at(90)), responded_at=at(5), arrived_at=at(50), resolved_at=at(90))],
        )
        order = await one(work, first)
        assert (order.state, order.resolved_at, order.revision) == ("completed", at(90), 3)
    async with db.work(desk.org_id) as work:
        entries = (await reading.timeline(work, first)).items
    assert [entry.data for entry in entries if entry.kind == "work_order.state_changed"] == [
        {"from": "new", "to": "in_progress"},
        {"from": "in_progress", "to": "completed"},
    ]


async def test_the_same_facts_again_change_nothing(db: Database, desk: Desk) -> None:
    """Every replayed push would send the order to all phones again."""
    told = [facts(desk.orders[0], ("completed", at(9)), responded_at=at(1), resolved_at=at(9))]
    async with db.work(desk.org_id) as work:
        assert len(await progress.apply_visit_facts(work, told)) == 1
    async with db.work(desk.org_id) as work:
        assert await progress.apply_visit_facts(work, told) == []
        assert not work.touched
        assert (await one(work, desk.orders[0])).revision == 2


async def test_late_news_only_moves_moments_earlier(db: Database, desk: Desk) -> None:
    """A phone that comes back late would make an order that was answered in time look late."""
    order_id = desk.orders[0]
    async with db.work(desk.org_id) as work:
        for minute in (30, 10, 20):
            await progress.apply_visit_facts(
                work, [facts(order_id, ("in_progress", None), responded_at=at(minute), arrived_at=at(minute))]
            )
        await progress.apply_visit_facts(work, [facts(order_id, ("in_progress", None))])
        order = await one(work, order_id)
    assert (order.responded_at, order.arrived_at) == (at(10), at(10))


async def test_a_second_visit_reopens_the_order_and_its_clock(db: Database, desk: Desk) -> None:
    """An order whose repair failed would count as resolved, and nobody would be reminded."""
    order_id = desk.orders[0]
    async with db.work(desk.org_id) as work:
        await progress.apply_visit_facts(work, [facts(order_id, ("completed", at(60)))])
        assert (await one(work, order_id)).resolved_at == at(60)
        assert (await timer_states(work, order_id))["resolution"] == "canceled"
        await progress.apply_visit_facts(work, [facts(order_id, ("completed", at(60)), ("scheduled", None))])
        order = await one(work, order_id)
        assert (order.state, order.resolved_at) == ("scheduled", None)
        assert (await timer_states(work, order_id))["resolution"] == "armed"


async def test_an_order_that_was_completed_and_goes_on_in_one_unit_of_work_has_its_clock(
    db: Database, desk: Desk
) -> None:
    """A phone that sends an end and its correction in one push: the clock would rest for good, by what was put off."""
    order_id = desk.orders[0]
    async with db.work(desk.org_id) as work:
        await progress.apply_visit_facts(work, [facts(order_id, ("completed", at(60)))])
        await progress.apply_visit_facts(work, [facts(order_id, ("could_not_complete", at(60)))])
    async with db.work(desk.org_id) as work:
        assert (await timer_states(work, order_id))["resolution"] == "armed"


async def test_decisions_of_people_stand_above_visits(db: Database, desk: Desk) -> None:
    """A phone's old news would bring a cancelled or closed order back to life."""
    canceled, closed, _ = desk.orders
    async with db.work(desk.org_id) as work:
        await orders.cancel_order(work, canceled, "moved")
        await progress.apply_visit_facts(work, [facts(closed, ("completed", at(30)))])
        await archive.close_by_flow(work, [closed])
        await progress.apply_visit_facts(
            work,
            [
                facts(canceled, ("in_progress", None), responded_at=at(5)),
                facts(closed, ("could_not_complete", at(40))),
                facts(new_id(), ("in_progress", None)),
            ],
        )
        assert ((await one(work, canceled)).state, (await one(work, canceled)).responded_at) == (
            "canceled",
            at(5),
        )
        assert ((await one(work, closed)).state, (await one(work, closed)).resolved_at) == ("closed", at(30))
