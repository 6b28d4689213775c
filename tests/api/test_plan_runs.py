"""A plan's run from asking to the proposal, on a real database; planners that die, are late, cheat, or are called off."""

import asyncio
from datetime import timedelta
from typing import Any

import msgspec
import pytest
from depots import NINE, Depot
from plan_runs import FIVE, HOUR, ask, at_once, claimed, lines, proposal, run, work_off

from callout_backend.jobs.drain import Drainer, Long, drain
from callout_backend.jobs.plans import plan_handler, watch_handler
from callout_dispatch import assign
from callout_dispatch.planning import processes
from callout_dispatch.planning.processes import PlannerDied, PlannerPool, PlannerTimeout
from callout_dispatch.planning.terms import Plan, Route, Stop
from callout_dispatch.plans import problems, runs
from callout_dispatch.plans.changes import Kind
from callout_dispatch.plans.loaded import unpack
from callout_dispatch.plans.run_writes import WATCH_CHANNEL
from callout_store import outbox
from callout_store.clock import ManualClock
from callout_store.errors import BadField, LimitExceeded, NotFound, WrongState
from callout_store.ids import new_id


async def picture(depot: Depot) -> list[Any]:
    """Every visit as it stands."""
    return [tuple(row) for row in await depot.fetch("select * from visit order by id")]


async def test_a_plan_is_a_proposal_and_changes_nothing(depot: Depot) -> None:
    """A plan that wrote itself into the day would send people out before any dispatcher had seen it."""
    await depot.crew(1, 4)
    orders = await depot.orders(3, 2)
    before = await picture(depot)
    made = await proposal(depot)
    assert await picture(depot) == before
    changes = await lines(depot, made.id)
    assert {change.order_id for change in changes} == set(orders)
    assert {change.kind for change in changes} == {Kind.ASSIGN}
    assert [change.number for change in changes] == [1, 2, 3]
    assert all(change.starts_at is not None and change.starts_at >= NINE for change in changes)
    assert all(change.leg_provider == "estimate" and change.leg_metres is not None for change in changes)
    assert (made.progress, made.stage, made.fault) == (1.0, "proposed", None)
    assert made.figures["before"]["unassigned"] == 3
    assert made.figures["after"]["unassigned"] == 0
    assert made.figures["changes"]["assign"] == 3
    assert sum(day["gains"] for day in made.figures["engineers"]) == 3
    assert made.expires_at == FIVE


async def test_the_diff_says_what_becomes_of_each(depot: Depot) -> None:
    """Who reads a proposal must find what stays, what moves and what finds no place, each once."""
    (one,) = await depot.crew(1)
    kept = await depot.order(1)
    async with depot.work() as work:
        visit = await assign.assign(work, kept, one, NINE + HOUR, told=True)
    lift = await depot.order(2, skills={"lift": 1})
    new = await depot.order(2)
    made = await proposal(depot)
    changes = {change.order_id: change for change in await lines(depot, made.id)}
    assert len(changes) == 3
    assert changes[kept].visit_id == visit
    assert changes[kept].visit_revision == (await depot.visit(visit))["revision"]
    assert changes[kept].kind in (Kind.KEEP, Kind.MOVE)
    assert changes[kept].engineer_id == one
    assert changes[new].kind is Kind.ASSIGN
    assert changes[lift].kind is Kind.UNASSIGNED
    assert changes[lift].reasons[0].code == "SKILL_MISSING"
    assert made.figures["after"]["unassignedByPriority"] == {"P0": 0, "P1": 1, "P2": 0}


async def test_the_worker_makes_it_by_the_outbox(alone: Depot) -> None:
    """What is asked for must be made by whichever worker comes by, in its own process, and be done then."""
    await alone.crew(1)
    await alone.orders(2)
    run_id = await ask(alone, planner="vroom", seconds_max=0.5)
    try:
        await drain(alone.db, {runs.RUN_CHANNEL: plan_handler(), WATCH_CHANNEL: watch_handler()})
    finally:
        await processes.close()
    made = await run(alone, run_id)
    assert (made.state, made.figures["planner"]) == ("proposed", "vroom")
    states = await alone.fetch("select state from outbox where channel = $1", runs.RUN_CHANNEL)
    assert [row["state"] for row in states] == ["done"]


