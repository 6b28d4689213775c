"""Types of the SLA clock: policies, and how an order's milestones stand."""

from datetime import date, datetime
from uuid import UUID

import strawberry

from callout_graphql.scalars import JSON


@strawberry.type
class SlaPolicy:
    """A version of the SLA policy; it is never edited. `body` is the policy in JSON, calendars included, `version` 0 the
    house's own. Orders keep the version under which they came in."""

    version: int
    name: str
    note: str
    body: JSON
    active: bool
    created_at: datetime | None
    created_by: UUID | None


@strawberry.type
class SlaDay:
    """A date of a calendar. `kind`: week, holiday, makeup (a weekend day that is worked), special (listed by date)."""

    date: date
    kind: str
    hours: list[str]
    name: str


@strawberry.type
class SlaTriedMilestone:
    """What would be promised: so many working minutes of a calendar, due at `dueAt`. `days`: the dates on the way (60 at
    most). `marks`: minutes left at which it is spoken of."""

    name: str
    minutes: int
    calendar: str
    time_zone: str
    due_at: datetime
    marks: list[float]
    days: list[SlaDay]


@strawberry.type
class SlaTried:
    """What an order would be promised. `rule` won because it names the most (`named`); `others` match too."""

    start: datetime
    tier: str
    kind: str
    priority: str
    rule: str
    named: list[str]
    others: list[str]
    milestones: list[SlaTriedMilestone]


@strawberry.input
class SlaTry:
    """An order to try a policy with. `tier`: standard, silver, gold; `priority`: P0, P1, P2."""

    start: datetime
    tier: str = "standard"
    kind: str = "repair"
    priority: str = "P1"


@strawberry.type
class SlaWhy:
    """One sentence of why a deadline is what it is, in English and Chinese; `at` is when that happened."""

    code: str
    en: str
    zh: str
    at: datetime | None


@strawberry.type
class Milestone:
    """A promise of an order and how it stands at `serverNow`: count `remainingSeconds` down from there.

    `name`: first_response, arrival, resolution. `state`: running, paused, met, missed, stopped (called off before). While
    paused `dueAt` is null and `remainingSeconds` stands still; it is below zero when overdue. While a moved deadline stands,
    `originalDueAt` is what comes back at `movedUntil`. `missedAt` is when a breach was recorded, which stays even where
    `inTime` says that a phone proved otherwise later. `marks`: minutes left at which it is spoken of; `warned`: those that
    are over.
    """

    name: str
    state: str
    started_at: datetime
    due_at: datetime | None
    original_due_at: datetime | None
    moved_until: datetime | None
    remaining_seconds: float
    elapsed_seconds: float
    budget_seconds: float
    paused_since: datetime | None
    paused_reasons: list[str]
    met_at: datetime | None
    in_time: bool | None
    missed_at: datetime | None
    policy_version: int
    policy_name: str
    rule: str
    calendar: str
    time_zone: str
    marks: list[float]
    warned: list[float]
    server_now: datetime
    why: list[SlaWhy]


@strawberry.type
class OrderHold:
    """A hold of an order. `reason`: customer, parts, access, other, or state:… where the order's state holds it.
    `milestones` are those whose clock it stops by the order's policy."""

    reason: str
    note: str
    since: datetime
    until: datetime | None
    by_user_id: UUID | None
    ended_at: datetime | None
    ended_by_user_id: UUID | None
    milestones: list[str]
