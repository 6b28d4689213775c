"""What became of a lane's messages, written down: delivered, to be tried again, given up; and how their channel takes it."""

import random
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from callout_orders.notices import channels
from callout_orders.notices.fan import fall_back_now, wake
from callout_orders.notices.sending.outgoing import Outcome, Outgoing
from callout_store.work import Work

GIVE_UP: Final = timedelta(days=3)
"""A message that could not be sent for so long is a dead letter, which may be replayed."""
BACKOFF_BASE_S: Final = 2.0
BACKOFF_MAX_S: Final = 900.0
REST_MAX_S: Final = 60.0
"""A channel whose provider is away is tried again after so long at most: with one message, the others wait."""
ERROR_CHARS_MAX: Final = 300


async def settle(work: Work, done: Sequence[tuple[Outgoing, Outcome]]) -> None:
    """Write down what became of messages, in one statement for all; those whose lease was lost are another worker's."""
    if not done:
        return
    clock: datetime = await work.fetchval("select clock_timestamp()")
    rows = []
    for message, outcome in done:
        state, next_at = _after(message, outcome, clock)
        rows.append((message, outcome, state, next_at))
    settled = await work.fetch(
        """
        update notice_message m
        set state = case when t.state = 'queued' and m.created_at < $8 then 'failed' else t.state end,
            next_at = t.next_at, attempts = m.attempts + case when t.counts then 1 else 0 end,
            unsure = m.unsure or t.unsure, provider_ref = coalesce(t.ref, m.provider_ref), error = t.error,
            lease_token = null, lease_until = null,
            ended_at = case when t.state <> 'queued' or m.created_at < $8 then $9::timestamptz end
        from unnest($1::uuid[], $2::uuid[], $3::text[], $4::timestamptz[], $5::text[], $6::text[], $7::boolean[],
            $10::boolean[]) as t(id, token, state, next_at, ref, error, unsure, counts)
        where m.org_id = callout_org() and m.id = t.id and m.lease_token = t.token
        returning m.id, m.state
        """,
        [message.id for message, *_ in rows],
        [message.lease_token for message, *_ in rows],
        [state for _, _, state, _ in rows],
        [next_at for *_, next_at in rows],
        [outcome.provider_ref for _, outcome, _, _ in rows],
        [(outcome.error or "")[:ERROR_CHARS_MAX] or None for _, outcome, _, _ in rows],
        [outcome.kind == "unsure" for _, outcome, _, _ in rows],
        clock - GIVE_UP,
        clock,
        [outcome.kind not in ("throttled", "unsent") for _, outcome, _, _ in rows],
    )
    await _tell_notices(work, {row["id"]: row["state"] for row in settled})
    ended = [one for one in done if one[0].id in {row["id"] for row in settled}]
    await _break_addresses(work, [message for message, outcome in ended if outcome.nobody])
    await _tell_channel(work, ended, clock)


def _after(message: Outgoing, outcome: Outcome, clock: datetime) -> tuple[str, datetime]:
    if outcome.kind == "delivered":
        return "delivered", clock
    if outcome.kind == "refused":
        return "failed", clock
    if outcome.kind == "unsent":
        return "queued", clock
    wait = outcome.after_s if outcome.after_s is not None else backoff_s(message.attempts + 1)
    return "queued", clock + timedelta(seconds=wait)


def backoff_s(attempt: int, *, roll: float | None = None) -> float:
    """Half of the ceiling and a share of the other half: what failed together does not come back together, nor at once."""
    ceiling = min(BACKOFF_MAX_S, BACKOFF_BASE_S * 2.0 ** min(attempt - 1, 20))
    return ceiling / 2 + ceiling / 2 * (random.random() if roll is None else roll)


async def _tell_notices(work: Work, states: dict[UUID, str]) -> None:
    """The notices of messages that are over follow them; who has read one already stays so."""
    over = {id_: state for id_, state in states.items() if state in ("delivered", "failed")}
    if not over:
        return
    rows = await work.fetch(
        """
        update notice n
        set state = case when n.state = 'sending' then t.state else n.state end,
            delivered_at = case when t.state = 'delivered' then $3 else n.delivered_at end,
            failed_at = case when t.state = 'failed' then $3 else n.failed_at end,
            error = case when t.state = 'failed' then m.error end
        from unnest($1::uuid[], $2::text[]) as t(id, state)
        join notice_message m on m.org_id = callout_org() and m.id = t.id
        where n.org_id = callout_org() and n.message_id = t.id
        returning n.id, n.state
        """,
        list(over),
        list(over.values()),
        work.now,
    )
    await fall_back_now(work, [row["id"] for row in rows if row["state"] == "failed"])


