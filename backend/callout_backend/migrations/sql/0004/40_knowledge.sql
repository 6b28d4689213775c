-- Articles may be answers: what a customer may read, and how to work around the fault until it is mended.
alter table article
    add column workaround text not null default '',
    add column for_customers boolean not null default false,
    -- Its words are in article_word; those of articles that were there before are cut by the sweep.
    add column indexed boolean not null default false,
    -- A standing answer (T3): offered on every order that has its error code, also on those that come in later.
    add column standing_since timestamptz,
    add column standing_by uuid,
    add constraint article_standing check (standing_since is null or (active and for_customers and fault_code is not null));
create index article_standing on article (org_id, id) where standing_since is not null;
create index article_unindexed on article (org_id) where active and not indexed;
create index article_fault on article (org_id, fault_code) where active and fault_code is not null;

-- What an article said at each of its revisions; what was offered to somebody can be read for ever.
create table article_version (
    org_id uuid not null default callout_org(),
    article_id uuid not null,
    revision int not null,
    title text not null,
    body text not null,
    workaround text not null,
    locale text not null,
    kind text,
    model text,
    fault_code text,
    territory_id uuid,
    for_customers boolean not null,
    active boolean not null,
    updated_at timestamptz not null,
    updated_by uuid,
    primary key (org_id, article_id, revision),
    foreign key (org_id, article_id) references article (org_id, id)
);

-- The words of active articles, Chinese ones cut by the application. Rows instead of a tsvector: under row-level security
-- its operator, which PostgreSQL does not hold leak-proof, could use no index; equality of texts can.
create table article_word (
    org_id uuid not null default callout_org(),
    word text not null,
    article_id uuid not null,
    weight double precision not null check (weight > 0),
    primary key (org_id, word, article_id),
    foreign key (org_id, article_id) references article (org_id, id)
);
create index article_word_article on article_word (org_id, article_id);

-- An answer that was offered for an order, as it read then.
create table answer_offer (
    org_id uuid not null default callout_org(),
    id uuid not null,
    order_id uuid not null,
    article_id uuid not null,
    article_revision int not null,
    score double precision not null,
    state text not null default 'offered' check (state in ('offered', 'solved', 'did_not_help', 'passed')),
    offered_at timestamptz not null,
    offered_by uuid,
    decided_at timestamptz,
    decided_by uuid,
    -- By whom it was decided: the customer's link, a person of the house, many at once.
    decided_via text check (decided_via in ('link', 'desk', 'bulk')),
    primary key (org_id, id),
    unique (org_id, order_id, article_id, article_revision),
    foreign key (org_id, order_id) references work_order (org_id, id),
    foreign key (org_id, article_id, article_revision) references article_version (org_id, article_id, revision)
);
create index answer_offer_article on answer_offer (org_id, article_id, state);

-- The customer's link to the answers of an order; the token itself is in nobody's table.
create table answer_link (
    org_id uuid not null default callout_org(),
    id uuid not null,
    order_id uuid not null,
    token_hash bytea not null,
    locale text not null check (locale in ('en', 'zh')),
    created_at timestamptz not null,
    created_by uuid,
    expires_at timestamptz not null,
    used_at timestamptz,
    primary key (org_id, id),
    unique (org_id, token_hash),
    foreign key (org_id, order_id) references work_order (org_id, id)
);
create index answer_link_order on answer_link (org_id, order_id);
select callout_fence('article_version', 'article_word', 'answer_offer', 'answer_link');
select callout_keep('article_version');
