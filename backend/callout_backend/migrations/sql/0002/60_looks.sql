-- Looks: what phones ask for all day, in one round trip each where a unit of work takes three. A look opens its organisation
-- by a statement before the one that reads, so that the policies hold, and the planner knows whose rows they let through;
-- called by a statement of its own, it ends, and with it what it opened, as that statement does.

create function look_session(p_org uuid, p_session uuid, p_user uuid)
returns table (
    device_id uuid, expires_at timestamptz, ended_at timestamptz, ended_reason text, device_wiped boolean,
    active boolean, role text, locale text, name text)
language plpgsql as $$
#variable_conflict use_column
begin
    perform set_config('callout.org', p_org::text, true);
    return query
    select s.device_id, s.expires_at, s.ended_at, s.ended_reason, s.device_wiped, u.active, u.role, u.locale, u.name
    from session s join app_user u on u.org_id = s.org_id and u.id = s.user_id
    where s.org_id = callout_org() and s.id = p_session and s.user_id = p_user;
end $$;

-- A device as `callout_sync.pull.PULLER` has it, and the page of `callout_sync.feed.READ_PAGE` after a place in its feed. One
-- row: documents joined, and where the page is full the key of its last row. p_entities null: all of them.
create function look_pull(
    p_org uuid, p_device uuid, p_user uuid, p_xid xid8, p_entity text, p_row uuid, p_base xid8, p_limit int,
    p_entities text[])
returns table (
    device_id uuid, revoked_at timestamptz, pulled_at timestamptz, pulled_xid text, app_version text, copy_bytes bigint,
    copy_measured_at timestamptz, withheld_from text, wipe_mode text, wiped_at timestamptz, app_version_min text,
    phone_budget_mb int, engineer_id uuid, epoch uuid, horizon text, purged text, count bigint, documents bytea,
    xid text, entity text, row_id text)
language plpgsql as $$
#variable_conflict use_column
begin
    perform set_config('callout.org', p_org::text, true);
    return query
    select w.device_id, w.revoked_at, w.pulled_at, w.pulled_xid::text, w.app_version, w.copy_bytes, w.copy_measured_at,
        w.withheld_from::text, w.wipe_mode, w.wiped_at, w.app_version_min, w.phone_budget_mb, w.engineer_id, w.epoch,
        h.horizon::text, h.purged::text, p.count, p.documents, p.xid, p.entity, p.row_id
    from (
        select d.*, d.id as device_id, o.app_version_min, o.phone_budget_mb, e.id as engineer_id,
            (select epoch from sync_epoch) as epoch, array_remove(array[d.org_id, e.id, d.id], null) as scopes
        from device d join organisation o on o.id = d.org_id
        left join engineer e on e.org_id = d.org_id and e.user_id = d.user_id and e.active
        where d.org_id = callout_org() and d.id = p_device and d.user_id = p_user
    ) w cross join (
        select pg_snapshot_xmin(pg_current_snapshot()) as horizon, (
            select purged_through from sync_purge where org_id = callout_org()) as purged
    ) h cross join lateral (
        select count(*) as count, convert_to(coalesce(string_agg(r.body, ','), ''), 'UTF8') as documents,
            (array_agg(r.xid))[p_limit]::text as xid, (array_agg(r.entity))[p_limit] as entity,
            (array_agg(r.row_id))[p_limit]::text as row_id
        from (
            select p.xid, p.entity, p.row_id, p.body
            from unnest(w.scopes) as s(scope_id) cross join lateral (
                (select xid, entity, row_id, body from sync_feed f
                where f.org_id = callout_org() and f.scope_id = s.scope_id and f.op = 'U'
                  and (p_entities is null or f.entity = any(p_entities))
                  and (f.xid, f.entity, f.row_id) > (p_xid, p_entity, p_row) and f.xid < h.horizon
                order by f.xid, f.entity, f.row_id limit p_limit)
                union all
                (select xid, entity, row_id, body from sync_feed f
                where f.org_id = callout_org() and f.scope_id = s.scope_id and f.op = 'D'
                  and (p_entities is null or f.entity = any(p_entities))
                  and (f.xid, f.entity, f.row_id) > (
                      greatest(p_xid, p_base),
                      case when p_xid >= p_base then p_entity else '' end,
                      case when p_xid >= p_base then p_row else '00000000-0000-0000-0000-000000000000' end)
                  and f.xid < h.horizon and not exists (
                      select 1 from sync_feed o
                      where o.org_id = f.org_id and o.entity = f.entity and o.row_id = f.row_id and o.op = 'U'
                        and o.scope_id = any(w.scopes))
                order by f.xid, f.entity, f.row_id limit p_limit)
            ) p
            order by p.xid, p.entity, p.row_id limit p_limit
        ) r
    ) p;
end $$;
