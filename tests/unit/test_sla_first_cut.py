"""The SLA clock, first cut: 24 hours on 7 days."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callout_orders.sla.clock import (
    STANDARD,
    Facts,
    MilestoneName,
    MilestoneState,
    SlaPolicy,
    Targets,
    due_at,
    milestones,
)
from callout_orders.terms import Priority

T0 = datetime(2026, 1, 15, 8, 0, tzinfo=UTC)
MINUTES = st.integers(0, 6000).map(lambda minutes: T0 + timedelta(minutes=minutes))


@pytest.mark.parametrize(
    ("priority", "minutes"),
    (
        (Priority.P0, (15, 120, 240)),
        (Priority.P1, (15, 480, 1440)),
        (Priority.P2, (15, 1440, 4320)),
    ),
)
def test_due_times(priority: Priority, minutes: tuple[int, int, int]) -> None:
    """These are promises to customers; the first 15 minutes hold for every priority."""
    found = milestones(created_at=T0, priority=priority, now=T0)
    assert tuple(m.name for m in found) == tuple(MilestoneName)
    assert tuple(m.due_at - T0 for m in found) == tuple(timedelta(minutes=m) for m in minutes)
    assert all(m.policy_version == STANDARD.version for m in found)


@pytest.mark.parametrize(
    ("met_after", "now_after", "state", "remaining"),
    (
        (None, 0, MilestoneState.RUNNING, 900),
        (None, 12 * 60, MilestoneState.RUNNING, 180),  # "3 min left": the supervisor is called
        (None, 900, MilestoneState.RUNNING, 0),  # exactly on time is in time
        (None, 901, MilestoneState.MISSED, -1),
        (900, 5000, MilestoneState.MET, 0),
        (600, 5000, MilestoneState.MET, 300),  # stands still once met
        (901, 5000, MilestoneState.MISSED, -1),  # late stays late
    ),
)
def test_first_response(
    met_after: int | None, now_after: int, state: MilestoneState, remaining: float
) -> None:
    """The countdown on the order's page; off by one second at the border is a wrongly booked breach."""
    facts = Facts(first_response_at=None if met_after is None else T0 + timedelta(seconds=met_after))
    first = milestones(
        created_at=T0, priority=Priority.P0, facts=facts, now=T0 + timedelta(seconds=now_after)
    )[0]
    assert (first.state, first.remaining_seconds) == (state, remaining)


def test_a_later_milestone_reaches_the_earlier_ones() -> None:
    """An engineer on site after 10 minutes is a response; without this, P0 orders count as never answered."""
    facts = Facts(arrived_at=T0 + timedelta(minutes=10), first_response_at=T0 + timedelta(minutes=30))
    first, arrival, resolution = milestones(
        created_at=T0, priority=Priority.P0, facts=facts, now=T0 + timedelta(hours=1)
    )
    assert (first.state, first.met_at) == (MilestoneState.MET, T0 + timedelta(minutes=10))
    assert arrival.state is MilestoneState.MET
    assert resolution.state is MilestoneState.RUNNING


def test_local_times_and_the_hour_that_is_skipped() -> None:
    """New York, 2026-03-08 01:30 + 60 min is 03:30 EDT: added in local time it would be an hour early."""
    new_york = ZoneInfo("America/New_York")
    policy = SlaPolicy(
        version="t",
        targets={
            p: Targets(first_response_minutes=60, arrival_minutes=60, resolution_minutes=60) for p in Priority
        },
    )
    created = datetime(2026, 3, 8, 1, 30, tzinfo=new_york)
    due = due_at(created_at=created, priority=Priority.P1, name=MilestoneName.ARRIVAL, policy=policy)
    assert due.astimezone(new_york).isoformat() == "2026-03-08T03:30:00-04:00"


def test_bad_values_are_refused() -> None:
    """A naive time shifts a deadline by hours, a table with a hole fails on the first order that needs it."""
    with pytest.raises(ValueError, match="created_at"):
        milestones(created_at=T0.replace(tzinfo=None), priority=Priority.P0, now=T0)
    with pytest.raises(ValueError, match="facts"):
        milestones(
            created_at=T0, priority=Priority.P0, now=T0, facts=Facts(resolved_at=T0.replace(tzinfo=None))
        )
    with pytest.raises(ValueError, match="P2"):
        SlaPolicy(version="t", targets={p: STANDARD.targets[p] for p in (Priority.P0, Priority.P1)})
    with pytest.raises(ValueError, match="targets"):
        Targets(first_response_minutes=15, arrival_minutes=10, resolution_minutes=20)


def test_a_policy_cannot_be_edited() -> None:
    """Editing a version in use would change promises that were already made."""
    with pytest.raises(TypeError):
        STANDARD.targets[Priority.P0] = STANDARD.targets[Priority.P2]  # type: ignore[index]


FACTS = st.builds(
    Facts,
    first_response_at=st.none() | MINUTES,
    arrived_at=st.none() | MINUTES,
    resolved_at=st.none() | MINUTES,
)


@given(facts=FACTS, priority=st.sampled_from(list(Priority)), now=MINUTES, later=st.integers(0, 6000))
def test_time_only_ever_turns_running_into_missed(
    facts: Facts, priority: Priority, now: datetime, later: int
) -> None:
    """A breach must not heal by waiting, nor a kept promise break."""
    before = milestones(created_at=T0, priority=priority, facts=facts, now=now)
    after = milestones(created_at=T0, priority=priority, facts=facts, now=now + timedelta(minutes=later))
    for a, b in zip(before, after, strict=True):
        assert a.due_at == b.due_at
        assert (a.state, b.state) in {
            (MilestoneState.RUNNING, MilestoneState.RUNNING),
            (MilestoneState.RUNNING, MilestoneState.MISSED),
            (MilestoneState.MET, MilestoneState.MET),
            (MilestoneState.MISSED, MilestoneState.MISSED),
        }
        assert b.remaining_seconds <= a.remaining_seconds


@given(facts=FACTS, priority=st.sampled_from(list(Priority)), now=MINUTES)
def test_state_agrees_with_what_is_left(facts: Facts, priority: Priority, now: datetime) -> None:
    """A page that shows "met" beside "-5 min" tells its reader nothing."""
    for milestone in milestones(created_at=T0, priority=priority, facts=facts, now=now):
        assert (milestone.state is MilestoneState.MISSED) == (milestone.remaining_seconds < 0)
        assert milestone.met_at is None or milestone.state is not MilestoneState.RUNNING
