"""The pick: hard rules with their reasons, slots that hold, and the laws of the score."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from callout_dispatch.pick import pick
from callout_dispatch.pick_roster import Roster
from callout_dispatch.pick_terms import Break, Busy, Candidate, Interval, Need, Reason, ReasonCode, Shift
from callout_dispatch.pick_texts import COMPONENT_LABELS, LOCALES, explain
from callout_dispatch.policy import (
    OBJECTIVES,
    STANDARD,
    Capacity,
    MaxTravel,
    PartsOnVan,
    Policy,
    TerritoryRule,
)
from callout_geo.distance import haversine_m, travel_minutes
from callout_geo.points import Point
from callout_orders.terms import Priority

DAY = datetime(2026, 1, 15, tzinfo=UTC)
SITE = Point(37.75, -122.42)
NEAR = Point(37.76, -122.43)
FAR = Point(38.60, -121.50)  # Sacramento, two hours away


def at(hour: float) -> datetime:
    return DAY + timedelta(hours=hour)


def span(start: float, end: float) -> Interval:
    return Interval(at(start), at(end))


def shift(start: float, end: float, **more: object) -> Shift:
    return Shift(at(start), at(end), **more)  # type: ignore[arg-type]


def by(*rules: object, without: tuple[type, ...] = (), **values: object) -> Policy:
    """The standard policy with these rules in place of its own of the same kinds, and without others."""
    kinds = (*map(type, rules), *without)
    kept = tuple(rule for rule in STANDARD.rules if type(rule) not in kinds)
    return msgspec.structs.replace(STANDARD, rules=(*kept, *rules), **values)


def engineer(id_: str = "a", **values: object) -> Candidate:
    standard: dict[str, object] = {
        "name": id_.upper(),
        "position": NEAR,
        "skills": {"power": 2},
        "shifts": (shift(8, 17),),
    }
    return Candidate(id=id_, **(standard | values))  # type: ignore[arg-type]


def need(**values: object) -> Need:
    standard: dict[str, object] = {
        "point": SITE,
        "duration_minutes": 60,
        "earliest": at(9),
        "priority": Priority.P1,
        "skills": {"power": 2},
    }
    return Need(**(standard | values))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("candidate", "wanted", "codes"),
    (
        (engineer(skills={}), need(), ["SKILL_MISSING"]),
        (engineer(skills={"power": 1}), need(), ["SKILL_LEVEL_LOW"]),
        # one reason for each skill that is wanting
        (
            engineer(skills={"power": 1}),
            need(skills={"power": 2, "cooling": 1}),
            ["SKILL_MISSING", "SKILL_LEVEL_LOW"],
        ),
        (engineer(shifts=()), need(), ["NO_SHIFT"]),
        (engineer(shifts=(shift(0, 9),)), need(), ["NO_SHIFT"]),  # it ends when the need begins
        (engineer(absences=(span(8, 17),)), need(), ["ABSENT"]),
        (engineer(absences=(span(8, 12), span(12, 18))), need(), ["ABSENT"]),  # two halves make a day
        (engineer(busy=(Busy(at(9), at(16.5), SITE),)), need(), ["SHIFT_FULL"]),
        (engineer(busy=(Busy(at(8), at(17), SITE),)), need(), ["SHIFT_FULL"]),
        (engineer(position=FAR), need(), ["TOO_FAR"]),
        (engineer(territory_id="north"), need(territory_id="south"), ["OTHER_TERRITORY"]),
        (engineer(online=False), need(priority=Priority.P0), ["OFFLINE"]),
        # all cheap reasons are told together
        (
            engineer(skills={}, shifts=(), online=False, territory_id="north"),
            need(priority=Priority.P0, territory_id="south"),
            ["SKILL_MISSING", "OTHER_TERRITORY", "OFFLINE", "NO_SHIFT"],
        ),
    ),
)
def test_hard_rules(candidate: Candidate, wanted: Need, codes: list[str]) -> None:
    """A rule that does not hold sends somebody who cannot do it; a missing reason leaves a dispatcher
    guessing.
    """
    result = pick(wanted, [candidate])
    assert result.best is None
    assert not result.ranked
    (out,) = result.out
    assert [reason.code for reason in out.reasons] == codes
    assert result.out_counts == {ReasonCode(code): 1 for code in codes}
    for reason in out.reasons:
        for locale in LOCALES:
            assert "{" not in explain(reason, locale)


@pytest.mark.parametrize(
    ("candidate", "wanted"),
    (
        (engineer(), need()),
        (engineer(online=False), need()),  # only P0 needs somebody online
        (engineer(territory_id=None), need(territory_id="south")),  # works everywhere
        (engineer(territory_id="north"), need()),  # the order belongs nowhere
        (engineer(position=None), need()),  # nobody is too far by not being known
        (engineer(position=FAR), need(point=None)),
        (engineer(), need(point=None, skills={})),
        (engineer(), need(parts={"fuse": 3})),  # a missing part is a note, by policy
        (engineer(), need(due_at=at(1))),  # late is better than never
        # far away now, but the visit before ends next door
        (engineer(position=FAR, busy=(Busy(at(8), at(10), NEAR),)), need()),
    ),
)
def test_what_rules_nobody_out(candidate: Candidate, wanted: Need) -> None:
    """A rule too hard leaves a customer without anybody although somebody could come."""
    assert pick(wanted, [candidate]).best == "a"


def test_notes_speak_without_ruling_out() -> None:
    """The dispatcher must see that the best engineer comes late, without the part, and is not online."""
    wanted = need(due_at=at(8.5), parts={"fuse": 3, "cable": 1})
    (best,) = pick(wanted, [engineer(online=False, van_stock={"fuse": 1, "cable": 2})]).ranked
    notes = {note.code: note.detail for note in best.notes}
    assert notes[ReasonCode.PART_NOT_ON_VAN] == {"part": "fuse", "required": 3, "have": 1}
    assert notes[ReasonCode.OVERDUE_SLOT]["late_minutes"] == (best.slot_start - at(8.5)).total_seconds() / 60
    assert set(notes) == {ReasonCode.OVERDUE_SLOT, ReasonCode.PART_NOT_ON_VAN, ReasonCode.OFFLINE}
    assert best.components["parts"] == 0.5
    for note in best.notes:
        assert explain(note, "en") != explain(note, "zh")


def test_policy_can_make_parts_hard_and_territories_soft() -> None:
    """Two switches of the policy that change who may go."""
    hard = by(PartsOnVan(), version=7)
    (out,) = pick(need(parts={"fuse": 1}), [engineer()], hard).out
    assert out.reasons == (Reason(ReasonCode.PART_NOT_ON_VAN, {"part": "fuse", "required": 1, "have": 0}),)
    soft = by(without=(TerritoryRule,), version=7)
    result = pick(need(territory_id="south"), [engineer(territory_id="north")], soft)
    assert (result.best, result.policy_version) == ("a", "7")


def test_slot_starts_after_the_way_there() -> None:
    """From earliest, plus the way, on the full minute."""
    (best,) = pick(need(), [engineer()]).ranked
    minutes = travel_minutes(haversine_m(NEAR, SITE))
    assert best.travel_minutes == pytest.approx(minutes, abs=0.01)
    assert best.slot_start == at(9) + timedelta(minutes=int(minutes) + 1)
    assert best.slot_end - best.slot_start == timedelta(minutes=60)


def test_a_slot_leaves_time_for_the_way_onward() -> None:
    """67 free minutes hold an hour's work and the way there, but not the way on to the next customer."""
    two_ways = 2 * travel_minutes(haversine_m(NEAR, SITE))
    assert 8 < two_ways < 9
    start = engineer(busy=(Busy(at(9) + timedelta(minutes=67), at(12), NEAR),))
    (best,) = pick(need(), [start]).ranked
    assert best.slot_start > at(12)
    roomy = engineer(busy=(Busy(at(9) + timedelta(minutes=70), at(12), NEAR),))
    (best,) = pick(need(), [roomy]).ranked
    assert best.slot_end < at(11)


