-- Policies of the SLA clock: versions that nobody edits. Version 0, the house's own, is in no table.
create table sla_policy (
    org_id uuid not null default callout_org() references organisation,
    version int not null check (version >= 1),
    name text not null,
    body jsonb not null,
    note text not null default '',
    created_at timestamptz not null,
    created_by uuid,
    primary key (org_id, version),
    foreign key (org_id, created_by) references app_user (org_id, id)
);

-- By which version new orders come in.
create table sla_setting (
    org_id uuid not null default callout_org() references organisation,
    policy_version int,
    primary key (org_id),
    foreign key (org_id, policy_version) references sla_policy (org_id, version)
);

-- What happened to an order's clock. Deadlines are computed from these rows, the order's facts and its policy.
create table sla_event (
    org_id uuid not null default callout_org(),
    order_id uuid not null,
    -- Counts an order's events from 1: those of one instant stand in this order.
    n int not null check (n >= 1),
    at timestamptz not null,
    kind text not null check (kind in ('paused', 'resumed', 'reopened', 'moved', 'restored', 'changed', 'missed')),
    milestone text check (milestone in ('first_response', 'arrival', 'resolution')),
    reason text,
    note text not null default '',
    minutes int,
    since timestamptz,
    until timestamptz,
    data jsonb not null default '{}',
    actor_id uuid,
    primary key (org_id, order_id, n),
    foreign key (org_id, order_id) references work_order (org_id, id)
);

-- What was said about a milestone, so that nothing is said twice; without a row nothing was said yet.
create table sla_milestone (
    org_id uuid not null default callout_org(),
    order_id uuid not null,
    milestone text not null check (milestone in ('first_response', 'arrival', 'resolution')),
    -- A new promise is a new epoch: its marks are spoken of anew.
    epoch int not null default 1 check (epoch >= 1),
    -- Marks of this epoch that are over, in minutes left.
    warned double precision[] not null default '{}',
    -- A breach that was recorded stays.
    missed_at timestamptz,
    missed_due_at timestamptz,
    primary key (org_id, order_id, milestone),
    foreign key (org_id, order_id) references work_order (org_id, id)
);
select callout_fence('sla_policy', 'sla_setting', 'sla_event', 'sla_milestone');
select callout_keep('sla_policy', 'sla_event');
