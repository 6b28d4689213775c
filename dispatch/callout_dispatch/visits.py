"""On-site events: recorded append-only, in sets, and folded into the visit's progress.

Lock order everywhere in Callout: engineers, then visits (by id), then orders (by id). Events of one visit therefore
commit in the order in which their transactions took the visit's row, which the outbox's streams rely on.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Protocol
from uuid import UUID

import msgspec

from callout_dispatch import engineers
from callout_dispatch.event_rows import (
    GIVE_EVENTS,
    INSERT_EVENTS,
    LINES_OF_EVENTS,
    NEW_EVENTS,
    UPDATE_VISITS,
    Row,
    events_given,
)
from callout_dispatch.events import (
    Happened,
    LockedVisit,
    Reporter,
    Standing,
    progress_columns,
    progress_of,
    standing,
)
from callout_dispatch.visit_states import (
    ENDED,
    SAYS_NOTHING,
    EventKind,
    VisitEvent,
    VisitState,
    ended_at,
    merge,
    state_of,
)
from callout_geo.geofence import Fix, judge
from callout_geo.points import Point
from callout_orders import progress as order_progress
from callout_orders import stock
from callout_store import journal
from callout_store.columns import column
from callout_store.errors import NotFound
from callout_store.ids import new_id
from callout_store.work import Work

LOCK_SQL = """
select v.id, v.order_id, v.engineer_id, v.plan, v.state, v.assigned_at, v.created_at,
       v.accepted_at, v.travelling_at, v.arrived_at, v.first_on_site_at, v.signed_at, v.left_at,
       v.completed_at, v.could_not_complete_at, v.outcome, v.outcome_at, v.outcome_event_id,
       o.asset_id, o.kind, o.kind_version, s.lat as site_lat, s.lng as site_lng, s.geofence_radius_m,
       exists (
           select 1 from visit_assignment a
           where a.org_id = v.org_id and a.visit_id = v.id and a.engineer_id = $2
       ) as held_before,
       exists (
           select 1 from visit_crew c
           where c.org_id = v.org_id and c.visit_id = v.id and c.engineer_id = $2
       ) as crew
from visit v
join work_order o on o.org_id = v.org_id and o.id = v.order_id
join site s on s.org_id = o.org_id and s.id = o.site_id
where v.org_id = callout_org() and v.id = any((select $1::text::uuid[])::uuid[])
order by v.id
for update of v
"""


async def lock(work: Work, visit_ids: Sequence[UUID], *, engineer_id: UUID | None) -> dict[UUID, LockedVisit]:
    """The visits' rows under lock, by id; ids that are none of this organisation's are missing."""
    rows = await work.fetch(LOCK_SQL, column(sorted(set(visit_ids))), engineer_id)
    work.kinds |= {row["order_id"]: (row["kind"], row["kind_version"]) for row in rows}
    return {
        row["id"]: LockedVisit(
            id=row["id"],
            order_id=row["order_id"],
            asset_id=row["asset_id"],
            engineer_id=row["engineer_id"],
            plan=row["plan"],
            state=row["state"],
            assigned_at=row["assigned_at"],
            site_lat=row["site_lat"],
            site_lng=row["site_lng"],
            geofence_radius_m=row["geofence_radius_m"],
            held_before=row["held_before"],
            crew=row["crew"],
            created_at=row["created_at"],
            progress=progress_of(row),
        )
        for row in rows
    }


POSITION = "position_now"
"""Names the statement, among those put off, that writes the engineer's position."""


class EngineerRow(Protocol):
    """A row with an engineer's columns under these names; `engineer_id` is null where the user is none."""

    def __getitem__(self, name: str, /) -> Any: ...


REPORTER_COLUMNS = """e.id as engineer_id, e.last_lat, e.last_lng, e.last_position_at,
    e.last_seen_at as engineer_seen_at"""


