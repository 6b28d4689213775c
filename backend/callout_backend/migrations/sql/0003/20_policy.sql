-- Work rules and service objectives. A version is never edited: what was decided by it can be replayed for ever.
create table scheduling_policy (
    org_id uuid not null default callout_org() references organisation,
    version int not null check (version >= 1),
    name text not null,
    body jsonb not null,
    note text not null default '',
    created_at timestamptz not null,
    created_by uuid,
    primary key (org_id, version)
);

-- One row an organisation, made when it first decides something about its dispatch.
create table dispatch_setting (
    org_id uuid not null default callout_org() references organisation,
    policy_version int,
    position_days int not null default 30 check (position_days between 1 and 400),
    position_margin_minutes int not null default 15 check (position_margin_minutes between 0 and 240),
    travel_provider text not null default 'estimate' check (travel_provider in ('estimate', 'osrm', 'valhalla')),
    primary key (org_id),
    foreign key (org_id, policy_version) references scheduling_policy (org_id, version)
);

-- Decisions can be replayed: what the pick was asked, and about whom.
alter table dispatch_decision add column input bytea;
alter table dispatch_decision drop constraint dispatch_decision_method_check;
alter table dispatch_decision add constraint dispatch_decision_method_check
    check (method in ('pick', 'day', 'hand', 'red', 'plan'));
