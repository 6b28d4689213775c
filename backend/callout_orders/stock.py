"""Stock: parts in vans and depots. Moves are append-only, levels are their sums.

A phone's truth may make a level negative (the part was in the van, the book did not know): that is written
into the journal for a person, never refused.
"""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import asyncpg
import msgspec

from callout_orders import checks
from callout_store.errors import NotFound
from callout_store.ids import new_id
from callout_store.journal import Entry, write_many
from callout_store.work import Work

QUANTITY_MAX = 1_000_000


class Move(msgspec.Struct, frozen=True, kw_only=True):
    """`quantity` pieces into (+) or out of (−) what `holder_id` (an engineer's van or a depot) has of a part.

    `event_id` makes it once only: a second move of the same event does nothing. `at` defaults to now.
    """

    holder_id: UUID
    part_id: UUID
    quantity: int
    reason: str
    event_id: UUID | None = None
    order_id: UUID | None = None
    at: datetime | None = None


class Level(msgspec.Struct, frozen=True, kw_only=True):
    """What a holder has of a part after the moves; `id` is the row that the phones' feed knows as `stock`."""

    id: UUID
    holder_id: UUID
    part_id: UUID
    quantity: int


async def move(work: Work, moves: Sequence[Move]) -> list[Level]:
    """Apply moves in one statement; returns the levels that changed.

    Levels are written in the order of (holder, part), so that two batches over the same vans wait for each
    other instead of blocking each other. A part that is not there refuses the whole batch.
    """
    checks.batch("stock moves", list(moves))
    for i, one in enumerate(moves):
        checks.whole(f"moves.{i}.quantity", one.quantity, low=-QUANTITY_MAX, high=QUANTITY_MAX)
        if one.quantity == 0:
            raise checks.FieldRefused(f"moves.{i}.quantity", "range", low=1, high=QUANTITY_MAX)
        checks.text(f"moves.{i}.reason", one.reason)
    if not moves:
        return []
    ordered = sorted(moves, key=lambda m: (m.holder_id, m.part_id, m.event_id or m.part_id))
    try:
        rows = await work.fetch(
            """
            with given as (
                select * from unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::uuid[], $5::int[], $6::text[],
                    $7::uuid[], $8::uuid[], $9::timestamptz[])
                    as t(id, level_id, holder_id, part_id, quantity, reason, event_id, order_id, at)
            ), moved as (
                insert into stock_move
                    (id, holder_id, part_id, quantity, reason, event_id, order_id, at, actor_id)
                select id, holder_id, part_id, quantity, reason, event_id, order_id, at, $10 from given
                on conflict (org_id, event_id) do nothing
                returning id
            ), sums as (
                select g.holder_id, g.part_id, sum(g.quantity)::int as change,
                       (array_agg(g.level_id))[1] as level_id
                from given g join moved m on m.id = g.id
                group by g.holder_id, g.part_id
                order by g.holder_id, g.part_id
            ), levels as (
                insert into stock_level (id, holder_id, part_id, quantity)
                select level_id, holder_id, part_id, change from sums order by holder_id, part_id
                on conflict (org_id, holder_id, part_id) do update
                set quantity = stock_level.quantity + excluded.quantity
                returning id, holder_id, part_id, quantity
            )
            select l.id, l.holder_id, l.part_id, l.quantity, s.change
            from levels l join sums s on s.holder_id = l.holder_id and s.part_id = l.part_id
            """,
            [new_id() for _ in ordered],
            [new_id() for _ in ordered],
            [m.holder_id for m in ordered],
            [m.part_id for m in ordered],
            [m.quantity for m in ordered],
            [m.reason.strip() for m in ordered],
            [m.event_id for m in ordered],
            [m.order_id for m in ordered],
            [m.at or work.now for m in ordered],
            work.actor.user_id,
        )
    except asyncpg.ForeignKeyViolationError:
        raise NotFound(entity="part", path="moves") from None
    below = [row for row in rows if row["quantity"] < 0 and row["change"] < 0]
    if below:
        await write_many(
            work,
            [
                Entry(
                    kind="stock.negative",
                    entity="stock",
                    entity_id=row["id"],
                    data={
                        "holderId": row["holder_id"],
                        "partId": row["part_id"],
                        "quantity": row["quantity"],
                    },
                )
                for row in below
            ],
        )
    work.touch("stock", *(row["id"] for row in rows))
    return [
        Level(id=row["id"], holder_id=row["holder_id"], part_id=row["part_id"], quantity=row["quantity"])
        for row in rows
    ]


async def levels_of(work: Work, holder_ids: Sequence[UUID]) -> list[UUID]:
    """The ids of all levels of these holders."""
    rows = await work.fetch(
        "select id from stock_level where org_id = callout_org() and holder_id = any($1)", list(holder_ids)
    )
    return [row["id"] for row in rows]


async def known_parts(work: Work, part_ids: Sequence[UUID]) -> set[UUID]:
    """Those of the ids that are parts of this organisation."""
    if not part_ids:
        return set()
    rows = await work.fetch(
        "select id from part where org_id = callout_org() and id = any($1)", list(set(part_ids))
    )
    return {row["id"] for row in rows}
