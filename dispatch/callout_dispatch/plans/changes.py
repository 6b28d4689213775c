"""What a plan changes of what stands: the proposal that a dispatcher reads and takes, whole or in part. Pure."""

from collections import defaultdict
from collections.abc import Sequence
from enum import StrEnum
from uuid import UUID

import msgspec

from callout_dispatch.pick_terms import Reason
from callout_dispatch.planning.terms import Plan, Stop, Task
from callout_dispatch.plans.loaded import Loaded


class Kind(StrEnum):
    """What becomes of a visit, or of an order that waits."""

    ASSIGN = "assign"
    """An order that waits gets a visit."""
    REASSIGN = "reassign"
    """A visit goes to another engineer, or to another crew; its time may change as well."""
    MOVE = "move"
    """A visit gets another time, or fetches its parts elsewhere."""
    UNASSIGN = "unassign"
    """A visit is called off: its order waits again."""
    KEEP = "keep"
    UNASSIGNED = "unassigned"
    """An order that waits, and goes on waiting."""


WRITES = frozenset({Kind.ASSIGN, Kind.REASSIGN, Kind.MOVE, Kind.UNASSIGN})
"""Kinds that change something when they are accepted."""


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """One line of a proposal. Times are seconds since 1970; `crew` are the engineers beside the one who leads.

    `task_id` is the visit's id where one stands, else the order's.
    """

    kind: Kind
    task_id: str
    order_id: UUID
    visit_id: UUID | None = None
    visit_revision: int | None = None
    from_engineer_id: UUID | None = None
    from_start_s: int | None = None
    engineer_id: UUID | None = None
    crew: tuple[UUID, ...] = ()
    start_s: int | None = None
    end_s: int | None = None
    travel_s: int | None = None
    leg_provider: str | None = None
    leg_metres: float | None = None
    pickup_depot_id: UUID | None = None
    reasons: tuple[Reason, ...] = ()


class _Planned(msgspec.Struct, frozen=True):
    engineer_id: str
    stop: Stop
    metres: float
    provider: str
    depot_id: str | None


def changes_of(given: Loaded, plan: Plan) -> list[Change]:
    """The lines of a plan's proposal: what is changed first, by engineer and time, then what is kept, then what is left."""
    planned = _planned(given, plan)
    left = {left.task_id: left.reasons for left in (*plan.left, *given.barred)}
    changes = [_change(given, task, planned.get(task.id, []), left) for task in given.problem.tasks]
    for barred in given.barred:
        changes.append(
            Change(
                kind=Kind.UNASSIGNED,
                task_id=barred.task_id,
                order_id=given.draft.orders[barred.task_id].id,
                reasons=barred.reasons,
            )
        )
    return sorted(changes, key=_place_in_list)


def _change(
    given: Loaded, task: Task, planned: Sequence[_Planned], left: dict[str, tuple[Reason, ...]]
) -> Change:
    visit = given.draft.visits.get(task.id)
    base = Change(
        kind=Kind.UNASSIGNED,
        task_id=task.id,
        order_id=UUID(task.order_id),
        visit_id=visit.id if visit else None,
        visit_revision=visit.revision if visit else None,
        from_engineer_id=visit.engineer_id if visit else None,
        from_start_s=int(visit.start.timestamp()) if visit else None,
        reasons=left.get(task.id, ()),
    )
    if not planned:
        return msgspec.structs.replace(base, kind=Kind.UNASSIGN) if visit else base
    ids = [one.engineer_id for one in planned]
    stands = str(visit.engineer_id) if visit else None
    # Whoever leads goes on leading: it is to their phone that the customer's signature belongs.
    lead = next((one for one in planned if one.engineer_id == stands), planned[0])
    kind = Kind.ASSIGN
    # Of a crew only one fetches the parts.
    fetched = next((one.depot_id for one in planned if one.depot_id is not None), None)
    depot_id = UUID(fetched) if fetched else None
    if visit is not None and task.standing is not None:
        before = {str(visit.engineer_id), *map(str, visit.crew)}
        if lead.engineer_id != stands or (set(ids) != before and set(ids) != set(task.standing.engineer_ids)):
            kind = Kind.REASSIGN
        elif lead.stop.start_s != task.standing.start_s or depot_id != visit.pickup_depot_id:
            kind = Kind.MOVE
        else:
            kind = Kind.KEEP
    return msgspec.structs.replace(
        base,
        kind=kind,
        engineer_id=UUID(lead.engineer_id),
        crew=tuple(sorted(UUID(one) for one in ids if one != lead.engineer_id)),
        start_s=lead.stop.start_s,
        end_s=lead.stop.end_s,
        travel_s=lead.stop.travel_s,
        leg_provider=lead.provider,
        leg_metres=lead.metres,
        pickup_depot_id=depot_id,
        reasons=(),
    )


def _planned(given: Loaded, plan: Plan) -> dict[str, list[_Planned]]:
    lanes = {lane.id: lane for lane in given.problem.lanes}
    depots = {depot.id: depot.place for depot in given.problem.depots}
    metres = given.ways.metres
    found: dict[str, list[_Planned]] = defaultdict(list)
    for route in sorted(plan.routes, key=lambda one: one.lane_id):
        lane = lanes[route.lane_id]
        place, fetched = lane.start_place, None
        for stop in route.stops:
            if stop.kind == "pickup" and stop.depot_id is not None:
                place, fetched = depots[stop.depot_id], stop.depot_id
            elif stop.task_id is not None:
                here = given.problem.task(stop.task_id).place
                way, provider = float(metres[place, here]), given.ways.provider_of(place, here)
                found[stop.task_id].append(_Planned(lane.engineer_id, stop, way, provider, fetched))
                place, fetched = here, None
    return found


_ORDER = (Kind.ASSIGN, Kind.REASSIGN, Kind.MOVE, Kind.UNASSIGN, Kind.UNASSIGNED, Kind.KEEP)


def _place_in_list(change: Change) -> tuple[bool, bool, str, int, str]:
    kept = change.kind is Kind.KEEP
    return (
        kept,
        change.engineer_id is None and not kept,
        str(change.engineer_id or ""),
        change.start_s or 0,
        change.task_id,
    )
