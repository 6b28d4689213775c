"""A lane in numbers, and tours of it. Pure; `sketch.py` says what tokens are and makes tours."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from callout_dispatch.planning.check_times import free_pieces
from callout_dispatch.planning.reasons import leg_s_max, work_limits
from callout_dispatch.planning.terms import Lane, Problem
from callout_dispatch.policy import Availability

Stretch = tuple[int, int, int]
"""Some stops in a row: (shortest time from the first to the last, earliest start that takes no longer, latest start)."""


class Rested(NamedTuple):
    """A rest in numbers: begun at `earliest_s` or later, over by `latest_s`."""

    earliest_s: int
    latest_s: int
    length_s: int


class Row:
    """A lane in numbers."""

    __slots__ = (
        *("lane", "open_s", "work_end_s", "home_s", "start", "end", "ways", "rests", "away"),
        *("leg_s_max", "work_s_max", "visits_max", "engineer", "van", "plain"),
    )

    def __init__(self, problem: Problem, lane: Lane, ways: Any, engineer: int, parts: Sequence[str]) -> None:
        rule = problem.policy.rule(Availability)
        self.lane = lane
        self.open_s = lane.start_s
        self.work_end_s = lane.end_s
        self.home_s = lane.end_s + (rule.overtime_minutes * 60 if rule else 0)
        self.start, self.end, self.ways, self.engineer = lane.start_place, lane.end_place, ways, engineer
        self.away = tuple(sorted((a, b) for a, b in lane.away if b > lane.start_s and a < lane.end_s))
        self.rests = rests_of(problem, lane)
        self.plain = not self.rests and not self.away
        self.leg_s_max = leg_s_max(problem, lane)
        self.work_s_max, self.visits_max = work_limits(problem, lane)
        self.van = tuple(max(0, lane.van.get(part, 0)) for part in parts)


class Tour:
    """A lane's tokens in order, with what they cost and what is needed to change them quickly.

    `early_s[n]`: when the engineer is free after the n-th token at the soonest, [0] at the start. `late_s[n]`: at the n-th
    token at the latest, [-1] at the end. Both leave rests and told times out, so they only ever rule out too little.
    `plain`: see `spots.py`; then, where waiting costs, `ahead[n]` is the stretch before the n-th token, `behind[n]` that from
    it on, and `length_s` the whole. `bare` is it without its visit to a depot. `best` keeps where each task would best go in.
    """

    __slots__ = (
        *("row", "tokens", "cost", "hold", "eager", "need", "best", "early_s", "late_s"),
        *("work_s", "tasks", "plain", "ahead", "behind", "length_s", "bare"),
    )

    def __init__(self, row: int, tokens: tuple[int, ...], cost: float, hold: bool, eager: bool) -> None:
        self.row, self.tokens, self.cost, self.hold, self.eager = row, tokens, cost, hold, eager
        self.best: dict[int, tuple[float, tuple[int, ...]] | None] = {}
        self.early_s: list[int] = []
        self.late_s: list[int] = []
        self.ahead: list[Stretch] = []
        self.behind: list[Stretch] = []
        self.length_s = self.work_s = self.tasks = 0
        self.plain = False
        self.bare: Tour | None = None
        self.need: tuple[int, ...] | None = None


def rests_of(problem: Problem, lane: Lane) -> tuple[Rested, ...]:
    """The rests of a lane that can still be taken in it."""
    found = []
    for rest in lane.rests:
        first_s = max(rest.earliest_s, lane.start_s, problem.now_s)
        last_s = min(rest.latest_s, lane.end_s)
        pieces = free_pieces((first_s, last_s), lane.away) if first_s < last_s else []
        if any(b - a >= rest.length_s for a, b in pieces):
            found.append(Rested(first_s, last_s, rest.length_s))
    return tuple(sorted(found, key=lambda rest: (rest.latest_s, rest.earliest_s)))
