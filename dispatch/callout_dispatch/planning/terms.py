"""What a plan is asked and what it answers: tasks, lanes, problem, routes. Pure values.

All instants are whole seconds since 1970 UTC, all durations whole seconds, all places indexes into the problem's travel
matrix. A lane is one engineer's one shift: an engineer who works three days has three lanes. Everything is checked once,
where it is built (ValueError); planners trust it, and the checker of `checker.py` trusts no planner.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, Literal, Protocol

import msgspec
import numpy as np
from numpy.typing import NDArray

from callout_dispatch.pick_terms import Reason
from callout_dispatch.policy import STANDARD, Policy
from callout_orders.terms import Priority

TASKS_MAX: Final = 5_000
LANES_MAX: Final = 2_000
CREW_MAX: Final = 10

Seconds = NDArray[np.int32]


class Lock(StrEnum):
    """What of a standing visit may not change."""

    NONE = "none"
    ENGINEER = "engineer"
    """Told to its engineer, or held by hand: the time may change, the engineer may not."""
    TIME = "time"
    """On the way or later, or held by hand: neither engineer nor time."""


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """Where a task stands in the plan that holds now: its engineers, the one who leads first, and its start.

    `told`: they know of it, so that a change costs more.
    """

    engineer_ids: tuple[str, ...]
    start_s: int
    told: bool = False

    def __post_init__(self) -> None:
        if not self.engineer_ids:
            raise ValueError("a standing task has an engineer")


class Task(msgspec.Struct, frozen=True, kw_only=True):
    """One visit to be planned: that of an order that waits, or one that stands.

    `windows` are the stretches [first, last] in which the work may start, sorted and apart: site hours and requested window
    already put together, the length of the work taken off where it must also end in time. `due_s` is the promise to arrive.
    `territory_id` None: any will do. `required` empty: anybody. `crew` engineers work on it at the same time. `follows`:
    starts `follows_gap_s` or more after the end of that task (in this problem), `not_before_s` covers predecessors outside.
    """

    id: str
    order_id: str
    place: int
    service_s: int
    windows: tuple[tuple[int, int], ...]
    due_s: int
    priority: Priority
    not_before_s: int = 0
    skills: Mapping[str, int] = msgspec.field(default_factory=dict)
    territory_id: str | None = None
    required: frozenset[str] = frozenset()
    excluded: frozenset[str] = frozenset()
    preferred: frozenset[str] = frozenset()
    parts: Mapping[str, int] = msgspec.field(default_factory=dict)
    crew: int = 1
    follows: str | None = None
    follows_gap_s: int = 0
    standing: Standing | None = None
    lock: Lock = Lock.NONE

    def __post_init__(self) -> None:
        if self.service_s < 1:
            raise ValueError("service_s must be 1 or more")
        if not 1 <= self.crew <= CREW_MAX:
            raise ValueError(f"crew must be between 1 and {CREW_MAX}")
        if any(first > last for first, last in self.windows):
            raise ValueError("a window ends before it starts")
        if any(self.windows[n][1] >= self.windows[n + 1][0] for n in range(len(self.windows) - 1)):
            raise ValueError("windows must be sorted and apart")
        if self.lock is not Lock.NONE and self.standing is None:
            raise ValueError("only a standing task can be locked")
        if self.follows == self.id:
            raise ValueError("a task cannot follow itself")


class Rest(msgspec.Struct, frozen=True, kw_only=True):
    """A break: `length_s` within [earliest_s, latest_s], wherever the engineer is then."""

    earliest_s: int
    latest_s: int
    length_s: int

    def __post_init__(self) -> None:
        if self.length_s < 1 or self.earliest_s + self.length_s > self.latest_s:
            raise ValueError("a break must fit between its earliest start and its latest end")


class Lane(msgspec.Struct, frozen=True, kw_only=True):
    """One engineer's one shift [start_s, end_s), from `start_place` back to `end_place` (None: ends at the last site).

    `away` are absences within it, sorted. `territories` None: works in all. Limits None: the policy's hold. `van` is what
    the van carries at the start of this lane; an engineer's lanes share one van, in order of time.
    """

    id: str
    engineer_id: str
    start_s: int
    end_s: int
    start_place: int
    end_place: int | None = None
    rests: tuple[Rest, ...] = ()
    away: tuple[tuple[int, int], ...] = ()
    skills: Mapping[str, int] = msgspec.field(default_factory=dict)
    territory_id: str | None = None
    territories: frozenset[str] | None = None
    travel_s_max: int | None = None
    work_s_max: int | None = None
    visits_max: int | None = None
    van: Mapping[str, int] = msgspec.field(default_factory=dict)
    online: bool = True
    speed: float = 1.0
    """How fast this engineer is on the road, against the matrix."""

    def __post_init__(self) -> None:
        if self.end_s <= self.start_s:
            raise ValueError("a lane must end after it starts")
        if not 0.05 <= self.speed <= 20:
            raise ValueError("speed must be between 0.05 and 20")


class Stock(msgspec.Struct, frozen=True, kw_only=True):
    """A depot: what it holds, and how long fetching takes."""

    id: str
    place: int
    service_s: int
    parts: Mapping[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """All that a planner is told. `seconds[i, j]` is the way from place i to place j, at speed 1; 0 on the diagonal.

    `metres` is the same in metres for the figures (None: not known), `provider` who reckoned it. `now_s`: nothing starts
    earlier, except what is locked.
    """

    tasks: tuple[Task, ...]
    lanes: tuple[Lane, ...]
    seconds: Seconds
    now_s: int
    policy: Policy = STANDARD
    depots: tuple[Stock, ...] = ()
    metres: Seconds | None = None
    provider: str = "estimate"
    _by_id: dict[str, Task] = field(init=False, repr=False, compare=False, default_factory=dict)

    def __post_init__(self) -> None:
        places = len(self.seconds)
        if self.seconds.shape != (places, places) or (places and int(self.seconds.min()) < 0):
            raise ValueError("seconds must be a square matrix without negative entries")
        if len(self.tasks) > TASKS_MAX or len(self.lanes) > LANES_MAX:
            raise ValueError(f"a problem has at most {TASKS_MAX} tasks and {LANES_MAX} lanes")
        for task in self.tasks:
            if task.id in self._by_id:
                raise ValueError(f"task {task.id} comes twice")
            self._by_id[task.id] = task
            _check_place("task", task.place, places)
        for lane in self.lanes:
            _check_place("lane", lane.start_place, places)
            if lane.end_place is not None:
                _check_place("lane", lane.end_place, places)
        if len({lane.id for lane in self.lanes}) != len(self.lanes):
            raise ValueError("a lane's id comes twice")
        for task in self.tasks:
            if task.follows is not None and task.follows not in self._by_id:
                raise ValueError(f"task {task.id} follows {task.follows}, which is not here")
        for depot in self.depots:
            _check_place("depot", depot.place, places)

    def task(self, task_id: str) -> Task:
        """The task of this id; KeyError."""
        return self._by_id[task_id]

    def way_s(self, lane: Lane, start: int, end: int) -> int:
        """Whole seconds on the road of this lane's engineer, rounded up."""
        return int(np.ceil(int(self.seconds[start, end]) / lane.speed))


