"""Imports, API keys, and an order's whole life. Sheets themselves come in by `POST /v1/imports`."""

from typing import Any, cast
from uuid import UUID

import strawberry

from callout_graphql import timeline
from callout_graphql.connections import PAGE_DEFAULT, Connection, connection, cursor_id, page_size
from callout_graphql.edges import Info
from callout_graphql.scalars import JSON
from callout_graphql.types.desk import WorkOrder
from callout_graphql.types.imports import ApiKey, Import, ImportTemplate, LifeEntry, LifePage, MadeApiKey
from callout_orders import reading
from callout_orders.imports import runs, templates
from callout_people import api_keys
from callout_store.errors import NotFound
from callout_store.work import Work


async def _import(info: Info, id: UUID) -> Import:
    async with info.context.work() as work:
        return cast(Import, await runs.get(work, id))


@strawberry.type
class ImportQueries:
    """What may be asked of imports, keys and timelines."""

    import_: Import = strawberry.field(
        resolver=_import, name="import", description="How far an import is, and what became of its rows."
    )

    @strawberry.field
    async def imports(
        self, info: Info, first: int = PAGE_DEFAULT, after: str | None = None
    ) -> Connection[Import]:
        """Imports, newest first."""
        async with info.context.work() as work:
            return connection(await runs.page(work, after=cursor_id(after), limit=page_size(first)))

    @strawberry.field
    async def import_templates(self, info: Info) -> list[ImportTemplate]:
        """The saved mappings, by name."""
        async with info.context.work() as work:
            return cast(list[ImportTemplate], await templates.listed(work))

    @strawberry.field
    async def api_keys(self, info: Info, ended: bool = False) -> list[ApiKey]:
        """Keys of other systems, newest first; with `ended` those too that are over."""
        async with info.context.work() as work:
            return cast(list[ApiKey], await api_keys.listed(work, ended=ended))

    @strawberry.field
    async def timeline(
        self,
        info: Info,
        order_id: UUID | None = None,
        number: str | None = None,
        system: str | None = None,
        reference: str | None = None,
        first: int = PAGE_DEFAULT,
        after: str | None = None,
    ) -> LifePage:
        """The whole life of the order that any id of any system leads to: its id, its number, or `system` and `reference`."""
        async with info.context.work() as work:
            found = await timeline.order_of(
                work, order_id=order_id, number=number, system=system, reference=reference
            )
            (order,) = await reading.orders_by_ids(work, [found]) if found is not None else (None,)
            if order is None:
                raise NotFound(entity="work order", path="orderId")
            page = await timeline.page(
                work, order.id, after=after, limit=page_size(first), locale=info.context.locale
            )
        return LifePage(
            order_id=order.id,
            nodes=cast(list[LifeEntry], page.items),
            end_cursor=page.end_cursor,
            has_more=page.has_more,
        )

    @strawberry.field
    async def order_by_reference(self, info: Info, system: str, reference: str) -> WorkOrder | None:
        """The order that an id of another system belongs to, or null."""
        async with info.context.work() as work:
            id_ = await reading.order_id_by_reference(work, system, reference)
        return None if id_ is None else await info.context.loaders.orders.load(id_)


@strawberry.type
class ImportMutations:
    """What the office decides about imports, and admins about keys."""

    @strawberry.mutation
    async def save_import_template(
        self, info: Info, name: str, config: JSON, id: UUID | None = None, revision: int | None = None
    ) -> ImportTemplate:
        """Save a mapping, or with `id` change one. Imports that run keep the one that they began with."""

        async def act(work: Work) -> templates.Template:
            given: Any = config
            return await templates.save(work, name=name, config=given, id_=id, revision=revision)

        return cast(ImportTemplate, await info.context.run(act))

    @strawberry.mutation
    async def start_import(self, info: Info, id: UUID) -> Import:
        """Take in for real what a dry run has looked at."""
        return cast(Import, await info.context.run(lambda work: runs.start(work, id)))

    @strawberry.mutation
    async def cancel_import(self, info: Info, id: UUID) -> Import:
        """Stop after the batch in hand; orders that were taken in stay."""
        return cast(Import, await info.context.run(lambda work: runs.cancel(work, id)))

    @strawberry.mutation
    async def create_api_key(
        self,
        info: Info,
        name: str,
        scopes: list[str],
        days: int | None = None,
        rate_per_s: int = api_keys.RATE_PER_S,
        burst: int = api_keys.BURST,
    ) -> MadeApiKey:
        """Make another system with its first key, good for `days` (left out: until it is revoked). Scopes: orders:read,
        orders:write, imports:read, imports:write."""

        async def act(work: Work) -> api_keys.Made:
            return await api_keys.create(
                work, name=name, scopes=scopes, days=days, rate_per_s=rate_per_s, burst=burst
            )

        return cast(MadeApiKey, await info.context.run(act))

    @strawberry.mutation
    async def rotate_api_key(
        self, info: Info, id: UUID, overlap_hours: int = 24, days: int | None = None
    ) -> MadeApiKey:
        """A new key in place of one, which goes on for `overlapHours`, so that the system can be changed over."""

        async def act(work: Work) -> api_keys.Made:
            return await api_keys.rotate(work, id, overlap_hours=overlap_hours, days=days)

        return cast(MadeApiKey, await info.context.run(act))

    @strawberry.mutation
    async def revoke_api_key(self, info: Info, id: UUID) -> ApiKey:
        """End a key at once."""
        return cast(ApiKey, await info.context.run(lambda work: api_keys.revoke(work, id)))
