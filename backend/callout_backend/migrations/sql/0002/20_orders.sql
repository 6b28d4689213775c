-- Fields that a phone may write get a revision of their row to be merged against.
alter table site add column access_note text not null default '';
alter table contact add column revision int not null default 1;
alter table asset
    add column note text not null default '',
    add column revision int not null default 1;

-- Parts that the work will need, so that the phone knows them offline.
create table work_order_part (
    org_id uuid not null default callout_org(),
    order_id uuid not null,
    part_id uuid not null,
    quantity int not null check (quantity between 1 and 10000),
    primary key (org_id, order_id, part_id),
    foreign key (org_id, order_id) references work_order (org_id, id),
    foreign key (org_id, part_id) references part (org_id, id)
);
create index work_order_part_part on work_order_part (org_id, part_id);

-- What is known about a model, a fault or a kind of order. Null: whatever it is.
create table article (
    org_id uuid not null default callout_org() references organisation,
    id uuid not null,
    title text not null,
    body text not null,
    locale text not null default 'en' check (locale in ('en', 'zh')),
    kind text,
    model text,
    fault_code text,
    territory_id uuid,
    active boolean not null default true,
    revision int not null default 1,
    updated_at timestamptz not null,
    updated_by uuid,
    primary key (org_id, id)
);
create index article_model on article (org_id, model) where active;
create index article_kind on article (org_id, kind) where active;

-- What is to be filled in on site, by kind of order; a version never changes, so that what was filled in stays readable.
create table form (
    org_id uuid not null default callout_org() references organisation,
    id uuid not null,
    code text not null check (code ~ '^[a-z][a-z0-9_]{0,39}$'),
    version int not null check (version >= 1),
    kind text,
    title_en text not null,
    title_zh text not null,
    -- Not jsonb, which forgets the order of the properties: a phone shows them in that order.
    json_schema json not null,
    active boolean not null default true,
    created_at timestamptz not null,
    created_by uuid,
    primary key (org_id, id),
    unique (org_id, code, version)
);
create index form_kind on form (org_id, kind) where active;
