"""Outlines of territories: GeoJSON checked once, where it comes in, and points sorted into territories.

Positions are longitude before latitude (RFC 7946), edges are straight in degrees, as every map draws them. An outline that is
wrong is refused with the place in the document and, for crossings, the place on the earth; nothing is mended in silence,
because the mended outline would not be the one somebody drew.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

from callout_geo.china import Datum, bd09_to_wgs84, gcj02_to_wgs84
from callout_geo.distance import EARTH_RADIUS_M
from callout_geo.point_arrays import Floats, checked_points
from callout_geo.points import LAT_MAX_DEGREES, LNG_MAX_DEGREES, NULL_ISLAND_DEGREES, Point

VERTICES_MAX: Final = 10_000
PARTS_MAX: Final = 100
HOLES_MAX: Final = 100
TERRITORIES_MAX: Final = 2_000

#: Less than a parking space is a slip of the hand, not a territory, nor an overlap that matters.
AREA_MIN_M2: Final = 10.0
_LINE_DEGREES2: Final = 1e-12

#: What shapely (GEOS) says of an outline that cannot be, and our code for it.
_VALIDITY: Final = (
    ("Hole lies outside shell", "hole_outside"),
    ("Holes are nested", "holes_nested"),
    ("Nested shells", "parts_overlap"),
    ("Duplicate Rings", "ring_twice"),
    ("Interior is disconnected", "interior_cut"),
    ("Too few points", "too_few_positions"),
    ("Self-intersection", "self_crossing"),
    ("Ring Self-intersection", "self_crossing"),
)
_PLACE: Final = re.compile(r"\[(-?[\d.eE+-]+) (-?[\d.eE+-]+)\]")


class BadPolygon(ValueError):
    """An outline that cannot be used.

    `field` is a path into the GeoJSON (`polygon.coordinates[0][3]`); `reason` is one of the stable codes `not_geojson`,
    `wrong_type`, `crs_unsupported`, `not_a_list`, `empty`, `too_many_parts`, `too_many_holes`, `too_many_vertices`,
    `too_few_positions`, `ring_open`, `not_a_number`, `not_finite`, `out_of_range`, `axes_swapped`, `null_island`,
    `crosses_antimeridian` (draw two parts that meet at 180°), `no_area`, `self_crossing`, `hole_outside`, `holes_nested`,
    `parts_overlap`, `ring_twice`, `interior_cut`, `invalid`. `at` is where on the earth, if that is known.
    """

    def __init__(self, field: str, reason: str, at: Point | None = None) -> None:
        place = f" at {at.lat:.6f}, {at.lng:.6f}" if at is not None else ""
        super().__init__(f"{field}: {reason}{place}")
        self.field = field
        self.reason = reason
        self.at = at


@dataclass(frozen=True, slots=True)
class Outline:
    """A checked territory in WGS-84. `geojson` is what to store: a Polygon or MultiPolygon without altitudes, outer rings
    counter-clockwise. `inside` is a point on it, for a label. `geometry` is shapely's."""

    geojson: dict[str, Any]
    area_m2: float
    inside: Point
    geometry: Any = field(repr=False, compare=False)

    def contains(self, lats: ArrayLike, lngs: ArrayLike) -> NDArray[np.bool_]:
        """Whether points lie inside or on the border, shape (n,). A point of NaN lies nowhere. Raises `BadPoints`."""
        import shapely

        lat, lng = checked_points(lats, lngs, unknown=True)
        shapely.prepare(self.geometry)
        return cast(NDArray[np.bool_], shapely.intersects_xy(self.geometry, lng, lat))


@dataclass(frozen=True, slots=True)
class Overlap:
    """Two territories, smaller id first, with the area they share in m² and as a share of the smaller one's."""

    a: str
    b: str
    area_m2: float
    share: float


