"""What a pick was asked and answered, as a planning problem and its plan: the checker's opinion of the pick."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from itertools import product

import msgspec
import numpy as np

from callout_dispatch.pick_terms import Candidate, Interval, Need, Ranked, ReasonCode, to_us
from callout_dispatch.planning.check_times import free_pieces
from callout_dispatch.planning.checker import Code, Violation, check, home_lane
from callout_dispatch.planning.terms import Lane, Lock, Plan, Problem, Rest, Route, Standing, Stop, Task
from callout_dispatch.policy import Policy
from callout_geo.distance import haversine_m, travel_minutes
from callout_geo.points import Point
from callout_orders.terms import Priority

NEW = "new"
Works = Mapping[str, tuple[tuple[int, str], ...]]
"""By lane: start and task of what is worked on, in order."""
_ABSENT = frozenset({Code.TASK_LOST, Code.LOCK_ENGINEER})
"""The day before the new work came is no whole plan."""
STATIC: Mapping[ReasonCode, Code] = {
    ReasonCode.SKILL_MISSING: Code.SKILL,
    ReasonCode.SKILL_LEVEL_LOW: Code.SKILL,
    ReasonCode.OTHER_TERRITORY: Code.TERRITORY,
    ReasonCode.OTHER_REQUIRED: Code.NOT_REQUIRED,
    ReasonCode.EXCLUDED: Code.EXCLUDED,
    ReasonCode.OFFLINE: Code.OFFLINE,
    ReasonCode.PART_NOT_ON_VAN: Code.PART_SHORT,
}
"""Rules of a person and not of a time, as both name them."""


def seconds(at: datetime) -> int:
    """Whole seconds since 1970."""
    return to_us(at) // 1_000_000


class AsPlan:
    """The problem of one need and these engineers; every standing visit is locked where it is."""

    def __init__(self, need: Need, candidates: list[Candidate], policy: Policy) -> None:
        self._points: list[Point] = []
        lanes = [lane for who in candidates for lane in self._lanes(who)]
        tasks = [self._new(need, policy)]
        for who in candidates:
            tasks += self._standing(who)
        count = len(self._points)
        ways = np.zeros((count, count), np.int32)
        for a, b in product(range(count), repeat=2):
            if self._points[a] != self._points[b]:
                ways[a, b] = math.ceil(travel_minutes(haversine_m(self._points[a], self._points[b])) * 60)
        first = min((lane.start_s for lane in lanes), default=0)
        # Breaks may lie before the moment from which the pick looks; a plan takes none in the past.
        now_s = min(seconds(need.earliest), first)
        self.problem = Problem(
            tasks=tuple(tasks), lanes=tuple(lanes), seconds=ways, now_s=now_s, policy=policy
        )

    def _place(self, point: Point | None) -> int:
        assert point is not None
        if point not in self._points:
            self._points.append(point)
        return self._points.index(point)

    def _lanes(self, who: Candidate) -> Iterator[Lane]:
        for number, shift in enumerate(who.shifts):
            end = shift.end_place or who.end_place
            yield Lane(
                id=f"{who.id}:{number}",
                engineer_id=who.id,
                start_s=seconds(shift.start),
                end_s=seconds(shift.end),
                start_place=self._place(shift.start_place or who.position),
                end_place=None if end is None else self._place(end),
                rests=tuple(
                    Rest(earliest_s=seconds(b.earliest), latest_s=seconds(b.latest), length_s=b.minutes * 60)
                    for b in shift.breaks
                ),
                away=tuple(
                    (seconds(max(a.start, shift.start)), seconds(min(a.end, shift.end)))
                    for a in who.absences
                    if a.start < shift.end and shift.start < a.end
                ),
                skills=who.skills,
                territory_id=who.territory_id,
                territories=None if who.territory_id is None else who.territories | {who.territory_id},
                travel_s_max=None if who.travel_minutes_max is None else int(who.travel_minutes_max * 60),
                work_s_max=None if who.work_minutes_max is None else int(who.work_minutes_max * 60),
                visits_max=who.visits_max,
                van=who.van_stock,
                online=who.online,
            )

    def _new(self, need: Need, policy: Policy) -> Task:
        due = need.due_at or need.earliest + timedelta(minutes=policy.due_minutes_default)
        return Task(
            id=NEW,
            order_id=NEW,
            place=self._place(need.point),
            service_s=need.duration_minutes * 60,
            windows=_windows(need),
            due_s=seconds(due),
            priority=need.priority,
            not_before_s=0 if need.not_before is None else seconds(need.not_before),
            skills=need.skills,
            territory_id=need.territory_id,
            required=need.required,
            excluded=need.excluded,
            parts=need.parts,
            crew=need.crew,
        )

    def _standing(self, who: Candidate) -> Iterator[Task]:
        for number, busy in enumerate(who.busy):
            start_s, end_s = seconds(busy.start), seconds(busy.end)
            yield Task(
                id=f"{who.id}/{number}",
                order_id=f"{who.id}/{number}",
                place=self._place(busy.point),
                service_s=end_s - start_s,
                windows=((0, 2**40),),
                due_s=2**40,
                priority=Priority.P2,
                standing=Standing(engineer_ids=(who.id,), start_s=start_s, told=True),
                lock=Lock.TIME,
            )

    def violations(self, ranked: Ranked) -> list[Violation]:
        """What the checker finds wrong with the slot; breaks are put where they do least harm."""
        busy = {(name, seconds(ranked.slot_start)) for name in (ranked.id, *ranked.crew)}
        return self._least(busy)

    def static(self, engineer_id: str) -> set[Code]:
        """The rules of a person that this engineer breaks by doing it at all."""
        lane = next(lane for lane in self.problem.lanes if lane.engineer_id == engineer_id)
        plan = self._plan({lane.id: ((lane.start_s, NEW),)}, {})
        found = check(self.problem, plan)
        return {one.code for one in found if one.task_id == NEW and one.lane_id == lane.id} & set(
            STATIC.values()
        )

    def _least(self, new: set[tuple[str, int]]) -> list[Violation]:
        doing: dict[str, list[tuple[int, str]]] = {}
        for task in self.problem.tasks:
            if task.standing is not None:
                for name in task.standing.engineer_ids:
                    lane = home_lane(self.problem, name, task.standing.start_s)
                    assert lane is not None
                    doing.setdefault(lane.id, []).append((task.standing.start_s, task.id))
        touched, before = [], {name: tuple(sorted(own)) for name, own in doing.items()}
        for name, start_s in new:
            lane = home_lane(self.problem, name, start_s)
            assert lane is not None
            doing.setdefault(lane.id, []).append((start_s, NEW))
            touched.append(lane)
        works = {name: tuple(sorted(own)) for name, own in doing.items()}
        found: list[Violation] = []
        for lane in touched:
            wrong = min(self._choices(lane, works), key=len)
            # Breaks that did not all find room before the new work came are not its doing.
            lost = lane.rests and not any(
                count == len(_due(lane)) and not one for count, one in self._held(lane, before)
            )
            found += [one for one in wrong if not (lost and one.code is Code.REST_MISSING)]
        return found

    def _choices(self, lane: Lane, works: Works) -> Iterator[list[Violation]]:
        """What is wrong with a lane's day, for every way to hold its breaks."""
        for _, found in self._held(lane, works):
            yield found

    def _held(self, lane: Lane, works: Works) -> Iterator[tuple[int, list[Violation]]]:
        for rests in _placings(lane, len(works.get(lane.id, ())) + 1):
            found = check(self.problem, self._plan({lane.id: (), **works}, {lane.id: rests}))
            yield (
                len(rests),
                [one for one in found if one.lane_id in {None, lane.id} and one.code not in _ABSENT],
            )

    def _plan(
        self,
        works: Works,
        rests: Mapping[str, tuple[tuple[Rest, int], ...]],
    ) -> Plan:
        routes = [
            self._route(lane, works[lane.id], rests.get(lane.id, ()))
            for lane in self.problem.lanes
            if lane.id in works
        ]
        return Plan(routes=tuple(routes), planner="pick")

    def _route(
        self, lane: Lane, works: tuple[tuple[int, str], ...], rests: tuple[tuple[Rest, int], ...]
    ) -> Route:
        problem, stops = self.problem, list[Stop]()
        place, free_s = lane.start_place, lane.start_s
        for number in range(len(works) + 1):
            for rest, at in rests:
                if at == number:
                    start_s = max(free_s, rest.earliest_s)
                    for gone_s, back_s in lane.away:
                        if start_s < back_s and start_s + rest.length_s > gone_s:
                            start_s = back_s
                    free_s = start_s + rest.length_s
                    stops.append(Stop(kind="rest", start_s=start_s, end_s=free_s))
            if number == len(works):
                break
            start_s, name = works[number]
            task = problem.task(name)
            stops.append(
                Stop(
                    kind="task",
                    start_s=start_s,
                    end_s=start_s + task.service_s,
                    travel_s=problem.way_s(lane, place, task.place),
                    task_id=name,
                )
            )
            place, free_s = task.place, max(free_s, start_s + task.service_s)
        back_s = 0 if lane.end_place is None or not works else problem.way_s(lane, place, lane.end_place)
        return Route(lane_id=lane.id, stops=tuple(stops), back_s=back_s)


