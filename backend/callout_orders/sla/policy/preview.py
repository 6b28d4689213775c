"""What a policy would promise: for trying it out before it is activated, and for people who ask "until when?". Pure."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

import msgspec

from callout_orders.sla import calendar as cal
from callout_orders.sla.calendar import Calendar, Day
from callout_orders.sla.clock import MilestoneName, first_due
from callout_orders.sla.policy import terms
from callout_orders.sla.policy.terms import SlaPolicy

DAYS_MAX: Final = 60
"""So many days are shown between a start and its due; of a longer time the first ones."""


class TriedMilestone(msgspec.Struct, frozen=True, kw_only=True):
    """One promise for a start: `days` are those from the start's through the due's, in the calendar's local dates."""

    name: str
    minutes: int
    calendar: str
    time_zone: str
    due_at: datetime
    marks: tuple[float, ...]
    days: tuple[Day, ...]


class Tried(msgspec.Struct, frozen=True, kw_only=True):
    """What an order would be promised. `others` are rules that match too; `named` is what makes the rule more specific."""

    start: datetime
    tier: str
    kind: str
    priority: str
    rule: str
    named: tuple[str, ...]
    others: tuple[str, ...]
    milestones: tuple[TriedMilestone, ...]


def attempt(of: SlaPolicy, *, start: datetime, tier: str, kind: str, priority: str) -> Tried:
    """What the policy promises an order that comes in at `start` (aware)."""
    found = terms.match(of, tier=tier, kind=kind, priority=priority)
    milestones: list[TriedMilestone] = []
    for name in MilestoneName:
        promise = terms.promise(of, found.rule, name, start)
        due = first_due(promise.calendar, start, promise.minutes)
        milestones.append(
            TriedMilestone(
                name=name.value,
                minutes=promise.minutes,
                calendar=promise.calendar.code,
                time_zone=promise.calendar.time_zone,
                due_at=due,
                marks=terms.marks(of, found.rule, name),
                days=tuple(_days(promise.calendar, start, due)),
            )
        )
    return Tried(
        start=start,
        tier=tier,
        kind=kind,
        priority=priority,
        rule=found.rule.code,
        named=found.rule.named,
        others=found.others,
        milestones=tuple(milestones),
    )


def _days(calendar: Calendar, start: datetime, due: datetime) -> list[Day]:
    zone = ZoneInfo(calendar.time_zone)
    first: date = start.astimezone(zone).date()
    count = min((due.astimezone(zone).date() - first).days + 1, DAYS_MAX)
    return [cal.day(calendar, first + timedelta(days=n)) for n in range(count)]
