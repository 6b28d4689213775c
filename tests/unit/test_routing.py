"""Routing services over HTTP: their limits, their faults, and that a plan always gets its ways."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from faulty_server import Fault
from routing_server import OsrmServer, RoutingServer, ValhallaServer, metres_of, seconds_of

from callout_geo.point_arrays import BadPoints
from callout_geo.routing.base import (
    PAIRS_MAX,
    BadAnswer,
    Matrix,
    Places,
    Refused,
    RouterUnavailable,
    RoutingError,
    TooManyPairs,
)
from callout_geo.routing.breaker import Breaker
from callout_geo.routing.estimate import EstimateRouter
from callout_geo.routing.osrm import OsrmRouter
from callout_geo.routing.over_http import HttpRouter, Manners
from callout_geo.routing.valhalla import ValhallaRouter
from callout_geo.travel import BadTravel, Travel


class Time:
    """A clock that moves when somebody sleeps, and remembers how long."""

    def __init__(self) -> None:
        self.now = 0.0
        self.slept: list[float] = []

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds
        await asyncio.sleep(0)


SERVICES: tuple[tuple[type[RoutingServer], type[HttpRouter]], ...] = (
    (OsrmServer, OsrmRouter),
    (ValhallaServer, ValhallaRouter),
)
both = pytest.mark.parametrize(("serve", "build"), SERVICES, ids=("osrm", "valhalla"))


def router(
    build: type[HttpRouter], server: RoutingServer, time: Time | None = None, **manners: Any
) -> HttpRouter:
    time = time or Time()
    breaker = Breaker(faults_max=manners.pop("faults_max", 50), rest_s=30, monotonic=time)
    return build(server.url, Manners(**manners), breaker=breaker, sleep=time.sleep, jitter=lambda: 0.5)


def grid(n: int, lat: float = 48.0, lng: float = 11.0) -> Places:
    """n places a tenth of a degree and more apart, each another."""
    return Places(lat + np.arange(n) % 7 * 0.1, np.round(lng + np.arange(n) // 7 * 0.1, 6))


def pairs(places: Places) -> list[tuple[float, float]]:
    return [(round(float(a), 6), round(float(b), 6)) for a, b in zip(places.lats, places.lngs, strict=True)]


def expected(
    sources: Places, targets: Places, figure: Callable[[Any, Any], float] = seconds_of
) -> np.ndarray[Any, Any]:
    return np.array([[figure(a, b) for b in pairs(targets)] for a in pairs(sources)])


@both
@pytest.mark.parametrize(("n", "m"), ((1, 1), (3, 5), (1, 130), (130, 1), (120, 115)))
async def test_every_leg_lands_in_its_cell(
    serve: type[RoutingServer], build: type[HttpRouter], n: int, m: int
) -> None:
    """A matrix cut into the service's pieces and put together wrong sends engineers by the wrong ways."""
    sources, targets = grid(n), grid(m, lat=49.0, lng=10.0)
    async with serve() as server, router(build, server) as asking:
        matrix = await asking.matrix(sources, targets)
        assert np.allclose(matrix.seconds, expected(sources, targets))
        assert np.allclose(matrix.metres, expected(sources, targets, metres_of))
        assert {matrix.provider_of(a, b) for a in range(n) for b in range(m)} == {asking.name}
        assert matrix.faults == ()
        assert server.at_once_max <= 4
        # No more requests than the service's own limit makes needed.
        assert len(server.asked) <= math.ceil(n / 50) * math.ceil(m / 50)


@both
async def test_nobody_nowhere(serve: type[RoutingServer], build: type[HttpRouter]) -> None:
    """An empty day asks nobody; an engineer without a base has no ways and spoils nobody's."""
    async with serve() as server, router(build, server) as asking:
        assert (await asking.matrix(Places([], []), grid(3))).seconds.shape == (0, 3)
        assert server.asked == []
        sources = Places([48.0, math.nan, 48.2], [11.0, math.nan, 11.0])
        matrix = await asking.matrix(sources, grid(2))
        assert np.isnan(matrix.seconds[1]).all()
        assert matrix.provider_of(1, 0) == "none"
        assert np.isfinite(matrix.seconds[[0, 2]]).all()


@both
async def test_unreachable_is_an_answer(serve: type[RoutingServer], build: type[HttpRouter]) -> None:
    """ "No way there" from the service must not be taken for 0 seconds, nor for a failure."""
    places = grid(4)
    async with serve() as server, router(build, server) as asking:
        server.islands = {pairs(places)[2]}
        matrix = await asking.matrix(places, places)
        assert np.isnan(matrix.seconds[2, 0])
        assert np.isnan(matrix.metres[0, 2])
        assert matrix.provider_of(0, 2) == asking.name
        assert matrix.faults == ()


