"""What is given to make engineers and to say when and where they are, with the checks of it. No I/O."""

import math
import re
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Final
from uuid import UUID

import msgspec

from callout_dispatch.texts import FieldRefused, PointRefused
from callout_geo.points import BadPoint, Point, refuse_null_island
from callout_store.errors import LimitExceeded

BATCH_MAX: Final = 50_000
"""Rows in one call of a plural function."""
LEVEL_MIN: Final = 1
LEVEL_MAX: Final = 5
SHIFT_HOURS_MAX: Final = 24
ABSENCE_DAYS_MAX: Final = 400
ONLINE_MINUTES: Final = 10
"""Seen within this time counts as online: a phone that pulls or pushes every few minutes stays so through a lift."""
SEEN_EVERY_S: Final = 60
"""A sign of life is written at most so often: it must not cost a row version with every request."""

SKILL_CODE: Final = re.compile(r"[a-z][a-z0-9_]{0,39}")


class NewSkill(msgspec.Struct, frozen=True, kw_only=True):
    """A skill: its code (`hvac`) and its names."""

    code: str
    name_en: str
    name_zh: str


class NewTerritory(msgspec.Struct, frozen=True, kw_only=True):
    """A territory: its code, unique in the organisation, and its name."""

    code: str
    name: str


class NewEngineer(msgspec.Struct, frozen=True, kw_only=True):
    """An engineer of a user: home base in WGS-84 degrees, territory (None: works in all), skills with levels 1 to 5."""

    user_id: UUID
    name: str
    home_lat: float
    home_lng: float
    territory_id: UUID | None = None
    skills: Mapping[str, int] = msgspec.field(default_factory=dict)
    id: UUID | None = None


class NewShift(msgspec.Struct, frozen=True, kw_only=True):
    """A stretch of working time [starts_at, ends_at), with time zone, at most 24 hours."""

    engineer_id: UUID
    starts_at: datetime
    ends_at: datetime


class NewAbsence(msgspec.Struct, frozen=True, kw_only=True):
    """A stretch of time in which the engineer is away, whatever the shifts say."""

    engineer_id: UUID
    starts_at: datetime
    ends_at: datetime
    reason: str = ""


class Position(msgspec.Struct, frozen=True, kw_only=True):
    """Where an engineer was `at` an instant of the server's clock; `accuracy_m` is the radius of the fix."""

    engineer_id: UUID
    lat: float
    lng: float
    at: datetime
    accuracy_m: float | None = None


def check_count(what: str, given: int) -> None:
    """Refuse a list longer than `BATCH_MAX`."""
    if given > BATCH_MAX:
        raise LimitExceeded(what=what, limit=BATCH_MAX, given=given)


def check_once(path: str, field: str, values: Sequence[str]) -> None:
    """Refuse a value that comes twice."""
    seen: set[str] = set()
    for n, value in enumerate(values):
        if value in seen:
            raise FieldRefused(f"{path}.{n}.{field}", "twice", value=value)
        seen.add(value)


def check_point(path: str, lat: float, lng: float) -> Point:
    """The point, or PointInvalid: beyond the world, not finite, or 0/0."""
    try:
        return refuse_null_island(Point(lat, lng))
    except BadPoint as fault:
        where = path if fault.field == "point" else f"{path}.{fault.field}"
        raise PointRefused(where, fault.reason) from fault


def check_accuracy(path: str, accuracy_m: float | None) -> None:
    """Refuse an accuracy that is no number of metres."""
    if accuracy_m is not None and not (math.isfinite(accuracy_m) and accuracy_m >= 0):
        raise FieldRefused(path, "accuracy")


def check_aware(path: str, at: datetime) -> None:
    """Refuse an instant without a time zone."""
    if at.tzinfo is None:
        raise FieldRefused(path, "no_zone")


def check_stretch(path: str, starts_at: datetime, ends_at: datetime) -> None:
    """Refuse a stretch of time that has no time zone or does not end after it starts."""
    check_aware(f"{path}.startsAt", starts_at)
    check_aware(f"{path}.endsAt", ends_at)
    if ends_at <= starts_at:
        raise FieldRefused(f"{path}.endsAt", "ends_early")


def check_shifts(shifts: Sequence[NewShift]) -> dict[UUID, list[tuple[datetime, datetime]]]:
    """The shifts by engineer in order of time; refuses what is too long or overlaps within the list."""
    found: dict[UUID, list[tuple[datetime, datetime, int]]] = {}
    for n, shift in enumerate(shifts):
        check_stretch(f"shifts.{n}", shift.starts_at, shift.ends_at)
        if shift.ends_at - shift.starts_at > timedelta(hours=SHIFT_HOURS_MAX):
            raise FieldRefused(f"shifts.{n}.endsAt", "hours_max", limit=SHIFT_HOURS_MAX)
        found.setdefault(shift.engineer_id, []).append((shift.starts_at, shift.ends_at, n))
    for of_one in found.values():
        of_one.sort()
        for before, after in pairwise(of_one):
            if after[0] < before[1]:
                raise FieldRefused(f"shifts.{after[2]}.startsAt", "overlap")
    return {id_: [(start, end) for start, end, _ in of_one] for id_, of_one in found.items()}


def check_levels(skills: Sequence[tuple[str, Mapping[str, int]]], known: set[str]) -> None:
    """Refuse a skill that is not among `known` and a level that is not 1 to 5; `skills` are (path, levels)."""
    for path, of_one in skills:
        for code, level in of_one.items():
            if code not in known:
                raise FieldRefused(f"{path}.{code}", "skill_unknown", skill=code)
            whole: object = level  # a door may let through what the type forbids
            if isinstance(whole, bool) or not isinstance(whole, int) or not LEVEL_MIN <= whole <= LEVEL_MAX:
                raise FieldRefused(f"{path}.{code}", "level_range", skill=code, level=level)
