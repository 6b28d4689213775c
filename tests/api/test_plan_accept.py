"""Accepting proposals: whole, in part, too late, and two people at once."""

import asyncio
from typing import Any
from uuid import UUID

import pytest
from depots import NINE, Depot, stand
from plan_runs import FIVE, HOUR, ask, lines, proposal, run, work_off

from callout_dispatch import assign, engineers
from callout_dispatch.crew import set_crew
from callout_dispatch.engineer_terms import NewAbsence
from callout_dispatch.planning.checker import check
from callout_dispatch.planning.terms import Plan
from callout_dispatch.planning.vroom_planner import VroomPlanner
from callout_dispatch.plans import runs
from callout_dispatch.plans.accept import Accepted, accept
from callout_dispatch.plans.changes import Kind
from callout_dispatch.plans.problems import load_problem
from callout_dispatch.plans.rebuild import rebuild, standing_of
from callout_store.clock import ManualClock
from callout_store.errors import (
    LimitExceeded,
    NotFound,
    PlanInfeasible,
    PlanStale,
    Refusal,
    StaleRevision,
    WrongState,
)


async def take(depot: Depot, run_id: UUID, numbers: list[int] | None = None, **more: Any) -> Accepted:
    return await depot.db.run(
        depot.org, lambda work: accept(work, run_id, numbers, **more), actor=depot.dispatcher
    )


async def visits(depot: Depot) -> list[Any]:
    return await depot.fetch(
        "select * from visit where plan <> 'canceled' order by engineer_id, scheduled_start"
    )


async def feasible(depot: Depot) -> None:
    """What stands now keeps to every rule."""
    everybody = [row["id"] for row in await depot.fetch("select id from engineer")]
    async with depot.work() as work:
        given = await load_problem(work, NINE, FIVE, order_ids=[], engineer_ids=everybody)
    plan = rebuild(given.problem, standing_of(given.problem, {}), planner="standing")
    assert check(given.problem, plan, with_standing=True) == []


async def absent(depot: Depot, engineer: UUID) -> None:
    async with depot.work() as work:
        await engineers.set_absence(work, NewAbsence(engineer_id=engineer, starts_at=NINE, ends_at=FIVE))


async def test_the_whole_proposal(depot: Depot) -> None:
    """What a dispatcher accepted must stand exactly so: visits, history, decisions, orders, journal."""
    await depot.crew(1, 5)
    orders = await depot.orders(4, 2) + await depot.orders(4, 6)
    made = await proposal(depot)
    wanted = {line.order_id: line for line in await lines(depot, made.id)}
    taken = await take(depot, made.id, revision=made.revision)
    stands = {visit["order_id"]: visit for visit in await visits(depot)}
    assert set(stands) == set(orders)
    for order, visit in stands.items():
        line = wanted[order]
        assert (visit["engineer_id"], visit["scheduled_start"], visit["scheduled_end"]) == (
            line.engineer_id,
            line.starts_at,
            line.ends_at,
        )
        assert (visit["state"], visit["leg_provider"]) == ("scheduled", "estimate")
        assert visit["travel_minutes"] == pytest.approx(line.travel_minutes)
    assert set(taken.visit_ids) == {visit["id"] for visit in stands.values()}
    assert (taken.run.state, taken.skipped) == ("accepted", ())
    assert {line.state for line in await lines(depot, made.id)} == {"accepted"}
    assert {row["state"] for row in await depot.fetch("select state from work_order")} == {"scheduled"}
    assert len(await depot.fetch("select id from visit_assignment where until_at is null")) == 8
    decisions = await depot.fetch("select method, policy_version, actor_id from dispatch_decision")
    assert {tuple(row) for row in decisions} == {("plan", "0", depot.dispatcher.user_id)}
    assert len(await depot.fetch("select id from journal where kind = 'visit.scheduled'")) == 8
    assert len(await depot.fetch("select id from journal where kind = 'plan.accepted'")) == 1
    await feasible(depot)


async def test_engineers_are_told_where_that_is_wanted(depot: Depot) -> None:
    """A plan for today must reach the phones with the same click."""
    await depot.crew(1)
    await depot.orders(2)
    made = await proposal(depot)
    await take(depot, made.id, told=True)
    assert {visit["state"] for visit in await visits(depot)} == {"dispatched"}
    assert len(await depot.fetch("select id from journal where kind = 'visit.dispatched'")) == 2


