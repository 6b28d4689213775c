-- Other systems: each is a user of its own, whom the journal names, and holds keys that are shown once.
alter table app_user drop constraint app_user_role_check;
alter table app_user add constraint app_user_role_check
    check (role in ('admin', 'dispatcher', 'engineer', 'supervisor', 'customer_contact', 'integration'));

create table api_key (
    org_id uuid not null default callout_org() references organisation,
    id uuid not null,
    user_id uuid not null,
    -- What a person may see of the key; the rest of it is known by its hash alone.
    prefix text not null,
    secret_hash bytea not null check (octet_length(secret_hash) = 32),
    scopes text[] not null,
    rate_per_s int not null check (rate_per_s between 1 and 1000),
    burst int not null check (burst between 1 and 10000),
    -- The token bucket: so many calls were left at that time. It holds for all processes of the API together.
    tokens double precision not null,
    filled_at timestamptz not null,
    created_at timestamptz not null,
    created_by uuid,
    expires_at timestamptz,
    last_used_at timestamptz,
    revoked_at timestamptz,
    -- The key that takes over, and until when this one goes on beside it.
    replaced_by_id uuid,
    primary key (org_id, id),
    unique (org_id, secret_hash),
    foreign key (org_id, user_id) references app_user (org_id, id),
    foreign key (org_id, created_by) references app_user (org_id, id),
    foreign key (org_id, replaced_by_id) references api_key (org_id, id)
);
create index api_key_user on api_key (org_id, user_id);
select callout_fence('api_key');

-- A key's look: who it is, and whether there is a call left for it. One round trip, and the row's lock for as long as that.
create function look_api_key(p_org uuid, p_hash bytea)
returns table (
    id uuid, user_id uuid, name text, locale text, active boolean, scopes text[], expires_at timestamptz,
    revoked_at timestamptz, rate_per_s int, burst int, wait_s double precision)
language plpgsql as $$
#variable_conflict use_column
declare t timestamptz := clock_timestamp();
begin
    perform set_config('callout.org', p_org::text, true);
    return query
    with held as (
        select k.id as key_id, k.tokens as had, k.filled_at as since, k.revoked_at is null and
            (k.expires_at is null or k.expires_at > t) as good
        from api_key k where k.org_id = callout_org() and k.secret_hash = p_hash for update
    ), filled as (
        select h.*, least(k.burst, h.had + k.rate_per_s * greatest(0, extract(epoch from t - h.since))) as now_has
        from held h join api_key k on k.org_id = callout_org() and k.id = h.key_id
    ), spent as (
        update api_key k set
            tokens = f.now_has - case when f.now_has >= 1 and f.good then 1 else 0 end,
            filled_at = greatest(k.filled_at, t),
            last_used_at = case when f.good then t else k.last_used_at end
        from filled f where k.org_id = callout_org() and k.id = f.key_id
        returning k.*, f.now_has
    )
    select s.id, s.user_id, u.name, u.locale, u.active, s.scopes, s.expires_at, s.revoked_at, s.rate_per_s, s.burst,
        case when s.now_has >= 1 then 0 else (1 - s.now_has) / s.rate_per_s end
    from spent s join app_user u on u.org_id = s.org_id and u.id = s.user_id;
end $$;
