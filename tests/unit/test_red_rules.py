"""The red lane's rules: who gives way, for what gain, and what somebody said last."""

import random
from datetime import UTC, datetime, timedelta
from itertools import permutations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callout_dispatch.policy import RedLane
from callout_dispatch.red_rules import (
    Lower,
    Place,
    choose,
    enough_earlier,
    gives_way,
    last_word,
    may_ask_another,
    runs,
    takes_back,
)
from callout_dispatch.visit_states import VisitState
from callout_orders.terms import Priority

NINE = datetime(2026, 3, 4, 9, 0, tzinfo=UTC)
RULES = RedLane(displace=(Priority.P2,), displaced_max=2, displace_gain_minutes=15, rounds_max=3)


def at(minutes: float) -> datetime:
    return NINE + timedelta(minutes=minutes)


def lower(id_: str = "v", minute: float = 0, **more: Any) -> Lower:
    values = {"priority": Priority.P2, "state": VisitState.DISPATCHED, **more}
    return Lower(id=id_, engineer_id="e", start=at(minute), **values)


def place(engineer: str, minute: float, score: float = 50.0, *displaced: str) -> Place:
    return Place(engineer_id=engineer, start=at(minute), score=score, displaced=displaced)


@pytest.mark.parametrize(
    ("visit", "may"),
    (
        (lower(), True),
        (lower(state=VisitState.SCHEDULED), True),
        (lower(state=VisitState.ACCEPTED), True),  # told and taken, but nobody has set out
        (lower(state=VisitState.TRAVELLING), False),
        (lower(state=VisitState.IN_PROGRESS), False),
        (lower(state=VisitState.COMPLETED), False),
        (lower(held=True), False),
        (lower(crewed=True), False),
        (lower(priority=Priority.P1), False),  # the policy names P2 only
        (lower(priority=Priority.P0), False),
    ),
)
def test_who_gives_way(visit: Lower, may: bool) -> None:
    """An engineer who is on the road must not be turned round, nor a promise broken that a dispatcher pinned by hand."""
    assert gives_way(visit, RULES) is may


def test_a_p0_gives_way_to_nobody_whatever_the_policy_says() -> None:
    """Two services that are down: taking the engineer from one to the other helps neither."""
    with pytest.raises(ValueError, match="P0"):
        RedLane(displace=(Priority.P0,))


def test_runs_are_neighbours_and_the_fewest_come_first() -> None:
    """Pushing out a visit of the morning and one of the evening frees no time in between: two customers for nothing."""
    day = [lower("c", 200), lower("a", 0), lower("b", 100)]
    found = [tuple(visit.id for visit in run) for run in runs(day, 2)]
    assert found == [("a",), ("b",), ("c",), ("a", "b"), ("b", "c")]
    assert list(runs(day, 0)) == []
    assert [len(run) for run in runs(day, 10)] == [1, 1, 1, 2, 2, 3]


@pytest.mark.parametrize(
    ("standing", "displacing", "chosen"),
    (
        ([], [], None),
        ([place("a", 60)], [], "a"),
        ([place("a", 60)], [place("b", 45, 50, "v")], "b"),  # exactly the gain
        ([place("a", 60)], [place("b", 46, 99, "v")], "a"),  # a minute short of it
        # The best is not the earliest who could come: others' visits are held against the earliest.
        ([place("a", 60, 90), place("z", 40, 10)], [place("b", 30, 50, "v")], "a"),
        ([], [place("b", 500, 1, "v")], "b"),  # nobody could come at all
        ([], [place("b", 5, 1, "v", "w", "x")], None),  # more than may move
        ([], [place("b", 5, 1)], None),  # displaces nobody, so it is no displacement
        ([], [place("b", 5, 1, "v", "w"), place("c", 5, 1, "x")], "c"),  # the fewest
        ([], [place("b", 5, 1, "v"), place("c", 5, 2, "x")], "c"),  # the better score
        ([], [place("c", 5, 2, "v"), place("b", 5, 2, "x")], "b"),  # by id
        ([], [place("b", 6, 99, "v"), place("c", 5, 1, "x")], "c"),  # the earliest
    ),
)
def test_who_is_chosen(standing: list[Place], displacing: list[Place], chosen: str | None) -> None:
    """Displacing costs other customers their appointment: only where somebody is there that much sooner."""
    found = choose(standing, displacing, RULES)
    assert (found.engineer_id if found else None) == chosen


PLACES = st.lists(
    st.builds(
        place,
        st.sampled_from("abc"),
        st.integers(0, 120),
        st.integers(0, 3).map(float),
        st.sampled_from("vwx"),
    ),
    max_size=6,
)


@given(
    st.lists(st.builds(place, st.sampled_from("abc"), st.integers(0, 120)), max_size=4), PLACES, st.randoms()
)
def test_the_choice_is_of_the_set_and_always_worth_it(
    standing: list[Place], displacing: list[Place], rng: random.Random
) -> None:
    """Asked twice, the answer is the same in whatever order engineers were looked at, and nobody moves for less than the
    policy's gain."""
    found = choose(standing, displacing, RULES)
    mixed = rng.sample(displacing, len(displacing))
    assert choose(standing, mixed, RULES) == found
    if found is not None and found.displaced:
        assert all(enough_earlier(found.start, one.start, RULES) for one in standing)
    elif standing:
        assert found == standing[0]


def test_rounds_end() -> None:
    """A lane without an end would ring through the whole house, one after the other, all night."""
    assert [may_ask_another(asked, RULES) for asked in (0, 2, 3, 4)] == [True, True, False, False]


def test_the_last_word_counts_in_any_order_of_arrival() -> None:
    """A phone that was offline sends "yes" and "no" late, twice, and mixed up: what was said last holds."""
    said: list[Any] = [(at(0), "a", "accepted"), (at(1), "b", "declined"), (at(2), "c", "accepted")]
    for order in permutations(said + said[:1]):
        assert last_word(order) == "accepted"
    assert last_word(said[:2]) == "declined"
    assert last_word([]) is None
    # Said at the same instant: by id, the same on every server.
    assert last_word([(at(0), "a", "declined"), (at(0), "b", "accepted")]) == "accepted"


@pytest.mark.parametrize("state", list(VisitState))
def test_a_decline_takes_nothing_from_who_is_on_the_way(state: VisitState) -> None:
    """Once on the road the engineer says "could not complete": a late decline must not cancel work that is being done."""
    before = state in (VisitState.SCHEDULED, VisitState.DISPATCHED, VisitState.ACCEPTED)
    assert takes_back(state, "declined") is before
    assert not takes_back(state, "accepted")
    assert not takes_back(state, None)
