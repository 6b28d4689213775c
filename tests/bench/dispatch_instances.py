"""A made-up day of 50 engineers and 400 visits, and the barest things that could plan it.

Drawn so that it is tight in the way of a real day: demand for a skill in step with how many hold it, more work than a
careless plan has room for. Everything comes from the seed. Every visit counts the same, so that the number of those left
out is a fair measure between planners that think differently of priorities.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import timedelta
from typing import Final

import msgspec

from callout_dispatch.planning.terms import Lane, Problem, Rest, Task
from callout_dispatch.policy import Availability, Policy, RequestedWindow, Skills, VisitingHours
from callout_geo.travel import Travel, matrix_seconds
from callout_orders.terms import Priority

HOUR: Final = 3_600
MORNING: Final = 1_768_464_000 + 8 * HOUR
"""2026-01-15 08:00 UTC."""
SHIFT_S: Final = 9 * HOUR
ENGINEERS, VISITS, SKILLS, LEVELS = 50, 400, 8, 3
SKILLS_EACH: Final = (2, 4)
SERVICE_MINUTES: Final = (10, 15)
SIDE_DEGREES: Final = (1.0, 1.25)
"""Height and width of the region: about 110 by 110 km, so that most of a day is travel."""
RULES: Final = Policy(rules=(Availability(), Skills(), VisitingHours(), RequestedWindow()))
LUNCH: Final = Rest(earliest_s=MORNING + 3 * HOUR, latest_s=MORNING + 6 * HOUR, length_s=45 * 60)


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What a planner made of a day: visits left out, and hours on the road."""

    left: int
    travel_hours: float


def city(seed: int = 1, *, rests: bool = False, engineers: int = ENGINEERS, visits: int = VISITS) -> Problem:
    """A day: 8 skills of 3 levels, windows of 2 to 4 hours, shifts of 9, ways as haversine x 1.35 at 28 km/h.

    `rests`: with a break of 45 minutes between 11 and 14 o'clock. The same engineers and visits either way.
    """
    rng = random.Random(seed)

    def point() -> tuple[float, float]:
        return 37.5 + SIDE_DEGREES[0] * rng.random(), -122.5 + SIDE_DEGREES[1] * rng.random()

    points = [point() for _ in range(engineers + visits)]
    held = [
        {f"s{n}": rng.randint(1, LEVELS) for n in rng.sample(range(SKILLS), rng.randint(*SKILLS_EACH))}
        for _ in range(engineers)
    ]
    lanes = tuple(
        Lane(
            id=f"e{n}:0",
            engineer_id=f"e{n}",
            start_s=MORNING,
            end_s=MORNING + SHIFT_S,
            start_place=n,
            end_place=n,
            rests=(LUNCH,) if rests else (),
            skills=skills,
        )
        for n, skills in enumerate(held)
    )
    tasks = []
    for n in range(visits):
        # What somebody holds is asked for: demand follows what there is, and nothing is impossible from the start.
        skill, level = rng.choice(sorted(rng.choice(held).items()))
        length_s = rng.randint(4, 8) * HOUR // 2
        first_s = MORNING + rng.randint(0, (SHIFT_S - length_s) // (HOUR // 2)) * (HOUR // 2)
        tasks.append(
            Task(
                id=f"v{n}",
                order_id=f"v{n}",
                place=engineers + n,
                service_s=rng.choice(SERVICE_MINUTES) * 60,
                windows=((first_s, first_s + length_s),),
                due_s=MORNING + 7 * 24 * HOUR,
                priority=Priority.P2,
                skills={skill: rng.randint(1, level)},
            )
        )
    lats, lngs = zip(*points, strict=True)
    seconds = matrix_seconds(
        Travel(circuity=1.35, km_per_hour=(28.0,) * 168), lats, lngs, unknown_minutes=30.0
    )
    return Problem(tasks=tuple(tasks), lanes=lanes, seconds=seconds, now_s=MORNING, policy=RULES)


# ----------------------------------------------------------------------------------------------------------- beside


def greedy(problem: Problem) -> Outcome:
    """Each visit, in order of its window, goes to the nearest engineer whose day it still fits behind.

    A break is taken as soon as it may be, before setting out.
    """
    at = {lane.id: (lane.start_place, lane.start_s, lane.rests) for lane in problem.lanes}
    left = travel_s = 0
    for task in sorted(problem.tasks, key=lambda task: (task.windows[0][0], task.id)):
        found: tuple[int, str, int, tuple[Rest, ...]] | None = None
        for lane in problem.lanes:
            if any(lane.skills.get(skill, 0) < level for skill, level in task.skills.items()):
                continue
            place, free_s, rests = at[lane.id]
            way_s = problem.way_s(lane, place, task.place)
            start_s = max(free_s + way_s, task.windows[0][0])
            if rests and start_s + task.service_s + rests[0].length_s > rests[0].latest_s:
                start_s = max(
                    max(free_s, rests[0].earliest_s) + rests[0].length_s + way_s, task.windows[0][0]
                )
                rests = rests[1:]
            assert lane.end_place is not None
            home_s = start_s + task.service_s + problem.way_s(lane, task.place, lane.end_place)
            fits = start_s <= task.windows[0][1] and home_s <= lane.end_s
            if fits and (found is None or way_s < found[0]):
                found = (way_s, lane.id, start_s + task.service_s, rests)
        if found is None:
            left += 1
            continue
        way_s, lane_id, free_s, rests = found
        travel_s += way_s
        at[lane_id] = (task.place, free_s, rests)
    for lane in problem.lanes:
        assert lane.end_place is not None
        travel_s += problem.way_s(lane, at[lane.id][0], lane.end_place)
    return Outcome(left=left, travel_hours=travel_s / HOUR)


def bare_vroom(problem: Problem, *, seconds_max: float, exploration: int = 1, threads: int = 1) -> Outcome:
    """The day in VROOM's plainest words: a job a visit, a vehicle an engineer, a skill for each skill and level."""
    import vroom  # As in the planner: slow to load, so only where it is used.

    skills = sorted({skill for lane in problem.lanes for skill in lane.skills})

    def number(skill: str, level: int) -> int:
        return skills.index(skill) * (LEVELS + 1) + level

    told = vroom.Input()
    told.set_durations_matrix("car", problem.seconds.astype("uint32"))
    for n, lane in enumerate(problem.lanes):
        told.add_vehicle(
            vroom.Vehicle(
                n,
                start=lane.start_place,
                end=lane.end_place,
                skills={number(s, level) for s, top in lane.skills.items() for level in range(1, top + 1)},
                time_window=(lane.start_s - MORNING, lane.end_s - MORNING),
                breaks=[
                    vroom.Break(
                        k,
                        [(rest.earliest_s - MORNING, rest.latest_s - rest.length_s - MORNING)],
                        rest.length_s,
                    )
                    for k, rest in enumerate(lane.rests)
                ],
            )
        )
    told.add_job(
        [
            vroom.Job(
                n,
                location=task.place,
                default_service=task.service_s,
                skills={number(*one) for one in task.skills.items()},
                time_windows=[(a - MORNING, b - MORNING) for a, b in task.windows],
            )
            for n, task in enumerate(problem.tasks)
        ]
    )
    solved = told.solve(exploration, threads, timedelta(seconds=seconds_max))
    return Outcome(left=len(solved.unassigned), travel_hours=solved.summary.duration / HOUR)


Beside = Callable[[Problem], Outcome]
