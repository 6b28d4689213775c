"""Quiet hours: when somebody does not want to be told what can wait. Values only.

Written `22:00-07:00`, in the person's own time zone; the end may lie on the next day. Empty: none. They are hours of the
clock on the wall: the night in which clocks change is an hour shorter or longer, and ends at the same time of day.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

_FORM = re.compile(r"([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-3]):([0-5]\d)")


def read(text: str) -> tuple[time, time] | None:
    """Start and end; None for an empty text. Raises ValueError, also where both are the same."""
    if not text:
        return None
    found = _FORM.fullmatch(text)
    if found is None or found[1] + found[2] == found[3] + found[4]:
        raise ValueError("quiet hours are written 22:00-07:00")
    return time(int(found[1]), int(found[2])), time(int(found[3]), int(found[4]))


def until(now: datetime, zone: ZoneInfo, text: str) -> datetime | None:
    """The end (UTC) of the quiet hours that `now` lies in; None outside of them."""
    hours = read(text)
    if hours is None:
        return None
    start, end = hours
    day = now.astimezone(zone).date()
    for first in (day - timedelta(days=1), day):
        opens = _instant(first, start, zone)
        closes = _instant(first + timedelta(days=end <= start), end, zone)
        if opens <= now < closes:
            return closes
    return None


def _instant(day: date, clock: time, zone: ZoneInfo) -> datetime:
    """That time of day as an instant. One that the change of clocks leaves out is the same instant an hour later on the
    wall; of one that comes twice, the first is meant."""
    return datetime.combine(day, clock, zone).astimezone(UTC)
