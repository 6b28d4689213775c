"""A run's life: asked for, begun by a worker, told of while it lasts, proposed, and settled or given up.

queued -> running -> proposed -> accepted | partly_accepted | rejected | stale; canceled and failed from queued or running;
a what-if ends as done. Whoever runs it holds it by `runner`, the token of the outbox's lease: a worker that was believed dead
and writes after all finds another token there, and nothing of it is stored. Nothing here touches a visit.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from callout_dispatch import policies
from callout_dispatch.plans import rows
from callout_dispatch.plans.changes import Change, Kind
from callout_dispatch.plans.problems import TASKS_MAX
from callout_dispatch.plans.row_terms import Scope
from callout_dispatch.plans.run_rows import COLUMNS, Run, run_by_id, run_of
from callout_dispatch.plans.run_writes import arm, end_run, fail_run, insert_changes, note
from callout_dispatch.plans.texts import PlanInState, PlanTooLarge
from callout_dispatch.texts import REASON_MAX, FieldRefused, checked_line
from callout_orders import checks
from callout_store import outbox
from callout_store.errors import LimitExceeded, NotFound, StaleRevision
from callout_store.ids import new_id
from callout_store.work import Work

RUN_CHANNEL: Final = "plan.run"
PLANNERS: Final = frozenset({"vroom", "inserter"})
DAYS_MAX: Final = 14
AHEAD_DAYS_MAX: Final = 366
SECONDS_MIN, SECONDS_MAX = 0.1, 600.0
SEED_MAX: Final = 2**31 - 1
AT_ONCE_MAX: Final = 3
"""Runs of one organisation that wait or are under way."""
ATTEMPTS_MAX: Final = 3
"""Workers that may try a run: one that kills three of them shall not kill a fourth."""
PROPOSAL_HOURS: Final = 24
"""A proposal that nobody has settled for so long is out of date, whatever its changes stand on."""
WATCH_S: Final = 300.0
"""How often a run is looked after, and how long one that is under way may give no sign of life."""
OPEN: Final = ("queued", "running")
TO_SETTLE: Final = ("proposed", "partly_accepted")


class LostRun(Exception):
    """The run is no longer this worker's: another has it, or it was settled."""


# ------------------------------------------------------------------------------------------------ asking


async def ask(
    work: Work,
    start: datetime,
    end: datetime,
    territory_id: UUID | None = None,
    *,
    planner: str = "vroom",
    seconds_max: float | None = None,
    seed: int = 1,
) -> UUID:
    """Ask for a plan of [start, end) in a territory or all of them; the run's id. It is made by a worker.

    Raises BadField, NotFound (territory), LimitExceeded (days, seconds, visits and orders, runs at once).
    """
    start, end = check_range(work, start, end)
    policy = await policies.active(work)
    run_id = await queue(
        work,
        kind="plan",
        start=start,
        end=end,
        territory_id=territory_id,
        policy_version=policy.version,
        planner=planner,
        seconds_max=policy.planning.seconds_max if seconds_max is None else seconds_max,
        seed=seed,
    )
    scope = Scope(start=start, end=end, at=work.now, territory_id=territory_id)
    given = await rows.count(work, scope)
    if given > TASKS_MAX:
        raise PlanTooLarge("tasks", limit=TASKS_MAX, given=given)
    return run_id


def check_range(
    work: Work, start: datetime, end: datetime, *, past: bool = False
) -> tuple[datetime, datetime]:
    """A range that can be planned, or with `past` also one that is over. Raises BadField."""
    for path, at in (("start", start), ("end", end)):
        if at.tzinfo is None:
            raise FieldRefused(path, "no_zone")
    if end <= start:
        raise FieldRefused("end", "ends_early")
    if end - start > timedelta(days=DAYS_MAX):
        raise FieldRefused("end", "days_max", limit=DAYS_MAX)
    if start > work.now + timedelta(days=AHEAD_DAYS_MAX):
        raise FieldRefused("start", "start_far", limit=AHEAD_DAYS_MAX)
    if end <= work.now and not past:
        raise FieldRefused("end", "day_over")
    return start, end


