"""Territories: outlines that are checked, sites that lie in them, and places that the desk may change."""

import asyncio
import contextvars
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import httpx
import pytest
from graph import Graph, application, someone, token_of
from worlds import SITE, World

from callout_backend.jobs.drain import drain
from callout_backend.jobs.handlers import make_handlers
from callout_backend.settings import Settings
from callout_dispatch.places import territories
from callout_dispatch.places.territories import TerritoryChange
from callout_geo.china import Datum, from_wgs84
from callout_geo.points import Point
from callout_orders import customers
from callout_orders.customers import NewSite
from callout_people.principals import Role
from callout_store.errors import AlreadyExists, BadField, NotFound, Refusal, StaleRevision
from callout_store.ids import new_id
from callout_store.work import Database

LAT, LNG = SITE


def box(south: float, west: float, north: float, east: float) -> dict[str, Any]:
    """A rectangle, degrees from the world's site."""
    corners = [(west, south), (east, south), (east, north), (west, north), (west, south)]
    return {"type": "Polygon", "coordinates": [[[LNG + lng, LAT + lat] for lng, lat in corners]]}


AROUND = box(-0.01, -0.01, 0.01, 0.01)
NORTH = box(0.02, -0.01, 0.04, 0.01)


@pytest.fixture
async def app(settings: Settings, db: Database) -> AsyncIterator[tuple[Any, httpx.AsyncClient]]:
    async with application(settings, db) as made:
        yield made


@pytest.fixture
async def world(app: Any, db: Database) -> World:
    return await World(db).build()


@pytest.fixture
async def desk(app: Any, world: World) -> Graph:
    application_, client = app
    user = world.dispatcher.user_id
    assert user is not None
    return Graph(client, await token_of(world.db, application_.state.issuer, world.org, user))


async def save(world: World, id_: UUID | None = None, **change: Any) -> territories.Saved:
    return await world.db.run(
        world.org,
        lambda work: territories.save(work, TerritoryChange(**change), id_=id_),
        actor=world.dispatcher,
    )


async def placed(world: World, settings: Settings) -> None:
    """What the worker does after an outline changed."""
    await drain(world.db, make_handlers(settings))


async def site_of(world: World, lat: float | None, lng: float | None) -> UUID:
    async with world.db.work(world.org, actor=world.dispatcher) as work:
        return await customers.create_site(
            work, NewSite(customer_id=world.customer, name="S", address="2 Main St", lat=lat, lng=lng)
        )


async def territory_of(world: World, site: UUID) -> UUID | None:
    found: UUID | None = await world.value("select territory_id from site where id = $1", site)
    return found


async def refusal(world: World, polygon: Any, **more: Any) -> Refusal:
    with pytest.raises(Refusal) as caught:
        await save(world, code="T", name="T", polygon=polygon, **more)
    return caught.value


# ------------------------------------------------------------------------------------------------ sites find theirs


async def test_sites_are_placed_when_an_outline_is_drawn(world: World, settings: Settings) -> None:
    """Drawing a territory around a thousand customers and finding none of them in it is a map, not a territory."""
    saved = await save(world, code="MID", name="Middle", polygon=AROUND)
    assert saved.placing
    assert saved.territory.outlined
    await placed(world, settings)
    assert await territory_of(world, world.site) == saved.territory.id


async def test_a_new_site_lies_in_its_territory_at_once(world: World, settings: Settings) -> None:
    """The first order for a new customer is picked a minute later: by then the site must lie somewhere."""
    saved = await save(world, code="MID", name="Middle", polygon=AROUND)
    inside = await site_of(world, LAT + 0.001, LNG)
    outside = await site_of(world, LAT + 0.5, LNG)
    nowhere = await site_of(world, None, None)
    assert await territory_of(world, inside) == saved.territory.id
    assert await territory_of(world, outside) is None
    assert await territory_of(world, nowhere) is None


async def test_a_changed_outline_moves_sites_and_a_retired_one_lets_go(
    world: World, settings: Settings
) -> None:
    """Sites left in a territory that no longer covers them are served by the wrong people."""
    saved = await save(world, code="MID", name="Middle", polygon=AROUND)
    await placed(world, settings)
    north = await site_of(world, LAT + 0.03, LNG)
    await save(world, saved.territory.id, polygon=NORTH)
    await placed(world, settings)
    assert await territory_of(world, world.site) is None
    assert await territory_of(world, north) == saved.territory.id
    async with world.db.work(world.org) as work:
        gone = await territories.retire(work, saved.territory.id)
    assert not gone.active
    await placed(world, settings)
    assert await territory_of(world, north) is None
    # Back in service with the outline it had.
    again = await save(world, saved.territory.id)
    assert (again.territory.active, again.placing) == (True, True)
    await placed(world, settings)
    assert await territory_of(world, north) == saved.territory.id


