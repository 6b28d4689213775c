"""Geocoders of others: what their answers mean, what their faults mean, and that they are not asked too often."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import pairwise
from typing import Any

import pytest
from faulty_server import Fault
from geocoding_server import STREET, TOWER, GeocodingServer, feature

from callout_geo.china import Datum, from_wgs84
from callout_geo.distance import haversine_m
from callout_geo.geocoding import (
    BadGeocoder,
    BadQuery,
    Candidate,
    Geocoder,
    GeocoderSettings,
    GeocodingError,
    GeopyGeocoder,
    Precision,
    TableGeocoder,
    checked_query,
)
from callout_geo.points import Point


class Time:
    """A clock that moves when somebody sleeps."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.now += seconds
        await asyncio.sleep(0)


@asynccontextmanager
async def asking(
    service: str = "nominatim", time: Time | None = None, **settings: Any
) -> AsyncIterator[tuple[GeocodingServer, GeopyGeocoder]]:
    time = time or Time()
    async with GeocodingServer() as server:
        chosen = GeocoderSettings(
            service=service,
            domain=f"127.0.0.1:{server.port}",
            scheme="http",
            api_key="key-4711" if service in ("baiduv3", "pelias") else None,
            **settings,
        )
        async with GeopyGeocoder(chosen, monotonic=time, sleep=time.sleep) as geocoder:
            yield server, geocoder


async def test_nominatim() -> None:
    """The order of the service stays; the middle of a town is told from a door, and nobody is sent to null island."""
    async with asking(countries=("fr",), limit=4, user_agent="callout-tests") as (server, geocoder):
        lost = {**TOWER, "lat": "0.0", "lon": "0.0"}
        server.found = [TOWER, lost, STREET, TOWER, {**TOWER, "place_rank": 16, "lat": "48.9"}]
        found = await geocoder.geocode("  5 avenue  Anatole France ", language="fr")
        assert [one.precision for one in found] == [Precision.ADDRESS, Precision.STREET]
        assert found[0].point == Point(48.8582599, 2.2945006)
        assert found[0].label.startswith("Tour Eiffel")
        assert found[0].provider == "nominatim"
        (asked,) = server.asked
        assert asked.query["q"] == "5 avenue Anatole France"
        assert (asked.query["countrycodes"], asked.query["accept-language"]) == ("fr", "fr")
        assert (asked.query["limit"], asked.headers["user-agent"]) == ("4", "callout-tests")
        server.found = []
        assert await geocoder.geocode("nowhere at all") == []


async def test_what_stands_at_a_point() -> None:
    """A dispatcher who sets a point on the map is shown its address; a point in the sea has none."""
    async with asking() as (server, geocoder):
        there = await geocoder.reverse(Point(48.85826, 2.2945))
        assert there is not None
        assert there.label.startswith("Tour Eiffel")
        server.found = []
        assert await geocoder.reverse(Point(40.0, -30.0)) is None


async def test_photon_and_pelias() -> None:
    """Each service says in words of its own how precise it is; a venue's door and a county must not look alike."""
    async with asking("photon") as (server, geocoder):
        server.features = [
            feature(48.1, 11.5, type="house", street="Hauptstraße", housenumber="1", city="München"),
            feature(48.2, 11.5, type="city", name="München"),
        ]
        found = await geocoder.geocode("Hauptstraße 1", language="de")
        assert [one.precision for one in found] == [Precision.ADDRESS, Precision.AREA]
        assert "Hauptstraße" in found[0].label
        assert server.asked[0].query["lang"] == "de"
    async with asking("pelias", countries=("de",)) as (server, geocoder):
        server.features = [
            feature(48.1, 11.5, layer="venue", name="Rathaus", label="Rathaus, München", confidence=0.9),
            feature(48.2, 11.5, layer="county", name="Dachau", label="Dachau", confidence=7),
        ]
        found = await geocoder.geocode("Rathaus")
        assert [(one.label, one.precision, one.confidence) for one in found] == [
            ("Rathaus, München", Precision.ADDRESS, 0.9),
            ("Dachau", Precision.AREA, None),
        ]
        assert server.asked[0].query["boundary.country"] == "DE"