@both
async def test_one_place_without_a_road_costs_only_its_own_ways(
    serve: type[RoutingServer], build: type[HttpRouter]
) -> None:
    """Both services refuse a whole request for one bad place; fifty good sites must not lose their ways for it."""
    places = grid(12)
    async with serve() as server, router(build, server) as asking:
        server.nowhere = {pairs(places)[5]}
        matrix = await asking.matrix(places, Places(places.lats[:5], places.lngs[:5]))
        good = [n for n in range(12) if n != 5]
        assert np.isfinite(matrix.seconds[good]).all()
        assert np.isnan(matrix.seconds[5]).all()
        # That is an answer too, and not asked for again.
        assert matrix.provider_of(5, 0) == asking.name
        assert matrix.faults == ()
        # Nor may finding it take more requests than configured.
        assert len(server.asked) <= 25


@both
async def test_smaller_pieces_for_a_smaller_server(
    serve: type[RoutingServer], build: type[HttpRouter]
) -> None:
    """Whoever runs a server with lower limits than ours gets its answers all the same."""
    async with serve() as server, router(build, server) as asking:
        if isinstance(server, OsrmServer):
            server.side_max = 5
        elif isinstance(server, ValhallaServer):
            server.pairs_max = 25
        places = grid(10)
        assert np.allclose((await asking.matrix(places, places)).seconds, expected(places, places))


FAULTS: tuple[tuple[Fault, str, int], ...] = (
    ("busy", "rate_limited", 3),
    ("broken", "server_error", 3),
    ("cut", "unreachable", 3),
    ("cut_body", "unreachable", 3),
    ("silent", "timed_out", 1),
    ("garbage", "not_json", 1),
    ("moved", "redirected", 1),
    ("endless", "too_large", 1),
    ("forbidden", "refused", 1),
    ("busy_with_hint", "rate_limited", 3),
)


@both
@pytest.mark.parametrize(("fault", "reason", "requests"), FAULTS)
async def test_faults_are_named_and_bounded(
    serve: type[RoutingServer], build: type[HttpRouter], fault: Fault, reason: str, requests: int
) -> None:
    """Each fault ends soon, with its name, after as many tries as make sense and never by following elsewhere."""
    async with (
        serve() as server,
        router(build, server, timeout_s=0.2 if fault == "silent" else 20, body_max=100_000) as asking,
    ):
        server.always = fault
        with pytest.raises(RoutingError) as caught:
            await asking.matrix(grid(2), grid(2))
        assert caught.value.reason == reason
        assert caught.value.provider == asking.name
        assert len(server.asked) == requests
        assert all(asked.path != "/elsewhere" for asked in server.asked)


@both
async def test_a_passing_fault_is_tried_again(serve: type[RoutingServer], build: type[HttpRouter]) -> None:
    """A hiccup of the service must not turn a plan's ways into estimates; waits grow, and are those the service asks for."""
    time = Time()
    async with serve() as server, router(build, server, time, backoff_s=0.2) as asking:
        server.faults.extend(("broken", "cut"))
        matrix = await asking.matrix(grid(2), grid(2))
        assert np.isfinite(matrix.seconds).all()
        assert time.slept == pytest.approx([0.2, 0.4])
        server.faults.append("busy_with_hint")
        await asking.matrix(grid(2), grid(2))
        assert time.slept[2:] == [7.0]


@both
async def test_a_failed_piece_leaves_the_others(serve: type[RoutingServer], build: type[HttpRouter]) -> None:
    """One lost answer out of several is one hole, with its reason, not a lost matrix."""
    places = grid(120)
    async with serve() as server, router(build, server, attempts=1, at_once=1) as asking:
        server.faults.append("garbage")
        matrix = await asking.matrix(places, places)
        holes = np.isnan(matrix.seconds)
        assert 0 < holes.sum() < holes.size
        assert (matrix.provider[holes] == 0).all()
        assert np.allclose(matrix.seconds[~holes], expected(places, places)[~holes])
        assert matrix.faults == ("not_json",)


@both
async def test_the_whole_matrix_has_an_end(serve: type[RoutingServer], build: type[HttpRouter]) -> None:
    """A plan waits no longer than configured, and keeps what had come until then."""
    places = grid(120)
    async with serve() as server, router(build, server, total_s=2.0, timeout_s=60, at_once=8) as asking:
        server.faults.append("silent")
        matrix = await asking.matrix(places, places)
        assert matrix.faults == ("timed_out",)
        holes = np.isnan(matrix.seconds)
        assert 0 < holes.sum() < holes.size