async def queue(
    work: Work,
    *,
    kind: str,
    start: datetime,
    end: datetime,
    territory_id: UUID | None,
    policy_version: int,
    planner: str,
    seconds_max: float,
    seed: int,
    other_policy_version: int | None = None,
) -> UUID:
    """Put a run into the queue and owe it to a worker. Raises BadField, NotFound, LimitExceeded."""
    checks.one_of("planner", planner, PLANNERS)
    if not SECONDS_MIN <= seconds_max <= SECONDS_MAX:
        raise checks.FieldRefused("secondsMax", "range", low=SECONDS_MIN, high=SECONDS_MAX)
    checks.whole("seed", seed, low=0, high=SEED_MAX)
    if territory_id is not None and not await work.fetchval(
        "select true from territory where org_id = callout_org() and id = $1 and active", territory_id
    ):
        raise NotFound(entity="territory", path="territoryId")
    # Of two who ask at once, the second one counts the first one's.
    await work.execute("select pg_advisory_xact_lock(hashtextextended($1, 0))", f"plans:{work.org_id}")
    at_once = await work.fetchval(
        "select count(*) from plan_run where org_id = callout_org() and state in ('queued', 'running')"
    )
    if at_once >= AT_ONCE_MAX:
        raise LimitExceeded(what="plans that are made at once", limit=AT_ONCE_MAX, given=at_once + 1)
    run_id = new_id()
    await work.execute(
        """
        insert into plan_run (id, kind, state, starts_at, ends_at, territory_id, policy_version, other_policy_version,
                              planner, seconds_max, seed, stage, asked_at, asked_by)
        values ($1, $2, 'queued', $3, $4, $5, $6, $7, $8, $9, $10, 'queued', $11, $12)
        """,
        run_id,
        kind,
        start,
        end,
        territory_id,
        policy_version,
        other_policy_version,
        planner,
        seconds_max,
        seed,
        work.now,
        work.actor.user_id,
    )
    await outbox.send(
        work,
        outbox.Message(
            channel=RUN_CHANNEL,
            stream=f"plan:{run_id}",
            dedupe_key=f"plan:{run_id}",
            payload={"runId": str(run_id)},
        ),
    )
    await arm(work, run_id, WATCH_S)
    await note(work, run_id, "plan.asked", what=kind, planner=planner)
    return run_id


# ------------------------------------------------------------------------------------------------ the worker's part


async def begin(work: Work, run_id: UUID, runner: UUID) -> Run | None:
    """Take a run in hand; None where there is nothing to do: it is over, was called off, or cost too many workers."""
    row = await work.fetchrow(
        f"select {COLUMNS}, attempts from plan_run where org_id = callout_org() and id = $1 for update",
        run_id,
    )
    if row is None or row["state"] not in OPEN:
        return None
    if row["cancel_asked"]:
        await end_run(work, run_id, "canceled", stage="canceled")
        await note(work, run_id, "plan.canceled")
        return None
    if row["attempts"] >= ATTEMPTS_MAX:
        await fail_run(work, run_id, "gave_up")
        return None
    found = await work.fetchrow(
        f"""
        update plan_run set state = 'running', runner = $2, attempts = attempts + 1, progress = 0, stage = 'loading',
            started_at = coalesce(started_at, $3), alive_at = now(), revision = revision + 1
        where org_id = callout_org() and id = $1 returning {COLUMNS}
        """,
        run_id,
        runner,
        work.now,
    )
    return run_of(found)


async def beat(work: Work, run_id: UUID, runner: UUID, progress: float, stage: str) -> bool:
    """Say how far it is; whether somebody asked to cancel it. Raises LostRun.

    No revision is counted for it: nobody decides on the strength of a progress bar.
    """
    asked = await work.fetchval(
        """
        update plan_run set progress = $3, stage = $4, alive_at = now()
        where org_id = callout_org() and id = $1 and runner = $2 and state = 'running' returning cancel_asked
        """,
        run_id,
        runner,
        min(max(progress, 0.0), 1.0),
        stage[:200],
    )
    if asked is None:
        raise LostRun
    return bool(asked)


async def keep_problem(work: Work, run_id: UUID, runner: UUID, problem: bytes | None) -> None:
    """Keep what was asked of the planner. Raises LostRun."""
    held = await work.execute(
        """
        update plan_run set problem = $3 where org_id = callout_org() and id = $1 and runner = $2 and state = 'running'
        """,
        run_id,
        runner,
        problem,
    )
    if not held:
        raise LostRun


async def propose(
    work: Work,
    run_id: UUID,
    runner: UUID,
    changes: Sequence[Change],
    figures: Mapping[str, Any],
    *,
    stage: str = "proposed",
) -> None:
    """Store a plan as a proposal. Raises LostRun, also where it was cancelled in the last moment."""
    run = await _held(work, run_id, runner)
    expires = min(run.ends_at, work.now + timedelta(hours=PROPOSAL_HOURS))
    await insert_changes(work, run_id, changes)
    await end_run(work, run_id, "proposed", stage=stage, figures=figures, expires=expires)
    await arm(work, run_id, max((expires - work.now).total_seconds(), WATCH_S))
    counts = {kind.value: sum(change.kind is kind for change in changes) for kind in Kind}
    await note(work, run_id, "plan.proposed", changes=counts)


