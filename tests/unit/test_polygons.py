"""Territories' outlines: what is refused, with its place, and in whose territory a site lies."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from callout_geo.china import Datum, from_wgs84
from callout_geo.point_arrays import BadPoints
from callout_geo.points import Point
from callout_geo.polygons import (
    PARTS_MAX,
    VERTICES_MAX,
    BadPolygon,
    Outline,
    TerritoryMap,
    parse_outline,
)

Ring = list[list[float]]


def box(west: float, south: float, east: float, north: float) -> Ring:
    return [[west, south], [east, south], [east, north], [west, north], [west, south]]


def polygon(*rings: Ring) -> dict[str, Any]:
    return {"type": "Polygon", "coordinates": list(rings)}


def multi(*parts: list[Ring]) -> dict[str, Any]:
    return {"type": "MultiPolygon", "coordinates": list(parts)}


CITY = box(11.0, 48.0, 11.2, 48.2)
HOLE = box(11.05, 48.05, 11.15, 48.15)


def circle(lat: float, lng: float, radius: float, corners: int) -> Ring:
    turns = np.linspace(0, 2 * math.pi, corners + 1)[:-1]
    ring = [[lng + radius * math.cos(t), lat + radius * math.sin(t)] for t in turns]
    return [*ring, ring[0]]


def test_an_outline_is_kept_as_it_was_drawn() -> None:
    """What a dispatcher drew is what the map shows again; only direction and altitude are put right."""
    clockwise = [[*position, 530.0] for position in reversed(CITY)]
    outline = parse_outline(polygon(clockwise))
    assert outline.geojson["type"] == "Polygon"
    assert sorted(map(tuple, outline.geojson["coordinates"][0][:-1])) == sorted(map(tuple, CITY[:-1]))
    # 0.2° by 0.2° at 48.1° N: 22.24 km by 14.85 km.
    assert outline.area_m2 == pytest.approx(22_239 * 14_852, rel=0.001)
    assert outline.contains([outline.inside.lat], [outline.inside.lng]).all()
    again = parse_outline(outline.geojson)
    assert again == outline


@pytest.mark.parametrize(
    ("value", "field", "reason"),
    (
        (None, "polygon", "not_geojson"),
        ("POLYGON((0 0))", "polygon", "not_geojson"),
        ({"type": "Point", "coordinates": [1, 2]}, "polygon.type", "wrong_type"),
        ({"type": "Polygon"}, "polygon.coordinates", "not_a_list"),
        ({**polygon(CITY), "crs": {"type": "name"}}, "polygon.crs", "crs_unsupported"),
        (polygon(), "polygon.coordinates", "empty"),
        (multi(), "polygon.coordinates", "empty"),
        (multi([]), "polygon.coordinates[0]", "empty"),
        (multi([CITY], "x"), "polygon.coordinates[1]", "not_a_list"),  # type: ignore[arg-type]
        (polygon("ring"), "polygon.coordinates[0]", "not_a_list"),  # type: ignore[arg-type]
        (polygon([[11, 48], [12, 48], [11, 48]]), "polygon.coordinates[0]", "too_few_positions"),
        (polygon(CITY[:-1]), "polygon.coordinates[0]", "ring_open"),
        (polygon([*CITY[:2], [11.2], *CITY[3:]]), "polygon.coordinates[0][2]", "not_a_list"),
        (polygon([*CITY[:2], ["11.2", 48], *CITY[3:]]), "polygon.coordinates[0][2][0]", "not_a_number"),  # type: ignore[list-item]
        (polygon([*CITY[:2], [True, 48], *CITY[3:]]), "polygon.coordinates[0][2][0]", "not_a_number"),
        (polygon([*CITY[:2], [11, math.nan], *CITY[3:]]), "polygon.coordinates[0][2][1]", "not_finite"),
        (polygon([*CITY[:2], [math.inf, 48], *CITY[3:]]), "polygon.coordinates[0][2][0]", "not_finite"),
        (polygon([*CITY[:2], [10**400, 48], *CITY[3:]]), "polygon.coordinates[0][2][0]", "out_of_range"),
        (polygon([*CITY[:2], [11, 91], *CITY[3:]]), "polygon.coordinates[0][2][1]", "axes_swapped"),
        (polygon([*CITY[:2], [181, 91], *CITY[3:]]), "polygon.coordinates[0][2][1]", "out_of_range"),
        (polygon(CITY, [*CITY[:2], [11, -181], *CITY[3:]]), "polygon.coordinates[1][2][1]", "out_of_range"),
        # Shanghai with latitude first.
        (polygon([[y, x] for x, y in box(121.3, 31.1, 121.6, 31.3)]), "polygon.coordinates[0][0][1]", "axes_swapped"),
        (polygon(box(0, 0, 1, 1)), "polygon.coordinates[0][0]", "null_island"),
        (polygon(box(-179, -18, 179, -16)), "polygon.coordinates[0][1]", "crosses_antimeridian"),
        (polygon([[11, 48], [11.1, 48.1], [11.2, 48.2], [11, 48]]), "polygon.coordinates[0]", "no_area"),
        (polygon([[11, 48]] * 5), "polygon.coordinates[0]", "no_area"),
        (polygon(box(11, 48, 11.00001, 48.00001)), "polygon.coordinates", "no_area"),
        (polygon(CITY, box(11.3, 48.0, 11.4, 48.1)), "polygon.coordinates", "hole_outside"),
        (polygon(CITY, HOLE, box(11.08, 48.08, 11.1, 48.1)), "polygon.coordinates", "holes_nested"),
        (multi([CITY], [box(11.1, 48.1, 11.3, 48.3)]), "polygon.coordinates", "parts_overlap"),
        (multi([CITY], [box(11.05, 48.05, 11.1, 48.1)]), "polygon.coordinates", "parts_overlap"),
        (multi([CITY], [CITY]), "polygon.coordinates", "parts_overlap"),
        (multi(*[[box(n, 40, n + 0.5, 41)] for n in range(PARTS_MAX + 1)]), "polygon.coordinates", "too_many_parts"),
        (polygon(CITY, *[CITY] * 200), "polygon.coordinates", "too_many_holes"),
        (polygon(circle(48, 11, 0.5, 100_000)), "polygon.coordinates", "too_many_vertices"),
    ),
)  # fmt: skip
def test_refused_outlines(value: object, field: str, reason: str) -> None:
    """A dispatcher must be told what is wrong where; a bad outline let in would lose sites without a word."""
    with pytest.raises(BadPolygon) as caught:
        parse_outline(value)
    assert (caught.value.field, caught.value.reason) == (field, reason)


def test_a_crossing_is_named_with_its_place() -> None:
    """In an outline of four hundred corners nobody finds a crossing by looking."""
    bow = [[11.0, 48.0], [11.2, 48.2], [11.2, 48.0], [11.0, 48.2], [11.0, 48.0]]
    with pytest.raises(BadPolygon) as caught:
        parse_outline(polygon(bow), field="territories[3].polygon")
    assert (caught.value.field, caught.value.reason) == (
        "territories[3].polygon.coordinates",
        "self_crossing",
    )
    assert caught.value.at is not None
    assert (caught.value.at.lat, caught.value.at.lng) == pytest.approx((48.1, 11.1))


def test_holes_parts_and_the_date_line() -> None:
    """A hole is nobody's; Fiji drawn as two parts that meet at 180° is one territory on both sides."""
    holed = parse_outline(polygon(CITY, HOLE))
    assert holed.contains([48.1, 48.02, 48.05], [11.1, 11.02, 11.1]).tolist() == [False, True, True]
    fiji = parse_outline(multi([box(177, -19, 180, -16)], [box(-180, -19, -178, -16)]))
    assert fiji.contains([-17, -17, -17], [179.9, -179.9, 170]).tolist() == [True, True, False]
    assert parse_outline(polygon(circle(48, 11, 0.5, VERTICES_MAX - 1))).area_m2 > 0


