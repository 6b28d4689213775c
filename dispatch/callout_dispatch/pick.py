"""The pick: who should go, who else could, and why not each of the others. Pure.

Hard rules first, as masks over all engineers; then, only for those who pass, the earliest slot; then a score
of soft components for those who have one. Every component is absolute (it depends on one engineer, never on
who else is there), so one more engineer can never make the best score worse.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from callout_dispatch.lazy import Lazy
from callout_dispatch.pick_roster import Bools, Ints, Roster
from callout_dispatch.pick_terms import (
    COMPONENTS,
    MINUTE_US,
    STANDARD,
    Candidate,
    Need,
    Out,
    PickPolicy,
    PickResult,
    Ranked,
    Reason,
    ReasonCode,
    from_us,
    to_us,
)
from callout_geo.distance import Floats, travel_minutes, unit_vectors, vector_distance_m
from callout_orders.terms import Priority

#: Hard reasons in the order in which they are told; a reason's place is its bit.
_HARD = (
    ReasonCode.SKILL_MISSING,
    ReasonCode.SKILL_LEVEL_LOW,
    ReasonCode.OTHER_TERRITORY,
    ReasonCode.OFFLINE,
    ReasonCode.PART_NOT_ON_VAN,
    ReasonCode.NO_SHIFT,
    ReasonCode.ABSENT,
    ReasonCode.TOO_FAR,
    ReasonCode.SHIFT_FULL,
)
_BIT = {code: 1 << place for place, code in enumerate(_HARD)}


def pick(need: Need, roster: Roster | Iterable[Candidate], policy: PickPolicy = STANDARD) -> PickResult:
    """Rank the engineers who can do the work and say why the others cannot.

    For more than one question about the same engineers, pass a `Roster`: it is built once. The result does
    not depend on the order of candidates; equal scores go by id.
    """
    if not isinstance(roster, Roster):
        roster = Roster(roster)
    earliest_us = to_us(need.earliest)
    stock = {part: roster.stock(part) for part in sorted(need.parts)}
    mask = _cheap_mask(need, roster, policy, earliest_us, stock)
    rows = np.flatnonzero(mask == 0)
    legs = _Legs(need, policy)
    slots = _slots(need, roster, policy, rows, earliest_us, legs)
    failed = np.flatnonzero(~slots.found)
    failures = _failures(roster, policy, rows[failed], earliest_us, legs)
    mask[rows[failed]] = np.where(failures.too_far, _BIT[ReasonCode.TOO_FAR], _BIT[ReasonCode.SHIFT_FULL])

    good = np.flatnonzero(slots.found)
    ranked = _rank(need, roster, policy, rows[good], slots, good, earliest_us, stock)
    out_rows = np.flatnonzero(mask)
    failure_at = {int(row): place for place, row in enumerate(rows[failed])}
    outs = mask[out_rows]

    def make_out(place: int) -> Out:
        row, bits = int(out_rows[place]), int(outs[place])
        reasons: list[Reason] = []
        for code in _HARD:
            if bits & _BIT[code]:
                reasons.extend(
                    _hard_reasons(code, row, need, roster, policy, stock, failures, failure_at.get(row))
                )
        return Out(roster.ids[row], tuple(reasons))

    return PickResult(
        policy_version=policy.version,
        best=ranked[0].id if len(ranked) else None,
        ranked=ranked,
        out=Lazy(len(out_rows), make_out),
        out_counts={
            code: count for code in _HARD if (count := int(np.count_nonzero(outs & np.uint16(_BIT[code]))))
        },
    )


# ---------------------------------------------------------------------------------------------- hard rules


def _cheap_mask(
    need: Need, roster: Roster, policy: PickPolicy, earliest_us: int, stock: dict[str, Ints]
) -> NDArray[np.uint16]:
    mask = np.zeros(len(roster), np.uint16)

    def rule_out(where: Bools, code: ReasonCode) -> None:
        mask[where] |= np.uint16(_BIT[code])

    for skill, required in need.skills.items():
        have = roster.levels(skill)
        rule_out(have == 0, ReasonCode.SKILL_MISSING)
        rule_out((have > 0) & (have < required), ReasonCode.SKILL_LEVEL_LOW)
    if policy.territory_hard and need.territory_id is not None:
        code = roster.territory_code(need.territory_id)
        rule_out((roster.territory != -1) & (roster.territory != code), ReasonCode.OTHER_TERRITORY)
    if need.priority == Priority.P0:
        rule_out(~roster.online, ReasonCode.OFFLINE)
    if policy.parts_hard:
        for part, held in stock.items():
            rule_out(held < need.parts[part], ReasonCode.PART_NOT_ON_VAN)
    no_shift = roster.shift_ends_us <= earliest_us
    rule_out(no_shift, ReasonCode.NO_SHIFT)
    rule_out(~no_shift & (roster.present_until_us <= earliest_us), ReasonCode.ABSENT)
    return mask


class _Legs:
    """Minutes on the road between the need's site and places given as unit vectors."""

    def __init__(self, need: Need, policy: PickPolicy) -> None:
        self._site = None if need.point is None else unit_vectors(need.point.lat, need.point.lng)
        self._unknown = policy.travel_minutes_unknown

    def minutes(self, places: Floats) -> Floats:
        """Shape (...) for places (..., 3); a leg with an unknown end counts as the policy assumes."""
        if self._site is None:
            return np.full(places.shape[:-1], self._unknown)
        minutes = travel_minutes(vector_distance_m(places, self._site))
        return np.where(np.isnan(minutes), self._unknown, minutes)


