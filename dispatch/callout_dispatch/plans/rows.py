"""What a plan is made of, read from the database: engineers with their shifts, visits that stand, orders that wait.

A fixed number of statements, each over a set; what grows with the organisation's history is found by time. Reads only.
What is made of the rows is decided in `draft.py`, without a database.
"""

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

import msgspec

from callout_dispatch.engineer_terms import ONLINE_MINUTES, SHIFT_HOURS_MAX
from callout_dispatch.plans.row_terms import (
    Before,
    DepotRow,
    EngineerRow,
    OrderRow,
    Place,
    Rows,
    Scope,
    ShiftRow,
    VisitRow,
    Wish,
)
from callout_dispatch.visit_states import VisitState
from callout_orders.terms import TO_BE_PLANNED, Priority
from callout_store.work import Work

POSITION_MINUTES: Final = 60
"""A last position older than this says nothing of where somebody's day goes on."""
LOOK_BACK_HOURS: Final = 24
"""No visit lasts longer, and none that is so late without having begun is planned anew by itself."""


async def load_rows(work: Work, scope: Scope, *, limit: int) -> Rows:
    """Read it. At most `limit` + 1 waiting orders come, the most urgent first, so that the caller can tell too many."""
    organisation = await work.fetchrow(
        """
        select o.time_zone, coalesce(s.travel_provider, 'estimate') as travel_provider
        from organisation o left join dispatch_setting s on s.org_id = o.id where o.id = callout_org()
        """
    )
    assert organisation is not None, "a unit of work has an organisation"
    engineers = await _engineers(work, scope)
    ids = sorted(engineers)
    shifts = await shift_rows(work, scope.start, scope.end, ids)
    absences = await absence_rows(work, scope.start, scope.end, ids)
    visits = await _visits(work, scope, ids, limit)
    waiting = await _waiting(work, scope, limit)
    orders = [*(visit.order for visit in visits), *waiting]
    depots, vans = await stock_of(work, ids, orders)
    return Rows(
        scope=scope,
        time_zone=organisation["time_zone"],
        provider=organisation["travel_provider"],
        engineers=tuple(
            msgspec.structs.replace(
                engineers[id_],
                shifts=shifts.get(id_, ()),
                absences=absences.get(id_, ()),
                van=vans.get(id_, {}),
            )
            for id_ in ids
        ),
        visits=visits,
        waiting=waiting,
        depots=depots,
        wishes=await wishes_of(work, orders),
        before=await _before(work, orders),
    )


async def count(work: Work, scope: Scope) -> int:
    """How many visits and waiting orders the scope has, without reading them."""
    found: int = await work.fetchval(
        f"""
        select (select count(*) from work_order o join site s on s.org_id = o.org_id and s.id = o.site_id
                where o.org_id = callout_org() and o.state = any($3) and o.duplicate_of_id is null
                  and ($4::uuid is null or s.territory_id = $4))
             + (select count(*) from visit v {JOINED} where {STANDS}
                  and v.scheduled_start >= $1 and v.scheduled_start < $2 and ($4::uuid is null or s.territory_id = $4))
        """,
        scope.start,
        scope.end,
        [state.value for state in TO_BE_PLANNED],
        scope.territory_id,
    )
    return found


JOINED: Final = """
join work_order o on o.org_id = v.org_id and o.id = v.order_id
join site s on s.org_id = o.org_id and s.id = o.site_id
"""
STANDS: Final = """
v.org_id = callout_org() and v.ended_at is null and v.plan <> 'canceled' and v.engineer_id is not null
and v.scheduled_start is not null
"""
ORDER: Final = """
o.id as order_id, o.number as order_number, o.priority, o.duration_minutes, o.skills::text as skills, o.customer_id,
o.site_id, s.lat, s.lng, s.territory_id as site_territory_id, s.visiting_hours::text as hours, o.requested_from,
o.requested_until, o.crew_size, o.follows_order_id, o.follows_gap_minutes,
case when o.arrived_at is null then o.arrive_due_at else o.resolve_due_at end as due_at,
(select json_object_agg(p.code, n.quantity)::text
 from work_order_part n join part p on p.org_id = n.org_id and p.id = n.part_id
 where n.org_id = o.org_id and n.order_id = o.id) as parts
"""
ENGINEER: Final = """
e.id, e.name, e.home_lat, e.home_lng, e.end_lat, e.end_lng, e.territory_id::text as territory_id,
e.travel_minutes_max, e.work_minutes_max, e.visits_max,
(select json_object_agg(k.skill, k.level)::text from engineer_skill k
 where k.org_id = e.org_id and k.engineer_id = e.id) as skills,
array(select t.territory_id::text from engineer_territory t
      where t.org_id = e.org_id and t.engineer_id = e.id) as more
"""


