"""Orders coming in, on a real database."""

import asyncio
from datetime import UTC, datetime, timedelta
from uuid import UUID

import msgspec
import pytest

from callout_backend.wiring import add_hooks
from callout_orders import customers, intake, orders, reading
from callout_orders.sla import watch as sla_watch
from callout_store.clock import ManualClock
from callout_store.errors import (
    AlreadyExists,
    BadField,
    LimitExceeded,
    NotFound,
    PointInvalid,
    Refusal,
    StaleRevision,
    WrongState,
)
from callout_store.ids import new_id
from callout_store.work import Database

NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)


class Desk(msgspec.Struct):
    """An organisation with one customer, site, contact and asset."""

    org_id: UUID
    customer_id: UUID
    site_id: UUID
    contact_id: UUID
    asset_id: UUID

    def order(self, **changes: object) -> intake.NewOrder:
        order = intake.NewOrder(
            customer_id=self.customer_id,
            site_id=self.site_id,
            priority="P1",
            kind="repair",
            description="The lift stands still.",
            channel="hotline",
        )
        return msgspec.structs.replace(order, **changes)


async def make_desk(db: Database) -> Desk:
    org_id = new_id()
    async with db.work(org_id) as work:
        await work.execute(
            "insert into organisation (id, slug, name) values ($1, $2, 'Desk')", org_id, f"desk-{org_id}"
        )
        customer = await customers.create_customer(work, customers.NewCustomer(number="C-1", name="Ada"))
        site = await customers.create_site(
            work,
            customers.NewSite(customer_id=customer, name="Tower", address="1 Main St", lat=37.7, lng=-122.4),
        )
        contact = await customers.create_contact(
            work, customers.NewContact(customer_id=customer, name="Bo", phone="138 0013 8000")
        )
        asset = await customers.create_asset(
            work, customers.NewAsset(site_id=site, serial="S-1", model="L9", name="Lift 1")
        )
    return Desk(org_id, customer, site, contact, asset)


@pytest.fixture
async def desk(db: Database) -> Desk:
    return await make_desk(db)


async def test_an_order_is_stored_with_its_sla_timers_and_journal(db: Database, desk: Desk) -> None:
    """A dispatcher would see no order, or one whose clock never rings."""
    async with db.work(desk.org_id) as work:
        ref = await intake.create_order(
            work,
            desk.order(
                priority="P0",
                contact_id=desk.contact_id,
                asset_id=desk.asset_id,
                skills={"lifts": 3},
                references=(("crm", "A-7"),),
                created_at=NOON,
                description="  Zum Stillstand gekommen 电梯停运  ",
            ),
        )
        assert work.touched.rows["work_order"] == {ref.id}
    assert (ref.number, ref.existing) == ("WO-000001", False)
    async with db.work(desk.org_id) as work:
        (order,) = await reading.orders_by_ids(work, [ref.id])
        assert order is not None
        assert (order.state, order.skills, order.revision) == ("new", {"lifts": 3}, 1)
        assert order.description == "Zum Stillstand gekommen 电梯停运"
        assert order.respond_due_at == NOON + timedelta(minutes=15)
        assert order.arrive_due_at == NOON + timedelta(minutes=120)
        assert order.resolve_due_at == NOON + timedelta(minutes=240)
        rows = await work.fetch(
            "select key, due_at, channel, payload::text from timer where key like 'sla:%' order by due_at"
        )
        assert [(row["key"], row["due_at"]) for row in rows] == [
            (f"sla:{ref.id}:first_response", order.respond_due_at - timedelta(minutes=10)),
            (f"sla:{ref.id}:arrival", order.arrive_due_at - timedelta(minutes=30)),
            (f"sla:{ref.id}:resolution", order.resolve_due_at - timedelta(minutes=60)),
        ]
        assert {row["channel"] for row in rows} == {"sla.check"}
        assert msgspec.json.decode(rows[1]["payload"]) == {"orderId": str(ref.id), "milestone": "arrival"}
        page = await reading.timeline(work, ref.id)
        assert [entry.kind for entry in page.items] == ["work_order.created"]
        assert page.items[0].data["number"] == "WO-000001"
        assert await reading.order_id_by_reference(work, "crm", "A-7") == ref.id
        ((reference,),) = await reading.external_references_by_order_ids(work, [ref.id])
        assert (reference.system, reference.reference) == ("crm", "A-7")


