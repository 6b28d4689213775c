"""What a run writes: its end, its changes, its timer, its lines in the journal. The caller holds the run's row."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import msgspec

from callout_dispatch.plans.changes import Change
from callout_dispatch.windows import instant
from callout_store import journal, timers
from callout_store.work import Work

WATCH_CHANNEL: Final = "plan.watch"


async def insert_changes(work: Work, run_id: UUID, changes: Sequence[Change]) -> None:
    """Keep a proposal's lines, numbered from 1, in one statement."""
    await work.execute(
        """
        insert into plan_change (run_id, number, kind, order_id, visit_id, visit_revision, from_engineer_id, from_start,
                                 engineer_id, crew, starts_at, ends_at, travel_minutes, leg_provider, leg_metres,
                                 pickup_depot_id, reasons)
        select $1, t.n, t.j->>'kind', (t.j->>'orderId')::uuid, (t.j->>'visitId')::uuid, (t.j->>'visitRevision')::int,
               (t.j->>'fromEngineerId')::uuid, (t.j->>'fromStart')::timestamptz, (t.j->>'engineerId')::uuid,
               array(select jsonb_array_elements_text(t.j->'crew'))::uuid[],
               (t.j->>'startsAt')::timestamptz, (t.j->>'endsAt')::timestamptz, (t.j->>'travelMinutes')::float8,
               t.j->>'legProvider', (t.j->>'legMetres')::float8, (t.j->>'pickupDepotId')::uuid, t.j->'reasons'
        from jsonb_array_elements($2::text::jsonb) with ordinality as t(j, n)
        """,
        run_id,
        msgspec.json.encode([_as_json(change) for change in changes]).decode(),
    )


async def end_run(
    work: Work,
    run_id: UUID,
    state: str,
    *,
    stage: str,
    figures: Mapping[str, Any] | None = None,
    fault: str | None = None,
    expires: datetime | None = None,
) -> None:
    """Bring a run to a state in which no worker holds it."""
    await work.execute(
        """
        update plan_run set state = $2, stage = $3, figures = coalesce($4::text::jsonb, figures), fault = $5,
            expires_at = coalesce($6, expires_at), finished_at = coalesce(finished_at, $7), runner = null,
            progress = case when $2 in ('proposed', 'done') then 1 else progress end, revision = revision + 1
        where org_id = callout_org() and id = $1
        """,
        run_id,
        state,
        stage,
        None if figures is None else msgspec.json.encode(figures).decode(),
        fault,
        expires,
        work.now,
    )


async def fail_run(work: Work, run_id: UUID, fault: str, figures: Mapping[str, Any] | None = None) -> None:
    """Give a run up; `fault` is a key of `texts.FAULTS`."""
    await end_run(work, run_id, "failed", stage="failed", fault=fault, figures=figures)
    await note(work, run_id, "plan.failed", fault=fault)


async def arm(work: Work, run_id: UUID, wait_s: float) -> None:
    """Have the run looked after in so many seconds."""
    # By the database's clock, which is the one that timers fire by.
    due = await work.fetchval("select now() + make_interval(secs => $1)", wait_s)
    await timers.arm(
        work, key=f"plan:{run_id}", due_at=due, channel=WATCH_CHANNEL, payload={"runId": str(run_id)}
    )


async def note(work: Work, run_id: UUID, kind: str, **data: Any) -> None:
    """A line about the run."""
    await journal.write(work, journal.Entry(kind=kind, entity="plan", entity_id=run_id, data=data))


def _as_json(change: Change) -> dict[str, Any]:
    return {
        "kind": change.kind,
        "orderId": change.order_id,
        "visitId": change.visit_id,
        "visitRevision": change.visit_revision,
        "fromEngineerId": change.from_engineer_id,
        "fromStart": None if change.from_start_s is None else instant(change.from_start_s),
        "engineerId": change.engineer_id,
        "crew": change.crew,
        "startsAt": None if change.start_s is None else instant(change.start_s),
        "endsAt": None if change.end_s is None else instant(change.end_s),
        "travelMinutes": None if change.travel_s is None else change.travel_s / 60,
        "legProvider": change.leg_provider,
        "legMetres": change.leg_metres,
        "pickupDepotId": change.pickup_depot_id,
        "reasons": change.reasons,
    }