async def _break_addresses(work: Work, messages: Sequence[Outgoing]) -> None:
    """Nobody is there: the next notice does not go there first. Entered again it is good again (`settings.add_address`)."""
    if messages:
        await work.execute(
            """
            update notice_address a set broken_at = $3 from unnest($1::text[], $2::text[]) as t(medium, address)
            where a.org_id = callout_org() and a.medium = t.medium and a.address = t.address and a.broken_at is null
            """,
            [message.medium for message in messages],
            [message.address for message in messages],
            work.now,
        )


async def _tell_channel(work: Work, done: Sequence[tuple[Outgoing, Outcome]], clock: datetime) -> None:
    """A channel rests where its provider throttled, and where nothing at all got through. Where something does again, what
    was put back is due at once: nobody waits for the end of a backoff of yesterday."""
    channel_id = done[0][0].channel_id if done else None
    if channel_id is None:
        return
    kinds = {outcome.kind for _, outcome in done} - {"unsent"}
    throttles = [outcome.after_s or 60.0 for _, outcome in done if outcome.kind == "throttled"]
    errors = [outcome.error for _, outcome in done if outcome.kind != "delivered" and outcome.error]
    away = bool(kinds) and kinds <= {"away", "unsure"}
    answers = bool(kinds & {"delivered", "refused"})
    row = await work.fetchrow(
        """
        update notice_channel c
        set failures = case when $2 then c.failures + 1 when $3 then 0 else c.failures end,
            last_ok_at = case when $3 then $4 else c.last_ok_at end, last_error = coalesce($5, c.last_error),
            spent = c.spent[:cardinality(c.spent) - $6]
        from (select failures from notice_channel where org_id = callout_org() and id = $1 for no key update) was
        where c.org_id = callout_org() and c.id = $1 returning c.failures, was.failures as were
        """,
        channel_id,
        away,
        answers,
        clock,
        errors[-1][:ERROR_CHARS_MAX] if errors else None,
        # A token that was not needed is given back.
        sum(outcome.kind == "unsent" for _, outcome in done),
    )
    if row is not None and answers and row["were"]:
        await work.execute(
            """
            update notice_message set next_at = $2
            where org_id = callout_org() and lane = $1 and state = 'queued' and next_at > $2
            """,
            str(channel_id),
            clock,
        )
    rest_s = max(throttles, default=0.0)
    if row is not None and away:
        asked = max((outcome.after_s or 0.0 for _, outcome in done), default=0.0)
        rest_s = max(asked, min(REST_MAX_S, backoff_s(row["failures"])))
    if rest_s:
        await work.execute(
            """
            update notice_channel set rest_until = greatest(rest_until, $2) where org_id = callout_org() and id = $1
            """,
            channel_id,
            clock + timedelta(seconds=rest_s),
        )


async def keep_access(work: Work, channel_id: UUID, token: str, seconds: float) -> None:
    """Keep an application's access token for so long; all workers use it."""
    await work.execute(
        """
        update notice_channel set access_token = $2, access_until = clock_timestamp() + make_interval(secs => $3)
        where org_id = callout_org() and id = $1
        """,
        channel_id,
        channels.sealed_access(work, channel_id, token),
        seconds,
    )


async def replay(work: Work, message_ids: Sequence[UUID]) -> int:
    """Bring failed messages back with fresh attempts; how many."""
    rows = await work.fetch(
        """
        update notice_message set state = 'queued', attempts = 0, next_at = clock_timestamp(), ended_at = null,
            created_at = clock_timestamp()
        where org_id = callout_org() and id = any($1) and state = 'failed' returning id, lane
        """,
        list(message_ids),
    )
    await work.execute(
        """
        update notice set state = 'sending', failed_at = null, error = null
        where org_id = callout_org() and message_id = any($1) and state = 'failed'
        """,
        [row["id"] for row in rows],
    )
    await wake(work, {row["lane"]: timedelta() for row in rows})
    return len(rows)
