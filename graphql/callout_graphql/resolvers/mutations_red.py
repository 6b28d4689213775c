"""Mutations of the red lane, and of locks by hand."""

from typing import cast
from uuid import UUID

import strawberry

from callout_dispatch import red_answers, red_lane, red_rows, visit_holds
from callout_graphql.edges import Info
from callout_graphql.resolvers.mutations_desk import there
from callout_graphql.types.dispatch import Visit
from callout_graphql.types.red import RedLane
from callout_people.principals import Role
from callout_store.errors import NotFound
from callout_store.work import Work


@strawberry.type
class RedMutations:
    """What may be done about urgent orders."""

    @strawberry.mutation
    async def start_red_lane(self, info: Info, order_id: UUID) -> RedLane:
        """Offer a P0 that waits to the best engineer who is online, and to the next until somebody takes it. Where nobody
        can be asked, the lane that comes back is exhausted already."""
        id_ = await info.context.run(lambda work: red_lane.start(work, order_id))
        return await _lane(info, id_)

    @strawberry.mutation
    async def answer_offer(self, info: Info, visit_id: UUID, accept: bool, reason: str = "") -> RedLane:
        """Answer for the engineer who is asked: a dispatcher by telephone, or the engineer at another screen."""
        context = info.context
        engineer_id = None
        if context.who.role is Role.ENGINEER:
            engineer_id = (await context.sight()).engineer_id
            if engineer_id is None:
                raise NotFound(entity="visit")
        id_ = await context.run(
            lambda work: red_answers.answer_offer(work, visit_id, accept, reason, engineer_id=engineer_id)
        )
        return await _lane(info, id_)

    @strawberry.mutation
    async def hold_visit(
        self, info: Info, id: UUID, hold: str | None = None, revision: int | None = None
    ) -> Visit:
        """Pin a visit by hand: `engineer` (nobody else gets it), `time` (nor does it move), or null to let it go. No pick,
        plan or red lane moves what is pinned; a dispatcher still may."""
        await info.context.run(lambda work: visit_holds.hold_visit(work, id, hold, revision))
        info.context.loaders.forget()
        return there(await info.context.loaders.visits.load(id), "visit")


async def _lane(info: Info, id_: UUID) -> RedLane:
    info.context.loaders.forget()

    async def read(work: Work) -> red_rows.LaneView | None:
        return await red_rows.lane_by_id(work, id_)

    return cast(RedLane, await info.context.run(read))
