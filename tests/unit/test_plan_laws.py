"""Laws of planning, tried on problems made up at random. A failure names the seed: `made_up(seed)` is the problem."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator

import msgspec
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st
from plan_problems import HOUR, PLAIN, Size, lane, made_up, plan_of, standing_at, with_

from callout_dispatch.planning.checker import check
from callout_dispatch.planning.cost import Cost, cost
from callout_dispatch.planning.improve import fill, improve
from callout_dispatch.planning.inserter import InserterPlanner, insert, remove, repair, standing_plan
from callout_dispatch.planning.settle import settle, standing
from callout_dispatch.planning.sheet import Sheet
from callout_dispatch.planning.terms import Lane, Lock, Plan, Problem, Rest, Route, Stop
from callout_orders.terms import Priority

SEEDS = st.integers(0, 2**32 - 1)
ROUNDS = 40
law = settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow])


def solve(problem: Problem, *, seed: int = 1) -> Plan:
    """What the inserter makes of a problem, by count of rounds and not by the clock."""
    sheet = Sheet(problem)
    fill(sheet, settle(sheet, standing(sheet)))
    improve(sheet, rounds_max=ROUNDS, seed=seed, told=lambda _: False)
    return sheet.plan("inserter")


def starts_of(plan: Plan) -> dict[str, int]:
    """When each planned task starts."""
    return {stop.task_id: stop.start_s for route in plan.routes for stop in route.stops if stop.task_id}


def lanes_of(plan: Plan) -> dict[str, set[str]]:
    """On which lanes each planned task is."""
    found: dict[str, set[str]] = {}
    for route in plan.routes:
        for stop in route.stops:
            if stop.task_id:
                found.setdefault(stop.task_id, set()).add(route.lane_id)
    return found


@law
@given(SEEDS)
def test_no_plan_breaks_a_hard_rule(seed: int) -> None:
    """Plans are made without a look at the checker first: whatever it finds here is a fault of the planner."""
    note(f"seed {seed}")
    problem = made_up(seed)
    assert check(problem, solve(problem)) == []


@law
@given(SEEDS)
def test_broken_days_are_mended(seed: int) -> None:
    """Somebody falls ill and the clock runs on: a plan of this morning still becomes one that can be driven."""
    note(f"seed {seed}")
    dice = random.Random(seed)
    problem = made_up(seed)
    plan = solve(problem)
    later = with_(
        standing_at(plan, problem, told=dice.random() < 0.5),
        now_s=problem.now_s + dice.randint(0, 5) * HOUR // 2,
        lanes=tuple(
            msgspec.structs.replace(one, away=((one.start_s + 2 * HOUR, one.start_s + 4 * HOUR),))
            if dice.random() < 0.3
            else one
            for one in problem.lanes
        ),
    )
    tasks = [
        msgspec.structs.replace(task, lock=dice.choice(tuple(Lock))) if task.standing else task
        for task in later.tasks
    ]
    later = with_(later, tasks=tuple(tasks))
    for mended in (repair(later, plan), standing_plan(later), solve(later)):
        assert check(later, mended) == []


@law
@given(SEEDS)
def test_locked_visits_never_move(seed: int) -> None:
    """Who is told, or on the way, is not sent elsewhere: not by a plan, and not by an urgent task."""
    note(f"seed {seed}")
    problem = made_up(seed)
    plan = solve(problem)
    engineer = {one.id: one.engineer_id for one in problem.lanes}
    starts, lanes = starts_of(plan), lanes_of(plan)
    for task in problem.tasks:
        if task.lock is Lock.NONE or task.standing is None:
            continue
        here = set(task.standing.engineer_ids).intersection(engineer.values())
        assert {engineer[name] for name in lanes.get(task.id, ())} == here
        if task.lock is Lock.TIME and here:
            assert starts[task.id] == task.standing.start_s
    for left in plan.left:
        answer = insert(problem, plan, left.task_id, displace={Priority.P1, Priority.P2})
        if answer is None:
            continue
        for move in answer.moves:
            task = problem.task(move.task_id)
            assert task.lock is not Lock.TIME
            assert task.lock is Lock.NONE or move.from_engineer_ids == move.to_engineer_ids
        assert check(problem, answer.plan) == []


@law
@given(SEEDS)
def test_cancelling_gives_the_capacity_back(seed: int) -> None:
    """What was called off by mistake can be put in again, at no higher cost.

    Only what the cancellation itself did to the others is allowed for: without its stop a break may fall before a longer
    way and make them later, and a task that is put in moves nobody back; beside that, a hundredth of the cost for what one
    insertion finds less well than a plan as a whole. Where parts are fetched on the way it is not promised: pick-ups that
    shrank may have to be shared out anew, which one insertion does not do. Nor in a lane where reality has broken a rule
    already, since nothing is put into those.
    """
    note(f"seed {seed}")
    problem = made_up(seed)
    plan = solve(problem)
    if check(problem, plan, with_standing=True):
        return
    followed = {task.follows for task in problem.tasks}
    before = cost(problem, plan)
    fetches = any(stop.kind == "pickup" for route in plan.routes for stop in route.stops)
    for task in problem.tasks:
        if task.id not in starts_of(plan) or task.lock is not Lock.NONE or task.id in followed:
            continue
        less = remove(problem, plan, task.id)
        drift = _beside(problem, less, task.id) - _beside(problem, plan, task.id)
        answer = insert(problem, less, task.id)
        if answer is None and fetches:
            continue
        assert answer is not None, task.id
        if not fetches:
            assert cost(problem, answer.plan).total <= before.total * 1.01 + max(0.0, drift)
        assert check(problem, answer.plan) == []


def _beside(problem: Problem, plan: Plan, task_id: str) -> float:
    """Lateness and moves of all but one task."""
    others = with_(
        problem,
        tasks=tuple(
            msgspec.structs.replace(one, standing=None, lock=Lock.NONE, due_s=2**40)
            if one.id == task_id
            else one
            for one in problem.tasks
        ),
    )
    price: Cost = cost(others, plan)
    return price.late_s + price.moves_s


@law
@given(SEEDS)
def test_another_engineer_never_harms_the_standing_plan(seed: int) -> None:
    """A dispatcher who calls somebody in must not be told of fewer visits by it.

    Exact, because what stands is where plans begin; but where parts are fetched on the way, what stands does not tell where.
    """
    note(f"seed {seed}")
    problem = made_up(seed, Size(standing=False, parts=False))
    plan = solve(problem)
    stands = standing_at(plan, problem)
    wider = with_(stands, lanes=(*stands.lanes, _helper(problem)))
    widened = solve(wider)
    assert check(wider, widened) == []
    assert cost(wider, widened).total <= cost(stands, plan).total + 1e-6
    assert cost(wider, widened).left_s <= cost(stands, plan).left_s


def test_another_engineer_helps_from_scratch_too() -> None:
    """Without a standing plan insertion may choose otherwise and lose: rarely, and never on the whole.

    The tolerance, over 200 seeds that are always the same: in at most 2 of 100 problems more is left out, and all problems
    together get better.
    """
    worse, total_before, total_after = [], 0.0, 0.0
    for seed in range(200):
        problem = made_up(seed, Size(standing=False))
        wider = with_(problem, lanes=(*problem.lanes, _helper(problem)))
        before, after = cost(problem, solve(problem)), cost(wider, solve(wider))
        total_before += before.total
        total_after += after.total
        if after.left_s > before.left_s:
            worse.append(seed)
    assert len(worse) <= 4, worse
    assert total_after < total_before


def _helper(problem: Problem) -> Lane:
    return lane(
        "e9:0", problem.lanes[0].start_place, skills={"power": 3, "radio": 3}, van={"fan": 2, "disk": 2}
    )


@law
@given(SEEDS)
def test_better_skill_never_turns_a_task_out(seed: int) -> None:
    """Whoever learns something may still do all that they did: their plan stays feasible, their tasks stay possible."""
    note(f"seed {seed}")
    problem = made_up(seed)
    plan = solve(problem)
    lanes = tuple(
        msgspec.structs.replace(one, skills={skill: level + 1 for skill, level in one.skills.items()})
        for one in problem.lanes
    )
    better = with_(problem, lanes=lanes)
    assert check(better, plan) == []
    old, new = Sheet(problem), Sheet(better)
    for task in old.problem.tasks:
        assert set(old.lanes_for(task)) <= set(new.lanes_for(task))


@law
@given(SEEDS)
def test_order_of_tasks_and_lanes_decides_nothing(seed: int) -> None:
    """The same day read from the database in another order must not become another plan."""
    note(f"seed {seed}")
    problem = made_up(seed)
    dice = random.Random(seed)
    tasks, lanes = list(problem.tasks), list(problem.lanes)
    dice.shuffle(tasks)
    dice.shuffle(lanes)
    shuffled = with_(problem, tasks=tuple(tasks), lanes=tuple(lanes))
    assert cost(shuffled, solve(shuffled)).total == cost(problem, solve(problem)).total


@law
@given(SEEDS)
def test_price_told_is_the_price_paid(seed: int) -> None:
    """The planner weighs by its own sums: if they were not those of the plan's cost it would improve something else."""
    note(f"seed {seed}")
    problem = made_up(seed)
    sheet = Sheet(problem)
    fill(sheet, settle(sheet, standing(sheet)))
    before = sheet.total()
    assert abs(cost(problem, sheet.plan("inserter")).total - before) < 1e-3
    improve(sheet, rounds_max=ROUNDS, seed=seed, told=lambda _: False)
    assert sheet.total() <= before + 1e-6
    assert abs(cost(problem, sheet.plan("inserter")).total - sheet.total()) < 1e-3


