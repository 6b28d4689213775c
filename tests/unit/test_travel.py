"""The travel model: speeds by local hour of the week, right over clock changes, and the planner's matrices."""

from __future__ import annotations

import math
import pickle
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from callout_geo.distance import haversine_m, travel_minutes
from callout_geo.point_arrays import BadPoints, checked_points
from callout_geo.points import Point
from callout_geo.travel import (
    HOURS_PER_WEEK,
    STANDARD_TRAVEL,
    WORKING_HOURS,
    BadTravel,
    Travel,
    matrix_metres,
    matrix_seconds,
)

ZONES = ("UTC", "Asia/Shanghai", "Europe/Berlin", "America/New_York", "Asia/Kathmandu", "Australia/Lord_Howe",
         "Africa/Casablanca", "Pacific/Apia", "America/St_Johns", "Pacific/Chatham")  # fmt: skip


def by_the_calendar(seconds: int, zone: str) -> int:
    local = datetime.fromtimestamp(seconds, ZoneInfo(zone))
    return local.weekday() * 24 + local.hour


@settings(max_examples=150)
@given(
    st.sampled_from(ZONES),
    st.lists(st.integers(0, 7_258_118_400 - 1), min_size=1, max_size=20),
)
def test_hours_are_those_of_the_calendar(zone: str, instants: list[int]) -> None:
    """An hour off by one puts the rush hour's speeds on the wrong legs, half of the year."""
    travel = Travel(time_zone=zone)
    hours = [by_the_calendar(second, zone) for second in instants]
    assert travel.hour_of_week_s(np.array(instants)).tolist() == hours
    assert travel.hour_of_week(np.array(instants) * 1_000_000 + 999_999).tolist() == hours


@pytest.mark.parametrize(
    ("zone", "change"),
    (
        ("Europe/Berlin", datetime(2026, 3, 29, 1, tzinfo=UTC)),
        ("Europe/Berlin", datetime(2026, 10, 25, 1, tzinfo=UTC)),
        ("America/New_York", datetime(2026, 3, 8, 7, tzinfo=UTC)),
        ("America/New_York", datetime(2026, 11, 1, 6, tzinfo=UTC)),
        ("Australia/Lord_Howe", datetime(2026, 4, 4, 15, tzinfo=UTC)),  # moves by half an hour
        ("Pacific/Apia", datetime(2011, 12, 30, 10, tzinfo=UTC)),  # skipped a whole day
        ("Africa/Casablanca", datetime(2026, 3, 22, 2, tzinfo=UTC)),
        ("Europe/Berlin", datetime(2026, 12, 31, 23, tzinfo=UTC)),  # the year ends earlier there than in UTC
    ),
)
def test_every_minute_around_a_clock_change(zone: str, change: datetime) -> None:
    """The night of the change has an hour twice or not at all; engineers on call drive through it."""
    at = int(change.timestamp()) + np.arange(-180, 181) * 60
    got = Travel(time_zone=zone).hour_of_week_s(at)
    assert got.tolist() == [by_the_calendar(int(second), zone) for second in at]


def test_shapes_and_ranges_of_instants() -> None:
    """Callers pass matrices, single instants and nothing; dates nobody means are refused instead of looked up for ever."""
    travel = Travel(time_zone="Asia/Shanghai")
    assert travel.hour_of_week(np.zeros((2, 3), np.int64)).shape == (2, 3)
    assert int(travel.hour_of_week(0)) == 3 * 24 + 8
    assert travel.hour_of_week([]).shape == (0,)
    for wrong in ([1.5], ["1"], [-1], [2**62], [8_000_000_000 * 1_000_000]):
        with pytest.raises(BadTravel):
            travel.hour_of_week(wrong)


def test_the_standard_model_is_the_old_estimate() -> None:
    """Without learned speeds every figure stays what it was."""
    for metres in (0.0, 1.0, 12_345.6, 2e6):
        assert STANDARD_TRAVEL.minutes(metres) == pytest.approx(travel_minutes(metres), rel=1e-12)
        assert STANDARD_TRAVEL.minutes(metres, 17) == pytest.approx(travel_minutes(metres), rel=1e-12)


