"""How long a way takes: metres as the crow flies × circuity ÷ the speed of that hour of the week.

The hour of the week is the local one, 0 from Monday 00:00 to 167 from Sunday 23:00, because traffic follows people's
clocks. All instants are whole microseconds (or seconds) since 1970 UTC.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Final, SupportsInt, overload
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import ArrayLike, NDArray

from callout_geo.distance import (
    CIRCUITY,
    EARTH_RADIUS_M,
    TRAVEL_SPEED_KM_PER_HOUR,
    unit_vectors,
)
from callout_geo.point_arrays import Floats, checked_points

Ints = NDArray[np.int64]

HOURS_PER_WEEK: Final = 168
#: 1970-01-01 was a Thursday.
_EPOCH_HOUR_OF_WEEK: Final = 3 * 24

SPEED_MIN_KM_PER_HOUR: Final = 1.0
SPEED_MAX_KM_PER_HOUR: Final = 200.0
CIRCUITY_MAX: Final = 5.0

#: Hours whose mean stands for "some time in the week": Monday to Friday, 08:00 to 18:00 local.
WORKING_HOURS: Final = tuple(day * 24 + hour for day in range(5) for hour in range(8, 18))

#: A matrix of this many places has 10^8 pairs: 400 MB in float32. Whoever has more plans by territory.
PLACES_MAX: Final = 10_000

YEAR_MIN: Final = 1970
YEAR_MAX: Final = 2200
_ROWS_AT_ONCE: Final = 128


class BadTravel(ValueError):
    """A travel model that cannot hold. `field` names the part, `reason` says what was wrong, in English for logs."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(f"{field}: {reason}")
        self.field = field
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Travel:
    """Speeds by local hour of the week in km/h on the road, door to door, and metres of road per straight metre.

    Checked where it is built: 168 speeds within 1 to 200 km/h, circuity within 1 to 5, a time zone of the IANA list;
    anything else raises `BadTravel`.
    """

    circuity: float = CIRCUITY
    km_per_hour: tuple[float, ...] = (TRAVEL_SPEED_KM_PER_HOUR,) * HOURS_PER_WEEK
    time_zone: str = "UTC"
    _minutes_per_metre: Floats = field(init=False, repr=False, compare=False)
    _mean: float = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not _number(self.circuity) or not 1.0 <= self.circuity <= CIRCUITY_MAX:
            raise BadTravel("circuity", f"must be between 1 and {CIRCUITY_MAX:g}")
        speeds = tuple(self.km_per_hour)
        if len(speeds) != HOURS_PER_WEEK:
            raise BadTravel("km_per_hour", f"must have {HOURS_PER_WEEK} values, not {len(speeds)}")
        for hour, speed in enumerate(speeds):
            if not _number(speed) or not SPEED_MIN_KM_PER_HOUR <= speed <= SPEED_MAX_KM_PER_HOUR:
                limits = f"{SPEED_MIN_KM_PER_HOUR:g} and {SPEED_MAX_KM_PER_HOUR:g}"
                raise BadTravel(f"km_per_hour[{hour}]", f"must be between {limits}")
        try:
            ZoneInfo(self.time_zone)
        except (KeyError, ValueError, OSError, TypeError, AttributeError):
            raise BadTravel("time_zone", "is not in the list of time zones") from None
        # Built so that 1.35 at 28 km/h gives the very figures of `distance.travel_minutes`.
        pace = self.circuity / (np.asarray(speeds, np.float64) * 1000.0 / 60.0)
        pace.setflags(write=False)
        object.__setattr__(self, "km_per_hour", speeds)
        object.__setattr__(self, "_minutes_per_metre", pace)
        object.__setattr__(self, "_mean", _mean_pace(pace, WORKING_HOURS))

    def hour_of_week(self, at_us: ArrayLike) -> Ints:
        """Local hours of the week 0..167 of instants in microseconds since 1970 UTC, in the same shape."""
        return self.hour_of_week_s(np.floor_divide(_whole("at_us", at_us), 1_000_000))

    def hour_of_week_s(self, at_s: ArrayLike) -> Ints:
        """Local hours of the week 0..167 of instants in seconds since 1970 UTC, in the same shape.

        Right over clock changes: in the night when clocks go back one local hour lasts twice as long. BadTravel outside
        the years 1970 to 2200.
        """
        seconds = _whole("at_s", at_s)
        if seconds.size == 0:
            return np.zeros(seconds.shape, np.int64)
        first, last = _year(int(seconds.min())), _year(int(seconds.max()))
        if first < YEAR_MIN or last > YEAR_MAX:
            raise BadTravel("at", f"must be between the years {YEAR_MIN} and {YEAR_MAX}")
        tables = [_offsets(self.time_zone, year) for year in range(first, last + 1)]
        starts = np.concatenate([table[0] for table in tables])
        offsets = np.concatenate([table[1] for table in tables])
        local = seconds + offsets[np.searchsorted(starts, seconds, side="right") - 1]
        result: Ints = (np.floor_divide(local, 3600) + _EPOCH_HOUR_OF_WEEK) % HOURS_PER_WEEK
        return result

    @overload
    def minutes(self, metres: float, hour: SupportsInt | None = None) -> float: ...
    @overload
    def minutes(self, metres: Floats, hour: Ints | SupportsInt | None = None) -> Floats: ...
    def minutes(self, metres: float | Floats, hour: Ints | SupportsInt | None = None) -> float | Floats:
        """Minutes on the road for metres as the crow flies, in that hour of the week; NaN gives NaN.

        `hour` is one hour, or an array that broadcasts with `metres`. None: the mean of the working hours (Monday to
        Friday, 08 to 18), mean of the minutes, thus harmonic in the speeds.
        """
        if hour is None:
            return metres * self._mean
        if isinstance(hour, np.ndarray):
            return metres * self._minutes_per_metre[_hours(hour)]
        return metres * float(self._minutes_per_metre[int(_hours(int(hour)))])


