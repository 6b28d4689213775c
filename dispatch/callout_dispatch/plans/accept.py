"""Accepting a proposal, whole or in part, as far as the world is still as it was.

What is taken is judged anew, against what stands now: the lanes of everybody concerned are loaded again, the changes put into
them, and the result held to the checker. So half a proposal is taken only if that half is a plan. A call takes all that it
names or nothing, unless `skip_stale` says to leave out what cannot be taken.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

import msgspec

from callout_dispatch import policies
from callout_dispatch.places.speeds import travel_model
from callout_dispatch.planning.check_texts import explain
from callout_dispatch.planning.checker import Violation, check
from callout_dispatch.planning.terms import Plan
from callout_dispatch.plans.apply import Taken, write_changes
from callout_dispatch.plans.changes import WRITES, Kind
from callout_dispatch.plans.loaded import Loaded, estimate, loaded, unpack, with_known
from callout_dispatch.plans.problems import TASKS_MAX, load_draft
from callout_dispatch.plans.rebuild import Booked, rebuild, standing_of
from callout_dispatch.plans.run_rows import ChangeRow, Run, changes_by_number, run_by_id
from callout_dispatch.plans.run_writes import note
from callout_dispatch.plans.runs import locked_proposal, settle
from callout_dispatch.plans.texts import WHY_NOT, InfeasibleChanges, StaleChanges, Text
from callout_dispatch.visit_rows import lock_calendars
from callout_dispatch.visit_states import ENDED
from callout_dispatch.windows import seconds
from callout_orders.terms import TO_BE_PLANNED
from callout_store.errors import LimitExceeded, NotFound
from callout_store.work import Work

ROUNDS_MAX: Final = 50
"""How often what is left of a proposal is judged again after something was left out."""

Issue = tuple[str, Text]


class Skipped(msgspec.Struct, frozen=True, kw_only=True):
    """A change that was not taken: a key of `texts.WHY_NOT`, and the sentence in both languages."""

    number: int
    code: str
    texts: Text


class Accepted(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a call: the run as it is now, the numbers taken, what was left out, the visits that were made."""

    run: Run
    taken: tuple[int, ...]
    skipped: tuple[Skipped, ...]
    visit_ids: tuple[UUID, ...]


async def accept(
    work: Work,
    run_id: UUID,
    numbers: Collection[int] | None = None,
    revision: int | None = None,
    *,
    skip_stale: bool = False,
    told: bool = False,
) -> Accepted:
    """Take these changes of a proposal, or all that are open. `told`: their engineers learn of them at once.

    Raises NotFound (run, a number), WrongState (no proposal, or its time is over), StaleRevision (of the run),
    LimitExceeded, and unless `skip_stale` PlanStale and PlanInfeasible, which name each change and why.
    """
    if numbers is not None and len(numbers) > TASKS_MAX:
        raise LimitExceeded(path="numbers", what="changes", limit=TASKS_MAX, given=len(numbers))
    run = await locked_proposal(work, run_id, revision)
    wanted = await changes_by_number(work, run_id, None if numbers is None else sorted(set(numbers)))
    if numbers is not None and (unknown := sorted(set(numbers) - {one.number for one in wanted})):
        raise NotFound(entity="change", path="numbers", number=unknown[0])
    wanted = [
        one for one in wanted if one.kind in WRITES and (numbers is not None or one.state == "proposed")
    ]
    concerned = await _concerned(work, wanted)
    await lock_calendars(work, concerned)
    issues = await _stale(work, run, wanted, concerned)
    if issues and not skip_stale:
        raise StaleChanges(issues)
    taken: list[int] = []
    made: list[UUID] = []
    infeasible: dict[int, Issue] = {}
    open_ = [one for one in wanted if one.number not in issues]
    if open_:
        judge = await _Judge.load(work, run, open_)
        infeasible = judge.judge(skip=skip_stale)
        if infeasible and not skip_stale:
            raise InfeasibleChanges(infeasible)
        made = await write_changes(
            work, judge.taken(), judge.ways_now(), told=told, policy=run.policy_version
        )
        taken = [one.number for one in judge.chosen]
    await _settle(work, run, taken, list(issues))
    await note(work, run_id, "plan.accepted", changes=len(taken), skipped=len(issues) + len(infeasible))
    return Accepted(
        run=await run_by_id(work, run_id),
        taken=tuple(taken),
        skipped=tuple(
            Skipped(number=number, code=code, texts=texts)
            for number, (code, texts) in sorted((issues | infeasible).items())
        ),
        visit_ids=tuple(made),
    )


