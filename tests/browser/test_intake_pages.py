"""The customer's form and the hotline page in Chromium: with the keyboard alone, without JavaScript, in both languages."""

import asyncio
import io
import os
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import uvicorn
from people_world import PASSWORD
from phone_browser import opened
from PIL import Image
from worlds import World

from callout_backend.app import create_app
from callout_backend.settings import Settings
from callout_orders.channels import accounts, inbox
from callout_orders.channels.accounts import ChannelInput
from callout_orders.channels.conversations import conversation
from callout_orders.channels.terms import Inbound
from callout_orders.kinds import versions
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


SMOKE = """
code = "charger"
label = { en = "Charger", zh = "充电桩" }
[[fields]]
code = "smoke"
label = { en = "What came out", zh = "冒出物" }
type = "choice"
required = true
options = [
    { code = "smoke", label = { en = "Smoke", zh = "烟" } },
    { code = "sparks", label = { en = "Sparks", zh = "火花" } },
]
[[fields]]
code = "spare"
label = { en = "Not asked on the telephone", zh = "电话不问" }
type = "text"
[[steps]]
code = "all"
label = { en = "All", zh = "全部" }
owner = "role:dispatcher"
by_hand = true
"""


async def sign_in(page: Any, world: World) -> None:
    await page.fill("input[name=organisation]", slug(world))
    await page.fill("input[name=email]", f"d-{world.org.hex}@example.org")
    await page.fill("input[name=password]", PASSWORD)
    await page.keyboard.press("Enter")
    await page.locator("#hotline").wait_for()


async def test_required_own_fields_are_asked_in_the_agents_language(
    browser: Any, origin: str, world: World
) -> None:
    """An agent who reads `sparks` out to a caller in Chinese, or sees the question only when the order is refused."""
    async with world.db.work(world.org, actor=world.dispatcher) as work:
        kept = await versions.save(work, SMOKE)
        await versions.activate(work, "charger", kept.version)
    async with opened(browser, f"{origin}/hotline", **DESK) as page:
        await sign_in(page, world)
        await page.locator("select[name=kind] option[value=charger]").wait_for(state="attached")
        await page.select_option("select[name=kind]", "charger")
        field = page.locator("select[name='fields.smoke']")
        assert await field.locator("option").all_inner_texts() == ["", "Smoke", "Sparks"]
        assert await page.locator("[name='fields.spare']").count() == 0
        await field.select_option("sparks")
        await page.click("#switch")
        assert await field.locator("option").all_inner_texts() == ["", "烟", "火花"]
        assert await field.input_value() == "sparks"
        assert "冒出物" in await page.inner_text("#own")


async def test_the_fields_of_the_kind_that_is_meant_are_there_before_it_is_chosen(
    browser: Any, origin: str, world: World
) -> None:
    """The agent would learn what the kind wants to know after the caller has hung up."""
    async with world.db.work(world.org, actor=world.dispatcher) as work:
        kept = await versions.save(work, SMOKE.replace('code = "charger"', 'code = "service"', 1))
        await versions.activate(work, "service", kept.version)
    async with opened(browser, f"{origin}/hotline", **DESK) as page:
        await sign_in(page, world)
        await page.locator("select[name='fields.smoke']").wait_for()
        assert await page.input_value("select[name=kind]") == ""


async def talked(world: World, *texts: str) -> None:
    """Bob writes by chat; what is missing is asked, and nothing comes of it by itself."""
    given = ChannelInput(
        code="wecom",
        kind="wecom",
        name="WeCom",
        locale="en",
        default_kind="repair",
        settings={"corpId": "ww1", "agentId": 7},
        secrets={"token": "very-secret-token", "aesKey": "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG"},
    )

    async def link(work: Any, order_id: UUID, locale: str, *, about: str = "order") -> str | None:
        return f"http://t/{about}"

    async with world.db.work(world.org, actor=world.dispatcher) as work:
        await accounts.save(work, given)
        account = await accounts.account_by_code(work, "wecom")
        assert account is not None
        for n, text in enumerate(texts):
            said = Inbound(external_id=f"m{n}", peer="Bob", kind="text", text=text)
            kept = await inbox.record(work, account, said, raw=b"x", size_bytes=1)
            await conversation.handle_message(work, kept.id, link=link)


async def test_a_waiting_conversation_is_read_answered_and_made_an_order(
    browser: Any, origin: str, world: World
) -> None:
    """What the channel could not finish would wait in a list that no page shows, and its sender with it."""
    await talked(world, "The pump in the cellar leaks and is <b>loud</b>")
    async with opened(browser, f"{origin}/hotline", **DESK) as page:
        await sign_in(page, world)
        row = page.locator("#waiting-list li")
        await row.first.wait_for()
        assert "<b>loud</b>" in await row.first.inner_text()
        await row.first.locator("button").click()
        await page.locator("#talk[open]").wait_for()
        assert "The pump in the cellar leaks" in await page.inner_text("#talk-messages")
        assert await page.locator("#talk-faults li").count() > 0
        await page.click("#talk-close")
        await page.locator("#talk-problem:not([hidden])").wait_for()  # says that a reason is needed
        await page.fill("#talk textarea[name=answer]", "Which machine is it?")
        await page.click("#talk-answer")
        await page.locator("#talk-messages li.out", has_text="Which machine is it?").wait_for()
        await shoot(page, "waiting-talk")
        await page.click("#talk-complete")
        await page.locator("#talk-problem:not([hidden])").wait_for()
        for name, text in (
            ("contactPhone", "+1 415 555 2671"),
            ("contactName", "Bob"),
            ("customerName", "Bay Laundry"),
            ("address", "1 Main St"),
            ("serial", "SN-1"),
        ):
            await page.fill(f"#talk-values [data-path={name}]", text)
        await page.click("#talk-complete")
        await page.locator("#done:not([hidden])").wait_for()
        assert "WO-000001" in await page.inner_text("#done")
        await page.locator("#waiting-none:not([hidden])").wait_for()
    row = (await world.fetch("select channel, serial, description from work_order"))[0]
    assert (row["channel"], row["serial"]) == ("chat", "SN-1")
    assert "<b>loud</b>" in row["description"]


async def test_a_conversation_that_comes_to_nothing_is_closed(
    browser: Any, origin: str, world: World
) -> None:
    """Jests and wrong numbers would bury the ones who need somebody."""
    await talked(world, "The pump in the cellar leaks and is loud")
    async with opened(browser, f"{origin}/hotline", **DESK) as page:
        await sign_in(page, world)
        await page.locator("#waiting-list button").first.click()
        await page.locator("#talk[open]").wait_for()
        await page.keyboard.press("Escape")  # closes the talk, and clears no caller's form
        await page.locator("#talk[open]").wait_for(state="detached")
        await page.locator("#waiting-list button").first.click()
        await page.fill("#talk input[name=reason]", "a jest")
        await page.click("#talk-close")
        await page.locator("#waiting-none:not([hidden])").wait_for()
    assert await world.value("select state || ':' || reason from intake_draft") == "closed:a jest"


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
