"""Writers who meet half-way: each changes one side of what a phone holds, and neither sees what the other has not committed.

Whoever comes second waits for a lock that both take, and reads the rule after it; then every phone holds the truth.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
import whole_copy
from interleave import Held, until_waiting
from worlds import World

from callout_backend.wiring import add_hooks
from callout_contracts.commands import PushEnvelope
from callout_dispatch import assign, crew, engineers
from callout_dispatch.engineer_terms import NewTerritory
from callout_orders import order_parts
from callout_orders.knowledge import articles
from callout_orders.knowledge.articles import ArticleText
from callout_store.work import Database, Work
from callout_sync.push import push


@pytest.fixture
async def world(fresh_database: Any) -> AsyncIterator[World]:
    db = Database(fresh_database.database)
    await db.start()
    add_hooks(db)
    yield await World(db).build(phones=3)
    await db.stop()


async def all_true(world: World) -> None:
    """Every phone, after a pull, holds what an independent reading of the tables says."""
    for phone in world.phones:
        await phone.pull()
        assert await whole_copy.differences(world, phone, await world.value("select now()")) == []


async def save(world: World, **about: Any) -> UUID:
    async with world.db.work(world.org, actor=world.dispatcher) as work:
        return await articles.save_article(work, ArticleText(title="T", body="x", **about))


Act = Callable[[Work], Awaitable[Any]]


async def in_order(world: World, urls: Any, first: Act, second: Act) -> None:
    """The second begins when the first has done everything but its commit, and is seen to wait for it."""

    def acting(act: Act) -> Callable[[Database], Awaitable[Any]]:
        return lambda db: db.run(world.org, act, actor=world.dispatcher)

    await meet(world, urls, acting(first), acting(second))


async def meet(
    world: World,
    urls: Any,
    first: Callable[[Database], Awaitable[Any]],
    second: Callable[[Database], Awaitable[Any]],
) -> None:
    async with Held(urls.database) as held:
        leads = asyncio.ensure_future(first(held.db))
        await asyncio.wait_for(held.reached.wait(), 10)
        follows = asyncio.ensure_future(second(world.db))
        await until_waiting(urls.admin)
        held.go.set()
        await asyncio.gather(leads, follows)
    await all_true(world)


@pytest.mark.parametrize("article_first", (True, False))
@pytest.mark.parametrize("change", ("written", "turned", "retired"))
async def test_an_article_and_a_visit_that_meet_half_way(
    world: World, fresh_database: Any, article_first: bool, change: str
) -> None:
    """An article is written while a visit it is about is given to somebody: neither transaction sees the other's half, and
    without their common lock that engineer would never get the article, or keep a retired one."""
    phone = world.phones[0]
    old = await save(world, kind="repair" if change == "retired" else "service")
    order = await world.order()

    async def write(work: Work) -> None:
        if change == "retired":
            await articles.retire_article(work, old)
        else:
            text = ArticleText(title="T", body="x", kind="repair")
            await articles.save_article(work, text, id_=old if change == "turned" else None)

    async def give(work: Work) -> None:
        await assign.assign(work, order, phone.engineer_id, override=True, reason="t")

    await in_order(world, fresh_database, *((write, give) if article_first else (give, write)))
    assert len(phone.held("article")) == (0 if change == "retired" else 1)


@pytest.mark.parametrize("move_first", (True, False))
async def test_a_history_and_a_visit_that_meet_half_way(
    world: World, fresh_database: Any, move_first: bool
) -> None:
    """One engineer finishes at a machine while another is being sent there: the second must hold the first one's work."""
    first, second, _ = world.phones
    done = await world.visit(first)
    await first.push(first.command("visit.complete", done))
    order = await world.order()

    async def add(db: Database) -> None:
        command = first.command("visit.note", done, {"text": "cracked"})
        await push(
            db,
            org_id=world.org,
            actor=first.actor,
            envelope=PushEnvelope(sent_at=datetime.now(UTC), commands=[command]),
        )

    async def give(db: Database) -> None:
        def act(work: Work) -> Awaitable[Any]:
            return assign.assign(work, order, second.engineer_id, override=True, reason="t")

        await db.run(world.org, act, actor=world.dispatcher)

    leads, follows = (give, add) if move_first else (add, give)
    await meet(world, fresh_database, leads, follows)
    assert "cracked" in str(second.copy[f"history:{world.asset}"]["doc"])


@pytest.mark.parametrize("territory_first", (True, False))
async def test_a_territory_and_its_article_that_meet_half_way(
    world: World, fresh_database: Any, territory_first: bool
) -> None:
    """An engineer comes to a territory while an article is written for it."""
    phone = world.phones[0]
    await world.visit(phone)
    async with world.db.work(world.org, actor=world.dispatcher) as work:
        (north,) = await engineers.create_territories(work, [NewTerritory(code="N", name="North")])

    async def come(work: Work) -> None:
        await crew.set_territory(work, phone.engineer_id, north)

    async def write(work: Work) -> None:
        await articles.save_article(work, ArticleText(title="T", body="x", territory_id=north))

    await in_order(world, fresh_database, *((come, write) if territory_first else (write, come)))
    assert len(phone.held("article")) == 1


async def test_a_crew_and_an_order_that_meet_half_way(world: World, fresh_database: Any) -> None:
    """What an order needs changes while somebody joins the visit's crew: they must bring the new parts, not the old."""
    first, second, _ = world.phones
    order = await world.order()
    visit = await world.visit(first, order)

    async def join(work: Work) -> None:
        await crew.set_crew(work, visit, [second.engineer_id])

    async def need(work: Work) -> None:
        await order_parts.set_order_parts(work, order, [("SEAL-1", 3)])

    await in_order(world, fresh_database, join, need)
    assert second.copy[str(order)]["doc"]["parts"] == [{"partId": str(world.part), "quantity": 3}]
