"""The objectives: each component is 0 (worst) to 1 (best) and depends on one engineer, never on who else is there. Pure."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Final

import numpy as np

from callout_dispatch.pick_roster import Roster
from callout_dispatch.pick_slots import Rows, due_us
from callout_dispatch.pick_tables import Ints, minute_of
from callout_dispatch.pick_terms import Need
from callout_dispatch.policy import OBJECTIVES, Objective, Policy
from callout_geo.distance import Floats

CACHE_MAX: Final = 32
Component = Floats | float
"""One value for each engineer, or the same for all."""


class Scorer:
    """Scores of one need's slots. Keeps the roster's load as it is now: booking afterwards changes nothing here."""

    def __init__(self, need: Need, roster: Roster, policy: Policy, stock: dict[str, Ints]) -> None:
        self._need, self._roster, self._policy, self._stock = need, roster, policy, stock
        self._load, self._visits = roster.load_minutes, roster.visits
        self._cache = roster.cache
        self._due = minute_of(due_us(need, policy))
        self._preferred = roster.rows(need.preferred)
        weights = policy.weights(need.priority)
        self._weights = {
            objective: weight / sum(weights) for objective, weight in zip(OBJECTIVES, weights, strict=True)
        }

    def scores(self, start: Floats, travel: Floats, rows: Rows) -> Floats:
        """0 to 100 for slots of these engineers, rounded so that those who differ by float dust are equal."""
        total = np.zeros(len(start))
        same = 0.0
        for objective, weight in self._weights.items():
            if not weight:
                continue
            component = self._component(objective, start, travel, rows)
            if isinstance(component, float):
                same += weight * component
            else:
                # A fresh array in every case: nobody else reads it.
                component *= weight
                total += component
        total += same
        total *= 100.0
        result: Floats = np.round(total, 6)
        return result

    def components(self, start: Floats, travel: Floats, rows: Ints) -> list[dict[str, float]]:
        """All components of these engineers' slots, those without weight too."""
        found: list[list[float]] = []
        for one in OBJECTIVES:
            value = self._component(one, start, travel, rows)
            found.append([value] * len(rows) if isinstance(value, float) else np.round(value, 6).tolist())
        names = [one.value for one in OBJECTIVES]
        return [dict(zip(names, values, strict=True)) for values in zip(*found, strict=True)]

    def _component(self, objective: Objective, start: Floats, travel: Floats, rows: Rows) -> Component:
        policy = self._policy
        match objective:
            case Objective.SLA:
                return self._sla(start)
            case Objective.TRAVEL:
                return _falling(travel, policy.travel_minutes_full)
            case Objective.SKILL_FIT:
                return self._skill_fit(rows)
            case Objective.HOURS:
                return self._kept(("hours", policy.load_minutes_full), self._hours, rows)
            case Objective.VISITS:
                return self._kept(("visits", policy.visits_full), self._balance, rows)
            case Objective.PREFERRED:
                return self._preference(rows)
            case Objective.PARTS:
                return self._parts(rows)
            case Objective.DISRUPTION:
                # A pick puts work between what stands; it moves nobody's visit.
                return 1.0

    def _sla(self, start: Floats) -> Floats:
        """1 with full slack, 0.5 when just in time, below 0.4 when late and halving from there.

        The step from 0.5 to 0.4 keeps a slot that is one minute late behind one that is just in time.
        """
        slack = self._due - start
        value = np.minimum(slack, self._policy.slack_minutes_full)
        value *= 0.5 / self._policy.slack_minutes_full
        value += 0.5
        late = np.flatnonzero(slack < 0)
        if len(late):
            value[late] = 0.4 * np.exp2(slack[late] / self._policy.late_minutes_half)
        return value

    def _kept(self, key: Hashable, make: Callable[[], Floats], rows: Rows) -> Floats:
        """A component of everybody that many needs ask for, made once for a roster as it stands."""
        whole = self._cache.get(key)
        if whole is None:
            if len(self._cache) >= CACHE_MAX:
                self._cache.clear()
            whole = self._cache[key] = make()
        return whole.copy() if isinstance(rows, slice) else whole[rows]

    def _hours(self) -> Floats:
        return _falling(self._load, self._policy.load_minutes_full)

    def _balance(self) -> Floats:
        return _falling(self._visits, self._policy.visits_full)

    def _skill_fit(self, rows: Rows) -> Component:
        """1 at exactly the required levels, less with every level above, 0 below them: rare skills stay free."""
        if not self._need.skills:
            return 1.0
        skills = sorted(self._need.skills.items())

        def fit() -> Floats:
            total = np.zeros(len(self._roster))
            for skill, required in skills:
                above = (self._roster.levels(skill) - required).astype(np.float64)
                total += np.where(above < 0, 0.0, 1.0 / (1.0 + np.maximum(above, 0.0)))
            total /= len(skills)
            return total

        return self._kept(("skills", tuple(skills)), fit, rows)

    def _preference(self, rows: Rows) -> Component:
        if not self._need.preferred:
            return 1.0
        value = np.zeros(len(self._roster))
        value[self._preferred] = 1.0
        return value[rows]

    def _parts(self, rows: Rows) -> Component:
        """The share of needed pieces that is on the van; 1 when none is needed."""
        if not self._need.parts:
            return 1.0
        on_van = np.zeros(len(self._roster))
        for part, held in self._stock.items():
            on_van += np.clip(held, 0, self._need.parts[part])
        result: Floats = on_van[rows] / sum(self._need.parts.values())
        return result


def _falling(amount: Floats, full: float) -> Floats:
    """1 at nothing, 0 from `full` on."""
    value = amount * (-1.0 / full)
    value += 1.0
    np.maximum(value, 0.0, out=value)
    return value
