"""The SLA clock: when each milestone of an order is due, and whether it was kept. Pure.

The clock runs 24 hours on 7 days. All times are the server's: `created_at`, the facts and `now` are aware
datetimes that the server gave or corrected, never a phone's raw clock. A breach that was once recorded stays
recorded by whoever stored it; this module only says what is true of the values it is given.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from callout_orders.terms import Priority

#: At this much left of the first response the supervisor is called (R3).
FIRST_RESPONSE_WARNING_SECONDS: Final = 180


class MilestoneName(StrEnum):
    """The three promises made to a customer, in the order in which they fall due."""

    FIRST_RESPONSE = "first_response"
    ARRIVAL = "arrival"
    RESOLUTION = "resolution"


class MilestoneState(StrEnum):
    """`missed` covers both: late, and not met although the time is over."""

    RUNNING = "running"
    MET = "met"
    MISSED = "missed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Targets:
    """Minutes from creation to each milestone; positive and not falling, else ValueError."""

    first_response_minutes: int
    arrival_minutes: int
    resolution_minutes: int

    def __post_init__(self) -> None:
        if not 0 < self.first_response_minutes <= self.arrival_minutes <= self.resolution_minutes:
            raise ValueError("targets must satisfy 0 < first_response <= arrival <= resolution (minutes)")

    def minutes(self, name: MilestoneName) -> int:
        """The budget of one milestone, in minutes."""
        match name:
            case MilestoneName.FIRST_RESPONSE:
                return self.first_response_minutes
            case MilestoneName.ARRIVAL:
                return self.arrival_minutes
            case MilestoneName.RESOLUTION:
                return self.resolution_minutes


@dataclass(frozen=True, slots=True, kw_only=True)
class SlaPolicy:
    """One version of the promise table. A version is never edited: a change is a new version.

    Raises ValueError unless every priority has its targets.
    """

    version: str
    targets: Mapping[Priority, Targets]

    def __post_init__(self) -> None:
        missing = [priority.value for priority in Priority if priority not in self.targets]
        if missing:
            raise ValueError(f"SLA policy {self.version} has no targets for {', '.join(missing)}")
        object.__setattr__(self, "targets", MappingProxyType(dict(self.targets)))


#: R3's "golden 15 minutes" hold for every priority; arrival and resolution follow the priority.
STANDARD: Final = SlaPolicy(
    version="2026-1",
    targets={
        Priority.P0: Targets(first_response_minutes=15, arrival_minutes=120, resolution_minutes=240),
        Priority.P1: Targets(first_response_minutes=15, arrival_minutes=480, resolution_minutes=1440),
        Priority.P2: Targets(first_response_minutes=15, arrival_minutes=1440, resolution_minutes=4320),
    },
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What has happened to an order so far; aware times, None for what has not happened."""

    first_response_at: datetime | None = None
    arrived_at: datetime | None = None
    resolved_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Milestone:
    """One promise and how it stands.

    `remaining_seconds` counts down to `due_at` while the clock runs, is negative once it is overdue, and
    stands still at what was left (or by how much it was late) when the milestone was reached at `met_at`.
    """

    name: MilestoneName
    policy_version: str
    due_at: datetime
    met_at: datetime | None
    state: MilestoneState
    remaining_seconds: float


def due_at(
    *, created_at: datetime, priority: Priority, name: MilestoneName, policy: SlaPolicy = STANDARD
) -> datetime:
    """The UTC moment at which a milestone falls due. Raises ValueError for a naive time."""
    return _utc("created_at", created_at) + timedelta(minutes=policy.targets[priority].minutes(name))


def milestones(
    *,
    created_at: datetime,
    priority: Priority,
    now: datetime,
    facts: Facts | None = None,
    policy: SlaPolicy = STANDARD,
) -> tuple[Milestone, ...]:
    """All milestones of an order as they stand at `now`, in `MilestoneName`'s order; UTC.

    Reaching a later milestone reaches the earlier ones: an engineer on site is a response, and an order
    solved by telephone needs nobody to arrive. Exactly on time is in time. Raises ValueError for a naive
    time.
    """
    facts = facts or Facts()
    moment = _utc("now", now)
    result: list[Milestone] = []
    for name in MilestoneName:
        due = due_at(created_at=created_at, priority=priority, name=name, policy=policy)
        met = _met_at(name, facts)
        if met is not None:
            state = MilestoneState.MET if met <= due else MilestoneState.MISSED
        else:
            state = MilestoneState.RUNNING if moment <= due else MilestoneState.MISSED
        result.append(
            Milestone(
                name=name,
                policy_version=policy.version,
                due_at=due,
                met_at=met,
                state=state,
                remaining_seconds=(due - (met or moment)).total_seconds(),
            )
        )
    return tuple(result)


def _met_at(name: MilestoneName, facts: Facts) -> datetime | None:
    chain = {
        MilestoneName.FIRST_RESPONSE: (facts.first_response_at, facts.arrived_at, facts.resolved_at),
        MilestoneName.ARRIVAL: (facts.arrived_at, facts.resolved_at),
        MilestoneName.RESOLUTION: (facts.resolved_at,),
    }[name]
    return min((_utc("facts", at) for at in chain if at is not None), default=None)


def _utc(field: str, at: datetime) -> datetime:
    if at.tzinfo is None:
        raise ValueError(f"{field} must carry a time zone")
    return at.astimezone(UTC)
