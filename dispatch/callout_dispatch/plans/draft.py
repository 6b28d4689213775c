"""From rows to tasks and lanes: what may be planned, what is locked, and what stays as it is. Pure.

What a plan may not touch is still in it: a visit outside of the range or the territory, but within an engineer's shift, is
locked to engineer and time, so that ways to and from it are counted. What does not even fit into a shift (work that a person
insisted on) stays *aside*: no task, but its engineers are away then. An order for which there is no window at all, or whose
predecessor nobody has planned, is *barred*: it is told as unassigned, with the reason, without troubling a planner.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec

from callout_dispatch.pick_terms import Reason, ReasonCode
from callout_dispatch.planning.terms import CREW_MAX, Lane, Left, Lock, Rest, Standing, Stock, Task
from callout_dispatch.plans.row_terms import EngineerRow, OrderRow, Place, Rows, ShiftRow, VisitRow, Wish
from callout_dispatch.policy import Policy, RequestedWindow, VisitingHours
from callout_dispatch.visit_states import LOCKED_TO_ENGINEER, VisitState
from callout_dispatch.windows import Stretch, clipped, seconds, seconds_up, start_windows

OVERRUN_S: Final = 15 * 60
"""Somebody who is still on site after the planned end counts as busy for so much longer, seen from now."""
MINUTE_S: Final = 60
LIVE: Final = frozenset({VisitState.TRAVELLING, VisitState.IN_PROGRESS})


@dataclass(kw_only=True)
class Draft:
    """A problem without its ways. `places` are (lat, lng), None where a site has none; tasks and lanes point into it."""

    policy: Policy
    now_s: int
    start_s: int
    end_s: int
    time_zone: str
    provider: str
    tasks: list[Task]
    lanes: list[Lane]
    depots: tuple[Stock, ...]
    places: list[Place | None]
    orders: dict[str, OrderRow]
    """By task id, the barred ones too (by order id)."""
    visits: dict[str, VisitRow]
    """By task id, those aside too (by visit id)."""
    engineers: dict[str, EngineerRow]
    barred: list[Left]
    aside: set[str] = field(default_factory=set)


def make_draft(rows: Rows, policy: Policy, *, movable: Collection[UUID] | None = None) -> Draft:
    """The draft of these rows. `movable`: only these of the visits may change, whatever else they are."""
    return _Making(rows, policy, movable).make()


class Wishes:
    """Who is required, excluded, preferred. What is said closer to the work counts: order, then site, then customer."""

    def __init__(self, wishes: Iterable[Wish]) -> None:
        self._by: dict[UUID, list[Wish]] = {}
        for wish in wishes:
            target = wish.order_id or wish.site_id or wish.customer_id
            assert target is not None, "the table holds exactly one"
            self._by.setdefault(target, []).append(wish)

    def of(self, order: OrderRow) -> dict[str, frozenset[str]]:
        """Engineers' ids by kind."""
        said: dict[UUID, str] = {}
        for target in (order.customer_id, order.site_id, order.id):
            said |= {wish.engineer_id: wish.kind for wish in self._by.get(target, ())}
        return {
            kind: frozenset(str(id_) for id_, told in said.items() if told == kind)
            for kind in ("required", "excluded", "preferred")
        }


