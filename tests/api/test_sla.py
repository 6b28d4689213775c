"""Orders' clocks on a real database: started, held, changed, reopened, and what is said about them."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
import pytest
from graph import someone
from worlds import World

from callout_backend.jobs.drain import drain
from callout_backend.jobs.handlers import check_sla, restore_deadline, resume_sla, settle_sla
from callout_orders import orders, progress
from callout_orders.checks import FieldsRefused
from callout_orders.sla import extensions, milestones, pausing, policies, reading, states, tiers, watch
from callout_orders.sla.clocks import SETTLE_CHANNEL
from callout_people.principals import Role
from callout_store.clock import ManualClock
from callout_store.errors import BadField, LimitExceeded, NotFound, WrongState
from callout_store.ids import new_id
from callout_store.work import Database

NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
HANDLERS = {
    milestones.CHANNEL: check_sla,
    SETTLE_CHANNEL: settle_sla,
    pausing.RESUME_CHANNEL: resume_sla,
    extensions.MOVED_CHANNEL: restore_deadline,
}
OFFICE = {"code": "office", "timeZone": "Asia/Shanghai", "week": {
    day: ["09:00-12:00", "13:00-18:00"] for day in ("mon", "tue", "wed", "thu", "fri")}}  # fmt: skip


def rule(
    code: str, first: int = 15, arrival: int = 120, resolution: int = 240, **more: Any
) -> dict[str, Any]:
    return {
        "code": code,
        "firstResponse": {"minutes": first},
        "arrival": {"minutes": arrival},
        "resolution": {"minutes": resolution},
        **more,
    }


async def drain_all(db: Database) -> None:
    """Run what is due; timers rest for a while after the clock was seen to jump, as it does between tests."""
    async with db.system_work() as work:
        await work.execute("update clock_guard set frozen_until = null, looked_at = now()")
    await drain(db, HANDLERS)


class Clocked:
    """A world whose clock is set by hand."""

    def __init__(self, world: World, clock: ManualClock) -> None:
        self.world, self.clock, self.db = world, clock, world.db

    async def order(self, priority: str = "P0", **more: Any) -> UUID:
        return await self.world.order(priority=priority, **more)

    async def run(self, act: Any) -> Any:
        return await self.db.run(self.world.org, act, actor=self.world.dispatcher)

    def wait(self, minutes: float) -> None:
        self.clock.set(self.clock.now() + minutes * MINUTE)

    async def milestone(self, order_id: UUID, name: str = "resolution") -> reading.MilestoneView:
        found = await self.run(lambda work: reading.milestones_by_order_ids(work, [order_id]))
        return next(one for one in found[0] if one.name == name)

    async def lines(self, order_id: UUID, *kinds: str) -> list[dict[str, Any]]:
        rows = await self.world.fetch(
            "select kind, data::text as data from journal where order_id = $1 and kind = any($2) order by id",
            order_id,
            list(kinds),
        )
        return [msgspec.json.decode(row["data"]) for row in rows]

    async def timer(self, order_id: UUID, name: str) -> Any:
        (row,) = await self.world.fetch(
            "select due_at, state, epoch from timer where key = $1", f"sla:{order_id}:{name}"
        )
        return row


@pytest.fixture
async def at_noon(database_url: str) -> AsyncIterator[Clocked]:
    clock = ManualClock(NOON)
    db = Database(database_url, clock=clock)
    await db.start()
    try:
        yield Clocked(await World(db).build(phones=1), clock)
    finally:
        await db.stop()


async def test_while_on_hold_the_clock_stands_still(at_noon: Clocked) -> None:
    """An order that waits for the customer would be booked as late although nobody could do anything."""
    order_id = await at_noon.order()
    at_noon.wait(60)
    assert await at_noon.run(lambda work: pausing.pause(work, order_id, "customer", note="calls back"))
    assert not await at_noon.run(lambda work: pausing.pause(work, order_id, "customer"))
    at_noon.wait(600)
    found = await at_noon.milestone(order_id)
    assert (found.state, found.due_at, found.remaining_seconds) == ("paused", None, 180 * 60)
    assert (found.paused_since, found.paused_reasons) == (NOON + 60 * MINUTE, ("customer",))
    # The first response is owed whoever is waited for.
    assert (await at_noon.milestone(order_id, "first_response")).state == "missed"
    assert (await at_noon.timer(order_id, "resolution"))["state"] == "canceled"
    row = (
        await at_noon.world.fetch(
            "select hold_reason, resolve_due_at from work_order where id = $1", order_id
        )
    )[0]
    assert (row["hold_reason"], row["resolve_due_at"]) == ("customer", NOON + 240 * MINUTE)
    assert await at_noon.run(lambda work: pausing.resume(work, order_id, "customer"))
    assert not await at_noon.run(lambda work: pausing.resume(work, order_id))
    found = await at_noon.milestone(order_id)
    assert (found.state, found.due_at) == ("running", NOON + 840 * MINUTE)
    assert [line.code for line in found.why] == ["promised", "started", "paused", "resumed"]
    assert "等待客户" in found.why[2].zh
    assert "calls back" in found.why[2].en
    assert (await at_noon.timer(order_id, "resolution"))["due_at"] == NOON + 780 * MINUTE
    assert [line["milestones"] for line in await at_noon.lines(order_id, "sla.paused", "sla.resumed")] == [
        ["arrival", "resolution"]
    ] * 2
    assert [
        line["reason"] for line in await at_noon.lines(order_id, "work_order.held", "work_order.resumed")
    ] == ["customer"] * 2
    ((hold,),) = await at_noon.run(lambda work: reading.holds_by_order_ids(work, [order_id]))
    assert (hold.since, hold.ended_at, hold.note) == (NOON + 60 * MINUTE, NOON + 660 * MINUTE, "calls back")
    assert hold.by_user_id == at_noon.world.dispatcher.user_id


async def test_a_reason_that_stops_nothing_only_says_why(at_noon: Clocked) -> None:
    """A hold for any other reason must not be a way to stop a clock that the policy lets run."""
    order_id = await at_noon.order()
    await at_noon.run(lambda work: pausing.pause(work, order_id, "other", note="lunch"))
    assert (await at_noon.milestone(order_id)).state == "running"
    assert await at_noon.lines(order_id, "sla.paused") == []
    assert len(await at_noon.lines(order_id, "work_order.held")) == 1


async def test_bad_holds_are_refused_with_all_that_is_wrong(at_noon: Clocked) -> None:
    """A person would mend one field after the other, or stop the clock of an order that is done."""
    order_id = await at_noon.order()
    with pytest.raises(FieldsRefused) as caught:
        await at_noon.run(
            lambda work: pausing.pause(
                work, order_id, "holiday", note="x" * 1001, until=at_noon.clock.now() - MINUTE
            )
        )
    assert [fault.path for fault in caught.value.faults] == ["reason", "note", "until"]
    assert "将来" in caught.value.message("zh")
    with pytest.raises(BadField):
        await at_noon.run(
            lambda work: pausing.pause(work, order_id, "parts", until=NOON + timedelta(days=500))
        )
    with pytest.raises(NotFound):
        await at_noon.run(lambda work: pausing.pause(work, new_id(), "parts"))
    await at_noon.run(lambda work: orders.cancel_order(work, order_id, "gone"))
    with pytest.raises(WrongState):
        await at_noon.run(lambda work: pausing.pause(work, order_id, "parts"))
    assert (await at_noon.milestone(order_id)).state == "stopped"


async def test_a_hold_ends_by_itself_once(at_noon: Clocked) -> None:
    """A hold that is forgotten would stop the clock for ever; one that was prolonged would end too early."""
    order_id = await at_noon.order()
    until = NOON + 60 * MINUTE
    await at_noon.run(lambda work: pausing.pause(work, order_id, "parts", until=until))
    (timer,) = await at_noon.world.fetch("select key, due_at, state from timer where key like 'sla-resume:%'")
    assert (timer["key"], timer["due_at"]) == (f"sla-resume:{order_id}:parts", until)
    assert (await at_noon.milestone(order_id)).planning_due_at == NOON + 300 * MINUTE
    at_noon.wait(60)
    assert await at_noon.run(lambda work: pausing.resume_by_itself(work, order_id, "parts"))
    assert not await at_noon.run(lambda work: pausing.resume_by_itself(work, order_id, "parts"))
    assert (await at_noon.milestone(order_id)).due_at == NOON + 300 * MINUTE


async def test_a_hold_is_prolonged(at_noon: Clocked) -> None:
    """Parts come later than was said: the clock would go on at the first date, before they are there."""
    order_id = await at_noon.order()

    async def hold(minutes: int | None) -> bool:
        until = None if minutes is None else NOON + minutes * MINUTE
        return bool(await at_noon.run(lambda work: pausing.pause(work, order_id, "parts", until=until)))

    assert [await hold(60), await hold(60), await hold(None), await hold(90)] == [True, False, False, True]
    at_noon.wait(10)
    found = await at_noon.milestone(order_id)
    assert (found.paused_since, found.planning_due_at) == (NOON, NOON + 330 * MINUTE)
    ((one,),) = await at_noon.run(lambda work: reading.holds_by_order_ids(work, [order_id]))
    assert (one.since, one.until) == (NOON, NOON + 90 * MINUTE)
    timer = await at_noon.world.fetch(
        "select due_at, epoch from timer where key = $1", f"sla-resume:{order_id}:parts"
    )
    assert [tuple(row) for row in timer] == [(NOON + 90 * MINUTE, 2)]


async def test_a_clock_is_not_changed_without_end(at_noon: Clocked, monkeypatch: pytest.MonkeyPatch) -> None:
    """A script that puts an order on hold and off again all day would make everybody wait who looks at it."""
    monkeypatch.setattr(pausing, "EVENTS_MAX", 4)
    order_id = await at_noon.order()
    for _ in range(2):
        await at_noon.run(lambda work: pausing.pause(work, order_id, "parts"))
        await at_noon.run(lambda work: pausing.resume(work, order_id))
    with pytest.raises(LimitExceeded) as caught:
        await at_noon.run(lambda work: pausing.pause(work, order_id, "parts"))
    assert "计时" in caught.value.message("zh")
    with pytest.raises(LimitExceeded):
        await at_noon.run(
            lambda work: extensions.move(work, order_id, "arrival", 5, NOON + 9 * MINUTE, "storm")
        )


async def test_a_state_stops_the_clock_where_the_policy_says_so(at_noon: Clocked) -> None:
    """A failed visit waits for the customer's new date; a contract that stops the clock for it must be kept."""
    body = {"name": "states", "rules": [rule("all")], "pauses": {"cannotComplete": ["resolution"]}}
    before = await at_noon.order()
    await at_noon.run(lambda work: policies.save(work, body, activate=True))
    order_id = await at_noon.order()

    async def tell(id_: UUID, *visits: tuple[str, datetime | None]) -> None:
        async def act(work: Any) -> None:
            await progress.apply_visit_facts(work, [progress.VisitFacts(order_id=id_, visits=visits)])
            await states.watch(work, work.lines)

        await at_noon.run(act)
        assert (
            await at_noon.world.value("select state from timer where key = $1", f"sla-state:{id_}") == "armed"
        )
        await at_noon.run(lambda work: states.follow(work, id_))
        await at_noon.run(lambda work: states.follow(work, id_))

    for id_ in (before, order_id):
        await tell(id_, ("could_not_complete", NOON))
    assert (await at_noon.milestone(before)).state == "running"
    found = await at_noon.milestone(order_id)
    assert (found.state, found.paused_reasons) == ("paused", ("state:cannot_complete",))
    assert "等待重新安排" in found.why[-1].zh
    # People end their own holds only; this one ends with the state.
    assert not await at_noon.run(lambda work: pausing.resume(work, order_id))
    at_noon.wait(100)
    await tell(order_id, ("could_not_complete", NOON), ("scheduled", None))
    assert (await at_noon.milestone(order_id)).due_at == NOON + 340 * MINUTE


