"""Rests and absences while a tour is timed: the slow and exact part of `sketch.py`. Pure."""

from __future__ import annotations

from callout_dispatch.planning.reasons import NEVER_S
from callout_dispatch.planning.rows import Row
from callout_dispatch.planning.terms import Stop


class Pauses:
    """The rests and absences of one lane, taken one by one while a tour is timed."""

    __slots__ = ("absence", "eager", "out", "rest", "row")

    def __init__(self, row: Row, eager: bool, out: list[Stop] | None) -> None:
        self.row, self.eager, self.out = row, eager, out
        self.rest = self.absence = 0

    def before(self, free_s: int, way_s: int, start_s: int, end_s: int, *, bend: bool) -> int:
        """When the engineer is free after whatever pause must or may as well come before work at [start_s, end_s).

        The same as `free_s`: none. -1: one that must come before has no room. With `bend` (only what reality has fixed lies
        before and behind) such a one is left out instead, once there is no room for it between the two.
        """
        row = self.row
        shut = (
            False  # Whether the way must be begun during an absence, so that no room is left before the work.
        )
        while True:
            gone_s, back_s = row.away[self.absence] if self.absence < len(row.away) else (NEVER_S, NEVER_S)
            absent = end_s > gone_s
            if self.rest < len(row.rests):
                earliest_s, latest_s, length_s = row.rests[self.rest]
                at_s = max(free_s, earliest_s)
                must = (back_s if absent else end_s) + length_s > latest_s
                fits = not shut and at_s + length_s + way_s <= start_s and at_s + length_s <= gone_s
                early = self.eager and not bend and free_s >= earliest_s  # where work stands, only if it fits
                if (must or fits or early) and (shut or at_s + length_s <= gone_s):
                    until_s = min(latest_s, start_s - way_s) if bend else latest_s
                    taken_s = self._take(at_s, length_s, -1 if shut else until_s)
                    if taken_s >= 0 or not bend:
                        return taken_s
                    continue
                if must and not absent:
                    absent = True  # It runs into an absence, which is then waited for.
            if not absent:
                return free_s
            if gone_s == NEVER_S:
                return -1
            self.absence += 1
            if not bend:
                return -1 if free_s > gone_s else max(free_s, back_s)
            if free_s < back_s <= start_s - way_s:
                return back_s
            shut = shut or free_s < back_s

    def after(self, free_s: int, back_s: int, *, bend: bool) -> int:
        """When the engineer is free for the way back, all rests taken; -1: one has no room."""
        row = self.row
        while free_s >= 0 and (self.rest < len(row.rests) or self.absence < len(row.away)):
            gone_s, again_s = row.away[self.absence] if self.absence < len(row.away) else (NEVER_S, NEVER_S)
            if self.rest == len(row.rests):
                if free_s + back_s <= gone_s:
                    break
                self.absence += 1
                if free_s > gone_s and not bend:
                    return -1
                free_s = max(free_s, again_s)
                continue
            earliest_s, latest_s, length_s = row.rests[self.rest]
            at_s = max(free_s, earliest_s)
            if at_s + length_s > gone_s:
                self.absence += 1
                free_s = max(free_s, again_s)
                continue
            taken_s = self._take(at_s, length_s, latest_s)
            if taken_s < 0 and not bend:
                return -1
            free_s = max(free_s, taken_s)
        return free_s

    def _take(self, at_s: int, length_s: int, until_s: int) -> int:
        """Go on to the next rest; when this one, begun at `at_s`, ends. -1: later than it may."""
        self.rest += 1
        if at_s + length_s > until_s:
            return -1
        if self.out is not None:
            self.out.append(Stop(kind="rest", start_s=at_s, end_s=at_s + length_s))
        return at_s + length_s
