"""Deletes: kept long enough, then forgotten; kept back where a client would lose work over them."""

from datetime import timedelta

import pytest
from worlds import Phone, World

from callout_backend.wiring import add_hooks
from callout_dispatch import assign
from callout_orders.knowledge import articles
from callout_store.errors import ResyncRequired
from callout_store.work import Database
from callout_sync.purge import purge


@pytest.fixture
async def world(db: Database) -> World:
    add_hooks(db)
    return await World(db).build()


async def give_away(world: World, visit: object, phone: Phone) -> None:
    async with world.db.work(world.org, actor=world.dispatcher) as work:
        await assign.reassign(work, visit, phone.engineer_id, override=True, reason="closer")  # type: ignore[arg-type]


async def age_deletes(world: World, days: int) -> None:
    """As if every delete had been written days ago."""
    async with world.db.work(world.org) as work:
        await work.execute(
            "update sync_feed set changed_at = now() - $1::interval where op = 'D'", timedelta(days=days)
        )


async def purge_all(world: World) -> int:
    total = 0
    while found := await world.db.run(world.org, purge):
        total += found
    return total


async def test_ninety_days_offline_need_no_new_start(world: World) -> None:
    """An engineer back from parental leave syncs what changed: nobody waits for a first pull in a cellar."""
    first, second = world.phones
    visit = await world.visit(first)
    await first.pull()
    await give_away(world, visit, second)
    await age_deletes(world, 90)
    assert await purge_all(world) == 0
    items = await first.pull()
    assert {item["op"] for item in items if item["entity"] == "visit"} == {"delete"}
    assert first.held("visit") == set()


async def test_a_phone_that_missed_forgotten_deletes_starts_again(world: World) -> None:
    """Otherwise the visit that was given away stays on the phone for ever, with the customer's number."""
    first, second = world.phones
    visit = await world.visit(first)
    await first.pull()
    await give_away(world, visit, second)
    await age_deletes(world, 121)
    assert await purge_all(world) >= 5
    with pytest.raises(ResyncRequired) as told:
        await first.pull()
    assert told.value.details["reason"] == "tombstones"
    first.cursor, first.copy = None, {}
    await first.pull()
    assert first.held("visit") == set()
    assert first.held("part") == {world.part}


async def test_a_phone_that_had_the_deletes_goes_on(world: World) -> None:
    """Forgetting must cost nothing to those who are up to date: else the whole house pulls anew every night."""
    first, second = world.phones
    visit = await world.visit(first)
    for phone in world.phones:
        await phone.pull()
    await give_away(world, visit, second)
    for phone in world.phones:
        await phone.pull()
    await age_deletes(world, 121)
    assert await purge_all(world) >= 5
    assert await first.pull() == []
    new = await world.visit(first)
    await first.pull()
    assert first.held("visit") == {new}


async def test_a_first_pull_is_not_cut_short_by_forgetting(world: World) -> None:
    """A phone in the middle of its first pull has none of what left before: it need not begin again."""
    first, second = world.phones
    gone = await world.visit(first)
    await world.visit(first)
    await give_away(world, gone, second)
    assert (await world.value("select count(*) from sync_feed where op = 'D'")) > 0
    fresh = Phone(world, first.actor.user_id, first.engineer_id, first.device_id)  # type: ignore[arg-type]
    items = await fresh.pull(limit=2)
    assert all(item["op"] == "upsert" for item in items)
    await age_deletes(world, 121)
    await purge_all(world)
    assert await fresh.pull(limit=2) == []


async def test_forgetting_goes_in_chunks_and_comes_to_an_end(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One long transaction would hold the horizon back for every phone of every organisation."""
    monkeypatch.setattr("callout_sync.purge.PURGE_MAX", 2)
    first, second = world.phones
    visit = await world.visit(first)
    await give_away(world, visit, second)
    left = await world.value("select count(*) from sync_feed where op = 'D'")
    await age_deletes(world, 121)
    sizes = []
    while found := await world.db.run(world.org, purge):
        sizes.append(found)
    assert sum(sizes) == left
    assert max(sizes) == 2
    assert await world.value("select count(*) from sync_feed where op = 'D'") == 0


# ---------------------------------------------------------------------------------------------- kept back


async def test_deletes_that_were_kept_back_come_with_the_next_pull(world: World) -> None:
    """A client of rows drops unsent work with its row: so the row must leave after the work was sent, and it must leave."""
    first, second = world.phones
    visit = await world.visit(first)
    await first.pull()
    await give_away(world, visit, second)
    later = await world.visit(first)
    items = await first.pull(hold_leaves=True)
    assert all(item["op"] == "upsert" for item in items)
    assert first.held("visit") == {visit, later}
    assert await first.pull(hold_leaves=True) == []
    items = await first.pull()
    assert {item["entity"] for item in items if item["op"] == "delete"} >= {"visit", "work_order"}
    assert first.held("visit") == {later}


@pytest.mark.parametrize("limit", (1, 2, 500))
async def test_kept_back_deletes_survive_a_lost_answer(world: World, limit: int) -> None:
    """The answer that brings them may be lost; they are sent until the phone comes back with a later cursor."""
    first, second = world.phones
    visits = [await world.visit(first) for _ in range(3)]
    await first.pull()
    for visit in visits[:2]:
        await give_away(world, visit, second)
    await first.pull(hold_leaves=True)
    cursor, copy = first.cursor, dict(first.copy)
    await first.pull(limit=limit)
    assert first.held("visit") == {visits[2]}
    first.cursor, first.copy = cursor, copy
    await first.pull(limit=limit)
    assert first.held("visit") == {visits[2]}
    assert await first.pull() == []
    assert await world.value("select withheld_from from device where id = $1", first.device_id) is None


async def test_a_row_that_came_back_is_not_taken_away(world: World) -> None:
    """Given away and given back while the phone had unsent work: the visit is the engineer's, and stays."""
    first, second = world.phones
    visit = await world.visit(first)
    await first.pull()
    await give_away(world, visit, second)
    await first.pull(hold_leaves=True)
    await give_away(world, visit, first)
    await first.pull(hold_leaves=True)
    await first.pull()
    assert first.held("visit") == {visit}
    assert first.held("site") == {world.site}


async def test_nothing_is_noted_where_nothing_was_kept_back(world: World) -> None:
    """A pull that writes holds the horizon for everybody: keeping back nothing must write nothing."""
    phone = world.phones[0]
    await world.visit(phone)
    await phone.pull()
    async with world.db.work(world.org, actor=world.dispatcher) as work:
        await articles.save_article(work, articles.ArticleText(title="A", body="x"))
    await phone.pull(hold_leaves=True)
    assert await world.value("select withheld_from from device where id = $1", phone.device_id) is None
