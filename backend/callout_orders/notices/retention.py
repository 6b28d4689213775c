"""Forgetting notices: they name people and what happened to them. What is left is how many there were.

An organisation says how long they are kept (`NoticeSettings.keep_days`); the daily sweep takes the older ones. What still
waits to be sent stays, however old it is.
"""

from datetime import date, timedelta
from typing import Final

import msgspec

from callout_orders.notices import settings
from callout_store.errors import LimitExceeded
from callout_store.work import Work

ROWS: Final = 2_000
"""In one transaction."""
DAYS_MAX: Final = 366
"""Of one look at the counts."""


class Count(msgspec.Struct, frozen=True, kw_only=True):
    """So many notices of a UTC day by one medium with one outcome."""

    day: date
    medium: str
    state: str
    notices: int


async def purge(work: Work) -> int:
    """Forget a batch of notices that are older than the organisation keeps them, and messages that told of no others.

    Returns how many notices it were: to be called until that is 0.
    """
    keep_days = (await settings.settings(work)).keep_days
    rows = await work.fetch(
        """
        with old as (
            select id from notice
            where org_id = callout_org() and created_at < $1 and state not in ('held', 'queued', 'sending')
            order by created_at limit $2 for update skip locked),
        gone as (
            delete from notice n using old where n.org_id = callout_org() and n.id = old.id
            returning n.created_at, n.medium, n.state, n.message_id),
        counted as (
            insert into notice_count as c (day, medium, state, notices)
            select (created_at at time zone 'UTC')::date, medium, state, count(*) from gone group by 1, 2, 3
            on conflict (org_id, day, medium, state) do update set notices = c.notices + excluded.notices)
        select message_id from gone
        """,
        work.now - timedelta(days=keep_days),
        ROWS,
    )
    messages = {row["message_id"] for row in rows if row["message_id"] is not None}
    await work.execute(
        """
        delete from notice_message m where m.org_id = callout_org() and m.id = any($1::uuid[])
            and m.state in ('delivered', 'failed')
            and not exists (select from notice n where n.org_id = m.org_id and n.message_id = m.id)
        """,
        list(messages),
    )
    return len(rows)


async def counts(work: Work, since: date, until: date) -> list[Count]:
    """How many notices there were of each day from `since` to `until` (both included), forgotten ones and others, by day,
    medium and outcome. Raises LimitExceeded for more than a year."""
    days = (until - since).days + 1
    if days > DAYS_MAX:
        raise LimitExceeded(path="until", what="days", limit=DAYS_MAX, given=days)
    rows = await work.fetch(
        """
        select day, medium, state, sum(notices)::int as notices from (
            select day, medium, state, notices from notice_count
            where org_id = callout_org() and day between $1 and $2
            union all
            select (created_at at time zone 'UTC')::date, medium, state, count(*) from notice
            where org_id = callout_org() and created_at >= ($1::date)::timestamp at time zone 'UTC'
                and created_at < ($2::date + 1)::timestamp at time zone 'UTC'
            group by 1, 2, 3) t
        group by day, medium, state order by day, medium, state
        """,
        since,
        until,
    )
    return [Count(**dict(row)) for row in rows]
