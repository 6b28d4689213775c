"""Who sees what on a phone: the one rule, as SQL. `scope.refresh` turns it into feed rows.

A scope is a bucket of rows: one per engineer (its id is the engineer's), one per device, one for the whole organisation.
A device holds its engineer's, its own and the organisation's. The rule:

* a visit lies in its engineer's scope and in its crew's once it was dispatched, until `phone_window_days` after it ended;
* its order, events and attachments, and that order's site, contact and asset lie where the visit lies;
* an asset's history (its id is the asset's: the last `phone_history_events` events of visits that have ended) lies where
  the asset lies, as soon as there is any;
* an article lies where a visit lies that it is about: the order's kind, the asset's model, the engineer's territory, each
  of them or none; one that names none of the three lies in the organisation's scope. Forms likewise, by the kind alone;
* a van's stock lies in its engineer's scope;
* the parts catalogue lies in the organisation's scope where `phone_parts` is `all`; where it is `needed`, an engineer's
  scope holds the parts of the van's stock and those that the orders there name;
* what became of a device's commands (`outcome`) lies in that device's scope.
"""

from functools import cache
from typing import Final

SHAPE: Final = 2
"""Of the documents made here. Raise it with a field: the sweep writes the rows of older shapes anew, and so a new field
comes to phones that hold the document already. The index `sync_feed_shape` names it too."""
HISTORY_SHAPE: Final = 1000
"""A history's shape also says to how many events it was cut, times this: so a changed setting is found."""

ENTITIES: Final = (
    "visit",
    "work_order",
    "site",
    "contact",
    "asset",
    "event",
    "part",
    "stock",
    "history",
    "article",
    "form",
    "attachment",
    "outcome",
)
BY_VISITS: Final = ("part", "article", "form")
"""Lie wherever some visit asks for them: many scopes hold one, and one visit's move concerns only its own scopes."""

_SETTING: Final = "(select {0} from organisation where id = callout_org())"

VISIBLE_VISIT: Final = f"""
    v.engineer_id is not null and v.plan <> 'scheduled'
    and (v.ended_at is null or v.ended_at > now() - make_interval(days => {_SETTING.format("phone_window_days")}))
"""
"""Of a visit `v`: it lies on the phones of those who work on it."""

HOLDERS_OF_VISIT: Final = """lateral (
        select v.engineer_id as scope_id
        union all select c.engineer_id from visit_crew c
        where c.org_id = v.org_id and c.visit_id = v.id and c.engineer_id <> v.engineer_id)"""
"""Of a visit `v`: its engineer and its crew, each once."""


def works_on(engineer: str) -> str:
    """Of a visit `v`: this engineer (a parameter, `$3`) is its engineer or among its crew."""
    return f"""(v.engineer_id = {engineer} or exists (
        select 1 from visit_crew c
        where c.org_id = v.org_id and c.visit_id = v.id and c.engineer_id = {engineer}))"""


ORDERS_OF_ENGINEER: Final = f"""lateral (
        select v.order_id from visit v
        where v.org_id = callout_org() and v.engineer_id = g.id and {VISIBLE_VISIT}
        union
        select v.order_id from visit_crew c join visit v on v.org_id = c.org_id and v.id = c.visit_id
        where c.org_id = callout_org() and c.engineer_id = g.id and {VISIBLE_VISIT})"""
"""Of an engineer `g`: the orders that lie in their scope."""

ALL_PARTS: Final = f"({_SETTING.format('phone_parts')} = 'all')"
HISTORY_EVENTS: Final = _SETTING.format("phone_history_events")

ABOUT_ORDER: Final = """a.active and (a.kind is null or a.kind = o.kind) and (a.model is null or a.model = x.model)
    and (a.kind is not null or a.model is not null or a.territory_id is not null)"""
"""Of an article `a`, an order `o` and its asset `x`: it is about them, whatever the territory."""


def _json(columns: str) -> str:
    return f"(select row_to_json(d)::text from (select {columns}) d)"


