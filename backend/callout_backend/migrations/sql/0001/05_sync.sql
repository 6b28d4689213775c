create table device (
    org_id uuid not null default callout_org(),
    id uuid not null,
    user_id uuid not null,
    name text not null,
    platform text not null default '',
    app_version text not null default '',
    enrolled_at timestamptz not null,
    revoked_at timestamptz,
    revoked_reason text,
    last_seen_at timestamptz,
    last_sequence bigint not null default 0,
    clock_offset_ms bigint,
    primary key (org_id, id),
    foreign key (org_id, user_id) references app_user (org_id, id)
);
create index device_user on device (org_id, user_id);
alter table session add foreign key (org_id, device_id) references device (org_id, id);
alter table visit_event add foreign key (org_id, device_id) references device (org_id, id);

create table enrolment_code (
    org_id uuid not null default callout_org(),
    id uuid not null,
    user_id uuid not null,
    code_hash bytea not null,
    created_by uuid,
    created_at timestamptz not null,
    expires_at timestamptz not null,
    used_at timestamptz,
    device_id uuid,
    primary key (org_id, id),
    unique (org_id, code_hash),
    foreign key (org_id, user_id) references app_user (org_id, id)
);

-- Transaction ids begin anew when a dump is restored: cursors carry the epoch, and a new one forces a clean resync.
create table sync_epoch (
    only_row boolean primary key default true check (only_row),
    epoch uuid not null default gen_random_uuid(),
    changed_at timestamptz not null default now()
);
insert into sync_epoch default values;

-- One row per (scope, entity, row), upserted: the newest state only. `body` is ready JSON text, never parsed on its way out.
create table sync_feed (
    org_id uuid not null default callout_org() references organisation,
    scope_id uuid not null,
    entity text not null,
    row_id uuid not null,
    op text not null check (op in ('U', 'D')),
    xid xid8 not null default pg_current_xact_id(),
    body text not null default '',
    primary key (org_id, scope_id, entity, row_id)
);
create index sync_feed_order on sync_feed (org_id, scope_id, xid, entity, row_id);
-- Who holds a row now. Leavers are not in it: they pile up with the years, and are never looked for by row.
create index sync_feed_row on sync_feed (org_id, entity, row_id) where op = 'U';
-- Bodies are rewritten often and read whole: keep room on the page and do not compress twice.
alter table sync_feed set (fillfactor = 80);
alter table sync_feed alter column body set storage external;

-- The answer to a command, kept for its replay. Keyed without the device: a queue restored onto a new phone is a replay too.
create table receipt (
    org_id uuid not null default callout_org(),
    command_id uuid not null,
    device_id uuid not null,
    body_sha256 bytea not null,
    sequence bigint not null,
    received_at timestamptz not null,
    answer text not null default '',
    primary key (org_id, command_id)
    -- No key to device: the push that writes it holds the device's row, and a check a row is dear on this path.
);

-- Field work that a person must look at, whole, as bytes: it may hold what text columns refuse.
create table quarantine (
    org_id uuid not null default callout_org(),
    id uuid not null,
    command_id uuid,
    device_id uuid not null,
    user_id uuid not null,
    visit_id uuid,
    category text not null check (category in ('quarantined', 'conflict')),
    code text not null,
    path text,
    message text not null,
    body bytea not null,
    received_at timestamptz not null,
    state text not null default 'open' check (state in ('open', 'applied', 'dismissed')),
    settled_at timestamptz,
    settled_by uuid,
    note text,
    primary key (org_id, id),
    foreign key (org_id, device_id) references device (org_id, id)
);
create index quarantine_open on quarantine (org_id, received_at) where state = 'open';
create unique index quarantine_command on quarantine (org_id, command_id, category) where command_id is not null;
