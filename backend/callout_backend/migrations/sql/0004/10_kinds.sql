-- Kinds of order as an organisation wrote them. A version is never edited: a running order finishes on its own.
create table order_kind (
    org_id uuid not null default callout_org() references organisation,
    code text not null check (code ~ '^[a-z][a-z0-9_]{0,39}$'),
    version int not null check (version >= 1),
    body jsonb not null,
    -- As it was written, comments and all.
    source text not null,
    note text not null default '',
    created_at timestamptz not null,
    created_by uuid,
    primary key (org_id, code, version)
);

-- By which version an organisation takes in orders of a kind now; null is the built-in one. No row: the built-in one.
create table order_kind_choice (
    org_id uuid not null default callout_org() references organisation,
    code text not null,
    version int,
    retired boolean not null default false,
    primary key (org_id, code),
    foreign key (org_id, code, version) references order_kind (org_id, code, version)
);
select callout_fence('order_kind', 'order_kind_choice');
select callout_keep('order_kind');
