-- Engine room. `callout.org` is set per transaction; every table's org_id defaults to it and every policy compares with it.

do $$ begin
    create role callout_app nologin noinherit nobypassrls;
exception when duplicate_object or unique_violation then null; end $$;
do $$ begin
    create role callout_worker nologin noinherit nobypassrls;
exception when duplicate_object or unique_violation then null; end $$;
do $$ begin
    -- A superuser may take any role; an ordinary owner must be a member of the two it hands its connections to.
    if not (select rolsuper from pg_roles where rolname = current_user) then
        execute format('grant callout_app, callout_worker to %I', current_user);
    end if;
exception when others then
    raise notice 'could not grant callout_app, callout_worker to %: %', current_user, sqlerrm;
end $$;

create function callout_org() returns uuid language sql stable parallel safe
    return nullif(current_setting('callout.org', true), '')::uuid;

create table organisation (
    id uuid primary key,
    slug text not null unique check (slug ~ '^[a-z0-9][a-z0-9-]{1,62}$'),
    name text not null,
    locale text not null default 'en',
    time_zone text not null default 'UTC',
    webhook_url text,
    webhook_secret text,
    phone_window_days int not null default 14 check (phone_window_days between 1 and 365),
    created_at timestamptz not null default now()
);

-- What happened, in business terms; written in the transaction that did it, never changed.
create table journal (
    org_id uuid not null default callout_org() references organisation,
    id uuid not null,
    xid xid8 not null default pg_current_xact_id(),
    at timestamptz not null,
    kind text not null,
    entity text not null,
    entity_id uuid not null,
    order_id uuid,
    visit_id uuid,
    actor_id uuid,
    actor_role text not null,
    device_id uuid,
    data jsonb not null default '{}',
    primary key (org_id, id)
);
create index journal_order on journal (org_id, order_id, id) where order_id is not null;
create index journal_feed on journal (org_id, xid, id);

-- Effects that are owed to the outside. `position` orders a stream; the visit's row lock makes it commit order.
create table outbox (
    org_id uuid not null default callout_org() references organisation,
    id uuid not null,
    position bigint generated always as identity,
    dedupe_key text not null,
    channel text not null,
    stream text not null,
    payload jsonb not null,
    state text not null default 'ready' check (state in ('ready', 'leased', 'done', 'dead')),
    run_at timestamptz not null default now(),
    attempts int not null default 0,
    lease_token uuid,
    lease_until timestamptz,
    last_error text,
    created_at timestamptz not null default now(),
    finished_at timestamptz,
    primary key (org_id, id),
    unique (org_id, dedupe_key)
);
create index outbox_due on outbox (run_at) where state in ('ready', 'leased');
create index outbox_dead on outbox (finished_at) where state = 'dead';
create index outbox_stream on outbox (org_id, stream, position) where state in ('ready', 'leased');

create table outbox_attempt (
    org_id uuid not null default callout_org(),
    outbox_id uuid not null,
    n int not null,
    started_at timestamptz not null,
    finished_at timestamptz not null default now(),
    outcome text not null check (outcome in ('done', 'retry', 'dead', 'fenced')),
    provider_ref text,
    error text,
    id uuid not null,
    primary key (org_id, id),
    foreign key (org_id, outbox_id) references outbox (org_id, id) on delete cascade
);
create index outbox_attempt_of on outbox_attempt (org_id, outbox_id, n);

create table timer (
    org_id uuid not null default callout_org() references organisation,
    key text not null,
    epoch int not null default 1,
    due_at timestamptz not null,
    state text not null default 'armed' check (state in ('armed', 'fired', 'canceled')),
    channel text not null,
    payload jsonb not null default '{}',
    fired_at timestamptz,
    primary key (org_id, key)
);
create index timer_due on timer (due_at) where state = 'armed';

-- Of the installation, not of an organisation.
create table worker_heartbeat (
    worker_id uuid primary key,
    host text not null,
    pid int not null,
    started_at timestamptz not null,
    beat_at timestamptz not null default now()
);
create table clock_guard (
    -- The last instant at which timers were fired: a leap of the database's clock shows against it.
    only_row boolean primary key default true check (only_row),
    looked_at timestamptz not null default now(),
    frozen_until timestamptz
);
insert into clock_guard default values;