async def test_without_such_a_policy_no_timer_is_set(at_noon: Clocked) -> None:
    """Every failed visit of every organisation would set a timer that has nothing to do."""
    order_id = await at_noon.order()

    async def act(work: Any) -> None:
        facts = progress.VisitFacts(order_id=order_id, visits=(("could_not_complete", NOON),))
        await progress.apply_visit_facts(work, [facts])
        await states.watch(work, work.lines)

    await at_noon.run(act)
    assert await at_noon.world.value("select count(*) from timer where key like 'sla-state:%'") == 0


async def test_a_version_that_was_undone_is_not_remembered(at_noon: Clocked) -> None:
    """Orders of this process would go by a policy that was never stored, under the number of another one."""

    async def fail(work: Any) -> None:
        await policies.save(work, {"name": "draft", "rules": [rule("draft")]}, activate=True)
        assert (await policies.active(work)).name == "draft"
        raise NotFound(entity="work order")

    with pytest.raises(NotFound):
        await at_noon.run(fail)
    await at_noon.run(
        lambda work: policies.save(work, {"name": "real", "rules": [rule("real")]}, activate=True)
    )
    assert (await at_noon.milestone(await at_noon.order())).rule == "real"


async def test_another_priority_counts_from_creation_with_all_pauses(at_noon: Clocked) -> None:
    """An order that became urgent while it waited for parts would be late the moment its priority changes."""
    order_id = await at_noon.order("P2")
    at_noon.wait(30)
    await at_noon.run(lambda work: pausing.pause(work, order_id, "parts"))
    at_noon.wait(100)
    await at_noon.run(lambda work: pausing.resume(work, order_id))
    at_noon.wait(10)
    await at_noon.run(lambda work: orders.change_priority(work, order_id, "P0"))
    found = await at_noon.milestone(order_id)
    assert (found.rule, found.due_at) == ("p0", NOON + 340 * MINUTE)
    assert found.epoch == 2
    assert found.why[-1].code == "changed"
    assert "p2 → p0" in found.why[-1].en
    row = (
        await at_noon.world.fetch("select sla_policy, resolve_due_at from work_order where id = $1", order_id)
    )[0]
    assert (row["sla_policy"], row["resolve_due_at"]) == ("0:p0", NOON + 340 * MINUTE)