class Stop(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that an engineer does: work on a task, a rest, or a pick-up of parts at a depot.

    [start_s, end_s) is the work itself; `travel_s` the way to it from the stop before. A rest has no place: it is taken
    where the engineer is, before setting out. `parts` are what a pick-up takes aboard.
    """

    kind: Literal["task", "rest", "pickup"]
    start_s: int
    end_s: int
    travel_s: int = 0
    task_id: str | None = None
    depot_id: str | None = None
    parts: Mapping[str, int] = msgspec.field(default_factory=dict)


class Route(msgspec.Struct, frozen=True, kw_only=True):
    """A lane's stops in order of time; `back_s` is the way from the last of them to the lane's end place."""

    lane_id: str
    stops: tuple[Stop, ...] = ()
    back_s: int = 0


class Left(msgspec.Struct, frozen=True, kw_only=True):
    """A task that found no place; each reason with how many lanes' engineers it excludes."""

    task_id: str
    reasons: tuple[Reason, ...]


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """A planner's answer. A task of a crew stands in as many routes at the same time. Lanes without work may be missing."""

    routes: tuple[Route, ...]
    left: tuple[Left, ...] = ()
    planner: str


Progress = Callable[[float, str], None]
"""Told from time to time how far a planner is (0 to 1) and what it does (`stage`)."""


class Planner(Protocol):
    """Something that solves a problem. Runs in a process of its own; may be killed at any time."""

    name: str

    def solve(self, problem: Problem, *, seconds_max: float, seed: int, progress: Progress) -> Plan:
        """The best plan found in about `seconds_max`; the same seed gives the same plan where time does not decide,
        nor VROOM otherwise than before (`vroom_planner`)."""
        ...


def _check_place(what: str, place: int, places: int) -> None:
    if not 0 <= place < places:
        raise ValueError(f"a {what}'s place is not in the matrix")
