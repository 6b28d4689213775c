"""The outbox: effects that are owed to the outside, at least once each and in order within a stream.

Rows are written in the transaction that owes them. A worker claims due rows under a lease with a fresh token, runs the
channel's handler outside any transaction, and finishes with `WHERE lease_token = …`: a worker that slept past its lease
finds the token changed and its result fenced off. Rows of one stream wait for their elders; a dead letter stops waiting,
so that one poisoned message holds back nothing for ever.
"""

import random
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from callout_store.errors import NotFound
from callout_store.ids import new_id
from callout_store.work import Database, Work

LEASE_S = 60.0
HANDLER_DEADLINE_S = 45.0
"""Shorter than the lease: a handler is cut off before another worker may take its row."""
ATTEMPTS_MAX = 25
BACKOFF_BASE_S = 1.0
BACKOFF_MAX_S = 3600.0
CLAIM_MAX = 50
ERROR_CHARS_MAX = 500


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """An effect that is owed. `dedupe_key` makes writing it twice harmless; `stream` is what it must stay in order with."""

    channel: str
    stream: str
    dedupe_key: str
    payload: Mapping[str, Any]
    run_at: datetime | None = None


class Claimed(msgspec.Struct, frozen=True, kw_only=True):
    """A row in a worker's hands until `lease_until`; `attempt` counts from 1."""

    org_id: UUID
    id: UUID
    channel: str
    stream: str
    dedupe_key: str
    payload: dict[str, Any]
    attempt: int
    lease_token: UUID
    started_at: datetime


class Retry(Exception):
    """A handler's "not now": tried again after `after_s`, or after the backoff where that is None."""

    def __init__(self, reason: str, *, after_s: float | None = None) -> None:
        super().__init__(reason)
        self.after_s = after_s


class Hopeless(Exception):
    """A handler's "never": straight to the dead letters."""


async def send(work: Work, *messages: Message) -> None:
    """Owe effects, in this transaction. A message whose key was seen before is dropped."""
    if messages:
        await work.execute(_SEND, *_rows(messages))
        work.owes = True


def send_later(work: Work, *messages: Message) -> None:
    """As `send`, together with what else is put off."""
    if messages:
        work.later(_SEND, *_rows(messages))
        work.owes = True


_SEND = """
insert into outbox (id, dedupe_key, channel, stream, payload, run_at)
select i, k, c, s, p::jsonb, coalesce(r, now())
from unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::timestamptz[]) as t(i, k, c, s, p, r)
on conflict (org_id, dedupe_key) do nothing
"""


def _rows(messages: Sequence[Message]) -> tuple[Any, ...]:
    return (
        [new_id() for _ in messages],
        [m.dedupe_key for m in messages],
        [m.channel for m in messages],
        [m.stream for m in messages],
        [msgspec.json.encode(m.payload).decode() for m in messages],
        [m.run_at for m in messages],
    )


async def claim(
    db: Database, *, limit: int = CLAIM_MAX, lease_s: float = LEASE_S, channels: Sequence[str] | None = None
) -> list[Claimed]:
    """Take up to `limit` due rows (of these channels, or of all), at most one a stream, none whose stream has an older
    unfinished row."""
    async with db.system_work() as work:
        rows = await work.fetch(
            """
            with due as (
                select o.org_id, o.id from outbox o
                where o.state in ('ready', 'leased')
                  and o.run_at <= now()
                  and ($3::text[] is null or o.channel = any($3))
                  and (o.state = 'ready' or o.lease_until < now())
                  and not exists (
                      select 1 from outbox e
                      where e.org_id = o.org_id and e.stream = o.stream and e.position < o.position
                        and e.state in ('ready', 'leased'))
                order by o.run_at, o.position
                limit $1
                for update skip locked
            )
            update outbox o
            set state = 'leased', attempts = attempts + 1, lease_token = gen_random_uuid(),
                lease_until = now() + make_interval(secs => $2)
            from due where o.org_id = due.org_id and o.id = due.id
            returning o.org_id, o.id, o.channel, o.stream, o.dedupe_key, o.payload::text as payload, o.attempts,
                      o.lease_token, now() as started_at, o.position
            """,
            limit,
            lease_s,
            None if channels is None else list(channels),
        )
    rows.sort(key=lambda row: row["position"])
    return [_claimed(row) for row in rows]


