"""The SLA clock: deadlines that can be checked by hand, and the states of milestones."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from sla_oracle import OFF, WORKED

from callout_orders.sla.calendar import ALWAYS, Calendar, Special, Week, day, span, worked_us
from callout_orders.sla.clock import (
    Event,
    Facts,
    MilestoneName,
    MilestoneState,
    Promise,
    Reopening,
    Stand,
    first_due,
    left_at,
    stand,
)

SHANGHAI, NEW_YORK = ZoneInfo("Asia/Shanghai"), ZoneInfo("America/New_York")
T0 = datetime(2026, 1, 15, 8, 0, tzinfo=UTC)


def weekdays(*hours: str) -> Week:
    return Week(mon=hours, tue=hours, wed=hours, thu=hours, fri=hours)


OFFICE = Calendar(code="office", time_zone="Asia/Shanghai", week=weekdays("09:00-18:00"))
LUNCH = Calendar(code="lunch", time_zone="Asia/Shanghai", week=weekdays("09:00-12:00", "13:00-18:00"))
NIGHTS = Calendar(code="nights", time_zone="Asia/Shanghai", week=weekdays("22:00-06:00"))
CHINA = Calendar(code="china", time_zone="Asia/Shanghai", week=weekdays("09:00-18:00"), country="CN")


def local(text: str, zone: ZoneInfo = SHANGHAI) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=zone)


def paused(*spans: tuple[datetime, datetime | None], reason: str = "customer") -> list[Event]:
    events: list[Event] = []
    for since, until in spans:
        events.append(Event(n=len(events) + 1, at=since, kind="paused", reason=reason))
        if until is not None:
            events.append(Event(n=len(events) + 1, at=until, kind="resumed", reason=reason))
    return events


def promise(
    start: datetime,
    minutes: int,
    calendar: Calendar = ALWAYS,
    name: MilestoneName = MilestoneName.RESOLUTION,
    reopening: Reopening = Reopening.CONTINUE,
) -> Promise:
    return Promise(
        name=name,
        started_at=start,
        minutes=minutes,
        calendar=calendar,
        pausing=frozenset({"customer", "parts"}),
        reopening=reopening,
    )


def at(given: Promise, events: Sequence[Event], now: datetime, **more: object) -> Stand:
    facts = {name: more.pop(name) for name in list(more) if name in Facts.__struct_fields__}
    return stand(given, events, facts=Facts(**facts), now=now, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("calendar", "start", "minutes", "pauses", "due"),
    (
        # Lunch is no working time.
        (LUNCH, "2026-01-15T11:50", 15, (), "2026-01-15T13:05"),
        # Over the weekend.
        (OFFICE, "2026-01-16T17:30", 60, (), "2026-01-19T09:30"),
        # Closing time belongs to the next day.
        (OFFICE, "2026-01-15T18:00", 1, (), "2026-01-16T09:01"),
        # A pause in the middle of the day.
        (OFFICE, "2026-01-15T09:00", 240, (("2026-01-15T10:00", "2026-01-15T14:00"),), "2026-01-15T17:00"),
        # A pause over the weekend: only its working hours count as paused.
        (OFFICE, "2026-01-16T16:00", 240, (("2026-01-16T17:00", "2026-01-19T10:00"),), "2026-01-19T13:00"),
        # A night that goes on the next evening.
        (NIGHTS, "2026-01-15T23:30", 420, (), "2026-01-16T22:30"),
        # Friday's night runs into Saturday; Saturday has none.
        (NIGHTS, "2026-01-16T23:00", 480, (), "2026-01-19T23:00"),
        # Used up exactly at closing time: due then, not the next morning.
        (OFFICE, "2026-01-15T17:00", 60, (), "2026-01-15T18:00"),
        # A leap day is a day.
        (OFFICE, "2028-02-28T17:00", 120, (), "2028-02-29T10:00"),
        # The year ends on a Thursday.
        (OFFICE, "2026-12-31T17:30", 60, (), "2027-01-01T09:30"),
        # Spring festival of 2026: nine days off; Saturday the 14th and the 28th are worked for it.
        (CHINA, "2026-02-13T17:30", 60, (), "2026-02-14T09:30"),
        (CHINA, "2026-02-14T17:30", 60, (), "2026-02-24T09:30"),
        (CHINA, "2026-02-27T17:30", 60, (), "2026-02-28T09:30"),
        # National day week.
        (CHINA, "2026-09-30T17:30", 60, (), "2026-10-08T09:30"),
    ),
)
def test_deadlines_by_hand(
    calendar: Calendar, start: str, minutes: int, pauses: tuple[tuple[str, str], ...], due: str
) -> None:
    """Each is a promise that a customer can check with a calendar and a pencil."""
    begin = local(start)
    events = paused(*((local(a), local(b)) for a, b in pauses))
    given = promise(begin, minutes, calendar)
    late = at(given, events, begin + timedelta(days=30))
    assert late.planning_due_at == local(due)
    assert late.state is MilestoneState.MISSED
    in_time = at(given, events, begin + timedelta(days=30), resolved_at=local(due))
    assert in_time.state is MilestoneState.MET
    after = at(given, events, begin + timedelta(days=30), resolved_at=local(due) + timedelta(seconds=1))
    assert after.state is MilestoneState.MISSED
    if not pauses:
        assert first_due(calendar, begin, minutes) == local(due)


@pytest.mark.parametrize(
    ("start", "minutes", "due"),
    (
        # 02:00 to 03:00 is skipped in spring.
        ("2026-03-08T01:30:00-05:00", 60, "2026-03-08T03:30:00-04:00"),
        # 01:00 to 02:00 comes twice in autumn.
        ("2026-11-01T00:30:00-04:00", 60, "2026-11-01T01:30:00-04:00"),
        ("2026-11-01T00:30:00-04:00", 120, "2026-11-01T01:30:00-05:00"),
    ),
)
def test_all_day_through_the_change_of_clocks(start: str, minutes: int, due: str) -> None:
    """Added in local time, a deadline of that night would be an hour off."""
    assert first_due(ALWAYS, datetime.fromisoformat(start), minutes) == datetime.fromisoformat(due)


@pytest.mark.parametrize(
    ("hours", "on", "working_minutes"),
    (
        # A night shift in spring is an hour shorter, in autumn an hour longer.
        (("22:00-06:00",), date(2026, 3, 7), 420),
        (("22:00-06:00",), date(2026, 10, 31), 540),
        # Within the hour that is skipped there is nothing.
        (("02:00-03:00",), date(2026, 3, 8), 0),
        (("02:15-02:45",), date(2026, 3, 8), 0),
        # It starts in the hour that is skipped, or ends in it.
        (("02:30-04:00",), date(2026, 3, 8), 60),
        (("01:00-02:30",), date(2026, 3, 8), 60),
        # The hour that comes twice counts as long as it lasts, cut in two or not.
        (("01:00-02:00",), date(2026, 11, 1), 120),
        (("00:00-01:30", "01:30-03:00"), date(2026, 11, 1), 240),
        (("00:00-03:00",), date(2026, 11, 1), 240),
    ),
)
def test_intervals_through_the_change_of_clocks(
    hours: tuple[str, ...], on: date, working_minutes: int
) -> None:
    """People on a night shift work the hours that there are, not those that a clock without summer time would show."""
    calendar = Calendar(code="c", time_zone="America/New_York", special=(Special(date=on, hours=hours),))
    noon = datetime(on.year, on.month, on.day, 12, tzinfo=UTC)
    worked = worked_us(calendar, noon - timedelta(days=2), noon + timedelta(days=2))
    assert worked == working_minutes * 60 * 1_000_000


def test_a_day_that_never_was() -> None:
    """Samoa went from 2011-12-29 to 2011-12-31: work on the 30th would be counted where nobody could do it."""
    hours = ("09:00-17:00",)
    calendar = Calendar(code="apia", time_zone="Pacific/Apia", week=Week(thu=hours, fri=hours, sat=hours))
    start = datetime(2011, 12, 29, 9, tzinfo=ZoneInfo("Pacific/Apia"))
    end = datetime(2012, 1, 1, 0, tzinfo=ZoneInfo("Pacific/Apia"))
    assert worked_us(calendar, start, end) == 16 * 3600 * 1_000_000


def test_every_day_of_a_chinese_year() -> None:
    """A make-up Saturday that counts as free lets a deadline slip by a day that everybody works."""
    for n in range(365):
        on = date(2026, 1, 1) + timedelta(days=n)
        expected = on in WORKED or (on.weekday() < 5 and on not in OFF)
        assert bool(day(CHINA, on).hours) == expected, on


def test_dates_of_ones_own_go_before_week_and_holidays() -> None:
    """A plant that works through a holiday, or closes for stocktaking, would get deadlines of another plant."""
    calendar = Calendar(
        code="own",
        time_zone="Asia/Shanghai",
        week=weekdays("09:00-18:00"),
        country="CN",
        makeup_hours=("10:00-16:00",),
        special=(
            Special(date=date(2026, 2, 17), hours=("08:00-10:00",), note="emergency desk"),
            Special(date=date(2026, 2, 14)),
            Special(date=date(2026, 3, 7), worked=True),
            Special(date=date(2026, 3, 9), note="stocktaking"),
        ),
    )
    assert day(calendar, date(2026, 2, 17)).hours == ("08:00-10:00",)
    assert day(calendar, date(2026, 2, 14)).hours == ()
    assert day(calendar, date(2026, 2, 28)).hours == ("10:00-16:00",)
    assert day(calendar, date(2026, 3, 7)).hours == ("10:00-16:00",)
    assert (day(calendar, date(2026, 3, 9)).kind, day(calendar, date(2026, 3, 9)).hours) == ("special", ())
    assert day(calendar, date(2026, 2, 18)).kind == "holiday"
    assert day(calendar, date(2026, 3, 10)).kind == "week"


@pytest.mark.parametrize(
    "text", ("", "9:00-12:00", "09:00-24:01", "25:00-26:00", "09:00", "09:00-09:00", "24:00-25:00")
)
def test_what_is_no_interval(text: str) -> None:
    """A calendar with a slip of the pen must be refused, not read as something."""
    with pytest.raises(ValueError, match=text or "^$"):
        span(text)


@pytest.mark.parametrize(
    ("met_after", "now_after", "state", "remaining"),
    (
        (None, 0, MilestoneState.RUNNING, 900),
        (None, 12 * 60, MilestoneState.RUNNING, 180),  # "3 min left": the supervisor is called
        (None, 900, MilestoneState.RUNNING, 0),  # exactly on time is in time
        (None, 901, MilestoneState.MISSED, -1),
        (900, 5000, MilestoneState.MET, 0),
        (600, 5000, MilestoneState.MET, 300),  # stands still once met
        (901, 5000, MilestoneState.MISSED, -1),  # late stays late
    ),
)
def test_first_response(
    met_after: int | None, now_after: int, state: MilestoneState, remaining: float
) -> None:
    """The countdown on the order's page; off by one second at the border is a wrongly booked breach."""
    given = promise(T0, 15, name=MilestoneName.FIRST_RESPONSE)
    met = None if met_after is None else T0 + timedelta(seconds=met_after)
    found = at(given, [], T0 + timedelta(seconds=now_after), first_response_at=met)
    assert (found.state, found.remaining_seconds) == (state, remaining)


