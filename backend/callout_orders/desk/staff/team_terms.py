"""What is said of a team, and the checks of it. Values in, values out."""

from __future__ import annotations

import re
import zoneinfo
from collections.abc import Sequence
from datetime import date
from typing import Final
from uuid import UUID

import msgspec

from callout_orders import checks
from callout_orders.desk.staff.duty import DAY, DutyRow
from callout_orders.terms import Channel
from callout_store.errors import LimitExceeded

MEMBERS_MAX: Final = 500
TERRITORIES_MAX: Final = 500
DUTIES_MAX: Final = 400
TEAMS_MAX: Final = 500
CODES_MAX: Final = 100
_CODE: Final = re.compile(r"[a-z][a-z0-9_]{0,39}")
_CLOCK: Final = re.compile(r"(\d{2}):(\d{2})")
_CHANNELS: Final = frozenset(channel.value for channel in Channel)


class MemberGiven(msgspec.Struct, frozen=True, kw_only=True):
    """A user of a team, and whether they lead it."""

    user_id: UUID
    lead: bool = False


class TeamGiven(msgspec.Struct, frozen=True, kw_only=True):
    """A team as it is saved, whole. Empty `kinds`, `channels` and `territory_ids`: any. Minutes as in the table."""

    code: str
    name_en: str
    name_zh: str
    time_zone: str
    kinds: tuple[str, ...] = ()
    channels: tuple[str, ...] = ()
    territory_ids: tuple[UUID, ...] = ()
    members: tuple[MemberGiven, ...] = ()
    is_default: bool = False
    active: bool = True
    late_minutes: int = 3
    offline_minutes: int = 5
    step_minutes: int = 1
    move_minutes_max: int = 120
    move_hours_max: int = 24


class DutyGiven(msgspec.Struct, frozen=True, kw_only=True):
    """One interval of duty: of a `weekday` (0 is Monday) or a date; times of day such as 22:00; what ends before it starts
    ends on the next day. `user_id` None, on a date: nobody. `rank` 1 to 10, 1 is asked first."""

    starts: str
    ends: str
    user_id: UUID | None = None
    rank: int = 1
    weekday: int | None = None
    on_date: date | None = None


def checked_team(given: TeamGiven) -> TeamGiven:
    """The team with its texts trimmed; all that is wrong is refused at once."""
    gather = checks.Gather()
    with gather:
        code(given.code, "code")
    with gather:
        checks.text("nameEn", given.name_en, chars_max=80)
    with gather:
        checks.text("nameZh", given.name_zh, chars_max=80)
    with gather:
        zone(given.time_zone, "timeZone")
    with gather:
        codes("kinds", given.kinds)
    for i, channel in enumerate(given.channels):
        with gather:
            checks.one_of(f"channels.{i}", channel, _CHANNELS)
    with gather:
        if len(given.territory_ids) > TERRITORIES_MAX:
            raise LimitExceeded(
                what="territories of a team",
                limit=TERRITORIES_MAX,
                given=len(given.territory_ids),
                path="territoryIds",
            )
    with gather:
        if len(given.members) > MEMBERS_MAX:
            raise LimitExceeded(
                what="members of a team", limit=MEMBERS_MAX, given=len(given.members), path="members"
            )
        seen: set[UUID] = set()
        for i, member in enumerate(given.members):
            if member.user_id in seen:
                raise checks.FieldRefused(f"members.{i}.userId", "twice")
            seen.add(member.user_id)
    for path, value, high in (
        ("lateMinutes", given.late_minutes, 240),
        ("offlineMinutes", given.offline_minutes, 240),
        ("stepMinutes", given.step_minutes, 60),
        ("moveMinutesMax", given.move_minutes_max, 1440),
        ("moveHoursMax", given.move_hours_max, 168),
    ):
        with gather:
            checks.whole(path, value, low=1, high=high)
    gather.settle()
    return msgspec.structs.replace(
        given,
        name_en=given.name_en.strip(),
        name_zh=given.name_zh.strip(),
        kinds=tuple(dict.fromkeys(given.kinds)),
        channels=tuple(dict.fromkeys(given.channels)),
        territory_ids=tuple(dict.fromkeys(given.territory_ids)),
    )


def checked_duties(given: Sequence[DutyGiven]) -> list[DutyRow]:
    """Rows of duty; all that is wrong is refused at once, by `duties.<n>.<field>`."""
    if len(given) > DUTIES_MAX:
        raise LimitExceeded(what="duties of a team", limit=DUTIES_MAX, given=len(given), path="duties")
    gather = checks.Gather()
    rows: list[DutyRow] = []
    for i, one in enumerate(given):
        with gather:
            rows.append(_row(f"duties.{i}.", one))
    gather.settle()
    return rows


def _row(path: str, given: DutyGiven) -> DutyRow:
    gather = checks.Gather()
    starts = ends = 0
    with gather:
        if (given.weekday is None) == (given.on_date is None):
            raise checks.FieldRefused(f"{path}weekday", "duty_day")
        if given.weekday is not None:
            checks.whole(f"{path}weekday", given.weekday, low=0, high=6)
    with gather:
        if given.user_id is None and given.on_date is None:
            raise checks.FieldRefused(f"{path}userId", "duty_nobody")
    with gather:
        checks.whole(f"{path}rank", given.rank, low=1, high=10)
    with gather:
        starts = clock(f"{path}starts", given.starts)
        if starts >= DAY:
            raise checks.FieldRefused(f"{path}starts", "hours_form")
    with gather:
        ends = clock(f"{path}ends", given.ends)
    gather.settle()
    return DutyRow(
        user_id=given.user_id,
        rank=given.rank,
        starts_minute=starts,
        ends_minute=ends if ends > starts else ends + DAY,
        weekday=given.weekday,
        on_date=given.on_date,
    )


def clock(path: str, given: str) -> int:
    """Minutes from midnight of a time of day, 00:00 to 24:00."""
    found = _CLOCK.fullmatch(given)
    minutes = int(found[1]) * 60 + int(found[2]) if found else -1
    if found is None or int(found[2]) > 59 or not 0 <= minutes <= DAY:
        raise checks.FieldRefused(path, "hours_form")
    return minutes


def spelled(minute: int) -> str:
    """A time of day for a person; what lies on the next day is written as that day's."""
    within = minute if minute <= DAY else minute - DAY
    return f"{within // 60:02d}:{within % 60:02d}"


def code(given: str, path: str) -> str:
    """A code: a small letter, then letters, digits and underscores."""
    if not _CODE.fullmatch(given):
        raise checks.FieldRefused(path, "form_code")
    return given


def codes(path: str, given: Sequence[str]) -> tuple[str, ...]:
    """Codes of kinds of order; kinds come and go with their versions, so that only their form is checked."""
    if len(given) > CODES_MAX:
        raise LimitExceeded(what="codes", limit=CODES_MAX, given=len(given), path=path)
    return tuple(code(one, f"{path}.{i}") for i, one in enumerate(given))


def zone(given: str, path: str) -> zoneinfo.ZoneInfo:
    """A time zone by its name."""
    try:
        return zoneinfo.ZoneInfo(checks.text(path, given, chars_max=60))
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        raise checks.FieldRefused(path, "time_zone") from None