def test_borders_and_overlaps_are_decided_alike_every_time() -> None:
    """A site on a border that changes territory from one day to the next is sent two engineers, or none."""
    west, east = (
        parse_outline(polygon(box(11, 48, 11.1, 48.1))),
        parse_outline(polygon(box(11.1, 48, 11.2, 48.1))),
    )
    for outlines in ({"b": west, "a": east}, {"a": east, "b": west}):
        territories = TerritoryMap(outlines)
        found = territories.find([48.05, 48.05, 48.05, 49, math.nan], [11.05, 11.1, 11.15, 11, math.nan])
        assert found == ["b", "a", "a", None, None]
        assert territories.overlaps() == []


def test_overlap_report() -> None:
    """Who draws territories wants to hear of a double claim, but not of every shared border."""
    territories = TerritoryMap(
        {
            "south": parse_outline(polygon(box(11, 48, 11.2, 48.1))),
            "north": parse_outline(polygon(box(11, 48.1, 11.2, 48.2))),
            "middle": parse_outline(polygon(box(11, 48.05, 11.1, 48.1))),
        }
    )
    (overlap,) = territories.overlaps()
    assert (overlap.a, overlap.b) == ("middle", "south")
    assert overlap.share == pytest.approx(1.0, abs=1e-6)
    assert overlap.area_m2 == pytest.approx(5_560 * 7_430, rel=0.01)
    assert TerritoryMap({}).overlaps() == []
    assert TerritoryMap({}).find([48.0], [11.0]) == [None]


