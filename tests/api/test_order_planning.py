"""What a plan must keep to: a site's hours, a requested window, how many come, and which order is done before."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
import pytest
from worlds import World

from callout_orders import customers, intake, order_planning, orders, reading
from callout_orders.customers import NewSite
from callout_orders.order_planning import OrderPlanning
from callout_orders.visiting_hours import Opening
from callout_store.errors import BadField, NotFound, Refusal, StaleRevision, WrongState
from callout_store.ids import new_id
from callout_store.work import Database

HOUR = timedelta(hours=1)


@pytest.fixture(scope="module")
async def world(db: Database) -> World:
    return await World(db).build(phones=1)


def soon(hours: float) -> datetime:
    return datetime.now(UTC).replace(microsecond=0) + hours * HOUR


async def planning(world: World, order: UUID, revision: int | None = None, **change: Any) -> int:
    return await world.db.run(
        world.org,
        lambda work: order_planning.set_planning(work, order, OrderPlanning(**change), revision),
        actor=world.dispatcher,
    )


async def shown(world: World, order: UUID) -> reading.OrderView:
    async with world.db.work(world.org) as work:
        (found,) = await reading.orders_by_ids(work, [order])
    assert found is not None
    return found


async def test_an_order_is_taken_in_with_what_the_plan_must_keep_to(world: World) -> None:
    """A window that is lost on the way in is a customer who waits in vain."""
    before = await world.order()
    order = await world.order(
        requested_from=soon(3),
        requested_until=soon(5),
        crew_size=2,
        follows_order_id=before,
        follows_gap_minutes=90,
    )
    found = await shown(world, order)
    assert found.requested_from is not None
    assert found.requested_until is not None
    assert found.requested_until - found.requested_from == 2 * HOUR
    assert (found.crew_size, found.follows_order_id, found.follows_gap_minutes) == (2, before, 90)
    plain = await shown(world, before)
    assert (plain.requested_from, plain.crew_size, plain.follows_order_id) == (None, 1, None)


@pytest.mark.parametrize(
    ("more", "code", "path"),
    (
        ({"requested_from": soon(5), "requested_until": soon(3)}, "BAD_FIELD", "requestedUntil"),
        ({"requested_from": soon(5)}, "BAD_FIELD", "requestedUntil"),
        ({"requested_until": soon(5)}, "BAD_FIELD", "requestedFrom"),
        ({"requested_from": soon(-5), "requested_until": soon(-3)}, "BAD_FIELD", "requestedUntil"),
        ({"requested_from": datetime(2026, 1, 1), "requested_until": soon(3)}, "BAD_FIELD", "requestedFrom"),
        ({"requested_from": soon(1), "requested_until": soon(24 * 800)}, "BAD_FIELD", "requestedUntil"),
        ({"crew_size": 0}, "BAD_FIELD", "crewSize"),
        ({"crew_size": 11}, "BAD_FIELD", "crewSize"),
        ({"follows_gap_minutes": 5}, "BAD_FIELD", "followsGapMinutes"),
        ({"follows_order_id": new_id()}, "NOT_FOUND", "followsOrderId"),
    ),
)
async def test_a_new_order_names_its_bad_field(
    world: World, more: dict[str, Any], code: str, path: str
) -> None:
    """A window that ends before it starts could never be kept: the order would wait for ever, and nobody would know why."""
    with pytest.raises(Refusal) as caught:
        await world.order(**more)
    assert (caught.value.code, caught.value.path) == (code, path)
    assert caught.value.message("zh") != caught.value.message("en")


async def test_a_gap_of_bad_size_is_refused(world: World) -> None:
    """A gap of years would park an order where nobody looks."""
    before = await world.order()
    for gap in (-1, 43_201):
        with pytest.raises(BadField) as caught:
            await world.order(follows_order_id=before, follows_gap_minutes=gap)
        assert caught.value.path == "followsGapMinutes"


async def test_an_import_may_carry_a_window_that_is_over(world: World) -> None:
    """History that is refused for being history cannot be imported."""
    order = await world.order(created_at=soon(-48), requested_from=soon(-40), requested_until=soon(-38))
    assert (await shown(world, order)).requested_from is not None


async def test_the_same_reference_again_is_answered_although_its_window_is_over(world: World) -> None:
    """A sender that repeats after a broken line must get its order's number, not a complaint about the time."""
    reference = (("crm", new_id().hex),)
    order = await world.order(requested_from=soon(1), requested_until=soon(2), references=reference)
    assert await world.order(requested_from=soon(-2), requested_until=soon(-1), references=reference) == order