async def test_what_was_set_by_hand_stays(world: World, settings: Settings, desk: Graph) -> None:
    """The dispatcher who gave a customer to the team across the river knows why; a redrawn map does not."""
    middle = await save(world, code="MID", name="Middle", polygon=AROUND)
    north = await save(world, code="NORTH", name="North", polygon=NORTH)
    await placed(world, settings)
    set_ = """
    mutation($s: UUID!, $t: UUID, $p: Boolean!) {
      setSiteTerritory(siteId: $s, territoryId: $t, byPolygon: $p) { territoryId territoryBy }
    }
    """
    by_hand = await desk.ask(set_, {"s": str(world.site), "t": str(north.territory.id), "p": False})
    assert by_hand["setSiteTerritory"] == {"territoryId": str(north.territory.id), "territoryBy": "hand"}
    await save(world, middle.territory.id, polygon=box(-0.02, -0.02, 0.015, 0.02))
    await placed(world, settings)
    assert await territory_of(world, world.site) == north.territory.id
    back = await desk.ask(set_, {"s": str(world.site), "t": None, "p": True})
    assert back["setSiteTerritory"] == {"territoryId": str(middle.territory.id), "territoryBy": "polygon"}
    retired = await desk.ask(
        "mutation($t: UUID!) { retireTerritory(id: $t) { active sites } }", {"t": str(north.territory.id)}
    )
    assert retired["retireTerritory"] == {"active": False, "sites": 0}
    refused = await desk.refused(set_, {"s": str(world.site), "t": str(north.territory.id), "p": False})
    assert (refused["code"], refused["path"]) == ("NOT_FOUND", "territoryId")


