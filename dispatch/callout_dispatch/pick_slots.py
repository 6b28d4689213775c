"""The earliest slot of many engineers at once: the first gap that holds the way there, the work and the way onward. Pure.

Legs are reckoned at the hour of the week in which they can begin at the earliest: the way there when the engineer is free
(or, where the site opens later, when it opens), the way onward when the work ends. A bound break is held after the work if
that is possible, else before the way.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from callout_dispatch.pick_roster import Roster, even_pace
from callout_dispatch.pick_tables import BASE_US, Bools, GapTables, Ints, minute_of
from callout_dispatch.pick_terms import MINUTE_US, Interval, Need, ReasonCode, to_us
from callout_dispatch.policy import (
    Availability,
    Capacity,
    DueDate,
    MaxTravel,
    Policy,
    RequestedWindow,
    VisitingHours,
)
from callout_geo.distance import EARTH_RADIUS_M, Floats, unit_vectors
from callout_geo.points import Point
from callout_geo.travel import Travel

Rows = slice | NDArray[np.int64]
"""Which engineers: all of them, or these."""
EVERYBODY = slice(None)
N = TypeVar("N", bound=np.generic)
_BREAK_END = 1e-9
"""Minutes: a sum of minutes may miss a whole minute by so much."""


class Legs:
    """Minutes on the road between one site and places given as unit vectors (3, n); NaN where an end is unknown."""

    def __init__(self, point: Point | None, travel: Travel, unknown: float) -> None:
        self._site = None if point is None else _vector(point)
        self._travel = travel
        self._pace = even_pace(travel)
        self.unknown = unknown
        self.site_known = point is not None

    def minutes(self, places: Floats, rows: Rows, at: Floats | float) -> Floats:
        """Between the site and these rows' places, setting out `at` minutes after the base (one for each row, or one)."""
        if self._site is None:
            count = places.shape[1] if isinstance(rows, slice) else len(rows)
            return np.full(count, np.nan)
        squared: Floats | None = None
        for axis in range(3):
            one = places[axis] if isinstance(rows, slice) else places[axis].take(rows)
            one = one - self._site[axis]
            one *= one
            squared = one if squared is None else np.add(squared, one, out=squared)
        assert squared is not None
        # A quarter of the squared chord is haversine's inner term, as in `distance.vector_distance_m`.
        np.sqrt(squared, out=squared)
        squared *= 0.5
        np.minimum(squared, 1.0, out=squared)
        np.arcsin(squared, out=squared)
        squared *= 2.0 * EARTH_RADIUS_M
        if self._pace is not None:
            squared *= self._pace
            return squared
        minute = np.floor(np.broadcast_to(at, squared.shape)).astype(np.int64)
        hours = self._travel.hour_of_week(BASE_US + minute * MINUTE_US)
        return self._travel.minutes(squared, hours)


@lru_cache(maxsize=4096)
def _vector(point: Point) -> tuple[float, float, float]:
    x, y, z = unit_vectors(point.lat, point.lng).tolist()
    return x, y, z


@dataclass(frozen=True, slots=True)
class Terms:
    """What a slot must obey, in minutes since the tables' base; None: not looked at.

    `visiting` and `requested` are stretches [first, last] of starts. Limits are for everybody, or one for each engineer.
    `whole`: slots start on the full minute, because that is how people are told of them. `at`: at this moment and no other.
    """

    duration: float
    earliest: float
    not_before: float | None
    visiting: tuple[tuple[float, float], ...] | None
    requested: tuple[tuple[float, float], ...] | None
    due: float | None
    travel_max: float | Floats | None
    work_max: float | Floats | None
    visits_max: float | Floats | None
    overtime: float
    breaks: bool = True
    whole: bool = True
    at: float | None = None

    def allowed(self) -> tuple[Floats, Floats] | None:
        """First and last allowed starts, sorted and apart; None where any will do."""
        stretches: list[tuple[float, float]] | None = None
        until = None if self.due is None else ((-np.inf, self.due),)
        fixed = None if self.at is None else ((self.at, self.at),)
        for given in (self.visiting, self.requested, until, fixed):
            if given is None:
                continue
            if stretches is None:
                stretches = list(given)
            else:
                stretches = [
                    (max(a, c), min(b, d)) for a, b in stretches for c, d in given if max(a, c) <= min(b, d)
                ]
        if stretches is None:
            return None
        if self.whole:
            stretches = [(np.ceil(first), np.floor(last)) for first, last in stretches]
        kept = [one for one in stretches if one[0] <= one[1]]
        return np.array([one[0] for one in kept]), np.array([one[1] for one in kept])

    def without(self, codes: frozenset[ReasonCode]) -> Terms:
        """The same with these rules left out."""
        changes: dict[str, object] = {}
        for code, name in _NAMES.items():
            if code in codes:
                changes[name] = False if name == "breaks" else None
        return replace(self, **changes)  # type: ignore[arg-type]

    def looked_at(self) -> list[ReasonCode]:
        """The rules that these terms hold, in the order in which they are told."""
        values = {code: getattr(self, name) for code, name in _NAMES.items()}
        return [code for code, value in values.items() if value is not None and value is not False]


