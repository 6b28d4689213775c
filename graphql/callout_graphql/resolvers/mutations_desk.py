"""Mutations of the service desk."""

from datetime import datetime
from typing import TypeVar
from uuid import UUID

import strawberry

from callout_dispatch import assign, engineers
from callout_graphql.edges import Info
from callout_graphql.order_input import CreateWorkOrder, request_of
from callout_graphql.types.desk import (
    Asset,
    Contact,
    Customer,
    Part,
    Site,
    WorkOrder,
)
from callout_orders import customers, order_planning, orders
from callout_orders.channels import files
from callout_orders.precheck import taking
from callout_orders.precheck.terms import Taken
from callout_orders.visiting_hours import Opening
from callout_store.errors import NotFound
from callout_store.work import Work

T = TypeVar("T")


@strawberry.input
class CreateCustomer:
    """`number` is the customer's own in this organisation; `tier`: standard, silver, gold."""

    number: str
    name: str
    tier: str = "standard"


@strawberry.input
class CreateContact:
    """`phone` in any spelling; `phoneRegion` (such as CN or US) is used where it has no country code."""

    customer_id: UUID
    name: str
    phone: str | None = None
    email: str | None = None
    locale: str = "en"
    user_id: UUID | None = None
    phone_region: str = "CN"


@strawberry.input
class OpeningHoursInput:
    """An interval of a site's week in local time: `weekday` 0 is Monday; `from` and `until` such as 09:00, up to 24:00."""

    weekday: int
    from_: str = strawberry.field(name="from")
    until: str


@strawberry.input
class CreateSite:
    """`lat` and `lng` in WGS-84 degrees, both or neither; the radius in metres counts as being there. Without
    `visitingHours` it can always be visited."""

    customer_id: UUID
    name: str
    address: str
    lat: float | None = None
    lng: float | None = None
    geofence_radius_m: int = 150
    visiting_hours: list[OpeningHoursInput] = strawberry.field(default_factory=list)


@strawberry.input
class CreateAsset:
    """A machine; its serial is unique in the organisation."""

    site_id: UUID
    serial: str
    model: str
    name: str


@strawberry.input
class CreatePart:
    """A spare part; its code is unique in the organisation."""

    code: str
    name: str
    unit: str = "piece"


@strawberry.input
class OrderPlanningInput:
    """What a plan must keep to. Left out: stays as it is; null: none. A window has both ends; `crewSize` is 1 to 10."""

    requested_from: datetime | None = strawberry.UNSET
    requested_until: datetime | None = strawberry.UNSET
    crew_size: int | None = strawberry.UNSET
    follows_order_id: UUID | None = strawberry.UNSET
    follows_gap_minutes: int | None = strawberry.UNSET


def there(found: T | None, entity: str) -> T:
    """What was just written, read back."""
    if found is None:
        raise NotFound(entity=entity)
    return found


@strawberry.type
class DeskMutations:
    """What the service desk may do."""

    @strawberry.mutation
    async def create_customer(self, info: Info, input: CreateCustomer) -> Customer:
        """Make a customer."""
        id_ = await info.context.run(
            lambda work: customers.create_customer(work, customers.NewCustomer(**vars(input)))
        )
        return there(await info.context.loaders.customers.load(id_), "customer")

    @strawberry.mutation
    async def create_contact(self, info: Info, input: CreateContact) -> Contact:
        """Make a contact of a customer."""
        id_ = await info.context.run(
            lambda work: customers.create_contact(work, customers.NewContact(**vars(input)))
        )
        return there(await info.context.loaders.contacts.load(id_), "contact")

    @strawberry.mutation
    async def create_site(self, info: Info, input: CreateSite) -> Site:
        """Make a site of a customer."""
        values = {**vars(input), "visiting_hours": _week(input.visiting_hours)}
        id_ = await info.context.run(lambda work: customers.create_site(work, customers.NewSite(**values)))
        return there(await info.context.loaders.sites.load(id_), "site")

    @strawberry.mutation
    async def set_visiting_hours(self, info: Info, site_id: UUID, hours: list[OpeningHoursInput]) -> Site:
        """Say when a site can be visited, in place of what was said before; an empty list means always."""
        await info.context.run(lambda work: customers.set_visiting_hours(work, site_id, _week(hours)))
        info.context.loaders.forget()
        return there(await info.context.loaders.sites.load(site_id), "site")

    @strawberry.mutation
    async def create_asset(self, info: Info, input: CreateAsset) -> Asset:
        """Make a machine on a site."""
        id_ = await info.context.run(
            lambda work: customers.create_asset(work, customers.NewAsset(**vars(input)))
        )
        return there(await info.context.loaders.assets.load(id_), "asset")

    @strawberry.mutation
    async def create_part(self, info: Info, input: CreatePart) -> Part:
        """Make a part of the catalogue; all phones get it."""
        id_ = await info.context.run(
            lambda work: customers.create_part(work, customers.NewPart(**vars(input)))
        )
        return there(await info.context.loaders.parts.load(id_), "part")

    @strawberry.mutation
    async def create_work_order(self, info: Info, input: CreateWorkOrder) -> WorkOrder:
        """Take in an order, looked at as its kind asks; the same external reference again answers with the order that exists.

        Everything that is wrong is said at once. One that is surely a duplicate is linked to the order that it repeats.
        """
        request = request_of(input, info.context.locale)

        async def act(work: Work) -> Taken:
            await engineers.check_skills(work, [("skills", request.skills)])
            whole = await files.brought_with(work, request, info.context.who.user_id, "input.files")
            taken = await taking.take(work, whole)
            await files.stay_with(work, whole, taken.id)
            return taken

        made = await info.context.run(act)
        return await _order(info, made.id)

    @strawberry.mutation
    async def set_order_planning(
        self, info: Info, order_id: UUID, input: OrderPlanningInput, revision: int | None = None
    ) -> WorkOrder:
        """Change the requested window, how many must come, and which order must be done before. Visits stay as they are."""
        values = {
            name: value
            for name, value in vars(input).items()
            if value is not strawberry.UNSET
            and not (value is None and name in ("crew_size", "follows_gap_minutes"))
        }
        change = order_planning.OrderPlanning(**values)
        await info.context.run(lambda work: order_planning.set_planning(work, order_id, change, revision))
        return await _order(info, order_id)

    @strawberry.mutation
    async def cancel_work_order(
        self, info: Info, id: UUID, reason: str, revision: int | None = None
    ) -> WorkOrder:
        """Call an order off, with all its visits that have not ended."""
        await info.context.run(lambda work: assign.cancel_order(work, id, reason, revision))
        return await _order(info, id)

    @strawberry.mutation
    async def close_work_order(self, info: Info, id: UUID, revision: int | None = None) -> WorkOrder:
        """Close a completed order after its sign-off."""
        await info.context.run(lambda work: orders.close_order(work, id, revision))
        return await _order(info, id)

    @strawberry.mutation
    async def change_priority(
        self, info: Info, id: UUID, priority: str, reason: str = "", revision: int | None = None
    ) -> WorkOrder:
        """Change the priority, and with it what is due when."""
        await info.context.run(lambda work: orders.change_priority(work, id, priority, reason, revision))
        return await _order(info, id)


def _week(hours: list[OpeningHoursInput]) -> list[Opening]:
    return [Opening(weekday=one.weekday, from_=one.from_, until=one.until) for one in hours]


async def _order(info: Info, id_: UUID) -> WorkOrder:
    info.context.loaders.forget()
    return there(await info.context.loaders.orders.load(id_), "work order")
