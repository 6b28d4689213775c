"""Whether an on-site event happened at the site, as far as its position can tell.

The verdict is a note on the event, never a reason to refuse it: a phone in a cellar knows its place badly,
and the work was done all the same. Distances are on the ellipsoid because the verdict is evidence.

An event made without a network has no verdict until it arrives: the phone shows it as unvalidated. Its verdict is given then,
by the fix of when it was made, and carries the flag `offline`, as nobody could have looked while it happened.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Literal

from callout_geo.distance import ellipsoid_m
from callout_geo.points import Point

#: Below this, ordinary city GPS error decides instead of the engineer's place.
RADIUS_MIN_M: Final = 100.0

#: A fix worse than this says nothing about a site of that size.
ACCURACY_CAP_M: Final = 150.0

#: 360 km/h: faster than any train an engineer takes to a site; a jump above it is a forged or broken fix.
SPEED_MAX_M_PER_S: Final = 100.0

#: No degree of latitude or longitude is longer (a meridian's at the poles).
DEGREE_MAX_M: Final = 111_700.0

Kind = Literal["inside", "outside", "unverified", "no_position", "no_site"]
Flag = Literal["mock", "impossible_speed", "no_accuracy", "offline"]

#: A phone with a network sends within seconds; a tunnel, a retry and a busy minute are not yet "offline".
OFFLINE_AFTER: Final = timedelta(minutes=2)


@dataclass(frozen=True, slots=True)
class Fix:
    """A position that is trusted, with the time it was taken (aware)."""

    point: Point
    at: datetime
    accuracy_m: float = 0.0


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the geofence says of one event.

    `inside` and `outside` are said only of a fix whose accuracy is known and not above the cap; otherwise
    `unverified`. `distance_m` is on the ellipsoid, None without both points. `flags` are sorted.
    """

    kind: Kind
    distance_m: float | None
    flags: tuple[Flag, ...] = ()

    @property
    def trusted(self) -> bool:
        """Whether this fix may serve as the previous trusted fix of the next event. Late is no reason against it."""
        return self.kind != "no_position" and not set(self.flags) - {"offline"}


def judge(
    *,
    event_point: Point | None,
    site_point: Point | None,
    accuracy_m: float | None,
    mock: bool = False,
    at: datetime | None = None,
    previous: Fix | None = None,
    radius_m: float = RADIUS_MIN_M,
    accuracy_cap_m: float = ACCURACY_CAP_M,
    speed_max_m_per_s: float = SPEED_MAX_M_PER_S,
    received_at: datetime | None = None,
) -> Verdict:
    """The verdict for one event; any value gives one, nothing raises.

    Inside means distance ≤ radius + min(accuracy, cap). A radius below `RADIUS_MIN_M` counts as that minimum.
    An accuracy that is missing, negative or not finite counts as unknown. `at` is the event's corrected time;
    with `previous` it shows an impossible speed, with `received_at` (the server's time) whether it was made offline.
    """
    accuracy = _usable(accuracy_m)
    flags: list[Flag] = []
    if mock:
        flags.append("mock")
    if at is not None and received_at is not None and received_at - at > OFFLINE_AFTER:
        flags.append("offline")
    if event_point is None:
        return Verdict("no_position", None, tuple(flags))  # in order of the alphabet already
    if accuracy is None:
        flags.append("no_accuracy")
    if (
        previous is not None
        and at is not None
        and _impossible(event_point, at, accuracy or 0.0, previous, speed_max_m_per_s)
    ):
        flags.append("impossible_speed")
    flags.sort()
    if site_point is None:
        return Verdict("no_site", None, tuple(flags))

    distance_m = ellipsoid_m(event_point, site_point)
    radius = radius_m if math.isfinite(radius_m) else RADIUS_MIN_M
    kind: Kind
    if accuracy is None or accuracy > accuracy_cap_m:
        kind = "unverified"
    elif distance_m <= max(radius, RADIUS_MIN_M) + min(accuracy, accuracy_cap_m):
        kind = "inside"
    else:
        kind = "outside"
    return Verdict(kind, distance_m, tuple(flags))


def _usable(accuracy_m: float | None) -> float | None:
    if accuracy_m is None or not math.isfinite(accuracy_m) or accuracy_m < 0:
        return None
    return accuracy_m


def _at_most_m(a: Point, b: Point) -> float:
    """No distance on the ellipsoid is longer: first along the meridian, then along the equator, where degrees are longest."""
    return DEGREE_MAX_M * (abs(a.lat - b.lat) + abs(a.lng - b.lng))


def _impossible(
    point: Point, at: datetime, accuracy_m: float, previous: Fix, speed_max_m_per_s: float
) -> bool:
    # Both fixes may be wrong by their accuracy, so that much of the jump is no movement. Events arrive in any
    # order, so the earlier of the two may be the new one: only the time between them counts. Under a second
    # the clock's own grain would decide, hence the floor.
    seconds = max(abs((at - previous.at).total_seconds()), 1.0)
    if _at_most_m(previous.point, point) <= speed_max_m_per_s * seconds:
        return False
    moved_m = ellipsoid_m(previous.point, point) - accuracy_m - (_usable(previous.accuracy_m) or 0.0)
    return moved_m / seconds > speed_max_m_per_s
