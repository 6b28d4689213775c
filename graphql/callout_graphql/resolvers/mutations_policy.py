"""Mutations of the scheduling policy."""

from typing import Any, cast

import strawberry

from callout_dispatch import policies
from callout_dispatch.places import place_settings
from callout_graphql.edges import Info
from callout_graphql.resolvers.queries_policy import settings_of
from callout_graphql.scalars import JSON
from callout_graphql.types.policy import DispatchSettings, SchedulingPolicy
from callout_orders.versioned import Version
from callout_store.work import Work


@strawberry.type
class PolicyMutations:
    """What admins and supervisors may decide."""

    @strawberry.mutation
    async def save_scheduling_policy(
        self, info: Info, body: JSON, note: str = "", activate: bool = False
    ) -> SchedulingPolicy:
        """Store a policy as the next version; with `activate` it is decided by from now on.

        What `body` leaves out is as in the house's own (`schedulingPolicy(version: 0)`).
        """

        async def act(work: Work) -> Version:
            given: Any = body
            n = await policies.save(work, given, note=note, activate=activate)
            return await policies.get(work, n)

        return cast(SchedulingPolicy, await info.context.run(act))

    @strawberry.mutation
    async def activate_scheduling_policy(self, info: Info, version: int) -> SchedulingPolicy:
        """Decide by this version from now on; 0 goes back to the house's own."""

        return cast(SchedulingPolicy, await info.context.run(lambda work: policies.activate(work, version)))

    @strawberry.mutation
    async def set_dispatch_settings(
        self,
        info: Info,
        position_days: int | None = None,
        position_margin_minutes: int | None = None,
        travel_provider: str | None = None,
    ) -> DispatchSettings:
        """Change for how many days positions are kept (1 to 400), how many minutes before and after a shift they are taken
        (0 to 240), and who says how long a way takes: estimate, osrm, valhalla."""

        async def act(work: Work) -> DispatchSettings:
            await place_settings.configure(
                work,
                position_days=position_days,
                position_margin_minutes=position_margin_minutes,
                travel_provider=travel_provider,
            )
            return await settings_of(work)

        return await info.context.run(act)
