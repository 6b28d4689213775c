"""What the feasibility checker tells: codes, violations, and a plan's stops task by task. Pure values."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from enum import StrEnum

import msgspec

from callout_dispatch.planning.terms import Lane, Plan, Problem, Stop


class Code(StrEnum):
    """What is wrong with a plan. Stored and sent, so stable."""

    UNKNOWN_TASK = "UNKNOWN_TASK"
    UNKNOWN_LANE = "UNKNOWN_LANE"
    UNKNOWN_DEPOT = "UNKNOWN_DEPOT"
    LANE_TWICE = "LANE_TWICE"
    TASK_TWICE = "TASK_TWICE"
    """More engineers than the crew has, or the same one twice."""
    TASK_LOST = "TASK_LOST"
    """Neither planned nor left."""
    LEFT_AND_PLANNED = "LEFT_AND_PLANNED"
    """Both planned and left, or left twice."""
    CREW_SHORT = "CREW_SHORT"
    CREW_APART = "CREW_APART"
    WRONG_LENGTH = "WRONG_LENGTH"
    WRONG_TRAVEL = "WRONG_TRAVEL"
    """The way that the plan tells is not that of the matrix."""
    OVERLAP = "OVERLAP"
    TOO_SOON = "TOO_SOON"
    """The engineer cannot be there yet."""
    OUTSIDE_LANE = "OUTSIDE_LANE"
    BACK_LATE = "BACK_LATE"
    ABSENT = "ABSENT"
    BEFORE_NOW = "BEFORE_NOW"
    REST_MISSING = "REST_MISSING"
    REST_WRONG = "REST_WRONG"
    """A rest at another time or of another length than agreed, or one too many."""
    SKILL = "SKILL"
    TERRITORY = "TERRITORY"
    TOO_FAR = "TOO_FAR"
    NOT_REQUIRED = "NOT_REQUIRED"
    EXCLUDED = "EXCLUDED"
    OFFLINE = "OFFLINE"
    WINDOW = "WINDOW"
    NOT_BEFORE = "NOT_BEFORE"
    DUE = "DUE"
    WORK_FULL = "WORK_FULL"
    VISITS_FULL = "VISITS_FULL"
    PART_SHORT = "PART_SHORT"
    PICKUP_FORBIDDEN = "PICKUP_FORBIDDEN"
    DEPOT_SHORT = "DEPOT_SHORT"
    FOLLOWS_MISSING = "FOLLOWS_MISSING"
    FOLLOWS_EARLY = "FOLLOWS_EARLY"
    LOCK_ENGINEER = "LOCK_ENGINEER"
    LOCK_TIME = "LOCK_TIME"


Detail = Mapping[str, str | int]


class Violation(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that is wrong. `amount` is by how much, in seconds or pieces; `detail` has the figures for the sentence.

    `standing`: reality is like that, whatever is planned.
    """

    code: Code
    task_id: str | None = None
    lane_id: str | None = None
    detail: Detail = msgspec.field(default_factory=dict)
    amount: int = 1
    standing: bool = False

    @property
    def key(self) -> tuple[str, ...]:
        """What makes two violations the same one, whatever their amount."""
        return (self.code, self.task_id or "", self.lane_id or "", str(self.detail.get("what", "")))


def minutes(seconds: int) -> int:
    """Whole minutes, rounded up, for a sentence."""
    return -(-seconds // 60)


class Booking(msgspec.Struct, frozen=True):
    """A task's stop on a lane that is known."""

    lane: Lane
    stop: Stop


def bookings_of(problem: Problem, plan: Plan) -> dict[str, list[Booking]]:
    """By task: where it stands in the plan; unknown tasks too, unknown lanes not."""
    lanes = {lane.id: lane for lane in problem.lanes}
    found: dict[str, list[Booking]] = defaultdict(list)
    for route in plan.routes:
        lane = lanes.get(route.lane_id)
        if lane is None:
            continue
        for stop in route.stops:
            if stop.kind == "task" and stop.task_id is not None:
                found[stop.task_id].append(Booking(lane, stop))
    return found
