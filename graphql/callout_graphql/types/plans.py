"""Types of plans: runs, what they propose, and what became of it."""

from datetime import datetime
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import strawberry

from callout_dispatch.plans import run_rows, texts
from callout_dispatch.plans.accept import Accepted
from callout_graphql.edges import Info, edge
from callout_graphql.scalars import JSON
from callout_graphql.types.desk import WorkOrder
from callout_graphql.types.dispatch import Engineer, Visit

CHANGES_DEFAULT = 200


@strawberry.type
class PlanReason:
    """Why an order is left: a code, and how many engineers it excludes (null: it is about none of them)."""

    code: str
    engineers: int | None


@strawberry.type
class PlanChange:
    """One line of a proposal. `kind`: assign, reassign, move, unassign, keep, unassigned; `state`: proposed, accepted,
    rejected, stale.

    `visitRevision` is that of the visit on which the line stands: accepting is refused once it moved on.
    """

    number: int
    kind: str
    state: str
    order_id: UUID
    order_number: str
    priority: str
    site_name: str
    visit_id: UUID | None
    visit_revision: int | None
    from_engineer_id: UUID | None
    from_start: datetime | None
    engineer_id: UUID | None
    starts_at: datetime | None
    ends_at: datetime | None
    travel_minutes: float | None
    leg_provider: str | None
    leg_metres: float | None
    pickup_depot_id: UUID | None

    order: WorkOrder | None = edge("orders", "order_id", "The order.")

    visit: Visit | None = edge("visits", "visit_id", "The visit as it is now.")

    engineer: Engineer | None = edge("engineers", "engineer_id", "Who would go.")

    from_engineer: Engineer | None = edge("engineers", "from_engineer_id", "Who was to go.")

    @strawberry.field
    def crew(root: strawberry.Parent[run_rows.ChangeRow]) -> list[UUID]:
        """Who would go along."""
        return list(root.crew)

    @strawberry.field
    def reasons(root: strawberry.Parent[run_rows.ChangeRow]) -> list[PlanReason]:
        """Why the order is left, the most frequent reason first."""
        return [
            PlanReason(code=reason.code.value, engineers=_whole(reason.detail.get("engineers")))
            for reason in root.reasons
        ]

    @strawberry.field
    def text(root: strawberry.Parent[run_rows.ChangeRow], info: Info) -> str:
        """The line in the caller's language, times in the organisation's own clock."""
        return texts.change_sentence(
            root.kind,
            order=root.order_number,
            to=root.name,
            was=root.from_name,
            crew=root.crew_names,
            start=root.starts_at,
            was_start=root.from_start,
            reasons=root.reasons,
            zone=ZoneInfo(root.time_zone),
            locale=info.context.locale,
        )


@strawberry.type
class PlanChangePage:
    """A page of a proposal's lines: ask again with `after: endCursor` while `hasMore`."""

    nodes: list[PlanChange]
    end_cursor: int | None
    has_more: bool


@strawberry.type
class Plan:
    """A run of the planner, and its proposal. `kind`: plan or what_if.

    `state`: queued, running, proposed, accepted, partly_accepted, rejected, stale, canceled, failed; done for a what-if.
    `progress` is 0 to 1, `stage` a code with `stageText`. `figures`: for a plan before and after, changes and engineers; for
    a what-if `a` and `b`, engineers and orders that differ.
    """

    id: UUID
    kind: str
    state: str
    starts_at: datetime
    ends_at: datetime
    territory_id: UUID | None
    policy_version: int
    other_policy_version: int | None
    planner: str
    seconds_max: float
    seed: int
    progress: float
    stage: str
    cancel_asked: bool
    figures: JSON
    asked_at: datetime
    asked_by: UUID | None
    started_at: datetime | None
    finished_at: datetime | None
    expires_at: datetime | None
    settled_at: datetime | None
    settled_by: UUID | None
    revision: int

    @strawberry.field
    def state_text(root: strawberry.Parent[run_rows.Run], info: Info) -> str:
        """The state in the caller's language."""
        return texts.say(texts.STATES[root.state], info.context.locale)

    @strawberry.field
    def stage_text(root: strawberry.Parent[run_rows.Run], info: Info) -> str:
        """What it is doing, in the caller's language."""
        return texts.stage(root.stage, info.context.locale)

    @strawberry.field
    def fault(root: strawberry.Parent[run_rows.Run], info: Info) -> str | None:
        """Why it failed, in the caller's language."""
        return texts.fault_sentence(root.fault, root.figures.get("fault"), info.context.locale)

    @strawberry.field
    async def changes(
        root: strawberry.Parent[run_rows.Run],
        info: Info,
        kinds: list[str] | None = None,
        engineer_id: UUID | None = None,
        first: int = CHANGES_DEFAULT,
        after: int | None = None,
    ) -> PlanChangePage:
        """The proposal's lines by number; of these `kinds`, and of an engineer who gains, loses or goes along. `first` is 1
        to 1,000."""
        async with info.context.work() as work:
            page: Any = await run_rows.changes_page(
                work, root.id, kinds=kinds or (), engineer_id=engineer_id, after=after, limit=first
            )
        return PlanChangePage(nodes=page.items, end_cursor=page.end_cursor, has_more=page.has_more)


@strawberry.type
class SkippedChange:
    """A line that was not taken, and why: visit_changed, visit_over, order_planned, time_passed, settled, infeasible."""

    number: int
    code: str
    text: str


@strawberry.type
class AcceptedPlan:
    """What became of a call: the lines taken, those left out (only with `skipStale`), and the visits that were made."""

    plan: Plan
    taken: list[int]
    skipped: list[SkippedChange]
    visit_ids: list[UUID]


def accepted_plan(given: Accepted, locale: str) -> AcceptedPlan:
    """The answer, in the caller's language."""
    run: Any = given.run
    return AcceptedPlan(
        plan=run,
        taken=list(given.taken),
        skipped=[
            SkippedChange(number=one.number, code=one.code, text=texts.say(one.texts, locale))
            for one in given.skipped
        ],
        visit_ids=list(given.visit_ids),
    )


def _whole(value: object) -> int | None:
    return value if isinstance(value, int) else None
