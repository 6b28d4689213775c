"""A scheduling policy: work rules that are never broken, and service objectives that are weighed. Pure values.

An organisation's policy is a list of rules, each present or left out, and for each priority the weights of the
objectives. Terms as in the field: work rules and service objectives of Salesforce Field Service. Every value is checked
where it is built (PolicyFault, a ValueError); versions are never edited, see `policies.py`.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, ClassVar, Final, TypeVar, cast

import msgspec

from callout_dispatch.policy_texts import PolicyFault
from callout_orders.terms import Priority

MINUTES_MAX: Final = 7 * 24 * 60
WEIGHT_MAX: Final = 1000


def _between(name: str, value: float, low: float, high: float) -> None:
    if not low <= value <= high:
        raise PolicyFault(name, "between", low=f"{low:g}", high=f"{high:g}")


def _all_priorities(name: str, given: Mapping[Priority, object]) -> None:
    missing = [priority.value for priority in Priority if priority not in given]
    if missing:
        raise PolicyFault(name, "priorities", missing=", ".join(missing))


def _once(name: str, given: tuple[Priority, ...]) -> None:
    if len(set(given)) < len(given):
        raise PolicyFault(name, "priority_twice")


class Rule(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="camel", tag_field="rule"
):
    """A work rule. Left out of a policy, it is not looked at."""


class Availability(Rule, frozen=True, kw_only=True, tag="availability"):
    """Work lies within shifts, outside absences, and leaves room for breaks. No policy may leave it out.

    `overtime_minutes`: so much later than the shift's end the way back, but no work, may end.
    """

    overtime_minutes: int = 0

    def __post_init__(self) -> None:
        _between("overtimeMinutes", self.overtime_minutes, 0, 240)


class Skills(Rule, frozen=True, kw_only=True, tag="skills"):
    """Every required skill, at the required level or above."""


class TerritoryRule(Rule, frozen=True, kw_only=True, tag="territory"):
    """The site's territory is the engineer's own, or with `secondary` one of those where they also work."""

    secondary: bool = True


class MaxTravel(Rule, frozen=True, kw_only=True, tag="max_travel"):
    """No leg is longer; an engineer's own limit, where there is one, holds instead."""

    minutes: float = 90.0

    def __post_init__(self) -> None:
        _between("minutes", self.minutes, 1, 1440)


class RequiredEngineer(Rule, frozen=True, kw_only=True, tag="required_engineer"):
    """Where somebody is required by the order, the site or the customer, nobody else will do."""


class ExcludedEngineer(Rule, frozen=True, kw_only=True, tag="excluded_engineer"):
    """Whom the order, the site or the customer will not have."""


class VisitingHours(Rule, frozen=True, kw_only=True, tag="visiting_hours"):
    """Work starts and ends while the site is open."""


class RequestedWindow(Rule, frozen=True, kw_only=True, tag="requested_window"):
    """Work starts within the time that the customer asked for."""


class DueDate(Rule, frozen=True, kw_only=True, tag="due_date"):
    """Work starts before the promise to arrive runs out, or at most `grace_minutes` later. Left out: late beats never."""

    grace_minutes: int = 0

    def __post_init__(self) -> None:
        _between("graceMinutes", self.grace_minutes, 0, MINUTES_MAX)


class Capacity(Rule, frozen=True, kw_only=True, tag="capacity"):
    """Work and visits of one day; an engineer's own limits, where there are some, hold instead."""

    work_minutes_max: int = 600
    visits_max: int = 30

    def __post_init__(self) -> None:
        _between("workMinutesMax", self.work_minutes_max, 1, 1440)
        _between("visitsMax", self.visits_max, 1, 100)


class PartsOnVan(Rule, frozen=True, kw_only=True, tag="parts_on_van"):
    """The needed parts are on the van, or with `pickup`, in a plan, fetched at a depot on the way."""

    pickup: bool = True


class Online(Rule, frozen=True, kw_only=True, tag="online"):
    """For orders of these priorities the engineer's phone was heard of lately."""

    priorities: tuple[Priority, ...] = (Priority.P0,)

    def __post_init__(self) -> None:
        _once("priorities", self.priorities)


