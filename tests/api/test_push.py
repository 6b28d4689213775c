"""Push: what a phone did is applied once, or kept where a person sees it; nothing is half stored."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from worlds import STROKES, World

from callout_backend.wiring import add_hooks
from callout_store.errors import DeviceRevoked, LimitExceeded
from callout_store.ids import new_id
from callout_store.work import Database
from callout_sync import again, devices, happenings, judge, push, quarantine

DAY = [
    ("visit.accept", {}),
    ("visit.travel", {}),
    ("visit.arrive", {}),
    ("visit.diagnose", {"finding": "Seal worn", "faultCode": "E07"}),
    ("visit.note", {"text": "Key at the desk"}),
    ("visit.photo", {"sha256": "ab" * 32, "mediaType": "image/jpeg", "sizeBytes": 1000}),
    ("visit.sign", {"signerName": "Ann", "strokes": STROKES, "summary": '{"done":"seal"}', "rating": 5}),
    ("visit.complete", {"resolution": "Seal replaced"}),
    ("visit.leave", {}),
]


@pytest.fixture
async def world(db: Database) -> World:
    add_hooks(db)
    return await World(db).build()


def day(world: World, phone: Any, visit: UUID) -> list[dict[str, Any]]:
    steps = [*DAY[:4], ("visit.replace_part", {"partId": str(world.part), "quantity": 2}), *DAY[4:]]
    return [phone.command(kind, visit, payload) for kind, payload in steps]


async def test_a_visit_from_accept_to_leave(world: World) -> None:
    """The main job: an engineer's day in one batch moves the visit, the order, the stock and the signature."""
    phone = world.phones[0]
    visit = await world.visit(phone)
    answers = await phone.push(*day(world, phone, visit))
    assert [a.status for a in answers] == ["applied"] * 10, answers
    [row] = await world.fetch("select * from visit where id = $1", visit)
    assert row["state"] == "completed"
    assert row["outcome"] == "completed"
    assert row["signed_at"] is not None
    [order] = await world.fetch("select * from work_order where id = $1", row["order_id"])
    assert order["state"] == "completed"
    assert order["responded_at"] is not None
    events = await world.fetch("select * from visit_event where visit_id = $1", visit)
    assert len(events) == 10
    for event in events:
        assert event["geofence"] == "inside"
        assert event["device_id"] == phone.device_id
        assert event["actor_id"] == phone.actor.user_id
        assert event["asset_id"] == world.asset
    level = await world.value("select quantity from stock_level where holder_id = $1", phone.engineer_id)
    assert level == 8
    assert await world.value("select count(*) from signature where visit_id = $1", visit) == 1
    assert (
        await world.value("select count(*) from journal where visit_id = $1 and kind like 'visit.%'", visit)
        >= 10
    )


async def test_a_batch_sent_again_changes_nothing(world: World) -> None:
    """A lost acknowledgement must not double an event, a part or a signature."""
    phone = world.phones[0]
    visit = await world.visit(phone)
    batch = day(world, phone, visit)
    first = await phone.push(*batch)
    again = await phone.push(*batch)
    assert [a.status for a in again] == ["duplicate"] * 10
    assert [a.first_status for a in again] == [a.status for a in first]
    assert await world.value("select count(*) from visit_event where visit_id = $1", visit) == 10
    assert await world.value("select quantity from stock_level where holder_id = $1", phone.engineer_id) == 8


async def test_the_same_batch_by_ten_requests_at_once(world: World) -> None:
    """A phone that retries while its first request still runs must not double anything either."""
    phone = world.phones[0]
    visit = await world.visit(phone)
    batch = day(world, phone, visit)
    rounds = await asyncio.gather(*(phone.push(*batch) for _ in range(10)))
    applied = sum(a.status == "applied" for answers in rounds for a in answers)
    duplicates = sum(a.status == "duplicate" for answers in rounds for a in answers)
    assert (applied, duplicates) == (10, 90)
    assert await world.value("select count(*) from visit_event where visit_id = $1", visit) == 10
    assert await world.value("select quantity from stock_level where holder_id = $1", phone.engineer_id) == 8


