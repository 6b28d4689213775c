"""Orders that nobody answers go on to those on duty, then to supervisors (R4)."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from desks import Desk, Handling, desk_of, desks

from callout_backend.jobs.drain import drain
from callout_backend.wiring import add_hooks
from callout_orders.desk.unanswered import watching
from callout_orders.precheck.alike import links
from callout_orders.sla import pausing
from callout_orders.sla.policy import policies
from callout_orders.sla.policy.terms import STANDARD, to_json
from callout_store.work import Database


@pytest.fixture(scope="module")
async def desk_db(database_url: str) -> AsyncIterator[Database]:
    async for db in desks(database_url):
        yield db


@pytest.fixture
async def desk(desk_db: Database) -> Desk:
    return await desk_of(desk_db).open()


async def test_the_one_with_the_least_in_hand_gets_it(desk: Desk) -> None:
    """Otherwise the first of a list drowns while the others look on."""
    await desk.come("ann", "ben")
    got = [await desk.holder(await desk.order()) for _ in range(4)]
    assert sorted(got) == ["ann", "ann", "ben", "ben"]
    assert got[0] != got[1]


async def test_created_says_who_has_it_and_why(desk: Desk) -> None:
    """A manager who asks why Ann got it must not have to guess."""
    await desk.come("ann")
    order = await desk.order()
    [(_, data)] = await desk.lines(order, "work_order.created")
    assert data["handlerId"] == str(desk.people["ann"])
    assert data["handlerWhy"] == "least_load"
    assert data["teamBy"] == ["default"]
    assert data["teamId"] == str(desk.team)


async def test_an_answer_in_time_is_left_alone(desk: Desk) -> None:
    """A desk that takes orders away from people who answered would teach them not to."""
    await desk.come("ann", "fay")
    order = await desk.order()
    answer = await desk.respond("ann", order, "We are on it")
    assert answer.first
    await desk.passes_with("fay", minutes=20)
    await desk.turn(2)
    assert await desk.holder(order) == "ann"
    assert [kind for kind, _ in await desk.lines(order, "work_order.turned_over")] == []


async def test_late_at_the_mark_goes_to_the_fallback(desk: Desk) -> None:
    """At three minutes left somebody else must have it, or the golden fifteen minutes are lost."""
    await desk.come("ann", "fay")
    order = await desk.order()
    await desk.passes_with("ann", "fay", minutes=11.9)
    await desk.turn()
    assert await desk.holder(order) == "ann"
    await desk.passes_with("ann", "fay", minutes=0.2)
    await desk.turn()
    assert await desk.holder(order) == "fay"
    [(_, data)] = await desk.lines(order, "work_order.turned_over")
    assert data["why"] == "late"
    assert data["byWhat"] == "fallback"
    assert (data["from"], data["to"]) == (str(desk.people["ann"]), str(desk.people["fay"]))
    assert 170 <= data["leftSeconds"] <= 180
    assert await desk.todos(order) == {"fay": "open"}


async def test_offline_handler_loses_it_after_the_teams_minutes(desk: Desk) -> None:
    """Who went home must not keep an order until the mark."""
    await desk.come("ann", "fay")
    order = await desk.order()
    await desk.say("ann", "offline")
    await desk.passes_with("fay", minutes=4)
    await desk.turn()
    assert await desk.holder(order) == "ann"
    await desk.passes_with("fay", minutes=1.1)
    await desk.turn()
    assert await desk.holder(order) == "fay"
    [(_, data)] = await desk.lines(order, "work_order.turned_over")
    assert data["why"] == "offline"


async def test_a_screen_that_falls_silent_counts_as_offline(desk: Desk) -> None:
    """A laptop that was shut says no goodbye."""
    await desk.come("ann", "fay")
    order = await desk.order()
    await desk.passes_with("fay", minutes=1.6)
    await desk.turn()
    assert (await desk.row(order)).handler_presence == "offline"
    await desk.passes_with("fay", minutes=5)
    await desk.turn()
    assert await desk.holder(order) == "fay"


async def test_coming_back_does_not_snatch_it(desk: Desk) -> None:
    """Two people who each believe to have the order answer twice, or not at all."""
    await desk.come("ann", "fay")
    order = await desk.order()
    await desk.say("ann", "offline")
    await desk.passes_with("fay", minutes=5.1)
    await desk.turn()
    await desk.say("ann", "online")
    await desk.turn()
    assert await desk.holder(order) == "fay"


async def test_back_in_time_keeps_it(desk: Desk) -> None:
    """A lift without reception must not cost anybody their order."""
    await desk.come("ann", "fay")
    order = await desk.order()
    await desk.say("ann", "offline")
    await desk.passes_with("fay", minutes=3)
    await desk.say("ann", "online")
    await desk.passes_with("ann", "fay", minutes=3)
    await desk.turn()
    assert await desk.holder(order) == "ann"


async def test_it_goes_down_the_line_and_ends_with_the_supervisors(desk: Desk) -> None:
    """No order is silent: after the last on duty the supervisors have it, each with a to-do, and a flag shows it."""
    await desk.come("ann", "fay", "gus", "sue")
    order = await desk.order()
    await desk.passes_with("ann", "fay", "gus", "sue", minutes=12)
    seen = []
    for _ in range(4):
        await desk.turn()
        seen.append(await desk.holder(order))
        await desk.passes_with("ann", "fay", "gus", "sue", minutes=1.1)
    assert seen == ["fay", "gus", "sue", "sue"]
    row = await desk.row(order)
    assert row.flag == "nobody_answers"
    assert row.by_what == "supervisor"
    assert await desk.todos(order, "open", "acknowledged") == {"sam": "open", "sue": "open"}
    turned = [data for _, data in await desk.lines(order, "work_order.turned_over")]
    assert [data["to"] for data in turned] == [str(desk.people[name]) for name in ("fay", "gus", "sue")]
    assert [one["why"] for one in turned[-1]["passed"]] == ["tried", "tried"]


async def test_who_is_on_duty_but_away_is_passed_over(desk: Desk) -> None:
    """An order that waits for an empty chair waits for nobody."""
    await desk.come("ann", "gus")
    order = await desk.order()
    await desk.passes_with("ann", "gus", minutes=12)
    await desk.turn()
    assert await desk.holder(order) == "gus"
    [(_, data)] = await desk.lines(order, "work_order.turned_over")
    assert data["passed"] == [{"userId": str(desk.people["fay"]), "why": "offline"}]


async def test_nobody_on_duty_is_shown_and_the_supervisors_are_asked(desk_db: Database) -> None:
    """A hole in the roster must not swallow the orders of that hour."""
    desk = await desk_of(desk_db).open(duty=False)
    await desk.come("ann")
    order = await desk.order()
    await desk.passes_with("ann", minutes=12)
    await desk.turn()
    row = await desk.row(order)
    assert row.flag == "nobody_on_duty"
    assert await desk.todos(order, "open") == {"sam": "open", "sue": "open"}


async def test_nobody_online_at_intake_is_turned_over_at_once(desk: Desk) -> None:
    """At night the fallback must not wait for the day shift's twelve minutes."""
    await desk.come("fay")
    order = await desk.order()
    assert await desk.holder(order) is None
    await desk.turn()
    assert await desk.holder(order) == "fay"
    [(_, data)] = await desk.lines(order, "work_order.turned_over")
    assert data["why"] == "nobody"