async def test_an_empty_territory_is_answered(depot: Depot) -> None:
    """A quiet day is no fault: whoever plans every evening must not be paged for it."""
    await depot.crew(1)
    made = await proposal(depot)
    assert (made.stage, await lines(depot, made.id)) == ("empty", [])


async def test_orders_without_anybody_are_told(depot: Depot) -> None:
    """A day for which nobody has made a roster must say so, order by order."""
    order = await depot.order()
    made = await proposal(depot)
    (line,) = await lines(depot, made.id)
    assert (line.order_id, line.kind, line.reasons[0].code) == (order, Kind.UNASSIGNED, "NO_SHIFT")


@pytest.mark.parametrize(
    ("more", "path"),
    (
        ({"start": NINE.replace(tzinfo=None)}, "start"),
        ({"end": NINE - HOUR}, "end"),
        ({"start": NINE - 5 * HOUR, "end": NINE}, "end"),  # over already
        ({"end": NINE + timedelta(days=15)}, "end"),
        ({"start": NINE + timedelta(days=400), "end": NINE + timedelta(days=401)}, "start"),
        ({"planner": "oracle"}, "planner"),
        ({"seconds_max": 0.0}, "secondsMax"),
        ({"seconds_max": float("nan")}, "secondsMax"),
        ({"seconds_max": 601.0}, "secondsMax"),
        ({"seed": -1}, "seed"),
        ({"seed": 2**31}, "seed"),
    ),
)
async def test_what_cannot_be_planned_is_refused(depot: Depot, more: dict[str, Any], path: str) -> None:
    """A run that can only fail would keep a dispatcher waiting for it."""
    with pytest.raises(BadField) as refused:
        await ask(depot, **more)
    assert refused.value.path == path
    assert await depot.fetch("select id from plan_run") == []


async def test_an_unknown_territory_is_refused(depot: Depot) -> None:
    """A typing error must not plan the whole country."""
    with pytest.raises(NotFound):
        await ask(depot, territory_id=new_id())


async def test_too_much_is_refused_at_once(depot: Depot, monkeypatch: pytest.MonkeyPatch) -> None:
    """A hundred thousand orders are told when they are asked about, not after minutes, and not by a dead worker."""
    await depot.orders(4)
    monkeypatch.setattr(runs, "TASKS_MAX", 3)
    with pytest.raises(LimitExceeded) as refused:
        await ask(depot)
    assert (refused.value.details["limit"], refused.value.details["given"]) == (3, 4)
    assert await depot.fetch("select id from outbox where channel = $1", runs.RUN_CHANNEL) == []


