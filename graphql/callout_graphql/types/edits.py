"""Types of edits and of fields that were written on two sides."""

from datetime import datetime
from uuid import UUID

import strawberry

from callout_graphql.scalars import JSON


@strawberry.type
class EditResult:
    """What became of an edit: `applied`, with code PARALLEL_UPDATE where others wrote other fields meanwhile; or `conflict`
    where somebody else wrote a field of it (`path`) meanwhile: one value stands, the other waits on a card (`conflicts`).
    `revision` is the record's now."""

    status: str
    code: str | None
    path: str | None
    message: str | None
    revision: int


@strawberry.type
class ConflictSide:
    """One of two values, and where it comes from. No device: the office. No user: it stands since the record was made.
    `at` is the corrected instant, `stamp` the order among devices (see the contract); WGS-84 degrees of the device."""

    value: JSON | None
    user_id: UUID | None
    user_name: str | None
    device_id: UUID | None
    device_name: str | None
    at: datetime | None
    stamp: str | None
    lat: float | None
    lng: float | None


@strawberry.type
class FieldConflict:
    """A field that was written on two sides. `kept` stands by the field's `policy` (newest, office, phone), `lost` waits,
    `base` was there before. `code`: FIELD_CONFLICT; or REASSIGNED, CANCELED: the loser's visit was no longer theirs.
    `state`: open, settled, superseded (written anew by who had seen it)."""

    id: UUID
    entity: str
    row_id: UUID
    label: str
    field: str
    visit_id: UUID | None
    code: str
    policy: str
    base: JSON | None
    kept: ConflictSide
    lost: ConflictSide
    received_at: datetime
    state: str
    choice: str | None
    settled_value: JSON | None
    settled_at: datetime | None
    settled_by: UUID | None
    note: str | None
