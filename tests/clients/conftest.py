"""Clients that others wrote, against two processes of `callout serve`."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from js_phone import JsPhone
from node import ROOT, node_project
from processes import Api, device_token
from worlds import Phone, World

from callout_backend.wiring import add_hooks
from callout_store.work import Database

JsPhones = Callable[..., Awaitable[JsPhone]]


@pytest.fixture(scope="module")
def project() -> Path:
    """The installed packages."""
    return node_project(ROOT / "tests/clients")


@pytest.fixture(scope="module")
def api(database_urls: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """`callout serve` with two workers."""
    served = Api(database_urls, tmp_path_factory.mktemp("serve"), workers=2)
    yield served
    served.end()


@pytest.fixture
async def world(db: Database) -> World:
    """An organisation of its own for each test; what it changes reaches the feed."""
    add_hooks(db)
    return await World(db).build()


@pytest.fixture
async def js_phones(project: Path, api: Api) -> AsyncIterator[JsPhones]:
    """Starts a script as a phone of a world, signed in as its device; ends them all."""
    started: list[JsPhone] = []

    async def start(script: str, phone: Phone, **env: str) -> JsPhone:
        assert phone.actor.user_id is not None
        token = await device_token(phone.world.db, phone.world.org, phone.actor.user_id, phone.device_id)
        given = {"URL": api.url, "TOKEN": token, **env}
        js = await JsPhone.start(project, ROOT / "tests/clients" / script, **given)
        started.append(js)
        return js

    yield start
    await asyncio.gather(*(js.end() for js in started))
