"""Quarantine: listed, mended and tried again, or dismissed by a person; and the phone is told what became of it."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
import pytest
from worlds import Phone, World, slot

from callout_backend.wiring import add_hooks
from callout_contracts.codes import sentence
from callout_dispatch import reassign
from callout_store.errors import BadField, DeviceWiped, NotFound, WrongState
from callout_store.ids import new_id
from callout_store.work import Database
from callout_sync import again, quarantine


@pytest.fixture
async def world(db: Database) -> World:
    add_hooks(db)
    return await World(db).build()


async def entries(world: World, **filters: Any) -> list[quarantine.Quarantined]:
    async with world.db.work(world.org, actor=world.dispatcher) as work:
        return await quarantine.page(work, **filters)


async def outcome(world: World, command: dict[str, Any]) -> dict[str, Any]:
    [row] = await world.fetch("select * from outcome where id = $1", UUID(command["id"]))
    return dict(row)


async def bad_note(world: World, phone: Phone, visit: UUID, **more: Any) -> dict[str, Any]:
    """A note without a text: it cannot be applied as it is."""
    command = phone.command("visit.note", visit, {"text": ""}, **more)
    [answer] = await phone.push(command)
    assert (answer.status, answer.code) == ("quarantined", "PAYLOAD_INVALID")
    return command


async def test_a_mended_command_is_applied_and_the_first_is_kept(world: World) -> None:
    """A person can put right what an app got wrong: the work counts, and what the phone really sent stays as evidence."""
    phone = world.phones[0]
    visit = await world.visit(phone)
    command = await bad_note(world, phone, visit)
    [entry] = await entries(world)
    mended = {**command, "payload": {"text": "Key at the desk"}}
    async with world.db.work(world.org, actor=world.dispatcher) as work:
        await quarantine.mend(work, id=entry.id, body=mended)
    answer = await again.retry(world.db, org_id=world.org, entry_id=entry.id, actor=world.dispatcher)
    assert answer.status == "applied"
    [event] = await world.fetch("select data->>'text' as text, actor_id, device_id from visit_event")
    assert tuple(event) == ("Key at the desk", phone.actor.user_id, phone.device_id)
    [entry] = await entries(world, state="applied")
    assert msgspec.json.decode(entry.body) == command
    assert entry.mended_body is not None
    assert msgspec.json.decode(entry.mended_body) == mended
    assert (entry.mended_by, entry.settled_by) == (world.dispatcher.user_id,) * 2
    # The phone, which knows only its own body, is still recognised; the mended one is another.
    [replay] = await phone.push(command)
    assert (replay.status, replay.first_status) == ("duplicate", "applied")
    [forged] = await phone.push(mended)
    assert (forged.status, forged.code) == ("refused", "COMMAND_ID_REUSED")
    assert (await outcome(world, command))["status"] == "applied"


async def test_a_mended_command_stays_the_same_thing(world: World) -> None:
    """Mending must not make another command of it, nor one that is no better; and what is settled is settled."""
    phone, other = world.phones
    visit = await world.visit(phone)
    command = await bad_note(world, phone, visit)
    [entry] = await entries(world)
    good = {**command, "payload": {"text": "x"}}
    for body, path in (
        ({**good, "id": str(new_id())}, "body.id"),
        ({**good, "payload": {}}, "body.payload"),
        ({**good, "kind": "visit.explode"}, "body.kind"),
        (17, "body"),
    ):
        with pytest.raises(BadField) as refusal:
            async with world.db.work(world.org, actor=world.dispatcher) as work:
                await quarantine.mend(work, id=entry.id, body=body)
        assert refusal.value.path == path
    with pytest.raises(NotFound):
        async with world.db.work(world.org, actor=world.dispatcher) as work:
            await quarantine.mend(work, id=new_id(), body=good)
    async with world.db.work(world.org, actor=world.dispatcher) as work:
        await quarantine.dismiss(work, id=entry.id, note="known to all")
    with pytest.raises(WrongState):
        async with world.db.work(world.org, actor=world.dispatcher) as work:
            await quarantine.mend(work, id=entry.id, body=good)
    await world.db.run(
        world.org, lambda work: reassign.reassign(work, visit, other.engineer_id, override=True, reason="t")
    )
    late = phone.command("visit.note", visit, {"text": "late"})
    await phone.push(late)
    [conflict] = await entries(world, category="conflict")
    with pytest.raises(WrongState):
        async with world.db.work(world.org, actor=world.dispatcher) as work:
            await quarantine.mend(work, id=conflict.id, body=late)


async def test_a_retried_command_counts_when_it_was_done(world: World) -> None:
    """Looked into hours later: the visit was completed at ten, and the deadline is judged by that, not by the retry."""
    phone = world.phones[0]
    visit = await world.visit(phone)
    command = phone.command("visit.complete", visit, {"resolution": 5}, monotonicMs=1_000, bootId="b")
    [answer] = await phone.push(command, monotonic_ms=1_801_000, boot_id="b")
    assert answer.status == "quarantined"
    [entry] = await entries(world)
    async with world.db.work(world.org, actor=world.dispatcher) as work:
        await quarantine.mend(work, id=entry.id, body={**command, "payload": {"resolution": "5"}})
    await again.retry(world.db, org_id=world.org, entry_id=entry.id, actor=world.dispatcher)
    [row] = await world.fetch("select corrected_at, received_at from visit_event")
    assert row["received_at"] - row["corrected_at"] == timedelta(minutes=30)
    assert row["received_at"] == entry.received_at


async def test_the_list_is_filtered_and_its_pages_end(world: World) -> None:
    """A dispatcher who looks for one phone's faults among hundreds, page by page, sees each once and where it ends."""
    phone, other = world.phones
    visit, theirs = await world.visit(phone), await world.visit(other)
    for _ in range(3):
        await bad_note(world, phone, visit)
    await bad_note(world, other, theirs)
    await phone.push(phone.command("visit.explode", visit))
    assert len(await entries(world)) == 5
    assert len(await entries(world, device_id=other.device_id)) == 1
    assert len(await entries(world, visit_id=theirs)) == 1
    assert len(await entries(world, code="KIND_UNKNOWN", device_id=phone.device_id)) == 1
    assert await entries(world, category="conflict") == []
    assert await entries(world, state="applied") == []
    seen: list[UUID] = []
    while True:
        rows = await entries(world, limit=3, after=seen[-1] if seen else None, code="PAYLOAD_INVALID")
        seen += [row.id for row in rows[:2]]
        if len(rows) < 3:
            break
    assert len(seen) == len(set(seen)) == 4


