"""The SLA clock against a slow one that counts minutes, and laws that hold whatever the calendar."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import sla_oracle
from hypothesis import given, settings
from hypothesis import strategies as st

from callout_orders.sla.calendar import ALWAYS, SEARCH_YEARS, WEEKDAYS, Calendar, Special, Week
from callout_orders.sla.clock import (
    Event,
    Facts,
    MilestoneName,
    MilestoneState,
    Promise,
    Stand,
    course,
    first_due,
    left_at,
    stand,
)

DAYS = 12
MINUTE = timedelta(minutes=1)
#: Where something happens: changes of clocks by an hour and by half an hour, a day that was left out, a leap day, a new year,
#: holidays that are made up for at a weekend.
PLACES = (
    ("Asia/Shanghai", datetime(2026, 1, 14, tzinfo=UTC)),
    ("Asia/Shanghai", datetime(2026, 2, 12, tzinfo=UTC)),
    ("Asia/Shanghai", datetime(2026, 2, 25, tzinfo=UTC)),
    ("America/New_York", datetime(2026, 3, 5, tzinfo=UTC)),
    ("America/New_York", datetime(2026, 10, 29, tzinfo=UTC)),
    ("Europe/Berlin", datetime(2026, 3, 26, tzinfo=UTC)),
    ("Australia/Lord_Howe", datetime(2026, 4, 1, tzinfo=UTC)),
    ("Australia/Lord_Howe", datetime(2026, 10, 1, tzinfo=UTC)),
    ("Pacific/Apia", datetime(2011, 12, 27, tzinfo=UTC)),
    ("Asia/Kathmandu", datetime(2028, 2, 26, tzinfo=UTC)),
    ("America/St_Johns", datetime(2026, 12, 28, tzinfo=UTC)),
)


def clock_time(minutes: int) -> str:
    return f"{minutes // 60:02d}:{minutes % 60:02d}"


@st.composite
def hours(draw: st.DrawFn) -> tuple[str, ...]:
    """Up to three intervals of a day that do not overlap; the last may run over midnight."""
    edges = sorted(draw(st.lists(st.integers(0, 95), min_size=0, max_size=6, unique=True)))
    edges = [edge * 15 for edge in edges]
    found = [f"{clock_time(a)}-{clock_time(b)}" for a, b in zip(edges[::2], edges[1::2], strict=False)]
    if len(edges) % 2 == 1 and edges[-1] > 12 * 60:
        found.append(f"{clock_time(edges[-1])}-{clock_time(draw(st.integers(0, 24)) * 15)}")
    return tuple(found)


@st.composite
def cases(draw: st.DrawFn) -> tuple[Calendar, datetime]:
    """A calendar with some hour in its week, and a moment in a week in which its clock changes."""
    zone, since = draw(st.sampled_from(PLACES))
    week = {name: draw(hours()) for name in draw(st.sets(st.sampled_from(WEEKDAYS), min_size=1))}
    if not any(week.values()):
        week[WEEKDAYS[draw(st.integers(0, 6))]] = ("09:00-18:00",)
    first = since.astimezone(ZoneInfo(zone)).date()
    offsets = draw(st.sets(st.integers(0, DAYS), max_size=3))
    special = tuple(
        Special(date=first + timedelta(days=n), hours=draw(hours()), worked=draw(st.booleans()))
        for n in sorted(offsets)
    )
    start = since + draw(st.integers(0, 4 * 1440)) * MINUTE
    calendar = Calendar(
        code="c",
        time_zone=zone,
        week=Week(**week),
        special=special,
        country="CN" if zone == "Asia/Shanghai" and draw(st.booleans()) else None,
        makeup_hours=draw(hours()),
    )
    return calendar, start


@st.composite
def pauses(draw: st.DrawFn) -> list[tuple[int, int]]:
    """Pauses as minutes after the start; they may overlap, touch and be empty."""
    return [
        (begin, begin + length)
        for begin, length in draw(
            st.lists(st.tuples(st.integers(0, 6 * 1440), st.integers(0, 1440)), max_size=4)
        )
    ]


def happened(start: datetime, spans: list[tuple[int, int]]) -> list[Event]:
    """Events of pauses that may overlap: each has a reason of its own."""
    found = [
        (start + (a if kind == "paused" else b) * MINUTE, order, kind, f"r{k}")
        for k, (a, b) in enumerate(spans)
        for order, kind in enumerate(("paused", "resumed"))
    ]
    found.sort(key=lambda one: (one[0], one[3], one[1]))
    return [Event(n=n, at=at, kind=kind, reason=reason) for n, (at, _, kind, reason) in enumerate(found, 1)]


def promised(case: tuple[Calendar, datetime], minutes: int) -> Promise:
    return Promise(
        name=MilestoneName.RESOLUTION,
        started_at=case[1],
        minutes=minutes,
        calendar=case[0],
        pausing=frozenset(f"r{n}" for n in range(8)),
    )


def at(given_: Promise, events: list[Event], now: datetime) -> Stand:
    return stand(given_, events, facts=Facts(), now=now)


CASES, SPANS, BUDGETS = cases(), pauses(), st.integers(1, 1200)
LATER = st.integers(0, 7 * 1440)


@settings(max_examples=80)
@given(case=CASES, spans=SPANS, minutes=BUDGETS, later=LATER)
def test_it_agrees_with_counting_minutes(
    case: tuple[Calendar, datetime], spans: list[tuple[int, int]], minutes: int, later: int
) -> None:
    """A clock that is fast and wrong books breaches that nobody can recompute."""
    calendar, start = case
    events, now = happened(start, spans), start + later * MINUTE
    known = [(start + a * MINUTE, start + b * MINUTE) for a, b in spans if a < b]
    found = at(promised(case, minutes), events, now)
    assert found.elapsed_seconds == 60 * sla_oracle.elapsed(calendar, start, known, now, DAYS)
    due = sla_oracle.due(calendar, start, known, minutes, DAYS)
    held = any(since <= now < until for since, until in known)
    if due is not None and not held:
        assert found.planning_due_at == due
        assert (found.state is MilestoneState.MISSED) == (now > due)
    if held and due is not None and due <= now:
        assert found.state is MilestoneState.MISSED
    elif held:
        assert (found.state, found.due_at) == (MilestoneState.PAUSED, None)


@settings(max_examples=60)
@given(case=CASES, minutes=BUDGETS)
def test_the_quick_way_is_the_same_way(case: tuple[Calendar, datetime], minutes: int) -> None:
    """What an order is promised when it comes in would differ from what its page shows a second later."""
    assert first_due(case[0], case[1], minutes) == at(promised(case, minutes), [], case[1]).planning_due_at


@settings(max_examples=60)
@given(
    case=CASES, spans=SPANS, more=st.tuples(st.integers(0, 6 * 1440), st.integers(0, 1440)), minutes=BUDGETS
)
def test_a_further_pause_never_makes_it_due_earlier(
    case: tuple[Calendar, datetime], spans: list[tuple[int, int]], more: tuple[int, int], minutes: int
) -> None:
    """Putting an order on hold would make it late."""
    now = case[1] + 8 * 1440 * MINUTE
    without = at(promised(case, minutes), happened(case[1], spans), now)
    with_it = at(promised(case, minutes), happened(case[1], [*spans, (more[0], sum(more))]), now)
    assert with_it.planning_due_at >= without.planning_due_at
    assert with_it.remaining_seconds >= without.remaining_seconds


@settings(max_examples=60)
@given(case=CASES, spans=SPANS, minutes=BUDGETS, cut=st.integers(1, 1439), later=LATER)
def test_a_pause_cut_in_two_is_the_same_pause(
    case: tuple[Calendar, datetime], spans: list[tuple[int, int]], minutes: int, cut: int, later: int
) -> None:
    """Changing the note of a hold, by ending it and putting it on again, would move the deadline."""
    now = case[1] + later * MINUTE
    pieces = [
        piece
        for begin, end in spans
        for piece in ([(begin, begin + cut), (begin + cut, end)] if begin + cut < end else [(begin, end)])
    ]
    whole = at(promised(case, minutes), happened(case[1], spans), now)
    cut_up = at(promised(case, minutes), happened(case[1], pieces), now)
    names = [name for name in Stand.__struct_fields__ if name != "paused_reasons"]
    assert [getattr(whole, name) for name in names] == [getattr(cut_up, name) for name in names]


@settings(max_examples=80)
@given(case=CASES, spans=SPANS, minutes=BUDGETS, later=LATER, step=st.integers(0, 2000))
def test_time_only_goes_on(
    case: tuple[Calendar, datetime], spans: list[tuple[int, int]], minutes: int, later: int, step: int
) -> None:
    """What was used and what is left are the whole; nothing that was used comes back; a breach does not heal by waiting."""
    events, now = happened(case[1], spans), case[1] + later * MINUTE
    given_ = promised(case, minutes)
    before, after = at(given_, events, now), at(given_, events, now + step * MINUTE)
    for found in (before, after):
        assert found.elapsed_seconds + found.remaining_seconds == found.budget_seconds == minutes * 60
    assert after.elapsed_seconds >= before.elapsed_seconds
    assert after.elapsed_seconds - before.elapsed_seconds <= step * 60
    assert not (before.state is MilestoneState.MISSED and after.state is not MilestoneState.MISSED)


@settings(max_examples=80)
@given(case=CASES, spans=SPANS, minutes=BUDGETS, more=st.integers(0, 600))
def test_more_time_is_never_due_earlier(
    case: tuple[Calendar, datetime], spans: list[tuple[int, int]], minutes: int, more: int
) -> None:
    """Gold customers would be served after silver ones."""
    events, now = happened(case[1], spans), case[1] + 8 * 1440 * MINUTE
    less = at(promised(case, minutes), events, now).planning_due_at
    assert at(promised(case, minutes + more), events, now).planning_due_at >= less


@settings(max_examples=60)
@given(case=CASES, spans=SPANS, minutes=BUDGETS, other=BUDGETS, later=LATER, back=st.integers(0, 1440))
def test_another_promise_and_back_is_the_same_promise(
    case: tuple[Calendar, datetime],
    spans: list[tuple[int, int]],
    minutes: int,
    other: int,
    later: int,
    back: int,
) -> None:
    """A priority that was typed wrong and put right would have moved the deadline. What an order is promised counts from its
    creation with all pauses, whatever it was promised meanwhile."""
    start = case[1]
    events, now = happened(start, spans), start + later * MINUTE
    changes = [
        Event(n=0, at=now - (back if n == 0 else 0) * MINUTE, kind="changed", data={"from": a, "to": b})
        for n, (a, b) in enumerate((("p1", "p0"), ("p0", "p1")))
    ]
    with_changes = sorted([*events, *changes], key=lambda event: event.at)
    assert at(promised(case, minutes), with_changes, now) == at(promised(case, minutes), events, now)
    assert at(promised(case, other), with_changes, now) == at(promised(case, other), events, now)


@settings(max_examples=40)
@given(case=CASES, spans=SPANS, minutes=BUDGETS, later=LATER)
def test_a_calendar_that_never_works_comes_to_an_end(
    case: tuple[Calendar, datetime], spans: list[tuple[int, int]], minutes: int, later: int
) -> None:
    """Somebody closes for good: the clock of an order would look for working time until the worker is killed. What it finds
    lies as far away as it looked, and nothing is late by it."""
    never = Calendar(code="never", time_zone=case[0].time_zone)
    now = case[1] + later * MINUTE
    found = at(promised((never, case[1]), minutes), happened(case[1], spans), now)
    assert found.planning_due_at > now + timedelta(days=365 * SEARCH_YEARS)
    assert found.state is not MilestoneState.MISSED
    assert (found.elapsed_seconds, found.remaining_seconds) == (0, minutes * 60)
    assert first_due(never, case[1], minutes) > case[1] + timedelta(days=365 * SEARCH_YEARS)


@settings(max_examples=60)
@given(case=CASES, spans=SPANS, minutes=BUDGETS)
def test_the_due_lies_in_working_time_or_at_its_end(
    case: tuple[Calendar, datetime], spans: list[tuple[int, int]], minutes: int
) -> None:
    """A deadline at three in the morning, when nobody of this calendar works, is one that nobody can keep."""
    now = case[1] + 8 * 1440 * MINUTE
    due = at(promised(case, minutes), happened(case[1], spans), now).planning_due_at
    if due < case[1] + (DAYS - 1) * 1440 * MINUTE:
        counts = sla_oracle.working_minutes(case[0], case[1], DAYS)
        assert counts[int((due - case[1]) / MINUTE) - 1]


@settings(max_examples=60)
@given(case=CASES, spans=SPANS, minutes=BUDGETS, mark=st.integers(0, 1200), later=LATER)
def test_a_mark_comes_when_so_much_is_left(
    case: tuple[Calendar, datetime], spans: list[tuple[int, int]], minutes: int, mark: int, later: int
) -> None:
    """The supervisor would be called at a moment at which more, or less, than three minutes are left."""
    events, now = happened(case[1], spans), case[1] + later * MINUTE
    given_ = promised(case, minutes)
    when = left_at(given_, events, minutes=mark, now=now)
    if when is None:
        assert any(a <= later < b for a, b in spans)
    elif mark < minutes and when >= now and not any(a <= later for a, b in spans if b > later):
        then = at(given_, events, when)
        assert then.remaining_seconds >= mark * 60
        assert at(given_, events, when + MINUTE).remaining_seconds <= mark * 60
        if not spans:
            assert then.remaining_seconds == mark * 60


@given(spans=SPANS, minutes=BUDGETS, later=LATER)
def test_stops_are_kept_apart_and_in_order(spans: list[tuple[int, int]], minutes: int, later: int) -> None:
    """Overlapping holds counted twice would give time away; computing again gives the same."""
    start = datetime(2026, 5, 1, tzinfo=UTC)
    given_, events = promised((ALWAYS, start), minutes), happened(start, spans)
    run = course(given_, events)
    ends = [edge for stop in run.stops for edge in stop]
    assert ends == sorted(ends)
    assert len(set(ends)) == len(ends)
    held = set().union(*(range(a, b) for a, b in spans)) if spans else set()
    total = sum((until or 0) - since for since, until in run.stops)
    assert total == len(held) * 60_000_000
    assert at(given_, events, start + later * MINUTE) == at(given_, list(events), start + later * MINUTE)


def test_the_slow_clock_knows_a_week() -> None:
    """An oracle that counts nothing agrees with everything."""
    calendar = Calendar(code="o", time_zone="Asia/Shanghai", week=Week(mon=("09:00-18:00",)))
    monday = datetime(2026, 1, 12, tzinfo=ZoneInfo("Asia/Shanghai"))
    counts = sla_oracle.working_minutes(calendar, monday, 8)
    assert sum(counts[:1440]) == 540
    assert sum(counts) == 1080
    assert sla_oracle.due(calendar, monday, [], 60, 8) == monday + timedelta(hours=10)
    assert date(2026, 1, 12).weekday() == 0
