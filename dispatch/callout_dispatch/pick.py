"""The pick: who should go, who else could, and why not each of the others. Pure.

Hard rules that need no time first, as masks over all engineers; then, only for those who pass, the earliest slot; then a
score of soft components for those who have one. Every component is absolute (it depends on one engineer, never on
who else is there), so one more engineer can never make the best score worse.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property

import numpy as np

from callout_dispatch.lazy import Lazy
from callout_dispatch.pick_crew import Crews, gather
from callout_dispatch.pick_reasons import LazyMapping, WhyNot
from callout_dispatch.pick_roster import Roster
from callout_dispatch.pick_rules import judge, missing_part, stock_of
from callout_dispatch.pick_score import Scorer
from callout_dispatch.pick_slots import EVERYBODY, Legs, Rows, Slots, search, terms_of
from callout_dispatch.pick_tables import Bools, Ints, us_of
from callout_dispatch.pick_terms import (
    MINUTE_US,
    Candidate,
    Need,
    PickResult,
    Ranked,
    Reason,
    ReasonCode,
    from_us,
    to_us,
)
from callout_dispatch.policy import STANDARD, Policy
from callout_geo.distance import Floats
from callout_geo.travel import STANDARD_TRAVEL, Travel

_TOP = 64
"""So many are put in order at once; the rest only when somebody asks for them."""


def pick(
    need: Need,
    roster: Roster | Iterable[Candidate],
    policy: Policy = STANDARD,
    travel: Travel | None = None,
) -> PickResult:
    """Rank the engineers who can do the work and say why the others cannot.

    For more than one question about the same engineers, pass a `Roster`: it is built once. `travel` None: as the
    roster's ways were reckoned. The result does not depend on the order of candidates; equal scores go by id.
    """
    if not isinstance(roster, Roster):
        roster = Roster(roster, travel or STANDARD_TRAVEL, policy.travel_minutes_unknown)
    travel = travel or roster.travel
    tables = roster.tables
    stock = stock_of(need, roster)
    rules = judge(need, roster, policy, stock)
    legs = Legs(need.point, travel, policy.travel_minutes_unknown)
    terms = terms_of(need, roster, policy)
    passed = int(np.count_nonzero(rules.ok))
    # Where most pass, going through all is quicker than gathering those who do.
    rows: Rows = EVERYBODY if need.crew > 1 or 2 * passed > len(roster) else np.flatnonzero(rules.ok)
    slots = search(tables, legs, terms, rows, rules.ok if rows is EVERYBODY else None)
    crews: Crews | None = None
    crewless: Bools | None = None
    if need.crew > 1:
        crews = gather(need, roster, policy, legs, terms, slots, rules.ok)
        crewless = (slots.start < np.inf) & ~crews.complete
        slots = crews.slots
    found = slots.start < np.inf
    scorer = Scorer(need, roster, policy, stock)
    scores = scorer.scores(slots.start, slots.travel, rows)
    np.copyto(scores, -1.0, where=~found)
    ranking = _Ranking(need, roster, scorer, slots, scores, rows, int(np.count_nonzero(found)))
    ranking.crews, ranking.stock = crews, stock
    if isinstance(rows, slice):
        ranked_mask = found
    else:
        ranked_mask = np.zeros(len(roster), np.bool_)
        ranked_mask[rows[found]] = True
    why_not = WhyNot(need, roster.ids, rules, tables, legs, terms, ranked_mask, crewless)
    return PickResult(
        policy_version=policy.label,
        best=ranking.best(),
        ranked=Lazy(ranking.count, ranking.make),
        out=Lazy(len(roster) - ranking.count, why_not.out),
        out_counts=LazyMapping(why_not.counts),
    )


class _Ranking:
    """Those who can, in order of score and then of id; put in order as far as anybody looks."""

    crews: Crews | None = None
    stock: dict[str, Ints]

    def __init__(
        self,
        need: Need,
        roster: Roster,
        scorer: Scorer,
        slots: Slots,
        scores: Floats,
        rows: Rows,
        count: int,
    ) -> None:
        self._need, self._roster, self._scorer = need, roster, scorer
        self._slots, self._scores, self._rows, self.count = slots, scores, rows, count

    @cached_property
    def _top(self) -> Ints:
        scores = self._scores
        if self.count <= _TOP:
            return self._sorted(np.flatnonzero(scores >= 0))
        # All who have the last score that counts, so that ids decide among equals as they do in the whole order.
        least = np.partition(scores, len(scores) - _TOP)[len(scores) - _TOP]
        return self._sorted(np.flatnonzero(scores >= least))

    @cached_property
    def _all(self) -> Ints:
        return self._sorted(np.flatnonzero(self._scores >= 0))

    def _sorted(self, places: Ints) -> Ints:
        return places[np.argsort(-self._scores[places], kind="stable")]

    @cached_property
    def _top_components(self) -> list[dict[str, float]]:
        return self._components(self._top)

    def _components(self, places: Ints) -> list[dict[str, float]]:
        rows = places if isinstance(self._rows, slice) else self._rows[places]
        return self._scorer.components(self._slots.start[places], self._slots.travel[places], rows)

    def _row(self, at: int) -> int:
        return at if isinstance(self._rows, slice) else int(self._rows[at])

    def best(self) -> str | None:
        """The id of the first."""
        return self._roster.ids[self._row(int(self._top[0]))] if self.count else None

    def make(self, place: int) -> Ranked:
        """The engineer at this place."""
        at = int(self._top[place] if place < len(self._top) else self._all[place])
        row = self._row(at)
        start_us = us_of(self._slots.start[at])
        minutes = float(self._slots.travel[at])
        in_top = place < len(self._top)
        components = self._top_components[place] if in_top else self._components(np.array([at]))[0]
        crew = self.crews.of(row) if self.crews else ()
        return Ranked(
            id=self._roster.ids[row],
            score=float(self._scores[at]),
            components=components,
            slot_start=from_us(start_us),
            slot_end=from_us(start_us + self._need.duration_minutes * MINUTE_US),
            travel_minutes=round(minutes, 2),
            set_out=from_us(start_us - round(minutes * MINUTE_US)),
            crew=tuple(self._roster.ids[one] for one in crew),
            notes=self._notes(row, start_us),
        )

    def _notes(self, row: int, start_us: int) -> tuple[Reason, ...]:
        need = self._need
        notes: list[Reason] = []
        if need.due_at is not None and start_us > to_us(need.due_at):
            late = (start_us - to_us(need.due_at)) / MINUTE_US
            notes.append(Reason(ReasonCode.OVERDUE_SLOT, {"late_minutes": round(late)}))
        for part, held in self.stock.items():
            if held[row] < need.parts[part]:
                notes.append(missing_part(part, need.parts[part], int(held[row])))
        if not self._roster.online[row]:
            notes.append(Reason(ReasonCode.OFFLINE))
        return tuple(notes)
