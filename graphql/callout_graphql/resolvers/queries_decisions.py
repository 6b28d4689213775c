"""Queries about decisions: shown, made again, and asked about one engineer."""

from typing import cast
from uuid import UUID

import strawberry

from callout_dispatch import decisions
from callout_graphql.connections import page_size
from callout_graphql.edges import Info
from callout_graphql.types.decisions import ReplayedDecision, WhyNot, answered, replayed
from callout_graphql.types.dispatch import DispatchDecision


@strawberry.type
class DecisionQueries:
    """What the office may ask about who was sent and why."""

    @strawberry.field
    async def decision(self, info: Info, id: UUID) -> DispatchDecision | None:
        """One decision as it was recorded."""
        async with info.context.work() as work:
            return cast(DispatchDecision | None, await decisions.decision(work, id))

    @strawberry.field
    async def replay_decision(
        self, info: Info, id: UUID, policy_version: int | None = None, first: int = 20
    ) -> ReplayedDecision:
        """A decision made again: by the policy that it went by, or by another version (0: the house's own)."""
        size = page_size(first)
        async with info.context.work() as work:
            found = await decisions.replay(work, id, policy_version)
        return replayed(found, info.context, size)

    @strawberry.field
    async def why_not(
        self, info: Info, engineer_id: UUID, decision_id: UUID | None = None, order_id: UUID | None = None
    ) -> WhyNot:
        """Why this engineer was not chosen: by a decision, or by the last one on an order."""
        async with info.context.work() as work:
            found = await decisions.why_not(work, engineer_id, decision_id=decision_id, order_id=order_id)
        return answered(found, info.context)
