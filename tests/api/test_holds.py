"""Holds: a command that overtook another of its phone waits for it, and no longer than the organisation says."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from interleave import Held, until_waiting
from worlds import Phone, World

from callout_backend.jobs import holds as job
from callout_backend.wiring import add_hooks
from callout_contracts.limits import HELD_MAX
from callout_dispatch import reassign
from callout_store.errors import NotFound
from callout_store.ids import new_id
from callout_store.outbox import Claimed
from callout_store.work import Database
from callout_sync import again, devices, happenings, holds, judge, look

MISSING = "PREDECESSOR_MISSING"
NEVER = "PREDECESSOR_NEVER_CAME"


@pytest.fixture
async def world(fresh_database: Any) -> AsyncIterator[World]:
    db = Database(fresh_database.database)
    await db.start()
    add_hooks(db)
    yield await World(db).build()
    await db.stop()


def notes(phone: Phone, visit: UUID, *texts: str) -> list[dict[str, Any]]:
    return [phone.command("visit.note", visit, {"text": text}, schemaVersion=2) for text in texts]


async def texts(world: World, visit: UUID) -> list[str]:
    """The notes of a visit in the order in which they were made."""
    rows = await world.fetch(
        "select data->>'text' as text from visit_event where visit_id = $1 order by corrected_at, device_sequence",
        visit,
    )
    return [row["text"] for row in rows]


async def states(world: World) -> list[str]:
    rows = await world.fetch("select state from held_command order by sequence")
    return [row["state"] for row in rows]


async def test_a_command_that_overtook_another_waits_for_it(world: World) -> None:
    """Two requests cross on a bad line: 'completed' must not be applied before 'arrived', nor get lost, and the phone need
    not send it twice."""
    phone = world.phones[0]
    visit = await world.visit(phone)
    a, b, c = notes(phone, visit, "a", "b", "c")
    answers = await phone.push(b, c, oldest_pending=1)
    assert [(one.status, one.code) for one in answers] == [("held", MISSING)] * 2
    assert answers[0].message
    assert await texts(world, visit) == []
    again_ = await phone.push(c, oldest_pending=1)
    assert [(one.status, one.first_status) for one in again_] == [("duplicate", "held")]
    [answer] = await phone.push(a, oldest_pending=1)
    assert answer.status == "applied"
    assert await texts(world, visit) == ["a", "b", "c"]
    assert await states(world) == ["applied", "applied"]
    again_ = await phone.push(a, b, c, oldest_pending=4)
    assert [(one.status, one.first_status) for one in again_] == [("duplicate", "applied")] * 3
    assert await world.value("select settled_sequence from device where id = $1", phone.device_id) == 3


async def test_held_commands_keep_the_clocks_of_their_own_batch(world: World) -> None:
    """The predecessor comes an hour later in a batch with another offset: measured by that, the held one would be dated
    wrongly and an SLA missed or met that was not."""
    phone = world.phones[0]
    visit = await world.visit(phone)
    first, second = notes(phone, visit, "a", "b")
    now = datetime.now(UTC)
    second |= {"monotonicMs": 1_000, "bootId": "x"}
    await phone.push(second, oldest_pending=1, monotonic_ms=61_000, boot_id="x")
    await phone.push(first, oldest_pending=1, sent_at=now + timedelta(hours=1))
    row = (await world.fetch("select * from visit_event where data->>'text' = 'b'"))[0]
    assert row["received_at"] - row["corrected_at"] == timedelta(seconds=60)
    assert abs(row["clock_offset_ms"]) < 60_000


async def test_a_gap_that_the_phone_has_answers_for_holds_nothing(world: World) -> None:
    """A phone that says that 1 and 2 are settled must not have 3 wait for them: they may be from before a restore."""
    phone = world.phones[0]
    visit = await world.visit(phone)
    phone.sequence = 40
    answers = await phone.push(*notes(phone, visit, "x", "y"), oldest_pending=41)
    assert [one.status for one in answers] == ["applied", "applied"]
    # And what it dropped meanwhile lets go what waited for it.
    _, late = notes(phone, visit, "dropped", "late")
    [answer] = await phone.push(late, oldest_pending=43)
    assert answer.status == "held"
    assert await phone.push(oldest_pending=45) == []
    assert await texts(world, visit) == ["x", "y", "late"]


async def test_a_phone_that_says_nothing_of_its_queue_waits_for_nothing(world: World) -> None:
    """Apps of version 1 know no `held`: they would drop the command, or send it for ever."""
    phone = world.phones[0]
    visit = await world.visit(phone)
    a, b = notes(phone, visit, "a", "b")
    assert [one.status for one in await phone.push(b)] == ["applied"]
    assert [one.status for one in await phone.push(a)] == ["applied"]


async def test_an_unreadable_command_is_answered_at_once_and_leaves_no_gap(world: World) -> None:
    """A bad command behind a gap can wait for nothing; and when the gap is filled, nobody may go on waiting for it."""
    phone = world.phones[0]
    visit = await world.visit(phone)
    a, b, bad, d = notes(phone, visit, "a", "b", "bad", "d")
    bad["payload"] = {"text": ""}
    answers = await phone.push(b, bad, d, oldest_pending=1)
    assert [one.status for one in answers] == ["held", "quarantined", "held"]
    await phone.push(a, oldest_pending=1)
    assert await texts(world, visit) == ["a", "b", "d"]
    assert await states(world) == ["applied", "applied"]
    assert await world.value("select settled_sequence from device where id = $1", phone.device_id) == 4


async def test_the_gap_and_what_waits_for_it_in_one_batch(world: World) -> None:
    """The phone sends all it has again, the missing one too: each is applied once, in order, and answered rightly."""
    phone = world.phones[0]
    visit = await world.visit(phone)
    a, b, c = notes(phone, visit, "a", "b", "c")
    await phone.push(b, oldest_pending=1)
    answers = await phone.push(a, b, c, c, {**b, "payload": {"text": "forged"}}, oldest_pending=1)
    assert [(one.status, one.first_status) for one in answers] == [
        ("applied", None),
        ("duplicate", "applied"),
        ("applied", None),
        ("duplicate", "applied"),
        ("refused", None),
    ]
    assert await texts(world, visit) == ["a", "b", "c"]


async def test_a_twin_of_a_held_command_in_its_batch(world: World) -> None:
    """A client that puts one command into a batch twice must not have it held twice."""
    phone = world.phones[0]
    visit = await world.visit(phone)
    _, b = notes(phone, visit, "a", "b")
    answers = await phone.push(b, b, oldest_pending=1)
    assert [(one.status, one.first_status) for one in answers] == [("held", None), ("duplicate", "held")]
    assert await states(world) == ["held"]


async def test_no_more_wait_than_the_limit(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A defective app that skips a number must not fill the table; it is told the limit, and nothing is stored."""
    monkeypatch.setattr(judge, "HELD_MAX", 2)
    assert HELD_MAX >= 1000
    phone = world.phones[0]
    visit = await world.visit(phone)
    a, *rest = notes(phone, visit, "a", "b", "c", "d")
    answers = await phone.push(*rest, oldest_pending=1)
    assert [(one.status, one.code) for one in answers] == [
        ("held", MISSING),
        ("held", MISSING),
        ("refused", "TOO_MANY_HELD"),
    ]
    assert "2" in (answers[2].message or "")
    assert await world.value("select count(*) from receipt") == 2
    await phone.push(a, oldest_pending=1)
    [answer] = await phone.push(rest[2], oldest_pending=4)
    assert answer.status == "applied"
    assert await texts(world, visit) == ["a", "b", "c", "d"]