def parse_outline(value: object, field: str = "polygon", datum: Datum = Datum.WGS84) -> Outline:
    """The outline of a decoded GeoJSON Polygon or MultiPolygon, or `BadPolygon`.

    `datum` is that of the map it was drawn on; the outline is in WGS-84 always.
    """
    import shapely

    if not isinstance(value, Mapping):
        raise BadPolygon(field, "not_geojson")
    kind = value.get("type")
    if kind not in ("Polygon", "MultiPolygon"):
        raise BadPolygon(f"{field}.type", "wrong_type")
    if value.get("crs") is not None:
        raise BadPolygon(f"{field}.crs", "crs_unsupported")
    path = f"{field}.coordinates"
    parts = _list(
        path, value.get("coordinates"), PARTS_MAX if kind == "MultiPolygon" else 1 + HOLES_MAX, kind
    )
    if kind == "Polygon":
        paths, parts = [path], [parts]
    else:
        paths = [f"{path}[{n}]" for n in range(len(parts))]
    _count(path, parts)
    polygons = [_part(where, part, datum) for where, part in zip(paths, parts, strict=True)]
    shape = polygons[0] if kind == "Polygon" else shapely.MultiPolygon(polygons)
    if not shapely.is_valid(shape):
        # Every part was found good by itself, so that only two of them can be at odds.
        raise BadPolygon(path, "parts_overlap", _place(shapely.is_valid_reason(shape)))
    shape = shapely.orient_polygons(shape)
    inside = shapely.point_on_surface(shape)
    return Outline(
        geojson=_geojson(shape, kind),
        area_m2=_area_m2(shape),
        inside=Point(inside.y, inside.x),
        geometry=shape,
    )


class TerritoryMap:
    """Many territories, ready for many points. Whatever the order they were given in, the answers are the same."""

    def __init__(self, outlines: Mapping[str, Outline]) -> None:
        """`outlines` by the territory's id. ValueError on more than `TERRITORIES_MAX`."""
        import shapely

        if len(outlines) > TERRITORIES_MAX:
            raise BadPolygon("territories", "too_many_parts")
        self.ids: Final = tuple(sorted(outlines))
        self._shapes: Final = np.array([outlines[key].geometry for key in self.ids], dtype=object)
        shapely.prepare(self._shapes)
        self._tree: Final = shapely.STRtree(self._shapes)

    def indexes(self, lats: ArrayLike, lngs: ArrayLike) -> NDArray[np.int64]:
        """For each point the index into `ids` of the territory it lies in, shape (n,); -1: in none.

        On a border or where two overlap it is the smaller id. A point of NaN lies in none. Raises `BadPoints`.
        """
        import shapely

        lat, lng = checked_points(lats, lngs, unknown=True)
        found = np.full(len(lat), len(self.ids), np.int64)
        if len(self.ids) and len(lat):
            known = np.flatnonzero(~np.isnan(lat))
            points, shapes = self._tree.query(shapely.points(lng[known], lat[known]), predicate="intersects")
            np.minimum.at(found, known[points], shapes)
        found[found == len(self.ids)] = -1
        return found

    def find(self, lats: ArrayLike, lngs: ArrayLike) -> list[str | None]:
        """For each point the id of the territory it lies in, or None; ties as in `indexes`."""
        return [self.ids[index] if index >= 0 else None for index in self.indexes(lats, lngs)]

    def overlaps(self) -> list[Overlap]:
        """Each two territories that share more than a border, in order of their ids."""
        import shapely

        if not self.ids:
            return []
        first, second = self._tree.query(self._shapes, predicate="intersects")
        pairs = sorted((int(a), int(b)) for a, b in zip(first, second, strict=True) if a < b)
        result = []
        for a, b in pairs:
            area_m2 = _area_m2(shapely.intersection(self._shapes[a], self._shapes[b]))
            if area_m2 >= AREA_MIN_M2:
                smaller_m2 = min(_area_m2(self._shapes[a]), _area_m2(self._shapes[b]))
                result.append(Overlap(self.ids[a], self.ids[b], area_m2, min(area_m2 / smaller_m2, 1.0)))
        return result


def _list(path: str, value: object, at_most: int, kind: str) -> Sequence[Any]:
    if not isinstance(value, (list, tuple)):
        raise BadPolygon(path, "not_a_list")
    if not value:
        raise BadPolygon(path, "empty")
    if len(value) > at_most:
        raise BadPolygon(path, "too_many_parts" if kind == "MultiPolygon" else "too_many_holes")
    return value


def _count(path: str, parts: Sequence[Any]) -> None:
    """Refuses by number before anything is looked at, so that a huge document costs next to nothing."""
    vertices = 0
    for part in parts:
        for ring in part if isinstance(part, (list, tuple)) else ():
            vertices += len(ring) if isinstance(ring, (list, tuple)) else 0
    if vertices > VERTICES_MAX:
        raise BadPolygon(path, "too_many_vertices")


