"""Chinese map datums: WGS-84 (GPS, our own), GCJ-02 (every licensed Chinese map and phone) and BD-09 (Baidu's).

GCJ-02 moves a point in China by up to 700 metres; a site kept in it unchanged lies in the next street. No authority has
published the algorithm. The polynomial and sine series here and the constants of the Krasovsky 1940 ellipsoid (6,378,245 m,
e² 0.00669342162296594) have circulated since 2010 in many independent programs, which agree with one another to the last
digit (the best known are eviltransform and coordtransform); BD-09 on top of it likewise. Both ways back have no closed form
and are found by iteration, far below a millimetre wherever the series is smooth.

Outside the rectangle that those programs use for China, GCJ-02 is WGS-84. The rectangle is generous: it holds Seoul and Hanoi
too, where nobody's map is in GCJ-02, so ask only for points whose datum was named.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from callout_geo.points import Point

Floats = NDArray[np.float64]
Pair = tuple[Floats, Floats]


class Datum(StrEnum):
    """In which datum degrees are given."""

    WGS84 = "wgs84"
    GCJ02 = "gcj02"
    BD09 = "bd09"


class BadDatum(ValueError):
    """A datum that nobody knows."""

    def __init__(self, value: object) -> None:
        super().__init__(f"datum: must be one of {', '.join(Datum)}, not {value!r}")
        self.field = "datum"
        self.reason = "unknown_datum"


#: Equatorial radius in metres and first eccentricity squared of Krasovsky 1940, as GCJ-02 uses them.
_AXIS_M: Final = 6_378_245.0
_E2: Final = 0.006_693_421_622_965_943

#: South, north, west and east edges of "China".
_SOUTH, _NORTH, _WEST, _EAST = 0.8293, 55.8271, 72.004, 137.8347

#: Baidu's shift in degrees, and the frequency of its wobble.
_BD_LAT, _BD_LNG = 0.006, 0.0065
_BD_WAVE: Final = np.pi * 3000.0 / 180.0

#: The error shrinks at least fifty-fold a round; after 12 rounds only a float's own grain is left.
_ROUNDS: Final = 12

#: Degrees; nothing in China is moved by half as much.
_REACH: Final = 0.1


def parse_datum(value: object) -> Datum:
    """The datum of its name in any case, or `BadDatum`."""
    try:
        return Datum(value.strip().lower() if isinstance(value, str) else value)  # type: ignore[arg-type]
    except ValueError:
        raise BadDatum(value) from None


def in_china(lats: ArrayLike, lngs: ArrayLike) -> NDArray[np.bool_]:
    """Whether WGS-84 points lie in the rectangle where GCJ-02 differs. NaN lies outside."""
    lat, lng = _pair(lats, lngs)
    inside: NDArray[np.bool_] = (lat > _SOUTH) & (lat < _NORTH) & (lng > _WEST) & (lng < _EAST)
    return inside


def wgs84_to_gcj02(lats: ArrayLike, lngs: ArrayLike) -> Pair:
    """Degrees of any one shape, latitudes first, in and out. NaN stays NaN."""
    lat, lng = _pair(lats, lngs)
    inside = in_china(lat, lng)
    moved_lat, moved_lng = _shifted(lat, lng)
    return np.where(inside, moved_lat, lat), np.where(inside, moved_lng, lng)


def gcj02_to_wgs84(lats: ArrayLike, lngs: ArrayLike) -> Pair:
    """The way back: the WGS-84 point that `wgs84_to_gcj02` would move here."""
    lat, lng = _pair(lats, lngs)
    # The bare series runs on smoothly over the rectangle's edge; only the point it came from tells whether it was moved.
    found_lat, found_lng = _undone(_shifted, lat, lng)
    inside = in_china(found_lat, found_lng)
    return np.where(inside, found_lat, lat), np.where(inside, found_lng, lng)


def gcj02_to_bd09(lats: ArrayLike, lngs: ArrayLike) -> Pair:
    """Degrees of any one shape, latitudes first, in and out."""
    return _baidu(*_pair(lats, lngs))


def bd09_to_gcj02(lats: ArrayLike, lngs: ArrayLike) -> Pair:
    """The way back, by iteration: the formula that circulates for it is up to half a metre wrong."""
    return _undone(_baidu, *_pair(lats, lngs))


def wgs84_to_bd09(lats: ArrayLike, lngs: ArrayLike) -> Pair:
    """Through GCJ-02."""
    return gcj02_to_bd09(*wgs84_to_gcj02(lats, lngs))


def bd09_to_wgs84(lats: ArrayLike, lngs: ArrayLike) -> Pair:
    """Through GCJ-02."""
    return gcj02_to_wgs84(*bd09_to_gcj02(lats, lngs))


def to_wgs84(point: Point, datum: Datum | str) -> Point:
    """The point whose degrees were given in this datum, in WGS-84. Raises `BadDatum`, and `BadPoint` beyond the poles."""
    match parse_datum(datum):
        case Datum.WGS84:
            return point
        case Datum.GCJ02:
            return _point(gcj02_to_wgs84(point.lat, point.lng))
        case Datum.BD09:
            return _point(bd09_to_wgs84(point.lat, point.lng))


def from_wgs84(point: Point, datum: Datum | str) -> Point:
    """The same place in the datum of a map that shows it. Raises `BadDatum`."""
    match parse_datum(datum):
        case Datum.WGS84:
            return point
        case Datum.GCJ02:
            return _point(wgs84_to_gcj02(point.lat, point.lng))
        case Datum.BD09:
            return _point(wgs84_to_bd09(point.lat, point.lng))


def _pair(lats: ArrayLike, lngs: ArrayLike) -> Pair:
    return np.asarray(lats, np.float64), np.asarray(lngs, np.float64)


def _point(pair: Pair) -> Point:
    lat, lng = float(pair[0]), float(pair[1])
    # Within a hundredth of a degree of the date line the shift runs over it.
    return Point(lat, lng if abs(lng) <= 180.0 else lng - np.copysign(360.0, lng))


def _shifted(lat: Floats, lng: Floats) -> Pair:
    """The series itself, anywhere: metres north and east as functions of degrees from 35° N 105° E, turned into degrees."""
    x, y = lng - 105.0, lat - 35.0
    root = np.sqrt(np.abs(x))
    short = (20.0 * np.sin(6.0 * np.pi * x) + 20.0 * np.sin(2.0 * np.pi * x)) * 2.0 / 3.0
    north_m = -100.0 + 2.0 * x + 3.0 * y + 0.2 * y * y + 0.1 * x * y + 0.2 * root + short
    north_m += (20.0 * np.sin(np.pi * y) + 40.0 * np.sin(np.pi * y / 3.0)) * 2.0 / 3.0
    north_m += (160.0 * np.sin(np.pi * y / 12.0) + 320.0 * np.sin(np.pi * y / 30.0)) * 2.0 / 3.0
    east_m = 300.0 + x + 2.0 * y + 0.1 * x * x + 0.1 * x * y + 0.1 * root + short
    east_m += (20.0 * np.sin(np.pi * x) + 40.0 * np.sin(np.pi * x / 3.0)) * 2.0 / 3.0
    east_m += (150.0 * np.sin(np.pi * x / 12.0) + 300.0 * np.sin(np.pi * x / 30.0)) * 2.0 / 3.0
    radians = np.radians(lat)
    w2 = 1.0 - _E2 * np.sin(radians) ** 2
    meridional_m = _AXIS_M * (1.0 - _E2) / (w2 * np.sqrt(w2))
    # Nobody asks at a pole, but a cosine of zero must not become an infinity that warns.
    parallel_m = np.maximum(_AXIS_M / np.sqrt(w2) * np.cos(radians), 1.0)
    return lat + np.degrees(north_m / meridional_m), lng + np.degrees(east_m / parallel_m)


def _baidu(lat: Floats, lng: Floats) -> Pair:
    """Baidu's wobble in polar coordinates of the degrees themselves, then a constant shift."""
    radius = np.hypot(lng, lat) + 0.00002 * np.sin(lat * _BD_WAVE)
    angle = np.arctan2(lat, lng) + 0.000003 * np.cos(lng * _BD_WAVE)
    return radius * np.sin(angle) + _BD_LAT, radius * np.cos(angle) + _BD_LNG


def _undone(forward: Callable[[Floats, Floats], Pair], lat: Floats, lng: Floats) -> Pair:
    """The point that `forward` moves to this one, by fixed-point iteration from here."""
    found_lat, found_lng = lat, lng
    for _ in range(_ROUNDS):
        moved_lat, moved_lng = forward(found_lat, found_lng)
        # Far outside China the series runs away; held here it stays finite, and is thrown away.
        found_lat = np.clip(found_lat + (lat - moved_lat), lat - _REACH, lat + _REACH)
        found_lng = np.clip(found_lng + (lng - moved_lng), lng - _REACH, lng + _REACH)
    return found_lat, found_lng
