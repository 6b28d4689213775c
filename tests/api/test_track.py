"""The customer's link: what it shows when, and what it never shows."""

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any
from uuid import UUID

import httpx
import msgspec
import pytest
from depots import NINE, Depot, standing_database
from etas import tell
from litestar import Litestar
from litestar.datastructures import State

from callout_backend.doors import track
from callout_backend.embedded import Urls
from callout_backend.ops.envelope import Envelope
from callout_backend.problems import EXCEPTION_HANDLERS
from callout_dispatch import assign
from callout_dispatch.arrivals import tracking
from callout_store.clock import ManualClock
from callout_store.errors import BadField, NotFound
from callout_store.ids import new_id
from callout_store.work import Database


class Door(msgspec.Struct):
    """A depot, its clock, and a browser at the customer's door."""

    depot: Depot
    clock: ManualClock
    browser: httpx.AsyncClient

    async def link(self, order: UUID, **more: Any) -> str:
        async with self.depot.work() as work:
            return await tracking.create_link(work, order, **more)

    async def state(self, token: str) -> Any:
        answer = await self.browser.get(f"/t/{token}/state")
        assert answer.status_code == 200, answer.text
        return answer.json()["seen"]


@pytest.fixture
async def door(database_urls: Urls) -> AsyncIterator[Door]:
    assert database_urls.database is not None
    async with standing_database(database_urls.database) as (db, clock):
        app = Litestar(
            route_handlers=[*track.ROUTES],
            exception_handlers=EXCEPTION_HANDLERS,
            state=State({"db": db}, deep_copy=False),
            logging_config=None,
            openapi_config=None,
        )
        app.asgi_handler = Envelope(app.asgi_handler, body_seconds_max=5)
        transport = httpx.ASGITransport(app)  # type: ignore[arg-type]
        async with httpx.AsyncClient(transport=transport, base_url="http://t") as browser:
            yield Door(await Depot(db).build(), clock, browser)


async def a_visit(door: Door, km: float = 20) -> tuple[UUID, UUID, UUID]:
    (engineer,) = await door.depot.crew(0)
    order = await door.depot.order(km=km)
    async with door.depot.work() as work:
        visit = await assign.assign(work, order, engineer, NINE + timedelta(minutes=90))
    return order, visit, engineer


async def test_the_stages_of_a_visit(door: Door) -> None:
    """From "we are planning" to "done", with a position only while the engineer is on the way to this customer."""
    (engineer,) = await door.depot.crew(0)
    order = await door.depot.order(km=20)
    token = await door.link(order)
    waiting = await door.state(token)
    assert (waiting["stage"], waiting["engineerName"], waiting["eta"]) == ("waiting", None, None)
    async with door.depot.work() as work:
        visit = await assign.assign(work, order, engineer, NINE + timedelta(minutes=90))
    await door.depot.at(engineer, 1)
    planned = await door.state(token)
    assert (planned["stage"], planned["engineerName"]) == ("planned", "Engineer 0")
    assert (planned["lat"], planned["metresAway"], planned["minutesAway"]) == (None, None, None)
    await tell(door.depot, engineer, visit, "travelling", NINE)
    door.clock.advance(timedelta(minutes=2))
    before = await door.state(token)
    assert (before["stage"], before["minutesAway"]) == ("travelling", 88)
    await door.depot.at(engineer, 10)
    under_way = await door.state(token)
    assert under_way["stage"] == "travelling"
    assert under_way["metresAway"] == pytest.approx(10_000, rel=0.01)
    assert under_way["minutesAway"] is not None
    await tell(door.depot, engineer, visit, "arrived", door.clock.now())
    here = await door.state(token)
    assert (here["stage"], here["lat"], here["metresAway"]) == ("on_site", None, None)
    await tell(door.depot, engineer, visit, "completed", door.clock.now())
    assert (await door.state(token))["stage"] == "done"
    door.clock.advance(timedelta(hours=25))
    ended = await door.browser.get(f"/t/{token}/state")
    assert (ended.status_code, ended.json()["code"]) == (410, "TRACK_LINK_EXPIRED")


async def test_a_link_without_a_place_shows_none(door: Door) -> None:
    """Who ordered with somebody else's telephone number would be led to their door by the position of the engineer."""
    order, visit, engineer = await a_visit(door)
    token = await door.link(order, shows_place=False)
    await tell(door.depot, engineer, visit, "travelling", NINE)
    door.clock.advance(timedelta(minutes=2))
    await door.depot.at(engineer, 10)
    seen = await door.state(token)
    assert (seen["stage"], seen["minutesAway"] is not None) == ("travelling", True)
    hidden = ("lat", "lng", "siteLat", "siteLng", "metresAway", "positionAt")
    assert [seen[name] for name in hidden] == [None] * len(hidden)
    assert (await door.browser.get(f"/t/{token}")).status_code == 200
    assert (await door.state(await door.link(order)))["siteLat"] is not None


async def test_where_an_engineer_was_before_they_set_out_stays_private(door: Door) -> None:
    """The position at the engineer's home or at the customer before is nobody's business, and an old one is a lie."""
    order, visit, engineer = await a_visit(door)
    token = await door.link(order)
    await door.depot.at(engineer, 3)
    door.clock.advance(timedelta(minutes=1))
    await tell(door.depot, engineer, visit, "travelling", door.clock.now())
    assert (await door.state(token))["lat"] is None
    door.clock.advance(timedelta(minutes=1))
    await door.depot.at(engineer, 5)
    assert (await door.state(token))["lat"] is not None
    door.clock.advance(timedelta(minutes=16))
    assert (await door.state(token))["lat"] is None


