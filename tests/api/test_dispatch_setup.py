"""What dispatch stands on: skills, engineers with their limits, preferences, depots."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from worlds import World

from callout_dispatch import depots, engineer_setup, engineers, preferences, shifts
from callout_dispatch.depots import NewDepot
from callout_dispatch.engineer_setup import EngineerSetup
from callout_dispatch.engineer_terms import NewTerritory
from callout_dispatch.preferences import Target
from callout_dispatch.shifts import Break, PlannedShift
from callout_people.principals import Role
from callout_people.users import NewUser, create_user
from callout_store.errors import AlreadyExists, BadField, NotFound, Refusal
from callout_store.ids import new_id
from callout_store.work import Database

HOUR = timedelta(hours=1)
MONDAY = datetime(2026, 3, 2, tzinfo=UTC)


@pytest.fixture
async def world(db: Database) -> World:
    return await World(db).build(phones=2)


async def save(world: World, engineer_id: UUID | None = None, **values: Any) -> UUID:
    return await world.db.run(
        world.org,
        lambda work: engineer_setup.save_engineer(work, EngineerSetup(**values), engineer_id),
        actor=world.dispatcher,
    )


async def user(world: World) -> UUID:
    async with world.db.work(world.org) as work:
        return await create_user(
            work, NewUser(email=f"{new_id().hex}@example.org", name="New", role=Role.ENGINEER)
        )


async def test_an_engineer_is_entered_and_changed(world: World) -> None:
    """A change of one figure that resets the others sends an engineer beyond what was agreed with them."""
    async with world.db.work(world.org) as work:
        north, south = await engineers.create_territories(
            work, [NewTerritory(code="N", name="North"), NewTerritory(code="S", name="South")]
        )
    id_ = await save(
        world,
        user_id=await user(world),
        name=" Li ",
        home_lat=37.7,
        home_lng=-122.4,
        end_lat=37.8,
        end_lng=-122.5,
        territory_id=north,
        secondary_territory_ids=[south],
        skills={"sewer": 5},
        travel_minutes_max=45,
        visits_max=6,
    )
    assert await save(world, id_, work_minutes_max=420, skills={"sewer": 2}) == id_
    await save(world, id_, end_lat=None, end_lng=None, travel_minutes_max=None)
    async with world.db.work(world.org) as work:
        (terms,) = await engineer_setup.terms_by_engineer_ids(work, [id_])
        row = await work.fetchrow("select * from engineer where id = $1", id_)
        level = await work.fetchval("select level from engineer_skill where engineer_id = $1", id_)
    assert terms is not None
    assert (terms.end_lat, terms.travel_minutes_max, terms.work_minutes_max, terms.visits_max) == (
        None,
        None,
        420,
        6,
    )
    assert terms.secondary_territory_ids == (south,)
    assert row is not None
    assert (row["name"], row["home_lat"], row["territory_id"], level) == ("Li", 37.7, north, 2)
    await save(
        world, id_, name="Li", secondary_territory_ids=[], home_lat=37.6, home_lng=-122.4, active=False
    )
    async with world.db.work(world.org) as work:
        (terms,) = await engineer_setup.terms_by_engineer_ids(work, [id_])
        assert terms is not None
        assert terms.secondary_territory_ids == ()
        assert await work.fetchval("select home_lat from engineer where id = $1 and not active", id_) == 37.6
    before = await world.value("select count(*) from journal where entity_id = $1", id_)
    await save(
        world, id_, name="Li", home_lat=37.6, home_lng=-122.4, active=False, skills={"sewer": 2}, visits_max=6
    )
    assert await world.value("select count(*) from journal where entity_id = $1", id_) == before


async def test_where_people_live_is_in_no_journal(world: World) -> None:
    """The journal is kept for ever and sent on to other systems: nobody's address belongs there."""
    id_ = await save(world, user_id=await user(world), name="Li", home_lat=37.123456, home_lng=-122.654321)
    await save(world, id_, home_lat=37.234567, home_lng=-122.765432, end_lat=37.345678, end_lng=-122.876543)
    lines = await world.fetch("select data::text as data from journal where entity_id = $1", id_)
    text = " ".join(line["data"] for line in lines)
    assert '"homeMoved": true' in text
    for figure in ("37.123456", "37.234567", "37.345678", "122.654321", "122.765432", "122.876543"):
        assert figure not in text


