"""Types of what the office prepares for the phones: articles and forms."""

from datetime import datetime
from typing import cast
from uuid import UUID

import strawberry

from callout_graphql.scalars import JSON
from callout_orders import forms


@strawberry.type
class Article:
    """What is known about a model, a fault or a kind of order; null means whatever it is. `locale`: en or zh.
    One that is `forCustomers` is offered as an answer, with its `workaround` until the fault is mended. `standingSince`: it
    is the standing answer of its fault code, offered on every order that comes in with it."""

    id: UUID
    title: str
    body: str
    locale: str
    kind: str | None
    model: str | None
    fault_code: str | None
    territory_id: UUID | None
    workaround: str
    for_customers: bool
    active: bool
    revision: int
    updated_at: datetime
    updated_by: UUID | None
    standing_since: datetime | None
    standing_by: UUID | None


@strawberry.type
class Form:
    """A version of what is filled in on site. A version never changes; only the newest of a code is active."""

    id: UUID
    code: str
    version: int
    kind: str | None
    title_en: str
    title_zh: str
    active: bool
    created_at: datetime
    created_by: UUID | None

    @strawberry.field
    def schema(root: strawberry.Parent[forms.FormView]) -> JSON:
        """The JSON Schema of the values."""
        return cast(JSON, root.json_schema)
