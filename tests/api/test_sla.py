"""Orders' clocks on a real database: started, held, changed, reopened."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from sla_clocked import MINUTE, NOON, OFFICE, Clocked, clocked, rule

from callout_orders import orders, progress
from callout_orders.checks import FieldsRefused
from callout_orders.sla import clocks, extensions, milestones, pausing, reading, states, tiers
from callout_orders.sla.clock import MilestoneName
from callout_orders.sla.policy import policies
from callout_store.errors import BadField, LimitExceeded, NotFound, WrongState
from callout_store.ids import new_id


@pytest.fixture
async def at_noon(database_url: str) -> AsyncIterator[Clocked]:
    async with clocked(database_url) as found:
        yield found


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
    assert len(await at_noon.lines(order_id, "work_order.held")) == 1
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


async def test_versions_are_listed_newest_first_to_the_end(at_noon: Clocked) -> None:
    """The version to go back to would be on a page that nobody can turn to."""
    for n in range(3):
        await at_noon.run(
            lambda work, n=n: policies.save(
                work, {"name": f"v{n}", "rules": [rule("all")]}, note=f"n{n}", activate=n == 1
            )
        )
    first = await at_noon.run(lambda work: policies.versions_page(work, limit=2))
    assert [(one.version, one.name, one.note, one.active) for one in first.items] == [
        (3, "v2", "n2", False),
        (2, "v1", "n1", True),
    ]
    assert (first.has_more, first.end_cursor) == (True, 2)
    rest = await at_noon.run(lambda work: policies.versions_page(work, after=first.end_cursor, limit=2))
    assert ([one.version for one in rest.items], rest.has_more) == ([1], False)


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


async def test_a_priority_that_was_typed_wrong_leaves_no_trace_in_the_deadline(at_noon: Clocked) -> None:
    """P0 for a minute, by a slip of the hand: the order would be due earlier, or its holds be forgotten, ever after."""
    order_id = await at_noon.order("P2")
    at_noon.wait(30)
    await at_noon.run(lambda work: pausing.pause(work, order_id, "parts", until=NOON + 300 * MINUTE))
    at_noon.wait(15)

    async def dues() -> list[Any]:
        found = [await at_noon.milestone(order_id, name) for name in MilestoneName]
        stored = await at_noon.world.fetch(
            "select respond_due_at, arrive_due_at, resolve_due_at from work_order where id = $1", order_id
        )
        return [(one.rule, one.planning_due_at, one.remaining_seconds) for one in found] + [
            *map(tuple, stored)
        ]

    before = await dues()
    for priority in ("P0", "P2"):
        await at_noon.run(lambda work, to=priority: orders.change_priority(work, order_id, to))
        assert (await dues() == before) == (priority == "P2")


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


async def test_a_hold_that_was_ended_by_hand_has_no_timer_left(at_noon: Clocked) -> None:
    """The order was put on hold again by then: the old hold's end would set its clock going."""
    order_id = await at_noon.order("P1")
    until = NOON + 60 * MINUTE
    await at_noon.run(lambda work: pausing.pause(work, order_id, "parts", until=until))
    key = pausing.resume_key(order_id, "parts")
    assert await at_noon.world.value("select state from timer where key = $1", key) == "armed"
    await at_noon.run(lambda work: pausing.resume(work, order_id, "parts"))
    assert await at_noon.world.value("select state from timer where key = $1", key) != "armed"


async def test_what_is_over_or_stays_as_it_was_is_not_counted_anew(at_noon: Clocked) -> None:
    """A customer's new tier would write "promised anew" into the history of orders that were called off years ago."""
    running, over = await at_noon.order("P1"), await at_noon.order("P1")
    await at_noon.run(lambda work: orders.cancel_order(work, over, "not needed"))
    await at_noon.run(lambda work: work.execute("update work_order set priority = 'P0' where id = $1", over))
    assert await at_noon.run(lambda work: milestones.recompute(work, [running, over], "tier")) == []
    assert await at_noon.world.fetch("select 1 from sla_event") == []


@pytest.mark.parametrize(("told", "kept"), ((60, 10), (-600, 0), (4, 4)))
async def test_an_answer_lies_between_the_order_and_now(at_noon: Clocked, told: int, kept: int) -> None:
    """A phone whose clock is a day ahead, or behind, would answer tomorrow, or before anybody asked."""
    order_id = await at_noon.order("P1")
    at_noon.wait(10)
    assert await at_noon.run(lambda work: milestones.responded(work, order_id, NOON + told * MINUTE))
    at = await at_noon.world.value("select responded_at from work_order where id = $1", order_id)
    assert at == NOON + kept * MINUTE
    assert not await at_noon.run(lambda work: milestones.responded(work, order_id, at + MINUTE))


async def test_what_is_over_wakes_nobody(at_noon: Clocked) -> None:
    """The timer of an order that was late when it was called off would fire every few seconds for ever."""
    late, first, double = [await at_noon.order("P1") for _ in range(3)]
    await at_noon.run(
        lambda work: work.execute("update work_order set duplicate_of_id = $2 where id = $1", double, first)
    )
    at_noon.wait(10_000)
    await at_noon.run(
        lambda work: work.execute(
            "update work_order set state = 'canceled', canceled_at = $2 where id = $1",
            late,
            at_noon.clock.now(),
        )
    )
    found = await at_noon.run(lambda work: clocks.load(work, [late, first, double]))
    wakes = {
        id_: [one.wake_at(name, at_noon.clock.now()) for name in MilestoneName] for id_, one in found.items()
    }
    assert wakes[late] == wakes[double] == [None, None, None]
    assert None not in wakes[first]
