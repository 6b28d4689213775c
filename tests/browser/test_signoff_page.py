"""The sign-off page in Chromium at a phone's size: drawing, switching language, losing the network, signing."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import uvicorn
from phone_browser import PHONE, opened
from signoff_cases import Case, make_app, make_case

from callout_store.work import Database

SHOTS = os.environ.get("CALLOUT_SCREENSHOTS")
"""A folder for pictures of the page, for a person to look at."""


class Page(msgspec.Struct):
    """A visit that waits for its signature, and the server that shows it."""

    case: Case
    origin: str

    async def link(self, locale: str = "en") -> str:
        return f"{self.origin}/s/{await self.case.link(locale=locale)}"

    async def signature(self) -> Any:
        rows = await self.case.signatures()
        return rows[0] if rows else None


@pytest.fixture(scope="module")
async def origin(db: Database) -> AsyncIterator[str]:
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(make_app(db), log_config=None, lifespan="off"))
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    server.should_exit = True
    await serving


@pytest.fixture
async def case(db: Database, origin: str) -> Page:
    return Page(await make_case(db), origin)


async def draw(page: Any, *lines: list[tuple[float, float]]) -> None:
    await page.locator("#pad").scroll_into_view_if_needed()
    box = await page.locator("#pad").bounding_box()
    for line in lines:
        points = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in line]
        await page.mouse.move(*points[0])
        await page.mouse.down()
        for point in points[1:]:
            await page.mouse.move(*point, steps=4)
        await page.mouse.up()


async def shoot(page: Any, name: str) -> None:
    if SHOTS:
        await page.screenshot(path=Path(SHOTS) / f"{name}.png", full_page=True)


SCRAWL = [(0.1, 0.6), (0.2, 0.2), (0.3, 0.7), (0.45, 0.3), (0.6, 0.65)]
DASH = [(0.65, 0.5), (0.9, 0.45)]


async def test_a_customer_signs_on_a_phone(browser: Any, case: Page) -> None:
    """The customer at the door would hold a page that cannot be signed."""
    async with opened(browser, await case.link()) as page:
        assert await page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
        await shoot(page, "form")
        await page.locator("#send").click()
        assert await page.locator("#status").inner_text() == "Please choose whether you accept."
        await page.get_by_label("I accept the work").check()
        await page.locator(".stars input[value='4']").check()
        await page.get_by_label("Your name").fill("Ann Lee")
        await page.locator("#send").click()
        assert await page.locator("#status").inner_text() == "Please sign in the box."
        await draw(page, SCRAWL, DASH, DASH)
        await page.get_by_role("button", name="Undo").click()
        await shoot(page, "signed-form")
        await page.locator("#send").click()
        await page.locator("#done").wait_for()
        assert "Your signature has arrived" in await page.locator("#done").inner_text()
        await shoot(page, "done")
    stored = await case.signature()
    assert (stored["signer_name"], stored["decision"], stored["rating"]) == ("Ann Lee", "accept", 4)
    strokes = msgspec.json.decode(stored["strokes"])
    assert len(strokes) == 2
    (x, y, t), last = strokes[0][0], strokes[0][-1]
    assert (x, y) == (pytest.approx(0.1, abs=0.02), pytest.approx(0.6, abs=0.04))
    assert t == 0
    assert (last[0], last[1]) == (pytest.approx(0.6, abs=0.02), pytest.approx(0.65, abs=0.04))
    if SHOTS:
        Path(SHOTS, "signature.png").write_bytes(stored["png"])


async def test_a_finger_draws_too(browser: Any, case: Page) -> None:
    """On a phone nobody has a mouse, and a drag would scroll the page away under the finger."""
    async with opened(browser, await case.link()) as page:
        await page.locator("#pad").scroll_into_view_if_needed()
        box = await page.locator("#pad").bounding_box()
        before = await page.evaluate("scrollY")
        fingers = await page.context.new_cdp_session(page)
        for kind, share in (("touchStart", 0.2), ("touchMove", 0.5), ("touchMove", 0.8), ("touchEnd", None)):
            points = (
                []
                if share is None
                else [{"x": box["x"] + share * box["width"], "y": box["y"] + share * box["height"]}]
            )
            await fingers.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
        assert await page.locator("#undo").is_enabled()
        assert await page.evaluate("scrollY") == before


async def test_an_objection_in_chinese_survives_a_lost_network(browser: Any, case: Page) -> None:
    """In a cellar without reception the customer's words and signature would be gone."""
    async with opened(browser, await case.link("zh")) as page:
        assert await page.locator("h1").inner_text() == "服务签收"
        await page.get_by_label("我有异议").check()
        await page.get_by_label("异议原因").fill("仍然漏水")
        await page.get_by_label("您的姓名").fill("李安")
        await draw(page, SCRAWL)
        await page.context.set_offline(True)
        await page.locator("#send").click()
        await page.locator("#status").wait_for()
        assert "网络不可用" in await page.locator("#status").inner_text()
        assert await page.locator("#send").inner_text() == "重试"
        await shoot(page, "offline-zh")
        await page.locator("#switch").click()
        assert await page.locator("h1").inner_text() == "Sign off the work"
        assert "There is no connection" in await page.locator("#status").inner_text()
        await page.locator("#switch").click()
        await page.context.set_offline(False)
        await page.reload()
        assert await page.get_by_label("异议原因").input_value() == "仍然漏水"
        await page.locator("#send").click()
        await page.locator("#done").wait_for()
        assert "您的异议与签名已送达" in await page.locator("#done").inner_text()
    stored = await case.signature()
    assert (stored["signer_name"], stored["decision"], stored["reason"]) == ("李安", "object", "仍然漏水")
    assert stored["strokes"] != "[]"