_VISIT: Final = _json(
    """v.id, v.order_id as "orderId", v.number, v.state, v.scheduled_start as "scheduledStart",
    v.scheduled_end as "scheduledEnd", v.accepted_at as "acceptedAt", v.travelling_at as "travellingAt",
    v.arrived_at as "arrivedAt", v.signed_at as "signedAt", v.completed_at as "completedAt", v.ended_at as "endedAt",
    v.outcome, v.revision, v.engineer_note as "engineerNote", array(
        select c.engineer_id from visit_crew c where c.org_id = v.org_id and c.visit_id = v.id order by 1) as crew"""
)
_ORDER: Final = _json(
    """o.id, o.number, o.priority, o.kind, o.description, o.channel, o.state, o.skills,
    o.duration_minutes as "durationMinutes", o.site_id as "siteId", o.contact_id as "contactId",
    o.asset_id as "assetId", o.created_at as "createdAt", o.respond_due_at as "respondDueAt",
    o.arrive_due_at as "arriveDueAt", o.resolve_due_at as "resolveDueAt", o.revision, (
        select coalesce(json_agg(json_build_object('partId', n.part_id, 'quantity', n.quantity) order by n.part_id), '[]')
        from work_order_part n where n.org_id = o.org_id and n.order_id = o.id) as parts"""
)
_SITE: Final = _json(
    """s.id, s.name, s.address, s.lat, s.lng, s.geofence_radius_m as "geofenceRadiusM", c.name as "customerName",
    s.access_note as "accessNote", s.revision"""
)
_CONTACT: Final = _json("c.id, c.name, c.phone, c.email, c.locale, c.revision")
_ASSET: Final = _json('a.id, a.site_id as "siteId", a.serial, a.model, a.name, a.note, a.revision')
_EVENT: Final = _json(
    """e.id, e.visit_id as "visitId", e.kind, e.corrected_at as "at", e.device_time as "deviceTime",
    e.received_at as "receivedAt", e.geofence, e.flags, e.source, e.data"""
)
_ARTICLE: Final = _json(
    'a.id, a.title, a.body, a.locale, a.kind, a.model, a.fault_code as "faultCode", a.revision'
)
_FORM: Final = _json(
    "f.id, f.code, f.version, f.kind, json_build_object('en', f.title_en, 'zh', f.title_zh) as title, f.json_schema as schema"
)
_ATTACHMENT: Final = _json(
    """t.id, t.visit_id as "visitId", t.kind, encode(t.sha256, 'hex') as sha256, t.media_type as "mediaType",
    t.size_bytes as "sizeBytes", t.caption, t.state, t.code"""
)
_OUTCOME: Final = _json(
    't.id, t.visit_id as "visitId", t.kind, t.status, t.code, t.path, t.message, t.note, t.at'
)


def _where_orders(condition: str) -> str:
    """The scopes of the visits of orders `o` that stand in a relation to the row."""
    return f"""lateral (
        select distinct h.scope_id from work_order o join visit v on v.org_id = o.org_id and v.order_id = o.id
        cross join {HOLDERS_OF_VISIT} h
        where {condition} and {VISIBLE_VISIT})"""


