"""On-site events merge to one state, in whatever order and however often they arrive."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from functools import reduce
from itertools import permutations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from callout_dispatch.visit_states import (
    ENDED,
    RANK,
    VISIT_STATE_LABELS,
    Base,
    EventKind,
    Progress,
    VisitEvent,
    VisitState,
    combine,
    merge,
    state_of,
    work_duration,
)

T0 = datetime(2026, 1, 15, 8, 0, tzinfo=UTC)


def event(kind: str, minute: int, id_: str = "e") -> VisitEvent:
    return VisitEvent(EventKind(kind), T0 + timedelta(minutes=minute), id_)


def merged(base: Base, *events: VisitEvent) -> Progress:
    return reduce(merge, events, Progress(base=base))


#: Few times and ids on purpose: ties are where an order-dependent merge shows.
EVENTS = st.builds(
    event, st.sampled_from(sorted(EventKind)), st.integers(0, 4), st.sampled_from(["a", "b", "c"])
)
BASES: st.SearchStrategy[Base] = st.sampled_from(["scheduled", "dispatched", "canceled"])
PROGRESS = st.builds(lambda base, events: merged(base, *events), BASES, st.lists(EVENTS, max_size=6))


@pytest.mark.parametrize(
    ("kinds", "state"),
    (
        ([], VisitState.DISPATCHED),
        (["note", "photo"], VisitState.DISPATCHED),  # made at home: proves nothing
        (["accepted"], VisitState.ACCEPTED),
        (["declined"], VisitState.DISPATCHED),  # taking it away is dispatch's decision
        (["accepted", "declined"], VisitState.ACCEPTED),
        (["declined", "travelling"], VisitState.TRAVELLING),
        (["travelling"], VisitState.TRAVELLING),
        (["arrived"], VisitState.IN_PROGRESS),
        (["diagnosed"], VisitState.IN_PROGRESS),  # `arrived` was lost or comes later
        (["part_replaced"], VisitState.IN_PROGRESS),
        (["customer_signed"], VisitState.IN_PROGRESS),
        (["left"], VisitState.IN_PROGRESS),  # gone without an outcome: the visit waits for one
        (["arrived", "completed", "left"], VisitState.COMPLETED),
        (["could_not_complete"], VisitState.COULD_NOT_COMPLETE),
    ),
)
def test_states(kinds: list[str], state: VisitState) -> None:
    """The dispatcher's board shows this state; a visit shown too early or too late locks the wrong slot."""
    events = [event(kind, minute, f"e{minute}") for minute, kind in enumerate(kinds)]
    for order in permutations(events):
        assert state_of(merged("dispatched", *order)) is state


def test_presence_is_proved_by_work_but_arrival_only_by_word() -> None:
    """A diagnosis proves that somebody was there, not when they came; reports of arrival must not guess."""
    progress = merged("dispatched", event("diagnosed", 20), event("part_replaced", 10))
    assert progress.arrived_at is None
    assert progress.first_on_site_at == T0 + timedelta(minutes=10)
    progress = merge(progress, event("arrived", 5))
    assert progress.arrived_at == progress.first_on_site_at == T0 + timedelta(minutes=5)


def test_the_last_outcome_holds() -> None:
    """An engineer who pressed "completed" by mistake and corrected it a minute later has the last word."""
    by_mistake, corrected = event("completed", 10, "a"), event("could_not_complete", 11, "b")
    for order in ((by_mistake, corrected), (corrected, by_mistake)):
        progress = merged("dispatched", *order)
        assert state_of(progress) is VisitState.COULD_NOT_COMPLETE
        assert (progress.completed_at, progress.could_not_complete_at) == (
            T0 + timedelta(minutes=10),
            T0 + timedelta(minutes=11),
        )
        assert (progress.outcome_at, progress.outcome_id) == (T0 + timedelta(minutes=11), "b")


def test_a_canceled_visit_stays_canceled_and_keeps_its_times() -> None:
    """The engineer was offline when it was canceled and did the work: the hours must be there to be paid."""
    progress = merged("canceled", event("arrived", 1), event("completed", 30))
    assert state_of(progress) is VisitState.CANCELED
    assert progress.completed_at == T0 + timedelta(minutes=30)
    assert work_duration(progress) == timedelta(minutes=29)


def test_work_duration() -> None:
    """Hours are billed by it: unknown is not zero, and never negative."""
    assert work_duration(merged("dispatched", event("arrived", 5))) is None
    assert work_duration(merged("dispatched", event("completed", 5))) is None
    assert work_duration(merged("dispatched", event("diagnosed", 5), event("left", 25))) == timedelta(
        minutes=20
    )
    both = merged("dispatched", event("arrived", 5), event("completed", 45), event("left", 50))
    assert work_duration(both) == timedelta(minutes=40)
    assert work_duration(merged("dispatched", event("arrived", 9), event("completed", 4))) == timedelta()


def test_bad_events_are_refused() -> None:
    """A kind nobody knows, or a time without zone, must stop at the door and not in the merge."""
    with pytest.raises(ValueError, match="teleported"):
        VisitEvent("teleported", T0, "a")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="time zone"):
        VisitEvent(EventKind.NOTE, T0.replace(tzinfo=None), "a")


def test_every_state_has_rank_and_names() -> None:
    """A state added without rank would fail in the middle of a push."""
    assert set(RANK) == set(VISIT_STATE_LABELS) == set(VisitState)
    assert all(set(labels) == {"en", "zh"} for labels in VISIT_STATE_LABELS.values())
    assert {state for state in VisitState if RANK[state] >= 5} == ENDED


@given(base=BASES, events=st.lists(EVENTS, max_size=8), seed=st.randoms(use_true_random=False))
def test_any_order_of_arrival_gives_the_same(
    base: Base, events: list[VisitEvent], seed: random.Random
) -> None:
    """Phones come back from a tunnel in any order: two servers must agree to the last field."""
    shuffled = list(events)
    seed.shuffle(shuffled)
    assert merged(base, *shuffled) == merged(base, *events)


@given(base=BASES, events=st.lists(EVENTS, max_size=6), seed=st.randoms(use_true_random=False))
def test_duplicates_change_nothing(base: Base, events: list[VisitEvent], seed: random.Random) -> None:
    """A retry sends everything again."""
    again = events + [e for e in events if seed.random() < 0.6]
    seed.shuffle(again)
    assert merged(base, *again) == merged(base, *events)


@given(a=PROGRESS, b=PROGRESS, c=PROGRESS)
def test_combine_is_a_join(a: Progress, b: Progress, c: Progress) -> None:
    """Associative, commutative, idempotent: what lets a batch be merged in pieces."""
    assert combine(a, b) == combine(b, a)
    assert combine(combine(a, b), c) == combine(a, combine(b, c))
    assert combine(a, a) == a


@given(progress=PROGRESS, late=EVENTS)
def test_a_late_event_never_moves_a_visit_back(progress: Progress, late: VisitEvent) -> None:
    """ "Travelling" that arrives after "completed" must not reopen the visit on the board."""
    assert RANK[state_of(merge(progress, late))] >= RANK[state_of(progress)]


@given(progress=PROGRESS)
def test_progress_survives_storage(progress: Progress) -> None:
    """What is written to a document and read back must merge as before."""
    assert msgspec.json.decode(msgspec.json.encode(progress), type=Progress) == progress