async def test_same_id_with_another_body_is_refused(world: World) -> None:
    """An id stands for one command for ever: else a forged replay could change what was done."""
    phone = world.phones[0]
    visit = await world.visit(phone)
    note = phone.command("visit.note", visit, {"text": "first"})
    [answer] = await phone.push(note)
    assert answer.status == "applied"
    [answer] = await phone.push({**note, "payload": {"text": "second"}})
    assert (answer.status, answer.code, answer.path) == ("refused", "COMMAND_ID_REUSED", "id")
    twins = await phone.push(note, {**note, "payload": {"text": "third"}})
    assert [a.status for a in twins] == ["duplicate", "refused"]
    events = await world.fetch("select data::text as data from visit_event where visit_id = $1", visit)
    assert [e["data"] for e in events] == ['{"text": "first"}']


async def test_key_order_is_not_another_body(world: World) -> None:
    """A client library that writes the keys in another order on a retry must still be understood as the same."""
    phone = world.phones[0]
    visit = await world.visit(phone)
    note = phone.command("visit.note", visit, {"text": "first"})
    await phone.push(note)
    [answer] = await phone.push(dict(reversed(note.items())))
    assert answer.status == "duplicate"


BAD = [
    ("a number", lambda c: 1, "COMMAND_UNREADABLE", None),
    ("null", lambda c: None, "COMMAND_UNREADABLE", None),
    ("no id", lambda c: {k: v for k, v in c.items() if k != "id"}, "COMMAND_UNREADABLE", None),
    ("latitude 91", lambda c: {**c, "location": {"lat": 91, "lng": 0}}, "COMMAND_UNREADABLE", "location.lat"),
    (
        "longitude -181",
        lambda c: {**c, "location": {"lat": 9, "lng": -181}},
        "COMMAND_UNREADABLE",
        "location.lng",
    ),
    (
        "time without zone",
        lambda c: {**c, "deviceTime": "2026-01-01T00:00:00"},
        "COMMAND_UNREADABLE",
        "deviceTime",
    ),
    ("unknown kind", lambda c: {**c, "kind": "visit.explode"}, "KIND_UNKNOWN", "kind"),
    ("newer schema", lambda c: {**c, "schemaVersion": 99}, "SCHEMA_TOO_NEW", "schemaVersion"),
    ("NUL in a text", lambda c: {**c, "payload": {"text": "a\0b"}}, "NUL_CHARACTER", "payload.text"),
    ("lone surrogate", lambda c: {**c, "payload": {"text": "a\ud800b"}}, "COMMAND_UNREADABLE", None),
    ("empty note", lambda c: {**c, "payload": {"text": ""}}, "PAYLOAD_INVALID", "payload.text"),
    ("field nobody knows", lambda c: {**c, "payload": {"text": "x", "y": 1}}, "PAYLOAD_INVALID", "payload"),
    ("unknown visit", lambda c: {**c, "visitId": str(new_id())}, "VISIT_UNKNOWN", "visitId"),
    ("huge integer", lambda c: {**c, "monotonicMs": 10**40}, "COMMAND_UNREADABLE", None),
    ("too large", lambda c: {**c, "payload": {"text": "x" * 700_000}}, "COMMAND_TOO_LARGE", None),
]


@pytest.mark.parametrize(("name", "spoil", "code", "path"), BAD, ids=[row[0] for row in BAD])
async def test_one_bad_command_stops_nothing(
    world: World, name: str, spoil: Any, code: str, path: str | None
) -> None:
    """One record that cannot be applied must neither block the day's work behind it nor vanish."""
    phone = world.phones[0]
    visit = await world.visit(phone)
    before = phone.command("visit.accept", visit)
    bad = spoil(phone.command("visit.note", visit, {"text": "x"}))
    after = phone.command("visit.arrive", visit)
    answers = await phone.push(before, bad, after)
    assert [a.status for a in answers] == ["applied", "quarantined", "applied"], answers
    assert answers[1].code == code
    if path is not None:
        assert answers[1].path == path
    again = await phone.push(before, bad, after)
    assert [a.status for a in again] == ["duplicate"] * 3
    async with world.db.work(world.org, actor=world.dispatcher) as work:
        [kept] = await quarantine.page(work)
    assert kept.code == code
    assert kept.body
    assert await world.value("select count(*) from visit_event where visit_id = $1", visit) == 2


