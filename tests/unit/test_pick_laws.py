"""Laws of the pick over days with everything in them: windows, breaks, ends of shifts, limits, territories, wishes."""

from __future__ import annotations

import random
from datetime import timedelta

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st
from pick_check import broken_rules
from pick_days import CANDIDATES, CASES, CREWS, IDS, NEEDS, POLICIES, Case, visits

from callout_dispatch.pick import pick
from callout_dispatch.pick_record import decode, encode, kept
from callout_dispatch.pick_roster import Roster
from callout_dispatch.pick_terms import Busy, Candidate, Need
from callout_dispatch.policy import Policy
from callout_geo.travel import STANDARD_TRAVEL, Travel


@settings(deadline=None, max_examples=300)
@given(case=CASES)
def test_every_slot_obeys_every_hard_rule(case: Case) -> None:
    """A slot that breaks a rule is a customer let down, an engineer without lunch, or somebody sent who may not go."""
    need, candidates, policy = case
    by_id = {candidate.id: candidate for candidate in candidates}
    for ranked in pick(need, candidates, policy).ranked:
        assert broken_rules(need, by_id[ranked.id], policy, ranked) == []
        left = ranked.slot_start - timedelta(minutes=ranked.travel_minutes)
        assert abs(ranked.set_out - left) < timedelta(seconds=1)


@settings(deadline=None)
@given(need=NEEDS, candidates=CANDIDATES, policy=POLICIES, seed=st.randoms(use_true_random=False))
def test_same_input_same_answer(
    need: Need, candidates: list[Candidate], policy: Policy, seed: random.Random
) -> None:
    """A decision is questioned weeks later: whatever order the engineers came in, its answer must be the one stored."""
    shuffled = list(candidates)
    seed.shuffle(shuffled)
    assert pick(need, shuffled, policy) == pick(need, Roster(candidates), policy)


@settings(deadline=None)
@given(need=NEEDS, candidates=CANDIDATES, policy=POLICIES)
def test_everybody_who_is_out_knows_why(need: Need, candidates: list[Candidate], policy: Policy) -> None:
    """Somebody left out without a reason is what makes dispatchers distrust a pick; the counts must add up to it."""
    result = pick(need, candidates, policy)
    assert sorted([r.id for r in result.ranked] + [o.id for o in result.out]) == list(IDS)
    told: dict[object, int] = {}
    for out in result.out:
        assert out.reasons
        for code in {reason.code for reason in out.reasons}:
            told[code] = told.get(code, 0) + 1
    assert dict(result.out_counts) == told


@settings(deadline=None)
@given(need=NEEDS, candidates=CANDIDATES, policy=POLICIES, skill=st.sampled_from(["power", "cooling"]))
def test_a_better_skill_never_turns_anybody_out(
    need: Need, candidates: list[Candidate], policy: Policy, skill: str
) -> None:
    """Training an engineer must not cost them work that they could do before."""
    trained = [
        msgspec.structs.replace(c, skills={**c.skills, skill: c.skills.get(skill, 0) + 1}) for c in candidates
    ]
    before = {ranked.id for ranked in pick(need, candidates, policy).ranked}
    assert before <= {ranked.id for ranked in pick(need, trained, policy).ranked}


@settings(deadline=None)
@given(need=NEEDS, candidates=CANDIDATES, policy=POLICIES)
def test_one_more_engineer_never_makes_the_best_worse(
    need: Need, candidates: list[Candidate], policy: Policy
) -> None:
    """Components are absolute: a newcomer changes nobody's slot or score, and the best can only rise."""
    more = {ranked.id: ranked for ranked in pick(need, candidates, policy).ranked}
    few = pick(need, candidates[:3], policy).ranked
    for ranked in few:
        assert more[ranked.id] == ranked
    if few:
        assert max(one.score for one in more.values()) >= few[0].score


@settings(deadline=None)
@given(need=NEEDS, candidates=CANDIDATES, policy=POLICIES, crew=CREWS)
def test_a_crew_is_free_at_that_very_time(
    need: Need, candidates: list[Candidate], policy: Policy, crew: int
) -> None:
    """Two people for one job who are not there at the same time are no crew: nobody can lift the thing alone."""
    by_id = {candidate.id: candidate for candidate in candidates}
    wanted = msgspec.structs.replace(need, crew=crew)
    helping = msgspec.structs.replace(need, skills={}, parts={}, required=frozenset())
    for ranked in pick(wanted, candidates, policy).ranked:
        assert broken_rules(need, by_id[ranked.id], policy, ranked) == []
        assert len({ranked.id, *ranked.crew}) == crew
        for member in ranked.crew:
            assert broken_rules(helping, by_id[member], policy, ranked) == []


@settings(deadline=None)
@given(need=NEEDS, candidates=CANDIDATES, policy=POLICIES, extra=visits(), who=st.sampled_from(IDS))
def test_booking_is_the_same_as_building_anew(
    need: Need, candidates: list[Candidate], policy: Policy, extra: tuple[Busy, ...], who: str
) -> None:
    """The day planner changes a roster in place; that must leave what a fresh one would hold, and leave answers that
    were given before as they were."""
    roster = Roster(candidates)
    before, same = pick(need, roster, policy), pick(need, candidates, policy)
    for busy in extra:
        roster.book(who, busy, need.parts)
    assert pick(need, roster, policy) == pick(need, list(roster.candidates), policy)
    assert before == same


@settings(deadline=None)
@given(need=NEEDS, candidates=CANDIDATES, policy=POLICIES, even=st.booleans())
def test_a_record_gives_the_same_answer(
    need: Need, candidates: list[Candidate], policy: Policy, even: bool
) -> None:
    """Asked why, months later, the house makes the decision again from what it kept: to the last digit."""
    speeds = tuple(20.0 + hour % 24 for hour in range(168))
    travel = STANDARD_TRAVEL if even else Travel(km_per_hour=speeds, time_zone="Asia/Shanghai")
    roster = Roster(candidates, travel, policy.travel_minutes_unknown)
    result = pick(need, roster, policy, travel)
    data = encode(need, roster, policy, travel, result=result)
    assert pick(*decode(data)) == result
    assert (kept(data).candidates, kept(data).total) == (4, 4)
    few = encode(need, roster, policy, travel, result=result, candidates_max=2)
    again = pick(*decode(few))
    assert kept(few).candidates == 2
    if result.best is not None:
        assert again.ranked[0] == result.ranked[0]
