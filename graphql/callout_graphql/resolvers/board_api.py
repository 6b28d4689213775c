"""Dragging on the board: one query that asks what would break, one mutation that does it."""

from datetime import datetime
from typing import cast
from uuid import UUID

import strawberry

from callout_dispatch import drag
from callout_graphql.edges import Info
from callout_graphql.resolvers.mutations_desk import there
from callout_graphql.types.board import DragCheck
from callout_graphql.types.dispatch import Visit


@strawberry.type
class BoardQueries:
    """What would break."""

    @strawberry.field
    async def check_drag(
        self, info: Info, visit_id: UUID, engineer_id: UUID | None = None, start: datetime | None = None
    ) -> DragCheck:
        """What would break if the visit went to this engineer at this time; what is left out stays."""
        async with info.context.work() as work:
            return cast(DragCheck, await drag.check_drag(work, visit_id, engineer_id, start))


@strawberry.type
class BoardMutations:
    """The move itself."""

    @strawberry.mutation
    async def drag_visit(
        self,
        info: Info,
        id: UUID,
        engineer_id: UUID | None = None,
        start: datetime | None = None,
        revision: int | None = None,
        override: bool = False,
        reason: str = "",
    ) -> Visit:
        """Move a visit on the board. What `checkDrag` tells against it needs `override` with a `reason`."""
        await info.context.run(
            lambda work: drag.drag(work, id, engineer_id, start, revision, override, reason)
        )
        info.context.loaders.forget()
        return there(await info.context.loaders.visits.load(id), "visit")
