"""Every page in Chromium on a small phone: names and headings, contrast, keyboard, both languages, nothing from elsewhere."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from typing import Any

import msgspec
import pytest
import uvicorn
from page_audit import faults, left_behind
from people_world import PASSWORD
from phone_browser import opened
from signoff_cases import SUMMARY
from telling import SECRET, Telling

from callout_backend.app import create_app
from callout_backend.notify import links as notice_links
from callout_backend.settings import Settings
from callout_dispatch.arrivals import tracking
from callout_orders import signoff
from callout_orders.channels import accounts
from callout_orders.channels.accounts import ChannelInput
from callout_orders.flow.ending import survey
from callout_orders.knowledge import articles, decisions, links, offers
from callout_orders.knowledge.articles import ArticleText
from callout_people.passwords import Passwords
from callout_people.users import set_password
from callout_store.work import Database


class House(msgspec.Struct):
    """A house with everything that has a page, and the server that shows it."""

    told: Telling
    origin: str

    async def act(self, do: Any) -> Any:
        world = self.told.world
        return await world.db.run(world.org, do, actor=world.dispatcher)

    async def question(self) -> Any:
        order_id = await self.told.world.order(priority="P2", kind="service", description="How to reset?")
        for title, workaround in (("Reset the charger", "Use pile 2."), ("Change the fuse", "")):
            text = ArticleText(title=title, body="Hold.\nWait.", workaround=workaround, for_customers=True)
            id_ = await self.act(lambda work, text=text: articles.save_article(work, text))
            await self.act(lambda work, id_=id_: offers.offer(work, order_id, [id_]))
        return order_id

    async def answers(self) -> str:
        order_id = await self.question()
        return f"/a/{await self.act(lambda work: links.create_link(work, order_id))}"

    async def solved(self) -> str:
        order_id = await self.question()
        token = await self.act(lambda work: links.create_link(work, order_id))
        await self.act(lambda work: links.decide(work, token, links.Decision(decision="solved")))
        return f"/a/{token}"

    async def surveyed(self) -> str:
        order_id = await self.question()
        await self.act(lambda work: decisions.solved(work, order_id))
        id_ = await self.told.world.value("select id from survey where order_id = $1", order_id)
        return f"/q/{await self.act(lambda work: survey.link(work, id_))}"

    async def notice(self) -> str:
        await self.told.world.order(priority="P0")
        await self.told.drain()
        found = await self.told.notices("user_id = $1 and kind = 'created'", self.told.supervisor)
        return f"/n/{notice_links.token(SECRET, self.told.world.org, found[0]['id'])}"

    async def track(self) -> str:
        order_id = await self.told.world.order()
        return f"/t/{await self.act(lambda work: tracking.create_link(work, order_id))}"

    async def sign(self) -> str:
        world = self.told.world
        order_id = await world.order()
        visit_id = await world.visit(world.phones[0], order_id)
        token = await self.act(
            lambda work: signoff.create_link(
                work, visit_id, order_id, SUMMARY, "en", created_by=None, ttl=timedelta(days=1)
            )
        )
        return f"/s/{token}"

    async def form(self) -> str:
        return f"/r/w-{self.told.world.org.hex[-20:]}"


@pytest.fixture
async def house(settings: Settings, db: Database) -> AsyncIterator[House]:
    app = create_app(settings, db=db)
    told = await Telling(db).build()
    world = told.world
    stored = await Passwords(threads=1).hash(PASSWORD)
    async with db.work(world.org, actor=world.dispatcher) as work:
        assert world.dispatcher.user_id is not None
        await set_password(work, world.dispatcher.user_id, stored)
        channel = ChannelInput(code="form", kind="web_form", name="Form", locale="en", default_kind="repair")
        await accounts.save(work, channel)
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, lifespan="off"))
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    yield House(told, f"http://127.0.0.1:{listener.getsockname()[1]}")
    server.should_exit = True
    await serving
    await told.notifier.close()


def fixed(address: str) -> Callable[[House], Awaitable[str]]:
    async def found(_: House) -> str:
        return address

    return found


PAGES: dict[str, Callable[[House], Awaitable[str]]] = {
    "answers": House.answers,
    "answers, settled": House.solved,
    "answers, unknown": fixed(f"/a/{'A' * 22}.{'B' * 43}"),
    "survey": House.surveyed,
    "survey, unknown": fixed(f"/q/{'A' * 22}.{'B' * 43}"),
    "notice": House.notice,
    "notice, unknown": fixed(f"/n/{'A' * 64}"),
    "way": House.track,
    "way, unknown": fixed(f"/t/{'A' * 22}.{'B' * 43}"),
    "sign-off": House.sign,
    "sign-off, unknown": fixed(f"/s/{'A' * 22}.{'B' * 43}"),
    "form": House.form,
    "form, unknown": fixed("/r/nobody"),
    "sink": fixed("/sink"),
    "desk": fixed("/desk"),
    "hotline": fixed("/hotline"),
}


@pytest.mark.parametrize("name", PAGES)
async def test_everybody_can_use_it(browser: Any, house: House, name: str) -> None:
    """A customer with weak eyes, a screen reader, or no mouse; somebody who reads one of the two languages alone."""
    address = house.origin + await PAGES[name](house)
    async with opened(browser, address) as page:
        assert await faults(page) == []
        for locale in ("zh", "en"):
            assert await left_behind(page, locale) == []
            assert await page.evaluate("document.documentElement.scrollWidth") <= 360


async def test_a_form_that_was_refused_can_be_used_too(browser: Any, house: House) -> None:
    """What is wrong must be read out, and be reached without a mouse."""
    async with opened(browser, house.origin + await house.form()) as page:
        await page.focus("button.primary")
        await page.keyboard.press("Enter")
        await page.locator("#wrong").wait_for()
        assert await page.evaluate("document.activeElement.id") == "wrong"
        assert await faults(page) == []
        for locale in ("zh", "en"):
            assert await left_behind(page, locale) == []


@pytest.mark.parametrize("address", ("/desk", "/hotline"))
async def test_the_houses_pages_after_sign_in(browser: Any, house: House, address: str) -> None:
    """Agents work on them all day; one who cannot hold a mouse is an agent as well."""
    await house.told.world.order(priority="P0", description="Pile is dead")
    async with opened(browser, house.origin + address) as page:
        await page.fill("input[name=organisation]", f"w-{house.told.world.org.hex[-20:]}")
        email = await house.told.world.value(
            "select email from app_user where id = $1", house.told.world.dispatcher.user_id
        )
        await page.fill("input[name=email]", email)
        await page.fill("input[name=password]", PASSWORD)
        await page.keyboard.press("Enter")
        await page.locator("main").wait_for()
        if address == "/desk":
            await page.locator(".order").first.wait_for()
        assert await faults(page) == []
        for locale in ("zh", "en"):
            assert await left_behind(page, locale) == []


async def test_what_was_typed_outlives_the_switch(browser: Any, house: House) -> None:
    """A customer who writes three lines and then finds the other language must not begin anew."""
    async with opened(browser, house.origin + await house.surveyed()) as page:
        await page.fill("#comment", "Very friendly")
        await page.click("#switch")
        assert await page.input_value("#comment") == "Very friendly"
        assert await page.title() == "服务评价"
        await page.locator("input[name=score][value='5']").check()
        await page.click("button.primary")
        await page.locator(".done").wait_for()
        assert "感谢您的评价" in await page.locator("h1").inner_text()
        await page.click("#switch")
        assert await page.locator("h1").inner_text() == "Thank you"


async def test_an_answer_is_given_by_keyboard_and_once(browser: Any, house: House) -> None:
    """Also without a script and without a mouse; and reloading afterwards does nothing."""
    async with opened(browser, house.origin + await house.answers(), java_script_enabled=False) as page:
        await page.focus("article button")
        await page.keyboard.press("Enter")
        await page.locator(".done").wait_for()
        assert "Your order is closed" in await page.locator(".done").inner_text()
        await page.goto(page.url)
        assert await page.locator("form").count() == 0
        assert "Hold." in await page.locator("article").first.inner_text()
