"""From position fixes to metres driven, stops and a line for the map.

A fix is a place within its accuracy. Nobody has moved until two fixes are farther apart than both accuracies together, so
that a phone that lies on a table drives nowhere, however its fixes dance. What lies between two such places is measured
straight: with a fix every few seconds that is the road to a few per cent, and never more than the road. A hole of minutes is
another matter: it is bridged by the straight distance × circuity and told apart, because it is a guess.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Final, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from callout_geo.distance import CIRCUITY, EARTH_RADIUS_M, unit_vectors
from callout_geo.geofence import ACCURACY_CAP_M, SPEED_MAX_M_PER_S
from callout_geo.point_arrays import BadPoints, Floats, checked_points
from callout_geo.points import Point

Ints = NDArray[np.int64]
Dropped = Literal["mock", "inaccurate", "duplicate", "impossible_speed"]

#: More than a fix a second for a day.
FIXES_MAX: Final = 100_000

#: How many runs of fixes back one looks for the one that goes on where the present one starts.
_LOOK_BACK: Final = 40

#: A line is thinned in pieces of so many points; their ends stay.
_PIECE: Final = 2_000


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackRules:
    """What counts as what. Checked here (ValueError)."""

    accuracy_cap_m: float = ACCURACY_CAP_M
    """A fix worse than this is dropped; one of unknown accuracy counts as just this bad."""
    speed_max_m_per_s: float = SPEED_MAX_M_PER_S
    standing_m: float = 25.0
    """Less than this is standing, however good the fixes say they are."""
    stop_s_min: float = 180.0
    gap_s_max: float = 300.0
    """Longer without a fix is a gap."""
    circuity: float = CIRCUITY

    def __post_init__(self) -> None:
        for name in self.__slots__:
            if not 0 < getattr(self, name) <= 1e6:
                raise ValueError(f"{name} must be above 0")
        if self.circuity < 1:
            raise ValueError("circuity must be 1 or more")


STANDARD_RULES: Final = TrackRules()


@dataclass(frozen=True, slots=True)
class Stop:
    """Somebody stood here, from the first to the last fix at this place (microseconds since 1970 UTC)."""

    start_us: int
    end_us: int
    point: Point


@dataclass(frozen=True, slots=True)
class Gap:
    """No fix for long, and elsewhere afterwards: `metres` are those bridged, circuity included."""

    start_us: int
    end_us: int
    metres: float


@dataclass(frozen=True, slots=True, eq=False)
class Drive:
    """What the fixes say. `metres` = `measured_m` + `bridged_m`; `line` are indexes of the fixes given, in order of time,
    between which somebody moved."""

    measured_m: float
    bridged_m: float
    stops: tuple[Stop, ...]
    gaps: tuple[Gap, ...]
    dropped: Mapping[Dropped, int]
    line: Ints

    @property
    def metres(self) -> float:
        """Metres driven."""
        return self.measured_m + self.bridged_m


def drive(
    at_us: ArrayLike,
    lats: ArrayLike,
    lngs: ArrayLike,
    accuracy_m: ArrayLike,
    mock: ArrayLike | None = None,
    rules: TrackRules = STANDARD_RULES,
) -> Drive:
    """The drive of one engineer's fixes, all of shape (n,), in any order.

    `at_us` are whole microseconds since 1970 UTC, corrected; `accuracy_m` is NaN or negative where unknown. Of several
    fixes of one instant the most accurate counts. Raises `BadPoints`.
    """
    lat, lng = checked_points(lats, lngs, at_most=FIXES_MAX)
    at = _column("at_us", at_us, len(lat), "iu").astype(np.int64)
    accuracy = _column("accuracy_m", accuracy_m, len(lat), "iuf").astype(np.float64)
    fake = (
        np.zeros(len(lat), np.bool_)
        if mock is None
        else _column("mock", mock, len(lat), "b").astype(np.bool_)
    )
    accuracy = np.where(np.isfinite(accuracy) & (accuracy >= 0), accuracy, rules.accuracy_cap_m)

    bad = accuracy > rules.accuracy_cap_m
    kept = np.flatnonzero(~fake & ~bad)
    # Ties are broken by what the fix says, never by when it arrived.
    kept = kept[np.lexsort((lng[kept], lat[kept], accuracy[kept], at[kept]))]
    first = np.ones(len(kept), np.bool_)
    first[1:] = np.diff(at[kept]) > 0
    doubles = int((~first).sum())
    kept = kept[first]
    possible = _possible(at[kept], unit_vectors(lat[kept], lng[kept]), accuracy[kept], rules)
    dropped: dict[Dropped, int] = {
        "mock": int(fake.sum()),
        "inaccurate": int((bad & ~fake).sum()),
        "duplicate": doubles,
        "impossible_speed": len(kept) - len(possible),
    }
    kept = kept[possible]
    return _walk(kept, at[kept], lat[kept], lng[kept], accuracy[kept], rules, dropped)


def thin(lats: ArrayLike, lngs: ArrayLike, tolerance_m: float = 10.0) -> Ints:
    """Indexes of the points that draw the same line to within `tolerance_m`; first and last always. Raises `BadPoints`.

    Douglas and Peucker, Algorithms for the reduction of the number of points required to represent a digitized line
    (Cartographica, 1973), on degrees flattened around the line's middle, in pieces of 2,000 points.
    """
    lat, lng = checked_points(lats, lngs, at_most=FIXES_MAX)
    if not 0 < tolerance_m <= 1e6:
        raise BadPoints("tolerance_m", "out_of_range")
    n = len(lat)
    if n <= 2:
        return np.arange(n)
    middle = np.radians((lat.min() + lat.max()) / 2.0)
    # Longitudes from the first point on, so that a line over 180° stays one line.
    east = (lng - lng[0] + 180.0) % 360.0 - 180.0
    flat = EARTH_RADIUS_M * np.radians(np.column_stack((east * np.cos(middle), lat)))
    stays = np.zeros(n, np.bool_)
    ends = [*range(0, n - 1, _PIECE), n - 1]
    stays[ends] = True
    spans = list(pairwise(ends))
    while spans:
        left, right = spans.pop()
        if right - left < 2:
            continue
        off = _off_line(flat[left + 1 : right], flat[left], flat[right])
        farthest = int(np.argmax(off))
        if off[farthest] > tolerance_m:
            split = left + 1 + farthest
            stays[split] = True
            spans += [(left, split), (split, right)]
    return np.flatnonzero(stays).astype(np.int64)


def _off_line(points: Floats, start: Floats, end: Floats) -> Floats:
    """Distances of points (n, 2) from the stretch between two."""
    along = end - start
    squared = float(along @ along)
    share = np.zeros(len(points)) if squared == 0.0 else np.clip((points - start) @ along / squared, 0.0, 1.0)
    off: Floats = np.linalg.norm(points - start - share[:, None] * along, axis=1)
    return off


def _possible(at: Ints, vectors: Floats, accuracy: Floats, rules: TrackRules) -> Ints:
    """Indexes of the longest chain of fixes between which nobody had to fly.

    Fixes fall into runs within which every step is possible; a jump away and back makes a short run between two long ones.
    The chain is put together from whole runs, as many fixes as possible, so that it does not matter whether the odd fix
    came first or last.
    """
    n = len(at)
    if n < 2:
        return np.arange(n)
    breaks = np.flatnonzero(~_reachable(at, vectors, accuracy, np.arange(n - 1), np.arange(1, n), rules)) + 1
    if not len(breaks):
        return np.arange(n)
    starts = np.concatenate(([0], breaks))
    ends = np.concatenate((breaks, [n])) - 1
    sizes = ends - starts + 1
    best, before = sizes.copy(), np.full(len(sizes), -1)
    for run in range(1, len(sizes)):
        earlier = np.arange(max(0, run - _LOOK_BACK), run)
        fits = _reachable(at, vectors, accuracy, ends[earlier], np.full(len(earlier), starts[run]), rules)
        if fits.any():
            gains = np.where(fits, best[earlier], 0)
            choice = int(np.argmax(gains))
            best[run] += gains[choice]
            before[run] = earlier[choice]
    chain, run = [], int(np.argmax(best))
    while run >= 0:
        chain.append(np.arange(starts[run], ends[run] + 1))
        run = int(before[run])
    return np.concatenate(chain[::-1])


def _reachable(
    at: Ints, vectors: Floats, accuracy: Floats, earlier: Ints, later: Ints, rules: TrackRules
) -> NDArray[np.bool_]:
    """Whether one can have come from one fix to the other, both wrong by their accuracy. Under a second counts as one."""
    chord = np.linalg.norm(vectors[later] - vectors[earlier], axis=1)
    metres = 2.0 * EARTH_RADIUS_M * np.arcsin(np.minimum(chord / 2.0, 1.0))
    seconds = np.maximum((at[later] - at[earlier]) / 1e6, 1.0)
    able: NDArray[np.bool_] = (
        metres - accuracy[earlier] - accuracy[later] <= rules.speed_max_m_per_s * seconds
    )
    return able


def _walk(
    kept: Ints,
    at: Ints,
    lat: Floats,
    lng: Floats,
    accuracy: Floats,
    rules: TrackRules,
    dropped: Mapping[Dropped, int],
) -> Drive:
    """From place to place. One step depends on the one before, thus a plain loop over plain numbers."""
    measured_m = bridged_m = 0.0
    stops: list[Stop] = []
    gaps: list[Gap] = []
    line: list[int] = []
    vectors: list[list[float]] = unit_vectors(lat, lng).tolist() if len(kept) else []
    times, radii = at.tolist(), accuracy.tolist()
    anchor = near = 0
    for n in range(1, len(vectors)):
        a, b = vectors[anchor], vectors[n]
        chord2 = (a[0] - b[0]) ** 2 + (a[1] - b[1]) ** 2 + (a[2] - b[2]) ** 2
        # Chord and arc differ by less than a millimetre up to 3 km; the arc itself is taken once somebody has moved.
        apart_m = max(rules.standing_m, radii[anchor] + radii[n])
        if chord2**0.5 * EARTH_RADIUS_M <= apart_m:
            near = n
            continue
        metres = 2.0 * EARTH_RADIUS_M * float(np.arcsin(min(chord2**0.5 / 2.0, 1.0)))
        _stand(stops, anchor, near, n, times, lat, lng, rules)
        if times[n] - times[near] > rules.gap_s_max * 1e6:
            metres *= rules.circuity
            bridged_m += metres
            gaps.append(Gap(times[near], times[n], metres))
        else:
            measured_m += metres
        line.append(anchor)
        anchor = near = n
    if vectors:
        _stand(stops, anchor, near, len(vectors), times, lat, lng, rules)
        line.append(anchor)
    return Drive(measured_m, bridged_m, tuple(stops), tuple(gaps), dropped, kept[np.array(line, np.int64)])


def _stand(
    stops: list[Stop],
    anchor: int,
    near: int,
    end: int,
    times: list[int],
    lat: Floats,
    lng: Floats,
    rules: TrackRules,
) -> None:
    """Adds the stop at an anchor, if it was long enough. Its place is the median of its fixes, which one cannot pull."""
    if times[near] - times[anchor] < rules.stop_s_min * 1e6:
        return
    here = slice(anchor, end)
    east = (lng[here] - lng[anchor] + 180.0) % 360.0 - 180.0
    middle = (float(np.median(east)) + float(lng[anchor]) + 180.0) % 360.0 - 180.0
    stops.append(Stop(times[anchor], times[near], Point(float(np.median(lat[here])), middle)))


def _column(field: str, values: ArrayLike, length: int, kinds: str) -> NDArray[np.generic]:
    array = np.asarray(values)
    if array.size == 0:
        array = np.zeros(array.shape, {"b": np.bool_}.get(kinds, np.int64))
    if array.ndim != 1:
        raise BadPoints(field, "not_a_list")
    if len(array) != length:
        raise BadPoints(field, "lengths_differ")
    if array.dtype.kind not in kinds:
        raise BadPoints(field, "not_a_number")
    return array