async def test_numbers_follow_one_another_over_batches(db: Database, desk: Desk) -> None:
    """Two orders with one number could not be told apart on the telephone."""
    async with db.work(desk.org_id) as work:
        first = await intake.create_orders(work, [desk.order() for _ in range(3)])
        second = await intake.create_orders(work, [desk.order() for _ in range(2)])
    assert [ref.number for ref in first + second] == [f"WO-{n:06d}" for n in range(1, 6)]


async def test_the_same_reference_is_the_same_order(db: Database, desk: Desk) -> None:
    """A hotline system that sends twice after a timeout would send two engineers."""
    async with db.work(desk.org_id) as work:
        one, twin, other = await intake.create_orders(
            work,
            [
                desk.order(references=(("crm", "1"),)),
                desk.order(references=(("crm", "1"), ("erp", "9"))),
                desk.order(references=(("crm", "2"),)),
            ],
        )
    async with db.work(desk.org_id) as work:
        again = await intake.create_order(work, desk.order(references=(("crm", "1"),), priority="P0"))
        mixed = await intake.create_orders(
            work, [desk.order(references=(("crm", "3"),)), desk.order(references=(("crm", "2"),))]
        )
        (stored,) = await reading.orders_by_ids(work, [one.id])
        count = await work.fetchval("select count(*) from work_order")
    assert twin.id == one.id
    assert twin.existing
    assert (again.id, again.number, again.existing) == (one.id, one.number, True)
    assert stored is not None
    assert stored.priority == "P1"
    assert [ref.existing for ref in mixed] == [False, True]
    assert mixed[1].id == other.id
    assert mixed[0].number == "WO-000003"
    assert count == 3


async def test_simultaneous_senders_of_one_reference_get_one_order(db: Database, desk: Desk) -> None:
    """Two workers replaying one message at the same instant would double the order."""

    async def send() -> intake.OrderRef:
        async with db.work(desk.org_id) as work:
            return await intake.create_order(work, desk.order(references=(("crm", "storm"),)))

    refs = await asyncio.gather(*(send() for _ in range(20)))
    assert len({ref.id for ref in refs}) == 1
    assert sum(not ref.existing for ref in refs) == 1


async def test_references_of_two_orders_are_refused(db: Database, desk: Desk) -> None:
    """Guessing which of two orders is meant would lose the other customer's report."""
    async with db.work(desk.org_id) as work:
        await intake.create_orders(
            work, [desk.order(references=(("crm", "1"),)), desk.order(references=(("crm", "2"),))]
        )
    with pytest.raises(AlreadyExists):
        async with db.work(desk.org_id) as work:
            await intake.create_order(work, desk.order(references=(("crm", "1"), ("crm", "2"))))


@pytest.mark.parametrize(
    ("changes", "error", "path"),
    (
        ({"priority": "P9"}, BadField, "priority"),
        ({"kind": "party"}, BadField, "kind"),
        ({"channel": "pigeon"}, BadField, "channel"),
        ({"description": "  "}, BadField, "description"),
        # PostgreSQL's text cannot hold it
        ({"description": "a\x00b"}, BadField, "description"),
        # half of an emoji, as a cut JavaScript string sends it
        ({"description": "a\ud83d"}, BadField, "description"),
        ({"description": "x" * 4001}, BadField, "description"),
        ({"skills": {"lifts": 6}}, BadField, "skills.lifts"),
        ({"skills": {"No Skill": 1}}, BadField, "skills"),
        ({"duration_minutes": 4}, BadField, "durationMinutes"),
        ({"reported_at": datetime(2026, 3, 2)}, BadField, "reportedAt"),
        ({"created_at": datetime(2999, 3, 2, tzinfo=UTC)}, BadField, "createdAt"),
        ({"references": (("crm", ""),)}, BadField, "references.0.reference"),
        ({"references": tuple(("crm", str(n)) for n in range(21))}, LimitExceeded, "references"),
        ({"customer_id": new_id()}, NotFound, "customerId"),
        ({"site_id": new_id()}, NotFound, "siteId"),
        ({"contact_id": new_id()}, NotFound, "contactId"),
        ({"asset_id": new_id()}, NotFound, "assetId"),
    ),
)
async def test_bad_orders_are_refused_by_field(
    db: Database, desk: Desk, changes: dict[str, object], error: type[Refusal], path: str
) -> None:
    """The form could not show which field is wrong, and half of a batch would be stored."""
    with pytest.raises(error) as caught:
        async with db.work(desk.org_id) as work:
            await intake.create_orders(work, [desk.order(), desk.order(**changes)])
    assert caught.value.path == f"orders.1.{path}"
    assert caught.value.message("zh")
    async with db.work(desk.org_id) as work:
        assert await work.fetchval("select count(*) from work_order") == 0


