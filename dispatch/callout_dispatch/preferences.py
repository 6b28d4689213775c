"""Whom a customer, a site or one order must have, will not have, or would like. One word on each engineer and target."""

from datetime import datetime
from typing import Final
from uuid import UUID

import asyncpg
import msgspec

from callout_dispatch.setup_texts import SetupRefused
from callout_orders.rows import Page, page_size, paged
from callout_store import journal
from callout_store.errors import LimitExceeded, NotFound
from callout_store.ids import new_id
from callout_store.work import Work

KINDS: Final = ("required", "excluded", "preferred")
PER_TARGET_MAX: Final = 200
"""Engineers of whom one customer, site or order says something."""


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """What the word holds for: all orders of a customer, those at a site, or one order. Exactly one of them."""

    customer_id: UUID | None = None
    site_id: UUID | None = None
    order_id: UUID | None = None

    def as_tuple(self) -> tuple[UUID | None, UUID | None, UUID | None]:
        """Customer, site, order."""
        return self.customer_id, self.site_id, self.order_id


class Preference(msgspec.Struct, frozen=True, kw_only=True):
    """A word on an engineer; `kind` is required, excluded or preferred."""

    id: UUID
    engineer_id: UUID
    customer_id: UUID | None
    site_id: UUID | None
    order_id: UUID | None
    kind: str
    created_at: datetime
    created_by: UUID | None


async def set_preference(
    work: Work, engineer_id: UUID, target: Target, kind: str | None
) -> Preference | None:
    """Say something of an engineer in place of what was said before, or with `kind` None take it back; what stands.

    The same again changes nothing. Raises NotFound (engineer, target), BadField, LimitExceeded.
    """
    if sum(id_ is not None for id_ in target.as_tuple()) != 1:
        raise SetupRefused("target", "one_target")
    if kind is not None and kind not in KINDS:
        raise SetupRefused("kind", "kind", options=", ".join(KINDS))
    before = await work.fetchrow(
        f"select {_COLUMNS} from engineer_preference where {_THIS}", engineer_id, *target.as_tuple()
    )
    if (before["kind"] if before else None) == kind:
        return Preference(**dict(before)) if before else None
    if kind is None:
        await work.execute(f"delete from engineer_preference where {_THIS}", engineer_id, *target.as_tuple())
        await _note(
            work, engineer_id, target, "engineer.preference_removed", before["kind"] if before else None
        )
        return None
    if before is None:
        await _check_room(work, target)
    try:
        row = await work.fetchrow(
            f"""
            insert into engineer_preference
                (id, engineer_id, customer_id, site_id, order_id, kind, created_at, created_by)
            values ($1, $2, $3, $4, $5, $6, $7, $8)
            on conflict (org_id, engineer_id, customer_id, site_id, order_id) do update set kind = excluded.kind
            returning {_COLUMNS}
            """,
            new_id(),
            engineer_id,
            *target.as_tuple(),
            kind,
            work.now,
            work.actor.user_id,
        )
    except asyncpg.ForeignKeyViolationError as fault:
        name = next(
            (n for n in ("customer_id", "site_id", "order_id") if n in (fault.constraint_name or "")),
            "engineer_id",
        )
        path = {"customer_id": "customerId", "site_id": "siteId", "order_id": "orderId"}.get(
            name, "engineerId"
        )
        raise NotFound(entity=name.removesuffix("_id"), path=path) from None
    assert row is not None
    await _note(work, engineer_id, target, "engineer.preference_set", kind)
    return Preference(**dict(row))


async def preferences_page(
    work: Work,
    target: Target | None = None,
    *,
    engineer_id: UUID | None = None,
    after: UUID | None = None,
    limit: int = 50,
) -> Page[Preference]:
    """Words on engineers, newest first; what is not named matters not. `limit` 1..200."""
    size = page_size(limit)
    rows = await work.fetch(
        f"""
        select {_COLUMNS} from engineer_preference
        where org_id = callout_org() and ($2::uuid is null or engineer_id = $2)
              and ($3::uuid is null or customer_id = $3) and ($4::uuid is null or site_id = $4)
              and ($5::uuid is null or order_id = $5) and ($6::uuid is null or id < $6)
        order by id desc limit $1
        """,
        size + 1,
        engineer_id,
        *(target or Target()).as_tuple(),
        after,
    )
    return paged([Preference(**dict(row)) for row in rows], size)


_COLUMNS: Final = "id, engineer_id, customer_id, site_id, order_id, kind, created_at, created_by"
_THIS: Final = """
org_id = callout_org() and engineer_id = $1 and customer_id is not distinct from $2
and site_id is not distinct from $3 and order_id is not distinct from $4
"""


async def _check_room(work: Work, target: Target) -> None:
    count = await work.fetchval(
        """
        select count(*) from engineer_preference
        where org_id = callout_org() and (customer_id = $1 or site_id = $2 or order_id = $3)
        """,
        *target.as_tuple(),
    )
    if count >= PER_TARGET_MAX:
        raise LimitExceeded(
            path="target", what="preferences of one target", limit=PER_TARGET_MAX, given=count + 1
        )


async def _note(work: Work, engineer_id: UUID, target: Target, kind: str, word: str | None) -> None:
    await journal.write(
        work,
        journal.Entry(
            kind=kind,
            entity="engineer",
            entity_id=engineer_id,
            order_id=target.order_id,
            data={
                "kind": word,
                "customerId": target.customer_id,
                "siteId": target.site_id,
                "orderId": target.order_id,
            },
        ),
    )
