"""Types of people, devices and sync."""

from datetime import datetime
from uuid import UUID

import strawberry

from callout_graphql.edges import Info, edge
from callout_graphql.scalars import JSON, Long
from callout_graphql.types.dispatch import Engineer
from callout_sync import devices, wipe


@strawberry.type
class Organisation:
    """The tenant, and what it decided about its phones.

    `phoneWindowDays`: how long a phone keeps a visit that has ended; `phoneHistoryEvents`: how many events of an asset's
    earlier visits it holds; `phoneBudgetMb`: from how large a copy on there is a warning; `phoneParts`: all of the
    catalogue or those needed; `holdMinutes`: how long a command waits for the one before it; `tombstoneDays`: how long
    deletes are kept for phones that are away; `appVersionMin`: the oldest app that may pull.
    """

    id: UUID
    slug: str
    name: str
    locale: str
    time_zone: str
    phone_window_days: int
    phone_history_events: int
    phone_budget_mb: int
    phone_parts: str
    hold_minutes: int
    tombstone_days: int
    app_version_min: str | None


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


strawberry.enum(
    wipe.WipeMode,
    description="AFTER_UPLOAD: the phone sends what it has before it forgets everything. STOLEN: nothing is taken from it.",
)
strawberry.enum(
    devices.Sort,
    name="DeviceSort",
    description="NEWEST: enrolled last. SILENT: not heard of for longest, or never.",
)


@strawberry.type
class DeviceProgress:
    """How far behind a phone is and what of its work waits for a person.

    `lagRows`: rows that it has not pulled (counted up to some tens of thousands), null for an RxDB phone, which keeps to
    itself how far it is; `lagSeconds`: since its last pull, null where it never pulled; `held`: commands that wait for
    one before them.
    """

    lag_rows: Long | None
    lag_seconds: float | None
    conflicts_open: int
    quarantined_open: int
    held: int


@strawberry.type
class DeviceCopy:
    """What a phone should hold: rows, bytes of their documents, and from how many bytes on there is a warning."""

    rows: Long
    bytes: Long
    budget_bytes: Long
    over_budget: bool


@strawberry.type
class Device:
    """A phone. `clockOffsetMs` is server minus phone, as measured at the last push.

    `pending` (commands still to be sent) and the storage are what the phone told at its last push. `wipeMode` is set
    while the phone is asked to forget everything, `wipedAt` when it said that it has.
    """

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
    schema_version: int
    pulled_at: datetime | None
    pushed_at: datetime | None
    pending: int | None
    storage_used_bytes: Long | None
    storage_free_bytes: Long | None
    wipe_reason: str | None
    wipe_requested_at: datetime | None
    wipe_requested_by: UUID | None
    wiped_at: datetime | None

    @strawberry.field
    def wipe_mode(root: strawberry.Parent[devices.Device]) -> wipe.WipeMode | None:
        """What the office asked for."""
        return None if root.wipe_mode is None else wipe.WipeMode(root.wipe_mode)

    progress: DeviceProgress | None = edge("progress_of_device", "id", "How far behind it is.")

    copy: DeviceCopy | None = edge("copy_of_device", "id", "How much it should hold.")


@strawberry.type
class EnrolmentCode:
    """A code that enrols one phone once, and the address that a QR picture of it holds."""

    code: str
    user_id: UUID
    expires_at: datetime
    payload: str


@strawberry.type
class Quarantined:
    """A command of a phone that a person must look at: it could not be applied, or it conflicts. `body` is its JSON as it
    came, `mendedBody` what a person made of it."""

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
    mended_body: str | None
    mended_at: datetime | None
    mended_by: UUID | None


@strawberry.type
class HeldCommand:
    """A command that overtook another of its phone and waits for it; at `forceAt` it is applied without it.

    `state`: held, applied (the other came), forced (it never did). `body` is its JSON as it came.
    """

    id: UUID
    device_id: UUID
    device_name: str
    user_id: UUID
    user_name: str
    visit_id: UUID | None
    sequence: Long
    body: str
    received_at: datetime
    force_at: datetime
    state: str
    settled_at: datetime | None


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
    `total` (rows to come) is given on a first pull, and when rows begin to come that the app has just learnt to
    understand. Keep the highest `stamp`, and write it into commands as `seen`. `wipe`: send what there is to send, then
    forget everything. `budgetWarning`: the copy is larger than the organisation wants it to be.
    """

    cursor: str
    more: bool
    epoch: UUID
    server_time: datetime
    total: int | None
    count: int
    documents: JSON
    stamp: str
    wipe: bool
    budget_warning: bool


@strawberry.input
class PushInput:
    """A batch of commands. The clocks at the moment of sending measure the phone's offset.

    A command is {id, sequence, schemaVersion, kind, visitId, deviceTime, monotonicMs, bootId, location, durationS, seen,
    payload}; see json_schema/command.json. They are read one by one: a bad one stops nothing else. `oldestPending` is the
    lowest sequence that the phone has no answer for; with it, commands that overtook others are held for them. `pending`
    counts what the phone has still to send, this batch included.
    """

    sent_at: datetime
    commands: list[JSON | None]
    monotonic_ms: Long | None = None
    boot_id: str | None = None
    app_version: str | None = None
    schema_version: int | None = None
    oldest_pending: Long | None = None
    pending: int | None = None
    storage_used_bytes: Long | None = None
    storage_free_bytes: Long | None = None


@strawberry.type
class CommandAnswer:
    """What became of one command.

    `applied`, `duplicate`, `conflict`: stored, drop it from the queue. `quarantined`: kept on the server for a person,
    drop it too. `held`: kept until the command before it comes, drop it as well; an `outcome` document tells what became
    of it. `refused`: nothing was stored, see `code`.
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
    """Answers in the order of the commands. The phone keeps the highest `stamp` and writes it into later commands (`seen`).

    `wipe`: the office asks this phone to send what it has and then to forget everything.
    """

    answers: list[CommandAnswer]
    server_time: datetime
    stamp: str
    wipe: bool


@strawberry.type
class Poke:
    """News since `at`: pull (a phone) or read again (a screen).

    `kind`: sync or board. `scopes` say where; empty: anywhere.
    """

    at: datetime
    kind: str
    scopes: list[UUID]
