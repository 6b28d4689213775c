-- `hold` is the lock by hand; locks by state need no column. `leg_*` say how the way there was reckoned.
alter table visit
    add column hold text check (hold in ('engineer', 'time')),
    add column held_by uuid,
    add column leg_provider text,
    add column leg_metres double precision,
    add column pickup_depot_id uuid,
    add foreign key (org_id, pickup_depot_id) references depot (org_id, id);

-- A proposal to change the days of a territory, and what became of it; or the same day by two policies, which proposes
-- nothing. `runner` is the lease of the worker that holds it.
create table plan_run (
    org_id uuid not null default callout_org() references organisation,
    id uuid not null,
    kind text not null default 'plan' check (kind in ('plan', 'what_if')),
    state text not null check (state in
        ('queued', 'running', 'proposed', 'accepted', 'partly_accepted', 'rejected', 'stale', 'canceled', 'failed', 'done')),
    starts_at timestamptz not null,
    ends_at timestamptz not null check (ends_at > starts_at),
    territory_id uuid,
    policy_version int not null,
    other_policy_version int,
    planner text not null,
    seconds_max double precision not null check (seconds_max > 0),
    seed bigint not null,
    progress double precision not null default 0 check (progress between 0 and 1),
    stage text not null default '',
    cancel_asked boolean not null default false,
    runner uuid,
    attempts int not null default 0,
    figures jsonb not null default '{}',
    problem bytea,
    fault text,
    asked_at timestamptz not null,
    asked_by uuid,
    started_at timestamptz,
    alive_at timestamptz,
    finished_at timestamptz,
    expires_at timestamptz,
    settled_at timestamptz,
    settled_by uuid,
    revision int not null default 1,
    primary key (org_id, id),
    foreign key (org_id, territory_id) references territory (org_id, id),
    check ((other_policy_version is not null) = (kind = 'what_if'))
);
create index plan_run_page on plan_run (org_id, id);
create index plan_run_busy on plan_run (org_id) where state in ('queued', 'running');

create table plan_change (
    org_id uuid not null default callout_org(),
    run_id uuid not null,
    number int not null,
    kind text not null check (kind in ('assign', 'reassign', 'move', 'unassign', 'keep', 'unassigned')),
    order_id uuid not null,
    visit_id uuid,
    visit_revision int,
    from_engineer_id uuid,
    from_start timestamptz,
    engineer_id uuid,
    crew uuid[] not null default '{}',
    starts_at timestamptz,
    ends_at timestamptz,
    travel_minutes double precision,
    leg_provider text,
    leg_metres double precision,
    pickup_depot_id uuid,
    reasons jsonb not null default '[]',
    state text not null default 'proposed' check (state in ('proposed', 'accepted', 'rejected', 'stale')),
    primary key (org_id, run_id, number),
    foreign key (org_id, run_id) references plan_run (org_id, id)
);
create index plan_change_visit on plan_change (org_id, visit_id) where visit_id is not null;

-- The red lane: one urgent order's offers, one engineer after the other.
create table red_lane (
    org_id uuid not null default callout_org() references organisation,
    id uuid not null,
    order_id uuid not null,
    state text not null check (state in ('offering', 'accepted', 'exhausted', 'canceled')),
    visit_id uuid,
    policy_version int not null,
    round int not null default 0,
    started_at timestamptz not null,
    ended_at timestamptz,
    primary key (org_id, id),
    foreign key (org_id, order_id) references work_order (org_id, id),
    foreign key (org_id, visit_id) references visit (org_id, id)
);
create unique index red_lane_one on red_lane (org_id, order_id) where state = 'offering';
create index red_lane_visit on red_lane (org_id, visit_id);

create table red_offer (
    org_id uuid not null default callout_org(),
    id uuid not null,
    lane_id uuid not null,
    round int not null,
    engineer_id uuid not null,
    visit_id uuid not null,
    offered_at timestamptz not null,
    expires_at timestamptz not null,
    answer text check (answer in ('accepted', 'declined', 'timeout', 'withdrawn')),
    answered_at timestamptz,
    answered_by uuid,
    reason text not null default '',
    displaced jsonb not null default '[]',
    primary key (org_id, id),
    unique (org_id, lane_id, round),
    foreign key (org_id, lane_id) references red_lane (org_id, id),
    foreign key (org_id, engineer_id) references engineer (org_id, id),
    foreign key (org_id, visit_id) references visit (org_id, id)
);
create index red_offer_open on red_offer (org_id, visit_id) where answer is null;

-- When an engineer is expected, apart from the visit's row so that the next look at the clock is no change of the plan.
create table visit_eta (
    org_id uuid not null default callout_org(),
    visit_id uuid not null,
    eta timestamptz not null,
    computed_at timestamptz not null,
    because text not null,
    provider text not null,
    told_eta timestamptz,
    told_at timestamptz,
    missed_at timestamptz,
    primary key (org_id, visit_id),
    foreign key (org_id, visit_id) references visit (org_id, id)
);

-- The customer's link to see where the engineer is.
create table track_link (
    org_id uuid not null default callout_org(),
    id uuid not null,
    order_id uuid not null,
    token_hash bytea not null,
    locale text not null default 'en' check (locale in ('en', 'zh')),
    created_at timestamptz not null,
    created_by uuid,
    expires_at timestamptz not null,
    primary key (org_id, id),
    unique (org_id, token_hash),
    foreign key (org_id, order_id) references work_order (org_id, id)
);
create index track_link_order on track_link (org_id, order_id);
