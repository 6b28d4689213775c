-- What is looked at before an order is taken in.

-- Capital letters and digits of a serial: people write it with blanks, hyphens and in small letters.
create function callout_serial_key(serial text) returns text language sql immutable strict parallel safe
    return upper(translate(serial, ' -./_:', ''));

create table product (
    org_id uuid not null default callout_org() references organisation,
    id uuid not null,
    code text not null check (code ~ '^[A-Za-z0-9][A-Za-z0-9_.-]{0,59}$'),
    name_en text not null,
    name_zh text not null,
    -- What people call it beside its names; the model of assets that are of this product.
    names text[] not null default '{}',
    serial_pattern text,
    serial_example text,
    active boolean not null default true,
    revision int not null default 1,
    updated_at timestamptz not null,
    updated_by uuid,
    primary key (org_id, id),
    unique (org_id, code)
);

create table keyword (
    org_id uuid not null default callout_org() references organisation,
    id uuid not null,
    -- As it is compared: half width, small letters.
    word text not null,
    -- Empty: this word says nothing, and hides what stands inside of it.
    tag text not null default '',
    priority text check (priority in ('P0', 'P1', 'P2')),
    kind text,
    updated_at timestamptz not null,
    primary key (org_id, id),
    unique (org_id, word, tag)
);

-- No row: what is built in. `words_revision` is another one after every change of keywords and products, for those who keep
-- them in memory; 0: there are none.
create table precheck_settings (
    org_id uuid primary key default callout_org() references organisation,
    body jsonb not null default '{}',
    revision int not null default 0,
    words_revision bigint not null default 0,
    updated_at timestamptz not null,
    updated_by uuid
);

-- Further people who reported the same matter: they are told of its course like the first one.
create table order_reporter (
    org_id uuid not null default callout_org(),
    id uuid not null,
    order_id uuid not null,
    -- The order under which they reported it.
    from_order_id uuid not null,
    contact_id uuid,
    name text,
    phone text,
    email text,
    locale text not null default 'en' check (locale in ('en', 'zh')),
    added_at timestamptz not null,
    primary key (org_id, id),
    unique (org_id, order_id, from_order_id),
    foreign key (org_id, order_id) references work_order (org_id, id),
    foreign key (org_id, from_order_id) references work_order (org_id, id),
    foreign key (org_id, contact_id) references contact (org_id, id)
);
create index order_reporter_from on order_reporter (org_id, from_order_id);

-- By what a customer is recognised, and by what an earlier order is found.
create index contact_phone on contact (org_id, phone) where phone is not null;
create index contact_email on contact (org_id, email) where email is not null;
-- A column of its own and no index over an expression: behind row-level security only a comparison of columns may use one.
create function callout_key_serial() returns trigger language plpgsql as $$
begin
    new.serial_key := callout_serial_key(new.serial);
    return new;
end $$;
alter table asset add column serial_key text;
alter table work_order add column serial_key text;
create trigger asset_key_serial before insert or update of serial on asset
    for each row execute function callout_key_serial();
create trigger work_order_key_serial before insert on work_order
    for each row when (new.serial is not null) execute function callout_key_serial();
create trigger work_order_key_serial_again before update of serial on work_order
    for each row execute function callout_key_serial();
alter table asset no force row level security;
update asset set serial_key = callout_serial_key(serial);
alter table asset force row level security;
create index asset_serial_key on asset (org_id, serial_key);
create index work_order_serial_key on work_order (org_id, serial_key, created_at) where serial_key is not null;
create index work_order_reporter_phone on work_order (org_id, reporter_phone, created_at)
    where reporter_phone is not null;
create index work_order_site_created on work_order (org_id, site_id, created_at);
create index work_order_asset_created on work_order (org_id, asset_id, created_at) where asset_id is not null;
-- These two serve whoever looked by the shorter ones.
drop index work_order_site, work_order_asset;
create index site_point on site (org_id, lat, lng) where lat is not null;

select callout_fence('product', 'keyword', 'precheck_settings', 'order_reporter');