@pytest.mark.parametrize(
    ("values", "code", "path"),
    (
        ({"home_lat": None}, "BAD_FIELD", "home"),
        ({"home_lat": 0.0, "home_lng": 0.0}, "POINT_INVALID", "home"),
        ({"home_lat": 91.0}, "POINT_INVALID", "home.lat"),
        ({"home_lat": float("nan")}, "POINT_INVALID", "home.lat"),
        ({"end_lat": 3.0}, "BAD_FIELD", "end"),
        ({"end_lat": 3.0, "end_lng": None}, "BAD_FIELD", "endLng"),
        ({"end_lat": 3.0, "end_lng": 181.0}, "POINT_INVALID", "end.lng"),
        ({"skills": {"magic": 1}}, "BAD_FIELD", "skills.magic"),
        ({"skills": {"sewer": 0}}, "BAD_FIELD", "skills.sewer"),
        ({"skills": {"sewer": 6}}, "BAD_FIELD", "skills.sewer"),
        ({"travel_minutes_max": 0}, "BAD_FIELD", "travelMinutesMax"),
        ({"work_minutes_max": 1441}, "BAD_FIELD", "workMinutesMax"),
        ({"visits_max": 101}, "BAD_FIELD", "visitsMax"),
        ({"territory_id": new_id()}, "NOT_FOUND", "territoryId"),
        ({"secondary_territory_ids": [new_id()]}, "NOT_FOUND", "secondaryTerritoryIds.0"),
        ({"name": " "}, "BAD_FIELD", "name"),
    ),
)
async def test_a_bad_engineer_is_refused_by_name(
    world: World, values: dict[str, Any], code: str, path: str
) -> None:
    """An engineer without a base or with an unknown skill would break every pick, or never be picked: say it at once,
    whether somebody is entered or changed."""
    whole = {"user_id": await user(world), "name": "Li", "home_lat": 37.7, "home_lng": -122.4}
    for engineer_id, given in ((None, {**whole, **values}), (world.phones[0].engineer_id, values)):
        if engineer_id is not None and "home_lat" in given:
            given = {"home_lng": -122.4, **given}
        with pytest.raises(Refusal) as caught:
            await save(world, engineer_id, **given)
        assert (caught.value.code, caught.value.path) == (code, path)
        assert caught.value.message("zh") != caught.value.message("en")
    assert await world.value("select count(*) from engineer where user_id = $1", whole["user_id"]) == 0


async def test_who_is_missing_is_named(world: World) -> None:
    """A form that was sent half must say what it lacks."""
    for values, path in (({"name": "Li"}, "userId"), ({"user_id": new_id()}, "name")):
        with pytest.raises(BadField) as caught:
            await save(world, **values)
        assert caught.value.path == path
    home = {"home_lat": 37.7, "home_lng": -122.4}
    with pytest.raises(NotFound) as unknown:
        await save(world, user_id=new_id(), name="Li", **home)
    assert unknown.value.path == "userId"
    taken = world.phones[0].actor.user_id
    with pytest.raises(AlreadyExists) as twice:
        await save(world, user_id=taken, name="Li", **home)
    assert twice.value.path == "userId"
    with pytest.raises(BadField):
        await save(world, world.phones[1].engineer_id, user_id=taken)
    with pytest.raises(NotFound):
        await save(world, new_id(), name="Li")


async def test_a_word_on_an_engineer_is_said_changed_and_taken_back(world: World) -> None:
    """Two words on one engineer at one customer (required and excluded) would leave nobody to send."""
    engineer, target = world.phones[0].engineer_id, Target(customer_id=world.customer)
    async with world.db.work(world.org, actor=world.dispatcher) as work:
        assert await preferences.set_preference(work, engineer, target, None) is None
        first = await preferences.set_preference(work, engineer, target, "required")
        changed = await preferences.set_preference(work, engineer, target, "excluded")
        assert first is not None
        assert changed is not None
        assert (changed.id, changed.kind) == (first.id, "excluded")
    order = Target(order_id=await world.order())
    async with world.db.work(world.org, actor=world.dispatcher) as work:
        await preferences.set_preference(work, engineer, order, "preferred")
        await preferences.set_preference(work, engineer, Target(site_id=world.site), "preferred")
        page = await preferences.preferences_page(work, engineer_id=engineer, limit=2)
        assert (len(page.items), page.has_more) == (2, True)
        (only,) = (await preferences.preferences_page(work, order)).items
        assert only.kind == "preferred"
        assert await preferences.set_preference(work, engineer, target, None) is None
        assert (await preferences.preferences_page(work, target)).items == []
    kinds = [row["kind"] for row in await world.fetch("select kind from journal where entity_id = $1 order by id", engineer)
             if "preference" in row["kind"]]  # fmt: skip
    assert kinds == ["engineer.preference_set"] * 4 + ["engineer.preference_removed"]


async def test_a_bad_word_is_refused_by_name(world: World) -> None:
    """A word without a target holds for nobody, and one with two for whom?"""
    engineer = world.phones[0].engineer_id
    for who, target, kind, path in (
        (engineer, Target(), "required", "target"),
        (engineer, Target(customer_id=world.customer, site_id=world.site), "required", "target"),
        (engineer, Target(site_id=world.site), "beloved", "kind"),
        (engineer, Target(site_id=new_id()), "required", "siteId"),
        (engineer, Target(customer_id=new_id()), "required", "customerId"),
        (engineer, Target(order_id=new_id()), "required", "orderId"),
        (new_id(), Target(site_id=world.site), "required", "engineerId"),
    ):
        with pytest.raises(Refusal) as caught:
            async with world.db.work(world.org) as work:
                await preferences.set_preference(work, who, target, kind)
        assert caught.value.path == path
        assert caught.value.message("zh") != caught.value.message("en")


