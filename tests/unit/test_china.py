"""WGS-84, GCJ-02 and BD-09: a site from a Chinese map must lie at its own door."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from callout_geo import china
from callout_geo.china import BadDatum, Datum, from_wgs84, parse_datum, to_wgs84
from callout_geo.distance import haversine_m
from callout_geo.points import Point

# All of China's land lies within these degrees, with room to the rectangle's edges.
LATS = st.floats(3.0, 54.0)
LNGS = st.floats(73.5, 135.1)


@pytest.mark.parametrize(
    ("wgs84", "gcj02"),
    (
        # The vectors of the program most others are compared with: Shanghai, Shenzhen, Beijing.
        ((31.1774276, 121.5272106), (31.17530398364597, 121.531541859215)),
        ((22.543847, 113.912316), (22.540796131694766, 113.9171764808363)),
        ((39.911954, 116.377817), (39.91334545536069, 116.38404722455657)),
        ((39.915, 116.404), (39.91640428150164, 116.41024449916938)),
    ),
)
def test_published_vectors_of_gcj02(wgs84: tuple[float, float], gcj02: tuple[float, float]) -> None:
    """A slip in one of twenty constants moves every site of a Chinese customer by metres to streets."""
    lat, lng = china.wgs84_to_gcj02(*wgs84)
    assert (float(lat), float(lng)) == pytest.approx(gcj02, abs=1e-9)


def test_published_vectors_of_bd09() -> None:
    """Baidu's map is where Chinese offices copy coordinates from."""
    lat, lng = china.gcj02_to_bd09(39.915, 116.404)
    assert (float(lat), float(lng)) == pytest.approx((39.92133699351021, 116.41036949371029), abs=1e-9)
    # The customary inverse, good to half a metre, agrees with ours to that.
    lat, lng = china.bd09_to_gcj02(39.915, 116.404)
    assert haversine_m(Point(float(lat), float(lng)), Point(39.90865673957631, 116.39762729119315)) < 0.6


@settings(max_examples=300)
@given(LATS, LNGS, st.sampled_from((Datum.GCJ02, Datum.BD09)))
def test_there_and_back_over_china(lat: float, lng: float, datum: Datum) -> None:
    """A site saved from a map and shown on it again must not creep from edit to edit."""
    place = Point(lat, lng)
    assert haversine_m(to_wgs84(from_wgs84(place, datum), datum), place) < 0.5
    assert haversine_m(from_wgs84(to_wgs84(place, datum), datum), place) < 0.5
    assert 10 < haversine_m(from_wgs84(place, datum), place) < 1_600


@settings(max_examples=200)
@given(st.floats(-85, 85), st.floats(-179, 179))
def test_abroad_gcj02_is_wgs84(lat: float, lng: float) -> None:
    """A customer in Berlin whose app says GCJ-02 still lives in Berlin."""
    if china.in_china(lat, lng):
        return
    place = Point(lat, lng)
    assert from_wgs84(place, Datum.GCJ02) == place
    # Just outside the edge a moved point from inside cannot be told from a point that was never moved.
    lats, lngs = np.array([lat - 0.1, lat + 0.1, lat, lat]), np.array([lng, lng, lng - 0.1, lng + 0.1])
    if not china.in_china(lats, lngs).any():
        assert to_wgs84(place, Datum.GCJ02) == place


def test_arrays_agree_with_points_and_keep_what_is_unknown() -> None:
    """An import of ten thousand sites converts at once; one row without a place must not spoil the others."""
    lats = np.array([31.2, np.nan, 48.1, 90.0, -90.0])
    lngs = np.array([121.5, np.nan, 11.5, 180.0, -180.0])
    got_lat, got_lng = china.bd09_to_wgs84(lats, lngs)
    one = to_wgs84(Point(31.2, 121.5), "bd09")
    assert (got_lat[0], got_lng[0]) == (one.lat, one.lng)
    assert np.isnan(got_lat[1])
    assert np.isnan(got_lng[1])
    assert np.isfinite(got_lat[[2, 3, 4]]).all()
    assert china.wgs84_to_gcj02([], [])[0].shape == (0,)


def test_names_of_datums() -> None:
    """A misspelt datum taken for WGS-84 would put the site 500 m off without a word."""
    assert parse_datum(" GCJ02 ") is Datum.GCJ02
    for wrong in ("gcj-2", "", None, 4326):
        with pytest.raises(BadDatum) as caught:
            parse_datum(wrong)
        assert (caught.value.field, caught.value.reason) == ("datum", "unknown_datum")
