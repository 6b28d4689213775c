"""A month of San Francisco's real requests, dispatched day by day: ours beside nearest-first and round-robin.

The sample has about 55 usable requests a calendar month and year, too few for a crew: the requests of one month of all its
years are laid over each other, by their day of the month and time of day. Nothing else about them is invented; the crew is
(seeded), because the city does not say who went. All three see a request only when it comes in, on the same shifts, with
the same breaks, ways and minutes of work.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

import msgspec
import numpy as np

from callout_backend.demo import sf311
from callout_dispatch.planning.checker import check
from callout_dispatch.planning.cost import cost
from callout_dispatch.planning.inserter import insert
from callout_dispatch.planning.terms import (
    Lane,
    Left,
    Lock,
    Plan,
    Planner,
    Problem,
    Rest,
    Standing,
    Stop,
    Task,
)
from callout_geo.travel import Travel, matrix_seconds
from callout_orders.terms import Priority

MONTH: Final = 12
YEAR: Final = 2026
ENGINEERS: Final = 5
SKILLS_EACH: Final = 3
SHIFT: Final = (8, 17)
LUNCH: Final = (11.5, 14.0, 45)
"""Earliest and latest hour, minutes."""
DUE_HOURS: Final = {Priority.P0: 2, Priority.P1: 8, Priority.P2: 24}
ZONE: Final = ZoneInfo("America/Los_Angeles")
SEED: Final = 1


class Job(msgspec.Struct, frozen=True):
    """A request as the month sees it; instants in seconds since 1970 UTC."""

    id: str
    place: int
    came_s: int
    due_s: int
    service_s: int
    skill: str
    level: int
    priority: Priority


class Person(msgspec.Struct, frozen=True):
    """An engineer of the made-up crew."""

    id: str
    place: int
    skills: dict[str, int]


class Month(msgspec.Struct, frozen=True):
    """Requests in order of arrival, the crew, and the ways between all their places."""

    jobs: tuple[Job, ...]
    crew: tuple[Person, ...]
    seconds: np.ndarray
    days: tuple[tuple[int, int], ...]


class Done(msgspec.Struct):
    """What became of the month: (job, start) of every visit, and seconds on the road."""

    starts: dict[str, int]
    travel_s: int


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """A month in figures: of all requests, those done; minutes of travel a visit; and how late work started."""

    name: str
    jobs: int
    done: int
    travel_minutes_a_visit: float
    late: int
    late_minutes_mean: float


def load(*, month: int = MONTH, engineers: int = ENGINEERS, seed: int = SEED) -> Month:
    """The month and its crew."""
    rng = random.Random(seed)
    usable = sf311.read(sf311.packaged_rows()).usable
    mine = [one for one in usable if one.created_at.month == month]
    others = [one for one in usable if one.created_at.month != month]
    points = [one.point for one in mine]
    skills = sorted({one.skill for one in mine})
    wanted = [sum(one.skill == skill for one in mine) for skill in skills]
    crew = []
    for n in range(engineers):
        # Everybody has something; the skill asked for most is held by most.
        held = {skills[n % len(skills)]}
        while len(held) < SKILLS_EACH:
            held.add(rng.choices(skills, wanted)[0])
        points.append(rng.choice(others).point)
        crew.append(Person(f"e{n}", len(points) - 1, dict.fromkeys(sorted(held), 3)))
    for skill in skills:
        if not any(skill in person.skills for person in crew):
            crew[skills.index(skill) % len(crew)].skills[skill] = 3
    jobs = []
    for n, one in enumerate(mine):
        local = one.created_at.replace(year=YEAR, tzinfo=ZONE)
        came_s = int(local.timestamp())
        priority = Priority(one.priority)
        jobs.append(
            Job(
                one.key,
                n,
                came_s,
                came_s + DUE_HOURS[priority] * 3600,
                one.minutes * 60,
                one.skill,
                one.level,
                priority,
            )
        )
    lats, lngs = [p.lat for p in points], [p.lng for p in points]
    seconds = matrix_seconds(Travel(time_zone=str(ZONE)), lats, lngs, unknown_minutes=30.0)
    first = datetime(YEAR, month, 1, tzinfo=ZONE)
    days = []
    # Some days after the month, so that what came in last is dispatched too.
    for n in range(38):
        day = (first + timedelta(days=n)).date()
        begin = datetime(day.year, day.month, day.day, SHIFT[0], tzinfo=ZONE)
        end = datetime(day.year, day.month, day.day, SHIFT[1], tzinfo=ZONE)
        days.append((int(begin.timestamp()), int(end.timestamp())))
    return Month(tuple(sorted(jobs, key=lambda job: (job.came_s, job.id))), tuple(crew), seconds, tuple(days))


# ------------------------------------------------------------------------------------------------ by rule of thumb


class _Day:
    """One engineer's day to whose end work is appended."""

    def __init__(self, person: Person, begin_s: int, end_s: int) -> None:
        self.person, self.place, self.free_s, self.end_s = person, person.place, begin_s, end_s
        self.lunch_s = begin_s + int((LUNCH[0] - SHIFT[0]) * 3600)
        self.lunched = False
        self.travel_s = 0

    def start_of(self, month: Month, job: Job, now_s: int) -> tuple[int, bool]:
        """When work on this job would start, and whether lunch comes before it."""
        free_s, lunch = max(self.free_s, now_s), False
        if not self.lunched and free_s + self._way(month, job) + job.service_s > self.lunch_s:
            free_s, lunch = max(free_s, self.lunch_s) + LUNCH[2] * 60, True
        return free_s + self._way(month, job), lunch

    def fits(self, month: Month, job: Job, now_s: int) -> bool:
        """Whether it would end, and the engineer be home, before the shift is over."""
        start_s, _ = self.start_of(month, job, now_s)
        return start_s + job.service_s + int(month.seconds[job.place, self.person.place]) <= self.end_s

    def append(self, month: Month, job: Job, now_s: int) -> int:
        """Take the job; when work on it starts."""
        start_s, lunch = self.start_of(month, job, now_s)
        self.lunched |= lunch
        self.travel_s += self._way(month, job)
        self.place, self.free_s = job.place, start_s + job.service_s
        return start_s

    def _way(self, month: Month, job: Job) -> int:
        return int(month.seconds[self.place, job.place])