OUTLINES: dict[str, Outline] = {
    "disc": parse_outline(polygon(circle(48, 11, 0.6, 60))),
    "frame": parse_outline(polygon(box(10.5, 47.5, 12, 49), box(10.8, 47.8, 11.2, 48.2))),
    "pair": parse_outline(multi([box(9, 47, 10, 48)], [box(12, 48, 13, 49)])),
}


@settings(max_examples=60)
@given(st.lists(st.tuples(st.floats(46.5, 49.5), st.floats(8.5, 13.5)), max_size=40))
def test_many_points_agree_with_one_by_one(points: list[tuple[float, float]]) -> None:
    """The fast way over all sites and the slow way over one must put a site into the same territory."""
    lats, lngs = [lat for lat, _ in points], [lng for _, lng in points]
    found = TerritoryMap(OUTLINES).find(lats, lngs)
    for (lat, lng), territory in zip(points, found, strict=True):
        inside = sorted(key for key, outline in OUTLINES.items() if outline.contains([lat], [lng])[0])
        assert territory == (inside[0] if inside else None)


def test_a_hundred_thousand_points_at_once() -> None:
    """Redrawing a territory sorts every site of the organisation anew; points that cannot be are named by index."""
    rng = np.random.default_rng(4)
    lats, lngs = rng.uniform(46.5, 49.5, 100_000), rng.uniform(8.5, 13.5, 100_000)
    found = TerritoryMap(OUTLINES).indexes(lats, lngs)
    # The disc of 0.6° radius has 1.131 of the field's 15 square degrees.
    assert (found == 0).mean() == pytest.approx(1.131 / 15, rel=0.05)
    lats[77_777] = 91
    with pytest.raises(BadPoints) as caught:
        TerritoryMap(OUTLINES).indexes(lats, lngs)
    assert caught.value.field == "lat[77777]"


def test_an_outline_drawn_on_a_chinese_map() -> None:
    """Drawn on a map in GCJ-02 and kept as if it were GPS, a border runs through the wrong side of the street."""
    place = Point(31.2, 121.5)
    shown = from_wgs84(place, Datum.GCJ02)
    ring = circle(shown.lat, shown.lng, 0.001, 24)
    assert parse_outline(polygon(ring), datum=Datum.GCJ02).contains([place.lat], [place.lng]).all()
    assert not parse_outline(polygon(ring)).contains([place.lat], [place.lng]).any()


def test_points_do_not_pay_for_polygons() -> None:
    """Every process imports points; shapely and httpx would cost each of them time and memory for nothing."""
    code = (
        "import sys, callout_geo.points, callout_geo.travel, callout_geo.polygons, callout_geo.track, callout_geo.geofence;"
        "print([name for name in ('shapely', 'httpx') if name in sys.modules])"
    )
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=env)
    assert done.stdout.strip() == "[]"