async def take(work: Work, dedupe_key: str, *, lease_s: float = LEASE_S) -> Claimed | None:
    """Take a row in the caller's transaction, where it does not yet wait for others; None where it is taken or over.

    For what is owed and done by the same process: sent and taken at once, no worker ever sees it free.
    """
    row = await work.fetchrow(
        """
        update outbox
        set state = 'leased', attempts = attempts + 1, lease_token = gen_random_uuid(),
            lease_until = now() + make_interval(secs => $2)
        where org_id = callout_org() and dedupe_key = $1 and state = 'ready'
        returning org_id, id, channel, stream, dedupe_key, payload::text as payload, attempts, lease_token,
                  now() as started_at
        """,
        dedupe_key,
        lease_s,
    )
    return None if row is None else _claimed(row)


def _claimed(row: Any) -> Claimed:
    return Claimed(
        org_id=row["org_id"],
        id=row["id"],
        channel=row["channel"],
        stream=row["stream"],
        dedupe_key=row["dedupe_key"],
        payload=msgspec.json.decode(row["payload"]),
        attempt=row["attempts"],
        lease_token=row["lease_token"],
        started_at=row["started_at"],
    )


async def take_along(work: Work, item: Claimed, *, limit: int) -> list[dict[str, Any]]:
    """Payloads of the rows that wait behind a claimed one in its stream, in their order; they are done with this transaction.

    For a handler that does many at the price of one. What is scheduled for later, or comes after something that is, stays.
    """
    rows = await work.fetch(
        """
        with mine as (
            select position from outbox where org_id = callout_org() and id = $1 and lease_token = $4
        ), behind as (
            select o.id, o.position, o.channel, o.run_at, o.state from outbox o, mine
            where o.org_id = callout_org() and o.stream = $2 and o.position > mine.position
              and o.state in ('ready', 'leased')
            order by o.position limit $3 for update of o
        ), first_other as (
            select min(position) as position from behind where state <> 'ready' or run_at > now() or channel <> $5
        )
        update outbox o set state = 'done', attempts = o.attempts + 1, finished_at = now()
        from behind b, first_other f
        where o.org_id = callout_org() and o.id = b.id and (f.position is null or b.position < f.position)
        returning o.position, o.payload::text as payload
        """,
        item.id,
        item.stream,
        limit,
        item.lease_token,
        item.channel,
    )
    rows.sort(key=lambda row: row["position"])
    return [msgspec.json.decode(row["payload"]) for row in rows]


async def finish(db: Database, item: Claimed, *, provider_ref: str | None = None) -> bool:
    """Mark as done; False where the lease was lost meanwhile and another worker has the row (or finished it)."""
    return await _settle(db, item, state="done", outcome="done", provider_ref=provider_ref)


async def renew(db: Database, item: Claimed, *, lease_s: float = LEASE_S) -> bool:
    """Hold the row for so much longer, seen from now; False where the lease was lost and another worker may have it."""
    async with db.system_work() as work:
        held = await work.execute(
            """
            update outbox set lease_until = now() + make_interval(secs => $4)
            where org_id = $1 and id = $2 and lease_token = $3 and state = 'leased'
            """,
            item.org_id,
            item.id,
            item.lease_token,
            lease_s,
        )
    return bool(held)


async def fail(db: Database, item: Claimed, fault: BaseException) -> bool:
    """Put back with backoff, or among the dead letters after `ATTEMPTS_MAX` or when hopeless."""
    error = f"{type(fault).__name__}: {fault}"[:ERROR_CHARS_MAX]
    if isinstance(fault, Hopeless) or item.attempt >= ATTEMPTS_MAX:
        return await _settle(db, item, state="dead", outcome="dead", error=error)
    wait = (
        fault.after_s if isinstance(fault, Retry) and fault.after_s is not None else backoff_s(item.attempt)
    )
    return await _settle(db, item, state="ready", outcome="retry", error=error, wait_s=wait)


