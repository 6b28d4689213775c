"""Rows of events and of visits' progress, as the statements that write them in sets take them."""

from collections.abc import Sequence
from typing import Any, NamedTuple
from uuid import UUID

from callout_dispatch.events import Happened, LockedVisit, Reporter
from callout_store import journal
from callout_store.columns import column, json_column

NEW_EVENTS = "new_events"
"""The events that a unit of work writes at its end, by the columns of `visit_event`: under this name other statements that
are put off read them without asking the table."""
EVENT_COLUMNS = {
    "id": "uuid",
    "visit_id": "uuid",
    "order_id": "uuid",
    "asset_id": "uuid",
    "actor_id": "uuid",
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
    "flags": "text",
    "data": "jsonb",
    "line_id": "uuid",
}
"""The columns that come row by row; `line_id` is that of the event's line in the journal."""
_OF_ALL = {"engineer_id": "uuid", "device_id": "uuid"}
_TAKEN = ", ".join(f"${n}::text::{type_}[]" for n, type_ in enumerate(EVENT_COLUMNS.values(), start=1))
_GIVEN = ", ".join(f"{name}::text[]" if name == "flags" else name for name in EVENT_COLUMNS)
_CONSTANT = ", ".join(
    f"${n}::{type_} as {name}"
    for n, (name, type_) in enumerate(_OF_ALL.items(), start=len(EVENT_COLUMNS) + 1)
)
GIVE_EVENTS = f"select {_GIVEN}, {_CONSTANT} from unnest({_TAKEN}) as t({', '.join(EVENT_COLUMNS)})"
_COLUMNS = ", ".join((*(name for name in EVENT_COLUMNS if name != "line_id"), *_OF_ALL))
INSERT_EVENTS = f"insert into visit_event (org_id, {_COLUMNS}) select (select callout_org()), {_COLUMNS} from {NEW_EVENTS}"

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


class Row(NamedTuple):
    """An event and what was found about it, ready to be written."""

    event: Happened
    visit: LockedVisit
    geofence: str
    distance_m: float | None
    flags: tuple[str, ...]
    line_id: UUID

    @property
    def line(self) -> journal.Entry:
        """The event's line in the journal."""
        return journal.Entry(
            kind=f"visit.{self.event.kind.value}",
            entity="event",
            entity_id=self.event.id,
            order_id=self.visit.order_id,
            visit_id=self.visit.id,
            at=self.event.corrected_at,
            data={"geofence": self.geofence, "flags": self.flags, "source": self.event.source}
            | ({"parts": parts} if (parts := self.event.data.get("parts")) else {}),
        )


LINES_OF_EVENTS = f"""
select line_id, corrected_at, 'visit.' || kind, 'event', id, order_id, visit_id,
       jsonb_build_object('geofence', geofence, 'flags', flags, 'source', source)
       || case when jsonb_typeof(data -> 'parts') = 'array' and data -> 'parts' <> '[]'
               then jsonb_build_object('parts', data -> 'parts') else '{{}}' end
from {NEW_EVENTS}
"""
"""`Row.line` of all of them."""


def events_given(rows: Sequence[Row], reporter: Reporter) -> tuple[Any, ...]:
    """The parameters of `GIVE_EVENTS`: a text for each column, then what all have in common."""
    events = [row.event for row in rows]
    return (
        column([event.id for event in events]),
        column([event.visit_id for event in events]),
        column([row.visit.order_id for row in rows]),
        column([row.visit.asset_id for row in rows]),
        column([reporter.user_id if event.source == "phone" else None for event in events]),
        column([event.kind.value for event in events]),
        column([event.device_time for event in events]),
        column([event.monotonic_ms for event in events]),
        column([event.boot_id for event in events]),
        column([event.received_at for event in events]),
        column([event.corrected_at for event in events]),
        column([event.clock_offset_ms for event in events]),
        column([event.lat for event in events]),
        column([event.lng for event in events]),
        column([event.accuracy_m for event in events]),
        column([event.provider for event in events]),
        column([event.mock for event in events]),
        column([event.duration_s for event in events]),
        column([event.sequence for event in events]),
        column([event.schema_version for event in events]),
        column([event.source for event in events]),
        column([row.geofence for row in rows]),
        column([row.distance_m for row in rows]),
        column([column(row.flags) for row in rows]),
        json_column([event.data for event in events]),
        column([row.line_id for row in rows]),
        reporter.engineer_id,
        reporter.device_id,
    )