async def test_a_strangers_visit_is_quarantined_and_visible(world: World) -> None:
    """An engineer can neither touch another's visit nor lose what he did there."""
    mine, yours = world.phones
    visit = await world.visit(yours)
    [answer] = await mine.push(mine.command("visit.arrive", visit))
    assert (answer.status, answer.code, answer.path) == ("quarantined", "NOT_YOUR_VISIT", "visitId")
    assert await world.value("select count(*) from visit_event where visit_id = $1", visit) == 0
    async with world.db.work(world.org, actor=world.dispatcher) as work:
        [kept] = await quarantine.page(work)
    assert kept.visit_id == visit
    assert kept.user_id == mine.actor.user_id


async def test_reassigned_while_working_offline(world: World) -> None:
    """Work done before the phone learnt of the reassignment is kept, marked, moves stock, and moves no state."""
    from callout_dispatch import reassign

    first, second = world.phones
    visit = await world.visit(first)
    offline = day(world, first, visit)
    async with world.db.work(world.org, actor=world.dispatcher) as work:
        await reassign.reassign(
            work, visit_id=visit, engineer_id=second.engineer_id, override=True, reason="closer"
        )
    answers = await first.push(*offline)
    assert {a.status for a in answers} == {"conflict"}
    assert {a.code for a in answers} == {"REASSIGNED"}
    assert await world.value("select state from visit where id = $1", visit) == "dispatched"
    flags = await world.fetch("select flags from visit_event where visit_id = $1", visit)
    assert len(flags) == 10
    assert all("after_reassigned" in row["flags"] for row in flags)
    assert await world.value("select quantity from stock_level where holder_id = $1", first.engineer_id) == 8
    assert await world.value("select count(*) from signature where visit_id = $1", visit) == 1
    await first.pull()
    assert visit not in first.held("visit")
    await second.pull()
    assert visit in second.held("visit")


async def test_any_order_of_arrival_gives_the_same_visit(world: World) -> None:
    """Batches overtake each other on bad networks: the visit must not depend on who came first."""
    phone = world.phones[0]
    visit = await world.visit(phone)
    batch = day(world, phone, visit)
    for command in reversed(batch):
        [answer] = await phone.push(command)
        assert answer.status == "applied"
    [row] = await world.fetch("select state, outcome, arrived_at from visit where id = $1", visit)
    assert (row["state"], row["outcome"]) == ("completed", "completed")
    assert row["arrived_at"] is not None


@pytest.mark.parametrize("years", (-10, 10))
async def test_a_clock_that_is_years_off_changes_no_deadline(world: World, years: int) -> None:
    """SLA is decided on the server's time: a phone set ten years off neither saves nor breaks a deadline."""
    phone = world.phones[0]
    visit = await world.visit(phone)
    wrong = datetime.now(UTC) + timedelta(days=365 * years)
    accept = phone.command(
        "visit.accept",
        visit,
        deviceTime=(wrong - timedelta(minutes=5)).isoformat(),
        monotonicMs=100_000,
        bootId="b",
    )
    await phone.push(accept, sent_at=wrong, monotonic_ms=400_000, boot_id="b")
    [row] = await world.fetch(
        "select corrected_at, received_at, clock_offset_ms from visit_event where visit_id = $1", visit
    )
    assert row["received_at"] - row["corrected_at"] == timedelta(minutes=5)
    assert abs(row["clock_offset_ms"] / 1000 / 86400 / 365 + years) < 0.01
    order = await world.fetch(
        "select o.responded_at from work_order o join visit v on v.order_id = o.id where v.id = $1", visit
    )
    assert order[0]["responded_at"] == row["corrected_at"]