AnyRule = (
    Availability
    | Skills
    | TerritoryRule
    | MaxTravel
    | RequiredEngineer
    | ExcludedEngineer
    | VisitingHours
    | RequestedWindow
    | DueDate
    | Capacity
    | PartsOnVan
    | Online
)
RULES: Final[tuple[type[Rule], ...]] = (
    Availability,
    Skills,
    TerritoryRule,
    MaxTravel,
    RequiredEngineer,
    ExcludedEngineer,
    VisitingHours,
    RequestedWindow,
    DueDate,
    Capacity,
    PartsOnVan,
    Online,
)


class Objective(StrEnum):
    """Service objectives: what makes one possible slot better than another. Each is 0 (worst) to 1 (best)."""

    SLA = "sla"
    """Time left before the promise to arrive runs out."""
    TRAVEL = "travel"
    SKILL_FIT = "skill_fit"
    """1 at exactly the level required: rare skills stay free."""
    HOURS = "hours"
    """Balance of work: less of it given for the day is better."""
    VISITS = "visits"
    """Balance of visits."""
    PREFERRED = "preferred"
    PARTS = "parts"
    """The share of needed parts that is on the van."""
    DISRUPTION = "disruption"
    """1 where nobody else's visit moves."""


OBJECTIVES: Final = tuple(Objective)


class RedLane(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="camel"):
    """How a P0 is given out: to the best at once, and on to the next who is asked for `offer_seconds` each.

    `displace` are priorities whose visits may give way, `displaced_max` how many at once, and `displace_gain_minutes` how
    much earlier somebody must arrive by it. With `auto` a lane starts as soon as an order comes in as P0 or becomes one;
    without it somebody starts it.
    """

    auto: bool = False
    offer_seconds: int = 60
    rounds_max: int = 5
    displace: tuple[Priority, ...] = (Priority.P2,)
    displaced_max: int = 1
    displace_gain_minutes: int = 15

    def __post_init__(self) -> None:
        _between("offerSeconds", self.offer_seconds, 10, 3600)
        _between("roundsMax", self.rounds_max, 1, 50)
        _between("displacedMax", self.displaced_max, 0, 10)
        _between("displaceGainMinutes", self.displace_gain_minutes, 0, 1440)
        _once("displace", self.displace)
        if Priority.P0 in self.displace:
            raise PolicyFault("displace", "p0_displaced")


class Planning(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="camel"):
    """What a plan may cost to change: minutes of travel that a moved visit must save.

    `move_minutes` for another time, `engineer_minutes` for another engineer, of visits not yet told to anybody;
    `told_factor` times that once the engineer was told. `priority_values`: what it is worth to get an order of a priority
    planned at all, against the others.
    """

    move_minutes: float = 10.0
    engineer_minutes: float = 20.0
    told_factor: float = 3.0
    seconds_max: float = 10.0
    priority_values: Mapping[Priority, int] = msgspec.field(
        default_factory=lambda: {Priority.P0: 100, Priority.P1: 40, Priority.P2: 10}
    )

    def __post_init__(self) -> None:
        _between("moveMinutes", self.move_minutes, 0, 1440)
        _between("engineerMinutes", self.engineer_minutes, 0, 1440)
        _between("toldFactor", self.told_factor, 1, 100)
        _between("secondsMax", self.seconds_max, 0.1, 600)
        _all_priorities("priorityValues", self.priority_values)
        for value in self.priority_values.values():
            _between("priorityValues", value, 0, 100)


def _weights() -> Mapping[Priority, Mapping[Objective, float]]:
    o = Objective
    return {
        # Service is down: who can be there soonest. Sparing rare skills and evening out hours can wait.
        Priority.P0: {
            o.SLA: 50,
            o.TRAVEL: 30,
            o.SKILL_FIT: 5,
            o.HOURS: 4,
            o.VISITS: 1,
            o.PREFERRED: 2,
            o.PARTS: 8,
        },
        Priority.P1: {
            o.SLA: 25,
            o.TRAVEL: 30,
            o.SKILL_FIT: 15,
            o.HOURS: 14,
            o.VISITS: 4,
            o.PREFERRED: 4,
            o.PARTS: 8,
        },
        # Nothing burns: spare the rare skills and the road.
        Priority.P2: {
            o.SLA: 10,
            o.TRAVEL: 35,
            o.SKILL_FIT: 20,
            o.HOURS: 18,
            o.VISITS: 5,
            o.PREFERRED: 4,
            o.PARTS: 8,
        },
    }


