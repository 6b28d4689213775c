-- Bytes by the hash of what the phone took. `clean` is what is shown: re-encoded, without what the camera wrote into it.
create table blob (
    org_id uuid not null default callout_org() references organisation,
    sha256 bytea not null check (octet_length(sha256) = 32),
    size_bytes bigint not null,
    media_type text not null,
    state text not null default 'received' check (state in ('received', 'ready', 'rejected')),
    code text,
    width int,
    height int,
    taken_at timestamptz,
    lat double precision,
    lng double precision,
    clean_sha256 bytea,
    clean_size_bytes bigint,
    clean_media_type text,
    thumb_sha256 bytea,
    received_at timestamptz not null,
    processed_at timestamptz,
    device_id uuid,
    primary key (org_id, sha256)
);

-- A tus upload under way; its bytes lie in pieces until the last one is there.
create table upload (
    org_id uuid not null default callout_org(),
    id uuid not null,
    device_id uuid,
    user_id uuid not null,
    length_bytes bigint not null,
    offset_bytes bigint not null default 0,
    metadata text not null default '',
    sha256 bytea,
    concat text not null default 'whole' check (concat in ('whole', 'partial', 'final')),
    parts text[] not null default '{}',
    -- open: takes bytes. done: its bytes are a blob's, or a part's that waits to be joined. ended: see `code`.
    state text not null default 'open' check (state in ('open', 'done', 'ended')),
    code text,
    -- The request that may write: a newer one takes it over, and the older writes no more.
    token uuid,
    created_at timestamptz not null,
    expires_at timestamptz not null,
    finished_at timestamptz,
    primary key (org_id, id),
    foreign key (org_id, device_id) references device (org_id, id)
);
create index upload_unfinished on upload (org_id, device_id) where state <> 'ended';

create table upload_piece (
    org_id uuid not null default callout_org(),
    upload_id uuid not null,
    start_bytes bigint not null,
    size_bytes bigint not null check (size_bytes > 0),
    key text not null,
    primary key (org_id, upload_id, start_bytes),
    foreign key (org_id, upload_id) references upload (org_id, id) on delete cascade
);

-- A picture that an event names; its bytes may come before the event or after it.
create table attachment (
    org_id uuid not null default callout_org(),
    id uuid not null,
    visit_id uuid not null,
    kind text not null check (kind in ('photo', 'signature')),
    sha256 bytea not null,
    media_type text not null,
    size_bytes bigint not null,
    caption text,
    state text not null default 'awaited' check (state in ('awaited', 'received', 'ready', 'rejected')),
    code text,
    created_at timestamptz not null,
    primary key (org_id, id),
    foreign key (org_id, visit_id) references visit (org_id, id)
);
create index attachment_visit on attachment (org_id, visit_id);
create index attachment_sha256 on attachment (org_id, sha256);

-- Photos of which events told before there was a place for them: their phones may still have the bytes. The owner is bound
-- by row-level security too; the look across organisations needs it lifted for this one statement.
alter table visit_event no force row level security;
insert into attachment (org_id, id, visit_id, kind, sha256, media_type, size_bytes, caption, created_at)
select org_id, id, visit_id, 'photo', decode(data->>'sha256', 'hex'), data->>'mediaType', (data->>'sizeBytes')::bigint,
       data->>'caption', received_at
from visit_event
where kind = 'photo' and data->>'sha256' ~ '^[0-9a-f]{64}$' and data->>'mediaType' is not null
  and data->>'sizeBytes' is not null;
alter table visit_event force row level security;
