-- What every table of an organisation gets: forced row-level security, and the app's rights.
create function callout_fence(variadic tables text[]) returns void language plpgsql as $$
declare t text;
begin
    foreach t in array tables loop
        execute format('alter table %I enable row level security', t);
        execute format('alter table %I force row level security', t);
        execute format(
            'create policy tenant on %I using (org_id = callout_org()) with check (org_id = callout_org())', t);
        execute format('grant select, insert, update, delete on %I to callout_app', t);
    end loop;
end $$;

-- Rows that nobody may change or take away once they are written.
create function callout_keep(variadic tables text[]) returns void language plpgsql as $$
declare t text;
begin
    foreach t in array tables loop
        execute format('revoke update, delete, truncate on %I from callout_app', t);
    end loop;
end $$;

-- What a service desk knows of an order beside what a dispatcher needs.
alter table work_order
    -- The version of its kind that it was taken in under, and finishes under. 0: the template that is built in.
    add column kind_version int not null default 0 check (kind_version >= 0),
    add column fields jsonb not null default '{}',
    -- As it was reported, whether or not an asset or a contact of ours is behind it.
    add column serial text,
    add column product text,
    add column error_code text,
    add column reporter_name text,
    add column reporter_phone text,
    add column reporter_email text,
    add column locale text not null default 'en' check (locale in ('en', 'zh')),
    add column tags text[] not null default '{}',
    add column duplicate_of_id uuid,
    add column team_id uuid,
    add column handler_id uuid,
    add column created_by uuid,
    -- Why its clock stands still, where it does: waiting for the customer, for parts …
    add column hold_reason text,
    add column archived_at timestamptz,
    add foreign key (org_id, duplicate_of_id) references work_order (org_id, id),
    add foreign key (org_id, handler_id) references app_user (org_id, id),
    add foreign key (org_id, created_by) references app_user (org_id, id),
    add check (duplicate_of_id <> id);
create index work_order_duplicates on work_order (org_id, duplicate_of_id) where duplicate_of_id is not null;
create index work_order_handler on work_order (org_id, handler_id)
    where handler_id is not null and state not in ('closed', 'canceled');
create index work_order_customer on work_order (org_id, customer_id, created_at);
create index work_order_error on work_order (org_id, error_code, created_at) where error_code is not null;

-- Something that a person has to do, with a state of its own.
create table todo (
    org_id uuid not null default callout_org() references organisation,
    id uuid not null,
    user_id uuid not null,
    order_id uuid,
    kind text not null,
    -- One open to-do for one matter: what asks twice is heard once.
    matter text not null,
    data jsonb not null default '{}',
    state text not null default 'open' check (state in ('open', 'acknowledged', 'done', 'canceled')),
    urgent boolean not null default false,
    due_at timestamptz,
    created_at timestamptz not null,
    acknowledged_at timestamptz,
    ended_at timestamptz,
    ended_by uuid,
    primary key (org_id, id),
    unique (org_id, user_id, matter),
    foreign key (org_id, user_id) references app_user (org_id, id),
    foreign key (org_id, order_id) references work_order (org_id, id)
);
create index todo_open on todo (org_id, user_id, id) where state in ('open', 'acknowledged');
create index todo_matter on todo (org_id, matter);
create index todo_order on todo (org_id, order_id) where order_id is not null;
select callout_fence('todo');