async def test_a_part_and_then_the_rest(depot: Depot) -> None:
    """A dispatcher who believes half of a proposal takes that half, and may come back for the other."""
    await depot.crew(1, 5)
    await depot.orders(4, 2)
    made = await proposal(depot)
    changes = await lines(depot, made.id)
    first = await take(depot, made.id, [changes[0].number, changes[3].number])
    assert (first.run.state, len(await visits(depot))) == ("partly_accepted", 2)
    states = {line.number: line.state for line in await lines(depot, made.id)}
    assert states == {1: "accepted", 2: "proposed", 3: "proposed", 4: "accepted"}
    await feasible(depot)
    with pytest.raises(StaleRevision):
        await take(depot, made.id, revision=made.revision)
    second = await take(depot, made.id)
    assert (second.run.state, len(await visits(depot))) == ("accepted", 4)
    await feasible(depot)
    with pytest.raises(WrongState):
        await take(depot, made.id)


async def test_turning_down_the_rest(depot: Depot) -> None:
    """After half of it was taken the rest can be turned down; what was taken stands."""
    await depot.crew(1)
    await depot.orders(2, 2)
    made = await proposal(depot)
    await take(depot, made.id, [1])
    async with depot.work() as work:
        assert (await runs.reject(work, made.id)).state == "accepted"
    assert [line.state for line in await lines(depot, made.id)] == ["accepted", "rejected"]
    assert len(await visits(depot)) == 1


async def moving(depot: Depot) -> tuple[UUID, UUID, UUID, Any]:
    """A visit that stands with somebody who falls ill, somebody else who is free, and the proposal."""
    ill, free = await depot.crew(1, 2)
    visit = await stand(depot, ill, NINE + 2 * HOUR)
    await absent(depot, ill)
    made = await proposal(depot)
    (line,) = await lines(depot, made.id)
    assert (line.kind, line.from_engineer_id, line.engineer_id) == (Kind.REASSIGN, ill, free)
    return ill, free, visit, made


async def test_a_visit_changes_hands(depot: Depot) -> None:
    """Who had the visit must lose it and who gets it must have it, on the phone and in its history."""
    ill, free, visit, made = await moving(depot)
    await take(depot, made.id)
    row = await depot.visit(visit)
    assert (row["engineer_id"], row["revision"], row["state"]) == (free, 2, "scheduled")
    held = await depot.fetch("select engineer_id, until_at from visit_assignment order by from_at, until_at")
    assert {(one["engineer_id"], one["until_at"] is None) for one in held} == {(ill, False), (free, True)}
    (entry,) = await depot.fetch(
        "select data->>'fromEngineerId' as was from journal where kind = 'visit.reassigned'"
    )
    assert entry["was"] == str(ill)


async def test_a_visit_for_which_there_is_no_place(depot: Depot) -> None:
    """An order whose engineer falls ill and whom nobody can replace must wait again, not stand with the ill one."""
    (ill,) = await depot.crew(1)
    visit = await stand(depot, ill, NINE + 2 * HOUR)
    await absent(depot, ill)
    made = await proposal(depot)
    (line,) = await lines(depot, made.id)
    assert (line.kind, line.reasons[0].code) == (Kind.UNASSIGN, "ABSENT")
    await take(depot, made.id)
    row = await depot.visit(visit)
    assert (row["state"], row["ended_at"] is not None) == ("canceled", True)
    assert [one["state"] for one in await depot.fetch("select state from work_order")] == ["new"]


async def test_a_crew_of_two(depot: Depot) -> None:
    """Two men at a lift: both must have the visit, at the same time, and both days must hold it."""
    one, two = await depot.crew(1, 3)
    (order,) = await depot.orders(1, 2)
    async with depot.work() as work:
        await work.execute("update work_order set crew_size = 2 where id = $1", order)
    made = await proposal(depot)
    (line,) = await lines(depot, made.id)
    assert {line.engineer_id, *line.crew} == {one, two}
    await take(depot, made.id)
    (visit,) = await visits(depot)
    crew = await depot.fetch("select engineer_id from visit_crew where visit_id = $1", visit["id"])
    assert [row["engineer_id"] for row in crew] == list(line.crew)
    await feasible(depot)


# ------------------------------------------------------------------------------------------------ too late