# --------------------------------------------------------------------------------------------------- slots


@dataclass(frozen=True, slots=True)
class _Slots:
    """Per examined engineer: whether there is a slot, its bounds in microseconds, and the minutes to it."""

    found: Bools
    start_us: Ints
    end_us: Ints
    travel: Floats


@dataclass(frozen=True, slots=True)
class _Failures:
    """Per engineer without a slot: whether distance is why, the shortest way, the longest free stretch."""

    too_far: Bools
    nearest: Floats
    longest_free: Floats


def _slots(
    need: Need, roster: Roster, policy: PickPolicy, rows: Ints, earliest_us: int, legs: _Legs
) -> _Slots:
    """The earliest slot of each row: the first gap that holds the way there, the work, and the way onward.

    Gap by gap and only for those still without a slot: most engineers fit into their first open gap.
    """
    found = np.zeros(len(rows), np.bool_)
    start_us = np.zeros(len(rows), np.int64)
    end_us = np.zeros(len(rows), np.int64)
    travel = np.zeros(len(rows), np.float64)
    work_us = need.duration_minutes * MINUTE_US
    pending = np.arange(len(rows))
    for column in range(roster.gap_start_us.shape[1]):
        # The bare work must fit before any distance is worth computing.
        gap_start = np.maximum(roster.gap_start_us[rows[pending], column], earliest_us)
        open_ = roster.gap_end_us[rows[pending], column] - gap_start >= work_us
        places = pending[open_]
        if not len(places):
            continue
        there = rows[places]
        minutes = legs.minutes(roster.gap_origin[there, column])
        # Slots start on the full minute: that is how people are told of them.
        start = _ceil_minute(gap_start[open_] + np.ceil(minutes * MINUTE_US).astype(np.int64))
        end = start + work_us
        ready = end.copy()
        followed = np.flatnonzero(roster.gap_followed[there, column])
        if len(followed):
            onward = legs.minutes(roster.gap_next[there[followed], column])
            ready[followed] += np.ceil(onward * MINUTE_US).astype(np.int64)
        fits = (minutes <= policy.travel_minutes_max) & (ready <= roster.gap_end_us[there, column])
        hit = places[fits]
        found[hit] = True
        start_us[hit], end_us[hit], travel[hit] = start[fits], end[fits], minutes[fits]
        pending = pending[~found[pending]]
        if not len(pending):
            break
    return _Slots(found, start_us, end_us, travel)


def _failures(roster: Roster, policy: PickPolicy, rows: Ints, earliest_us: int, legs: _Legs) -> _Failures:
    """Why rows have no slot: TOO_FAR when no open gap starts within reach, otherwise the shift is full."""
    if not len(rows) or not roster.gap_start_us.shape[1]:
        empty = np.zeros(len(rows))
        return _Failures(np.zeros(len(rows), np.bool_), empty, empty)
    free_us = roster.gap_end_us[rows] - np.maximum(roster.gap_start_us[rows], earliest_us)
    open_ = free_us > 0
    minutes = legs.minutes(roster.gap_origin[rows])
    nearest = np.min(np.where(open_, minutes, np.inf), axis=1)
    any_open = np.any(open_, axis=1)
    longest = np.max(np.where(open_, free_us, 0), axis=1) / MINUTE_US
    return _Failures(
        any_open & (nearest > policy.travel_minutes_max), np.where(any_open, nearest, 0.0), longest
    )