async def test_a_double_tap_signs_once_and_a_used_link_says_so(browser: Any, case: Page) -> None:
    """Two quick taps would show an error under a signature that had arrived."""
    address = await case.link()
    async with opened(browser, address) as page:
        await page.get_by_label("I accept the work").check()
        await page.get_by_label("Your name").fill("Ann Lee")
        await page.get_by_label("I cannot draw here").check()
        await page.evaluate("for (let i = 0; i < 3; i++) document.getElementById('form').requestSubmit()")
        await page.locator("#done").wait_for()
        assert not await page.locator("#status").is_visible()
        await page.reload()
        assert await page.locator("h1").inner_text() == "Signed already"
        await shoot(page, "used")
        await page.locator("#switch").click()
        assert await page.locator("h1").inner_text() == "已签收"
    stored = await case.signature()
    assert (stored["strokes"], stored["rating"]) == ("[]", None)


async def test_everything_is_reached_by_keyboard(browser: Any, case: Page) -> None:
    """Who cannot use a pointer could not sign."""
    async with opened(browser, await case.link(), is_mobile=False, has_touch=False) as page:
        await page.locator("input[name=decision]").first.focus()
        await page.keyboard.press("Space")
        # radio groups are one stop each; the hidden reason is none
        await page.keyboard.press("Tab")
        await page.keyboard.press("ArrowLeft")
        await page.keyboard.press("Tab")
        await page.keyboard.type("Ann Lee")
        await page.keyboard.press("Tab")
        await page.keyboard.press("Space")
        await page.keyboard.press("Tab")
        await page.keyboard.press("Enter")
        await page.locator("#done").wait_for()
    stored = await case.signature()
    assert (stored["signer_name"], stored["decision"], stored["rating"]) == ("Ann Lee", "accept", 5)


async def test_it_works_without_javascript(browser: Any, case: Page) -> None:
    """A locked-down office browser could not sign."""
    async with opened(browser, await case.link(), java_script_enabled=False) as page:
        assert await page.locator("#pad").is_hidden()
        assert await page.get_by_text("Without JavaScript").is_visible()
        await shoot(page, "no-script")
        await page.get_by_label("I accept the work").check()
        await page.get_by_label("Your name").fill("Ann Lee")
        await page.locator("#send").click()
        await page.get_by_text("Your signature has arrived").wait_for()
    assert (await case.signature())["signer_name"] == "Ann Lee"
