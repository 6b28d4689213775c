"""The SLA clock: when a milestone is due, how much is left of it, and whether it was kept. Pure.

What counts is the calendar's working time from the start on, less the time in which the clock stands still (a pause, or the
time between a resolution and its reopening). All of it is computed anew from what happened (`Event`s, which are only ever
added): computing twice is computing once, and a new promise (another priority or tier) counts from creation with all
pauses. All times are the server's: `created_at`, the facts and `now` are aware datetimes that the server gave or
corrected, never a phone's raw clock.

`elapsed + remaining = budget` at any time, in microseconds. A breach that was once recorded stays; a moved deadline stands
for a time only, and whoever made it in that time made it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final
from uuid import UUID

import msgspec

from callout_orders.sla.calendar import SEARCH_YEARS, SECOND, Calendar, instant, line, micros


class MilestoneName(StrEnum):
    """The three promises made to a customer, in the order in which they fall due."""

    FIRST_RESPONSE = "first_response"
    ARRIVAL = "arrival"
    RESOLUTION = "resolution"


class MilestoneState(StrEnum):
    """`missed` covers both: late, and not met although the time is over. `stopped`: the order was called off before."""

    RUNNING = "running"
    PAUSED = "paused"
    MET = "met"
    MISSED = "missed"
    STOPPED = "stopped"


class Reopening(StrEnum):
    """What becomes of the resolution's clock when an order is opened again. A milestone before it that was never reached,
    because an answer had solved the order, goes on from what was used, unless the rule is `unbroken`."""

    CONTINUE = "continue"
    """It goes on from what was used: the time in which the order counted as resolved does not count."""
    RESTART = "restart"
    """It starts again with the whole budget."""
    UNBROKEN = "unbroken"
    """As if it had never been resolved."""


class EventKind(StrEnum):
    """What happens to an order's clock."""

    PAUSED = "paused"
    RESUMED = "resumed"
    REOPENED = "reopened"
    """`since` is when it had counted as resolved."""
    MOVED = "moved"
    """A deadline is `minutes` later until `until`."""
    RESTORED = "restored"
    """A moved deadline stands again as it was, before its time."""
    CHANGED = "changed"
    """Another promise: the priority, the tier or the kind changed. For the reader; computing needs none of it."""
    MISSED = "missed"
    """A breach was recorded. For the reader too: the recording itself stands beside the milestone."""


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that happened to the clock. `n` counts an order's events: it puts those of one instant in order."""

    n: int
    at: datetime
    kind: str
    milestone: str | None = None
    reason: str | None = None
    note: str = ""
    minutes: int | None = None
    since: datetime | None = None
    until: datetime | None = None
    data: dict[str, object] = {}
    actor_id: UUID | None = None


class Promise(msgspec.Struct, frozen=True, kw_only=True):
    """One milestone as it was promised: so many working minutes of a calendar, from a moment on.

    `pausing` are the reasons that stop it.
    """

    name: MilestoneName
    started_at: datetime
    minutes: int
    calendar: Calendar
    pausing: frozenset[str] = frozenset()
    reopening: Reopening = Reopening.CONTINUE


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """What has happened to an order so far; aware times, None for what has not happened."""

    first_response_at: datetime | None = None
    arrived_at: datetime | None = None
    resolved_at: datetime | None = None
    canceled_at: datetime | None = None

    def met_at(self, name: MilestoneName) -> datetime | None:
        """When a milestone was reached. Reaching a later one reaches the earlier ones: an engineer on site is a response,
        and an order solved by telephone needs nobody to arrive."""
        chain = (self.first_response_at, self.arrived_at, self.resolved_at)[_PLACES[name] :]
        return min((at for at in chain if at is not None), default=None)


_PLACES: Final = {name: n for n, name in enumerate(MilestoneName)}


class Stand(msgspec.Struct, frozen=True, kw_only=True):
    """How a milestone stands at a moment.

    `due_at` is None while it is paused and where it was called off; `planning_due_at` never is: what it would be, were the
    clock to go on at once (or at the pause's foreseen end). `remaining_seconds` counts working time down, stands still
    while paused and once reached, and is negative when overdue. `original_due_at` is there while a moved deadline stands.
    """

    name: MilestoneName
    state: MilestoneState
    started_at: datetime
    due_at: datetime | None
    planning_due_at: datetime
    original_due_at: datetime | None
    budget_seconds: float
    elapsed_seconds: float
    remaining_seconds: float
    paused_since: datetime | None
    paused_reasons: tuple[str, ...]
    met_at: datetime | None
    in_time: bool | None
    missed_at: datetime | None


