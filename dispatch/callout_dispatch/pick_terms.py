"""What goes into a pick and what comes out of it: needs, candidates, reasons, result. Pure values.

The rules and weights are in `policy.py`.

Everything is checked once, where it is built, and raises ValueError; the pick itself trusts its input.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Final

import msgspec

from callout_geo.points import Point
from callout_orders.terms import Priority

SKILL_LEVEL_MAX: Final = 100
DURATION_MINUTES_MAX: Final = 7 * 24 * 60
CREW_MAX: Final = 10


class ReasonCode(StrEnum):
    """Why an engineer was not picked, or what speaks against one who could be. Stored, so stable."""

    SKILL_MISSING = "SKILL_MISSING"
    SKILL_LEVEL_LOW = "SKILL_LEVEL_LOW"
    OTHER_TERRITORY = "OTHER_TERRITORY"
    OTHER_REQUIRED = "OTHER_REQUIRED"
    """Somebody else is required."""
    EXCLUDED = "EXCLUDED"
    OFFLINE = "OFFLINE"
    """Hard for the priorities that the policy names; otherwise a note."""
    PART_NOT_ON_VAN = "PART_NOT_ON_VAN"
    """Hard only if the policy says so; otherwise a note."""
    NO_SHIFT = "NO_SHIFT"
    ABSENT = "ABSENT"
    TOO_FAR = "TOO_FAR"
    OUTSIDE_VISITING_HOURS = "OUTSIDE_VISITING_HOURS"
    OUTSIDE_REQUESTED_WINDOW = "OUTSIDE_REQUESTED_WINDOW"
    TOO_LATE = "TOO_LATE"
    """Only where the policy makes the due date hard."""
    CAPACITY_HOURS = "CAPACITY_HOURS"
    CAPACITY_VISITS = "CAPACITY_VISITS"
    BREAK_NEEDED = "BREAK_NEEDED"
    """The work would fit, but leave no room for a break."""
    PREDECESSOR = "PREDECESSOR"
    """Another order must be done first."""
    SHIFT_FULL = "SHIFT_FULL"
    CREW_INCOMPLETE = "CREW_INCOMPLETE"
    """Could lead, but not enough others are free at that time."""
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


class Break(msgspec.Struct, frozen=True):
    """A rest of `minutes` that lies wholly within [earliest, latest), wherever the engineer is then."""

    earliest: datetime
    latest: datetime
    minutes: int

    def __post_init__(self) -> None:
        _check_interval(self.earliest, self.latest)
        if self.minutes < 1 or self.earliest + timedelta(minutes=self.minutes) > self.latest:
            raise ValueError("a break must fit between its earliest start and its latest end")


class Shift(Interval, frozen=True):
    """A stretch in which an engineer works.

    Without `start_place` it is entered from the engineer's position; without `end_place` it ends at the engineer's own, and
    without either wherever the last visit is. `done_minutes` and `done_visits` are work of this shift that is no longer
    among the engineer's busy time. Shifts of one `day` (None: each its own) share the day's capacity.
    """

    start_place: Point | None = None
    end_place: Point | None = None
    breaks: tuple[Break, ...] = ()
    done_minutes: float = 0.0
    done_visits: int = 0
    day: int | None = None

    def __post_init__(self) -> None:
        _check_interval(self.start, self.end)
        if not 0 <= self.done_minutes < float("inf") or self.done_visits < 0:
            raise ValueError("work done in a shift must be finite and not negative")


class Need(msgspec.Struct, frozen=True, kw_only=True):
    """The work that needs an engineer, or a leader and `crew` - 1 others at the same time.

    `skills` are required levels by skill code (1 or more). `earliest` is when the engineer may set out, `not_before` when
    the work may start because another order must be done first. `due_at` is the latest moment that keeps the promise to
    arrive (the order's arrival milestone). `parts` are quantities by part. No `territory_id` means that any territory will
    do; `territory_name` is what a person calls it. `visiting` are the stretches in which the site is open (None: always,
    empty: never within the time that was looked at), `requested` that in which the customer wants the work to start.
    `required` (empty: anybody), `excluded` and `preferred` are engineers' ids.
    """

    point: Point | None
    duration_minutes: int
    earliest: datetime
    priority: Priority
    due_at: datetime | None = None
    territory_id: str | None = None
    territory_name: str = ""
    skills: Mapping[str, int] = msgspec.field(default_factory=dict)
    parts: Mapping[str, int] = msgspec.field(default_factory=dict)
    visiting: tuple[Interval, ...] | None = None
    requested: Interval | None = None
    not_before: datetime | None = None
    required: frozenset[str] = frozenset()
    excluded: frozenset[str] = frozenset()
    preferred: frozenset[str] = frozenset()
    crew: int = 1

    def __post_init__(self) -> None:
        if not 1 <= self.duration_minutes <= DURATION_MINUTES_MAX:
            raise ValueError(f"duration_minutes must be between 1 and {DURATION_MINUTES_MAX}")
        _check_aware("earliest", self.earliest)
        for name, at in (("due_at", self.due_at), ("not_before", self.not_before)):
            if at is not None:
                _check_aware(name, at)
        Priority(self.priority)
        _check_levels(self.skills)
        if any(quantity < 1 for quantity in self.parts.values()):
            raise ValueError("quantities of parts must be 1 or more")
        if not 1 <= self.crew <= CREW_MAX:
            raise ValueError(f"crew must be between 1 and {CREW_MAX}")


class Candidate(msgspec.Struct, frozen=True, kw_only=True):
    """An engineer as the pick sees one.

    `position` is the last known place, else home; from there the way to the first visit of a shift is counted, unless the
    shift has a start of its own. `end_place` is where shifts end that have no end of their own. `load_minutes` and
    `visits` are the work already given for the day. An engineer without `territory_id` works in all territories;
    `territories` are those where one also works. Limits that are None: the policy's hold. Van stock may be negative: a
    phone's truth can run ahead of the books.
    """

    id: str
    name: str
    position: Point | None = None
    end_place: Point | None = None
    skills: Mapping[str, int] = msgspec.field(default_factory=dict)
    shifts: tuple[Shift, ...] = ()
    absences: tuple[Interval, ...] = ()
    busy: tuple[Busy, ...] = ()
    load_minutes: float = 0.0
    visits: int = 0
    territory_id: str | None = None
    territory_name: str = ""
    territories: frozenset[str] = frozenset()
    online: bool = True
    van_stock: Mapping[str, int] = msgspec.field(default_factory=dict)
    travel_minutes_max: float | None = None
    work_minutes_max: float | None = None
    visits_max: int | None = None

    def __post_init__(self) -> None:
        _check_levels(self.skills)
        if not 0 <= self.load_minutes < float("inf"):
            raise ValueError("load_minutes must be finite and not negative")
        if self.visits < 0:
            raise ValueError("visits must not be negative")
        for limit in (self.travel_minutes_max, self.work_minutes_max, self.visits_max):
            if limit is not None and not 0 < limit < float("inf"):
                raise ValueError("an engineer's own limit must be finite and positive")


Detail = Mapping[str, str | int | float]


class Reason(msgspec.Struct, frozen=True):
    """One reason against an engineer; `detail` holds the figures that `explain` puts into words."""

    code: ReasonCode
    detail: Detail = msgspec.field(default_factory=dict)


class Ranked(msgspec.Struct, frozen=True, kw_only=True):
    """An engineer who can: score 0..100, its components 0..1 each, the earliest slot (UTC), the way there.

    The slot's start is the expected arrival; `set_out` is when the engineer must leave for it. `crew` are the ids of those
    who go along. `notes` are what speaks against this engineer without ruling it out.
    """

    id: str
    score: float
    components: Mapping[str, float]
    slot_start: datetime
    slot_end: datetime
    travel_minutes: float
    set_out: datetime
    crew: tuple[str, ...] = ()
    notes: tuple[Reason, ...] = ()


class Out(msgspec.Struct, frozen=True):
    """An engineer who cannot, with every reason that was found.

    Slots are looked for only where skills, territory, presence, parts and shift allow it, so the reasons that concern a
    slot (TOO_FAR, OUTSIDE_VISITING_HOURS, CAPACITY_HOURS, SHIFT_FULL and the like) stand without those.
    """

    id: str
    reasons: tuple[Reason, ...]


@dataclass(frozen=True, slots=True)
class PickResult:
    """A pick with all its reasons.

    `ranked` (best first; equal scores by id) and `out` (by id) are read-only sequences that together hold
    every candidate, and `out_counts` says how many engineers each hard reason ruled out. All three are made when asked:
    among 10,000 engineers few callers read more than the first ten.
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
