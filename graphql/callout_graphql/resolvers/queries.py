"""Queries. What each role may ask stands in `rights.py`; lists are narrowed to the caller's sight here."""

from datetime import datetime
from typing import Any, cast
from uuid import UUID

import strawberry

from callout_dispatch import assign
from callout_dispatch import reading as dispatch
from callout_graphql import sight as sights
from callout_graphql.connections import PAGE_DEFAULT, Connection, connection, cursor_id, cut, page_size
from callout_graphql.edges import Info
from callout_graphql.inputs import PartNeed, needs_by_code
from callout_graphql.reading import dead_letters
from callout_graphql.resolvers.queries_content import ContentQueries
from callout_graphql.resolvers.queries_decisions import DecisionQueries
from callout_graphql.resolvers.queries_dispatch_setup import SetupQueries
from callout_graphql.resolvers.queries_edits import EditQueries
from callout_graphql.resolvers.queries_places import PlaceQueries
from callout_graphql.resolvers.queries_policy import PolicyQueries
from callout_graphql.resolvers.queries_red import RedQueries
from callout_graphql.resolvers.queries_sync import SyncQueries
from callout_graphql.types.attachments import Attachment
from callout_graphql.types.desk import Customer, Part, Site, WorkOrder
from callout_graphql.types.dispatch import (
    Board,
    Engineer,
    PickResult,
    Skill,
    Visit,
    pick_result,
)
from callout_graphql.types.sync import (
    DeadLetter,
    Device,
    HeldCommand,
    PullPage,
    Quarantined,
    User,
    Viewer,
)
from callout_orders import reading as desk
from callout_people import users
from callout_people.principals import Role
from callout_store.errors import BadField
from callout_sync import devices, holds, quarantine
from callout_sync.pull_quick import pull_page


@strawberry.input
class OrderFilter:
    """Which orders; what is left out matters not. `number` finds a part of the number."""

    states: list[str] | None = None
    priorities: list[str] | None = None
    kinds: list[str] | None = None
    channels: list[str] | None = None
    number: str | None = None
    customer_id: UUID | None = None
    site_id: UUID | None = None


@strawberry.input
class VisitFilter:
    """Which visits; times are of the planned start, from `start` up to but not including `end`."""

    engineer_id: UUID | None = None
    order_id: UUID | None = None
    states: list[str] | None = None
    start: datetime | None = None
    end: datetime | None = None