async def test_an_order_that_no_team_takes_reaches_the_supervisors(desk_db: Database) -> None:
    """A kind of order that was forgotten in the setup must not be forgotten altogether."""
    desk = await desk_of(desk_db).open(duty=False, team=False)
    await desk.make_team("makers", ("ann",), kinds=("production",))
    await desk.come("ann", "sam")
    order = await desk.order(kind="repair")
    await desk.turn()
    row = await desk.row(order)
    assert (row.team_id, row.flag, row.handler_name) == (None, "no_team", "Sam")


async def test_once_an_epoch_however_often_it_is_delivered(desk: Desk) -> None:
    """A worker that dies after its commit is asked again: nobody else may be passed over for that."""
    await desk.come("ann", "fay", "gus")
    order = await desk.order()
    await desk.passes_with("ann", "fay", "gus", minutes=12)
    key = f"desk:{order}"
    await desk.turn()
    epoch = await desk.value("select epoch from timer where key = $1", key)
    for stale in range(1, epoch + 1):
        async with desk.db.work(desk.org) as work:
            assert not await watching.look(work, order, key, stale)
    assert await desk.holder(order) == "fay"
    assert len(await desk.lines(order, "work_order.turned_over")) == 1


async def test_a_moved_deadline_moves_the_mark(desk: Desk) -> None:
    """Who was given more time must not lose the order at the old mark."""
    from callout_orders.desk.unanswered import fallback

    await desk.come("ann", "fay")
    order = await desk.order()
    async with desk.as_("sam") as work:
        moved = await fallback.move_deadline(
            work, order, milestone="first_response", minutes=30, reason="the customer asked for it"
        )
    assert moved.due_at is not None
    assert moved.original_due_at is not None
    assert moved.due_at - moved.original_due_at == timedelta(minutes=30)
    await desk.passes_with("ann", "fay", minutes=20)
    await desk.turn()
    assert await desk.holder(order) == "ann"
    await desk.passes_with("ann", "fay", minutes=22.1)
    await desk.turn()
    assert await desk.holder(order) == "fay"


