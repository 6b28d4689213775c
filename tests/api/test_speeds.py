"""Speeds that are learned from what phones tell: right ways only, right hours, and nothing made of too little."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from graph import Graph, application, token_of
from worlds import SITE, Phone, World

from callout_backend.settings import Settings
from callout_backend.wiring import add_hooks
from callout_dispatch.places import positions, speeds
from callout_dispatch.places.positions import NewFix
from callout_dispatch.places.speeds import Driven, shrunk
from callout_geo.distance import CIRCUITY, TRAVEL_SPEED_KM_PER_HOUR, haversine_m
from callout_geo.points import Point
from callout_geo.travel import Travel
from callout_orders import customers
from callout_orders.customers import NewSite
from callout_people import organisations
from callout_store.work import Database

HOME = Point(SITE[0] + 0.01, SITE[1])
"""Where the first engineer of a `World` lives: 1.1 km from its site."""
THERE = Point(*SITE)


@pytest.fixture
async def world(db: Database) -> World:
    add_hooks(db)
    return await World(db).build()


async def drive(
    world: World, departed: datetime, arrived: datetime, *, site: UUID | None = None, phone: int = 0
) -> UUID:
    """A visit whose engineer set out and arrived at these instants; the way is observed as after a push."""
    order = await world.order(**({"site_id": site, "asset_id": None} if site else {}))
    visit = await world.visit(world.phones[phone], order)
    async with world.db.work(world.org) as work:
        await work.execute(
            """
            update visit set travelling_at = $2, arrived_at = $3, first_on_site_at = $3, scheduled_start = $2
            where id = $1
            """,
            visit,
            departed,
            arrived,
        )
        await speeds.observe(work, [visit])
    return visit


async def ways(world: World) -> list[Any]:
    return await world.fetch("select * from travel_observation order by departed_at, visit_id")


async def learnt(world: World) -> list[Driven]:
    async with world.db.work(world.org) as work:
        await speeds.learn(work)
    rows = await world.fetch("select hour_of_week, metres, seconds, samples from travel_speed order by 1")
    return [Driven(**dict(row)) for row in rows]


def at(phone: Phone, kind: str, visit: UUID, minutes_ago: float, **more: Any) -> dict[str, Any]:
    made = datetime.now(UTC) - timedelta(minutes=minutes_ago)
    return phone.command(kind, visit, deviceTime=made.isoformat(), **more)


def place(point: Point, **more: Any) -> dict[str, Any]:
    return {"location": {"lat": point.lat, "lng": point.lng, "accuracyM": 10.0, "provider": "gps", **more}}


async def test_a_push_tells_a_way(world: World) -> None:
    """Without the hook the organisation would plan with the standard speed for ever."""
    phone = world.phones[0]
    visit = await world.visit(phone)
    await phone.push(
        at(phone, "visit.travel", visit, 30, **place(HOME)),
        at(phone, "visit.arrive", visit, 10, **place(THERE)),
    )
    [way] = await ways(world)
    assert way["visit_id"] == visit
    assert way["engineer_id"] == phone.engineer_id
    assert way["arrived_at"] - way["departed_at"] == pytest.approx(
        timedelta(minutes=20), abs=timedelta(seconds=2)
    )
    assert way["straight_metres"] == pytest.approx(haversine_m(HOME, THERE), abs=0.5)


async def test_a_late_event_changes_the_way_it_belongs_to(world: World) -> None:
    """A phone that found a network again tells that its engineer set out a quarter of an hour before: the way took longer,
    and is not counted twice."""
    phone = world.phones[0]
    visit = await world.visit(phone)
    late = at(phone, "visit.travel", visit, 35, **place(HOME))
    await phone.push(at(phone, "visit.travel", visit, 20, **place(HOME)))
    assert await ways(world) == []
    await phone.push(at(phone, "visit.arrive", visit, 10, **place(THERE)))
    await phone.push(late)
    [way] = await ways(world)
    assert (way["arrived_at"] - way["departed_at"]).total_seconds() == pytest.approx(1500, abs=2)


async def test_a_late_event_may_take_a_way_back(world: World) -> None:
    """Set out five hours before arriving: whatever that was, it was no way, and must not stay in the figures."""
    phone = world.phones[0]
    visit = await world.visit(phone)
    late = at(phone, "visit.travel", visit, 310, **place(HOME))
    await phone.push(
        at(phone, "visit.travel", visit, 30, **place(HOME)),
        at(phone, "visit.arrive", visit, 10, **place(THERE)),
    )
    assert len(await ways(world)) == 1
    await phone.push(late)
    assert await ways(world) == []


@pytest.mark.parametrize(
    "arrival",
    (
        {"mock": True},  # a made-up place
        {"lat": SITE[0] + 0.05},  # told from five kilometres away
    ),
    ids=["mock", "outside"],
)
async def test_an_arrival_told_from_elsewhere_is_no_way(world: World, arrival: dict[str, Any]) -> None:
    """An engineer who says "arrived" from home would teach the organisation that its people fly."""
    phone = world.phones[0]
    visit = await world.visit(phone)
    await phone.push(
        at(phone, "visit.travel", visit, 30, **place(HOME)),
        at(phone, "visit.arrive", visit, 10, **place(THERE, **arrival)),
    )
    assert await ways(world) == []


@pytest.mark.parametrize(
    ("minutes", "north"),
    (
        (20, 0.002),  # 220 m: a car park
        (241, 0.01),  # over four hours
        (0.2, 0.01),  # 1.1 km in twelve seconds
        (200, 0.01),  # slower than a walk
    ),
)
async def test_what_is_no_way_teaches_nothing(world: World, minutes: float, north: float) -> None:
    """Lunch breaks, forgotten buttons and wrong clocks are in the events of every day."""
    async with world.db.work(world.org) as work:
        await work.execute("update engineer set home_lat = $1", SITE[0] + north)
    arrived = datetime(2026, 3, 4, 12, tzinfo=UTC)
    await drive(world, arrived - timedelta(minutes=minutes), arrived)
    assert await ways(world) == []


async def test_where_a_way_began(world: World) -> None:
    """From home in the morning, from the last customer after that, from where the phone was if it said so: taken from home
    each time, every way of the afternoon would look short and slow, or long and fast."""
    nine = datetime(2026, 3, 4, 9, tzinfo=UTC)
    async with world.db.work(world.org, actor=world.dispatcher) as work:
        far = await customers.create_site(
            work,
            NewSite(
                customer_id=world.customer, name="Far", address="9 Far St", lat=SITE[0] + 0.1, lng=SITE[1]
            ),
        )
    await drive(world, nine, nine + timedelta(minutes=20))
    await drive(world, nine + timedelta(hours=2), nine + timedelta(hours=3), site=far)
    # The next day begins at home again, whatever was last the day before.
    await drive(world, nine + timedelta(days=1), nine + timedelta(days=1, minutes=20))
    metres = [way["straight_metres"] for way in await ways(world)]
    there = Point(SITE[0] + 0.1, SITE[1])
    assert metres == pytest.approx(
        [haversine_m(HOME, THERE), haversine_m(THERE, there), haversine_m(HOME, THERE)], abs=0.5
    )


async def test_a_position_around_the_departure_beats_home(world: World) -> None:
    """Whoever slept at a friend's did not set out from home."""
    phone = world.phones[0]
    set_out = datetime.now(UTC) - timedelta(minutes=40)
    friend = Point(SITE[0] + 0.03, SITE[1])
    async with world.db.work(world.org, actor=phone.actor) as work:
        fixes = [
            NewFix(at=set_out - timedelta(minutes=8), lat=SITE[0] + 0.2, lng=SITE[1], accuracy_m=5),
            NewFix(at=set_out + timedelta(minutes=1), lat=friend.lat, lng=friend.lng, accuracy_m=5),
            NewFix(at=set_out, lat=SITE[0] + 0.3, lng=SITE[1], mock=True),
        ]
        await positions.record(work, phone.engineer_id, fixes)
    await drive(world, set_out, set_out + timedelta(minutes=20))
    [way] = await ways(world)
    assert way["straight_metres"] == pytest.approx(haversine_m(friend, THERE), abs=0.5)