async def test_two_batches_of_one_phone_at_once(world: World, fresh_database: Any) -> None:
    """The predecessor is being applied, not committed, when its successor arrives by another request: without one order
    for the two, the successor would see a gap that nobody fills any more and wait until it is forced."""
    phone = world.phones[0]
    visit = await world.visit(phone)
    a, b = notes(phone, visit, "a", "b")
    async with Held(fresh_database.database) as slow:
        usual, world.db = world.db, slow.db
        first = asyncio.create_task(phone.push(a, oldest_pending=1))
        await asyncio.wait_for(slow.reached.wait(), 10)
        world.db = usual
        second = asyncio.create_task(phone.push(b, oldest_pending=1))
        await until_waiting(fresh_database.admin)
        slow.go.set()
        answers = [*await first, *await second]
    assert [one.status for one in answers] == ["applied", "applied"]
    assert await states(world) == []


async def test_every_order_of_arrival_ends_the_same(world: World) -> None:
    """Ten batches by ten requests at once, in any order: what the visit says is what the phone's numbers say."""
    phone = world.phones[0]
    visit = await world.visit(phone)
    batch = notes(phone, visit, *"abcdefghij")
    await asyncio.gather(*(phone.push(one, oldest_pending=1) for one in reversed(batch)))
    assert await texts(world, visit) == list("abcdefghij")
    assert "held" not in await states(world)
    assert await world.value("select count(*) from visit_event") == 10


