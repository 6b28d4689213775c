"""The input of an order that somebody asks for, and the request that it means."""

from datetime import datetime
from typing import Any
from uuid import UUID

import strawberry

from callout_graphql.inputs import PartNeed
from callout_graphql.scalars import JSON
from callout_orders.precheck.terms import Request, RequestFile
from callout_store.errors import BadField


@strawberry.input
class SkillNeed:
    """A skill by its code, with the level needed, 1 to 5."""

    skill: str
    level: int


@strawberry.input
class Reference:
    """The order's id in another system. Sending the same one again answers with the order that exists."""

    system: str
    reference: str


@strawberry.input
class FileGiven:
    """A file that comes with a request, by its media type (`image/png`). With the `id` that `POST /v1/files` gave, it stays
    with the order; without one, somebody else keeps it."""

    media_type: str
    name: str = ""
    id: UUID | None = None


@strawberry.input
class CreateWorkOrder:
    """An order. Whose and where: by ids, or by `customerNumber`, `serial`, `contactPhone` or `contactEmail`, by which those
    that are known are found; what is unknown is made from names and `address` where the channel may.

    `kind`: a code of `orderKinds`; `priority`: P0, P1, P2; both may be left to the words of the description. `channel`:
    web_form, hotline, app, chat, email, api. `fields`: values of the kind's own fields. `durationMinutes`: expected work on
    site, 5 to 1440. `phoneRegion` (such as CN or US) is meant where a number names no country. `linkDuplicate: false`: an
    order of its own, however alike.
    """

    description: str
    channel: str
    customer_id: UUID | None = None
    site_id: UUID | None = None
    priority: str | None = None
    kind: str | None = None
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
    fields: JSON | None = None
    tags: list[str] = strawberry.field(default_factory=list)
    files: list[FileGiven] = strawberry.field(default_factory=list)
    skills: list[SkillNeed] = strawberry.field(default_factory=list)
    duration_minutes: int = 60
    references: list[Reference] = strawberry.field(default_factory=list)
    parts: list[PartNeed] = strawberry.field(default_factory=list)
    reported_at: datetime | None = None
    requested_from: datetime | None = None
    requested_until: datetime | None = None
    crew_size: int = 1
    follows_order_id: UUID | None = None
    follows_gap_minutes: int = 0
    may_create: bool | None = None
    link_duplicate: bool | None = None
    locale: str | None = None


def request_of(input: CreateWorkOrder, locale: str) -> Request:
    """The request that an input means; `locale` is the caller's. Raises BadField."""
    skills = {need.skill: need.level for need in input.skills}
    if len(skills) < len(input.skills):
        raise BadField(path="input.skills", why="a skill comes twice")
    fields: Any = input.fields if input.fields is not None else {}
    if not isinstance(fields, dict):
        raise BadField(path="fields", why="it is an object with the kind's fields by their codes")
    given: dict[str, Any] = {
        **vars(input),
        "skills": skills,
        "fields": fields,
        "locale": input.locale or locale,
        "link_duplicates": input.link_duplicate,
        "tags": tuple(input.tags),
        "files": tuple(RequestFile(media_type=f.media_type, name=f.name, id=f.id) for f in input.files),
        "references": tuple((r.system, r.reference) for r in input.references),
        "parts": tuple((need.code, need.quantity) for need in input.parts),
    }
    del given["link_duplicate"]
    return Request(**given)
