"""Clocks of orders that are opened again, and breaches that are booked neither too early nor never."""

from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from graph import someone
from sla_clocked import MINUTE, NOON, Clocked, clocked, drain_all, rule

from callout_orders import orders, progress
from callout_orders.flow.ending.archive import close_by_flow
from callout_orders.flow.ending.reopening import reopen
from callout_orders.knowledge import closing
from callout_orders.sla import extensions, milestones, pausing, reading, states, watch
from callout_orders.sla.policy import policies
from callout_people.principals import Role
from callout_store import timers
from callout_store.errors import WrongState

HOUR = 60
RESTART = {"name": "anew", "rules": [rule("all", 15, 120, 240)], "reopening": "restart"}


@pytest.fixture
async def at_noon(database_url: str) -> AsyncIterator[Clocked]:
    async with clocked(database_url) as found:
        yield found


async def solve(at: Clocked, order_id: UUID) -> None:
    left = await at.run(lambda work: closing.close(work, [order_id], via="desk", data={}))
    assert left == {}


async def again(at: Clocked, order_id: UUID) -> None:
    revision = await at.run(lambda work: reopen(work, order_id, "it did not help"))
    # Whoever goes on with the revision that they were given must not be told that somebody else was there.
    assert revision == await at.world.value("select revision from work_order where id = $1", order_id)


async def look(at: Clocked, order_id: UUID, name: str) -> bool:
    return bool(await at.run(lambda work: watch.check(work, order_id, name)))


async def state_of(at: Clocked, key: str) -> str:
    return str(await at.world.value("select state from timer where key = $1", key))


async def test_an_answer_that_did_not_help_makes_nobody_late(at_noon: Clocked) -> None:
    """The week in which everybody thought that an answer had solved it would be booked as a breach of the arrival."""
    order_id = await at_noon.order()
    at_noon.wait(10)
    await solve(at_noon, order_id)
    at_noon.wait(7 * 24 * HOUR)
    await again(at_noon, order_id)
    found = {
        name: await at_noon.milestone(order_id, name) for name in ("first_response", "arrival", "resolution")
    }
    assert (found["first_response"].state, found["first_response"].met_at) == ("met", NOON + 10 * MINUTE)
    assert "reopened" not in [line.code for line in found["first_response"].why]
    for name, minutes in (("arrival", 120), ("resolution", 240)):
        assert found[name].state == "running"
        assert found[name].remaining_seconds == (minutes - 10) * 60
        assert found[name].why[-1].code == "reopened"
        assert await state_of(at_noon, f"sla:{order_id}:{name}") == "armed"
    assert not await look(at_noon, order_id, "arrival")
    assert await at_noon.lines(order_id, "sla.missed") == []


async def test_with_the_whole_time_anew_it_is_warned_of_and_missed_anew(at_noon: Clocked) -> None:
    """An order that was late the first time would be the one whose second time nobody hears of."""
    await at_noon.run(lambda work: policies.save(work, RESTART, activate=True))
    order_id = await at_noon.order()
    at_noon.wait(5 * HOUR)
    assert await look(at_noon, order_id, "resolution")
    assert not await look(at_noon, order_id, "resolution")
    await solve(at_noon, order_id)
    at_noon.wait(HOUR)
    await again(at_noon, order_id)
    began = at_noon.clock.now()
    found = await at_noon.milestone(order_id)
    assert (found.state, found.missed_at, found.due_at) == ("running", None, began + 240 * MINUTE)
    assert [line.code for line in found.why] == ["promised", "started", "missed", "reopened"]
    assert (await at_noon.timer(order_id, "resolution"))["due_at"] == began + 180 * MINUTE
    at_noon.wait(3 * HOUR)
    assert not await look(at_noon, order_id, "resolution")
    at_noon.wait(HOUR)
    assert await look(at_noon, order_id, "resolution")
    assert not await look(at_noon, order_id, "resolution")
    assert [line["minutes"] for line in await at_noon.lines(order_id, "sla.warned")] == [60, 60]
    first, second = await at_noon.lines(order_id, "sla.missed")
    assert first["dueAt"] == "2026-03-02T16:00:00Z"
    assert datetime.fromisoformat(second["dueAt"]) == began + 240 * MINUTE
    codes = [line.code for line in (await at_noon.milestone(order_id)).why]
    assert codes == ["promised", "started", "missed", "reopened", "missed"]