@both
async def test_cancelling_leaves_nothing_behind(serve: type[RoutingServer], build: type[HttpRouter]) -> None:
    """A dispatcher who cancels a run must not leave requests that keep a service busy, nor lock the breaker's one probe."""
    async with serve() as server, router(build, server) as asking:
        server.always = "silent"
        running = asyncio.create_task(asking.matrix(grid(3), grid(3)))
        await server.came.wait()
        before = {task for task in asyncio.all_tasks() if "_fill" in repr(task.get_coro())}
        assert before
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        assert all(task.done() for task in before)
        server.always = None
        server._stopped.set()
        assert np.isfinite((await asking.matrix(grid(3), grid(3))).seconds).all()


def drop_row(key: str) -> Callable[[Any], Any]:
    def change(body: Any) -> Any:
        table = body[key]
        if isinstance(table, dict):
            table["durations"] = table["durations"][:-1]
        else:
            body[key] = table[:-1]
        return body

    return change


def with_cell(value: object) -> Callable[[Any], Any]:
    def change(body: Any) -> Any:
        table = body["durations"] if "durations" in body else body["sources_to_targets"]["durations"]
        table[0][0] = value
        return body

    return change


@both
@pytest.mark.parametrize(
    ("change", "reason"),
    (
        (lambda body: [body], "wrong_shape"),
        (lambda body: {**body, "durations": None, "sources_to_targets": None}, "wrong_shape"),
        (with_cell("12"), "bad_value"),
        (with_cell(-1), "bad_value"),
        (with_cell(True), "bad_value"),
        (with_cell(1e300), "bad_value"),
        (with_cell([0]), "bad_value"),
    ),
)
async def test_answers_that_cannot_be(
    serve: type[RoutingServer], build: type[HttpRouter], change: Callable[[Any], Any], reason: str
) -> None:
    """A proxy's error page, or another version's format, read as seconds would plan engineers through walls."""
    async with serve() as server, router(build, server) as asking:
        server.changed = change
        with pytest.raises(BadAnswer) as caught:
            await asking.matrix(grid(2), grid(3))
        assert caught.value.reason == reason


async def test_a_missing_row_is_seen() -> None:
    """One row less shifts everybody after it to another place."""
    for server, key in ((OsrmServer(), "durations"), (ValhallaServer(), "sources_to_targets")):
        async with server:
            server.changed = drop_row(key)
            build = OsrmRouter if key == "durations" else ValhallaRouter
            async with router(build, server) as asking:
                with pytest.raises(BadAnswer) as caught:
                    await asking.matrix(grid(2), grid(3))
                assert caught.value.reason == "wrong_shape"


async def test_osrm_alone() -> None:
    """What only OSRM does: error codes under 200, old servers without distances, places moved far to a road."""
    places = grid(3)
    async with OsrmServer() as server, router(OsrmRouter, server) as asking:
        server.far_from_road = {pairs(places)[1]: 2_000.0}
        matrix = await asking.matrix(places, places)
        assert np.isnan(matrix.seconds[1]).all()
        assert np.isnan(matrix.seconds[:, 1]).all()
        assert np.isfinite(matrix.seconds[np.ix_([0, 2], [0, 2])]).all()
        server.far_from_road, server.with_distances = {}, False
        matrix = await asking.matrix(places, places)
        assert np.isfinite(matrix.seconds).all()
        assert np.isnan(matrix.metres).all()
        server.as_200, server.nowhere = True, set(pairs(places))
        matrix = await asking.matrix(places, places)
        assert np.isnan(matrix.seconds).all()
        assert (matrix.provider != 0).all()
        server.changed = lambda body: {**body, "code": "InvalidQuery"}
        server.nowhere = set()
        with pytest.raises(Refused) as caught:
            await asking.matrix(places, places)
        assert caught.value.reason == "refused"


async def test_a_hopeless_search_ends() -> None:
    """A map that covers another country refuses every place; looking for the good ones must not ask ten thousand times."""
    places = grid(40)
    async with ValhallaServer() as server, router(ValhallaRouter, server, splits_max=6) as asking:
        server.nowhere = set(pairs(places))
        with pytest.raises(Refused) as caught:
            await asking.matrix(places, places)
        assert caught.value.reason == "no_segment"
        assert len(server.asked) <= 13