_RULES: Final[dict[str, str]] = {
    "visit": f"""
        select h.scope_id, v.id as row_id, {_VISIT} as doc from visit v cross join {HOLDERS_OF_VISIT} h
        where v.org_id = callout_org() and v.id = any(:ids) and {VISIBLE_VISIT}""",
    "work_order": f"""
        select h.scope_id, o.id, {_ORDER} from work_order o cross join lateral (
            select distinct h.scope_id from visit v cross join {HOLDERS_OF_VISIT} h
            where v.org_id = o.org_id and v.order_id = o.id and {VISIBLE_VISIT}) h
        where o.org_id = callout_org() and o.id = any(:ids)""",
    "site": f"""
        select h.scope_id, s.id, {_SITE}
        from site s join customer c on c.org_id = s.org_id and c.id = s.customer_id
        cross join {_where_orders("o.org_id = s.org_id and o.site_id = s.id")} h
        where s.org_id = callout_org() and s.id = any(:ids)""",
    "contact": f"""
        select h.scope_id, c.id, {_CONTACT} from contact c
        cross join {_where_orders("o.org_id = c.org_id and o.contact_id = c.id")} h
        where c.org_id = callout_org() and c.id = any(:ids)""",
    "asset": f"""
        select h.scope_id, a.id, {_ASSET} from asset a
        cross join {_where_orders("o.org_id = a.org_id and o.asset_id = a.id")} h
        where a.org_id = callout_org() and a.id = any(:ids)""",
    "event": f"""
        select h.scope_id, e.id, {_EVENT}
        from visit_event e join visit v on v.org_id = e.org_id and v.id = e.visit_id cross join {HOLDERS_OF_VISIT} h
        where e.org_id = callout_org() and e.id = any(:ids) and {VISIBLE_VISIT}""",
    "attachment": f"""
        select h.scope_id, t.id, {_ATTACHMENT}
        from attachment t join visit v on v.org_id = t.org_id and v.id = t.visit_id cross join {HOLDERS_OF_VISIT} h
        where t.org_id = callout_org() and t.id = any(:ids) and {VISIBLE_VISIT}""",
    "history": f"""
        select h.scope_id, a.id, {_json("a.id, e.events")} from asset a
        cross join lateral (
            select json_agg(row_to_json(p) order by p.at desc, p.id desc) as events from (
                select e.id, o.number as "orderNumber", e.kind, e.corrected_at as "at", e.data
                from visit_event e
                join visit w on w.org_id = e.org_id and w.id = e.visit_id and w.ended_at is not null
                join work_order o on o.org_id = w.org_id and o.id = w.order_id
                where e.org_id = a.org_id and e.asset_id = a.id
                order by e.corrected_at desc, e.id desc limit {HISTORY_EVENTS}) p) e
        cross join {_where_orders("o.org_id = a.org_id and o.asset_id = a.id")} h
        where a.org_id = callout_org() and a.id = any(:ids) and e.events is not null""",
    "stock": f"""
        select l.holder_id, l.id, {_json('l.id, l.part_id as "partId", l.quantity')}
        from stock_level l join engineer g on g.org_id = l.org_id and g.id = l.holder_id
        where l.org_id = callout_org() and l.id = any(:ids)""",
    "outcome": f"""
        select t.device_id, t.id, {_OUTCOME} from outcome t
        where t.org_id = callout_org() and t.id = any(:ids)""",
    # The three below are also asked for a few scopes only: `:some` is then `and g.id = any($n)`.
    "part": f"""
        select h.scope_id, p.id, {_json("p.id, p.code, p.name, p.unit")}
        from (
            select callout_org() as scope_id, i.id as part_id from unnest(:ids) as i(id) where {ALL_PARTS}
            union all
            (select g.id, l.part_id from engineer g join stock_level l on l.org_id = g.org_id and l.holder_id = g.id
            where g.org_id = callout_org() and l.part_id = any(:ids) and not {ALL_PARTS} :some
            union
            select g.id, n.part_id from engineer g cross join {ORDERS_OF_ENGINEER} w
            join work_order_part n on n.org_id = g.org_id and n.order_id = w.order_id and n.part_id = any(:ids)
            where g.org_id = callout_org() and not {ALL_PARTS} :some)) h
        join part p on p.org_id = callout_org() and p.id = h.part_id""",
    "article": f"""
        select h.scope_id, a.id, {_ARTICLE}
        from (
            select callout_org() as scope_id, a.id as article_id from article a
            where a.org_id = callout_org() and a.id = any(:ids) and a.active and a.kind is null and a.model is null
              and a.territory_id is null
            union all
            select distinct g.id, a.id
            from engineer g cross join {ORDERS_OF_ENGINEER} w
            join work_order o on o.org_id = g.org_id and o.id = w.order_id
            left join asset x on x.org_id = o.org_id and x.id = o.asset_id
            join article a on a.org_id = g.org_id and a.id = any(:ids) and {ABOUT_ORDER}
              and (a.territory_id is null or a.territory_id = g.territory_id)
            where g.org_id = callout_org() :some) h
        join article a on a.org_id = callout_org() and a.id = h.article_id""",
    "form": f"""
        select h.scope_id, f.id, {_FORM}
        from (
            select callout_org() as scope_id, f.id as form_id from form f
            where f.org_id = callout_org() and f.id = any(:ids) and f.active and f.kind is null
            union all
            select distinct g.id, f.id
            from engineer g cross join {ORDERS_OF_ENGINEER} w
            join work_order o on o.org_id = g.org_id and o.id = w.order_id
            join form f on f.org_id = g.org_id and f.id = any(:ids) and f.active and f.kind = o.kind
            where g.org_id = callout_org() :some) h
        join form f on f.org_id = callout_org() and f.id = h.form_id""",
}

