"""Kinds of order: asking for them, checking, saving and activating them, and filling in an order's own fields."""

from typing import Any, cast
from uuid import UUID

import strawberry

from callout_graphql import sight as sights
from callout_graphql.connections import page_size
from callout_graphql.edges import Info
from callout_graphql.resolvers.mutations_desk import there
from callout_graphql.scalars import JSON
from callout_graphql.types.desk import WorkOrder
from callout_graphql.types.kinds import KindCheck, OrderKind
from callout_orders.flow.events import LABELS
from callout_orders.kinds import draw, fields, values, versions
from callout_orders.kinds.check import errors
from callout_store.errors import BadField, NotFound
from callout_store.work import Work


@strawberry.type
class KindQueries:
    """What may be asked about kinds of order."""

    @strawberry.field
    async def order_kinds(self, info: Info, retired: bool = False) -> list[OrderKind]:
        """The active version of each kind; with `retired` those too that take in no further orders."""
        async with info.context.work() as work:
            return cast(list[OrderKind], await versions.current(work, retired=retired))

    @strawberry.field
    async def order_kind(self, info: Info, code: str, version: int | None = None) -> OrderKind:
        """A version of a kind, 0 being the built-in one; without `version` the one by which orders are taken in."""
        async with info.context.work() as work:
            return cast(OrderKind, await versions.get(work, code, version))

    @strawberry.field
    async def order_kind_versions(
        self, info: Info, code: str, first: int = 50, after: int | None = None
    ) -> list[OrderKind]:
        """A kind's versions, newest first; `after` goes on below that version."""
        async with info.context.work() as work:
            return cast(
                list[OrderKind], await versions.versions(work, code, after=after, limit=page_size(first))
            )

    @strawberry.field
    async def check_order_kind(self, info: Info, toml: str) -> KindCheck:
        """What is wrong with a kind as TOML: dead ends, unreachable steps, loops without a bound, unknown names,
        expressions; and how its flow looks. Nothing is stored."""
        kind, found = versions.looked_at(toml)
        rows: Any = list(found)
        schema: Any = None if kind is None else fields.json_schema(kind, info.context.locale)
        return KindCheck(
            ok=not errors(found),
            findings=rows,
            code=None if kind is None else kind.code,
            json_schema=schema,
            svg=None if kind is None else draw.svg(kind, info.context.locale, events=LABELS),
        )


@strawberry.type
class KindMutations:
    """What admins and supervisors may decide about kinds of order, and what fills in an order's fields."""

    @strawberry.mutation
    async def save_order_kind(
        self, info: Info, toml: str, note: str = "", activate: bool = False
    ) -> OrderKind:
        """Store a kind as the next version of its code: a draft, until it is activated. Saving the same again changes
        nothing. With `activate` orders are taken in by it from now on; those that run finish on their own version."""

        async def act(work: Work) -> versions.KindVersion:
            saved = await versions.save(work, toml, note=note)
            if not activate:
                return saved
            await versions.activate(work, saved.code, saved.version)
            return await versions.get(work, saved.code, saved.version)

        return cast(OrderKind, await info.context.run(act))

    @strawberry.mutation
    async def activate_order_kind(self, info: Info, code: str, version: int) -> OrderKind:
        """Take in orders of this kind by this version from now on; 0 goes back to the built-in one."""

        async def act(work: Work) -> versions.KindVersion:
            await versions.activate(work, code, version)
            return await versions.get(work, code, version)

        return cast(OrderKind, await info.context.run(act))

    @strawberry.mutation
    async def retire_order_kind(self, info: Info, code: str) -> OrderKind:
        """Take in no further orders of this kind; `activateOrderKind` brings it back."""

        async def act(work: Work) -> versions.KindVersion:
            await versions.retire(work, code)
            return await versions.get(work, code)

        return cast(OrderKind, await info.context.run(act))

    @strawberry.mutation
    async def set_order_fields(
        self, info: Info, order_id: UUID, fields: JSON, revision: int | None = None
    ) -> WorkOrder:
        """Fill in fields that the order's kind has; null takes a value away, what is left out stays. An engineer may do
        so for the orders of their visits. Everything that is wrong is said at once, with paths `fields.<code>`."""
        given: Any = fields
        if not isinstance(given, dict):
            raise BadField(path="fields", why="not an object of values by code")
        sight = await info.context.sight()

        async def act(work: Work) -> None:
            if order_id not in await sights.orders_in_sight(work, sight, [order_id]):
                raise NotFound(entity="work order", path="orderId")
            await values.set_fields(work, order_id, given, revision=revision)

        await info.context.run(act)
        info.context.loaders.forget()
        return there(await info.context.loaders.orders.load(order_id), "work order")
