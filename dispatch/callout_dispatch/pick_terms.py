"""What goes into a pick and what comes out of it: needs, candidates, policy, reasons, result. Pure values.

Everything is checked once, where it is built, and raises ValueError; the pick itself trusts its input.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from types import MappingProxyType
from typing import Final

import msgspec

from callout_geo.points import Point
from callout_orders.terms import Priority

SKILL_LEVEL_MAX: Final = 100
DURATION_MINUTES_MAX: Final = 7 * 24 * 60


class ReasonCode(StrEnum):
    """Why an engineer was not picked, or what speaks against one who could be. Stored, so stable."""

    SKILL_MISSING = "SKILL_MISSING"
    SKILL_LEVEL_LOW = "SKILL_LEVEL_LOW"
    OTHER_TERRITORY = "OTHER_TERRITORY"
    OFFLINE = "OFFLINE"
    """Hard for P0 only."""
    PART_NOT_ON_VAN = "PART_NOT_ON_VAN"
    """Hard only if the policy says so; otherwise a note."""
    NO_SHIFT = "NO_SHIFT"
    ABSENT = "ABSENT"
    TOO_FAR = "TOO_FAR"
    SHIFT_FULL = "SHIFT_FULL"
    OVERDUE_SLOT = "OVERDUE_SLOT"
    """Never hard: late is better than never."""


class Interval(msgspec.Struct, frozen=True):
    """A stretch of time [start, end), aware, not empty."""

    start: datetime
    end: datetime

    def __post_init__(self) -> None:
        _check_interval(self.start, self.end)


class Busy(msgspec.Struct, frozen=True):
    """A visit an engineer already has: the time at its site, without the travel to it, and the site.

    `point` is None when the site has none; then the way from there counts as unknown.
    """

    start: datetime
    end: datetime
    point: Point | None = None

    def __post_init__(self) -> None:
        _check_interval(self.start, self.end)


class Need(msgspec.Struct, frozen=True, kw_only=True):
    """The work that needs an engineer.

    `skills` are required levels by skill code (1 or more). `earliest` is when the engineer may set out.
    `due_at` is the latest moment that keeps the promise to arrive (the order's arrival milestone). `parts`
    are quantities by part. No `territory_id` means that any territory will do.
    """

    point: Point | None
    duration_minutes: int
    earliest: datetime
    priority: Priority
    due_at: datetime | None = None
    territory_id: str | None = None
    skills: Mapping[str, int] = msgspec.field(default_factory=dict)
    parts: Mapping[str, int] = msgspec.field(default_factory=dict)

    def __post_init__(self) -> None:
        if not 1 <= self.duration_minutes <= DURATION_MINUTES_MAX:
            raise ValueError(f"duration_minutes must be between 1 and {DURATION_MINUTES_MAX}")
        _check_aware("earliest", self.earliest)
        if self.due_at is not None:
            _check_aware("due_at", self.due_at)
        Priority(self.priority)
        _check_levels(self.skills)
        if any(quantity < 1 for quantity in self.parts.values()):
            raise ValueError("quantities of parts must be 1 or more")


class Candidate(msgspec.Struct, frozen=True, kw_only=True):
    """An engineer as the pick sees one.

    `position` is the last known place, else home; from there the way to the first visit of a shift is
    counted. `load_minutes` is the work already given for the day. An engineer without `territory_id` works in
    all of them. Levels of van stock may be negative: a phone's truth can run ahead of the books.
    """

    id: str
    name: str
    position: Point | None = None
    skills: Mapping[str, int] = msgspec.field(default_factory=dict)
    shifts: tuple[Interval, ...] = ()
    absences: tuple[Interval, ...] = ()
    busy: tuple[Busy, ...] = ()
    load_minutes: float = 0.0
    territory_id: str | None = None
    online: bool = True
    van_stock: Mapping[str, int] = msgspec.field(default_factory=dict)

    def __post_init__(self) -> None:
        _check_levels(self.skills)
        if not 0 <= self.load_minutes < float("inf"):
            raise ValueError("load_minutes must be finite and not negative")


@dataclass(frozen=True, slots=True, kw_only=True)
class Weights:
    """How much each soft objective counts; not negative, at least one positive. Only their ratios matter."""

    travel: float
    due: float
    load: float
    skill_fit: float
    parts: float

    def __post_init__(self) -> None:
        values = self.as_tuple()
        if not all(0 <= value < float("inf") for value in values) or sum(values) <= 0:
            raise ValueError("weights must be finite, not negative, and not all zero")

    def as_tuple(self) -> tuple[float, float, float, float, float]:
        """In the order of `COMPONENTS`."""
        return (self.travel, self.due, self.load, self.skill_fit, self.parts)


#: The components of a score, in the order of `Weights.as_tuple`.
COMPONENTS: Final = ("travel", "due", "load", "skill_fit", "parts")


def _default_weights() -> Mapping[Priority, Weights]:
    return {
        # Service is down: who can be there soonest. Sparing rare skills and evening out hours can wait.
        Priority.P0: Weights(travel=30, due=50, load=5, skill_fit=5, parts=10),
        Priority.P1: Weights(travel=30, due=25, load=20, skill_fit=15, parts=10),
        # Nothing burns: spare the rare skills and the road.
        Priority.P2: Weights(travel=35, due=10, load=25, skill_fit=20, parts=10),
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class PickPolicy:
    """Work rules and objectives of a pick; never edited, a change is a new `version`. Raises ValueError.

    `travel_minutes_max`: further than this is TOO_FAR. `travel_minutes_unknown`: assumed for a leg of which
    one end has no point; nobody is too far by it. `slack_minutes_full`: that much time before the due moment
    is as good as any more. `late_minutes_half`: each such delay halves what a late slot is worth.
    `due_minutes_default`: a need without a due moment counts as due so long after its earliest, because no
    date must never mean never. `load_minutes_full`: a day's work; from there on the load component is 0.
    """

    version: str = "2026-1"
    travel_minutes_max: float = 90.0
    travel_minutes_unknown: float = 30.0
    slack_minutes_full: float = 480.0
    late_minutes_half: float = 240.0
    due_minutes_default: float = 2880.0
    load_minutes_full: float = 480.0
    parts_hard: bool = False
    territory_hard: bool = True
    weights: Mapping[Priority, Weights] = field(default_factory=_default_weights)

    def __post_init__(self) -> None:
        if not self.version:
            raise ValueError("a policy needs a version")
        for name in (
            "travel_minutes_max",
            "travel_minutes_unknown",
            "slack_minutes_full",
            "late_minutes_half",
            "due_minutes_default",
            "load_minutes_full",
        ):
            if not 0 < getattr(self, name) < float("inf"):
                raise ValueError(f"{name} must be finite and positive")
        if self.travel_minutes_unknown > self.travel_minutes_max:
            raise ValueError("travel_minutes_unknown must not be above travel_minutes_max")
        missing = [priority.value for priority in Priority if priority not in self.weights]
        if missing:
            raise ValueError(f"no weights for {', '.join(missing)}")
        object.__setattr__(self, "weights", MappingProxyType(dict(self.weights)))


STANDARD: Final = PickPolicy()

Detail = Mapping[str, str | int | float]


class Reason(msgspec.Struct, frozen=True):
    """One reason against an engineer; `detail` holds the figures that `explain` puts into words."""

    code: ReasonCode
    detail: Detail = msgspec.field(default_factory=dict)


class Ranked(msgspec.Struct, frozen=True, kw_only=True):
    """An engineer who can: score 0..100, its components 0..1 each, the earliest slot (UTC), the way there.

    `notes` are what speaks against this engineer without ruling it out.
    """

    id: str
    score: float
    components: Mapping[str, float]
    slot_start: datetime
    slot_end: datetime
    travel_minutes: float
    notes: tuple[Reason, ...] = ()


class Out(msgspec.Struct, frozen=True):
    """An engineer who cannot, with every reason that was found.

    Slots are looked for only where skills, territory, presence, parts and shift allow it, so TOO_FAR and
    SHIFT_FULL stand alone.
    """

    id: str
    reasons: tuple[Reason, ...]


@dataclass(frozen=True, slots=True)
class PickResult:
    """A pick with all its reasons.

    `ranked` (best first; equal scores by id) and `out` (by id) are read-only sequences that together hold
    every candidate. They make their items when asked: among 10,000 engineers few callers read more than the
    first ten. `out_counts` says how many engineers each hard reason ruled out.
    """

    policy_version: str
    best: str | None
    ranked: Sequence[Ranked]
    out: Sequence[Out]
    out_counts: Mapping[ReasonCode, int]

    def record(self, *, ranked_max: int | None = None, out_max: int | None = None) -> dict[str, object]:
        """The decision as JSON values, to be stored; with limits, the full numbers are still told."""
        return {
            "policy_version": self.policy_version,
            "best": self.best,
            "ranked_count": len(self.ranked),
            "out_count": len(self.out),
            "out_counts": {code.value: count for code, count in self.out_counts.items()},
            "ranked": msgspec.to_builtins(list(self.ranked[:ranked_max])),
            "out": msgspec.to_builtins(list(self.out[:out_max])),
        }


def _check_aware(name: str, at: datetime) -> None:
    if at.tzinfo is None:
        raise ValueError(f"{name} must carry a time zone")


def _check_interval(start: datetime, end: datetime) -> None:
    _check_aware("start", start)
    _check_aware("end", end)
    if end <= start:
        raise ValueError("an interval must end after it starts")


def _check_levels(skills: Mapping[str, int]) -> None:
    for skill, level in skills.items():
        if not 1 <= level <= SKILL_LEVEL_MAX:
            raise ValueError(f"level of skill {skill!r} must be between 1 and {SKILL_LEVEL_MAX}")


# ------------------------------------------------------------------------------------------------ instants
# Inside the pick a time is whole microseconds since 1970 UTC: numpy compares them exactly and fast.

MINUTE_US: Final = 60_000_000
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


def to_us(at: datetime) -> int:
    """Microseconds since 1970 UTC of an aware time."""
    return (at - _EPOCH) // _MICROSECOND


def from_us(us: int) -> datetime:
    """The UTC time of microseconds since 1970."""
    return _EPOCH + timedelta(microseconds=int(us))