class _Making:
    def __init__(self, rows: Rows, policy: Policy, movable: Collection[UUID] | None) -> None:
        self.rows, self.policy = rows, policy
        self.movable = None if movable is None else frozenset(movable)
        self.zone = ZoneInfo(rows.time_zone)
        self.wishes = Wishes(rows.wishes)
        # Times of a plan are whole minutes: what comes between two of them belongs to the next.
        self.now_s = -(-seconds_up(rows.scope.at) // MINUTE_S) * MINUTE_S
        self.asked_s = seconds(rows.scope.start)
        self.start_s = max(self.asked_s, self.now_s)
        self.end_s = max(seconds(rows.scope.end), self.start_s)
        self.index: dict[object, int] = {}
        self.places: list[Place | None] = []
        self.lanes: dict[str, list[Lane]] = {}
        self.away: dict[str, list[Stretch]] = {}
        self.tasks: list[Task] = []
        self.barred: list[Left] = []
        self.aside: set[str] = set()
        self.begun: set[str] = set()
        self.orders: dict[str, OrderRow] = {}
        self.visits: dict[str, VisitRow] = {}

    def make(self) -> Draft:
        for engineer in self.rows.engineers:
            self._lanes_of(engineer)
        live = sorted((v for v in self.rows.visits if v.state in LIVE), key=self._span)
        for visit in live:
            self._begin_at(visit)
        for visit in self.rows.visits:
            self._visit(visit)
        for order in self.rows.waiting:
            self._waiting(order)
        self._follow()
        lanes = [
            msgspec.structs.replace(lane, away=clipped(self.away.get(id_, ()), lane.start_s, lane.end_s))
            for id_, of_one in self.lanes.items()
            for lane in of_one
        ]
        return Draft(
            policy=self.policy,
            now_s=self.now_s,
            start_s=self.start_s,
            end_s=self.end_s,
            time_zone=self.rows.time_zone,
            provider=self.rows.provider,
            tasks=self.tasks,
            lanes=lanes,
            depots=tuple(
                Stock(
                    id=str(depot.id),
                    place=self._place(depot.place),
                    service_s=depot.pickup_minutes * MINUTE_S,
                    parts={code: quantity for code, quantity in depot.parts.items() if quantity > 0},
                )
                for depot in self.rows.depots
            ),
            places=self.places,
            orders=self.orders,
            visits=self.visits,
            engineers={str(engineer.id): engineer for engineer in self.rows.engineers},
            barred=self.barred,
            aside=self.aside,
        )

    # ---------------------------------------------------------------------------------------- places and lanes

    def _place(self, place: Place | None, unknown: object = None) -> int:
        key: object = unknown if place is None else (round(place[0], 6), round(place[1], 6))
        if key not in self.index:
            self.index[key] = len(self.places)
            self.places.append(place)
        return self.index[key]

    def _site(self, order: OrderRow) -> int:
        # Two sites without a point are not one place.
        return self._place(order.place, ("site", order.site_id))

    def _lanes_of(self, engineer: EngineerRow) -> None:
        id_ = str(engineer.id)
        self.away[id_] = [(seconds(start), seconds_up(end)) for start, end in engineer.absences]
        for number, shift in enumerate(engineer.shifts):
            start_s, end_s = seconds_up(shift.start), seconds(shift.end)
            if max(start_s, self.now_s) >= end_s:
                continue
            running = start_s <= self.now_s
            start = (engineer.live if running else None) or shift.from_place or engineer.home
            self.lanes.setdefault(id_, []).append(
                Lane(
                    id=f"{id_}:{number}",
                    engineer_id=id_,
                    start_s=max(start_s, self.now_s),
                    end_s=end_s,
                    start_place=self._place(start),
                    end_place=self._place(shift.to_place or engineer.end or engineer.home),
                    rests=_rests(shift, max(start_s, self.now_s), end_s),
                    skills=engineer.skills,
                    territory_id=engineer.territory_id,
                    territories=engineer.territories,
                    travel_s_max=_s(engineer.travel_minutes_max),
                    work_s_max=_s(engineer.work_minutes_max),
                    visits_max=engineer.visits_max,
                    van=engineer.van,
                    online=engineer.online,
                )
            )

    def _begin_at(self, visit: VisitRow) -> None:
        """Who is on the way or on site begins the rest of the day there."""
        start_s, end_s = self._span(visit)
        for engineer_id in map(str, (visit.engineer_id, *visit.crew)):
            for n, lane in enumerate(self.lanes.get(engineer_id, ())):
                # The lane that runs now; only the first such visit counts.
                if lane.start_s != self.now_s or lane.end_s <= start_s or lane.id in self.begun:
                    continue
                self.begun.add(lane.id)
                late = end_s >= lane.end_s
                self.lanes[engineer_id][n] = msgspec.structs.replace(
                    lane,
                    start_s=min(start_s, self.now_s),
                    end_s=max(lane.end_s, end_s),
                    start_place=self._site(visit.order),
                    # Who overruns the shift is not planned home in time by anybody.
                    end_place=None if late else lane.end_place,
                )

    # ---------------------------------------------------------------------------------------- visits

    def _span(self, visit: VisitRow) -> Stretch:
        """When a visit is to start and to end, as far as is known now."""
        start_s = seconds(visit.start)
        length_s = max(seconds(visit.end) - start_s, MINUTE_S)
        if visit.state is VisitState.IN_PROGRESS:
            begun_s = min(start_s, self.now_s)
            return begun_s, max(start_s + length_s, self.now_s + OVERRUN_S)
        if visit.state is VisitState.TRAVELLING:
            start_s = max(self.now_s, start_s if visit.eta is None else seconds_up(visit.eta))
        return start_s, start_s + length_s

    def _visit(self, visit: VisitRow) -> None:
        id_, order = str(visit.id), visit.order
        start_s, end_s = self._span(visit)
        everybody = tuple(map(str, (visit.engineer_id, *visit.crew)))
        live = visit.state in LIVE
        overdue = not live and start_s < self.now_s
        lock = self._lock(visit, start_s, overdue)
        holding = {one: lane for one in everybody if (lane := self._lane_at(one, start_s, end_s)) is not None}
        told = visit.state is not VisitState.SCHEDULED
        windows = self._windows(order, end_s - start_s)
        if lock is not Lock.TIME and not overdue and not _within(start_s, windows):
            lock = Lock.TIME  # a person put it where the rules have no place for it
        if lock is Lock.TIME:
            aside = overdue or not holding
        else:
            aside = lock is Lock.ENGINEER and not (holding or (overdue and everybody[0] in self.lanes))
        self.visits[id_] = visit
        if aside:
            self.aside.add(id_)
            for one in everybody:
                self.away.setdefault(one, []).append((start_s, end_s))
            return
        locked = lock is Lock.TIME
        engineers = tuple(one for one in everybody if one in holding) if locked else everybody[:CREW_MAX]
        self.orders[id_] = order
        self.tasks.append(
            self._task(
                id_,
                order,
                service_s=end_s - start_s,
                windows=((start_s, start_s),) if locked else windows,
                crew=len(engineers),
                # What was fitted is off the van already.
                parts={} if live else order.parts,
                standing=Standing(engineer_ids=engineers, start_s=start_s, told=told),
                lock=lock,
            )
        )

    def _lock(self, visit: VisitRow, start_s: int, overdue: bool) -> Lock:
        scope = self.rows.scope
        if visit.state in LIVE or visit.hold == "time":
            return Lock.TIME
        if self.movable is not None and visit.id not in self.movable:
            return Lock.TIME
        if scope.territory_id is not None and visit.order.territory_id != scope.territory_id:
            return Lock.TIME
        if not (self.start_s <= start_s < self.end_s or (overdue and self.asked_s <= self.now_s)):
            return Lock.TIME
        by_hand = 1 + len(visit.crew) != visit.order.crew_size
        if visit.state in LOCKED_TO_ENGINEER or visit.hold == "engineer" or by_hand:
            return Lock.ENGINEER
        return Lock.NONE

    def _lane_at(self, engineer_id: str, start_s: int, end_s: int) -> Lane | None:
        for lane in self.lanes.get(engineer_id, ()):
            if lane.start_s <= start_s and end_s <= lane.end_s:
                return lane
        return None

    # ---------------------------------------------------------------------------------------- orders

    def _windows(self, order: OrderRow, service_s: int) -> tuple[Stretch, ...]:
        return start_windows(
            order.hours,
            order.requested,
            zone=self.zone,
            start_s=self.start_s,
            end_s=self.end_s,
            service_s=service_s,
            policy=self.policy,
        )

    def _waiting(self, order: OrderRow) -> None:
        id_ = str(order.id)
        service_s = order.duration_minutes * MINUTE_S
        windows = self._windows(order, service_s)
        self.orders[id_] = order
        if not windows:
            self.barred.append(Left(task_id=id_, reasons=(Reason(self._no_window(order, service_s)),)))
            return
        self.tasks.append(
            self._task(
                id_, order, service_s=service_s, windows=windows, crew=order.crew_size, parts=order.parts
            )
        )

    def _no_window(self, order: OrderRow, service_s: int) -> ReasonCode:
        """Which of the two leaves nothing: the requested window by itself, or the site's hours within it."""
        alone = msgspec.structs.replace(order, hours=[])
        if self.policy.rule(RequestedWindow) is not None and not self._windows(alone, service_s):
            return ReasonCode.OUTSIDE_REQUESTED_WINDOW
        assert self.policy.rule(VisitingHours) is not None or self.start_s >= self.end_s
        return ReasonCode.OUTSIDE_VISITING_HOURS

    def _task(
        self,
        id_: str,
        order: OrderRow,
        *,
        service_s: int,
        windows: tuple[Stretch, ...],
        crew: int,
        parts: Mapping[str, int],
        standing: Standing | None = None,
        lock: Lock = Lock.NONE,
    ) -> Task:
        wished = self.wishes.of(order)
        return Task(
            id=id_,
            order_id=str(order.id),
            place=self._site(order),
            service_s=service_s,
            windows=windows,
            due_s=seconds(order.due_at),
            priority=order.priority,
            skills=order.skills,
            territory_id=None if order.territory_id is None else str(order.territory_id),
            required=wished["required"],
            excluded=wished["excluded"],
            preferred=wished["preferred"],
            parts=parts,
            crew=crew,
            standing=standing,
            lock=lock,
        )

    def _follow(self) -> None:
        """Let orders wait for those they follow: within the plan, or by the end of what stands outside of it."""
        by_order: dict[str, str] = {}
        for task in self.tasks:
            by_order[task.order_id] = task.id
        kept: list[Task] = []
        for task in self.tasks:
            order = self.orders[task.id]
            first = order.follows_order_id
            if first is None or task.lock is Lock.TIME:
                kept.append(task)
                continue
            gap_s = order.follows_gap_minutes * MINUTE_S
            if str(first) in by_order:
                kept.append(msgspec.structs.replace(task, follows=by_order[str(first)], follows_gap_s=gap_s))
                continue
            before = self.rows.before.get(first)
            if before is not None and before.end is not None:
                kept.append(msgspec.structs.replace(task, not_before_s=seconds_up(before.end) + gap_s))
            elif before is None or before.done or task.standing is not None:
                kept.append(task)
            else:
                self._bar(task)
        self.tasks = kept
        # Whatever follows a barred order is barred as well; a chain is as long as it is.
        while True:
            there = {task.id for task in self.tasks}
            lost = [task for task in self.tasks if task.follows is not None and task.follows not in there]
            if not lost:
                return
            for task in lost:
                self.tasks.remove(task)
                if task.standing is None:
                    self._bar(task)
                else:
                    self.tasks.append(msgspec.structs.replace(task, follows=None, follows_gap_s=0))

    def _bar(self, task: Task) -> None:
        self.barred.append(Left(task_id=task.id, reasons=(Reason(ReasonCode.PREDECESSOR),)))


def _rests(shift: ShiftRow, start_s: int, end_s: int) -> tuple[Rest, ...]:
    """The breaks that can still be taken within what is left of the shift."""
    rests = []
    for earliest, latest, minutes in shift.breaks:
        first_s, last_s = max(seconds_up(earliest), start_s), min(seconds(latest), end_s)
        if first_s + minutes * MINUTE_S <= last_s:
            rests.append(Rest(earliest_s=first_s, latest_s=last_s, length_s=minutes * MINUTE_S))
    return tuple(rests)


def _within(at_s: int, windows: Iterable[Stretch]) -> bool:
    return any(first <= at_s <= last for first, last in windows)


def _s(minutes: int | None) -> int | None:
    return None if minutes is None else minutes * MINUTE_S
