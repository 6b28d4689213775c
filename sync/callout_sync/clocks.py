"""When a device's commands were made, as far as its clocks and their order tell. Pure.

A phone numbers its commands, and no clock can take that order away. So the times that the server works out are brought into
it: an exact one (counted by the monotonic clock, in the boot of the sending) stays, and so does a fair one (moved by an
offset that was measured and is small); a guess gives way to them, and to what bounds it. Two fair times that contradict the
numbers cannot both be right: the clock was set between them, and the later one lies nearer to the measurement.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Literal

from msgspec import Struct

Trust = Literal["exact", "fair", "guess"]
TICK = timedelta(microseconds=1)
"""Guesses that fall on one instant are set apart by this, so that the order of the numbers is still told by the times."""
UNCERTAIN = frozenset({"time_uncertain", "time_in_future", "time_impossible"})
"""Flags of a time that is a guess."""


class Reading(Struct, frozen=True, kw_only=True):
    """One command's time as its clocks gave it. It was not made before `earliest` (None: nothing known), and not after
    `latest`, its arrival."""

    at: datetime
    trust: Trust
    latest: datetime
    earliest: datetime | None = None


def in_order(readings: Sequence[Reading]) -> list[datetime]:
    """The times of a device's commands, given in the order of their numbers.

    Trusted times are returned as they are; the others lie within their bounds, between the trusted ones around them, and in
    the order of the numbers, strictly so where there is room.
    """
    trusted = _trusted(readings)
    if all(trusted):
        return [reading.at for reading in readings]
    ceilings = _ceilings(readings, trusted)
    times: list[datetime] = []
    floors: list[datetime | None] = []
    floor: datetime | None = None
    for reading, fixed, ceiling in zip(readings, trusted, ceilings, strict=True):
        at = reading.at
        if not fixed:
            floor = _later(floor, reading.earliest)
            if times:
                at = max(at, times[-1] + TICK)
            at = min(at if floor is None else max(at, floor), ceiling)
        floors.append(floor)
        times.append(at)
        if fixed:
            floor = _later(floor, at)
    # Where guesses were pressed together against what follows them, the earlier ones make room, as far as there is some.
    for n in range(len(times) - 2, -1, -1):
        if not trusted[n] and times[n] >= times[n + 1]:
            room, lowest = times[n + 1] - TICK, floors[n]
            times[n] = room if lowest is None else min(times[n], max(room, lowest))
    return times


def _later(a: datetime | None, b: datetime | None) -> datetime | None:
    if a is None or b is None:
        return b if a is None else a
    return max(a, b)


def _trusted(readings: Sequence[Reading]) -> list[bool]:
    """Exact times, and fair ones that contradict neither an exact one before them nor a trusted one after them."""
    trusted = [reading.trust == "exact" for reading in readings]
    soonest: datetime | None = None
    for n in range(len(readings) - 1, -1, -1):
        reading = readings[n]
        if reading.trust == "fair":
            trusted[n] = soonest is None or reading.at <= soonest
        if trusted[n]:
            soonest = reading.at if soonest is None else min(soonest, reading.at)
    exact: datetime | None = None
    for n, reading in enumerate(readings):
        if reading.trust == "exact":
            exact = reading.at if exact is None else max(exact, reading.at)
        elif trusted[n] and exact is not None and reading.at < exact:
            trusted[n] = False
    return trusted


def _ceilings(readings: Sequence[Reading], trusted: Sequence[bool]) -> list[datetime]:
    """The latest instant that each command may have been made at: it arrived by then, and so had what follows it."""
    ceilings: list[datetime] = []
    ceiling: datetime | None = None
    for reading, fixed in zip(reversed(readings), reversed(trusted), strict=True):
        own = reading.at if fixed else reading.latest
        ceiling = own if ceiling is None else min(ceiling, own)
        ceilings.append(ceiling)
    return ceilings[::-1]