async def refused(depot: Depot, run_id: UUID, kind: type[Refusal], **more: Any) -> Refusal:
    """The refusal; nothing was written."""
    before = await depot.fetch("select id, revision from visit order by id")
    with pytest.raises(kind) as fault:
        await take(depot, run_id, **more)
    assert await depot.fetch("select id, revision from visit order by id") == before
    assert (await run(depot, run_id)).state in ("proposed", "partly_accepted")
    return fault.value


async def test_a_visit_that_was_changed_meanwhile(depot: Depot) -> None:
    """What a colleague agreed with the customer since then must not be overruled by an older proposal."""
    _, _, visit, made = await moving(depot)
    async with depot.work() as work:
        await assign.dispatch_visit(work, visit)
    fault = await refused(depot, made.id, PlanStale)
    assert fault.code == "PLAN_STALE"
    assert fault.details["codes"] == "1:visit_changed"
    assert "已被他人修改" in fault.message("zh")
    taken = await take(depot, made.id, skip_stale=True)
    assert (taken.run.state, taken.taken, [one.code for one in taken.skipped]) == (
        "stale",
        (),
        ["visit_changed"],
    )


async def test_an_order_that_got_a_visit_meanwhile(depot: Depot) -> None:
    """Two engineers at one door for one order is what a customer tells for years."""
    one, _ = await depot.crew(1, 9)
    orders = await depot.orders(2, 2)
    made = await proposal(depot)
    by_order = {line.order_id: line for line in await lines(depot, made.id)}
    async with depot.work() as work:
        await assign.assign(work, orders[0], one, FIVE - 2 * HOUR)
    fault = await refused(depot, made.id, PlanStale)
    assert fault.details["numbers"] == str(by_order[orders[0]].number)
    taken = await take(depot, made.id, skip_stale=True)
    assert taken.taken == (by_order[orders[1]].number,)
    assert len(await visits(depot)) == 2
    assert taken.run.state == "accepted"
    await feasible(depot)


async def test_a_time_that_has_passed(standing: tuple[Depot, ManualClock]) -> None:
    """A proposal of nine o'clock must not send somebody out for half past nine at ten."""
    depot, clock = standing
    await depot.crew(1)
    await depot.orders(3, 2)
    made = await proposal(depot)
    clock.advance(HOUR)
    fault = await refused(depot, made.id, PlanStale)
    assert fault.details["codes"] == "1:time_passed"
    taken = await take(depot, made.id, skip_stale=True)
    assert taken.taken == (2, 3)


async def test_an_engineer_who_is_busy_meanwhile(depot: Depot) -> None:
    """What was free when it was planned is not any more: nobody may be promised twice at the same time."""
    (one,) = await depot.crew(1)
    await depot.orders(2, 2)
    made = await proposal(depot)
    changes = await lines(depot, made.id)
    assert changes[0].starts_at is not None
    other = await depot.order(2)
    async with depot.work() as work:
        await assign.assign(work, other, one, changes[0].starts_at)
    fault = await refused(depot, made.id, PlanInfeasible)
    assert fault.code == "PLAN_INFEASIBLE"
    assert fault.details["numbers"].split(",")[0] == "1"
    assert "违反规则" in fault.message("zh")
    taken = await take(depot, made.id, skip_stale=True)
    assert 1 not in taken.taken
    assert {one.code for one in taken.skipped} == {"infeasible"}
    await feasible(depot)


async def test_an_engineer_who_is_absent_meanwhile(depot: Depot) -> None:
    """Somebody calls in sick between the plan and the click."""
    (one,) = await depot.crew(1)
    await depot.orders(2, 2)
    made = await proposal(depot)
    await absent(depot, one)
    await refused(depot, made.id, PlanInfeasible)
    taken = await take(depot, made.id, skip_stale=True)
    assert (taken.taken, taken.run.state, await visits(depot)) == ((), "proposed", [])


