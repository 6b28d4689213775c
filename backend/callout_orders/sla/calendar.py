"""Working time: which instants a calendar counts. Pure.

A calendar is written in the local time of its zone and turned into instants day by day. An interval belongs to the day on
which it starts: a night from 22:00 to 06:00 that starts on a working day runs on into the holiday after it, and none
starts on the holiday. It lasts from the first moment at which the local clock shows its start, or later, until the first
moment at which it shows its end, or later. So an hour that the clock skips in spring is no working time, an hour that it
shows twice in autumn counts as long as it lasts, and one interval counts as much as the two into which it may be split.

Instants are whole microseconds since 1970 in here: sums and differences are exact.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from functools import cache, lru_cache
from typing import Final
from zoneinfo import ZoneInfo

import msgspec

SEARCH_YEARS: Final = 10
"""So far a deadline is looked for; a calendar that has not enough hours until then is refused when it is saved."""
WEEKDAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
DAY_MINUTES: Final = 1440
SECOND: Final = 1_000_000
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICRO: Final = timedelta(microseconds=1)
_HOURS: Final = re.compile(r"([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-4]):([0-5]\d)", re.ASCII)


class Special(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """One date that is not like its weekday: with hours, worked as on a make-up day, or (neither) off."""

    date: date
    hours: tuple[str, ...] = ()
    worked: bool = False
    note: str = ""


class Week(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Intervals such as 09:00-12:00 of each weekday; 22:00-06:00 ends on the next day."""

    mon: tuple[str, ...] = ()
    tue: tuple[str, ...] = ()
    wed: tuple[str, ...] = ()
    thu: tuple[str, ...] = ()
    fri: tuple[str, ...] = ()
    sat: tuple[str, ...] = ()
    sun: tuple[str, ...] = ()

    def of(self, weekday: int) -> tuple[str, ...]:
        """The intervals of a weekday, 0 being Monday."""
        hours: tuple[str, ...] = getattr(self, WEEKDAYS[weekday])
        return hours


class Calendar(
    msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True, kw_only=True, cache_hash=True
):
    """Working time by the week, less the public holidays of a country, plus its make-up working days.

    `makeup_hours` are those of a make-up day; without them it is worked like the first weekday that has hours. What
    stands in `special` goes before the week and before the holidays.
    """

    code: str
    time_zone: str = "UTC"
    week: Week = Week()
    country: str | None = None
    subdivision: str | None = None
    makeup_hours: tuple[str, ...] = ()
    special: tuple[Special, ...] = ()

    @property
    def always(self) -> bool:
        """Whether every instant counts, so that nothing has to be looked up."""
        return (
            self.country is None
            and not self.special
            and all(self.week.of(day) == (ALL_DAY,) for day in range(7))
        )


ALL_DAY: Final = "00:00-24:00"
ALWAYS: Final = Calendar(code="always", week=Week(*[(ALL_DAY,) for _ in WEEKDAYS]))


class Day(msgspec.Struct, frozen=True, kw_only=True):
    """What a date is and why. `kind`: week, holiday, makeup (worked although a weekend), special."""

    date: date
    kind: str
    hours: tuple[str, ...]
    name: str = ""


def span(text: str) -> tuple[int, int]:
    """Minutes from midnight of start and end, the end above 1440 where it is on the next day. ValueError: no interval."""
    found = _HOURS.fullmatch(text)
    if found is None:
        raise ValueError(text)
    start = int(found[1]) * 60 + int(found[2])
    end = int(found[3]) * 60 + int(found[4])
    if end > DAY_MINUTES or start == end:
        raise ValueError(text)
    return start, end if end > start else end + DAY_MINUTES


def micros(at: datetime) -> int:
    """An aware instant as microseconds since 1970; ValueError for a naive one."""
    if at.tzinfo is None:
        raise ValueError("an instant must carry a time zone")
    return (at - _EPOCH) // _MICRO


def instant(us: int) -> datetime:
    """Microseconds since 1970 as an instant in UTC."""
    return _EPOCH + timedelta(microseconds=us)


class Line:
    """A calendar's intervals in order, over a range of years, with the time worked before each."""

    def __init__(self, intervals: list[tuple[int, int]]) -> None:
        self.starts: list[int] = []
        self.ends: list[int] = []
        for start, end in intervals:
            if self.ends and start <= self.ends[-1]:
                self.ends[-1] = max(end, self.ends[-1])
            else:
                self.starts.append(start)
                self.ends.append(end)
        self.upto: list[int] = []
        """Time worked until the end of each interval."""
        total = 0
        for start, end in zip(self.starts, self.ends, strict=True):
            total += end - start
            self.upto.append(total)

    def worked(self, at: int) -> int:
        """Working time from the line's beginning until `at`."""
        n = bisect_right(self.starts, at) - 1
        if n < 0:
            return 0
        return self.upto[n] - self.ends[n] + min(at, self.ends[n])

    def reached(self, amount: int) -> int | None:
        """The first instant at which `amount` (above 0) has been worked; None beyond the line."""
        n = bisect_left(self.upto, amount)
        return None if n == len(self.upto) else self.ends[n] - (self.upto[n] - amount)


