"""The order's state follows from its visits, whatever order they are read in."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callout_dispatch.visit_states import VisitState
from callout_orders.order_states import VISIT_STATES, VisitFact, derive
from callout_orders.terms import FINAL, ORDER_STATE_LABELS, OrderState

T0 = datetime(2026, 1, 15, 8, 0, tzinfo=UTC)


def visit(id_: str, state: str, ended_minute: int | None = None) -> VisitFact:
    return VisitFact(id_, state, None if ended_minute is None else T0 + timedelta(minutes=ended_minute))


@pytest.mark.parametrize(
    ("visits", "state"),
    (
        ([], OrderState.NEW),
        ([visit("a", "canceled")], OrderState.NEW),  # the only visit was called off: plan again
        ([visit("a", "scheduled")], OrderState.SCHEDULED),
        ([visit("a", "dispatched")], OrderState.SCHEDULED),
        ([visit("a", "accepted")], OrderState.SCHEDULED),
        ([visit("a", "travelling")], OrderState.IN_PROGRESS),
        ([visit("a", "in_progress"), visit("b", "scheduled")], OrderState.IN_PROGRESS),
        ([visit("a", "completed", 1)], OrderState.COMPLETED),
        ([visit("a", "could_not_complete", 1)], OrderState.CANNOT_COMPLETE),
        # the second visit, after a part came in
        ([visit("a", "could_not_complete", 1), visit("b", "scheduled")], OrderState.SCHEDULED),
        ([visit("a", "could_not_complete", 1), visit("b", "completed", 2)], OrderState.COMPLETED),
        # the fault came back: the later outcome holds
        ([visit("a", "could_not_complete", 3), visit("b", "completed", 2)], OrderState.CANNOT_COMPLETE),
        ([visit("a", "completed", 1), visit("b", "canceled")], OrderState.COMPLETED),
        # one time, two outcomes: the id decides, the same way on every machine
        ([visit("a", "completed", 1), visit("b", "could_not_complete", 1)], OrderState.CANNOT_COMPLETE),
        ([visit("a", "completed"), visit("b", "could_not_complete", 1)], OrderState.CANNOT_COMPLETE),
    ),
)
def test_states(visits: list[VisitFact], state: OrderState) -> None:
    """The board plans what is NEW or CANNOT_COMPLETE; a wrong state forgets a customer or sends two
    engineers.
    """
    assert derive(visits) is state


def test_decisions_of_people_stand_above_visits() -> None:
    """A signed-off order must not reopen because a phone sends an old event."""
    visits = [visit("a", "in_progress")]
    assert derive(visits, canceled=True) is OrderState.CANCELED
    assert derive(visits, closed=True) is OrderState.CLOSED
    assert derive(visits, canceled=True, closed=True) is OrderState.CLOSED


def test_the_two_floors_speak_of_the_same_visit_states() -> None:
    """The lower floor names the states as text: one renamed above would break every order's state."""
    assert {state.value for state in VisitState} == VISIT_STATES
    with pytest.raises(ValueError, match="asleep"):
        VisitFact("a", "asleep")


def test_every_state_has_its_names() -> None:
    """A state without a Chinese name shows an English code to half of the readers."""
    for state in OrderState:
        assert set(ORDER_STATE_LABELS[state]) == {"en", "zh"}


VISITS = st.lists(
    st.builds(
        visit,
        st.sampled_from(["a", "b", "c", "d"]),
        st.sampled_from(sorted(VISIT_STATES)),
        st.none() | st.integers(0, 3),
    ),
    max_size=6,
)


@given(visits=VISITS, canceled=st.booleans(), closed=st.booleans(), seed=st.randoms(use_true_random=False))
def test_the_order_of_visits_does_not_matter(
    visits: list[VisitFact], canceled: bool, closed: bool, seed: random.Random
) -> None:
    """SQL without ORDER BY gives visits in any order."""
    shuffled = list(visits)
    seed.shuffle(shuffled)
    expected = derive(visits, canceled=canceled, closed=closed)
    assert derive(shuffled, canceled=canceled, closed=closed) is expected
    assert derive(visits + shuffled, canceled=canceled, closed=closed) is expected
    assert (expected in FINAL) == (canceled or closed)


@given(visits=VISITS)
def test_canceled_visits_count_for_nothing(visits: list[VisitFact]) -> None:
    """A visit that was moved to somebody else by cancelling leaves no trace in the order's state."""
    assert derive([*visits, visit("z", "canceled", 9)]) is derive(visits)