def test_a_later_milestone_reaches_the_earlier_ones() -> None:
    """An engineer on site after 10 minutes is a response; without this, P0 orders count as never answered."""
    facts = Facts(arrived_at=T0 + timedelta(minutes=10), first_response_at=T0 + timedelta(minutes=30))
    assert facts.met_at(MilestoneName.FIRST_RESPONSE) == T0 + timedelta(minutes=10)
    assert facts.met_at(MilestoneName.ARRIVAL) == T0 + timedelta(minutes=10)
    assert facts.met_at(MilestoneName.RESOLUTION) is None


def test_while_paused_there_is_no_due_but_what_is_left() -> None:
    """A page that counts down while everybody waits for the customer sends people to work for nothing."""
    given = promise(T0, 60)
    events = paused((T0 + timedelta(minutes=20), None))
    found = at(given, events, T0 + timedelta(minutes=50))
    assert (found.state, found.due_at, found.remaining_seconds) == (MilestoneState.PAUSED, None, 40 * 60)
    assert (found.paused_since, found.paused_reasons) == (T0 + timedelta(minutes=20), ("customer",))
    assert found.planning_due_at == T0 + timedelta(minutes=90)
    assert left_at(given, events, minutes=10, now=T0 + timedelta(minutes=50)) is None
    until = [Event(n=1, at=events[0].at, kind="paused", reason="customer", until=T0 + timedelta(minutes=80))]
    assert at(given, until, T0 + timedelta(minutes=50)).planning_due_at == T0 + timedelta(minutes=120)


