"""Corners of calendars and clocks: nights over New Year, spans inside of others, holds said twice, what comes too late."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from callout_orders.sla.calendar import ALWAYS, WEEKDAYS, Calendar, Line, Special, Week, micros, worked_us
from callout_orders.sla.clock import (
    Event,
    Facts,
    MilestoneName,
    MilestoneState,
    Promise,
    Reopening,
    Stand,
    course,
    first_due,
    stand,
)

SHANGHAI = ZoneInfo("Asia/Shanghai")
T0 = datetime(2026, 1, 15, 8, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def local(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=SHANGHAI)


def promise(minutes: int = 60, **more: object) -> Promise:
    return Promise(  # type: ignore[arg-type]
        **{
            "name": MilestoneName.RESOLUTION,
            "started_at": T0,
            "minutes": minutes,
            "calendar": ALWAYS,
            "pausing": frozenset({"customer", "parts"}),
            **more,
        }
    )


def pause(n: int, after: int, reason: str = "customer", until: int | None = None) -> Event:
    ends = None if until is None else T0 + until * MINUTE
    return Event(n=n, at=T0 + after * MINUTE, kind="paused", reason=reason, until=ends)


def at(events: list[Event], after: int, **facts: datetime) -> Stand:
    return stand(promise(), events, facts=Facts(**facts), now=T0 + after * MINUTE)


def test_a_span_inside_of_another_counts_once_and_cuts_nothing_off() -> None:
    """A night that lasts until ten and a short day within it: the night would end where the short day ends."""
    week = Week(mon=("22:00-10:00",), tue=("08:00-09:00",))
    calendar = Calendar(code="nested", time_zone="Asia/Shanghai", week=week)
    hours = worked_us(calendar, local("2026-03-02T00:00"), local("2026-03-04T00:00")) / 3_600_000_000
    assert hours == 12
    assert first_due(calendar, local("2026-03-02T22:00"), 11 * 60 + 30) == local("2026-03-03T09:30")
    line = Line([(0, 10), (2, 4), (10, 12), (11, 20)])
    assert (line.worked(20), line.reached(20), line.reached(21)) == (20, 20, None)


def test_a_house_that_never_closes_may_close_for_a_day() -> None:
    """Somebody writes one day off into the calendar of a 24-hour desk: its clocks would run through that day."""
    round_the_clock = Week(**{day: ("00:00-24:00",) for day in WEEKDAYS})
    closed = Calendar(code="open", week=round_the_clock, special=(Special(date=date(2026, 1, 16)),))
    start = datetime(2026, 1, 15, 23, 30, tzinfo=UTC)
    assert first_due(closed, start, 60) == datetime(2026, 1, 17, 0, 30, tzinfo=UTC)
    assert first_due(Calendar(code="open", week=round_the_clock), start, 60) == start + 60 * MINUTE


def test_the_night_over_new_year_belongs_to_both_years() -> None:
    """What comes in on New Year's morning falls into the night that began last year; its hours would be missing."""
    nights = Calendar(
        code="nights", time_zone="Asia/Shanghai", week=Week(**{day: ("22:00-06:00",) for day in WEEKDAYS})
    )
    assert first_due(nights, local("2026-01-01T02:00"), 60) == local("2026-01-01T03:00")
    assert first_due(nights, local("2025-12-31T23:30"), 60) == local("2026-01-01T00:30")
    assert worked_us(nights, local("2026-01-01T00:00"), local("2026-01-01T12:00")) == 6 * 3_600_000_000


@pytest.mark.parametrize(
    ("ends", "planned"),
    (
        ((80, 120), 60 + 110),  # the later of the two ends both
        ((120, 80), 60 + 110),
        ((80, None), 60 + 40),  # one has no end: nobody knows, so it is counted from now
        ((None, 120), 60 + 40),
    ),
)
def test_of_several_holds_the_last_foreseen_end_counts(
    ends: tuple[int | None, int | None], planned: int
) -> None:
    """Dispatch plans by this: with the first end of two, an engineer is sent while the parts are still missing."""
    events = [pause(1, 10, "customer", ends[0]), pause(2, 20, "parts", ends[1])]
    assert at(events, 50).planning_due_at == T0 + planned * MINUTE


def test_a_hold_said_twice_began_when_it_was_said_first() -> None:
    """Whoever prolongs a hold would take the time before it away from the customer."""
    events = [pause(1, 10), pause(2, 30, until=90)]
    found = at(events, 50)
    assert (found.paused_since, found.elapsed_seconds) == (T0 + 10 * MINUTE, 600)
    assert found.planning_due_at == T0 + (60 + 80) * MINUTE


def test_what_comes_after_the_end_changes_nothing_of_it() -> None:
    """A survey's hold a day later would show another due beside a repair that is long done."""
    met = T0 + 50 * MINUTE
    before = at([], 55, resolved_at=met)
    ended = Event(n=2, at=T0 + 65 * MINUTE, kind="resumed", reason="customer")
    after = at([pause(1, 55), ended, pause(3, 70, "parts")], 500, resolved_at=met)
    assert after == before
    assert (after.state, after.due_at) == (MilestoneState.MET, T0 + 60 * MINUTE)


def test_a_hold_from_before_a_new_start_counts_from_that_start() -> None:
    """After a reopening with its time anew, an hour waited before it would be given to the clock a second time."""
    again = promise(reopening=Reopening.RESTART)
    events = [pause(1, 10), Event(n=2, at=T0 + 200 * MINUTE, kind="reopened", since=T0 + 100 * MINUTE)]
    run = course(again, events)
    assert run.started == micros(T0 + 200 * MINUTE)
    assert run.stops == ((run.started, None),)
    found = stand(again, events, facts=Facts(), now=T0 + 230 * MINUTE)
    assert (found.state, found.elapsed_seconds, found.paused_since) == (
        MilestoneState.PAUSED,
        0,
        T0 + 200 * MINUTE,
    )
    assert found.planning_due_at == T0 + 290 * MINUTE
