"""The red lane: an urgent order goes from one engineer to the next until somebody takes it, and nobody is forgotten."""

import re
from datetime import timedelta
from uuid import UUID

import pytest
from depots import NINE, Depot
from reds import (
    DOUBLE_BOOKED,
    HANDLERS,
    TWO_VISITS,
    hand,
    kinds,
    lane,
    p0,
    phone_of,
    said,
    start,
    state_of_order,
    time_is_up,
    turn,
    use,
    visit_of,
)

from callout_dispatch import assign, engineers, red_lane, visit_holds
from callout_orders import orders
from callout_store import outbox, timers
from callout_store.errors import NotFound, WrongState


async def test_the_best_who_is_online_is_asked_at_once(depot: Depot) -> None:
    """Service is down: the nearest must have it on the phone now, with a clock running for the answer."""
    far, near = await depot.crew(20, 5)
    [nearest_offline] = await depot.crew(0, online=False)
    order = await p0(depot)
    lane_id = await start(depot, order)
    assert await said(depot, lane_id) == [(near, None)]
    visit = await visit_of(depot, lane_id)
    assert (visit["engineer_id"], visit["state"], visit["order_id"]) == (near, "dispatched", order)
    offer = await depot.row("select * from red_offer where lane_id = $1", lane_id)
    assert offer["expires_at"] - offer["offered_at"] == timedelta(seconds=60)
    timer = await depot.row("select * from timer where key = $1", f"red:{lane_id}:1")
    assert (timer["state"], timer["channel"]) == ("armed", "red.lane")
    decision = await depot.row("select method, engineer_id, result::text as r from dispatch_decision")
    assert (decision["method"], decision["engineer_id"]) == ("red", near)
    assert {str(id_) for id_ in (nearest_offline, far)} <= set(re.findall(r"[0-9a-f-]{36}", decision["r"]))
    assert await kinds(depot, "red_lane") == ["red_lane.offered"]


async def test_who_accepts_has_it(depot: Depot) -> None:
    """After a yes the phone of the next must not ring, whatever the timer does afterwards."""
    [one, _] = await depot.crew(1, 2)
    lane_id = await start(depot, await p0(depot))
    visit = (await lane(depot, lane_id))["visit_id"]
    phone = await phone_of(depot, one)
    assert await phone.accepts(visit) == "applied"
    assert await said(depot, lane_id) == [(one, "accepted")]
    assert (await lane(depot, lane_id))["state"] == "accepted"
    await time_is_up(depot, lane_id)
    assert await turn(depot) == 0
    assert (await depot.visit(visit))["engineer_id"] == one
    assert await kinds(depot, "red_lane") == ["red_lane.offered", "red_lane.accepted"]


async def test_setting_out_is_a_yes(depot: Depot) -> None:
    """An engineer who drives off at once, and whose "accept" is lost, is on the way: nobody else is to be sent."""
    [one] = await depot.crew(1)
    lane_id = await start(depot, await p0(depot))
    visit = (await lane(depot, lane_id))["visit_id"]
    assert await (await phone_of(depot, one)).says("visit.travel", visit) == "applied"
    assert (await lane(depot, lane_id))["state"] == "accepted"


async def test_who_declines_makes_room_for_the_next(depot: Depot) -> None:
    """A no is worth as much as a yes if it comes at once: the next is asked without waiting for the time to run out."""
    one, two = await depot.crew(1, 2)
    order = await p0(depot)
    lane_id = await start(depot, order)
    visit = (await lane(depot, lane_id))["visit_id"]
    first = await phone_of(depot, one)
    assert await first.declines(visit, "too_far", "The bridge is closed") == "applied"
    assert await said(depot, lane_id) == [(one, "declined")]
    assert await turn(depot) == 1
    assert await said(depot, lane_id) == [(one, "declined"), (two, None)]
    assert (await depot.visit(visit))["engineer_id"] == two
    offers = await depot.fetch(
        "select reason, answered_by from red_offer where lane_id = $1 order by round", lane_id
    )
    assert offers[0]["reason"] == "too_far: The bridge is closed"
    assert offers[0]["answered_by"] == first.actor.user_id
    assert await (await phone_of(depot, two)).accepts(visit) == "applied"
    assert (await lane(depot, lane_id))["state"] == "accepted"
    assert await depot.fetch(TWO_VISITS) == []
    # Said twice, and after it was taken away: both want the same, and nobody has to look at it.
    assert await first.declines(visit) == "applied"
    assert await depot.fetch("select 1 from quarantine where org_id = $1", depot.org) == []


