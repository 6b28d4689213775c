"""Queries about red lanes."""

from typing import cast
from uuid import UUID

import strawberry

from callout_dispatch import red_rows
from callout_graphql.connections import PAGE_DEFAULT, Connection, connection, cursor_id, page_size
from callout_graphql.edges import Info
from callout_graphql.types.red import RedLane
from callout_store.errors import BadField

STATES = ("offering", "accepted", "exhausted", "canceled")


@strawberry.type
class RedQueries:
    """What may be asked about red lanes."""

    @strawberry.field
    async def red_lane(self, info: Info, id: UUID) -> RedLane | None:
        """One lane."""
        async with info.context.work() as work:
            return cast(RedLane | None, await red_rows.lane_by_id(work, id))

    @strawberry.field
    async def red_lanes(
        self, info: Info, state: str | None = None, first: int = PAGE_DEFAULT, after: str | None = None
    ) -> Connection[RedLane]:
        """Lanes, newest first. `state`: offering, accepted, exhausted, canceled, or null for all."""
        if state is not None and state not in STATES:
            raise BadField(path="state", why=f"one of {', '.join(STATES)}")
        async with info.context.work() as work:
            page = await red_rows.lanes_page(
                work, state=state, after=cursor_id(after), limit=page_size(first)
            )
        return connection(page)