Stop = tuple[int, int | None]
"""From, until (None: still), in microseconds."""


class Course(msgspec.Struct, frozen=True, kw_only=True):
    """What the events make of a promise: its start, its stops (merged, in order) and what still holds it."""

    started: int
    stops: tuple[Stop, ...]
    holding: tuple[str, ...]
    foreseen: int | None
    """When the open stop is said to end, where that is known of all that hold it."""


def course(promise: Promise, events: Sequence[Event]) -> Course:
    """The course of a promise's clock; the events stand in the order of their `n`."""
    started = micros(promise.started_at)
    open_: dict[str, tuple[int, int | None]] = {}
    stops: list[tuple[int, int | None]] = []
    for event in events:
        at = micros(event.at)
        if event.kind == EventKind.PAUSED and event.reason in promise.pausing:
            # Said again while it holds: another foreseen end.
            since, _ = open_.get(str(event.reason), (at, None))
            open_[str(event.reason)] = since, micros(event.until) if event.until else None
        elif event.kind == EventKind.RESUMED and event.reason in open_:
            stops.append((open_.pop(str(event.reason))[0], at))
        elif event.kind == EventKind.REOPENED and promise.reopening is not Reopening.UNBROKEN:
            if promise.reopening is Reopening.RESTART and promise.name is MilestoneName.RESOLUTION:
                started = at
            elif event.since is not None:
                stops.append((micros(event.since), at))
    stops += [(since, None) for since, _ in open_.values()]
    ends = [until for _, until in open_.values()]
    return Course(
        started=started,
        stops=tuple(_merged(stops, started)),
        holding=tuple(open_),
        foreseen=max((end for end in ends if end is not None), default=None) if None not in ends else None,
    )


def stand(
    promise: Promise,
    events: Sequence[Event],
    *,
    facts: Facts,
    now: datetime,
    missed_at: datetime | None = None,
) -> Stand:
    """How a milestone stands at `now`. `missed_at`: when a breach was recorded, which nothing takes back.

    Exactly on time is in time. Raises ValueError for a naive time.
    """
    run = course(promise, events)
    met = facts.met_at(promise.name)
    ended = met or facts.canceled_at
    at = max(micros(ended or now), run.started)
    if met is not None:
        run = _until(run, at)
    base = promise.minutes * 60 * SECOND
    moved = _moved(events, promise.name, at) * 60 * SECOND
    budget = max(base + moved, 0)
    elapsed = _elapsed(promise.calendar, run, at)
    due, reached = _due(promise.calendar, run, budget, at)
    holds = next((stop for stop in run.stops if stop[0] <= at and (stop[1] is None or at < stop[1])), None)
    # Whoever reaches a milestone after its due is late, be it outside of working time; the same moment is in time.
    over = reached and due < at
    in_time = None if met is None else not over
    if missed_at is not None or over:
        state = MilestoneState.MISSED
    elif met is not None:
        state = MilestoneState.MET
    elif facts.canceled_at is not None:
        state = MilestoneState.STOPPED
    elif holds is not None:
        state = MilestoneState.PAUSED
    else:
        state = MilestoneState.RUNNING
    paused = state is MilestoneState.PAUSED
    original = _due(promise.calendar, run, base, at)[0] if moved else None
    return Stand(
        name=promise.name,
        state=state,
        started_at=instant(run.started),
        due_at=None if paused or state is MilestoneState.STOPPED else instant(due),
        planning_due_at=instant(due),
        original_due_at=None if original is None else instant(original),
        budget_seconds=budget / SECOND,
        elapsed_seconds=elapsed / SECOND,
        remaining_seconds=(budget - elapsed) / SECOND,
        paused_since=instant(holds[0]) if paused and holds is not None else None,
        paused_reasons=run.holding if paused else (),
        met_at=met,
        in_time=in_time,
        missed_at=missed_at,
    )


