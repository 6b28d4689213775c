"""Channels: their accounts, the conversations that wait, who is on the telephone, and requests of customers' own people."""

from collections.abc import Mapping
from typing import Any, cast
from uuid import UUID

import msgspec
import strawberry

from callout_dispatch.arrivals import tracking
from callout_graphql.connections import PAGE_DEFAULT, Connection, connection, cursor_id, page_size
from callout_graphql.edges import Info
from callout_graphql.resolvers.mutations_desk import there
from callout_graphql.scalars import JSON
from callout_graphql.types.channels import (
    Caller,
    DraftOutcome,
    IntakeChannel,
    IntakeDraft,
    IntakeFile,
    SubmittedRequest,
)
from callout_orders import checks
from callout_orders.channels import accounts, callers, files
from callout_orders.channels.conversations import desk_drafts
from callout_orders.channels.conversations.drafts import Heard
from callout_orders.knowledge import links
from callout_orders.precheck.taking import take
from callout_orders.precheck.terms import Request, Taken
from callout_orders.reading import contacts_by_user_ids
from callout_orders.terms import Channel
from callout_store.errors import BadField, NotFound
from callout_store.work import Work


@strawberry.input
class ChannelInput:
    """An account. `secrets`: those that change, null takes one away; the others stay. See docs for names by kind."""

    code: str
    kind: str
    name: str
    enabled: bool = True
    settings: JSON | None = None
    secrets: JSON | None = None
    default_kind: str | None = None
    default_priority: str | None = None
    locale: str = "zh"
    may_create: bool | None = None
    answers: bool = True
    patience_minutes: int = accounts.PATIENCE_MINUTES


@strawberry.input
class SubmitRequest:
    """What a customer's contact asks for. `key`: 8 to 80 characters of the app's own; the same again is the same request.

    `files` are ids that `POST /v1/files` answered. Without `siteId`, the site is found by the serial or the address.
    """

    description: str
    key: str
    kind: str | None = None
    customer_id: UUID | None = None
    site_id: UUID | None = None
    asset_id: UUID | None = None
    contact_phone: str | None = None
    serial: str | None = None
    product: str | None = None
    error_code: str | None = None
    address: str | None = None
    fields: JSON | None = None
    files: list[UUID] = strawberry.field(default_factory=list)


@strawberry.type
class ChannelQueries:
    """What may be asked about channels."""

    @strawberry.field
    async def intake_channels(self, info: Info) -> list[IntakeChannel]:
        """The organisation's accounts, forms and mailboxes."""
        async with info.context.work() as work:
            return cast(list[IntakeChannel], await accounts.channels(work))

    @strawberry.field
    async def intake_drafts(
        self,
        info: Info,
        states: list[str] | None = None,
        first: int = PAGE_DEFAULT,
        after: str | None = None,
    ) -> Connection[IntakeDraft]:
        """Conversations, newest first; without `states` those that wait (open or with the desk)."""
        async with info.context.work() as work:
            page = await desk_drafts.page(
                work, states=states or (), after=cursor_id(after), limit=page_size(first)
            )
        return connection(page)

    @strawberry.field
    async def intake_draft(self, info: Info, id: UUID) -> IntakeDraft | None:
        """One conversation."""
        async with info.context.work() as work:
            (found,) = await desk_drafts.by_ids(work, [id])
        return cast(IntakeDraft | None, found)

    @strawberry.field
    async def callers(self, info: Info, search: str, first: int = 10) -> list[Caller]:
        """Whom a caller's words may mean, as they are typed: telephone, serial, number, or part of a name."""
        async with info.context.work() as work:
            return cast(list[Caller], await callers.callers(work, search, limit=first))