def backoff_s(attempt: int, *, roll: float | None = None) -> float:
    """Full jitter: a uniform share of `base × 2^(attempt-1)`, capped, so that a storm does not come back as one."""
    ceiling = min(BACKOFF_MAX_S, BACKOFF_BASE_S * 2.0 ** (attempt - 1))
    share = random.random() if roll is None else roll
    return max(0.05, ceiling * share)


async def _settle(
    db: Database,
    item: Claimed,
    *,
    state: str,
    outcome: str,
    provider_ref: str | None = None,
    error: str | None = None,
    wait_s: float = 0.0,
) -> bool:
    async with db.system_work() as work:
        held = await work.execute(
            """
            update outbox
            set state = $4, lease_token = null, lease_until = null, last_error = $5,
                run_at = case when $4 = 'ready' then now() + make_interval(secs => $6) else run_at end,
                finished_at = case when $4 in ('done', 'dead') then now() end
            where org_id = $1 and id = $2 and lease_token = $3 and state = 'leased'
            """,
            item.org_id,
            item.id,
            item.lease_token,
            state,
            error,
            wait_s,
        )
        await work.execute(
            """
            insert into outbox_attempt (org_id, id, outbox_id, n, started_at, outcome, provider_ref, error)
            values ($1, $2, $3, $4, $5, $6, $7, $8)
            """,
            item.org_id,
            new_id(),
            item.id,
            item.attempt,
            item.started_at,
            outcome if held else "fenced",
            provider_ref,
            error,
        )
    return bool(held)


async def is_owed(work: Work, *, channel: str, stream: str) -> bool:
    """Whether a row of this stream waits or is being handled: neither done nor given up."""
    return bool(
        await work.fetchval(
            """
            select true from outbox
            where org_id = callout_org() and channel = $1 and stream = $2 and state in ('ready', 'leased') limit 1
            """,
            channel,
            stream,
        )
    )


async def replay(work: Work, ids: Sequence[UUID]) -> int:
    """Bring dead letters of this organisation back to life with fresh attempts; the number revived."""
    revived = await work.execute(
        """
        update outbox set state = 'ready', attempts = 0, run_at = now(), finished_at = null
        where id = any($1) and state = 'dead' and org_id = $2
        """,
        list(ids),
        work.org_id,
    )
    if revived == 0:
        raise NotFound(entity="dead letter")
    work.owes = True
    return revived


async def next_due_s(db: Database) -> float | None:
    """Seconds until the next row or timer is due (0 when one is), None when nothing waits.

    A row that waits for its elder in the stream is due when the elder is.
    """
    async with db.system_work() as work:
        seconds = await work.fetchval(
            """
            select extract(epoch from min(due) - now()) from (
                select min(greatest(run_at, coalesce(lease_until, run_at))) as due from outbox o
                where state in ('ready', 'leased')
                  and not exists (
                      select 1 from outbox e
                      where e.org_id = o.org_id and e.stream = o.stream and e.position < o.position
                        and e.state in ('ready', 'leased'))
                union all
                select min(due_at) from timer where state = 'armed'
            ) t
            """
        )
    return None if seconds is None else max(0.0, float(seconds))


async def counts(db: Database) -> dict[str, int]:
    """Rows that wait, are in hand or were given up, over all organisations, and the age of the oldest due one in seconds.

    What is done is not counted: it grows for ever, and a scrape would read all of it.
    """
    async with db.system_work() as work:
        rows = await work.fetch(
            """
            select state, count(*) as n from outbox where state in ('ready', 'leased') group by state
            union all select 'dead', count(*) from outbox where state = 'dead'
            """
        )
        oldest = await work.fetchval(
            "select coalesce(extract(epoch from now() - min(run_at)), 0) from outbox where state = 'ready' and run_at < now()"
        )
    return {**{row["state"]: row["n"] for row in rows}, "oldest_due_s": int(oldest)}
