"""Every work rule and every objective of a policy, one at a time: in the policy it decides, left out it is not looked at."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from callout_dispatch.day import DayNeed, plan_day
from callout_dispatch.pick import pick
from callout_dispatch.pick_record import BadRecord, decode, encode, kept
from callout_dispatch.pick_roster import Roster
from callout_dispatch.pick_terms import Break, Busy, Candidate, Interval, Need, Reason, ReasonCode, Shift
from callout_dispatch.pick_texts import LOCALES, explain
from callout_dispatch.policy import (
    OBJECTIVES,
    RULES,
    STANDARD,
    Availability,
    Capacity,
    DueDate,
    MaxTravel,
    Objective,
    PartsOnVan,
    Policy,
    Rule,
    TerritoryRule,
)
from callout_dispatch.slot_at import slot_at
from callout_geo.points import Point
from callout_geo.travel import STANDARD_TRAVEL, Travel
from callout_orders.terms import Priority

DAY = datetime(2026, 1, 15, tzinfo=UTC)
SITE = Point(37.75, -122.42)
HALF_AN_HOUR_OFF = Point(37.8434, -122.42)


def at(hour: float) -> datetime:
    return DAY + timedelta(hours=hour)


def span(start: float, end: float) -> Interval:
    return Interval(at(start), at(end))


def engineer(id_: str = "a", **values: object) -> Candidate:
    standard: dict[str, object] = {"name": id_, "position": SITE, "shifts": (Shift(at(8), at(17)),)}
    return Candidate(id=id_, **(standard | values))  # type: ignore[arg-type]


def need(**values: object) -> Need:
    standard: dict[str, object] = {
        "point": SITE,
        "duration_minutes": 60,
        "earliest": at(9),
        "priority": Priority.P1,
        "due_at": at(16),
    }
    return Need(**(standard | values))  # type: ignore[arg-type]


def by(*rules: Rule, without: type[Rule] | None = None, **values: object) -> Policy:
    """All rules there are, these in place of their kind, without one."""
    given = {type(rule): rule for rule in rules}
    every = tuple(given.get(kind, kind()) for kind in RULES if kind is not without)
    return msgspec.structs.replace(STANDARD, rules=every, **values)


BROKEN = (
    # a rule's kind, who breaks it, what is asked, the one reason that is told
    (
        "skills",
        engineer(),
        need(skills={"power": 1}),
        {"SKILL_MISSING": {"skill": "power", "required": 1, "have": 0}},
    ),
    (
        "territory",
        engineer(territory_id="n", territory_name="North"),
        need(territory_id="s", territory_name="South"),
        {"OTHER_TERRITORY": {"required": "South", "have": "North"}},
    ),
    (
        "max_travel",
        engineer(position=HALF_AN_HOUR_OFF, travel_minutes_max=20.0),
        need(),
        {"TOO_FAR": {"travel_minutes": 30.0, "travel_minutes_max": 20.0}},
    ),
    ("required_engineer", engineer(), need(required=frozenset("b")), {"OTHER_REQUIRED": {}}),
    ("excluded_engineer", engineer(), need(excluded=frozenset("a")), {"EXCLUDED": {}}),
    (
        "visiting_hours",
        engineer(),
        need(visiting=(span(6, 8), span(16.5, 20))),
        {"OUTSIDE_VISITING_HOURS": {"slot": "2026-01-15T09:00+00:00"}},
    ),
    (
        "visiting_hours",
        engineer(),
        need(visiting=()),
        {"OUTSIDE_VISITING_HOURS": {"slot": "2026-01-15T09:00+00:00"}},
    ),
    (
        "requested_window",
        engineer(busy=(Busy(at(10), at(12), SITE),)),
        need(requested=span(10, 11.75)),
        {"OUTSIDE_REQUESTED_WINDOW": {"slot": "2026-01-15T09:00+00:00"}},
    ),
    ("due_date", engineer(), need(due_at=at(8.75)), {"TOO_LATE": {"late_minutes": 15}}),
    (
        "capacity",
        engineer(shifts=(Shift(at(8), at(17), done_minutes=545.0),)),
        need(),
        {"CAPACITY_HOURS": {"given_minutes": 545, "needed_minutes": 60, "minutes_max": 600}},
    ),
    (
        "capacity",
        engineer(
            visits_max=3, shifts=(Shift(at(8), at(17), done_visits=2),), busy=(Busy(at(12), at(13), SITE),)
        ),
        need(),
        {"CAPACITY_VISITS": {"visits": 3, "visits_max": 3}},
    ),
    (
        "parts_on_van",
        engineer(van_stock={"fuse": 1}),
        need(parts={"fuse": 2}),
        {"PART_NOT_ON_VAN": {"part": "fuse", "required": 2, "have": 1}},
    ),
    ("online", engineer(online=False), need(priority=Priority.P0), {"OFFLINE": {}}),
)


@pytest.mark.parametrize(("kind", "who", "wanted", "reasons"), BROKEN)
def test_a_rule_decides_only_where_the_policy_has_it(
    kind: str, who: Candidate, wanted: Need, reasons: dict[str, object]
) -> None:
    """A rule that is not looked at sends whom the house said it would not; one looked at uninvited sends nobody."""
    result = pick(wanted, [who], by())
    (out,) = result.out
    assert {reason.code.value: dict(reason.detail) for reason in out.reasons} == reasons
    assert dict(result.out_counts) == dict.fromkeys((ReasonCode(code) for code in reasons), 1)
    for reason in out.reasons:
        for locale in LOCALES:
            assert "{" not in explain(reason, locale)
            assert "–" not in explain(reason, locale)
    left_out = next(rule for rule in RULES if rule.__struct_config__.tag == kind)
    assert pick(wanted, [who], by(without=left_out)).best == "a"


def test_shift_absence_and_predecessor_are_always_looked_at() -> None:
    """No policy may send somebody who is not there, nor before the order that goes first is done."""
    for who, wanted, code in (
        (engineer(shifts=()), need(), ReasonCode.NO_SHIFT),
        (engineer(absences=(span(8, 17),)), need(), ReasonCode.ABSENT),
        (engineer(busy=(Busy(at(8), at(16.5), SITE),)), need(), ReasonCode.SHIFT_FULL),
        (engineer(), need(not_before=at(16.5)), ReasonCode.PREDECESSOR),
        (engineer(), need(not_before=datetime(2200, 1, 1, tzinfo=UTC)), ReasonCode.PREDECESSOR),
    ):
        only = msgspec.structs.replace(STANDARD, rules=(Availability(),))
        assert dict(pick(wanted, [who], only).out_counts) == {code: 1}
    (ranked,) = pick(need(not_before=at(11.01)), [engineer()]).ranked
    assert ranked.slot_start == at(11) + timedelta(minutes=1)


def test_several_rules_that_only_together_leave_no_time_are_all_told() -> None:
    """Open in the morning, asked for in the afternoon: leaving out one of the two would not help, and both are told."""
    wanted = need(visiting=(span(9, 12),), requested=span(13, 15), earliest=at(12.5))
    (out,) = pick(wanted, [engineer(shifts=(Shift(at(12.5), at(17)),))]).out
    assert [reason.code for reason in out.reasons] == [ReasonCode.OUTSIDE_VISITING_HOURS]
    both = need(visiting=(span(6, 8),), requested=span(5, 7))
    (out,) = pick(both, [engineer()]).out
    assert [reason.code for reason in out.reasons] == [
        ReasonCode.OUTSIDE_VISITING_HOURS,
        ReasonCode.OUTSIDE_REQUESTED_WINDOW,
    ]


def test_secondary_territories_count_where_the_policy_says_so() -> None:
    """Somebody who also works next door is the help that a small team lives by."""
    who = engineer(territory_id="n", territories=frozenset({"s"}))
    assert pick(need(territory_id="s"), [who]).best == "a"
    assert pick(need(territory_id="s"), [who], by(TerritoryRule(secondary=False))).best is None


def test_an_own_limit_stands_above_the_policys() -> None:
    """The colleague with a van full of ladders drives no further than agreed; another drives further than most."""
    far = need(point=HALF_AN_HOUR_OFF)
    strict = by(MaxTravel(minutes=30), Capacity(work_minutes_max=100, visits_max=1))
    assert pick(far, [engineer()], strict).best is None
    assert pick(far, [engineer(travel_minutes_max=45.0)], strict).best == "a"
    busy = (Busy(at(12), at(13), SITE),)
    assert pick(need(), [engineer(busy=busy)], strict).best is None
    roomy = engineer(busy=busy, work_minutes_max=300.0, visits_max=5)
    assert pick(need(), [roomy], strict).best == "a"


def test_shifts_of_one_day_share_its_capacity() -> None:
    """A split shift is one day of work: counted apart, somebody would work twice what a day may hold."""
    morning = Shift(at(6), at(12), done_minutes=300.0, done_visits=4, day=1)
    apart = (morning, Shift(at(13), at(19), day=2))
    shared = (morning, Shift(at(13), at(19), day=1))
    strict = by(Capacity(work_minutes_max=330))
    wanted = need(earliest=at(13), due_at=at(19))
    assert pick(wanted, [engineer(shifts=apart)], strict).best == "a"
    assert dict(pick(wanted, [engineer(shifts=shared)], strict).out_counts) == {ReasonCode.CAPACITY_HOURS: 1}


# ------------------------------------------------------------------------------------------------ slots


def test_the_way_back_ends_with_the_shift_or_within_overtime() -> None:
    """The last customer must not cost an engineer the evening: half an hour home is part of the day."""
    home = engineer(position=SITE, end_place=HALF_AN_HOUR_OFF)
    late = need(earliest=at(15.75), due_at=at(17))
    assert pick(late, [home]).best is None
    assert pick(late, [engineer()]).best == "a"
    assert pick(late, [home], by(Availability(overtime_minutes=20))).best == "a"
    own = engineer(end_place=HALF_AN_HOUR_OFF, shifts=(Shift(at(8), at(17), end_place=SITE),))
    assert pick(late, [own]).best == "a"
    # work itself never lies in overtime
    assert pick(need(earliest=at(16.25)), [engineer()], by(Availability(overtime_minutes=60))).best is None


def test_a_shift_starts_where_it_says() -> None:
    """Who fetches the van at the depot first comes from the depot, not from home."""
    who = engineer(shifts=(Shift(at(8), at(17), start_place=HALF_AN_HOUR_OFF),))
    (ranked,) = pick(need(), [who]).ranked
    assert ranked.travel_minutes == pytest.approx(30, abs=0.1)
    assert ranked.slot_start - ranked.set_out == pytest.approx(
        timedelta(minutes=30), abs=timedelta(seconds=6)
    )


REST = Break(at(12), at(13), 30)


@pytest.mark.parametrize(
    ("busy", "earliest", "minutes", "starts"),
    (
        ((), 11.5, 60, 11.5),  # after the work: 12:30 to 13:00
        ((), 11.75, 60, 12.5),  # after it would be too late, so before
        ((), 9, 60, 9),  # nowhere near
        ((Busy(at(13), at(17), SITE),), 11, 110, None),  # the break needs the rest of the gap
        ((Busy(at(13), at(17), SITE),), 11, 60, 11),
        # two gaps can hold the break: either may be filled up, because the other one holds it
        ((Busy(at(12.5), at(12.5) + timedelta(minutes=1), SITE), Busy(at(14), at(17), SITE)), 11.5, 60, 11.5),
    ),
)
def test_a_break_is_held(busy: tuple[Busy, ...], earliest: float, minutes: int, starts: float | None) -> None:
    """Lunch floats between twelve and one; work that leaves no room for it is work against the law."""
    break_ = REST if len(busy) < 2 else Break(at(12), at(13.5), 30)
    who = engineer(busy=busy, shifts=(Shift(at(8), at(17), breaks=(break_,)),))
    result = pick(need(earliest=at(earliest), duration_minutes=minutes), [who])
    assert [ranked.slot_start for ranked in result.ranked] == ([] if starts is None else [at(starts)])
    if starts is None:
        assert dict(result.out_counts) == {ReasonCode.BREAK_NEEDED: 1}


def test_an_absence_at_noon_is_a_break() -> None:
    """Who is at the dentist's from twelve to one need not also be given lunch."""
    shifts = (Shift(at(8), at(17), breaks=(REST,)),)
    who = engineer(shifts=shifts, absences=(span(12, 13),), busy=(Busy(at(14), at(17), SITE),))
    (ranked,) = pick(need(earliest=at(12), duration_minutes=60), [who]).ranked
    assert ranked.slot_start == at(13)