@strawberry.type
class ChannelMutations:
    """What admins set of channels, what the desk does with conversations, and what customers' contacts ask for."""

    @strawberry.mutation
    async def save_intake_channel(
        self, info: Info, input: ChannelInput, id: UUID | None = None, revision: int | None = None
    ) -> IntakeChannel:
        """Make an account, or write over the one with this `id`, if it still is at `revision`."""
        values = vars(input) | {
            "settings": _object(input.settings, "settings"),
            "secrets": _object(input.secrets, "secrets"),
        }
        given = accounts.ChannelInput(**values)

        async def act(work: Work) -> Any:
            saved = await accounts.save(work, given, id_=id, revision=revision)
            (view,) = await accounts.channels_by_ids(work, [saved])
            return view

        return cast(IntakeChannel, there(await info.context.run(act), "channel"))

    @strawberry.mutation
    async def answer_draft(self, info: Info, id: UUID, text: str) -> IntakeDraft:
        """Write to whoever a conversation is with; from now on a person has it."""
        await info.context.run(lambda work: desk_drafts.answer(work, id, text))
        return await _draft(info, id)

    @strawberry.mutation
    async def complete_draft(
        self,
        info: Info,
        id: UUID,
        values: JSON | None = None,
        kind: str | None = None,
        tell: bool = True,
    ) -> DraftOutcome:
        """Fill in what a conversation lacks (texts by path), and take the order where nothing is missing any more."""
        given = _object(values, "values")
        texts = {path: None if one is None else _text(path, one) for path, one in given.items()}

        async def link(
            work: Work, order_id: UUID, locale: str, *, about: str = "order", place: bool = False
        ) -> str | None:
            if about == "answers":
                return f"{info.context.base_url}/a/{await links.create_link(work, order_id, locale)}"
            shown = place or await tracking.first_shows_place(work, order_id)
            token = await tracking.create_link(work, order_id, locale=locale, shows_place=shown)
            return f"{info.context.base_url}/t/{token}"

        async def act(work: Work) -> Heard:
            return await desk_drafts.complete(work, id, texts, kind=kind, link=link, tell=tell)

        heard = await info.context.run(act)
        return DraftOutcome(draft=await _draft(info, id), order_id=heard.order_id)

    @strawberry.mutation
    async def close_draft(self, info: Info, id: UUID, reason: str) -> IntakeDraft:
        """Nothing comes of a conversation."""
        await info.context.run(lambda work: desk_drafts.close(work, id, reason))
        return await _draft(info, id)

    @strawberry.mutation
    async def fetch_file_again(self, info: Info, id: UUID) -> IntakeFile:
        """Try once more to fetch a file that could not be fetched."""

        async def act(work: Work) -> Any:
            await files.fetch_again(work, id)
            return await files.file(work, id)

        return cast(IntakeFile, there(await info.context.run(act), "file"))

    @strawberry.mutation
    async def submit_request(self, info: Info, input: SubmitRequest) -> SubmittedRequest:
        """Ask for service, as a customer's contact and for their own customer. Everything that is wrong is said at once."""
        who = info.context.who
        key = checks.text("input.key", input.key, chars_max=80)
        if len(key) < 8:
            raise BadField(path="input.key", why="it has at least 8 characters")

        async def act(work: Work) -> Taken:
            (own,) = await contacts_by_user_ids(work, [who.user_id])
            if not own:
                raise NotFound(entity="contact")
            mine = [one for one in own if input.customer_id in (None, one.customer_id)]
            if not mine:
                raise NotFound(entity="customer", path="input.customerId")
            contact = mine[0]
            reference = ("app", f"{who.user_id}:{key}"[:120])
            brought = await files.held(
                work, input.files, f"user:{who.user_id}", again=reference, path="input.files"
            )
            request = Request(
                channel=Channel.APP.value,
                description=input.description,
                kind=input.kind,
                locale=info.context.locale,
                customer_id=contact.customer_id,
                contact_id=contact.id,
                site_id=input.site_id,
                asset_id=input.asset_id,
                contact_phone=input.contact_phone,
                serial=input.serial,
                product=input.product,
                error_code=input.error_code,
                address=input.address,
                fields=_object(input.fields, "input.fields"),
                files=files.as_request(brought),
                references=(reference,),
                own_customer_ids=tuple(dict.fromkeys(one.customer_id for one in own)),
            )
            taken = await take(work, request)
            await files.to_order(work, [one.id for one in brought], taken.id)
            return taken

        taken = await info.context.run(act)
        info.context.loaders.forget()
        return SubmittedRequest(
            order_id=taken.id,
            number=taken.number,
            existing=taken.existing,
            duplicate_of=taken.duplicate_of_number,
        )


async def _draft(info: Info, id_: UUID) -> IntakeDraft:
    info.context.loaders.forget()
    async with info.context.work() as work:
        (found,) = await desk_drafts.by_ids(work, [id_])
    return cast(IntakeDraft, there(found, "conversation"))


def _object(given: Any, path: str) -> Mapping[str, Any]:
    if given is None:
        return {}
    if not isinstance(given, dict):
        raise BadField(path=path, why="not an object of values by name")
    return given


def _text(path: str, value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, bool | int | float):
        return msgspec.json.encode(value).decode()
    if isinstance(value, list) and all(isinstance(one, str) for one in value):
        return ", ".join(value)
    raise BadField(path=f"values.{path}", why="not a text")
