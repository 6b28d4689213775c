"""What a dispatcher reads of plans while they are made and afterwards."""

from __future__ import annotations

import pytest
from plan_problems import lane, problem, task

from callout_dispatch.pick_terms import Reason, ReasonCode
from callout_dispatch.planning.inserter import InserterPlanner
from callout_dispatch.planning.terms import Planner
from callout_dispatch.planning.vroom_planner import VroomPlanner
from callout_dispatch.plans.texts import STAGES, stage, why_left


@pytest.mark.parametrize("planner", (InserterPlanner(), VroomPlanner()))
def test_what_a_planner_is_at_is_said_in_both_languages(planner: Planner) -> None:
    """A dispatcher in Shenzhen would watch a progress bar that says `recombining`."""
    heard: set[str] = set()
    given = problem([task(f"t{n}", n + 1) for n in range(6)], [lane("li:0"), lane("wu:0", 3)])
    planner.solve(given, seconds_max=0.5, seed=1, progress=lambda share, word: heard.add(word))
    assert heard
    assert heard <= set(STAGES)
    assert {stage(word, "zh") for word in heard}.isdisjoint(stage(word, "en") for word in heard)


def test_one_engineer_is_not_many() -> None:
    """A sentence that stumbles over its own grammar is one that nobody believes."""

    def said(code: ReasonCode, engineers: int, locale: str = "en") -> str:
        (text,) = why_left([Reason(code, {"engineers": engineers})], locale)
        return text

    assert said(ReasonCode.OTHER_TERRITORY, 1) == "1 engineer works in another territory"
    assert said(ReasonCode.OTHER_TERRITORY, 2) == "2 engineers work in another territory"
    assert said(ReasonCode.TOO_LATE, 1) == "1 engineer could only come too late"
    assert said(ReasonCode.ABSENT, 1) == "1 engineer is absent"
    assert said(ReasonCode.ABSENT, 1, "zh") == "1 名工程师请假"
