"""The agent's desk in Chromium: what waits and how long yet, live news, answering, and the fallback's rights."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from desks import Desk
from people_world import PASSWORD
from phone_browser import opened

from callout_backend.app import create_app
from callout_backend.settings import Settings
from callout_people.passwords import Passwords
from callout_people.users import set_password
from callout_store.work import Database

SHOTS = os.environ.get("CALLOUT_SCREENSHOTS")


@pytest.fixture(scope="module")
async def origin(db: Database, settings: Settings) -> AsyncIterator[str]:
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(create_app(settings, db=db), log_config=None))
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    server.should_exit = True
    await serving


@pytest.fixture
async def desk(db: Database, origin: str) -> Desk:
    made = await Desk(db).open()
    stored = await Passwords(threads=1).hash(PASSWORD)
    async with db.work(made.org) as work:
        for name in ("ann", "fay", "sam"):
            await set_password(work, made.people[name], stored)
    return made


async def sign_in(page: Any, desk: Desk, name: str) -> None:
    await page.fill("input[name=organisation]", f"w-{desk.org.hex[-20:]}")
    await page.fill("input[name=email]", f"{name}-{desk.org.hex}@example.org")
    await page.fill("input[name=password]", PASSWORD)
    await page.click("#sign-in button")
    await page.locator("#desk").wait_for()


async def shoot(page: Any, name: str) -> None:
    if SHOTS:
        await page.screenshot(path=Path(SHOTS) / f"desk-{name}.png", full_page=True)


async def test_an_agent_sees_the_minutes_answers_and_is_told_who_may(
    browser: Any, origin: str, desk: Desk
) -> None:
    """A desk without a countdown is a list; one that hides who has the right sends agents around asking."""
    await desk.come("ann")
    # A quarter of an hour for the first response: 165 seconds of it are left.
    since = datetime.now(UTC) - timedelta(seconds=15 * 60 - 165)
    order = await desk.order(
        priority="P0", description="Charging pile is dead", channel="hotline", created_at=since
    )
    number = (await desk.row(order)).number
    async with opened(browser, f"{origin}/desk", viewport={"width": 1100, "height": 700}) as page:
        await page.clock.install()
        await sign_in(page, desk, "ann")
        row = page.locator(f'[data-order="{order}"]')
        await row.locator(".left.soon", has_text="2 min left").wait_for()
        assert "red lane" in await row.inner_text()
        # It ticks by itself, without asking.
        await page.clock.fast_forward(55_000)
        await row.get_by_text("1 min left").wait_for()
        await shoot(page, "queue")
        await row.get_by_role("button", name="Take over").click()
        await page.fill("#ask textarea[name=reason]", "I want it")
        await page.click("#ask-ok")
        await page.get_by_text("Now that is: Fay, Gus, Sam").wait_for()
        await page.click("#ask-cancel")
        await row.get_by_role("button", name="Respond").click()
        await page.fill("#ask textarea[name=text]", "Somebody is on the way")
        await page.click("#ask-ok")
        await row.get_by_text("resolution").first.wait_for()
        assert await row.get_by_role("button", name="Respond").count() == 0
    [(_, told)] = await desk.lines(order, "work_order.responded")
    assert (told["number"], told["text"]) == (number, "Somebody is on the way")


async def test_news_comes_by_itself_in_chinese_on_a_phone(browser: Any, origin: str, desk: Desk) -> None:
    """A supervisor who must press reload learns of a fire when it is out."""
    async with opened(browser, f"{origin}/desk?lang=zh") as page:
        await sign_in(page, desk, "sam")
        await page.get_by_text("暂无工单。").wait_for()
        await desk.come("ann")
        order = await desk.order()
        row = page.locator(f'[data-order="{order}"]')
        await row.get_by_text("处理人:Ann").wait_for()
        await row.get_by_role("button", name="接管").click()
        # Meanwhile somebody else is faster.
        await desk.take("sue", order, 1)
        await page.fill("#ask textarea[name=reason]", "着火了")
        await page.click("#ask-ok")
        await page.get_by_text("该工单已由Sue处理").wait_for()
        await page.click("#ask-ok")
        await row.get_by_text("处理人:Sam").wait_for()
        await page.locator("#todos").get_by_text("请响应工单").wait_for()
        await shoot(page, "phone-zh")
        await page.click("#switch")
        await row.get_by_text("with Sam").wait_for()
        width = await page.evaluate(
            "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        )
        assert width <= 0
