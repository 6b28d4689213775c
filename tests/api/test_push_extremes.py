"""What phones may send at the edges of time, of numbers and of what has happened to a visit meanwhile."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from uuid import UUID

import oracle
import pytest
from worlds import STROKES, Phone, World

from callout_backend.wiring import add_hooks
from callout_dispatch import assign, reassign
from callout_orders import customers, orders
from callout_orders.customers import NewPart
from callout_people.organisations import update_organisation
from callout_store.errors import Refusal, WrongState
from callout_store.ids import new_id
from callout_store.work import Database
from callout_sync import again, quarantine, scope


@pytest.fixture
async def world(fresh_database: Any) -> AsyncIterator[World]:
    db = Database(fresh_database.database)
    await db.start()
    add_hooks(db)
    yield await World(db).build(phones=3)
    await db.stop()


EAST, WEST = timezone(timedelta(hours=14)), timezone(timedelta(hours=-14))
EDGES = [
    datetime(1900, 1, 1, tzinfo=EAST),
    datetime(1970, 1, 1, 0, 3, tzinfo=UTC),
    datetime(2199, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC),
    datetime(2199, 12, 31, 23, 59, 59, tzinfo=WEST),
]


@pytest.mark.parametrize("at", EDGES, ids=lambda at: at.isoformat())
async def test_a_command_from_the_edge_of_time(world: World, at: datetime) -> None:
    """A phone whose clock was lost says that it accepted in the year 1900 or 2199: the work is recorded, and the customer's
    deadline is neither met nor missed by it."""
    phone = world.phones[0]
    order = await world.order()
    visit = await world.visit(phone, order)
    [answer] = await phone.push(phone.command("visit.accept", visit, deviceTime=at.isoformat()))
    assert answer.status == "applied", answer
    [row] = await world.fetch("select corrected_at, received_at, created_at, flags from visit_event, visit")
    assert row["corrected_at"] == row["received_at"]
    assert {"time_in_future", "time_impossible"} & set(row["flags"])
    responded = await world.value("select responded_at from work_order where id = $1", order)
    assert responded == row["received_at"]


@pytest.mark.parametrize("at", EDGES, ids=lambda at: at.isoformat())
async def test_a_batch_from_the_edge_of_time(world: World, at: datetime) -> None:
    """The whole phone lives in another year: what it did five minutes before sending is five minutes old."""
    phone = world.phones[0]
    visit = await world.visit(phone)
    [answer] = await phone.push(phone.command("visit.accept", visit, deviceTime=at.isoformat()), sent_at=at)
    assert answer.status == "applied", answer
    [row] = await world.fetch("select corrected_at, received_at, flags from visit_event")
    assert row["corrected_at"] == row["received_at"]
    assert "time_uncertain" in row["flags"]


async def test_clocks_that_have_run_over(world: World) -> None:
    """Monotonic clocks and sequences at the ends of their ranges are numbers like any other."""
    phone = world.phones[0]
    visit = await world.visit(phone)
    answers = await phone.push(
        phone.command("visit.accept", visit, monotonicMs=0, bootId="b"),
        phone.command("visit.travel", visit, monotonicMs=2**62, bootId="b", sequence=2**62),
        phone.command("visit.arrive", visit, monotonicMs=2**62, bootId="other"),
        phone.command("visit.note", visit, {"text": "x"}, durationS=31_536_000),
        monotonic_ms=2**62,
        boot_id="b",
    )
    assert [a.status for a in answers] == ["applied"] * 4
    [row] = await world.fetch("select * from visit_event where kind = 'accepted'")
    # It is told apart from the commands after it, which came with it, and by no more than that.
    assert row["received_at"] - timedelta(milliseconds=1) < row["corrected_at"] <= row["received_at"]
    assert "time_impossible" in row["flags"]
    answers = await phone.push(phone.command("visit.note", visit, {"text": "y"}, sequence=3))
    assert [a.status for a in answers] == ["applied"]


async def test_an_event_a_little_older_than_its_visit_keeps_its_time(world: World) -> None:
    """The dispatcher enters what was agreed by telephone: the engineer set out an hour before the order was typed."""
    phone = world.phones[0]
    visit = await world.visit(phone)
    before = datetime.now(UTC) - timedelta(hours=1)
    await phone.push(phone.command("visit.travel", visit, deviceTime=before.isoformat()))
    at = await world.value("select travelling_at from visit where id = $1", visit)
    assert abs(at - before) < timedelta(seconds=30)


async def conflict_of(world: World, phone: Phone, visit: UUID) -> UUID:
    """The dispatcher's open conflict entry of one event of the phone on a visit that was given away."""
    [answer] = await phone.push(phone.command("visit.complete", visit))
    assert answer.status == "conflict"
    id_: UUID = await world.value("select id from quarantine where command_id = $1", answer.id)
    return id_


