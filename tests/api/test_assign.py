"""Giving orders to engineers, by the pick and by hand, on a real database."""

import asyncio
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
import pytest
from depots import NINE, Depot

from callout_dispatch import assign, engineers, reading
from callout_dispatch.engineers import NewAbsence, NewShift
from callout_dispatch.pick_terms import PickResult
from callout_orders import customers, orders, stock
from callout_store.clock import ManualClock
from callout_store.errors import (
    BadField,
    Busy,
    EngineerUnavailable,
    NoEngineerFits,
    NotFound,
    Refusal,
    StaleRevision,
    WrongState,
)
from callout_store.ids import new_id

HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)


async def propose(depot: Depot, order_id: UUID, **more: Any) -> PickResult:
    async with depot.work() as work:
        return (await assign.propose(work, order_id, **more)).result


async def dispatch(depot: Depot, order_id: UUID, **more: Any) -> UUID:
    async with depot.work() as work:
        return await assign.dispatch_order(work, order_id, **more)


async def by_hand(depot: Depot, order_id: UUID, engineer_id: UUID, **more: Any) -> UUID:
    async with depot.work() as work:
        return await assign.assign(work, order_id, engineer_id, **more)


def reasons(result: PickResult, engineer_id: UUID) -> list[str]:
    return [r.code.value for out in result.out if out.id == str(engineer_id) for r in out.reasons]


# ---------------------------------------------------------------------------------------------------- the pick


async def test_the_pick_looks_at_skill_shift_absence_and_distance(depot: Depot) -> None:
    """Everyone gets a reason: a dispatcher who sees only a name cannot judge the choice."""
    near, far, lacks, low, off, away, gone = await depot.crew(
        2, 6, 1, 1, 1, 1, 100, skills=[{"hvac": 2}] * 2 + [{"lift": 5}, {"hvac": 1}] + [{"hvac": 2}] * 3
    )
    async with depot.work() as work:
        await work.execute("delete from shift where engineer_id = $1", off)
        await engineers.set_absence(
            work, NewAbsence(engineer_id=away, starts_at=NINE - HOUR, ends_at=NINE + 20 * HOUR)
        )
    order_id = await depot.order()
    async with depot.work() as work:
        proposal = await assign.propose(work, order_id)
    result = proposal.result
    assert [ranked.id for ranked in result.ranked] == [str(near), str(far)]
    assert result.ranked[0].components["travel"] > result.ranked[1].components["travel"]
    assert reasons(result, lacks) == ["SKILL_MISSING"]
    assert reasons(result, low) == ["SKILL_LEVEL_LOW"]
    assert reasons(result, off) == ["NO_SHIFT"]
    assert reasons(result, away) == ["ABSENT"]
    assert reasons(result, gone) == ["TOO_FAR"]
    assert len(proposal.names) == 7
    assert await depot.fetch("select id from visit") == []


async def test_the_last_position_counts_while_it_is_fresh(standing: tuple[Depot, ManualClock]) -> None:
    """The engineer who happens to be around the corner goes, but yesterday's corner says nothing."""
    depot, clock = standing
    near_home, passing_by = await depot.crew(4, 20)
    await depot.at(passing_by, 1)
    order_id = await depot.order()
    assert (await propose(depot, order_id)).best == str(passing_by)
    clock.advance(2 * HOUR)
    assert (await propose(depot, order_id)).best == str(near_home)


async def test_load_moves_the_next_order_to_somebody_else(depot: Depot) -> None:
    """Two alike: whoever already has three hours of work does not get the fourth."""
    one, other = await depot.crew(3, 3)
    for _ in range(3):
        await by_hand(depot, await depot.order(), one)
    result = await propose(depot, await depot.order())
    assert result.best == str(other)
    loads = {ranked.id: ranked.components["hours"] for ranked in result.ranked}
    assert loads[str(one)] == pytest.approx(1 - 180 / 480)
    assert loads[str(other)] == 1.0


