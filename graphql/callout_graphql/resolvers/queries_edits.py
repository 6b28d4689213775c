"""Queries about fields that were written on two sides."""

from typing import cast

import strawberry

from callout_graphql.connections import PAGE_DEFAULT, Connection, cursor_id, cut, page_size
from callout_graphql.edges import Info
from callout_graphql.types.edits import FieldConflict
from callout_sync import conflicts


@strawberry.type
class EditQueries:
    """What the office may look up."""

    @strawberry.field
    async def conflicts(
        self,
        info: Info,
        state: str | None = "open",
        first: int = PAGE_DEFAULT,
        after: str | None = None,
    ) -> Connection[FieldConflict]:
        """Fields that were written on two sides, newest first. `state`: open, settled, superseded, or null for all."""
        size = page_size(first)
        async with info.context.work() as work:
            rows = await conflicts.page(work, state=state, after=cursor_id(after), limit=size + 1)
        return cast(Connection[FieldConflict], cut(rows, size))
