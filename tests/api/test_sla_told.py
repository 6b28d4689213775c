"""What is said about orders' clocks: marks, breaches, deadlines that were moved, and the timers that carry it."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest
from graph import someone
from sla_clocked import HANDLERS, MINUTE, NOON, Clocked, clocked, drain_all
from worlds import World

from callout_backend.jobs.drain import drain
from callout_orders import orders, progress
from callout_orders.checks import FieldsRefused
from callout_orders.sla import extensions, milestones, reading, watch
from callout_people.principals import Role
from callout_store.errors import WrongState
from callout_store.ids import new_id
from callout_store.work import Database


@pytest.fixture
async def at_noon(database_url: str) -> AsyncIterator[Clocked]:
    async with clocked(database_url) as found:
        yield found


async def test_marks_are_spoken_of_once_and_the_supervisor_is_asked(at_noon: Clocked) -> None:
    """A desk that hears everything twice listens to nothing; a supervisor who is not asked cannot help."""
    boss = await someone(at_noon.world, Role.SUPERVISOR)
    order_id = await at_noon.order("P1")

    async def look() -> bool:
        return bool(await at_noon.run(lambda work: watch.check(work, order_id, "first_response")))

    async def said() -> list[tuple[float, list[float]]]:
        return [(line["minutes"], line["skipped"]) for line in await at_noon.lines(order_id, "sla.warned")]

    assert not await look()
    assert await said() == []
    at_noon.wait(5)
    await look()
    await look()
    assert await said() == [(10, [])]
    assert await at_noon.world.fetch("select 1 from todo") == []
    at_noon.wait(7)  # three minutes are left; nobody looked at five
    await look()
    assert await said() == [(10, []), (3, [5])]
    (todo,) = await at_noon.world.fetch("select user_id, state, urgent, due_at, matter from todo")
    assert (todo["user_id"], todo["state"], todo["urgent"]) == (boss, "open", True)
    assert todo["due_at"] == NOON + 15 * MINUTE
    line = (await at_noon.lines(order_id, "sla.warned"))[-1]
    assert line["supervisorIds"] == [str(boss)]
    assert line["remainingSeconds"] == 180
    at_noon.wait(3)
    assert await look()
    assert not await look()
    assert await said() == [(10, []), (3, [5]), (0, [])]
    (missed,) = await at_noon.lines(order_id, "sla.missed")
    assert (missed["milestone"], missed["number"]) == ("first_response", "WO-000001")
    assert (await at_noon.milestone(order_id, "first_response")).missed_at == NOON + 15 * MINUTE


async def test_an_answer_ends_what_the_supervisor_was_asked(at_noon: Clocked) -> None:
    """To-dos that stay open after the matter is settled teach people not to look at them."""
    await someone(at_noon.world, Role.SUPERVISOR)
    order_id = await at_noon.order("P1")
    at_noon.wait(13)
    await at_noon.run(lambda work: watch.check(work, order_id, "first_response"))
    assert await at_noon.run(lambda work: milestones.responded(work, order_id))
    assert not await at_noon.run(lambda work: milestones.responded(work, order_id))
    assert await at_noon.run(lambda work: milestones.responded(work, order_id, NOON + MINUTE))
    assert (
        await at_noon.world.value("select state from outbox where stream = $1", f"sla-settle:{order_id}")
        == "ready"
    )
    await at_noon.run(lambda work: watch.settle(work, order_id))
    await at_noon.run(lambda work: watch.settle(work, order_id))
    assert await at_noon.world.value("select state from todo") == "done"
    found = await at_noon.milestone(order_id, "first_response")
    assert (found.state, found.met_at) == ("met", NOON + MINUTE)


async def test_arrived_and_done_in_one_push(at_noon: Clocked) -> None:
    """A phone that was offline tells both at once; the second would make the first one fail, and the push with it."""
    await someone(at_noon.world, Role.SUPERVISOR)
    order_id = await at_noon.order("P1")
    at_noon.wait(13)
    await at_noon.run(lambda work: watch.check(work, order_id, "first_response"))

    async def act(work: Any) -> None:
        for visits, moments in (
            ((("in_progress", None),), {"responded_at": NOON + 14 * MINUTE}),
            ((("completed", NOON + 15 * MINUTE),), {"resolved_at": NOON + 15 * MINUTE}),
        ):
            facts = progress.VisitFacts(order_id=order_id, visits=visits, **moments)  # type: ignore[arg-type]
            await progress.apply_visit_facts(work, [facts])

    await at_noon.run(act)
    await drain_all(at_noon.db)
    assert await at_noon.world.value("select state from todo") == "done"
    assert (await at_noon.milestone(order_id)).state == "met"


async def test_an_engineer_who_comes_late_ends_it_too(at_noon: Clocked) -> None:
    """A supervisor would go on chasing an order whose engineer has been on site since."""
    await someone(at_noon.world, Role.SUPERVISOR)
    order_id = await at_noon.order("P1")
    at_noon.wait(16)
    await at_noon.run(lambda work: watch.check(work, order_id, "first_response"))
    assert await at_noon.world.value("select state from todo") == "open"
    facts = progress.VisitFacts(
        order_id=order_id, visits=(("in_progress", None),), responded_at=at_noon.clock.now()
    )
    await at_noon.run(lambda work: progress.apply_visit_facts(work, [facts]))
    assert (
        await at_noon.world.value("select state from outbox where stream = $1", f"sla-settle:{order_id}")
        == "ready"
    )
    await at_noon.run(lambda work: watch.settle(work, order_id))
    assert await at_noon.world.value("select state from todo") == "done"


async def test_a_late_answer_is_told_as_late(at_noon: Clocked) -> None:
    """Where the workers were down at the deadline, an answer after it would hide that it was missed."""
    order_id = await at_noon.order("P1")
    at_noon.wait(20)
    await at_noon.run(lambda work: milestones.responded(work, order_id))
    assert (await at_noon.timer(order_id, "first_response"))["state"] == "armed"
    assert await at_noon.run(lambda work: watch.check(work, order_id, "first_response"))
    (line,) = await at_noon.lines(order_id, "sla.missed")
    assert line["metAt"] == "2026-03-02T12:20:00Z"


async def test_a_breach_stays_when_a_phone_proves_otherwise(at_noon: Clocked) -> None:
    """The customer was told of a breach: the page must show that, and that the engineer was there in time."""
    order_id = await at_noon.order()
    at_noon.wait(121)
    assert await at_noon.run(lambda work: watch.check(work, order_id, "arrival"))
    facts = progress.VisitFacts(
        order_id=order_id, visits=(("in_progress", None),), arrived_at=NOON + 100 * MINUTE
    )
    await at_noon.run(lambda work: progress.apply_visit_facts(work, [facts]))
    found = await at_noon.milestone(order_id, "arrival")
    assert (found.state, found.in_time) == ("missed", True)
    assert (found.met_at, found.missed_at) == (NOON + 100 * MINUTE, NOON + 121 * MINUTE)
    assert found.why[-1].code == "met_in_time_after_all"
    await at_noon.run(lambda work: orders.change_priority(work, order_id, "P2"))
    assert (await at_noon.milestone(order_id, "arrival")).state == "missed"


async def test_a_moved_deadline_comes_back(at_noon: Clocked) -> None:
    """More time given for an hour would be more time for ever, or the marks before the new deadline stay silent."""
    order_id = await at_noon.order("P1")
    at_noon.wait(12)
    await at_noon.run(lambda work: watch.check(work, order_id, "first_response"))

    async def move(minutes: int, until: datetime, reason: str = "storm") -> Any:
        return await at_noon.run(
            lambda work: extensions.move(work, order_id, "first_response", minutes, until, reason)
        )

    stands = await move(30, NOON + 40 * MINUTE)
    assert (stands.due_at, stands.original_due_at) == (NOON + 45 * MINUTE, NOON + 15 * MINUTE)
    assert (await at_noon.timer(order_id, "first_response"))["due_at"] == NOON + 35 * MINUTE
    (line,) = await at_noon.lines(order_id, "work_order.deadline_moved")
    assert (line["minutes"], line["reason"], line["until"]) == (30, "storm", "2026-03-02T12:40:00Z")
    found = await at_noon.milestone(order_id, "first_response")
    assert (found.state, found.moved_until, found.epoch) == ("running", NOON + 40 * MINUTE, 2)
    at_noon.wait(20)
    assert not await at_noon.run(lambda work: watch.expire(work, order_id, "first_response"))
    assert not await at_noon.run(lambda work: watch.check(work, order_id, "first_response"))
    at_noon.wait(8)
    assert await at_noon.run(lambda work: watch.expire(work, order_id, "first_response"))
    assert not await at_noon.run(lambda work: watch.expire(work, order_id, "first_response"))
    (line,) = await at_noon.lines(order_id, "work_order.deadline_restored")
    assert (line["why"], line["dueAt"]) == ("expired", "2026-03-02T12:15:00Z")
    assert await at_noon.run(lambda work: watch.check(work, order_id, "first_response"))
    with pytest.raises(WrongState):
        await move(30, NOON + 80 * MINUTE)


async def test_a_moved_deadline_is_put_back_by_hand(at_noon: Clocked) -> None:
    """Whoever moved the wrong order's deadline could not take it back."""
    order_id = await at_noon.order("P1")
    await at_noon.run(
        lambda work: extensions.move(work, order_id, "arrival", 30, NOON + 60 * MINUTE, "wrong one")
    )
    assert await at_noon.run(lambda work: extensions.restore(work, order_id, "arrival"))
    assert not await at_noon.run(lambda work: extensions.restore(work, order_id, "arrival"))
    assert (await at_noon.milestone(order_id, "arrival")).due_at == NOON + 480 * MINUTE
    with pytest.raises(FieldsRefused) as caught:
        await at_noon.run(lambda work: extensions.move(work, order_id, "lunch", 0, NOON, " "))
    assert [fault.path for fault in caught.value.faults] == ["milestone", "minutes", "until", "reason"]


