"""Clocks and order, seen from outside: what the phone's numbers say holds against what its clock says."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from worlds import World

from callout_backend.wiring import add_hooks
from callout_contracts import stamps
from callout_store.work import Database


@pytest.fixture
async def world(db: Database) -> World:
    add_hooks(db)
    return await World(db).build()


async def times(world: World) -> list[datetime]:
    rows = await world.fetch("select corrected_at from visit_event order by device_sequence")
    return [row["corrected_at"] for row in rows]


@pytest.mark.parametrize("years", (-10, 0, 10))
async def test_the_clock_is_set_in_the_middle_of_a_visit(world: World, years: int) -> None:
    """Arrived on a clock that is years off, completed after it was put right: the visit must not end before it began, and
    the order's deadlines are judged the same as by a clock that was right all day."""
    phone = world.phones[0]
    visit = await world.visit(phone)
    now = datetime.now(UTC)
    wrong = now + timedelta(days=365 * years)
    batch = [
        phone.command("visit.accept", visit, deviceTime=(wrong - timedelta(minutes=40)).isoformat()),
        phone.command("visit.arrive", visit, deviceTime=(wrong - timedelta(minutes=30)).isoformat()),
        phone.command("visit.could_not_complete", visit, {"reason": "no_access"}, deviceTime=now.isoformat()),
        phone.command("visit.complete", visit, {}, deviceTime=now.isoformat()),
    ]
    answers = await phone.push(*batch, sent_at=now)
    assert [one.status for one in answers] == ["applied"] * 4
    made = await times(world)
    assert made == sorted(made)
    [row] = await world.fetch(
        "select v.state, v.arrived_at, v.completed_at from visit v where id = $1", visit
    )
    assert row["arrived_at"] <= row["completed_at"]
    assert row["state"] in ("completed", "could_not_complete")
    order = (await world.fetch("select o.* from work_order o join visit v on v.order_id = o.id"))[0]
    assert order["responded_at"] is not None
    assert order["responded_at"] <= order["respond_due_at"]


async def test_the_last_word_is_the_last_word(world: World) -> None:
    """A phone without any clock gives the whole day one time: the outcome corrected last still holds."""
    phone = world.phones[0]
    visit = await world.visit(phone)
    stopped = "1990-01-01T00:00:00+00:00"
    for _ in range(5):
        await phone.push(
            phone.command("visit.complete", visit, {}, deviceTime=stopped),
            phone.command("visit.could_not_complete", visit, {"reason": "unsafe"}, deviceTime=stopped),
        )
        assert await world.value("select state from visit where id = $1", visit) == "could_not_complete"


async def test_nothing_was_made_before_what_its_phone_had_seen(world: World) -> None:
    """A clock that lags by hours, by too much to be measured: what was done after a pull is not dated before it."""
    phone = world.phones[0]
    visit = await world.visit(phone)
    now = datetime.now(UTC)
    seen = stamps.now(now - timedelta(minutes=2))
    late = now - timedelta(hours=20)
    await phone.push(
        phone.command(
            "visit.accept",
            visit,
            schemaVersion=2,
            seen=str(seen),
            deviceTime=(late + timedelta(days=3650)).isoformat(),
        ),
        sent_at=now + timedelta(days=3650),
    )
    [at] = await times(world)
    assert seen.at < at <= now + timedelta(seconds=30)
    forged = stamps.now(now + timedelta(days=9))
    await phone.push(phone.command("visit.travel", visit, schemaVersion=2, seen=str(forged)))
    [row] = await world.fetch("select corrected_at, received_at from visit_event where kind = 'travelling'")
    assert row["corrected_at"] <= row["received_at"]


async def test_a_later_batch_is_not_dated_before_an_earlier_one(world: World) -> None:
    """Between two batches the clock is set back an hour, by less than shows: the second batch still comes second."""
    phone = world.phones[0]
    visit = await world.visit(phone)
    now = datetime.now(UTC)
    await phone.push(phone.command("visit.arrive", visit, deviceTime=now.isoformat()), sent_at=now)
    back = now - timedelta(hours=1)
    await phone.push(phone.command("visit.complete", visit, {}, deviceTime=back.isoformat()), sent_at=now)
    arrived, completed = await times(world)
    assert arrived < completed
    flags = await world.value("select flags from visit_event where kind = 'completed'")
    assert "time_uncertain" in flags


async def test_every_answer_brings_a_stamp(world: World) -> None:
    """Phones order what they do after an answer behind it, whatever their clocks say: so the answer must say when it was."""
    phone = world.phones[0]
    before = datetime.now(UTC) - timedelta(seconds=1)
    pushed: Any = await phone.pushed()
    assert before <= stamps.parse(pushed.stamp).at
    again_ = await phone.pushed()
    assert stamps.parse(again_.stamp) >= stamps.parse(pushed.stamp)
