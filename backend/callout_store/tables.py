"""Tables of the engine room: the journal, the outbox with its attempts, timers, and the workers' heartbeat.

The database's own definition is in `callout_backend/migrations/sql`; a test holds the two together. Columns have no
default here: a value that was forgotten must be refused by PostgreSQL instead of being filled in silently.
"""

from piccolo.columns import JSONB, UUID, BigInt, Boolean, Integer, Text, Timestamptz
from piccolo.table import Table


class Journal(Table, tablename="journal"):
    org_id = UUID(default=None)
    id = UUID(primary_key=True, default=None)
    at = Timestamptz(default=None)
    kind = Text(default=None)
    entity = Text(default=None)
    entity_id = UUID(default=None)
    order_id = UUID(null=True, default=None)
    visit_id = UUID(null=True, default=None)
    actor_id = UUID(null=True, default=None)
    actor_role = Text(default=None)
    device_id = UUID(null=True, default=None)
    data = JSONB(default=None)


class Outbox(Table, tablename="outbox"):
    org_id = UUID(default=None)
    id = UUID(primary_key=True, default=None)
    position = BigInt(default=None)
    dedupe_key = Text(default=None)
    channel = Text(default=None)
    stream = Text(default=None)
    payload = JSONB(default=None)
    state = Text(default=None)
    run_at = Timestamptz(default=None)
    attempts = Integer(default=None)
    lease_token = UUID(null=True, default=None)
    lease_until = Timestamptz(null=True, default=None)
    last_error = Text(null=True, default=None)
    created_at = Timestamptz(default=None)
    finished_at = Timestamptz(null=True, default=None)


class OutboxAttempt(Table, tablename="outbox_attempt"):
    org_id = UUID(default=None)
    outbox_id = UUID(default=None)
    n = Integer(default=None)
    started_at = Timestamptz(default=None)
    finished_at = Timestamptz(default=None)
    outcome = Text(default=None)
    provider_ref = Text(null=True, default=None)
    error = Text(null=True, default=None)
    id = UUID(primary_key=True, default=None)


class Timer(Table, tablename="timer"):
    org_id = UUID(default=None)
    key = Text(primary_key=True)
    epoch = Integer(default=None)
    due_at = Timestamptz(default=None)
    state = Text(default=None)
    channel = Text(default=None)
    payload = JSONB(default=None)
    fired_at = Timestamptz(null=True, default=None)


class WorkerHeartbeat(Table, tablename="worker_heartbeat"):
    worker_id = UUID(primary_key=True, default=None)
    host = Text(default=None)
    pid = Integer(default=None)
    started_at = Timestamptz(default=None)
    beat_at = Timestamptz(default=None)


class ClockGuard(Table, tablename="clock_guard"):
    only_row = Boolean(primary_key=True, default=False)
    looked_at = Timestamptz(default=None)
    frozen_until = Timestamptz(null=True, default=None)


TABLES: tuple[type[Table], ...] = (
    Journal,
    Outbox,
    OutboxAttempt,
    Timer,
    WorkerHeartbeat,
    ClockGuard,
)
