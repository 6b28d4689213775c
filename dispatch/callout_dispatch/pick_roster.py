"""The engineers of a pick as arrays, built once and asked many times. Pure.

Building costs some microseconds of Python an engineer; every question after that is numpy over all of them.
The free stretches ("gaps") of an engineer are shifts minus absences minus busy visits. They lie in padded
tables of shape (engineers, gaps): a padding gap ends before it starts, so nothing ever fits into it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from callout_dispatch.pick_terms import Busy, Candidate, Interval, to_us
from callout_geo.distance import Floats, unit_vectors
from callout_geo.points import Point

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

#: A time before all others, for engineers without a shift and for padding.
NEVER_US = -(2**62)


class Gap(NamedTuple):
    """A free stretch in microseconds, where it is entered from, and the visit that ends it, if any."""

    start_us: int
    end_us: int
    origin: Point | None
    followed: bool
    next_point: Point | None


class Roster:
    """Candidates in arrays, in order of their ids, whatever order they came in.

    `book` is the one thing that changes a roster; whoever plans a day books into a roster of their own.
    Raises ValueError when an id comes twice.
    """

    def __init__(self, candidates: Iterable[Candidate]) -> None:
        self._candidates = sorted(candidates, key=lambda candidate: candidate.id)
        self.ids: tuple[str, ...] = tuple(candidate.id for candidate in self._candidates)
        self._row_of = {id_: row for row, id_ in enumerate(self.ids)}
        if len(self._row_of) != len(self.ids):
            raise ValueError("a candidate's id came twice")
        count = len(self.ids)

        self._levels: dict[str, NDArray[np.int16]] = {}
        for row, candidate in enumerate(self._candidates):
            for skill, level in candidate.skills.items():
                if skill not in self._levels:
                    self._levels[skill] = np.zeros(count, np.int16)
                self._levels[skill][row] = level
        self._no_levels = np.zeros(count, np.int16)

        #: Territory names; `territory` holds indexes into it, -1 for engineers who work everywhere.
        self.territories: tuple[str, ...] = tuple(
            sorted({c.territory_id for c in self._candidates if c.territory_id is not None})
        )
        self._territory_code = {name: code for code, name in enumerate(self.territories)}
        self.territory: Ints = np.array(
            [
                -1 if c.territory_id is None else self._territory_code[c.territory_id]
                for c in self._candidates
            ],
            np.int64,
        )
        self.online: Bools = np.array([c.online for c in self._candidates], np.bool_)
        self.load_minutes: Floats = np.array([c.load_minutes for c in self._candidates], np.float64)
        self._stock: dict[str, dict[int, int]] = {}
        for row, candidate in enumerate(self._candidates):
            for part, quantity in candidate.van_stock.items():
                self._stock.setdefault(part, {})[row] = quantity

        self.shift_ends_us: Ints = np.full(count, NEVER_US, np.int64)
        self.present_until_us: Ints = np.full(count, NEVER_US, np.int64)
        gaps: list[tuple[Gap, ...]] = []
        for row, candidate in enumerate(self._candidates):
            shifts = _union(candidate.shifts)
            present = _present(candidate, shifts)
            if shifts:
                self.shift_ends_us[row] = shifts[-1][1]
            ends = [piece[1] for pieces in present for piece in pieces]
            if ends:
                self.present_until_us[row] = max(ends)
            gaps.append(_gaps(candidate, shifts, present))
        self._allocate(max((len(of_one) for of_one in gaps), default=0))
        for row, of_one in enumerate(gaps):
            self._write_gaps(row, of_one)
        self._place_all(gaps)

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def candidates(self) -> Sequence[Candidate]:
        """The engineers as they stand now, in order of id."""
        return self._candidates

    def levels(self, skill: str) -> NDArray[np.int16]:
        """Everybody's level of a skill, 0 for those who lack it."""
        return self._levels.get(skill, self._no_levels)

    def territory_code(self, territory_id: str) -> int:
        """The index of a territory; -2 (which no engineer has) for one where nobody works."""
        return self._territory_code.get(territory_id, -2)

    def stock(self, part: str) -> Ints:
        """Everybody's quantity of a part on the van."""
        result = np.zeros(len(self.ids), np.int64)
        held = self._stock.get(part)
        if held:
            result[np.fromiter(held.keys(), np.int64, len(held))] = np.fromiter(
                held.values(), np.int64, len(held)
            )
        return result

    def book(self, candidate_id: str, busy: Busy, parts: Mapping[str, int] | None = None) -> Candidate:
        """Give an engineer one more visit: its time, its work, and the parts it takes from the van.

        Returns the engineer as it stands now. Parts that are not on the van come from elsewhere and leave it
        as it is. Raises KeyError for an engineer who is not in the roster.
        """
        row = self._row_of[candidate_id]
        old = self._candidates[row]
        van_stock = dict(old.van_stock)
        for part, quantity in (parts or {}).items():
            if van_stock.get(part, 0) > 0:
                van_stock[part] = max(van_stock[part] - quantity, 0)
                self._stock[part][row] = van_stock[part]
        work_minutes = (busy.end - busy.start).total_seconds() / 60.0
        new = msgspec.structs.replace(
            old, busy=(*old.busy, busy), load_minutes=old.load_minutes + work_minutes, van_stock=van_stock
        )
        self._candidates[row] = new
        self.load_minutes[row] = new.load_minutes
        shifts = _union(new.shifts)
        gaps = _gaps(new, shifts, _present(new, shifts))
        if len(gaps) > self.gap_start_us.shape[1]:
            self._widen(len(gaps))
        self._write_gaps(row, gaps)
        for column, gap in enumerate(gaps):
            self.gap_origin[row, column] = _vector(gap.origin)
            self.gap_next[row, column] = _vector(gap.next_point)
        return new

    def _allocate(self, width: int) -> None:
        shape = (len(self.ids), width)
        self.gap_start_us: Ints = np.zeros(shape, np.int64)
        self.gap_end_us: Ints = np.full(shape, NEVER_US, np.int64)
        self.gap_followed: Bools = np.zeros(shape, np.bool_)
        self.gap_origin: Floats = np.full((*shape, 3), np.nan)
        self.gap_next: Floats = np.full((*shape, 3), np.nan)

    def _widen(self, width: int) -> None:
        old = (self.gap_start_us, self.gap_end_us, self.gap_followed, self.gap_origin, self.gap_next)
        # A few columns at once: a day that fills up widens the tables a handful of times, not with every
        # visit.
        self._allocate(width + 4)
        new = (self.gap_start_us, self.gap_end_us, self.gap_followed, self.gap_origin, self.gap_next)
        for source, target in zip(old, new, strict=True):
            target[:, : source.shape[1]] = source

    def _write_gaps(self, row: int, gaps: tuple[Gap, ...]) -> None:
        self.gap_end_us[row] = NEVER_US
        for column, gap in enumerate(gaps):
            self.gap_start_us[row, column] = gap.start_us
            self.gap_end_us[row, column] = gap.end_us
            self.gap_followed[row, column] = gap.followed

    def _place_all(self, gaps: Sequence[tuple[Gap, ...]]) -> None:
        # All vectors in two calls: one numpy call a gap would be most of the cost of building the roster.
        cells = [(row, column) for row, of_one in enumerate(gaps) for column in range(len(of_one))]
        if not cells:
            return
        rows, columns = np.array(cells, np.int64).T
        flat = [gap for of_one in gaps for gap in of_one]
        self.gap_origin[rows, columns] = _vectors([gap.origin for gap in flat])
        self.gap_next[rows, columns] = _vectors([gap.next_point for gap in flat])


