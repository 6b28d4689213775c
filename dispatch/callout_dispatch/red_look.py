"""Whom the red lane asks next: the pick asked twice, in the day as it stands and with lower visits out of the way.

Reads only, and without locks: `confirm` asks once more about those who are left once the caller holds their calendars.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

import msgspec

from callout_dispatch.by_hand import earliest_start
from callout_dispatch.needs import Waiting, load_order
from callout_dispatch.pick import pick
from callout_dispatch.pick_record import encode
from callout_dispatch.pick_roster import Roster
from callout_dispatch.pick_terms import Need, PickResult, Ranked
from callout_dispatch.policy import Policy
from callout_dispatch.red_rules import MAY_GIVE_WAY, Lower, Place, choose, enough_earlier, gives_way, runs
from callout_dispatch.roster import VISIT_HOURS_MAX, load_roster, window_from
from callout_dispatch.visit_states import VisitState
from callout_orders.terms import Priority
from callout_store.work import Work

HORIZON_HOURS: Final = 72
LOOKED: Final = 50
"""The pick's best, among whom the earliest is looked for that others' visits would have to be worth."""
FINALISTS: Final = 5
CONTENDERS: Final = 5
"""Engineers whose day is looked at visit by visit for what would have to give way."""
ASKS_MAX: Final = 60
"""Times the pick is asked for that, over all of them; what would have to give way least is asked first."""


class Displaced(msgspec.Struct, frozen=True, kw_only=True):
    """A visit that gives way, and who might take it: their calendars are locked together with the first one's."""

    visit: Lower
    order_id: UUID
    rivals: tuple[UUID, ...]


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """A pick with what it was made of."""

    need: Need
    roster: Roster
    policy: Policy
    result: PickResult

    def kept(self) -> bytes:
        """What the decision's record keeps, so that it can be asked again."""
        return encode(self.need, self.roster, self.policy, self.roster.travel, result=self.result)


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """What was found: the place to offer (None: nobody), in whose calendars it may lie, and who gives way for it."""

    asked: Asked
    place: Place | None
    finalists: tuple[UUID, ...] = ()
    displaced: tuple[Displaced, ...] = ()

    @property
    def result(self) -> PickResult:
        """The pick in the day as it stands."""
        return self.asked.result

    @property
    def calendars(self) -> set[UUID]:
        """Every engineer whose day may change."""
        return {*self.finalists, *(rival for one in self.displaced for rival in one.rivals)}


async def ask(
    work: Work,
    order: Waiting,
    policy: Policy,
    *,
    engineer_ids: Collection[UUID] | None = None,
    without: Collection[UUID] = (),
    but: Collection[UUID] = (),
) -> Asked:
    """The pick for an order, as if the visits `without` and the engineers `but` were not there."""
    window = await window_from(work, work.now, HORIZON_HOURS)
    need = order.need(earliest_start(work), until=window.end)
    roster = await load_roster(
        work, window, engineer_ids=engineer_ids, parts=need.parts, without_visits=without, policy=policy
    )
    if but:
        gone = {str(id_) for id_ in but}
        left = [candidate for candidate in roster.candidates if candidate.id not in gone]
        roster = Roster(left, roster.travel, policy.travel_minutes_unknown)
    return Asked(need=need, roster=roster, policy=policy, result=pick(need, roster, policy, roster.travel))


async def look(work: Work, order: Waiting, policy: Policy, asked: Collection[UUID]) -> Seen:
    """Who should be offered an urgent order next. Those of `asked` are not asked again."""
    found = await ask(work, order, policy, but=asked)
    best = found.result.ranked[:LOOKED]
    standing = [_place(one) for one in best]
    displacing, lower = await _displacing(work, order, policy, asked, standing)
    place = choose(standing, displacing, policy.red_lane)
    if place is None:
        return Seen(asked=found, place=None)
    if not place.displaced:
        return Seen(asked=found, place=place, finalists=_people(best[:FINALISTS]))
    return Seen(
        asked=found,
        place=place,
        finalists=(UUID(place.engineer_id),),
        displaced=tuple([await _rivals(work, policy, *lower[id_], place) for id_ in place.displaced]),
    )


async def confirm(
    work: Work,
    order: Waiting,
    policy: Policy,
    seen: Seen,
    asked: Collection[UUID],
    *,
    at_once: bool,
) -> Ranked | None:
    """The slot to take, now that the calendars are held; None where it is gone. `at_once`: visits give way."""
    without = [UUID(one.visit.id) for one in seen.displaced]
    again = await ask(work, order, policy, engineer_ids=seen.finalists, without=without, but=asked)
    if again.result.best is None:
        return None
    best = again.result.ranked[0]
    late = at_once and seen.place is not None and best.slot_start > seen.place.start
    return None if late else best