async def test_another_tier_changes_what_runs_and_leaves_what_is_over(at_noon: Clocked) -> None:
    """A customer who buys gold waits as before on the orders that matter to them now."""
    body = {"name": "tiers", "rules": [rule("all"), rule("gold", 5, 60, 120, tiers=["gold"])]}
    await at_noon.run(lambda work: policies.save(work, body, activate=True))
    running, done = await at_noon.order(), await at_noon.order()
    await at_noon.run(lambda work: orders.cancel_order(work, done, "gone"))
    at_noon.wait(10)
    customer = at_noon.world.customer
    assert await at_noon.run(lambda work: tiers.change_tier(work, customer, "gold", "contract")) == 1
    assert await at_noon.run(lambda work: tiers.change_tier(work, customer, "gold")) == 0
    assert (await at_noon.milestone(running)).due_at == NOON + 120 * MINUTE
    assert (await at_noon.milestone(done)).rule == "all"
    (line,) = await at_noon.lines(running, "work_order.tier_changed")
    assert (line["from"], line["to"], line["reason"]) == ("standard", "gold", "contract")
    assert await at_noon.lines(done, "work_order.tier_changed") == []
    with pytest.raises(BadField):
        await at_noon.run(lambda work: tiers.change_tier(work, customer, "platinum"))


