"""When work may start: the site's week in local time, the customer's window, and the length of the work, put together."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from callout_dispatch.policy import STANDARD, Policy, RequestedWindow, VisitingHours
from callout_dispatch.windows import Stretches, clipped, merged, open_between, start_windows, without

HOUR = 3_600
NEW_YORK = ZoneInfo("America/New_York")


def at(text: str) -> int:
    """Seconds of a time in UTC."""
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp())


def opening(weekday: int, from_: str, until: str) -> dict[str, Any]:
    return {"weekday": weekday, "from": from_, "until": until}


def windows(
    hours: list[dict[str, Any]], asked: tuple[datetime, datetime] | None = None, **more: Any
) -> Stretches:
    """On Monday 12 January 2026 in UTC, for work of an hour."""
    usual: dict[str, Any] = {
        "zone": ZoneInfo("UTC"),
        "start_s": at("2026-01-12T00:00"),
        "end_s": at("2026-01-13T00:00"),
        "service_s": HOUR,
        "policy": STANDARD,
    }
    return start_windows(hours, asked, **(usual | more))


def left_out(kind: type) -> Policy:
    return msgspec.structs.replace(STANDARD, rules=tuple(r for r in STANDARD.rules if type(r) is not kind))


def test_work_ends_before_the_site_closes() -> None:
    """Sent at half past four for an hour's work, the engineer is locked in at five, or thrown out."""
    assert windows([opening(0, "09:00", "17:00")]) == ((at("2026-01-12T09:00"), at("2026-01-12T16:00")),)
    assert windows([opening(0, "09:00", "10:00")]) == ((at("2026-01-12T09:00"), at("2026-01-12T09:00")),)
    assert windows([opening(0, "09:00", "09:59"), opening(1, "09:00", "17:00")]) == ()


def test_work_may_last_over_midnight() -> None:
    """A site that is open day and night takes work that begins before midnight, also on the last day of a plan."""
    night = [opening(0, "20:00", "24:00"), opening(1, "00:00", "04:00")]
    assert windows(night) == ((at("2026-01-12T20:00"), at("2026-01-12T23:59") + 59),)
    assert windows(night[:1]) == ((at("2026-01-12T20:00"), at("2026-01-12T23:00")),)


def test_what_a_customer_asks_for_is_of_the_start() -> None:
    """Who waits from ten to eleven is there at eleven sharp, and no second longer; half seconds count inwards."""
    ten = datetime(2026, 1, 12, 10, tzinfo=UTC)
    half = timedelta(milliseconds=500)
    assert windows([], (ten, ten + timedelta(hours=1))) == ((at("2026-01-12T10:00"), at("2026-01-12T11:00")),)
    assert windows([], (ten - half, ten + half)) == ((at("2026-01-12T10:00"), at("2026-01-12T10:00")),)
    assert windows([], (ten + half, ten + 3 * half)) == (
        (at("2026-01-12T10:00") + 1, at("2026-01-12T10:00") + 1),
    )
    both = windows([opening(0, "09:00", "11:30")], (ten, ten + timedelta(hours=3)))
    assert both == ((at("2026-01-12T10:00"), at("2026-01-12T10:30")),)
    assert windows([opening(0, "09:00", "10:30")], (ten, ten + timedelta(hours=3))) == ()


def test_a_rule_left_out_is_not_looked_at() -> None:
    """An organisation that sells round the clock must not be held to hours that somebody once typed in."""
    ten = datetime(2026, 1, 12, 10, tzinfo=UTC)
    asked, hours = (ten, ten + timedelta(hours=1)), [opening(0, "12:00", "14:00")]
    assert windows(hours, asked) == ()
    assert windows(hours, asked, policy=left_out(VisitingHours)) == (
        (at("2026-01-12T10:00"), at("2026-01-12T11:00")),
    )
    assert windows(hours, asked, policy=left_out(RequestedWindow)) == (
        (at("2026-01-12T12:00"), at("2026-01-12T13:00")),
    )


def test_nine_o_clock_stays_nine_o_clock() -> None:
    """Over a change of the clocks: reckoned in one offset, half of the days would open an hour too early or too late."""
    week = [opening(day, "09:00", "10:00") for day in range(7)]
    spring = open_between(week, NEW_YORK, at("2026-03-07T05:00"), at("2026-03-10T04:00"))
    assert spring == tuple(
        (at(start), at(start) + HOUR)
        for start in ("2026-03-07T14:00", "2026-03-08T13:00", "2026-03-09T13:00")
    )
    # Two o'clock is leapt over on 8 March 2026; the night that has it twice, on 1 November, is an hour longer.
    leapt = open_between(
        [opening(6, "01:00", "04:00")], NEW_YORK, at("2026-03-08T05:00"), at("2026-03-09T04:00")
    )
    assert leapt == ((at("2026-03-08T06:00"), at("2026-03-08T08:00")),)
    twice = open_between(
        [opening(6, "00:00", "03:00")], NEW_YORK, at("2026-11-01T04:00"), at("2026-11-02T05:00")
    )
    assert twice == ((at("2026-11-01T04:00"), at("2026-11-01T08:00")),)


STRETCHES = st.lists(st.tuples(st.integers(0, 40), st.integers(0, 40)), max_size=8)


def seconds_of(stretches: Stretches | list[tuple[int, int]]) -> set[int]:
    return {second for start, end in stretches for second in range(start, end)}


@given(STRETCHES, STRETCHES, st.integers(0, 40), st.integers(0, 40))
def test_stretches_are_sets_of_seconds(
    one: list[tuple[int, int]], other: list[tuple[int, int]], first: int, last: int
) -> None:
    """A second lost or won between stretches is a visit at a closed door; compared second by second."""
    left, right = merged(one), merged(other)
    assert seconds_of(left) == seconds_of(one)
    assert all(a[1] < b[0] for a, b in pairwise(left))
    assert seconds_of(without(left, right)) == seconds_of(one) - seconds_of(other)
    assert seconds_of(clipped(left, first, last)) == seconds_of(one) & set(range(first, last))