async def test_exactly_the_skill_is_better_than_too_much_of_it(depot: Depot) -> None:
    """Rare skills stay free for the work that needs them."""
    _master, fits = await depot.crew(3, 3, skills=[{"hvac": 5}, {"hvac": 2}])
    assert (await propose(depot, await depot.order())).best == str(fits)


async def test_an_urgent_order_goes_only_to_those_online(standing: tuple[Depot, ManualClock]) -> None:
    """P0 is the red lane: an engineer who cannot be reached now must not get it."""
    depot, clock = standing
    near, far = await depot.crew(1, 9)
    clock.advance(timedelta(minutes=engineers.ONLINE_MINUTES + 1))
    await depot.at(far, 9)
    urgent = await propose(depot, await depot.order(priority="P0"))
    assert urgent.best == str(far)
    assert reasons(urgent, near) == ["OFFLINE"]
    assert (await propose(depot, await depot.order(priority="P1"))).best == str(near)


async def test_parts_on_the_van_are_seen(depot: Depot) -> None:
    """Who has the part saves a second visit."""
    one, other = await depot.crew(3, 3)
    async with depot.work() as work:
        part = await customers.create_part(work, customers.NewPart(code="FAN-1", name="Fan"))
        await stock.move(work, [stock.Move(holder_id=other, part_id=part, quantity=2, reason="loaded")])
    result = await propose(depot, await depot.order(), parts={"FAN-1": 2})
    assert result.best == str(other)
    assert [
        note.code.value for ranked in result.ranked if ranked.id == str(one) for note in ranked.notes
    ] == ["PART_NOT_ON_VAN"]
    with pytest.raises(BadField):
        await propose(depot, await depot.order(), parts={"FAN-1": 0})


async def test_dispatching_writes_visit_decision_holder_journal_and_order(depot: Depot) -> None:
    """One act, all its traces: the phone, the timeline, the audit and the order's state agree."""
    one, other = await depot.crew(2, 30, skills=[{"hvac": 2}, {"lift": 2}])
    order_id = await depot.order()
    visit_id = await dispatch(depot, order_id)
    visit = await depot.visit(visit_id)
    assert (visit["plan"], visit["state"], visit["engineer_id"], visit["number"]) == (
        "dispatched",
        "dispatched",
        one,
        1,
    )
    assert visit["scheduled_start"] == NINE + timedelta(minutes=visit["scheduled_start"].minute)
    assert visit["scheduled_end"] - visit["scheduled_start"] == HOUR
    assert visit["scheduled_start"] - NINE >= visit["travel_minutes"] * MINUTE
    async with depot.work() as work:
        [[decision]] = await reading.decisions_by_order_ids(work, [order_id])
        [[held]] = await reading.assignments_by_visit_ids(work, [visit_id])
    assert (decision.method, decision.visit_id, decision.engineer_id) == ("pick", visit_id, one)
    assert decision.actor_id == depot.dispatcher.user_id
    assert decision.result["best"] == str(one)
    assert decision.result["out"][0]["id"] == str(other)
    assert decision.result["out"][0]["reasons"][0]["code"] == "SKILL_MISSING"
    assert (held.engineer_id, held.until_at, held.by_user) == (one, None, depot.dispatcher.user_id)
    entry = await depot.row("select * from journal where kind = 'visit.dispatched'")
    assert (entry["entity_id"], entry["order_id"], entry["visit_id"]) == (visit_id, order_id, visit_id)
    assert msgspec.json.decode(entry["data"])["engineerId"] == str(one)
    assert (await depot.row("select state from work_order"))["state"] == "scheduled"


async def test_an_order_gets_one_visit_at_a_time(depot: Depot) -> None:
    """A double click must not send two engineers."""
    [one] = await depot.crew(2)
    order_id = await depot.order()
    await dispatch(depot, order_id)
    with pytest.raises(WrongState) as caught:
        await dispatch(depot, order_id)
    assert "已排程" not in caught.value.message("en")
    assert "已排程" in caught.value.message("zh")
    with pytest.raises(WrongState):
        await by_hand(depot, order_id, one)
    with pytest.raises(NotFound):
        await dispatch(depot, new_id())