RUSH = Travel(
    km_per_hour=tuple(14.0 if hour % 24 == 8 else 42.0 for hour in range(HOURS_PER_WEEK)), circuity=1.5
)


def test_minutes_by_hour_and_on_average() -> None:
    """A leg in the rush hour takes three times as long; the mean is of minutes, or plans come out too short."""
    assert RUSH.minutes(14_000.0, 8) == pytest.approx(90)
    assert RUSH.minutes(14_000.0, 9) == pytest.approx(30)
    # One working hour of ten is three times as slow.
    assert RUSH.minutes(14_000.0) == pytest.approx((90 + 9 * 30) / 10)
    metres = np.array([[14_000.0, math.nan], [0.0, 7_000.0]])
    hours = np.array([8, 9])
    assert RUSH.minutes(metres, hours)[:, 0].tolist() == pytest.approx([90, 0])
    assert math.isnan(RUSH.minutes(metres, hours)[0, 1])
    assert RUSH.minutes(metres, hours)[1, 1] == pytest.approx(15)
    for wrong in (-1, 168, np.array([0, 168])):
        with pytest.raises(BadTravel):
            RUSH.minutes(metres, wrong)


@pytest.mark.parametrize(
    ("changed", "field"),
    (
        ({"circuity": 0.9}, "circuity"),
        ({"circuity": math.nan}, "circuity"),
        ({"circuity": True}, "circuity"),
        ({"km_per_hour": (28.0,) * 167}, "km_per_hour"),
        ({"km_per_hour": (28.0,) * 100 + (0.0,) * 68}, "km_per_hour[100]"),
        ({"km_per_hour": (28.0,) * 167 + (math.inf,)}, "km_per_hour[167]"),
        ({"km_per_hour": ("28",) * 168}, "km_per_hour[0]"),
        ({"time_zone": "Mars/Olympus"}, "time_zone"),
        ({"time_zone": ""}, "time_zone"),
        ({"time_zone": "../etc/passwd"}, "time_zone"),
        ({"time_zone": None}, "time_zone"),
    ),
)
def test_bad_models(changed: dict[str, Any], field: str) -> None:
    """One learned speed of zero would make a way last for ever, somewhere in the middle of a plan."""
    with pytest.raises(BadTravel) as caught:
        Travel(**changed)
    assert caught.value.field == field


def test_models_are_values() -> None:
    """Planner processes get the model by pickle, caches keep things by it."""
    again = pickle.loads(pickle.dumps(RUSH))
    assert again == RUSH
    assert hash(again) == hash(RUSH)
    assert again.minutes(1_000.0, 8) == RUSH.minutes(1_000.0, 8)
    assert Travel() == STANDARD_TRAVEL
    assert set(WORKING_HOURS) == {day * 24 + hour for day in range(5) for hour in range(8, 18)}


points = st.lists(
    st.tuples(st.floats(-89, 89), st.floats(-179, 179)).filter(lambda p: abs(p[0]) > 0.01), max_size=12
)


@settings(max_examples=80)
@given(points)
def test_matrices_agree_with_one_by_one(places: list[tuple[float, float]]) -> None:
    """The planner's seconds and the pick's minutes must tell the same story, or every accepted plan looks late."""
    lats, lngs = [lat for lat, _ in places], [lng for _, lng in places]
    metres = matrix_metres(lats, lngs, np.float64)
    seconds = matrix_seconds(STANDARD_TRAVEL, lats, lngs, unknown_minutes=30)
    assert metres.shape == seconds.shape == (len(places), len(places))
    assert seconds.dtype == np.int32
    assert (metres == metres.T).all()
    for n, a in enumerate(places):
        for m, b in enumerate(places):
            straight = haversine_m(Point(*a), Point(*b))
            assert metres[n, m] == pytest.approx(straight, abs=0.01, rel=1e-6)
            assert seconds[n, m] - 1.01 <= travel_minutes(straight) * 60 <= seconds[n, m] + 0.1
    assert (np.diag(seconds) == 0).all()
    assert np.abs(matrix_metres(lats, lngs) - metres).max(initial=0) <= 1.0


