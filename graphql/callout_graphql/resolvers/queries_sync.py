"""Queries about what lies on phones."""

from uuid import UUID

import strawberry

from callout_graphql.edges import Info
from callout_graphql.scalars import JSON
from callout_sync.explain import explain


@strawberry.type
class ReasonWhy:
    """One reason. `code` never changes; `facts` are texts by name: `visit`, `who`, `at` and others."""

    code: str
    sentence: str
    facts: JSON


@strawberry.type
class Explanation:
    """Why a record is or is not on a device. `held`: it should be there. `delivered`: the device showed that it knows the
    present state."""

    entity: str
    id: UUID
    held: bool
    delivered: bool
    reasons: list[ReasonWhy]


@strawberry.type
class SyncQueries:
    """What the office may ask about a phone's copy."""

    @strawberry.field
    async def explain(self, info: Info, device_id: UUID, entity: str, id: UUID) -> Explanation:
        """Why a record is, or is not, on a device; `entity` as in a pulled document."""
        context = info.context
        async with context.work() as work:
            found = await explain(work, device_id, entity, id)
        return Explanation(
            entity=found.entity,
            id=found.id,
            held=found.held,
            delivered=found.delivered,
            reasons=[
                ReasonWhy(
                    code=reason.code, sentence=reason.sentence(context.locale), facts=JSON(reason.facts)
                )
                for reason in found.reasons
            ],
        )
