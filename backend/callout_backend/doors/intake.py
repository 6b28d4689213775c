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
from callout_backend.problems import locale_of
from callout_dispatch import engineers
from callout_orders import intake, reading
from callout_orders.channels import files
from callout_orders.precheck import taking
from callout_orders.precheck.terms import Request as PrecheckRequest
from callout_orders.precheck.terms import RequestFile, Taken
from callout_orders.terms import TAGS_MAX
from callout_people.principals import Principal, Role, require
from callout_store.errors import NotFound
from callout_store.work import Database, Work

BODY_BYTES_MAX = 64_000
FILES_MAX = 20


class Reference(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The order's id in the sender's system."""

    system: str
    reference: str


class FileGiven(msgspec.Struct, rename="camel", frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A file that comes with the order, by its media type (`image/png`). With the `id` that `POST /v1/files` gave, it stays
    with the order; without one, somebody else keeps it."""

    media_type: str
    name: str = ""
    id: UUID | None = None


class WorkOrderRequest(msgspec.Struct, rename="camel", frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body. `channel` is `web_form` unless said otherwise.

    Whose and where: by ids, or by `customerNumber`, `serial`, `contactPhone` or `contactEmail`; a customer's contact may
    leave it out. `kind` and `priority` may be left to the words of the description. `fields`: values of the kind's own
    fields.
    """

    description: str
    site_id: UUID | None = None
    customer_id: UUID | None = None
    contact_id: UUID | None = None
    asset_id: UUID | None = None
    customer_number: str | None = None
    customer_name: str | None = None
    contact_name: str | None = None
    contact_phone: str | None = None
    contact_email: str | None = None
    phone_region: str | None = None
    serial: str | None = None
    product: str | None = None
    error_code: str | None = None
    address: str | None = None
    lat: float | None = None
    lng: float | None = None
    fields: dict[str, Any] = {}
    tags: Annotated[list[str], Meta(max_length=TAGS_MAX)] = []
    files: Annotated[list[FileGiven], Meta(max_length=FILES_MAX)] = []
    priority: str | None = None
    kind: str | None = None
    channel: str = "web_form"
    skills: dict[str, int] = {}
    duration_minutes: int = 60
    references: Annotated[list[Reference], Meta(max_length=intake.REFERENCES_MAX)] = []
    reported_at: Annotated[datetime, Meta(tz=True)] | None = None
    requested_from: Annotated[datetime, Meta(tz=True)] | None = None
    requested_until: Annotated[datetime, Meta(tz=True)] | None = None
    crew_size: int = 1
    link_duplicates: bool | None = None
    locale: str | None = None


@post(
    "/v1/work-orders",
    request_max_body_size=BODY_BYTES_MAX,
    before_request=only_json,
    include_in_schema=False,
)
async def create_work_order(request: Request[Any, Any, Any]) -> Response[dict[str, Any]]:
    """201 `{"id","number","existing":false,"duplicateOf":null}`, or 200 with `existing: true` where a reference was known.

    422 with everything that is wrong at once; `Accept-Language` says in which language.
    """
    principal = await principal_of(request)
    require(principal, Role.ADMIN, Role.DISPATCHER, Role.CUSTOMER_CONTACT, what="create work orders")
    body = await read_json(request, WorkOrderRequest)
    locale = body.locale or locale_of(request.headers.get("accept-language"))

    async def act(work: Work) -> Taken:
        await engineers.check_skills(work, [("skills", body.skills)])
        asked = await files.brought_with(work, await _meant(work, principal, body, locale), principal.user_id)
        taken = await taking.take(work, asked)
        await files.stay_with(work, asked, taken.id)
        return taken

    db: Database = request.app.state.db
    made = await db.run(principal.org_id, act, actor=principal.actor())
    return Response(
        {
            "id": str(made.id),
            "number": made.number,
            "existing": made.existing,
            "duplicateOf": made.duplicate_of_number,
        },
        status_code=200 if made.existing else 201,
        media_type=MediaType.JSON,
    )


async def _meant(work: Work, principal: Principal, body: WorkOrderRequest, locale: str) -> PrecheckRequest:
    """The request that a body means. A customer's contact orders for their own customers, whatever the body says."""
    given = {name: getattr(body, name) for name in body.__struct_fields__}
    asked = PrecheckRequest(
        **given
        | {
            "locale": locale,
            "tags": tuple(body.tags),
            "files": tuple(RequestFile(media_type=f.media_type, name=f.name, id=f.id) for f in body.files),
            "references": tuple((one.system, one.reference) for one in body.references),
        }
    )
    if principal.role != Role.CUSTOMER_CONTACT:
        return asked
    (own,) = await reading.contacts_by_user_ids(work, [principal.user_id])
    mine = [one for one in own if body.customer_id in (None, one.customer_id)]
    if not mine:
        raise NotFound(entity="customer", path="customerId")
    return msgspec.structs.replace(
        asked,
        customer_id=body.customer_id or mine[0].customer_id,
        contact_id=body.contact_id or mine[0].id,
        own_customer_ids=tuple(dict.fromkeys(one.customer_id for one in own)),
    )


ROUTES: tuple[ControllerRouterHandler, ...] = (create_work_order,)