def test_the_way_takes_as_long_as_its_hour_says() -> None:
    """Rush hour in local time: reckoned by the mean, everybody would be late at five and too early at eleven."""
    # 09:00 UTC on a Thursday is 17:00 in Shanghai.
    speeds = tuple(14.0 if hour % 24 == 17 else 28.0 for hour in range(168))
    rush = Travel(km_per_hour=speeds, time_zone="Asia/Shanghai")
    who = engineer(position=HALF_AN_HOUR_OFF)
    (even,) = pick(need(), [who]).ranked
    (slow,) = pick(need(), [who], travel=rush).ranked
    (later,) = pick(need(earliest=at(10)), [who], travel=rush).ranked
    assert slow.travel_minutes == pytest.approx(2 * even.travel_minutes, abs=0.02)
    assert later.travel_minutes == even.travel_minutes


# ------------------------------------------------------------------------------------------------ objectives


def weighing(objective: Objective) -> Policy:
    return by(without=PartsOnVan, objectives={one: {objective: 1.0} for one in Priority})


@pytest.mark.parametrize(
    ("objective", "better", "worse", "wanted"),
    (
        (Objective.SLA, engineer("b"), engineer("a", busy=(Busy(at(9), at(12), SITE),)), need()),
        (Objective.TRAVEL, engineer("b"), engineer("a", position=HALF_AN_HOUR_OFF), need()),
        (
            Objective.SKILL_FIT,
            engineer("b", skills={"x": 1}),
            engineer("a", skills={"x": 3}),
            need(skills={"x": 1}),
        ),
        (Objective.HOURS, engineer("b"), engineer("a", load_minutes=120.0), need()),
        (Objective.VISITS, engineer("b", visits=1), engineer("a", visits=2), need()),
        (Objective.PREFERRED, engineer("b"), engineer("a"), need(preferred=frozenset("b"))),
        (Objective.PARTS, engineer("b", van_stock={"fuse": 1}), engineer("a"), need(parts={"fuse": 1})),
    ),
)
def test_an_objective_points_the_right_way(
    objective: Objective, better: Candidate, worse: Candidate, wanted: Need
) -> None:
    """An objective turned round sends the worst; one that is not weighed must not decide anything."""
    policy = weighing(objective)
    ranked = pick(wanted, [worse, better], policy).ranked
    assert [one.id for one in ranked] == ["b", "a"]
    mine, other = (one.components[objective.value] for one in ranked)
    assert mine > other
    assert (ranked[0].score, ranked[1].score) == (pytest.approx(100 * mine), pytest.approx(100 * other))
    assert set(ranked[0].components) == {one.value for one in OBJECTIVES}


