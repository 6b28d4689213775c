"""The SLA clock: deadlines checked by hand and how long they take, beside `businesstimedelta`; clocks of new orders."""

from __future__ import annotations

import json
import random
import subprocess
import time
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple
from zoneinfo import ZoneInfo

from desk_report import Row, peer, verdict
from peer_python import PEERS
from worlds import World

from callout_orders.sla import clock, milestones
from callout_orders.sla.calendar import ALL_DAY, Calendar, Week
from callout_orders.sla.clock import Event, Facts, MilestoneName, Promise
from callout_orders.sla.clocks import CHANNEL, key_of, payload_of
from callout_orders.sla.milestones import StartClock
from callout_store import timers
from callout_store.ids import new_id
from callout_store.work import Database

STARTS: Final = 1_000
MINUTES: Final = 480
ORDERS: Final = 20_000
TARGET_US: Final = 100.0
TARGET_ORDERS_S: Final = 10.0


class Hours(NamedTuple):
    """A calendar as both sides are told it."""

    zone: str
    days: tuple[int, ...]
    hours: tuple[str, str]
    lunch: tuple[str, str] | None = None
    country: str | None = None

    def ours(self) -> Calendar:
        begin, end = self.hours
        spans: tuple[str, ...] = (f"{begin}-{end}",)
        if self.lunch:
            spans = (f"{begin}-{self.lunch[0]}", f"{self.lunch[1]}-{end}")
        if self.hours == WHOLE_DAY:
            spans = (ALL_DAY,)
        week = Week(*[spans if day in self.days else () for day in range(7)])
        return Calendar(code="bench", time_zone=self.zone, week=week, country=self.country)


class Vector(NamedTuple):
    """A promise that can be checked with a calendar and a pencil. Times are local."""

    hours: Hours
    start: str
    minutes: int
    due: str
    pauses: tuple[tuple[str, str], ...] = ()


SHANGHAI, WEEKDAYS = "Asia/Shanghai", (0, 1, 2, 3, 4)
WHOLE_DAY = ("00:00", "23:59:59.999999")
OFFICE = Hours(SHANGHAI, WEEKDAYS, ("09:00", "18:00"))
LUNCH = OFFICE._replace(lunch=("12:00", "13:00"))
CHINA = OFFICE._replace(country="CN")
NIGHTS = Hours(SHANGHAI, WEEKDAYS, ("22:00", "06:00"))
NEW_YORK = Hours("America/New_York", tuple(range(7)), WHOLE_DAY)
ANCHORS: Final = (
    Vector(LUNCH, "2026-01-15T11:50", 15, "2026-01-15T13:05"),
    Vector(OFFICE, "2026-01-16T17:30", 60, "2026-01-19T09:30"),
    Vector(OFFICE, "2026-01-15T18:00", 1, "2026-01-16T09:01"),
    Vector(OFFICE, "2026-01-15T09:00", 240, "2026-01-15T17:00", (("2026-01-15T10:00", "2026-01-15T14:00"),)),
    Vector(OFFICE, "2026-01-16T16:00", 240, "2026-01-19T13:00", (("2026-01-16T17:00", "2026-01-19T10:00"),)),
    Vector(NEW_YORK, "2026-03-08T01:30", 60, "2026-03-08T03:30"),
    Vector(NIGHTS, "2026-01-15T23:30", 420, "2026-01-16T22:30"),
)
MAKEUP: Final = (
    # Saturday the 14th is worked for the spring festival; after it come nine days off.
    Vector(CHINA, "2026-02-13T17:30", 60, "2026-02-14T09:30"),
    Vector(CHINA, "2026-02-14T17:30", 60, "2026-02-24T09:30"),
    Vector(CHINA, "2026-09-30T17:30", 60, "2026-10-08T09:30"),
)


def rows() -> list[Row]:
    """Correctness, then speed."""
    vectors = (*ANCHORS, *MAKEUP)
    dice = random.Random("starts")
    calendar = LUNCH.ours()
    starts = [
        datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=dice.randrange(365 * 1440))
        for _ in range(STARTS)
    ]
    ours = [_due(vector) == _local(vector, vector.due) for vector in vectors]
    clock.first_due(calendar, starts[0], MINUTES)
    began = time.perf_counter()
    dues = [clock.first_due(calendar, start, MINUTES) for start in starts]
    each_us = (time.perf_counter() - began) / STARTS * 1e6
    paused_us = _paused_us(calendar, starts)
    right = Row(
        work="SLA: the anchor's seven deadlines; three of Chinese holidays and make-up days",
        ours=f"{sum(ours[:7])} of 7; {sum(ours[7:])} of 3",
        target="7 of 7; 3 of 3",
        verdict=verdict(all(ours)),
    )
    quick = Row(
        work=f"SLA: a deadline of {MINUTES} working minutes, {STARTS:,} starts in a year",
        ours=f"{each_us:.1f} µs; with two pauses and its whole state {paused_us:.1f} µs",
        target=f"<= {TARGET_US:g} µs",
        verdict=verdict(each_us <= TARGET_US),
        more={"us": each_us, "paused_us": paused_us},
    )
    theirs, why = _peer(vectors, starts)
    if theirs is None:
        right.beside = quick.beside = f"businesstimedelta {why}"
        return [right, quick]
    answers = list(zip(theirs["vectors"], vectors, strict=True))
    told = [_same(text, _local(vector, vector.due)) for text, vector in answers]
    wrong = [f"{one.start} → {text}" for (text, one), same in zip(answers, told, strict=True) if not same]
    right.beside = f"businesstimedelta: {sum(told[:7])} of 7; {sum(told[7:])} of 3"
    right.more = {"peer_wrong": wrong}
    agree = sum(_same(text, due) for text, due in zip(theirs["dues"], dues, strict=True))
    peer_us = theirs["seconds"] / STARTS * 1e6
    quick.beside = f"businesstimedelta {peer_us:,.0f} µs; {agree:,} of {STARTS:,} the same"
    quick.ratio = f"{peer_us / each_us:.0f} x"
    quick.more |= {"peer_us": peer_us, "agree": agree}
    return [right, quick]