def test_two_reasons_hold_until_both_are_gone() -> None:
    """An order that waits for parts would run out of time because the customer called back."""
    minute = timedelta(minutes=1)
    events = [
        Event(n=1, at=T0 + 10 * minute, kind="paused", reason="customer"),
        Event(n=2, at=T0 + 20 * minute, kind="paused", reason="parts"),
        Event(n=3, at=T0 + 30 * minute, kind="resumed", reason="customer"),
        Event(n=4, at=T0 + 30 * minute, kind="resumed", reason="customer"),
        Event(
            n=5, at=T0 + 40 * minute, kind="paused", reason="access"
        ),  # stops other milestones, not this one
    ]
    found = at(promise(T0, 60), events, T0 + 50 * minute)
    assert (found.state, found.remaining_seconds) == (MilestoneState.PAUSED, 50 * 60)
    assert found.paused_reasons == ("parts",)
    events.append(Event(n=6, at=T0 + 60 * minute, kind="resumed", reason="parts"))
    assert at(promise(T0, 60), events, T0 + 60 * minute).due_at == T0 + 110 * minute


def test_what_was_missed_before_a_pause_is_missed() -> None:
    """Putting a late order on hold must not make it look in time."""
    events = paused((T0 + timedelta(minutes=70), None))
    assert at(promise(T0, 60), events, T0 + timedelta(minutes=90)).state is MilestoneState.MISSED


