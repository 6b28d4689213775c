-- As for the first tables: row-level security forced, rights by what each table is for.
do $$
declare t text;
begin
    foreach t in array array[
        'work_order_part', 'article', 'form', 'visit_crew', 'sync_purge', 'held_command', 'outcome', 'field_version',
        'field_conflict', 'blob', 'upload', 'upload_piece', 'attachment'] loop
        execute format('alter table %I enable row level security', t);
        execute format('alter table %I force row level security', t);
        execute format(
            'create policy tenant on %I using (org_id = callout_org()) with check (org_id = callout_org())', t);
        execute format('grant select, insert, update, delete on %I to callout_app', t);
    end loop;
end $$;
