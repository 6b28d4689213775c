"""Addresses to places: asked once, in turn, taken only where there is no doubt, and by hand where there is."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any
from uuid import UUID

import httpx
import pytest
from geocoding_server import STREET, TOWER, TOWN, GeocodingServer
from graph import Graph, application, token_of
from worlds import World

from callout_backend.jobs.drain import drain
from callout_backend.jobs.handlers import make_handlers
from callout_backend.settings import GEOCODERS, Settings, SettingsError
from callout_dispatch.places import geocodes
from callout_dispatch.places.geocodes import doubt
from callout_dispatch.places.providers import GeocoderChoice, Providers, register
from callout_dispatch.places.texts import GeocoderFailed, GeocoderOff, GeocoderUnavailable
from callout_geo.geocoding import SERVICES, Candidate, GeocoderSettings, Precision
from callout_geo.points import Point
from callout_orders import customers, site_places
from callout_orders.customers import NewSite
from callout_store.errors import BadField, TooManyRequests
from callout_store.work import Database

ADDRESS = "5 Avenue Anatole France, Paris"


@pytest.fixture
async def server() -> AsyncIterator[GeocodingServer]:
    async with GeocodingServer() as made:
        yield made


@pytest.fixture
async def app(
    settings: Settings, db: Database, server: GeocodingServer
) -> AsyncIterator[tuple[Any, httpx.AsyncClient]]:
    async with application(settings, db) as made:
        register(db, Providers(geocoder=choice(server)))
        db.journal_hooks.append(geocodes.owe_told)
        yield made
        db.journal_hooks.remove(geocodes.owe_told)
        register(db, Providers())
        async with db.work(None) as work:
            await work.execute("update geocode_turn set next_at = now() - interval '1 hour'")


@pytest.fixture
async def world(app: Any, db: Database) -> World:
    return await World(db).build(phones=1)


def choice(server: GeocodingServer, every_s: float = 0.0) -> GeocoderChoice:
    settings = GeocoderSettings(
        service="nominatim",
        domain=f"127.0.0.1:{server.port}",
        scheme="http",
        attempts=1,
        delay_s_min=0.0,
        timeout_s=2.0,
    )
    return GeocoderChoice(settings=settings, every_s=every_s)


async def site(world: World, address: str = ADDRESS) -> UUID:
    async with world.db.work(world.org, actor=world.dispatcher) as work:
        return await customers.create_site(
            work, NewSite(customer_id=world.customer, name="Tower", address=address)
        )


async def point_of(world: World, id_: UUID) -> tuple[float | None, float | None]:
    [row] = await world.fetch("select lat, lng from site where id = $1", id_)
    return row["lat"], row["lng"]


async def kinds(world: World, id_: UUID) -> list[tuple[str, Any]]:
    rows = await world.fetch(
        """
        select kind, coalesce(data->>'by', data->>'because') as said from journal
        where entity_id = $1 and kind <> 'site.created' order by at, id
        """,
        id_,
    )
    return [(row["kind"], row["said"]) for row in rows]


async def worked(world: World, settings: Settings) -> None:
    await drain(world.db, make_handlers(settings))


# ------------------------------------------------------------------------------------------------ asking


async def test_an_address_is_asked_once(world: World, server: GeocodingServer) -> None:
    """The same address comes with every order of a customer; each question costs money or patience."""
    first = await geocodes.geocode(world.db, world.org, ADDRESS, language="en")
    assert [one.precision for one in first.candidates] == ["address", "street", "area"]
    assert not first.kept
    again = await geocodes.geocode(world.db, world.org, f"  {ADDRESS.replace(' ', '  ')} ", language="en")
    assert again.kept
    assert again.candidates == first.candidates
    assert len(server.asked) == 1
    await geocodes.geocode(world.db, world.org, ADDRESS, language="zh")
    assert len(server.asked) == 2


async def test_what_nobody_knew_is_asked_again_soon_and_the_known_late(
    world: World, server: GeocodingServer
) -> None:
    """A new street is on the map tomorrow; an old one does not move."""
    server.found = []
    assert (await geocodes.geocode(world.db, world.org, "9 New St")).candidates == []
    assert (await geocodes.geocode(world.db, world.org, "9 New St")).kept
    server.found = [TOWER]
    await geocodes.geocode(world.db, world.org, ADDRESS)
    days = await world.fetch(
        "select extract(day from expires_at - fetched_at)::int as n from geocode_cache order by 1"
    )
    assert [row["n"] for row in days] == [geocodes.MISSED_DAYS, geocodes.FOUND_DAYS]
    async with world.db.work(world.org) as work:
        work.now += timedelta(days=geocodes.MISSED_DAYS, minutes=1)
        assert await geocodes.purge(work) == 1
    assert (await geocodes.geocode(world.db, world.org, "9 New St")).candidates != []


async def test_questions_wait_for_their_turn_over_all_processes(
    world: World, server: GeocodingServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Five processes with a second's pause each still are five questions a second: the service would shut us out."""
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)

    monkeypatch.setattr(geocodes.asyncio, "sleep", sleep)
    mine = choice(server, every_s=2.0)
    for _ in range(3):
        await geocodes._turn(world.db, mine)
    assert [round(wait) for wait in waits] == [2, 4]
    with pytest.raises(TooManyRequests) as caught:
        await geocodes._turn(world.db, mine)
    assert caught.value.retry_after_ms
    # Nobody who was turned away has taken a turn.
    next_at = await world.value(
        "select extract(epoch from next_at - now()) from geocode_turn where provider = $1", mine.place
    )
    assert 4 < next_at <= 6


