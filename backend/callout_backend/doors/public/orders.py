"""`/v1/orders`: made once however often they are sent, found by any id of any system, listed, noted, called off."""

import hashlib
from datetime import datetime, timedelta
from typing import Annotated, Any, Final
from urllib.parse import unquote
from uuid import UUID

import msgspec
from litestar import Response, get, post
from litestar.di import NamedDependency, Provide
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import FromPath, FromQuery, HeaderParameter, JSONBody, QueryParameter
from litestar.types import ControllerRouterHandler

from callout_backend.doors.bodies import only_json
from callout_backend.doors.public.callers import (
    AnyRequest,
    acted,
    actor,
    caller,
    cursor_id,
    database,
    needs,
    work_of,
)
from callout_backend.doors.public.terms import (
    Cancellation,
    MadeOrder,
    NewNote,
    NewOrder,
    Note,
    Order,
    OrderPage,
    Reference,
    TimelineEntry,
    TimelinePage,
    order_of,
)
from callout_dispatch import assign, engineers
from callout_graphql import timeline
from callout_orders import order_notes, orders, reading
from callout_orders.imports import listing
from callout_orders.imports.idempotency import keep, known
from callout_orders.imports.listing import OrderState, Priority
from callout_orders.precheck.taking import take
from callout_orders.precheck.terms import Request
from callout_people.principals import Right
from callout_store.errors import BadField, NotFound
from callout_store.work import Work

BODY_BYTES_MAX = 64_000
KEY_CHARS_MAX = 200
READ, WRITE = needs(Right.ORDERS_READ), needs(Right.ORDERS_MANAGE)
TAGS = ["Orders"]

TAKES_JSON: Final[dict[str, Any]] = {
    "guards": [WRITE],
    "request_max_body_size": BODY_BYTES_MAX,
    "before_request": only_json,
}

First = Annotated[int, QueryParameter(ge=1, le=200, description="Items a page.")]
After = Annotated[str | None, QueryParameter(description="`endCursor` of the page before.")]


def order_filters(
    # `state` is Litestar's own; a refusal names the parameter by ours, without the underscore.
    state_: Annotated[list[OrderState] | None, QueryParameter(name="state")] = None,
    priority: FromQuery[list[Priority] | None] = None,
    kind: FromQuery[list[str] | None] = None,
    channel: FromQuery[list[str] | None] = None,
    number: Annotated[str | None, QueryParameter(description="A part of the number.")] = None,
    customer_id: Annotated[UUID | None, QueryParameter(name="customerId")] = None,
    site_id: Annotated[UUID | None, QueryParameter(name="siteId")] = None,
) -> reading.OrderFilters:
    """Which orders are meant, by what the address says of them."""
    return reading.OrderFilters(
        states=tuple(state_ or ()),
        priorities=tuple(priority or ()),
        kinds=tuple(kind or ()),
        channels=tuple(channel or ()),
        number=number,
        customer_id=customer_id,
        site_id=site_id,
    )


FILTERS: Final = {"filters": Provide(order_filters, sync_to_thread=False)}
FromFilters = NamedDependency[reading.OrderFilters]


