"""Metres driven from position fixes: pay and mileage depend on them, so that neither noise nor tricks may add any."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from geopy.distance import geodesic
from hypothesis import given, settings
from hypothesis import strategies as st

from callout_geo.distance import haversine_m
from callout_geo.point_arrays import BadPoints
from callout_geo.points import Point
from callout_geo.track import FIXES_MAX, Drive, TrackRules, drive, thin

NOON_US = 1_768_478_400_000_000
BASE = Point(48.1, 11.5)


@dataclass
class Phone:
    """Fixes of a phone, in order."""

    at_us: list[int]
    lats: list[float]
    lngs: list[float]
    accuracy_m: list[float]
    mock: list[bool]

    @classmethod
    def new(cls) -> Phone:
        return cls([], [], [], [], [])

    def fix(
        self, second: float, east_m: float, north_m: float, accuracy_m: float = 8, mock: bool = False
    ) -> Phone:
        point = moved(east_m, north_m)
        self.at_us.append(NOON_US + int(second * 1e6))
        self.lats.append(point.lat)
        self.lngs.append(point.lng)
        self.accuracy_m.append(accuracy_m)
        self.mock.append(mock)
        return self

    def drive(self, order: list[int] | None = None, **rules: Any) -> Drive:
        order = list(range(len(self.at_us))) if order is None else order
        return drive(
            [self.at_us[n] for n in order],
            [self.lats[n] for n in order],
            [self.lngs[n] for n in order],
            [self.accuracy_m[n] for n in order],
            np.array([self.mock[n] for n in order], dtype=bool),
            TrackRules(**rules),
        )


def moved(east_m: float, north_m: float) -> Point:
    radians = math.radians(BASE.lat)
    return Point(BASE.lat + north_m / 111_195.08, BASE.lng + east_m / (111_195.08 * math.cos(radians)))


def straight(seconds: int, every: int = 10, metres_per_s: float = 12.0) -> Phone:
    phone = Phone.new()
    for second in range(0, seconds + 1, every):
        phone.fix(second, metres_per_s * second, 0)
    return phone


def summary(result: Drive) -> tuple[Any, ...]:
    return (result.measured_m, result.bridged_m, result.stops, result.gaps)


def test_a_straight_drive_is_its_length() -> None:
    """The plain case must be right to the metre, or every other figure is."""
    result = straight(600).drive()
    assert result.metres == pytest.approx(7_200, rel=1e-4)
    assert result.stops == ()
    assert result.line.tolist() == list(range(61))


@settings(max_examples=80)
@given(st.data())
def test_standing_still_is_nothing(data: st.DataObject) -> None:
    """A phone on a roof for eight hours must not drive three kilometres of noise."""
    phone = Phone.new()
    for n in range(data.draw(st.integers(1, 40))):
        accuracy = data.draw(st.floats(0, 150))
        angle, share = data.draw(st.floats(0, 6.28)), data.draw(st.floats(0, 0.999))
        off = accuracy * share
        phone.fix(n * 30, off * math.cos(angle), off * math.sin(angle), accuracy)
    result = phone.drive()
    assert result.metres == 0
    assert len(result.line) == 1


fixes = st.lists(
    st.tuples(
        st.integers(0, 3_000),
        st.floats(-20_000, 20_000),
        st.floats(-20_000, 20_000),
        st.sampled_from((0.0, 5.0, 30.0, 149.0, 151.0, math.nan, -1.0)),
        st.booleans(),
    ),
    max_size=25,
)


@settings(max_examples=150)
@given(fixes, st.data())
def test_order_and_repetition_do_not_matter(rows: list[Any], data: st.DataObject) -> None:
    """Batches arrive late, twice and in any order; the mileage must come out the same to the last bit."""
    phone = Phone.new()
    for row in rows:
        phone.fix(*row)
    once = phone.drive()
    order = data.draw(st.permutations(range(len(rows))))
    again = data.draw(st.lists(st.sampled_from(order))) if rows else []
    twice = phone.drive([*order, *again])
    assert summary(twice) == summary(once)
    assert once.metres >= 0
    # Nothing is driven faster than anything drives.
    if len(rows) > 1:
        seconds = max(row[0] for row in rows) - min(row[0] for row in rows)
        assert once.measured_m <= 100 * seconds + 2 * 150 * len(rows) + 100 * len(rows)


def test_what_is_dropped_is_counted_and_drives_nowhere() -> None:
    """A forged trip, a fix from a mast and a jump to another city add nothing and are shown to the office."""
    phone = straight(600)
    phone.fix(205, 2_460, 9_000, mock=True).fix(305, 3_660, 700, accuracy_m=900)
    phone.fix(405, 4_860, 300_000).fix(600, 7_200, 0, accuracy_m=30)
    result = phone.drive()
    assert result.metres == pytest.approx(7_200, rel=1e-4)
    assert dict(result.dropped) == {"mock": 1, "inaccurate": 1, "duplicate": 1, "impossible_speed": 1}


@pytest.mark.parametrize("second", (-10, 610))
def test_an_odd_fix_at_either_end(second: int) -> None:
    """When the first fix of the day is the wrong one, it must not throw out all the right ones."""
    result = straight(600).fix(second, 300_000, 0).drive()
    assert result.metres == pytest.approx(7_200, rel=1e-4)
    assert result.dropped["impossible_speed"] == 1


def test_a_tunnel_is_bridged_and_told() -> None:
    """Twenty minutes without a fix are a guess of the way, and whoever pays for it sees how much is guessed."""
    phone = straight(600)
    for second in range(1_800, 2_401, 10):
        phone.fix(second, 7_200 + 6_000 + 12 * (second - 1_800), 0)
    result = phone.drive()
    (gap,) = result.gaps
    assert gap.metres == result.bridged_m == pytest.approx(6_000 * 1.35, rel=1e-3)
    assert (gap.start_us, gap.end_us) == (NOON_US + 600_000_000, NOON_US + 1_800_000_000)
    assert result.measured_m == pytest.approx(14_400, rel=1e-3)
    # A hole shorter than the limit is measured straight.
    assert phone.drive(gap_s_max=1_500).bridged_m == 0


def test_stops_between_drives() -> None:
    """A stop at the site is what ties a track to a visit; a phone switched off on site is still on site."""
    phone = straight(600)
    rng = np.random.default_rng(7)
    for second in [*range(630, 1_200, 30), *range(3_600, 4_200, 30)]:
        east, north = rng.uniform(-6, 6, 2)
        phone.fix(second, 7_200 + east, north)
    for second in range(4_200, 4_801, 10):
        phone.fix(second, 7_200, 12 * (second - 4_200))
    result = phone.drive()
    (stop,) = result.stops
    assert haversine_m(stop.point, moved(7_200, 0)) < 10
    assert stop.start_us == NOON_US + 600_000_000
    assert stop.end_us == NOON_US + 4_200_000_000
    assert result.gaps == ()
    assert result.metres == pytest.approx(14_400, rel=0.01)


def test_agrees_with_the_ellipsoid() -> None:
    """The sum of a winding drive on the sphere is that on the ellipsoid to the third of a per cent that distances promise."""
    phone = Phone.new()
    for n in range(300):
        phone.fix(n * 10, 3_000 * math.cos(n / 30), 3_000 * math.sin(n / 17))
    result = phone.drive()
    points = [(phone.lats[n], phone.lngs[n]) for n in result.line]
    real = sum(geodesic(a, b).m for a, b in pairwise(points))
    assert result.metres == pytest.approx(real, rel=0.003)


@settings(max_examples=60)
@given(
    st.lists(st.tuples(st.floats(-5_000, 5_000), st.floats(-5_000, 5_000)), min_size=1, max_size=60),
    st.floats(1, 500),
)
def test_thinning_keeps_the_line(corners: list[tuple[float, float]], tolerance_m: float) -> None:
    """A line on the map that leaves the road by more than promised shows an engineer where nobody was."""
    points = [moved(*corner) for corner in corners]
    kept = thin([p.lat for p in points], [p.lng for p in points], tolerance_m)
    assert kept[0] == 0
    assert kept[-1] == len(points) - 1
    assert (np.diff(kept) > 0).all()
    flat = np.array(corners)
    for left, right in pairwise(kept):
        along = flat[right] - flat[left]
        for point in flat[left + 1 : right]:
            length2 = float(along @ along)
            share = 0.0 if length2 == 0 else min(max(float((point - flat[left]) @ along) / length2, 0.0), 1.0)
            # 0.2 %: the flattening around the middle latitude of ten kilometres.
            assert np.linalg.norm(point - flat[left] - share * along) <= tolerance_m * 1.002 + 0.01 * 10


def test_a_day_of_fixes_every_second() -> None:
    """The largest day that is let in is worked through, also when every second fix is nonsense."""
    n = FIXES_MAX
    at = NOON_US + np.arange(n) * 1_000_000
    lats = 48 + np.cumsum(np.full(n, 1e-5))
    result = drive(at, lats, np.full(n, 11.0), np.full(n, 5.0))
    # The last metres, less than makes a movement, are not counted yet.
    assert result.metres == pytest.approx((lats[-1] - lats[0]) * 111_195.08, abs=25)
    assert len(thin(lats, np.full(n, 11.0))) <= n / 2_000 + 2
    wild = np.where(np.arange(20_000) % 2 == 0, 10.0, 60.0)
    jumping = drive(at[:20_000], wild, np.full(20_000, 11.0), np.full(20_000, 5.0))
    assert jumping.metres == 0
    assert jumping.dropped["impossible_speed"] == 10_000


@pytest.mark.parametrize(
    ("changed", "field", "reason"),
    (
        ({"lats": [48.0, 95.0]}, "lat[1]", "axes_swapped"),
        ({"lats": [48.0, math.nan]}, "lat[1]", "not_finite"),
        ({"lats": [48.0, "48"]}, "lats", "not_a_number"),
        ({"lats": [48.0]}, "lngs", "lengths_differ"),
        ({"lats": [0.0, 48.0], "lngs": [0.0, 11.0]}, "point[0]", "null_island"),
        ({"at_us": [1.5, 2.5]}, "at_us", "not_a_number"),
        ({"at_us": [1]}, "at_us", "lengths_differ"),
        ({"accuracy_m": ["5", "5"]}, "accuracy_m", "not_a_number"),
        ({"mock": [0, 1]}, "mock", "not_a_number"),
        ({"lats": [48.0] * (FIXES_MAX + 1), "lngs": [11.0] * (FIXES_MAX + 1)}, "lats", "too_many"),
    ),
)
def test_bad_fixes(changed: dict[str, Any], field: str, reason: str) -> None:
    """What is no fix is named with its place; nothing else of the batch is guessed at."""
    given_ = {
        "at_us": [1, 2],
        "lats": [48.0, 48.1],
        "lngs": [11.0, 11.0],
        "accuracy_m": [5.0, 5.0],
        "mock": None,
    }
    with pytest.raises(BadPoints) as caught:
        drive(**{**given_, **changed})
    assert (caught.value.field, caught.value.reason) == (field, reason)


def test_nothing_and_one() -> None:
    """A day without fixes and one with a single fix are days without driving."""
    assert drive([], [], [], []).metres == 0
    assert Phone.new().fix(0, 0, 0).drive().line.tolist() == [0]
    with pytest.raises(ValueError, match="circuity"):
        TrackRules(circuity=0.9)