async def test_baidu_answers_in_wgs84() -> None:
    """Baidu's degrees kept as GPS degrees put a site in Shanghai a kilometre off."""
    place = Point(31.2304, 121.4737)
    shown = from_wgs84(place, Datum.BD09)
    async with asking("baiduv3") as (server, geocoder):
        server.baidu = {
            "status": 0,
            "result": {
                "location": {"lng": shown.lng, "lat": shown.lat},
                "precise": 1,
                "confidence": 80,
                "comprehension": 100,
                "level": "门址",
            },
        }
        (found,) = await geocoder.geocode("上海市黄浦区人民大道200号", language="zh")
        assert haversine_m(found.point, place) < 0.5
        assert (found.label, found.precision, found.confidence) == (
            "上海市黄浦区人民大道200号",
            Precision.ADDRESS,
            0.8,
        )
        server.baidu["result"] |= {"precise": 0, "confidence": 25, "level": "城市"}
        (town,) = await geocoder.geocode("上海")
        assert town.precision is Precision.AREA
        server.baidu["result"] |= {"formatted_address": "上海市黄浦区人民大道200号"}
        there = await geocoder.reverse(place)
        assert there is not None
        assert there.label == "上海市黄浦区人民大道200号"
        lat, lng = map(float, server.asked[-1].query["location"].split(","))
        assert haversine_m(Point(lat, lng), shown) < 0.5


@pytest.mark.parametrize(
    ("status", "reason"), ((302, "quota"), (4, "quota"), (200, "auth"), (2, "refused"), (1, "unavailable"))
)
async def test_baidus_errors_under_200(status: int, reason: str) -> None:
    """A spent quota comes with HTTP status 200 there; taken for "no such address" it would be cached as such."""
    async with asking("baiduv3", attempts=1) as (server, geocoder):
        server.baidu = {"status": status, "message": "x"}
        with pytest.raises(GeocodingError) as caught:
            await geocoder.geocode("上海")
        assert caught.value.reason == reason


FAULTS: tuple[tuple[Fault, str, bool, int], ...] = (
    ("busy", "quota", True, 1),
    ("broken", "timed_out", True, 2),
    ("cut", "unavailable", True, 2),
    ("cut_body", "unavailable", True, 2),
    ("silent", "timed_out", True, 2),
    ("garbage", "bad_answer", False, 1),
    ("moved", "bad_answer", False, 1),
    ("endless", "bad_answer", False, 1),
    ("huge", "bad_answer", False, 1),
    ("forbidden", "auth", False, 1),
)


@pytest.mark.parametrize(("fault", "reason", "retryable", "requests"), FAULTS)
async def test_faults_are_named_and_bounded(
    fault: Fault, reason: str, retryable: bool, requests: int
) -> None:
    """Whoever waits for an address must learn what became of it, and no fault may ask a paid service for ever."""
    async with asking(timeout_s=0.2 if fault == "silent" else 20) as (server, geocoder):
        server.always = fault
        with pytest.raises(GeocodingError) as caught:
            await geocoder.geocode("Hauptstraße 1")
        assert (caught.value.reason, caught.value.retryable) == (reason, retryable)
        assert caught.value.provider == "nominatim"
        assert len(server.asked) == requests
        assert all(asked.path == "/search" for asked in server.asked)
        assert "Hauptstra" not in str(caught.value)


async def test_the_service_may_say_when() -> None:
    """A job that is told "in seven seconds" must not come back after one."""
    async with asking() as (server, geocoder):
        server.always = "busy_with_hint"
        with pytest.raises(GeocodingError) as caught:
            await geocoder.geocode("Hauptstraße 1")
        assert caught.value.retry_after_s == 7


@pytest.mark.parametrize(
    "answer",
    (
        [{"display_name": "no place"}],
        [{**TOWER, "lat": "north"}],
        [{**TOWER, "lat": None}],
        [{**TOWER, "lat": "91.5"}],
        ["tower"],
        {"error": "something"},
    ),
)
@pytest.mark.filterwarnings("ignore:Latitude normalization")
async def test_answers_that_cannot_be(answer: Any) -> None:
    """A changed format must end as "no answer", not as a crash of the job that asks for a thousand others."""
    async with asking() as (server, geocoder):
        server.answer = lambda _: (200, answer)  # type: ignore[method-assign]
        try:
            assert await geocoder.geocode("Hauptstraße 1") == []
        except GeocodingError as error:
            assert error.reason in ("bad_answer", "refused")  # noqa: PT017


