"""Programs and servers are killed in the middle of the work. What was acknowledged stays, what was not can be sent again."""

import asyncio
import contextlib
import random
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import oracle
import pytest
from http_phone import HttpPhone
from processes import Api, device_token
from worlds import World

from callout_backend.wiring import add_hooks
from callout_store.errors import Refusal
from callout_store.work import Database

pytestmark = pytest.mark.crash


async def phones_of(world: World, client: httpx.AsyncClient) -> list[HttpPhone]:
    phones = []
    for phone in world.phones:
        assert phone.actor.user_id is not None
        token = await device_token(world.db, world.org, phone.actor.user_id, phone.device_id)
        phones.append(HttpPhone(phone, client, token))
    return phones


async def work_through(
    phones: list[HttpPhone], visits: dict[Any, list[UUID]], made: list[UUID], rng: Any, enough: asyncio.Event
) -> None:
    """Phones make commands and push them until it is `enough`; then until all are answered, whatever happened."""

    async def one(http: HttpPhone) -> None:
        tries = 0
        while http.queue or not enough.is_set():
            for _ in range(0 if enough.is_set() else rng.randint(1, 3)):
                command = http.phone.command(
                    "visit.replace_part",
                    rng.choice(visits[http.phone.device_id]),
                    {"partId": str(http.phone.world.part), "quantity": 1},
                )
                http.queue.append(command)
                made.append(UUID(command["id"]))
            try:
                await http.push(size=rng.randint(1, 20))
                tries = 0
            except (httpx.HTTPError, ValueError):
                tries += 1
                assert tries < 600, "the server did not come back"
                await asyncio.sleep(0.05)

    await asyncio.gather(*(one(http) for http in phones))


async def settle(world: World, phones: list[HttpPhone], made: list[UUID], loaded: int = 10) -> None:
    for http in phones:
        await http.pull()
    await oracle.every_command_once(world, made)
    await oracle.stock_adds_up(world, loaded)
    await oracle.states_follow_from_events(world)
    for http in phones:
        await oracle.copy_is_true(world, http.phone)


@pytest.mark.timeout(180)
async def test_api_killed_while_phones_push(
    fresh_database: Any, tmp_path: Path, seed: int, scale: int
) -> None:
    """kill -9 of all API processes, three times: no command is lost, none is applied twice, no part leaves twice."""
    rng = random.Random(f"{seed}:api")
    db = Database(fresh_database.database)
    await db.start()
    add_hooks(db)
    api = Api(fresh_database, tmp_path, workers=2)
    try:
        world = await World(db).build(phones=3)
        visits = {p.device_id: [await world.visit(p) for _ in range(2)] for p in world.phones}
        made: list[UUID] = []
        async with httpx.AsyncClient(base_url=api.url, timeout=10) as client:
            phones = await phones_of(world, client)
            enough = asyncio.Event()
            work = asyncio.create_task(work_through(phones, visits, made, rng, enough))
            for _ in range(3 * scale):
                await asyncio.sleep(rng.uniform(0.2, 0.5))
                await asyncio.to_thread(api.kill)
                api = await asyncio.to_thread(Api, fresh_database, tmp_path, workers=2, port=api.port)
            enough.set()
            await work
            await settle(world, phones, made)
    finally:
        api.end()
        await db.stop()


@pytest.mark.timeout(180)
async def test_postgres_restarts_at_once(
    servers: Any, fresh_database: Any, tmp_path: Path, seed: int, scale: int
) -> None:
    """PostgreSQL is stopped in immediate mode, twice: acknowledged work stays, pools heal by themselves."""
    if servers.embedded is None:
        pytest.skip("the given servers may not be crashed")
    rng = random.Random(f"{seed}:pg")
    db = Database(fresh_database.database)
    await db.start()
    add_hooks(db)
    api = Api(fresh_database, tmp_path)
    try:
        world = await World(db).build(phones=3)
        visits = {p.device_id: [await world.visit(p) for _ in range(2)] for p in world.phones}
        made: list[UUID] = []
        async with httpx.AsyncClient(base_url=api.url, timeout=10) as client:
            phones = await phones_of(world, client)
            enough = asyncio.Event()
            work = asyncio.create_task(work_through(phones, visits, made, rng, enough))
            for _ in range(2 * scale):
                await asyncio.sleep(rng.uniform(0.3, 0.6))
                await asyncio.to_thread(servers.embedded.postgres.immediate_restart)
            enough.set()
            await work
            for _ in range(20):
                with contextlib.suppress(Refusal):
                    await world.value("select 1")
                    break
                await asyncio.sleep(0.2)
            await settle(world, phones, made)
    finally:
        api.end()
        await db.stop()


@pytest.mark.timeout(120)
async def test_push_and_pull_go_on_without_redis(
    servers: Any, fresh_database: Any, tmp_path: Path, seed: int
) -> None:
    """Redis only wakes: flushed and then stopped, phones push and pull as before."""
    if servers.embedded is None:
        pytest.skip("the given servers may not be crashed")
    rng = random.Random(f"{seed}:redis")
    db = Database(fresh_database.database)
    await db.start()
    add_hooks(db)
    api = Api(fresh_database, tmp_path)
    try:
        world = await World(db).build(phones=2)
        visits = {p.device_id: [await world.visit(p)] for p in world.phones}
        made: list[UUID] = []
        async with httpx.AsyncClient(base_url=api.url, timeout=10) as client:
            phones = await phones_of(world, client)
            await asyncio.to_thread(servers.embedded.redis.flush)
            enough = asyncio.Event()
            work = asyncio.create_task(work_through(phones, visits, made, rng, enough))
            await asyncio.sleep(0.5)
            await asyncio.to_thread(servers.embedded.redis.stop)
            try:
                before = len(made)
                await asyncio.sleep(1.0)
                enough.set()
                await work
                assert len(made) > before
                ready = (await client.get("/readyz")).json()
                assert ready["status"] == "degraded"
            finally:
                await asyncio.to_thread(servers.embedded.redis.start)
            await settle(world, phones, made)
    finally:
        api.end()
        await db.stop()