async def test_nobody_fits(depot: Depot) -> None:
    """The refusal says how many were excluded by what; nothing is stored."""
    await depot.crew(2, 3, skills={"lift": 1})
    with pytest.raises(NoEngineerFits) as caught:
        await dispatch(depot, await depot.order())
    assert caught.value.details["reasons"] == "SKILL_MISSING: 2"
    assert await depot.fetch("select id from dispatch_decision") == []


# ---------------------------------------------------------------------------------------------------- by hand


async def test_by_hand_the_hard_rules_hold(depot: Depot) -> None:
    """A slip of the mouse must not send somebody who lacks the skill; the refusal says why in both languages."""
    [one] = await depot.crew(2, skills={"lift": 1})
    order_id = await depot.order()
    with pytest.raises(EngineerUnavailable) as caught:
        await by_hand(depot, order_id, one)
    assert caught.value.details["reasons"] == "SKILL_MISSING"
    assert "lacks the skill hvac" in caught.value.message("en")
    assert "缺少技能 hvac" in caught.value.message("zh")
    with pytest.raises(BadField):
        await by_hand(depot, order_id, one, override=True, reason=" ")
    with pytest.raises(NotFound):
        await by_hand(depot, order_id, new_id())
    assert await depot.fetch("select id from visit") == []


async def test_an_override_is_audited(depot: Depot) -> None:
    """Whoever insists answers for it: the reason, the person and the rules set aside are on record."""
    [one] = await depot.crew(2, skills={"lift": 1})
    order_id = await depot.order()
    visit_id = await by_hand(depot, order_id, one, override=True, reason="knows this site")
    async with depot.work() as work:
        [[decision]] = await reading.decisions_by_order_ids(work, [order_id])
    assert (decision.method, decision.reason, decision.actor_id, decision.visit_id) == (
        "hand",
        "knows this site",
        depot.dispatcher.user_id,
        visit_id,
    )
    assert decision.result["override"] is True
    assert [r["code"] for r in decision.result["slot"]["reasons"]] == ["SKILL_MISSING"]


@pytest.mark.parametrize(
    ("start", "code"),
    (
        (NINE + 10 * MINUTE, "SHIFT_FULL"),  # 8 km take longer than ten minutes
        (NINE + 2 * HOUR + 30 * MINUTE, "SHIFT_FULL"),  # in the middle of another visit
        (NINE + 90 * MINUTE, "SHIFT_FULL"),  # would run into it
        (NINE + 4 * HOUR, "ABSENT"),
        (NINE + 7 * HOUR + 30 * MINUTE, "SHIFT_FULL"),  # would run over the end of the shift
        (NINE + 12 * HOUR, "NO_SHIFT"),
    ),
)
async def test_a_time_that_is_not_free_is_refused(depot: Depot, start: datetime, code: str) -> None:
    """A dispatcher who drags a visit to a place where it cannot be must see why."""
    [one] = await depot.crew(8)
    await by_hand(depot, await depot.order(), one, start=NINE + 2 * HOUR)
    async with depot.work() as work:
        away = NewAbsence(engineer_id=one, starts_at=NINE + 3 * HOUR + 30 * MINUTE, ends_at=NINE + 5 * HOUR)
        await engineers.set_absence(work, away)
    order_id = await depot.order()
    with pytest.raises(EngineerUnavailable) as caught:
        await by_hand(depot, order_id, one, start=start)
    assert caught.value.details["reasons"] == code
    visit_id = await by_hand(depot, order_id, one, start=start, override=True, reason="agreed by telephone")
    assert (await depot.visit(visit_id))["scheduled_start"] == start


async def test_a_time_that_is_free_is_taken_as_it_is(depot: Depot) -> None:
    """The customer was promised three o'clock, so three o'clock it is; without a time it is the earliest."""
    [one] = await depot.crew(2)
    later = await depot.visit(await by_hand(depot, await depot.order(), one, start=NINE + 6 * HOUR))
    soon = await depot.visit(await by_hand(depot, await depot.order(), one))
    assert later["scheduled_start"] == NINE + 6 * HOUR
    assert NINE < soon["scheduled_start"] < NINE + HOUR
    for start, key in (
        (NINE - HOUR, "past"),
        (NINE + 400 * 24 * HOUR, "days"),
        (NINE.replace(tzinfo=None), "zone"),
    ):
        with pytest.raises(BadField) as caught:
            await by_hand(depot, await depot.order(), one, start=start)
        assert key in caught.value.message()


