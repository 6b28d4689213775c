-- What an organisation decides about its phones.
alter table organisation
    add column phone_history_events int not null default 20 check (phone_history_events between 0 and 200),
    add column phone_budget_mb int not null default 50 check (phone_budget_mb between 1 and 4096),
    add column phone_parts text not null default 'all' check (phone_parts in ('all', 'needed')),
    add column hold_minutes int not null default 60 check (hold_minutes between 1 and 43200),
    add column tombstone_days int not null default 120 check (tombstone_days between 1 and 3650),
    add column app_version_min text;

-- Its device was stolen: the session stays open so that the phone learns to forget everything, and is good for nothing else.
alter table session add column device_wiped boolean not null default false;