@pytest.mark.parametrize(
    ("departed", "hour"),
    (
        ("2026-03-08T06:30:00Z", 6 * 24 + 1),  # 01:30 EST, the hour before clocks go forward
        ("2026-03-08T07:30:00Z", 6 * 24 + 3),  # 03:30 EDT; nobody ever set out at 02:30
        ("2026-11-01T05:30:00Z", 6 * 24 + 1),  # 01:30 EDT
        ("2026-11-01T06:30:00Z", 6 * 24 + 1),  # 01:30 EST, the same hour again
        ("2026-03-02T05:00:00Z", 0),  # Monday 00:00
    ),
)
async def test_hours_are_those_of_the_organisations_clock(world: World, departed: str, hour: int) -> None:
    """Rush hour follows people's clocks: reckoned in UTC it would wander by an hour twice a year. What is learned here must
    be found again by the travel model, which reckons hours itself."""
    async with world.db.work(world.org) as work:
        await organisations.update_organisation(work, time_zone="America/New_York")
    start = datetime.fromisoformat(departed)
    await drive(world, start, start + timedelta(minutes=5))
    async with world.db.work(world.org) as work:
        # On a clock of that time: only the last half year is learned from.
        work.now = start + timedelta(days=1)
        await speeds.learn(work)
        model = await speeds.travel_model(work)
    [row] = await world.fetch("select hour_of_week, samples from travel_speed")
    assert (row["hour_of_week"], row["samples"]) == (hour, 1)
    assert int(model.hour_of_week_s(int(start.timestamp()))) == hour