Choose = Callable[[Month, Job, Sequence[_Day]], "_Day"]


def by_rule(month: Month, choose: Choose) -> Done:
    """Each request is given out when it comes in, or in the morning, to whom `choose` says among those whom it fits."""
    done = Done({}, 0)
    waiting: list[Job] = []
    arriving = list(month.jobs)
    for begin_s, end_s in month.days:
        today = [_Day(person, begin_s, end_s) for person in month.crew]
        while arriving and arriving[0].came_s < end_s:
            waiting.append(arriving.pop(0))
        left = []
        for job in sorted(waiting, key=lambda job: (max(job.came_s, begin_s), job.priority, job.came_s)):
            now_s = max(job.came_s, begin_s)
            able = [
                day
                for day in today
                if day.person.skills.get(job.skill, 0) >= job.level and day.fits(month, job, now_s)
            ]
            if able:
                done.starts[job.id] = choose(month, job, able).append(month, job, now_s)
            else:
                left.append(job)
        waiting = left
        done.travel_s += sum(day.travel_s for day in today)
        done.travel_s += sum(int(month.seconds[day.place, day.person.place]) for day in today)
    return done


def nearest_first(month: Month, job: Job, able: Sequence[_Day]) -> _Day:
    """Whoever's last site is nearest."""
    return min(able, key=lambda day: (int(month.seconds[day.place, job.place]), day.person.id))


def round_robin() -> Choose:
    """Everybody in turn."""
    turn = 0

    def choose(month: Month, job: Job, able: Sequence[_Day]) -> _Day:
        nonlocal turn
        turn += 1
        order = [person.id for person in month.crew]
        return min(able, key=lambda day: (order.index(day.person.id) - turn) % len(order))

    return choose


# ----------------------------------------------------------------------------------------------------------- ours


Rested = dict[str, tuple[int, int]]
"""By lane the break that has begun or is over."""


def ours(month: Month, planner: Planner, *, seconds_max: float) -> Done:
    """Each morning a plan of all that waits; in the day whatever comes in is put into the running plan.

    Where that would be late, or there is no room, the rest of the day is planned again from what stands, and whichever
    plan costs less holds. What it leaves out waits for the next morning.
    """
    done = Done({}, 0)
    waiting: dict[str, Job] = {}
    arriving = list(month.jobs)
    for begin_s, end_s in month.days:
        while arriving and arriving[0].came_s <= begin_s:
            job = arriving.pop(0)
            waiting[job.id] = job
        rested: Rested = {}
        problem = _problem(month, list(waiting.values()), begin_s, end_s, begin_s, None, rested)
        plan = _solved(planner, problem, seconds_max)
        while arriving and arriving[0].came_s < end_s:
            job = arriving.pop(0)
            waiting[job.id] = job
            plan = _without_begun_rests(plan, job.came_s, rested)
            problem = _problem(month, list(waiting.values()), begin_s, end_s, job.came_s, plan, rested)
            found = insert(problem, plan, job.id)
            if found is not None:
                _sound(problem, found.plan)
                plan = found.plan
            else:
                left = (*plan.left, Left(task_id=job.id, reasons=()))
                plan = msgspec.structs.replace(plan, left=left)
            if found is None or found.start_s > job.due_s:
                plan = min(
                    (plan, _solved(planner, problem, seconds_max)), key=lambda one: cost(problem, one).total
                )
        for route in plan.routes:
            done.travel_s += route.back_s + sum(stop.travel_s for stop in route.stops)
            for stop in route.stops:
                if stop.task_id is not None:
                    done.starts[stop.task_id] = stop.start_s
                    del waiting[stop.task_id]
    return done


