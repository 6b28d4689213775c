"""The hard rules that need no slot, as masks over all engineers; their reasons are made when asked. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from callout_dispatch.pick_roster import Levels, Roster
from callout_dispatch.pick_tables import Bools, Ints
from callout_dispatch.pick_terms import Need, Reason, ReasonCode, to_us
from callout_dispatch.policy import (
    ExcludedEngineer,
    Online,
    PartsOnVan,
    Policy,
    RequiredEngineer,
    Skills,
    TerritoryRule,
)


@dataclass(frozen=True, slots=True)
class Broken:
    """A rule: who breaks it, and the reason against one of them."""

    code: ReasonCode
    who: Callable[[], Bools]
    reason: Callable[[int], Reason]


@dataclass(frozen=True, slots=True)
class Rules:
    """Who passes, and every rule that was looked at, in the order in which reasons are told."""

    ok: Bools
    broken: tuple[Broken, ...]


def judge(
    need: Need, roster: Roster, policy: Policy, stock: dict[str, Ints], *, helper: bool = False
) -> Rules:
    """Look at every rule of the policy that concerns a person and not a time.

    A `helper` goes along in a crew: skills and parts are the leader's, and so is being required.
    """
    ok = np.ones(len(roster), np.bool_)
    missing: list[Broken] = []
    low: list[Broken] = []
    others: list[Broken] = []
    if policy.rule(Skills) is not None and not helper:
        for skill, required in sorted(need.skills.items()):
            levels = roster.levels(skill)
            ok &= levels >= required
            told = _skill_reason(skill, required, roster)
            missing.append(Broken(ReasonCode.SKILL_MISSING, _between(levels, 0, 1), told))
            low.append(Broken(ReasonCode.SKILL_LEVEL_LOW, _between(levels, 1, required), told))

    def rule_out(code: ReasonCode, who: Bools, reason: Callable[[int], Reason] | None = None) -> None:
        np.logical_and(ok, ~who, out=ok)
        others.append(Broken(code, lambda: who, reason or (lambda _: Reason(code))))

    territory = policy.rule(TerritoryRule)
    if territory is not None and need.territory_id is not None:
        elsewhere = ~roster.works_in(need.territory_id, secondary=territory.secondary)
        rule_out(ReasonCode.OTHER_TERRITORY, elsewhere, _territory_reason(need, roster))
    if policy.rule(RequiredEngineer) is not None and need.required and not helper:
        rule_out(ReasonCode.OTHER_REQUIRED, ~_are(roster, need.required))
    if policy.rule(ExcludedEngineer) is not None and need.excluded:
        rule_out(ReasonCode.EXCLUDED, _are(roster, need.excluded))
    online = policy.rule(Online)
    if online is not None and need.priority in online.priorities:
        rule_out(ReasonCode.OFFLINE, ~roster.online)
    if policy.rule(PartsOnVan) is not None and not helper:
        for part, held in stock.items():
            rule_out(
                ReasonCode.PART_NOT_ON_VAN,
                held < need.parts[part],
                _part_reason(part, need.parts[part], held),
            )
    earliest_us = to_us(need.earliest)

    def without_shift() -> Bools:
        result: Bools = roster.shift_ends_us <= earliest_us
        return result

    def absent() -> Bools:
        result: Bools = ~without_shift() & (roster.present_until_us <= earliest_us)
        return result

    # Nobody who breaks these two has a gap to work in: no mask is needed, only the reason.
    presence = (
        Broken(ReasonCode.NO_SHIFT, without_shift, lambda _: Reason(ReasonCode.NO_SHIFT)),
        Broken(ReasonCode.ABSENT, absent, lambda _: Reason(ReasonCode.ABSENT)),
    )
    return Rules(ok, (*missing, *low, *others, *presence))


def stock_of(need: Need, roster: Roster) -> dict[str, Ints]:
    """Everybody's quantity of each needed part, as it is now."""
    return {part: roster.stock(part) for part in sorted(need.parts)}


def missing_part(part: str, required: int, have: int) -> Reason:
    """A part that is not on the van in the quantity needed."""
    return Reason(ReasonCode.PART_NOT_ON_VAN, {"part": part, "required": required, "have": have})


def _between(levels: Levels, low: int, below: int) -> Callable[[], Bools]:
    return lambda: (levels >= low) & (levels < below)


def _are(roster: Roster, ids: frozenset[str]) -> Bools:
    result = np.zeros(len(roster), np.bool_)
    result[roster.rows(ids)] = True
    return result


def _skill_reason(skill: str, required: int, roster: Roster) -> Callable[[int], Reason]:
    def reason(row: int) -> Reason:
        have = int(roster.levels(skill)[row])
        code = ReasonCode.SKILL_LEVEL_LOW if have else ReasonCode.SKILL_MISSING
        return Reason(code, {"skill": skill, "required": required, "have": have})

    return reason


def _territory_reason(need: Need, roster: Roster) -> Callable[[int], Reason]:
    def reason(row: int) -> Reason:
        who = roster.candidates[row]
        return Reason(
            ReasonCode.OTHER_TERRITORY,
            {
                "required": need.territory_name or need.territory_id or "",
                "have": who.territory_name or who.territory_id or "",
            },
        )

    return reason


def _part_reason(part: str, required: int, held: Ints) -> Callable[[int], Reason]:
    return lambda row: missing_part(part, required, int(held[row]))