async def test_the_mark_is_counted_in_working_time(desk: Desk) -> None:
    """Three minutes before a deadline of tomorrow morning nobody is at their desk: it has to go on this evening."""
    evening = (desk.clock.now() + timedelta(days=1)).replace(hour=10, minute=0, second=0, microsecond=0)
    desk.clock.set(evening)
    hours = ["09:00-10:13", "16:00-18:00"]
    week = dict.fromkeys(("mon", "tue", "wed", "thu", "fri", "sat", "sun"), hours)
    body = to_json(STANDARD)
    body["calendars"] = [{"code": "shifts", "timeZone": "UTC", "week": week}]
    for rule in body["rules"]:
        rule["calendar"] = "shifts"
    async with desk.as_("adi") as work:
        await policies.save(work, body, activate=True)
    await desk.come("ann", "fay")
    order = await desk.order()
    # Thirteen minutes until the break, two after it.
    assert (await desk.row(order)).due_at == evening + timedelta(hours=6, minutes=2)
    await desk.passes_with("ann", "fay", minutes=11.9)
    await desk.turn()
    assert await desk.holder(order) == "ann"
    await desk.passes_with("ann", "fay", minutes=0.2)
    await desk.turn()
    assert await desk.holder(order) == "fay"
    [(_, data)] = await desk.lines(order, "work_order.turned_over")
    assert 170 <= data["leftSeconds"] <= 180
    shown = await desk.row(order)
    assert 170 <= shown.remaining_seconds <= 180


async def test_a_closed_case_rests(desk: Desk) -> None:
    """To-dos about an order that was called off would be answered to nobody."""
    from callout_orders import orders

    await desk.come("ann", "fay")
    order = await desk.order()
    await desk.passes_with("ann", "fay", minutes=12)
    await desk.turn()
    async with desk.as_("ann") as work:
        await orders.cancel_order(work, order, "wrong number")
    await desk.passes_with("ann", "fay", minutes=2)
    await desk.turn()
    assert await desk.todos(order) == {"fay": "canceled"}
    assert len(await desk.lines(order, "work_order.turned_over")) == 1


async def test_last_weeks_orders_hurry_nobody(desk: Desk) -> None:
    """An import of 20,000 old orders must not ring for everybody who is on duty."""
    await desk.come("ann", "fay")
    order = await desk.order(created_at=desk.clock.now() - timedelta(days=3))
    await desk.turn()
    row = await desk.row(order)
    assert (row.team_id, row.handler_id, row.epoch) == (desk.team, None, 0)
    assert await desk.value("select count(*) from timer where key = $1", f"desk:{order}") == 0