def test_a_pick_disturbs_nobody() -> None:
    """Insertion moves no standing visit, and says so."""
    (ranked,) = pick(need(), [engineer()], weighing(Objective.DISRUPTION)).ranked
    assert (ranked.components["disruption"], ranked.score) == (1.0, 100.0)


# ------------------------------------------------------------------------------------------------ crews


def test_a_crew_needs_one_with_the_skill_and_others_with_time() -> None:
    """The helper need not be able to do it, but must be let in, and must be there at that very time."""
    wanted = need(crew=2, skills={"x": 1}, excluded=frozenset("d"))
    lead = engineer("a", skills={"x": 1})
    (ranked,) = pick(wanted, [lead, engineer("b"), engineer("d")]).ranked
    assert (ranked.id, ranked.crew) == ("a", ("b",))
    alone = pick(wanted, [lead, engineer("d")])
    assert dict(alone.out_counts) == {
        ReasonCode.CREW_INCOMPLETE: 1,
        ReasonCode.SKILL_MISSING: 1,
        ReasonCode.EXCLUDED: 1,
    }
    assert alone.out[0].reasons == (Reason(ReasonCode.CREW_INCOMPLETE, {"crew": 2}),)


def test_a_leader_waits_for_the_crew() -> None:
    """Free at nine, but nobody else before one: the two meet at one, instead of never."""
    busy = engineer("b", busy=(Busy(at(8), at(13), SITE),))
    ranked = {one.id: one for one in pick(need(crew=2), [engineer("a"), busy]).ranked}
    assert {(one.slot_start, one.crew) for one in ranked.values()} == {(at(13), ("b",)), (at(13), ("a",))}