async def test_an_order_keeps_the_policy_it_came_in_by(at_noon: Clocked) -> None:
    """A new contract from tomorrow on would change what was promised today."""
    before = await at_noon.order()
    body = {
        "name": "office",
        "calendars": [OFFICE],
        "rules": [
            rule("all"),
            rule("desk", 30, 60, 120, calendar="office", priorities=["P0"], kinds=["repair"]),
        ],
    }
    version = await at_noon.run(lambda work: policies.save(work, body))
    assert (await at_noon.milestone(await at_noon.order())).policy_version == 0
    await at_noon.run(lambda work: policies.activate(work, version))
    after = await at_noon.order()
    assert (await at_noon.milestone(before)).due_at == NOON + 240 * MINUTE
    found = await at_noon.milestone(after)
    # NOON is 20:00 in Shanghai: two hours from nine o'clock the next morning.
    assert (found.policy_version, found.rule, found.calendar) == (version, "desk", "office")
    assert found.due_at == datetime(2026, 3, 3, 3, 0, tzinfo=UTC)
    assert found.remaining_seconds == 120 * 60
    assert "priority and kind" in found.why[0].en
    assert "all" in found.why[0].en
    await at_noon.run(lambda work: policies.activate(work, 0))
    await at_noon.run(lambda work: orders.change_priority(work, after, "P1"))
    assert (await at_noon.milestone(after)).rule == "all"
    assert (await at_noon.milestone(after)).policy_version == version


async def test_an_order_that_is_opened_again_goes_on_from_what_was_used(at_noon: Clocked) -> None:
    """A repair that failed would come back with a deadline that passed while everybody thought it was done."""
    order_id = await at_noon.order()

    async def tell(*visits: tuple[str, datetime | None]) -> None:
        await at_noon.run(
            lambda work: progress.apply_visit_facts(
                work, [progress.VisitFacts(order_id=order_id, visits=visits)]
            )
        )

    at_noon.wait(60)
    await tell(("completed", at_noon.clock.now()))
    assert (await at_noon.milestone(order_id)).state == "met"
    at_noon.wait(600)
    await tell(("completed", NOON + 60 * MINUTE), ("scheduled", None))
    found = await at_noon.milestone(order_id)
    assert (found.state, found.due_at) == ("running", NOON + 840 * MINUTE)
    assert found.why[-1].code == "reopened"
    assert (await at_noon.timer(order_id, "resolution"))["due_at"] == NOON + 780 * MINUTE


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
    assert line["remainingSeconds"] == 175  # judged with five seconds of grace between the clocks
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
