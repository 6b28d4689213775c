alter table device
    add column schema_version int not null default 1,
    -- What the phone showed that it had when it pulled: rows of transactions below this one.
    add column pulled_xid xid8,
    add column pulled_at timestamptz,
    add column pushed_at timestamptz,
    add column pending int,
    add column storage_used_bytes bigint,
    add column storage_free_bytes bigint,
    -- Everything up to this sequence was answered, or is no longer on the phone: nothing waits for it.
    add column settled_sequence bigint not null default 0,
    -- The highest sequence whose time was worked out, and that time: nothing with a higher one was made before it.
    add column timed_sequence bigint not null default 0,
    add column timed_at timestamptz,
    -- Rows that left were kept back from this transaction on, because the phone had unsent work on its rows.
    add column withheld_from xid8,
    -- A client of rows (WatermelonDB): what it had pulled when the changes began that it has not sent yet.
    add column rows_base_xid xid8,
    -- What its scopes held when that was last added up.
    add column copy_bytes bigint,
    add column copy_measured_at timestamptz,
    add column wipe_mode text check (wipe_mode in ('after_upload', 'stolen')),
    add column wipe_reason text,
    add column wipe_requested_at timestamptz,
    add column wipe_requested_by uuid,
    add column wiped_at timestamptz;

alter table sync_feed
    add column changed_at timestamptz not null default now(),
    -- The shape of the documents in `body`; rows of an older one are written anew by the sweep.
    add column shape int not null default 1;
alter table sync_feed drop constraint sync_feed_org_id_fkey;
-- A phone that starts reads what is there, and steps over nothing that left: rows that stay and rows that left lie in an
-- index each. One entity alone is read from them too: its name is in the index.
drop index sync_feed_order;
create index sync_feed_here on sync_feed (org_id, scope_id, xid, entity, row_id) where op = 'U';
create index sync_feed_gone on sync_feed (org_id, scope_id, xid, entity, row_id) where op = 'D';
create index sync_feed_left on sync_feed (org_id, changed_at) where op = 'D';
-- Empty once the sweep has written the older shapes anew; goes with `callout_sync.scope_rules.SHAPE`.
create index sync_feed_shape on sync_feed (org_id, entity, row_id) where op = 'U' and shape < 2;
update timer set due_at = now() where key = 'scope.sweep' and state = 'armed';

-- Deletes written up to this transaction may be gone: an older cursor starts again.
create table sync_purge (
    org_id uuid primary key default callout_org() references organisation,
    purged_through xid8 not null,
    purged_at timestamptz not null
);

-- Commands that wait for one their phone sent, or will send, before them.
create table held_command (
    org_id uuid not null default callout_org(),
    command_id uuid not null,
    device_id uuid not null,
    user_id uuid not null,
    visit_id uuid,
    sequence bigint not null,
    body bytea not null,
    clocks jsonb not null,
    received_at timestamptz not null,
    force_at timestamptz not null,
    -- answered: it could not be applied and was answered at once; it stands here so that others do not wait for it.
    state text not null default 'held' check (state in ('held', 'answered', 'applied', 'forced')),
    settled_at timestamptz,
    primary key (org_id, command_id),
    foreign key (org_id, device_id) references device (org_id, id)
);
create index held_command_device on held_command (org_id, device_id, sequence) where state in ('held', 'answered');
create index held_command_due on held_command (org_id, force_at) where state = 'held';

alter table quarantine
    -- The phone's clocks when it sent it, so that a retry gives it the time at which it was done.
    add column clocks jsonb,
    add column mended_body bytea,
    add column mended_by uuid,
    add column mended_at timestamptz;
create index quarantine_device on quarantine (org_id, device_id) where state = 'open';

-- What became of a command that was not simply applied; its phone pulls it.
create table outcome (
    org_id uuid not null default callout_org(),
    id uuid not null,
    device_id uuid not null,
    visit_id uuid,
    kind text not null default '',
    status text not null,
    code text,
    path text,
    message text,
    note text,
    at timestamptz not null,
    primary key (org_id, id),
    foreign key (org_id, device_id) references device (org_id, id)
);
create index outcome_device on outcome (org_id, device_id);

-- Who wrote each field last that a phone may write. A field without a row was never written since its row was made.
create table field_version (
    org_id uuid not null default callout_org() references organisation,
    entity text not null,
    row_id uuid not null,
    field text not null,
    revision int not null,
    xid xid8 not null default pg_current_xact_id(),
    stamp text not null,
    value jsonb not null,
    before jsonb not null,
    command_id uuid,
    device_id uuid,
    user_id uuid,
    at timestamptz not null,
    lat double precision,
    lng double precision,
    primary key (org_id, entity, row_id, field)
);

-- One field, written on two sides: what stands, what lost, and a person's decision. While a card is open, `kept…` follows
-- what stands (its author and instant null: since the row was made). `lost` stood from revision `lost_since` (null: never)
-- until before `lost_until`. `superseded`: its author, or who had seen it, wrote the field again, or it came to stand.
create table field_conflict (
    org_id uuid not null default callout_org() references organisation,
    id uuid not null,
    entity text not null,
    row_id uuid not null,
    field text not null,
    visit_id uuid,
    code text not null check (code in ('FIELD_CONFLICT', 'REASSIGNED', 'CANCELED')),
    policy text not null,
    base jsonb,
    kept jsonb not null,
    kept_by uuid,
    kept_device_id uuid,
    kept_at timestamptz,
    kept_stamp text,
    kept_lat double precision,
    kept_lng double precision,
    lost jsonb not null,
    lost_by uuid,
    lost_device_id uuid,
    lost_at timestamptz not null,
    lost_stamp text not null,
    lost_since int,
    lost_until int,
    lost_lat double precision,
    lost_lng double precision,
    command_id uuid not null,
    received_at timestamptz not null,
    state text not null default 'open' check (state in ('open', 'settled', 'superseded')),
    choice text check (choice in ('kept', 'lost', 'other')),
    settled_value jsonb,
    settled_at timestamptz,
    settled_by uuid,
    note text,
    primary key (org_id, id),
    unique (org_id, command_id, field)
);
create index field_conflict_open on field_conflict (org_id, id) where state = 'open';
create index field_conflict_row on field_conflict (org_id, entity, row_id) where state = 'open';