def _due(lane: Lane) -> list[Rest]:
    """The breaks for which absences leave room."""
    return [
        rest
        for rest in lane.rests
        if any(b - a >= rest.length_s for a, b in free_pieces((rest.earliest_s, rest.latest_s), lane.away))
    ]


def _placings(lane: Lane, gaps: int) -> Iterator[tuple[tuple[Rest, int], ...]]:
    """Every way to hold some of a lane's breaks between its stops."""
    in_order = sorted(_due(lane), key=lambda rest: (rest.earliest_s, rest.latest_s))
    for chosen in product([None, *range(gaps)], repeat=len(in_order)):
        yield tuple((rest, at) for rest, at in zip(in_order, chosen, strict=True) if at is not None)


def _windows(need: Need) -> tuple[tuple[int, int], ...]:
    """Starts within the customer's window at which the work also ends while the site is open."""
    asked = (0, 2**40)
    if need.requested is not None:
        asked = (seconds(need.requested.start), seconds(need.requested.end))
    if need.visiting is None:
        return (asked,)
    found = []
    for one in need.visiting:
        first, last = seconds(one.start), seconds(one.end) - need.duration_minutes * 60
        found.append((max(first, asked[0]), min(last, asked[1])))
    return tuple(window for window in found if window[0] <= window[1])


def within_shifts(who: Candidate, absences: tuple[Interval, ...]) -> Candidate:
    """The engineer with these absences, and only with visits that lie in a shift and in none of them."""
    shifts = tuple(msgspec.structs.replace(shift, done_minutes=0.0, done_visits=0) for shift in who.shifts)
    busy = tuple(
        one
        for one in who.busy
        if any(shift.start <= one.start and one.end <= shift.end for shift in shifts)
        and not any(gone.start < one.end and one.start < gone.end for gone in absences)
    )
    return msgspec.structs.replace(who, shifts=shifts, busy=busy, absences=absences)
