"""Answers that were written and left nowhere: of accounts that answer nothing, and of a house that sends nothing."""

from datetime import datetime
from typing import Final
from uuid import UUID

import msgspec

from callout_orders.channels.terms import CHAT, Account, ChannelKind
from callout_store.work import Work

SINK: Final = "sink"
"""Why an answer is `sent` that nobody got."""
MEDIA: Final = ("email", *sorted(f"{kind}_chat" for kind in CHAT))
"""What an answer would have gone by."""


class Unsent(msgspec.Struct, frozen=True, kw_only=True):
    """An answer as its reader would have got it."""

    id: UUID
    medium: str
    peer: str
    subject: str
    text: str
    locale: str
    number: str | None
    at: datetime


def goes_nowhere(account: Account, *, session: bool, sink: str) -> bool:
    """Whether an answer by this account goes to the sink: `sink` everything does, `mixed` what the account has no means to
    send. `session`: the message that is answered brought an address for it."""
    means = (
        account.settings.get("smtpHost")
        if account.kind == ChannelKind.MAIL
        else account.secrets.get("appSecret")
    )
    return sink == SINK or (sink == "mixed" and not means and not session)


async def page(
    work: Work,
    *,
    medium: str | None = None,
    number: str | None = None,
    person: str | None = None,
    after: UUID | None = None,
    limit: int,
) -> list[Unsent]:
    """Such answers, the newest first; `number` and `person` find a part of the order's number or of whom it is for."""
    if medium is not None and medium not in MEDIA:
        return []
    rows = await work.fetch(
        """
        select m.id, case when c.kind = 'mail' then 'email' else c.kind || '_chat' end as medium, m.peer,
               coalesce(m.content -> 'reply' ->> 'subject', '') as subject, m.content ->> 'text' as text, c.locale,
               o.number, m.at
        from intake_message m
        join intake_channel c on c.org_id = m.org_id and c.id = m.channel_id
        left join work_order o on o.org_id = m.org_id and o.id = m.order_id
        where m.org_id = callout_org() and m.direction = 'out' and m.reason in ('answers_off', $1)
          and m.content ->> 'text' is not null and c.kind <> 'web_form'
          and ($2::text is null or case when c.kind = 'mail' then 'email' else c.kind || '_chat' end = $2)
          and ($3::text is null or strpos(lower(o.number), lower($3)) > 0)
          and ($4::text is null or strpos(lower(m.peer), lower($4)) > 0)
          and ($5::uuid is null or m.id < $5)
        order by m.id desc limit $6
        """,
        SINK,
        medium,
        number or None,
        person or None,
        after,
        limit,
    )
    return [Unsent(**dict(row)) for row in rows]
