"""Ways by a routing service: asked once, remembered for all, and never in the way of a plan."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import numpy as np
import pytest
from routing_server import OsrmServer, ValhallaServer, metres_of, seconds_of
from worlds import World

from callout_backend.settings import Settings
from callout_backend.wiring import add_hooks, add_places
from callout_dispatch.places import legs, place_settings
from callout_dispatch.places.providers import NOBODY, Providers, providers_of, register
from callout_geo.points import Point
from callout_geo.routing.base import PROVIDERS, Matrix
from callout_geo.routing.over_http import Manners
from callout_store.errors import LimitExceeded
from callout_store.work import Database

A, B, C = Point(37.0, -122.0), Point(37.01, -122.02), Point(37.05, -121.98)
QUICK = Manners(timeout_s=1.0, total_s=5.0, attempts=1, backoff_s=0.01)


@pytest.fixture
async def osrm() -> AsyncIterator[OsrmServer]:
    async with OsrmServer() as server:
        yield server


@pytest.fixture
async def world(db: Database, osrm: OsrmServer) -> AsyncIterator[World]:
    add_hooks(db)
    made = await World(db).build(phones=1)
    register(db, Providers(osrm_url=osrm.url, manners=QUICK))
    await choose(made, "osrm")
    yield made
    register(db, NOBODY)


async def choose(world: World, provider: str) -> None:
    async with world.db.work(world.org) as work:
        await place_settings.configure(work, travel_provider=provider)


def who(found: Matrix) -> set[str]:
    return {PROVIDERS[int(n)] for n in found.provider.ravel()}


def pair(point: Point) -> tuple[float, float]:
    return point.lat, point.lng


async def test_ways_are_asked_once_for_all_processes(world: World, osrm: OsrmServer) -> None:
    """A plan of every five minutes over the same sites would otherwise cost the routing service a matrix each time."""
    found = await legs.matrix(world.db, world.org, [A, B, C])
    for n, a in enumerate((A, B, C)):
        for m, b in enumerate((A, B, C)):
            assert found.seconds[n, m] == pytest.approx(seconds_of(pair(a), pair(b)))
            assert found.metres[n, m] == pytest.approx(metres_of(pair(a), pair(b)))
    assert who(found) == {"osrm"}
    asked = len(osrm.asked)
    assert asked > 0
    again = await legs.matrix(world.db, world.org, [C, A], [B, C])
    assert len(osrm.asked) == asked
    assert again.seconds[1, 0] == found.seconds[0, 1]
    # A place within a metre is the same place; a new one costs one question more.
    near = Point(A.lat + 4e-6, A.lng)
    await legs.matrix(world.db, world.org, [near], [B])
    assert len(osrm.asked) == asked
    await legs.matrix(world.db, world.org, [A, B, Point(37.2, -122.2)])
    assert len(osrm.asked) > asked


async def test_old_answers_are_asked_again_and_forgotten(world: World, osrm: OsrmServer) -> None:
    """Roads are built and closed."""
    await legs.matrix(world.db, world.org, [A, B])
    asked = len(osrm.asked)
    async with world.db.work(world.org) as work:
        await work.execute(
            "update leg_cache set fetched_at = $1", work.now - timedelta(days=legs.LEG_DAYS + 1)
        )
    await legs.matrix(world.db, world.org, [A, B])
    assert len(osrm.asked) > asked
    async with world.db.work(world.org) as work:
        await work.execute(
            "update leg_cache set fetched_at = $1", work.now - timedelta(days=legs.LEG_DAYS + 1)
        )
        assert await legs.purge(work) == 2
        assert await legs.purge(work) == 0


@pytest.mark.parametrize("fault", ("broken", "garbage", "cut", "busy", "forbidden", "moved"))
async def test_a_service_that_fails_is_replaced_by_the_estimate(
    world: World, osrm: OsrmServer, fault: Any
) -> None:
    """The plan of the morning must not wait for somebody else's server; and what was only estimated must not be kept as if
    it had been measured."""
    osrm.always = fault
    found = await legs.matrix(world.db, world.org, [A, B])
    assert not np.isnan(found.seconds).any()
    assert PROVIDERS[int(found.provider[0, 1])] == "estimate"
    assert found.faults
    assert await world.value("select count(*) from leg_cache") == 0
    osrm.always = None
    register(world.db, Providers(osrm_url=osrm.url, manners=QUICK))
    better = await legs.matrix(world.db, world.org, [A, B])
    assert PROVIDERS[int(better.provider[0, 1])] == "osrm"
    assert better.faults == ()


async def test_a_service_that_keeps_failing_is_left_alone(world: World, osrm: OsrmServer) -> None:
    """Each pick would otherwise wait a second for a server that is down."""
    osrm.always = "broken"
    for _ in range(12):
        await legs.matrix(world.db, world.org, [A], [B])
    asked = len(osrm.asked)
    found = await legs.matrix(world.db, world.org, [A], [B])
    assert len(osrm.asked) == asked
    assert found.faults == ("circuit_open",)


async def test_no_way_is_an_answer_too(world: World, osrm: OsrmServer) -> None:
    """An island without a bridge is asked for once; a plan still gets a figure, marked as a guess."""
    osrm.islands.add(pair(B))
    found = await legs.matrix(world.db, world.org, [A], [B, C])
    assert [PROVIDERS[int(n)] for n in found.provider[0]] == ["estimate", "osrm"]
    assert not np.isnan(found.seconds).any()
    asked = len(osrm.asked)
    again = await legs.matrix(world.db, world.org, [A], [B, C])
    assert len(osrm.asked) == asked
    assert (again.seconds == found.seconds).all()
    assert (again.provider == found.provider).all()


async def test_valhalla_answers_the_same_way(world: World, db: Database) -> None:
    """Which of the two a company runs must not matter to its plans."""
    async with ValhallaServer() as server:
        register(db, Providers(valhalla_url=server.url, manners=QUICK))
        await choose(world, "valhalla")
        found = await legs.matrix(db, world.org, [A, B], [C])
        assert who(found) == {"valhalla"}
        assert found.seconds[0, 0] == pytest.approx(seconds_of(pair(A), pair(C)))
        # What the other service said is another service's answer.
        assert await world.value("select distinct provider from leg_cache") == "valhalla"


async def test_an_organisation_that_estimates_asks_nobody(world: World, osrm: OsrmServer) -> None:
    """Its customers' places are not sent to anybody it did not choose."""
    await choose(world, "estimate")
    found = await legs.matrix(world.db, world.org, [A, None, B])
    assert osrm.asked == []
    assert PROVIDERS[int(found.provider[0, 2])] == "estimate"
    assert np.isnan(found.seconds[0, 1])
    assert PROVIDERS[int(found.provider[0, 1])] == "none"


