"""Receipts: the answer to every command, so that a replay is harmless and is answered like the first time."""

from collections.abc import Sequence
from uuid import UUID

import msgspec

from callout_contracts.commands import Answer
from callout_store.work import Work


class Receipt(msgspec.Struct, frozen=True, kw_only=True):
    """What was answered to a command with this id, and the hash of its body then."""

    body_sha256: bytes
    answer: Answer


async def find(work: Work, ids: Sequence[UUID]) -> dict[UUID, Receipt]:
    """Receipts of commands that were answered before."""
    rows = await work.fetch(
        "select command_id, body_sha256, answer from receipt where org_id = callout_org() and command_id = any($1)",
        list(ids),
    )
    return {
        row["command_id"]: Receipt(
            body_sha256=row["body_sha256"], answer=msgspec.json.decode(row["answer"], type=Answer)
        )
        for row in rows
    }


async def write(work: Work, rows: Sequence[tuple[UUID, bytes, int, Answer]]) -> None:
    """Store answers `(command id, body hash, sequence, answer)` of this unit of work's device.

    A unique violation means that the same command is being answered by another request this instant; the caller's
    transaction is undone and tried again, and then finds the other's receipt.
    """
    if not rows:
        return
    await work.execute(
        """
        insert into receipt (command_id, device_id, body_sha256, sequence, received_at, answer)
        select c, $5, h, s, $6, a from unnest($1::uuid[], $2::bytea[], $3::bigint[], $4::text[]) as t(c, h, s, a)
        """,
        [row[0] for row in rows],
        [row[1] for row in rows],
        [row[2] for row in rows],
        [msgspec.json.encode(row[3]).decode() for row in rows],
        work.actor.device_id,
        work.now,
    )
