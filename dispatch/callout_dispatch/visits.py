"""On-site events: recorded append-only, in sets, and folded into the visit's progress.

Lock order everywhere in Callout: engineers, then visits (by id), then orders (by id). Events of one visit therefore
commit in the order in which their transactions took the visit's row, which the outbox's streams rely on.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from callout_dispatch import engineers
from callout_dispatch.events import (
    Happened,
    LockedVisit,
    Reporter,
    Standing,
    progress_columns,
    progress_of,
    standing,
)
from callout_dispatch.visit_states import ENDED, EventKind, VisitEvent, VisitState, ended_at, merge, state_of
from callout_geo.geofence import Fix, judge
from callout_geo.points import Point
from callout_orders import progress as order_progress
from callout_orders import stock
from callout_store import journal
from callout_store.errors import NotFound
from callout_store.work import Work

LOCK_SQL = """
select v.id, v.order_id, v.engineer_id, v.plan, v.state, v.assigned_at, v.created_at,
       v.accepted_at, v.travelling_at, v.arrived_at, v.first_on_site_at, v.signed_at, v.left_at,
       v.completed_at, v.could_not_complete_at, v.outcome, v.outcome_at, v.outcome_event_id,
       o.asset_id, s.lat as site_lat, s.lng as site_lng, s.geofence_radius_m,
       exists (
           select 1 from visit_assignment a
           where a.org_id = v.org_id and a.visit_id = v.id and a.engineer_id = $2
       ) as held_before