@pytest.mark.parametrize(
    ("fault", "refusal"),
    (
        ("broken", GeocoderUnavailable),
        ("busy", GeocoderUnavailable),
        ("cut", GeocoderUnavailable),
        ("garbage", GeocoderFailed),
        ("forbidden", GeocoderFailed),
    ),
)
async def test_a_service_that_fails_is_told_apart(
    world: World, server: GeocodingServer, fault: Any, refusal: Any
) -> None:
    """Later, and never as it is set up, need different people; neither may be kept as an answer."""
    server.always = fault
    with pytest.raises(refusal) as caught:
        await geocodes.geocode(world.db, world.org, ADDRESS)
    assert caught.value.message("zh") != caught.value.message("en")
    assert await world.value("select count(*) from geocode_cache") == 0


async def test_what_cannot_be_asked(world: World, server: GeocodingServer, db: Database) -> None:
    """Nothing leaves the house for an empty field or a whole letter, and without a geocoder the answer says so."""
    for text in ("", "   ", "x" * 301, "a\x07b"):
        with pytest.raises(BadField) as caught:
            await geocodes.geocode(world.db, world.org, text)
        assert caught.value.path == "text"
    assert server.asked == []
    register(db, Providers())
    with pytest.raises(GeocoderOff):
        await geocodes.geocode(world.db, world.org, ADDRESS)


async def test_the_desk_asks_and_chooses(app: Any, world: World, db: Database) -> None:
    """Whoever puts a customer on the map sees what the service thinks, and how sure it is; engineers do not spend questions,
    and another company's answers are its own."""
    application_, client = app
    user = world.dispatcher.user_id
    assert user is not None
    desk = Graph(client, await token_of(db, application_.state.issuer, world.org, user))
    query = (
        "query($t: String!) { geocode(text: $t) { kept candidates { lat lng label precision provider } } }"
    )
    found = (await desk.ask(query, {"t": ADDRESS}))["geocode"]
    assert found["candidates"][0]["precision"] == "address"
    assert found["candidates"][0]["lat"] == pytest.approx(float(TOWER["lat"]))
    engineer = world.phones[0].actor.user_id
    assert engineer is not None
    phone = Graph(client, await token_of(db, application_.state.issuer, world.org, engineer))
    assert (await phone.refused(query, {"t": ADDRESS}))["code"] == "NOT_ALLOWED"
    other = await World(db).build(phones=1)
    assert other.dispatcher.user_id is not None
    stranger = Graph(
        client, await token_of(db, application_.state.issuer, other.org, other.dispatcher.user_id)
    )
    assert not (await stranger.ask(query, {"t": ADDRESS}))["geocode"]["kept"]


# ------------------------------------------------------------------------------------------------ new sites


async def test_a_new_site_without_a_point_is_put_on_the_map(
    world: World, server: GeocodingServer, settings: Settings
) -> None:
    """Sites that come by telephone have an address and no degrees: without this every one waits for somebody to point."""
    made = await site(world)
    assert await point_of(world, made) == (None, None)
    await worked(world, settings)
    assert await point_of(world, made) == (pytest.approx(48.8582599), pytest.approx(2.2945006))
    assert await kinds(world, made) == [("site.placed", "geocoder")]
    asked = len(server.asked)
    # A site with a point is nobody's question.
    async with world.db.work(world.org) as work:
        await customers.create_site(
            work, NewSite(customer_id=world.customer, name="S", address=ADDRESS, lat=1.0, lng=1.0)
        )
    await worked(world, settings)
    assert len(server.asked) == asked


@pytest.mark.parametrize(
    ("found", "why"),
    (
        ([TOWN], "imprecise"),
        ([STREET], "imprecise"),
        ([], "unknown"),
        ([TOWER, {**TOWER, "lat": "48.9", "place_id": 2, "display_name": "Another"}], "ambiguous"),
    ),
    ids=["town", "street", "nothing", "two"],
)
async def test_a_doubtful_answer_is_left_for_a_person(
    world: World, server: GeocodingServer, settings: Settings, found: list[Any], why: str
) -> None:
    """The middle of Paris is an answer, and the wrong place to send an engineer to."""
    server.found = found
    made = await site(world)
    await worked(world, settings)
    assert await point_of(world, made) == (None, None)
    assert await kinds(world, made) == [("site.not_placed", why)]
    async with world.db.work(world.org) as work:
        page = await site_places.unplaced_sites(work)
    assert [one.id for one in page.items] == [made]


