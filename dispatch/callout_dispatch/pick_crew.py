"""Crews: who could go along with each leader at the very time of the leader's slot. Pure.

The leader holds every skill. The others need time, territory, nearness, and that nobody will not have them. A leader whose
earliest time does not suit enough others is tried again at the next time that does.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from callout_dispatch.pick_roster import Roster
from callout_dispatch.pick_rules import judge
from callout_dispatch.pick_slots import EVERYBODY, Legs, Slots, Terms, search
from callout_dispatch.pick_tables import Bools, Ints
from callout_dispatch.pick_terms import Need
from callout_dispatch.policy import Policy
from callout_geo.distance import Floats

ROUNDS_MAX = 8
"""How often a leader is tried at a later time."""


@dataclass(frozen=True, slots=True)
class Crews:
    """Who can lead a whole crew, the slots then, and who go along best at each start, nearest first."""

    slots: Slots
    complete: Bools
    _near: dict[float, tuple[int, ...]]
    _others: int

    def of(self, row: int) -> tuple[int, ...]:
        """The rows of those who go along with this leader."""
        near = self._near.get(float(self.slots.start[row]), ())
        return tuple(one for one in near if one != row)[: self._others]


def gather(
    need: Need, roster: Roster, policy: Policy, legs: Legs, terms: Terms, slots: Slots, ok: Bools
) -> Crews:
    """Complete the crews of those who have a slot; `slots` and `ok` have an entry for everybody."""
    others = need.crew - 1
    can_help = judge(need, roster, policy, {}, helper=True).ok
    start, travel = slots.start.copy(), slots.travel.copy()
    complete = np.zeros(len(roster), np.bool_)
    near: dict[float, tuple[int, ...]] = {}
    later: dict[float, Floats] = {}
    for _ in range(ROUNDS_MAX):
        waiting = np.flatnonzero(ok & ~complete & (start < np.inf))
        if not len(waiting):
            break
        for at in np.unique(start[waiting]).tolist():
            if at not in near:
                near[at] = _free_at(roster, legs, terms, can_help, at, others + 1)
        for row in waiting.tolist():
            free = near[float(start[row])]
            complete[row] = len(free) - (row in free) >= others
        for row in waiting[~complete[waiting]].tolist():
            at = float(start[row])
            if at not in later:
                pushed = replace(terms, not_before=max(at + 1.0, terms.not_before or -np.inf))
                later[at] = search(roster.tables, legs, pushed, EVERYBODY, can_help).start
            start[row], travel[row] = _next(roster, legs, terms, later[at], row, others)
    return Crews(Slots(np.where(complete, start, np.inf), travel), complete, near, others)


def _free_at(
    roster: Roster, legs: Legs, terms: Terms, can_help: Bools, at: float, count: int
) -> tuple[int, ...]:
    """The nearest `count` of those who could start at this very moment."""
    slots = search(roster.tables, legs, replace(terms, at=at, whole=False), EVERYBODY, can_help)
    free = np.flatnonzero(slots.start < np.inf)
    order = np.argsort(np.round(slots.travel[free], 6), kind="stable")[:count]
    chosen: list[int] = free[order].tolist()
    return tuple(chosen)


def _next(
    roster: Roster, legs: Legs, terms: Terms, starts: Floats, row: int, others: int
) -> tuple[float, float]:
    """The leader's first slot from the moment on when as many others as are needed could have come."""
    free: Floats = np.sort(np.delete(starts, row))
    if len(free) < others or free[others - 1] == np.inf:
        return np.inf, 0.0
    pushed = replace(terms, not_before=max(float(free[others - 1]), terms.not_before or -np.inf))
    rows: Ints = np.array([row])
    slots = search(roster.tables, legs, pushed, rows)
    return float(slots.start[0]), float(slots.travel[0])
