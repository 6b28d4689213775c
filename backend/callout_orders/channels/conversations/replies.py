"""Answers to the conversation that an order came out of, over the channel it came by."""

from uuid import UUID

from callout_orders.channels import accounts, inbox
from callout_orders.channels.conversations import draft_rows, talk_texts
from callout_orders.channels.files import FileView
from callout_orders.channels.terms import Account
from callout_store.work import Work


async def to_order(work: Work, order_id: UUID, text: str) -> bool:
    """Say something to whoever reported an order in a chat or by mail; False where there was no conversation, or where its
    channel gives no answers."""
    draft_id = await work.fetchval(
        "select id from intake_draft where org_id = callout_org() and order_id = $1 order by id desc limit 1",
        order_id,
    )
    draft = await draft_rows.draft(work, draft_id) if draft_id is not None else None
    account = await accounts.account(work, draft.channel_id) if draft is not None else None
    if draft is None or account is None or not account.answers:
        return False
    await inbox.say(
        work,
        account,
        peer=draft.peer,
        thread=draft.thread,
        text=talk_texts.bounded(text),
        reply=await draft_rows.last_reply(work, draft.id),
        draft_id=draft.id,
        order_id=order_id,
    )
    return True


async def file_refused(work: Work, account: Account, file: FileView) -> None:
    """Say to who sent a file that it was not taken: they count on it."""
    message = await inbox.message(work, UUID(file.holder.removeprefix("message:")))
    if message is None:
        return
    draft = await draft_rows.draft(work, message.draft_id) if message.draft_id is not None else None
    await inbox.say(
        work,
        account,
        peer=message.peer,
        thread=message.thread,
        text=talk_texts.files_refused(
            [file.name or file.media_type], draft.locale if draft else account.locale
        ),
        reply={**message.content.get("reply", {}), "to": message.external_id},
        draft_id=message.draft_id,
        order_id=message.order_id,
    )
