"""The orders of whoever writes: which are theirs, how they stand, and which one a message is about."""

from typing import Final
from uuid import UUID

from asyncpg import Record

from callout_orders.channels import desk_people, files
from callout_orders.channels.conversations import offering, talk, talk_texts
from callout_orders.channels.conversations.talk import Word
from callout_orders.channels.inbox import Stored
from callout_orders.channels.terms import Account, ChannelKind, Inbound
from callout_store.journal import Entry, write
from callout_store.work import Work

FILE_LATER_HOURS: Final = 24
"""So long after its order a picture without words belongs to that order."""
STATUS_ORDERS: Final = 5


async def said_of_answers(
    work: Work, account: Account, message: Stored, word: Word, locale: str
) -> tuple[UUID, str] | None:
    """Whether the answers that were offered helped: the order and what to say; None where there is nothing to say that of."""
    order = await last_order(work, account.id, message.peer)
    if order is None or not await offering.answered(work, order["id"], word is Word.SOLVED):
        return None
    return order["id"], talk_texts.text(word.value, locale, number=order["number"])


async def statuses(work: Work, account: Account, message: Stored, locale: str) -> str:
    rows = await work.fetch(
        """
        select distinct on (o.id) o.id, o.number, o.state from intake_draft d
        join work_order o on o.org_id = d.org_id and o.id = d.order_id
        where d.org_id = callout_org() and d.channel_id = $1 and d.peer = $2 order by o.id desc limit $3
        """,
        account.id,
        message.peer,
        STATUS_ORDERS,
    )
    return talk_texts.statuses([(row["number"], row["state"]) for row in rows], locale)


async def last_order(work: Work, channel_id: UUID, peer: str) -> Record | None:
    return await work.fetchrow(
        """
        select o.id, o.number, o.customer_id, o.contact_id, d.ended_at from intake_draft d
        join work_order o on o.org_id = d.org_id and o.id = d.order_id
        where d.org_id = callout_org() and d.channel_id = $1 and d.peer = $2 order by d.id desc limit 1
        """,
        channel_id,
        peer,
    )


async def is_theirs(work: Work, account: Account, peer: str, order_id: UUID) -> bool:
    """Whether an order came from this sender: by this account, or by mail under the address that reported it."""
    return bool(
        await work.fetchval(
            """
            select exists (select 1 from intake_draft d
                where d.org_id = o.org_id and d.order_id = o.id and d.channel_id = $2 and d.peer = $3)
                or ($4 and lower(o.reporter_email) = lower($3))
            from work_order o where o.org_id = callout_org() and o.id = $1
            """,
            order_id,
            account.id,
            peer,
            account.kind == ChannelKind.MAIL,
        )
    )


async def belongs_to_order(
    work: Work, account: Account, message: Stored, inbound: Inbound
) -> tuple[UUID, str, str] | None:
    """The order that a message is about, where it names one of its sender's, or brings a picture soon after it."""
    number = talk.order_number(f"{inbound.reply.get('subject', '')}\n{inbound.text}")
    brought = await files.of_holder(work, files.holder_of(message.id))
    order = None
    if number is not None:
        order = await work.fetchrow(
            """
            select o.id, o.number from work_order o
            where o.org_id = callout_org() and o.number = $1 and o.state not in ('closed', 'canceled') and (
                exists (select 1 from intake_draft d
                    where d.org_id = o.org_id and d.order_id = o.id and d.channel_id = $2 and d.peer = $3)
                or ($4 and (lower(o.reporter_email) = $3 or exists (select 1 from contact c
                    where c.org_id = o.org_id and c.customer_id = o.customer_id and lower(c.email) = $3))))
            """,
            number,
            account.id,
            message.peer,
            account.kind == ChannelKind.MAIL,
        )
    elif message.order_id is not None:
        order = await work.fetchrow(
            "select id, number from work_order where org_id = callout_org() and id = $1", message.order_id
        )
    elif inbound.media and not inbound.text:
        last = await last_order(work, account.id, message.peer)
        age_h = (work.now - last["ended_at"]).total_seconds() / 3600 if last and last["ended_at"] else None
        order = last if age_h is not None and age_h <= FILE_LATER_HOURS else None
    if order is None:
        return None
    ids = [one.id for one in brought]
    if not ids and inbound.media:
        ids = await files.await_media(
            work, account.id, message.id, inbound.media, holder=files.holder_of(message.id)
        )
    await files.to_order(work, ids, order["id"])
    await _show(work, message, inbound, order["id"])
    if inbound.text:
        await write(
            work,
            Entry(
                kind="work_order.note_added",
                entity="work_order",
                entity_id=order["id"],
                order_id=order["id"],
                data={"channel": account.code, "from": message.peer, "text": inbound.text},
            ),
        )
    return order["id"], order["number"], "note_to_order" if inbound.text else "file_to_order"


async def _show(work: Work, message: Stored, inbound: Inbound, order_id: UUID) -> None:
    """Whoever has the order in hand sees that its customer wrote, even where it was done with; else the desk. Asked anew
    only once that was settled."""
    row = await work.fetchrow(
        """
        select u.id as handler_id, exists (
            select from todo t where t.org_id = o.org_id and t.order_id = o.id and t.kind = 'intake.note'
              and t.state in ('open', 'acknowledged')) as asked
        from work_order o left join app_user u on u.org_id = o.org_id and u.id = o.handler_id and u.active
        where o.org_id = callout_org() and o.id = $1
        """,
        order_id,
    )
    if row is None or row["asked"]:
        return
    await desk_people.ask(
        work,
        "intake.note",
        f"note:{message.id}",
        order_id=order_id,
        data={"peer": message.peer, "text": inbound.text[:120] or "…"},
        of=[row["handler_id"]] if row["handler_id"] is not None else None,
    )