async def _concerned(work: Work, changes: Sequence[ChangeRow]) -> set[UUID]:
    """Everybody whose day would change. A crew that changes after this look counts up its visit's revision."""
    rows = await work.fetch(
        "select distinct engineer_id from visit_crew where org_id = callout_org() and visit_id = any($1)",
        [one.visit_id for one in changes if one.visit_id is not None],
    )
    found = {row["engineer_id"] for row in rows}
    for one in changes:
        found.update(id_ for id_ in (one.engineer_id, one.from_engineer_id, *one.crew) if id_ is not None)
    return found


async def _stale(
    work: Work, run: Run, changes: Sequence[ChangeRow], engineer_ids: Collection[UUID]
) -> dict[int, Issue]:
    """What does not stand as it did, by number. Locks the visits, then the orders.

    Also the other visits of these days are locked: the ways to them are written anew, and a phone that reports on several
    of them takes their rows in the same order.
    """
    visits = await work.fetch(
        """
        select id, revision, state from visit
        where org_id = callout_org() and id in (
            select unnest($1::uuid[]) union all
            select id from visit where org_id = callout_org() and engineer_id = any($2) and ended_at is null
                and scheduled_start >= $3 and scheduled_start < $4)
        order by id for update
        """,
        [one.visit_id for one in changes if one.visit_id is not None],
        list(engineer_ids),
        run.starts_at - timedelta(days=2),
        run.ends_at + timedelta(days=1),
    )
    orders = await work.fetch(
        """
        select id, case when duplicate_of_id is null then state else 'duplicate' end as state from work_order
        where org_id = callout_org() and id = any($1) order by id for no key update
        """,
        [one.order_id for one in changes],
    )
    visit_of = {row["id"]: row for row in visits}
    state_of = {row["id"]: row["state"] for row in orders}
    found: dict[int, Issue] = {}
    for one in changes:
        code = _why_stale(one, visit_of.get(one.visit_id), state_of.get(one.order_id), work.now)
        if code is not None:
            found[one.number] = (code, WHY_NOT[code])
    return found


def _why_stale(change: ChangeRow, visit: Any, order_state: str | None, now: datetime) -> str | None:
    if change.state != "proposed":
        return "settled"
    if change.visit_id is None:
        if order_state not in TO_BE_PLANNED:
            return "order_planned"
    elif visit is None or visit["state"] in ENDED:
        return "visit_over"
    elif visit["revision"] != change.visit_revision:
        return "visit_changed"
    if change.starts_at is not None and change.starts_at < now:
        return "time_passed"
    return None


