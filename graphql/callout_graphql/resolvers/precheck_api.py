"""The pre-check: a dry run of a request, duplicates, and what it works with (products, keywords, settings)."""

from typing import Annotated, cast
from uuid import UUID

import msgspec
import strawberry

from callout_dispatch import merging
from callout_graphql.connections import PAGE_DEFAULT, Connection, connection, cursor_id, page_size
from callout_graphql.edges import Info
from callout_graphql.order_input import CreateWorkOrder, request_of
from callout_graphql.resolvers.mutations_desk import there
from callout_graphql.types.desk import WorkOrder
from callout_graphql.types.precheck import (
    ChannelSettings,
    DuplicateCandidate,
    DuplicateSettings,
    Keyword,
    MergedOrders,
    OrderCheck,
    OrderReporter,
    PrecheckSettings,
    Product,
)
from callout_orders.channels import files
from callout_orders.precheck import keywords, products, settings, taking
from callout_orders.precheck.alike import links, search
from callout_orders.terms import Channel
from callout_store.work import Work


@strawberry.input
class SaveProduct:
    """A product by its code. `serialPattern`: letters, digits, `\\d`, `[A-Z0-9]`, `(?:A|B)`, `?`, `{n}`, `{n,m}`, and `-./_`
    where a serial is grouped."""

    code: str
    name_en: str
    name_zh: str
    names: list[str] = strawberry.field(default_factory=list)
    serial_pattern: str | None = None
    serial_example: str | None = None
    active: bool = True


@strawberry.input
class KeywordInput:
    """A word, the tag that it puts on an order, and what it hints at. An empty tag hides what stands inside of the word."""

    word: str
    tag: str = ""
    priority: str | None = None
    kind: str | None = None


@strawberry.input
class DuplicateSettingsInput:
    """What is left out stays as it is."""

    link: bool | None = None
    sure: float | None = None
    possible: float | None = None
    hours: int | None = None
    open_days: int | None = None
    closed_hours: int | None = None
    metres: int | None = None


@strawberry.input
class ChannelSettingsInput:
    """What a channel may do. `raiseTo` null: the words of a request raise nothing."""

    channel: str
    create: bool = True
    kind: str = "service"
    priority: str = "P2"
    raise_to: str | None = None


@strawberry.input
class PrecheckSettingsInput:
    """What is left out stays as it is; `channels` are those that change."""

    regions: list[str] | None = None
    confidence: float | None = None
    duplicates: DuplicateSettingsInput | None = None
    channels: list[ChannelSettingsInput] | None = None


@strawberry.type
class PrecheckQueries:
    """What may be asked about requests before they are orders."""

    @strawberry.field
    async def check_order(self, info: Info, input: CreateWorkOrder) -> OrderCheck:
        """What would become of a request, as often as somebody types: everything that is wrong, what was found in the text,
        tags, who was recognised, duplicates. Nothing is written."""
        request = request_of(input, info.context.locale)
        async with info.context.work() as work:
            request = await files.brought_with(work, request, info.context.who.user_id, "input.files")
            return cast(OrderCheck, await taking.check(work, request))

    @strawberry.field
    async def possible_duplicates(self, info: Info, order_id: UUID) -> list[DuplicateCandidate]:
        """Orders that an order may be a duplicate of, the likeliest first."""
        async with info.context.work() as work:
            stored = await settings.stored(work)
            found = await search.of_order(work, order_id, stored.settings.duplicates)
            return cast(list[DuplicateCandidate], list(found))

    @strawberry.field
    async def order_reporters(self, info: Info, order_id: UUID) -> list[OrderReporter]:
        """Further people who reported the matter of an order."""
        async with info.context.work() as work:
            (found,) = await links.reporters_by_order_ids(work, [order_id])
            return cast(list[OrderReporter], found)

    @strawberry.field
    async def products(
        self, info: Info, active: bool | None = True, first: int = PAGE_DEFAULT, after: str | None = None
    ) -> Connection[Product]:
        """Products, newest first. `active: null`: retired ones too."""
        async with info.context.work() as work:
            page = await products.products_page(
                work, active=active, after=cursor_id(after), limit=page_size(first)
            )
        return connection(page)

    @strawberry.field
    async def keywords(
        self,
        info: Info,
        tag: str | None = None,
        search: str | None = None,
        first: int = PAGE_DEFAULT,
        after: str | None = None,
    ) -> Connection[Keyword]:
        """The organisation's own keywords, newest first; the built-in ones stand beside them."""
        async with info.context.work() as work:
            page = await keywords.keywords_page(
                work, tag=tag, search=search, after=cursor_id(after), limit=page_size(first)
            )
        return connection(page)

    @strawberry.field
    async def precheck_settings(self, info: Info) -> PrecheckSettings:
        """How requests are looked at."""
        async with info.context.work() as work:
            return _shown(await settings.stored(work))


