"""A lane's messages: made from the notices that are due, and taken under a lease. No HTTP here.

One worker at a time makes a lane's messages (its row is locked), so that tokens are counted once over all processes.
What is sent may be sent twice where an answer was lost: then `unsure` says so.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

import msgspec

from callout_orders.notices import channels
from callout_orders.notices.fan import fall_back_now
from callout_orders.notices.sending import bucket, making
from callout_orders.notices.writing.compose import SINK
from callout_store.sealing import Unreadable
from callout_store.work import Work

ROUND_MAX: Final = 100
"""Messages of one round."""
LEASE: Final = timedelta(seconds=60)
"""Longer than a round may take: what its sender does not begin in time is put back."""
UNREADABLE_REST: Final = timedelta(seconds=60)


class Item(msgspec.Struct, frozen=True, kw_only=True):
    """A notice within a message: what its link is made of."""

    id: UUID
    user_id: UUID | None
    order_id: UUID | None
    kind: str


class Outgoing(msgspec.Struct, frozen=True, kw_only=True):
    """A message in hand until its lease ends. `subject` and `body` hold `templates.LINK` where the link belongs."""

    id: UUID
    lane: str
    channel_id: UUID | None
    medium: str
    address: str
    mentions: tuple[str, ...]
    urgent: bool
    digest: bool
    wants_ack: bool
    locale: str
    subject: str
    body: str
    attempts: int
    unsure: bool
    lease_token: UUID
    items: tuple[Item, ...]


class Round(msgspec.Struct, frozen=True, kw_only=True):
    """What may be sent now, and when to look again (None: when something new comes)."""

    messages: list[Outgoing]
    channel: dict[str, Any] | None
    next_in: timedelta | None


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a message. `kind`: delivered, throttled, away (it did not arrive), unsure (it may have), refused (it
    never will), unsent (its turn did not come). `nobody`: refused because nobody is at that address."""

    kind: str
    provider_ref: str | None = None
    error: str | None = None
    after_s: float | None = None
    nobody: bool = False


async def take(work: Work, lane: str) -> Round:
    """Make and take the messages that may go now, under the lane's lock."""
    channel = await _lock(work, lane)
    clock: datetime = await work.fetchval("select clock_timestamp()")
    if channel is None and lane != SINK:
        # Taken away meanwhile: what waits for it goes another way.
        return Round(messages=[], channel=None, next_in=await _orphan(work, lane, clock))
    ahead = work.now - clock
    rest_until = channel["rest_until"] if channel is not None else None
    if rest_until is not None and rest_until > clock:
        return Round(messages=[], channel=None, next_in=rest_until - clock)
    try:
        opened = None if channel is None else _opened(work, channel)
    except Unreadable as fault:
        return await _unreadable(work, lane, clock, str(fault))
    tokens = _bucket(channel)
    # One that failed is tried first: what is younger waits for it anyway. Where the provider was away one is enough to see.
    probing = channel is not None and channel["failures"] > 0
    limit = 1 if probing else ROUND_MAX
    again = await _again(
        work,
        lane,
        clock,
        normal=min(limit, bucket.free(tokens, clock, urgent=False)),
        urgent=min(limit, bucket.free(tokens, clock, urgent=True)),
    )
    tokens = bucket.take(tokens, clock, len(again))
    room = limit - len(again)
    made: list[UUID] = []
    left = 0
    if room > 0:
        made, left = await making.make(
            work,
            lane,
            channel,
            normal=min(room, bucket.free(tokens, clock, urgent=False)),
            urgent=min(room, bucket.free(tokens, clock, urgent=True)),
            due=clock + ahead,
        )
        tokens = bucket.take(tokens, clock, len(made))
    if channel is not None and (again or made):
        await work.execute(
            "update notice_channel set spent = $2 where org_id = callout_org() and id = $1",
            channel["id"],
            list(tokens.spent),
        )
    messages = await _lease(work, [*again, *made], clock)
    return Round(
        messages=messages,
        channel=opened,
        next_in=await _next_in(work, lane, tokens, clock, ahead, left),
    )


# ------------------------------------------------------------------------------------------------ taking


async def _lock(work: Work, lane: str) -> Any:
    """The channel's row, locked; the sink's lock is one of the organisation's."""
    if lane == SINK:
        await work.execute(
            "select pg_advisory_xact_lock(hashtextextended($1, 0))", f"notice.sink:{work.org_id}"
        )
        return None
    return await work.fetchrow(
        """
        select id, medium, provider, name, config::text as config, secret::text as secret, per_minute, urgent_reserve, spent,
               rest_until, failures,
               case when access_until > clock_timestamp() then access_token end as access_token
        from notice_channel where org_id = callout_org() and id = $1 and active for no key update
        """,
        UUID(lane),
    )


def _opened(work: Work, channel: Any) -> dict[str, Any]:
    """The channel with its secrets as they were given. Raises Unreadable."""
    found = {**dict(channel), "secret": channels.opened(work, channel["id"], channel["secret"])}
    if found["access_token"] is not None:
        found["access_token"] = channels.opened_access(work, channel["id"], found["access_token"])
    return found


def _bucket(channel: Any) -> bucket.Bucket:
    if channel is None:
        return bucket.of((), size=10 * ROUND_MAX, reserve=0)
    return bucket.of(channel["spent"], size=channel["per_minute"], reserve=channel["urgent_reserve"])