async def test_half_of_an_exchange(depot: Depot) -> None:
    """To take the visit that comes and leave the one that must make room for it, is refused, not squeezed in."""
    one, two = await depot.crew(1, 2, skills=[{"hvac": 3, "lift": 1}, {"hvac": 3}])
    # One's only hour for the lift is taken by work that Two could do as well.
    stands = await stand(depot, one, NINE + HOUR)
    lift = await depot.order(0, skills={"lift": 1})
    async with depot.work() as work:
        await work.execute(
            """
            update work_order set requested_from = $2, requested_until = $2::timestamptz + interval '1 minute'
            where id = $1
            """,
            lift,
            NINE + HOUR,
        )
        await work.execute(
            """
            update work_order set requested_from = $2, requested_until = $2::timestamptz + interval '1 minute'
            where id = (select order_id from visit where id = $1)
            """,
            stands,
            NINE + HOUR,
        )
    made = await proposal(depot)
    by_kind = {line.kind: line for line in await lines(depot, made.id)}
    assert by_kind[Kind.REASSIGN].engineer_id == two
    assert by_kind[Kind.ASSIGN].engineer_id == one
    await refused(depot, made.id, PlanInfeasible, numbers=[by_kind[Kind.ASSIGN].number])
    taken = await take(depot, made.id)
    assert len(taken.taken) == 2
    await feasible(depot)


async def test_a_proposal_whose_time_is_over(standing: tuple[Depot, ManualClock]) -> None:
    """Last night's proposal must not be accepted this evening."""
    depot, clock = standing
    await depot.crew(1)
    await depot.order()
    made = await proposal(depot)
    clock.advance(9 * HOUR)
    with pytest.raises(WrongState):
        await take(depot, made.id, skip_stale=True)


async def test_what_is_not_there(depot: Depot) -> None:
    """A number that is no line's must not be passed over: the dispatcher meant something by it."""
    await depot.crew(1)
    await depot.order()
    made = await proposal(depot)
    with pytest.raises(NotFound):
        await take(depot, made.id, [1, 7])
    with pytest.raises(NotFound):
        await take(depot, depot.org)
    with pytest.raises(LimitExceeded):
        await take(depot, made.id, list(range(4_000)))
    assert await visits(depot) == []


async def test_a_line_twice_is_settled(depot: Depot) -> None:
    """A click that comes twice must not make a second visit."""
    await depot.crew(1)
    await depot.orders(2)
    made = await proposal(depot)
    await take(depot, made.id, [1])
    fault = await refused(depot, made.id, PlanStale, numbers=[1])
    assert fault.details["codes"] == "1:settled"


# ------------------------------------------------------------------------------------------------ at once


async def test_two_dispatchers_accept_at_once(depot: Depot) -> None:
    """One of them wins, the other is told; no order gets two visits and nobody is booked twice."""
    await depot.crew(1, 3, 5)
    await depot.orders(6, 2)
    made = await proposal(depot)
    answers = await asyncio.gather(*(take(depot, made.id) for _ in range(3)), return_exceptions=True)
    assert sum(isinstance(one, Accepted) for one in answers) == 1
    assert sum(isinstance(one, WrongState) for one in answers) == 2
    assert len(await visits(depot)) == 6
    await feasible(depot)


async def test_two_proposals_for_the_same_orders(depot: Depot) -> None:
    """Two dispatchers with a plan each: the second one's must not put its visits on top of the first one's."""
    await depot.crew(1, 3)
    await depot.orders(5, 2)
    one, two = await proposal(depot), await proposal(depot)
    answers = await asyncio.gather(
        take(depot, one.id), take(depot, two.id, skip_stale=True), return_exceptions=True
    )
    assert not any(isinstance(answer, Exception) and not isinstance(answer, Refusal) for answer in answers)
    stands = await visits(depot)
    assert len({visit["order_id"] for visit in stands}) == len(stands) == 5
    await feasible(depot)


async def test_a_plan_and_a_hand_at_once(depot: Depot) -> None:
    """While a plan is accepted a colleague gives the same engineer another order: both cannot have the same hour."""
    (one,) = await depot.crew(1)
    await depot.orders(3, 2)
    made = await proposal(depot)
    first = (await lines(depot, made.id))[0]
    other = await depot.order(2)

    async def by_hand() -> UUID:
        async with depot.work() as work:
            return await assign.assign(work, other, one, first.starts_at)

    answers = await asyncio.gather(take(depot, made.id), by_hand(), return_exceptions=True)
    assert sum(isinstance(answer, Refusal) for answer in answers) == 1, answers
    await feasible(depot)


async def test_many_lines_take_as_many_statements_as_one(depot: Depot) -> None:
    """Statement by statement, a region's plan would hold everybody's calendars for a minute."""
    await depot.crew(*range(1, 11))
    for km in range(10):
        await depot.orders(4, km)
    large = await proposal(depot)
    counts = []
    for numbers in ([1], None):
        told: list[str] = []
        async with depot.work() as work:
            work.conn = _Counting(work.conn, told)
            await accept(work, large.id, numbers)
        counts.append(len(told))
    assert len(await visits(depot)) == 40
    assert counts[1] <= counts[0] + 3