@strawberry.type
class PrecheckMutations:
    """What may be decided about duplicates, products, keywords and settings."""

    @strawberry.mutation
    async def unlink_duplicate(
        self, info: Info, order_id: UUID, reason: str = "", revision: int | None = None
    ) -> WorkOrder:
        """The order is a matter of its own after all: its clock starts, and it is to be planned."""
        await info.context.run(lambda work: links.unlink(work, order_id, reason, revision))
        info.context.loaders.forget()
        return there(await info.context.loaders.orders.load(order_id), "work order")

    @strawberry.mutation
    async def merge_work_orders(
        self,
        info: Info,
        into: UUID,
        from_: Annotated[UUID, strawberry.argument(name="from")],
        reason: str = "",
        across_customers: bool = False,
    ) -> MergedOrders:
        """Put the order `from` into the order `into`: references, reporters and duplicates move, `from` is closed as merged.

        Visits of `from` must have ended; of different customers only with `acrossCustomers`."""

        async def act(work: Work) -> links.Merged:
            return await merging.merge_orders(work, into, from_, reason, across_customers=across_customers)

        merged = await info.context.run(act)
        info.context.loaders.forget()
        return cast(MergedOrders, merged)

    @strawberry.mutation
    async def save_product(self, info: Info, input: SaveProduct, revision: int | None = None) -> Product:
        """Make or change the product with this code. A pattern that could be slow to match is refused."""
        new = products.NewProduct(**{**vars(input), "names": tuple(input.names)})
        return cast(Product, await info.context.run(lambda work: products.save_product(work, new, revision)))

    @strawberry.mutation
    async def save_keywords(
        self, info: Info, given: Annotated[list[KeywordInput], strawberry.argument(name="keywords")]
    ) -> int:
        """Add keywords, or change what they hint at; how many were written. Up to 5,000 at a time."""
        new = [keywords.NewKeyword(**vars(one)) for one in given]
        return await info.context.run(lambda work: keywords.save_keywords(work, new))

    @strawberry.mutation
    async def remove_keywords(self, info: Info, ids: list[UUID]) -> int:
        """Take keywords away; how many there were."""
        return await info.context.run(lambda work: keywords.remove_keywords(work, ids))

    @strawberry.mutation
    async def save_precheck_settings(
        self, info: Info, input: PrecheckSettingsInput, revision: int | None = None
    ) -> PrecheckSettings:
        """Change how requests are looked at; everything that is wrong is said at once."""

        async def act(work: Work) -> settings.Stored:
            now = (await settings.held(work)).settings
            return await settings.save(work, _changed(now, input), revision)

        return _shown(await info.context.run(act))


def _changed(now: settings.Settings, input: PrecheckSettingsInput) -> settings.Settings:
    change: dict[str, object] = {}
    if input.regions is not None:
        change["regions"] = tuple(input.regions)
    if input.confidence is not None:
        change["confidence"] = input.confidence
    if input.duplicates is not None:
        given = {name: value for name, value in vars(input.duplicates).items() if value is not None}
        change["duplicates"] = msgspec.structs.replace(now.duplicates, **given)
    if input.channels is not None:
        change["channels"] = now.channels | {
            one.channel: settings.ChannelRules(
                create=one.create, kind=one.kind, priority=one.priority, raise_to=one.raise_to
            )
            for one in input.channels
        }
    return msgspec.structs.replace(now, **change)


def _shown(stored: settings.Stored) -> PrecheckSettings:
    now = stored.settings
    return PrecheckSettings(
        revision=stored.revision,
        regions=list(now.regions),
        confidence=now.confidence,
        duplicates=cast(DuplicateSettings, now.duplicates),
        channels=[
            ChannelSettings(channel=one.value, **msgspec.structs.asdict(now.channel(one.value)))
            for one in Channel
        ],
    )
