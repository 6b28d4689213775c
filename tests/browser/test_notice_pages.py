"""The notice's link and the sink in Chromium: one tap is a receipt, and every kind of message is drawn, in both languages."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from phone_browser import PHONE, opened
from telling import SECRET, Telling

from callout_backend.app import create_app
from callout_backend.notify import links
from callout_backend.settings import Settings
from callout_people.passwords import shared
from callout_people.principals import Role
from callout_people.users import NewUser, create_user
from callout_store.work import Database

SHOTS = os.environ.get("CALLOUT_SCREENSHOTS")
PASSWORD = "correct horse battery"


@pytest.fixture
async def served(settings: Settings, db: Database) -> AsyncIterator[tuple[Telling, str]]:
    app = create_app(settings, db=db)
    told = await Telling(db).build()
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, lifespan="off"))
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    yield told, f"http://127.0.0.1:{listener.getsockname()[1]}"
    server.should_exit = True
    await serving
    await told.notifier.close()


async def shoot(page: Any, name: str) -> None:
    if SHOTS:
        await page.screenshot(path=Path(SHOTS) / f"{name}.png", full_page=True)


async def test_opening_the_link_is_the_receipt(browser: Any, served: tuple[Telling, str]) -> None:
    """Somebody who must also press a button to say that they read it never does."""
    told, origin = served
    await told.world.order(priority="P0")
    await told.drain()
    (notice,) = await told.notices("user_id = $1 and kind = 'created'", told.supervisor)
    address = f"{origin}/n/{links.token(SECRET, told.world.org, notice['id'])}"
    async with opened(browser, address) as page:
        await page.locator("#read").wait_for(state="hidden")
        (found,) = await told.notices("id = $1", notice["id"])
        assert found["state"] == "read"
        assert await page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
        await page.locator("#switch").click()
        assert "确认收到" in await page.locator("#acknowledge").inner_text()
        await shoot(page, "notice")
        await page.locator("#acknowledge").click()
        await page.locator("#done-acknowledge").wait_for(state="visible")
    (found,) = await told.notices("id = $1", notice["id"])
    assert found["state"] == "acknowledged"


async def test_the_sink_draws_every_kind(
    browser: Any, served: tuple[Telling, str], settings: Settings
) -> None:
    """A message that the page cannot draw, or that runs as a script in it, makes the sink useless or worse."""
    told, origin = served
    phone = "+8613800138000"
    for medium in ("email", "sms", "voice", "push", "wecom"):
        user = await told.person(Role.SUPERVISOR, medium.title(), phone=phone)
        await told.prefer(user, media=(medium,), locale="zh")
        if medium in ("push", "wecom"):
            async with told.db.work(told.world.org) as work:
                await work.execute(
                    "insert into notice_address (id, user_id, medium, address, created_at) "
                    "values (gen_random_uuid(), $1, $2, 'x', now())",
                    user,
                    medium,
                )
    hashed = await shared(settings.password_threads).hash(PASSWORD)
    async with told.db.work(told.world.org) as work:
        email = "boss@example.org"
        await create_user(work, NewUser(email=email, name="Boss", role=Role.ADMIN, password_hash=hashed))
        slug = await work.fetchval("select slug from organisation where id = callout_org()")
    await told.world.order(priority="P0", description="<img src=x onerror=document.title='hacked'>")
    await told.drain()
    async with opened(browser, f"{origin}/sink") as page:
        await page.locator("#organisation").fill(slug)
        await page.locator("#email").fill(email)
        await page.locator("#password").fill(PASSWORD)
        await page.locator("#sign-in button").click()
        await page.locator(".message").first.wait_for()
        drawn = await page.locator(".message").evaluate_all("all => all.map(one => one.dataset.medium)")
        assert {"email", "sms", "voice", "push", "wecom", "wecom_robot"} <= set(drawn)
        assert "新工单" in await page.frame_locator("iframe").locator("h2").first.inner_text()
        assert await page.title() != "hacked"
        await page.locator("#switch").click()
        await shoot(page, "sink")
        await page.locator("#medium").select_option("sms")
        await page.locator("#filter button").click()
        await page.locator('.message[data-medium="email"]').first.wait_for(state="detached")
        drawn = await page.locator(".message").evaluate_all("all => all.map(one => one.dataset.medium)")
        assert set(drawn) == {"sms"}
