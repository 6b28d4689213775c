"""Time is injected. Rules take `now`; only the doors and the unit of work hold a clock."""

from datetime import UTC, datetime, timedelta
from typing import Final, Protocol

YEARS: Final = range(1900, 2200)
"""The years of instants that are taken from outside. Near year 1 and year 9999 another time zone, or a day's grace,
leads out of what can be computed and stored."""


def taken_instant(value: datetime) -> datetime:
    """An instant from outside, in UTC; raises ValueError without a time zone and outside of YEARS."""
    if value.tzinfo is None or value.year not in YEARS:
        raise ValueError(f"an instant has a time zone, and a year from {YEARS[0]} to {YEARS[-1]}")
    return value.astimezone(UTC)


class Clock(Protocol):
    """Something that tells the present instant."""

    def now(self) -> datetime:
        """The present instant, with time zone UTC."""
        ...


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        """The machine's present instant in UTC."""
        return datetime.now(UTC)


class ManualClock:
    """A clock that stands still until it is moved: for tests and for the demo's day."""

    def __init__(self, start: datetime) -> None:
        if start.tzinfo is None:
            raise ValueError("a clock starts at an instant with a time zone")
        self._now = start.astimezone(UTC)

    def now(self) -> datetime:
        """The instant the clock was last set to."""
        return self._now

    def advance(self, step: timedelta) -> datetime:
        """Move the clock by `step` and return the new instant."""
        self._now += step
        return self._now

    def set(self, instant: datetime) -> None:
        """Set the clock to `instant`, which may lie in the past."""
        self._now = instant.astimezone(UTC)


class FastClock:
    """A clock that runs `speed` times as fast as the machine's, from `start` on: the demo's day in a minute.

    `anchor` is the machine's instant that `start` corresponds to; processes that share both share one time.
    """

    def __init__(self, start: datetime, anchor: datetime, speed: float) -> None:
        if start.tzinfo is None or anchor.tzinfo is None:
            raise ValueError("a clock starts at an instant with a time zone")
        if not 0 < speed <= 100_000:
            raise ValueError("speed is above 0 and at most 100000")
        self.start, self.anchor, self.speed = start.astimezone(UTC), anchor.astimezone(UTC), speed

    def now(self) -> datetime:
        """The instant of the fast day, in UTC."""
        return self.start + (datetime.now(UTC) - self.anchor) * self.speed

    def spell(self) -> str:
        """A text that `parse` reads back, to hand the clock to a child process."""
        return f"{self.start.isoformat()},{self.anchor.isoformat()},{self.speed}"

    @classmethod
    def parse(cls, text: str) -> "FastClock":
        """The clock that `spell` wrote."""
        start, anchor, speed = text.split(",")
        return cls(datetime.fromisoformat(start), datetime.fromisoformat(anchor), float(speed))
