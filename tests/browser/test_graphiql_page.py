"""The GraphQL page in Chromium: signing in, asking, listening, renewing the token, signing out."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest
import uvicorn
from people_world import PASSWORD, People, make_people

from callout_backend.app import create_app
from callout_backend.settings import Settings
from callout_people.principals import Role
from callout_store.work import Database

SCHEMA_SHOWN_MS = 15_000


@pytest.fixture(scope="module")
async def origin(db: Database, settings: Settings) -> AsyncIterator[str]:
    # A token of a minute: the page renews one 30 s before its end, which a browser's moved clock reaches at once.
    app = create_app(replace(settings, access_minutes=1), db=db)
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_config=None))
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    server.should_exit = True
    await serving


@pytest.fixture(scope="module")
async def people(db: Database) -> People:
    return await make_people(db)


@contextlib.asynccontextmanager
async def opened(browser: Any, address: str, *, locale: str = "en-US") -> AsyncIterator[Any]:
    """A page. Fails on errors in the console, refused scripts and missing files among them."""
    context = await browser.new_context(locale=locale, viewport={"width": 1100, "height": 700})
    page = await context.new_page()
    errors: list[str] = []
    page.on("pageerror", lambda fault: errors.append(str(fault)))
    page.on("console", lambda line: errors.append(line.text) if line.type == "error" else None)
    await page.clock.install()
    await page.goto(address)
    yield page
    await context.close()
    # The browser's own line about a wrong password (401).
    assert [error for error in errors if "status of 401" not in error] == []


async def sign_in(page: Any, people: People, password: str = PASSWORD) -> None:
    await page.fill("#session input[name=email]", people.email(Role.DISPATCHER))
    await page.fill("#session input[name=password]", password)
    await page.click("#session button[type=submit]")


async def run(page: Any, operation: str) -> Any:
    """Run one of the two operations of the page's first text; the answer's pane."""
    await page.click(".graphiql-execute-button")
    await page.get_by_role("menuitem", name=operation).click()
    return page.locator(".result-window")


async def test_a_newcomer_signs_in_and_asks(browser: Any, origin: str, people: People) -> None:
    """With e-mail and password alone, as they stand in the box of `make run`, the page would be of no use."""
    async with opened(browser, f"{origin}/graphql?org={people.slug}") as page:
        assert await page.input_value("#session input[name=organisation]") == people.slug
        await page.get_by_text("Sign in above to see the schema").first.wait_for()
        await sign_in(page, people, "wrong")
        await page.get_by_text("Organisation, e-mail or password is wrong.").wait_for()
        async with page.expect_response(lambda answer: "/graphql" in answer.url) as schema:
            await sign_in(page, people)
        assert "__schema" in await (await schema.value).text()
        assert "dispatcher · Lifts & Co" in await page.inner_text("#session .who")
        answer = await run(page, "Board")
        await answer.get_by_text('"Lifts & Co"').wait_for(timeout=SCHEMA_SHOWN_MS)
        kept = await page.evaluate("JSON.stringify([Object.entries(localStorage), document.cookie])")
        assert "Bearer" not in kept
        assert PASSWORD not in kept


async def test_the_token_is_renewed_and_given_up(browser: Any, origin: str, people: People) -> None:
    """After a quarter of an hour every query would fail; after signing out somebody else could go on asking."""
    async with opened(browser, f"{origin}/graphql?org={people.slug}", locale="zh-CN") as page:
        await page.get_by_role("button", name="登录").wait_for()
        await sign_in(page, people)
        await page.get_by_text("调度员").wait_for()
        await page.clock.fast_forward(45_000)
        async with page.expect_response(lambda answer: "/auth/refresh" in answer.url) as renewed:
            answer = await run(page, "Board")
        assert (await renewed.value).status == 200
        await answer.get_by_text('"Lifts & Co"').wait_for(timeout=SCHEMA_SHOWN_MS)
        async with page.expect_response(lambda answer: "/auth/logout" in answer.url) as ended:
            await page.get_by_role("button", name="退出登录").click()
        assert (await ended.value).status == 204
        await page.get_by_role("button", name="登录").wait_for()