def _vectors(points: Sequence[Point | None]) -> Floats:
    nan = float("nan")
    return unit_vectors(
        [nan if point is None else point.lat for point in points],
        [nan if point is None else point.lng for point in points],
    )


def _vector(point: Point | None) -> Floats:
    result: Floats = _vectors([point])[0]
    return result


def _union(intervals: Iterable[Interval]) -> list[tuple[int, int]]:
    """Sorted stretches in microseconds that do not touch each other."""
    result: list[tuple[int, int]] = []
    for start, end in sorted((to_us(interval.start), to_us(interval.end)) for interval in intervals):
        if result and start <= result[-1][1]:
            result[-1] = (result[-1][0], max(result[-1][1], end))
        else:
            result.append((start, end))
    return result


def _present(candidate: Candidate, shifts: list[tuple[int, int]]) -> list[list[tuple[int, int]]]:
    """For each shift, the pieces of it in which the engineer is not absent."""
    absences = _union(candidate.absences)
    result: list[list[tuple[int, int]]] = []
    for start, end in shifts:
        pieces: list[tuple[int, int]] = []
        cursor = start
        for away_start, away_end in absences:
            if away_end <= cursor or away_start >= end:
                continue
            if away_start > cursor:
                pieces.append((cursor, away_start))
            cursor = max(cursor, away_end)
        if cursor < end:
            pieces.append((cursor, end))
        result.append(pieces)
    return result


def _gaps(
    candidate: Candidate, shifts: list[tuple[int, int]], present: list[list[tuple[int, int]]]
) -> tuple[Gap, ...]:
    """The free stretches of an engineer, in order of time.

    A shift is entered from the engineer's position; after a visit, from that visit's site, also across an
    absence within the shift. A gap that a visit ends must leave time for the way to it.
    """
    busy = sorted(
        ((to_us(b.start), to_us(b.end), b.point) for b in candidate.busy), key=lambda item: item[:2]
    )
    gaps: list[Gap] = []
    for (shift_start, _), pieces in zip(shifts, present, strict=True):
        # From the shift's own start, not from that of its first piece: a visit may stand inside an absence, and
        # the engineer then sets out from its site all the same.
        origin, origin_until = candidate.position, shift_start
        for start, end in pieces:
            cursor = start
            followed, next_point = False, None
            for busy_start, busy_end, point in busy:
                if busy_start >= end:
                    followed = busy_start == end
                    next_point = point if followed else None
                    break
                if busy_start > cursor:
                    gaps.append(Gap(cursor, busy_start, origin, True, point))
                cursor = max(cursor, busy_end)
                # Visits that overlap (a dispatcher may force that) leave the engineer where the last one
                # ends.
                if busy_end > origin_until:
                    origin, origin_until = point, busy_end
            if cursor < end:
                gaps.append(Gap(cursor, end, origin, followed, next_point))
    return tuple(gaps)