async def test_a_hold_whose_time_ran_out_while_the_order_was_closed_ends(at_noon: Clocked) -> None:
    """Its timer found the order closed and went to rest: opened again, the order would stand still for ever."""
    order_id = await at_noon.order()
    await at_noon.run(lambda work: pausing.pause(work, order_id, "parts", until=NOON + 60 * MINUTE))
    await solve(at_noon, order_id)
    at_noon.wait(2 * HOUR)
    assert not await at_noon.run(lambda work: pausing.resume_by_itself(work, order_id, "parts"))
    key = pausing.resume_key(order_id, "parts")
    await at_noon.world.fetch("update timer set state = 'fired' where key = $1 returning 1", key)
    await again(at_noon, order_id)
    assert (await at_noon.milestone(order_id)).state == "paused"
    assert await state_of(at_noon, key) == "armed"
    await drain_all(at_noon.db)
    assert (await at_noon.milestone(order_id)).state == "running"


async def test_what_was_put_off_does_not_cancel_what_is_set_after_it(at_noon: Clocked) -> None:
    """Done and opened again in one push: the clock of the order would run without anybody who looks at it."""
    order_id = await at_noon.order()
    await at_noon.run(lambda work: milestones.responded(work, order_id))

    async def both(work: Any) -> None:
        for visits in ((("completed", NOON),), (("completed", NOON), ("scheduled", None))):
            facts = progress.VisitFacts(order_id=order_id, visits=visits)
            await progress.apply_visit_facts(work, [facts])

    await at_noon.run(both)
    assert (await at_noon.milestone(order_id)).state == "running"
    assert await state_of(at_noon, f"sla:{order_id}:resolution") == "armed"


async def test_a_breach_is_not_booked_before_it_is_one(at_noon: Clocked) -> None:
    """A worker that comes late to a mark, seconds before the due time: the answer that is just being typed is in time."""
    order_id = await at_noon.order()
    at_noon.wait(15 - 4 / 60)
    assert not await look(at_noon, order_id, "first_response")
    assert [line["minutes"] for line in await at_noon.lines(order_id, "sla.warned")] == [0]
    at_noon.wait(3 / 60)
    assert await at_noon.run(lambda work: milestones.responded(work, order_id))
    at_noon.wait(1)
    assert not await look(at_noon, order_id, "first_response")
    found = await at_noon.milestone(order_id, "first_response")
    assert (found.state, found.missed_at) == ("met", None)


@pytest.mark.parametrize("how", ("held", "closed by an answer", "closed by its flow"))
async def test_what_was_late_is_told_whatever_comes_before_its_timer(at_noon: Clocked, how: str) -> None:
    """The workers are busy for a minute: an answer that came too late would stand in no report of breaches."""
    order_id = await at_noon.order()
    key = f"sla:{order_id}:first_response"
    at_noon.wait(15)
    await at_noon.world.fetch(
        "update timer set due_at = $2 where key = $1 returning 1", key, at_noon.clock.now()
    )
    at_noon.wait(1)
    if how == "closed by its flow":
        assert await at_noon.run(lambda work: close_by_flow(work, [order_id])) == [order_id]
    elif how == "closed by an answer":
        await solve(at_noon, order_id)
    else:
        assert await at_noon.run(lambda work: milestones.responded(work, order_id))
        assert await at_noon.run(lambda work: pausing.pause(work, order_id, "customer"))
    assert await state_of(at_noon, key) == "armed"
    assert await look(at_noon, order_id, "first_response")
    assert not await look(at_noon, order_id, "first_response")
    (line,) = await at_noon.lines(order_id, "sla.missed")
    assert line["metAt"] == "2026-03-02T12:16:00Z"
    # What was not due yet has nothing to say any more.
    assert await state_of(at_noon, f"sla:{order_id}:arrival") == "canceled"


async def test_of_an_order_that_was_called_off_nothing_more_is_said(at_noon: Clocked) -> None:
    """A firing that was on its way when the order was called off: its supervisor is called, its customer told of a breach."""
    early, late = await at_noon.order(), await at_noon.order()
    at_noon.wait(13)
    await at_noon.run(lambda work: orders.cancel_order(work, early, "gone"))
    at_noon.wait(13)
    await at_noon.run(lambda work: orders.cancel_order(work, late, "gone"))
    for order_id in (early, late):
        assert not await look(at_noon, order_id, "first_response")
        assert await at_noon.lines(order_id, "sla.warned", "sla.missed") == []
    assert await state_of(at_noon, f"sla:{late}:first_response") == "canceled"