async def test_requests_keep_their_distance() -> None:
    """Public services block whoever asks more than once a second, and with it the whole organisation."""
    time = Time()
    at: list[float] = []
    async with asking(time=time, delay_s_min=1.0) as (server, geocoder):
        answer = server.answer

        def noted(asked: Any) -> tuple[int, Any]:
            at.append(time.now)
            return answer(asked)

        server.answer = noted  # type: ignore[method-assign]
        # The clock moves only by sleeping, so that tasks that did not wait for each other would be seen at one instant.
        await geocoder.geocode("first")
        for number in range(3):
            await geocoder.geocode(f"then {number}")
        assert [later - earlier for earlier, later in pairwise(at)] == [1.0, 1.0, 1.0]
        before = time.now
        await asyncio.gather(*(geocoder.geocode(f"{number}") for number in range(4)))
        assert time.now - before >= 4.0


async def test_nothing_private_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    """Customers' addresses and the key of the service do not belong into a server's log. (The server keeps httpx, which
    writes whole URLs, to its warnings.)"""
    with caplog.at_level(logging.INFO):
        async with asking("pelias") as (server, geocoder):
            server.always = "broken"
            with pytest.raises(GeocodingError):
                await geocoder.geocode("Geheimgasse 7")
    written = "".join(record.getMessage() for record in caplog.records if record.name != "httpx")
    assert "Geheimgasse" not in written
    assert "4711" not in written
    assert "4711" not in repr(geocoder.settings)


@pytest.mark.parametrize(
    ("query", "reason"),
    (
        (None, "missing"),
        ("  ", "missing"),
        (17, "not_text"),
        (["Hauptstraße"], "not_text"),
        ("x" * 301, "too_long"),
        ("Haupt\x00straße", "control_characters"),
    ),
)
async def test_bad_queries_ask_nobody(query: object, reason: str) -> None:
    """A column that is not an address costs quota for nothing."""
    async with asking() as (server, geocoder):
        with pytest.raises(BadQuery) as caught:
            await geocoder.geocode(query)  # type: ignore[arg-type]
        assert (caught.value.field, caught.value.reason) == ("query", reason)
        assert server.asked == []
    assert checked_query(" a \t b\n") == "a b"


@pytest.mark.parametrize(
    ("settings", "field"),
    (
        ({"service": "amap"}, "service"),
        ({"service": "nominatim"}, "domain"),
        ({"service": "nominatim", "domain": "http://x"}, "domain"),
        ({"service": "nominatim", "domain": "x/../../y?z=1"}, "domain"),
        ({"service": "nominatim", "domain": "me@host"}, "domain"),
        ({"service": "nominatim", "domain": "x", "scheme": "ftp"}, "scheme"),
        ({"service": "nominatim", "domain": "nominatim.openstreetmap.org"}, "delay_s_min"),
        ({"service": "nominatim", "domain": "x", "timeout_s": 0}, "timeout_s"),
        ({"service": "nominatim", "domain": "x", "attempts": 0}, "attempts"),
        ({"service": "nominatim", "domain": "x", "limit": 99}, "limit"),
        ({"service": "nominatim", "domain": "x", "countries": ("DEU",)}, "countries"),
        ({"service": "baiduv3"}, "api_key"),
    ),
)
def test_settings_are_checked(settings: dict[str, Any], field: str) -> None:
    """A slip in the configuration is told at the start of the server, not by the first customer."""
    with pytest.raises(BadGeocoder) as caught:
        GeocoderSettings(**settings)
    assert caught.value.field == field


async def test_the_twin_in_memory() -> None:
    """What is tested against the twin must hold for the services."""
    tower = Candidate(Point(48.85826, 2.2945), "Tour Eiffel", Precision.ADDRESS, "table")
    twin: Geocoder = TableGeocoder({"Tour  Eiffel": [tower]})
    assert await twin.geocode(" Tour Eiffel") == [tower]
    assert await twin.geocode("elsewhere") == []
    assert await twin.reverse(tower.point) == tower
    with pytest.raises(BadQuery):
        await twin.geocode("")