def _part(path: str, rings: object, datum: Datum) -> Any:
    """One polygon with its holes, good by itself."""
    import shapely

    checked = [
        _ring(f"{path}[{n}]", ring, datum)
        for n, ring in enumerate(_list(path, rings, 1 + HOLES_MAX, "Polygon"))
    ]
    polygon = shapely.Polygon(checked[0], checked[1:])
    reason = "Valid Geometry" if shapely.is_valid(polygon) else shapely.is_valid_reason(polygon)
    if reason != "Valid Geometry":
        # A ring that is a line or a point is told so, whatever else is said of it: that is what its drawer understands.
        for n, ring in enumerate(checked):
            if shapely.area(shapely.convex_hull(shapely.MultiPoint(ring))) < _LINE_DEGREES2:
                raise BadPolygon(f"{path}[{n}]", "no_area")
        code = next((code for text, code in _VALIDITY if reason.startswith(text)), "invalid")
        raise BadPolygon(path, code, _place(reason))
    if _area_m2(polygon) < AREA_MIN_M2:
        raise BadPolygon(path, "no_area")
    return polygon


def _ring(path: str, ring: object, datum: Datum) -> Floats:
    """Degrees of one ring, longitude first, shape (n, 2), closed."""
    if not isinstance(ring, (list, tuple)):
        raise BadPolygon(path, "not_a_list")
    if len(ring) < 4:
        raise BadPolygon(path, "too_few_positions")
    degrees = np.array([_position(f"{path}[{n}]", position) for n, position in enumerate(ring)])
    lng, lat = degrees[:, 0], degrees[:, 1]
    for name, column, limit in ((1, lat, LAT_MAX_DEGREES), (0, lng, LNG_MAX_DEGREES)):
        beyond = np.abs(column) > limit
        if beyond.any():
            swapped = (np.abs(lat) <= LNG_MAX_DEGREES).all() and (np.abs(lng) <= LAT_MAX_DEGREES).all()
            reason = "axes_swapped" if swapped else "out_of_range"
            raise BadPolygon(f"{path}[{int(np.argmax(beyond))}][{name}]", reason)
    null = (np.abs(lat) <= NULL_ISLAND_DEGREES) & (np.abs(lng) <= NULL_ISLAND_DEGREES)
    if null.any():
        raise BadPolygon(f"{path}[{int(np.argmax(null))}]", "null_island")
    if (degrees[0] != degrees[-1]).any():
        raise BadPolygon(path, "ring_open", Point(float(lat[-1]), float(lng[-1])))
    across = np.abs(np.diff(lng)) > 180.0
    if across.any():
        raise BadPolygon(f"{path}[{int(np.argmax(across)) + 1}]", "crosses_antimeridian")
    if datum is not Datum.WGS84:
        lat, lng = (gcj02_to_wgs84 if datum is Datum.GCJ02 else bd09_to_wgs84)(lat, lng)
        degrees = np.column_stack((np.clip(lng, -LNG_MAX_DEGREES, LNG_MAX_DEGREES), lat))
    return degrees


def _position(path: str, position: object) -> tuple[float, float]:
    """Longitude and latitude of one position; an altitude is dropped."""
    if not isinstance(position, (list, tuple)) or not 2 <= len(position) <= 3:
        raise BadPolygon(path, "not_a_list")
    for n, number in enumerate(position[:2]):
        if isinstance(number, bool) or not isinstance(number, (int, float)):
            raise BadPolygon(f"{path}[{n}]", "not_a_number")
        # Compared before any conversion: an integer may be too large for a float.
        if not -1e9 < number < 1e9:
            raise BadPolygon(f"{path}[{n}]", "out_of_range" if abs(number) < float("inf") else "not_finite")
    return float(position[0]), float(position[1])


def _place(reason: str) -> Point | None:
    """The place in shapely's sentence, which has longitude first."""
    found = _PLACE.search(reason)
    return Point(float(found[2]), float(found[1])) if found else None


def _area_m2(shape: Any) -> float:
    """Area on the sphere by Lambert's cylindrical equal-area projection: x = R λ, y = R sin φ."""
    import shapely

    def flat(degrees: Floats) -> Floats:
        radians = np.radians(degrees)
        return EARTH_RADIUS_M * np.column_stack((radians[:, 0], np.sin(radians[:, 1])))

    return float(shapely.area(shapely.transform(shape, flat)))


def _geojson(shape: Any, kind: str) -> dict[str, Any]:
    import shapely

    def rings(polygon: Any) -> list[list[list[float]]]:
        lines = [polygon.exterior, *polygon.interiors]
        return [shapely.get_coordinates(line).tolist() for line in lines]

    if kind == "Polygon":
        return {"type": kind, "coordinates": rings(shape)}
    return {"type": kind, "coordinates": [rings(polygon) for polygon in shape.geoms]}
