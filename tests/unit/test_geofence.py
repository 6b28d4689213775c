"""The geofence: a note on an event, never a refusal."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta

import pytest
from geopy.distance import geodesic
from hypothesis import given, settings
from hypothesis import strategies as st

from callout_geo.geofence import Fix, judge
from callout_geo.points import Point

SITE = Point(37.75, -122.42)
NOON = datetime(2026, 1, 15, 12, tzinfo=UTC)


def away(metres: float) -> Point:
    """A point so many metres east of the site."""
    there = geodesic(meters=metres).destination((SITE.lat, SITE.lng), bearing=90)
    return Point(there.latitude, there.longitude)


@pytest.mark.parametrize(
    ("metres", "accuracy_m", "radius_m", "kind"),
    (
        (0, 5, 150, "inside"),
        (149, 0, 150, "inside"),
        (151, 0, 150, "outside"),
        (190, 50, 150, "inside"),  # the fix may be wrong by its accuracy
        (210, 50, 150, "outside"),
        (290, 150, 150, "inside"),  # exactly at the cap the fix still counts
        (0, 151, 150, "unverified"),  # above it, it says nothing, not even at the door
        (5000, 900, 150, "unverified"),
        (90, 0, 10, "inside"),  # a radius below 100 m counts as 100 m
        (111, 0, 10, "outside"),
        (90, 0, math.nan, "inside"),
        (0, None, 150, "unverified"),
        (0, -1, 150, "unverified"),
        (0, math.nan, 150, "unverified"),
    ),
)
def test_verdicts(metres: float, accuracy_m: float | None, radius_m: float, kind: str) -> None:
    """A wrong verdict accuses an honest engineer or covers one who never came."""
    verdict = judge(event_point=away(metres), site_point=SITE, accuracy_m=accuracy_m, radius_m=radius_m)
    assert verdict.kind == kind
    assert verdict.distance_m == pytest.approx(metres, abs=0.01)


def test_missing_points_are_told_apart() -> None:
    """No fix is the phone's matter, no site point the office's; the report must name the right one."""
    assert judge(event_point=None, site_point=SITE, accuracy_m=5).kind == "no_position"
    assert judge(event_point=SITE, site_point=None, accuracy_m=5).kind == "no_site"
    assert judge(event_point=None, site_point=None, accuracy_m=5).kind == "no_position"
    assert judge(event_point=None, site_point=SITE, accuracy_m=5).distance_m is None


def test_mock_is_flagged_and_still_judged() -> None:
    """A developer option left on must not lose the work; the supervisor sees the flag."""
    verdict = judge(event_point=SITE, site_point=SITE, accuracy_m=5, mock=True)
    assert verdict.kind == "inside"
    assert verdict.flags == ("mock",)
    assert not verdict.trusted


@pytest.mark.parametrize(
    ("metres", "seconds", "flagged"),
    (
        (50_000, 3600, False),
        (50_000, 60, True),  # 3,000 km/h
        (50_000, -60, True),  # the same jump, events in the other order
        (50_000, -3600, False),  # an honest drive whose events came in the other order
        (40, 0, False),  # two fixes of one moment, apart by less than their accuracies
        (5000, 0, True),
    ),
)
def test_impossible_speed(metres: float, seconds: float, flagged: bool) -> None:
    """A forged position jumps; ordinary GPS noise and late events must not look like forgery."""
    previous = Fix(away(metres), NOON - timedelta(seconds=seconds), accuracy_m=30)
    verdict = judge(event_point=SITE, site_point=SITE, accuracy_m=20, at=NOON, previous=previous)
    assert ("impossible_speed" in verdict.flags) is flagged
    assert verdict.kind == "inside"


def test_unknown_accuracy_is_flagged() -> None:
    """A phone that hides its accuracy cannot prove presence, and one sees why."""
    assert judge(event_point=SITE, site_point=SITE, accuracy_m=None).flags == ("no_accuracy",)


@pytest.mark.parametrize(
    ("seconds", "flags"),
    (
        (5, ()),
        (120, ()),  # a tunnel on the way is not "offline"
        (121, ("offline",)),
        (86_400, ("offline",)),
        (-300, ()),  # a clock put right the wrong way is no reason for a flag
    ),
)
def test_events_made_offline_are_told_apart(seconds: int, flags: tuple[str, ...]) -> None:
    """An arrival that came hours later was not seen by anybody when it happened; its fix is as good as any other."""
    received_at = NOON + timedelta(seconds=seconds)
    verdict = judge(event_point=SITE, site_point=SITE, accuracy_m=5, at=NOON, received_at=received_at)
    assert (verdict.kind, verdict.flags, verdict.trusted) == ("inside", flags, True)
    forged = judge(
        event_point=None, site_point=SITE, accuracy_m=5, at=NOON, received_at=received_at, mock=True
    )
    assert forged.flags == ("mock", *flags)
    assert not forged.trusted


POINTS = st.none() | st.builds(Point, st.floats(-90, 90), st.floats(-180, 180))


@settings(deadline=None)
@given(
    event_point=POINTS,
    site_point=POINTS,
    accuracy_m=st.none() | st.floats(),
    mock=st.booleans(),
    radius_m=st.floats(),
    previous=st.none()
    | st.builds(
        Fix,
        st.builds(Point, st.floats(-90, 90), st.floats(-180, 180)),
        st.datetimes(min_value=datetime(2000, 1, 1), timezones=st.just(UTC)),
        st.floats(),
    ),
)
def test_it_never_refuses(
    event_point: Point | None,
    site_point: Point | None,
    accuracy_m: float | None,
    mock: bool,
    radius_m: float,
    previous: Fix | None,
) -> None:
    """An exception here would lose an event of real work for a strange number in its position."""
    verdict = judge(
        event_point=event_point,
        site_point=site_point,
        accuracy_m=accuracy_m,
        mock=mock,
        at=NOON,
        previous=previous,
        radius_m=radius_m,
    )
    assert ("mock" in verdict.flags) is mock
    assert (verdict.distance_m is None) is (event_point is None or site_point is None)
    assert list(verdict.flags) == sorted(set(verdict.flags))


@settings(deadline=None)
@given(
    metres=st.floats(0, 1000),
    accuracy_m=st.floats(0, 150),
    radius_m=st.floats(100, 1000),
    more=st.floats(0, 500),
)
def test_a_larger_radius_never_puts_an_engineer_outside(
    metres: float, accuracy_m: float, radius_m: float, more: float
) -> None:
    """Widening a site's fence must only ever be kinder."""
    event_point = away(metres)
    narrow = judge(event_point=event_point, site_point=SITE, accuracy_m=accuracy_m, radius_m=radius_m)
    wide = judge(event_point=event_point, site_point=SITE, accuracy_m=accuracy_m, radius_m=radius_m + more)
    assert narrow.kind != "inside" or wide.kind == "inside"