def test_a_visit_inside_an_absence_is_still_where_the_way_starts() -> None:
    """Leave was entered over the first hour, with a visit in it: counted from home, the next visit is late."""
    across = Point(37.90, -122.30)
    who = engineer(position=SITE, absences=(span(8, 9),), busy=(Busy(at(8), at(8.5), across),))
    (best,) = pick(need(earliest=at(8)), [who]).ranked
    assert best.travel_minutes == pytest.approx(travel_minutes(haversine_m(across, SITE)), abs=0.01)
    assert best.slot_start >= at(9) + timedelta(minutes=best.travel_minutes - 0.01)


def test_better_and_worse() -> None:
    """The objectives point the right way: each row's first engineer must stand before its second."""
    pairs = [
        (engineer("b", position=SITE), engineer("a")),  # nearer
        (engineer("b", load_minutes=0), engineer("a", load_minutes=300)),  # less loaded
        (engineer("b", skills={"power": 2}), engineer("a", skills={"power": 5})),  # keeps rare skills free
        (engineer("b"), engineer("a", busy=(Busy(at(9), at(15), NEAR),))),  # sooner
    ]
    for better, worse in pairs:
        assert [ranked.id for ranked in pick(need(due_at=at(14)), [better, worse]).ranked] == ["b", "a"]
    with_parts = [engineer("b", van_stock={"fuse": 1}), engineer("a")]
    assert pick(need(parts={"fuse": 1}), with_parts).best == "b"


