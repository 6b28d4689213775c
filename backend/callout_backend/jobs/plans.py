"""The worker's part in plans and what-ifs: read, find the ways, solve in a process of its own, check, propose.

A run may take minutes, a message of the outbox has 45 seconds. So the channel's handler is a `Long` one: its lease is
renewed while it runs, and whoever takes the row after a worker's death takes up the run, whose `runner` is that lease's
token. Nothing is held open meanwhile: each step has its own short transaction, and none of them writes to a visit.

Harmless twice: a run that is over is left alone, one that is under way belongs to the newest lease, and a proposal is
stored in the transaction that ends the run.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeVar
from uuid import UUID

import structlog

from callout_backend.jobs.drain import Handler, Long
from callout_dispatch import policies
from callout_dispatch.places.speeds import travel_model
from callout_dispatch.planning.processes import PlannerCanceled, solve
from callout_dispatch.planning.terms import Problem
from callout_dispatch.plans import problems, runs, what_if, what_if_sides
from callout_dispatch.plans.changes import changes_of
from callout_dispatch.plans.draft import Draft, make_draft
from callout_dispatch.plans.loaded import Loaded, loaded, pack
from callout_dispatch.plans.row_terms import Rows
from callout_dispatch.plans.run_figures import figures_of
from callout_dispatch.plans.run_rows import Run
from callout_dispatch.plans.solving import NoPlan, Solve, Solved, solve_checked
from callout_dispatch.policy import Policy
from callout_geo.travel import Travel
from callout_store.errors import LimitExceeded, Refusal
from callout_store.outbox import Claimed, Hopeless
from callout_store.work import Database, Work

log = structlog.get_logger(__name__)
T = TypeVar("T")

SIDE_BY_SIDE: Final = 2
"""Plans that one worker makes at once; each has a process of its own beside it."""
BEAT_S: Final = 1.0
DEADLINE_S: Final = 3 * runs.SECONDS_MAX + 600.0
"""Twice a planner's longest time (the second one is the fallback's), a what-if's two solutions, reading and checking."""
SNAPSHOT: Final = "set transaction isolation level repeatable read, read only"
"""A plan is read by several statements, which must see one moment."""


def plan_handler(run: Solve = solve, *, side_by_side: int = SIDE_BY_SIDE, beat_s: float = BEAT_S) -> Long:
    """The channel `plan.run`."""
    slots = asyncio.Semaphore(side_by_side)

    async def handle(db: Database, item: Claimed) -> None:
        run_id = _run_id(item)
        begun = await db.run(item.org_id, lambda work: runs.begin(work, run_id, item.lease_token))
        if begun is not None:
            await _Running(db, item, begun, run, beat_s).go(slots)

    return Long(handle, DEADLINE_S)


def watch_handler() -> Handler:
    """The channel `plan.watch`: a run's timer. Harmless twice: it looks at what is."""

    async def handle(db: Database, item: Claimed) -> None:
        run_id = _run_id(item)
        await db.run(item.org_id, lambda work: runs.watch(work, run_id))

    return handle