@strawberry.type
class Query(
    ContentQueries,
    EditQueries,
    PlaceQueries,
    RedQueries,
    SyncQueries,
    DecisionQueries,
    PolicyQueries,
    SetupQueries,
):
    """What may be asked."""

    @strawberry.field
    def viewer(self, info: Info) -> Viewer:
        """The caller."""
        who = info.context.who
        return Viewer(
            user_id=who.user_id,
            name=who.name,
            role=who.role.value,
            locale=who.locale,
            device_id=who.device_id,
        )

    @strawberry.field
    async def pull(
        self,
        info: Info,
        cursor: str | None = None,
        limit: int = 500,
        schema_version: int = 1,
        pending: int | None = None,
        hold_leaves: bool = False,
    ) -> PullPage:
        """The next page of what this device should hold; `limit` is 1 to 2,000.

        `schemaVersion` is what the app understands; it is sent nothing else, and all of it once it has learnt it.
        `pending`: how much it has not sent yet. With `holdLeaves` no deletes are sent; the next pull without it sends them.
        """
        context = info.context
        page = await pull_page(
            context.services.db,
            context.org_id,
            context.actor,
            cursor=cursor,
            limit=limit,
            schema_version=schema_version,
            pending=pending,
            hold_leaves=hold_leaves,
            app_version=context.app_version,
        )
        return cast(PullPage, page)

    @strawberry.field
    async def order(
        self,
        info: Info,
        id: UUID | None = None,
        number: str | None = None,
        system: str | None = None,
        reference: str | None = None,
    ) -> WorkOrder | None:
        """One order, by its id, by its number, or by an id in another system (`system` and `reference`)."""
        context = info.context
        sight = await context.sight()
        async with context.work() as work:
            if id is None and number is not None:
                id = await desk.order_id_by_number(work, number)
            elif id is None and system is not None and reference is not None:
                id = await desk.order_id_by_reference(work, system, reference)
            elif id is None:
                raise BadField(path="id", why="give id, number, or system and reference")
            if id is None or id not in await sights.orders_in_sight(work, sight, [id]):
                return None
        return await context.loaders.orders.load(id)

    @strawberry.field
    async def orders(
        self,
        info: Info,
        filter: OrderFilter | None = None,
        first: int = PAGE_DEFAULT,
        after: str | None = None,
    ) -> Connection[WorkOrder]:
        """Orders that the caller may see, newest first. An engineer or customer may filter by `states` only."""
        sight = await info.context.sight()
        given = filter or OrderFilter()
        size, start = page_size(first), cursor_id(after)
        async with info.context.work() as work:
            if sight.everything:
                filters = desk.OrderFilters(
                    states=tuple(given.states or ()),
                    priorities=tuple(given.priorities or ()),
                    kinds=tuple(given.kinds or ()),
                    channels=tuple(given.channels or ()),
                    number=given.number,
                    customer_id=given.customer_id,
                    site_id=given.site_id,
                )
                return connection(await desk.orders_page(work, filters, after=start, limit=size))
            ids = await sights.order_ids_in_sight(
                work, sight, states=given.states or (), after=start, limit=size
            )
            return cut(await desk.orders_by_ids(work, ids), size)

    @strawberry.field
    async def visit(self, info: Info, id: UUID) -> Visit | None:
        """One visit."""
        context = info.context
        sight = await context.sight()
        async with context.work() as work:
            if id not in await sights.visits_in_sight(work, sight, [id]):
                return None
        return await context.loaders.visits.load(id)

    @strawberry.field
    async def visits(
        self,
        info: Info,
        filter: VisitFilter | None = None,
        first: int = PAGE_DEFAULT,
        after: str | None = None,
    ) -> Connection[Visit]:
        """Visits that the caller may see, newest first. Filters are the dispatcher's."""
        sight = await info.context.sight()
        size, start = page_size(first), cursor_id(after)
        async with info.context.work() as work:
            if sight.everything:
                given = filter or VisitFilter()
                filters = dispatch.VisitFilters(
                    engineer_id=given.engineer_id,
                    order_id=given.order_id,
                    states=tuple(given.states or ()),
                    start=given.start,
                    end=given.end,
                )
                return connection(await dispatch.visits_page(work, filters, after=start, limit=size))
            ids = await sights.visit_ids_in_sight(work, sight, after=start, limit=size)
            return cut(await dispatch.visits_by_ids(work, ids), size)

    @strawberry.field
    async def attachments(self, info: Info, visit_id: UUID) -> list[Attachment]:
        """The pictures of one visit, the oldest first; none where the caller may not see the visit."""
        context = info.context
        sight = await context.sight()
        async with context.work() as work:
            if visit_id not in await sights.visits_in_sight(work, sight, [visit_id]):
                return []
        return await context.loaders.attachments_of_visit.load(visit_id)

    @strawberry.field
    async def board(
        self, info: Info, start: datetime, end: datetime, first: int = PAGE_DEFAULT, after: str | None = None
    ) -> Board:
        """The board: engineers with the visits planned within [start, end), at most 14 days."""
        async with info.context.work() as work:
            found = await dispatch.board(work, start, end, after=cursor_id(after), limit=page_size(first))
        return Board(
            start=found.start,
            end=found.end,
            time_zone=found.time_zone,
            end_cursor=str(found.end_cursor) if found.end_cursor else None,
            has_more=found.has_more,
            rows=cast(Any, found.engineers),
        )

    @strawberry.field
    async def propose_engineers(
        self, info: Info, order_id: UUID, parts: list[PartNeed] | None = None, first: int = 20
    ) -> PickResult:
        """Who should go, who else could, and why not each of the others. Without `parts`: those the order needs."""
        async with info.context.work() as work:
            proposal = await assign.propose(work, order_id, parts=needs_by_code(parts))
        return pick_result(proposal, info.context, page_size(first))

    @strawberry.field
    async def engineer(self, info: Info, id: UUID) -> Engineer | None:
        """One engineer."""
        return await info.context.loaders.engineers.load(id)

    @strawberry.field
    async def engineers(
        self, info: Info, active: bool | None = True, first: int = PAGE_DEFAULT, after: str | None = None
    ) -> Connection[Engineer]:
        """Engineers, newest first."""
        async with info.context.work() as work:
            page = await dispatch.engineers_page(
                work, after=cursor_id(after), limit=page_size(first), active=active
            )
        return connection(page)

    @strawberry.field
    async def skills(self, info: Info) -> list[Skill]:
        """The organisation's skills, by code."""
        async with info.context.work() as work:
            return cast(list[Skill], await dispatch.skills(work))

    @strawberry.field
    async def customer(self, info: Info, id: UUID) -> Customer | None:
        """One customer."""
        return await info.context.loaders.customers.load(id)

    @strawberry.field
    async def site(self, info: Info, id: UUID) -> Site | None:
        """One site."""
        return await info.context.loaders.sites.load(id)

    @strawberry.field
    async def parts(
        self,
        info: Info,
        search: str | None = None,
        first: int = PAGE_DEFAULT,
        after: str | None = None,
    ) -> Connection[Part]:
        """The catalogue, newest first; `search` in code and name."""
        async with info.context.work() as work:
            return connection(
                await desk.parts_page(work, search, after=cursor_id(after), limit=page_size(first))
            )

    @strawberry.field
    async def users(
        self,
        info: Info,
        role: str | None = None,
        active: bool | None = True,
        first: int = PAGE_DEFAULT,
        after: str | None = None,
    ) -> Connection[User]:
        """Users in the order they were made."""
        try:
            wanted = Role(role) if role is not None else None
        except ValueError:
            raise BadField(path="role", why="not a role") from None
        async with info.context.work() as work:
            return connection(
                await users.users_page(work, role=wanted, active=active, after=after, limit=page_size(first))
            )

    @strawberry.field
    async def devices(
        self,
        info: Info,
        user_id: UUID | None = None,
        revoked: bool | None = None,
        stale_before: datetime | None = None,
        sort: devices.Sort = devices.Sort.NEWEST,
        first: int = PAGE_DEFAULT,
        after: str | None = None,
    ) -> Connection[Device]:
        """Phones; `staleBefore`: not heard of since then, or never."""
        async with info.context.work() as work:
            return connection(
                await devices.devices_page(
                    work,
                    user_id=user_id,
                    revoked=revoked,
                    stale_before=stale_before,
                    sort=sort,
                    after=after,
                    limit=page_size(first),
                )
            )

    @strawberry.field
    async def quarantined(
        self,
        info: Info,
        state: str | None = "open",
        device_id: UUID | None = None,
        visit_id: UUID | None = None,
        category: str | None = None,
        code: str | None = None,
        first: int = PAGE_DEFAULT,
        after: str | None = None,
    ) -> Connection[Quarantined]:
        """Commands that a person must look at, newest first. `state`: open, applied, dismissed, or null for all;
        `category`: quarantined or conflict."""
        async with info.context.work() as work:
            rows = await quarantine.page(
                work,
                state=state,
                device_id=device_id,
                visit_id=visit_id,
                category=category,
                code=code,
                after=cursor_id(after),
                limit=page_size(first) + 1,
            )
        return cut(rows, first)

    @strawberry.field
    async def held_commands(
        self,
        info: Info,
        state: str | None = "held",
        device_id: UUID | None = None,
        first: int = PAGE_DEFAULT,
        after: str | None = None,
    ) -> Connection[HeldCommand]:
        """Commands that wait for an earlier one of their phone. `state`: held, applied, forced, or null for all."""
        async with info.context.work() as work:
            rows = await holds.page(
                work, state=state, device_id=device_id, after=cursor_id(after), limit=page_size(first) + 1
            )
        return cut(rows, first)

    @strawberry.field
    async def dead_letters(self, info: Info, first: int = PAGE_DEFAULT) -> list[DeadLetter]:
        """Effects that were given up, newest first."""
        async with info.context.work() as work:
            return cast(list[DeadLetter], await dead_letters(work, page_size(first)))
