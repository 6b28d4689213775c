"""An SLA policy: what is promised to whom, in which working time, what stops the clock, and who hears of it when. Pure.

One document holds all of it, calendars too, and is never edited: a change is another version. An order keeps the version
under which it came in.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Final

import msgspec

from callout_orders.sla.calendar import ALWAYS, Calendar
from callout_orders.sla.clock import MilestoneName, Promise, Reopening
from callout_orders.terms import Priority

TIERS: Final = ("standard", "silver", "gold")
REASONS: Final = ("customer", "parts", "access", "other")
"""Why a clock may stand still: waiting for the customer, for parts, for access to the place, or something else."""
STATES: Final = ("cannot_complete",)
"""States of an order that may stop a clock: it waits to be planned again."""
STATE_REASON: Final = "state:"
PERCENT: Final = "%"

Mark = int | str
"""Minutes left, or a share of the budget left such as 20%."""


class Target(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True, kw_only=True):
    """One promise of a rule. Without `calendar`, `marks` or `supervisor_at` the rule's or the policy's stand."""

    minutes: int
    calendar: str | None = None
    marks: tuple[Mark, ...] | None = None
    supervisor_at: Mark | None = None


class Rule(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True, kw_only=True):
    """What is promised to the orders it matches; an empty list matches all."""

    code: str
    first_response: Target
    arrival: Target
    resolution: Target
    name: str = ""
    tiers: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()
    priorities: tuple[str, ...] = ()
    calendar: str = ALWAYS.code

    def target(self, name: MilestoneName) -> Target:
        """The promise of one milestone."""
        target: Target = getattr(self, name.value)
        return target

    def matches(self, tier: str, kind: str, priority: str) -> bool:
        """Whether an order is one of those it speaks of."""
        return (
            (not self.tiers or tier in self.tiers)
            and (not self.kinds or kind in self.kinds)
            and (not self.priorities or priority in self.priorities)
        )

    @property
    def named(self) -> tuple[str, ...]:
        """What it asks for; the more, the more specific it is."""
        return tuple(name for name in ("priorities", "tiers", "kinds") if getattr(self, name))


class Alarms(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True, kw_only=True):
    """When a milestone that is still open is spoken of, and when the supervisor is asked to look."""

    marks: tuple[Mark, ...] = ()
    supervisor_at: Mark | None = None


class AlarmsOf(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True, kw_only=True):
    """The alarms of each milestone."""

    first_response: Alarms = Alarms(marks=(10, 5, 3, 0), supervisor_at=3)
    arrival: Alarms = Alarms(marks=(30,))
    resolution: Alarms = Alarms(marks=(60,))

    def of(self, name: MilestoneName) -> Alarms:
        """Those of one milestone."""
        alarms: Alarms = getattr(self, name.value)
        return alarms


class Pauses(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True, kw_only=True):
    """Which milestones each reason, and each state of the order, stops. No reason stops what it does not name."""

    customer: tuple[MilestoneName, ...] = (MilestoneName.ARRIVAL, MilestoneName.RESOLUTION)
    parts: tuple[MilestoneName, ...] = (MilestoneName.ARRIVAL, MilestoneName.RESOLUTION)
    access: tuple[MilestoneName, ...] = (MilestoneName.ARRIVAL, MilestoneName.RESOLUTION)
    other: tuple[MilestoneName, ...] = ()
    cannot_complete: tuple[MilestoneName, ...] = ()

    def of(self, reason: str) -> tuple[MilestoneName, ...]:
        """The milestones that a reason stops."""
        stopped: tuple[MilestoneName, ...] = getattr(self, reason.removeprefix(STATE_REASON), ())
        return stopped

    def pausing(self, name: MilestoneName) -> frozenset[str]:
        """The reasons that stop a milestone."""
        return frozenset(
            [reason for reason in REASONS if name in self.of(reason)]
            + [STATE_REASON + state for state in STATES if name in self.of(state)]
        )


class SlaPolicy(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True, kw_only=True):
    """One version of the promise. `version` is not in the document."""

    name: str
    rules: tuple[Rule, ...]
    calendars: tuple[Calendar, ...] = ()
    alarms: AlarmsOf = AlarmsOf()
    pauses: Pauses = Pauses()
    reopening: Reopening = Reopening.CONTINUE
    version: int = 0

    def calendar(self, code: str) -> Calendar:
        """A calendar by its code; KeyError for one that is not there."""
        if code == ALWAYS.code:
            return ALWAYS
        for calendar in self.calendars:
            if calendar.code == code:
                return calendar
        raise KeyError(code)

    def rule(self, code: str) -> Rule | None:
        """A rule by its code."""
        return next((rule for rule in self.rules if rule.code == code), None)


class Match(msgspec.Struct, frozen=True, kw_only=True):
    """The rule for an order, and the rules that matched too and were less specific (or stood later)."""

    rule: Rule
    others: tuple[str, ...]


def match(policy: SlaPolicy, *, tier: str, kind: str, priority: str) -> Match:
    """The most specific rule: the one that names most of priority, tier and kind; of equal ones the first."""
    found = _matching(policy.rules, tier, kind, priority)
    return Match(rule=found[0], others=tuple(rule.code for rule in found[1:]))


@lru_cache(maxsize=4096)
def _matching(rules: tuple[Rule, ...], tier: str, kind: str, priority: str) -> tuple[Rule, ...]:
    found = [rule for rule in rules if rule.matches(tier, kind, priority)]
    if not found:
        raise LookupError(f"no rule for {tier}, {kind}, {priority}")
    return tuple(sorted(found, key=lambda rule: -len(rule.named)))


def promise(policy: SlaPolicy, rule: Rule, name: MilestoneName, started_at: Any) -> Promise:
    """What a rule promises for one milestone of an order that came in at `started_at`."""
    target = rule.target(name)
    return Promise(
        name=name,
        started_at=started_at,
        minutes=target.minutes,
        calendar=policy.calendar(target.calendar or rule.calendar),
        pausing=policy.pauses.pausing(name),
        reopening=policy.reopening,
    )


def minutes_of(mark: Mark, budget_minutes: float) -> float:
    """A mark in minutes left."""
    if isinstance(mark, int):
        return float(mark)
    return budget_minutes * int(mark.removesuffix(PERCENT)) / 100


def marks(policy: SlaPolicy, rule: Rule, name: MilestoneName) -> tuple[float, ...]:
    """When a milestone is spoken of, in minutes left, the earliest (largest) first; those before its start are none. The
    moment at which the supervisor is asked is one of them, whether or not it is listed."""
    target = rule.target(name)
    given = policy.alarms.of(name).marks if target.marks is None else target.marks
    call = supervisor_at(policy, rule, name)
    found = {minutes_of(mark, target.minutes) for mark in given} | ({call} if call is not None else set())
    return tuple(sorted((mark for mark in found if mark < target.minutes), reverse=True))


def supervisor_at(policy: SlaPolicy, rule: Rule, name: MilestoneName) -> float | None:
    """At how many minutes left the supervisor is asked to look; None: never."""
    target = rule.target(name)
    mark = policy.alarms.of(name).supervisor_at if target.supervisor_at is None else target.supervisor_at
    return None if mark is None else minutes_of(mark, target.minutes)


def _house(code: str, priority: Priority, first: int, arrival: int, resolution: int) -> Rule:
    return Rule(
        code=code,
        priorities=(priority.value,),
        first_response=Target(minutes=first),
        arrival=Target(minutes=arrival),
        resolution=Target(minutes=resolution),
    )


#: R3's "golden 15 minutes" hold for every priority; arrival and resolution follow the priority. All day, every day.
STANDARD: Final = SlaPolicy(
    name="Standard",
    rules=(
        _house("p0", Priority.P0, 15, 120, 240),
        _house("p1", Priority.P1, 15, 480, 1440),
        _house("p2", Priority.P2, 15, 1440, 4320),
    ),
)


def stamp(version: int, rule: str) -> str:
    """What an order keeps of its promise: version and rule, as in 3:gold-p0."""
    return f"{version}:{rule}"


def stamped(text: str) -> tuple[int, str]:
    """Version and rule of a stamp; one that is none is the house's own, without a rule."""
    version, colon, rule = text.partition(":")
    return (int(version), rule) if colon and version.isascii() and version.isdigit() else (0, "")


def to_json(policy: SlaPolicy) -> dict[str, Any]:
    """The document, every value spelled out, without the version."""
    found: dict[str, Any] = msgspec.to_builtins(policy)
    found.pop("version")
    return found
