-- As for the first tables: row-level security forced, rights by what each table is for.
do $$
declare t text;
begin
    foreach t in array array[
        'scheduling_policy', 'dispatch_setting', 'engineer_territory', 'shift_break', 'engineer_preference', 'depot',
        'plan_run', 'plan_change', 'red_lane', 'red_offer', 'visit_eta', 'track_link', 'travel_speed',
        'travel_observation', 'position_fix', 'geocode_cache', 'leg_cache'] loop
        execute format('alter table %I enable row level security', t);
        execute format('alter table %I force row level security', t);
        execute format(
            'create policy tenant on %I using (org_id = callout_org()) with check (org_id = callout_org())', t);
        execute format('grant select, insert, update, delete on %I to callout_app', t);
    end loop;
    revoke update, delete on scheduling_policy from callout_app;
end $$;