async def due(world: World, phone: Phone) -> None:
    async with world.db.work(world.org) as work:
        await work.execute(
            "update held_command set force_at = now() - interval '1 second' where device_id = $1",
            phone.device_id,
        )


async def fire(world: World, phone: Phone) -> None:
    """Fire the device's timer and handle what it owes, as a worker does."""
    key = holds.timer_key(phone.device_id)
    async with world.db.work(world.org) as work:
        row = await work.fetchrow(
            "update timer set state = 'fired' where key = $1 and org_id = callout_org() returning epoch, payload::text",
            key,
        )
    assert row is not None
    item = Claimed(
        org_id=world.org,
        id=new_id(),
        channel=holds.CHANNEL,
        stream=key,
        dedupe_key=key,
        attempt=1,
        lease_token=new_id(),
        started_at=datetime.now(UTC),
        payload={"deviceId": str(phone.device_id), "timerKey": key, "timerEpoch": row["epoch"]},
    )
    await job.force_held(world.db, item)


async def test_what_waits_too_long_is_applied_visibly(world: World) -> None:
    """The predecessor was lost with another phone: the day's work behind it counts after an hour, in order, and everybody
    can see that something is missing before it."""
    phone = world.phones[0]
    visit = await world.visit(phone)
    _, b, c = notes(phone, visit, "a", "b", "c")
    await phone.push(b, c, oldest_pending=1)
    await fire(world, phone)
    assert await states(world) == ["held", "held"], "before its time nothing is forced"
    await due(world, phone)
    await fire(world, phone)
    assert await states(world) == ["forced", "forced"]
    assert await texts(world, visit) == ["b", "c"]
    for row in await world.fetch("select flags from visit_event"):
        assert "predecessor_missing" in row["flags"]
    [replay] = await phone.push(c, oldest_pending=4)
    assert (replay.status, replay.first_status, replay.code) == ("duplicate", "applied", NEVER)
    assert await world.value("select count(*) from journal where kind = 'sync.forced'") == 2
    told = await world.fetch("select status, code from outcome")
    assert {tuple(row) for row in told} == {("applied", NEVER)}
    # What comes after it goes on as ever, and the lost one is still taken when it turns up.
    [late] = notes(phone, visit, "d")
    assert [one.status for one in await phone.push(late, oldest_pending=4)] == ["applied"]


async def test_the_timer_stays_while_something_waits(world: World) -> None:
    """Two gaps, an hour apart: the second must be forced in its own time, not never."""
    phone = world.phones[0]
    visit = await world.visit(phone)
    _, b, _, d = notes(phone, visit, *"abcd")
    await phone.push(b, oldest_pending=1)
    await due(world, phone)
    await phone.push(d, oldest_pending=1)
    await fire(world, phone)
    assert await states(world) == ["forced", "held"]
    await due(world, phone)
    await fire(world, phone)
    assert await states(world) == ["forced", "forced"]
    await fire(world, phone)  # harmless when there is nothing


async def test_a_dispatcher_waits_no_longer(world: World) -> None:
    """Whoever knows that the phone is broken can have its work at once, and it stays on record who decided so."""
    phone, other = world.phones
    visit = await world.visit(phone)
    theirs = await world.visit(other)
    _, b = notes(phone, visit, "a", "b")
    _, theirs_b = notes(other, theirs, "a", "b")
    await phone.push(b, oldest_pending=1)
    await other.push(theirs_b, oldest_pending=1)
    count = await again.force(
        world.db, org_id=world.org, device_id=phone.device_id, actor=world.dispatcher, everything=True
    )
    assert count == 1
    assert await texts(world, visit) == ["b"]
    assert await texts(world, theirs) == []
    by = await world.value("select data->>'by' from journal where kind = 'sync.forced'")
    assert by == str(world.dispatcher.user_id)
    with pytest.raises(NotFound):
        await again.force(world.db, org_id=world.org, device_id=new_id(), everything=True)