class _Judge:
    """The changes against what stands now. `chosen` shrinks where something is left out."""

    def __init__(self, given: Loaded, chosen: Sequence[ChangeRow]) -> None:
        self.given = given
        self.chosen = list(chosen)
        self.plan = Plan(routes=(), planner="accepted")

    @classmethod
    async def load(cls, work: Work, run: Run, chosen: Sequence[ChangeRow]) -> "_Judge":
        concerned = await _concerned(work, chosen)
        draft = await load_draft(
            work,
            run.starts_at,
            run.ends_at,
            policy=await policies.version(work, run.policy_version),
            engineer_ids=concerned,
            order_ids=[one.order_id for one in chosen if one.visit_id is None],
            movable=[one.visit_id for one in chosen if one.visit_id is not None],
        )
        ways = estimate(draft, await travel_model(work))
        kept = await work.fetchval(
            "select problem from plan_run where org_id = callout_org() and id = $1", run.id
        )
        if kept is not None:
            _, known = unpack(kept)
            ways = with_known(ways, known)
        return cls(loaded(draft, ways), chosen)

    def judge(self, *, skip: bool) -> dict[int, Issue]:
        """Why not, by number; with `skip` again and again without those, until the rest can be taken."""
        found: dict[int, Issue] = {}
        for _ in range(ROUNDS_MAX):
            now = self._once()
            found |= now
            if not now or not skip:
                return found
            self.chosen = [one for one in self.chosen if one.number not in now]
        found |= {one.number: _infeasible("", "") for one in self.chosen}
        self.chosen = []
        self._once()
        return found

    def _once(self) -> dict[int, Issue]:
        problem = self.given.problem
        there = {task.id for task in problem.tasks}
        lost = {one.number: self._not_there(one) for one in self.chosen if _task_id(one) not in there}
        if lost:
            return lost
        by_task = {_task_id(one): one for one in self.chosen}
        booked = [one for one in standing_of(problem, self._depots()) if one.task_id not in by_task]
        booked += [_booked(one) for one in self.chosen if one.kind is not Kind.UNASSIGN]
        self.plan = rebuild(problem, booked, planner="accepted")
        found: dict[int, Issue] = {}
        for violation in check(problem, self.plan):
            own = by_task.get(violation.task_id or "")
            blamed = self._nearest(violation, by_task) if own is None else [own]
            issue = _infeasible(explain(violation, "en"), explain(violation, "zh"))
            for one in blamed:
                found.setdefault(one.number, issue)
        return found

    def _nearest(self, violation: Violation, by_task: Mapping[str, ChangeRow]) -> list[ChangeRow]:
        """Which change is to blame for what is wrong with a visit that stands, or with a shift as a whole: that next to the
        visit, or the shift's last one. None: the shift has no change, and is as it was."""
        for route in self.plan.routes:
            if route.lane_id != violation.lane_id:
                continue
            starts = {stop.task_id: stop.start_s for stop in route.stops if stop.task_id is not None}
            at_s = starts.get(violation.task_id or "", max(starts.values(), default=0))
            ours = [id_ for id_ in starts if id_ in by_task]
            return [by_task[min(ours, key=lambda id_: (abs(starts[id_] - at_s), id_))]] if ours else []
        return []

    def _depots(self) -> dict[str, str]:
        return {
            id_: str(visit.pickup_depot_id)
            for id_, visit in self.given.draft.visits.items()
            if visit.pickup_depot_id is not None
        }

    def _not_there(self, change: ChangeRow) -> Issue:
        barred = {left.task_id: left.reasons for left in self.given.barred}
        codes = ", ".join(reason.code.value for reason in barred.get(_task_id(change), ()))
        return _infeasible(codes or "it can no longer be planned", codes or "已无法安排")

    def taken(self) -> list[Taken]:
        """The changes to be written."""
        visits = self.given.draft.visits
        return [
            Taken(
                change=one, before=visits.get(_task_id(one)), order=self.given.draft.orders.get(_task_id(one))
            )
            for one in self.chosen
        ]

    def ways_now(self) -> Mapping[str, tuple[UUID, float, float, str]]:
        """By task id, for all visits of the days as they will be: who leads, minutes and metres of the way there, by whom."""
        lanes = {lane.id: lane for lane in self.given.problem.lanes}
        depots = {depot.id: depot.place for depot in self.given.problem.depots}
        by_task = {_task_id(one): one for one in self.chosen}
        found: dict[str, tuple[UUID, float, float, str]] = {}
        for route in self.plan.routes:
            lane = lanes[route.lane_id]
            place = lane.start_place
            for stop in route.stops:
                if stop.depot_id is not None:
                    place = depots[stop.depot_id]
                if stop.task_id is None:
                    continue
                here = self.given.problem.task(stop.task_id).place
                change = by_task.get(stop.task_id)
                lead = change.engineer_id if change else self.given.draft.visits[stop.task_id].engineer_id
                if lead is not None and str(lead) == lane.engineer_id:
                    metres = float(self.given.ways.metres[place, here])
                    provider = self.given.ways.provider_of(place, here)
                    found[stop.task_id] = (lead, stop.travel_s / 60, metres, provider)
                place = here
        return found


def _task_id(change: ChangeRow) -> str:
    return str(change.visit_id or change.order_id)


def _booked(change: ChangeRow) -> Booked:
    assert change.engineer_id is not None
    assert change.starts_at is not None
    return Booked(
        task_id=_task_id(change),
        engineer_ids=(str(change.engineer_id), *map(str, change.crew)),
        start_s=seconds(change.starts_at),
        depot_id=None if change.pickup_depot_id is None else str(change.pickup_depot_id),
    )


def _infeasible(english: str, chinese: str) -> Issue:
    texts = WHY_NOT["infeasible"]
    return "infeasible", {"en": texts["en"].format(why=english), "zh": texts["zh"].format(why=chinese)}


async def _settle(work: Work, run: Run, taken: Sequence[int], stale: Sequence[int]) -> None:
    """Note what was taken and what never can be. When all that would write is decided, the whole proposal is."""
    left = await work.fetchval(
        """
        with marked as (
            update plan_change set state = case when number = any($2::int[]) then 'accepted' else 'stale' end
            where org_id = callout_org() and run_id = $1 and state = 'proposed' and number = any($2::int[] || $3::int[])
            returning number
        )
        select count(*) from plan_change
        where org_id = callout_org() and run_id = $1 and state = 'proposed' and kind = any($4)
          and number not in (select number from marked)
        """,
        run.id,
        list(taken),
        list(stale),
        [kind.value for kind in WRITES],
    )
    if left:
        state = "partly_accepted" if taken else run.state
    elif taken or run.state == "partly_accepted" or not stale:
        state = "accepted"
    else:
        state = "stale"
    if state == "accepted":
        # Lines that write nothing go with the last one that does.
        await work.execute(
            "update plan_change set state = 'accepted' where org_id = callout_org() and run_id = $1 and state = 'proposed'",
            run.id,
        )
    await settle(work, run.id, state)
