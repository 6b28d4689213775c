"""Types of people, devices and sync."""

from datetime import datetime
from uuid import UUID

import strawberry

from callout_graphql.edges import Info
from callout_graphql.scalars import JSON, Long
from callout_graphql.types_dispatch import Engineer


@strawberry.type
class Organisation:
    """The tenant."""

    id: UUID
    slug: str
    name: str
    locale: str
    time_zone: str


@strawberry.type
class User:
    """Someone who may sign in. `role`: admin, dispatcher, engineer, supervisor, customer_contact."""

    id: UUID
    email: str
    name: str
    role: str
    locale: str
    active: bool
    created_at: datetime


@strawberry.type
class Viewer:
    """The caller."""

    user_id: UUID
    name: str
    role: str
    locale: str
    device_id: UUID | None

    @strawberry.field
    async def organisation(self, info: Info) -> Organisation:
        """Whose data this is."""
        return await info.context.loaders.organisation()

    @strawberry.field
    async def engineer(self, info: Info) -> Engineer | None:
        """The engineer that the caller is, if any."""
        engineer_id = (await info.context.sight()).engineer_id
        return await info.context.loaders.engineers.load(engineer_id) if engineer_id else None


@strawberry.type
class Device:
    """A phone. `clockOffsetMs` is server minus phone, as measured at the last push."""

    id: UUID
    user_id: UUID
    user_name: str
    name: str
    platform: str
    app_version: str
    enrolled_at: datetime
    revoked_at: datetime | None
    revoked_reason: str | None
    last_seen_at: datetime | None
    last_sequence: Long
    clock_offset_ms: Long | None


@strawberry.type
class EnrolmentCode:
    """A code that enrols one phone once, and the address that a QR picture of it holds."""

    code: str
    user_id: UUID
    expires_at: datetime
    payload: str


@strawberry.type
class Quarantined:
    """A command of a phone that a person must look at: it could not be applied, or it conflicts. `body` is its JSON."""

    id: UUID
    command_id: UUID | None
    device_id: UUID
    device_name: str
    user_id: UUID
    user_name: str
    visit_id: UUID | None
    category: str
    code: str
    path: str | None
    message: str
    body: str
    received_at: datetime
    state: str
    settled_at: datetime | None
    settled_by: UUID | None
    note: str | None


@strawberry.type
class DeadLetter:
    """An effect that was given up after many tries."""

    id: UUID
    channel: str
    stream: str
    attempts: int
    last_error: str | None
    created_at: datetime


@strawberry.type
class PullPage:
    """A page of what this device should hold, oldest change first. Ask again with `cursor` while `more`.

    `documents` is a list of {entity, id, op: upsert or delete, doc}. A new `epoch` means: begin again without a cursor.
    `total` (rows to come) is given on a first pull.
    """

    cursor: str
    more: bool
    epoch: UUID
    server_time: datetime
    total: int | None
    count: int
    documents: JSON


@strawberry.input
class PushInput:
    """A batch of commands. The clocks at the moment of sending measure the phone's offset.

    A command is {id, sequence, schemaVersion, kind, visitId, deviceTime, monotonicMs, bootId, location, durationS,
    payload}; see json_schema/command.json. They are read one by one: a bad one stops nothing else.
    """

    sent_at: datetime
    commands: list[JSON | None]
    monotonic_ms: Long | None = None
    boot_id: str | None = None
    app_version: str | None = None


@strawberry.type
class CommandAnswer:
    """What became of one command.

    `applied`, `duplicate`, `conflict`: stored, drop it from the queue. `quarantined`: kept on the server for a person,
    drop it too. `refused`: nothing was stored, see `code`.
    """

    index: int
    id: UUID | None
    status: str
    code: str | None
    path: str | None
    message: str | None
    first_status: str | None


@strawberry.type
class PushResult:
    """Answers in the order of the commands."""

    answers: list[CommandAnswer]
    server_time: datetime


@strawberry.type
class Poke:
    """News since `at`: pull (a phone) or read again (a screen).

    `kind`: sync or board. `scopes` say where; empty: anywhere.
    """

    at: datetime
    kind: str
    scopes: list[UUID]
