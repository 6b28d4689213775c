-- Row-level security on every table that has an organisation, forced on the owner too; rights by what each table is for.

do $$
declare t text;
begin
    for t in
        select c.relname from pg_class c
        join pg_attribute a on a.attrelid = c.oid and a.attname = 'org_id' and not a.attisdropped
        where c.relnamespace = current_schema()::regnamespace and c.relkind = 'r'
    loop
        execute format('alter table %I enable row level security', t);
        execute format('alter table %I force row level security', t);
        execute format(
            'create policy tenant on %I using (org_id = callout_org()) with check (org_id = callout_org())', t);
        execute format('grant select, insert, update, delete on %I to callout_app', t);
    end loop;

    foreach t in array array['journal', 'outbox_attempt', 'visit_event', 'stock_move', 'signature', 'dispatch_decision'] loop
        execute format('revoke update, delete, truncate on %I from callout_app', t);
    end loop;

    foreach t in array array['outbox', 'outbox_attempt', 'timer'] loop
        execute format('create policy worker on %I to callout_worker using (true) with check (true)', t);
        execute format('grant select, insert, update on %I to callout_worker', t);
    end loop;
end $$;

alter table organisation enable row level security;
alter table organisation force row level security;
-- A sign-in knows only the slug: it opens that one row.
create policy tenant on organisation
    using (id = callout_org() or slug = nullif(current_setting('callout.org_slug', true), ''))
    with check (id = callout_org());
grant select, insert, update on organisation to callout_app;

grant select, insert, update, delete on throttle, worker_heartbeat to callout_app;
grant select, insert, update, delete on worker_heartbeat to callout_worker;
grant select, update on clock_guard to callout_worker;
grant select on clock_guard, sync_epoch to callout_app;

do $$ begin
    execute format('grant usage on schema %I to callout_app, callout_worker', current_schema());
end $$;
grant select on migration to callout_app;