async def test_a_conflict_is_settled_but_not_run_again(world: World) -> None:
    """Its event is stored already: running it again would break on the event's key and answer with a bug."""
    a, b = world.phones[:2]
    visit = await world.visit(a)
    await world.db.run(
        world.org, lambda work: reassign.reassign(work, visit, b.engineer_id, override=True, reason="t")
    )
    entry = await conflict_of(world, a, visit)
    with pytest.raises(WrongState):
        await again.retry(world.db, org_id=world.org, entry_id=entry, actor=world.dispatcher)
    assert await world.value("select state from quarantine where id = $1", entry) == "open"
    await world.db.run(
        world.org, lambda work: quarantine.dismiss(work, id=entry, note="paid"), actor=world.dispatcher
    )
    with pytest.raises(WrongState):
        await world.db.run(world.org, lambda work: quarantine.dismiss(work, id=entry, note="again"))


async def quarantined_part(world: World, phone: Phone, visit: UUID) -> tuple[UUID, dict[str, Any]]:
    """A part from a catalogue that the server does not know yet; the entry, and the command."""
    command = phone.command("visit.replace_part", visit, {"partId": str(new_id()), "quantity": 1})
    [answer] = await phone.push(command)
    assert (answer.status, answer.code) == ("quarantined", "PART_UNKNOWN")
    entry: UUID = await world.value("select id from quarantine where command_id = $1", answer.id)
    return entry, command


async def learn_part(world: World, command: dict[str, Any]) -> None:
    async with world.db.work(world.org) as work:
        await customers.create_part(work, NewPart(code=new_id().hex, name="late"))
        await work.execute("update part set id = $1 where name = 'late'", UUID(command["payload"]["partId"]))


async def test_ten_people_retry_one_command_at_once(world: World) -> None:
    """Two dispatchers press the button: the part leaves the van once, and the others are told that it was done."""
    phone = world.phones[0]
    visit = await world.visit(phone)
    entry, command = await quarantined_part(world, phone, visit)
    await learn_part(world, command)

    async def press() -> str:
        try:
            answer = await again.retry(world.db, org_id=world.org, entry_id=entry, actor=world.dispatcher)
        except Refusal as refusal:
            return refusal.code
        return answer.status

    pressed = await asyncio.gather(*(press() for _ in range(10)), phone.push(command))
    assert pressed[-1][0].status == "duplicate"
    assert sorted(pressed[:-1]) == ["WRONG_STATE"] * 9 + ["applied"]
    part = UUID(command["payload"]["partId"])
    assert await world.value("select quantity from stock_level where part_id = $1", part) == -1
    assert await world.value("select count(*) from visit_event") == 1
    [replay] = await phone.push(command)
    assert (replay.status, replay.first_status) == ("duplicate", "applied")


async def test_a_retried_command_that_meets_a_reassignment_becomes_a_conflict(world: World) -> None:
    """The work is recorded at last, but the visit is another's by now: a person must still see and decide."""
    a, b = world.phones[:2]
    visit = await world.visit(a)
    entry, command = await quarantined_part(world, a, visit)
    await learn_part(world, command)
    await world.db.run(
        world.org, lambda work: reassign.reassign(work, visit, b.engineer_id, override=True, reason="t")
    )
    answer = await again.retry(world.db, org_id=world.org, entry_id=entry, actor=world.dispatcher)
    assert (answer.status, answer.code) == ("conflict", "REASSIGNED")
    rows = await world.fetch("select category, state from quarantine order by id")
    assert [tuple(row) for row in rows] == [("quarantined", "applied"), ("conflict", "open")]


async def test_ids_of_others_are_harmless(world: World, fresh_database: Any) -> None:
    """Another engineer, another organisation, or an event of the server itself has the id already."""
    a, b = world.phones[:2]
    mine, theirs = await world.visit(a), await world.visit(b)
    first = a.command("visit.accept", mine)
    await a.push(first)
    [answer] = await b.push({**b.command("visit.accept", theirs), "id": first["id"]})
    assert (answer.status, answer.code) == ("refused", "COMMAND_ID_REUSED")
    [answer] = await b.push(first)
    assert answer.status == "duplicate"

    db = Database(fresh_database.database)
    await db.start()
    add_hooks(db)
    other = await World(db).build(phones=1)
    [phone] = other.phones
    [answer] = await phone.push(phone.command("visit.accept", await other.visit(phone)) | {"id": first["id"]})
    assert answer.status == "applied", answer
    [answer] = await phone.push(phone.command("visit.accept", mine))
    assert (answer.status, answer.code) == ("quarantined", "VISIT_UNKNOWN")
    [answer] = await phone.push(
        phone.command("visit.replace_part", await other.visit(phone), {"partId": str(world.part)})
    )
    assert (answer.status, answer.code) == ("quarantined", "PART_UNKNOWN")
    await db.stop()
    assert await world.value("select count(*) from visit_event") == 1