def _ceil_minute(us: Ints) -> Ints:
    return -(-us // MINUTE_US) * MINUTE_US


# --------------------------------------------------------------------------------------------------- score


def _rank(
    need: Need,
    roster: Roster,
    policy: PickPolicy,
    rows: Ints,
    slots: _Slots,
    good: Ints,
    earliest_us: int,
    stock: dict[str, Ints],
) -> Lazy[Ranked]:
    start_us, end_us, travel = slots.start_us[good], slots.end_us[good], slots.travel[good]
    components = np.empty((len(COMPONENTS), len(rows)))
    components[0] = 1.0 - travel / policy.travel_minutes_max
    components[1] = _due_component(need, policy, start_us, earliest_us)
    components[2] = 1.0 - np.minimum(roster.load_minutes[rows] / policy.load_minutes_full, 1.0)
    components[3] = _skill_fit(need, roster, rows)
    components[4] = _parts_component(need, stock, rows)
    weights = np.array(policy.weights[need.priority].as_tuple())
    # Rounded before it is compared: two engineers whose scores differ by float dust are equal, and go by id.
    score = np.round(100.0 * (weights @ components) / weights.sum(), 6)
    order = np.argsort(-score, kind="stable")
    held = {part: quantity[rows] for part, quantity in stock.items()}
    online = roster.online[rows]
    ids = roster.ids

    def make(place: int) -> Ranked:
        at = int(order[place])
        return Ranked(
            id=ids[int(rows[at])],
            score=float(score[at]),
            components={name: round(float(components[i, at]), 6) for i, name in enumerate(COMPONENTS)},
            slot_start=from_us(start_us[at]),
            slot_end=from_us(end_us[at]),
            travel_minutes=round(float(travel[at]), 2),
            notes=_notes(
                need, int(start_us[at]), {part: int(held[part][at]) for part in held}, bool(online[at])
            ),
        )

    return Lazy(len(rows), make)


def _due_component(need: Need, policy: PickPolicy, start_us: Ints, earliest_us: int) -> Floats:
    """1 with full slack, 0.5 when just in time, below 0.4 when late and halving from there.

    The step from 0.5 to 0.4 keeps a slot that is one minute late behind one that is just in time.
    """
    default_us = earliest_us + round(policy.due_minutes_default * MINUTE_US)
    due_us = default_us if need.due_at is None else to_us(need.due_at)
    slack = (due_us - start_us) / MINUTE_US
    early = 0.5 + 0.5 * np.clip(slack / policy.slack_minutes_full, 0.0, 1.0)
    late = 0.4 * np.exp2(np.minimum(slack, 0.0) / policy.late_minutes_half)
    result: Floats = np.where(slack >= 0, early, late)
    return result


def _skill_fit(need: Need, roster: Roster, rows: Ints) -> Floats:
    """1 at exactly the required levels, less with every level above: rare skills stay free."""
    if not need.skills:
        return np.ones(len(rows))
    fit = np.zeros(len(rows))
    for skill, required in sorted(need.skills.items()):
        fit += 1.0 / (1.0 + (roster.levels(skill)[rows] - required))
    return fit / len(need.skills)


def _parts_component(need: Need, stock: dict[str, Ints], rows: Ints) -> Floats:
    """The share of needed pieces that is on the van; 1 when none is needed."""
    if not need.parts:
        return np.ones(len(rows))
    on_van = np.zeros(len(rows))
    for part, held in stock.items():
        on_van += np.clip(held[rows], 0, need.parts[part])
    return on_van / sum(need.parts.values())


# ------------------------------------------------------------------------------------------------- reasons


def _notes(need: Need, start_us: int, held: dict[str, int], online: bool) -> tuple[Reason, ...]:
    notes: list[Reason] = []
    if need.due_at is not None and start_us > to_us(need.due_at):
        late = (start_us - to_us(need.due_at)) / MINUTE_US
        notes.append(Reason(ReasonCode.OVERDUE_SLOT, {"late_minutes": round(late)}))
    notes.extend(_parts_reasons(need, held))
    if not online:
        notes.append(Reason(ReasonCode.OFFLINE))
    return tuple(notes)


def _parts_reasons(need: Need, held: dict[str, int]) -> list[Reason]:
    return [
        Reason(ReasonCode.PART_NOT_ON_VAN, {"part": part, "required": need.parts[part], "have": have})
        for part, have in held.items()
        if have < need.parts[part]
    ]


def _hard_reasons(
    code: ReasonCode,
    row: int,
    need: Need,
    roster: Roster,
    policy: PickPolicy,
    stock: dict[str, Ints],
    failures: _Failures,
    failure: int | None,
) -> list[Reason]:
    """One hard rule's reasons against one engineer, with figures: one for each skill or part concerned."""
    if code in (ReasonCode.SKILL_MISSING, ReasonCode.SKILL_LEVEL_LOW):
        levels = {skill: int(roster.levels(skill)[row]) for skill in sorted(need.skills)}
        missing = code is ReasonCode.SKILL_MISSING
        return [
            Reason(code, {"skill": skill, "required": need.skills[skill], "have": have})
            for skill, have in levels.items()
            if have < need.skills[skill] and (have == 0) == missing
        ]
    if code is ReasonCode.OTHER_TERRITORY:
        have = roster.territories[int(roster.territory[row])]
        return [Reason(code, {"required": need.territory_id or "", "have": have})]
    if code is ReasonCode.PART_NOT_ON_VAN:
        return _parts_reasons(need, {part: int(held[row]) for part, held in stock.items()})
    if failure is not None and code is ReasonCode.TOO_FAR:
        figures = {
            "travel_minutes": failures.nearest[failure],
            "travel_minutes_max": policy.travel_minutes_max,
        }
        return [Reason(code, {name: round(float(value), 1) for name, value in figures.items()})]
    if failure is not None and code is ReasonCode.SHIFT_FULL:
        needed = need.duration_minutes + float(failures.nearest[failure])
        return [
            Reason(
                code,
                {"needed_minutes": round(needed), "free_minutes": int(failures.longest_free[failure])},
            )
        ]
    return [Reason(code)]