async def _engineers(work: Work, scope: Scope) -> dict[UUID, EngineerRow]:
    # Of a territory: those who work there, those who work everywhere, and whoever has a visit there at that time.
    rows = await work.fetch(
        f"""
        select {ENGINEER},
               case when e.last_position_at >= $1 then e.last_lat end as lat,
               case when e.last_position_at >= $1 then e.last_lng end as lng,
               coalesce(e.last_seen_at >= $2, false) and not exists (
                   select 1 from absence a where a.org_id = e.org_id and a.engineer_id = e.id
                       and a.ends_at > $3 and a.starts_at <= $3
               ) as online
        from engineer e
        where e.org_id = callout_org() and e.active and ($4::uuid[] is null or e.id = any($4))
          and ($5::uuid is null or e.territory_id is null or e.territory_id = $5
               or exists (select 1 from engineer_territory t
                          where t.org_id = e.org_id and t.engineer_id = e.id and t.territory_id = $5)
               or e.id in (select v.engineer_id from visit v {JOINED}
                           where {STANDS} and s.territory_id = $5
                             and v.scheduled_start >= $6 and v.scheduled_start < $7))
        """,
        scope.at - timedelta(minutes=POSITION_MINUTES),
        scope.at - timedelta(minutes=ONLINE_MINUTES),
        scope.at,
        None if scope.engineer_ids is None else list(scope.engineer_ids),
        scope.territory_id if scope.engineer_ids is None else None,
        scope.start - timedelta(hours=LOOK_BACK_HOURS),
        scope.end,
    )
    return {row["id"]: engineer_row(row) for row in rows}


def engineer_row(row: Any) -> EngineerRow:
    """An engineer's row of the columns in `ENGINEER`, with lat, lng and online."""
    own = row["territory_id"]
    return EngineerRow(
        id=row["id"],
        name=row["name"],
        home=(row["home_lat"], row["home_lng"]),
        end=place(row["end_lat"], row["end_lng"]),
        live=place(row["lat"], row["lng"]),
        territory_id=own,
        territories=None if own is None else frozenset({own, *row["more"]}),
        online=row["online"],
        travel_minutes_max=row["travel_minutes_max"],
        work_minutes_max=row["work_minutes_max"],
        visits_max=row["visits_max"],
        skills=msgspec.json.decode(row["skills"], type=dict[str, int]) if row["skills"] else {},
    )


async def shift_rows(
    work: Work, start: datetime, end: datetime, ids: Sequence[UUID]
) -> dict[UUID, tuple[ShiftRow, ...]]:
    """The shifts of these engineers that reach into [start, end), with their breaks, in order of time."""
    rows = await work.fetch(
        """
        select t.engineer_id, t.starts_at, t.ends_at, t.start_lat, t.start_lng, t.end_lat, t.end_lng,
               b.earliest, b.latest, b.minutes
        from shift t
        left join lateral (
            select array_agg(k.earliest order by k.earliest, k.id) as earliest,
                   array_agg(k.latest order by k.earliest, k.id) as latest,
                   array_agg(k.minutes order by k.earliest, k.id) as minutes
            from shift_break k where k.org_id = t.org_id and k.shift_id = t.id
        ) b on true
        where t.org_id = callout_org() and t.engineer_id = any($1)
          and t.starts_at >= $2 and t.starts_at < $4 and t.ends_at > $3
        order by t.starts_at, t.id
        """,
        list(ids),
        start - timedelta(hours=SHIFT_HOURS_MAX),
        start,
        end,
    )
    found: dict[UUID, list[ShiftRow]] = {}
    for row in rows:
        breaks = zip(row["earliest"] or (), row["latest"] or (), row["minutes"] or (), strict=True)
        found.setdefault(row["engineer_id"], []).append(
            ShiftRow(
                start=row["starts_at"],
                end=row["ends_at"],
                from_place=place(row["start_lat"], row["start_lng"]),
                to_place=place(row["end_lat"], row["end_lng"]),
                breaks=tuple(breaks),
            )
        )
    return {id_: tuple(of_one) for id_, of_one in found.items()}


