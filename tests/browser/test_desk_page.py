"""The agent's desk in Chromium: what waits and how long yet, live news, answering, and the fallback's rights."""

import asyncio
import contextlib
import os
import socket
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import uvicorn
from desks import Desk
from people_world import PASSWORD
from phone_browser import opened

from callout_backend.app import create_app
from callout_backend.settings import Settings
from callout_orders.desk import todos as todo_acts
from callout_orders.desk.staff import teams
from callout_orders.desk.staff.team_terms import MemberGiven, TeamGiven
from callout_orders.desk.todos import NewTodo
from callout_orders.sla import pausing
from callout_orders.sla.policy import policies
from callout_orders.sla.policy.terms import STANDARD, to_json
from callout_people import users
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


@pytest.mark.parametrize("wrong", (timedelta(days=-3), timedelta(hours=7)))
async def test_a_wrong_clock_at_home_counts_down_right(
    browser: Any, origin: str, desk: Desk, wrong: timedelta
) -> None:
    """An agent whose computer is three days behind would see days left of an order that is about to be late, and the hour
    until which a deadline is moved would be over already, or too far away."""
    since = datetime.now(UTC) - timedelta(minutes=10)
    await desk.come("ann")
    order = await desk.order(channel="hotline", created_at=since)
    async with opened(browser, f"{origin}/desk", viewport={"width": 1100, "height": 700}) as page:
        await page.clock.install(time=datetime.now(UTC) + wrong)
        await sign_in(page, desk, "fay")
        row = page.locator(f'[data-order="{order}"]')
        await row.locator(".left", has_text="4 min left").wait_for()
        await row.get_by_role("button", name="Move deadline").click()
        await page.fill("#ask textarea[name=reason]", "storm")
        await page.fill("#ask input[name=hours]", "24")
        await page.click("#ask-ok")
        await row.locator(".left", has_text="19 min left").wait_for()
    [(_, told)] = await desk.lines(order, "work_order.deadline_moved")
    assert abs(datetime.fromisoformat(told["until"]) - datetime.now(UTC) - timedelta(hours=24)) < timedelta(
        minutes=2
    )


async def test_names_and_not_codes_are_read(browser: Any, origin: str, desk: Desk) -> None:
    """`cannot_reproduce`, `care` and `parts` are for programs: an agent reads their own language."""
    await save_names(desk, "Customer care", "客户服务组")
    await desk.come("ann")
    order = await desk.order(channel="hotline", tags=("leak", "VIP $& 客户"))
    async with desk.as_("adi") as work:
        stops = {**to_json(STANDARD), "pauses": {"parts": ["first_response", "resolution"]}}
        await policies.save(work, stops, activate=True)
    paused = await desk.order(channel="hotline")
    async with desk.as_("ann") as work:
        await pausing.pause(work, paused, "parts")
    async with opened(browser, f"{origin}/desk", viewport={"width": 1100, "height": 700}) as page:
        await sign_in(page, desk, "ann")
        row = page.locator(f'[data-order="{order}"]')
        held = page.locator(f'[data-order="{paused}"]')
        await row.get_by_text("Customer care").wait_for()
        assert await row.locator(".tag").all_inner_texts() == ["Leak", "VIP $& 客户"]
        assert await held.locator(".left").inner_text() == "paused: waiting for parts"
        await page.click("#switch")
        await row.get_by_text("客户服务组").wait_for()
        assert await row.locator(".tag").all_inner_texts() == ["泄漏", "VIP $& 客户"]
        assert await held.locator(".left").inner_text() == "已暂停:等待备件"
        await shoot(page, "names")


async def save_names(desk: Desk, english: str, chinese: str) -> None:
    given = TeamGiven(
        code="care",
        name_en=english,
        name_zh=chinese,
        time_zone="Asia/Shanghai",
        members=tuple(MemberGiven(user_id=desk.people[name]) for name in ("ann", "ben")),
        is_default=True,
    )
    async with desk.as_("adi") as work:
        await teams.save_team(work, given, team_id=desk.team)


