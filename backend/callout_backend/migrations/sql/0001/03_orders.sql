create table customer (
    org_id uuid not null default callout_org() references organisation,
    id uuid not null,
    number text not null,
    name text not null,
    tier text not null default 'standard' check (tier in ('standard', 'silver', 'gold')),
    created_at timestamptz not null,
    primary key (org_id, id),
    unique (org_id, number)
);

create table contact (
    org_id uuid not null default callout_org(),
    id uuid not null,
    customer_id uuid not null,
    user_id uuid,
    name text not null,
    phone text,
    email text,
    locale text not null default 'en',
    primary key (org_id, id),
    foreign key (org_id, customer_id) references customer (org_id, id),
    foreign key (org_id, user_id) references app_user (org_id, id)
);
create index contact_customer on contact (org_id, customer_id);

create table site (
    org_id uuid not null default callout_org(),
    id uuid not null,
    customer_id uuid not null,
    name text not null,
    address text not null,
    lat double precision check (lat between -90 and 90),
    lng double precision check (lng between -180 and 180),
    geofence_radius_m int not null default 150 check (geofence_radius_m between 100 and 5000),
    revision int not null default 1,
    primary key (org_id, id),
    foreign key (org_id, customer_id) references customer (org_id, id),
    check ((lat is null) = (lng is null))
);
create index site_customer on site (org_id, customer_id);

create table asset (
    org_id uuid not null default callout_org(),
    id uuid not null,
    site_id uuid not null,
    serial text not null,
    model text not null,
    name text not null,
    primary key (org_id, id),
    unique (org_id, serial),
    foreign key (org_id, site_id) references site (org_id, id)
);
create index asset_site on asset (org_id, site_id);

create table part (
    org_id uuid not null default callout_org() references organisation,
    id uuid not null,
    code text not null,
    name text not null,
    unit text not null default 'piece',
    primary key (org_id, id),
    unique (org_id, code)
);

create table order_counter (
    org_id uuid primary key default callout_org() references organisation,
    next_number bigint not null default 1
);

create table work_order (
    org_id uuid not null default callout_org(),
    id uuid not null,
    number text not null,
    customer_id uuid not null,
    site_id uuid not null,
    contact_id uuid,
    asset_id uuid,
    priority text not null check (priority in ('P0', 'P1', 'P2')),
    kind text not null,
    description text not null,
    channel text not null,
    state text not null,
    skills jsonb not null default '{}',
    duration_minutes int not null check (duration_minutes between 5 and 1440),
    created_at timestamptz not null,
    reported_at timestamptz,
    sla_policy text not null,
    respond_due_at timestamptz not null,
    arrive_due_at timestamptz not null,
    resolve_due_at timestamptz not null,
    responded_at timestamptz,
    arrived_at timestamptz,
    resolved_at timestamptz,
    canceled_at timestamptz,
    closed_at timestamptz,
    revision int not null default 1,
    primary key (org_id, id),
    unique (org_id, number),
    foreign key (org_id, customer_id) references customer (org_id, id),
    foreign key (org_id, site_id) references site (org_id, id),
    foreign key (org_id, contact_id) references contact (org_id, id),
    foreign key (org_id, asset_id) references asset (org_id, id)
);
create index work_order_state on work_order (org_id, state, priority, created_at, id);
create index work_order_page on work_order (org_id, id);
create index work_order_site on work_order (org_id, site_id);
create index work_order_contact on work_order (org_id, contact_id) where contact_id is not null;
create index work_order_asset on work_order (org_id, asset_id) where asset_id is not null;

create table external_reference (
    org_id uuid not null default callout_org(),
    id uuid not null,
    order_id uuid not null,
    system text not null,
    reference text not null,
    primary key (org_id, id),
    unique (org_id, system, reference),
    foreign key (org_id, order_id) references work_order (org_id, id)
);
create index external_reference_order on external_reference (org_id, order_id);

-- holder_id is an engineer (the van) or a depot. A phone's truth may make a level negative: that is shown, not refused.
create table stock_level (
    org_id uuid not null default callout_org(),
    id uuid not null,
    holder_id uuid not null,
    part_id uuid not null,
    quantity int not null default 0,
    primary key (org_id, id),
    unique (org_id, holder_id, part_id),
    foreign key (org_id, part_id) references part (org_id, id)
);

create table stock_move (
    org_id uuid not null default callout_org(),
    id uuid not null,
    holder_id uuid not null,
    part_id uuid not null,
    quantity int not null check (quantity <> 0),
    reason text not null,
    event_id uuid,
    order_id uuid,
    at timestamptz not null,
    actor_id uuid,
    primary key (org_id, id),
    unique (org_id, event_id),
    foreign key (org_id, part_id) references part (org_id, id)
);
create index stock_move_holder on stock_move (org_id, holder_id, part_id);
create index stock_move_order on stock_move (org_id, order_id) where order_id is not null;

create table sign_off_link (
    org_id uuid not null default callout_org(),
    id uuid not null,
    order_id uuid not null,
    visit_id uuid not null,
    token_hash bytea not null,
    locale text not null default 'en',
    summary text not null,
    summary_sha256 bytea not null,
    created_at timestamptz not null,
    expires_at timestamptz not null,
    used_at timestamptz,
    created_by uuid,
    primary key (org_id, id),
    unique (org_id, token_hash),
    foreign key (org_id, order_id) references work_order (org_id, id)
);
create index sign_off_link_visit on sign_off_link (org_id, visit_id);

create table signature (
    org_id uuid not null default callout_org(),
    id uuid not null,
    order_id uuid not null,
    visit_id uuid not null,
    link_id uuid,
    event_id uuid not null,
    decision text not null check (decision in ('accept', 'object')),
    reason text,
    signer_name text not null,
    rating int check (rating between 1 and 5),
    strokes jsonb not null,
    png bytea not null,
    signed_summary text not null,
    signed_sha256 bytea not null,
    signed_at timestamptz not null,
    received_at timestamptz not null,
    primary key (org_id, id),
    unique (org_id, event_id),
    unique (org_id, link_id),
    foreign key (org_id, order_id) references work_order (org_id, id),
    foreign key (org_id, link_id) references sign_off_link (org_id, id)
);
create index signature_visit on signature (org_id, visit_id);