async def test_a_depot_is_kept_with_its_stock(world: World) -> None:
    """A depot whose stock nobody can book is a detour for nothing."""
    async with world.db.work(world.org, actor=world.dispatcher) as work:
        id_ = await depots.save_depot(work, NewDepot(code="D-1", name="Main", lat=37.7, lng=-122.4))
        level = await depots.move_stock(work, id_, world.part, 20, "delivered")
        assert (level.holder_id, level.quantity) == (id_, 20)
        assert (
            await depots.move_stock(work, world.phones[0].engineer_id, world.part, -1, "lost")
        ).quantity == 9
        await depots.save_depot(
            work, NewDepot(code="D-1", name="Main", lat=37.7, lng=-122.4, active=False), id_
        )
        assert (await depots.depots_page(work)).items == []
        (found,) = (await depots.depots_page(work, active=None)).items
        assert (found.id, found.active, found.pickup_minutes) == (id_, False, 10)
        lines = len(work.lines)
        await depots.save_depot(
            work, NewDepot(code="D-1", name="Main", lat=37.7, lng=-122.4, active=False), id_
        )
        assert len(work.lines) == lines, "the same again is no change"


@pytest.mark.parametrize(
    ("more", "path"),
    (
        ({"code": "a b"}, "code"),
        ({"code": ""}, "code"),
        ({"name": ""}, "name"),
        ({"lat": 91.0}, "point.lat"),
        ({"lat": 0.0, "lng": 0.0}, "point"),
        ({"pickup_minutes": 241}, "pickupMinutes"),
        ({"pickup_minutes": -1}, "pickupMinutes"),
    ),
)
async def test_a_bad_depot_is_refused_by_name(world: World, more: dict[str, Any], path: str) -> None:
    """A depot on null island would be on nobody's way, and nobody would learn why."""
    values = {"code": "D-2", "name": "Main", "lat": 37.7, "lng": -122.4, **more}
    with pytest.raises(Refusal) as caught:
        async with world.db.work(world.org) as work:
            await depots.save_depot(work, NewDepot(**values))
    assert caught.value.path == path


async def test_depots_refuse_what_is_not_there_or_taken(world: World) -> None:
    """A mistyped id must not make a second depot, nor stock that nobody holds."""
    new = NewDepot(code="D-3", name="Main", lat=37.7, lng=-122.4)
    async with world.db.work(world.org) as work:
        await depots.save_depot(work, new)
    with pytest.raises(AlreadyExists):
        async with world.db.work(world.org) as work:
            await depots.save_depot(work, new)
    async with world.db.work(world.org) as work:
        with pytest.raises(NotFound):
            await depots.save_depot(work, new, new_id())
        with pytest.raises(NotFound):
            await depots.move_stock(work, new_id(), world.part, 1, "x")
        with pytest.raises(BadField):
            await depots.move_stock(work, world.phones[0].engineer_id, world.part, 0, "x")


async def test_nothing_of_it_is_seen_or_changed_by_another_organisation(db: Database, world: World) -> None:
    """Ids leak into mails and logs: with one of them a neighbour must neither read nor change anything."""
    other = await World(db).build(phones=1)
    mine, theirs = world.phones[0].engineer_id, other.phones[0].engineer_id
    async with db.work(world.org) as work:
        lunch = Break(earliest=MONDAY + 10 * HOUR, latest=MONDAY + 12 * HOUR, minutes=30)
        eight = PlannedShift(starts_at=MONDAY + 8 * HOUR, ends_at=MONDAY + 16 * HOUR, breaks=(lunch,))
        await shifts.replace_shifts(work, mine, MONDAY, MONDAY + 48 * HOUR, [eight])
        depot = await depots.save_depot(work, NewDepot(code="D", name="D", lat=37.7, lng=-122.4))
        await preferences.set_preference(work, mine, Target(site_id=world.site), "required")
    async with db.work(other.org) as work:
        assert await shifts.shifts_between(work, [mine], MONDAY, MONDAY + 48 * HOUR) == [[]]
        assert await engineer_setup.terms_by_engineer_ids(work, [mine]) == [None]
        assert (await depots.depots_page(work, active=None)).items == []
        assert await depots.depots_by_ids(work, [depot]) == [None]
        assert (await preferences.preferences_page(work)).items == []
        for table in ("shift_break", "engineer_preference", "depot", "engineer_territory"):
            assert await work.fetchval(f"select count(*) from {table}") == 0
    for act in (
        lambda work: shifts.replace_shifts(work, mine, MONDAY, MONDAY + HOUR, []),
        lambda work: engineer_setup.save_engineer(work, EngineerSetup(name="x"), mine),
        lambda work: depots.save_depot(work, NewDepot(code="x", name="x", lat=1.0, lng=1.0), depot),
        lambda work: depots.move_stock(work, depot, other.part, 1, "x"),
        lambda work: preferences.set_preference(work, mine, Target(site_id=other.site), "required"),
        lambda work: preferences.set_preference(work, theirs, Target(site_id=world.site), "required"),
    ):
        with pytest.raises(NotFound):
            await db.run(other.org, act)
