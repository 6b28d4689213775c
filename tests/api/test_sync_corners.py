"""Corners of sync that are met once a year, by the one phone that nobody looks at."""

import asyncio
import base64
import contextvars
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
import pytest
from interleave import Held, until_waiting
from pens import cards, item, write
from worlds import Phone, World

from callout_backend.wiring import add_hooks
from callout_contracts import stamps
from callout_dispatch import assign, crew
from callout_orders.knowledge import articles
from callout_store.errors import DeviceRevoked, ResyncRequired, WrongState
from callout_store.ids import new_id
from callout_store.work import Database, Work
from callout_sync import again, conflicts, edits, holds, look, push, quarantine, scope
from callout_sync import cursor as cursors
from callout_sync.purge import purge


@pytest.fixture
async def world(db: Database) -> World:
    add_hooks(db)
    return await World(db).build()


async def give_away(world: World, visit: UUID, phone: Phone) -> None:
    async with world.db.work(world.org, actor=world.dispatcher) as work:
        await assign.reassign(work, visit, phone.engineer_id, override=True, reason="closer")


async def forget_deletes(world: World) -> None:
    """As if every delete had been written 121 days ago, and the nightly purge had come."""
    async with world.db.work(world.org) as work:
        await work.execute(
            "update sync_feed set changed_at = now() - $1::interval where op = 'D'", timedelta(days=121)
        )
    while await world.db.run(world.org, purge):
        pass


async def test_a_phone_whose_kept_back_deletes_were_forgotten_can_start_again(world: World) -> None:
    """A client of rows with an entry that it cannot send has its deletes kept back for months. Once they are forgotten it
    starts again, and must get through: refused each time, its engineer would work without a plan until the app is set up
    anew, and lose what it has to send."""
    first, second = world.phones
    gone = await world.visit(first)
    await first.pull()
    await give_away(world, gone, second)
    kept = await world.visit(first)
    await first.pull(hold_leaves=True)
    await forget_deletes(world)
    with pytest.raises(ResyncRequired):
        await first.pull()
    first.cursor, first.copy = None, {}
    await first.pull(limit=2)
    assert first.held("visit") == {kept}
    assert await first.pull() == []
    assert await world.value("select withheld_from from device where id = $1", first.device_id) is None


async def test_work_of_who_was_taken_off_the_crew_meanwhile_is_kept_and_marked(world: World) -> None:
    """The helper changed the seal in a cellar without a line, and was taken off the visit before coming out: the work must
    stand in the visit with a mark, like that of an engineer whose visit was given away, and not be said a stranger's."""
    first, second = world.phones
    visit = await world.visit(first)
    async with world.db.work(world.org, actor=world.dispatcher) as work:
        await crew.set_crew(work, visit, [second.engineer_id])
    await second.pull()
    async with world.db.work(world.org, actor=world.dispatcher) as work:
        await crew.set_crew(work, visit, [])
    [answer] = await second.push(
        second.command("visit.replace_part", visit, {"partId": str(world.part), "quantity": 1})
    )
    assert (answer.status, answer.code) == ("conflict", "REASSIGNED")
    assert await world.value("select count(*) from visit_event where flags @> '{after_reassigned}'") == 1


async def test_nobody_comes_online_by_what_the_office_does(world: World) -> None:
    """A dispatcher runs a kept command again: the engineer who is in a cellar must not be shown as just seen, and be sent
    the next urgent job."""
    phone = world.phones[0]
    visit = await world.visit(phone)
    unknown = phone.command("visit.note", new_id(), {"text": "x"}, location=None)
    await phone.push(unknown)
    long_ago = datetime.now(UTC) - timedelta(hours=3)
    async with world.db.work(world.org) as work:
        await work.execute("update engineer set last_seen_at = $2 where id = $1", phone.engineer_id, long_ago)
        entry = await work.fetchval("select id from quarantine")
        await quarantine.mend(work, id=entry, body={**unknown, "visitId": str(visit)})
    answer = await again.retry(world.db, org_id=world.org, entry_id=entry, actor=world.dispatcher)
    assert answer.status == "applied"
    seen = await world.value("select last_seen_at from engineer where id = $1", phone.engineer_id)
    assert seen == long_ago