def matrix_metres(
    lats: ArrayLike, lngs: ArrayLike, dtype: type[np.float32] | type[np.float64] = np.float32
) -> NDArray[np.floating[Any]]:
    """Great-circle metres between each two of n places, shape (n, n), zero on the diagonal, symmetric.

    A place of NaN degrees is unknown: NaN to and from everywhere, and 0 to itself. float32 is a metre wrong at most
    and takes half the room. Raises `BadPoints`.
    """
    lat, lng = checked_points(lats, lngs, unknown=True, at_most=PLACES_MAX)
    result: NDArray[np.floating[Any]] = np.empty((len(lat), len(lat)), dtype)
    vectors = unit_vectors(lat, lng)
    for start in range(0, len(lat), _ROWS_AT_ONCE):
        result[start : start + _ROWS_AT_ONCE] = _rows(vectors, start)
    return result


def matrix_seconds(
    travel: Travel,
    lats: ArrayLike,
    lngs: ArrayLike,
    *,
    unknown_minutes: float,
    hours: ArrayLike | None = None,
) -> NDArray[np.int32]:
    """Whole seconds on the road between each two of n places, rounded up, shape (n, n), zero on the diagonal.

    `unknown_minutes` stands for every way from or to a place of NaN degrees. `hours` are the hours of the week whose mean
    holds, with repetition as weight (None: the working hours). Raises `BadPoints`, `BadTravel`.
    """
    if not _number(unknown_minutes) or not 0.0 <= unknown_minutes <= 24 * 60:
        raise BadTravel("unknown_minutes", "must be between 0 and 1440")
    lat, lng = checked_points(lats, lngs, unknown=True, at_most=PLACES_MAX)
    pace = travel.minutes(1.0) if hours is None else _mean_pace(travel._minutes_per_metre, hours)
    result = np.empty((len(lat), len(lat)), np.int32)
    vectors = unit_vectors(lat, lng)
    for start in range(0, len(lat), _ROWS_AT_ONCE):
        seconds = np.ceil(_rows(vectors, start) * (pace * 60.0))
        seconds[np.isnan(seconds)] = math.ceil(unknown_minutes * 60.0)
        result[start : start + _ROWS_AT_ONCE] = seconds
    np.fill_diagonal(result, 0)
    return result


def _rows(vectors: Floats, start: int) -> Floats:
    """Metres from the places of some rows to all places. The chord between unit vectors, as in `vector_distance_m`."""
    origins = vectors[start : start + _ROWS_AT_ONCE]
    squared = np.zeros((len(origins), len(vectors)))
    for axis in range(3):
        squared += (origins[:, None, axis] - vectors[None, :, axis]) ** 2
    metres: Floats = 2.0 * EARTH_RADIUS_M * np.arcsin(np.minimum(0.5 * np.sqrt(squared), 1.0))
    metres[np.arange(len(origins)), start + np.arange(len(origins))] = 0.0
    return metres


def _number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _whole(name: str, values: ArrayLike) -> Ints:
    array = np.asarray(values)
    if array.size == 0:
        return np.zeros(array.shape, np.int64)
    if array.dtype.kind not in "iu":
        raise BadTravel(name, "must be whole numbers")
    return array.astype(np.int64)


def _hours(hours: ArrayLike) -> Ints:
    array = _whole("hour", hours)
    if array.size and (int(array.min()) < 0 or int(array.max()) >= HOURS_PER_WEEK):
        raise BadTravel("hour", f"must be between 0 and {HOURS_PER_WEEK - 1}")
    return array


def _mean_pace(pace: Floats, hours: ArrayLike) -> float:
    chosen = _hours(np.asarray(hours))
    if chosen.size == 0:
        raise BadTravel("hours", "must name at least one hour")
    return float(pace[chosen].mean())


def _year(seconds: int) -> int:
    try:
        return datetime.fromtimestamp(seconds, UTC).year
    except (OverflowError, ValueError, OSError):
        return YEAR_MAX + 1


@lru_cache(maxsize=512)
def _offsets(time_zone: str, year: int) -> tuple[Ints, Ints]:
    """From which second on which offset from UTC holds in a UTC year: two arrays of one length, from the year's start.

    Looked at once a day and halved down to the second where two days differ; no zone changes its clock twice within a day.
    """
    zone = ZoneInfo(time_zone)

    def offset(seconds: int) -> int:
        moved = datetime.fromtimestamp(seconds, zone).utcoffset()
        return 0 if moved is None else int(moved.total_seconds())

    here = int(datetime(year, 1, 1, tzinfo=UTC).timestamp())
    end = int(datetime(year + 1, 1, 1, tzinfo=UTC).timestamp())
    starts, offsets = [here], [offset(here)]
    while here < end:
        then = min(here + 86_400, end)
        if offset(then - 1) != offsets[-1]:
            low, high = here, then - 1
            while high - low > 1:
                middle = (low + high) // 2
                low, high = (middle, high) if offset(middle) == offsets[-1] else (low, middle)
            starts.append(high)
            offsets.append(offset(high))
        here = then
    return np.array(starts, np.int64), np.array(offsets, np.int64)


STANDARD_TRAVEL: Final = Travel()