def test_events_of_one_instant_stand_in_their_order() -> None:
    """A hold that is ended and put on again in one act would be read as ended."""
    moment = T0 + timedelta(minutes=10)
    on_again = [
        Event(n=1, at=moment, kind="paused", reason="customer"),
        Event(n=2, at=moment, kind="resumed", reason="customer"),
        Event(n=3, at=moment, kind="paused", reason="customer"),
    ]
    assert at(promise(T0, 60), on_again, moment).state is MilestoneState.PAUSED
    assert at(promise(T0, 60), on_again[:2], moment).state is MilestoneState.RUNNING


@pytest.mark.parametrize(
    ("rule", "due_after"),
    ((Reopening.CONTINUE, 160), (Reopening.RESTART, 190), (Reopening.UNBROKEN, 60)),
)
def test_reopening(rule: Reopening, due_after: int) -> None:
    """Whether a repair that failed gets its time again is in the contract, not in whoever reads the clock."""
    minute = timedelta(minutes=1)
    events = [Event(n=1, at=T0 + 130 * minute, kind="reopened", since=T0 + 30 * minute)]
    found = at(promise(T0, 60, reopening=rule), events, T0 + 131 * minute)
    assert found.planning_due_at == T0 + due_after * minute
    arrival = promise(T0, 60, name=MilestoneName.ARRIVAL, reopening=rule)
    # Who had arrived before arrived when they did.
    there = at(arrival, events, T0 + 131 * minute, arrived_at=T0 + 20 * minute)
    assert (there.state, there.planning_due_at) == (MilestoneState.MET, T0 + 60 * minute)


