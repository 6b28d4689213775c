"""Who is on duty for a team at a moment, by local hours. Pure.

A row counts minutes of local wall time from the midnight at which its day begins; what ends after 1440 goes on into the
next morning. Wall time is what people agree on: in the night when clocks go back, 01:30 is on duty twice, and in the one
when they go forward a duty from 02:00 to 03:00 does not take place.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec

DAY = 1440


class DutyRow(msgspec.Struct, frozen=True, kw_only=True):
    """One interval of duty, of a `weekday` (0 is Monday) or of one date, whose rows stand in place of its weekday's.

    `user_id` None, on a date: nobody. `rank` 1 is asked first.
    """

    user_id: UUID | None
    rank: int
    starts_minute: int
    ends_minute: int
    weekday: int | None = None
    on_date: date | None = None


class OnDuty(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody who is on duty, and until when (UTC)."""

    user_id: UUID
    rank: int
    until: datetime


def on_duty(rows: Iterable[DutyRow], *, at: datetime, zone: ZoneInfo) -> list[OnDuty]:
    """Who is on duty at `at`, in the order in which they are asked; each person once. Raises ValueError for a naive time."""
    if at.tzinfo is None:
        raise ValueError("at must carry a time zone")
    given = list(rows)
    dates = {row.on_date for row in given if row.on_date is not None}
    local = at.astimezone(zone)
    minute = local.hour * 60 + local.minute
    found: dict[UUID, OnDuty] = {}
    for day, passed in ((local.date(), minute), (local.date() - timedelta(days=1), minute + DAY)):
        for row in given:
            stands = row.on_date == day if day in dates else row.weekday == day.weekday()
            if not stands or row.user_id is None or not row.starts_minute <= passed < row.ends_minute:
                continue
            one = OnDuty(user_id=row.user_id, rank=row.rank, until=wall(day, row.ends_minute, zone))
            if row.user_id not in found or one.rank < found[row.user_id].rank:
                found[row.user_id] = one
    return sorted(found.values(), key=lambda one: (one.rank, one.user_id))


def wall(day: date, minute: int, zone: ZoneInfo) -> datetime:
    """The UTC moment of a local wall time, so many minutes after a day's midnight; the first where there are two."""
    naive = datetime(day.year, day.month, day.day) + timedelta(minutes=minute)
    return naive.replace(tzinfo=zone).astimezone(UTC)