async def test_the_list_shows_what_waits_for_whom(world: World) -> None:
    """The dispatcher sees whose work is stuck, since when, and until when."""
    phone, other = world.phones
    visit = await world.visit(phone)
    _, *rest = notes(phone, visit, *"abcd")
    await phone.push(*rest, oldest_pending=1)
    async with world.db.work(world.org, actor=world.dispatcher) as work:
        rows = await holds.page(work, device_id=phone.device_id)
        assert [row.sequence for row in rows] == [4, 3, 2]
        assert {row.visit_id for row in rows} == {visit}
        assert timedelta(minutes=59) < rows[0].force_at - rows[0].received_at <= timedelta(minutes=61)
        assert await holds.page(work, device_id=other.device_id) == []
        assert await holds.page(work, state="forced") == []
        first = await holds.page(work, limit=2)
        assert [row.sequence for row in await holds.page(work, after=first[-1].id)] == [2]


async def test_held_work_meets_a_reassignment(world: World) -> None:
    """While it waited, the visit went to somebody else: the work is kept and flagged like all late work, not lost."""
    phone, other = world.phones
    visit = await world.visit(phone)
    a, b = notes(phone, visit, "a", "b")
    await phone.push(b, oldest_pending=1)
    await world.db.run(
        world.org, lambda work: reassign.reassign(work, visit, other.engineer_id, override=True, reason="t")
    )
    await phone.push(a, oldest_pending=1)
    assert await texts(world, visit) == ["a", "b"]
    assert await world.value("select count(*) from quarantine where code = 'REASSIGNED'") == 2
    told = await world.fetch("select status, code from outcome")
    assert [tuple(row) for row in told] == [("conflict", "REASSIGNED")] * 2


async def test_a_held_command_that_breaks_stops_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A fault of ours in a command that waits must neither undo its predecessor each time, nor hold back the rest."""
    phone = world.phones[0]
    visit = await world.visit(phone)
    batch = notes(phone, visit, "a", "b", "poison", "d", "e")
    original = happenings.happened

    def poisoned(item: Any, *rest: Any) -> Any:
        made = original(item, *rest)
        if item.command.payload.get("text") == "poison":
            fields = {name: getattr(made, name) for name in made.__struct_fields__}
            return type(made)(**{**fields, "schema_version": 10**12})
        return made

    monkeypatch.setattr(judge, "happened", poisoned)
    await phone.push(*batch[1:4], oldest_pending=1)
    answers = await phone.push(batch[0], batch[4], oldest_pending=1)
    assert [one.status for one in answers] == ["applied", "applied"]
    assert await texts(world, visit) == ["a", "b", "d", "e"]
    assert await world.value("select code from quarantine") == "COMMAND_FAILED"
    assert await world.value("select status from outcome where code = 'COMMAND_FAILED'") == "quarantined"
    assert "held" not in await states(world)


async def test_a_broken_command_is_forced_into_quarantine(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same by the timer: a job that fails for ever would be given up, and the phone's work with it."""
    phone = world.phones[0]
    visit = await world.visit(phone)
    _, *batch = notes(phone, visit, "a", "poison", "c")
    original = happenings.happened

    def poisoned(item: Any, *rest: Any) -> Any:
        if item.command.payload.get("text") == "poison":
            raise ValueError("poison")
        return original(item, *rest)

    await phone.push(*batch, oldest_pending=1)
    monkeypatch.setattr(judge, "happened", poisoned)
    await again.force(world.db, org_id=world.org, device_id=phone.device_id, everything=True)
    assert await texts(world, visit) == ["c"]
    assert await world.value("select code from quarantine") == "COMMAND_FAILED"
    assert "held" not in await states(world)


async def test_more_wait_than_one_transaction_releases(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A week's queue behind one lost command: released in several transactions, none forgotten, none out of order."""
    from callout_sync import push

    for module in (push, again, look):
        monkeypatch.setattr(module, "RELEASED_MAX", 7)
    phone = world.phones[0]
    visit = await world.visit(phone)
    names = [f"{n:02}" for n in range(40)]
    batch = notes(phone, visit, *names)
    await phone.push(*batch[1:35], oldest_pending=1)
    answers = await phone.push(batch[0], *batch[35:], oldest_pending=1)
    assert {one.status for one in answers} <= {"applied", "held"}
    assert await texts(world, visit) == names
    assert "held" not in await states(world)


async def test_a_revoked_phone_has_nothing_held(world: World) -> None:
    """A command of a revoked phone must not slip in by way of the waiting room."""
    from callout_store.errors import DeviceRevoked

    phone = world.phones[0]
    visit = await world.visit(phone)
    _, b = notes(phone, visit, "a", "b")
    async with world.db.work(world.org, actor=world.dispatcher) as work:
        await devices.revoke(work, phone.device_id, "stolen")
    with pytest.raises(DeviceRevoked):
        await phone.push(b, oldest_pending=1)
    assert await states(world) == []
