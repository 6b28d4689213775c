alter table visit add column engineer_note text not null default '';
alter table article add foreign key (org_id, territory_id) references territory (org_id, id);

-- Who else works on a visit: sees it and reports on it like its engineer.
create table visit_crew (
    org_id uuid not null default callout_org(),
    visit_id uuid not null,
    engineer_id uuid not null,
    added_at timestamptz not null,
    added_by uuid,
    primary key (org_id, visit_id, engineer_id),
    foreign key (org_id, visit_id) references visit (org_id, id),
    foreign key (org_id, engineer_id) references engineer (org_id, id)
);
create index visit_crew_engineer on visit_crew (org_id, engineer_id);
-- What lies on an engineer's phone, also after years.
create index visit_phone on visit (org_id, engineer_id, ended_at);
-- The last events of an asset, for its history.
create index visit_event_asset on visit_event (org_id, asset_id, corrected_at desc, id desc) where asset_id is not null;

-- Whoever writes an event has locked its visit, and the push its device, in the same transaction; neither is ever deleted.
alter table visit_event
    drop constraint visit_event_org_id_visit_id_fkey,
    drop constraint visit_event_org_id_device_id_fkey;
