"""Durable timers: one row per key, fired by the database's clock alone, once per epoch.

Firing marks the row and owes an outbox message `timer:{key}:{epoch}` in one statement, so that no crash can do one
without the other and no second worker can do it again. Re-arming raises the epoch: a message of an older epoch that is
still on its way is recognised as stale by whoever handles it.
"""

import time
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final
from weakref import WeakKeyDictionary

import msgspec

from callout_store.columns import column, json_column
from callout_store.work import Database, Work

FIRE_MAX = 500
LEAP_MAX_S = 300.0
FREEZE_S = 60.0
"""After a leap of the database's clock, firing waits this long for a person (or for the clock to come back)."""
_resting: set[str] = set()


def rest(*channels: str) -> None:
    """From now on `arm_many` and `move_many` of this process set no timers of these channels: it lives on a clock that the
    database's does not follow, and they would fire at once."""
    _resting.update(channels)


def wake(*channels: str) -> None:
    """Timers of these channels are set again."""
    _resting.difference_update(channels)


async def arm(work: Work, *, key: str, due_at: datetime, channel: str, payload: Mapping[str, Any]) -> int:
    """Set or move a timer; returns its new epoch. Moving it makes any firing of the old epoch stale."""
    epoch: int = await work.fetchval(
        """
        insert into timer (key, due_at, channel, payload) values ($1, $2, $3, $4::text::jsonb)
        on conflict (org_id, key) do update
        set due_at = excluded.due_at, channel = excluded.channel, payload = excluded.payload,
            state = 'armed', epoch = timer.epoch + 1, fired_at = null
        returning epoch
        """,
        key,
        due_at,
        channel,
        msgspec.json.encode(payload).decode(),
    )
    return epoch


async def arm_many(work: Work, timers: list[tuple[str, datetime, str, Mapping[str, Any]]]) -> None:
    """Set fresh timers `(key, due_at, channel, payload)` in one statement; keys that exist are left alone, as are channels
    that rest here (`rest`)."""
    await work.execute(_ARM, *_armed(timers))


def arm_later(work: Work, timers: list[tuple[str, datetime, str, Mapping[str, Any]]]) -> None:
    """As `arm_many`, together with what else is put off."""
    if timers:
        work.later(_ARM, *_armed(timers))


_ARM = """
insert into timer (key, due_at, channel, payload)
select k, d, c, p
from unnest($1::text::text[], $2::text::timestamptz[], $3::text::text[], $4::text::jsonb[]) as t(k, d, c, p)
on conflict (org_id, key) do nothing
"""


def _armed(timers: list[tuple[str, datetime, str, Mapping[str, Any]]]) -> tuple[Any, ...]:
    timers = [timer for timer in timers if timer[2] not in _resting]
    return (
        column([t[0] for t in timers]),
        column([t[1] for t in timers]),
        column([t[2] for t in timers]),
        json_column([t[3] for t in timers]),
    )


async def move_many(work: Work, timers: list[tuple[str, datetime | None, str, Mapping[str, Any]]]) -> None:
    """Set or move timers `(key, due_at, channel, payload)` in one statement, each key once; due at None is due at once.
    Channels that rest here are left alone."""
    await work.execute(_MOVE, *_moved(timers))


def move_later(work: Work, timers: list[tuple[str, datetime | None, str, Mapping[str, Any]]]) -> None:
    """As `move_many`, together with what else is put off."""
    if timers:
        work.later(_MOVE, *_moved(timers))


_MOVE = """
insert into timer (key, due_at, channel, payload)
select k, coalesce(d, now()), c, p::jsonb
from unnest($1::text[], $2::timestamptz[], $3::text[], $4::text[]) as t(k, d, c, p)
on conflict (org_id, key) do update
set due_at = excluded.due_at, channel = excluded.channel, payload = excluded.payload,
    state = 'armed', epoch = timer.epoch + 1, fired_at = null
"""


def _moved(timers: list[tuple[str, datetime | None, str, Mapping[str, Any]]]) -> tuple[Any, ...]:
    ordered = sorted((timer for timer in timers if timer[2] not in _resting), key=lambda timer: timer[0])
    return (
        [t[0] for t in ordered],
        [t[1] for t in ordered],
        [t[2] for t in ordered],
        [msgspec.json.encode(t[3]).decode() for t in ordered],
    )


async def hasten(work: Work, timers: list[tuple[str, timedelta, str, Mapping[str, Any]]]) -> None:
    """Have timers `(key, after, channel, payload)` fire in so long by the database's clock, or sooner where they are set so.

    The rows stay locked until the transaction ends: one that stays as it is cannot fire before its reader sees what this
    transaction wrote.
    """
    ordered = sorted(timers, key=lambda timer: timer[0])
    await work.execute(
        """
        insert into timer (key, due_at, channel, payload)
        select k, now() + a, c, p::jsonb from unnest($1::text[], $2::interval[], $3::text[], $4::text[]) as t(k, a, c, p)
        on conflict (org_id, key) do update
        set due_at = case when timer.state = 'armed' then least(timer.due_at, excluded.due_at) else excluded.due_at end,
            epoch = timer.epoch + case when timer.state = 'armed' and timer.due_at <= excluded.due_at then 0 else 1 end,
            channel = excluded.channel, payload = excluded.payload, state = 'armed', fired_at = null
        """,
        [t[0] for t in ordered],
        [max(t[1], timedelta()) for t in ordered],
        [t[2] for t in ordered],
        [msgspec.json.encode(t[3]).decode() for t in ordered],
    )
    work.owes = True