@pytest.mark.parametrize("locale", ("en", "zh"))
async def test_the_phone_is_told_in_its_own_language(world: World, locale: str) -> None:
    """The answer is read by the app, the outcome by the engineer: in their language, whatever the request asked for."""
    phone = world.phones[0]
    async with world.db.work(world.org) as work:
        await work.execute("update app_user set locale = $2 where id = $1", phone.actor.user_id, locale)
    command = phone.command("visit.note", new_id(), {"text": "x"})
    await phone.push(command)
    told = await outcome(world, command)
    assert (told["status"], told["code"], told["path"]) == ("quarantined", "VISIT_UNKNOWN", "visitId")
    assert told["message"] == sentence("VISIT_UNKNOWN", locale)
    assert (told["kind"], told["device_id"]) == ("visit.note", phone.device_id)
    [entry] = await entries(world)
    async with world.db.work(world.org, actor=world.dispatcher) as work:
        await quarantine.dismiss(work, id=entry.id, note="entered by hand")
    told = await outcome(world, command)
    assert (told["status"], told["note"], told["kind"]) == ("dismissed", "entered by hand", "visit.note")


async def test_what_is_simply_applied_tells_nothing(world: World) -> None:
    """A day of a hundred commands must not bring a hundred documents back to the phone."""
    phone = world.phones[0]
    visit = await world.visit(phone)
    await phone.push(*(phone.command("visit.note", visit, {"text": str(n)}) for n in range(20)))
    assert await world.value("select count(*) from outcome") == 0


async def test_an_outcome_reaches_its_phone_alone(world: World) -> None:
    """What became of one phone's command is pulled by that phone, and again when a person has decided; never by others."""
    phone, other = world.phones
    visit = await world.visit(phone)
    command = await bad_note(world, phone, visit)
    [entry] = await entries(world)
    await phone.pull()
    assert phone.copy[slot("outcome", command["id"])]["doc"]["status"] == "quarantined"
    async with world.db.work(world.org, actor=world.dispatcher) as work:
        await quarantine.dismiss(work, id=entry.id, note="done by hand")
    await phone.pull()
    doc = phone.copy[slot("outcome", command["id"])]["doc"]
    assert (doc["status"], doc["note"]) == ("dismissed", "done by hand")
    await other.pull()
    assert slot("outcome", command["id"]) not in other.copy


async def test_a_stolen_phone_is_refused_whole(world: World) -> None:
    """From a thief's hands nothing more is taken; a phone that is only to be cleared may send what it has, and is told."""
    phone, other = world.phones
    visit, theirs = await world.visit(phone), await world.visit(other)

    async def ask(device: UUID, mode: str) -> None:
        async with world.db.work(world.org) as work:
            await work.execute("update device set wipe_mode = $2 where id = $1", device, mode)

    await ask(phone.device_id, "stolen")
    with pytest.raises(DeviceWiped):
        await phone.push(phone.command("visit.accept", visit))
    with pytest.raises(DeviceWiped):
        await phone.push()
    assert await world.value("select count(*) from receipt") == 0
    await ask(other.device_id, "after_upload")
    pushed = await other.pushed(other.command("visit.accept", theirs))
    assert pushed.wipe
    assert [one.status for one in pushed.answers] == ["applied"]


async def test_the_office_sees_what_a_phone_has_left(world: World) -> None:
    """The devices page: how much is still on the phone, how full it is, which app it runs."""
    phone = world.phones[0]
    visit = await world.visit(phone)
    sent_at = datetime.now(UTC)
    pushed = await phone.pushed(
        phone.command("visit.accept", visit),
        sent_at=sent_at,
        pending=5,
        schema_version=2,
        app_version="2.1",
        storage_used_bytes=10,
        storage_free_bytes=2**40,
    )
    assert not pushed.wipe
    [row] = await world.fetch("select * from device where id = $1", phone.device_id)
    assert (row["pending"], row["schema_version"], row["app_version"]) == (4, 2, "2.1")
    assert (row["storage_used_bytes"], row["storage_free_bytes"]) == (10, 2**40)
    assert row["pushed_at"] == pushed.received_at