def _solved(planner: Planner, problem: Problem, seconds_max: float) -> Plan:
    plan = planner.solve(problem, seconds_max=seconds_max, seed=SEED, progress=lambda share, stage: None)
    _sound(problem, plan)
    return plan


def _without_begun_rests(plan: Plan, now_s: int, rested: Rested) -> Plan:
    """Breaks that have begun go from the plan into `rested`: from now on they are absences, which nobody can move."""
    routes = []
    for route in plan.routes:
        begun = [stop for stop in route.stops if stop.kind == "rest" and stop.start_s < now_s]
        if begun:
            rested[route.lane_id] = (begun[0].start_s, begun[0].end_s)
        stops = tuple(stop for stop in route.stops if stop not in begun)
        routes.append(msgspec.structs.replace(route, stops=stops))
    return msgspec.structs.replace(plan, routes=tuple(routes))


def _sound(problem: Problem, plan: Plan) -> None:
    faults = check(problem, plan)
    if faults:
        raise RuntimeError(f"a plan that breaks a rule: {faults[:3]}")


def _problem(
    month: Month,
    jobs: Sequence[Job],
    begin_s: int,
    end_s: int,
    now_s: int,
    plan: Plan | None,
    rested: Rested,
) -> Problem:
    """The day as it stands at `now_s`: visits that somebody has set out for do not move any more."""
    stands: dict[str, tuple[str, Stop]] = {}
    for route in plan.routes if plan is not None else ():
        for stop in route.stops:
            if stop.task_id is not None:
                stands[stop.task_id] = (route.lane_id, stop)
    tasks = []
    for job in jobs:
        lane_id, stop = stands.get(job.id, (None, None))
        standing = lock = None
        if lane_id is not None and stop is not None:
            standing = Standing(engineer_ids=(lane_id.partition(":")[0],), start_s=stop.start_s, told=True)
            lock = Lock.TIME if stop.start_s - stop.travel_s <= now_s else Lock.NONE
        tasks.append(
            Task(
                id=job.id,
                order_id=job.id,
                place=job.place,
                service_s=job.service_s,
                windows=((begin_s, end_s),),
                due_s=job.due_s,
                priority=job.priority,
                skills={job.skill: job.level},
                standing=standing,
                lock=lock or Lock.NONE,
            )
        )
    lunch = Rest(
        earliest_s=begin_s + int((LUNCH[0] - SHIFT[0]) * 3600),
        latest_s=begin_s + int((LUNCH[1] - SHIFT[0]) * 3600),
        length_s=LUNCH[2] * 60,
    )
    lanes = [
        Lane(
            id=f"{person.id}:0",
            engineer_id=person.id,
            start_s=begin_s,
            end_s=end_s,
            start_place=person.place,
            end_place=person.place,
            rests=() if f"{person.id}:0" in rested else (lunch,),
            away=(rested[f"{person.id}:0"],) if f"{person.id}:0" in rested else (),
            skills=person.skills,
        )
        for person in month.crew
    ]
    return Problem(tasks=tuple(tasks), lanes=tuple(lanes), seconds=month.seconds, now_s=now_s)


# -------------------------------------------------------------------------------------------------------- figures


def figures(name: str, month: Month, done: Done) -> Figures:
    """What a month came to."""
    late = [
        done.starts[job.id] - job.due_s
        for job in month.jobs
        if job.id in done.starts and done.starts[job.id] > job.due_s
    ]
    return Figures(
        name=name,
        jobs=len(month.jobs),
        done=len(done.starts),
        travel_minutes_a_visit=round(done.travel_s / 60 / max(len(done.starts), 1), 2),
        late=len(late) + len(month.jobs) - len(done.starts),
        late_minutes_mean=round(sum(late) / 60 / max(len(month.jobs), 1), 1),
    )


def compare(planner: Planner, *, seconds_max: float = 1.0, month: Month | None = None) -> list[Figures]:
    """Ours and the two rules of thumb over the same month."""
    given = month or load()
    return [
        figures("callout", given, ours(given, planner, seconds_max=seconds_max)),
        figures("nearest first", given, by_rule(given, nearest_first)),
        figures("round robin", given, by_rule(given, round_robin())),
    ]