def test_just_in_time_stands_before_a_minute_late() -> None:
    """A breach of the promise costs more than the minute that made it."""
    (start,) = (ranked.slot_start for ranked in pick(need(), [engineer()]).ranked)
    (in_time,) = pick(need(due_at=start), [engineer()]).ranked
    (late,) = pick(need(due_at=start - timedelta(minutes=1)), [engineer()]).ranked
    assert in_time.components["sla"] == 0.5
    assert late.components["sla"] < 0.4


def test_a_missing_due_date_is_not_never() -> None:
    """Without a due date an engineer who is free today still stands before one who is free in three days."""
    today = engineer("b", load_minutes=30)
    later = engineer("a", shifts=(Shift(at(8 + 72), at(17 + 72)),))
    assert pick(need(priority=Priority.P0), [today, later]).best == "b"


def test_equal_scores_go_by_id() -> None:
    """Two servers that decide the same case must choose the same engineer."""
    result = pick(need(), [engineer("c"), engineer("a"), engineer("b")])
    assert [ranked.id for ranked in result.ranked] == ["a", "b", "c"]


def test_sequences_and_record() -> None:
    """The decision is stored as JSON and read in slices: both must say the same as the result."""
    candidates = [engineer(id_) for id_ in "abc"] + [engineer(id_, skills={}) for id_ in "de"]
    result = pick(need(), candidates)
    assert (len(result.ranked), len(result.out)) == (3, 2)
    assert result.ranked[-1] == tuple(result.ranked)[2] == result.ranked[1:][1]
    with pytest.raises(IndexError):
        result.ranked[3]
    record = msgspec.json.decode(msgspec.json.encode(result.record(ranked_max=1)))
    assert (record["best"], record["ranked_count"], record["out_count"]) == ("a", 3, 2)
    assert [item["id"] for item in record["ranked"]] == ["a"]
    assert record["out"][0]["reasons"][0] == {
        "code": "SKILL_MISSING",
        "detail": {"skill": "power", "required": 2, "have": 0},
    }


def test_nobody_at_all() -> None:
    """An organisation without engineers gets an answer, not a crash."""
    result = pick(need(), [])
    assert (result.best, len(result.ranked), len(result.out)) == (None, 0, 0)


@pytest.mark.parametrize(
    "build",
    (
        lambda: need(duration_minutes=0),
        lambda: need(earliest=datetime(2026, 1, 1)),
        lambda: need(due_at=datetime(2026, 1, 1)),
        lambda: need(priority="P9"),
        lambda: need(skills={"power": 0}),
        lambda: need(parts={"fuse": 0}),
        lambda: engineer(load_minutes=float("nan")),
        lambda: engineer(skills={"power": 101}),
        lambda: span(9, 9),
        lambda: Busy(at(9), at(8)),
        lambda: engineer(visits=-1),
        lambda: engineer(travel_minutes_max=0),
        lambda: need(crew=0),
        lambda: need(not_before=datetime(2026, 1, 1)),
        lambda: Break(at(12), at(12.5), 45),
        lambda: shift(8, 17, done_minutes=-1),
        lambda: Roster([engineer("a"), engineer("a")]),
    ),
)
def test_bad_values_are_refused_where_they_are_built(build: object) -> None:
    """A bad value that gets through shows as a wrong engineer hours later."""
    assert callable(build)
    with pytest.raises(ValueError, match=r"."):
        build()