from visit v
join work_order o on o.org_id = v.org_id and o.id = v.order_id
join site s on s.org_id = o.org_id and s.id = o.site_id
where v.org_id = callout_org() and v.id = any($1)
order by v.id
for update of v
"""


async def lock(work: Work, visit_ids: Sequence[UUID], *, engineer_id: UUID | None) -> dict[UUID, LockedVisit]:
    """The visits' rows under lock, by id; ids that are none of this organisation's are missing."""
    rows = await work.fetch(LOCK_SQL, sorted(set(visit_ids)), engineer_id)
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
            created_at=row["created_at"],
            progress=progress_of(row),
        )
        for row in rows
    }


async def reporter_of(work: Work) -> Reporter | None:
    """The engineer behind this unit of work's actor; None where its user is none. Notes the sign of life."""
    if work.actor.user_id is None:
        return None
    row = await work.fetchrow(
        """
        select id, last_lat, last_lng, last_position_at, last_seen_at from engineer
        where org_id = callout_org() and user_id = $1
        """,
        work.actor.user_id,
    )
    if row is None:
        return None
    if engineers.seen_long_ago(work, row["last_seen_at"]):
        await engineers.mark_seen(work, row["id"])
    point = _point(row["last_lat"], row["last_lng"])
    return Reporter(
        engineer_id=row["id"],
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
    """
    fix = reporter.fix
    rows: list[dict[str, Any]] = []
    recorded: list[Recorded] = []
    entries: list[journal.Entry] = []
    moves: list[stock.Move] = []
    changed: dict[UUID, LockedVisit] = {}
    newest: Happened | None = None

    for event in events:
        visit = visits[event.visit_id]
        stands = standing(visit, reporter)
        verdict = judge(
            event_point=_point(event.lat, event.lng),
            site_point=_point(visit.site_lat, visit.site_lng),
            accuracy_m=event.accuracy_m,
            mock=event.mock,
            at=event.corrected_at,
            previous=fix,
            radius_m=float(visit.geofence_radius_m),
        )
        if verdict.trusted and event.lat is not None and event.lng is not None:
            fix = Fix(Point(event.lat, event.lng), event.corrected_at)
            newest = event if newest is None or event.corrected_at >= newest.corrected_at else newest
        flags = (*event.flags, *verdict.flags, *(() if stands == "own" else (f"after_{stands}",)))
        recorded.append(Recorded(event_id=event.id, standing=stands))
        rows.append(_event_row(event, visit, reporter, verdict.kind, verdict.distance_m, flags))
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
        if stands == "own":
            merged = merge(visit.progress, VisitEvent(event.kind, event.corrected_at, str(event.id)))
            if merged != visit.progress:
                # A note or a photo says nothing about progress: the visit's row, its order and their copies stay.
                visit.progress = merged
                changed[visit.id] = visit
        entries.append(
            journal.Entry(
                kind=f"visit.{event.kind.value}",
                entity="event",
                entity_id=event.id,
                order_id=visit.order_id,
                visit_id=visit.id,
                at=event.corrected_at,
                data={"geofence": verdict.kind, "flags": flags, "source": event.source},
            )
        )

    await work.execute(INSERT_EVENTS, msgspec.json.encode(rows).decode())
    work.touch("event", *(event.id for event in events))
    entries += await _store_progress(work, list(changed.values()))
    if moves:
        await stock.move(work, moves)
    if newest is not None and reporter.device_id is not None:
        await _store_position(work, reporter.engineer_id, newest)
    await journal.write_many(work, entries)
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
                    data={"from": before, "to": VisitState(after).value},
                )
            )
    await work.execute(UPDATE_VISITS, msgspec.json.encode(rows).decode())
    work.touch("visit", *(visit.id for visit in visits))
    return entries


async def _store_position(work: Work, engineer_id: UUID, event: Happened) -> None:
    await work.execute(
        """
        update engineer set last_lat = $2, last_lng = $3, last_accuracy_m = $4, last_position_at = $5, last_seen_at = $6
        where org_id = callout_org() and id = $1 and (last_position_at is null or last_position_at <= $5)
        """,
        engineer_id,
        event.lat,
        event.lng,
        event.accuracy_m,
        event.corrected_at,
        event.received_at,
    )


# Rows travel as one JSON text and are taken apart by PostgreSQL: encoding a hundred rows of two dozen typed arrays costs
# the driver ten times as much as msgspec needs for the text.
EVENT_COLUMNS = {
    "id": "uuid",
    "visit_id": "uuid",
    "order_id": "uuid",
    "asset_id": "uuid",
    "engineer_id": "uuid",
    "actor_id": "uuid",
    "device_id": "uuid",
    "kind": "text",
    "device_time": "timestamptz",
    "monotonic_ms": "bigint",
    "boot_id": "text",
    "received_at": "timestamptz",
    "corrected_at": "timestamptz",
    "clock_offset_ms": "bigint",
    "lat": "float8",
    "lng": "float8",
    "accuracy_m": "float8",
    "provider": "text",
    "mock": "bool",
    "duration_s": "float8",
    "device_sequence": "bigint",
    "schema_version": "int",
    "source": "text",
    "geofence": "text",
    "geofence_distance_m": "float8",
    "flags": "text[]",
    "data": "jsonb",
}
INSERT_EVENTS = (
    f"insert into visit_event ({', '.join(EVENT_COLUMNS)}) select * from json_to_recordset($1::text::json) "
    f"as t({', '.join(f'{name} {type_}' for name, type_ in EVENT_COLUMNS.items())})"
)

UPDATE_VISITS = """
update visit v set state = t.state, ended_at = t.ended_at, accepted_at = t.accepted_at,
    travelling_at = t.travelling_at, arrived_at = t.arrived_at, first_on_site_at = t.first_on_site_at,
    signed_at = t.signed_at, completed_at = t.completed_at, could_not_complete_at = t.could_not_complete_at,
    left_at = t.left_at, outcome = t.outcome, outcome_at = t.outcome_at, outcome_event_id = t.outcome_event_id,
    revision = v.revision + 1
from json_to_recordset($1::text::json) as t(
    id uuid, state text, ended_at timestamptz, accepted_at timestamptz, travelling_at timestamptz,
    arrived_at timestamptz, first_on_site_at timestamptz, signed_at timestamptz, completed_at timestamptz,
    could_not_complete_at timestamptz, left_at timestamptz, outcome text, outcome_at timestamptz, outcome_event_id uuid)
where v.org_id = callout_org() and v.id = t.id
"""


def _event_row(
    event: Happened,
    visit: LockedVisit,
    reporter: Reporter,
    geofence: str,
    distance_m: float | None,
    flags: tuple[str, ...],
) -> dict[str, Any]:
    return {
        "id": event.id,
        "visit_id": visit.id,
        "order_id": visit.order_id,
        "asset_id": visit.asset_id,
        "engineer_id": reporter.engineer_id,
        "actor_id": reporter.user_id if event.source == "phone" else None,
        "device_id": reporter.device_id,
        "kind": event.kind.value,
        "device_time": event.device_time,
        "monotonic_ms": event.monotonic_ms,
        "boot_id": event.boot_id,
        "received_at": event.received_at,
        "corrected_at": event.corrected_at,
        "clock_offset_ms": event.clock_offset_ms,
        "lat": event.lat,
        "lng": event.lng,
        "accuracy_m": event.accuracy_m,
        "provider": event.provider,
        "mock": event.mock,
        "duration_s": event.duration_s,
        "device_sequence": event.sequence,
        "schema_version": event.schema_version,
        "source": event.source,
        "geofence": geofence,
        "geofence_distance_m": distance_m,
        "flags": flags,
        "data": event.data,
    }


def _point(lat: float | None, lng: float | None) -> Point | None:
    return None if lat is None or lng is None else Point(lat, lng)


def _earliest(*instants: datetime | None) -> datetime | None:
    known = [instant for instant in instants if instant is not None]
    return min(known) if known else None