_LOOKS: Final[dict[str, str]] = {
    "visit": f"""
        select h.scope_id, v.id, true, null::uuid from visit v cross join {HOLDERS_OF_VISIT} h
        where v.org_id = callout_org() and v.id = any(:ids) and {VISIBLE_VISIT}""",
    "event": f"""
        select distinct h.scope_id, null::uuid, true, null::uuid
        from visit_event e join visit v on v.org_id = e.org_id and v.id = e.visit_id cross join {HOLDERS_OF_VISIT} h
        where e.org_id = callout_org() and e.id = any(:ids) and h.scope_id is not null""",
    "attachment": f"""
        select distinct h.scope_id, null::uuid, true, null::uuid
        from attachment t join visit v on v.org_id = t.org_id and v.id = t.visit_id cross join {HOLDERS_OF_VISIT} h
        where t.org_id = callout_org() and t.id = any(:ids) and h.scope_id is not null""",
    # By the visits of events that are new: they lie where these lie, and nowhere yet.
    "home": f"""
        select distinct h.scope_id, null::uuid, true, null::uuid from visit v cross join {HOLDERS_OF_VISIT} h
        where v.org_id = callout_org() and v.id = any(:ids) and h.scope_id is not null""",
    # A van's first piece of a part brings the part where phones hold only what they need.
    "stock": f"""
        select l.holder_id, null::uuid, true, case when not {ALL_PARTS} and not exists (
            select 1 from sync_feed f
            where f.org_id = l.org_id and f.scope_id = l.holder_id and f.entity = 'part' and f.row_id = l.part_id
              and f.op = 'U') then l.part_id end
        from stock_level l where l.org_id = callout_org() and l.id = any(:ids)""",
    "outcome": """
        select t.device_id, null::uuid, true, null::uuid from outcome t
        where t.org_id = callout_org() and t.id = any(:ids)""",
}

CHILDREN: Final = f"""
with o as materialized (
    select distinct o.org_id, o.id, o.kind, o.site_id, o.contact_id, o.asset_id
    from visit v join work_order o on o.org_id = v.org_id and o.id = v.order_id
    where v.org_id = callout_org() and v.id = any($1)
)
select 'work_order' as entity, id as row_id from o
union select 'site', site_id from o
union select 'contact', contact_id from o where contact_id is not null
union select 'asset', asset_id from o where asset_id is not null
union select 'history', asset_id from o where asset_id is not null
union select 'event', e.id from visit_event e where e.org_id = callout_org() and e.visit_id = any($1)
union select 'attachment', t.id from attachment t where t.org_id = callout_org() and t.visit_id = any($1)
union select 'part', n.part_id from o join work_order_part n on n.org_id = o.org_id and n.order_id = o.id
      where not {ALL_PARTS}
union select 'form', f.id from o join form f on f.org_id = o.org_id and f.active and f.kind = o.kind
union select 'article', a.id from o left join asset x on x.org_id = o.org_id and x.id = o.asset_id
      join article a on a.org_id = o.org_id and {ABOUT_ORDER}
"""
"""All that lies where these visits lie."""

OF_ENGINEERS: Final = """
select f.row_id from sync_feed f
where f.org_id = callout_org() and f.scope_id = any($1) and f.entity = 'article' and f.op = 'U'
union
select a.id from engineer g join article a on a.org_id = g.org_id and a.territory_id = g.territory_id and a.active
where g.org_id = callout_org() and g.id = any($1)
"""
"""The articles that may come or go with the territory of these engineers."""


@cache
def look(entities: tuple[str, ...]) -> str:
    """Which scopes hold the rows or will hold them: (scope_id, visit_id, wanted, part_id).

    Parameters: all rows as two arrays, entities and ids, then the ids of those entities that have a look of their own.
    """
    # OFFSET 0 keeps the planner from turning a few index look-ups into a join with the whole feed.
    parts = [
        """
        select distinct h.scope_id, case when t.entity = 'visit' then t.row_id end as visit_id, false as wanted,
            null::uuid as part_id
        from unnest($1::text[], $2::uuid[]) as t(entity, row_id)
        cross join lateral (
            select f.scope_id from sync_feed f
            where f.org_id = callout_org() and f.entity = t.entity and f.row_id = t.row_id and f.op = 'U'
            offset 0) h"""
    ]
    for n, entity in enumerate(looked_for(entities), start=3):
        parts.append(_LOOKS[entity].replace(":ids", f"${n}::uuid[]"))
    return _packed(" union all ".join(parts))