async def test_one_batch_from_two_phones_at_once(world: World) -> None:
    """A queue was restored onto a new phone and the old one still lives: each command happens once."""
    a = world.phones[0]
    visit = await world.visit(a)
    twin = Phone(world, a.actor.user_id, a.engineer_id, new_id())  # type: ignore[arg-type]
    async with world.db.work(world.org) as work:
        await work.execute(
            "insert into device (id, user_id, name, enrolled_at) values ($1, $2, 'twin', $3)",
            twin.device_id,
            a.actor.user_id,
            work.now,
        )
    batch = [
        *(
            a.command("visit.replace_part", visit, {"partId": str(world.part), "quantity": 1})
            for _ in range(3)
        ),
        *(a.command("visit.note", new_id(), {"text": "no such visit"}) for _ in range(3)),
        *(a.command("visit.note", visit, {"text": str(n)}) for n in range(194)),
    ]
    rounds = await asyncio.gather(*(phone.push(*batch) for phone in (a, twin, a, twin)))
    for n in range(200):
        statuses = sorted(answers[n].status for answers in rounds)
        assert statuses == sorted(["duplicate"] * 3 + ["quarantined" if 3 <= n < 6 else "applied"])
    await oracle.every_command_once(world, [UUID(c["id"]) for c in batch])
    await oracle.stock_adds_up(world, loaded=10)


@pytest.mark.parametrize("count", (1, 99, 100, 101, 199, 200))
async def test_answers_stand_in_the_order_of_the_batch(world: World, count: int) -> None:
    """Around the edges of a chunk, and where sequences run against the order of sending."""
    phone = world.phones[0]
    visit = await world.visit(phone)
    batch = [phone.command("visit.note", visit, {"text": str(n)}) for n in range(count)][::-1]
    answers = await phone.push(*batch)
    assert [(a.index, str(a.id)) for a in answers] == [(n, c["id"]) for n, c in enumerate(batch)]


async def test_work_on_visits_whose_order_is_over(world: World) -> None:
    """Closed orders stay closed and cancelled ones cancelled; what was done on site is kept all the same."""
    phone = world.phones[0]
    closed, called_off = await world.order(kind="service"), await world.order()
    done, gone = await world.visit(phone, closed), await world.visit(phone, called_off)
    await phone.push(phone.command("visit.could_not_complete", done, {"reason": "other"}))
    [answer] = await phone.push(phone.command("visit.complete", done))
    assert answer.status == "applied", answer
    assert await world.value("select state from work_order where id = $1", closed) == "completed"
    await world.db.run(world.org, lambda work: orders.close_order(work, closed))
    await world.db.run(world.org, lambda work: assign.cancel_order(work, called_off, "gone"))
    sign = {"signerName": "Ann", "strokes": STROKES, "summary": "{}"}
    answers = await phone.push(
        phone.command("visit.could_not_complete", done, {"reason": "other"}),
        phone.command("visit.sign", done, sign),
        phone.command("visit.sign", done, sign),
        phone.command("visit.complete", gone),
        phone.command("visit.replace_part", gone, {"partId": str(world.part), "quantity": 2}),
    )
    assert [a.status for a in answers] == ["applied"] * 3 + ["conflict"] * 2
    assert await world.value("select state from work_order where id = $1", closed) == "closed"
    assert await world.value("select state from work_order where id = $1", called_off) == "canceled"
    assert await world.value("select count(*) from signature") == 2
    await oracle.stock_adds_up(world, loaded=10)
    await oracle.states_follow_from_events(world)


async def test_a_longer_window_brings_visits_back(world: World) -> None:
    """An admin who wants phones to hold a month instead of a week gets it for the visits that were swept before."""
    phone = world.phones[0]
    visit = await world.visit(phone)
    await phone.push(phone.command("visit.complete", visit))
    async with world.db.work(world.org) as work:
        await work.execute("update visit set ended_at = now() - interval '20 days'")
    await world.db.run(world.org, scope.sweep)
    await phone.pull()
    assert not phone.held("visit")
    await world.db.run(world.org, lambda work: update_organisation(work, phone_window_days=30))
    due = await world.value("select due_at <= now() from timer where key = 'scope.sweep' and state = 'armed'")
    assert due, "the sweep is not due at once"
    assert await world.db.run(world.org, scope.sweep) == 1
    assert await world.db.run(world.org, scope.sweep) == 0
    await phone.pull()
    await oracle.copy_is_true(world, phone)
    assert phone.held("visit") == {visit}
