"""Whether one engineer can be at a site at a given time, and if not, why. Pure.

The pick looks for the earliest slot; a dispatcher who names a time asks about that time.
"""

from dataclasses import replace
from datetime import datetime, timedelta

import msgspec
import numpy as np

from callout_dispatch.pick_reasons import full, moment_reasons
from callout_dispatch.pick_roster import Roster
from callout_dispatch.pick_rules import judge, stock_of
from callout_dispatch.pick_slots import EVERYBODY, Legs, search, terms_of
from callout_dispatch.pick_tables import minute_of
from callout_dispatch.pick_terms import Need, Reason, ReasonCode, to_us
from callout_dispatch.policy import STANDARD, Policy
from callout_geo.distance import haversine_m
from callout_geo.points import Point
from callout_geo.travel import STANDARD_TRAVEL, Travel

_OF_TIME = frozenset({ReasonCode.NO_SHIFT, ReasonCode.ABSENT})


class SlotAt(msgspec.Struct, frozen=True, kw_only=True):
    """The slot asked for, the way to it in minutes, and every reason against it; it is free when there is none."""

    start: datetime
    end: datetime
    travel_minutes: float
    reasons: tuple[Reason, ...] = ()


def slot_at(
    need: Need, roster: Roster, start: datetime, policy: Policy = STANDARD, travel: Travel | None = None
) -> SlotAt:
    """Judge the slot that begins at `start` for the one engineer of `roster`.

    The way there must fit between the need's earliest moment, or what the engineer does before, and `start`; the way
    on must fit before what comes after. Raises ValueError unless the roster holds exactly one engineer.
    """
    if len(roster) != 1:
        raise ValueError("a slot is judged for one engineer")
    travel = travel or roster.travel
    tables, candidate = roster.tables, roster.candidates[0]
    end = start + timedelta(minutes=need.duration_minutes)
    broken = judge(need, roster, policy, stock_of(need, roster)).broken
    reasons = [one.reason(0) for one in broken if one.code not in _OF_TIME and one.who()[0]]

    at = minute_of(to_us(start))
    legs = Legs(need.point, travel, policy.travel_minutes_unknown)
    terms = replace(terms_of(need, roster, policy), at=at, whole=False)
    slots = search(tables, legs, terms, EVERYBODY)
    if slots.start[0] < np.inf:
        way = float(slots.travel[0])
    else:
        inside = [n for n in range(len(tables.start)) if tables.start[n, 0] <= at < tables.end[n, 0]]
        if inside:
            way = float(legs.minutes(tables.origin[inside[0]], EVERYBODY, at)[0])
            way = policy.travel_minutes_unknown if np.isnan(way) else way
            reasons.extend(moment_reasons(need, tables, legs, terms, inside[0], at, way))
        else:
            way = leg_minutes(candidate.position, need.point, policy, travel, start)
            reasons.extend(moment_reasons(need, tables, legs, terms, None, at, way))
            if not any(shift.start <= start < shift.end for shift in candidate.shifts):
                reasons.append(Reason(ReasonCode.NO_SHIFT))
            elif any(absence.start <= start < absence.end for absence in candidate.absences):
                reasons.append(Reason(ReasonCode.ABSENT))
            else:
                reasons.append(full(need, way, 0))
    return SlotAt(start=start, end=end, travel_minutes=round(way, 2), reasons=tuple(reasons))


def leg_minutes(
    origin: Point | None,
    target: Point | None,
    policy: Policy = STANDARD,
    travel: Travel = STANDARD_TRAVEL,
    at: datetime | None = None,
) -> float:
    """Minutes on the road; what the policy assumes where an end is unknown. `at`: in that hour of the week."""
    if origin is None or target is None:
        return policy.travel_minutes_unknown
    hour = None if at is None else int(travel.hour_of_week(to_us(at)))
    return travel.minutes(haversine_m(origin, target), hour)