async def reporter_of(work: Work, row: EngineerRow, *, alive: bool = True) -> Reporter | None:
    """The engineer behind this unit of work's actor, from a row that holds `REPORTER_COLUMNS`; None where its user is
    none. Notes the sign of life, where it is one (`alive`)."""
    if work.actor.user_id is None or row["engineer_id"] is None:
        return None
    if alive and engineers.seen_long_ago(work, row["engineer_seen_at"]):
        await engineers.mark_seen(work, row["engineer_id"])
    point = _point(row["last_lat"], row["last_lng"])
    return Reporter(
        engineer_id=row["engineer_id"],
        user_id=work.actor.user_id,
        device_id=work.actor.device_id,
        fix=Fix(point, row["last_position_at"]) if point is not None and row["last_position_at"] else None,
    )


class Recorded(msgspec.Struct, frozen=True, kw_only=True):
    """What became of an event that was recorded."""

    event_id: UUID
    standing: Standing


async def record(
    work: Work, visits: dict[UUID, LockedVisit], events: Sequence[Happened], reporter: Reporter
) -> list[Recorded]:
    """Write events of one reporter on locked visits, in one statement a table, and fold them into the visits.

    The caller has dropped events of strangers and of unknown visits. Events after a reassignment or a cancellation are
    kept and flagged, move stock (the part is in the machine, whoever the visit belongs to now), and move no state.
    The events themselves are written with the other rows of this unit of work that can wait for its end.
    """
    fix = reporter.fix
    rows: list[Row] = []
    recorded: list[Recorded] = []
    moves: list[stock.Move] = []
    changed: dict[UUID, LockedVisit] = {}
    newest: Happened | None = None
    told = {event.visit_id for event in events}
    sites = {id_: _point(visits[id_].site_lat, visits[id_].site_lng) for id_ in told}
    standings = {id_: standing(visits[id_], reporter) for id_ in told}

    for event in events:
        visit, stands = visits[event.visit_id], standings[event.visit_id]
        point = _point(event.lat, event.lng)
        verdict = judge(
            event_point=point,
            site_point=sites[event.visit_id],
            accuracy_m=event.accuracy_m,
            mock=event.mock,
            at=event.corrected_at,
            previous=fix,
            radius_m=float(visit.geofence_radius_m),
            received_at=event.received_at,
        )
        if verdict.trusted and point is not None:
            fix = Fix(point, event.corrected_at)
            newest = event if newest is None or event.corrected_at >= newest.corrected_at else newest
        flags = (*event.flags, *verdict.flags, *(() if stands == "own" else (f"after_{stands}",)))
        recorded.append(Recorded(event_id=event.id, standing=stands))
        rows.append(Row(event, visit, verdict.kind, verdict.distance_m, flags, new_id()))
        if event.kind is EventKind.PART_REPLACED:
            moves.append(
                stock.Move(
                    holder_id=reporter.engineer_id,
                    part_id=UUID(str(event.data["partId"])),
                    quantity=-int(event.data["quantity"]),
                    reason="part_replaced",
                    event_id=event.id,
                    order_id=visit.order_id,
                )
            )
        if stands == "own" and event.kind not in SAYS_NOTHING:
            merged = merge(visit.progress, VisitEvent(event.kind, event.corrected_at, str(event.id)))
            if merged != visit.progress:
                # What says nothing new leaves the visit's row, its order and their copies as they are.
                visit.progress = merged
                changed[visit.id] = visit

    if work.waits(NEW_EVENTS):
        await work.flush()
    work.later(GIVE_EVENTS, *events_given(rows, reporter), name=NEW_EVENTS)
    work.later(INSERT_EVENTS)
    journal.write_from(work, LINES_OF_EVENTS, [row.line_id for row in rows], [row.line for row in rows])
    made = [event.id for event in events]
    work.touch("event", *made)
    work.touch("new_event", *made)
    work.touch("home", *told)
    ended = {id_ for id_ in told if visits[id_].state in ENDED}
    entries = await _store_progress(work, list(changed.values()))
    ended |= {id_ for id_ in told if visits[id_].state in ENDED}
    # What was done on visits that are over is the history of their machines, for whoever comes next.
    work.touch("history", *(asset_id for id_ in ended if (asset_id := visits[id_].asset_id) is not None))
    if moves:
        await stock.move(work, moves)
    if newest is not None and reporter.device_id is not None:
        _store_position(work, reporter.engineer_id, newest)
    if entries:
        journal.write_later(work, entries)
    if changed:
        await sync_orders(work, {visit.order_id for visit in changed.values()})
    return recorded