async def test_signatures_that_wait_are_read_in_bearable_portions(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Five hundred drawn signatures behind one lost command are a third of a gigabyte: read whole at each push of that
    phone they would end the server for everybody. In portions, none may be forgotten, nor wait longer than it has to: here
    the one that is due lies behind one that came later."""
    monkeypatch.setattr(look, "HELD_BYTES_MAX", 1)
    phone = world.phones[0]
    visit = await world.visit(phone)
    commands = [
        phone.command("visit.note", visit, {"text": str(n)}, schemaVersion=2, location=None) for n in range(6)
    ]
    await phone.push(*commands[3:], oldest_pending=1)
    async with world.db.work(world.org) as work:
        await work.execute(
            "update held_command set force_at = now() - interval '1 minute' where sequence = 5"
        )
        known = await look.look(
            Work(work.conn, world.org, phone.actor, work.now), keys=[], parts=[], behind_its_back=True
        )
    assert (len(known.held), known.held_count, known.more_held) == (1, 3, True)
    assert await again.force(world.db, org_id=world.org, device_id=phone.device_id) == 3
    assert await world.value("select count(*) from held_command where state = 'held'") == 0
    await phone.push(commands[2], oldest_pending=1)
    await phone.push(*commands[:2], oldest_pending=1)
    assert await world.value("select count(*) from visit_event where kind = 'note'") == 6
    assert await world.value("select count(*) from held_command where state = 'held'") == 0


async def test_a_revision_that_never_was_beats_nobody(world: World) -> None:
    """After a restore from a backup rows count their revisions lower than phones remember (and some client may name a
    clock as its revision): taken for 'had seen everything', it would overwrite what the office wrote, and tell nobody."""
    phone = world.phones[0]
    visit = await world.visit(phone)
    await world.db.run(
        world.org,
        lambda work: edits.apply_at_desk(
            work, entity="site", id=world.site, base_revision=1, changes={"accessNote": "gate 4711"}
        ),
        actor=world.dispatcher,
    )
    [answer] = await phone.push(
        phone.command(
            "record.edit",
            visit,
            {"entity": "site", "id": str(world.site), "baseRevision": 900, "changes": {"accessNote": "ring"}},
            schemaVersion=2,
        )
    )
    assert (answer.status, answer.code) == ("conflict", "FIELD_CONFLICT")
    assert [card.state for card in await cards(world)] == ["open"]


async def test_a_retry_that_the_database_does_not_take_leaves_the_entry_open(world: World) -> None:
    """The dispatcher presses retry on a command that could not be stored: the answer says that it still cannot, instead of
    a server error that tells nothing."""
    phone = world.phones[0]
    visit = await world.visit(phone)
    async with world.db.work(world.org) as work:
        level = await work.fetchval(
            "update stock_level set quantity = 2147483647 where holder_id = $1 returning id",
            phone.engineer_id,
        )
    [answer] = await phone.push(
        phone.command(
            "record.edit",
            visit,
            {"entity": "stock", "id": str(level), "add": {"quantity": 1}},
            schemaVersion=2,
        )
    )
    assert (answer.status, answer.code) == ("quarantined", "COMMAND_FAILED")
    entry = await world.value("select id from quarantine")
    told = await again.retry(world.db, org_id=world.org, entry_id=entry, actor=world.dispatcher)
    assert (told.status, told.code) == ("quarantined", "COMMAND_FAILED")
    assert await world.value("select state from quarantine") == "open"


async def test_a_decision_for_what_stands_in_other_words_is_told(world: World) -> None:
    """The dispatcher types what stands already, with a blank at its end: the phone that lost must still hear of it, or its
    engineer waits for a decision for ever."""
    loser = world.phones[0]
    for phone in world.phones:
        await world.visit(phone)
    for n, phone in enumerate(world.phones):
        await write(
            phone, item(phone, "site", world.site, at_s=n, baseRevision=1, changes={"accessNote": f"{n}"})
        )
    [card] = await cards(world)
    assert (card.lost.device_id, card.kept.value) == (loser.device_id, "1")
    outcome = "select status from outcome where device_id = $1"
    assert await world.value(outcome, loser.device_id) == "conflict"
    await world.db.run(
        world.org,
        lambda work: conflicts.settle(work, id=card.id, choice="other", value="1 "),
        actor=world.dispatcher,
    )
    assert await cards(world) == []
    assert await world.value(outcome, loser.device_id) == "dismissed"


def place(phone: Phone) -> cursors.Cursor:
    """What the phone's cursor says."""
    assert phone.cursor is not None
    return msgspec.msgpack.decode(base64.urlsafe_b64decode(phone.cursor + "==="), type=cursors.Cursor)


async def test_a_delete_at_the_very_place_of_a_cursor_is_missed_too(world: World) -> None:
    """A cursor that stands at the transaction that took the visit away has not been told of it: once it is forgotten, the
    phone must start again, or it shows a customer who is no longer its engineer's."""
    first, second = world.phones
    visit = await world.visit(first)
    await first.pull()
    await give_away(world, visit, second)
    await forget_deletes(world)
    async with world.db.work(world.org) as work:
        await work.execute("update sync_purge set purged_through = $1::text::xid8", str(place(first).xid))
    with pytest.raises(ResyncRequired):
        await first.pull()


async def test_a_cursor_from_a_future_that_never_was(world: World) -> None:
    """The database was set back by an hour, and nobody thought of the epoch: a phone that was up to date stands ahead of
    it, and would be told of nothing until the transactions have caught up, and never of those of the hour."""
    phone = world.phones[0]
    await world.visit(phone)
    await phone.pull()
    ahead = msgspec.structs.replace(place(phone), xid=place(phone).xid + 10_000)
    phone.cursor = ahead.encode()
    with pytest.raises(ResyncRequired) as told:
        await phone.pull()
    assert told.value.details["reason"] == "epoch"


@pytest.mark.parametrize("limit", (1, 3))
async def test_what_comes_while_catching_up_is_not_sent_as_old(world: World, limit: int) -> None:
    """An app that has learnt a kind of record is sent what lies behind its cursor, and no further: what lies ahead comes as
    news in its turn. Sent twice it costs a village's line, and a page of it that is overtaken by a delete would bring back
    what left."""
    phone = world.phones[0]
    await world.visit(phone)
    phone.schema_version = 1
    await phone.pull()
    async with world.db.work(world.org, actor=world.dispatcher) as work:
        ids = {
            await articles.save_article(work, articles.ArticleText(title=f"{n}", body="x")) for n in range(5)
        }
    phone.schema_version = 2
    items = await phone.pull(limit=limit)
    sent = [UUID(one["id"]) for one in items if one["entity"] == "article"]
    assert sorted(sent) == sorted(ids)


@pytest.mark.parametrize("shut", ("revoked", "stolen", "wiped", "deactivated"))
async def test_a_phone_that_is_shut_out_while_its_push_is_judged_stores_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch, shut: str
) -> None:
    """The office shuts a stolen phone out in the very moment in which its commands are judged: the thief's signature must
    not come after the revocation in the record, though the push had begun before it."""
    phone = world.phones[0]
    visit = await world.visit(phone)
    original = push.judge
    change = {
        "revoked": "update device set revoked_at = now() where id = $1",
        "stolen": "update device set wipe_mode = 'stolen' where id = $1",
        "wiped": "update device set wipe_mode = 'after_upload', wiped_at = now() where id = $1",
        "deactivated": "update app_user set active = false where id = (select user_id from device where id = $1)",
    }[shut]

    async def shut_out() -> None:
        async with world.db.work(world.org) as work:
            await work.execute(change, phone.device_id)

    async def meanwhile(*args: Any, **more: Any) -> Any:
        await asyncio.create_task(shut_out(), context=contextvars.Context())
        return await original(*args, **more)

    monkeypatch.setattr(push, "judge", meanwhile)
    with pytest.raises(DeviceRevoked):
        await phone.push(phone.command("visit.note", visit, {"text": "x"}))
    assert await world.value("select count(*) from visit_event") == 0
    assert await world.value("select count(*) from receipt") == 0