_NAMES = {
    ReasonCode.TOO_FAR: "travel_max",
    ReasonCode.OUTSIDE_VISITING_HOURS: "visiting",
    ReasonCode.OUTSIDE_REQUESTED_WINDOW: "requested",
    ReasonCode.TOO_LATE: "due",
    ReasonCode.CAPACITY_HOURS: "work_max",
    ReasonCode.CAPACITY_VISITS: "visits_max",
    ReasonCode.BREAK_NEEDED: "breaks",
    ReasonCode.PREDECESSOR: "not_before",
}


def terms_of(need: Need, roster: Roster, policy: Policy) -> Terms:
    """What a slot of this need must obey by this policy."""
    tables = roster.tables
    availability = policy.rule(Availability)
    capacity, due, furthest = policy.rule(Capacity), policy.rule(DueDate), policy.rule(MaxTravel)

    work_max = visits_max = None
    if capacity is not None:
        work_max = _limit(capacity.work_minutes_max, roster.work_max)
        visits_max = _limit(capacity.visits_max, roster.visits_max)
        # Where even the fullest day has room, nobody need be asked.
        if tables.given_minutes_max + need.duration_minutes <= np.min(work_max):
            work_max = None
        if tables.given_visits_max + 1 <= np.min(visits_max):
            visits_max = None
    visiting = requested = None
    if need.visiting is not None and policy.rule(VisitingHours) is not None:
        visiting = tuple(
            (minute_of(start), minute_of(end) - need.duration_minutes)
            for start, end in _joined(need.visiting)
            if end - start >= need.duration_minutes * MINUTE_US
        )
    if need.requested is not None and policy.rule(RequestedWindow) is not None:
        # A start at the very end of the window still counts.
        requested = ((minute_of(to_us(need.requested.start)), minute_of(to_us(need.requested.end))),)
    return Terms(
        duration=float(need.duration_minutes),
        earliest=minute_of(to_us(need.earliest)),
        not_before=None if need.not_before is None else minute_of(to_us(need.not_before)),
        visiting=visiting,
        requested=requested,
        due=None if due is None else minute_of(due_us(need, policy)) + due.grace_minutes,
        travel_max=None if furthest is None else _limit(furthest.minutes, roster.travel_max),
        work_max=work_max,
        visits_max=visits_max,
        overtime=0.0 if availability is None else float(availability.overtime_minutes),
    )


def due_us(need: Need, policy: Policy) -> int:
    """When the promise to arrive runs out. No date must never mean never."""
    if need.due_at is not None:
        return to_us(need.due_at)
    return to_us(need.earliest) + round(policy.due_minutes_default * MINUTE_US)


@dataclass(frozen=True, slots=True)
class Slots:
    """The earliest start of each examined engineer (inf: none) and the minutes to it; minutes since the tables' base."""

    start: Floats
    travel: Floats


def search(tables: GapTables, legs: Legs, terms: Terms, rows: Rows, ok: Bools | None = None) -> Slots:
    """The earliest slot of each of `rows`; `ok` (one for each of them) says who is worth a look.

    Gap by gap, and from the second on only for those still without a slot: most engineers fit into their first open gap.
    """
    width, count = tables.start.shape
    size = count if isinstance(rows, slice) else len(rows)
    slots = Slots(np.full(size, np.inf), np.zeros(size))
    allowed = terms.allowed()
    if not size or (allowed is not None and not len(allowed[0])):
        return slots
    pending: Ints | None = None
    for column in range(width):
        if pending is None:
            at, places = rows, None
            if column == 0 and ok is not None and not isinstance(rows, slice):
                places = np.flatnonzero(ok)
                at = rows[places]
        else:
            at = pending if isinstance(rows, slice) else rows[pending]
            # The bare work must fit before any distance is worth computing.
            free = tables.end[column].take(at) - np.maximum(tables.start[column].take(at), terms.earliest)
            open_ = np.flatnonzero(free >= terms.duration)
            at, places = at[open_], pending[open_]
            if not len(at):
                continue
        start, travel, good = _fit(tables, legs, terms, allowed, column, at)
        if places is None:
            if ok is not None:
                good &= ok
            np.copyto(slots.start, start, where=good)
            np.copyto(slots.travel, travel)
        else:
            hit = places[good]
            slots.start[hit], slots.travel[hit] = start[good], travel[good]
        if column + 1 < width:
            left = slots.start == np.inf
            if ok is not None:
                left &= ok
            pending = np.flatnonzero(left)
            if not len(pending):
                break
    return slots


