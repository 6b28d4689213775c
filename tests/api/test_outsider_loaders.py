"""What random walks over the schema found: one field that failed could keep all others waiting until the time was up."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import pytest
from graph import Graph, application, token_of
from worlds import World

from callout_backend.settings import Settings
from callout_graphql.loaders import Loader
from callout_graphql.plan import _together
from callout_store.ids import new_id
from callout_store.work import Database

WITHIN_S = 5


async def rows(ids: list[UUID]) -> list[UUID]:
    await asyncio.sleep(0)
    return ids


async def test_a_row_arrives_though_all_who_asked_before_were_cancelled() -> None:
    """An engineer's list of orders that holds one forbidden field ended after 25 seconds, with no answer at all."""
    loader, first, second = Loader(load_fn=rows), new_id(), new_id()
    asyncio.ensure_future(loader.load(first)).cancel()
    for _ in range(3):
        await asyncio.sleep(0)
    async with asyncio.timeout(WITHIN_S):
        assert await loader.load(second) == second
        assert await loader.load(first) == first


async def test_a_row_that_two_ask_for_arrives_though_one_is_cancelled() -> None:
    """A field that fails cancels its siblings; the same customer, shown elsewhere in the answer, must still be shown."""
    loader, id_ = Loader(load_fn=rows), new_id()

    async def ask() -> Any:
        return await loader.load(id_)

    async def ask_many() -> Any:
        return await loader.load_many([id_])

    for cancelled in (ask, ask_many):
        loader.clear_all()
        gone, stays = asyncio.create_task(cancelled()), asyncio.create_task(ask())
        await asyncio.sleep(0)
        gone.cancel()
        async with asyncio.timeout(WITHIN_S):
            assert await stays == id_
        with pytest.raises(asyncio.CancelledError):
            await gone


async def test_a_failure_leaves_no_mark_of_cancelling_behind() -> None:
    """With the mark, a request that takes too long is torn off instead of being told to try again."""

    async def fail() -> None:
        raise LookupError

    async def wait() -> None:
        await asyncio.sleep(3600)

    with pytest.raises(LookupError):
        await _together([wait(), fail(), wait()])
    me = asyncio.current_task()
    assert me is not None
    assert me.cancelling() == 0
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await wait()


@pytest.fixture
async def phone(settings: Settings, db: Database) -> AsyncIterator[Graph]:
    world = await World(db).build()
    for _ in range(5):
        await world.visit(world.phones[0])
    actor = world.phones[0].actor
    assert actor.user_id is not None
    async with application(settings, db) as (app, client):
        yield Graph(client, await token_of(db, app.state.issuer, world.org, actor.user_id, actor.device_id))


async def test_a_forbidden_field_in_a_list_is_answered_at_once(phone: Graph) -> None:
    """The refusal names the field; everything that is allowed is there."""
    query = """{ orders(first: 20) { nodes {
        id customer { name contacts { name } } site { customer { name } assets { serial site { name } } }
        contact { phone } asset { site { assets { serial } customer { name } } } references { system }
        visits { engineer { name home { lat } skills { skill } } order { customer { contacts { name } } } }
    } } }"""
    for _ in range(20):
        async with asyncio.timeout(WITHIN_S):
            refusal = await phone.refused(query)
        assert refusal["code"] == "NOT_ALLOWED"
