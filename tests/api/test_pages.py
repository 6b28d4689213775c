"""The pages and their files: what a browser asks for beside the page it was sent to."""

import re
from collections.abc import AsyncIterator

import httpx
import pytest

from callout_backend.app import create_app
from callout_backend.settings import Settings
from callout_store.work import Database


@pytest.fixture
async def browser(settings: Settings, db: Database) -> AsyncIterator[httpx.AsyncClient]:
    app = create_app(settings, db=db)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://t") as client:
        yield client


@pytest.mark.parametrize("page", ("/", "/graphql", "/desk", "/s/AAAAAAAAAAAAAAAAAAAAAA.x"))
async def test_every_file_of_a_page_is_there_at_an_address_of_its_content(
    browser: httpx.AsyncClient, page: str
) -> None:
    """An old script kept by a browser beside a page of today breaks for whoever came yesterday."""
    answer = await browser.get(page, headers={"Accept": "text/html"})
    files = re.findall(r'(?:src|href)="(/static/[^"]+)"', answer.text)
    assert any("favicon" in file for file in files)
    for file in files:
        assert re.search(r"\?v=[0-9a-f]{12}$", file), file
        got = await browser.get(file)
        assert got.status_code == 200, file
        assert "immutable" in got.headers["cache-control"]


async def test_a_browser_finds_an_icon_beside_answers_that_are_no_page(browser: httpx.AsyncClient) -> None:
    """Looking at /readyz in a browser would show a 404 that somebody then looks into."""
    answer = await browser.get("/favicon.ico")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("image/svg+xml")
    assert answer.content.startswith(b"<svg")


@pytest.mark.parametrize("page", ("/", "/desk", "/s/AAAAAAAAAAAAAAAAAAAAAA.x"))
async def test_the_policy_of_a_page_lets_its_own_icon_in(browser: httpx.AsyncClient, page: str) -> None:
    """The icon is an image: a policy without our own address for images would refuse it."""
    policy = (await browser.get(page, headers={"Accept": "text/html"})).headers["content-security-policy"]
    images = next((part for part in policy.split(";") if part.strip().startswith("img-src")), "")
    assert "'self'" in images


@pytest.mark.parametrize(("language", "word"), (("en-GB", "Field service"), ("zh-CN", "现场服务")))
async def test_the_start_page_speaks_the_visitors_language(
    browser: httpx.AsyncClient, language: str, word: str
) -> None:
    answer = await browser.get("/", headers={"Accept-Language": language})
    assert word in answer.text
    assert "Accept-Language" in answer.headers["vary"]