async def test_scheduled_first_and_told_later(depot: Depot) -> None:
    """A plan may stand before the engineer hears of it."""
    [one] = await depot.crew(2)
    visit_id = await by_hand(depot, await depot.order(), one, told=False)
    assert (await depot.visit(visit_id))["state"] == "scheduled"
    async with depot.work() as work:
        await assign.dispatch_visit(work, visit_id, 1)
    visit = await depot.visit(visit_id)
    assert (visit["plan"], visit["state"], visit["revision"]) == ("dispatched", "dispatched", 2)
    with pytest.raises(WrongState):
        async with depot.work() as work:
            await assign.dispatch_visit(work, visit_id)


# ------------------------------------------------------------------------------------- reassign, move, cancel


async def test_reassigning_starts_afresh_and_keeps_the_time(depot: Depot) -> None:
    """The customer was told a time: another engineer who is free then keeps it, and accepts for themselves."""
    one, other = await depot.crew(2, 3)
    visit_id = await by_hand(depot, await depot.order(), one, start=NINE + 3 * HOUR)
    async with depot.work() as work:
        await work.execute(
            "update visit set accepted_at = $2, state = 'accepted' where id = $1", visit_id, NINE
        )
        await assign.reassign(work, visit_id, other, 1, reason="flat tyre")
    visit = await depot.visit(visit_id)
    assert (visit["engineer_id"], visit["state"], visit["accepted_at"]) == (other, "dispatched", None)
    assert (visit["scheduled_start"], visit["revision"]) == (NINE + 3 * HOUR, 2)
    async with depot.work() as work:
        [held] = await reading.assignments_by_visit_ids(work, [visit_id])
        [decisions] = await reading.decisions_by_order_ids(work, [visit["order_id"]])
    assert [(a.engineer_id, a.until_at, a.reason) for a in held] == [
        (one, NINE, ""),
        (other, None, "flat tyre"),
    ]
    assert [(d.method, d.engineer_id, d.reason) for d in decisions] == [
        ("hand", other, "flat tyre"),
        ("hand", one, ""),
    ]
    entry = msgspec.json.decode(
        (await depot.row("select data from journal where kind = 'visit.reassigned'"))["data"]
    )
    assert (entry["fromEngineerId"], entry["engineerId"]) == (str(one), str(other))


async def test_reassigning_to_somebody_busy_then_takes_their_next_free_time(depot: Depot) -> None:
    """Keeping the time must not double-book."""
    one, other = await depot.crew(2, 3)
    visit_id = await by_hand(depot, await depot.order(), one, start=NINE + 3 * HOUR)
    await by_hand(depot, await depot.order(), other, start=NINE + 3 * HOUR)
    async with depot.work() as work:
        await assign.reassign(work, visit_id, other)
    visit = await depot.visit(visit_id)
    assert visit["scheduled_end"] <= NINE + 3 * HOUR


async def test_an_engineer_on_the_way_is_not_called_back_by_mistake(depot: Depot) -> None:
    """Travelling and later is locked: only an override with a reason takes the visit away."""
    one, other = await depot.crew(2, 3)
    visit_id = await by_hand(depot, await depot.order(), one)
    async with depot.work() as work:
        await work.execute(
            "update visit set travelling_at = $2, state = 'travelling' where id = $1", visit_id, NINE
        )
    with pytest.raises(WrongState):
        async with depot.work() as work:
            await assign.reassign(work, visit_id, other)
    with pytest.raises(WrongState):
        async with depot.work() as work:
            await assign.move_visit(work, visit_id, NINE + 3 * HOUR)
    async with depot.work() as work:
        await assign.reassign(work, visit_id, other, override=True, reason="accident")
    visit = await depot.visit(visit_id)
    assert (visit["engineer_id"], visit["state"], visit["travelling_at"]) == (other, "dispatched", None)


