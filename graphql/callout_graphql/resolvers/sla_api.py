"""Queries and mutations of the SLA clock."""

import asyncio
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final, cast
from uuid import UUID

import strawberry

from callout_graphql.connections import PAGE_DEFAULT, Connection, connection, page_size
from callout_graphql.edges import Info
from callout_graphql.resolvers.queries_policy import version_of
from callout_graphql.scalars import JSON
from callout_graphql.types.desk import Customer, WorkOrder
from callout_graphql.types.sla import SlaPolicy, SlaTried, SlaTry
from callout_orders import checks
from callout_orders.sla import pausing, tiers
from callout_orders.sla.policy import body as policy_body
from callout_orders.sla.policy import policies, preview, terms
from callout_orders.terms import Priority
from callout_orders.versioned import Version
from callout_store.errors import NotFound
from callout_store.work import Work

TRIES_MAX: Final = 20
KIND_CHARS_MAX: Final = 40


@strawberry.type
class SlaQueries:
    """What may be looked up of the SLA clock."""

    @strawberry.field
    async def sla_policy(self, info: Info, version: int | None = None) -> SlaPolicy:
        """A version of the SLA policy, 0 being the house's own; without `version` the one that new orders come in by."""
        async with info.context.work() as work:
            return cast(SlaPolicy, await policies.get(work, version))

    @strawberry.field
    async def sla_policies(
        self, info: Info, first: int = PAGE_DEFAULT, after: str | None = None
    ) -> Connection[SlaPolicy]:
        """The organisation's versions, newest first."""
        async with info.context.work() as work:
            return connection(
                await policies.versions_page(work, after=version_of(after), limit=page_size(first))
            )

    @strawberry.field
    async def check_sla_policy(self, info: Info, body: JSON, tries: list[SlaTry]) -> list[SlaTried]:
        """What a policy that is not stored would promise; refused with everything that is wrong with it. 20 tries at most."""
        given: Any = body
        gather = checks.Gather()
        of = terms.STANDARD
        with gather:
            of = policy_body.read(given)
        with gather:
            _check_tries(tries)
        gather.settle()
        # Counting years of calendars takes a while: others' requests go on meanwhile.
        return await asyncio.to_thread(_tried, of, tries)

    @strawberry.field
    async def preview_sla(
        self, info: Info, tries: list[SlaTry], version: int | None = None
    ) -> list[SlaTried]:
        """What a stored version promises (without `version` the active one): from a start to its deadlines. 20 tries at
        most."""
        _check_tries(tries)
        async with info.context.work() as work:
            n = await policies.active_version(work) if version is None else version
            of = (await policies.of_versions(work, [n]))[n]
        return await asyncio.to_thread(_tried, of, tries)


@strawberry.type
class SlaMutations:
    """What may be decided about the SLA clock."""

    @strawberry.mutation
    async def save_sla_policy(
        self, info: Info, body: JSON, note: str = "", activate: bool = False
    ) -> SlaPolicy:
        """Store a policy as the next version; with `activate` new orders come in by it from now on.

        What `body` leaves out is as in the house's own (`slaPolicy(version: 0)`); `rules` must be there.
        """

        async def act(work: Work) -> Version:
            given: Any = body
            n = await policies.save(work, given, note=note, activate=activate)
            return await policies.get(work, n)

        return cast(SlaPolicy, await info.context.run(act))

    @strawberry.mutation
    async def activate_sla_policy(self, info: Info, version: int) -> SlaPolicy:
        """Take new orders in by this version from now on; 0 goes back to the house's own. Orders that run keep theirs."""

        return cast(SlaPolicy, await info.context.run(lambda work: policies.activate(work, version)))

    @strawberry.mutation
    async def hold_work_order(
        self, info: Info, id: UUID, reason: str, note: str = "", until: datetime | None = None
    ) -> WorkOrder:
        """Put an order on hold: customer, parts, access, other. Its policy says which milestones stand still. With `until`
        it goes on by itself. The same reason again changes nothing but its `until`."""
        await info.context.run(lambda work: pausing.pause(work, id, reason, note=note, until=until))
        return await _order(info, id)

    @strawberry.mutation
    async def resume_work_order(
        self, info: Info, id: UUID, reason: str | None = None, note: str = ""
    ) -> WorkOrder:
        """End an order's hold for a reason, or without one all its holds."""
        await info.context.run(lambda work: pausing.resume(work, id, reason, note=note))
        return await _order(info, id)

    @strawberry.mutation
    async def change_customer_tier(self, info: Info, id: UUID, tier: str, reason: str = "") -> Customer:
        """Give a customer another tier (standard, silver, gold). What was promised for their running orders is looked up
        anew, and counts from each order's creation with all its pauses."""
        await info.context.run(lambda work: tiers.change_tier(work, id, tier, reason))
        info.context.loaders.forget()
        found = await info.context.loaders.customers.load(id)
        if found is None:
            raise NotFound(entity="customer", path="id")
        return found


def _check_tries(tries: Sequence[SlaTry]) -> None:
    checks.batch("tries", list(tries), limit=TRIES_MAX)
    gather = checks.Gather()
    for n, one in enumerate(tries):
        with gather:
            checks.one_of(f"tries.{n}.tier", one.tier, frozenset(terms.TIERS))
        with gather:
            checks.text(f"tries.{n}.kind", one.kind, chars_max=KIND_CHARS_MAX)
        with gather:
            checks.one_of(f"tries.{n}.priority", one.priority, frozenset(p.value for p in Priority))
        with gather:
            if one.start.tzinfo is None:
                raise checks.FieldRefused(f"tries.{n}.start", "naive_time")
            if one.start.year not in policy_body.YEARS:
                raise checks.FieldRefused(
                    f"tries.{n}.start", "years", low=policy_body.YEARS[0], high=policy_body.YEARS[-1]
                )
    gather.settle()


def _tried(of: terms.SlaPolicy, tries: Sequence[SlaTry]) -> list[SlaTried]:
    return [
        cast(
            SlaTried,
            preview.attempt(of, start=one.start, tier=one.tier, kind=one.kind, priority=one.priority),
        )
        for one in tries
    ]


async def _order(info: Info, id_: UUID) -> WorkOrder:
    info.context.loaders.forget()
    found = await info.context.loaders.orders.load(id_)
    if found is None:
        raise NotFound(entity="work order", path="id")
    return found
