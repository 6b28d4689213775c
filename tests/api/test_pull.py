"""Pull: a phone holds what its engineer may see, all of it and nothing else."""

from typing import Any

import msgspec
import pytest
from worlds import World

from callout_backend.wiring import add_hooks
from callout_contracts.documents import DOCUMENTS, SINCE, Item
from callout_dispatch import reassign
from callout_store.errors import (
    CursorInvalid,
    CursorOfAnotherDevice,
    DeviceRequired,
    LimitExceeded,
    ResyncRequired,
)
from callout_store.work import Actor, Database
from callout_sync import scope
from callout_sync.pull import pull


@pytest.fixture
async def world(db: Database) -> World:
    add_hooks(db)
    return await World(db).build()


async def test_first_pull_holds_the_visit_and_all_that_belongs_to_it(world: World) -> None:
    """An engineer in a basement needs the order, the address, the contact and the machine, not just the visit."""
    phone = world.phones[0]
    visit = await world.visit(phone)
    await phone.pull()
    assert phone.held("visit") == {visit}
    assert phone.held("site") == {world.site}
    assert phone.held("contact") == {world.contact}
    assert phone.held("asset") == {world.asset}
    assert phone.held("part") == {world.part}
    assert len(phone.held("stock")) == 1
    assert len(phone.held("work_order")) == 1


async def test_documents_keep_the_contract(world: World) -> None:
    """A client generated from the contract must be able to read every document that is sent."""
    phone = world.phones[0]
    visit = await world.visit(phone)
    await phone.push(phone.command("visit.arrive", visit), phone.command("visit.note", visit, {"text": "x"}))
    await phone.pull()
    seen = set()
    for raw in phone.copy.values():
        item = msgspec.convert(raw, Item)
        msgspec.convert(item.doc, DOCUMENTS[item.entity])
        seen.add(item.entity)
    assert seen >= set(DOCUMENTS) - set(SINCE)


async def test_increments_bring_only_what_changed(world: World) -> None:
    """A poll without news costs nothing; with news it brings the news."""
    phone = world.phones[0]
    visit = await world.visit(phone)
    await phone.pull()
    assert await phone.pull() == []
    await phone.push(phone.command("visit.accept", visit))
    items = await phone.pull()
    assert sorted(i["entity"] for i in items) == ["event", "visit", "work_order"]
    assert await phone.pull() == []


async def test_a_visit_that_is_given_away_leaves_with_its_children(world: World) -> None:
    """Rows that leave the scope must leave the phone: also the customer's address and number."""
    first, second = world.phones
    visit = await world.visit(first)
    await first.push(first.command("visit.accept", visit))
    await first.pull()
    async with world.db.work(world.org, actor=world.dispatcher) as work:
        await reassign.reassign(
            work, visit_id=visit, engineer_id=second.engineer_id, override=True, reason="closer"
        )
    left = await first.pull()
    assert {i["entity"] for i in left if i["op"] == "delete"} == {
        "visit",
        "work_order",
        "site",
        "contact",
        "asset",
        "event",
    }
    assert first.held("site") == set()
    assert first.held("part") == {world.part}
    await second.pull()
    assert second.held("visit") == {visit}
    assert second.held("event") != set()


async def test_a_site_stays_while_another_visit_needs_it(world: World) -> None:
    """Two visits at one site: giving one away must not take the address from under the other."""
    first, second = world.phones
    given, kept = await world.visit(first), await world.visit(first)
    await first.pull()
    async with world.db.work(world.org, actor=world.dispatcher) as work:
        await reassign.reassign(
            work, visit_id=given, engineer_id=second.engineer_id, override=True, reason="closer"
        )
    await first.pull()
    assert first.held("visit") == {kept}
    assert first.held("site") == {world.site}
    await second.pull()
    assert second.held("site") == {world.site}


async def test_pages_add_up(world: World) -> None:
    """A phone with little memory pulls page by page and ends with the same copy."""
    phone = world.phones[0]
    for _ in range(5):
        await world.visit(phone)
    await phone.pull(limit=3)
    whole = dict(phone.copy)
    phone.cursor, phone.copy = None, {}
    await phone.pull(limit=2000)
    assert phone.copy == whole


async def test_first_pull_tells_the_total(world: World) -> None:
    """The progress bar of a first pull needs to know how much is to come."""
    phone = world.phones[0]
    await world.visit(phone)
    async with world.db.work(world.org, actor=phone.actor) as work:
        page = await pull(work, cursor=None, limit=2)
    assert page.more
    await phone.pull()
    assert page.total == len(phone.copy)


async def test_visits_leave_after_their_window(world: World) -> None:
    """Old visits must not pile up on the phone: the sweep lets them go when the organisation's window has passed."""
    phone = world.phones[0]
    visit = await world.visit(phone)
    await phone.push(phone.command("visit.complete", visit))
    await phone.pull()
    async with world.db.work(world.org) as work:
        await work.execute("update visit set ended_at = now() - interval '15 days' where id = $1", visit)
    async with world.db.work(world.org) as work:
        assert await scope.sweep(work) == 1
    await phone.pull()
    assert phone.held("visit") == set()
    assert phone.held("contact") == set()


@pytest.mark.parametrize("cursor", ("x", "AAAA", "🙈", "a" * 5000, "\0"))
async def test_a_cursor_that_is_none_of_ours(world: World, cursor: str) -> None:
    """A mangled cursor must be answered with what to do, not with another phone's rows or a server error."""
    phone = world.phones[0]
    phone.cursor = cursor
    with pytest.raises(CursorInvalid):
        await phone.pull()


async def test_a_cursor_of_another_device(world: World) -> None:
    """Two phones that share a backup must not share a place in the feed."""
    first, second = world.phones
    await first.pull()
    second.cursor = first.cursor
    with pytest.raises(CursorOfAnotherDevice):
        await second.pull()


async def test_a_new_epoch_asks_for_a_resync(world: World, database_urls: Any) -> None:
    """After a restore from backup transaction ids start low: an old cursor would skip everything written since."""
    import asyncpg

    phone = world.phones[0]
    await phone.pull()
    conn = await asyncpg.connect(database_urls.admin)
    await conn.execute("update sync_epoch set epoch = gen_random_uuid()")
    await conn.close()
    with pytest.raises(ResyncRequired):
        await phone.pull()


async def test_only_a_device_pulls(world: World) -> None:
    """A browser session without a device has no copy to keep."""
    async with world.db.work(world.org, actor=Actor(user_id=world.phones[0].actor.user_id)) as work:
        with pytest.raises(DeviceRequired):
            await pull(work, cursor=None, limit=10)


async def test_a_page_has_a_limit(world: World) -> None:
    """A page without bounds runs the phone out of memory."""
    async with world.db.work(world.org, actor=world.phones[0].actor) as work:
        with pytest.raises(LimitExceeded):
            await pull(work, cursor=None, limit=5000)
