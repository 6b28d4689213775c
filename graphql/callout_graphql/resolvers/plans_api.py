"""Plans: asked for, looked at, taken or turned down."""

from datetime import datetime
from typing import cast
from uuid import UUID

import strawberry

from callout_dispatch.plans import run_rows, runs, what_if
from callout_dispatch.plans.accept import accept
from callout_graphql.connections import PAGE_DEFAULT, Connection, connection, cursor_id, page_size
from callout_graphql.edges import Info
from callout_graphql.types.plans import AcceptedPlan, Plan, accepted_plan
from callout_store.errors import NotFound


@strawberry.type
class PlanQueries:
    """What may be asked about plans."""

    @strawberry.field
    async def plan(self, info: Info, id: UUID) -> Plan | None:
        """One run, a plan's or a what-if's. While it is queued or running, ask again every second or two."""
        async with info.context.work() as work:
            try:
                return cast(Plan, await run_rows.run_by_id(work, id))
            except NotFound:
                return None

    @strawberry.field
    async def plans(
        self,
        info: Info,
        states: list[str] | None = None,
        kind: str | None = None,
        first: int = PAGE_DEFAULT,
        after: str | None = None,
    ) -> Connection[Plan]:
        """Runs, newest first; `kind`: plan or what_if."""
        async with info.context.work() as work:
            return connection(
                await run_rows.runs_page(
                    work, states=states or (), kind=kind, after=cursor_id(after), limit=page_size(first)
                )
            )


@strawberry.type
class PlanMutations:
    """What dispatchers may do with plans."""

    @strawberry.mutation
    async def ask_plan(
        self,
        info: Info,
        start: datetime,
        end: datetime,
        territory_id: UUID | None = None,
        planner: str = "vroom",
        seconds_max: float | None = None,
        seed: int = 1,
    ) -> Plan:
        """Have [start, end) planned, at most 14 days, in a territory or all of them. It becomes a proposal: nothing changes
        until somebody accepts it. `planner`: vroom or inserter; `secondsMax`: what the policy says where it is left out."""
        id_ = await info.context.run(
            lambda work: runs.ask(
                work, start, end, territory_id, planner=planner, seconds_max=seconds_max, seed=seed
            )
        )
        return await _plan(info, id_)

    @strawberry.mutation
    async def ask_what_if(
        self,
        info: Info,
        start: datetime,
        end: datetime,
        policy_version: int,
        other_policy_version: int,
        territory_id: UUID | None = None,
        planner: str = "vroom",
        seconds_max: float | None = None,
        seed: int = 1,
    ) -> Plan:
        """Have [start, end), past or to come, planned from scratch by two versions of the policy (0: the house's own), to be
        compared in `figures`. Nothing of it is ever accepted."""
        id_ = await info.context.run(
            lambda work: what_if.ask(
                work,
                start,
                end,
                policy_version,
                other_policy_version,
                territory_id,
                planner=planner,
                seconds_max=seconds_max,
                seed=seed,
            )
        )
        return await _plan(info, id_)

    @strawberry.mutation
    async def cancel_plan(self, info: Info, id: UUID) -> Plan:
        """Call a run off; one that is under way ends within a second or two."""
        return cast(Plan, await info.context.run(lambda work: runs.cancel(work, id)))

    @strawberry.mutation
    async def accept_plan(
        self,
        info: Info,
        id: UUID,
        numbers: list[int] | None = None,
        revision: int | None = None,
        skip_stale: bool = False,
        tell: bool = False,
    ) -> AcceptedPlan:
        """Take these lines of a proposal, or all that are open. What does not stand as it did, or would break a rule by now,
        has the whole call refused (PLAN_STALE, PLAN_INFEASIBLE), or with `skipStale` is left out. With `tell` the engineers
        learn of it at once."""
        context = info.context
        given = await context.run(
            lambda work: accept(work, id, numbers, revision, skip_stale=skip_stale, told=tell)
        )
        context.loaders.forget()
        return accepted_plan(given, context.locale)

    @strawberry.mutation
    async def reject_plan(self, info: Info, id: UUID, revision: int | None = None, reason: str = "") -> Plan:
        """Turn down what of a proposal was not accepted."""
        return cast(Plan, await info.context.run(lambda work: runs.reject(work, id, revision, reason)))


async def _plan(info: Info, id_: UUID) -> Plan:
    async with info.context.work() as work:
        return cast(Plan, await run_rows.run_by_id(work, id_))