def first_due(calendar: Calendar, started_at: datetime, minutes: float) -> datetime:
    """When a budget that starts now is used up: the same as `stand` says of a promise without events, quicker."""
    of, budget = line(calendar, started_at, started_at), round(minutes * 60 * SECOND)
    found = of.reached(of.worked(micros(started_at)) + budget) if budget > 0 else None
    if found is not None:
        return instant(found)
    run = Course(started=micros(started_at), stops=(), holding=(), foreseen=None)
    return instant(_due(calendar, run, budget, run.started)[0])


def left_at(promise: Promise, events: Sequence[Event], *, minutes: float, now: datetime) -> datetime | None:
    """When so many working minutes are left, or were, until the due; None while it is paused."""
    run = course(promise, events)
    at = max(micros(now), run.started)
    if any(since <= at and (until is None or at < until) for since, until in run.stops):
        return None
    spent = (promise.minutes + _moved(events, promise.name, at)) * 60 * SECOND - round(minutes * 60 * SECOND)
    if spent <= 0:
        return instant(run.started)
    due, _ = _due(promise.calendar, run, spent, at)
    return instant(due)


def moved_until(events: Sequence[Event], name: MilestoneName, now: datetime) -> Event | None:
    """The event that has moved a deadline and still stands at `now`."""
    return _moving(events, name, micros(now))


def open_pauses(events: Iterable[Event]) -> dict[str, Event]:
    """Pauses that nobody ended, by reason, whether or not they stop a milestone: what was said of each last."""
    found: dict[str, Event] = {}
    for event in events:
        if event.kind == EventKind.PAUSED and event.reason is not None:
            found[event.reason] = event
        elif event.kind == EventKind.RESUMED and event.reason is not None:
            found.pop(event.reason, None)
    return found


def _moved(events: Sequence[Event], name: MilestoneName, at: int) -> int:
    event = _moving(events, name, at)
    return event.minutes or 0 if event is not None else 0


def _moving(events: Sequence[Event], name: MilestoneName, at: int) -> Event | None:
    """The last word about the deadline at a moment; a later move replaces an earlier one."""
    found: Event | None = None
    for event in events:
        if event.milestone != name or micros(event.at) > at:
            continue
        if event.kind == EventKind.MOVED:
            found = event
        elif event.kind == EventKind.RESTORED:
            found = None
    return found if found is not None and found.until is not None and at < micros(found.until) else None


def _merged(stops: list[Stop], started: int) -> list[Stop]:
    """The stops in order, without those before the start, and as one where they touch."""
    far = 1 << 62
    merged: list[list[int]] = []
    for since, until in sorted(
        (max(since, started), far if until is None else until) for since, until in stops
    ):
        if until <= since:
            continue
        if merged and since <= merged[-1][1]:
            merged[-1][1] = max(merged[-1][1], until)
        else:
            merged.append([since, until])
    return [(since, None if until == far else until) for since, until in merged]


def _elapsed(calendar: Calendar, run: Course, at: int) -> int:
    """Working time from the start until `at`, without the stops."""
    of = line(calendar, instant(run.started), instant(at))
    total = of.worked(at) - of.worked(run.started)
    for since, until in run.stops:
        if since >= at:
            break
        total -= of.worked(at if until is None else min(until, at)) - of.worked(since)
    return total


def _due(calendar: Calendar, run: Course, budget: int, at: int) -> tuple[int, bool]:
    """The moment at which the budget is used up, and whether the clock, as far as it is known, comes to it.

    Behind an open stop it is what would come of going on at its foreseen end, and not before `at`. Where the calendar has
    not enough hours within `SEARCH_YEARS`, that far away.
    """
    begin = instant(run.started)
    stops = [
        (since, max(at, since, run.foreseen or 0) if until is None else until, until is None)
        for since, until in run.stops
    ]
    latest = instant(max([at, run.started, *(until for _, until, _ in stops)]))
    if budget <= 0:
        return run.started, True
    for more in (timedelta(0), timedelta(days=366 * SEARCH_YEARS)):
        of = line(calendar, begin, latest + more)
        target = of.worked(run.started) + budget
        known = True
        for since, until, is_open in stops:
            if of.worked(since) >= target:
                break
            target += of.worked(until) - of.worked(since)
            known = not is_open
        found = of.reached(target)
        if found is not None:
            return found, known
    return micros(latest + more), False


def _until(run: Course, at: int) -> Course:
    """The course as it was at a moment: what came later does not change how that moment is judged."""
    return msgspec.structs.replace(run, stops=tuple(stop for stop in run.stops if stop[0] < at))
