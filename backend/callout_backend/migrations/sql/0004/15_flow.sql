-- The running flow of an order (C1). One row for every time a step was reached; at most one of an order is not over.
alter table work_order
    -- What its flow waits for at present, so that a line of the journal that moves nothing costs one look at this row.
    add column flow_waits text[] not null default '{}',
    -- Work that was done before counts as not done.
    add column reopened_at timestamptz;

create table order_step (
    org_id uuid not null default callout_org(),
    id uuid not null,
    order_id uuid not null,
    -- Counts the steps of the order from 1.
    n int not null check (n >= 1),
    step text not null,
    owner text not null,
    -- How often this step was entered, this time included.
    times int not null check (times >= 1),
    -- waiting: its turn, but its condition does not hold yet; back: a person led the flow to another step instead.
    state text not null check (state in ('waiting', 'open', 'done', 'back', 'canceled')),
    reached_at timestamptz not null,
    entered_at timestamptz,
    -- Null in the first round: what happened at any time counts. In a further round, what happened since.
    lap_at timestamptz,
    lap int not null default 1 check (lap >= 1),
    said_at timestamptz,
    said_by uuid,
    comment text,
    done_at timestamptz,
    due_at timestamptz,
    late_at timestamptz,
    -- Why it cannot go on by itself: {code, path, why}.
    blocked jsonb,
    -- What a person decided in place of a rule that is broken, by the rule's place in the step.
    settled jsonb not null default '{}',
    -- The events that ended it, by name: what ended one step does not end another.
    used jsonb not null default '{}',
    primary key (org_id, id),
    unique (org_id, order_id, n),
    foreign key (org_id, order_id) references work_order (org_id, id),
    foreign key (org_id, said_by) references app_user (org_id, id)
);
create unique index order_step_one on order_step (org_id, order_id) where state in ('waiting', 'open');
create index order_step_open on order_step (org_id, step, entered_at) where state in ('waiting', 'open');

-- Somebody was asked to agree (L2) to what the values were then: another value is asked again.
create table step_approval (
    org_id uuid not null default callout_org(),
    id uuid not null,
    order_id uuid not null,
    step_id uuid not null,
    code text not null,
    owner text not null,
    about jsonb not null,
    state text not null check (state in ('asked', 'approved', 'rejected', 'superseded', 'canceled')),
    asked_at timestamptz not null,
    decided_at timestamptz,
    decided_by uuid,
    comment text,
    primary key (org_id, id),
    foreign key (org_id, order_id) references work_order (org_id, id),
    foreign key (org_id, step_id) references order_step (org_id, id),
    foreign key (org_id, decided_by) references app_user (org_id, id)
);
create unique index step_approval_asked on step_approval (org_id, order_id, code) where state = 'asked';
create index step_approval_order on step_approval (org_id, order_id, id);
create index step_approval_open on step_approval (org_id, id) where state = 'asked';

create table requisition_counter (
    org_id uuid primary key default callout_org() references organisation,
    next_number bigint not null default 1
);

-- Parts that are bought for an order.
create table requisition (
    org_id uuid not null default callout_org(),
    id uuid not null,
    number text not null,
    order_id uuid not null,
    -- The visit that found out.
    visit_id uuid,
    state text not null check (state in ('requested', 'approved', 'ordered', 'received', 'canceled')),
    note text not null default '',
    supplier text,
    supplier_ref text,
    expected_at timestamptz,
    created_at timestamptz not null,
    created_by uuid,
    approved_at timestamptz,
    approved_by uuid,
    ordered_at timestamptz,
    received_at timestamptz,
    canceled_at timestamptz,
    revision int not null default 1,
    primary key (org_id, id),
    unique (org_id, number),
    foreign key (org_id, order_id) references work_order (org_id, id),
    foreign key (org_id, visit_id) references visit (org_id, id),
    foreign key (org_id, created_by) references app_user (org_id, id),
    foreign key (org_id, approved_by) references app_user (org_id, id)
);
create index requisition_order on requisition (org_id, order_id, id);
create index requisition_state on requisition (org_id, state, id);
create unique index requisition_supplier on requisition (org_id, supplier, supplier_ref)
    where supplier_ref is not null;

create table requisition_line (
    org_id uuid not null default callout_org(),
    id uuid not null,
    requisition_id uuid not null,
    part_id uuid not null,
    quantity int not null check (quantity between 1 and 10000),
    received int not null default 0 check (received >= 0),
    primary key (org_id, id),
    unique (org_id, requisition_id, part_id),
    foreign key (org_id, requisition_id) references requisition (org_id, id),
    foreign key (org_id, part_id) references part (org_id, id)
);

-- The customer's word on how it was.
create table survey (
    org_id uuid not null default callout_org(),
    id uuid not null,
    order_id uuid not null,
    step_id uuid,
    locale text not null check (locale in ('en', 'zh')),
    asked_at timestamptz not null,
    expires_at timestamptz not null,
    reminded_at timestamptz,
    expired_at timestamptz,
    answered_at timestamptz,
    score int check (score between 1 and 5),
    comment text,
    primary key (org_id, id),
    foreign key (org_id, order_id) references work_order (org_id, id),
    foreign key (org_id, step_id) references order_step (org_id, id),
    check ((score is null) = (answered_at is null))
);
create index survey_order on survey (org_id, order_id, id);
create unique index survey_open on survey (org_id, order_id) where answered_at is null and expired_at is null;

-- Each message that asks carries a secret of its own; any of them answers, once.
create table survey_link (
    org_id uuid not null default callout_org(),
    id uuid not null,
    survey_id uuid not null,
    token_hash bytea not null,
    created_at timestamptz not null,
    primary key (org_id, id),
    unique (org_id, token_hash),
    foreign key (org_id, survey_id) references survey (org_id, id)
);
create index survey_link_survey on survey_link (org_id, survey_id);

-- A further visit that is offered to the dispatcher, with the engineer who was there.
create table visit_offer (
    org_id uuid not null default callout_org(),
    id uuid not null,
    order_id uuid not null,
    engineer_id uuid,
    because text not null check (because in ('parts_ready', 'flow', 'asked')),
    state text not null check (state in ('offered', 'accepted', 'declined', 'withdrawn')),
    created_at timestamptz not null,
    looked_at timestamptz,
    proposed_start timestamptz,
    proposed_end timestamptz,
    -- Why the engineer cannot come, by the rules of the pick.
    reasons jsonb not null default '[]',
    visit_id uuid,
    decided_at timestamptz,
    decided_by uuid,
    comment text,
    primary key (org_id, id),
    foreign key (org_id, order_id) references work_order (org_id, id),
    foreign key (org_id, engineer_id) references engineer (org_id, id),
    foreign key (org_id, visit_id) references visit (org_id, id),
    foreign key (org_id, decided_by) references app_user (org_id, id)
);
create unique index visit_offer_open on visit_offer (org_id, order_id) where state = 'offered';
create index visit_offer_order on visit_offer (org_id, order_id, id);

select callout_fence('order_step', 'step_approval', 'requisition_counter', 'requisition', 'requisition_line', 'survey',
    'survey_link', 'visit_offer');
