"""Rows of events and of visits' progress, as the statements that write them in sets take them."""

from typing import Any

from callout_dispatch.events import Happened, LockedVisit, Reporter

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


def event_row(
    event: Happened,
    visit: LockedVisit,
    reporter: Reporter,
    geofence: str,
    distance_m: float | None,
    flags: tuple[str, ...],
) -> dict[str, Any]:
    """An event as a row of `visit_event`, by column."""
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
