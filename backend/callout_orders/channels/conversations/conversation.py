"""Handling one message, once: for the door that waits for the answer and for the worker alike."""

from uuid import UUID

from callout_orders.channels import accounts, desk_people, inbox
from callout_orders.channels.conversations import draft_rows, drafts
from callout_orders.channels.conversations.drafts import Linker
from callout_store import timers
from callout_store.work import Work


async def handle_message(work: Work, message_id: UUID, *, link: Linker, at_once: bool = False) -> bool:
    """Do what a message asks; False where that was done before. `at_once`: the caller gives the answer."""
    message = await inbox.message(work, message_id, lock=True)
    if message is None or message.state != "received":
        return False
    account = await accounts.account(work, message.channel_id)
    if account is None:
        return False
    await drafts.handle(work, account, message, link=link, at_once=at_once)
    return True


async def give_up(work: Work, message_id: UUID, why: str) -> None:
    """It cannot be handled: a person has to look at it."""
    message = await inbox.message(work, message_id, lock=True)
    if message is None or message.state != "received":
        return
    await inbox.settle(work, message_id, "failed", reason=why[:200])
    await desk_people.ask(
        work,
        "intake.message_failed",
        f"message:{message_id}",
        data={"messageId": str(message_id), "peer": message.peer, "reason": why[:120]},
    )


async def patience_ends(work: Work, draft_id: UUID, *, epoch: int) -> bool:
    """A conversation's timer fired; False where it went on since."""
    if not await timers.is_current(work, key=draft_rows.patience_key(draft_id), epoch=epoch):
        return False
    draft = await draft_rows.draft(work, draft_id, lock=True)
    if draft is None or draft.state != "open":
        return False
    account = await accounts.account(work, draft.channel_id)
    if account is None:
        return False
    await drafts.run_out(work, account, draft)
    return True