async def test_a_linked_duplicate_has_no_clock(at_noon: Clocked) -> None:
    """One leak reported by five tenants would be missed five times."""
    first = await at_noon.order("P1")
    second = await at_noon.order("P1")
    async with at_noon.db.work(at_noon.world.org) as work:
        await work.execute("update work_order set duplicate_of_id = $2 where id = $1", second, first)
    at_noon.wait(60)
    assert not await at_noon.run(lambda work: watch.check(work, second, "first_response"))
    assert (await at_noon.run(lambda work: reading.milestones_by_order_ids(work, [second, new_id()]))) == [
        [],
        [],
    ]


async def test_timers_say_each_thing_and_wait_for_the_next(db: Database) -> None:
    """The chain from one mark to the next must not break, whatever else is on the way; a leap of the clock waits."""
    world = await World(db).build(phones=1)
    order_id = await world.order(priority="P1", created_at=datetime.now(UTC) - 6 * MINUTE)
    key = f"sla:{order_id}:first_response"

    async def turn() -> list[float]:
        await drain_all(db)
        rows = await world.fetch(
            "select data->>'minutes' as m from journal where kind = 'sla.warned' and order_id = $1 order by id",
            order_id,
        )
        return [float(row["m"]) for row in rows]

    async def let_pass(minutes: int) -> None:
        async with db.work(world.org) as work:
            await work.execute(
                "update work_order set created_at = created_at - make_interval(mins => $2) where id = $1",
                order_id,
                minutes,
            )
            await work.execute(
                "update timer set due_at = due_at - make_interval(mins => $2) where key = $1 and state = 'armed'",
                key,
                minutes,
            )

    assert await turn() == [10]
    assert await turn() == [10]
    await let_pass(5)
    async with db.system_work() as work:
        await work.execute("update clock_guard set frozen_until = now() + interval '1 minute'")
    await drain(db, HANDLERS)
    assert await world.value("select state from timer where key = $1", key) == "armed"
    assert await turn() == [10, 5]
    await let_pass(2)
    assert await turn() == [10, 5, 3]
    await let_pass(3)
    assert await turn() == [10, 5, 3, 0]
    assert (
        await world.value(
            "select count(*) from journal where kind = 'sla.missed' and order_id = $1", order_id
        )
        == 1
    )
    assert await world.value("select state from timer where key = $1", key) == "fired"


async def test_after_a_reopening_the_marks_are_spoken_of_again(at_noon: Clocked) -> None:
    """A repair that failed would run into its deadline without a word, because all was said the first time."""
    order_id = await at_noon.order("P1")
    await at_noon.run(
        lambda work: work.execute(
            "update work_order set responded_at = $2, arrived_at = $2 where id = $1", order_id, NOON
        )
    )
    due = (await at_noon.milestone(order_id)).due_at
    assert due is not None

    async def look() -> list[float]:
        await at_noon.run(lambda work: watch.check(work, order_id, "resolution"))
        return [line["minutes"] for line in await at_noon.lines(order_id, "sla.warned")]

    at_noon.clock.set(due - MINUTE)
    said = await look()
    assert said
    assert await look() == said
    await at_noon.run(lambda work: milestones.reopened(work, [(order_id, at_noon.clock.now())]))
    assert (await at_noon.milestone(order_id)).epoch == 2
    assert await look() == said * 2