async def test_many_workers_turn_each_order_over_once(desk: Desk, database_url: str) -> None:
    """Three workers, one of them slow and asked again: no order may run through two pairs of hands at one mark."""
    await desk.come("ann", "fay", "gus")
    orders = [await desk.order() for _ in range(12)]
    await desk.passes_with("ann", "fay", "gus", minutes=12)
    async with desk.db.work(desk.org) as work:
        await work.execute("update timer set due_at = now() - interval '1 second' where key like 'desk:%'")
    workers = [Database(database_url, clock=desk.clock) for _ in range(3)]
    for worker in workers:
        await worker.start()
        add_hooks(worker)
    try:
        await asyncio.gather(*(drain(worker, Handling()) for worker in workers))
        async with desk.db.work(desk.org) as work:
            # A lease that ran out: what was handled is handled again.
            await work.execute("update outbox set state = 'ready' where channel = 'desk.look'")
        await asyncio.gather(*(drain(worker, Handling()) for worker in workers))
    finally:
        for worker in workers:
            await worker.stop()
    assert [await desk.holder(order) for order in orders] == ["fay"] * 12
    rows = await desk.fetch(
        "select order_id, count(*) as times from journal where kind = 'work_order.turned_over' group by order_id"
    )
    assert {row["order_id"]: row["times"] for row in rows} == dict.fromkeys(orders, 1)


@pytest.mark.parametrize("stops", (True, False))
async def test_a_hold_counts_where_the_policy_says_so(desk: Desk, stops: bool) -> None:
    """Nobody is late while the customer has to act; but a hold must not be a way to answer nobody."""
    reasons = ["first_response", "resolution"] if stops else ["resolution"]
    async with desk.as_("adi") as work:
        await policies.save(work, {**to_json(STANDARD), "pauses": {"customer": reasons}}, activate=True)
    await desk.come("ann", "fay")
    order = await desk.order()
    async with desk.as_("ann") as work:
        await pausing.pause(work, order, "customer")
    await desk.passes_with("ann", "fay", minutes=30)
    await desk.turn()
    assert await desk.holder(order) == ("ann" if stops else "fay")
    if not stops:
        return
    async with desk.as_("ann") as work:
        await pausing.resume(work, order, "customer")
    await desk.passes_with("ann", "fay", minutes=11)
    await desk.turn()
    assert await desk.holder(order) == "ann"
    await desk.passes_with("ann", "fay", minutes=1.2)
    await desk.turn()
    assert await desk.holder(order) == "fay"


async def test_a_duplicate_that_is_none_gets_somebody(desk: Desk) -> None:
    """An order that was wrongly taken for another one's repetition has waited long enough for a handler."""
    await desk.come("ann", "fay")
    first = await desk.order()
    second = await desk.order(duplicate_of_id=first)
    row = await desk.row(second)
    assert (row.team_id, row.handler_id, row.epoch) == (None, None, 0)
    assert (await desk.row(first)).duplicates == 1
    async with desk.as_("ann") as work:
        await links.unlink(work, second, "another machine")
    row = await desk.row(second)
    assert (row.team_id, row.handler_name, row.epoch) == (desk.team, "Ann", 1)
    [(_, data)] = await desk.lines(second, "work_order.handler_set")
    assert data["to"] == str(desk.people["ann"])


async def test_an_engineers_yes_settles_the_to_do(desk: Desk) -> None:
    """The engineer's phone answered: a fallback who is still asked for an answer would call the customer in vain."""
    await desk.come("ann", "fay")
    order = await desk.order()
    await desk.passes_with("ann", "fay", minutes=12.1)
    await desk.turn()
    assert await desk.todos(order, "open") == {"fay": "open"}
    phone = desk.phones[0]
    visit = await desk.visit(phone, order)
    [answer] = await phone.push(phone.command("visit.accept", visit))
    assert answer.status == "applied"
    await desk.passes_with("ann", "fay", minutes=2)
    await desk.turn()
    assert await desk.todos(order, "open") == {}
    assert await desk.holder(order) == "fay"