async def _unreadable(work: Work, lane: str, clock: datetime, why: str) -> Round:
    """Nothing can be sent with secrets that cannot be opened: the channel says so, and waits until they are entered anew."""
    await work.execute(
        """
        update notice_channel set rest_until = $2, failures = failures + 1, last_error = $3
        where org_id = callout_org() and id = $1
        """,
        UUID(lane),
        clock + UNREADABLE_REST,
        why[:300],
    )
    return Round(messages=[], channel=None, next_in=UNREADABLE_REST)


async def _again(work: Work, lane: str, clock: datetime, *, normal: int, urgent: int) -> list[UUID]:
    """Messages to be sent once more, the urgent ones first: put back, or in the hands of a worker that died. Of `urgent` in
    all, `normal` may be for what is not urgent."""
    await work.execute(
        """
        update notice_message
        set state = 'queued', unsure = true, attempts = attempts + 1, lease_token = null, lease_until = null
        where org_id = callout_org() and lane = $1 and state = 'sending' and lease_until < $2
        """,
        lane,
        clock,
    )
    rows = await work.fetch(
        """
        select id, urgent from notice_message
        where org_id = callout_org() and lane = $1 and state = 'queued' and next_at <= $2
        order by urgent desc, id limit $3
        """,
        lane,
        clock,
        urgent,
    )
    pressing = sum(row["urgent"] for row in rows)
    return [row["id"] for row in rows[: pressing + normal]]


async def _lease(work: Work, ids: Sequence[UUID], clock: datetime) -> list[Outgoing]:
    if not ids:
        return []
    rows = await work.fetch(
        """
        update notice_message set state = 'sending', lease_token = gen_random_uuid(), lease_until = $2, sent_at = $3
        where org_id = callout_org() and id = any($1)
        returning id, lane, channel_id, medium, address, mentions, urgent, digest, wants_ack, locale, subject, body,
                  attempts, unsure, lease_token
        """,
        list(ids),
        clock + LEASE,
        clock,
    )
    items: dict[UUID, list[Item]] = {}
    for row in await work.fetch(
        """
        select id, user_id, order_id, kind, message_id from notice
        where org_id = callout_org() and message_id = any($1) order by position
        """,
        list(ids),
    ):
        items.setdefault(row["message_id"], []).append(
            Item(id=row["id"], user_id=row["user_id"], order_id=row["order_id"], kind=row["kind"])
        )
    order = {id_: n for n, id_ in enumerate(ids)}
    rows.sort(key=lambda row: order[row["id"]])
    return [
        Outgoing(
            **{**dict(row), "mentions": tuple(row["mentions"]), "items": tuple(items.get(row["id"], ()))}
        )
        for row in rows
    ]


async def _next_in(
    work: Work, lane: str, tokens: bucket.Bucket, clock: datetime, ahead: timedelta, left: int
) -> timedelta | None:
    """When something can be sent next: a token is back, a message is due again, a quiet night ends."""
    row = await work.fetchrow(
        """
        select (select min(due_at) from notice
                where org_id = callout_org() and lane = $1 and state in ('held', 'queued') and due_at > $2) as held_until,
               (select coalesce(bool_or(urgent), false) from notice
                where org_id = callout_org() and lane = $1 and state in ('held', 'queued') and due_at <= $2) as urgent,
               (select min(greatest(next_at, coalesce(lease_until, next_at))) from notice_message
                where org_id = callout_org() and lane = $1 and state in ('queued', 'sending')) as again_at
        """,
        lane,
        clock + ahead,
    )
    assert row is not None
    waits: list[datetime] = []
    # What is due and does not go although there are tokens waits for an elder, at whose end the lane is looked at again.
    if left and not bucket.free(tokens, clock, urgent=False):
        full = not bucket.free(tokens, clock, urgent=True)
        waits.append(bucket.next_at(tokens, clock, urgent=full and row["urgent"]))
    if row["held_until"] is not None:
        waits.append(row["held_until"] - ahead)
    if row["again_at"] is not None:
        waits.append(max(row["again_at"], bucket.next_at(tokens, clock, urgent=True)))
    return max(min(waits) - clock, timedelta()) if waits else None


async def _orphan(work: Work, lane: str, clock: datetime) -> timedelta | None:
    """The channel is gone or switched off: its notices fail and go by another medium, also those of messages that were to be
    tried again. When to look again: when what is in a worker's hands must have come back."""
    rows = await work.fetch(
        """
        with gone as (
            update notice_message
            set state = 'failed', error = $3, ended_at = $4, lease_token = null, lease_until = null
            where org_id = callout_org() and lane = $1 and (state = 'queued' or state = 'sending' and lease_until < $4)
            returning id)
        update notice n set state = 'failed', failed_at = $2, error = $3
        where n.org_id = callout_org() and n.lane = $1
          and (n.state in ('held', 'queued') or n.state = 'sending' and n.message_id in (select id from gone))
        returning n.id
        """,
        lane,
        work.now,
        "the channel is switched off",
        clock,
    )
    await fall_back_now(work, [row["id"] for row in rows])
    until: datetime | None = await work.fetchval(
        "select max(lease_until) from notice_message where org_id = callout_org() and lane = $1 and state = 'sending'",
        lane,
    )
    return None if until is None else max(until - clock, timedelta())
