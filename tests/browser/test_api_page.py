"""The page of the public API in Chromium: shown from our own files alone, and calls made from it."""

import asyncio
import socket
from collections.abc import AsyncIterator
from typing import Any

import pytest
import uvicorn
from public_api import key_of
from worlds import World

from callout_backend.app import create_app
from callout_backend.settings import Settings
from callout_store.work import Database

SHOWN_MS = 20_000


@pytest.fixture(scope="module")
async def origin(db: Database, settings: Settings) -> AsyncIterator[str]:
    app = create_app(settings, db=db)
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_config=None))
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    server.should_exit = True
    await serving


async def test_it_shows_the_operations_and_makes_a_call(browser: Any, origin: str, db: Database) -> None:
    """A page that needs a server elsewhere, or breaks under our own policy for scripts, is blank for the integrator."""
    world = await World(db).build(phones=0)
    order = await world.order()
    key = await key_of(world, "orders:read")
    context = await browser.new_context(viewport={"width": 1200, "height": 900})
    page = await context.new_page()
    errors: list[str] = []
    asked: set[str] = set()
    page.on("pageerror", lambda fault: errors.append(str(fault)))
    page.on("console", lambda line: errors.append(line.text) if line.type == "error" else None)
    page.on("request", lambda request: asked.add(request.url))
    try:
        await page.goto(f"{origin}/v1/docs")
        await page.wait_for_selector("#operations-Orders-getOrder", timeout=SHOWN_MS)
        await page.click(".btn.authorize")
        await page.fill(".auth-container input >> nth=0", key.text)
        await page.click(".auth-btn-wrapper .authorize >> nth=0")
        await page.click(".auth-btn-wrapper .btn-done >> nth=0")
        await page.click("#operations-Orders-getOrder .opblock-summary-control")
        await page.click("#operations-Orders-getOrder .try-out__btn")
        await page.fill("#operations-Orders-getOrder .parameters input", str(order))
        await page.click("#operations-Orders-getOrder .execute")
        await page.wait_for_selector(
            "#operations-Orders-getOrder .live-responses-table .response", timeout=SHOWN_MS
        )
        shown = await page.inner_text("#operations-Orders-getOrder .live-responses-table")
        assert str(order) in shown
        assert errors == []
        assert {url for url in asked if not url.startswith((origin, "data:", "blob:"))} == set()
    finally:
        await context.close()