async def test_valhalla_alone() -> None:
    """What only Valhalla does: an object for every pair from older servers, miles, rows out of order."""
    places = grid(3)
    async with ValhallaServer() as server, router(ValhallaRouter, server) as asking:
        server.verbose_always = True
        server.islands = {pairs(places)[2]}
        matrix = await asking.matrix(places, places)
        assert matrix.metres[0, 1] == pytest.approx(metres_of(pairs(places)[0], pairs(places)[1]))
        assert np.isnan(matrix.seconds[0, 2])
        server.units = "miles"
        in_miles = await asking.matrix(places, places)
        assert in_miles.metres[0, 1] == pytest.approx(matrix.metres[0, 1] * 1.609344)
        server.units = "leagues"
        with pytest.raises(BadAnswer):
            await asking.matrix(places, places)
        server.units = "km"
        server.changed = lambda body: {**body, "sources_to_targets": body["sources_to_targets"][::-1]}
        with pytest.raises(BadAnswer) as caught:
            await asking.matrix(places, places)
        assert caught.value.reason == "wrong_shape"


@both
async def test_a_dead_service_is_left_alone(serve: type[RoutingServer], build: type[HttpRouter]) -> None:
    """When the service is down, picks must not each wait for it in turn; when it is back, they must notice."""
    time = Time()
    async with serve() as server, router(build, server, time, faults_max=3, attempts=1) as asking:
        server.always = "broken"
        for _ in range(3):
            with pytest.raises(RouterUnavailable):
                await asking.matrix(grid(1), grid(1))
        assert len(server.asked) == 3
        with pytest.raises(RouterUnavailable) as caught:
            await asking.matrix(grid(1), grid(1))
        assert caught.value.reason == "circuit_open"
        assert len(server.asked) == 3
        time.now += 30
        with pytest.raises(RouterUnavailable):
            await asking.matrix(grid(1), grid(1))
        assert len(server.asked) == 4  # the one probe failed: closed off again at once
        with pytest.raises(RouterUnavailable) as caught:
            await asking.matrix(grid(1), grid(1))
        assert caught.value.reason == "circuit_open"
        time.now += 30
        server.always = None
        for _ in range(2):
            assert np.isfinite((await asking.matrix(grid(1), grid(1))).seconds).all()


async def test_refusals_do_not_open_the_breaker() -> None:
    """A question the service refuses says nothing of its health; others' questions must still reach it."""
    async with OsrmServer() as server, router(OsrmRouter, server, faults_max=1) as asking:
        server.always = "forbidden"
        for _ in range(3):
            with pytest.raises(Refused):
                await asking.matrix(grid(1), grid(1))
        server.always = None
        assert np.isfinite((await asking.matrix(grid(1), grid(1))).seconds).all()


async def test_the_estimate_agrees_with_the_travel_model() -> None:
    """The twin in memory is what organisations without a service plan by."""
    travel = Travel(circuity=2.0, km_per_hour=(30.0,) * 24 + (60.0,) * 144)
    places = Places([48.0, 48.1, math.nan], [11.0, 11.0, math.nan])
    monday = await EstimateRouter(travel, hour=3).matrix(places, places)
    tuesday = await EstimateRouter(travel, hour=30).matrix(places, places)
    assert monday.metres[0, 1] == pytest.approx(2 * 11_119.5, rel=1e-4)
    assert monday.seconds[0, 1] == pytest.approx(monday.metres[0, 1] / 30_000 * 3600)
    assert tuesday.seconds[0, 1] == pytest.approx(monday.seconds[0, 1] / 2)
    with pytest.raises(BadTravel):
        EstimateRouter(travel, hour=168)


def test_bad_questions_and_settings() -> None:
    """What cannot be asked is told with its place, before anything leaves the house."""
    with pytest.raises(BadPoints) as caught:
        Places([48.0, 95.0], [11.0, 11.0])
    assert (caught.value.field, caught.value.reason) == ("lat[1]", "axes_swapped")
    with pytest.raises(TooManyPairs) as many:
        Matrix.empty(PAIRS_MAX, 2)
    assert many.value.field == "targets"
    for address in ("", "ftp://routes", "http://", "//routes/x"):
        with pytest.raises(ValueError, match="address"):
            OsrmRouter(address)
    with pytest.raises(ValueError, match="profile"):
        OsrmRouter("http://routes", profile="../etc")
    with pytest.raises(ValueError, match="costing"):
        ValhallaRouter("http://routes", costing="multimodal")
    for wrong in ({"timeout_s": 0}, {"attempts": 0}, {"splits_max": -1}, {"body_max": 0}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            Manners(**wrong)
    with pytest.raises(ValueError, match="faults_max"):
        Breaker(faults_max=0)