async def again(work: Work, *, key: str, epoch: int, due_at: datetime, payload: Mapping[str, Any]) -> bool:
    """Set a timer that fired in this epoch for a later time; False where it was moved or canceled since, and stays as it is.

    Who handled a firing must not overwrite what others set meanwhile: `arm` would put off a timer that they want at once.
    """
    return bool(
        await work.execute(
            """
            update timer set due_at = $3, payload = $4::text::jsonb, state = 'armed', epoch = epoch + 1, fired_at = null
            where org_id = callout_org() and key = $1 and epoch = $2 and state = 'fired'
            """,
            key,
            epoch,
            due_at,
            msgspec.json.encode(payload).decode(),
        )
    )


async def cancel(work: Work, *keys: str, due_after: datetime | None = None) -> int:
    """Cancel armed timers; a firing already on its way becomes stale by the raised epoch. With `due_after` those stay that
    are due by then."""
    return await work.execute(_CANCEL, list(keys), due_after)


def cancel_later(work: Work, *keys: str) -> None:
    """As `cancel`, together with what else is put off: whoever sets one of these timers before then sets it in vain."""
    if keys:
        work.later(_CANCEL, list(keys), None)


_CANCEL = """
update timer set state = 'canceled', epoch = epoch + 1
where org_id = callout_org() and key = any($1::text[]) and state <> 'canceled'
  and ($2::timestamptz is null or due_at > $2::timestamptz)
"""


async def is_current(work: Work, *, key: str, epoch: int) -> bool:
    """Whether a firing is still meant: its timer fired in this epoch and was neither moved nor cancelled since."""
    return bool(
        await work.fetchval(
            "select true from timer where key = $1 and epoch = $2 and state = 'fired' and org_id = callout_org()",
            key,
            epoch,
        )
    )


async def fire_due(db: Database, *, limit: int = FIRE_MAX) -> int:
    """Fire what is due; returns how many. 0 while frozen after a leap of the clock of more than five minutes."""
    async with db.system_work() as work:
        if await _clock_frozen(db, work):
            return 0
        return await work.execute(
            """
            with due as (
                select org_id, key from timer where state = 'armed' and due_at <= now()
                order by due_at limit $1 for update skip locked
            ), fired as (
                update timer t set state = 'fired', fired_at = now() from due
                where t.org_id = due.org_id and t.key = due.key
                returning t.org_id, t.key, t.epoch, t.channel, t.payload, t.due_at
            )
            insert into outbox (org_id, id, dedupe_key, channel, stream, payload)
            select org_id, gen_random_uuid(), 'timer:' || key || ':' || epoch, channel, 'timer:' || key,
                   payload || jsonb_build_object('timerKey', key, 'timerEpoch', epoch, 'dueAt', due_at)
            from fired
            on conflict (org_id, dedupe_key) do nothing
            """,
            limit,
        )


_looks: Final[WeakKeyDictionary[Database, tuple[float, float]]] = WeakKeyDictionary()
"""What a database's clock, and the time that nobody sets, were when this process looked last."""


def _really_s() -> float:
    """Seconds that nobody can set, through sleep of the machine as well where it counts that."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()


async def _clock_frozen(db: Database, work: Work) -> bool:
    """Whether the database's clock leapt: away from this process's, or both at once away from the time that really passed
    since this process looked last. A leap freezes firing for a while.

    A server whose clock jumps a day ahead would otherwise declare every order late at once, for ever.
    """
    row = await work.fetchrow(
        "select extract(epoch from now() - $1::timestamptz)::float8 as skew_s, extract(epoch from now())::float8 as now_s, "
        "coalesce(frozen_until > now() and frozen_until < now() + make_interval(secs => $2), false) as frozen "
        "from clock_guard",
        work.now,
        FREEZE_S * 2,
    )
    assert row is not None
    now_s, really_s = row["now_s"], _really_s()
    then_s, really_then_s = _looks.get(db, (now_s, really_s))
    _looks[db] = now_s, really_s
    if max(abs(row["skew_s"]), abs(now_s - then_s - (really_s - really_then_s))) > LEAP_MAX_S:
        await work.execute(
            "update clock_guard set frozen_until = now() + make_interval(secs => $1), looked_at = now()",
            FREEZE_S,
        )
        return True
    if row["frozen"]:
        return True
    await work.execute(
        "update clock_guard set looked_at = now() where looked_at < now() - interval '10 seconds'"
    )
    return False
