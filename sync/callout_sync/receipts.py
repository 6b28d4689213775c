"""Receipts: the answer to every command, so that a replay is harmless and is answered like the first time."""

from collections.abc import Sequence
from uuid import UUID

import msgspec

from callout_contracts.commands import Answer
from callout_store.columns import column, json_column
from callout_store.work import Work


class Receipt(msgspec.Struct, frozen=True, kw_only=True):
    """What was answered to a command with this id, and the hash of its body then."""

    body_sha256: bytes
    answer: Answer


def write(work: Work, rows: Sequence[tuple[UUID, bytes, int, Answer]]) -> None:
    """Store answers `(command id, body hash, sequence, answer)` of this unit of work's device, at its end.

    A unique violation means that the same command is being answered by another request this instant; the caller's
    transaction is undone and tried again, and then finds the other's receipt.
    """
    if not rows:
        return
    work.later(
        """
        insert into receipt (org_id, command_id, device_id, body_sha256, sequence, received_at, answer)
        select (select callout_org()), c, $5::uuid, decode(h, 'hex'), s, $6::timestamptz, a
        from unnest($1::text::uuid[], $2::text::text[], $3::text::bigint[], $4::text::text[]) as t(c, h, s, a)
        """,
        column([row[0] for row in rows]),
        column([row[1].hex() for row in rows]),
        column([row[2] for row in rows]),
        json_column([row[3] for row in rows]),
        work.actor.device_id,
        work.now,
    )


async def amend(work: Work, rows: Sequence[tuple[UUID, Answer]]) -> None:
    """Give commands their final answer: held ones that were applied, quarantined ones that were run again.

    The hash of the body stays the first one's, so that the phone's replay is still known as such.
    """
    if not rows:
        return
    await work.execute(
        """
        update receipt r set answer = t.a from unnest($1::uuid[], $2::text[]) as t(c, a)
        where r.org_id = callout_org() and r.command_id = t.c
        """,
        [row[0] for row in rows],
        [msgspec.json.encode(row[1]).decode() for row in rows],
    )