class _Counting:
    """A connection that notes its statements."""

    def __init__(self, conn: Any, told: list[str]) -> None:
        self._conn, self._told = conn, told

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._conn, name)
        if name not in ("fetch", "execute", "fetchrow", "fetchval"):
            return found

        def counted(sql: str, *args: Any) -> Any:
            self._told.append(sql)
            return found(sql, *args)

        return counted


async def test_who_is_led_by_hand_keeps_the_crew(depot: Depot) -> None:
    """A helper whom a dispatcher sent along must not be lost because a plan moved another visit."""
    one, two = await depot.crew(1, 3)
    visit = await stand(depot, one, NINE + HOUR)
    async with depot.work() as work:
        await set_crew(work, visit, [two])
    await depot.orders(2, 2)
    made = await proposal(depot)
    await take(depot, made.id)
    crew = await depot.fetch("select engineer_id from visit_crew where visit_id = $1", visit)
    assert [row["engineer_id"] for row in crew] == [two]
    await feasible(depot)


async def in_vroom(planner: str, problem: Any, **more: Any) -> Plan:
    """The planner that is asked for in production, in this process."""
    return VroomPlanner().solve(problem, seconds_max=1.0, seed=more["seed"], progress=more["on_progress"])


async def test_a_day_in_full(standing: tuple[Depot, ManualClock]) -> None:
    """In the middle of a real day, with people under way, breaks, crews, chains and somebody ill, the plan that VROOM makes
    must pass the checker, be accepted whole, and leave a day that keeps to the rules."""
    depot, clock = standing
    crew = await depot.crew(1, 2, 4, 6, 8, 10)
    async with depot.work() as work:
        await work.execute(
            """
            insert into shift_break (id, shift_id, engineer_id, earliest, latest, minutes)
            select gen_random_uuid(), id, engineer_id, $1, $2, 45 from shift
            """,
            NINE + 2 * HOUR,
            NINE + 5 * HOUR,
        )
    stands = [await stand(depot, crew[n % 6], NINE + (1 + n // 6) * 1.5 * HOUR, km=n % 7) for n in range(12)]
    async with depot.work() as work:
        await work.execute(
            "update visit set state = 'in_progress', plan = 'dispatched' where id = $1", stands[0]
        )
        await work.execute(
            "update visit set state = 'travelling', plan = 'dispatched' where id = $1", stands[1]
        )
        await work.execute(
            "update visit set state = 'dispatched', plan = 'dispatched' where id = any($1)", stands[2:5]
        )
        await work.execute("update visit set hold = 'time' where id = $1", stands[7])
        await set_crew(work, stands[9], [crew[0]], override=True, reason="test")
    for km in range(5):
        await depot.orders(3, km, duration_minutes=45, priority="P2")
    first, second = await depot.orders(2, 3, duration_minutes=30)
    (pair,) = await depot.orders(1, 4)
    async with depot.work() as work:
        await work.execute("update work_order set follows_order_id = $2 where id = $1", second, first)
        await work.execute("update work_order set crew_size = 2 where id = $1", pair)
    await absent(depot, crew[5])
    clock.advance(1.75 * HOUR)
    before = {row["id"]: row for row in await depot.fetch("select * from visit")}
    made = await work_off(depot, await ask(depot, planner="vroom"), in_vroom)
    assert (made.state, made.stage) == ("proposed", "proposed"), made.figures
    taken = await take(depot, made.id, told=True)
    assert (taken.run.state, taken.skipped) == ("accepted", ())
    after = {row["id"]: row for row in await depot.fetch("select * from visit")}
    for locked in (stands[0], stands[1], stands[7]):
        for column in ("engineer_id", "scheduled_start", "revision"):
            assert after[locked][column] == before[locked][column]
    for told in stands[2:5]:
        assert after[told]["engineer_id"] in (before[told]["engineer_id"], None)
    again = await proposal(depot, start=clock.now())
    assert {line.state for line in await lines(depot, made.id)} == {"accepted"}
    assert again.figures["before"]["visits"] == taken.run.figures["after"]["visits"]
