"""The engineers of an organisation as the pick sees them, loaded in a fixed number of statements. Reads only.

The cost grows with engineers and with what lies in the window asked for, never with all that was ever stored: shifts,
absences and visits are found by time.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

import msgspec

from callout_dispatch.engineer_terms import ONLINE_MINUTES, SHIFT_HOURS_MAX
from callout_dispatch.pick_roster import Roster
from callout_dispatch.pick_terms import Break, Busy, Candidate, Interval, Shift
from callout_dispatch.places.speeds import travel_model
from callout_dispatch.policy import STANDARD, Policy
from callout_geo.points import Point
from callout_geo.travel import Travel
from callout_store.work import Work

POSITION_MINUTES: Final = 60
"""A last position older than this, seen from the start of the window, says nothing: the engineer starts from home."""
VISIT_HOURS_MAX: Final = 24
"""No visit lasts longer (an order's duration is at most 1,440 minutes)."""
OVERRUN_MINUTES: Final = 15
"""Somebody who is still on site after the planned end counts as busy for so much longer, seen from now."""


class Window(msgspec.Struct, frozen=True, kw_only=True):
    """The time in which a slot is looked for, and the day whose work counts as load. UTC."""

    start: datetime
    end: datetime
    load_start: datetime
    load_end: datetime


class _Engaged(msgspec.Struct, frozen=True):
    """A visit of the window's days. `busy` is what of it still takes time, None where nothing does."""

    start: datetime
    end: datetime
    busy: Busy | None


async def window_from(work: Work, start: datetime, hours: float) -> Window:
    """The window of so many hours from `start`; load is that of `start`'s day in the organisation's time zone."""
    row = await work.fetchrow(
        """
        select date_trunc('day', $1::timestamptz, time_zone) as load_start,
               (date_trunc('day', $1::timestamptz at time zone time_zone) + interval '1 day') at time zone time_zone
                   as load_end
        from organisation where id = callout_org()
        """,
        start,
    )
    assert row is not None, "a unit of work has an organisation"
    return Window(
        start=start,
        end=start + timedelta(hours=hours),
        load_start=row["load_start"],
        load_end=row["load_end"],
    )


async def load_roster(
    work: Work,
    window: Window,
    *,
    engineer_ids: Collection[UUID] | None = None,
    parts: Collection[str] = (),
    without_visit: UUID | None = None,
    without_visits: Collection[UUID] = (),
    travel: Travel | None = None,
    policy: Policy = STANDARD,
) -> Roster:
    """All active engineers (or those named) with what they have to do in the window, alone or in a crew.

    `parts` are codes; only their van stock is read. `without_visit` is the visit that is about to move,
    `without_visits` are others that may. `travel` None: as the organisation's own people were found to drive; what the
    policy assumes of unknown ways holds for standing visits too. A fixed number of statements.
    """
    only = None if engineer_ids is None else sorted(engineer_ids)
    if travel is None:
        travel = await travel_model(work)
    engineers = await _engineers(work, window, only)
    skills = await _skills(work, only)
    also = await _territories(work, only)
    shifts = await _shifts(work, window, only)
    breaks = await _breaks(work, window, only)
    absences = await _absences(work, window, only)
    without = [*without_visits, *([] if without_visit is None else [without_visit])]
    engaged = await _visits(work, window, only, without)
    stock = await _stock(work, parts, only) if parts else {}
    nothing: Mapping[str, int] = {}
    nobody: frozenset[str] = frozenset()
    candidates: list[Candidate] = []
    for row in engineers:
        id_ = row["id"]
        visits = engaged.get(id_, ())
        today = [one for one in visits if window.load_start <= one.start < window.load_end]
        home = Point(row["home_lat"], row["home_lng"])
        live = _point(row["live_lat"], row["live_lng"])
        own_end = _point(row["end_lat"], row["end_lng"]) or home
        candidates.append(
            Candidate(
                id=str(id_),
                name=row["name"],
                position=live or home,
                skills=skills.get(id_, nothing),
                shifts=tuple(
                    _shift(shift, window, live, home, own_end, breaks, visits)
                    for shift in shifts.get(id_, ())
                ),
                absences=absences.get(id_, ()),
                busy=tuple(one.busy for one in visits if one.busy is not None),
                load_minutes=sum((one.end - one.start).total_seconds() for one in today) / 60.0,
                visits=len(today),
                territory_id=row["territory_id"],
                territory_name=row["territory_name"] or "",
                territories=also.get(id_, nobody),
                online=row["online"],
                van_stock=stock.get(id_, nothing),
                travel_minutes_max=row["travel_minutes_max"],
                work_minutes_max=row["work_minutes_max"],
                visits_max=row["visits_max"],
            )
        )
    return Roster(candidates, travel, policy.travel_minutes_unknown)


def _shift(
    row: tuple[Any, ...],
    window: Window,
    live: Point | None,
    home: Point,
    own_end: Point,
    breaks: Mapping[UUID, list[Break]],
    visits: Sequence[_Engaged],
) -> Shift:
    """A shift within the window. Who has begun it starts from where they are; later ones start where they begin."""
    id_, start, end, start_lat, start_lng, end_lat, end_lng, day = row
    begins = _point(start_lat, start_lng) or home
    opens = max(start, window.start)
    done = [
        one for one in visits if start <= one.start < end and (one.busy is None or one.busy.start < opens)
    ]
    return Shift(
        opens,
        min(end, window.end),
        start_place=live or begins if start <= window.start else begins,
        # Where the window cuts a shift off, nobody goes home.
        end_place=None if end > window.end else _point(end_lat, end_lng) or own_end,
        breaks=tuple(breaks.get(id_, ())),
        done_minutes=sum((one.end - one.start).total_seconds() for one in done) / 60.0,
        done_visits=len(done),
        day=day,
    )


def _point(lat: float | None, lng: float | None) -> Point | None:
    return None if lat is None or lng is None else Point(lat, lng)


def _of(alias: str, only: Sequence[UUID] | None, place: int, column: str = "engineer_id") -> str:
    """The condition on engineers. Two statements instead of `$n is null or …`, which no index could serve."""
    return "" if only is None else f" and {alias}.{column} = any(${place}::uuid[])"


def _ids(only: Sequence[UUID] | None) -> list[Sequence[UUID]]:
    return [] if only is None else [only]


async def _engineers(work: Work, window: Window, only: Sequence[UUID] | None) -> Sequence[Any]:
    fresh = window.start - timedelta(minutes=POSITION_MINUTES)
    return await work.fetch(
        f"""
        select e.id, e.name, e.territory_id::text as territory_id, t.name as territory_name, e.home_lat, e.home_lng,
               case when e.last_position_at >= $1 then e.last_lat end as live_lat,
               case when e.last_position_at >= $1 then e.last_lng end as live_lng,
               e.end_lat, e.end_lng, e.travel_minutes_max, e.work_minutes_max, e.visits_max,
               coalesce(e.last_seen_at >= $2, false) and e.id not in (
                   select a.engineer_id from absence a
                   where a.org_id = callout_org() and a.ends_at > $3 and a.starts_at <= $3
               ) as online
        from engineer e left join territory t on t.org_id = e.org_id and t.id = e.territory_id
        where e.org_id = callout_org() and e.active{_of("e", only, 4, "id")}
        """,
        fresh,
        work.now - timedelta(minutes=ONLINE_MINUTES),
        work.now,
        *_ids(only),
    )


async def _skills(work: Work, only: Sequence[UUID] | None) -> dict[UUID, Mapping[str, int]]:
    rows = await work.fetch(
        f"""
        select s.engineer_id, array_agg(s.skill) as skills, array_agg(s.level) as levels
        from engineer_skill s where s.org_id = callout_org(){_of("s", only, 1)} group by s.engineer_id
        """,
        *_ids(only),
    )
    return {row["engineer_id"]: dict(zip(row["skills"], row["levels"], strict=True)) for row in rows}


async def _territories(work: Work, only: Sequence[UUID] | None) -> dict[UUID, frozenset[str]]:
    rows = await work.fetch(
        f"""
        select t.engineer_id, array_agg(t.territory_id::text) as territories
        from engineer_territory t where t.org_id = callout_org(){_of("t", only, 1)} group by t.engineer_id
        """,
        *_ids(only),
    )
    return {row["engineer_id"]: frozenset(row["territories"]) for row in rows}


async def _shifts(
    work: Work, window: Window, only: Sequence[UUID] | None
) -> dict[UUID, list[tuple[Any, ...]]]:
    # A shift is at most a day long, so its start finds it. Its day is the local one on which it begins.
    rows = await work.fetch(
        f"""
        select t.engineer_id, t.id, t.starts_at, t.ends_at, t.start_lat, t.start_lng, t.end_lat, t.end_lng,
               (t.starts_at at time zone o.time_zone)::date - date '2000-01-01' as day
        from shift t join organisation o on o.id = callout_org()
        where t.org_id = callout_org() and t.starts_at >= $3 and t.starts_at < $2 and t.ends_at > $1{_of("t", only, 4)}
        order by t.starts_at, t.id
        """,
        window.start,
        window.end,
        window.start - timedelta(hours=SHIFT_HOURS_MAX),
        *_ids(only),
    )
    found: dict[UUID, list[tuple[Any, ...]]] = {}
    for row in rows:
        engineer_id, *rest = row.values()
        found.setdefault(engineer_id, []).append(tuple(rest))
    return found


async def _breaks(work: Work, window: Window, only: Sequence[UUID] | None) -> dict[UUID, list[Break]]:
    """Breaks by shift, as far as they can still be taken in the window."""
    rows = await work.fetch(
        f"""
        select b.shift_id, greatest(b.earliest, $1) as earliest, b.latest, b.minutes
        from shift_break b
        where b.org_id = callout_org() and b.earliest >= $2 and b.earliest < $3
              and b.latest >= greatest(b.earliest, $1) + make_interval(mins => b.minutes){_of("b", only, 4)}
        order by b.earliest, b.id
        """,
        window.start,
        window.start - timedelta(hours=SHIFT_HOURS_MAX),
        window.end,
        *_ids(only),
    )
    found: dict[UUID, list[Break]] = {}
    for row in rows:
        found.setdefault(row["shift_id"], []).append(Break(row["earliest"], row["latest"], row["minutes"]))
    return found


async def _absences(
    work: Work, window: Window, only: Sequence[UUID] | None
) -> dict[UUID, tuple[Interval, ...]]:
    # An absence may be long, so its end finds it: old rows are not read.
    rows = await work.fetch(
        f"""
        select t.engineer_id, array_agg(greatest(t.starts_at, $1)) as starts, array_agg(least(t.ends_at, $2)) as ends
        from absence t
        where t.org_id = callout_org() and t.ends_at > $1 and t.starts_at < $2{_of("t", only, 3)} group by t.engineer_id
        """,
        window.start,
        window.end,
        *_ids(only),
    )
    return {
        row["engineer_id"]: tuple(map(Interval, row["starts"], row["ends"]))
        for row in rows
    }  # fmt: skip


async def _visits(
    work: Work, window: Window, only: Sequence[UUID] | None, without: Sequence[UUID]
) -> dict[UUID, list[_Engaged]]:
    """Visits of the window and the load's day by engineer, those that somebody leads and those of a crew."""
    stands = """
        v.org_id = callout_org() and v.scheduled_start >= $1 and v.scheduled_start < $2 and v.plan <> 'canceled'
        and v.id <> all($3::uuid[])
    """
    columns = "v.id, v.state, v.ended_at is null as live, v.scheduled_start, v.scheduled_end, v.order_id"
    rows = await work.fetch(
        f"""
        with given as (
            select v.engineer_id, {columns} from visit v
            where {stands} and v.engineer_id is not null{_of("v", only, 4)}
            union all
            select c.engineer_id, {columns} from visit_crew c join visit v on v.org_id = c.org_id and v.id = c.visit_id
            where {stands}{_of("c", only, 4)}
        )
        select g.engineer_id, g.state, g.live, g.scheduled_start, g.scheduled_end, s.lat, s.lng
        from given g
        join work_order o on o.org_id = callout_org() and o.id = g.order_id
        join site s on s.org_id = o.org_id and s.id = o.site_id
        order by g.scheduled_start, g.id
        """,
        min(
            window.start - timedelta(hours=VISIT_HOURS_MAX + SHIFT_HOURS_MAX),
            window.load_start,
        ),
        max(window.end, window.load_end),
        without,
        *_ids(only),
    )
    found: dict[UUID, list[_Engaged]] = {}
    overrun = work.now + timedelta(minutes=OVERRUN_MINUTES)
    for row in rows:
        start, end = row["scheduled_start"], row["scheduled_end"]
        busy: Busy | None = None
        if row["live"]:
            now, until = start, end
            if row["state"] in ("travelling", "in_progress"):
                now, until = min(start, work.now), max(end, overrun)
            if until > window.start and now < window.end:
                busy = Busy(now, until, _point(row["lat"], row["lng"]))
        found.setdefault(row["engineer_id"], []).append(_Engaged(start, end, busy))
    return found


async def _stock(
    work: Work, parts: Collection[str], only: Sequence[UUID] | None
) -> dict[UUID, dict[str, int]]:
    rows = await work.fetch(
        f"""
        select l.holder_id, p.code, l.quantity
        from part p join stock_level l on l.org_id = p.org_id and l.part_id = p.id
        where p.org_id = callout_org() and p.code = any($1){_of("l", only, 2, "holder_id")}
        """,
        sorted(parts),
        *_ids(only),
    )
    stock: dict[UUID, dict[str, int]] = {}
    for row in rows:
        stock.setdefault(row["holder_id"], {})[row["code"]] = row["quantity"]
    return stock
