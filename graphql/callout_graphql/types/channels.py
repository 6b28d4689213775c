"""Types of the channels: accounts, conversations, their messages and files."""

from datetime import datetime
from typing import TYPE_CHECKING, Annotated, cast
from uuid import UUID

import strawberry

from callout_graphql.edges import Info, edge
from callout_graphql.scalars import JSON, Long
from callout_orders.channels.accounts import ChannelView
from callout_orders.channels.conversations.desk_drafts import DraftView
from callout_orders.channels.files import FileView
from callout_orders.channels.terms import CHAT, ChannelKind

if TYPE_CHECKING:
    from callout_graphql.types.desk import Customer, WorkOrder


@strawberry.type
class Mailbox:
    """How far a mailbox was read. `failedSince`: since when it cannot be, for the reason `lastError`."""

    last_uid: Long
    polled_at: datetime | None
    failed_since: datetime | None
    last_error: str | None


@strawberry.type
class IntakeChannel:
    """An account, form or mailbox through which requests come in.

    `kind`: web_form, wecom, wechat, dingtalk, mail. `secretsSet` are the names of the secrets that are there; none is ever
    shown. `patienceMinutes`: so long may a request lack something before a person sees it.
    """

    id: UUID
    code: str
    kind: str
    name: str
    enabled: bool
    secrets_set: list[str]
    default_kind: str | None
    default_priority: str | None
    locale: str
    may_create: bool | None
    answers: bool
    patience_minutes: int
    revision: int

    @strawberry.field
    def settings(root: strawberry.Parent[ChannelView]) -> JSON:
        """What is set, by name."""
        return cast(JSON, root.settings)

    @strawberry.field
    async def address(root: strawberry.Parent[ChannelView], info: Info) -> str:
        """The address that is written into the service's console, or given to customers."""
        organisation = await info.context.loaders.organisation()
        base, slug = info.context.base_url, organisation.slug
        if root.kind == ChannelKind.WEB_FORM:
            return f"{base}/r/{slug}"
        return f"{base}/{'in' if root.kind in CHAT else 'mail'}/{slug}/{root.code}"

    @strawberry.field
    async def mailbox(root: strawberry.Parent[ChannelView], info: Info) -> Mailbox | None:
        """Of a mailbox that is polled: how that goes."""
        return await info.context.loaders.mailbox_of_channel.load(root.id)


@strawberry.type
class IntakeMessage:
    """A message. `direction`: in or out; `state`: received, handled, ignored (`reason` says why), owed, sent, failed."""

    id: UUID
    direction: str
    kind: str
    text: str
    state: str
    reason: str | None
    at: datetime


@strawberry.type
class IntakeFile:
    """A file that came with a request. `state`: awaited (its bytes are still fetched), stored, refused or failed (`code`)."""

    id: UUID
    name: str
    media_type: str
    size_bytes: Long
    state: str
    code: str | None
    created_at: datetime

    @strawberry.field
    def url(root: strawberry.Parent[FileView], info: Info) -> str | None:
        """Where it is fetched, with the same token; null until it is there."""
        return f"{info.context.base_url}/v1/files/{root.id}" if root.state == "stored" else None

    @strawberry.field
    def thumb_url(root: strawberry.Parent[FileView], info: Info) -> str | None:
        """A picture, small; null for other files."""
        if root.state != "stored" or not root.media_type.startswith("image/"):
            return None
        return f"{info.context.base_url}/v1/files/{root.id}?size=thumb"


@strawberry.type
class IntakeFault:
    """What was missing or wrong."""

    path: str
    code: str
    reason: str
    en: str
    zh: str


@strawberry.type
class IntakeDraft:
    """A request that is put together over several messages. `state`: open (the channel asks), desk (a person has it),
    completed, closed. `values` are what is known by path, `faults` what was missing when it was looked at last."""

    id: UUID
    channel_id: UUID
    channel_code: str
    channel_kind: str
    peer: str
    state: str
    reason: str | None
    locale: str
    description: str
    kind: str | None
    order_id: UUID | None
    created_at: datetime
    updated_at: datetime
    ended_at: datetime | None

    @strawberry.field
    def values(root: strawberry.Parent[DraftView]) -> JSON:
        """Texts by path (`contactPhone`, `fields.battery_safety`)."""
        return cast(JSON, root.values)

    @strawberry.field
    def faults(root: strawberry.Parent[DraftView]) -> list[IntakeFault]:
        """What is missing or wrong."""
        return [IntakeFault(**one) for one in root.faults]

    messages: list[IntakeMessage] = edge(
        "messages_of_draft", "id", "What was written and answered, oldest first."
    )
    files: list[IntakeFile] = edge("files_of_draft", "id", "What was sent with it.")
    order: Annotated["WorkOrder", strawberry.lazy("callout_graphql.types.desk")] | None = edge(
        "orders", "order_id", "The order that came of it."
    )


@strawberry.type
class Caller:
    """Somebody whom words may mean. `by`: phone, serial, number, order, customer or name."""

    by: str
    customer_id: UUID
    customer_name: str
    customer_number: str
    tier: str
    contact_id: UUID | None
    contact_name: str | None
    contact_phone: str | None
    site_id: UUID | None
    site_name: str | None
    address: str | None
    asset_id: UUID | None
    serial: str | None
    model: str | None
    open_orders: int

    customer: Annotated["Customer", strawberry.lazy("callout_graphql.types.desk")] | None = edge(
        "customers", "customer_id", "The customer."
    )


@strawberry.type
class SubmittedRequest:
    """What became of a request. `duplicateOf`: the number of the order that it was put together with."""

    order_id: UUID
    number: str
    existing: bool
    duplicate_of: str | None
    order: Annotated["WorkOrder", strawberry.lazy("callout_graphql.types.desk")] | None = edge(
        "orders", "order_id", "The order."
    )


@strawberry.type
class DraftOutcome:
    """A conversation after it was worked on: `order` where it became one, else `draft.faults` say what is missing."""

    draft: IntakeDraft
    order_id: UUID | None
    order: Annotated["WorkOrder", strawberry.lazy("callout_graphql.types.desk")] | None = edge(
        "orders", "order_id", "The order."
    )
