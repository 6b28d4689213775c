"""The pick and the plans' checker judge alike: two dispatchers' tools that contradict each other are believed by nobody.

Where they differ by design, and the law therefore asks for one direction or leaves it out:
- the way back: the pick holds it to the longest way too, the checker (and with it the planners) does not;
- capacity: the pick counts all shifts of one day together and what is done already, a lane is one shift of which that is
  taken off before; the days here have nothing done;
- visits outside of every shift: the pick takes them as they are, a plan has no lane for them;
- the pick speaks whole minutes for starts and fractions for ways, a plan whole seconds, ways rounded up.
- of a crew the pick asks only its leader for skills, parts, and to be the one required; a plan, which may let any of them
  lead, asks everybody for skills and the first by id for parts;
- a break that found no room even before: the pick lets the new work do no harm to it any more, the checker tells it.
- overtime, in which only the way back lies, knows no absences in the pick;
- a way that an absence divides from the work before it: a plan takes a break that comes in between before it sets out, the
  pick lets one drive first and rest at the site.
A slot of the pick is never refused for these; a plan may find room where the pick sees none.
"""

from __future__ import annotations

from datetime import timedelta

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st
from pick_as_plan import STATIC, AsPlan, within_shifts
from pick_days import CANDIDATES, CASES, NEEDS, POLICIES, Case, at

from callout_dispatch.pick import pick
from callout_dispatch.pick_terms import Candidate, Interval, Need
from callout_dispatch.planning.checker import Code
from callout_dispatch.policy import Policy

OF_THE_LEADER = frozenset({Code.SKILL, Code.NOT_REQUIRED, Code.PART_SHORT})


@st.composite
def away(draw: st.DrawFn, who: Candidate) -> tuple[Interval, ...]:
    """None, one at any time of the day, or one right before a visit or the shift's end, where a way has to be driven."""
    length = timedelta(minutes=draw(st.sampled_from([15, 30, 60, 120])))
    end = at(draw(st.integers(8 * 4, 18 * 4)) * 15)
    match draw(st.sampled_from(["none", "any", "before"])):
        case "none":
            return ()
        case "before":
            until = draw(
                st.sampled_from([*(one.end for one in who.shifts), *(one.start for one in who.busy)])
            )
            end = until - timedelta(minutes=draw(st.integers(0, 4)) * 5)
    return (Interval(end - length, end),)


@st.composite
def cases_with_absences(draw: st.DrawFn) -> Case:
    need, candidates, policy = draw(CASES)
    need = msgspec.structs.replace(need, crew=draw(st.sampled_from([1, 1, 1, 2])))
    return need, [within_shifts(who, draw(away(who))) for who in candidates], policy


@settings(deadline=None, max_examples=300)
@given(case=cases_with_absences())
def test_what_the_pick_offers_the_checker_passes(case: Case) -> None:
    """A visit that the pick gave out this morning must not be called impossible by the plan of this afternoon."""
    need, candidates, policy = case
    as_plan = AsPlan(need, candidates, policy)
    for ranked in pick(need, candidates, policy).ranked:
        helping = {f"{name}:" for name in ranked.crew}
        away = {f"{who.id}:" for who in candidates if who.absences}
        found = [
            one
            for one in as_plan.violations(ranked)
            if not (one.code in OF_THE_LEADER and (one.lane_id or "").startswith(tuple(helping)))
            and not (one.code is Code.REST_MISSING and (one.lane_id or "").startswith(tuple(away)))
        ]
        assert found == [], ranked


@settings(deadline=None, max_examples=200)
@given(need=NEEDS, candidates=CANDIDATES, policy=POLICIES)
def test_whom_the_pick_rules_out_the_checker_refuses(
    need: Need, candidates: list[Candidate], policy: Policy
) -> None:
    """Somebody who may not go by the one and is sent by the other: both must name the same rules, and no others."""
    candidates = [within_shifts(who, ()) for who in candidates]
    as_plan = AsPlan(need, candidates, policy)
    told = {
        out.id: {STATIC[reason.code] for reason in out.reasons if reason.code in STATIC}
        for out in pick(need, candidates, policy).out
    }
    for who in candidates:
        assert as_plan.static(who.id) == told.get(who.id, set()), who.id
