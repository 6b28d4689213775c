"""Laws of the pick over days with everything in them: windows, breaks, ends of shifts, limits, territories, wishes."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st
from pick_check import broken_rules

from callout_dispatch.pick import pick
from callout_dispatch.pick_record import decode, encode, kept
from callout_dispatch.pick_roster import Roster
from callout_dispatch.pick_terms import Break, Busy, Candidate, Interval, Need, Shift
from callout_dispatch.policy import (
    STANDARD,
    Availability,
    Capacity,
    DueDate,
    MaxTravel,
    PartsOnVan,
    Policy,
    TerritoryRule,
)
from callout_geo.points import Point
from callout_geo.travel import STANDARD_TRAVEL, Travel
from callout_orders.terms import Priority

DAY = datetime(2026, 1, 15, tzinfo=UTC)
IDS = ("a", "b", "c", "d")
PLACES = [Point(37.75 + 0.03 * n, -122.42 + 0.02 * m) for n in range(3) for m in range(3)]


def at(minute: float) -> datetime:
    return DAY + timedelta(minutes=minute)


MINUTES = st.integers(7 * 12, 20 * 12).map(lambda n: n * 5)
MAYBE_PLACES = st.none() | st.sampled_from(PLACES)
SKILLS = st.dictionaries(st.sampled_from(["power", "cooling"]), st.integers(1, 3), max_size=2)
STOCK = st.dictionaries(st.sampled_from(["fuse", "cable"]), st.integers(0, 2))
TERRITORIES = st.sampled_from(["north", "south", "west"])


@st.composite
def shifts(draw: st.DrawFn) -> tuple[Shift, ...]:
    """One shift of a day, or two with a pause, breaks within."""
    made = []
    for start, end in draw(st.sampled_from([[(8, 17)], [(8, 12), (13, 18)], [(9, 15)]])):
        breaks = []
        for _ in range(draw(st.integers(0, 2))):
            first = draw(st.integers(start * 4, end * 4 - 4)) * 15
            length = draw(st.sampled_from([15, 30, 45]))
            last = min(first + length + draw(st.integers(0, 8)) * 15, end * 60)
            if first + length <= last:
                breaks.append(Break(at(first), at(last), length))
        made.append(
            Shift(
                at(start * 60),
                at(end * 60),
                start_place=draw(MAYBE_PLACES),
                end_place=draw(MAYBE_PLACES),
                breaks=tuple(breaks),
                done_minutes=draw(st.sampled_from([0, 60])),
                done_visits=draw(st.integers(0, 2)),
            )
        )
    return tuple(made)


@st.composite
def visits(draw: st.DrawFn) -> tuple[Busy, ...]:
    """Visits one after the other, with time between them or without."""
    made, now = [], 8 * 60
    for _ in range(draw(st.integers(0, 4))):
        start = now + draw(st.integers(0, 24)) * 5
        now = start + draw(st.integers(2, 18)) * 5
        made.append(Busy(at(start), at(now), draw(st.sampled_from(PLACES))))
    return tuple(made)


def engineer(id_: str) -> st.SearchStrategy[Candidate]:
    return st.builds(
        Candidate,
        id=st.just(id_),
        name=st.just(id_),
        position=st.sampled_from(PLACES),
        skills=SKILLS,
        shifts=shifts(),
        busy=visits(),
        load_minutes=st.floats(0, 600),
        visits=st.integers(0, 12),
        territory_id=st.none() | TERRITORIES,
        territories=st.frozensets(TERRITORIES, max_size=2),
        online=st.booleans(),
        van_stock=STOCK,
        travel_minutes_max=st.none() | st.sampled_from([12.0, 25.0]),
        work_minutes_max=st.none() | st.sampled_from([120.0, 300.0]),
        visits_max=st.none() | st.sampled_from([2, 4]),
    )


CANDIDATES = st.tuples(*map(engineer, IDS)).map(list)
NEEDS = st.builds(
    lambda window, **values: Need(
        requested=None if window is None else Interval(at(window), at(window + 120)), **values
    ),
    window=st.none() | MINUTES,
    point=st.sampled_from(PLACES),
    duration_minutes=st.integers(2, 36).map(lambda n: n * 5),
    earliest=st.integers(7 * 12, 15 * 12).map(lambda n: at(n * 5 + 0.5)),
    priority=st.sampled_from(list(Priority)),
    due_at=st.none() | MINUTES.map(at),
    territory_id=st.none() | TERRITORIES,
    skills=st.dictionaries(st.sampled_from(["power", "cooling"]), st.integers(1, 2), max_size=1),
    parts=st.dictionaries(st.sampled_from(["fuse", "cable"]), st.integers(1, 2), max_size=1),
    visiting=st.none()
    | st.sampled_from(
        [(Interval(at(540), at(720)), Interval(at(780), at(1020))), (Interval(at(600), at(660)),), ()]
    ),
    not_before=st.none() | MINUTES.map(at),
    required=st.just(frozenset()) | st.frozensets(st.sampled_from(IDS), max_size=2),
    excluded=st.just(frozenset()) | st.frozensets(st.sampled_from(IDS), max_size=1),
    preferred=st.frozensets(st.sampled_from(IDS), max_size=2),
)


def policy_of(overtime: int, minutes: float, secondary: bool, grace: int | None, parts: bool) -> Policy:
    changed = {
        Availability: Availability(overtime_minutes=overtime),
        MaxTravel: MaxTravel(minutes=minutes),
        TerritoryRule: TerritoryRule(secondary=secondary),
        Capacity: Capacity(work_minutes_max=400, visits_max=5),
    }
    rules = [changed.get(type(rule), rule) for rule in STANDARD.rules]
    rules += [DueDate(grace_minutes=grace)] if grace is not None else []
    rules += [PartsOnVan()] if parts else []
    return msgspec.structs.replace(STANDARD, rules=tuple(rules), version=3)


POLICIES = st.builds(
    policy_of,
    st.sampled_from([0, 30]),
    st.sampled_from([30.0, 90.0]),
    st.booleans(),
    st.none() | st.sampled_from([0, 60]),
    st.booleans(),
)
CREWS = st.sampled_from([2, 3])


@settings(deadline=None, max_examples=300)
@given(need=NEEDS, candidates=CANDIDATES, policy=POLICIES)
def test_every_slot_obeys_every_hard_rule(need: Need, candidates: list[Candidate], policy: Policy) -> None:
    """A slot that breaks a rule is a customer let down, an engineer without lunch, or somebody sent who may not go."""
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