def test_texts_are_complete() -> None:
    """A component or reason without a name shows a code to a reader."""
    assert set(COMPONENT_LABELS) == {one.value for one in OBJECTIVES}
    assert explain(Reason(ReasonCode.OFFLINE), "zh_CN") == "当前不在线"
    assert explain(Reason(ReasonCode.OFFLINE), "fr") == "is not online"
    for code in ReasonCode:
        detail = {
            name: 1
            for name in (
                "skill",
                "required",
                "have",
                "part",
                "travel_minutes",
                "travel_minutes_max",
                "needed_minutes",
                "free_minutes",
                "late_minutes",
                "slot",
                "given_minutes",
                "minutes_max",
                "visits",
                "visits_max",
                "crew",
            )
        }
        assert explain(Reason(code, detail), "en") != explain(Reason(code, detail), "zh")


# ---------------------------------------------------------------------------------------------------- laws

POINTS = st.builds(Point, st.floats(37.5, 38.0), st.floats(-122.6, -122.1))
MAYBE_POINTS = st.none() | POINTS
SKILLS = st.dictionaries(st.sampled_from(["power", "cooling", "network"]), st.integers(1, 3))
SPANS = st.builds(
    lambda start, length: span(start / 4, (start + length) / 4), st.integers(0, 80), st.integers(1, 40)
)
SHIFTS = SPANS.map(lambda interval: Shift(interval.start, interval.end))
BUSY = st.builds(
    lambda interval, point: Busy(interval.start, interval.end, point),
    st.builds(
        lambda start, length: span(start / 4, (start + length) / 4), st.integers(0, 80), st.integers(1, 12)
    ),
    MAYBE_POINTS,
)
TERRITORIES = st.none() | st.sampled_from(["north", "south"])
STOCK = st.dictionaries(st.sampled_from(["fuse", "cable"]), st.integers(-1, 3))


def candidates_named(ids: list[str]) -> st.SearchStrategy[list[Candidate]]:
    return st.tuples(
        *(
            st.builds(
                Candidate,
                id=st.just(id_),
                name=st.just(id_),
                position=MAYBE_POINTS,
                skills=SKILLS,
                shifts=st.lists(SHIFTS, max_size=2).map(tuple),
                absences=st.lists(SPANS, max_size=1).map(tuple),
                busy=st.lists(BUSY, max_size=4).map(tuple),
                load_minutes=st.floats(0, 600),
                territory_id=TERRITORIES,
                online=st.booleans(),
                van_stock=STOCK,
            )
            for id_ in ids
        )
    ).map(list)


CANDIDATES = candidates_named(["a", "b", "c", "d"])
NEEDS = st.builds(
    Need,
    point=MAYBE_POINTS,
    duration_minutes=st.integers(5, 180),
    earliest=st.integers(0, 80).map(lambda quarter: at(quarter / 4)),
    priority=st.sampled_from(list(Priority)),
    due_at=st.none() | st.integers(0, 100).map(lambda quarter: at(quarter / 4)),
    territory_id=TERRITORIES,
    skills=SKILLS,
    parts=st.dictionaries(st.sampled_from(["fuse", "cable"]), st.integers(1, 2)),
)
POLICIES = st.builds(
    lambda minutes, parts: by(MaxTravel(minutes=minutes), *([PartsOnVan()] if parts else [])),
    st.sampled_from([30.0, 90.0]),
    st.booleans(),
)


@settings(deadline=None)
@given(wanted=NEEDS, candidates=CANDIDATES, policy=POLICIES, seed=st.randoms(use_true_random=False))
def test_the_order_of_candidates_does_not_matter(
    wanted: Need, candidates: list[Candidate], policy: Policy, seed: random.Random
) -> None:
    """SQL gives engineers in any order; the decision is stored and must be repeatable."""
    shuffled = list(candidates)
    seed.shuffle(shuffled)
    assert pick(wanted, shuffled, policy) == pick(wanted, Roster(candidates), policy)


