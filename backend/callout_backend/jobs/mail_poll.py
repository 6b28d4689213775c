"""Looking into mailboxes. The timer of a mailbox fires for one worker at a time; what was read is known by UID and, for good,
by Message-ID, so that a mail that is read twice is one message.

A mailbox that cannot be read is tried again more and more rarely, its row says since when and why, and after an hour a
person is told.
"""

import asyncio
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

import structlog

from callout_backend.jobs.drain import Long
from callout_backend.jobs.imap import Mailbox, MailboxFault
from callout_backend.mail_intake import take_large, take_mail
from callout_orders.channels import accounts, desk_people
from callout_orders.channels.mailbox.mailboxes import Progress, failed, progress, read_until
from callout_orders.channels.terms import Account
from callout_store import timers
from callout_store.errors import Refusal
from callout_store.outbox import Claimed, Hopeless
from callout_store.work import Database, Work
from callout_sync.blobs import Storage

CHANNEL: Final = accounts.POLL_CHANNEL
POLL_S: Final = 60
FAULT_S_MAX: Final = 900
FIRST_DAYS: Final = 1
AGAIN_DAYS: Final = 14
TOLD_AFTER: Final = timedelta(hours=1)
DEADLINE_S: Final = 600.0

log = structlog.get_logger(__name__)


def poll_handler(storage: Storage, *, private_allowed: bool = False) -> Long:
    """The channel `mail.poll`. Harmless twice: a mail is stored once. `private_allowed`: mailboxes in the own network."""

    async def handle(db: Database, item: Claimed) -> None:
        try:
            channel_id = UUID(item.payload["channelId"])
            key, epoch = str(item.payload["timerKey"]), int(item.payload["timerEpoch"])
        except (KeyError, ValueError) as fault:
            raise Hopeless(f"no mailbox's timer: {fault!r}") from fault
        async with db.work(item.org_id) as work:
            # Set anew since it fired: that firing looks.
            current = await timers.is_current(work, key=key, epoch=epoch)
            account = await accounts.account(work, channel_id) if current else None
        if account is None or not account.enabled or not account.settings.get("imapHost"):
            return
        more = False
        why: str | None = None
        try:
            more = await look(db, storage, item.org_id, account, private_allowed=private_allowed)
        except (MailboxFault, Refusal, TimeoutError) as fault:
            why = fault.why if isinstance(fault, MailboxFault) else type(fault).__name__
        except Exception as fault:
            # The next look must come, whatever this one met.
            log.error("mailbox_fault", channel=account.code, exc_info=True)
            why = type(fault).__name__

        async def again(work: Work) -> None:
            pause_s = 0 if more else int(account.settings.get("pollSeconds") or POLL_S)
            if why is not None:
                since = await failed(work, channel_id, why)
                pause_s = _pause_s(pause_s, work.now, since)
                if work.now - since >= TOLD_AFTER:
                    await desk_people.ask(
                        work,
                        "intake.mailbox_failed",
                        f"mailbox:{channel_id}:{since:%Y%m%d%H%M%S}",
                        data={"channel": account.code, "reason": why},
                        urgent=True,
                    )
            due_at = await work.fetchval("select now() + make_interval(secs => $1)", float(pause_s))
            await timers.again(
                work, key=key, epoch=epoch, due_at=due_at, payload={"channelId": str(channel_id)}
            )

        await db.run(item.org_id, again)

    return Long(handle, DEADLINE_S)


async def look(
    db: Database, storage: Storage, org_id: UUID, account: Account, *, private_allowed: bool = False
) -> bool:
    """Take in what came since the last look; whether there is more. Raises MailboxFault."""
    async with db.work(org_id) as work:
        before = await progress(work, account.id)
    password = account.secrets.get("imapPassword", "")
    mailbox = Mailbox(account.settings, password, private_allowed=private_allowed)
    await asyncio.to_thread(mailbox.__enter__)
    try:
        after, since = before.last_uid, None
        if before.uid_validity != mailbox.uid_validity:
            # A mailbox that is new to us holds years of mails that somebody answered long ago. One that was made anew has
            # other UIDs: the last days are read again, and known again by their Message-ID.
            days = AGAIN_DAYS if before.uid_validity else FIRST_DAYS
            after, since = 0, (db.machine_clock.now() - timedelta(days=days)).date()
        uids = await asyncio.to_thread(mailbox.new_uids, after, since=since)
        for uid in uids:
            mail = await asyncio.to_thread(mailbox.fetch, uid)
            if mail is not None and mail.large:
                await take_large(db, org_id, account, mail.data, mail.size_bytes)
            elif mail is not None:
                await take_mail(db, storage, org_id, account, mail.data)
            reached = Progress(uid_validity=mailbox.uid_validity, last_uid=uid)
            await db.run(org_id, lambda work, reached=reached: read_until(work, account.id, reached))  # type: ignore[misc]
        if not uids:
            last = await asyncio.to_thread(mailbox.last_uid) if since is not None else after
            reached = Progress(uid_validity=mailbox.uid_validity, last_uid=last)
            await db.run(org_id, lambda work: read_until(work, account.id, reached))
        return bool(uids)
    finally:
        await asyncio.to_thread(mailbox.__exit__, None, None, None)


def _pause_s(usual_s: int, now: datetime, since: datetime) -> int:
    """The longer it has failed the rarer it is tried, at most every quarter of an hour."""
    return max(usual_s, min(FAULT_S_MAX, int((now - since).total_seconds() / 2)))
