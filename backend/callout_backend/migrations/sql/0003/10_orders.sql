-- When work may be done: the site's hours in local time, and what the customer asked for.
alter table site
    add column visiting_hours jsonb not null default '[]',
    add column territory_id uuid,
    add column territory_by text not null default 'polygon' check (territory_by in ('polygon', 'hand')),
    add foreign key (org_id, territory_id) references territory (org_id, id);
create index site_territory on site (org_id, territory_id) where territory_id is not null;

alter table work_order
    add column requested_from timestamptz,
    add column requested_until timestamptz,
    add column crew_size int not null default 1 check (crew_size between 1 and 10),
    add column follows_order_id uuid,
    add column follows_gap_minutes int not null default 0 check (follows_gap_minutes between 0 and 43200),
    add foreign key (org_id, follows_order_id) references work_order (org_id, id),
    add check ((requested_from is null) = (requested_until is null)),
    add check (requested_until > requested_from),
    add check (follows_order_id <> id);
create index work_order_follows on work_order (org_id, follows_order_id) where follows_order_id is not null;