async def absence_rows(
    work: Work, start: datetime, end: datetime, ids: Sequence[UUID]
) -> dict[UUID, tuple[tuple[datetime, datetime], ...]]:
    """The absences of these engineers around [start, end): shifts reach a day beyond it on both sides."""
    rows = await work.fetch(
        """
        select engineer_id, starts_at, ends_at from absence
        where org_id = callout_org() and engineer_id = any($1) and ends_at > $2 and starts_at < $3 order by starts_at
        """,
        list(ids),
        start - timedelta(hours=SHIFT_HOURS_MAX),
        end + timedelta(hours=SHIFT_HOURS_MAX),
    )
    found: dict[UUID, list[tuple[datetime, datetime]]] = {}
    for row in rows:
        found.setdefault(row["engineer_id"], []).append((row["starts_at"], row["ends_at"]))
    return {id_: tuple(of_one) for id_, of_one in found.items()}


async def _visits(work: Work, scope: Scope, ids: Sequence[UUID], limit: int) -> tuple[VisitRow, ...]:
    # Shifts reach beyond the range, and so do the visits that stand in them; they hold the engineer, and stay.
    rows = await work.fetch(
        f"""
        select v.id, v.revision, v.state, v.engineer_id, v.scheduled_start, v.scheduled_end, v.hold, v.pickup_depot_id,
               t.eta, array(select c.engineer_id from visit_crew c
                            where c.org_id = v.org_id and c.visit_id = v.id order by c.engineer_id) as crew, {ORDER}
        from visit v {JOINED} left join visit_eta t on t.org_id = v.org_id and t.visit_id = v.id
        where {STANDS} and v.scheduled_start >= $2 and v.scheduled_start < $3
          and (v.engineer_id = any($1) or v.id in (
               select c.visit_id from visit_crew c where c.org_id = callout_org() and c.engineer_id = any($1)))
        order by v.scheduled_start, v.id limit $4
        """,
        list(ids),
        min(scope.start - timedelta(hours=SHIFT_HOURS_MAX), scope.at) - timedelta(hours=LOOK_BACK_HOURS),
        scope.end + timedelta(hours=SHIFT_HOURS_MAX),
        limit + 1,
    )
    return tuple(
        VisitRow(
            id=row["id"],
            order=order_row(row),
            revision=row["revision"],
            state=VisitState(row["state"]),
            engineer_id=row["engineer_id"],
            start=row["scheduled_start"],
            end=row["scheduled_end"],
            hold=row["hold"],
            eta=row["eta"],
            crew=tuple(row["crew"]),
            pickup_depot_id=row["pickup_depot_id"],
        )
        for row in rows
    )


async def _waiting(work: Work, scope: Scope, limit: int) -> tuple[OrderRow, ...]:
    rows = await work.fetch(
        f"""
        select {ORDER} from work_order o join site s on s.org_id = o.org_id and s.id = o.site_id
        where o.org_id = callout_org() and o.state = any($1) and o.duplicate_of_id is null
          and ($2::uuid is null or s.territory_id = $2)
          and ($3::uuid[] is null or o.id = any($3))
        order by o.priority, o.arrive_due_at, o.id limit $4
        """,
        [state.value for state in TO_BE_PLANNED],
        scope.territory_id if scope.order_ids is None else None,
        None if scope.order_ids is None else list(scope.order_ids),
        limit + 1,
    )
    return tuple(map(order_row, rows))


