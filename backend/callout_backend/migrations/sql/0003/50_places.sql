-- GeoJSON Polygon or MultiPolygon in WGS-84; null: a territory that is only a name.
alter table territory
    add column polygon jsonb,
    add column active boolean not null default true,
    add column revision int not null default 1;

-- How fast the organisation's own people really were: seconds and straight metres by hour of week (0 = Monday 00:00 local).
create table travel_speed (
    org_id uuid not null default callout_org() references organisation,
    hour_of_week int not null check (hour_of_week between 0 and 167),
    metres double precision not null,
    seconds double precision not null,
    samples int not null,
    updated_at timestamptz not null,
    primary key (org_id, hour_of_week)
);

-- One real way: set out there, arrived here. Kept so that speeds can be learned anew.
create table travel_observation (
    org_id uuid not null default callout_org(),
    visit_id uuid not null,
    engineer_id uuid not null,
    departed_at timestamptz not null,
    arrived_at timestamptz not null check (arrived_at > departed_at),
    straight_metres double precision not null,
    primary key (org_id, visit_id),
    foreign key (org_id, visit_id) references visit (org_id, id)
);
create index travel_observation_time on travel_observation (org_id, arrived_at);

-- Where engineers were, only while on shift and only so long as the organisation keeps it.
create table position_fix (
    org_id uuid not null default callout_org(),
    engineer_id uuid not null,
    at timestamptz not null,
    lat double precision not null check (lat between -90 and 90),
    lng double precision not null check (lng between -180 and 180),
    accuracy_m double precision,
    speed_m_per_s double precision,
    mock boolean not null default false,
    device_id uuid,
    received_at timestamptz not null,
    primary key (org_id, engineer_id, at),
    foreign key (org_id, engineer_id) references engineer (org_id, id)
);
create index position_fix_time on position_fix (org_id, at);

-- What a geocoder answered; asked again only when it is old.
create table geocode_cache (
    org_id uuid not null default callout_org() references organisation,
    provider text not null,
    query_hash bytea not null,
    query text not null,
    answers jsonb not null,
    fetched_at timestamptz not null,
    expires_at timestamptz not null,
    primary key (org_id, provider, query_hash)
);

-- What a routing service answered for a pair of places, by rounded coordinates.
create table leg_cache (
    org_id uuid not null default callout_org() references organisation,
    provider text not null,
    from_lat int not null,
    from_lng int not null,
    to_lat int not null,
    to_lng int not null,
    seconds double precision not null,
    metres double precision not null,
    fetched_at timestamptz not null,
    primary key (org_id, provider, from_lat, from_lng, to_lat, to_lng)
);

-- When a geocoder may be asked next: the limits of such services hold for the installation, whichever process asks.
create table geocode_turn (
    provider text primary key,
    next_at timestamptz not null
);
grant select, insert, update on geocode_turn to callout_app;
