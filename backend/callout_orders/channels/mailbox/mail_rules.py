"""What is different about mails: threads, and machines that answer machines."""

import re
from datetime import timedelta
from typing import Final
from uuid import UUID

import msgspec

from callout_orders.channels.inbox import Stored
from callout_orders.channels.terms import Account, Inbound
from callout_store.work import Work

ANSWERS_MAX: Final = 12
"""To one address in an hour: whoever gets more is a machine that answers us."""
_OURS: Final = re.compile(r"<([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})@", re.I)


def ignored(account: Account, inbound: Inbound) -> str | None:
    """Why a mail is kept and nothing is done about it: a machine's, or our own. None for a person's."""
    machine = inbound.reply.get("machine")
    if machine:
        return str(machine)
    own = str(account.settings.get("address", "")).lower()
    return "own_address" if own and inbound.peer.lower() == own else None


async def in_its_thread(work: Work, message: Stored, inbound: Inbound) -> Stored:
    """The message in the thread of the earlier mail that it answers, ours or its sender's own; with that one's order.

    Only mails of the same address lead there: who guesses an id gets into nobody's order.
    """
    references = [str(one) for one in inbound.reply.get("references", [])]
    if not references:
        return message
    ours = [UUID(found[1]) for one in references if (found := _OURS.match(one))]
    row = await work.fetchrow(
        """
        select m.thread, coalesce(m.order_id, d.order_id) as order_id from intake_message m
        left join intake_draft d on d.org_id = m.org_id and d.id = m.draft_id
        where m.org_id = callout_org() and m.channel_id = $1 and m.peer = $2 and m.id <> $3
          and (m.external_id = any($4::text[]) or m.id = any($5::uuid[]))
        order by m.id desc limit 1
        """,
        message.channel_id,
        message.peer,
        message.id,
        references,
        ours,
    )
    if row is None:
        return message
    return msgspec.structs.replace(message, thread=row["thread"], order_id=row["order_id"])


async def may_answer(work: Work, account: Account, peer: str) -> bool:
    """Whether an address may be answered once more within the hour."""
    count = await work.fetchval(
        """
        select count(*) from intake_message
        where org_id = callout_org() and channel_id = $1 and direction = 'out' and peer = $2 and at > $3
        """,
        account.id,
        peer,
        work.now - timedelta(hours=1),
    )
    return bool(count < ANSWERS_MAX)
