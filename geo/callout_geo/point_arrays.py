"""Many points at once, as two arrays of degrees, checked once at the edge.

A bad coordinate is named by its index (`lat[17]`), because "out of range" among a hundred thousand helps nobody.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from callout_geo.points import LAT_MAX_DEGREES, LNG_MAX_DEGREES, NULL_ISLAND_DEGREES, BadPoint

Floats = NDArray[np.float64]

POINTS_MAX: Final = 200_000


class BadPoints(BadPoint):
    """Points that cannot be used together.

    `field` is `lats`, `lngs`, or one coordinate of one point, as `lat[17]` or `point[17]`; `reason` is one of `BadPoint`'s
    or of `lengths_differ`, `not_a_list`, `too_many`, `axes_swapped`.
    """


def checked_points(
    lats: ArrayLike, lngs: ArrayLike, *, unknown: bool = False, at_most: int = POINTS_MAX
) -> tuple[Floats, Floats]:
    """The same degrees as two float64 arrays of shape (n,), n may be 0. Raises `BadPoints`.

    `unknown`: a point whose coordinates are NaN is a place nobody knows, and passes; else NaN is refused. 0/0 is refused
    always, as whoever lost a position writes it.
    """
    lat, lng = _column("lats", lats), _column("lngs", lngs)
    if len(lat) != len(lng):
        raise BadPoints("lngs", "lengths_differ")
    if len(lat) > at_most:
        raise BadPoints("lats", "too_many")
    missing = np.isnan(lat) & np.isnan(lng)
    for name, column, limit in (("lat", lat, LAT_MAX_DEGREES), ("lng", lng, LNG_MAX_DEGREES)):
        finite = np.isfinite(column) | missing if unknown else np.isfinite(column)
        if not finite.all():
            raise BadPoints(f"{name}[{int(np.argmin(finite))}]", "not_finite")
        within = ~(np.abs(column) > limit)
        if not within.all():
            # Longitudes in the place of latitudes are the commonest slip: GeoJSON has them first, people have them second.
            swapped = name == "lat" and not (np.abs(lat) > LNG_MAX_DEGREES).any()
            swapped = swapped and not (np.abs(lng) > LAT_MAX_DEGREES).any()
            raise BadPoints(
                f"{name}[{int(np.argmin(within))}]", "axes_swapped" if swapped else "out_of_range"
            )
    null = (np.abs(lat) <= NULL_ISLAND_DEGREES) & (np.abs(lng) <= NULL_ISLAND_DEGREES)
    if null.any():
        raise BadPoints(f"point[{int(np.argmax(null))}]", "null_island")
    return lat, lng


def _column(field: str, values: ArrayLike) -> Floats:
    try:
        raw = np.asarray(values)
    except ValueError:
        raise BadPoints(field, "not_a_list") from None  # lists of unequal lengths
    if raw.ndim != 1:
        raise BadPoints(field, "not_a_list")
    if raw.size == 0:
        return np.empty(0, np.float64)
    # Text would be read as a number by NumPy, None as NaN, and true as 1.
    if raw.dtype.kind == "O":
        for index, value in enumerate(raw):
            if value is None:
                raise BadPoints(f"{field[:-1]}[{index}]", "missing")
            if isinstance(value, bool) or not isinstance(value, (int, float, np.number)):
                raise BadPoints(f"{field[:-1]}[{index}]", "not_a_number")
            if isinstance(value, int) and abs(value) > 1_000_000:
                raise BadPoints(f"{field[:-1]}[{index}]", "out_of_range")
    elif raw.dtype.kind not in "fiu":
        raise BadPoints(field, "not_a_number")
    return raw.astype(np.float64)