def _local(vector: Vector, text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(vector.hours.zone))


def _due(vector: Vector) -> datetime:
    events = []
    for since, until in vector.pauses:
        for kind, text in (("paused", since), ("resumed", until)):
            at = _local(vector, text)
            events.append(Event(n=len(events) + 1, at=at, kind=kind, reason="customer"))
    start = _local(vector, vector.start)
    promise = _promise(vector.hours.ours(), start, vector.minutes)
    found = clock.stand(promise, events, facts=Facts(), now=start + timedelta(days=60))
    return found.planning_due_at


def _promise(calendar: Calendar, start: datetime, minutes: int) -> Promise:
    return Promise(
        name=MilestoneName.RESOLUTION,
        started_at=start,
        minutes=minutes,
        calendar=calendar,
        pausing=frozenset({"customer"}),
    )


def _paused_us(calendar: Calendar, starts: list[datetime]) -> float:
    hours = timedelta(hours=1)
    given = []
    for start in starts:
        kinds = ("paused", "resumed", "paused", "resumed")
        events = [
            Event(n=n, at=start + n * hours, kind=kind, reason="customer")
            for n, kind in enumerate(kinds, start=1)
        ]
        given.append((_promise(calendar, start, MINUTES), events, start + 6 * hours))
    began = time.perf_counter()
    for promise, events, now in given:
        clock.stand(promise, events, facts=Facts(), now=now)
    return (time.perf_counter() - began) / len(given) * 1e6


def _same(text: str, due: datetime) -> bool:
    """Whether a peer's answer is that moment; it counts to the last microsecond of a day, which is no fault."""
    try:
        return abs(datetime.fromisoformat(text) - due) < timedelta(seconds=1)
    except ValueError:
        return False


def _peer(vectors: tuple[Vector, ...], starts: list[datetime]) -> tuple[dict[str, Any] | None, str]:
    python, why = peer("desk_hours")
    if python is None:
        return None, why
    asked = {
        "vectors": [
            {
                "calendar": vector.hours._asdict(),
                "start": _local(vector, vector.start).isoformat(),
                "minutes": vector.minutes,
                "pauses": [[_local(vector, text).isoformat() for text in pause] for pause in vector.pauses],
            }
            for vector in vectors
        ],
        "calendar": LUNCH._asdict(),
        "starts": [start.isoformat() for start in starts],
        "minutes": MINUTES,
    }
    done = subprocess.run(
        [str(python), str(PEERS / "desk_hours.py")],
        input=json.dumps(asked),
        capture_output=True,
        text=True,
        timeout=120,
    )
    if done.returncode:
        return None, f"failed: {done.stderr[-200:]}"
    found: dict[str, Any] = json.loads(done.stdout)
    return found, ""


async def start_rows(db: Database) -> list[Row]:
    """The clocks of many new orders in one unit of work, beside the same timers written and nothing computed."""
    world = await World(db).build(phones=1)
    now = datetime.now(UTC)
    orders = [
        StartClock(
            order_id=new_id(),
            created_at=now - timedelta(seconds=n),
            priority=f"P{n % 3}",
            kind="repair",
            tier="gold",
        )
        for n in range(ORDERS)
    ]
    began = time.perf_counter()
    async with db.work(world.org) as work:
        dues = await milestones.start(work, orders)
    ours_s = time.perf_counter() - began
    assert len(dues) == ORDERS
    armed = await world.value("select count(*) from timer where key like 'sla:%'")
    assert armed == ORDERS * len(MilestoneName)
    raw = [
        (key_of(id_, name), due.resolution, CHANNEL, payload_of(id_, name))
        for due in dues
        for id_ in [new_id()]
        for name in MilestoneName
    ]
    began = time.perf_counter()
    async with db.work(world.org) as work:
        await timers.arm_many(work, raw)
    raw_s = time.perf_counter() - began
    return [
        Row(
            work=f"SLA: clocks of {ORDERS:,} new orders, three milestones and timers each, one unit of work",
            ours=f"{ours_s:.1f} s, {ORDERS / ours_s:,.0f} orders/s",
            beside=f"the timers' rows alone {raw_s:.1f} s",
            ratio=f"{ours_s / raw_s:.2f} x the rows",
            target=f"<= {TARGET_ORDERS_S:g} s",
            verdict=verdict(ours_s <= TARGET_ORDERS_S),
            more={"ours_s": ours_s, "rows_s": raw_s},
        )
    ]
