"""Notices as they are shown."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import msgspec

from callout_store.errors import LimitExceeded
from callout_store.pages import Page
from callout_store.work import Work

PAGE_MAX: Final = 200


class NoticeView(msgspec.Struct, frozen=True, kw_only=True):
    """One notice to one person by one medium; `message_id`: what it went in, a digest where `digest`.

    `title` and `body` hold `templates.LINK` where the reader's link belongs.
    """

    id: UUID
    order_id: UUID | None
    kind: str
    name: str
    user_id: UUID | None
    contact_id: UUID | None
    role: str
    medium: str
    locale: str
    urgent: bool
    wants_ack: bool
    title: str
    body: str
    state: str
    due_at: datetime
    digest: bool
    message_id: UUID | None
    fallback_of: UUID | None
    attempts: int
    provider_ref: str | None
    unsure: bool
    error: str | None
    created_at: datetime
    sent_at: datetime | None
    delivered_at: datetime | None
    failed_at: datetime | None
    read_at: datetime | None
    acknowledged_at: datetime | None


class MessageView(msgspec.Struct, frozen=True, kw_only=True):
    """What went, or would have gone, over the wire."""

    id: UUID
    lane: str
    medium: str
    address: str
    mentions: list[str]
    urgent: bool
    digest: bool
    wants_ack: bool
    locale: str
    subject: str
    body: str
    state: str
    unsure: bool
    attempts: int
    provider_ref: str | None
    error: str | None
    created_at: datetime
    ended_at: datetime | None
    numbers: list[str]
    names: list[str]
    first_notice_id: UUID | None


_NOTICE: Final = """
    select n.id, n.order_id, n.kind, n.name, n.user_id, n.contact_id, n.role, n.medium, n.locale, n.urgent, n.wants_ack,
           n.title, n.body, n.state, n.due_at, n.digest, n.message_id, n.fallback_of, coalesce(m.attempts, 0) as attempts,
           m.provider_ref, coalesce(m.unsure, false) as unsure, coalesce(n.error, m.error) as error, n.created_at, n.sent_at,
           n.delivered_at, n.failed_at, n.read_at, n.acknowledged_at
    from notice n left join notice_message m on m.org_id = n.org_id and m.id = n.message_id
    where n.org_id = callout_org()
"""


async def of_order(work: Work, order_id: UUID, *, limit: int = 200) -> list[NoticeView]:
    """An order's notices, the newest first."""
    rows = await work.fetch(
        f"{_NOTICE} and n.order_id = $1 order by n.position desc limit $2", order_id, _size(limit)
    )
    return [NoticeView(**dict(row)) for row in rows]


async def of_user(
    work: Work, user_id: UUID, *, unread: bool = False, after: UUID | None = None, limit: int = 50
) -> Page[NoticeView]:
    """A person's own notices, the newest first: one a line, by whatever media it went."""
    size = _size(limit)
    rows = await work.fetch(
        f"""
        {_NOTICE} and n.user_id = $1 and n.fallback_of is null and (not $2 or n.read_at is null)
          and ($3::uuid is null or n.position <
               (select position from notice where org_id = callout_org() and id = $3))
        order by n.position desc limit $4
        """,
        user_id,
        unread,
        after,
        size + 1,
    )
    items = [NoticeView(**dict(row)) for row in rows[:size]]
    return Page(items=items, end_cursor=str(items[-1].id) if items else None, has_more=len(rows) > size)


async def by_id(work: Work, notice_id: UUID) -> NoticeView | None:
    """One notice."""
    row = await work.fetchrow(f"{_NOTICE} and n.id = $1", notice_id)
    return None if row is None else NoticeView(**dict(row))


async def messages(
    work: Work,
    *,
    lane: str | None = None,
    medium: str | None = None,
    state: str | None = None,
    number: str | None = None,
    person: str | None = None,
    sunk: bool = False,
    after: UUID | None = None,
    limit: int = 50,
) -> Page[MessageView]:
    """Messages, the newest first; `number` and `person` find a part of an order's number or of a name; `sunk`: only
    what went to the sink."""
    size = _size(limit)
    rows = await work.fetch(
        """
        select m.id, m.lane, m.medium, m.address, m.mentions, m.urgent, m.digest, m.wants_ack, m.locale, m.subject, m.body,
               m.state, m.unsure, m.attempts, m.provider_ref, m.error, m.created_at, m.ended_at,
               coalesce(x.numbers, '{}') as numbers, coalesce(x.names, '{}') as names, x.first_notice_id
        from notice_message m
        left join lateral (
            select array_agg(distinct o.number) filter (where o.number is not null) as numbers,
                   array_agg(distinct n.name) as names, (array_agg(n.id order by n.position))[1] as first_notice_id
            from notice n left join work_order o on o.org_id = n.org_id and o.id = n.order_id
            where n.org_id = m.org_id and n.message_id = m.id
        ) x on true
        where m.org_id = callout_org() and ($1::text is null or m.lane = $1) and ($2::text is null or m.medium = $2)
          and ($3::text is null or m.state = $3) and ($6::uuid is null or m.id < $6)
          and (not $8::boolean or m.lane = 'sink' or m.provider_ref = 'sink')
          and ($4::text is null or exists (select 1 from unnest(x.numbers) one where strpos(lower(one), lower($4)) > 0))
          and ($5::text is null or exists (select 1 from unnest(x.names) one where strpos(lower(one), lower($5)) > 0))
        order by m.id desc limit $7
        """,
        lane,
        medium,
        state,
        number or None,
        person or None,
        after,
        size + 1,
        sunk,
    )
    items = [_message(row) for row in rows[:size]]
    return Page(items=items, end_cursor=str(items[-1].id) if items else None, has_more=len(rows) > size)


def _message(row: Any) -> MessageView:
    values = dict(row)
    for key in ("mentions", "numbers", "names"):
        values[key] = list(values[key])
    return MessageView(**values)


async def notice_ids_of_message(work: Work, message_id: UUID) -> Sequence[UUID]:
    """The notices that went in a message, in their order."""
    rows = await work.fetch(
        "select id from notice where org_id = callout_org() and message_id = $1 order by position", message_id
    )
    return [row["id"] for row in rows]


def _size(limit: int) -> int:
    if not 1 <= limit <= PAGE_MAX:
        raise LimitExceeded(path="first", what="rows a page", limit=PAGE_MAX, given=limit)
    return limit