async def test_everything_is_done_by_keyboard(browser: Any, origin: str, desk: Desk) -> None:
    """Who answers a hundred orders a day does not reach for the mouse, and must not be thrown back to the top of the page
    after each of them."""
    await desk.come("ann")
    first, second = [await desk.order(channel="hotline", priority="P0") for _ in range(2)]
    for order in (first, second):
        await ask(desk, "ann", order)
    async with opened(browser, f"{origin}/desk", viewport={"width": 1100, "height": 700}) as page:
        await page.fill("input[name=organisation]", f"w-{desk.org.hex[-20:]}")
        await page.keyboard.press("Tab")
        await page.keyboard.type(f"ann-{desk.org.hex}@example.org")
        await page.keyboard.press("Tab")
        await page.keyboard.type(PASSWORD)
        await page.keyboard.press("Enter")
        row = page.locator(f'[data-order="{first}"]')
        await row.get_by_role("button", name="Respond").focus()
        await page.keyboard.press("Enter")
        await page.locator("#ask textarea:focus").wait_for()
        await page.keyboard.press("Escape")
        await row.locator("[data-act=respond]:focus").wait_for()
        await page.keyboard.press("Enter")
        await page.locator("#ask textarea:focus").wait_for()
        await page.keyboard.type("We are on it")
        await page.keyboard.press("Tab")
        await page.keyboard.press("Tab")
        await page.keyboard.press("Enter")
        # The order is answered and stands elsewhere in the list: its next button has the focus.
        await row.get_by_text("resolution").first.wait_for()
        await row.locator("[data-act=take_over]:focus").wait_for()
        # A to-do that is done leaves the focus to the next one.
        todos = page.locator("#todos li")
        assert await todos.count() == 2
        left = await todos.nth(1).get_attribute("data-todo")
        await todos.nth(0).get_by_role("button", name="Done").focus()
        await page.keyboard.press("Enter")
        await page.locator(f'#todos li[data-todo="{left}"] button:focus').wait_for()
        assert await todos.count() == 1


async def ask(desk: Desk, name: str, order: UUID) -> None:
    async with desk.as_("adi") as work:
        new = NewTodo(user_id=desk.people[name], kind="flow.step", matter=f"m:{order}", order_id=order)
        await todo_acts.ask(work, [new])


async def test_a_server_that_comes_back_is_heard_again(
    browser: Any, db: Database, settings: Settings, desk: Desk
) -> None:
    """After an update of the server at noon nobody reloads their desk: it says that it is cut off, and what came in meanwhile
    is there as soon as the line is back."""
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]

    @contextlib.asynccontextmanager
    async def serving(sockets: socket.socket) -> AsyncIterator[None]:
        # It cuts off who listens, as a crash does.
        config = uvicorn.Config(create_app(settings, db=db), log_config=None, timeout_graceful_shutdown=1)
        server = uvicorn.Server(config)
        task = asyncio.create_task(server.serve(sockets=[sockets]))
        yield
        server.should_exit = True
        await task

    async with opened(browser, "about:blank", viewport={"width": 1100, "height": 700}) as page:
        async with serving(listener):
            await page.goto(f"http://127.0.0.1:{port}/desk")
            # Its clock stands still but where it is moved: less than the minute after which it would ask anyway.
            await page.clock.install()
            await page.clock.pause_at(datetime.now(UTC) + timedelta(seconds=30))
            await sign_in(page, desk, "ann")
            await page.get_by_text("Nothing waits here.").wait_for()
        await page.clock.fast_forward(31_000)
        await page.get_by_text("There is no connection").wait_for()
        order = await desk.order(channel="hotline")
        async with serving(socket.create_server(("127.0.0.1", port))):
            await page.clock.fast_forward(4_000)
            await page.locator(f'[data-order="{order}"]').wait_for()
            await page.locator("#problem").wait_for(state="hidden")


async def test_a_session_that_ends_says_so_and_a_sign_out_does_not(
    browser: Any, origin: str, desk: Desk
) -> None:
    """A desk that turns into a form without a word looks like a fault; after a sign-out it is what one wanted."""
    async with opened(browser, f"{origin}/desk", viewport={"width": 1100, "height": 700}) as page:
        await sign_in(page, desk, "ann")
        await page.click("#sign-out")
        await page.locator("#sign-in").wait_for()
        assert await page.locator("#problem").is_hidden()
        await sign_in(page, desk, "ann")
        async with desk.as_("adi") as work:
            await users.deactivate(work, desk.people["ann"])
        await page.select_option("#presence", "away")
        await page.locator("#sign-in").wait_for()
        assert await page.locator("#problem").is_visible()
        assert await page.locator("[data-order]").count() == 0