async def test_who_does_not_answer_is_passed_over(depot: Depot) -> None:
    """A phone in a cellar must not keep the customer waiting; and its late "yes" must not take the visit back."""
    one, two = await depot.crew(1, 2)
    lane_id = await start(depot, await p0(depot))
    visit = (await lane(depot, lane_id))["visit_id"]
    late = await phone_of(depot, one)
    yes = late.command("visit.accept", visit)
    await time_is_up(depot, lane_id)
    assert await turn(depot) == 1
    assert await said(depot, lane_id) == [(one, "timeout"), (two, None)]
    [answer] = await late.push(yes)
    assert (answer.status, answer.code) == ("conflict", "REASSIGNED")
    assert (await depot.visit(visit))["engineer_id"] == two
    assert await said(depot, lane_id) == [(one, "timeout"), (two, None)]
    assert await kinds(depot, "red_lane") == ["red_lane.offered", "red_lane.timed_out", "red_lane.offered"]


async def test_nobody_left_is_said_aloud(depot: Depot) -> None:
    """Everybody was asked: the order is back on the dispatcher's list, and no phone keeps a visit that nobody wants."""
    people = await depot.crew(1, 2)
    order = await p0(depot)
    lane_id = await start(depot, order)
    visit = (await lane(depot, lane_id))["visit_id"]
    for _ in people:
        await time_is_up(depot, lane_id)
        assert await turn(depot) == 1
    ended = await lane(depot, lane_id)
    assert (ended["state"], ended["ended_at"]) == ("exhausted", NINE)
    assert {answer for _, answer in await said(depot, lane_id)} == {"timeout"}
    assert (await depot.visit(visit))["state"] == "canceled"
    assert await state_of_order(depot, order) == "new"
    assert (await kinds(depot, "red_lane"))[-1] == "red_lane.exhausted"
    # And it may be tried again by hand.
    again = await start(depot, order)
    assert (await lane(depot, again))["state"] == "offering"


async def test_rounds_have_an_end(depot: Depot) -> None:
    """The policy says how many are rung up before a person takes over."""
    await use(depot, roundsMax=2)
    people = await depot.crew(1, 2, 3)
    lane_id = await start(depot, await p0(depot))
    for _ in range(2):
        await time_is_up(depot, lane_id)
        await turn(depot)
    assert (await lane(depot, lane_id))["state"] == "exhausted"
    assert [who for who, _ in await said(depot, lane_id)] == people[:2]


async def test_nobody_online_is_said_at_once(depot: Depot) -> None:
    """Nobody can be rung up: the supervisor learns it, with the reasons, in the same second and not after five rounds."""
    await depot.crew(1, 2, online=False)
    order = await p0(depot)
    lane_id = await start(depot, order)
    ended = await lane(depot, lane_id)
    assert (ended["state"], ended["visit_id"], ended["round"]) == ("exhausted", None, 0)
    assert await state_of_order(depot, order) == "new"
    [line] = await depot.fetch(
        "select data->'reasons'->>'OFFLINE' as n from journal where kind = 'red_lane.exhausted'"
    )
    assert line["n"] == "2"
    decision = await depot.row("select engineer_id, visit_id from dispatch_decision")
    assert tuple(decision) == (None, None)


async def test_an_urgent_order_for_two_goes_with_its_crew(depot: Depot) -> None:
    """A lift cannot be opened by one: the second engineer has it on the phone too, and goes when the offer goes on."""
    people = await depot.crew(1, 2, 3)
    lane_id = await start(depot, await p0(depot, crew_size=2))
    visit = (await visit_of(depot, lane_id))["id"]
    [(leads, _)] = await said(depot, lane_id)

    async def goes_along() -> list[UUID]:
        rows = await depot.fetch("select engineer_id from visit_crew where visit_id = $1", visit)
        return [row["engineer_id"] for row in rows]

    [mate] = await goes_along()
    assert {leads, mate} < set(people)
    await time_is_up(depot, lane_id)
    assert await turn(depot) == 1
    # Whoever did not answer is not taken along either.
    after = [(await depot.visit(visit))["engineer_id"], *await goes_along()]
    assert sorted(after) == sorted(set(people) - {leads})
    assert await depot.fetch(DOUBLE_BOOKED) == []


async def test_only_what_waits_and_burns_gets_a_lane(depot: Depot) -> None:
    """A P1 in the red lane would ring phones for nothing; a P0 with a visit would get a second one."""
    [one] = await depot.crew(1)
    with pytest.raises(WrongState):
        await start(depot, await depot.order())
    order = await p0(depot)
    await hand(depot, order, one)
    with pytest.raises(WrongState):
        await start(depot, order)
    with pytest.raises(NotFound):
        await start(depot, one)
    assert await depot.fetch("select 1 from red_lane where org_id = $1", depot.org) == []


# ---------------------------------------------------------------------------------------------- ends and timers


