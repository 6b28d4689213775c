"""The pick and the plans' checker judge alike: two dispatchers' tools that contradict each other are believed by nobody.

Where they differ by design, and the law therefore asks for one direction or leaves it out:
- the way back: the pick holds it to the longest way too, the checker (and with it the planners) does not;
- capacity: the pick counts all shifts of one day together and what is done already, a lane is one shift of which that is
  taken off before; the days here have nothing done;
- visits outside of every shift: the pick takes them as they are, a plan has no lane for them;
- the pick speaks whole minutes for starts and fractions for ways, a plan whole seconds, ways rounded up.
A slot of the pick is never refused for these; a plan may find room where the pick sees none.
"""

from __future__ import annotations

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st
from pick_as_plan import STATIC, AsPlan, within_shifts
from pick_days import CANDIDATES, CASES, NEEDS, POLICIES, Case, at

from callout_dispatch.pick import pick
from callout_dispatch.pick_terms import Candidate, Interval, Need
from callout_dispatch.policy import Policy

ABSENCES = st.just(()) | st.builds(
    lambda start, length: (Interval(at(start), at(start + length)),),
    st.integers(7 * 4, 18 * 4).map(lambda n: n * 15),
    st.sampled_from([15, 30, 60, 120]),
)
AWAY = st.tuples(ABSENCES, ABSENCES, ABSENCES, ABSENCES)


@settings(deadline=None, max_examples=300)
@given(case=CASES, away=AWAY, crew=st.sampled_from([1, 1, 1, 2]))
def test_what_the_pick_offers_the_checker_passes(
    case: Case, away: tuple[tuple[Interval, ...], ...], crew: int
) -> None:
    """A visit that the pick gave out this morning must not be called impossible by the plan of this afternoon."""
    need, candidates, policy = case
    need = msgspec.structs.replace(need, crew=crew)
    candidates = [within_shifts(who, gone) for who, gone in zip(candidates, away, strict=True)]
    as_plan = AsPlan(need, candidates, policy)
    for ranked in pick(need, candidates, policy).ranked:
        assert as_plan.violations(ranked) == [], ranked


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
