"""Types of imports, their templates and API keys, and of an order's timeline."""

from datetime import datetime
from typing import cast
from uuid import UUID

import msgspec
import strawberry

from callout_graphql.edges import Info
from callout_graphql.scalars import JSON
from callout_orders.imports import runs
from callout_orders.imports.templates import Template


@strawberry.type
class ImportFault:
    """What is wrong with a row: the column's header, the field, a stable code with its reason, and the text."""

    column: str | None
    field: str
    code: str
    reason: str
    text: str


@strawberry.type
class ImportRow:
    """A row of a sheet; `row` is its number as a person counts. `state`: waiting, ok, existing, failed."""

    row: int
    state: str
    cells: list[str]
    order_id: UUID | None
    faults: list[ImportFault]


@strawberry.type
class ImportRowPage:
    """A page of an import's rows: ask again with `after: endCursor` while `hasMore`."""

    nodes: list[ImportRow]
    end_cursor: str | None
    has_more: bool


@strawberry.type
class Import:
    """A sheet that is being taken in, or in a dry run only looked at. `state`: queued, running, done, canceled, failed.

    In a dry run `rowsOk` would become orders; `rowsExisting` are orders already. `secondsLeft`: at the present pace.
    """

    id: UUID
    state: str
    dry_run: bool
    file_name: str
    format: str
    encoding: str
    headers: list[str]
    rows_total: int
    rows_done: int
    rows_ok: int
    rows_existing: int
    rows_failed: int
    seconds_left: int | None
    fault: str | None
    template_id: UUID | None
    created_at: datetime
    created_by: UUID | None
    ended_at: datetime | None

    @strawberry.field
    async def rows(
        self, info: Info, state: str | None = None, first: int = 50, after: str | None = None
    ) -> ImportRowPage:
        """Its rows in the sheet's order, with everything that is wrong with each."""
        size = runs.page_size(first)
        async with info.context.work() as work:
            found = await runs.rows_page(
                work, self.id, state=state, after=runs.parse_row_cursor(after), limit=size + 1
            )
        kept = found[:size]
        return ImportRowPage(
            nodes=cast(list[ImportRow], [runs.spoken(row, info.context.locale) for row in kept]),
            end_cursor=str(kept[-1].n) if kept else None,
            has_more=len(found) > size,
        )


@strawberry.type
class ImportTemplate:
    """How the columns of a sheet are read. `config` is the mapping as JSON."""

    id: UUID
    name: str
    revision: int
    updated_at: datetime
    updated_by: UUID | None

    @strawberry.field
    def config(root: strawberry.Parent[Template]) -> JSON:
        """System, columns, constants and switches; see `ImportConfig` of the OpenAPI document."""
        return cast(JSON, msgspec.to_builtins(root.config))


@strawberry.type
class ApiKey:
    """A key of another system: `prefix` is all that is shown of it. `userId` is the system, whom the journal names."""

    id: UUID
    user_id: UUID
    name: str
    prefix: str
    scopes: list[str]
    rate_per_s: int
    burst: int
    created_at: datetime
    created_by: UUID | None
    expires_at: datetime | None
    last_used_at: datetime | None
    revoked_at: datetime | None
    replaced_by_id: UUID | None


@strawberry.type
class MadeApiKey:
    """A fresh key. `text` is shown this once."""

    key: ApiKey
    text: str


@strawberry.type
class LifeEntry:
    """Something that happened to an order. `source` says where it was written down (journal, event, decision, file, message,
    notice, stock), `kind` what it was; `text` is it in a sentence, in the reader's language, `data` in values."""

    id: str
    at: datetime
    source: str
    kind: str
    actor_id: UUID | None
    actor: str | None
    role: str | None
    visit_id: UUID | None
    text: str
    text_en: str
    text_zh: str
    data: JSON


@strawberry.type
class LifePage:
    """A page of an order's life, oldest first: ask again with `after: endCursor` while `hasMore`."""

    order_id: UUID
    nodes: list[LifeEntry]
    end_cursor: str | None
    has_more: bool
