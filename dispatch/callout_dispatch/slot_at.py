"""Whether one engineer can be at a site at a given time, and if not, why. Pure.

The pick looks for the earliest slot; a dispatcher who names a time asks about that time.
"""

from datetime import datetime, timedelta

import msgspec
import numpy as np

from callout_dispatch.pick import pick
from callout_dispatch.pick_roster import Roster
from callout_dispatch.pick_terms import MINUTE_US, STANDARD, Need, PickPolicy, Reason, ReasonCode, to_us
from callout_geo.distance import Floats, haversine_m, travel_minutes, unit_vectors, vector_distance_m
from callout_geo.points import Point

_OF_TIME = frozenset(
    {
        ReasonCode.NO_SHIFT,
        ReasonCode.ABSENT,
        ReasonCode.TOO_FAR,
        ReasonCode.SHIFT_FULL,
        ReasonCode.OVERDUE_SLOT,
    }
)


class SlotAt(msgspec.Struct, frozen=True, kw_only=True):
    """The slot asked for, the way to it in minutes, and every reason against it; it is free when there is none."""

    start: datetime
    end: datetime
    travel_minutes: float
    reasons: tuple[Reason, ...] = ()


def slot_at(need: Need, roster: Roster, start: datetime, policy: PickPolicy = STANDARD) -> SlotAt:
    """Judge the slot that begins at `start` for the one engineer of `roster`.

    The way there must fit between the need's earliest moment, or what the engineer does before, and `start`; the way
    on must fit before what comes after. Raises ValueError unless the roster holds exactly one engineer.
    """
    if len(roster) != 1:
        raise ValueError("a slot is judged for one engineer")
    candidate = roster.candidates[0]
    end = start + timedelta(minutes=need.duration_minutes)
    out = pick(need, roster, policy).out
    reasons = [reason for one in out for reason in one.reasons if reason.code not in _OF_TIME]

    start_us, end_us, earliest_us = to_us(start), to_us(end), to_us(need.earliest)
    ends, starts = roster.gap_end_us[0], roster.gap_start_us[0]
    around = np.flatnonzero((starts <= start_us) & (start_us < ends))
    if not len(around):
        way = leg_minutes(candidate.position, need.point, policy)
        if not any(shift.start <= start < shift.end for shift in candidate.shifts):
            reasons.append(Reason(ReasonCode.NO_SHIFT))
        elif any(absence.start <= start < absence.end for absence in candidate.absences):
            reasons.append(Reason(ReasonCode.ABSENT))
        else:
            reasons.append(_full(need, way, 0))
        return SlotAt(start=start, end=end, travel_minutes=round(way, 2), reasons=tuple(reasons))

    column = int(around[0])
    way = _vector_leg(roster.gap_origin[0, column], need.point, policy)
    onward = (
        _vector_leg(roster.gap_next[0, column], need.point, policy) if roster.gap_followed[0, column] else 0.0
    )
    free_from_us = max(int(starts[column]), earliest_us)
    set_out_us = start_us - int(np.ceil(way * MINUTE_US))
    on_way_us = end_us + int(np.ceil(onward * MINUTE_US))
    if way > policy.travel_minutes_max:
        figures = {"travel_minutes": round(way, 1), "travel_minutes_max": policy.travel_minutes_max}
        reasons.append(Reason(ReasonCode.TOO_FAR, figures))
    if set_out_us < free_from_us or on_way_us > int(ends[column]):
        # What is free around that very time, which is what the engineer lacks.
        free = min(int(ends[column]), on_way_us) - max(free_from_us, set_out_us)
        reasons.append(_full(need, way + onward, max(free, 0) // MINUTE_US))
    return SlotAt(start=start, end=end, travel_minutes=round(way, 2), reasons=tuple(reasons))


def leg_minutes(origin: Point | None, target: Point | None, policy: PickPolicy = STANDARD) -> float:
    """Minutes on the road; what the policy assumes where an end is unknown."""
    if origin is None or target is None:
        return policy.travel_minutes_unknown
    return travel_minutes(haversine_m(origin, target))


def _vector_leg(place: Floats, target: Point | None, policy: PickPolicy) -> float:
    if target is None or bool(np.isnan(place).any()):
        return policy.travel_minutes_unknown
    return float(travel_minutes(float(vector_distance_m(place, unit_vectors(target.lat, target.lng)))))


def _full(need: Need, way_minutes: float, free_minutes: int) -> Reason:
    needed = round(need.duration_minutes + way_minutes)
    return Reason(ReasonCode.SHIFT_FULL, {"needed_minutes": needed, "free_minutes": int(free_minutes)})