async def test_what_became_too_much_meanwhile_fails_clearly(
    depot: Depot, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Orders that came in between asking and planning must not end in a fault that nobody understands."""
    await depot.orders(4)
    run_id = await ask(depot)
    monkeypatch.setattr(problems, "TASKS_MAX", 3)
    made = await work_off(depot, run_id)
    assert (made.state, made.fault, made.figures["fault"]["limit"]) == ("failed", "limit", 3)


async def test_so_many_at_once(depot: Depot) -> None:
    """One organisation that asks again and again must not take all workers from the others."""
    first = await ask(depot)
    for _ in range(runs.AT_ONCE_MAX - 1):
        await ask(depot)
    with pytest.raises(LimitExceeded):
        await ask(depot)
    async with depot.work() as work:
        await runs.cancel(work, first)
    await ask(depot)


# ------------------------------------------------------------------------------------------------ planners that fail


def failing(fault: Exception) -> Any:
    """A planner that ends like this, unless it is the inserter."""

    async def solve(planner: str, problem: Any, **more: Any) -> Plan:
        if planner == "vroom":
            raise fault
        return await at_once(planner, problem, **more)

    return solve


@pytest.mark.parametrize("fault", (PlannerDied("signal 9"), PlannerTimeout("late"), ValueError("a bug")))
async def test_a_planner_that_dies_has_a_fallback(depot: Depot, fault: Exception) -> None:
    """A solver that crashes on some rare problem must cost that plan some quality, not the dispatcher the morning."""
    await depot.crew(1)
    await depot.orders(2)
    made = await work_off(depot, await ask(depot, planner="vroom"), failing(fault))
    assert (made.state, made.stage) == ("proposed", "proposed_by_fallback")
    assert made.figures["fallback"] is True
    assert made.figures["faults"][0]["fault"] == type(fault).__name__


async def test_a_planner_that_cheats_is_found_out(depot: Depot) -> None:
    """A plan that sends somebody to two places at once must reach nobody, whoever made it."""
    await depot.crew(1)
    await depot.orders(2)

    async def cheat(planner: str, problem: Any, **more: Any) -> Plan:
        if planner == "inserter":
            return await at_once(planner, problem, **more)
        start = problem.now_s
        stops = tuple(
            Stop(kind="task", start_s=start, end_s=start + task.service_s, task_id=task.id)
            for task in problem.tasks
        )
        return Plan(routes=(Route(lane_id=problem.lanes[0].id, stops=stops),), planner=planner)

    made = await work_off(depot, await ask(depot, planner="vroom"), cheat)
    assert (made.state, made.stage) == ("proposed", "proposed_by_fallback")
    assert made.figures["faults"][0]["fault"] == "infeasible"
    starts = [line.starts_at for line in await lines(depot, made.id)]
    assert len(set(starts)) == 2


async def test_when_all_planners_fail_nothing_has_changed(depot: Depot) -> None:
    """The day that stands must survive whatever becomes of the plan that was to better it."""
    (one,) = await depot.crew(1)
    order = await depot.order()
    async with depot.work() as work:
        await assign.assign(work, order, one, NINE + HOUR)
    await depot.orders(2)
    before = await picture(depot)

    async def die(planner: str, problem: Any, **more: Any) -> Plan:
        raise PlannerDied("signal 11")

    made = await work_off(depot, await ask(depot), die)
    assert (made.state, made.fault) == ("failed", "no_plan")
    assert await picture(depot) == before
    assert await lines(depot, made.id) == []


async def test_a_killed_process_leaves_the_standing_plan(depot: Depot) -> None:
    """The kernel that kills a planner for its memory must not take the dispatchers' day with it."""
    await depot.crew(1)
    await depot.orders(3)
    before = await picture(depot)
    pool = PlannerPool(1)
    killed: list[int] = []

    async def solve(planner: str, problem: Any, **more: Any) -> Plan:
        if planner != "vroom":
            return await at_once(planner, problem, **more)
        solving = asyncio.create_task(pool.solve(planner, problem, **{**more, "seconds_max": 60.0}))
        while not pool.pids:  # noqa: ASYNC110 - the pool has no event for it
            await asyncio.sleep(0.01)
        for process in pool._all:
            killed.append(process.pid)
            process.kill()
        return await solving

    try:
        made = await work_off(depot, await ask(depot, planner="vroom"), solve)
    finally:
        await pool.close()
    assert killed
    assert (made.state, made.stage) == ("proposed", "proposed_by_fallback")
    assert made.figures["faults"][0]["fault"] == "PlannerDied"
    assert await picture(depot) == before


# ------------------------------------------------------------------------------------------------ called off


class Slow:
    """A planner that works until it is called off, and says so when it has begun."""

    def __init__(self) -> None:
        self.begun = asyncio.Event()

    async def __call__(self, planner: str, problem: Any, **more: Any) -> Plan:
        more["on_progress"](0.25, "searching")
        self.begun.set()
        await more["canceled"].wait()
        raise processes.PlannerCanceled("called off")


async def test_progress_is_seen_and_a_run_is_called_off(depot: Depot) -> None:
    """Whoever asked for the wrong week must neither wait for it nor wonder whether it is still at work."""
    await depot.crew(1)
    await depot.orders(2)
    run_id = await ask(depot, planner="vroom")
    slow = Slow()
    working = asyncio.create_task(work_off(depot, run_id, slow))
    await slow.begun.wait()
    while (seen := await run(depot, run_id)).stage != "searching":  # noqa: ASYNC110 - it is the database that tells
        await asyncio.sleep(0.01)
    assert (seen.state, seen.progress) == ("running", 0.25)
    async with depot.work() as work:
        assert (await runs.cancel(work, run_id)).cancel_asked
    made = await working
    assert (made.state, await lines(depot, run_id)) == ("canceled", [])
    async with depot.work() as work:
        assert (await runs.cancel(work, run_id)).state == "canceled"


async def test_a_run_that_waits_is_called_off_at_once(depot: Depot) -> None:
    """What nobody has begun must not be begun any more."""
    run_id = await ask(depot)
    async with depot.work() as work:
        assert (await runs.cancel(work, run_id)).state == "canceled"
    assert (await work_off(depot, run_id)).state == "canceled"


async def test_what_was_called_off_in_the_last_moment_is_no_proposal(depot: Depot) -> None:
    """A dispatcher who was told that a run ends must not find its proposal among the others."""
    await depot.crew(1)
    await depot.orders(2)
    run_id = await ask(depot)

    async def solve(planner: str, problem: Any, **more: Any) -> Plan:
        plan = await at_once(planner, problem, **more)
        async with depot.work() as work:
            await runs.cancel(work, run_id)
        more["canceled"].clear()
        return plan

    made = await work_off(depot, run_id, solve)
    assert (made.state, await lines(depot, run_id)) == ("canceled", [])


async def test_a_proposal_cannot_be_called_off(depot: Depot) -> None:
    """Calling off and turning down are two things; the answer says in which state it is."""
    made = await proposal(depot)
    async with depot.work() as work:
        with pytest.raises(WrongState) as refused:
            await runs.cancel(work, made.id)
    assert "proposed" in str(refused.value)
    assert "已提出方案" in refused.value.message("zh")


async def test_turning_down(depot: Depot) -> None:
    """What was turned down must not be accepted by somebody else an hour later."""
    await depot.crew(1)
    await depot.order()
    made = await proposal(depot)
    async with depot.work() as work:
        assert (await runs.reject(work, made.id, made.revision)).state == "rejected"
    assert [line.state for line in await lines(depot, made.id)] == ["rejected"]


# ------------------------------------------------------------------------------------------------ workers that die


async def test_the_same_message_twice_makes_one_proposal(depot: Depot) -> None:
    """A message that comes again must not put a second set of lines beside the first."""
    await depot.crew(1)
    await depot.orders(2)
    run_id = await ask(depot)
    first = await work_off(depot, run_id)
    again = await work_off(depot, run_id)
    assert (first.revision, len(await lines(depot, run_id))) == (again.revision, 2)


async def test_a_run_is_taken_over_from_a_dead_worker(depot: Depot) -> None:
    """A worker that is killed takes its run to nobody's grave; and should it wake after all, it finds its hands empty."""
    await depot.crew(1)
    await depot.orders(2)
    run_id = await ask(depot)
    slow = Slow()
    first = asyncio.create_task(plan_handler(slow, beat_s=60)(depot.db, claimed(depot.org, run_id)))
    await slow.begun.wait()
    second = await work_off(depot, run_id)
    assert second.state == "proposed"
    before = await lines(depot, run_id)

    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    async with depot.work() as work:
        with pytest.raises(runs.LostRun):
            await runs.propose(work, run_id, new_id(), [], {})
    assert await lines(depot, run_id) == before


async def test_a_run_that_kills_its_workers_is_given_up(depot: Depot) -> None:
    """A problem that ends every process that touches it must not go round for ever."""
    run_id = await ask(depot)
    for _ in range(runs.ATTEMPTS_MAX):
        async with depot.work() as work:
            assert await runs.begin(work, run_id, new_id()) is not None
    made = await work_off(depot, run_id)
    assert (made.state, made.fault) == ("failed", "gave_up")


async def test_a_silent_run_is_given_up_by_its_timer(depot: Depot) -> None:
    """A run of which nothing is heard must not keep its place among the few that one organisation may have."""
    run_id = await ask(depot)
    async with depot.work() as work:
        await runs.begin(work, run_id, new_id())
        await runs.watch(work, run_id)
    assert (await run(depot, run_id)).state == "running"
    async with depot.work() as work:
        await work.execute(
            "update plan_run set alive_at = now() - interval '6 minutes' where id = $1", run_id
        )
        await runs.watch(work, run_id)
    assert (await run(depot, run_id)).fault == "gave_up"


async def test_a_proposal_gets_stale(standing: tuple[Depot, ManualClock]) -> None:
    """Yesterday's proposal says nothing about today."""
    depot, clock = standing
    await depot.crew(1)
    await depot.order()
    made = await proposal(depot)
    clock.advance(9 * HOUR)
    async with depot.work() as work:
        with pytest.raises(WrongState):
            await runs.reject(work, made.id)
        await runs.watch(work, made.id)
    assert (await run(depot, made.id)).state == "stale"


# ------------------------------------------------------------------------------------------------ the lease


async def test_a_long_handler_keeps_its_row(alone: Depot) -> None:
    """A plan takes minutes, a lease is a minute: without renewal a second worker would begin it again, and a third."""
    run_id = await ask(alone)
    ran: list[int] = []
    done = asyncio.Event()

    async def slowly(db: Any, item: outbox.Claimed) -> None:
        ran.append(item.attempt)
        held = await lease(alone)
        while len(set(seen)) < 3:  # renewed twice: longer than the lease it began with
            seen.append(await lease(alone))
            await asyncio.sleep(0.02)
        assert max(seen) > held
        done.set()

    seen: list[Any] = []
    first = Drainer(alone.db, {runs.RUN_CHANNEL: Long(slowly, 30.0)}, lease_s=0.5, deadline_s=0.2)
    second = Drainer(alone.db, {runs.RUN_CHANNEL: Long(slowly, 30.0)}, lease_s=0.5, deadline_s=0.2)
    working = first.wake()
    while not done.is_set():
        await second.wake()
        await asyncio.sleep(0.02)
    await working
    assert ran == [1]
    assert (await run(alone, run_id)).state == "queued"


async def test_who_loses_the_lease_stops(alone: Depot) -> None:
    """A worker whose row was given to another must not go on planning beside it."""
    await ask(alone)
    stopped = asyncio.Event()
    begun = asyncio.Event()

    async def slowly(db: Any, item: outbox.Claimed) -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            stopped.set()

    drainer = Drainer(alone.db, {runs.RUN_CHANNEL: Long(slowly, 30.0)}, lease_s=0.4, deadline_s=0.2)
    drainer.wake()
    await begun.wait()
    async with alone.db.system_work() as work:
        await work.execute(
            "update outbox set lease_token = gen_random_uuid(), lease_until = now() + interval '1 hour' where channel = $1",
            runs.RUN_CHANNEL,
        )
    async with asyncio.timeout(20):
        await stopped.wait()
    await drainer.stop()


async def lease(depot: Depot) -> Any:
    async with depot.db.system_work() as work:
        return await work.fetchval(
            "select lease_until from outbox where org_id = $1 and channel = $2", depot.org, runs.RUN_CHANNEL
        )


async def test_changes_are_kept_as_they_were_found(depot: Depot) -> None:
    """What a dispatcher reads must be what the planner meant: engineer, times and ways, line by line."""
    await depot.crew(1)
    await depot.orders(2, 3)
    made = await proposal(depot)
    stored = await depot.fetch("select problem from plan_run where id = $1", made.id)
    problem, _ = unpack(stored[0]["problem"])
    first, second = sorted(await lines(depot, made.id), key=lambda line: line.starts_at or NINE)
    assert first.travel_minutes is not None
    assert second.travel_minutes == 0
    assert msgspec.to_builtins(problem.tasks[0].id) in {str(first.order_id), str(second.order_id)}
    assert first.ends_at == second.starts_at
