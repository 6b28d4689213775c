"""A mail on its way in, from its bytes to a stored message: for the poller of mailboxes and for the door alike.

The whole mail goes into the store first. A mail that is too large is known by its head alone: the rest was never held.
"""

import asyncio
import hashlib
from typing import Final
from uuid import UUID

import structlog

from callout_backend import kept_files
from callout_backend.kept_files import Kept
from callout_orders.channels import files, forgetting, inbox
from callout_orders.channels.inbox import Received
from callout_orders.channels.mailbox import mail
from callout_orders.channels.mailbox.mail import Mail, MailFile
from callout_orders.channels.terms import Account
from callout_store.work import Actor, Database, Work
from callout_sync import loose_bytes
from callout_sync.attachments import lock_blobs
from callout_sync.blobs import Storage, mail_key, raw_key

CHANNEL: Final = Actor(role="channel")

log = structlog.get_logger(__name__)


async def take_mail(db: Database, storage: Storage, org_id: UUID, account: Account, data: bytes) -> Received:
    """Store a mail, its files and what it says, and owe its handling. Once for one Message-ID. Raises StorageUnavailable."""
    try:
        read = await asyncio.to_thread(mail.read, data)
    except Exception:
        # Whoever wrote it waits for an answer, whatever it is made of: what its head says is enough to begin with.
        log.warning("mail_unreadable", channel=account.code, exc_info=True)
        read = mail.read_head(data)
    brought = [
        (file, kept_files.look(file.data, declared=file.media_type))
        for file in (read.files if read.machine is None else ())
    ]
    key = mail_key(org_id, hashlib.sha256(data).digest())
    contents = {raw_key(org_id, kept.sha256): file.data for file, kept in brought if kept.code is None}
    claim = await kept_files.put(db, storage, org_id, {key: data, **contents})
    return await _store(
        db,
        org_id,
        account,
        read,
        brought,
        head=data[: mail.HEAD_BYTES_MAX],
        size=len(data),
        key=key,
        claim=claim,
    )


async def take_large(db: Database, org_id: UUID, account: Account, head: bytes, size_bytes: int) -> Received:
    """Store what the head of a mail says that is too large to be read; its sender is told the limit."""
    return await _store(
        db,
        org_id,
        account,
        mail.read_head(head),
        [],
        head=head[: mail.HEAD_BYTES_MAX],
        size=size_bytes,
        large=True,
    )


async def _store(
    db: Database,
    org_id: UUID,
    account: Account,
    read: Mail,
    brought: list[tuple[MailFile, Kept]],
    *,
    head: bytes,
    size: int,
    key: str | None = None,
    claim: UUID | None = None,
    large: bool = False,
) -> Received:
    inbound = mail.inbound(read, too_large_bytes=size if large else None)

    hashes = [kept.sha256 for _, kept in brought if kept.code is None]

    async def act(work: Work) -> Received:
        # All at once, in one order for all: two mails with the same two files would wait for each other.
        await lock_blobs(work, hashes)
        received = await inbox.record(work, account, inbound, raw=head, size_bytes=size, raw_key=key)
        if received.new:
            for file, kept in brought:
                await files.add_stored(
                    work,
                    holder=files.holder_of(received.id),
                    name=file.name,
                    media_type=kept.media_type,
                    size_bytes=kept.size_bytes,
                    sha256=kept.sha256,
                    channel_id=account.id,
                    message_id=received.id,
                    code=kept.code,
                )
                await kept_files.note(work, kept)
        if claim is not None:
            await loose_bytes.settle(work, claim)
        if key is not None and not received.new:
            # The same message in other bytes, or one whose time is over: what was put there is named by nothing.
            await forgetting.owe(work, [bytes.fromhex(key.rpartition("/")[2]), *hashes])
        return received

    return await db.run(org_id, act, actor=CHANNEL)