class Policy(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="camel"):
    """One version of an organisation's scheduling policy; `version` 0 is the house's own, used until there is one.

    `travel_minutes_unknown`: assumed for a leg of which one end has no point. `travel_minutes_full`: from so long a way on
    the travel objective is 0. `slack_minutes_full`: that much time before the due moment is as good as any more.
    `late_minutes_half`: each such delay halves what a late slot is worth. `due_minutes_default`: an order without a due
    moment is due so long after its earliest, because no date must never mean never. `load_minutes_full`, `visits_full`: a
    day's work; from there on the balance objectives are 0. Raises ValueError naming the field.
    """

    name: str = "standard"
    version: int = 0
    rules: tuple[AnyRule, ...] = (
        Availability(),
        Skills(),
        TerritoryRule(),
        MaxTravel(),
        RequiredEngineer(),
        ExcludedEngineer(),
        VisitingHours(),
        RequestedWindow(),
        Capacity(),
        Online(),
    )
    objectives: Mapping[Priority, Mapping[Objective, float]] = msgspec.field(default_factory=_weights)
    travel_minutes_unknown: float = 30.0
    travel_minutes_full: float = 90.0
    slack_minutes_full: float = 480.0
    late_minutes_half: float = 240.0
    due_minutes_default: float = 2880.0
    load_minutes_full: float = 480.0
    visits_full: int = 10
    eta_tell_minutes: float = 10.0
    red_lane: RedLane = msgspec.field(default_factory=RedLane)
    planning: Planning = msgspec.field(default_factory=Planning)

    NAME_MAX: ClassVar[int] = 80

    def __post_init__(self) -> None:
        if not 1 <= len(self.name.strip()) <= self.NAME_MAX:
            raise PolicyFault("name", "name_length", limit=self.NAME_MAX)
        kinds = [type(rule) for rule in self.rules]
        for kind in kinds:
            if kinds.count(kind) > 1:
                raise PolicyFault("rules", "rule_twice", rule=rule_name(kind))
        if Availability not in kinds:
            raise PolicyFault("rules", "no_availability")
        _all_priorities("objectives", self.objectives)
        for priority, weights in self.objectives.items():
            for objective, weight in weights.items():
                _between(f"objectives.{priority.value}.{objective.value}", weight, 0, WEIGHT_MAX)
            if not any(weights.values()):
                raise PolicyFault(f"objectives.{priority.value}", "weights_zero")
        for name, value in {
            "travelMinutesUnknown": self.travel_minutes_unknown,
            "travelMinutesFull": self.travel_minutes_full,
            "slackMinutesFull": self.slack_minutes_full,
            "lateMinutesHalf": self.late_minutes_half,
            "dueMinutesDefault": self.due_minutes_default,
            "loadMinutesFull": self.load_minutes_full,
            "visitsFull": self.visits_full,
            "etaTellMinutes": self.eta_tell_minutes,
        }.items():
            _between(name, value, 0.1, MINUTES_MAX)
        furthest = self.rule(MaxTravel)
        if furthest is not None and self.travel_minutes_unknown > furthest.minutes:
            raise PolicyFault("travelMinutesUnknown", "unknown_above", limit=f"{furthest.minutes:g}")

    def rule(self, kind: "type[R]") -> "R | None":
        """The rule of this kind, or None where the policy leaves it out."""
        for rule in self.rules:
            if type(rule) is kind:
                return cast("R", rule)
        return None

    def weights(self, priority: Priority) -> tuple[float, ...]:
        """Weights of a priority in the order of `OBJECTIVES`; 0 for those left out."""
        given = self.objectives[priority]
        return tuple(float(given.get(objective, 0.0)) for objective in OBJECTIVES)

    @property
    def label(self) -> str:
        """What decisions store as policy version."""
        return str(self.version)


R = TypeVar("R", bound=Rule)

STANDARD: Final = Policy()


def rule_name(kind: type[Rule]) -> str:
    """A rule's name in JSON."""
    return str(kind.__struct_config__.tag)


def to_json(policy: Policy) -> dict[str, Any]:
    """A policy as JSON values, without its version."""
    values: dict[str, Any] = msgspec.to_builtins(policy)
    del values["version"]
    return values
