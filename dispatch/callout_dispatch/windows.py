"""When work on an order may start: the site's hours and the requested window, put together. Pure.

A site's hours are a week in local time as `callout_orders.visiting_hours` stores it; they become UTC one date at a time, so
that nine o'clock stays nine o'clock when the clocks change. Stretches are whole seconds since 1970 UTC, [start, end),
sorted and apart; windows of starts are [first, last], both ends counting, as `plans.terms.Task` wants them.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

from callout_dispatch.policy import Policy, RequestedWindow, VisitingHours

Stretch = tuple[int, int]
Stretches = tuple[Stretch, ...]

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def seconds(at: datetime) -> int:
    """Whole seconds since 1970 UTC of an instant, rounded down."""
    return math.floor((at - EPOCH).total_seconds())


def seconds_up(at: datetime) -> int:
    """Whole seconds since 1970 UTC of an instant, rounded up."""
    return math.ceil((at - EPOCH).total_seconds())


def instant(at_s: int) -> datetime:
    """The UTC instant of seconds since 1970."""
    return datetime.fromtimestamp(at_s, UTC)


def start_windows(
    hours: Sequence[Mapping[str, Any]],
    requested: tuple[datetime, datetime] | None,
    *,
    zone: ZoneInfo,
    start_s: int,
    end_s: int,
    service_s: int,
    policy: Policy,
) -> Stretches:
    """The windows [first, last] within [start_s, end_s) in which work of that length may start; empty: never.

    By the policy's rules: work starts and ends while the site is open, and starts within the requested window. What a
    policy leaves out is not looked at.
    """
    if start_s >= end_s:
        return ()
    asked: Stretch = (start_s, end_s - 1)
    if requested is not None and policy.rule(RequestedWindow) is not None:
        # A start at the very end of the requested window still counts.
        asked = (max(start_s, seconds_up(requested[0])), min(end_s - 1, seconds(requested[1])))
    if not hours or policy.rule(VisitingHours) is None:
        return (asked,) if asked[0] <= asked[1] else ()
    # Work that begins within the range may end after it, so that the hours are asked for that much longer.
    found = (
        (max(asked[0], opens), min(asked[1], closes - service_s))
        for opens, closes in open_between(hours, zone, start_s, end_s + service_s)
    )
    return tuple(window for window in found if window[0] <= window[1])


def open_between(hours: Sequence[Mapping[str, Any]], zone: ZoneInfo, start_s: int, end_s: int) -> Stretches:
    """When a site with these hours is open within [start_s, end_s); all of it where there are no hours at all.

    `hours` are objects with `weekday` (0 is Monday), `from` and `until` (`09:00` local, a day ends at `24:00`), as they were
    checked when they were set. Stretches that touch are one, so that work may last over midnight.
    """
    if not hours:
        return ((start_s, end_s),) if start_s < end_s else ()
    week: dict[int, list[tuple[int, int]]] = {}
    for row in hours:
        week.setdefault(row["weekday"], []).append((_minute(row["from"]), _minute(row["until"])))
    # A local day may begin before `start_s` does, and end after it.
    day = datetime.fromtimestamp(start_s, zone).date() - timedelta(days=1)
    last = datetime.fromtimestamp(end_s, zone).date()
    found: list[Stretch] = []
    while day <= last:
        for opens, closes in week.get(day.weekday(), ()):
            found.append((at_local(day, opens, zone), at_local(day, closes, zone)))
        day += timedelta(days=1)
    return clipped(merged(found), start_s, end_s)


def at_local(day: date, minute: int, zone: ZoneInfo) -> int:
    """The second since 1970 at which a local clock shows that minute of that day; 1,440 is the next midnight.

    A time that the clocks leap over is read with the offset before the leap, one that comes twice is the first of both.
    """
    shown = datetime.combine(day, datetime.min.time()) + timedelta(minutes=minute)
    return int(shown.replace(tzinfo=zone).astimezone(UTC).timestamp())


def _minute(clock: str) -> int:
    hour, minute = clock.split(":")
    return int(hour) * 60 + int(minute)


def merged(stretches: Iterable[Stretch]) -> Stretches:
    """The same time, sorted and apart; what touches becomes one, what is empty or backwards falls away."""
    out: list[Stretch] = []
    for start, end in sorted(stretch for stretch in stretches if stretch[0] < stretch[1]):
        if out and start <= out[-1][1]:
            out[-1] = (out[-1][0], max(out[-1][1], end))
        else:
            out.append((start, end))
    return tuple(out)


def without(one: Stretches, other: Stretches) -> Stretches:
    """The time of `one` that does not lie in `other`; both sorted and apart, and so is what comes out."""
    out: list[Stretch] = []
    for start, end in one:
        for from_, until in other:
            if until <= start or from_ >= end:
                continue
            if from_ > start:
                out.append((start, from_))
            start = max(start, until)
        if start < end:
            out.append((start, end))
    return tuple(out)


def clipped(stretches: Iterable[Stretch], start_s: int, end_s: int) -> Stretches:
    """The part of each that lies within [start_s, end_s), sorted and apart."""
    return merged((max(start, start_s), min(end, end_s)) for start, end in stretches)