@pytest.mark.parametrize(
    ("rule", "due_after"),
    ((Reopening.CONTINUE, 160), (Reopening.RESTART, 160), (Reopening.UNBROKEN, 60)),
)
def test_nobody_is_late_for_the_time_in_which_an_answer_had_solved_it(
    rule: Reopening, due_after: int
) -> None:
    """A customer says after a week that the answer did not help: the engineer would be late before anybody could be sent."""
    minute = timedelta(minutes=1)
    events = [Event(n=1, at=T0 + 130 * minute, kind="reopened", since=T0 + 30 * minute)]
    arrival = promise(T0, 60, name=MilestoneName.ARRIVAL, reopening=rule)
    found = at(arrival, events, T0 + 131 * minute)
    assert (found.planning_due_at, found.started_at) == (T0 + due_after * minute, T0)
    assert (found.state is MilestoneState.MISSED) == (rule is Reopening.UNBROKEN)


def test_a_moved_deadline_stands_for_its_time_only() -> None:
    """Whoever may give more time gives it for a time: a deadline that is moved for ever is no promise."""
    minute = timedelta(minutes=1)
    events = [
        Event(
            n=1, at=T0 + 50 * minute, kind="moved", milestone="resolution", minutes=30, until=T0 + 80 * minute
        ),
    ]
    before, during, after = (at(promise(T0, 60), events, T0 + n * minute) for n in (40, 70, 81))
    assert (before.due_at, before.original_due_at) == (T0 + 60 * minute, None)
    assert (during.due_at, during.original_due_at) == (T0 + 90 * minute, T0 + 60 * minute)
    assert during.state is MilestoneState.RUNNING
    assert (after.planning_due_at, after.state) == (T0 + 60 * minute, MilestoneState.MISSED)
    met = at(promise(T0, 60), events, T0 + 300 * minute, resolved_at=T0 + 75 * minute)
    assert (met.state, met.in_time) == (MilestoneState.MET, True)
    restored = [*events, Event(n=2, at=T0 + 65 * minute, kind="restored", milestone="resolution")]
    assert at(promise(T0, 60), restored, T0 + 70 * minute).state is MilestoneState.MISSED
    other = at(promise(T0, 60, name=MilestoneName.ARRIVAL), events, T0 + 70 * minute)
    assert other.state is MilestoneState.MISSED


def test_a_recorded_breach_stays() -> None:
    """A phone that comes back, or a priority that is lowered, must not make a breach that was told unhappen."""
    found = at(
        promise(T0, 60),
        [],
        T0 + timedelta(days=1),
        resolved_at=T0 + timedelta(minutes=50),
        missed_at=T0 + timedelta(minutes=61),
    )
    assert (found.state, found.in_time) == (MilestoneState.MISSED, True)
    assert (found.met_at, found.missed_at) == (T0 + timedelta(minutes=50), T0 + timedelta(minutes=61))


def test_what_is_called_off_stands_still() -> None:
    """An order that nobody wants any more would go on to its breach."""
    found = at(promise(T0, 60), [], T0 + timedelta(days=1), canceled_at=T0 + timedelta(minutes=10))
    assert (found.state, found.due_at, found.remaining_seconds) == (MilestoneState.STOPPED, None, 50 * 60)


def test_naive_times_are_refused() -> None:
    """A naive time shifts a deadline by hours."""
    with pytest.raises(ValueError, match="time zone"):
        at(promise(T0.replace(tzinfo=None), 60), [], T0)
    with pytest.raises(ValueError, match="time zone"):
        at(promise(T0, 60), [], T0.replace(tzinfo=None))
