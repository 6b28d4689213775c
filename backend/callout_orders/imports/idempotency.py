"""Idempotency-Keys: the same key and body again is the same order, another body under it is refused.

The key's row is written before the order is made: of two senders at once the second one waits at it, then finds the first
one's order, or makes it where the first one was refused.
"""

from typing import Final
from uuid import UUID

from callout_orders import checks
from callout_store.errors import Refusal
from callout_store.ids import new_id
from callout_store.work import Work

KEY_CHARS_MAX: Final = 200


class IdempotencyKeyReused(Refusal):
    """The key was used for something else."""

    code, status = "IDEMPOTENCY_KEY_REUSED", 422
    en = "This Idempotency-Key was sent before with another body. Use a fresh key for each new request."
    zh = "该 Idempotency-Key 已用于内容不同的请求,请为每个新请求使用新的键。"


async def known(work: Work, key: str, body_sha256: bytes) -> UUID | None:
    """The order that this key led to; None where it is the first time, and the key is held until the unit of work ends.

    Raises IdempotencyKeyReused for another body.
    """
    given = checks.text("Idempotency-Key", key, chars_max=KEY_CHARS_MAX)
    fresh = await work.execute(
        """
        insert into idempotency_key (id, user_id, key, body_sha256, created_at) values ($1, $2, $3, $4, now())
        on conflict (org_id, user_id, key) do nothing
        """,
        new_id(),
        work.actor.user_id,
        given,
        body_sha256,
    )
    if fresh:
        return None
    row = await work.fetchrow(
        "select body_sha256, order_id from idempotency_key where org_id = callout_org() and user_id = $1 and key = $2",
        work.actor.user_id,
        given,
    )
    assert row is not None, "a row that stood in the way is there"
    if bytes(row["body_sha256"]) != body_sha256:
        raise IdempotencyKeyReused(path="Idempotency-Key")
    order_id: UUID | None = row["order_id"]
    return order_id


async def keep(work: Work, key: str, order_id: UUID) -> None:
    """Remember what the key led to, in the same unit of work."""
    await work.execute(
        "update idempotency_key set order_id = $3 where org_id = callout_org() and user_id = $1 and key = $2",
        work.actor.user_id,
        key.strip(),
        order_id,
    )
