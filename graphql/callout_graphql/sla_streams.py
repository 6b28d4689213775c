"""The countdown of an order's page: its milestones whenever something about them changes."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any, cast
from uuid import UUID

import strawberry

from callout_graphql.context import Context
from callout_graphql.edges import Info
from callout_graphql.listening import ear_of, listen
from callout_graphql.sight import orders_in_sight, sight_of
from callout_graphql.types.sla import Milestone
from callout_orders.sla import reading
from callout_store.errors import Busy, NotFound


@strawberry.type
class SlaSubscription:
    """What may be listened to of the SLA clock."""

    @strawberry.subscription
    async def order_milestones(self, info: Info, id: UUID) -> AsyncGenerator[list[Milestone], None]:
        """An order's milestones: at once, and again when one is warned of, missed, met, held or due at another time.

        Between two of them count `remainingSeconds` down from `serverNow`. It ends where the order leaves the caller's sight.
        """
        context: Context = info.context
        who, services = context.who, context.services
        if services.pokes is None:
            raise Busy(what="subscriptions", retry_after_ms=60_000)
        ear = await ear_of(services.db, who)
        shown: Any = None
        async with aclosing(listen(services.db, services.pokes, who, ear)) as heard:
            async for news in heard:
                if news is None:
                    continue
                found = await _read(context, id)
                if found is None:
                    if shown is None:
                        raise NotFound(entity="work order", path="id")
                    return
                now = [_mark(one) for one in found]
                if now != shown:
                    shown = now
                    yield cast(list[Milestone], found)


async def _read(context: Context, order_id: UUID) -> list[reading.MilestoneView] | None:
    """The milestones; None where the caller may not see the order (any more)."""
    async with context.work() as work:
        sight = await sight_of(work, context.who)
        if order_id not in await orders_in_sight(work, sight, [order_id]):
            return None
        (found,) = await reading.milestones_by_order_ids(work, [order_id])
        return found if await work.fetchval("select true from work_order where id = $1", order_id) else None


def _mark(one: reading.MilestoneView) -> tuple[Any, ...]:
    """What is news about a milestone; that time passes is none."""
    return (one.name, one.state, one.due_at, one.moved_until, one.epoch, one.warned, one.missed_at, one.met_at,
            one.paused_reasons)  # fmt: skip