async def test_what_others_decide_ends_the_lane(depot: Depot) -> None:
    """Called off, lowered, given to somebody or pinned by hand: no phone rings for it, and no timer takes it away."""
    one, two = await depot.crew(1, 2)
    for end in ("order", "visit", "priority", "hand", "hold"):
        order = await p0(depot)
        lane_id = await start(depot, order)
        visit = (await lane(depot, lane_id))["visit_id"]
        async with depot.work() as work:
            if end == "order":
                await assign.cancel_order(work, order, "It works again")
            elif end == "visit":
                await assign.cancel_visit(work, visit, "Wrong address")
            elif end == "priority":
                await orders.change_priority(work, order, "P2")
            elif end == "hold":
                await visit_holds.hold_visit(work, visit, "engineer")
            else:
                held = await work.fetchval("select engineer_id from visit where id = $1", visit)
                await assign.reassign(work, visit, two if held == one else one)
        ended = await lane(depot, lane_id)
        assert (ended["state"], ended["ended_at"]) == ("canceled", NINE), end
        assert [answer for _, answer in await said(depot, lane_id)] == ["withdrawn"]
        await time_is_up(depot, lane_id)
        assert await turn(depot) == 0
        if end in ("priority", "hand", "hold"):
            assert (await depot.visit(visit))["state"] == "dispatched"
            async with depot.work() as work:
                await assign.cancel_visit(work, visit, "Room for the next case")


async def test_a_timer_that_fires_twice_asks_one_more_and_not_two(depot: Depot) -> None:
    """A message is delivered at least once: its second delivery must not skip an engineer."""
    people = await depot.crew(1, 2, 3)
    lane_id = await start(depot, await p0(depot))
    await time_is_up(depot, lane_id)
    await timers.fire_due(depot.db)
    [item] = [one for one in await outbox.claim(depot.db) if one.channel == "red.lane"]
    for _ in range(2):
        await HANDLERS["red.lane"](depot.db, item)
    assert await said(depot, lane_id) == [(people[0], "timeout"), (people[1], None)]


async def test_a_firing_of_an_older_epoch_does_nothing(depot: Depot) -> None:
    """The timer was set anew after it had fired: the old message must not cut the new time short."""
    [one, _] = await depot.crew(1, 2)
    lane_id = await start(depot, await p0(depot))
    await time_is_up(depot, lane_id)
    await timers.fire_due(depot.db)
    [item] = [one for one in await outbox.claim(depot.db) if one.channel == "red.lane"]
    async with depot.work() as work:
        due = await work.fetchval("select now() + interval '1 hour'")
        await timers.arm(
            work,
            key=f"red:{lane_id}:1",
            due_at=due,
            channel="red.lane",
            payload={"laneId": str(lane_id), "round": 1},
        )
    await HANDLERS["red.lane"](depot.db, item)
    assert await said(depot, lane_id) == [(one, None)]


@pytest.mark.parametrize("auto", (False, True))
async def test_a_lane_may_start_by_itself(depot: Depot, auto: bool) -> None:
    """Where the organisation wants it, a P0 at three in the morning needs no dispatcher; where not, nothing rings."""
    await use(depot, auto=auto)
    await depot.crew(1, 2)
    made = await p0(depot)
    raised = await depot.order()
    async with depot.work() as work:
        await orders.change_priority(work, raised, "P0")
    # Dispatched by hand before the worker came to it: nothing happens to it.
    taken = await p0(depot)
    async with depot.work() as work:
        await assign.dispatch_order(work, taken)
    assert await turn(depot) == (3 if auto else 0)
    lanes = await depot.fetch("select order_id, state from red_lane where org_id = $1", depot.org)
    assert {row["order_id"] for row in lanes} == ({made, raised} if auto else set())
    assert await depot.fetch(TWO_VISITS) == []


async def test_absent_or_offline_people_are_not_asked_next(depot: Depot) -> None:
    """Who logged off while the first was asked cannot answer: the lane must not spend a minute on them."""
    one, two, three = await depot.crew(1, 2, 3)
    lane_id = await start(depot, await p0(depot))
    async with depot.work() as work:
        await engineers.set_absence(
            work,
            engineers.NewAbsence(
                engineer_id=two, starts_at=NINE, ends_at=NINE + timedelta(hours=5), reason="ill"
            ),
        )
    await time_is_up(depot, lane_id)
    await turn(depot)
    assert [who for who, _ in await said(depot, lane_id)] == [one, three]


async def test_a_lane_that_is_not_there_is_no_fault(depot: Depot) -> None:
    """A message of a lane that was deleted with its organisation's data must not come back for ever."""
    [one] = await depot.crew(1)
    async with depot.work() as work:
        assert await red_lane.advance(work, one, 1) is False
