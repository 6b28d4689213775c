"""Types of kinds of order: fields, steps, what a check says, and the drawing."""

from datetime import datetime
from typing import Any, cast
from uuid import UUID

import msgspec
import strawberry

from callout_graphql.edges import Info
from callout_graphql.scalars import JSON
from callout_orders.flow.events import LABELS
from callout_orders.kinds import draw, fields, versions
from callout_orders.kinds.check_texts import Finding


@strawberry.type
class KindFinding:
    """Something to be said about a kind: a stable `code`, the `path` in its TOML (`steps.3.next.0.to`), `level` error or
    warning. An error keeps it from being saved."""

    code: str
    path: str
    level: str
    en: str
    zh: str

    @strawberry.field
    def text(root: strawberry.Parent[Finding], info: Info) -> str:
        """The sentence in the caller's language."""
        return root.text(info.context.locale)


@strawberry.type
class OrderKind:
    """A version of a kind of order; it is never edited. `version` 0 is built in. `active`: orders are taken in by it;
    `retired`: the kind takes in no further orders. `source` is the TOML as it was written."""

    code: str
    version: int
    source: str
    note: str
    active: bool
    retired: bool
    created_at: datetime | None
    created_by: UUID | None

    @strawberry.field
    def label(root: strawberry.Parent[versions.KindVersion], info: Info) -> str:
        """Its name in the caller's language."""
        return root.kind.label.of(info.context.locale)

    @strawberry.field
    def label_en(root: strawberry.Parent[versions.KindVersion]) -> str:
        """Its name in English."""
        return root.kind.label.en

    @strawberry.field
    def label_zh(root: strawberry.Parent[versions.KindVersion]) -> str:
        """Its name in Chinese."""
        return root.kind.label.zh

    @strawberry.field
    def body(root: strawberry.Parent[versions.KindVersion]) -> JSON:
        """All of it in JSON: fields, checks, steps with owners, approvals and branches, every default spelled out."""
        return cast(JSON, msgspec.Raw(msgspec.json.encode(root.kind)))

    @strawberry.field
    def json_schema(
        root: strawberry.Parent[versions.KindVersion], info: Info, locale: str | None = None
    ) -> JSON:
        """The values of its own fields as JSON Schema, draft 2020-12; titles in `locale`, else in the caller's language."""
        found: Any = fields.json_schema(root.kind, locale or info.context.locale)
        return cast(JSON, found)

    @strawberry.field
    def svg(root: strawberry.Parent[versions.KindVersion], info: Info, locale: str | None = None) -> str:
        """Its flow as a drawing in SVG; words in `locale`, else in the caller's language."""
        return draw.svg(root.kind, locale or info.context.locale, events=LABELS)

    @strawberry.field
    def findings(root: strawberry.Parent[versions.KindVersion]) -> list[KindFinding]:
        """What the check says about it; a version that was saved has warnings at most."""
        return cast(list[KindFinding], list(versions.findings(root.kind)))


@strawberry.type
class KindCheck:
    """What is to be said about a kind as TOML, before it is saved. `ok`: it can be saved. `kind` is null where the text
    could not be read at all."""

    ok: bool
    findings: list[KindFinding]
    code: str | None
    json_schema: JSON | None
    svg: str | None