async def test_an_older_picture_loses(depot: Depot) -> None:
    """Two dispatchers look at one board: the second to act is told that it changed."""
    one, other = await depot.crew(2, 3)
    visit_id = await by_hand(depot, await depot.order(), one)
    async with depot.work() as work:
        await assign.move_visit(work, visit_id, NINE + 4 * HOUR, 1)
    for act in (
        lambda work: assign.reassign(work, visit_id, other, 1),
        lambda work: assign.move_visit(work, visit_id, NINE + 5 * HOUR, 1),
        lambda work: assign.cancel_visit(work, visit_id, "late", 1),
        lambda work: assign.dispatch_visit(work, visit_id, 1),
    ):
        with pytest.raises(StaleRevision) as caught:
            async with depot.work() as work:
                await act(work)
        assert caught.value.details == {"entity": "visit", "current": 2, "given": 1}
    visit = await depot.visit(visit_id)
    assert (visit["engineer_id"], visit["scheduled_start"]) == (one, NINE + 4 * HOUR)


async def test_a_visit_moves_over_its_own_old_time(depot: Depot) -> None:
    """Half an hour later overlaps where it was; the visit is not in its own way."""
    [one] = await depot.crew(2)
    visit_id = await by_hand(depot, await depot.order(), one, start=NINE + 2 * HOUR)
    async with depot.work() as work:
        await assign.move_visit(work, visit_id, NINE + 2 * HOUR + 30 * MINUTE)
    visit = await depot.visit(visit_id)
    assert visit["scheduled_start"] == NINE + 2 * HOUR + 30 * MINUTE
    assert visit["scheduled_end"] == NINE + 3 * HOUR + 30 * MINUTE


async def test_cancelling_gives_time_and_order_back(depot: Depot) -> None:
    """After a cancellation the engineer is free again and the order waits again; it can be dispatched anew."""
    [one] = await depot.crew(2)
    order_id = await depot.order()
    visit_id = await by_hand(depot, order_id, one, start=NINE + 2 * HOUR)
    with pytest.raises(BadField):
        async with depot.work() as work:
            await assign.cancel_visit(work, visit_id, "  ")
    async with depot.work() as work:
        await assign.cancel_visit(work, visit_id, "customer is away", 1)
    visit = await depot.visit(visit_id)
    assert (visit["plan"], visit["state"], visit["ended_at"]) == ("canceled", "canceled", NINE)
    assert (await depot.row("select state from work_order"))["state"] == "new"
    assert (await depot.row("select until_at from visit_assignment"))["until_at"] == NINE
    again = await depot.visit(await by_hand(depot, order_id, one, start=NINE + 2 * HOUR))
    assert again["number"] == 2
    for act in (
        lambda work: assign.cancel_visit(work, visit_id, "again"),
        lambda work: assign.reassign(work, visit_id, one),
        lambda work: assign.move_visit(work, visit_id, NINE + 3 * HOUR),
    ):
        with pytest.raises(WrongState):
            async with depot.work() as work:
                await act(work)


async def test_an_order_that_is_over_takes_its_visits_along(depot: Depot) -> None:
    """An engineer must not drive to a customer who called the order off."""
    one, other = await depot.crew(2, 3)
    order_id = await depot.order()
    visit_id = await by_hand(depot, order_id, one)
    async with depot.work() as work:
        assert await assign.cancel_visits_of_order(work, order_id, "called off") == [visit_id]
        assert await assign.cancel_visits_of_order(work, order_id, "called off") == []
        await orders.cancel_order(work, order_id, reason="called off")
    with pytest.raises(WrongState):
        await by_hand(depot, order_id, other)


