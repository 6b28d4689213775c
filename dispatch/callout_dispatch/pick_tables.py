"""The gaps of all engineers in padded tables, one contiguous row of numbers for each gap number. Pure.

Times are minutes since 2020 in float64: whole minutes are exact, and others are off by less than a tenth of a
microsecond for decades. The base is the same for every roster, so that an engineer's figures never depend on who else is
there. A padding gap ends before it starts, so nothing ever fits into it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from callout_dispatch.pick_gaps import BoundBreak, Gap
from callout_dispatch.pick_terms import MINUTE_US
from callout_geo.distance import Floats, unit_vectors
from callout_geo.points import Point

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

#: 2020-01-01 UTC in microseconds since 1970.
BASE_US = 1_577_836_800_000_000
_WIDER = 4


@dataclass(frozen=True, slots=True)
class GapTables:
    """Shape (gaps, engineers), places (gaps, 3, engineers) as unit vectors, NaN where unknown.

    `before[p]` is when the first p breaks bound to a gap can be over, shape (breaks + 1, gaps, engineers); `breaks` are
    earliest, latest and length of each, shape (breaks, 3, gaps, engineers), and a missing one takes no time at any time.
    `slack` is how long a way may be that is driven after an absence, -inf where none lies between. `any_*` say for each
    gap number whether anybody there must go on, has a break or an unknown place: what nobody has costs nothing.
    """

    start: Floats
    end: Floats
    back: Bools
    onward: Bools
    slack: Floats
    origin: Floats
    next: Floats
    given_minutes: Floats
    given_visits: Floats
    before: Floats
    breaks: Floats
    any_onward: tuple[bool, ...]
    any_slack: tuple[bool, ...]
    break_count: tuple[int, ...]
    all_known: tuple[bool, ...]
    given_minutes_max: float
    given_visits_max: float

    @classmethod
    def of(cls, gaps: Sequence[Sequence[Gap]]) -> GapTables:
        """The tables of these engineers' gaps, in this order."""
        width = max((len(of_one) for of_one in gaps), default=0)
        depth = max((len(gap.breaks) for of_one in gaps for gap in of_one), default=0)
        tables = cls._empty(len(gaps), width, depth)
        # All at once: one numpy call a gap would be most of the cost of building a roster.
        flat = [gap for of_one in gaps for gap in of_one]
        if flat:
            columns = np.array([n for of_one in gaps for n in range(len(of_one))], np.int64)
            rows = np.repeat(np.arange(len(gaps)), [len(of_one) for of_one in gaps])
            tables._write(columns, rows, flat)
        return tables._summed()

    def with_row(self, row: int, gaps: Sequence[Gap]) -> GapTables:
        """A copy in which this engineer has these gaps."""
        width, count = self.start.shape
        depth = len(self.breaks)
        need_depth = max((len(gap.breaks) for gap in gaps), default=0)
        # A few gaps at once: a day that fills up widens the tables a handful of times, not with every visit.
        wide = width if len(gaps) <= width else len(gaps) + _WIDER
        tables = self._empty(count, wide, max(depth, need_depth))
        for name in (
            "start",
            "end",
            "back",
            "onward",
            "slack",
            "origin",
            "next",
            "given_minutes",
            "given_visits",
        ):
            getattr(tables, name)[:width] = getattr(self, name)
        tables.breaks[:depth, :, :width] = self.breaks
        tables.before[: depth + 1, :width] = self.before
        tables.before[depth + 1 :, :width] = self.before[depth]
        tables.end[:, row] = -np.inf
        tables.origin[:, :, row] = tables.next[:, :, row] = np.nan
        tables.onward[:, row] = tables.back[:, row] = False
        tables.slack[:, row] = -np.inf
        _no_breaks(tables.breaks[..., row])
        if gaps:
            tables._write(np.arange(len(gaps)), np.full(len(gaps), row), gaps)
        return tables._summed()

    @classmethod
    def _empty(cls, count: int, width: int, depth: int) -> GapTables:
        shape = (width, count)
        breaks = np.empty((depth, 3, *shape))
        _no_breaks(breaks)
        return cls(
            start=np.zeros(shape),
            end=np.full(shape, -np.inf),
            back=np.zeros(shape, np.bool_),
            onward=np.zeros(shape, np.bool_),
            slack=np.full(shape, -np.inf),
            origin=np.full((width, 3, count), np.nan),
            next=np.full((width, 3, count), np.nan),
            given_minutes=np.zeros(shape),
            given_visits=np.zeros(shape),
            before=np.zeros((depth + 1, *shape)),
            breaks=breaks,
            any_onward=(),
            any_slack=(),
            break_count=(),
            all_known=(),
            given_minutes_max=0.0,
            given_visits_max=0.0,
        )

    def _write(self, columns: Ints, rows: Ints, gaps: Sequence[Gap]) -> None:
        start = minutes_of([gap.start_us for gap in gaps])
        self.start[columns, rows] = start
        self.end[columns, rows] = minutes_of([gap.end_us for gap in gaps])
        self.onward[columns, rows] = [gap.onward for gap in gaps]
        self.back[columns, rows] = [gap.back for gap in gaps]
        self.slack[columns, rows] = [
            -np.inf if gap.slack_us < 0 else gap.slack_us / MINUTE_US for gap in gaps
        ]
        self.origin[columns, :, rows] = _vectors([gap.origin for gap in gaps])
        self.next[columns, :, rows] = _vectors([gap.next_point for gap in gaps])
        self.given_minutes[columns, rows] = [gap.given_minutes for gap in gaps]
        self.given_visits[columns, rows] = [gap.given_visits for gap in gaps]
        self.before[0, columns, rows] = start
        for n in range(len(self.breaks)):
            held = [gap.breaks[n] if n < len(gap.breaks) else None for gap in gaps]
            self.breaks[n, 0, columns, rows] = [self._bound(one, 0) for one in held]
            self.breaks[n, 1, columns, rows] = [self._bound(one, 1) for one in held]
            self.breaks[n, 2, columns, rows] = [
                0.0 if one is None else one.length_us / MINUTE_US for one in held
            ]
            earliest, _, length = self.breaks[n, :, columns, rows].T
            self.before[n + 1, columns, rows] = np.maximum(self.before[n, columns, rows], earliest) + length

    def _bound(self, one: BoundBreak | None, end: int) -> float:
        if one is None:
            return np.inf if end else -np.inf
        return ((one.latest_us if end else one.earliest_us) - BASE_US) / MINUTE_US

    def _summed(self) -> GapTables:
        held = np.isfinite(self.breaks[:, 1]) if len(self.breaks) else np.zeros((0, *self.start.shape), bool)
        real = self.end > -np.inf
        unknown = real & (np.isnan(self.origin[:, 0]) | (self.onward & np.isnan(self.next[:, 0])))
        return replace(
            self,
            any_onward=tuple(bool(one) for one in np.any(self.onward & real, axis=1).tolist()),
            any_slack=tuple(bool(one) for one in np.any(self.slack >= 0, axis=1).tolist()),
            break_count=tuple(int(one) for one in held.any(axis=2).sum(axis=0))
            if len(held)
            else (0,) * len(self.start),
            all_known=tuple(not one for one in np.any(unknown, axis=1).tolist()),
            given_minutes_max=float(self.given_minutes.max(initial=0.0)),
            given_visits_max=float(self.given_visits.max(initial=0.0)),
        )


def minutes_of(us: int | Sequence[int]) -> Floats:
    """Instants in microseconds since 1970 UTC as minutes since the base."""
    result: Floats = (np.asarray(us, np.int64) - BASE_US) / MINUTE_US
    return result


def minute_of(us: int) -> float:
    """The same for one instant."""
    return (us - BASE_US) / MINUTE_US


def us_of(minutes: float) -> int:
    """Minutes since the base as microseconds since 1970 UTC."""
    return BASE_US + round(float(minutes) * MINUTE_US)


def _no_breaks(breaks: Floats) -> None:
    breaks[:, 0] = -np.inf
    breaks[:, 1] = np.inf
    breaks[:, 2] = 0.0


def _vectors(points: Sequence[Point | None]) -> Floats:
    nan = float("nan")
    return unit_vectors(
        [nan if point is None else point.lat for point in points],
        [nan if point is None else point.lng for point in points],
    )
