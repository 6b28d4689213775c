"""Queries about the scheduling policy."""

from typing import cast

import strawberry

from callout_dispatch import policies
from callout_dispatch.places import place_settings
from callout_graphql.connections import PAGE_DEFAULT, Connection, connection, page_size
from callout_graphql.edges import Info
from callout_graphql.types.policy import DispatchSettings, SchedulingPolicy
from callout_store.errors import BadField
from callout_store.work import Work

VERSION_MAX = 2**31 - 1


@strawberry.type
class PolicyQueries:
    """What the office may look up of its policy."""

    @strawberry.field
    async def scheduling_policy(self, info: Info, version: int | None = None) -> SchedulingPolicy:
        """A version of the policy, 0 being the house's own; without `version` the one that is decided by now."""
        async with info.context.work() as work:
            return cast(SchedulingPolicy, await policies.get(work, version))

    @strawberry.field
    async def scheduling_policies(
        self, info: Info, first: int = PAGE_DEFAULT, after: str | None = None
    ) -> Connection[SchedulingPolicy]:
        """The organisation's versions, newest first."""
        async with info.context.work() as work:
            return connection(
                await policies.versions_page(work, after=version_of(after), limit=page_size(first))
            )

    @strawberry.field
    async def dispatch_settings(self, info: Info) -> DispatchSettings:
        """What the organisation decided about its dispatch."""
        async with info.context.work() as work:
            return await settings_of(work)


async def settings_of(work: Work) -> DispatchSettings:
    """The settings as a type."""
    found = await place_settings.settings(work)
    return DispatchSettings(
        policy_version=await policies.active_version(work),
        position_days=found.position_days,
        position_margin_minutes=found.position_margin_minutes,
        travel_provider=found.travel_provider,
    )


def version_of(after: str | None) -> int | None:
    """The version within a cursor of a list of versions."""
    if after is None:
        return None
    if not (after.isascii() and after.isdigit() and int(after) <= VERSION_MAX):
        raise BadField(path="after", why="not a cursor of this list")
    return int(after)