def test_a_day_books_the_whole_crew() -> None:
    """Two orders of two people and three engineers: the second order waits until two of them are free again."""
    needs = [DayNeed(id_, need(crew=2)) for id_ in "12"]
    first, second = plan_day(needs, [engineer("a"), engineer("b"), engineer("c")]).assignments
    assert first.chosen.slot_end <= second.chosen.slot_start
    taken = sorted([first.chosen.id, *first.chosen.crew, second.chosen.id, *second.chosen.crew])
    assert len(taken) == 4


# ------------------------------------------------------------------------------------------------ at a given time


@pytest.mark.parametrize(
    ("who", "wanted", "hour", "codes"),
    (
        (engineer(), need(), 10, []),
        (engineer(), need(visiting=(span(11, 12),)), 10, ["OUTSIDE_VISITING_HOURS"]),
        (engineer(), need(requested=span(11, 12)), 10, ["OUTSIDE_REQUESTED_WINDOW"]),
        (engineer(), need(not_before=at(11)), 10, ["PREDECESSOR"]),
        (engineer(), need(due_at=at(9.5)), 10, ["TOO_LATE"]),
        (engineer(visits_max=1, busy=(Busy(at(14), at(15), SITE),)), need(), 10, ["CAPACITY_VISITS"]),
        (engineer(shifts=(Shift(at(8), at(17), breaks=(REST,)),)), need(duration_minutes=90), 11.75, ["BREAK_NEEDED"]),
        (engineer(position=HALF_AN_HOUR_OFF, travel_minutes_max=20.0), need(), 12, ["TOO_FAR"]),
        (engineer(end_place=HALF_AN_HOUR_OFF), need(), 15.75, ["SHIFT_FULL"]),
        (engineer(), need(excluded=frozenset("a"), visiting=()), 18, ["EXCLUDED", "OUTSIDE_VISITING_HOURS", "NO_SHIFT"]),
    ),
)  # fmt: skip
def test_a_named_time_is_held_to_the_same_rules(
    who: Candidate, wanted: Need, hour: float, codes: list[str]
) -> None:
    """A dispatcher drags a visit: what the pick would never do must be told before it is done."""
    slot = slot_at(wanted, Roster([who]), at(hour), by(DueDate(), without=None))
    codes_told = [reason.code.value for reason in slot.reasons]
    if "TOO_LATE" not in codes:
        codes_told = [code for code in codes_told if code != "TOO_LATE"]
    assert codes_told == codes


# ------------------------------------------------------------------------------------------------ record


def test_a_record_keeps_the_best_and_the_nearest() -> None:
    """Ten thousand engineers are not stored with every decision; those one would ask about are."""
    crowd = [engineer(f"{n:03}", position=Point(37.75 + n / 1000, -122.42)) for n in range(300)]
    roster = Roster(crowd)
    wanted = need()
    result = pick(wanted, roster)
    data = encode(wanted, roster, STANDARD, STANDARD_TRAVEL, result=result, candidates_max=50)
    _, few, policy, _ = decode(data)
    assert policy == STANDARD
    assert (kept(data).candidates, kept(data).total) == (50, 300)
    assert {ranked.id for ranked in result.ranked[:25]} <= set(few.ids)
    assert pick(*decode(data)).ranked[0] == result.ranked[0]
    for bad in (b"", b"no", data[:40]):
        with pytest.raises(BadRecord):
            decode(bad)
