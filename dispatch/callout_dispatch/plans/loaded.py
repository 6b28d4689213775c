"""A problem with the rows behind it and the ways between its places, and how both are kept. Pure."""

import zlib
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from callout_dispatch.planning.terms import Lane, Left, Lock, Problem, Seconds, Stock, Task
from callout_dispatch.plans.draft import Draft
from callout_dispatch.plans.row_terms import Place
from callout_dispatch.policy import Policy
from callout_dispatch.windows import clipped
from callout_geo.routing.base import PROVIDERS
from callout_geo.travel import Travel, matrix_metres, matrix_seconds

PACKED_PLACES_MAX: Final = 2_000
HOUR_S: Final = 3_600
ESTIMATE: Final = "estimate"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ways:
    """Whole seconds and metres on the road between each two of the places, and who reckoned them: `provider` all, or each its
    own by `providers`, indexes into `callout_geo.routing.base.PROVIDERS`."""

    places: tuple[Place | None, ...]
    seconds: Seconds
    metres: NDArray[np.int32]
    provider: str = ESTIMATE
    providers: NDArray[np.uint8] | None = None

    def provider_of(self, start: int, end: int) -> str:
        """Who reckoned this way."""
        return self.provider if self.providers is None else PROVIDERS[int(self.providers[start, end])]


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """A problem with the rows behind it. `barred` are orders that are unassigned whatever a planner does."""

    problem: Problem
    draft: Draft
    ways: Ways
    barred: tuple[Left, ...]


def estimate(draft: Draft, travel: Travel) -> Ways:
    """Ways by haversine, circuity and the mean speed over the lanes' hours, rounded up to whole minutes.

    Whole minutes, because every other time of a plan is one, and an estimate is not better than that.
    """
    lats = np.array([np.nan if place is None else place[0] for place in draft.places], np.float64)
    lngs = np.array([np.nan if place is None else place[1] for place in draft.places], np.float64)
    hours = [np.arange(lane.start_s, lane.end_s, HOUR_S, dtype=np.int64) for lane in draft.lanes]
    seconds = matrix_seconds(
        travel,
        lats,
        lngs,
        unknown_minutes=draft.policy.travel_minutes_unknown,
        hours=travel.hour_of_week_s(np.concatenate(hours)) if hours else None,
    )
    metres = np.nan_to_num(matrix_metres(lats, lngs) * travel.circuity, nan=0.0)
    return Ways(
        places=tuple(draft.places), seconds=whole_minutes(seconds), metres=np.ceil(metres).astype(np.int32)
    )


