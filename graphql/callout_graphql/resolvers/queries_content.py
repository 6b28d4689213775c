"""Queries about what the office prepares for the phones."""

import strawberry

from callout_graphql.connections import PAGE_DEFAULT, Connection, connection, cursor_id, page_size
from callout_graphql.edges import Info
from callout_graphql.types.content import Article, Form
from callout_orders import forms
from callout_orders.knowledge import articles


@strawberry.type
class ContentQueries:
    """What staff may look up."""

    @strawberry.field
    async def articles(
        self,
        info: Info,
        active: bool | None = True,
        kind: str | None = None,
        model: str | None = None,
        search: str | None = None,
        standing: bool | None = None,
        first: int = PAGE_DEFAULT,
        after: str | None = None,
    ) -> Connection[Article]:
        """Articles, newest first; `search` in title and text. `active: null`: retired ones too. `standing`: only those that
        are standing answers, or only those that are not."""
        async with info.context.work() as work:
            page = await articles.articles_page(
                work,
                active=active,
                kind=kind,
                model=model,
                search=search,
                standing=standing,
                after=cursor_id(after),
                limit=page_size(first),
            )
        return connection(page)

    @strawberry.field
    async def forms(
        self,
        info: Info,
        active: bool | None = True,
        code: str | None = None,
        kind: str | None = None,
        first: int = PAGE_DEFAULT,
        after: str | None = None,
    ) -> Connection[Form]:
        """Versions of forms, newest first. `active: null`: retired ones too."""
        async with info.context.work() as work:
            page = await forms.forms_page(
                work, active=active, code=code, kind=kind, after=cursor_id(after), limit=page_size(first)
            )
        return connection(page)