async def test_another_organisations_rows_cannot_be_ordered_for(db: Database, desk: Desk) -> None:
    """Whoever learns a stranger's customer id could file orders against them, or read them by reference."""
    stranger = await make_desk(db)
    with pytest.raises(NotFound):
        async with db.work(stranger.org_id) as work:
            await intake.create_order(work, desk.order())
    async with db.work(desk.org_id) as work:
        ref = await intake.create_order(work, desk.order(references=(("crm", "same"),)))
    async with db.work(stranger.org_id) as work:
        own = await intake.create_order(work, stranger.order(references=(("crm", "same"),)))
        assert await reading.orders_by_ids(work, [ref.id]) == [None]
    assert own.id != ref.id


async def test_thousands_come_in_at_once(db: Database, desk: Desk) -> None:
    """The demo's import of 5,000 orders would take minutes with a statement a row."""
    async with db.work(desk.org_id) as work:
        sites = await customers.create_sites(
            work,
            [
                customers.NewSite(
                    customer_id=desk.customer_id,
                    name=f"Site {n}",
                    address="x",
                    lat=37.0 + n / 1e5,
                    lng=-122.0,
                )
                for n in range(3000)
            ],
        )
        refs = await intake.create_orders(
            work, [desk.order(site_id=site, references=(("311", str(n)),)) for n, site in enumerate(sites)]
        )
        assert len({ref.number for ref in refs}) == 3000
        assert await work.fetchval("select count(*) from timer where key like 'sla:%'") == 9000


async def test_pages_go_through_all_orders_once(db: Database, desk: Desk) -> None:
    """A dispatcher's list would miss orders or show them twice."""
    async with db.work(desk.org_id) as work:
        made = await intake.create_orders(
            work, [desk.order(priority="P0" if n % 3 == 0 else "P2") for n in range(23)]
        )
        seen: list[UUID] = []
        after = None
        while True:
            page = await reading.orders_page(work, None, after, 5)
            seen += [order.id for order in page.items]
            after = page.end_cursor
            if not page.has_more:
                break
        assert seen == [ref.id for ref in reversed(made)]
        urgent = await reading.orders_page(work, reading.OrderFilters(priorities=("P0",), states=("new",)))
        assert len(urgent.items) == 8
        found = await reading.orders_page(work, reading.OrderFilters(number="wo-000017"))
        assert [order.number for order in found.items] == ["WO-000017"]
        with pytest.raises(LimitExceeded):
            await reading.orders_page(work, None, None, 201)
        with pytest.raises(BadField):
            await reading.orders_page(work, reading.OrderFilters(states=("lost",)))


@pytest.mark.parametrize(
    ("lat", "lng"),
    ((91.0, 0.0), (0.0, 181.0), (float("nan"), 1.0), (float("inf"), 1.0), (0.0, 0.0)),
)
async def test_points_that_are_no_places_are_refused(
    db: Database, desk: Desk, lat: float, lng: float
) -> None:
    """An engineer would be sent into the Gulf of Guinea."""
    with pytest.raises(PointInvalid):
        async with db.work(desk.org_id) as work:
            await customers.create_site(
                work, customers.NewSite(customer_id=desk.customer_id, name="x", address="y", lat=lat, lng=lng)
            )


async def test_contacts_have_numbers_that_can_be_dialled(db: Database, desk: Desk) -> None:
    """The engineer at the locked door could not ring (A1)."""
    async with db.work(desk.org_id) as work:
        us = await customers.create_contact(
            work,
            customers.NewContact(
                customer_id=desk.customer_id,
                name="Cy",
                phone="(415) 555-2671",
                phone_region="US",
                email="Cy@x.org",
            ),
        )
        chinese, american = await reading.contacts_by_ids(work, [desk.contact_id, us])
        assert chinese is not None
        assert american is not None
        assert (chinese.phone, american.phone) == ("+8613800138000", "+14155552671")
        assert american.email == "cy@x.org"
        for bad in ("12345", "call me", "138001380001"):
            with pytest.raises(BadField) as caught:
                await customers.create_contact(
                    work, customers.NewContact(customer_id=desk.customer_id, name="Di", phone=bad)
                )
            assert caught.value.path == "phone"
            assert "电话" in caught.value.message("zh")