def looked_for(entities: tuple[str, ...]) -> tuple[str, ...]:
    """Those of the entities whose ids `look` takes one by one."""
    return tuple(entity for entity in entities if entity in _LOOKS)


@cache
def write(entities: tuple[str, ...], limited: bool) -> str:
    """Bring the feed's rows of these entities to what the rule says; the scopes that were written to.

    Parameters: an array of ids for each entity; where `limited`, the scopes concerned and then ids for each of `BY_VISITS`,
    which are looked at in those scopes only.
    """
    wanted, rows, some_rows = [], [], []
    for n, entity in enumerate(entities, start=1):
        rule = _RULES[entity].replace(":ids", f"${n}::uuid[]").replace(":some", "")
        wanted.append(f"select '{entity}' as entity, r.* from ({rule}) r(scope_id, row_id, doc)")
        rows.append(f"select '{entity}' as entity, unnest(${n}::uuid[]) as row_id")
    scopes = len(entities) + 1
    if limited:
        for n, entity in enumerate(BY_VISITS, start=scopes + 1):
            rule = (
                _RULES[entity].replace(":ids", f"${n}::uuid[]").replace(":some", f"and g.id = any(${scopes})")
            )
            wanted.append(
                f"select '{entity}', r.* from ({rule}) r(scope_id, row_id, doc) where r.scope_id = any(${scopes}::uuid[])"
            )
            some_rows.append(f"select '{entity}' as entity, unnest(${n}::uuid[]) as row_id")
    found = [_gone(rows, "")] if rows else []
    if limited:
        found.append(_gone(some_rows, f"and f.scope_id = any(${scopes}::uuid[])"))
    union = " union all "
    return _packed(f"""
with wanted as ({union.join(wanted)}),
gone as (
    select g.* from ({union.join(found)}) g
    where not exists (
        select 1 from wanted w where w.scope_id = g.scope_id and w.entity = g.entity and w.row_id = g.row_id)
)
insert into sync_feed as f (org_id, scope_id, entity, row_id, op, body, shape)
select callout_org(), scope_id, entity, row_id, 'U',
       '{{"entity":"' || entity || '","id":"' || row_id || '","op":"upsert","doc":' || doc || '}}',
       {SHAPE} + case entity when 'history' then {HISTORY_SHAPE} * {HISTORY_EVENTS} else 0 end
from wanted
union all
select callout_org(), scope_id, entity, row_id, 'D',
       '{{"entity":"' || entity || '","id":"' || row_id || '","op":"delete"}}', {SHAPE}
from gone
on conflict (org_id, scope_id, entity, row_id) do update
set op = excluded.op, body = excluded.body, shape = excluded.shape,
    xid = case when f.op = excluded.op and f.body = excluded.body then f.xid else pg_current_xact_id() end,
    changed_at = case when f.op = excluded.op and f.body = excluded.body then f.changed_at else now() end
where f.op <> excluded.op or f.body <> excluded.body or f.shape <> excluded.shape
returning f.scope_id
""")


def write_new_events(events: str) -> str:
    """The feed's rows of events that no phone holds yet: there is nothing to compare them with, and nobody writes the same.

    `events` names what is written to `visit_event` in the same statement. Parameter: the ids of their visits as an array's
    text; these are locked. The scopes that were written to."""
    return _packed(f"""
with h as materialized (
    select v.id as visit_id, h.scope_id from visit v cross join {HOLDERS_OF_VISIT} h
    where v.org_id = callout_org() and v.id = any((select $1::text::uuid[])::uuid[]) and {VISIBLE_VISIT}
)
insert into sync_feed (org_id, scope_id, entity, row_id, op, body, shape)
select (select callout_org()), h.scope_id, 'event', e.id, 'U',
       '{{"entity":"event","id":"' || e.id || '","op":"upsert","doc":' || {_EVENT} || '}}', {SHAPE}
from {events} e join h on h.visit_id = e.visit_id
returning scope_id
""")


def _packed(sql: str) -> str:
    """Without its indentation: the driver keeps statements prepared up to a size only."""
    return " ".join(sql.split())


def _gone(rows: list[str], limit: str) -> str:
    return f"""
        select f.scope_id, f.entity, f.row_id from ({" union all ".join(rows)}) t
        join sync_feed f on f.org_id = callout_org() and f.entity = t.entity and f.row_id = t.row_id and f.op = 'U' {limit}"""