class _Running:
    """One run in this worker's hands."""

    def __init__(self, db: Database, item: Claimed, run: Run, solve_: Solve, beat_s: float) -> None:
        self.db, self.org_id, self.run, self.solve, self.beat_s = db, item.org_id, run, solve_, beat_s
        self.runner = item.lease_token
        self.canceled = asyncio.Event()
        self.progress, self.stage = 0.0, "loading"
        self.share = (0.0, 1.0)

    async def go(self, slots: asyncio.Semaphore) -> None:
        """Make it, and whatever happens, leave the run in a state that says so."""
        beating = asyncio.create_task(self._beat(), name="plan_beat")
        try:
            async with slots:
                make = self._what_if if self.run.kind == "what_if" else self._plan
                await make()
        except (PlannerCanceled, runs.LostRun):
            # Called off, perhaps in the very moment in which it was done; or somebody else's by now.
            with contextlib.suppress(runs.LostRun):
                await self._canceled()
        except NoPlan as fault:
            await self._fail("no_plan", {"faults": fault.faults})
        except LimitExceeded as refusal:
            await self._fail("limit", {"fault": refusal.details})
        except Refusal as refusal:
            if refusal.retryable:
                raise
            log.exception("plan_refused", run=str(self.run.id))
            await self._fail("broke", {"fault": {"code": refusal.code}})
        except Exception:
            log.exception("plan_broke", run=str(self.run.id))
            await self._fail("broke", {})
        finally:
            beating.cancel()
            await asyncio.gather(beating, return_exceptions=True)

    # ---------------------------------------------------------------------------------------- the two kinds

    async def _plan(self) -> None:
        run = self.run

        async def read(work: Work) -> tuple[Draft, Travel]:
            policy = await policies.version(work, run.policy_version)
            draft = await problems.load_draft(
                work, run.starts_at, run.ends_at, territory_id=run.territory_id, policy=policy
            )
            return draft, await travel_model(work)

        draft, travel = await self._snapshot(read)
        given = await self._given(draft, travel)
        if not draft.tasks and not draft.barred:
            await self._step(lambda work: runs.propose(work, run.id, self.runner, [], {}, stage="empty"))
            return
        packed = await asyncio.to_thread(pack, given)
        await self._step(lambda work: runs.keep_problem(work, run.id, self.runner, packed))
        solved = await self._solved(given.problem)
        changes = await asyncio.to_thread(changes_of, given, solved.plan)
        figures = await asyncio.to_thread(figures_of, given, solved, changes)
        stage = "proposed_by_fallback" if solved.fallback else "proposed"
        await self._step(lambda work: runs.propose(work, run.id, self.runner, changes, figures, stage=stage))

    async def _what_if(self) -> None:
        run = self.run
        assert run.other_policy_version is not None, "the table sees to it"
        versions = (run.policy_version, run.other_policy_version)

        async def read(work: Work) -> tuple[Rows, list[Policy], Travel]:
            both = [await policies.version(work, version) for version in versions]
            return await what_if.load_day(work, run), both, await travel_model(work)

        # Read once: what differs must be the policies' doing alone.
        rows, both, travel = await self._snapshot(read)
        sides: list[what_if_sides.Side] = []
        for n, policy in enumerate(both):
            self.share = (n / 2, 0.5)
            draft = make_draft(rows, policy)
            problems.check_size(draft)
            given = await self._given(draft, travel)
            solved = await self._solved(given.problem)
            sides.append(what_if_sides.Side(version=versions[n], given=given, solved=solved))
        figures = await asyncio.to_thread(what_if_sides.compare, *sides)
        await self._step(lambda work: runs.finish(work, run.id, self.runner, figures))

    # ---------------------------------------------------------------------------------------- steps

    async def _snapshot(self, read: Callable[[Work], Awaitable[T]]) -> T:
        self._tell(0.0, "loading")
        async with self.db.work(self.org_id) as work:
            await work.execute(SNAPSHOT)
            return await read(work)

    async def _given(self, draft: Draft, travel: Travel) -> Loaded:
        self._tell(0.0, "ways")
        ways = await problems.ways_of(self.db, self.org_id, draft, travel)
        return await asyncio.to_thread(loaded, draft, ways)

    async def _solved(self, problem: Problem) -> Solved:
        if self.canceled.is_set():
            raise PlannerCanceled
        self._tell(0.0, "solving")
        return await solve_checked(
            problem,
            self.run.planner,
            seconds_max=self.run.seconds_max,
            seed=self.run.seed,
            told=self._tell,
            canceled=self.canceled,
            run=self.solve,
        )

    def _tell(self, progress: float, stage: str) -> None:
        start, width = self.share
        self.progress, self.stage = start + width * min(max(progress, 0.0), 1.0), stage

    async def _beat(self) -> None:
        """Say how far it is, and hear whether it is still wanted. Throttled: a planner may tell of a thousand steps."""
        while True:
            await asyncio.sleep(self.beat_s)
            try:
                asked = await self.db.run(
                    self.org_id,
                    lambda work: runs.beat(work, self.run.id, self.runner, self.progress, self.stage),
                )
            except runs.LostRun:
                asked = True
            except Refusal as refusal:
                log.warning("plan_beat_missed", code=refusal.code)
                continue
            if asked:
                self.canceled.set()
                return

    async def _step(self, act: Callable[[Work], Awaitable[None]]) -> None:
        await self.db.run(self.org_id, act)

    async def _canceled(self) -> None:
        await self._step(lambda work: runs.canceled(work, self.run.id, self.runner))

    async def _fail(self, fault: str, figures: dict[str, Any]) -> None:
        with contextlib.suppress(runs.LostRun):
            await self._step(lambda work: runs.fail(work, self.run.id, self.runner, fault, figures))


def _run_id(item: Claimed) -> UUID:
    try:
        return UUID(item.payload["runId"])
    except (KeyError, ValueError) as fault:
        raise Hopeless(f"names no plan: {fault!r}") from fault