def order_row(row: Any) -> OrderRow:
    """An order's row of the columns in `ORDER`."""
    from_, until = row["requested_from"], row["requested_until"]
    return OrderRow(
        id=row["order_id"],
        number=row["order_number"],
        priority=Priority(row["priority"]),
        duration_minutes=row["duration_minutes"],
        skills=msgspec.json.decode(row["skills"], type=dict[str, int]),
        parts=msgspec.json.decode(row["parts"], type=dict[str, int]) if row["parts"] else {},
        due_at=row["due_at"],
        customer_id=row["customer_id"],
        site_id=row["site_id"],
        place=place(row["lat"], row["lng"]),
        territory_id=row["site_territory_id"],
        hours=msgspec.json.decode(row["hours"]),
        requested=None if from_ is None else (from_, until),
        crew_size=row["crew_size"],
        follows_order_id=row["follows_order_id"],
        follows_gap_minutes=row["follows_gap_minutes"],
    )


async def stock_of(
    work: Work, ids: Sequence[UUID], orders: Collection[OrderRow]
) -> tuple[tuple[DepotRow, ...], dict[UUID, dict[str, int]]]:
    """Depots, and what is on the vans; only of parts that somebody needs."""
    codes = sorted({code for order in orders for code in order.parts})
    if not codes:
        return (), {}
    rows = await work.fetch(
        """
        select d.id, d.lat, d.lng, d.pickup_minutes, (
                   select json_object_agg(p.code, l.quantity)::text
                   from stock_level l join part p on p.org_id = l.org_id and p.id = l.part_id
                   where l.org_id = d.org_id and l.holder_id = d.id and p.code = any($1)
               ) as parts
        from depot d where d.org_id = callout_org() and d.active order by d.id
        """,
        codes,
    )
    depots = tuple(
        DepotRow(
            id=row["id"],
            place=(row["lat"], row["lng"]),
            pickup_minutes=row["pickup_minutes"],
            parts=msgspec.json.decode(row["parts"], type=dict[str, int]) if row["parts"] else {},
        )
        for row in rows
    )
    levels = await work.fetch(
        """
        select l.holder_id, p.code, l.quantity
        from part p join stock_level l on l.org_id = p.org_id and l.part_id = p.id
        where p.org_id = callout_org() and p.code = any($1) and l.holder_id = any($2)
        """,
        codes,
        list(ids),
    )
    vans: dict[UUID, dict[str, int]] = {}
    for row in levels:
        vans.setdefault(row["holder_id"], {})[row["code"]] = row["quantity"]
    return depots, vans


async def wishes_of(work: Work, orders: Collection[OrderRow]) -> tuple[Wish, ...]:
    """What is wished for these orders: by themselves, by their sites and by their customers."""
    if not orders:
        return ()
    rows = await work.fetch(
        """
        select engineer_id, kind, customer_id, site_id, order_id from engineer_preference
        where org_id = callout_org() and (order_id = any($1) or site_id = any($2) or customer_id = any($3))
        """,
        [order.id for order in orders],
        list({order.site_id for order in orders}),
        list({order.customer_id for order in orders}),
    )
    return tuple(Wish(**dict(row)) for row in rows)


async def _before(work: Work, orders: Collection[OrderRow]) -> dict[UUID, Before]:
    ids = sorted({order.follows_order_id for order in orders if order.follows_order_id is not None})
    if not ids:
        return {}
    rows = await work.fetch(
        """
        select o.id, o.state in ('completed', 'closed', 'canceled') as done,
               case when o.state = 'canceled' then null
                    when o.state in ('completed', 'closed') then o.resolved_at
                    else (select max(v.scheduled_end) from visit v
                          where v.org_id = o.org_id and v.order_id = o.id and v.ended_at is null
                            and v.plan <> 'canceled') end as ends
        from work_order o where o.org_id = callout_org() and o.id = any($1)
        """,
        ids,
    )
    return {row["id"]: Before(order_id=row["id"], done=row["done"], end=row["ends"]) for row in rows}


def place(lat: float | None, lng: float | None) -> Place | None:
    """A place, where there is one."""
    return None if lat is None or lng is None else (lat, lng)
