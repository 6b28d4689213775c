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
from callout_dispatch.pick_terms import Busy, Candidate, Interval
from callout_geo.points import Point
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
) -> Roster:
    """All active engineers (or those named) with what they have to do in the window.

    `parts` are codes; only their van stock is read. `without_visit` is the visit that is about to move.
    """
    only = None if engineer_ids is None else sorted(engineer_ids)
    engineers = await _engineers(work, window, only)
    skills = await _skills(work, only)
    shifts = await _stretches(work, "shift", window, only)
    absences = await _stretches(work, "absence", window, only)
    busy, load = await _visits(work, window, only, without_visit)
    stock = await _stock(work, parts, only) if parts else {}
    nothing: Mapping[str, int] = {}
    return Roster(
        Candidate(
            id=str(id_),
            name=row["name"],
            position=Point(row["lat"], row["lng"]),
            skills=skills.get(id_, nothing),
            shifts=shifts.get(id_, ()),
            absences=absences.get(id_, ()),
            busy=tuple(busy.get(id_, ())),
            load_minutes=load.get(id_, 0.0),
            territory_id=row["territory_id"],
            online=row["online"],
            van_stock=stock.get(id_, nothing),
        )
        for row in engineers
        if (id_ := row["id"]) is not None
    )


def _of(alias: str, only: Sequence[UUID] | None, place: int, column: str = "engineer_id") -> str:
    """The condition on engineers. Two statements instead of `$n is null or …`, which no index could serve."""
    return "" if only is None else f" and {alias}.{column} = any(${place}::uuid[])"


async def _engineers(work: Work, window: Window, only: Sequence[UUID] | None) -> Sequence[Any]:
    fresh = window.start - timedelta(minutes=POSITION_MINUTES)
    return await work.fetch(
        f"""
        select e.id, e.name, e.territory_id::text as territory_id,
               case when e.last_position_at >= $1 then e.last_lat else e.home_lat end as lat,
               case when e.last_position_at >= $1 then e.last_lng else e.home_lng end as lng,
               coalesce(e.last_seen_at >= $2, false) and e.id not in (
                   select a.engineer_id from absence a
                   where a.org_id = callout_org() and a.ends_at > $3 and a.starts_at <= $3
               ) as online
        from engineer e where e.org_id = callout_org() and e.active{_of("e", only, 4, "id")}
        """,
        fresh,
        work.now - timedelta(minutes=ONLINE_MINUTES),
        work.now,
        *([] if only is None else [only]),
    )


async def _skills(work: Work, only: Sequence[UUID] | None) -> dict[UUID, Mapping[str, int]]:
    rows = await work.fetch(
        f"""
        select s.engineer_id, array_agg(s.skill) as skills, array_agg(s.level) as levels
        from engineer_skill s where s.org_id = callout_org(){_of("s", only, 1)} group by s.engineer_id
        """,
        *([] if only is None else [only]),
    )
    return {row["engineer_id"]: dict(zip(row["skills"], row["levels"], strict=True)) for row in rows}


async def _stretches(
    work: Work, table: str, window: Window, only: Sequence[UUID] | None
) -> dict[UUID, tuple[Interval, ...]]:
    # A shift is at most a day long, so its start finds it; an absence may be long, so its end does. Either way old
    # rows are not read.
    found = "t.starts_at >= $3 and t.starts_at < $2 and t.ends_at > $1" if table == "shift" else (
        "t.ends_at > $1 and t.starts_at < $2 and $3::timestamptz is not null"
    )  # fmt: skip
    rows = await work.fetch(
        f"""
        select t.engineer_id, array_agg(greatest(t.starts_at, $1)) as starts, array_agg(least(t.ends_at, $2)) as ends
        from {table} t where t.org_id = callout_org() and {found}{_of("t", only, 4)} group by t.engineer_id
        """,
        window.start,
        window.end,
        window.start - timedelta(hours=SHIFT_HOURS_MAX),
        *([] if only is None else [only]),
    )
    return {
        row["engineer_id"]: tuple(map(Interval, row["starts"], row["ends"]))
        for row in rows
    }  # fmt: skip


async def _visits(
    work: Work, window: Window, only: Sequence[UUID] | None, without: UUID | None
) -> tuple[dict[UUID, list[Busy]], dict[UUID, float]]:
    """What is still to do in the window, and the minutes of work of the load's day, by engineer."""
    rows = await work.fetch(
        f"""
        select v.engineer_id, v.state, v.ended_at is null as live, v.scheduled_start, v.scheduled_end, s.lat, s.lng
        from visit v
        join work_order o on o.org_id = v.org_id and o.id = v.order_id
        join site s on s.org_id = o.org_id and s.id = o.site_id
        where v.org_id = callout_org() and v.scheduled_start >= $1 and v.scheduled_start < $2
              and v.engineer_id is not null and v.plan <> 'canceled' and v.id is distinct from $3{_of("v", only, 4)}
        """,
        min(window.start - timedelta(hours=VISIT_HOURS_MAX), window.load_start),
        max(window.end, window.load_end),
        without,
        *([] if only is None else [only]),
    )
    busy: dict[UUID, list[Busy]] = {}
    load: dict[UUID, float] = {}
    overrun = work.now + timedelta(minutes=OVERRUN_MINUTES)
    for row in rows:
        engineer_id, start, end = row["engineer_id"], row["scheduled_start"], row["scheduled_end"]
        if window.load_start <= start < window.load_end:
            load[engineer_id] = load.get(engineer_id, 0.0) + (end - start).total_seconds() / 60.0
        if not row["live"]:
            continue
        if row["state"] in ("travelling", "in_progress"):
            start, end = min(start, work.now), max(end, overrun)
        if end > window.start and start < window.end:
            point = None if row["lat"] is None else Point(row["lat"], row["lng"])
            busy.setdefault(engineer_id, []).append(Busy(start, end, point))
    return busy, load


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
        *([] if only is None else [only]),
    )
    stock: dict[UUID, dict[str, int]] = {}
    for row in rows:
        stock.setdefault(row["holder_id"], {})[row["code"]] = row["quantity"]
    return stock