async def customer_signed_by_link(
    work: Work,
    *,
    event_id: UUID,
    visit_id: UUID,
    order_id: UUID,
    signer_name: str,
    decision: str,
    rating: int | None,
    reason: str | None,
) -> None:
    """Record the signature that a customer gave in a browser as an on-site event of the visit's engineer."""
    visits = await lock(work, [visit_id], engineer_id=None)
    visit = visits.get(visit_id)
    if visit is None or visit.engineer_id is None or visit.order_id != order_id:
        raise NotFound(entity="visit")
    event = Happened(
        id=event_id,
        visit_id=visit_id,
        kind=EventKind.CUSTOMER_SIGNED,
        device_time=work.now,
        received_at=work.now,
        corrected_at=work.now,
        clock_offset_ms=0,
        schema_version=1,
        source="link",
        data={"signerName": signer_name, "decision": decision, "rating": rating, "reason": reason},
    )
    user_id = await work.fetchval(
        "select user_id from engineer where org_id = callout_org() and id = $1", visit.engineer_id
    )
    await record(
        work, visits, [event], Reporter(engineer_id=visit.engineer_id, user_id=user_id, device_id=None)
    )


async def sync_orders(work: Work, order_ids: set[UUID]) -> None:
    """Tell the orders what their visits say now; their state and SLA facts follow from it."""
    held = await order_progress.hold(work, order_ids)
    rows = await work.fetch(
        """
        select v.order_id, array_agg(v.state order by v.number) as states, array_agg(v.ended_at order by v.number) as ended,
               min(v.accepted_at) as accepted_at,
               min(least(v.arrived_at, v.first_on_site_at)) as arrived_at, min(v.completed_at) as completed_at
        from visit v where v.org_id = callout_org() and v.order_id = any($1)
        group by v.order_id
        """,
        sorted(order_ids),
    )
    facts = [
        order_progress.VisitFacts(
            order_id=row["order_id"],
            visits=tuple(zip(row["states"], row["ended"], strict=True)),
            responded_at=_earliest(row["accepted_at"], row["arrived_at"]),
            arrived_at=row["arrived_at"],
            resolved_at=row["completed_at"],
        )
        for row in rows
    ]
    await order_progress.apply_visit_facts(work, facts, held)


async def _store_progress(work: Work, visits: list[LockedVisit]) -> list[journal.Entry]:
    if not visits:
        return []
    entries = []
    rows = []
    for visit in visits:
        before, after = visit.state, state_of(visit.progress)
        ended = ended_at(visit.progress) if after in ENDED else None
        rows.append(
            {"id": visit.id, "state": after.value, "ended_at": ended, **progress_columns(visit.progress)}
        )
        if before != after:
            visit.state = after.value
            entries.append(
                journal.Entry(
                    kind="visit.state_changed",
                    entity="visit",
                    entity_id=visit.id,
                    order_id=visit.order_id,
                    visit_id=visit.id,
                    data={"from": before, "to": VisitState(after).value, "engineerId": visit.engineer_id},
                )
            )
    await work.execute(UPDATE_VISITS, msgspec.json.encode(rows).decode())
    work.touch("visit", *(visit.id for visit in visits))
    return entries


def _store_position(work: Work, engineer_id: UUID, event: Happened) -> None:
    work.later(
        """
        update engineer set last_lat = $2, last_lng = $3, last_accuracy_m = $4, last_position_at = $5,
            last_seen_at = greatest(last_seen_at, $6)
        where org_id = callout_org() and id = $1 and (last_position_at is null or last_position_at <= $5)
        returning 1
        """,
        engineer_id,
        event.lat,
        event.lng,
        event.accuracy_m,
        event.corrected_at,
        event.received_at,
        name=POSITION,
    )


def _point(lat: float | None, lng: float | None) -> Point | None:
    return None if lat is None or lng is None else Point(lat, lng)


def _earliest(*instants: datetime | None) -> datetime | None:
    known = [instant for instant in instants if instant is not None]
    return min(known) if known else None
