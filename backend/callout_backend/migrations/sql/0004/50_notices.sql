-- What an organisation decided about notices; no row: the house's own.
create table notice_setting (
    org_id uuid primary key default callout_org() references organisation,
    -- Media in the order in which they are tried.
    staff_media text[] not null,
    customer_media text[] not null,
    -- "22:00-07:00" in the person's time zone; empty: none.
    quiet text not null default '',
    -- An urgent notice that is neither delivered nor acknowledged goes by the next medium after so long.
    fallback_minutes int not null check (fallback_minutes between 1 and 1440),
    acknowledge_seconds int not null check (acknowledge_seconds between 10 and 3600),
    mail_pixel boolean not null default false,
    order_url text,
    -- So long are notices kept in full; afterwards only how many there were.
    keep_days int not null default 180 check (keep_days between 7 and 3650),
    changed_at timestamptz not null
);

-- What is left of notices that were forgotten: so many of a UTC day, by medium and by what became of them.
create table notice_count (
    org_id uuid not null default callout_org() references organisation,
    day date not null,
    medium text not null,
    state text not null,
    notices int not null check (notices > 0),
    primary key (org_id, day, medium, state)
);

create table notice_preference (
    org_id uuid not null default callout_org(),
    user_id uuid not null,
    -- Null: as the organisation has it.
    media text[],
    quiet text,
    time_zone text,
    locale text check (locale in ('en', 'zh')),
    muted text[] not null default '{}',
    changed_at timestamptz not null,
    primary key (org_id, user_id),
    foreign key (org_id, user_id) references app_user (org_id, id)
);

-- Where a person is reached beside their own e-mail and phone: a chat account's user, a phone's push token …
create table notice_address (
    org_id uuid not null default callout_org(),
    id uuid not null,
    user_id uuid not null,
    medium text not null,
    address text not null,
    created_at timestamptz not null,
    broken_at timestamptz,
    primary key (org_id, id),
    unique (org_id, user_id, medium, address),
    foreign key (org_id, user_id) references app_user (org_id, id)
);

-- A robot, an application, a mail server, a gateway.
create table notice_channel (
    org_id uuid not null default callout_org() references organisation,
    id uuid not null,
    medium text not null,
    provider text not null,
    name text not null,
    team_id uuid,
    config jsonb not null default '{}',
    -- Written and never shown.
    secret jsonb not null default '{}',
    per_minute int not null check (per_minute between 1 and 60000),
    urgent_reserve int not null check (urgent_reserve >= 0 and urgent_reserve < per_minute),
    active boolean not null default true,
    created_at timestamptz not null,
    changed_at timestamptz not null,
    -- When each token of the bucket was taken, the oldest first; a token comes back when its minute is over.
    spent timestamptz[] not null default '{}',
    rest_until timestamptz,
    failures int not null default 0,
    last_ok_at timestamptz,
    last_error text,
    access_token text,
    access_until timestamptz,
    primary key (org_id, id)
);
create index notice_channel_medium on notice_channel (org_id, medium) where active;

-- What goes over the wire at once: one notice, one line's notices to a group, or a digest.
create table notice_message (
    org_id uuid not null default callout_org() references organisation,
    id uuid not null,
    -- The channel's id, or `sink`.
    lane text not null,
    channel_id uuid,
    medium text not null,
    address text not null,
    mentions text[] not null default '{}',
    order_ids uuid[] not null default '{}',
    urgent boolean not null,
    digest boolean not null,
    wants_ack boolean not null default false,
    locale text not null,
    subject text not null,
    body text not null,
    state text not null check (state in ('queued', 'sending', 'delivered', 'failed')),
    -- Sent once without an answer: it may arrive twice.
    unsure boolean not null default false,
    attempts int not null default 0,
    next_at timestamptz not null,
    lease_token uuid,
    lease_until timestamptz,
    provider_ref text,
    error text,
    created_at timestamptz not null,
    sent_at timestamptz,
    ended_at timestamptz,
    primary key (org_id, id),
    foreign key (org_id, channel_id) references notice_channel (org_id, id)
);
create index notice_message_live on notice_message (org_id, lane, next_at) where state in ('queued', 'sending');
create index notice_message_failed on notice_message (org_id, ended_at) where state = 'failed';

create table notice (
    org_id uuid not null default callout_org() references organisation,
    id uuid not null,
    -- The order in which notices of one order go to one address.
    position bigint generated always as identity,
    order_id uuid,
    line_id uuid not null,
    kind text not null,
    -- `user:<id>`, `contact:<id>` or `reporter:<order>`: told once of a line by a medium.
    recipient text not null,
    user_id uuid,
    contact_id uuid,
    name text not null,
    role text not null,
    medium text not null,
    lane text not null,
    address text not null,
    mention text,
    locale text not null,
    urgent boolean not null,
    wants_ack boolean not null,
    title text not null,
    body text not null,
    state text not null check (state in
        ('held', 'queued', 'sending', 'delivered', 'failed', 'read', 'acknowledged')),
    due_at timestamptz not null,
    digest boolean not null default false,
    message_id uuid,
    -- The notice that this one stands in for, because its medium did not deliver.
    fallback_of uuid,
    created_at timestamptz not null,
    sent_at timestamptz,
    delivered_at timestamptz,
    failed_at timestamptz,
    read_at timestamptz,
    acknowledged_at timestamptz,
    acknowledged_by uuid,
    error text,
    primary key (org_id, id),
    unique (org_id, line_id, recipient, kind, medium),
    foreign key (org_id, order_id) references work_order (org_id, id),
    foreign key (org_id, user_id) references app_user (org_id, id),
    foreign key (org_id, contact_id) references contact (org_id, id),
    foreign key (org_id, message_id) references notice_message (org_id, id)
);
create index notice_order on notice (org_id, order_id, position);
create index notice_user on notice (org_id, user_id, position) where user_id is not null;
create index notice_due on notice (org_id, lane, due_at) where state in ('held', 'queued');
create index notice_age on notice (org_id, created_at);
create index notice_in_message on notice (org_id, message_id) where message_id is not null;

create table notice_template (
    org_id uuid not null default callout_org() references organisation,
    medium text not null,
    kind text not null,
    locale text not null check (locale in ('en', 'zh')),
    version int not null check (version > 0),
    title text not null,
    body text not null,
    note text not null default '',
    created_at timestamptz not null,
    created_by uuid,
    primary key (org_id, medium, kind, locale, version)
);
-- Which version is used; no row: the one that is built in.
create table notice_template_choice (
    org_id uuid not null default callout_org(),
    medium text not null,
    kind text not null,
    locale text not null,
    version int not null,
    changed_at timestamptz not null,
    changed_by uuid,
    primary key (org_id, medium, kind, locale),
    foreign key (org_id, medium, kind, locale, version)
        references notice_template (org_id, medium, kind, locale, version)
);

select callout_fence('notice_setting', 'notice_count', 'notice_preference', 'notice_address', 'notice_channel', 'notice_message',
    'notice', 'notice_template', 'notice_template_choice');
select callout_keep('notice_template');