def _fit(
    tables: GapTables,
    legs: Legs,
    terms: Terms,
    allowed: tuple[Floats, Floats] | None,
    column: int,
    at: Rows,
) -> tuple[Floats, Floats, Bools]:
    """Start, minutes there and whether it fits, for gap number `column` of the engineers `at`."""
    breaks = tables.break_count[column] if terms.breaks else 0
    start, travel, good = _try(tables, legs, terms, allowed, column, at, 0, breaks)
    for before in range(1, breaks + 1):
        left = np.flatnonzero(~good)
        if not len(left):
            break
        rows = left if isinstance(at, slice) else at[left]
        start[left], travel[left], good[left] = _try(
            tables, legs, terms, allowed, column, rows, before, breaks
        )
    return start, travel, good


def _try(
    tables: GapTables,
    legs: Legs,
    terms: Terms,
    allowed: tuple[Floats, Floats] | None,
    column: int,
    at: Rows,
    before: int,
    breaks: int,
) -> tuple[Floats, Floats, Bools]:
    """The same with the first `before` of `breaks` bound breaks held before the way, the others after the work."""
    free_from = np.maximum(_take(tables.before[before, column], at), terms.earliest)
    set_out = free_from
    if allowed is not None or terms.not_before is not None:
        opens = _bounded(free_from, terms, allowed)
        set_out = np.where(opens < _take(tables.end[column], at), opens, free_from)
    travel = legs.minutes(tables.origin[column], at, set_out)
    good, travel = _known(travel, terms.travel_max, at, legs, tables.all_known[column])
    start = free_from + travel
    if terms.whole:
        np.ceil(start, out=start)
    if allowed is not None or terms.not_before is not None:
        start = _bounded(start, terms, allowed)
        if terms.whole:
            np.ceil(start, out=start)
    done = start + terms.duration
    end = _take(tables.end[column], at)
    for n in range(before, breaks):
        earliest, latest, length = (_take(tables.breaks[n, part, column], at) for part in range(3))
        rested = np.where(length > 0, np.maximum(done, earliest) + length, done)
        good &= rested <= latest + _BREAK_END
        done = rested
    good &= done <= end
    if terms.work_max is not None:
        given = _take(tables.given_minutes[column], at)
        good &= given + terms.duration <= _each(terms.work_max, at)
    if terms.visits_max is not None:
        good &= _take(tables.given_visits[column], at) + 1 <= _each(terms.visits_max, at)
    if tables.any_onward[column]:
        going = np.flatnonzero(good & _take(tables.onward[column], at))
        if len(going):
            rows = going if isinstance(at, slice) else at[going]
            leaves = done[going]
            way = legs.minutes(tables.next[column], rows, leaves)
            near, way = _known(way, terms.travel_max, rows, legs, tables.all_known[column])
            over = np.where(tables.back[column].take(rows), terms.overtime, 0.0)
            if not tables.any_slack[column]:
                good[going] = near & (leaves + way <= end[going] + over)
            else:
                # Before the absence, or in one piece after it; overtime is after the shift and nowhere else.
                slack = tables.slack[column].take(rows)
                in_time = leaves + way <= end[going] + np.where(slack < 0, over, 0.0)
                good[going] = near & (in_time | (way <= slack + over))
    return start, travel, good


def _known(
    minutes: Floats, limit: float | Floats | None, at: Rows, legs: Legs, all_known: bool
) -> tuple[Bools, Floats]:
    """Who is near enough, and the minutes with what is assumed for unknown ways: nobody is too far by not being known."""
    if all_known and legs.site_known:
        if limit is None:
            return np.ones(len(minutes), np.bool_), minutes
        return minutes <= _each(limit, at), minutes
    unknown = np.isnan(minutes)
    minutes = np.where(unknown, legs.unknown, minutes)
    near = np.ones(len(minutes), np.bool_) if limit is None else minutes <= _each(limit, at)
    return near | unknown, minutes


def _bounded(start: Floats, terms: Terms, allowed: tuple[Floats, Floats] | None) -> Floats:
    """The first allowed moment at or after each start; inf where there is none."""
    if terms.not_before is not None:
        start = np.maximum(start, terms.not_before)
    if allowed is None:
        return start
    firsts, lasts = allowed
    if len(firsts) == 1:
        start = np.maximum(start, firsts[0])
        start[start > lasts[0]] = np.inf
        return start
    place = np.searchsorted(lasts, start, side="left")
    bounded: Floats = np.maximum(start, np.append(firsts, np.inf)[place])
    return bounded


def _take(of_all: NDArray[N], at: Rows) -> NDArray[N]:
    return of_all if isinstance(at, slice) else of_all.take(at)


def _each(limit: float | Floats, at: Rows) -> float | Floats:
    return limit.take(at) if isinstance(limit, np.ndarray) and not isinstance(at, slice) else limit


def _limit(everybody: float, own: Floats | None) -> float | Floats:
    return float(everybody) if own is None else np.where(np.isnan(own), float(everybody), own)


def _joined(intervals: tuple[Interval, ...]) -> list[tuple[int, int]]:
    joined: list[tuple[int, int]] = []
    for start, end in sorted((to_us(one.start), to_us(one.end)) for one in intervals):
        if joined and start <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(joined[-1][1], end))
        else:
            joined.append((start, end))
    return joined