def test_planner_answers_the_same_for_a_seed() -> None:
    """A plan that cannot be had again cannot be questioned."""
    problem = made_up(7, Size(tasks=12, engineers=4))
    told: list[float] = []
    one, two = (
        InserterPlanner().solve(
            problem, seconds_max=0.5, seed=3, progress=lambda part, stage: told.append(part)
        )
        for _ in range(2)
    )
    assert one == two
    assert check(problem, one) == []
    assert max(told) == 1.0


# ------------------------------------------------------------------------------------------ against all there is


@settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow])
@given(SEEDS)
def test_never_better_than_the_best(seed: int) -> None:
    """A cost below the optimum means that the planner breaks a rule or that the price is reckoned wrong."""
    note(f"seed {seed}")
    problem = made_up(seed, PLAIN)
    assert cost(problem, solve(problem)).total >= brute_force(problem) - 1e-6


def test_gap_to_the_best() -> None:
    """How far small plans are from the best there is, over seeds that are always the same: by no more than 1 % on average."""
    gaps, planned = [], 0
    for seed in range(60):
        problem = made_up(seed, PLAIN)
        least, plan = brute_force(problem), solve(problem)
        planned += len(starts_of(plan))
        gaps.append(cost(problem, plan).total / least - 1.0 if least else 0.0)
    assert planned >= 60
    print(
        f"gap to the optimum: {100 * sum(gaps) / len(gaps):.3f} % on average, {100 * max(gaps):.2f} % at most"
    )
    assert min(gaps) > -1e-9
    assert sum(gaps) / len(gaps) <= 0.01