@post(
    "/v1/orders",
    **TAKES_JSON,
    status_code=201,
    tags=TAGS,
    operation_id="createOrder",
    summary="Make an order",
    responses={
        200: ResponseSpec(MadeOrder, description="The order was there already: a reference or key was known.")
    },
)
async def create_order(
    request: AnyRequest,
    data: JSONBody[NewOrder],
    idempotency_key: Annotated[
        str | None,
        HeaderParameter(
            name="Idempotency-Key",
            max_length=KEY_CHARS_MAX,
            description="The same key with the same body is the same order, for 30 days; with another body it is refused.",
        ),
    ] = None,
) -> Response[MadeOrder]:
    """Checked and taken in. Everything that is wrong is answered at once.

    The same `references` or the same `Idempotency-Key` lead to the order that exists, with 200 instead of 201: after a lost
    answer, send the same again.
    """
    locale = caller(request).locale
    digest = hashlib.sha256(msgspec.json.encode(data)).digest()

    async def act(work: Work) -> tuple[MadeOrder, bool]:
        if (
            idempotency_key is not None
            and (order_id := await known(work, idempotency_key, digest)) is not None
        ):
            return await _made_before(work, order_id), True
        await engineers.check_skills(work, [("skills", data.skills)])
        taken = await take(work, _request(data, locale))
        if idempotency_key is not None:
            await keep(work, idempotency_key, taken.id)
        made = MadeOrder(
            id=taken.id,
            number=taken.number,
            existing=taken.existing,
            kind=taken.kind,
            priority=taken.priority,
            customer_id=taken.customer_id,
            site_id=taken.site_id,
            contact_id=taken.contact_id,
            duplicate_of_id=taken.duplicate_of_id,
            tags=list(taken.tags),
        )
        return made, taken.existing

    made, existing = await acted(request, act)
    return Response(made, status_code=200 if existing else 201, headers={"Location": f"/v1/orders/{made.id}"})


@get(
    "/v1/orders",
    guards=[READ],
    tags=TAGS,
    operation_id="listOrders",
    summary="List orders",
    dependencies=FILTERS,
)
async def list_orders(
    request: AnyRequest,
    filters: FromFilters,
    updated_since: Annotated[
        datetime | None,
        QueryParameter(
            name="updatedSince",
            description="Only orders that anything happened to since then, each once, in the order of what happened last. "
            "Not together with the other filters. Use `since` of the last answer.",
        ),
    ] = None,
    first: First = 50,
    after: After = None,
) -> OrderPage:
    """Newest first, or with `updatedSince` by what happened last."""
    cursor = cursor_id(after)
    now = database(request).machine_clock.now()
    if updated_since is not None and updated_since.tzinfo is None:
        raise BadField(path="updatedSince", why="the time has no time zone")
    if updated_since is not None and filters != reading.OrderFilters():
        raise BadField(path="updatedSince", why="it is not combined with other filters")
    async with work_of(request) as work:
        if updated_since is not None:
            found = await listing.changed_since(work, updated_since, cursor, first)
        else:
            found = await listing.page(work, filters, cursor, first)
    return OrderPage(
        items=[order_of(one) for one in found.items],
        end_cursor=found.end_cursor,
        has_more=found.has_more,
        since=now - timedelta(seconds=listing.OVERLAP_S),
    )


@get(
    "/v1/orders/{order_id:uuid}",
    guards=[READ],
    tags=TAGS,
    operation_id="getOrder",
    summary="One order by its id",
)
async def get_order(request: AnyRequest, order_id: FromPath[UUID]) -> Order:
    """One order."""
    async with work_of(request) as work:
        return await _order(work, order_id)


@get(
    "/v1/orders/by-number/{number:str}",
    guards=[READ],
    tags=TAGS,
    operation_id="getOrderByNumber",
    summary="One order by its number",
)
async def get_by_number(request: AnyRequest, number: FromPath[str]) -> Order:
    """The order with this number (`WO-000123`)."""
    async with work_of(request) as work:
        return await _order(work, await reading.order_id_by_number(work, number))


@get(
    "/v1/orders/by-reference/{system:str}/{reference:path}",
    guards=[READ],
    tags=TAGS,
    operation_id="getOrderByReference",
    summary="One order by an id of another system",
)
async def get_by_reference(request: AnyRequest, system: FromPath[str], reference: FromPath[str]) -> Order:
    """The order that this id of that system belongs to. A reference may hold slashes."""
    # As it was sent: by now slashes within are slashes between, and two of them one, which is another order's reference.
    _, _, sent = request.scope["raw_path"].partition(b"/by-reference/")
    system, _, reference = (unquote(part) for part in sent.decode("ascii").partition("/"))
    async with work_of(request) as work:
        return await _order(work, await reading.order_id_by_reference(work, system, reference))