@settings(deadline=None)
@given(wanted=NEEDS, candidates=CANDIDATES, policy=POLICIES)
def test_everybody_is_answered_for(wanted: Need, candidates: list[Candidate], policy: Policy) -> None:
    """Each engineer is ranked or out, never both or neither; who is out knows why; scores in bounds."""
    result = pick(wanted, candidates, policy)
    ids = [ranked.id for ranked in result.ranked] + [out.id for out in result.out]
    assert sorted(ids) == ["a", "b", "c", "d"]
    assert all(out.reasons for out in result.out)
    scores = [ranked.score for ranked in result.ranked]
    assert scores == sorted(scores, reverse=True)
    assert result.best == (result.ranked[0].id if scores else None)
    for ranked in result.ranked:
        assert 0 <= ranked.score <= 100
        assert set(ranked.components) == {one.value for one in OBJECTIVES}
        assert all(0 <= value <= 1 for value in ranked.components.values())


@settings(deadline=None, max_examples=200)
@given(wanted=NEEDS, candidates=CANDIDATES, policy=POLICIES)
def test_slots_hold(wanted: Need, candidates: list[Candidate], policy: Policy) -> None:
    """A slot that overlaps a visit, an absence or the evening is a broken promise to a customer.

    Checked by rules written a second time: inside one shift, clear of absences and visits, after the way
    there, and early enough for the way to the visit that follows directly.
    """
    by_id = {candidate.id: candidate for candidate in candidates}
    limit = policy.rule(MaxTravel)
    assert limit is not None

    def way(a: Point | None, b: Point | None) -> timedelta:
        if a is None or b is None:
            return timedelta(minutes=policy.travel_minutes_unknown)
        return timedelta(minutes=travel_minutes(haversine_m(a, b)))

    hair = timedelta(milliseconds=1)  # two formulas of one distance differ in their last digits
    for ranked in pick(wanted, candidates, policy).ranked:
        who = by_id[ranked.id]
        leaves = ranked.slot_start - timedelta(minutes=ranked.travel_minutes)
        grain = timedelta(seconds=1)  # travel_minutes is told to a hundredth
        assert leaves >= wanted.earliest - grain
        assert ranked.travel_minutes <= limit.minutes + 0.01
        assert ranked.slot_end - ranked.slot_start == timedelta(minutes=wanted.duration_minutes)
        covered = [s for s in who.shifts if s.end > leaves + grain and s.start < ranked.slot_end]
        assert min(s.start for s in covered) <= leaves + grain
        assert max(s.end for s in covered) >= ranked.slot_end
        for absence in who.absences:
            assert absence.end <= leaves + grain or absence.start >= ranked.slot_end
        for visit in who.busy:
            assert visit.end <= leaves + grain or visit.start >= ranked.slot_end
        following = [visit for visit in who.busy if visit.start >= ranked.slot_end]
        if following:
            first = min(following, key=lambda visit: (visit.start, visit.end))
            straight = not any(
                ranked.slot_end <= absence.start < first.start for absence in who.absences
            ) and any(s.start < ranked.slot_end and s.end >= first.start for s in who.shifts)
            same_start = sum(visit.start == first.start for visit in following) > 1
            if straight and not same_start:
                assert ranked.slot_end + way(wanted.point, first.point) <= first.start + hair


@settings(deadline=None, max_examples=200)
@given(
    duration=st.integers(1, 24).map(lambda quarters: quarters * 15),
    earliest=st.integers(0, 80),
    shifts=st.lists(SHIFTS, max_size=2),
    absences=st.lists(SPANS, max_size=2),
    busy=st.lists(SPANS, max_size=4),
)
def test_the_earliest_slot_is_found(
    duration: int, earliest: int, shifts: list[Shift], absences: list[Interval], busy: list[Interval]
) -> None:
    """Everything at one place, so that travel is nothing: a scan of all quarters of the day must agree."""
    who = engineer(
        position=SITE,
        shifts=tuple(shifts),
        absences=tuple(absences),
        busy=tuple(Busy(b.start, b.end, SITE) for b in busy),
    )
    wanted = need(duration_minutes=duration, earliest=at(earliest / 4))

    def free(quarter: int) -> bool:
        start, end = at(quarter / 4), at((quarter + 1) / 4)
        inside = any(s.start <= start and end <= s.end for s in shifts)
        return inside and not any(i.start < end and start < i.end for i in (*absences, *busy))

    quarters = duration // 15
    starts = (q for q in range(earliest, 130) if all(free(q + i) for i in range(quarters)))
    expected = next(starts, None)
    ranked = list(pick(wanted, [who], by(without=(Capacity,))).ranked)
    assert [r.slot_start for r in ranked] == ([] if expected is None else [at(expected / 4)])


