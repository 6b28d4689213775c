"""When an order that nobody answers is turned over, and to whom (R4). Pure.

Who has it must answer before so many minutes of the first response are left, must not be offline for too long, and has at
least a step's time from when it came to them. It goes to those on duty, one after the other, then to the supervisors; there
it stays, and a flag says why. Whoever comes back online finds it gone: only people give it back.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final
from uuid import UUID

import msgspec

PRESENCE_TIMEOUT: Final = timedelta(seconds=90)
"""Without a heartbeat for so long somebody counts as offline."""


class PresenceState(StrEnum):
    """Whether somebody is at their desk."""

    ONLINE = "online"
    AWAY = "away"
    OFFLINE = "offline"


class Presence(msgspec.Struct, frozen=True, kw_only=True):
    """What was told of somebody: by heartbeats or by hand, since when, and the last sign of life."""

    state: PresenceState
    since: datetime
    seen_at: datetime


def offline_since(presence: Presence | None, *, now: datetime) -> datetime | None:
    """Since when somebody is not to be reached; None while they are. Whoever never came was never there."""
    if presence is None:
        return datetime.min.replace(tzinfo=now.tzinfo)
    if presence.state is PresenceState.OFFLINE:
        return presence.since
    silent = presence.seen_at + PRESENCE_TIMEOUT
    return silent if silent <= now else None


def is_online(presence: Presence | None, *, now: datetime) -> bool:
    """Whether somebody can be given an order: there, and not away."""
    return (
        presence is not None
        and presence.state is PresenceState.ONLINE
        and offline_since(presence, now=now) is None
    )


class ByWhat(StrEnum):
    """How an order came to whoever has it."""

    INTAKE = "intake"
    FALLBACK = "fallback"
    SUPERVISOR = "supervisor"
    TAKEN = "taken"
    HANDED = "handed"


class Why(StrEnum):
    """Why an order is turned over."""

    LATE = "late"
    OFFLINE = "offline"
    NOBODY = "nobody"
    """Nobody of the team was online when it came in."""
    LEFT = "left"
    """Whoever had it was shut out, or is no member of the team any more."""


class Flag(StrEnum):
    """What somebody must see about an order."""

    NOBODY_ON_DUTY = "nobody_on_duty"
    NOBODY_ANSWERS = "nobody_answers"
    NO_TEAM = "no_team"


class Rules(msgspec.Struct, frozen=True, kw_only=True):
    """A team's minutes; those of the house where an order has no team."""

    late: timedelta = timedelta(minutes=3)
    offline: timedelta = timedelta(minutes=5)
    step: timedelta = timedelta(minutes=1)


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """An order that waits for its first answer: in whose hands, since when, and until when.

    `mark_at`: when so many minutes are left of it as `Rules.late` says, in working time; None where no calendar is known,
    and the clock on the wall counts.
    """

    due_at: datetime
    mark_at: datetime | None = None
    handler_id: UUID | None
    handler_since: datetime
    by_what: ByWhat
    presence: Presence | None = None
    """Of the handler."""
    flag: Flag | None = None


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """`why` and no `again`: turn it over now. `flag`: raise it. `again`: look once more then. Nothing: it rests."""

    why: Why | None = None
    flag: Flag | None = None
    again: datetime | None = None


def judge(standing: Standing, rules: Rules, *, now: datetime) -> Verdict:
    """What is to be done about an order at `now`."""
    if standing.handler_id is None:
        # With a flag there was nobody at all to give it to, not even an admin.
        return Verdict(why=Why.NOBODY) if standing.flag is None else Verdict()
    mark_at = standing.mark_at or standing.due_at - rules.late
    late_at = max(mark_at, standing.handler_since + rules.step)
    if standing.by_what is ByWhat.SUPERVISOR:
        # There is nobody after them: it stays where it is, and is shown.
        if standing.flag is not None:
            return Verdict()
        return Verdict(flag=Flag.NOBODY_ANSWERS) if now >= late_at else Verdict(again=late_at)
    gone = offline_since(standing.presence, now=now)
    if gone is not None:
        gone_at = max(gone, standing.handler_since) + rules.offline
        if now >= gone_at:
            return Verdict(why=Why.OFFLINE)
        late_at = min(late_at, gone_at) if now < late_at else late_at
    if now >= late_at:
        return Verdict(why=Why.OFFLINE if gone is not None else Why.LATE)
    return Verdict(again=late_at)


class Passed(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody on duty who was passed over: `tried` already, or `offline`."""

    user_id: UUID
    why: str


class Next(msgspec.Struct, frozen=True, kw_only=True):
    """Who gets it next; `user_id` None where there is not even a supervisor."""

    user_id: UUID | None
    by_what: ByWhat
    passed: tuple[Passed, ...] = ()
    flag: Flag | None = None


def next_in_line(
    duty: Sequence[UUID],
    supervisors: Sequence[UUID],
    *,
    handler_id: UUID | None,
    tried: Collection[UUID],
    presence: Mapping[UUID, Presence],
    now: datetime,
    has_team: bool = True,
) -> Next:
    """The first on duty who is online and did not have it yet; else a supervisor, online ones first, with a flag."""
    passed: list[Passed] = []
    for user in duty:
        if user == handler_id or user in tried:
            passed.append(Passed(user_id=user, why="tried"))
        elif not is_online(presence.get(user), now=now):
            passed.append(Passed(user_id=user, why="offline"))
        else:
            return Next(user_id=user, by_what=ByWhat.FALLBACK, passed=tuple(passed))
    if not has_team:
        flag = Flag.NO_TEAM
    elif all(one.why == "offline" for one in passed):
        flag = Flag.NOBODY_ON_DUTY
    else:
        flag = Flag.NOBODY_ANSWERS
    ordered = sorted(
        supervisors, key=lambda user: (user == handler_id, not is_online(presence.get(user), now=now))
    )
    return Next(
        user_id=ordered[0] if ordered else None,
        by_what=ByWhat.SUPERVISOR,
        passed=tuple(passed),
        flag=flag,
    )
