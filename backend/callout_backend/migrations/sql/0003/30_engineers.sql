alter table engineer
    add column end_lat double precision check (end_lat between -90 and 90),
    add column end_lng double precision check (end_lng between -180 and 180),
    add column travel_minutes_max int check (travel_minutes_max between 1 and 1440),
    add column work_minutes_max int check (work_minutes_max between 1 and 1440),
    add column visits_max int check (visits_max between 1 and 100),
    add check ((end_lat is null) = (end_lng is null));

-- Territories where an engineer also works, beside the own one.
create table engineer_territory (
    org_id uuid not null default callout_org(),
    engineer_id uuid not null,
    territory_id uuid not null,
    primary key (org_id, engineer_id, territory_id),
    foreign key (org_id, engineer_id) references engineer (org_id, id),
    foreign key (org_id, territory_id) references territory (org_id, id)
);

-- Where a shift starts and ends when not at the engineer's own places.
alter table shift
    add column start_lat double precision check (start_lat between -90 and 90),
    add column start_lng double precision check (start_lng between -180 and 180),
    add column end_lat double precision check (end_lat between -90 and 90),
    add column end_lng double precision check (end_lng between -180 and 180),
    add check ((start_lat is null) = (start_lng is null)),
    add check ((end_lat is null) = (end_lng is null));

-- A rest of so many minutes that lies somewhere between two moments of a shift.
create table shift_break (
    org_id uuid not null default callout_org(),
    id uuid not null,
    shift_id uuid not null,
    engineer_id uuid not null,
    earliest timestamptz not null,
    latest timestamptz not null,
    minutes int not null check (minutes between 1 and 480),
    primary key (org_id, id),
    foreign key (org_id, shift_id) references shift (org_id, id) on delete cascade,
    foreign key (org_id, engineer_id) references engineer (org_id, id),
    check (latest >= earliest + make_interval(mins => minutes))
);
create index shift_break_engineer on shift_break (org_id, engineer_id, earliest);
create index shift_break_shift on shift_break (org_id, shift_id);
-- A pick asks for the breaks of some days of everybody, and of all that there ever were finds them by time.
create index shift_break_time on shift_break (org_id, earliest);

-- Whom a customer, a site or one order wants, must have, or will not have.
create table engineer_preference (
    org_id uuid not null default callout_org(),
    id uuid not null,
    engineer_id uuid not null,
    customer_id uuid,
    site_id uuid,
    order_id uuid,
    kind text not null check (kind in ('required', 'excluded', 'preferred')),
    created_at timestamptz not null,
    created_by uuid,
    primary key (org_id, id),
    foreign key (org_id, engineer_id) references engineer (org_id, id),
    foreign key (org_id, customer_id) references customer (org_id, id),
    foreign key (org_id, site_id) references site (org_id, id),
    foreign key (org_id, order_id) references work_order (org_id, id),
    check (num_nonnulls(customer_id, site_id, order_id) = 1),
    unique nulls not distinct (org_id, engineer_id, customer_id, site_id, order_id)
);
create index engineer_preference_customer on engineer_preference (org_id, customer_id) where customer_id is not null;
create index engineer_preference_site on engineer_preference (org_id, site_id) where site_id is not null;
create index engineer_preference_order on engineer_preference (org_id, order_id) where order_id is not null;

-- Where parts are fetched; its id is a holder of stock like a van.
create table depot (
    org_id uuid not null default callout_org() references organisation,
    id uuid not null,
    code text not null,
    name text not null,
    lat double precision not null check (lat between -90 and 90),
    lng double precision not null check (lng between -180 and 180),
    pickup_minutes int not null default 10 check (pickup_minutes between 0 and 240),
    active boolean not null default true,
    primary key (org_id, id),
    unique (org_id, code)
);