async def test_planning_is_changed_piece_by_piece(world: World) -> None:
    """A change of the crew that wipes the customer's window breaks a promise nobody was asked about."""
    order, before = await world.order(), await world.order()
    assert await planning(world, order, 1, requested_from=soon(3), requested_until=soon(5)) == 2
    assert await planning(world, order, crew_size=3) == 3
    assert await planning(world, order, crew_size=3) == 3, "the same again is no change"
    assert await planning(world, order, follows_order_id=before, follows_gap_minutes=10) == 4
    found = await shown(world, order)
    assert found.requested_from is not None
    assert (found.crew_size, found.follows_order_id, found.follows_gap_minutes) == (3, before, 10)
    await planning(world, order, follows_order_id=None, requested_from=None, requested_until=None)
    found = await shown(world, order)
    assert (found.requested_from, found.follows_order_id, found.follows_gap_minutes) == (None, None, 0)
    assert found.crew_size == 3
    with pytest.raises(StaleRevision):
        await planning(world, order, 1, crew_size=2)
    kinds = await world.fetch(
        "select kind, data::text as data from journal where order_id = $1 and kind = 'work_order.planning_set'",
        order,
    )
    assert len(kinds) == 4
    assert all(set(msgspec.json.decode(row["data"])) >= {"crewSize", "requestedFrom"} for row in kinds)


@pytest.mark.parametrize(
    ("change", "path"),
    (
        ({"requested_from": soon(2)}, "requestedUntil"),
        ({"requested_from": soon(5), "requested_until": soon(5)}, "requestedUntil"),
        ({"requested_from": soon(-5), "requested_until": soon(-4)}, "requestedUntil"),
        ({"crew_size": 11}, "crewSize"),
        ({"follows_gap_minutes": 3}, "followsGapMinutes"),
    ),
)
async def test_a_bad_change_is_refused_by_name(world: World, change: dict[str, Any], path: str) -> None:
    """The desk must see which of the fields of its form is wrong."""
    order = await world.order()
    with pytest.raises(BadField) as caught:
        await planning(world, order, **change)
    assert caught.value.path == path
    assert (await shown(world, order)).revision == 1


async def test_orders_cannot_follow_in_a_circle(world: World) -> None:
    """Two orders that wait for each other are done by nobody, ever."""
    first, second, third = await world.order(), await world.order(), await world.order()
    await planning(world, second, follows_order_id=first)
    await planning(world, third, follows_order_id=second)
    for order, follows, reason in (
        (first, first, "follows_self"),
        (first, third, "follows_cycle"),
        (first, second, "follows_cycle"),
    ):
        with pytest.raises(BadField) as caught:
            await planning(world, order, follows_order_id=follows)
        assert (caught.value.path, caught.value.details["reason"]) == ("followsOrderId", reason)


async def test_two_at_once_cannot_close_a_circle(world: World) -> None:
    """Each of two dispatchers looks at a world in which the other's circle is still open."""
    first, second = await world.order(), await world.order()
    results = await asyncio.gather(
        planning(world, first, follows_order_id=second),
        planning(world, second, follows_order_id=first),
        return_exceptions=True,
    )
    (fault,) = [one for one in results if isinstance(one, BaseException)]
    assert isinstance(fault, BadField)
    assert fault.details["reason"] == "follows_cycle"


async def test_a_chain_has_an_end(world: World) -> None:
    """A chain of a thousand orders would make every plan walk it for each of them."""
    order = await world.order()
    for _ in range(order_planning.CHAIN_MAX - 1):
        order = await world.order(follows_order_id=order)
    with pytest.raises(BadField) as caught:
        await world.order(follows_order_id=order)
    assert caught.value.details["reason"] == "follows_long"