async def test_a_provider_that_this_server_lacks_is_told(world: World, db: Database) -> None:
    """Chosen on one server and moved to another: the plan goes on, and says with what."""
    register(db, Providers())
    found = await legs.matrix(db, world.org, [A, B])
    assert (who(found), found.faults) == ({"estimate"}, ("not_configured",))


async def test_a_matrix_that_is_too_large_for_a_service_is_estimated(
    world: World, osrm: OsrmServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ten thousand engineers at once would be asked for until next week."""
    monkeypatch.setattr(legs, "ASKED_PAIRS_MAX", 3)
    found = await legs.matrix(world.db, world.org, [A, B])
    assert (who(found), found.faults, osrm.asked) == ({"estimate"}, ("too_many_pairs",), [])
    with pytest.raises(LimitExceeded):
        await legs.matrix(world.db, world.org, [A] * (legs.PLACES_MAX + 1), [B])
    empty = await legs.matrix(world.db, world.org, [])
    assert empty.seconds.shape == (0, 0)


async def test_answers_are_kept_for_the_organisation_alone(
    world: World, osrm: OsrmServer, db: Database
) -> None:
    """Which places a competitor drives between must not show in how fast an answer comes, nor in the answer."""
    await legs.matrix(db, world.org, [A, B])
    asked = len(osrm.asked)
    other = await World(db).build(phones=1)
    await choose(other, "osrm")
    await legs.matrix(db, other.org, [A, B])
    assert len(osrm.asked) > asked


def test_settings_name_the_services(database_url: str) -> None:
    """What the operator set must be what is asked."""
    db = Database(database_url)
    settings = replace(Settings(), osrm_url="http://o:5000", geocoder="photon", geocoder_url="http://p/api")
    add_places(db, settings)
    found = providers_of(db)
    assert found.has_router("osrm")
    assert not found.has_router("valhalla")
    assert found.geocoder is not None
    assert (found.geocoder.settings.scheme, found.geocoder.settings.domain) == ("http", "p/api")
    hooks = len(db.journal_hooks)
    add_places(db, settings)
    assert len(db.journal_hooks) == hooks
    add_places(db, Settings())
    assert len(db.journal_hooks) == hooks - 1