async def test_a_number_or_serial_is_used_once(db: Database, desk: Desk) -> None:
    """Two machines with one serial would share their history."""
    async with db.work(desk.org_id) as work:
        with pytest.raises(AlreadyExists) as caught:
            await customers.create_assets(
                work,
                [
                    customers.NewAsset(site_id=desk.site_id, serial="S-2", model="L9", name="Lift 2"),
                    customers.NewAsset(site_id=desk.site_id, serial="S-1", model="L9", name="Lift 1"),
                ],
            )
        assert caught.value.path == "assets.1.serial"


async def test_decisions_of_people(db: Database, desk: Desk) -> None:
    """A cancelled order would go on ringing; two dispatchers would overwrite each other's decision."""
    async with db.work(desk.org_id) as work:
        ref, closing = await intake.create_orders(work, [desk.order(created_at=NOON), desk.order()])
        assert await orders.change_priority(work, ref.id, "P0", "fire", revision=1) == 2
        (order,) = await reading.orders_by_ids(work, [ref.id])
        assert order is not None
        assert order.arrive_due_at == NOON + timedelta(minutes=120)
        due = await work.fetchval("select due_at from timer where key = $1", f"sla:{ref.id}:arrival")
        assert order.arrive_due_at < due <= work.now  # overdue by the new promise: told at once
        with pytest.raises(StaleRevision):
            await orders.cancel_order(work, ref.id, "moved away", revision=1)
        assert await orders.cancel_order(work, ref.id, "moved away", revision=2) == 3
        assert await orders.cancel_order(work, ref.id, "moved away") == 3
        states = await work.fetch("select state from timer where key like $1", f"sla:{ref.id}:%")
        assert {row["state"] for row in states} == {"canceled"}
        with pytest.raises(WrongState):
            await orders.change_priority(work, ref.id, "P2")
        with pytest.raises(WrongState):
            await orders.close_order(work, closing.id)
        await orders.link_reference(work, closing.id, "erp", "55")
        await orders.link_reference(work, closing.id, "erp", "55")
        with pytest.raises(AlreadyExists):
            await orders.link_reference(work, ref.id, "erp", "55")
        kinds = [entry.kind for entry in (await reading.timeline(work, ref.id)).items]
    assert kinds == ["work_order.created", "work_order.priority_changed", "work_order.canceled"]


async def test_a_missed_milestone_is_journaled_once(database_url: str) -> None:
    """The supervisor would be called twice, or for an order that was answered in time."""
    clock = ManualClock(NOON)
    db = Database(database_url, clock=clock)
    await db.start()
    try:
        desk = await make_desk(db)
        async with db.work(desk.org_id) as work:
            late, answered = await intake.create_orders(work, [desk.order(), desk.order()])
            await work.execute(
                "update work_order set responded_at = $2 where id = $1",
                answered.id,
                NOON + timedelta(minutes=3),
            )
        due = NOON + timedelta(minutes=15)
        clock.set(due - timedelta(minutes=1))
        async with db.work(desk.org_id) as work:
            assert not await sla_watch.check(work, late.id, "first_response")
        clock.set(due + timedelta(seconds=1))
        async with db.work(desk.org_id) as work:
            assert await sla_watch.check(work, late.id, "first_response")
            assert not await sla_watch.check(work, late.id, "first_response")
            assert not await sla_watch.check(work, answered.id, "first_response")
            assert not await sla_watch.check(work, new_id(), "first_response")
            kinds = [entry.kind for entry in (await reading.timeline(work, late.id)).items]
    finally:
        await db.stop()
    assert [kind for kind in kinds if kind != "sla.warned"] == ["work_order.created", "sla.missed"]


async def test_an_order_that_was_done_elsewhere_bothers_nobody(db: Database, desk: Desk) -> None:
    """A house that brings its old orders along would have thousands of late steps, broken promises and messages."""
    add_hooks(db)
    done = NOON - timedelta(days=300)
    order = desk.order(priority="P0", created_at=done - timedelta(days=1), done_at=done)
    async with db.work(desk.org_id) as work:
        (ref,) = await intake.create_orders(work, [order])
    async with db.work(desk.org_id) as work:
        row = await work.fetchrow(
            "select state, created_at, responded_at, resolved_at, closed_at, archived_at from work_order where id = $1",
            ref.id,
        )
        left = await work.fetchrow(
            """
            select (select count(*) from timer) as timers, (select count(*) from order_step) as steps,
                   (select count(*) from outbox where channel in ('notice.fan', 'red.lane', 'knowledge.offer')) as owed,
                   (select count(*) from order_watch) as watched
            """
        )
    assert row is not None
    assert left is not None
    assert row["state"] == "closed"
    assert {row[name] for name in ("responded_at", "resolved_at", "closed_at", "archived_at")} == {done}
    assert set(dict(left).values()) == {0}