async def test_nothing_follows_what_was_called_off(world: World) -> None:
    """An order behind a canceled one would wait for something that never happens."""
    gone, order = await world.order(), await world.order()
    async with world.db.work(world.org, actor=world.dispatcher) as work:
        await orders.cancel_order(work, gone, "no")
    with pytest.raises(BadField):
        await planning(world, order, follows_order_id=gone)
    with pytest.raises(BadField):
        await world.order(follows_order_id=gone)
    with pytest.raises(WrongState):
        await planning(world, gone, crew_size=2)
    with pytest.raises(NotFound):
        await planning(world, new_id(), crew_size=2)


async def test_another_organisations_order_cannot_be_followed(db: Database, world: World) -> None:
    """An id of the neighbour's would tie their work to ours, and tell that it is there."""
    other = await World(db).build(phones=1)
    theirs, ours = await other.order(), await world.order()
    with pytest.raises(NotFound):
        await planning(world, ours, follows_order_id=theirs)
    with pytest.raises(NotFound):
        await planning(world, theirs, crew_size=2)
    with pytest.raises(NotFound):
        async with db.work(world.org) as work:
            await customers.set_visiting_hours(work, other.site, [])


async def test_a_sites_hours_are_set_shown_and_cleared(world: World) -> None:
    """Hours that the plan cannot read send engineers to closed doors."""
    week = [
        Opening(weekday=1, from_="13:00", until="24:00"),
        Opening(weekday=0, from_="09:00", until="12:00"),
    ]
    new = NewSite(customer_id=world.customer, name="Shop", address="2 Main St", visiting_hours=week)
    async with world.db.work(world.org, actor=world.dispatcher) as work:
        site = await customers.create_site(work, new)
        (found,) = await reading.sites_by_ids(work, [site])
        assert found is not None
        assert found.visiting_hours == [
            {"weekday": 0, "from": "09:00", "until": "12:00"},
            {"weekday": 1, "from": "13:00", "until": "24:00"},
        ]
    async with world.db.work(world.org, actor=world.dispatcher) as work:
        await customers.set_visiting_hours(work, site, week)
        assert not work.lines, "the same again is no change"
        await customers.set_visiting_hours(work, site, [])
        (found,) = await reading.sites_by_ids(work, [site])
        assert found is not None
        assert (found.visiting_hours, found.revision) == ([], 1)
        assert not work.touched, "phones do not hold the hours"
        with pytest.raises(BadField) as caught:
            await customers.set_visiting_hours(work, site, [Opening(weekday=0, from_="9", until="12:00")])
        assert caught.value.path == "visitingHours.0.from"
        with pytest.raises(NotFound):
            await customers.set_visiting_hours(work, new_id(), [])


async def test_sites_in_bulk_name_the_one_that_is_wrong(world: World) -> None:
    """An import of a thousand sites must say which of them has bad hours."""
    good = NewSite(customer_id=world.customer, name="A", address="B")
    bad = msgspec.structs.replace(good, visiting_hours=[Opening(weekday=7, from_="09:00", until="10:00")])
    with pytest.raises(BadField) as caught:
        async with world.db.work(world.org) as work:
            await customers.create_sites(work, [good, bad])
    assert caught.value.path == "sites.1.visitingHours.0.weekday"


async def test_a_batch_of_orders_names_the_one_that_is_wrong(world: World) -> None:
    """The same for orders."""
    values: dict[str, Any] = {
        "customer_id": world.customer,
        "site_id": world.site,
        "priority": "P1",
        "kind": "repair",
        "description": "x",
        "channel": "api",
    }
    with pytest.raises(NotFound) as caught:
        async with world.db.work(world.org) as work:
            await intake.create_orders(
                work,
                [intake.NewOrder(**values), intake.NewOrder(**values, follows_order_id=new_id())],
            )
    assert caught.value.path == "orders.1.followsOrderId"