async def test_two_dispatchers_retry_one_command_at_once(fresh_database: Any) -> None:
    """Two screens, one command that is kept: it is applied once, and the second dispatcher is told that it is done, not
    that it failed."""
    async with Held(fresh_database.database) as slow:
        usual = Database(fresh_database.database)
        await usual.start()
        add_hooks(usual)
        world = await World(usual).build()
        phone = world.phones[0]
        visit = await world.visit(phone)
        unknown = phone.command("visit.note", new_id(), {"text": "x"})
        await phone.push(unknown)
        async with world.db.work(world.org, actor=world.dispatcher) as work:
            entry = await work.fetchval("select id from quarantine")
            await quarantine.mend(work, id=entry, body={**unknown, "visitId": str(visit)})
        first = asyncio.create_task(
            again.retry(slow.db, org_id=world.org, entry_id=entry, actor=world.dispatcher)
        )
        await asyncio.wait_for(slow.reached.wait(), 10)
        second = asyncio.create_task(
            again.retry(usual, org_id=world.org, entry_id=entry, actor=world.dispatcher)
        )
        await until_waiting(fresh_database.admin)
        slow.go.set()
        assert (await first).status == "applied"
        with pytest.raises(WrongState):
            await second
        assert await world.value("select count(*) from visit_event") == 1
        await usual.stop()


