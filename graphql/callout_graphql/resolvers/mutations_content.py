"""Mutations of what the office prepares for the phones: articles, forms, parts of orders, and what phones hold."""

from typing import cast
from uuid import UUID

import strawberry

from callout_graphql.edges import Info
from callout_graphql.inputs import PartNeed
from callout_graphql.resolvers.mutations_desk import there
from callout_graphql.scalars import JSON
from callout_graphql.types.content import Article, Form
from callout_graphql.types.desk import WorkOrder
from callout_graphql.types.sync import Organisation
from callout_orders import forms, order_parts
from callout_orders.knowledge import articles
from callout_people import organisations


@strawberry.input
class SaveArticle:
    """An article; null in `kind`, `model`, `faultCode` or `territoryId` means whatever it is. `forCustomers`: it may be
    offered to customers as an answer, with its `workaround`."""

    title: str
    body: str
    locale: str = "en"
    kind: str | None = None
    model: str | None = None
    fault_code: str | None = None
    territory_id: UUID | None = None
    workaround: str = ""
    for_customers: bool = False


@strawberry.input
class SaveForm:
    """A form. `schema` is a JSON Schema, draft 2020-12, whose `$ref` lead to its own `$defs`; `kind` null: all orders."""

    code: str
    title_en: str
    title_zh: str
    schema: JSON
    kind: str | None = None


@strawberry.type
class ContentMutations:
    """What the office may prepare."""

    @strawberry.mutation
    async def save_article(
        self, info: Info, input: SaveArticle, id: UUID | None = None, revision: int | None = None
    ) -> Article:
        """Write an article, or over the one with this `id`, if it still is at `revision`. A retired one comes back."""
        text = articles.ArticleText(**vars(input))
        id_ = await info.context.run(
            lambda work: articles.save_article(work, text, id_=id, revision=revision)
        )
        info.context.loaders.forget()
        return there(await info.context.loaders.articles.load(id_), "article")

    @strawberry.mutation
    async def retire_article(self, info: Info, id: UUID, revision: int | None = None) -> Article:
        """Take an article from all phones."""
        await info.context.run(lambda work: articles.retire_article(work, id, revision))
        info.context.loaders.forget()
        return there(await info.context.loaders.articles.load(id), "article")

    @strawberry.mutation
    async def save_form(self, info: Info, input: SaveForm) -> Form:
        """Make the next version of a form; the one before is retired, and still taken from phones that were away."""
        form = forms.NewForm(**vars(input))
        id_ = await info.context.run(lambda work: forms.save_form(work, form))
        info.context.loaders.forget()
        return there(await info.context.loaders.forms.load(id_), "form")

    @strawberry.mutation
    async def retire_form(self, info: Info, id: UUID) -> Form:
        """Take a form from all phones."""
        await info.context.run(lambda work: forms.retire_form(work, id))
        info.context.loaders.forget()
        return there(await info.context.loaders.forms.load(id), "form")

    @strawberry.mutation
    async def set_order_parts(
        self, info: Info, order_id: UUID, parts: list[PartNeed], revision: int | None = None
    ) -> WorkOrder:
        """Say which parts an order will need, in place of what was said before."""
        needs = [(need.code, need.quantity) for need in parts]
        await info.context.run(lambda work: order_parts.set_order_parts(work, order_id, needs, revision))
        info.context.loaders.forget()
        return there(await info.context.loaders.orders.load(order_id), "work order")

    @strawberry.mutation
    async def configure_phones(
        self,
        info: Info,
        window_days: int | None = None,
        history_events: int | None = None,
        budget_mb: int | None = None,
        parts: str | None = None,
        hold_minutes: int | None = None,
        tombstone_days: int | None = None,
        app_version_min: str | None = None,
    ) -> Organisation:
        """Decide what the phones hold, and for how long; what is left out stays. See `Organisation`.

        An empty `appVersionMin` lets every version in.
        """
        change = organisations.Phones(
            window_days=window_days,
            history_events=history_events,
            budget_mb=budget_mb,
            parts=parts,
            hold_minutes=hold_minutes,
            tombstone_days=tombstone_days,
            app_version_min=app_version_min,
        )
        changed = await info.context.run(lambda work: organisations.configure_phones(work, change))
        return cast(Organisation, changed)