def brute_force(problem: Problem) -> float:
    """The least cost of all plans that the checker passes: every order on every lane with every place of the rest.

    Stops start as early as they may: without standing visits nothing is gained by waiting.
    """
    best: dict[tuple[str, tuple[str, ...]], float] = {}
    names = [task.id for task in problem.tasks]
    for on in problem.lanes:
        for count in range(len(names) + 1):
            for order in itertools.permutations(names, count):
                key = (on.id, tuple(sorted(order)))
                for route in _routes(problem, on, order):
                    alone = plan_of(route, left=[name for name in names if name not in order])
                    if not check(problem, alone):
                        price = cost(problem, alone)
                        best[key] = min(best.get(key, 1e18), price.travel_s + price.late_s)
                if not order:
                    best[key] = 0.0
    worth = {task.id: cost(problem, plan_of(left=names)).left_s for task in problem.tasks}
    for task in problem.tasks:
        only = with_(problem, tasks=(task,))
        worth[task.id] = cost(only, plan_of(left=[task.id])).left_s
    least = 1e18
    for choice in itertools.product((None, *(on.id for on in problem.lanes)), repeat=len(names)):
        total = sum(float(worth[name]) for name, where in zip(names, choice, strict=True) if where is None)
        for on in problem.lanes:
            mine = tuple(sorted(name for name, where in zip(names, choice, strict=True) if where == on.id))
            total += best.get((on.id, mine), 1e18)
        least = min(least, total)
    return least


def _routes(problem: Problem, on: Lane, order: tuple[str, ...]) -> Iterator[Route]:
    """A lane's tasks in this order, as early as can be, with its rest (one at most) before, between or after them."""
    items: list[list[str | Rest]] = [list(order)]
    for rest in on.rests:
        items.append([*order, rest])
        items += [[*order[:n], rest, *order[n:]] for n in range(len(order))]
    for chain in items:
        place, free_s, stops = on.start_place, max(on.start_s, problem.now_s), []
        for one in chain:
            if isinstance(one, Rest):
                start_s = max(free_s, one.earliest_s)
                stop = Stop(kind="rest", start_s=start_s, end_s=start_s + one.length_s)
            else:
                task = problem.task(one)
                way_s = problem.way_s(on, place, task.place)
                ready_s = max(free_s + way_s, task.not_before_s, problem.now_s)
                opens = [max(first, ready_s) for first, last in task.windows if ready_s <= last]
                windowed = {"VisitingHours", "RequestedWindow"}.intersection(
                    type(rule).__name__ for rule in problem.policy.rules
                )
                start_s = min(opens, default=ready_s) if windowed else ready_s
                stop = Stop(
                    kind="task",
                    start_s=start_s,
                    end_s=start_s + task.service_s,
                    travel_s=way_s,
                    task_id=one,
                )
                place = task.place
            stops.append(stop)
            free_s = stop.end_s
        back_s = 0 if on.end_place is None or not order else problem.way_s(on, place, on.end_place)
        yield Route(lane_id=on.id, stops=tuple(stops), back_s=back_s)
