"""The doors for RxDB and WatermelonDB, where their own clients do not reach: bad input, rights, quiet collections."""

import base64
import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import asyncpg
import httpx
import msgspec
import pytest
from graph import application
from office import desk_edit
from worlds import Phone, World

from callout_backend.wiring import add_hooks
from callout_contracts import limits
from callout_people.sessions import open_session
from callout_store.errors import (
    BadField,
    CursorInvalid,
    CursorOfAnotherDevice,
    DeviceRequired,
    LimitExceeded,
    ResyncRequired,
)
from callout_store.work import Database
from callout_sync import rows_rxdb, rows_watermelon
from callout_sync.rows_rxdb import Checkpoint


@pytest.fixture
async def world(db: Database) -> World:
    add_hooks(db)
    return await World(db).build()


async def rx_pull(phone: Phone, entity: str, cursor: str | None = None, limit: int = 10) -> rows_rxdb.Pulled:
    return await phone.world.db.run(
        phone.world.org,
        lambda work: rows_rxdb.pull(work, entity=entity, cursor=cursor, limit=limit),
        actor=phone.actor,
    )


async def wm_pull(phone: Phone, **given: Any) -> rows_watermelon.Pulled:
    asked: dict[str, Any] = {"last_pulled_at": None, "dirty": False, **given}
    return await phone.world.db.run(
        phone.world.org, lambda work: rows_watermelon.pull(work, **asked), actor=phone.actor
    )


def changed(cursor: str, **fields: Any) -> str:
    raw = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
    return msgspec.structs.replace(msgspec.msgpack.decode(raw, type=Checkpoint), **fields).encode()


async def test_checkpoints_are_bound_to_device_and_collection(world: World) -> None:
    """A checkpoint carried over to another phone or collection skips rows that are not there: nobody would notice."""
    phone, other = world.phones
    cursor = (await rx_pull(phone, "part")).cursor
    with pytest.raises(CursorOfAnotherDevice):
        await rx_pull(other, "part", cursor)
    with pytest.raises(CursorInvalid):
        await rx_pull(phone, "site", cursor)
    for text in ("", "x", "A" * 500, cursor[:-4], changed(cursor, version=9)):
        if text:
            with pytest.raises(CursorInvalid):
                await rx_pull(phone, "part", text)
    with pytest.raises(ResyncRequired):
        await rx_pull(phone, "part", changed(cursor, check=uuid.uuid4()))
    for limit in (0, 2001, -1):
        with pytest.raises(LimitExceeded):
            await rx_pull(phone, "part", limit=limit)


async def test_a_quiet_collection_keeps_its_checkpoint_young(world: World) -> None:
    """RxDB keeps a checkpoint only with documents. A catalogue that does not change for months would look like a phone
    that was away for months, and be pulled whole again with every purge."""
    phone = world.phones[0]
    first = await rx_pull(phone, "part")
    assert len(first.documents) == 1
    fresh = await rx_pull(phone, "part", first.cursor)
    assert fresh.documents == []
    old = changed(first.cursor, at=int(datetime.now(UTC).timestamp()) - 2 * 86_400)
    again = await rx_pull(phone, "part", old)
    assert [document.id for document in again.documents] == [str(world.part)]
    raw = base64.urlsafe_b64decode(again.cursor + "=" * (-len(again.cursor) % 4))
    assert msgspec.msgpack.decode(raw, type=Checkpoint).xid > 0


async def test_only_phones_sync(world: World) -> None:
    """A dispatcher's browser holds no scope: what would it be sent?"""
    world.phones[0].actor = world.dispatcher
    with pytest.raises(DeviceRequired):
        await rx_pull(world.phones[0], "visit")
    with pytest.raises(DeviceRequired):
        await wm_pull(world.phones[0])
    with pytest.raises(DeviceRequired):
        await rows_watermelon.push(
            world.db, org_id=world.org, actor=world.dispatcher, changes={}, last_pulled_at=1
        )
    with pytest.raises(DeviceRequired):
        await rows_rxdb.push(world.db, org_id=world.org, actor=world.dispatcher, entity="visit", rows=[])


async def test_bad_arguments_of_a_pull_have_codes(world: World) -> None:
    """An author who passes seconds for a timestamp, or leaves `dirty` out, must learn that at once and not from a
    customer."""
    phone = world.phones[0]
    for last in (-1, 2**53):
        with pytest.raises(BadField):
            await wm_pull(phone, last_pulled_at=last)
    with pytest.raises(BadField):
        rows_watermelon.migration_of({"tables": "part"})
    with pytest.raises(LimitExceeded):
        await wm_pull(phone, limit=0)
    # Of another device, of another epoch, made up: all of it is sent, to replace what is there.
    assert (await wm_pull(phone, last_pulled_at=1_764_000_000_000)).replace


