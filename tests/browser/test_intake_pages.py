"""The customer's form and the hotline page in Chromium: with the keyboard alone, without JavaScript, in both languages."""

import asyncio
import io
import os
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from people_world import PASSWORD
from phone_browser import opened
from PIL import Image
from worlds import World

from callout_backend.app import create_app
from callout_backend.settings import Settings
from callout_orders.channels import accounts
from callout_orders.channels.accounts import ChannelInput
from callout_people.passwords import Passwords
from callout_people.users import set_password
from callout_store.work import Database

SHOTS = os.environ.get("CALLOUT_SCREENSHOTS")
DESK = {"viewport": {"width": 1280, "height": 800}, "is_mobile": False, "has_touch": False}


@pytest.fixture(scope="module")
async def origin(db: Database, settings: Settings) -> AsyncIterator[str]:
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(create_app(settings, db=db), log_config=None))
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    server.should_exit = True
    await serving


@pytest.fixture
async def world(db: Database, origin: str) -> World:
    made = await World(db).build(phones=1)
    stored = await Passwords(threads=1).hash(PASSWORD)
    assert made.dispatcher.user_id is not None
    async with db.work(made.org, actor=made.dispatcher) as work:
        await set_password(work, made.dispatcher.user_id, stored)
        await accounts.save(
            work,
            ChannelInput(code="form", kind="web_form", name="Form", locale="en", default_kind="repair"),
        )
    return made


def slug(world: World) -> str:
    return f"w-{world.org.hex[-20:]}"


async def shoot(page: Any, name: str) -> None:
    if SHOTS:
        await page.screenshot(path=Path(SHOTS) / f"intake-{name}.png", full_page=True)


@pytest.mark.parametrize("script", (True, False))
async def test_a_customer_asks_for_service(browser: Any, origin: str, world: World, script: bool) -> None:
    """A customer whose phone blocks scripts could not ask; one who forgets a field would lose what was typed."""
    out = io.BytesIO()
    Image.new("RGB", (40, 30), "red").save(out, "PNG")
    picture = {"name": "leak.png", "mimeType": "image/png", "buffer": out.getvalue()}
    async with opened(browser, f"{origin}/r/{slug(world)}", java_script_enabled=script) as page:
        await page.fill("#description", "The pump in the cellar leaks and is loud")
        await page.fill("#contactPhone", "1390000000")
        if script:
            await page.click("#switch")
            assert await page.locator("label[for=serial]").inner_text() == "设备序列号 *"
            assert await page.input_value("#contactPhone") == "1390000000"
            await page.click("#switch")
        await page.set_input_files("#files", picture)
        await page.click("button.primary")
        await page.locator("#wrong").wait_for()
        await shoot(page, f"form-wrong-{script}")
        assert await page.get_attribute("#contactPhone", "aria-invalid") == "true"
        described = await page.get_attribute("#contactPhone", "aria-describedby")
        assert await page.locator(f"#{described}").is_visible()
        assert await page.input_value("#description") == "The pump in the cellar leaks and is loud"
        assert "leak.png" in await page.inner_text("#form")
        await page.fill("#contactPhone", "+1 415 555 2671")
        await page.fill("#serial", "SN-1")
        await page.click("button.primary")
        await page.locator("#number").wait_for()
        await shoot(page, f"form-sent-{script}")
        number = await page.inner_text("#number")
        assert await page.locator("#follow").is_visible()
    stored = await world.fetch(
        "select o.number, f.name from work_order o join intake_file f on f.order_id = o.id"
    )
    assert [tuple(row) for row in stored] == [(number, "leak.png")]


async def test_the_hidden_field_is_out_of_reach(browser: Any, origin: str, world: World) -> None:
    """A customer who uses the keyboard would fill in what only machines should, and be refused."""
    async with opened(browser, f"{origin}/r/{slug(world)}") as page:
        await page.focus("#switch")
        seen = []
        for _ in range(30):
            await page.keyboard.press("Tab")
            seen.append(await page.evaluate("document.activeElement.id"))
        assert "description" in seen
        assert "website" not in seen


async def test_an_agent_takes_a_call_with_the_keyboard_alone(browser: Any, origin: str, world: World) -> None:
    """While the caller speaks there is no hand for a mouse, and no time for a form that says at the end what was missing."""
    async with opened(browser, f"{origin}/hotline", **DESK) as page:
        await page.fill("input[name=organisation]", slug(world))
        await page.fill("input[name=email]", f"d-{world.org.hex}@example.org")
        await page.fill("input[name=password]", PASSWORD)
        await page.keyboard.press("Enter")
        await page.locator("#hotline").wait_for()
        await page.locator("select[name=kind] option[value=repair]").wait_for(state="attached")
        await page.keyboard.type("5552671")
        await page.locator("#found li").first.wait_for()
        await page.keyboard.press("Enter")
        assert await page.input_value("input[name=contactName]") == "Ann"
        assert await page.evaluate("document.activeElement.name") == "description"
        await page.keyboard.type("The pump in the cellar leaks and is loud")
        await page.locator("#faults li").first.wait_for()  # the serial is missing, said while typing
        await shoot(page, "hotline-missing")
        await page.fill("input[name=serial]", "SN-1")
        await page.locator("#good").wait_for()
        await shoot(page, "hotline-good")
        await page.keyboard.press("Control+Enter")
        await page.locator("#done").wait_for()
        assert "WO-000001" in await page.inner_text("#done")
        assert await page.evaluate("document.activeElement.id") == "search"  # ready for the next caller
    row = (await world.fetch("select channel, customer_id, contact_id, created_by from work_order"))[0]
    assert tuple(row) == ("hotline", world.customer, world.contact, world.dispatcher.user_id)


async def test_what_the_server_says_is_shown_as_text(browser: Any, origin: str, world: World) -> None:
    """A customer whose name is a script would run it in the agent's session."""
    async with world.db.work(world.org) as work:
        await work.execute(
            "update customer set name = $2 where id = $1",
            world.customer,
            "<img src=x onerror=document.title=1>",
        )
    async with opened(browser, f"{origin}/hotline", **DESK) as page:
        await page.fill("input[name=organisation]", slug(world))
        await page.fill("input[name=email]", f"d-{world.org.hex}@example.org")
        await page.fill("input[name=password]", PASSWORD)
        await page.keyboard.press("Enter")
        await page.locator("#hotline").wait_for()
        await page.keyboard.type("c-1")
        await page.locator("#found li").first.wait_for()
        assert "<img" in await page.inner_text("#found")
        assert await page.title() == "Hotline"
