create table app_user (
    org_id uuid not null default callout_org() references organisation,
    id uuid not null,
    email text not null check (email = lower(email)),
    name text not null,
    role text not null check (role in ('admin', 'dispatcher', 'engineer', 'supervisor', 'customer_contact')),
    locale text not null default 'en' check (locale in ('en', 'zh')),
    phone text,
    password_hash text,
    active boolean not null default true,
    created_at timestamptz not null default now(),
    primary key (org_id, id),
    unique (org_id, email)
);

-- A sign-in. Its refresh tokens form one family: reuse of a spent one ends the session.
create table session (
    org_id uuid not null default callout_org(),
    id uuid not null,
    user_id uuid not null,
    device_id uuid,
    created_at timestamptz not null,
    expires_at timestamptz not null,
    ended_at timestamptz,
    ended_reason text,
    primary key (org_id, id),
    foreign key (org_id, user_id) references app_user (org_id, id)
);
create index session_user_open on session (org_id, user_id) where ended_at is null;

create table refresh_token (
    org_id uuid not null default callout_org(),
    id uuid not null,
    session_id uuid not null,
    token_hash bytea not null,
    issued_at timestamptz not null,
    expires_at timestamptz not null,
    used_at timestamptz,
    primary key (org_id, id),
    unique (org_id, token_hash),
    foreign key (org_id, session_id) references session (org_id, id) on delete cascade
);

-- Attempts are counted before anyone is known, hence outside organisations; keys are hashes.
create table throttle (
    key text primary key,
    window_starts_at timestamptz not null,
    attempts int not null
);
create index throttle_window on throttle (window_starts_at);
