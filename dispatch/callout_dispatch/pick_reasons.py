"""Why engineers have no slot: worked out when somebody asks, from the gaps as they were when the pick was made. Pure.

A rule is the reason when the engineer would have a slot without it. Where no single rule is, the rules are left out
together and put back one by one, as far as that does no harm; what then still must be left out are the reasons.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from typing import TypeVar

import numpy as np

from callout_dispatch.pick_rules import Rules
from callout_dispatch.pick_slots import Legs, Terms, search
from callout_dispatch.pick_tables import Bools, GapTables, Ints, us_of
from callout_dispatch.pick_terms import Need, Out, Reason, ReasonCode, from_us
from callout_geo.distance import Floats

K = TypeVar("K")
V = TypeVar("V")


class LazyMapping(Mapping[K, V]):
    """A read-only mapping that is made when it is first read."""

    __slots__ = ("_made", "_make")

    def __init__(self, make: Callable[[], Mapping[K, V]]) -> None:
        self._make = make
        self._made: Mapping[K, V] | None = None

    def _now(self) -> Mapping[K, V]:
        if self._made is None:
            self._made = self._make()
        return self._made

    def __getitem__(self, key: K) -> V:
        return self._now()[key]

    def __iter__(self) -> Iterator[K]:
        return iter(self._now())

    def __len__(self) -> int:
        return len(self._now())

    def __repr__(self) -> str:
        return repr(self._now())


class WhyNot:
    """The reasons against everybody who was not ranked. `crewless` could lead, but without enough others."""

    def __init__(
        self,
        need: Need,
        ids: tuple[str, ...],
        rules: Rules,
        tables: GapTables,
        legs: Legs,
        terms: Terms,
        ranked: Bools,
        crewless: Bools | None = None,
    ) -> None:
        self._need, self._ids, self._rules = need, ids, rules
        self._tables, self._legs, self._terms = tables, legs, terms
        self._ranked, self._crewless = ranked, crewless

    @cached_property
    def _rows(self) -> Ints:
        return np.flatnonzero(~self._ranked)

    @cached_property
    def _broken(self) -> list[Bools]:
        return [one.who() for one in self._rules.broken]

    @cached_property
    def _slotless(self) -> TimeReasons:
        """Reasons of time and way of those whom no other rule excludes."""
        clear = ~self._ranked
        for who in self._broken:
            clear &= ~who
        if self._crewless is not None:
            clear &= ~self._crewless
        return TimeReasons(self._need, np.flatnonzero(clear), self._tables, self._legs, self._terms)

    def out(self, place: int) -> Out:
        """The engineer at this place among those who are out, in order of id."""
        row = int(self._rows[place])
        reasons = [
            one.reason(row) for one, who in zip(self._rules.broken, self._broken, strict=True) if who[row]
        ]
        if not reasons:
            reasons.extend(self._slotless.of(row))
        if not reasons:
            reasons.append(Reason(ReasonCode.CREW_INCOMPLETE, {"crew": self._need.crew}))
        return Out(self._ids[row], tuple(reasons))

    def counts(self) -> dict[ReasonCode, int]:
        """How many engineers each reason ruled out."""
        who_by_code: dict[ReasonCode, Bools] = {}
        for one, who in zip(self._rules.broken, self._broken, strict=True):
            before = who_by_code.get(one.code)
            who_by_code[one.code] = who if before is None else before | who
        counts = {code: int(np.count_nonzero(who)) for code, who in who_by_code.items()}
        for code, count in self._slotless.counts().items():
            counts[code] = counts.get(code, 0) + count
        if self._crewless is not None:
            counts[ReasonCode.CREW_INCOMPLETE] = int(np.count_nonzero(self._crewless))
        return {code: counts[code] for code in ReasonCode if counts.get(code)}


class TimeReasons:
    """Why engineers have no slot by these terms; `rows` are sorted. Found for all at once, told when asked."""

    def __init__(self, need: Need, rows: Ints, tables: GapTables, legs: Legs, terms: Terms) -> None:
        self._need, self._rows, self._tables, self._legs, self._terms = need, rows, tables, legs, terms
        self._several: dict[int, tuple[Reason, ...]] = {}
        self._nearest, self._longest, any_open = _around(tables, legs, terms, rows)
        limit = np.inf if terms.travel_max is None else terms.travel_max
        self._limits = limit[rows] if isinstance(limit, np.ndarray) else np.full(len(rows), limit)
        self._far = any_open & (self._nearest > self._limits)
        self._nearest[~any_open] = 0.0
        self._codes = _looked_at(terms, tables)
        #: The one rule that is the reason, as an index into the codes, and the slot that there would be without it.
        self._one = np.full(len(rows), -1, np.int8)
        self._slot = np.full(len(rows), np.inf)
        left = np.flatnonzero(~self._far)
        for n, code in enumerate(self._codes):
            if not len(left):
                break
            start = search(tables, legs, terms.without(frozenset((code,))), rows[left]).start
            free = start < np.inf
            self._one[left[free]], self._slot[left[free]] = n, start[free]
            left = left[~free]
        if len(left) and len(self._codes) > 1:
            left = _together(need, rows, left, self._codes, self._several, tables, legs, terms)
        self._full = left

    def of(self, row: int) -> tuple[Reason, ...]:
        """The reasons against one engineer; none for who was not asked about."""
        place = int(np.searchsorted(self._rows, row))
        if place == len(self._rows) or self._rows[place] != row:
            return ()
        if row in self._several:
            return self._several[row]
        way = float(self._nearest[place])
        if self._far[place]:
            figures = {"travel_minutes": way, "travel_minutes_max": float(self._limits[place])}
            return (Reason(ReasonCode.TOO_FAR, {name: round(value, 1) for name, value in figures.items()}),)
        if self._one[place] >= 0:
            code, start = self._codes[int(self._one[place])], float(self._slot[place])
            return (_told(code, row, start, self._need, self._tables, self._legs, self._terms),)
        return (full(self._need, way, float(self._longest[place])),)

    def counts(self) -> dict[ReasonCode, int]:
        """How many engineers each reason keeps from a slot."""
        counts = {code: int(np.count_nonzero(self._one == n)) for n, code in enumerate(self._codes)}
        counts[ReasonCode.TOO_FAR] = counts.get(ReasonCode.TOO_FAR, 0) + int(np.count_nonzero(self._far))
        counts[ReasonCode.SHIFT_FULL] = len(self._full)
        for reasons in self._several.values():
            for code in {reason.code for reason in reasons}:
                counts[code] = counts.get(code, 0) + 1
        return counts


def _together(
    need: Need,
    rows: Ints,
    left: Ints,
    codes: list[ReasonCode],
    found: dict[int, tuple[Reason, ...]],
    tables: GapTables,
    legs: Legs,
    terms: Terms,
) -> Ints:
    """Reasons that only together are one; who has none even so is returned."""
    start = search(tables, legs, terms.without(frozenset(codes)), rows[left]).start
    free = start < np.inf
    out_of = {int(place): set(codes) for place in left[free]}
    first = dict(zip(left.tolist(), start.tolist(), strict=True))
    for code in codes:
        groups: dict[frozenset[ReasonCode], list[int]] = {}
        for place, left_out in out_of.items():
            groups.setdefault(frozenset(left_out - {code}), []).append(place)
        for without, places in groups.items():
            at = np.array(places, np.int64)
            again = search(tables, legs, terms.without(without), rows[at]).start
            for place, when in zip(places, again.tolist(), strict=True):
                if when < np.inf:
                    out_of[place].discard(code)
                    first[place] = when
    for place, guilty in out_of.items():
        row = int(rows[place])
        found[row] = tuple(
            _told(code, row, first[place], need, tables, legs, terms) for code in codes if code in guilty
        )
    return left[~free]


def _looked_at(terms: Terms, tables: GapTables) -> list[ReasonCode]:
    held = any(tables.break_count)
    return [code for code in terms.looked_at() if code is not ReasonCode.BREAK_NEEDED or held]


def _around(tables: GapTables, legs: Legs, terms: Terms, rows: Ints) -> tuple[Floats, Floats, Bools]:
    """The shortest way to the site from where an open gap begins, the longest free stretch, and if there is any."""
    nearest, longest = np.full(len(rows), np.inf), np.zeros(len(rows))
    any_open = np.zeros(len(rows), np.bool_)
    for column in range(len(tables.start)):
        begin = np.maximum(tables.start[column].take(rows), terms.earliest)
        free = tables.end[column].take(rows) - begin
        open_ = free > 0
        way = legs.minutes(tables.origin[column], rows, begin)
        way = np.where(np.isnan(way), 0.0 if terms.travel_max is None else -np.inf, way)
        nearest = np.where(open_, np.minimum(nearest, way), nearest)
        longest = np.maximum(longest, free)
        any_open |= open_
    # An unknown way is never too far; told as a figure it is what is assumed.
    return np.where(nearest == -np.inf, 0.0, nearest), longest, any_open


def _told(
    code: ReasonCode, row: int, start: float, need: Need, tables: GapTables, legs: Legs, terms: Terms
) -> Reason:
    """The reason with its figures; `start` is the slot that there would be without it."""
    slot = from_us(us_of(start)).isoformat(timespec="minutes")
    if code is ReasonCode.TOO_LATE:
        assert terms.due is not None
        return Reason(code, {"late_minutes": int(np.ceil(start - terms.due))})
    inside = np.flatnonzero((tables.start[:, row] <= start) & (start < tables.end[:, row]))
    column = int(inside[0]) if len(inside) else 0
    if code is ReasonCode.TOO_FAR:
        at = np.array([row])
        ways = [float(legs.minutes(places[column], at, start)[0]) for places in (tables.origin, tables.next)]
        longest = max((way for way in ways if not np.isnan(way)), default=0.0)
        figures = {"travel_minutes": longest, "travel_minutes_max": _own(terms.travel_max, row)}
        return Reason(code, {name: round(value, 1) for name, value in figures.items()})
    if code is ReasonCode.CAPACITY_HOURS:
        given = tables.given_minutes[column, row]
        limit = _own(terms.work_max, row)
        figures = {"given_minutes": given, "needed_minutes": need.duration_minutes, "minutes_max": limit}
        return Reason(code, {name: round(float(value)) for name, value in figures.items()})
    if code is ReasonCode.CAPACITY_VISITS:
        visits = tables.given_visits[column, row]
        return Reason(
            code, {"visits": round(float(visits)), "visits_max": round(_own(terms.visits_max, row))}
        )
    return Reason(code, {"slot": slot})


def _own(limit: float | Floats | None, row: int) -> float:
    assert limit is not None
    return float(limit[row]) if isinstance(limit, np.ndarray) else limit


def moment_reasons(
    need: Need, tables: GapTables, legs: Legs, terms: Terms, column: int | None, at: float, way: float
) -> list[Reason]:
    """Why the only engineer of these tables cannot start at `at`, `way` minutes from where gap `column` is entered.

    `column` None: that moment lies in no gap, and only what is true of the moment itself is told.
    """
    row = 0
    reasons: list[Reason] = []
    for code, stretches in (
        (ReasonCode.OUTSIDE_VISITING_HOURS, terms.visiting),
        (ReasonCode.OUTSIDE_REQUESTED_WINDOW, terms.requested),
    ):
        if stretches is not None and not any(first <= at <= last for first, last in stretches):
            reasons.append(_told(code, row, at, need, tables, legs, terms))
    if terms.due is not None and at > terms.due:
        reasons.append(_told(ReasonCode.TOO_LATE, row, at, need, tables, legs, terms))
    if terms.not_before is not None and at < terms.not_before:
        reasons.append(_told(ReasonCode.PREDECESSOR, row, at, need, tables, legs, terms))
    if column is None:
        return reasons
    for code, limit, given in (
        (ReasonCode.CAPACITY_HOURS, terms.work_max, tables.given_minutes[column, row] + terms.duration),
        (ReasonCode.CAPACITY_VISITS, terms.visits_max, tables.given_visits[column, row] + 1),
    ):
        if limit is not None and float(given) > _own(limit, row):
            reasons.append(_told(code, row, at, need, tables, legs, terms))
    onward = 0.0
    if tables.onward[column, row]:
        onward = float(legs.minutes(tables.next[column], np.array([row]), at + terms.duration)[0])
        onward = legs.unknown if np.isnan(onward) else onward
    far = search(tables, legs, terms.without(_TOLD_ALONE), np.array([row])).start[0] < np.inf
    fits = search(tables, legs, terms.without(_TOLD_ALONE | {ReasonCode.TOO_FAR}), np.array([row])).start[0]
    if fits < np.inf:
        if not far:
            reasons.append(_told(ReasonCode.TOO_FAR, row, at, need, tables, legs, terms))
        return reasons
    without_breaks = _TOLD_ALONE | {ReasonCode.TOO_FAR, ReasonCode.BREAK_NEEDED}
    if search(tables, legs, terms.without(without_breaks), np.array([row])).start[0] < np.inf:
        reasons.append(_told(ReasonCode.BREAK_NEEDED, row, at, need, tables, legs, terms))
        return reasons
    # What is free around that very time, which is what the engineer lacks.
    begin, end = float(tables.start[column, row]), float(tables.end[column, row])
    free = min(end, at + terms.duration + onward) - max(begin, terms.earliest, at - way)
    reasons.append(full(need, way + onward, max(free, 0.0)))
    return reasons


_TOLD_ALONE = frozenset(
    {
        ReasonCode.OUTSIDE_VISITING_HOURS,
        ReasonCode.OUTSIDE_REQUESTED_WINDOW,
        ReasonCode.TOO_LATE,
        ReasonCode.CAPACITY_HOURS,
        ReasonCode.CAPACITY_VISITS,
        ReasonCode.PREDECESSOR,
    }
)


def full(need: Need, way_minutes: float, free_minutes: float) -> Reason:
    """The work and the ways to and from it find no room."""
    needed = round(need.duration_minutes + way_minutes)
    return Reason(ReasonCode.SHIFT_FULL, {"needed_minutes": needed, "free_minutes": int(free_minutes)})