@settings(deadline=None)
@given(
    wanted=NEEDS,
    candidates=CANDIDATES,
    policy=POLICIES,
    skill=st.sampled_from(["power", "cooling", "network"]),
)
def test_a_better_skill_never_turns_anybody_out(
    wanted: Need, candidates: list[Candidate], policy: Policy, skill: str
) -> None:
    """Training an engineer must not cost them work they could do before."""
    trained = [
        msgspec.structs.replace(c, skills={**c.skills, skill: c.skills.get(skill, 0) + 1}) for c in candidates
    ]
    before = {ranked.id for ranked in pick(wanted, candidates, policy).ranked}
    after = {ranked.id for ranked in pick(wanted, trained, policy).ranked}
    assert before <= after


@settings(deadline=None)
@given(wanted=NEEDS, candidates=candidates_named(["a", "b", "c", "d"]), policy=POLICIES)
def test_one_more_engineer_never_makes_the_best_worse(
    wanted: Need, candidates: list[Candidate], policy: Policy
) -> None:
    """Scores are absolute: a newcomer changes nobody else's score, and the best can only rise."""
    few = pick(wanted, candidates[:3], policy)
    more = {ranked.id: ranked for ranked in pick(wanted, candidates, policy).ranked}
    for ranked in few.ranked:
        assert more[ranked.id] == ranked
    if few.best is not None:
        assert max(r.score for r in more.values()) >= few.ranked[0].score


@settings(deadline=None)
@given(wanted=NEEDS, candidates=CANDIDATES, extra=BUSY)
def test_booking_is_the_same_as_building_anew(wanted: Need, candidates: list[Candidate], extra: Busy) -> None:
    """The day planner changes a roster in place; that must leave what a fresh one would hold."""
    assume(wanted.parts)
    roster = Roster(candidates)
    changed = roster.book("b", extra, wanted.parts)
    anew = [changed if candidate.id == "b" else candidate for candidate in candidates]
    assert pick(wanted, roster) == pick(wanted, anew)
    assert changed.load_minutes == pytest.approx(
        candidates[1].load_minutes + (extra.end - extra.start).total_seconds() / 60
    )


def test_a_day_that_is_booked_full_is_full() -> None:
    """The free stretch that a booking used up must be gone: left standing, it is given to a second customer."""
    roster = Roster([engineer(position=SITE)])
    assert pick(need(), roster).best == "a"
    roster.book("a", Busy(at(8), at(17), SITE))
    result = pick(need(), roster)
    assert result.best is None
    assert result.out_counts == {ReasonCode.SHIFT_FULL: 1}


def test_ten_thousand_engineers_are_one_pass() -> None:
    """Among 10,000 the answer is the same as among the few who matter: no shortcut may lose the best."""
    seed = random.Random(7)
    crowd = [
        engineer(
            f"e{i:05}",
            position=Point(37.6 + seed.random() * 0.3, -122.6 + seed.random() * 0.3),
            skills={"power": seed.randint(1, 3)},
            load_minutes=seed.random() * 400,
        )
        for i in range(10_000)
    ]
    result = pick(need(), Roster(crowd))
    able = [candidate for candidate in crowd if candidate.skills["power"] >= 2]
    assert len(result.ranked) == len(able)
    assert result.out_counts == {ReasonCode.SKILL_LEVEL_LOW: len(crowd) - len(able)}
    best_ten = {ranked.id for ranked in result.ranked[:10]}
    few = [candidate for candidate in able if candidate.id in best_ten] + able[:50]
    again = pick(need(), {candidate.id: candidate for candidate in few}.values())
    assert list(again.ranked[:10]) == list(result.ranked[:10])
