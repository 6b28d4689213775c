"""What engineers answer: declines of offers and of ordinary visits, by phone and by telephone; and what is held by hand."""

from datetime import timedelta

import pytest
from depots import NINE, Depot
from reds import hand, kinds, lane, p0, phone_of, said, start, state_of_order, turn

from callout_dispatch import assign, crew, red_answers, visit_holds
from callout_store.errors import BadField, NotFound, StaleRevision, WrongState


async def test_an_ordinary_visit_that_is_declined_waits_again(depot: Depot) -> None:
    """The engineer cannot go: the dispatcher's list shows the order again, and the phone no longer shows the visit."""
    [one] = await depot.crew(1)
    order = await depot.order()
    visit = await hand(depot, order, one)
    phone = await phone_of(depot, one)
    assert await phone.accepts(visit) == "applied"
    assert await phone.declines(visit, "unwell") == "applied"
    assert (await depot.visit(visit))["state"] == "canceled"
    assert await state_of_order(depot, order) == "new"
    [line] = await depot.fetch("select data->>'reason' as why from journal where kind = 'visit.canceled'")
    assert line["why"] == "declined: unwell"
    assert "visit.declined" in await kinds(depot)
    # Whatever the phone says later of the visit follows the rules for canceled ones.
    assert await phone.accepts(visit) == "conflict CANCELED"


async def test_a_decline_on_the_way_changes_nothing(depot: Depot) -> None:
    """A late "no" must not cancel work that is being done: on the way one says that it could not be completed."""
    [one] = await depot.crew(1)
    visit = await hand(depot, await depot.order(), one)
    phone = await phone_of(depot, one)
    no = phone.command("visit.decline", visit, {"reason": "busy"})
    assert await phone.says("visit.travel", visit) == "applied"
    assert [answer.status for answer in await phone.push(no)] == ["applied"]
    assert (await depot.visit(visit))["state"] == "travelling"


async def test_no_and_then_yes_in_one_batch_is_a_yes(depot: Depot) -> None:
    """Offline the engineer thought again: what was said last counts, as long as nobody acted on what was said first."""
    [one] = await depot.crew(1)
    lane_id = await start(depot, await p0(depot))
    visit = (await lane(depot, lane_id))["visit_id"]
    phone = await phone_of(depot, one)
    no = phone.command("visit.decline", visit, {"reason": "busy"}, at=NINE - timedelta(seconds=20))
    yes = phone.command("visit.accept", visit, at=NINE - timedelta(seconds=10))
    assert [answer.status for answer in await phone.push(no, yes)] == ["applied", "applied"]
    assert (await lane(depot, lane_id))["state"] == "accepted"
    assert (await depot.visit(visit))["state"] == "accepted"


async def test_a_yes_after_a_no_counts_while_nobody_else_was_asked(depot: Depot) -> None:
    """The engineer thinks again before the next phone rings: they go, and no second one is sent after them."""
    [one, _] = await depot.crew(1, 2)
    lane_id = await start(depot, await p0(depot))
    visit = (await lane(depot, lane_id))["visit_id"]
    phone = await phone_of(depot, one)
    assert await phone.declines(visit) == "applied"
    assert await phone.accepts(visit) == "applied"
    assert (await lane(depot, lane_id))["state"] == "accepted"
    await turn(depot)
    assert await said(depot, lane_id) == [(one, "accepted")]
    assert (await depot.visit(visit))["engineer_id"] == one


async def test_called_off_between_a_no_and_the_next(depot: Depot) -> None:
    """The order is gone before the next engineer is asked: their phone must not ring for it."""
    [one, _] = await depot.crew(1, 2)
    order = await p0(depot)
    lane_id = await start(depot, order)
    visit = (await lane(depot, lane_id))["visit_id"]
    assert await (await phone_of(depot, one)).declines(visit) == "applied"
    async with depot.work() as work:
        await assign.cancel_order(work, order, "It works again")
    await turn(depot)
    assert (await lane(depot, lane_id))["state"] == "canceled"
    assert await said(depot, lane_id) == [(one, "declined")]