async def finish(
    work: Work, run_id: UUID, runner: UUID, figures: Mapping[str, Any], *, stage: str = "done"
) -> None:
    """Store what a what-if found. Raises LostRun."""
    await _held(work, run_id, runner)
    await end_run(work, run_id, "done", stage=stage, figures=figures)
    await note(work, run_id, "plan.compared")


async def fail(
    work: Work, run_id: UUID, runner: UUID, fault: str, figures: Mapping[str, Any] | None = None
) -> None:
    """Give up a run: `fault` is a key of `texts.FAULTS`, its values in `figures["fault"]`. Raises LostRun."""
    await _held(work, run_id, runner)
    await fail_run(work, run_id, fault, figures)


async def canceled(work: Work, run_id: UUID, runner: UUID) -> None:
    """Note that a run was ended because somebody asked for it. Raises LostRun."""
    await _held(work, run_id, runner, even_canceled=True)
    await end_run(work, run_id, "canceled", stage="canceled")
    await note(work, run_id, "plan.canceled")


async def watch(work: Work, run_id: UUID) -> None:
    """Look after a run by its timer: one whose workers are gone has failed, a proposal whose time is over is stale."""
    row = await work.fetchrow(
        """
        select state, expires_at, alive_at < now() - make_interval(secs => $2) as silent
        from plan_run where org_id = callout_org() and id = $1 for update
        """,
        run_id,
        WATCH_S,
    )
    if row is None:
        return
    if row["state"] == "running" and row["silent"]:
        await fail_run(work, run_id, "gave_up")
    elif row["state"] in TO_SETTLE and row["expires_at"] <= work.now:
        await end_run(work, run_id, "stale", stage="proposed")
        await note(work, run_id, "plan.stale")
    elif row["state"] in (*OPEN, *TO_SETTLE):
        wait = 0.0 if row["expires_at"] is None else (row["expires_at"] - work.now).total_seconds()
        await arm(work, run_id, max(wait, WATCH_S))


# ------------------------------------------------------------------------------------------------ the dispatcher's part


async def cancel(work: Work, run_id: UUID) -> Run:
    """Call a run off: at once where it waits, within a second or two where it is under way. Raises NotFound, WrongState."""
    run = await run_by_id(work, run_id, lock=True)
    if run.state == "queued":
        await end_run(work, run_id, "canceled", stage="canceled")
        await note(work, run_id, "plan.canceled")
    elif run.state == "running":
        await work.execute(
            "update plan_run set cancel_asked = true where org_id = callout_org() and id = $1", run_id
        )
    elif run.state != "canceled":
        raise PlanInState(run.state, OPEN)
    return await run_by_id(work, run_id)


async def reject(work: Work, run_id: UUID, revision: int | None = None, reason: str = "") -> Run:
    """Turn down what of a proposal was not accepted. Raises NotFound, WrongState, StaleRevision."""
    reason = checked_line("reason", reason, limit=REASON_MAX, blank=True)
    run = await locked_proposal(work, run_id, revision)
    await work.execute(
        "update plan_change set state = 'rejected' where org_id = callout_org() and run_id = $1 and state = 'proposed'",
        run_id,
    )
    await settle(work, run_id, "rejected" if run.state == "proposed" else "accepted")
    await note(work, run_id, "plan.rejected", reason=reason)
    return await run_by_id(work, run_id)


async def locked_proposal(work: Work, run_id: UUID, revision: int | None) -> Run:
    """A proposal under lock that can be settled. Raises NotFound, WrongState, StaleRevision."""
    run = await run_by_id(work, run_id, lock=True)
    if revision is not None and revision != run.revision:
        raise StaleRevision(entity="plan", current=run.revision, given=revision)
    state = run.state
    if state in TO_SETTLE and run.expires_at is not None and run.expires_at <= work.now:
        state = "stale"
    if state not in TO_SETTLE:
        raise PlanInState(state, TO_SETTLE)
    return run


async def settle(work: Work, run_id: UUID, state: str) -> None:
    """Note what a person decided on a proposal."""
    await work.execute(
        """
        update plan_run set state = $2, settled_at = $3, settled_by = $4, revision = revision + 1
        where org_id = callout_org() and id = $1
        """,
        run_id,
        state,
        work.now,
        work.actor.user_id,
    )


async def _held(work: Work, run_id: UUID, runner: UUID, *, even_canceled: bool = False) -> Run:
    row = await work.fetchrow(
        f"""
        select {COLUMNS} from plan_run where org_id = callout_org() and id = $1 and runner = $2 and state = 'running'
          and ($3 or not cancel_asked) for update
        """,
        run_id,
        runner,
        even_canceled,
    )
    if row is None:
        raise LostRun
    return run_of(row)