@post(
    "/v1/orders/{order_id:uuid}/references",
    **TAKES_JSON,
    status_code=200,
    tags=TAGS,
    operation_id="linkReference",
    summary="Link an id of another system",
)
async def link_reference(request: AnyRequest, order_id: FromPath[UUID], data: JSONBody[Reference]) -> Order:
    """From then on this id leads to the order. Linking twice changes nothing; an id of another order is refused."""

    async def act(work: Work) -> Order:
        await orders.link_reference(work, order_id, data.system, data.reference)
        return await _order(work, order_id)

    return await acted(request, act)


@post(
    "/v1/orders/{order_id:uuid}/notes",
    **TAKES_JSON,
    status_code=201,
    tags=TAGS,
    operation_id="addNote",
    summary="Add a note",
)
async def add_note(request: AnyRequest, order_id: FromPath[UUID], data: JSONBody[NewNote]) -> Note:
    """The note stands in the order's timeline. Sending it twice adds it twice."""
    return Note(id=await acted(request, lambda work: order_notes.add_note(work, order_id, data.text)))


@post(
    "/v1/orders/{order_id:uuid}/cancel",
    **TAKES_JSON,
    status_code=200,
    tags=TAGS,
    operation_id="cancelOrder",
    summary="Call an order off",
)
async def cancel_order(request: AnyRequest, order_id: FromPath[UUID], data: JSONBody[Cancellation]) -> Order:
    """With all its visits that have not ended. Calling off twice changes nothing."""

    async def act(work: Work) -> Order:
        await assign.cancel_order(work, order_id, data.reason, data.revision)
        return await _order(work, order_id)

    return await acted(request, act)


@get(
    "/v1/orders/{order_id:uuid}/timeline",
    guards=[READ],
    tags=TAGS,
    operation_id="getTimeline",
    summary="An order's whole life",
)
async def get_timeline(
    request: AnyRequest, order_id: FromPath[UUID], first: First = 50, after: After = None
) -> TimelinePage:
    """What happened to the order, whoever wrote it down: journal, visits, files, parts, notices, messages. Oldest first."""
    async with work_of(request) as work:
        await _order(work, order_id)
        page = await timeline.page(work, order_id, after=after, limit=first, locale=actor(request).locale)
    return TimelinePage(
        items=[msgspec.convert(one, TimelineEntry, from_attributes=True) for one in page.items],
        end_cursor=page.end_cursor,
        has_more=page.has_more,
    )


def _request(data: NewOrder, locale: str) -> Request:
    given = {name: getattr(data, name) for name in data.__struct_fields__}
    return Request(
        **{
            **given,
            "tags": tuple(data.tags),
            "references": tuple((one.system, one.reference) for one in data.references),
            "locale": data.locale or locale,
        }
    )


async def _made_before(work: Work, order_id: UUID) -> MadeOrder:
    (found,) = await listing.by_ids(work, [order_id])
    return MadeOrder(
        id=found.id,
        number=found.number,
        existing=True,
        kind=found.kind,
        priority=found.priority,
        customer_id=found.customer_id,
        site_id=found.site_id,
        contact_id=found.contact_id,
        duplicate_of_id=found.duplicate_of_id,
        tags=found.tags,
    )


async def _order(work: Work, order_id: UUID | None) -> Order:
    found = [] if order_id is None else await listing.by_ids(work, [order_id])
    if not found:
        raise NotFound(entity="work order", path="id")
    return order_of(found[0])


ROUTES: tuple[ControllerRouterHandler, ...] = (
    create_order,
    list_orders,
    get_order,
    get_by_number,
    get_by_reference,
    link_reference,
    add_note,
    cancel_order,
    get_timeline,
)
