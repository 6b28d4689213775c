"""Points: whatever a broken device, file or attacker writes as a coordinate is refused with its reason."""

from __future__ import annotations

import math
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callout_geo.points import BadPoint, Point, parse_point, refuse_null_island


@pytest.mark.parametrize(
    ("lat", "lng", "field", "reason"),
    (
        (91.0, 0.0, "lat", "out_of_range"),
        (-90.000001, 0.0, "lat", "out_of_range"),
        (0.0, 180.5, "lng", "out_of_range"),
        (math.nan, 0.0, "lat", "not_finite"),
        (0.0, math.inf, "lng", "not_finite"),
        # A 5,000-digit integer from JSON fits no float; it needs an id because Python refuses to print it.
        pytest.param(10**5000, 0.0, "lat", "not_finite", id="huge-integer"),
        (True, 0.0, "lat", "not_a_number"),  # JSON's true is an int to Python
        ("37.7", 0.0, "lat", "not_a_number"),  # text is for parse_point
        (0.0, None, "lng", "not_a_number"),
        ([1], 0.0, "lat", "not_a_number"),
    ),
)
def test_bad_coordinates_are_refused(lat: float, lng: float, field: str, reason: str) -> None:
    """A bad coordinate that got in would send an engineer nowhere, or turn every distance into NaN."""
    with pytest.raises(BadPoint) as refusal:
        Point(lat, lng)
    assert (refusal.value.field, refusal.value.reason) == (field, reason)
    assert isinstance(refusal.value, ValueError)


@pytest.mark.parametrize(
    ("lat", "lng", "field", "reason"),
    (
        (None, "1", "lat", "missing"),
        ("1", "  ", "lng", "missing"),  # the located file's empty cell
        ("north", "1", "lat", "not_a_number"),
        ("nan", "1", "lat", "not_finite"),
        ("1", "181", "lng", "out_of_range"),
        ({}, "1", "lat", "not_a_number"),
    ),
)
def test_bad_cells_of_a_file_are_refused(lat: object, lng: object, field: str, reason: str) -> None:
    """The import names row, field and reason; a wrong field would send somebody to the wrong column."""
    with pytest.raises(BadPoint) as refusal:
        parse_point(lat, lng)
    assert (refusal.value.field, refusal.value.reason) == (field, reason)


def test_cells_of_a_file_are_read() -> None:
    """The demo's file holds coordinates as text with spaces around them."""
    assert parse_point(" 37.75 ", "-122.4") == Point(37.75, -122.4)
    assert parse_point(37, -122) == Point(37.0, -122.0)


@pytest.mark.parametrize(("lat", "lng"), ((0.0, 0.0), (-0.0, 0.0), (0.00005, -0.00005)))
def test_null_island_is_refused_only_when_asked(lat: float, lng: float) -> None:
    """Phones without a fix write 0/0; a site there would put every engineer 10,000 km away."""
    point = Point(lat, lng)
    with pytest.raises(BadPoint) as refusal:
        refuse_null_island(point)
    assert refusal.value.reason == "null_island"


def test_the_equator_and_the_meridian_are_no_null_island() -> None:
    """Quito and Greenwich have customers too."""
    for point in (Point(0.0, -78.5), Point(51.48, 0.0)):
        assert refuse_null_island(point) is point


@given(lat=st.floats(-90, 90), lng=st.floats(-180, 180))
def test_every_place_on_earth_is_a_point(lat: float, lng: float) -> None:
    """Poles and the date line are valid; a point survives being written as text and read again."""
    point = Point(lat, lng)
    assert parse_point(repr(point.lat), repr(point.lng)) == point
    assert hash(parse_point(str(point.lat), str(point.lng))) == hash(point)


@given(lat=st.floats() | st.integers() | st.text() | st.none(), lng=st.floats() | st.integers() | st.text())
def test_any_value_is_a_point_or_a_refusal(lat: object, lng: object) -> None:
    """Any other exception would be a 500 to a phone that sent nonsense."""
    point = None
    with suppress(BadPoint):
        point = parse_point(lat, lng)
    if point is not None:
        assert abs(point.lat) <= 90
        assert abs(point.lng) <= 180
