-- A group of people who answer for some orders. Empty `kinds` or `channels`: any.
create table team (
    org_id uuid not null default callout_org() references organisation,
    id uuid not null,
    code text not null check (code ~ '^[a-z][a-z0-9_]{0,39}$'),
    name_en text not null,
    name_zh text not null,
    time_zone text not null,
    kinds text[] not null default '{}',
    channels text[] not null default '{}',
    -- What no other team fits falls to it.
    is_default boolean not null default false,
    active boolean not null default true,
    -- An order that nobody answered is turned over when so many minutes of its first response are left …
    late_minutes int not null default 3 check (late_minutes between 1 and 240),
    -- … or when whoever should answer has been offline for so long …
    offline_minutes int not null default 5 check (offline_minutes between 1 and 240),
    -- … and goes on to the next when that one did not answer either.
    step_minutes int not null default 1 check (step_minutes between 1 and 60),
    -- How far a fallback may move a deadline, and for how long such a move may stand.
    move_minutes_max int not null default 120 check (move_minutes_max between 1 and 1440),
    move_hours_max int not null default 24 check (move_hours_max between 1 and 168),
    revision int not null default 1,
    primary key (org_id, id),
    unique (org_id, code)
);
create unique index team_default on team (org_id) where is_default and active;

-- Where a team's orders lie; none: anywhere.
create table team_territory (
    org_id uuid not null default callout_org(),
    team_id uuid not null,
    territory_id uuid not null,
    primary key (org_id, team_id, territory_id),
    foreign key (org_id, team_id) references team (org_id, id),
    foreign key (org_id, territory_id) references territory (org_id, id)
);

create table team_member (
    org_id uuid not null default callout_org(),
    team_id uuid not null,
    user_id uuid not null,
    part text not null check (part in ('lead', 'member')),
    primary key (org_id, team_id, user_id),
    foreign key (org_id, team_id) references team (org_id, id),
    foreign key (org_id, user_id) references app_user (org_id, id)
);
create index team_member_user on team_member (org_id, user_id);

-- Who steps in, by local hour: of a weekday (0 is Monday), or of one date, whose rows stand in place of its weekday's.
-- Minutes count from the local midnight at which the day begins; a night's duty ends after 1440.
create table team_duty (
    org_id uuid not null default callout_org(),
    id uuid not null,
    team_id uuid not null,
    -- Null, on a date: nobody is on duty then.
    user_id uuid,
    rank int not null check (rank between 1 and 10),
    weekday int check (weekday between 0 and 6),
    on_date date,
    starts_minute int not null check (starts_minute between 0 and 1439),
    ends_minute int not null check (ends_minute between 1 and 2880),
    primary key (org_id, id),
    foreign key (org_id, team_id) references team (org_id, id),
    foreign key (org_id, user_id) references app_user (org_id, id),
    check ((weekday is null) <> (on_date is null)),
    check (user_id is not null or on_date is not null),
    check (ends_minute > starts_minute and ends_minute - starts_minute <= 1440)
);
create index team_duty_team on team_duty (org_id, team_id, weekday, on_date);

-- The directory's entry of a person: who answers for what.
create table staff (
    org_id uuid not null default callout_org(),
    user_id uuid not null,
    department text not null,
    title text not null default '',
    phone text,
    -- Names of chat programs with the person's id there.
    chat_ids jsonb not null default '{}',
    kinds text[] not null default '{}',
    revision int not null default 1,
    primary key (org_id, user_id),
    foreign key (org_id, user_id) references app_user (org_id, id)
);
create index staff_department on staff (org_id, department);

-- An office that flows and notices speak of; without territory and team it is held everywhere.
create table staff_post (
    org_id uuid not null default callout_org(),
    id uuid not null,
    user_id uuid not null,
    post text not null check (post ~ '^[a-z][a-z0-9_]{0,39}$'),
    territory_id uuid,
    team_id uuid,
    primary key (org_id, id),
    unique nulls not distinct (org_id, user_id, post, territory_id, team_id),
    foreign key (org_id, user_id) references app_user (org_id, id),
    foreign key (org_id, territory_id) references territory (org_id, id),
    foreign key (org_id, team_id) references team (org_id, id)
);
create index staff_post_post on staff_post (org_id, post);

-- Whether somebody is at their desk: told by heartbeats, or by hand.
create table presence (
    org_id uuid not null default callout_org(),
    user_id uuid not null,
    state text not null check (state in ('online', 'away', 'offline')),
    by_hand boolean not null default false,
    since timestamptz not null,
    seen_at timestamptz not null,
    primary key (org_id, user_id),
    foreign key (org_id, user_id) references app_user (org_id, id)
);

-- How an order without an answer stands at the desk. `epoch` counts its handlers, so that each is passed over once.
create table order_watch (
    org_id uuid not null default callout_org(),
    order_id uuid not null,
    epoch int not null default 1,
    handler_since timestamptz not null,
    -- Who had it, or was passed over, since it was last given by hand.
    tried uuid[] not null default '{}',
    -- Who has it by what: intake, fallback, supervisor, taken (by force), handed (on by hand).
    by_what text not null check (by_what in ('intake', 'fallback', 'supervisor', 'taken', 'handed')),
    -- What somebody must see: nobody_on_duty, nobody_answers, no_team.
    flag text check (flag in ('nobody_on_duty', 'nobody_answers', 'no_team')),
    primary key (org_id, order_id),
    foreign key (org_id, order_id) references work_order (org_id, id)
);
create index order_watch_flag on order_watch (org_id, order_id) where flag is not null;
-- The desk's queue: what nobody answered, the first due first.
create index work_order_unanswered on work_order (org_id, respond_due_at, id)
    where responded_at is null and state not in ('completed', 'closed', 'canceled');
create index work_order_answered on work_order (org_id, resolve_due_at, id)
    where responded_at is not null and state not in ('completed', 'closed', 'canceled');
create index work_order_team on work_order (org_id, team_id) where team_id is not null and state not in ('closed', 'canceled');
alter table work_order add foreign key (org_id, team_id) references team (org_id, id);
-- How fast people answer is counted over the answers of some days.
create index journal_answers on journal (org_id, at) where kind = 'work_order.responded';
select callout_fence('team', 'team_territory', 'team_member', 'team_duty', 'staff', 'staff_post', 'presence', 'order_watch');