async def test_many_sites_are_placed_in_chunks(
    world: World, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A hundred thousand sites in one transaction would hold up every phone's feed; the job goes on in messages."""
    async with world.db.work(world.org, actor=world.dispatcher) as work:
        made = await customers.create_sites(
            work,
            [
                NewSite(customer_id=world.customer, name=f"S{n}", address="A", lat=LAT + n * 1e-3, lng=LNG)
                for n in range(25)
            ],
        )
    monkeypatch.setattr(territories, "CHUNK", 4)
    monkeypatch.setattr(territories, "CHUNKS_MAX", 2)
    saved = await save(world, code="MID", name="Middle", polygon=AROUND)
    await placed(world, settings)
    while await world.value(
        "select count(*) from outbox where channel = 'territory.place' and state <> 'done'"
    ):
        await placed(world, settings)
    inside = [await territory_of(world, site) == saved.territory.id for site in made]
    assert inside == [n <= 10 for n in range(25)]


async def test_a_site_made_while_an_outline_is_drawn_lies_in_it(world: World) -> None:
    """Made in a transaction that began before the outline was there, and ends after the job has passed: without waiting for
    one another nobody would ever look at that site again."""
    async with world.db.work(world.org, actor=world.dispatcher) as work:
        made = await customers.create_site(
            work, NewSite(customer_id=world.customer, name="S", address="2 Main St", lat=LAT, lng=LNG)
        )
        # Another task: this one's transaction is its own.
        saved = await asyncio.create_task(
            save(world, code="MID", name="Middle", polygon=AROUND), context=contextvars.Context()
        )
    assert await territory_of(world, made) == saved.territory.id


async def test_two_territories_over_one_place_are_told_and_the_older_has_it(
    world: World, settings: Settings
) -> None:
    """Whoever draws over a neighbour must hear so at once, and the sites between must not change hands with every save."""
    older = await save(world, code="MID", name="Middle", polygon=AROUND)
    younger = await save(world, code="BIG", name="Big", polygon=box(-0.01, -0.01, 0.04, 0.01))
    assert [(one.id, one.code) for one in younger.overlaps] == [(older.territory.id, "MID")]
    assert younger.overlaps[0].share == pytest.approx(1.0, abs=0.01)
    assert older.overlaps == []
    await placed(world, settings)
    assert await territory_of(world, world.site) == older.territory.id


async def test_an_outline_drawn_on_a_chinese_map_lands_where_it_was_drawn(world: World) -> None:
    """Taken as GPS degrees it would lie half a kilometre off, and every street at its edge in the wrong hands."""
    corner = Point(31.23, 121.47)

    def drawn(lat: float, lng: float) -> list[float]:
        shown = from_wgs84(Point(corner.lat + lat, corner.lng + lng), Datum.GCJ02)
        return [shown.lng, shown.lat]

    ring = [drawn(0, 0), drawn(0, 0.01), drawn(0.01, 0.01), drawn(0.01, 0), drawn(0, 0)]
    saved = await save(
        world,
        code="SH",
        name="沪",
        polygon={"type": "Polygon", "coordinates": [ring]},
        datum=Datum.GCJ02,
    )
    async with world.db.work(world.org) as work:
        near_edge = await territories.territory_at(work, Point(corner.lat + 0.0001, corner.lng + 0.0001))
        beyond = await territories.territory_at(work, Point(corner.lat - 0.0001, corner.lng + 0.005))
    assert near_edge is not None
    assert near_edge.id == saved.territory.id
    assert beyond is None


# ------------------------------------------------------------------------------------------------ what is refused


async def test_a_self_crossing_outline_is_refused_with_its_place(world: World) -> None:
    """A bow-tie has no inside; told only "invalid", its drawer would search a thousand corners."""
    bow = {"type": "Polygon", "coordinates": [[[0.1, 0.1], [1, 1], [1, 0.1], [0.1, 1], [0.1, 0.1]]]}
    fault = await refusal(world, bow)
    assert isinstance(fault, BadField)
    assert fault.path == "polygon.coordinates"
    assert fault.details["reason"] == "self_crossing"
    assert fault.details["lat"] == pytest.approx(0.55)
    assert "自相交" in fault.message("zh")


@pytest.mark.parametrize(
    ("polygon", "path", "reason"),
    (
        ("a text", "polygon", "not_geojson"),
        ({"type": "Point", "coordinates": [1, 2]}, "polygon.type", "wrong_type"),
        ({"type": "Polygon", "coordinates": []}, "polygon.coordinates", "empty"),
        (
            {"type": "Polygon", "coordinates": [[[10, 10], [11, 10], [11, 11], [10, 11]]]},
            "polygon.coordinates[0]",
            "ring_open",
        ),
        (
            {"type": "Polygon", "coordinates": [[[10, 10], [11, float("nan")], [11, 11], [10, 10]]]},
            "polygon.coordinates[0][1][1]",
            "not_finite",
        ),
        (
            {"type": "Polygon", "coordinates": [[[0, 0], [1, 0], [1, 1], [0, 0]]]},
            "polygon.coordinates[0][0]",
            "null_island",
        ),
        (
            {"type": "Polygon", "coordinates": [[[31, 121], [31, 122], [32, 122], [31, 121]]]},
            "polygon.coordinates[0][0][1]",
            "axes_swapped",
        ),
        (
            {"type": "Polygon", "coordinates": [[[10 + n * 1e-5, 10 + (n % 2)] for n in range(100_001)]]},
            "polygon.coordinates",
            "too_many_vertices",
        ),
        (
            {"type": "Polygon", "coordinates": [[[10, 10], [11, 11], [12, 12], [10, 10]]]},
            "polygon.coordinates[0]",
            "no_area",
        ),
    ),
    ids=["text", "type", "empty", "open", "nan", "null-island", "swapped", "100001", "line"],
)
async def test_outlines_that_cannot_be(world: World, polygon: Any, path: str, reason: str) -> None:
    """Each names the place in the document and what is wrong; none leaves half a territory behind."""
    fault = await refusal(world, polygon)
    assert (fault.code, fault.path, fault.details["reason"]) == ("BAD_FIELD", path, reason)
    assert fault.message("en") != fault.message("zh")
    assert await world.value("select count(*) from territory") == 0


async def test_codes_are_unique_and_revisions_are_kept(world: World) -> None:
    """Two dispatchers with the same map open must not draw over each other unseen."""
    first = await save(world, code="MID", name="Middle")
    with pytest.raises(AlreadyExists):
        await save(world, code="MID", name="Other")
    with pytest.raises(BadField) as missing:
        await save(world, name="No code")
    assert missing.value.path == "code"
    await save(world, first.territory.id, name="Centre")
    with pytest.raises(StaleRevision):
        async with world.db.work(world.org) as work:
            await territories.save(work, TerritoryChange(name="Mine"), id_=first.territory.id, revision=1)
    same = await save(world, first.territory.id, name="Centre")
    assert same.territory.revision == 2
    with pytest.raises(NotFound):
        await save(world, new_id(), name="Nobody's")


async def test_an_empty_territory_says_so(world: World, desk: Graph, settings: Settings) -> None:
    """A plan of a territory without sites or engineers looks like a broken planner unless the list tells why."""
    await save(world, code="MID", name="Middle", polygon=AROUND)
    await save(world, code="SEA", name="Sea", polygon=box(0.2, 0.2, 0.3, 0.3))
    await placed(world, settings)
    asked = await desk.ask("{ territories { code sites engineers outlined polygon } }")
    shown = {one["code"]: one for one in asked["territories"]}
    assert (shown["SEA"]["sites"], shown["SEA"]["engineers"]) == (0, 0)
    assert shown["MID"]["sites"] == 1
    assert shown["SEA"]["polygon"]["type"] == "Polygon"
    none = await desk.ask(f"{{ territoryAt(lat: {LAT + 1}, lng: {LNG}) {{ code }} }}")
    assert none["territoryAt"] is None


# ------------------------------------------------------------------------------------------------ the desk moves a site

POINT = """
mutation($s: UUID!, $lat: Float!, $lng: Float!, $datum: String!, $r: Int) {
  setSitePoint(siteId: $s, lat: $lat, lng: $lng, datum: $datum, revision: $r) { lat lng territoryId revision }
}
"""
PLACE = """
mutation($s: UUID!, $i: SitePlace!, $r: Int) {
  setSitePlace(siteId: $s, input: $i, revision: $r) { address lat lng geofenceRadiusM revision }
}
"""


async def test_a_point_set_on_a_map_reaches_territory_and_phones(
    world: World, desk: Graph, settings: Settings
) -> None:
    """An address that was geocoded to the wrong side of town is mended once, for the office and the phones."""
    phone = world.phones[0]
    await world.visit(phone)
    await phone.pull()
    north = await save(world, code="NORTH", name="North", polygon=NORTH)
    done = await desk.ask(
        POINT, {"s": str(world.site), "lat": LAT + 0.03, "lng": LNG, "datum": "wgs84", "r": 1}
    )
    assert done["setSitePoint"] == {
        "lat": pytest.approx(LAT + 0.03),
        "lng": pytest.approx(LNG),
        "territoryId": str(north.territory.id),
        "revision": 2,
    }
    await phone.pull()
    assert phone.copy[str(world.site)]["doc"]["lat"] == pytest.approx(LAT + 0.03)
    stale = await desk.refused(POINT, {"s": str(world.site), "lat": 1, "lng": 1, "datum": "wgs84", "r": 1})
    assert stale["code"] == "STALE_REVISION"


async def test_points_of_chinese_maps_are_turned_into_gps_degrees(world: World, desk: Graph) -> None:
    """A pin from Baidu taken as it is sends the engineer a kilometre off."""
    there = Point(31.2304, 121.4737)
    for datum in ("gcj02", "BD09"):
        shown = from_wgs84(there, datum.lower())
        done = await desk.ask(
            POINT, {"s": str(world.site), "lat": shown.lat, "lng": shown.lng, "datum": datum, "r": None}
        )
        assert done["setSitePoint"]["lat"] == pytest.approx(there.lat, abs=1e-6)
        assert done["setSitePoint"]["lng"] == pytest.approx(there.lng, abs=1e-6)


@pytest.mark.parametrize(
    ("lat", "lng", "datum", "code", "path"),
    (
        (0, 0, "wgs84", "POINT_INVALID", "point"),
        (0, 0, "gcj02", "POINT_INVALID", "point"),
        (91, 0, "wgs84", "POINT_INVALID", "lat"),
        (0, 181, "bd09", "POINT_INVALID", "lng"),
        (31, 121, "nad27", "BAD_FIELD", "datum"),
    ),
)
async def test_points_that_cannot_be(
    world: World, desk: Graph, lat: float, lng: float, datum: str, code: str, path: str
) -> None:
    """A site on null island draws every engineer's route to the Gulf of Guinea."""
    refused = await desk.refused(
        POINT, {"s": str(world.site), "lat": lat, "lng": lng, "datum": datum, "r": None}
    )
    assert (refused["code"], refused["path"]) == (code, path)
    assert await world.value("select revision from site where id = $1", world.site) == 1


async def test_address_and_radius_can_be_changed(world: World, desk: Graph) -> None:
    """A hospital's car park is 400 m long: with the first guess of 150 m every arrival there was "outside"."""
    done = await desk.ask(
        PLACE, {"s": str(world.site), "i": {"address": " 2 Side St ", "geofenceRadiusM": 400}, "r": 1}
    )
    assert done["setSitePlace"] == {
        "address": "2 Side St",
        "lat": pytest.approx(LAT),
        "lng": pytest.approx(LNG),
        "geofenceRadiusM": 400,
        "revision": 2,
    }
    again = await desk.ask(PLACE, {"s": str(world.site), "i": {"geofenceRadiusM": 400}, "r": 2})
    assert again["setSitePlace"]["revision"] == 2
    lines = await world.fetch("select data from journal where kind = 'site.placed'")
    assert len(lines) == 1
    for given, path in (
        ({"geofenceRadiusM": 99}, "geofenceRadiusM"),
        ({"address": " "}, "address"),
        ({}, "input"),
        ({"point": {"lat": 95, "lng": 1}}, "point.lat"),
        ({"point": {"lat": 5, "lng": 1, "datum": "mars"}}, "point.datum"),
    ):
        refused = await desk.refused(PLACE, {"s": str(world.site), "i": given, "r": None})
        assert refused["path"] == path


async def test_a_moved_site_is_no_conflict_for_who_writes_its_note(world: World, desk: Graph) -> None:
    """The engineer in the cellar notes the gate code while the office mends the address: both stand, nobody gets a card."""
    phone = world.phones[0]
    visit = await world.visit(phone)
    await phone.pull()
    seen = phone.copy[str(world.site)]["doc"]["revision"]
    await desk.ask(PLACE, {"s": str(world.site), "i": {"address": "2 Side St"}, "r": seen})
    edit = phone.command(
        "record.edit",
        visit,
        {
            "entity": "site",
            "id": str(world.site),
            "baseRevision": seen,
            "changes": {"accessNote": "gate 7"},
        },
        schemaVersion=2,
    )
    [answer] = await phone.push(edit)
    assert answer.status == "applied", answer
    [row] = await world.fetch("select address, access_note, revision from site where id = $1", world.site)
    assert (row["address"], row["access_note"], row["revision"]) == ("2 Side St", "gate 7", seen + 2)
    assert await world.value("select count(*) from field_conflict") == 0


# ------------------------------------------------------------------------------------------------ who may


async def test_territories_and_sites_of_others_are_out_of_reach(
    app: Any, world: World, desk: Graph, db: Database
) -> None:
    """Another company's dispatcher must neither see a territory nor put its own sites there, nor move a site."""
    application_, client = app
    saved = await save(world, code="MID", name="Middle", polygon=AROUND)
    other = await World(db).build()
    assert other.dispatcher.user_id is not None
    stranger = Graph(
        client, await token_of(db, application_.state.issuer, other.org, other.dispatcher.user_id)
    )
    assert (await stranger.ask("{ territories { id } }"))["territories"] == []
    assert (await stranger.ask(f"{{ territoryAt(lat: {LAT}, lng: {LNG}) {{ id }} }}"))["territoryAt"] is None
    set_ = "mutation($s: UUID!, $t: UUID!) { setSiteTerritory(siteId: $s, territoryId: $t) { id } }"
    for site, territory in ((other.site, saved.territory.id), (world.site, saved.territory.id)):
        refused = await stranger.refused(set_, {"s": str(site), "t": str(territory)})
        assert refused["code"] == "NOT_FOUND"
    for mutation, variables in (
        (POINT, {"s": str(world.site), "lat": 1, "lng": 1, "datum": "wgs84", "r": None}),
        (PLACE, {"s": str(world.site), "i": {"address": "mine"}, "r": None}),
        ("mutation($t: UUID!) { retireTerritory(id: $t) { id } }", {"t": str(saved.territory.id)}),
    ):
        assert (await stranger.refused(mutation, variables))["code"] == "NOT_FOUND"


async def test_only_the_office_draws(app: Any, world: World) -> None:
    """An engineer may look at territories, not hand a street to somebody else."""
    application_, client = app
    engineer = world.phones[0].actor.user_id
    assert engineer is not None
    for user, allowed in ((engineer, True), (await someone(world, Role.CUSTOMER_CONTACT), False)):
        graph = Graph(client, await token_of(world.db, application_.state.issuer, world.org, user))
        looked = (await graph.send("{ territories { code } }")).json()
        assert ("errors" not in looked) is allowed
        refused = await graph.refused(
            "mutation($i: SaveTerritory!) { saveTerritory(input: $i) { placing } }",
            {"i": {"code": "X", "name": "X"}},
        )
        assert refused["code"] == "NOT_ALLOWED"