async def test_every_change_of_a_visit_is_told_to_the_phones(depot: Depot) -> None:
    """A change that does not touch the feed stays unknown to the phone: its engineer drives to the old plan."""
    one, other = await depot.crew(2, 3)
    order_id = await depot.order()
    async with depot.work() as work:
        visit_id = await assign.assign(work, order_id, one, told=False)
        assert visit_id in work.touched.rows["visit"]
    for act in (
        lambda work: assign.dispatch_visit(work, visit_id),
        lambda work: assign.move_visit(work, visit_id, NINE + 3 * HOUR),
        lambda work: assign.reassign(work, visit_id, other),
        lambda work: assign.cancel_visit(work, visit_id, "called off"),
    ):
        async with depot.work() as work:
            await act(work)
            assert work.touched.rows["visit"] == {visit_id}


# ---------------------------------------------------------------------------------------------- at the same time


async def count_overlaps(depot: Depot) -> int:
    row = await depot.row(
        """
        select count(*) as n from visit a join visit b on a.engineer_id = b.engineer_id and a.id < b.id
        where a.plan <> 'canceled' and b.plan <> 'canceled'
              and a.scheduled_start < b.scheduled_end and b.scheduled_start < a.scheduled_end
        """
    )
    n: int = row["n"]
    return n


async def outcomes(*acts: Any) -> list[Any]:
    return await asyncio.gather(*acts, return_exceptions=True)


async def test_two_dispatchers_cannot_give_one_engineer_one_time_twice(depot: Depot) -> None:
    """Both saw the gap free. One gets it, the other is told."""
    [one] = await depot.crew(2)
    waiting = await depot.orders(6)
    answers = await outcomes(*(by_hand(depot, id_, one, start=NINE + 3 * HOUR) for id_ in waiting))
    assert sum(isinstance(answer, UUID) for answer in answers) == 1, answers
    assert sum(isinstance(answer, EngineerUnavailable) for answer in answers) == 5, answers
    assert await count_overlaps(depot) == 0


async def test_many_dispatches_at_once_never_overlap(depot: Depot) -> None:
    """The pick of each was made on the same free calendar; what comes later is moved or refused, never doubled."""
    await depot.crew(2, 2.1, 2.2)
    waiting = await depot.orders(12)
    answers = await outcomes(*(dispatch(depot, id_) for id_ in waiting))
    assert all(isinstance(answer, UUID | Busy) for answer in answers), answers
    assert sum(isinstance(answer, UUID) for answer in answers) >= 10
    assert await count_overlaps(depot) == 0


async def test_one_order_dispatched_at_once_gets_one_visit(depot: Depot) -> None:
    """Two dispatchers press the same button."""
    await depot.crew(2, 2.1)
    order_id = await depot.order()
    answers = await outcomes(*(dispatch(depot, order_id) for _ in range(5)))
    assert sum(isinstance(answer, UUID) for answer in answers) == 1
    assert sum(isinstance(answer, WrongState) for answer in answers) == 4, answers
    assert len(await depot.fetch("select id from visit")) == 1


async def test_a_day_and_single_acts_at_once_never_overlap(depot: Depot) -> None:
    """Planning the day must not plan over what a colleague assigns by hand meanwhile, nor stop in a deadlock."""
    crew = await depot.crew(2, 3, 4)
    waiting = await depot.orders(20)
    held = [await by_hand(depot, id_, crew[0]) for id_ in await depot.orders(2)]

    async def day() -> Any:
        async with depot.work() as work:
            return await assign.dispatch_day(work, NINE, NINE + 8 * HOUR)

    async def give_away(visit_id: UUID) -> None:
        async with depot.work() as work:
            await assign.reassign(work, visit_id, crew[1])

    answers = await outcomes(
        day(),
        *(by_hand(depot, id_, crew[n % 3]) for n, id_ in enumerate(waiting[:6])),
        *(give_away(visit_id) for visit_id in held),
        day(),
    )
    assert all(not isinstance(answer, BaseException) or isinstance(answer, Refusal) for answer in answers), (
        answers
    )
    assert await count_overlaps(depot) == 0


