"""The SLA clock a second time, slow and plain: minute by minute, with its own reading of a calendar.

It walks through the minutes of UTC, looks at a local clock, and counts. Nothing of `callout_orders.sla` is used but the data
that a calendar is written in.
"""

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from callout_orders.sla.calendar import WEEKDAYS, Calendar

MINUTE = timedelta(minutes=1)
BEFORE_DAYS = 3
#: The State Council's calendar of 2026: first days off and how many, and the weekend days that are worked for them.
OFF_2026 = (
    ("2026-01-01", 3), ("2026-02-15", 9), ("2026-04-04", 3), ("2026-05-01", 5), ("2026-06-19", 3),
    ("2026-09-25", 3), ("2026-10-01", 7),
)  # fmt: skip
WORKED_2026 = ("2026-01-04", "2026-02-14", "2026-02-28", "2026-05-09", "2026-09-20", "2026-10-10")
OFF = frozenset(
    date.fromisoformat(first) + timedelta(days=n) for first, days in OFF_2026 for n in range(days)
)
WORKED = frozenset(date.fromisoformat(text) for text in WORKED_2026)
Stops = Sequence[tuple[datetime, datetime | None]]


@lru_cache(maxsize=400)
def working_minutes(calendar: Calendar, since: datetime, days: int) -> tuple[bool, ...]:
    """Whether each minute from `since` on counts, for so many days. The only country it knows is China, and of it the first
    months of 2026."""
    zone = ZoneInfo(calendar.time_zone)
    at = since.astimezone(UTC) - timedelta(days=BEFORE_DAYS)
    shown = at.astimezone(zone).replace(tzinfo=None)
    spans = _spans(calendar, shown.date() - timedelta(days=2), BEFORE_DAYS + days + 6)
    result: list[bool] = []
    first = 0
    for n in range((BEFORE_DAYS + days) * 1440):
        now = at.astimezone(zone).replace(tzinfo=None)
        # The latest time that this clock has ever shown: a clock that is put back shows nothing new for an hour.
        shown = max(shown, now)
        while first < len(spans) and spans[first][2] <= shown:
            first += 1
        if n >= BEFORE_DAYS * 1440:
            result.append(any(start <= shown < end for start, end, _ in spans[first : first + 12]))
        at += MINUTE
    return tuple(result)


def _spans(calendar: Calendar, first: date, days: int) -> list[tuple[datetime, datetime, datetime]]:
    """Local starts and ends in the order of starts, each with the latest end so far."""
    specials = {special.date: special for special in calendar.special}
    found: list[tuple[datetime, datetime]] = []
    for n in range(days):
        on = first + timedelta(days=n)
        hours = getattr(calendar.week, WEEKDAYS[on.weekday()])
        weekly = [getattr(calendar.week, name) for name in WEEKDAYS]
        made_up = calendar.makeup_hours or next((day for day in weekly if day), ())
        if on in specials:
            hours = specials[on].hours or (made_up if specials[on].worked else ())
        elif calendar.country is not None and on in WORKED:
            hours = made_up
        elif calendar.country is not None and on in OFF and on.weekday() < 5:
            # A weekend within the Spring Festival is a weekend: who works at weekends works then.
            hours = ()
        for text in hours:
            begin, end = text.split("-")
            start = datetime(on.year, on.month, on.day) + _time(begin)
            stop = datetime(on.year, on.month, on.day) + _time(end)
            found.append((start, stop if stop > start else stop + timedelta(days=1)))
    found.sort()
    # With the latest end of all before it, whatever is over stays over.
    latest = datetime.min
    result: list[tuple[datetime, datetime, datetime]] = []
    for start, stop in found:
        latest = max(latest, stop)
        result.append((start, stop, latest))
    return result


def _time(text: str) -> timedelta:
    hours, minutes = text.split(":")
    return timedelta(hours=int(hours), minutes=int(minutes))


def elapsed(calendar: Calendar, start: datetime, stops: Stops, at: datetime, days: int) -> int:
    """Minutes that count from `start` until `at`, all of them whole minutes."""
    counts = working_minutes(calendar, start, days)
    upto = int((at - start) / MINUTE)
    return sum(counts[n] and not _stopped(stops, start + n * MINUTE) for n in range(upto))


def due(calendar: Calendar, start: datetime, stops: Stops, minutes: int, days: int) -> datetime | None:
    """The end of the minute that uses up the budget; None where that is not within the days."""
    counts = working_minutes(calendar, start, days)
    left = minutes
    for n, counted in enumerate(counts):
        if counted and not _stopped(stops, start + n * MINUTE):
            left -= 1
            if left == 0:
                return start + (n + 1) * MINUTE
    return None


def _stopped(stops: Stops, at: datetime) -> bool:
    return any(since <= at and (until is None or at < until) for since, until in stops)
