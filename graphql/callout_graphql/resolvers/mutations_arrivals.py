"""Mutations of what customers see of an engineer's way."""

from uuid import UUID

import strawberry

from callout_dispatch.arrivals import tracking
from callout_graphql.edges import Info
from callout_graphql.types.arrivals import TrackLink

TRACK_PATH = "/t"


@strawberry.type
class ArrivalMutations:
    """Links for customers."""

    @strawberry.mutation
    async def create_track_link(self, info: Info, order_id: UUID, locale: str | None = None) -> TrackLink:
        """A link by which the customer of an order sees when the engineer comes, good for 14 days."""
        context = info.context
        spoken = locale or context.locale
        token = await context.run(lambda work: tracking.create_link(work, order_id, spoken))
        return TrackLink(url=f"{context.base_url}{TRACK_PATH}/{token}", order_id=order_id)