async def test_a_firing_that_was_overtaken_ends_nothing(at_noon: Clocked) -> None:
    """The parts come later, and somebody says so in the second in which the hold ends: the clock would go on without them; a
    deadline that was moved once more would come back at the first time."""
    order_id = await at_noon.order()

    async def give(minutes: int) -> None:
        until = NOON + minutes * MINUTE
        await at_noon.run(lambda work: pausing.pause(work, order_id, "parts", until=until))
        await at_noon.run(lambda work: extensions.move(work, order_id, "arrival", 30, until, "storm"))

    await give(60)
    async with at_noon.db.system_work() as work:
        await work.execute("update clock_guard set frozen_until = null, looked_at = now()")
    # The database's clock is months ahead of noon.
    assert await timers.fire_due(at_noon.db) > 0
    at_noon.wait(59)
    await give(62)
    await at_noon.world.fetch("update timer set state = 'canceled' where state = 'armed' returning 1")
    await drain_all(at_noon.db)
    found = await at_noon.milestone(order_id, "arrival")
    assert (found.state, found.moved_until) == ("paused", NOON + 62 * MINUTE)
    assert await at_noon.lines(order_id, "work_order.resumed", "work_order.deadline_restored") == []


async def test_nothing_is_said_while_it_stands_still(at_noon: Clocked) -> None:
    """A firing that comes just after the hold: everybody is warned of a deadline that there is not."""
    order_id = await at_noon.order()
    at_noon.wait(200)
    await at_noon.run(lambda work: pausing.pause(work, order_id, "parts"))
    assert not await look(at_noon, order_id, "resolution")
    assert await at_noon.lines(order_id, "sla.warned") == []


async def test_an_order_that_is_over_gets_no_deadline_back(at_noon: Clocked) -> None:
    """Its history would tell of a deadline that came back when nobody waited for it any more."""
    order_id = await at_noon.order()
    until = NOON + 60 * MINUTE
    await at_noon.run(lambda work: extensions.move(work, order_id, "resolution", 30, until, "storm"))
    await at_noon.run(lambda work: orders.cancel_order(work, order_id, "gone"))
    at_noon.wait(61)
    assert not await at_noon.run(lambda work: watch.expire(work, order_id, "resolution"))
    assert await at_noon.lines(order_id, "work_order.deadline_restored") == []


async def test_a_supervisor_is_asked_for_as_long_as_it_is_owed(at_noon: Clocked) -> None:
    """Another priority, and the supervisor's to-do of before; the new one would end with the next thing that is settled."""
    await someone(at_noon.world, Role.SUPERVISOR)
    order_id = await at_noon.order("P1")
    await at_noon.run(lambda work: orders.change_priority(work, order_id, "P0"))
    at_noon.wait(13)
    await look(at_noon, order_id, "first_response")
    (todo,) = await at_noon.world.fetch("select matter, state from todo")
    assert (todo["matter"], todo["state"]) == (f"sla:{order_id}:first_response:2", "open")
    await at_noon.run(lambda work: watch.settle(work, order_id))
    assert await at_noon.world.value("select state from todo") == "open"


async def test_a_deadline_comes_back_where_the_workers_clock_is_behind(at_noon: Clocked) -> None:
    """The database's clock fires; a worker that is four minutes behind would put it away, and the deadline stay moved."""
    order_id = await at_noon.order("P1")
    until = NOON + 40 * MINUTE
    await at_noon.run(lambda work: extensions.move(work, order_id, "first_response", 60, until, "storm"))
    at_noon.wait(36)
    assert await at_noon.run(lambda work: watch.expire(work, order_id, "first_response"))
    found = await at_noon.milestone(order_id, "first_response")
    assert (found.state, found.moved_until) == ("missed", None)
    assert (await at_noon.timer(order_id, "first_response"))["due_at"] == at_noon.clock.now()


async def test_the_supervisor_is_asked_at_a_moment_that_is_no_mark(at_noon: Clocked) -> None:
    """A policy that names the moment for the supervisor and no mark beside it would never ask anybody."""
    boss = await someone(at_noon.world, Role.SUPERVISOR)
    body = {
        "name": "half an hour",
        "rules": [rule("all")],
        "alarms": {"arrival": {"marks": [60], "supervisorAt": 30}},
    }
    await at_noon.run(lambda work: policies.save(work, body, activate=True))
    order_id = await at_noon.order()
    assert (await at_noon.milestone(order_id, "arrival")).marks == (60, 30)
    at_noon.wait(60)
    await look(at_noon, order_id, "arrival")
    assert await at_noon.world.fetch("select 1 from todo") == []
    at_noon.wait(30)
    await look(at_noon, order_id, "arrival")
    assert [row["user_id"] for row in await at_noon.world.fetch("select user_id from todo")] == [boss]


