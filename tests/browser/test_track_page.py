"""The customer's page in Chromium at a phone's size: how far the engineer is, in both languages, also without a network."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

import msgspec
import pytest
import uvicorn
from depots import NINE, Depot, standing_database
from etas import tell
from litestar import Litestar
from litestar.datastructures import State
from litestar.static_files import create_static_files_router
from phone_browser import PHONE, opened

from callout_backend.doors import track
from callout_backend.embedded import Urls
from callout_backend.ops.envelope import Envelope
from callout_backend.problems import EXCEPTION_HANDLERS
from callout_backend.web.assets import STATIC_FOLDER
from callout_dispatch import assign
from callout_dispatch.arrivals import tracking
from callout_store.clock import ManualClock

SHOTS = os.environ.get("CALLOUT_SCREENSHOTS")


class Way(msgspec.Struct):
    """A visit nine o'clock's engineer is about to set out to, and the server that shows it to the customer."""

    depot: Depot
    clock: ManualClock
    origin: str
    engineer: UUID
    order: UUID
    visit: UUID

    async def link(self, locale: str = "en") -> str:
        async with self.depot.work() as work:
            return f"{self.origin}/t/{await tracking.create_link(work, self.order, locale=locale)}"

    async def sets_out(self, km: float) -> None:
        """The phone says so, and a minute later where it is: so far north of the depot."""
        await tell(self.depot, self.engineer, self.visit, "travelling", self.clock.now())
        self.clock.advance(timedelta(minutes=1))
        await self.depot.at(self.engineer, km)


@pytest.fixture
async def way(database_urls: Urls) -> AsyncIterator[Way]:
    assert database_urls.database is not None
    async with standing_database(database_urls.database) as (db, clock):
        app = Litestar(
            route_handlers=[
                *track.ROUTES,
                create_static_files_router(path="/static", directories=[STATIC_FOLDER]),
            ],
            exception_handlers=EXCEPTION_HANDLERS,
            state=State({"db": db}, deep_copy=False),
            logging_config=None,
            openapi_config=None,
        )
        app.asgi_handler = Envelope(app.asgi_handler, body_seconds_max=5)
        depot = await Depot(db).build()
        (engineer,) = await depot.crew(0)
        order = await depot.order(km=10)
        async with depot.work() as work:
            visit = await assign.assign(work, order, engineer, NINE + timedelta(minutes=90))
        listener = socket.create_server(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(app, log_config=None, lifespan="off"))
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        origin = f"http://127.0.0.1:{listener.getsockname()[1]}"
        yield Way(depot=depot, clock=clock, origin=origin, engineer=engineer, order=order, visit=visit)
        server.should_exit = True
        await serving


async def look(page: Any) -> None:
    """What the page's script does every twenty seconds, now."""
    async with page.expect_response("**/state"):
        await page.evaluate("window.dispatchEvent(new Event('online'))")


async def reads(where: Any, text: str) -> None:
    """The page says so, as soon as its script has read the answer."""
    await where.filter(has_text=text).wait_for()
    assert await where.inner_text() == text


async def shoot(page: Any, name: str) -> None:
    if SHOTS:
        await page.screenshot(path=Path(SHOTS) / f"{name}.png", full_page=True)


async def test_the_page_follows_the_engineer(browser: Any, way: Way) -> None:
    """A customer who waits at the window would go on reading what was true when the page was opened."""
    async with opened(browser, await way.link()) as page:
        headline, sketch = page.locator("#headline"), page.locator("#sketch")
        assert await headline.inner_text() == "Your visit is planned."
        assert await sketch.is_hidden()
        assert await page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
        await way.sets_out(4)
        await look(page)
        await reads(headline, "Your engineer is 89 minutes away.")
        assert await sketch.is_visible()
        assert await page.locator("#distance").inner_text() == "6.0 km"
        await tell(way.depot, way.engineer, way.visit, "arrived", way.clock.now())
        await look(page)
        await reads(headline, "Your engineer is on site.")
        assert await sketch.is_hidden()
        assert await page.locator("#distance").is_hidden()


async def test_the_sketch_is_whole_from_the_first_moment(browser: Any, way: Way) -> None:
    """The engineer's dot would lie outside of the drawing, or the words in it stay in the language before."""
    await way.sets_out(4)
    async with opened(browser, await way.link("zh")) as page:
        assert await page.locator("svg#sketch #van .van").is_visible()
        assert await page.locator("svg#sketch #ring").text_content() == "10.0 公里"
        await shoot(page, "track-zh")
        await look(page)
        await page.locator("#switch").click()
        await reads(page.locator("#headline"), "Your engineer is 89 minutes away.")
        assert await page.locator("#ring").text_content() == "10.0 km"
        assert await page.locator("#distance").inner_text() == "6.0 km"
        await shoot(page, "track-en")
        await look(page)
        await reads(page.locator("#headline"), "Your engineer is 89 minutes away.")
        await page.locator("#switch").click()
        assert await page.locator("#headline").inner_text() == "工程师约 89 分钟后到达。"


async def test_a_lost_network_is_said_and_comes_back(browser: Any, way: Way) -> None:
    """A minute count that stands still and looks alive would keep the customer waiting at the door."""
    await way.sets_out(4)
    async with opened(browser, await way.link()) as page:
        await page.context.set_offline(True)
        await page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
        await page.locator("#offline").wait_for(state="visible")
        assert "no connection" in await page.locator("#offline").inner_text()
        await reads(page.locator("#headline"), "Your engineer is 89 minutes away.")
        way.clock.advance(timedelta(minutes=4))
        await page.context.set_offline(False)
        await look(page)
        await page.locator("#offline").wait_for(state="hidden")
        await reads(page.locator("#headline"), "Your engineer is 85 minutes away.")


async def test_it_asks_nobody_but_its_own_server(browser: Any, way: Way) -> None:
    """A map's or font's server would learn who waits for whom, and where."""
    await way.sets_out(4)
    phone = await browser.new_context(viewport=PHONE)
    page = await phone.new_page()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    await page.goto(await way.link())
    await look(page)
    await phone.close()
    assert len(asked) >= 4
    assert {urlsplit(url).netloc for url in asked} == {urlsplit(way.origin).netloc}


async def test_without_javascript_the_page_is_there_too(browser: Any, way: Way) -> None:
    """A locked-down office browser would show an empty page."""
    await way.sets_out(4)
    async with opened(browser, await way.link(), java_script_enabled=False) as page:
        await reads(page.locator("#headline"), "Your engineer is 89 minutes away.")
        await page.locator("#switch").click()
        assert await page.locator("#headline").inner_text() == "工程师约 89 分钟后到达。"