class Always(Line):
    """The line on which every instant counts."""

    def __init__(self) -> None:
        super().__init__([])

    def worked(self, at: int) -> int:
        """`at` itself: only differences matter."""
        return at

    def reached(self, amount: int) -> int | None:
        """`amount` itself."""
        return amount


_ALWAYS: Final = Always()


def line(calendar: Calendar, since: datetime, until: datetime) -> Line:
    """The calendar's line from the year before `since` on and through the year after `until`."""
    if _is_always(calendar):
        return _ALWAYS
    return _line(calendar, since.year - 1, until.year + 1)


@lru_cache(maxsize=256)
def _is_always(calendar: Calendar) -> bool:
    return calendar.always


@lru_cache(maxsize=96)
def _line(calendar: Calendar, first: int, last: int) -> Line:
    return Line(sorted(_intervals(calendar, date(first, 1, 1), date(last, 12, 31))))


def worked_us(calendar: Calendar, start: datetime, end: datetime) -> int:
    """Working time between two instants, in microseconds; 0 where `end` is not after `start`."""
    if end <= start:
        return 0
    of = line(calendar, start, end)
    return of.worked(micros(end)) - of.worked(micros(start))


def day(calendar: Calendar, on: date) -> Day:
    """What a date is for the calendar."""
    special = _specials(calendar).get(on)
    weekly = calendar.week.of(on.weekday())
    if special is not None:
        hours = special.hours or (_makeup(calendar) if special.worked else ())
        return Day(date=on, kind="special", hours=hours, name=special.note)
    if calendar.country is not None:
        off, worked = _holidays(calendar.country, calendar.subdivision, on.year)
        if on in worked:
            return Day(date=on, kind="makeup", hours=_makeup(calendar))
        if on in off:
            return Day(date=on, kind="holiday", hours=(), name=off[on])
    return Day(date=on, kind="week", hours=weekly)


def _intervals(calendar: Calendar, since: date, until: date) -> Iterator[tuple[int, int]]:
    zone = _zone(calendar.time_zone)
    on = since
    while on <= until:
        for text in day(calendar, on).hours:
            start, end = span(text)
            begins, ends = _moment(zone, on, start), _moment(zone, on, end)
            if begins < ends:
                yield begins, ends
        on += timedelta(days=1)


def _moment(zone: ZoneInfo, on: date, minutes: int) -> int:
    """The first instant at which the local clock shows that time of that day, or later."""
    naive = datetime(on.year, on.month, on.day) + timedelta(minutes=minutes)
    first = naive.replace(tzinfo=zone)
    before, after = first.utcoffset(), naive.replace(tzinfo=zone, fold=1).utcoffset()
    assert before is not None
    assert after is not None
    if after <= before:
        # Unique, or shown twice: fold 0 is the first time.
        return micros(first)
    # The clock skips this time: it shows a later one from the moment of the change on, which lies between the two readings.
    low, high = micros(naive.replace(tzinfo=UTC) - after), micros(naive.replace(tzinfo=UTC) - before)
    while high - low > 1:
        middle = (low + high) // 2
        if instant(middle).astimezone(zone).replace(tzinfo=None) >= naive:
            high = middle
        else:
            low = middle
    return high


@cache
def _zone(name: str) -> ZoneInfo:
    return ZoneInfo(name)


@lru_cache(maxsize=256)
def _specials(calendar: Calendar) -> dict[date, Special]:
    return {special.date: special for special in calendar.special}


def _makeup(calendar: Calendar) -> tuple[str, ...]:
    if calendar.makeup_hours:
        return calendar.makeup_hours
    return next((hours for weekday in range(7) if (hours := calendar.week.of(weekday))), ())


@lru_cache(maxsize=1024)
def _holidays(country: str, subdivision: str | None, year: int) -> tuple[dict[date, str], frozenset[date]]:
    """Public holidays of a year by date, and weekend days that are worked instead (China's make-up days)."""
    # Only organisations that count holidays pay for the library.
    import holidays

    # The year after too: it may say which days of this December are worked for its January.
    found = holidays.country_holidays(country, subdiv=subdivision, years=(year, year + 1))
    worked = getattr(found, "weekend_workdays", ()) or ()
    return (
        {on: str(name) for on, name in found.items() if on.year == year},
        frozenset(on for on in worked if on.year == year),
    )


def known_country(country: str, subdivision: str | None) -> bool:
    """Whether public holidays of a country (ISO 3166, with a subdivision where given) are known."""
    import holidays

    supported = holidays.list_supported_countries(include_aliases=True)
    return country in supported and (subdivision is None or subdivision in supported[country])