async def test_a_revoked_device_stores_nothing(world: World) -> None:
    """A stolen phone must be out at once."""
    phone = world.phones[0]
    visit = await world.visit(phone)
    async with world.db.work(world.org, actor=world.dispatcher) as work:
        await devices.revoke(work, phone.device_id, "stolen")
    with pytest.raises(DeviceRevoked):
        await phone.push(phone.command("visit.accept", visit))
    with pytest.raises(DeviceRevoked):
        await phone.push()
    with pytest.raises(DeviceRevoked):
        await phone.pull()
    assert await world.value("select count(*) from visit_event where visit_id = $1", visit) == 0
    assert await world.value("select count(*) from receipt") == 0
    assert await world.value("select count(*) from quarantine") == 0


async def test_revocation_takes_effect_within_a_running_push(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Revoked between two chunks of one batch: what came before stays, nothing after it is stored."""
    phone = world.phones[0]
    visit = await world.visit(phone)
    monkeypatch.setattr(push, "CHUNK", 2)
    original = push._chunk
    done = 0

    async def revoking(*args: Any) -> Any:
        nonlocal done
        if done == 2:
            async with world.db.work(world.org, actor=world.dispatcher) as work:
                await devices.revoke(work, phone.device_id, "stolen")
        done += 1
        return await original(*args)

    monkeypatch.setattr(push, "_chunk", revoking)
    answers = await phone.push(*(phone.command("visit.note", visit, {"text": str(n)}) for n in range(10)))
    assert [a.status for a in answers] == ["applied"] * 4 + ["refused"] * 6
    assert {a.code for a in answers[4:]} == {"DEVICE_REVOKED"}
    assert await world.value("select count(*) from visit_event where visit_id = $1", visit) == 4


async def test_a_command_that_breaks_the_database_is_quarantined_alone(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A fault of ours in one command must not hold back the other ninety-nine."""
    phone = world.phones[0]
    visit = await world.visit(phone)
    original = happenings.happened

    def poisoned(item: Any, *rest: Any) -> Any:
        made = original(item, *rest)
        if item.command.payload.get("text") == "poison":
            return type(made)(
                **{**{f: getattr(made, f) for f in made.__struct_fields__}, "schema_version": 10**12}
            )
        return made

    monkeypatch.setattr(judge, "happened", poisoned)
    batch = [phone.command("visit.note", visit, {"text": t}) for t in ("a", "poison", "b")]
    for command in batch:
        command.pop("location")
    answers = await phone.push(*batch)
    assert [a.status for a in answers] == ["applied", "quarantined", "applied"]
    assert answers[1].code == "COMMAND_FAILED"


async def test_too_many_commands_are_refused_whole(world: World) -> None:
    """A limit is named in its error, and nothing of the batch is stored."""
    phone = world.phones[0]
    visit = await world.visit(phone)
    with pytest.raises(LimitExceeded) as refusal:
        await phone.push(*(phone.command("visit.note", visit, {"text": "x"}) for _ in range(201)))
    assert refusal.value.details["limit"] == 200


async def test_a_quarantined_command_can_be_run_again(world: World) -> None:
    """A dispatcher who assigns the visit after all can let the quarantined work in."""
    mine, yours = world.phones
    visit = await world.visit(yours)
    await mine.push(mine.command("visit.note", visit, {"text": "I was there"}))
    async with world.db.work(world.org, actor=world.dispatcher) as work:
        [kept] = await quarantine.page(work)
    answer = await again.retry(world.db, org_id=world.org, entry_id=kept.id, actor=world.dispatcher)
    assert (answer.status, answer.code) == ("quarantined", "NOT_YOUR_VISIT")
    from callout_dispatch import reassign

    async with world.db.work(world.org, actor=world.dispatcher) as work:
        await reassign.reassign(
            work, visit_id=visit, engineer_id=mine.engineer_id, override=True, reason="was there"
        )
    answer = await again.retry(world.db, org_id=world.org, entry_id=kept.id, actor=world.dispatcher)
    assert answer.status == "applied"
    assert await world.value("select count(*) from visit_event where visit_id = $1", visit) == 1
    assert await world.value("select state from quarantine where id = $1", kept.id) == "applied"
