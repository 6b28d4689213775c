"""`POST /v1/work-orders`: the door of the web form and of other systems.

Idempotent by reference: the same (system, reference) is answered with the order that exists, with 200 instead
of 201. Dispatchers and admins order for every customer; a customer's contact for their own customer only.
"""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import msgspec
from litestar import MediaType, Request, Response, post
from litestar.types import ControllerRouterHandler
from msgspec import Meta

from callout_backend.doors.bodies import only_json, read_json
from callout_backend.doors.identity import principal_of
from callout_dispatch import engineers
from callout_orders import intake, reading
from callout_orders.checks import FieldRefused
from callout_people.principals import Principal, Role, require
from callout_store.errors import AlreadyExists, NotFound
from callout_store.work import Database, Work

BODY_BYTES_MAX = 64_000


class Reference(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The order's id in the sender's system."""

    system: str
    reference: str


class WorkOrderRequest(msgspec.Struct, rename="camel", frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body. `customerId` may be left out by a customer's contact; `channel` is `web_form` unless said otherwise."""

    site_id: UUID
    description: str
    customer_id: UUID | None = None
    contact_id: UUID | None = None
    asset_id: UUID | None = None
    priority: str = "P2"
    kind: str = "service"
    channel: str = "web_form"
    skills: dict[str, int] = {}
    duration_minutes: int = 60
    references: Annotated[list[Reference], Meta(max_length=intake.REFERENCES_MAX)] = []
    reported_at: Annotated[datetime, Meta(tz=True)] | None = None
    requested_from: Annotated[datetime, Meta(tz=True)] | None = None
    requested_until: Annotated[datetime, Meta(tz=True)] | None = None
    crew_size: int = 1


@post(
    "/v1/work-orders",
    request_max_body_size=BODY_BYTES_MAX,
    before_request=only_json,
    include_in_schema=False,
)
async def create_work_order(request: Request[Any, Any, Any]) -> Response[dict[str, Any]]:
    """201 `{"id","number","existing":false}`, or 200 with `existing: true` where a reference was known."""
    principal = await principal_of(request)
    require(principal, Role.ADMIN, Role.DISPATCHER, Role.CUSTOMER_CONTACT, what="create work orders")
    body = await read_json(request, WorkOrderRequest)

    async def act(work: Work) -> intake.OrderRef:
        customer_id, contact_id = await _who_orders(work, principal, body)
        await engineers.check_skills(work, [("skills", body.skills)])
        ref = await intake.create_order(
            work,
            intake.NewOrder(
                customer_id=customer_id,
                site_id=body.site_id,
                contact_id=contact_id,
                asset_id=body.asset_id,
                priority=body.priority,
                kind=body.kind,
                description=body.description,
                channel=body.channel,
                skills=body.skills,
                duration_minutes=body.duration_minutes,
                references=tuple((one.system, one.reference) for one in body.references),
                reported_at=body.reported_at,
                requested_from=body.requested_from,
                requested_until=body.requested_until,
                crew_size=body.crew_size,
            ),
        )
        if ref.existing and principal.role == Role.CUSTOMER_CONTACT:
            (known,) = await reading.orders_by_ids(work, [ref.id])
            if known is None or known.customer_id != customer_id:
                # References are unique in the organisation; whose the other order is, is not this caller's business.
                raise AlreadyExists(entity="work order", key="reference", path="references")
        return ref

    db: Database = request.app.state.db
    ref = await db.run(principal.org_id, act, actor=principal.actor())
    return Response(
        {"id": str(ref.id), "number": ref.number, "existing": ref.existing},
        status_code=200 if ref.existing else 201,
        media_type=MediaType.JSON,
    )


async def _who_orders(work: Work, principal: Principal, body: WorkOrderRequest) -> tuple[UUID, UUID | None]:
    """Customer and contact of the order. A customer's contact orders for their own customer, whatever the body says."""
    if principal.role != Role.CUSTOMER_CONTACT:
        if body.customer_id is None:
            raise FieldRefused("customerId", "missing")
        return body.customer_id, body.contact_id
    (own,) = await reading.contacts_by_user_ids(work, [principal.user_id])
    for contact in own:
        if body.customer_id in (None, contact.customer_id):
            return contact.customer_id, body.contact_id or contact.id
    raise NotFound(entity="customer", path="customerId")


ROUTES: tuple[ControllerRouterHandler, ...] = (create_work_order,)
