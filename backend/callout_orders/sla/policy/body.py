"""An SLA policy as people send it: JSON in, an `SlaPolicy` out, or everything that is wrong with it at once. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, Final, TypeVar
from zoneinfo import ZoneInfo, available_timezones

import msgspec

from callout_orders import checks
from callout_orders.checks import FieldRefused, Gather
from callout_orders.sla import calendar as cal
from callout_orders.sla import texts
from callout_orders.sla.calendar import ALWAYS, SEARCH_YEARS, Calendar, span
from callout_orders.sla.clock import MilestoneName, Reopening
from callout_orders.sla.policy.terms import (
    PERCENT,
    TIERS,
    Alarms,
    AlarmsOf,
    Mark,
    Pauses,
    Rule,
    SlaPolicy,
)
from callout_orders.terms import Priority

texts.know()

CALENDARS_MAX: Final = 50
RULES_MAX: Final = 200
MARKS_MAX: Final = 20
SPECIAL_MAX: Final = 1000
INTERVALS_MAX: Final = 12
"""Of one day."""
MINUTES_MAX: Final = 366 * 1440
YEARS: Final = range(2000, 2200)
REACH_YEARS: Final = SEARCH_YEARS // 2

_CODE: Final = re.compile(r"[a-z][a-z0-9_-]{0,39}", re.ASCII)
_PLACE: Final = re.compile(r"^(?P<why>.*?)(?: - at (?:`key` in )?`\$(?P<place>[^`]*)`)?$", re.DOTALL)
_FIELDS: Final = frozenset(SlaPolicy.__struct_encode_fields__) - {"version"}
_ZONES: Final = frozenset(available_timezones())
T = TypeVar("T")


def read(body: object, path: str = "body") -> SlaPolicy:
    """The policy that a JSON value describes; what it leaves out is as in the house's own.

    Raises BadField, or FieldsRefused with every fault, each with its place (`body.calendars.0.week.mon.1`).
    """
    if not isinstance(body, Mapping):
        raise FieldRefused(path, "not_object")
    gather = Gather()
    for name in body:
        if name not in _FIELDS:
            with gather:
                raise FieldRefused(f"{path}.{_short(name)}", "sla_field", known=", ".join(sorted(_FIELDS)))
    calendars = _items(gather, body.get("calendars", ()), Calendar, f"{path}.calendars", CALENDARS_MAX)
    rules = _items(gather, body.get("rules", ()), Rule, f"{path}.rules", RULES_MAX)
    name = ""
    with gather:
        name = checks.text(f"{path}.name", body.get("name"), chars_max=80)
    alarms, pauses, reopening = AlarmsOf(), Pauses(), Reopening.CONTINUE
    with gather:
        alarms = _one(body.get("alarms", {}), AlarmsOf, f"{path}.alarms")
    with gather:
        pauses = _one(body.get("pauses", {}), Pauses, f"{path}.pauses")
    with gather:
        reopening = Reopening(
            checks.one_of(
                f"{path}.reopening",
                str(body.get("reopening", Reopening.CONTINUE)),
                frozenset(r.value for r in Reopening),
            )
        )
    for milestone in MilestoneName:
        _check_alarms(gather, alarms.of(milestone), f"{path}.alarms.{_camel(milestone)}")
    good = _check_calendars(gather, calendars, f"{path}.calendars")
    _check_rules(gather, rules, good, [at for at in calendars if at not in good], f"{path}.rules")
    gather.settle()
    return SlaPolicy(
        name=name,
        rules=tuple(rule for rule, _ in rules.values()),
        calendars=tuple(calendar for calendar, _ in calendars.values()),
        alarms=alarms,
        pauses=pauses,
        reopening=reopening,
    )


def check_code(path: str, code: str) -> None:
    """Refuse what is no code of a rule or calendar."""
    if not _CODE.fullmatch(code):
        raise FieldRefused(path, "sla_code")


# ------------------------------------------------------------------------------------------------ calendars


def check_calendar(gather: Gather, calendar: Calendar, path: str) -> bool:
    """Add what is wrong with a calendar; whether it can be counted by."""
    before = len(gather.faults)
    with gather:
        check_code(f"{path}.code", calendar.code)
    with gather:
        if calendar.time_zone not in _ZONES or not _loads(calendar.time_zone):
            raise FieldRefused(f"{path}.timeZone", "zone", given=_short(calendar.time_zone))
    for weekday, name in enumerate(cal.WEEKDAYS):
        _check_hours(gather, calendar.week.of(weekday), f"{path}.week.{name}")
    _check_hours(gather, calendar.makeup_hours, f"{path}.makeupHours")
    with gather:
        if calendar.country is None and calendar.subdivision is not None:
            raise FieldRefused(f"{path}.country", "missing")
        if calendar.country is not None and not cal.known_country(calendar.country, None):
            raise FieldRefused(f"{path}.country", "holiday_country", given=_short(calendar.country))
        if calendar.country is not None and not cal.known_country(calendar.country, calendar.subdivision):
            raise FieldRefused(
                f"{path}.subdivision", "holiday_subdivision", given=_short(calendar.subdivision)
            )
    with gather:
        checks.batch("special dates", list(calendar.special), limit=SPECIAL_MAX)
    seen: dict[Any, int] = {}
    for n, special in enumerate(calendar.special[:SPECIAL_MAX]):
        at = f"{path}.special.{n}"
        _check_hours(gather, special.hours, f"{at}.hours")
        with gather:
            checks.text(f"{at}.note", special.note, chars_max=120, blank=True)
        with gather:
            if special.date.year not in YEARS:
                raise FieldRefused(f"{at}.date", "years", low=YEARS[0], high=YEARS[-1])
        with gather:
            if seen.setdefault(special.date, n) != n:
                raise FieldRefused(f"{at}.date", "twice")
    with gather:
        if not any(calendar.week.of(day) for day in range(7)):
            raise FieldRefused(f"{path}.week", "no_hours")
    return len(gather.faults) == before


def _check_calendars(
    gather: Gather, given: dict[int, tuple[Calendar, str]], path: str
) -> dict[int, Calendar]:
    good: dict[int, Calendar] = {}
    codes: dict[str, int] = {}
    for n, (calendar, at) in given.items():
        if check_calendar(gather, calendar, at):
            good[n] = calendar
        with gather:
            if calendar.code == ALWAYS.code:
                raise FieldRefused(f"{at}.code", "always_taken")
            if codes.setdefault(calendar.code, n) != n:
                raise FieldRefused(f"{at}.code", "twice")
    return good


def _check_hours(gather: Gather, hours: Sequence[str], path: str) -> None:
    with gather:
        checks.batch("intervals a day", list(hours), limit=INTERVALS_MAX)
    spans: list[tuple[int, int, int]] = []
    for n, text in enumerate(hours[:INTERVALS_MAX]):
        with gather:
            try:
                spans.append((*span(text), n))
            except ValueError:
                raise FieldRefused(f"{path}.{n}", "sla_hours", given=_short(text)) from None
    for one, other in pairwise(sorted(spans)):
        if other[0] < one[1]:
            with gather:
                raise FieldRefused(f"{path}.{other[2]}", "hours_overlap", other=one[2])


def _loads(zone: str) -> bool:
    try:
        ZoneInfo(zone)
    except (OSError, ValueError):
        return False
    return True


# ------------------------------------------------------------------------------------------------ rules


def _check_rules(
    gather: Gather,
    given: dict[int, tuple[Rule, str]],
    good: dict[int, Calendar],
    bad: Sequence[int],
    path: str,
) -> None:
    reach = {calendar.code: _reach_minutes(calendar) for calendar in (*good.values(), ALWAYS)}
    codes: dict[str, int] = {}
    with gather:
        if not given:
            raise FieldRefused(path, "missing")
    for n, (rule, at) in given.items():
        with gather:
            check_code(f"{at}.code", rule.code)
            if codes.setdefault(rule.code, n) != n:
                raise FieldRefused(f"{at}.code", "twice")
        with gather:
            checks.text(f"{at}.name", rule.name, chars_max=120, blank=True)
        for kind, options in (("tiers", TIERS), ("priorities", tuple(p.value for p in Priority))):
            for k, one in enumerate(getattr(rule, kind)):
                with gather:
                    checks.one_of(f"{at}.{kind}.{k}", one, frozenset(options))
        for k, one in enumerate(rule.kinds):
            with gather:
                if not re.fullmatch(r"[a-z][a-z0-9_]{0,39}", one):
                    raise FieldRefused(f"{at}.kinds.{k}", "form_code")
        _check_targets(gather, rule, reach, bool(bad), at)
    if given:
        for priority in Priority:
            with gather:
                if not any(
                    not rule.tiers and not rule.kinds and rule.matches("", "", priority)
                    for rule, _ in given.values()
                ):
                    raise FieldRefused(path, "not_covered", priority=priority.value)


def _check_targets(gather: Gather, rule: Rule, reach: dict[str, int], some_bad: bool, at: str) -> None:
    for milestone in MilestoneName:
        target = rule.target(milestone)
        place = f"{at}.{_camel(milestone)}"
        _check_alarms(gather, Alarms(marks=target.marks or (), supervisor_at=target.supervisor_at), place)
        with gather:
            checks.whole(f"{place}.minutes", target.minutes, low=1, high=MINUTES_MAX)
            code = target.calendar or rule.calendar
            if code not in reach:
                # One that is there and was refused is not missing.
                if not some_bad:
                    field = f"{place}.calendar" if target.calendar else f"{at}.calendar"
                    raise FieldRefused(field, "no_calendar", given=_short(code))
            elif target.minutes > reach[code]:
                raise FieldRefused(
                    f"{place}.minutes", "no_end", calendar=code, minutes=target.minutes, years=REACH_YEARS
                )
    with gather:
        minutes = [rule.target(milestone).minutes for milestone in MilestoneName]
        if minutes != sorted(minutes) and len({rule.target(m).calendar for m in MilestoneName}) == 1:
            raise FieldRefused(f"{at}.resolution.minutes", "falling")


def _reach_minutes(calendar: Calendar) -> int:
    """What comes together in half of what is looked through, were there no holidays: reckoned from one week and the dates
    that are off, because counting years of fifty calendars would hold everybody else up."""
    of_day = [sum(end - start for start, end in map(span, calendar.week.of(day))) for day in range(7)]
    off = sum(of_day[one.date.weekday()] for one in calendar.special if not one.hours and not one.worked)
    return (sum(of_day) * 52 * SEARCH_YEARS - off) * REACH_YEARS // SEARCH_YEARS


def _check_alarms(gather: Gather, alarms: Alarms, path: str) -> None:
    with gather:
        checks.batch("marks", list(alarms.marks), limit=MARKS_MAX)
    for n, mark in enumerate(alarms.marks[:MARKS_MAX]):
        _check_mark(gather, mark, f"{path}.marks.{n}")
    if alarms.supervisor_at is not None:
        _check_mark(gather, alarms.supervisor_at, f"{path}.supervisorAt")


def _check_mark(gather: Gather, mark: Mark, path: str) -> None:
    with gather:
        if isinstance(mark, int):
            checks.whole(path, mark, low=0, high=MINUTES_MAX)
        elif not re.fullmatch(rf"[1-9]\d?{PERCENT}", mark, re.ASCII):
            raise FieldRefused(path, "sla_mark", given=_short(mark))


# ------------------------------------------------------------------------------------------------ JSON


def _items(gather: Gather, given: object, kind: type[T], path: str, limit: int) -> dict[int, tuple[T, str]]:
    """The items of a list that could be read, by their place; faults of the others are gathered."""
    found: dict[int, tuple[T, str]] = {}
    with gather:
        if isinstance(given, str | Mapping) or not isinstance(given, Sequence):
            raise FieldRefused(path, "not_list")
        checks.batch(path.rsplit(".", 1)[1], list(given), limit=limit)
        for n, one in enumerate(given):
            with gather:
                found[n] = _one(one, kind, f"{path}.{n}"), f"{path}.{n}"
    return found


def _one(given: object, kind: type[T], path: str) -> T:
    try:
        return msgspec.convert(given, kind)
    except msgspec.ValidationError as fault:
        found = _PLACE.match(str(fault))
        place = re.sub(r"\[(\d+)\]", r".\1", (found and found["place"]) or "").replace("[...]", "")
        raise FieldRefused(path + place, "sla_form", fault=found["why"] if found else str(fault)) from None


def _camel(name: MilestoneName) -> str:
    head, *rest = name.value.split("_")
    return head + "".join(part.title() for part in rest)


def _short(given: object) -> str:
    text = str(given).encode("utf-8", "replace").decode().replace("\x00", " ")
    return text if len(text) <= 60 else f"{text[:60]}…"