def whole_minutes(seconds: Seconds) -> Seconds:
    """Rounded up."""
    rounded: Seconds = (-(-seconds // 60) * 60).astype(np.int32)
    return rounded


def with_known(ways: Ways, known: Ways) -> Ways:
    """The ways with those that were known before put in for pairs of the same two places: what was planned by the times of a
    routing service is judged by them as well."""
    at = {_key(place): n for n, place in enumerate(known.places) if place is not None}
    both = [
        (n, at[_key(place)]) for n, place in enumerate(ways.places) if place is not None and _key(place) in at
    ]
    if not both:
        return ways
    here, there = (np.array(column) for column in zip(*both, strict=True))
    seconds, metres = ways.seconds.copy(), ways.metres.copy()
    seconds[np.ix_(here, here)] = known.seconds[np.ix_(there, there)]
    metres[np.ix_(here, here)] = known.metres[np.ix_(there, there)]
    providers = None
    if known.providers is not None:
        providers = np.full(seconds.shape, PROVIDERS.index(ESTIMATE), np.uint8)
        providers[np.ix_(here, here)] = known.providers[np.ix_(there, there)]
    return Ways(
        places=ways.places, seconds=seconds, metres=metres, provider=known.provider, providers=providers
    )


def loaded(draft: Draft, ways: Ways) -> Loaded:
    """The problem of a draft and the ways between its places."""
    tasks, lanes, aside = _reachable(draft, ways.seconds)
    return Loaded(
        problem=Problem(
            tasks=tuple(tasks),
            lanes=tuple(lanes),
            seconds=ways.seconds,
            now_s=draft.now_s,
            policy=draft.policy,
            depots=draft.depots,
            metres=ways.metres,
            provider=ways.provider,
        ),
        draft=replace(draft, aside=draft.aside | aside),
        ways=ways,
        barred=tuple(draft.barred),
    )


def _reachable(draft: Draft, seconds: Seconds) -> tuple[list[Task], list[Lane], set[str]]:
    """Tasks and lanes without the locked visits that nobody could reach in time: they stay aside, as times of absence.

    That somebody runs late is so, whatever is planned; but a planner that was told to keep to the impossible would find
    no plan at all. A lane whose way home became too long by what is locked in it ends at its last site.
    """
    at: dict[str, tuple[int, int]] = {lane.id: (lane.start_s, lane.start_place) for lane in draft.lanes}
    by_engineer: dict[str, list[Lane]] = defaultdict(list)
    for lane in draft.lanes:
        by_engineer[lane.engineer_id].append(lane)
    aside: dict[str, Task] = {}
    away: dict[str, list[tuple[int, int]]] = defaultdict(list)
    for task in sorted(draft.tasks, key=lambda one: one.standing.start_s if one.standing else 0):
        if task.lock is not Lock.TIME or task.standing is None:
            continue
        start_s = task.standing.start_s
        end_s = start_s + task.service_s
        holding = [
            lane
            for engineer_id in task.standing.engineer_ids
            for lane in by_engineer[engineer_id]
            if lane.start_s <= start_s and end_s <= lane.end_s
        ]
        if holding and all(
            at[lane.id][0] + int(seconds[at[lane.id][1], task.place]) <= start_s for lane in holding
        ):
            for lane in holding:
                at[lane.id] = (end_s, task.place)
            continue
        aside[task.id] = task
        for lane in holding:
            away[lane.id].append((start_s, end_s))
            at[lane.id] = (max(end_s, at[lane.id][0]), at[lane.id][1])
    tasks = [_unbound(task, aside) for task in draft.tasks if task.id not in aside]
    lanes = []
    for lane in draft.lanes:
        free_s, place = at[lane.id]
        if away[lane.id]:
            lane = msgspec.structs.replace(
                lane, away=clipped([*lane.away, *away[lane.id]], lane.start_s, lane.end_s)
            )
        if (
            lane.end_place is not None
            and place != lane.start_place
            and free_s + int(seconds[place, lane.end_place]) > lane.end_s
        ):
            lane = msgspec.structs.replace(lane, end_place=None)
        lanes.append(lane)
    return tasks, lanes, set(aside)


def _unbound(task: Task, aside: dict[str, Task]) -> Task:
    """A task whose predecessor stays aside waits for its end instead."""
    before = aside.get(task.follows) if task.follows is not None else None
    if before is None or before.standing is None:
        return task
    end_s = before.standing.start_s + before.service_s
    return msgspec.structs.replace(
        task, follows=None, follows_gap_s=0, not_before_s=max(task.not_before_s, end_s + task.follows_gap_s)
    )


def _key(place: Place) -> tuple[float, float]:
    return round(place[0], 6), round(place[1], 6)


# ------------------------------------------------------------------------------------------------ kept with a run


class _Packed(msgspec.Struct, kw_only=True):
    tasks: tuple[Task, ...]
    lanes: tuple[Lane, ...]
    depots: tuple[Stock, ...]
    policy: Policy
    now_s: int
    places: tuple[Place | None, ...]
    provider: str
    seconds: bytes
    metres: bytes
    providers: bytes | None = None


def pack(given: Loaded) -> bytes | None:
    """A problem as it is kept with its run; None where it is too large to keep, so that one looks at it with estimates."""
    problem, ways = given.problem, given.ways
    if len(ways.places) > PACKED_PLACES_MAX:
        return None
    packed = _Packed(
        tasks=problem.tasks,
        lanes=problem.lanes,
        depots=problem.depots,
        policy=problem.policy,
        now_s=problem.now_s,
        places=ways.places,
        provider=ways.provider,
        seconds=ways.seconds.astype("<i4").tobytes(),
        metres=ways.metres.astype("<i4").tobytes(),
        providers=None if ways.providers is None else ways.providers.astype(np.uint8).tobytes(),
    )
    return zlib.compress(msgspec.msgpack.encode(packed), 1)


def unpack(data: bytes) -> tuple[Problem, Ways]:
    """A problem that was kept."""
    packed = msgspec.msgpack.decode(zlib.decompress(data), type=_Packed)
    ways = Ways(
        places=packed.places,
        seconds=_matrix(packed.seconds, packed.places),
        metres=_matrix(packed.metres, packed.places),
        provider=packed.provider,
        providers=None
        if packed.providers is None
        else np.frombuffer(packed.providers, np.uint8).reshape(len(packed.places), len(packed.places)),
    )
    problem = Problem(
        tasks=packed.tasks,
        lanes=packed.lanes,
        seconds=ways.seconds,
        now_s=packed.now_s,
        policy=packed.policy,
        depots=packed.depots,
        metres=ways.metres,
        provider=packed.provider,
    )
    return problem, ways


def _matrix(data: bytes, places: Sequence[Any]) -> NDArray[np.int32]:
    return np.frombuffer(data, "<i4").astype(np.int32).reshape(len(places), len(places))