async def test_a_crew_member_who_declines_leaves_the_visit_with_its_engineer(depot: Depot) -> None:
    """Whoever only comes along cannot call the visit off for the one who leads it."""
    one, two = await depot.crew(1, 2)
    visit = await hand(depot, await depot.order(), one)
    async with depot.work() as work:
        await crew.set_crew(work, visit, [two])
    assert await (await phone_of(depot, two)).declines(visit) == "applied"
    assert (await depot.visit(visit))["state"] == "dispatched"


async def test_answers_by_telephone(depot: Depot) -> None:
    """The phone has no signal, the engineer calls in: the dispatcher answers for them, and the record shows who said it."""
    one, two = await depot.crew(1, 2)
    lane_id = await start(depot, await p0(depot))
    visit = (await lane(depot, lane_id))["visit_id"]
    async with depot.work() as work:
        with pytest.raises(BadField):
            await red_answers.answer_offer(work, visit, False, "x" * 401)
    async with depot.work() as work:
        assert await red_answers.answer_offer(work, visit, False, "Flat tyre") == lane_id
    await turn(depot)
    async with depot.work() as work:
        with pytest.raises(NotFound):
            await red_answers.answer_offer(work, visit, True, engineer_id=one)
    async with depot.work() as work:
        await red_answers.answer_offer(work, visit, True)
    assert await said(depot, lane_id) == [(one, "declined"), (two, "accepted")]
    events = await depot.fetch("select kind, source, engineer_id from visit_event order by id")
    assert [tuple(row) for row in events] == [("declined", "desk", one), ("accepted", "desk", two)]
    assert (await depot.visit(visit))["state"] == "accepted"
    async with depot.work() as work:
        with pytest.raises(WrongState):
            await red_answers.answer_offer(work, visit, True)
    async with depot.work() as work:
        with pytest.raises(NotFound):
            await red_answers.answer_offer(work, lane_id, True)


async def test_holding_a_visit_by_hand(depot: Depot) -> None:
    """A pin that somebody set on an older picture, or on a visit that is over, must not stick unseen."""
    [one] = await depot.crew(1)
    visit = await hand(depot, await depot.order(), one)
    async with depot.work() as work:
        with pytest.raises(BadField):
            await visit_holds.hold_visit(work, visit, "nail")
        await visit_holds.hold_visit(work, visit, "time", 1)
        await visit_holds.hold_visit(work, visit, "time")
    row = await depot.visit(visit)
    assert (row["hold"], row["held_by"], row["revision"]) == ("time", depot.dispatcher.user_id, 2)
    async with depot.work() as work:
        with pytest.raises(StaleRevision):
            await visit_holds.hold_visit(work, visit, None, 1)
        await visit_holds.hold_visit(work, visit, None, 2)
        await assign.cancel_visit(work, visit, "Gone")
    async with depot.work() as work:
        with pytest.raises(WrongState):
            await visit_holds.hold_visit(work, visit, "time")
        with pytest.raises(NotFound):
            await visit_holds.hold_visit(work, one, "time")
    assert (await kinds(depot)).count("visit.held") == 2


async def test_who_accepts_and_then_backs_out_sets_off_the_next(depot: Depot) -> None:
    """The engineer said yes and breaks down on the yard: the fire does not wait until a dispatcher looks at the list, and the
    one who just said no is not rung up again."""
    one, two = await depot.crew(1, 2)
    order = await p0(depot)
    lane_id = await start(depot, order)
    phone = await phone_of(depot, one)
    visit = (await lane(depot, lane_id))["visit_id"]
    assert await phone.accepts(visit) == "applied"
    assert (await lane(depot, lane_id))["state"] == "accepted"
    assert await phone.declines(visit, "other", "the van does not start") == "applied"
    assert (await depot.visit(visit))["state"] == "canceled"
    await turn(depot)
    rows = await depot.fetch("select id from red_lane where order_id = $1 order by id", order)
    assert rows[0]["id"] == lane_id
    assert await said(depot, rows[1]["id"]) == [(two, None)]
