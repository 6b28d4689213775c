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
from callout_orders.channels import files, inbox
from callout_orders.channels.inbox import Received
from callout_orders.channels.mailbox import mail
from callout_orders.channels.mailbox.mail import Mail, MailFile
from callout_orders.channels.terms import Account
from callout_store.work import Actor, Database, Work
from callout_sync.blobs import Storage

CHANNEL: Final = Actor(role="channel")

log = structlog.get_logger(__name__)


def mail_key(org_id: UUID, sha256: bytes) -> str:
    """The name of a whole mail in the store."""
    return f"{org_id}/mail/{sha256.hex()}"


async def take_mail(db: Database, storage: Storage, org_id: UUID, account: Account, data: bytes) -> Received:
    """Store a mail, its files and what it says, and owe its handling. Once for one Message-ID. Raises StorageUnavailable."""
    digest = hashlib.sha256(data).digest()
    key = mail_key(org_id, digest)
    await storage.put(key, data)
    try:
        read = await asyncio.to_thread(mail.read, data)
    except Exception:
        # Whoever wrote it waits for an answer, whatever it is made of: what its head says is enough to begin with.
        log.warning("mail_unreadable", channel=account.code, exc_info=True)
        read = mail.read_head(data)
    brought = (
        []
        if read.machine is not None
        else [
            (one, await kept_files.keep(storage, org_id, one.data, declared=one.media_type))
            for one in read.files
        ]
    )
    return await _store(
        db, org_id, account, read, brought, head=data[: mail.HEAD_BYTES_MAX], size=len(data), key=key
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
    large: bool = False,
) -> Received:
    inbound = mail.inbound(read, too_large_bytes=size if large else None)

    async def act(work: Work) -> Received:
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
        return received

    return await db.run(org_id, act, actor=CHANNEL)
