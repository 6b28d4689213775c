create table territory (
    org_id uuid not null default callout_org() references organisation,
    id uuid not null,
    code text not null,
    name text not null,
    primary key (org_id, id),
    unique (org_id, code)
);

create table skill (
    org_id uuid not null default callout_org() references organisation,
    code text not null check (code ~ '^[a-z][a-z0-9_]{0,39}$'),
    name_en text not null,
    name_zh text not null,
    primary key (org_id, code)
);

create table engineer (
    org_id uuid not null default callout_org(),
    id uuid not null,
    user_id uuid not null,
    name text not null,
    territory_id uuid,
    home_lat double precision not null check (home_lat between -90 and 90),
    home_lng double precision not null check (home_lng between -180 and 180),
    last_lat double precision,
    last_lng double precision,
    last_accuracy_m double precision,
    last_position_at timestamptz,
    last_seen_at timestamptz,
    active boolean not null default true,
    primary key (org_id, id),
    unique (org_id, user_id),
    foreign key (org_id, user_id) references app_user (org_id, id),
    foreign key (org_id, territory_id) references territory (org_id, id)
);

create table engineer_skill (
    org_id uuid not null default callout_org(),
    engineer_id uuid not null,
    skill text not null,
    level int not null check (level between 1 and 5),
    primary key (org_id, engineer_id, skill),
    foreign key (org_id, engineer_id) references engineer (org_id, id),
    foreign key (org_id, skill) references skill (org_id, code)
);

create table shift (
    org_id uuid not null default callout_org(),
    id uuid not null,
    engineer_id uuid not null,
    starts_at timestamptz not null,
    ends_at timestamptz not null check (ends_at > starts_at),
    primary key (org_id, id),
    foreign key (org_id, engineer_id) references engineer (org_id, id)
);
create index shift_engineer on shift (org_id, engineer_id, starts_at);
create index shift_time on shift (org_id, starts_at);

create table absence (
    org_id uuid not null default callout_org(),
    id uuid not null,
    engineer_id uuid not null,
    starts_at timestamptz not null,
    ends_at timestamptz not null check (ends_at > starts_at),
    reason text not null default '',
    primary key (org_id, id),
    foreign key (org_id, engineer_id) references engineer (org_id, id)
);
create index absence_engineer on absence (org_id, engineer_id, starts_at);
create index absence_time on absence (org_id, ends_at);

-- `plan` is what the dispatcher decided, the *_at columns are what events told, `state` is derived from both.
create table visit (
    org_id uuid not null default callout_org(),
    id uuid not null,
    order_id uuid not null,
    number int not null,
    plan text not null check (plan in ('scheduled', 'dispatched', 'canceled')),
    state text not null,
    engineer_id uuid,
    scheduled_start timestamptz,
    scheduled_end timestamptz,
    travel_minutes double precision,
    assigned_at timestamptz,
    accepted_at timestamptz,
    travelling_at timestamptz,
    arrived_at timestamptz,
    first_on_site_at timestamptz,
    signed_at timestamptz,
    left_at timestamptz,
    completed_at timestamptz,
    could_not_complete_at timestamptz,
    outcome text check (outcome in ('completed', 'could_not_complete')),
    outcome_at timestamptz,
    outcome_event_id uuid,
    ended_at timestamptz,
    created_at timestamptz not null,
    revision int not null default 1,
    primary key (org_id, id),
    unique (org_id, order_id, number),
    foreign key (org_id, order_id) references work_order (org_id, id),
    foreign key (org_id, engineer_id) references engineer (org_id, id),
    check ((scheduled_start is null) = (scheduled_end is null))
);
create index visit_engineer on visit (org_id, engineer_id, scheduled_start);
create index visit_board on visit (org_id, scheduled_start);
create index visit_ended on visit (org_id, ended_at) where ended_at is not null;

-- Who held a visit when: tells work done before a reassignment from work on a stranger's visit.
create table visit_assignment (
    org_id uuid not null default callout_org(),
    id uuid not null,
    visit_id uuid not null,
    engineer_id uuid not null,
    from_at timestamptz not null,
    until_at timestamptz,
    by_user uuid,
    reason text not null default '',
    primary key (org_id, id),
    foreign key (org_id, visit_id) references visit (org_id, id),
    foreign key (org_id, engineer_id) references engineer (org_id, id)
);
create index visit_assignment_visit on visit_assignment (org_id, visit_id, engineer_id);

-- On-site events: append-only, accepted in any order and however late.
create table visit_event (
    org_id uuid not null default callout_org(),
    id uuid not null,
    visit_id uuid not null,
    order_id uuid not null,
    asset_id uuid,
    engineer_id uuid,
    actor_id uuid,
    device_id uuid,
    kind text not null,
    device_time timestamptz not null,
    monotonic_ms bigint,
    boot_id text,
    received_at timestamptz not null,
    corrected_at timestamptz not null,
    clock_offset_ms bigint not null,
    lat double precision,
    lng double precision,
    accuracy_m double precision,
    provider text,
    mock boolean not null default false,
    duration_s double precision,
    device_sequence bigint,
    schema_version int not null,
    source text not null,
    geofence text not null,
    geofence_distance_m double precision,
    flags text[] not null default '{}',
    data jsonb not null default '{}',
    primary key (org_id, id),
    foreign key (org_id, visit_id) references visit (org_id, id)
);
create index visit_event_visit on visit_event (org_id, visit_id, corrected_at, id);

create table dispatch_decision (
    org_id uuid not null default callout_org(),
    id uuid not null,
    order_id uuid not null,
    visit_id uuid,
    at timestamptz not null,
    method text not null check (method in ('pick', 'day', 'hand')),
    policy_version text not null,
    engineer_id uuid,
    actor_id uuid,
    reason text not null default '',
    result jsonb not null,
    primary key (org_id, id),
    foreign key (org_id, order_id) references work_order (org_id, id),
    foreign key (org_id, visit_id) references visit (org_id, id)
);
create index dispatch_decision_order on dispatch_decision (org_id, order_id, id);

alter table sign_off_link add foreign key (org_id, visit_id) references visit (org_id, id);
alter table signature add foreign key (org_id, visit_id) references visit (org_id, id);