async def test_rows_of_any_shape_are_kept_and_never_refused(world: World) -> None:
    """A client that others wrote sends what nobody thought of: refused, it would be sent again for ever."""
    phone = world.phones[0]
    odd: list[Any] = [
        None,
        1,
        {},
        {"newDocumentState": None},
        {"newDocumentState": {"id": 5}},
        {"newDocumentState": {"id": "no uuid", "accessNote": "x"}},
        {"newDocumentState": {"id": str(world.site), "accessNote": {"deep": [1]}}, "assumedMasterState": 7},
        {
            "newDocumentState": {"id": str(world.site), "accessNote": "\0"},
            "assumedMasterState": {"id": str(world.site), "accessNote": ""},
        },
    ]
    await world.visit(phone)
    pushed = await rows_rxdb.push(world.db, org_id=world.org, actor=phone.actor, entity="site", rows=odd)
    assert {answer.status for answer in pushed.answers} == {"quarantined"}
    changes = {
        "nowhere": {"created": [{"id": "x"}], "updated": [], "deleted": ["y"]},
        "site": {"created": [2], "updated": [{"id": str(world.site), "_changed": 5}], "deleted": [None]},
        "visit": "all of them",
        "command": {"created": [{"id": "abc", "kind": "visit.note", "payload": "{"}]},
    }
    done = await rows_watermelon.push(
        world.db, org_id=world.org, actor=phone.actor, changes=changes, last_pulled_at=None
    )
    assert {answer.status for answer in done.answers} == {"quarantined"}
    count = "select count(*) from quarantine where org_id = callout_org()"
    kept = await world.value(count)
    await rows_watermelon.push(
        world.db, org_id=world.org, actor=phone.actor, changes=changes, last_pulled_at=None
    )
    assert await world.value(count) == kept


async def test_a_command_changed_after_it_was_sent_is_kept_beside_it(world: World) -> None:
    """Appended means appended: what was sent stands, and a later other text under its id must not vanish."""
    phone = world.phones[0]
    visit = await world.visit(phone)
    row = {
        "id": str(uuid.uuid4()),
        "sequence": 1,
        "schemaVersion": 2,
        "kind": "visit.note",
        "visitId": str(visit),
        "deviceTime": datetime.now(UTC).isoformat(),
        "payload": {"text": "first"},
    }
    answers = []
    for text in ("first", "first", "second", "second"):
        new = {**row, "payload": {"text": text}, "_deleted": False}
        done = await rows_rxdb.push_command_rows(
            world.db, org_id=world.org, actor=phone.actor, rows=[{"newDocumentState": new}]
        )
        answers += [(answer.status, answer.code) for answer in done.answers]
    assert [status for status, _ in answers] == ["applied", "duplicate", "quarantined", "duplicate"]
    assert answers[2][1] == "COMMAND_CHANGED"
    body = await world.value("select convert_from(body, 'utf8') from quarantine where org_id = callout_org()")
    assert "second" in body
    # Deleting a sent command from the phone's own list takes nothing back.
    gone = [{"newDocumentState": {**row, "_deleted": True}}]
    await rows_rxdb.push_command_rows(world.db, org_id=world.org, actor=phone.actor, rows=gone)
    assert await world.value("select count(*) from visit_event where org_id = callout_org()") == 1


async def test_a_transaction_that_commits_late_is_not_skipped(world: World, database_urls: Any) -> None:
    """The trap of timestamps: a row written by an older transaction that commits after the pull. The timestamp stays below
    it, and the next pull brings it, with all that was written since."""
    phone = world.phones[0]
    await world.visit(phone)
    late = await asyncpg.connect(database_urls.admin)
    try:
        async with late.transaction():
            await late.execute(
                "update sync_feed set xid = pg_current_xact_id() where org_id = $1 and entity = 'part'",
                world.org,
            )
            await desk_edit(world, "site", world.site, accessNote="early")
            page = await wm_pull(phone)
    finally:
        await late.close()
    assert page.changes["site"]["updated"] == []
    after = await wm_pull(phone, last_pulled_at=page.timestamp)
    assert [row["id"] for row in after.changes["part"]["updated"]] == [str(world.part)]
    assert [row["access_note"] for row in after.changes["site"]["updated"]] == ["early"]
    assert after.timestamp > page.timestamp