async def test_a_person_is_faster_than_the_job(
    world: World, server: GeocodingServer, settings: Settings
) -> None:
    """What the dispatcher pointed at must not be moved by an answer that comes later."""
    made = await site(world)
    async with world.db.work(world.org, actor=world.dispatcher) as work:
        await site_places.set_place(work, made, site_places.SitePlace(point=(10.0, 10.0)))
    await worked(world, settings)
    assert await point_of(world, made) == (10.0, 10.0)
    assert server.asked == []


async def test_a_mended_address_is_looked_for_again(
    world: World, server: GeocodingServer, settings: Settings
) -> None:
    """The typing error was why it was not found."""
    server.found = []
    made = await site(world, "5 Avnue")
    await worked(world, settings)
    server.found = [TOWER]
    async with world.db.work(world.org, actor=world.dispatcher) as work:
        await site_places.set_place(work, made, site_places.SitePlace(address=ADDRESS))
    await worked(world, settings)
    assert (await point_of(world, made))[0] == pytest.approx(48.8582599)


async def test_the_job_tries_again_when_the_service_is_away(
    world: World, server: GeocodingServer, settings: Settings
) -> None:
    """A night's outage must not leave the day's new sites without a place."""
    server.always = "broken"
    made = await site(world)
    await worked(world, settings)
    assert await point_of(world, made) == (None, None)
    server.always = None
    async with world.db.system_work() as work:
        await work.execute(
            "update outbox set run_at = now() where org_id = $1 and state = 'ready'", world.org
        )
    await worked(world, settings)
    assert (await point_of(world, made))[0] == pytest.approx(48.8582599)


async def test_at_once_is_once(world: World, server: GeocodingServer) -> None:
    """Two dispatchers who ask for the same address in one moment both get an answer."""
    found = await asyncio.gather(*(geocodes.geocode(world.db, world.org, ADDRESS) for _ in range(4)))
    assert len({len(one.candidates) for one in found}) == 1
    assert await world.value("select count(*) from geocode_cache") == 1


def test_doubt_is_judged_by_precision_confidence_and_rivals() -> None:
    """Each of these would send somebody to the wrong door."""

    def one(
        lat: float, precision: Precision = Precision.ADDRESS, confidence: float | None = None
    ) -> Candidate:
        return Candidate(Point(lat, 10.0), "x", precision, "t", confidence)

    assert doubt([one(1.0)]) is None
    assert doubt([one(1.0, confidence=0.9)]) is None
    assert doubt([one(1.0, confidence=0.5)]) == "imprecise"
    assert doubt([one(1.0), one(1.001)]) is None  # two entrances of one house
    assert doubt([one(1.0), one(1.01)]) == "ambiguous"
    assert doubt([one(1.0), one(1.01, Precision.STREET)]) is None
    assert doubt([one(1.0, Precision.UNKNOWN)]) == "imprecise"


@pytest.mark.parametrize(
    ("environ", "variable"),
    (
        ({"CALLOUT_GEOCODER": "gaode"}, "CALLOUT_GEOCODER"),
        ({"CALLOUT_GEOCODER": "nominatim"}, "CALLOUT_GEOCODER_URL"),
        ({"CALLOUT_GEOCODER": "baiduv3"}, "CALLOUT_GEOCODER_KEY"),
        (
            {
                "CALLOUT_GEOCODER": "nominatim",
                "CALLOUT_GEOCODER_URL": "https://nominatim.openstreetmap.org",
                "CALLOUT_GEOCODER_PER_MINUTE": "61",
            },
            "CALLOUT_GEOCODER_PER_MINUTE",
        ),
        ({"CALLOUT_GEOCODER_COUNTRIES": "china"}, "CALLOUT_GEOCODER_COUNTRIES"),
        ({"CALLOUT_OSRM_URL": "osrm:5000"}, "CALLOUT_OSRM_URL"),
    ),
)
def test_a_geocoder_that_cannot_be_ends_the_start(environ: dict[str, str], variable: str) -> None:
    """Told in the morning by an operator's terminal, not in the evening by a job's dead letters."""
    with pytest.raises(SettingsError) as caught:
        Settings.from_env(environ)
    assert caught.value.variable == variable


def test_the_settings_know_every_service_and_no_other() -> None:
    """A service that geo learns and nobody can choose is of no use; one that is gone fails at the first question."""
    assert set(GEOCODERS) == set(SERVICES)