async def lower_visits(
    work: Work,
    policy: Policy,
    *,
    until: datetime | None = None,
    visit_ids: Sequence[UUID] | None = None,
) -> Mapping[str, tuple[Lower, UUID]]:
    """Visits that the policy lets give way, with their orders: those that start before `until`, or those named."""
    window_end = work.now + timedelta(hours=HORIZON_HOURS)
    # Priorities are looked at below: asked for here they lead a database that has no statistics yet to read all orders of
    # that priority once for every visit.
    rows = await work.fetch(
        f"""
        select v.id::text as id, v.engineer_id::text as engineer_id, v.scheduled_start as start, o.priority, v.state,
               v.hold is not null as held, v.order_id,
               exists (select 1 from visit_crew c where c.org_id = v.org_id and c.visit_id = v.id) as crewed
        from visit v join work_order o on o.org_id = v.org_id and o.id = v.order_id
        where v.org_id = callout_org() and v.plan <> 'canceled' and v.ended_at is null and v.engineer_id is not null
              and v.state = any($1) and v.hold is null
              and v.scheduled_start >= $2 and v.scheduled_start < $3{"" if visit_ids is None else " and v.id = any($4)"}
        """,
        [state.value for state in MAY_GIVE_WAY],
        work.now - timedelta(hours=VISIT_HOURS_MAX),
        window_end if until is None else until,
        *([] if visit_ids is None else [list(visit_ids)]),
    )
    found: dict[str, tuple[Lower, UUID]] = {}
    for row in rows:
        values = dict(row)
        order_id = values.pop("order_id")
        values |= {"priority": Priority(values["priority"]), "state": VisitState(values["state"])}
        visit = Lower(**values)
        if gives_way(visit, policy.red_lane):
            found[visit.id] = (visit, order_id)
    return found


async def _displacing(
    work: Work, order: Waiting, policy: Policy, asked: Collection[UUID], standing: Sequence[Place]
) -> tuple[list[Place], Mapping[str, tuple[Lower, UUID]]]:
    lane = policy.red_lane
    earliest = min((place.start for place in standing), default=None)
    if lane.displaced_max == 0 or not lane.displace or not enough_earlier(work.now, earliest, lane):
        return [], {}
    if order.crew_size > 1:
        # For a crew several days would have to make room at the same hour.
        return [], {}
    # What starts after anybody could come without it is in nobody's way.
    lower = await lower_visits(work, policy, until=earliest)
    if not lower:
        return [], {}
    relaxed = await ask(work, order, policy, without=[UUID(id_) for id_ in lower], but=asked)
    days: dict[str, list[Lower]] = {}
    for visit, _ in lower.values():
        days.setdefault(visit.engineer_id, []).append(visit)
    contenders = [
        one.id
        for one in relaxed.result.ranked[:LOOKED]
        if one.id in days and enough_earlier(one.slot_start, earliest, lane)
    ]
    places: list[Place] = []
    asks = 0
    for engineer_id in contenders[:CONTENDERS]:
        length = 0
        for run in runs(days[engineer_id], lane.displaced_max):
            if asks == ASKS_MAX or (length and len(run) > length):
                break
            asks += 1
            ids = tuple(visit.id for visit in run)
            again = await ask(
                work, order, policy, engineer_ids=[UUID(engineer_id)], without=[UUID(id_) for id_ in ids]
            )
            ranked = again.result.ranked
            if not len(ranked) or not enough_earlier(ranked[0].slot_start, earliest, lane):
                continue
            places.append(msgspec.structs.replace(_place(ranked[0]), displaced=ids))
            length = len(run)
    return places, lower


async def _rivals(work: Work, policy: Policy, visit: Lower, order_id: UUID, place: Place) -> Displaced:
    """Who might take a visit that gives way: the pick's best for it, and whoever has it now."""
    order = await load_order(work, order_id)
    found = await ask(work, order, policy, without=[UUID(id_) for id_ in place.displaced])
    best = _people(found.result.ranked[:FINALISTS])
    return Displaced(visit=visit, order_id=order_id, rivals=tuple({*best, UUID(visit.engineer_id)}))


def _people(ranked: Sequence[Ranked]) -> tuple[UUID, ...]:
    """Engineers, and those who would go along with them."""
    return tuple({UUID(id_) for one in ranked for id_ in (one.id, *one.crew)})


def _place(one: Ranked) -> Place:
    return Place(engineer_id=one.id, start=one.slot_start, score=one.score)
