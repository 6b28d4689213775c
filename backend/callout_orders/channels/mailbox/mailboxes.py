"""How far each mailbox was read, and since when it cannot be."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

import msgspec

from callout_store.work import Work

ERROR_CHARS_MAX: Final = 200


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """The highest UID that was read, and the validity under which it is one (RFC 3501, 2.3.1.1)."""

    uid_validity: int
    last_uid: int


class MailboxView(msgspec.Struct, frozen=True, kw_only=True):
    """A mailbox as an admin sees it."""

    channel_id: UUID
    last_uid: int
    polled_at: datetime | None
    failed_since: datetime | None
    last_error: str | None


async def progress(work: Work, channel_id: UUID) -> Progress:
    """How far it was read; nothing of it where it is new."""
    row = await work.fetchrow(
        "select uid_validity, last_uid from intake_mailbox where org_id = callout_org() and channel_id = $1",
        channel_id,
    )
    return Progress(uid_validity=0, last_uid=0) if row is None else Progress(**dict(row))


async def read_until(work: Work, channel_id: UUID, reached: Progress) -> None:
    """It was read up to here, and works."""
    await work.execute(
        """
        insert into intake_mailbox (channel_id, uid_validity, last_uid, polled_at) values ($1, $2, $3, $4)
        on conflict (org_id, channel_id) do update set uid_validity = excluded.uid_validity,
            last_uid = excluded.last_uid, polled_at = excluded.polled_at, failed_since = null, last_error = null
        """,
        channel_id,
        reached.uid_validity,
        reached.last_uid,
        work.now,
    )


async def failed(work: Work, channel_id: UUID, why: str) -> datetime:
    """It could not be read; since when that is so."""
    since: datetime = await work.fetchval(
        """
        insert into intake_mailbox (channel_id, polled_at, failed_since, last_error) values ($1, $2, $2, $3)
        on conflict (org_id, channel_id) do update set polled_at = excluded.polled_at,
            failed_since = coalesce(intake_mailbox.failed_since, excluded.failed_since), last_error = excluded.last_error
        returning failed_since
        """,
        channel_id,
        work.now,
        why[:ERROR_CHARS_MAX],
    )
    return since


async def mailboxes_by_channel_ids(work: Work, ids: Sequence[UUID]) -> list[MailboxView | None]:
    """Of each channel how reading its mailbox goes; None where it was never looked into."""
    rows = await work.fetch(
        "select channel_id, last_uid, polled_at, failed_since, last_error from intake_mailbox "
        "where org_id = callout_org() and channel_id = any($1::uuid[])",
        list(ids),
    )
    found = {row["channel_id"]: MailboxView(**dict(row)) for row in rows}
    return [found.get(one) for one in ids]