async def test_the_rest_doors_say_what_is_wrong(world: World, settings: Any) -> None:
    """A 500 tells an author nothing, and their client comes again at once."""
    phone = world.phones[0]
    async with application(settings, world.db) as (app, client):
        for path in ("pull", "push"):
            answer = await client.post(f"/v1/watermelon/{path}", json={})
            assert (answer.status_code, answer.json()["code"]) == (401, "NOT_AUTHENTICATED")
        async with world.db.work(world.org) as work:
            tokens = await open_session(
                work, app.state.issuer, user_id=phone.actor.user_id, device_id=phone.device_id
            )
        headers = {"authorization": f"Bearer {tokens.access_token}"}

        async def ask(path: str, body: Any) -> httpx.Response:
            return await client.post(f"/v1/watermelon/{path}", json=body, headers=headers)

        for path, body in (
            ("pull", {"lastPulledAt": None}),
            ("pull", {"lastPulledAt": "x", "dirty": False}),
            ("pull", {"lastPulledAt": 1.5, "dirty": False}),
            ("pull", {"lastPulledAt": None, "dirty": False, "migration": 5}),
            ("push", {"changes": []}),
            ("push", {"changes": {}, "sentAt": "today"}),
        ):
            answer = await ask(path, body)
            assert answer.status_code in (400, 422), (path, body, answer.text)
            assert answer.json()["code"], answer.text
        good = await ask("pull", {"lastPulledAt": None, "dirty": False, "tables": ["part"]})
        assert set(good.json()["changes"]) == {"part"}
        assert (await ask("push", {"changes": {}})).json() == {"experimentalRejectedIds": {}, "answers": []}


@pytest.fixture
async def watermelon(world: World, settings: Any) -> AsyncIterator[Any]:
    """Posts to the doors as the first phone; a fault of ours is an answer, as it is for a client."""
    phone = world.phones[0]
    async with application(settings, world.db) as (app, _):
        async with world.db.work(world.org) as work:
            tokens = await open_session(
                work, app.state.issuer, user_id=phone.actor.user_id, device_id=phone.device_id
            )
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)  # type: ignore[arg-type]
        headers = {"authorization": f"Bearer {tokens.access_token}", "content-type": "application/json"}
        async with httpx.AsyncClient(transport=transport, base_url="http://t", headers=headers) as client:

            async def send(path: str, body: bytes) -> httpx.Response:
                return await client.post(f"/v1/watermelon/{path}", content=body)

            yield send


async def test_rows_nested_as_deep_as_is_read_at_all_are_answered(world: World, watermelon: Any) -> None:
    """The edge between what can be read and what can be written down again once was a fault of ours, which such a client
    meets again with every synchronize(): nothing of that phone would ever have arrived."""
    await world.visit(world.phones[0])
    told = set()
    for depth in range(890, 960, 3):
        value = "[" * depth + "]" * depth
        row = f'{{"id":"{world.site}","_changed":"access_note","access_note":{value}}}'
        for table in ("site", "nowhere"):
            answer = await watermelon("push", f'{{"changes":{{"{table}":{{"updated":[{row}]}}}}}}'.encode())
            body = answer.json()
            told |= {body["code"]} if "code" in body else {one["status"] for one in body["answers"]}
    assert told == {"quarantined", "BAD_BODY"}


@pytest.mark.parametrize("sent_at", ("0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"))
async def test_instants_beyond_the_calendar_are_no_faults(
    world: World, watermelon: Any, sent_at: str
) -> None:
    """A phone whose clock battery died says the year 1. A fault would come again with every push, and hide the work."""
    phone = world.phones[0]
    await world.visit(phone)
    row = {"id": str(world.site), "_changed": "access_note", "access_note": sent_at}
    changes = {"site": {"updated": [row]}}
    answer = await watermelon("push", msgspec.json.encode({"changes": changes, "sentAt": sent_at}))
    assert (answer.status_code, answer.json()["code"], answer.json()["path"]) == (422, "BAD_FIELD", "sentAt")
    base = {"id": str(world.site), "accessNote": ""}
    new = {**base, "accessNote": sent_at, "sentAt": sent_at, "editedAt": sent_at, "_deleted": False}
    done = await rows_rxdb.push(
        world.db,
        org_id=world.org,
        actor=phone.actor,
        entity="site",
        rows=[{"assumedMasterState": base, "newDocumentState": new}],
    )
    assert [one.status for one in done.answers] == ["applied"]


async def test_rows_of_one_push_are_bounded_and_nothing_of_more_is_kept(
    world: World, watermelon: Any
) -> None:
    """A few kilobytes of packed JSON would otherwise be some hundred thousand entries that a person has to look at."""
    gone = [f"{n:x}" for n in range(limits.ROWS_SYNC_MAX)]
    body = {"changes": {"nowhere": {"deleted": gone}, "site": {"updated": [{"id": "x"}]}}}
    answer = await watermelon("push", msgspec.json.encode(body))
    assert answer.status_code == 422
    assert answer.json()["code"] == "LIMIT_EXCEEDED"
    assert answer.json()["details"]["limit"] == limits.ROWS_SYNC_MAX
    assert await world.value("select count(*) from quarantine where org_id = callout_org()") == 0
