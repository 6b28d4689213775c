-- Bytes on their way into the store: whoever brings some says so first, and takes it back with the row that names them. Who
-- clears away what nothing names sees it, and leaves these bytes alone.
create table storage_claim (
    org_id uuid not null default callout_org() references organisation,
    id uuid not null,
    sha256 bytea not null check (octet_length(sha256) = 32),
    claimed_at timestamptz not null,
    primary key (org_id, id, sha256)
);
create index storage_claim_sha256 on storage_claim (org_id, sha256);
create index storage_claim_age on storage_claim (org_id, claimed_at);
select callout_fence('storage_claim');

-- Whether the bytes of a hash are named by any row is asked before they go.
create index intake_file_sha256 on intake_file (org_id, sha256) where sha256 is not null;
create index upload_sha256 on upload (org_id, sha256) where sha256 is not null;
create index intake_message_raw on intake_message (org_id, raw_key) where raw_key is not null;

-- What is emptied by age is looked for among what is not empty yet, and not among all that ever was.
create index intake_message_full on intake_message (org_id, at) where content <> '{}';
drop index intake_message_age;
create index intake_draft_full on intake_draft (org_id, ended_at) where facts <> '{}' and ended_at is not null;

-- A form that is sent again is found by its key.
create index intake_draft_reference on intake_draft (org_id, channel_id, reference);
