"""What an engineer's positions say of a stretch of time: metres driven, where they stood, and a line for the map."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID

import msgspec
import numpy as np

from callout_dispatch.places.texts import PlaceRefused
from callout_geo.track import Drive, drive, thin
from callout_store.errors import NotFound
from callout_store.work import Work

HOURS_MAX: Final = 24
"""One track: with a fix a second that is as many as are walked through at once."""
LINE_MAX: Final = 2_000
"""Points of a line; a longer one is drawn more coarsely."""
TOLERANCE_M: Final = 10.0
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class TrackStop(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody stood here from `start` to `end`."""

    start: datetime
    end: datetime
    lat: float
    lng: float


class TrackGap(msgspec.Struct, frozen=True, kw_only=True):
    """No position for minutes, and elsewhere afterwards; `metres` is a guess by the straight way."""

    start: datetime
    end: datetime
    metres: float


class TrackPoint(msgspec.Struct, frozen=True, kw_only=True):
    """A corner of the line, and when the engineer was there."""

    at: datetime
    lat: float
    lng: float


class Track(msgspec.Struct, frozen=True, kw_only=True):
    """`metres` driven are those measured and those bridged over gaps. `fixes` positions were read, `dropped` of them did not
    count (made up, too inaccurate, impossible)."""

    engineer_id: UUID
    start: datetime
    end: datetime
    metres: float
    measured_metres: float
    fixes: int
    dropped: int
    stops: list[TrackStop]
    gaps: list[TrackGap]
    line: list[TrackPoint]


async def track(work: Work, engineer_id: UUID, start: datetime, end: datetime) -> Track:
    """The track of one engineer within [start, end), at most a day. Raises BadField, NotFound.

    Who may ask is the door's to decide: the office, and the engineer themselves.
    """
    if end <= start:
        raise PlaceRefused("end", "ends_early")
    if end - start > timedelta(hours=HOURS_MAX):
        raise PlaceRefused("end", "hours_max", limit=HOURS_MAX)
    known = await work.fetchval(
        "select true from engineer where org_id = callout_org() and id = $1", engineer_id
    )
    if not known:
        raise NotFound(entity="engineer", path="engineerId")
    # Columns and not rows: a day has tens of thousands of them.
    row = await work.fetchrow(
        """
        select array_agg(extract(epoch from at)::int8 order by at) as at, array_agg(lat order by at) as lat,
               array_agg(lng order by at) as lng, array_agg(coalesce(accuracy_m, -1) order by at) as accuracy_m,
               array_agg(mock order by at) as mock
        from position_fix where org_id = callout_org() and engineer_id = $1 and at >= $2 and at < $3
        """,
        engineer_id,
        start,
        end,
    )
    columns = [row[name] or [] if row else [] for name in ("at", "lat", "lng", "accuracy_m", "mock")]
    return await asyncio.to_thread(_drawn, engineer_id, start, end, columns)


def _drawn(engineer_id: UUID, start: datetime, end: datetime, columns: list[list[Any]]) -> Track:
    at_us = np.array(columns[0], np.int64) * 1_000_000
    lats, lngs = np.array(columns[1], np.float64), np.array(columns[2], np.float64)
    driven = drive(at_us, lats, lngs, np.array(columns[3], np.float64), np.array(columns[4], np.bool_))
    line = _line(driven, lats, lngs)
    return Track(
        engineer_id=engineer_id,
        start=start,
        end=end,
        metres=driven.metres,
        measured_metres=driven.measured_m,
        fixes=len(at_us),
        dropped=sum(driven.dropped.values()),
        stops=[
            TrackStop(start=_at(one.start_us), end=_at(one.end_us), lat=one.point.lat, lng=one.point.lng)
            for one in driven.stops
        ],
        gaps=[
            TrackGap(start=_at(one.start_us), end=_at(one.end_us), metres=one.metres) for one in driven.gaps
        ],
        line=[
            TrackPoint(at=_at(int(at_us[n])), lat=float(lats[n]), lng=float(lngs[n])) for n in line.tolist()
        ],
    )


def _line(driven: Drive, lats: Any, lngs: Any) -> Any:
    """Indexes of the line's corners, so few that a map can draw them."""
    points = driven.line
    tolerance_m = TOLERANCE_M
    corners = points[thin(lats[points], lngs[points], tolerance_m)]
    while len(corners) > LINE_MAX and tolerance_m < 1e5:
        tolerance_m *= 2
        corners = points[thin(lats[points], lngs[points], tolerance_m)]
    return corners[:LINE_MAX]


def _at(us: int) -> datetime:
    return _EPOCH + timedelta(microseconds=us)
