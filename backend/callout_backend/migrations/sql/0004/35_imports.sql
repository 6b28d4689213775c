-- How the columns of somebody's sheets are to be read. What runs keeps a copy: changing a template changes no import.
create table import_template (
    org_id uuid not null default callout_org() references organisation,
    id uuid not null,
    name text not null,
    config jsonb not null,
    revision int not null default 1,
    created_at timestamptz not null,
    updated_at timestamptz not null,
    updated_by uuid,
    primary key (org_id, id),
    unique (org_id, name),
    foreign key (org_id, updated_by) references app_user (org_id, id)
);

-- A sheet that is being taken in, or only looked at (`dry_run`). `runner` is the lease of the worker that has it in hand.
create table import_run (
    org_id uuid not null default callout_org() references organisation,
    id uuid not null,
    template_id uuid,
    config jsonb not null,
    file_name text not null,
    file_sha256 bytea not null,
    file_bytes bigint not null,
    format text not null check (format in ('csv', 'xlsx')),
    encoding text not null,
    headers jsonb not null,
    time_zone text not null,
    locale text not null check (locale in ('en', 'zh')),
    dry_run boolean not null,
    -- How often it was started: a dry run, then the real one.
    round int not null default 1,
    state text not null default 'queued' check (state in ('queued', 'running', 'done', 'canceled', 'failed')),
    rows_total int not null,
    rows_ok int not null default 0,
    rows_existing int not null default 0,
    rows_failed int not null default 0,
    fault text,
    cancel_asked boolean not null default false,
    runner uuid,
    -- When the present worker began, and how many rows were done by then: the pace that the rest is judged by.
    begun_at timestamptz,
    begun_rows int,
    beat_at timestamptz,
    -- Workers one after the other that had it in hand and settled no batch.
    stalled int not null default 0,
    created_at timestamptz not null,
    created_by uuid,
    ended_at timestamptz,
    primary key (org_id, id),
    foreign key (org_id, template_id) references import_template (org_id, id),
    foreign key (org_id, created_by) references app_user (org_id, id)
);
create index import_run_open on import_run (org_id) where state in ('queued', 'running');

-- `cells` stand in the order of the run's headers; `n` is the row's number in the sheet, as a person counts.
create table import_row (
    org_id uuid not null default callout_org(),
    import_id uuid not null,
    n int not null,
    cells jsonb not null,
    -- What it is known by where no column holds a reference: the same content again is the same row.
    fingerprint text not null,
    state text not null default 'waiting' check (state in ('waiting', 'ok', 'existing', 'failed')),
    order_id uuid,
    faults jsonb not null default '[]',
    primary key (org_id, import_id, n),
    foreign key (org_id, import_id) references import_run (org_id, id),
    foreign key (org_id, order_id) references work_order (org_id, id)
);
create index import_row_state on import_row (org_id, import_id, state, n);
create index import_row_order on import_row (org_id, order_id) where order_id is not null;

-- What a caller's Idempotency-Key led to: the same key and body again is answered the same, another body is refused.
create table idempotency_key (
    org_id uuid not null default callout_org(),
    id uuid not null,
    user_id uuid not null,
    key text not null,
    body_sha256 bytea not null,
    order_id uuid,
    created_at timestamptz not null,
    primary key (org_id, id),
    unique (org_id, user_id, key),
    foreign key (org_id, user_id) references app_user (org_id, id),
    foreign key (org_id, order_id) references work_order (org_id, id)
);
create index idempotency_key_age on idempotency_key (org_id, created_at);
select callout_fence('import_template', 'import_run', 'import_row', 'idempotency_key');