async def test_another_order_of_the_same_engineer_shows_nothing_of_the_way(door: Door) -> None:
    """The second customer of the day must not watch the engineer at the first one's."""
    order, visit, engineer = await a_visit(door)
    other = await door.depot.order(km=5)
    async with door.depot.work() as work:
        await assign.assign(work, other, engineer, NINE + timedelta(minutes=240))
    await tell(door.depot, engineer, visit, "travelling", NINE)
    await door.depot.at(engineer, 10)
    seen = await door.state(await door.link(other))
    assert (seen["stage"], seen["lat"], seen["minutesAway"]) == ("planned", None, None)
    assert (await door.state(await door.link(order)))["stage"] == "travelling"


async def test_the_page_speaks_both_languages_and_loads_nothing_foreign(door: Door) -> None:
    """A customer reads it on a phone, in Chinese or English, and no tile server learns who waits for whom."""
    order, visit, engineer = await a_visit(door)
    token = await door.link(order, locale="zh")
    await tell(door.depot, engineer, visit, "travelling", NINE)
    await door.depot.at(engineer, 10)
    page = await door.browser.get(f"/t/{token}")
    assert page.status_code == 200
    assert page.headers["content-language"] == "zh"
    assert "分钟后到达" in page.text
    assert "minutes away" in page.text
    assert "http://" not in page.text.replace("http://www.w3.org", "")
    assert "https://" not in page.text
    assert page.headers["cache-control"] == "no-store"
    assert page.headers["referrer-policy"] == "no-referrer"
    english = await door.browser.get(f"/t/{token}?lang=en")
    assert english.headers["content-language"] == "en"


async def test_links_that_are_not_good(door: Door) -> None:
    """Whoever guesses, changes or keeps a link sees the same closed page and no stack trace."""
    order, _, _ = await a_visit(door)
    token = await door.link(order)
    for wrong, status in (
        ("x", 404),
        (token[:-1] + ("A" if token[-1] != "A" else "B"), 404),
        ("a" * 300, 404),
    ):
        page = await door.browser.get(f"/t/{wrong}")
        assert page.status_code == status, wrong
        assert "Traceback" not in page.text
    foreign = ("B" if token[0] == "A" else "A") + token[1:]
    assert (await door.browser.get(f"/t/{foreign}/state")).status_code == 404
    door.clock.advance(timedelta(days=14))
    assert (await door.browser.get(f"/t/{token}")).status_code == 410


async def test_a_canceled_order_says_so(door: Door) -> None:
    """Nobody waits at home for an order that was called off."""
    order, _, _ = await a_visit(door)
    token = await door.link(order)
    async with door.depot.work() as work:
        await assign.cancel_order(work, order, "not needed")
    assert (await door.state(token))["stage"] == "canceled"


async def test_what_is_refused_when_a_link_is_made(door: Door) -> None:
    """An unknown order, a language that nobody speaks; and a customer who asks for the hundredth link ends the first."""
    async with door.depot.work() as work:
        with pytest.raises(NotFound):
            await tracking.create_link(work, new_id())
    order, _, _ = await a_visit(door)
    with pytest.raises(BadField):
        await door.link(order, locale="fr")
    first = await door.link(order)
    for _ in range(tracking.OPEN_MAX):
        door.clock.advance(timedelta(seconds=1))
        last = await door.link(order)
    assert (await door.browser.get(f"/t/{first}/state")).status_code == 410
    assert (await door.browser.get(f"/t/{last}/state")).status_code == 200


async def test_only_a_hash_is_stored(door: Door) -> None:
    """A dump of the database must not be a bunch of keys to customers' engineers."""
    order, _, _ = await a_visit(door)
    token = await door.link(order)
    row = await door.depot.row(
        "select token_hash, row_to_json(t)::text as whole from track_link t where order_id = $1", order
    )
    assert len(row["token_hash"]) == 32
    assert token.split(".")[1] not in row["whole"]


async def test_another_organisation_cannot_open_it(door: Door, db: Database) -> None:
    """The token names its organisation; with another's name in front it opens nothing."""
    order, _, _ = await a_visit(door)
    token = await door.link(order)
    async with db.work(new_id()) as work:
        with pytest.raises(Exception, match="not valid"):
            await tracking.look(work, token)


async def test_nobody_came_and_nobody_is_on_the_way(door: Door) -> None:
    """ "Expected now", hour after hour, is what customers ring up about: what nobody knows is not shown."""
    order, _, _ = await a_visit(door)
    token = await door.link(order)
    door.clock.advance(timedelta(minutes=104))
    assert (await door.state(token))["eta"] is not None
    door.clock.advance(timedelta(minutes=2))
    seen = await door.state(token)
    assert (seen["stage"], seen["eta"]) == ("planned", None)


async def test_a_link_lives_on_while_somebody_still_has_to_come(door: Door) -> None:
    """The part was missing; two days later the next visit is not planned yet: the link is not over, its order is not."""
    order, visit, engineer = await a_visit(door)
    token = await door.link(order)
    await tell(door.depot, engineer, visit, "travelling", NINE)
    await tell(door.depot, engineer, visit, "arrived", NINE)
    await tell(door.depot, engineer, visit, "could_not_complete", NINE)
    assert (await door.state(token))["stage"] == "could_not_complete"
    door.clock.advance(timedelta(hours=48))
    seen = await door.state(token)
    assert (seen["stage"], seen["engineerName"], seen["eta"]) == ("waiting", None, None)