def test_unknown_places_and_hours() -> None:
    """An engineer without a base has the policy's way to everywhere; other people's ways stay what they are."""
    lats, lngs = [48.0, math.nan, 48.1], [11.0, math.nan, 11.0]
    metres = matrix_metres(lats, lngs)
    assert np.isnan(metres[1, [0, 2]]).all()
    assert np.isfinite(metres[np.ix_([0, 2], [0, 2])]).all()
    seconds = matrix_seconds(RUSH, lats, lngs, unknown_minutes=12.5, hours=[8])
    assert seconds[1].tolist() == [750, 0, 750]
    assert seconds[0, 2] == math.ceil(
        RUSH.minutes(float(matrix_metres(lats, lngs, np.float64)[0, 2]), 8) * 60
    )
    assert matrix_seconds(RUSH, [], [], unknown_minutes=5).shape == (0, 0)
    for wrong in (-1, math.nan, 1441, None):
        with pytest.raises(BadTravel):
            matrix_seconds(RUSH, lats, lngs, unknown_minutes=wrong)  # type: ignore[arg-type]
    with pytest.raises(BadTravel):
        matrix_seconds(RUSH, lats, lngs, unknown_minutes=5, hours=[])
    # More rows than are reckoned at once.
    many = np.linspace(40, 41, 300)
    whole = matrix_metres(many, many, np.float64)
    assert whole[299, 0] == whole[0, 299] == pytest.approx(haversine_m(Point(40, 40), Point(41, 41)))


@pytest.mark.parametrize(
    ("lats", "lngs", "field", "reason"),
    (
        ([48.0], [11.0, 12.0], "lngs", "lengths_differ"),
        ([[48.0]], [[11.0]], "lats", "not_a_list"),
        ([[48.0], [1.0, 2.0]], [11.0, 12.0], "lats", "not_a_list"),
        (48.0, 11.0, "lats", "not_a_list"),
        (["48"], [11.0], "lats", "not_a_number"),
        ([True], [11.0], "lats", "not_a_number"),
        ([48.0, None], [11.0, 12.0], "lat[1]", "missing"),
        ([48.0, 10**400], [11.0, 12.0], "lat[1]", "out_of_range"),
        ([48.0, math.nan], [11.0, 12.0], "lat[1]", "not_finite"),
        ([48.0, math.inf], [11.0, 12.0], "lat[1]", "not_finite"),
        ([48.0, 121.5], [11.0, 31.2], "lat[1]", "axes_swapped"),
        ([48.0, 121.5], [11.0, 131.2], "lat[1]", "out_of_range"),
        ([48.0, 50.0], [11.0, 181.0], "lng[1]", "out_of_range"),
        ([48.0, 0.0], [11.0, 0.00001], "point[1]", "null_island"),
        (np.zeros(10_001), np.zeros(10_001), "lats", "too_many"),
    ),
)
def test_bad_places(lats: Any, lngs: Any, field: str, reason: str) -> None:
    """ "Something is wrong with your hundred thousand sites" helps nobody; the first wrong one is named."""
    with pytest.raises(BadPoints) as caught:
        matrix_seconds(STANDARD_TRAVEL, lats, lngs, unknown_minutes=30)
    assert (caught.value.field, caught.value.reason) == (field, reason)


def test_a_hundred_thousand_points_are_checked_at_once() -> None:
    """An import's points pass or fail together, without a loop a point."""
    rng = np.random.default_rng(3)
    lats, lngs = rng.uniform(1, 89, 100_000), rng.uniform(-180, 180, 100_000)
    assert len(checked_points(lats, lngs)[0]) == 100_000
    lats[99_999] = -0.0
    lngs[99_999] = 0.0
    with pytest.raises(BadPoints) as caught:
        checked_points(lats, lngs)
    assert caught.value.field == "point[99999]"