async def test_a_catalogue_that_moves_between_scopes_stays_on_the_phone(world: World) -> None:
    """The organisation has its phones hold only the parts that they need, and then all again: the seal leaves one scope of
    the phone and comes to another, whichever is written first, and must not be missing from the list in between."""
    phone = world.phones[0]
    await phone.pull()
    assert phone.held("part") == {world.part}
    for setting in ("needed", "all"):
        async with world.db.work(world.org) as work:
            await work.execute("update organisation set phone_parts = $1", setting)
        while await world.db.run(world.org, scope.sweep):
            pass
        items = await phone.pull(limit=1)
        assert [one["op"] for one in items if one["entity"] == "part"] == ["upsert"]
        assert phone.held("part") == {world.part}


def test_whoever_has_seen_a_value_writes_after_it() -> None:
    """The request was slow and the phone's clock a second behind: an edit made in sight of the office's value would count
    as older and lose to it. And a phone that claims to have seen next year wins no more than one that writes now."""
    noon, arrival = datetime(2026, 3, 2, 12, tzinfo=UTC), datetime(2026, 3, 2, 13, tzinfo=UTC)
    device = UUID(int=7)
    of_office = stamps.now(noon)
    for made_at in (noon - timedelta(seconds=1), noon, noon - timedelta(days=4000)):
        mine = stamps.mint(made_at=made_at, received_at=arrival, seen=of_office, sequence=1, device=device)
        assert mine > of_office
        assert mine < stamps.now(noon + timedelta(seconds=1))
    forged = stamps.mint(
        made_at=noon,
        received_at=arrival,
        seen=stamps.now(arrival + timedelta(days=365)),
        sequence=1,
        device=device,
    )
    assert forged < stamps.now(arrival + timedelta(seconds=1))


async def test_what_goes_on_waiting_has_its_timer(world: World) -> None:
    """Two gaps in one phone's queue, an hour apart: when the first is forced, the timer must be set for the second, or that
    waits until a dispatcher happens to look."""
    phone = world.phones[0]
    visit = await world.visit(phone)
    commands = [phone.command("visit.note", visit, {"text": str(n)}, schemaVersion=2) for n in range(4)]
    await phone.push(commands[1], commands[3], oldest_pending=1)
    async with world.db.work(world.org) as work:
        await work.execute("update held_command set force_at = now() where sequence = 2")
        await work.execute(
            "update timer set state = 'fired' where key = $1", holds.timer_key(phone.device_id)
        )
    assert await again.force(world.db, org_id=world.org, device_id=phone.device_id) == 1
    [row] = await world.fetch(
        """
        select t.state, t.due_at = h.force_at as in_time from timer t, held_command h
        where t.key = $1 and h.sequence = 4
        """,
        holds.timer_key(phone.device_id),
    )
    assert (row["state"], row["in_time"]) == ("armed", True)