async def test_an_organisation_without_any_has_the_standard_speeds(world: World) -> None:
    """A new customer's first plan must not divide by nothing."""
    assert await learnt(world) == []
    async with world.db.work(world.org) as work:
        assert await speeds.travel_model(work) == Travel()


async def test_few_ways_move_an_hour_a_little_and_many_much() -> None:
    """One lucky ride at night must not make every plan of that hour a race."""
    slow = 7.0 / CIRCUITY  # metres as the crow flies a second at 25.2 km/h on the road
    fast = 20.0 / CIRCUITY  # at 72 km/h
    town = [Driven(hour_of_week=n, metres=slow * 36_000, seconds=36_000, samples=60) for n in range(100)]
    one = shrunk([*town, Driven(hour_of_week=120, metres=fast * 600, seconds=600, samples=1)])
    many = shrunk([*town, Driven(hour_of_week=120, metres=fast * 90_000, seconds=90_000, samples=150)])
    assert one[0] == pytest.approx(25.2, rel=0.01)
    assert one[130] == pytest.approx(25.2, rel=0.01)  # nobody drove then
    assert 25.2 < one[120] < 30
    assert 60 < many[120] < 72
    assert shrunk([]) == (pytest.approx(TRAVEL_SPEED_KM_PER_HOUR),) * 168


async def test_learned_speeds_stay_within_what_can_be() -> None:
    """Figures of a broken import must not let a plan send somebody across a country in an hour, or never."""
    wild = shrunk([Driven(hour_of_week=0, metres=1e12, seconds=3600, samples=9)])
    still = shrunk([Driven(hour_of_week=n, metres=0, seconds=1e9, samples=9) for n in range(168)])
    assert set(wild) == {130.0}
    assert set(still) == {3.0}


async def test_an_hour_whose_ways_grew_old_is_forgotten(world: World) -> None:
    """Roadworks of last year must not slow this year's plans."""
    arrived = datetime.now(UTC) - timedelta(days=10)
    await drive(world, arrived - timedelta(minutes=10), arrived)
    assert len(await learnt(world)) == 1
    async with world.db.work(world.org) as work:
        work.now += timedelta(days=speeds.LEARNED_DAYS)
        assert await speeds.learn(work) == 0
        assert await work.fetchval("select count(*) from travel_speed") == 0


async def test_ways_are_the_organisations_own(world: World, db: Database) -> None:
    """A competitor's vans teach nobody else their roads."""
    other = await World(db).build()
    arrived = datetime.now(UTC) - timedelta(hours=1)
    await drive(world, arrived - timedelta(minutes=10), arrived)
    assert len(await learnt(world)) == 1
    assert await learnt(other) == []
    visit = (await ways(world))[0]["visit_id"]
    async with other.db.work(other.org) as work:
        assert await speeds.travel_model(work) == Travel()
        assert await speeds.observe(work, [visit]) == 0


async def test_the_office_looks_at_speeds_and_has_them_learned(
    world: World, db: Database, settings: Settings
) -> None:
    """A dispatcher who wonders why a plan allows an hour for a way sees on how many ways that stands."""
    arrived = datetime.now(UTC) - timedelta(hours=1)
    await drive(world, arrived - timedelta(minutes=10), arrived)
    async with application(settings, db) as (app, client):
        user, engineer = world.dispatcher.user_id, world.phones[0].actor.user_id
        assert user is not None
        assert engineer is not None
        desk = Graph(client, await token_of(db, app.state.issuer, world.org, user))
        assert (await desk.ask("mutation { learnTravelSpeeds }"))["learnTravelSpeeds"] == 1
        shown = (await desk.ask("{ travelSpeeds { hourOfWeek kmPerHour samples } }"))["travelSpeeds"]
        phone = Graph(client, await token_of(db, app.state.issuer, world.org, engineer))
        refused = await phone.refused("mutation { learnTravelSpeeds }")
    assert [one["hourOfWeek"] for one in shown] == list(range(168))
    assert sum(one["samples"] for one in shown) == 1
    assert refused["code"] == "NOT_ALLOWED"