async def test_a_state_stops_a_clock_that_people_may_not_change_any_more(
    at_noon: Clocked, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What has to be noted by itself would fail, be tried for hours, and be given up."""
    body = {"name": "states", "rules": [rule("all")], "pauses": {"cannotComplete": ["resolution"]}}
    await at_noon.run(lambda work: policies.save(work, body, activate=True))
    order_id = await at_noon.order()
    await at_noon.run(lambda work: pausing.pause(work, order_id, "parts"))
    monkeypatch.setattr(pausing, "EVENTS_MAX", 1)
    facts = progress.VisitFacts(order_id=order_id, visits=(("could_not_complete", NOON),))
    await at_noon.run(lambda work: progress.apply_visit_facts(work, [facts]))
    await at_noon.run(lambda work: states.follow(work, order_id))
    assert "state:cannot_complete" in (await at_noon.milestone(order_id)).paused_reasons


async def test_a_duplicates_hold_stops_no_clock(at_noon: Clocked) -> None:
    """A linked duplicate has no clock: its customer would be told that one stands still, and later that it goes on."""
    first, second = await at_noon.order(), await at_noon.order()
    await at_noon.run(
        lambda work: work.execute("update work_order set duplicate_of_id = $2 where id = $1", second, first)
    )
    await at_noon.run(lambda work: pausing.pause(work, second, "customer"))
    await at_noon.run(lambda work: pausing.resume(work, second))
    assert await at_noon.lines(second, "sla.paused", "sla.resumed") == []
    assert len(await at_noon.lines(second, "work_order.held", "work_order.resumed")) == 2


async def test_a_deadline_is_moved_only_where_one_is_still_ahead(at_noon: Clocked) -> None:
    """Whoever was late would be given the time afterwards; an order that is over would get a clock."""
    met, over = await at_noon.order(), await at_noon.order()
    until = NOON + timedelta(hours=9)

    async def move(id_: UUID, name: str) -> str:
        with pytest.raises(WrongState) as caught:
            await at_noon.run(lambda work: extensions.move(work, id_, name, 30, until, "storm"))
        return str(caught.value.details["state"])

    at_noon.wait(5)
    await at_noon.run(lambda work: milestones.responded(work, met))
    assert await move(met, "first_response") == "met"
    at_noon.wait(2 * HOUR)
    assert await move(met, "arrival") == "missed"
    await at_noon.run(lambda work: orders.cancel_order(work, over, "gone"))
    assert await move(over, "resolution") == "canceled"
    assert await at_noon.world.fetch("select 1 from sla_event where kind = 'moved'") == []


async def test_a_deadline_that_was_put_back_by_hand_has_no_timer_left(at_noon: Clocked) -> None:
    """It fires at what the deadline is no more, and wakes a worker for nothing."""
    order_id = await at_noon.order()
    until = NOON + 60 * MINUTE
    await at_noon.run(lambda work: extensions.move(work, order_id, "arrival", 30, until, "wrong one"))
    key = extensions.moved_key(order_id, milestones.MilestoneName.ARRIVAL)
    assert await state_of(at_noon, key) == "armed"
    await at_noon.run(lambda work: extensions.restore(work, order_id, "arrival"))
    assert await state_of(at_noon, key) == "canceled"


async def test_what_is_left_stands_still_and_goes_below_zero(at_noon: Clocked) -> None:
    """A countdown that ran on while everybody waits, or started anew after a breach, would send people for nothing."""
    order_id = await at_noon.order()
    at_noon.wait(230)
    await at_noon.run(lambda work: pausing.pause(work, order_id, "parts"))
    left = []
    for minutes in (0, 500):
        at_noon.wait(minutes)
        found = await at_noon.milestone(order_id)
        left.append((found.state, found.due_at, found.remaining_seconds))
    assert left == [("paused", None, 600)] * 2
    await at_noon.run(lambda work: pausing.resume(work, order_id))
    at_noon.wait(11)
    found = await at_noon.milestone(order_id)
    assert (found.state, found.remaining_seconds) == ("missed", -60)
    # Late, and on hold: it is late by as much as it was.
    await at_noon.run(lambda work: pausing.pause(work, order_id, "parts"))
    at_noon.wait(100)
    found = await at_noon.milestone(order_id)
    assert (found.state, found.remaining_seconds, found.paused_reasons) == ("missed", -60, ())
    ((hold, _),) = await at_noon.run(lambda work: reading.holds_by_order_ids(work, [order_id]))
    assert hold.ended_at is not None
