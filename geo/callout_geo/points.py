"""Points on the earth (WGS 84 degrees), checked once, where they are built."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

LAT_MAX_DEGREES: Final = 90.0
LNG_MAX_DEGREES: Final = 180.0

#: Around 11 m. Devices and geocoders that fail write 0/0, sometimes after a float round trip; nobody services
#: a site within 11 m of the buoy in the Gulf of Guinea.
NULL_ISLAND_DEGREES: Final = 1e-4


class BadPoint(ValueError):
    """A coordinate that cannot be used.

    `field` is `lat`, `lng` or `point`; `reason` is one of the stable codes `missing`, `not_a_number`,
    `not_finite`, `out_of_range`, `null_island`.
    """

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(f"{field}: {reason}")
        self.field = field
        self.reason = reason


class MissingCoordinate(BadPoint):
    """One half of the pair, or both, is not there."""

    def __init__(self, field: str) -> None:
        super().__init__(field, "missing")


class NotANumber(BadPoint):
    """A coordinate that is no number at all (text, a boolean, a list)."""

    def __init__(self, field: str) -> None:
        super().__init__(field, "not_a_number")


class NotFinite(BadPoint):
    """NaN, an infinity, or an integer too large for a float."""

    def __init__(self, field: str) -> None:
        super().__init__(field, "not_finite")


class OutOfRange(BadPoint):
    """Latitude beyond 90 or longitude beyond 180 degrees."""

    def __init__(self, field: str) -> None:
        super().__init__(field, "out_of_range")


class NullIsland(BadPoint):
    """The point 0/0, which always means that somebody's position was lost on the way."""

    def __init__(self) -> None:
        super().__init__("point", "null_island")


@dataclass(frozen=True, slots=True)
class Point:
    """A place in WGS 84 degrees. Building one with bad coordinates raises a `BadPoint`.

    0/0 is a valid place here; callers whose points come from devices or files add `refuse_null_island`.
    """

    lat: float
    lng: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "lat", _checked("lat", self.lat, LAT_MAX_DEGREES))
        object.__setattr__(self, "lng", _checked("lng", self.lng, LNG_MAX_DEGREES))


def parse_point(lat: object, lng: object) -> Point:
    """The point of two raw values as files and forms hold them: numbers or their text.

    Raises `BadPoint`: `missing` for None and blank text, otherwise as `Point` does.
    """
    return Point(_read("lat", lat), _read("lng", lng))


def refuse_null_island(point: Point) -> Point:
    """The same point, or `NullIsland` when it lies at 0/0."""
    if abs(point.lat) <= NULL_ISLAND_DEGREES and abs(point.lng) <= NULL_ISLAND_DEGREES:
        raise NullIsland
    return point


def _checked(field: str, value: object, limit: float) -> float:
    # bool is an int to Python, but `true` in a device's JSON is no latitude.
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise NotANumber(field)
    try:
        number = float(value)
    except OverflowError:
        raise NotFinite(field) from None
    if not math.isfinite(number):
        raise NotFinite(field)
    if abs(number) > limit:
        raise OutOfRange(field)
    return number + 0.0  # turns -0.0 into 0.0, so that equal points print and hash alike


def _read(field: str, value: object) -> float:
    if value is None:
        raise MissingCoordinate(field)
    if isinstance(value, str):
        text = value.strip()
        if not text:
            raise MissingCoordinate(field)
        try:
            return float(text)
        except ValueError:
            raise NotANumber(field) from None
    return value  # type: ignore[return-value]  # anything else is judged by Point itself