async def one_in_hand(depot: Depot, first: Any, second: Any) -> tuple[Any, Any]:
    """`first(work)` is done but not committed when `second(work)` begins; commits once `second` waits for its lock."""
    done, commit = asyncio.Event(), asyncio.Event()

    async def hold() -> Any:
        async with depot.work() as work:
            answer = await first(work)
            done.set()
            await commit.wait()
        return answer

    async def follow() -> Any:
        async with depot.work() as work:
            return await second(work)

    holding = asyncio.create_task(hold())
    await done.wait()
    following = asyncio.create_task(follow())
    while not following.done():
        if await depot.fetch("select 1 from pg_locks where locktype = 'advisory' and not granted"):
            break
        await asyncio.sleep(0.01)
    commit.set()
    answers = await asyncio.gather(holding, following, return_exceptions=True)
    return answers[0], answers[1]


async def test_a_day_waits_for_an_assignment_in_hand(depot: Depot) -> None:
    """The day's plan must see the visit that a colleague is just about to commit."""
    [one] = await depot.crew(2)
    mine, *rest = await depot.orders(4)
    _, planned = await one_in_hand(
        depot,
        lambda work: assign.assign(work, mine, one),
        lambda work: assign.dispatch_day(work, NINE, NINE + 8 * HOUR, order_ids=rest),
    )
    assert len(planned.assigned) == 3
    assert await count_overlaps(depot) == 0


async def test_an_assignment_waits_for_a_day_in_hand(depot: Depot) -> None:
    """And the other way round: by hand nothing is put where the day has just put something."""
    [one] = await depot.crew(2)
    first, second = await depot.orders(2)
    _, refused = await one_in_hand(
        depot,
        lambda work: assign.dispatch_day(work, NINE, NINE + 8 * HOUR, order_ids=[first]),
        lambda work: assign.assign(work, second, one, NINE + 30 * MINUTE),
    )
    assert isinstance(refused, EngineerUnavailable)
    assert await count_overlaps(depot) == 0


# ------------------------------------------------------------------------------------------------ other tenants


async def test_another_organisation_can_do_nothing(depot: Depot) -> None:
    """Ids leak into links and logs; knowing one must not be a right."""
    [one] = await depot.crew(2)
    order_id = await depot.order()
    visit_id = await by_hand(depot, order_id, one)
    stranger = await Depot(depot.db).build()
    [theirs] = await stranger.crew(2)
    their_order = await stranger.order()
    for act in (
        lambda work: assign.propose(work, order_id),
        lambda work: assign.dispatch_order(work, order_id),
        lambda work: assign.assign(work, order_id, theirs),
        lambda work: assign.assign(work, their_order, one),
        lambda work: assign.reassign(work, visit_id, theirs),
        lambda work: assign.move_visit(work, visit_id, NINE + 3 * HOUR),
        lambda work: assign.cancel_visit(work, visit_id, "x"),
        lambda work: assign.dispatch_visit(work, visit_id),
    ):
        with pytest.raises(NotFound):
            async with stranger.work() as work:
                await act(work)
    async with stranger.work() as work:
        assert await assign.cancel_visits_of_order(work, order_id, "x") == []
        assert len((await assign.propose(work, their_order)).names) == 1
        assert await reading.visits_by_ids(work, [visit_id]) == [None]
        assert await reading.decisions_by_order_ids(work, [order_id]) == [[]]
    assert (await depot.visit(visit_id))["revision"] == 1


async def test_night_shifts_and_the_day_after_are_seen(standing: tuple[Depot, ManualClock]) -> None:
    """An order that comes in at night is planned into the next shift, also one over midnight."""
    depot, clock = standing
    clock.set(NINE + 11 * HOUR)
    night, day = await depot.crew(2, 2, hours=0)
    async with depot.work() as work:
        await engineers.set_shifts(
            work,
            [
                NewShift(engineer_id=night, starts_at=NINE + 13 * HOUR, ends_at=NINE + 21 * HOUR),
                NewShift(engineer_id=day, starts_at=NINE + 23 * HOUR, ends_at=NINE + 32 * HOUR),
            ],
        )
    result = await propose(depot, await depot.order())
    starts = {ranked.id: ranked.slot_start for ranked in result.ranked}
    assert NINE + 13 * HOUR < starts[str(night)] < NINE + 14 * HOUR
    assert NINE + 23 * HOUR < starts[str(day)] < NINE + 24 * HOUR
