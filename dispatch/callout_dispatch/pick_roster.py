"""The engineers of a pick as arrays, built once and asked many times. Pure.

Building costs some microseconds of Python an engineer; every question after that is numpy over all of them.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable, Mapping, Sequence
from functools import lru_cache

import msgspec
import numpy as np
from numpy.typing import NDArray

from callout_dispatch.pick_gaps import Gap, duties, gaps_of
from callout_dispatch.pick_tables import Bools, GapTables, Ints
from callout_dispatch.pick_terms import Busy, Candidate
from callout_dispatch.policy import STANDARD
from callout_geo.distance import EARTH_RADIUS_M, Floats
from callout_geo.points import Point
from callout_geo.travel import HOURS_PER_WEEK, STANDARD_TRAVEL, Travel

#: A time before all others, for engineers without a shift.
NEVER_US = -(2**62)

Levels = NDArray[np.int16]


class Roster:
    """Candidates in arrays, in order of their ids, whatever order they came in.

    `travel` and `unknown_minutes` say how long ways between standing visits are: a break fits only into what they leave.
    `book` is the one thing that changes a roster; results of picks made before stay as they are. Whoever plans a day books
    into a roster of their own. Raises ValueError when an id comes twice.
    """

    def __init__(
        self,
        candidates: Iterable[Candidate],
        travel: Travel = STANDARD_TRAVEL,
        unknown_minutes: float = STANDARD.travel_minutes_unknown,
    ) -> None:
        self._candidates = sorted(candidates, key=lambda candidate: candidate.id)
        self.travel, self._unknown, self._pace = travel, unknown_minutes, even_pace(travel)
        self.ids: tuple[str, ...] = tuple(candidate.id for candidate in self._candidates)
        self._row_of = {id_: row for row, id_ in enumerate(self.ids)}
        if len(self._row_of) != len(self.ids):
            raise ValueError("a candidate's id came twice")
        count = len(self.ids)

        self._levels: dict[str, Levels] = {}
        self._also: dict[str, list[int]] = {}
        self._stock: dict[str, dict[int, int]] = {}
        for row, candidate in enumerate(self._candidates):
            for skill, level in candidate.skills.items():
                if skill not in self._levels:
                    self._levels[skill] = np.zeros(count, np.int16)
                self._levels[skill][row] = level
            for territory in candidate.territories:
                self._also.setdefault(territory, []).append(row)
            for part, quantity in candidate.van_stock.items():
                self._stock.setdefault(part, {})[row] = quantity
        self._no_levels: Levels = np.zeros(count, np.int16)

        names = sorted({c.territory_id for c in self._candidates if c.territory_id is not None})
        self._territory_code = {name: code for code, name in enumerate(names)}
        #: Indexes of territories, -1 for engineers who work everywhere.
        self.territory: NDArray[np.int32] = np.array(
            [
                -1 if c.territory_id is None else self._territory_code[c.territory_id]
                for c in self._candidates
            ],
            np.int32,
        )
        self.online: Bools = np.array([c.online for c in self._candidates], np.bool_)
        self.load_minutes: Floats = np.array([c.load_minutes for c in self._candidates], np.float64)
        self.visits: Floats = np.array([c.visits for c in self._candidates], np.float64)
        self.travel_max = _limits([c.travel_minutes_max for c in self._candidates])
        self.work_max = _limits([c.work_minutes_max for c in self._candidates])
        self.visits_max = _limits([c.visits_max for c in self._candidates])

        #: What scores keep between picks; another one as soon as anything changes.
        self.cache: dict[Hashable, Floats] = {}

        self.shift_ends_us: Ints = np.full(count, NEVER_US, np.int64)
        self.present_until_us: Ints = np.full(count, NEVER_US, np.int64)
        gaps: list[list[Gap]] = []
        for row, candidate in enumerate(self._candidates):
            on = duties(candidate)
            if on:
                self.shift_ends_us[row] = on[-1].end_us
                ends = [piece[1] for duty in on for piece in duty.present]
                if ends:
                    self.present_until_us[row] = max(ends)
            gaps.append(gaps_of(candidate, on, self._way))
        self.tables = GapTables.of(gaps)

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def candidates(self) -> Sequence[Candidate]:
        """The engineers as they stand now, in order of id."""
        return self._candidates

    def rows(self, ids: Iterable[str]) -> list[int]:
        """The rows of those of these engineers who are here, in order."""
        return sorted(self._row_of[id_] for id_ in ids if id_ in self._row_of)

    def levels(self, skill: str) -> Levels:
        """Everybody's level of a skill, 0 for those who lack it."""
        return self._levels.get(skill, self._no_levels)

    def works_in(self, territory_id: str, *, secondary: bool) -> Bools:
        """Who works in a territory: as their own, or with `secondary` also beside it, or everywhere."""
        result: Bools = (self.territory == -1) | (
            self.territory == self._territory_code.get(territory_id, -2)
        )
        if secondary and territory_id in self._also:
            result[self._also[territory_id]] = True
        return result

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
            old,
            busy=(*old.busy, busy),
            load_minutes=old.load_minutes + work_minutes,
            visits=old.visits + 1,
            van_stock=van_stock,
        )
        self._candidates[row] = new
        # Copies: a pick's result reads these arrays when it is asked, and must see them as they were.
        self.load_minutes, self.visits = self.load_minutes.copy(), self.visits.copy()
        self.load_minutes[row], self.visits[row] = new.load_minutes, new.visits
        self.cache = {}
        self.tables = self.tables.with_row(row, gaps_of(new, duties(new), self._way))
        return new

    def _way(self, origin: Point | None, target: Point | None, at_us: int) -> float:
        if origin is None or target is None:
            return self._unknown
        # One leg at a time: numpy would be most of the cost of building a roster whose people have breaks.
        lat_a, lat_b = math.radians(origin.lat), math.radians(target.lat)
        h = math.sin((lat_b - lat_a) / 2) ** 2 + (
            math.cos(lat_a) * math.cos(lat_b) * math.sin(math.radians(target.lng - origin.lng) / 2) ** 2
        )
        metres = 2.0 * EARTH_RADIUS_M * math.asin(min(math.sqrt(h), 1.0))
        pace = self._pace
        return metres * (
            self.travel.minutes(1.0, int(self.travel.hour_of_week(at_us))) if pace is None else pace
        )


@lru_cache(maxsize=64)
def even_pace(travel: Travel) -> float | None:
    """Minutes for one metre as the crow flies where every hour of the week is alike, else None."""
    pace = travel.minutes(np.ones(HOURS_PER_WEEK), np.arange(HOURS_PER_WEEK))
    return float(pace[0]) if bool((pace == pace[0]).all()) else None


def _limits(given: Sequence[float | None]) -> Floats | None:
    """Own limits, NaN where the policy's holds; None where nobody has one."""
    if all(value is None for value in given):
        return None
    return np.array([np.nan if value is None else value for value in given], np.float64)
