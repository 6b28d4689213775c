alter table device
    add column schema_version int not null default 1,
    add column pulled_xid xid8,
    add column pulled_at timestamptz,
    add column pushed_at timestamptz,
    add column pending int,
    add column storage_used_bytes bigint,
    add column storage_free_bytes bigint,
    -- Everything up to this sequence was answered, or is no longer on the phone: nothing waits for it.
    add column settled_sequence bigint not null default 0,
    -- Rows that left were kept back from this transaction on, because the phone had unsent work on its rows.
    add column withheld_from xid8,
    add column wipe_mode text check (wipe_mode in ('after_upload', 'stolen')),
    add column wipe_reason text,
    add column wipe_requested_at timestamptz,
    add column wipe_requested_by uuid,
    add column wiped_at timestamptz;

alter table sync_feed
    add column changed_at timestamptz not null default now(),
    -- The shape of the documents in `body`; rows of an older one are written anew by the sweep.
    add column shape int not null default 1;
create index sync_feed_entity on sync_feed (org_id, scope_id, entity, xid, row_id);
create index sync_feed_left on sync_feed (org_id, changed_at) where op = 'D';
create index sync_feed_shape on sync_feed (org_id, shape) where op = 'U';

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
    state text not null default 'held' check (state in ('held', 'applied', 'forced')),
    settled_at timestamptz,
    primary key (org_id, command_id),
    foreign key (org_id, device_id) references device (org_id, id)
);
create index held_command_device on held_command (org_id, device_id, sequence) where state = 'held';
create index held_command_due on held_command (org_id, force_at) where state = 'held';

alter table quarantine
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

-- One field, written on two sides: what stands, what lost, and a person's decision.
create table field_conflict (
    org_id uuid not null default callout_org() references organisation,
    id uuid not null,
    entity text not null,
    row_id uuid not null,
    field text not null,
    visit_id uuid,
    policy text not null,
    base jsonb,
    kept jsonb not null,
    kept_by uuid,
    kept_device_id uuid,
    kept_at timestamptz not null,
    kept_lat double precision,
    kept_lng double precision,
    lost jsonb not null,
    lost_by uuid,
    lost_device_id uuid,
    lost_at timestamptz not null,
    lost_lat double precision,
    lost_lng double precision,
    command_id uuid,
    received_at timestamptz not null,
    state text not null default 'open' check (state in ('open', 'settled')),
    choice text check (choice in ('kept', 'lost', 'other')),
    settled_value jsonb,
    settled_at timestamptz,
    settled_by uuid,
    note text,
    primary key (org_id, id),
    unique (org_id, command_id, field)
);
create index field_conflict_open on field_conflict (org_id, id) where state = 'open';
create index field_conflict_row on field_conflict (org_id, entity, row_id);
