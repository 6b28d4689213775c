"""Distances: the fast sphere against the geodesic, and its laws."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from callout_geo.distance import (
    ellipsoid_m,
    geodesic_m,
    haversine_m,
    haversine_matrix_m,
    haversine_one_to_many_m,
    travel_minutes,
    unit_vectors,
    vector_distance_m,
)
from callout_geo.points import Point

ANYWHERE = st.builds(Point, st.floats(-90, 90), st.floats(-180, 180))
#: Latitudes where the mean-radius sphere is within 0.3 % for short ways in every direction.
TEMPERATE = st.floats(31, 48)


@settings(deadline=None)
@given(
    lat=TEMPERATE,
    sign=st.sampled_from((-1, 1)),
    lng=st.floats(-179, 179),
    dlat=st.floats(-0.5, 0.5),
    dlng=st.floats(-0.5, 0.5),
)
def test_within_three_per_mille_of_the_geodesic_in_temperate_latitudes(
    lat: float, sign: int, lng: float, dlat: float, dlng: float
) -> None:
    """Over a city and its region the fast distance must rank engineers as the true one does."""
    a = Point(sign * lat, lng)
    b = Point(sign * min(max(lat + dlat, 31), 48), lng + dlng)
    true = geodesic_m(a, b)
    assume(true > 1.0)
    assert haversine_m(a, b) == pytest.approx(true, rel=0.003)


@settings(deadline=None)
@given(a=ANYWHERE, b=ANYWHERE)
def test_within_six_per_mille_of_the_geodesic_anywhere(a: Point, b: Point) -> None:
    """The bound that the module promises for the whole earth, date line and poles included."""
    true = geodesic_m(a, b)
    assume(true > 1.0)
    assert haversine_m(a, b) == pytest.approx(true, rel=0.006)


def test_a_known_way() -> None:
    """San Francisco's Ferry Building to the Golden Gate Bridge's south end: 7.4 km, whatever the formula."""
    ferry, bridge = Point(37.7955, -122.3937), Point(37.8077, -122.4750)
    assert haversine_m(ferry, bridge) == pytest.approx(7270, abs=60)
    assert geodesic_m(ferry, bridge) == pytest.approx(7290, abs=60)


@given(a=ANYWHERE, b=ANYWHERE)
def test_distance_is_symmetric_and_zero_to_itself(a: Point, b: Point) -> None:
    """The way there is the way back; otherwise a slot that fits one way would not fit the other."""
    assert haversine_m(a, b) == haversine_m(b, a)
    assert haversine_m(a, a) == 0.0
    assert haversine_m(a, b) >= 0.0


@given(a=ANYWHERE, b=ANYWHERE)
def test_vectors_say_what_haversine_says(a: Point, b: Point) -> None:
    """The pick measures by kept vectors, reports by haversine: they must not contradict each other."""
    by_vector = float(vector_distance_m(unit_vectors([a.lat], [a.lng]), unit_vectors(b.lat, b.lng))[0])
    # Near the antipode arcsin is flat: both forms lose digits there, a metre in twenty thousand kilometres.
    assert by_vector == pytest.approx(haversine_m(a, b), rel=1e-6, abs=1e-3)


@given(st.lists(ANYWHERE, min_size=1, max_size=6), st.lists(ANYWHERE, min_size=1, max_size=6))
def test_matrix_is_one_to_many_row_by_row(a: list[Point], b: list[Point]) -> None:
    """A matrix with rows and columns swapped would give every engineer another's way."""
    b_lats, b_lngs = [p.lat for p in b], [p.lng for p in b]
    matrix = haversine_matrix_m([p.lat for p in a], [p.lng for p in a], b_lats, b_lngs)
    assert matrix.shape == (len(a), len(b))
    for row, origin in enumerate(a):
        np.testing.assert_allclose(matrix[row], haversine_one_to_many_m(origin, b_lats, b_lngs))


def test_an_unknown_place_is_an_unknown_distance() -> None:
    """NaN must stay NaN: turned into a number, an engineer without a position would stand next door."""
    result = haversine_one_to_many_m(Point(1, 2), [float("nan"), 1.0], [2.0, 2.0])
    assert np.isnan(result[0])
    assert result[1] == 0.0


def test_travel_estimate() -> None:
    """28 km on the road take an hour: 28 / 1.35 km as the crow flies."""
    assert travel_minutes(28_000 / 1.35) == pytest.approx(60.0)
    np.testing.assert_allclose(travel_minutes(np.array([0.0, 14_000 / 1.35])), [0.0, 30.0])


@given(
    lat=st.floats(-70, 70),
    lng=st.floats(-180, 180),
    north=st.floats(-0.2, 0.2),
    east=st.floats(-0.2, 0.2),
)
def test_the_fast_ellipsoid_agrees_with_the_geodesic(
    lat: float, lng: float, north: float, east: float
) -> None:
    """A geofence verdict is evidence: the fast distance must not tell another story than the exact one."""
    a = Point(lat, lng)
    b = Point(min(90.0, max(-90.0, lat + north)), (lng + east + 180.0) % 360.0 - 180.0)
    assert ellipsoid_m(a, b) == pytest.approx(geodesic_m(a, b), rel=1e-5, abs=0.01)
