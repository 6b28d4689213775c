-- An account, form or mailbox through which requests come in.
create table intake_channel (
    org_id uuid not null default callout_org() references organisation,
    id uuid not null,
    -- Stands in the callback's address, and is the system of the references of what comes in.
    code text not null check (code ~ '^[a-z][a-z0-9_-]{0,38}$'),
    kind text not null check (kind in ('web_form', 'wecom', 'wechat', 'dingtalk', 'mail')),
    name text not null,
    enabled boolean not null,
    settings jsonb not null default '{}',
    -- Written by an admin, read by the doors and the worker, shown by nothing.
    secrets jsonb not null default '{}',
    default_kind text,
    default_priority text check (default_priority in ('P0', 'P1', 'P2')),
    locale text not null check (locale in ('en', 'zh')),
    may_create boolean,
    answers boolean not null,
    -- How long a conversation may lack something before a person sees it.
    patience_minutes int not null check (patience_minutes between 1 and 10080),
    revision int not null default 1,
    created_at timestamptz not null,
    updated_at timestamptz not null,
    updated_by uuid,
    primary key (org_id, id),
    unique (org_id, code)
);

-- What somebody wrote to us, as it came, and what we answered.
create table intake_message (
    org_id uuid not null default callout_org() references organisation,
    id uuid not null,
    channel_id uuid not null,
    direction text not null check (direction in ('in', 'out')),
    -- The sender's own id of it: the same again is answered as before, and has no second effect.
    external_id text not null,
    peer text not null,
    thread text not null default '',
    kind text not null,
    content jsonb not null,
    raw_bytes bytea,
    -- Where the whole of it lies, when it is too large for a row.
    raw_key text,
    size_bytes bigint not null,
    state text not null check (state in ('received', 'handled', 'ignored', 'owed', 'sent', 'failed')),
    reason text,
    draft_id uuid,
    order_id uuid,
    answer_id uuid,
    at timestamptz not null,
    settled_at timestamptz,
    primary key (org_id, id),
    unique (org_id, channel_id, direction, external_id),
    foreign key (org_id, channel_id) references intake_channel (org_id, id),
    foreign key (org_id, order_id) references work_order (org_id, id)
);
create index intake_message_age on intake_message (org_id, at);
create index intake_message_draft on intake_message (org_id, draft_id, id) where draft_id is not null;
create index intake_message_order on intake_message (org_id, order_id, id) where order_id is not null;

-- Signed calls that were let in: the same signature over another body is a forgery.
create table intake_nonce (
    org_id uuid not null default callout_org() references organisation,
    channel_id uuid not null,
    nonce bytea not null check (octet_length(nonce) = 32),
    body_sha256 bytea not null check (octet_length(body_sha256) = 32),
    seen_at timestamptz not null,
    primary key (org_id, channel_id, nonce),
    foreign key (org_id, channel_id) references intake_channel (org_id, id)
);
create index intake_nonce_age on intake_nonce (org_id, seen_at);

-- A request that is put together over several messages.
create table intake_draft (
    org_id uuid not null default callout_org() references organisation,
    id uuid not null,
    channel_id uuid not null,
    peer text not null,
    thread text not null default '',
    -- open: the channel asks; desk: a person has it; completed: an order; closed: given up, by whom says the journal.
    state text not null check (state in ('open', 'desk', 'completed', 'closed')),
    reason text,
    locale text not null check (locale in ('en', 'zh')),
    facts jsonb not null,
    faults jsonb not null default '[]',
    reference text not null,
    order_id uuid,
    created_at timestamptz not null,
    updated_at timestamptz not null,
    ended_at timestamptz,
    primary key (org_id, id),
    foreign key (org_id, channel_id) references intake_channel (org_id, id),
    foreign key (org_id, order_id) references work_order (org_id, id)
);
create unique index intake_draft_live on intake_draft (org_id, channel_id, peer, thread)
    where state in ('open', 'desk');
create index intake_draft_peer on intake_draft (org_id, channel_id, peer, id);
create index intake_draft_waiting on intake_draft (org_id, id) where state in ('open', 'desk');

-- A file that came with a request, before or after there was an order; its bytes lie in the store under their hash.
create table intake_file (
    org_id uuid not null default callout_org() references organisation,
    id uuid not null,
    channel_id uuid,
    draft_id uuid,
    order_id uuid,
    message_id uuid,
    -- Only who knows the word may attach the file: a form's own key, or the user who sent it.
    holder text not null,
    name text not null,
    media_type text not null,
    size_bytes bigint not null default 0,
    sha256 bytea check (octet_length(sha256) = 32),
    state text not null check (state in ('awaited', 'stored', 'refused', 'failed')),
    code text,
    -- How its bytes are asked for, where the sender named them only.
    source jsonb,
    created_at timestamptz not null,
    stored_at timestamptz,
    primary key (org_id, id),
    foreign key (org_id, order_id) references work_order (org_id, id),
    foreign key (org_id, draft_id) references intake_draft (org_id, id),
    check (state <> 'stored' or sha256 is not null)
);
create index intake_file_order on intake_file (org_id, order_id, id) where order_id is not null;
create index intake_file_draft on intake_file (org_id, draft_id, id) where draft_id is not null;
create index intake_file_holder on intake_file (org_id, holder, id);
create index intake_file_loose on intake_file (org_id, created_at) where order_id is null;

-- How far a mailbox was read.
create table intake_mailbox (
    org_id uuid not null default callout_org() references organisation,
    channel_id uuid not null,
    uid_validity bigint not null default 0,
    last_uid bigint not null default 0,
    polled_at timestamptz,
    failed_since timestamptz,
    last_error text,
    primary key (org_id, channel_id),
    foreign key (org_id, channel_id) references intake_channel (org_id, id)
);
select callout_fence('intake_channel', 'intake_message', 'intake_nonce', 'intake_draft', 'intake_file', 'intake_mailbox');
create index intake_message_peer on intake_message (org_id, channel_id, peer, id);

-- A link for somebody who never said where the order is shows no place: a telephone number alone must tell nobody where
-- its owner lives.
alter table track_link add column shows_place boolean not null default true;
