"""The dispatcher's board: each engineer's visits, travel and load, and what of a shift stays idle. Reads only."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

import msgspec

from callout_dispatch.engineer_terms import ONLINE_MINUTES
from callout_dispatch.roster import VISIT_HOURS_MAX
from callout_dispatch.texts import FieldRefused
from callout_store.errors import LimitExceeded
from callout_store.work import Work

DAYS_MAX: Final = 14
ENGINEERS_MAX: Final = 500
"""Engineers on one board; a larger organisation turns pages by `after`."""

Stretch = tuple[datetime, datetime]


class BoardVisit(msgspec.Struct, frozen=True, kw_only=True):
    """A visit on the board with what a dispatcher reads of its order and site; a site may have no point."""

    id: UUID
    order_id: UUID
    order_number: str
    number: int
    priority: str
    kind: str
    state: str
    plan: str
    start: datetime
    end: datetime
    travel_minutes: float
    arrive_due_at: datetime
    site_id: UUID
    site_name: str
    lat: float | None
    lng: float | None
    revision: int


class BoardEngineer(msgspec.Struct, frozen=True, kw_only=True):
    """An engineer's lane. Minutes are of the board's stretch of time.

    `shift_minutes` is time at work (shifts less absences), `load_minutes` the planned work, `travel_minutes` the way to
    it, and `idle_minutes` what is left of the shift, never below 0. `overbooked` when there is less shift than work.
    """

    id: UUID
    name: str
    territory_id: UUID | None
    online: bool
    active: bool
    lat: float
    lng: float
    shifts: list[Stretch]
    absences: list[Stretch]
    visits: list[BoardVisit]
    shift_minutes: float
    load_minutes: float
    travel_minutes: float
    idle_minutes: float
    overbooked: bool


class Board(msgspec.Struct, frozen=True, kw_only=True):
    """The lanes of [start, end) by name of engineer; `end_cursor` is the engineer to go on after if there are more."""

    start: datetime
    end: datetime
    engineers: list[BoardEngineer]
    end_cursor: UUID | None
    has_more: bool


async def board(
    work: Work, start: datetime, end: datetime, *, after: UUID | None = None, limit: int = ENGINEERS_MAX
) -> Board:
    """The board of [start, end): engineers in service, and those out of service who have visits in it.

    Canceled visits are not on it. Pages go by engineer's id. Raises BadField, LimitExceeded.
    """
    for path, at in (("start", start), ("end", end)):
        if at.tzinfo is None:
            raise FieldRefused(path, "no_zone")
    if end <= start:
        raise FieldRefused("end", "ends_early")
    if end - start > timedelta(days=DAYS_MAX):
        raise FieldRefused("end", "days_max", limit=DAYS_MAX)
    if not 1 <= limit <= ENGINEERS_MAX:
        raise LimitExceeded(what="engineers", limit=ENGINEERS_MAX, given=limit)
    engineers = await work.fetch(
        """
        select e.id, e.name, e.territory_id, e.active, coalesce(e.last_lat, e.home_lat) as lat,
               coalesce(e.last_lng, e.home_lng) as lng, e.active and coalesce(e.last_seen_at >= $3, false) as seen
        from engineer e
        where e.org_id = callout_org() and ($6::uuid is null or e.id > $6)
              and (e.active or exists (
                  select 1 from visit v where v.org_id = e.org_id and v.engineer_id = e.id and v.plan <> 'canceled'
                  and v.scheduled_start >= $4 and v.scheduled_start < $2 and v.scheduled_end > $1))
        order by e.id limit $5
        """,
        start,
        end,
        work.now - timedelta(minutes=ONLINE_MINUTES),
        start - timedelta(hours=VISIT_HOURS_MAX),
        limit + 1,
        after,
    )
    shown = engineers[:limit]
    ids = [row["id"] for row in shown]
    visits = await _visits(work, ids, start, end)
    shifts = await _stretches(work, "shift", ids, start, end)
    absences = await _stretches(work, "absence", ids, start, end)
    lanes = [
        _lane(
            work,
            row,
            visits.get(row["id"], []),
            shifts.get(row["id"], []),
            absences.get(row["id"], []),
            (start, end),
        )
        for row in shown
    ]
    return Board(
        start=start,
        end=end,
        engineers=sorted(lanes, key=lambda lane: (lane.name, lane.id)),
        end_cursor=ids[-1] if ids else None,
        has_more=len(engineers) > limit,
    )


async def _visits(
    work: Work, engineer_ids: Sequence[UUID], start: datetime, end: datetime
) -> dict[UUID, list[BoardVisit]]:
    rows = await work.fetch(
        """
        select v.engineer_id, v.id, v.order_id, o.number as order_number, v.number, o.priority, o.kind, v.state, v.plan,
               v.scheduled_start as start, v.scheduled_end as end, coalesce(v.travel_minutes, 0) as travel_minutes,
               o.arrive_due_at, s.id as site_id, s.name as site_name, s.lat, s.lng, v.revision
        from visit v
        join work_order o on o.org_id = v.org_id and o.id = v.order_id
        join site s on s.org_id = o.org_id and s.id = o.site_id
        where v.org_id = callout_org() and v.engineer_id = any($1) and v.plan <> 'canceled'
              and v.scheduled_start >= $4 and v.scheduled_start < $3 and v.scheduled_end > $2
        order by v.scheduled_start, v.id
        """,
        list(engineer_ids),
        start,
        end,
        start - timedelta(hours=VISIT_HOURS_MAX),
    )
    found: dict[UUID, list[BoardVisit]] = {}
    for row in rows:
        values = dict(row)
        found.setdefault(values.pop("engineer_id"), []).append(BoardVisit(**values))
    return found


async def _stretches(
    work: Work, table: str, engineer_ids: Sequence[UUID], start: datetime, end: datetime
) -> dict[UUID, list[Stretch]]:
    rows = await work.fetch(
        f"""
        select engineer_id, starts_at, ends_at from {table}
        where org_id = callout_org() and engineer_id = any($1) and starts_at < $3 and ends_at > $2
        order by starts_at, id
        """,
        list(engineer_ids),
        start,
        end,
    )
    found: dict[UUID, list[Stretch]] = {}
    for row in rows:
        found.setdefault(row["engineer_id"], []).append((row["starts_at"], row["ends_at"]))
    return found


def _lane(
    work: Work,
    row: Any,
    visits: list[BoardVisit],
    shifts: list[Stretch],
    absences: list[Stretch],
    window: Stretch,
) -> BoardEngineer:
    at_work = minutes_within(shifts, absences, window)
    load = sum(_minutes(max(v.start, window[0]), min(v.end, window[1])) for v in visits)
    travel = sum(visit.travel_minutes for visit in visits)
    away = any(begin <= work.now < finish for begin, finish in absences)
    return BoardEngineer(
        id=row["id"],
        name=row["name"],
        territory_id=row["territory_id"],
        online=row["seen"] and not away,
        active=row["active"],
        lat=row["lat"],
        lng=row["lng"],
        shifts=shifts,
        absences=absences,
        visits=visits,
        shift_minutes=at_work,
        load_minutes=load,
        travel_minutes=round(travel, 2),
        idle_minutes=round(max(at_work - load - travel, 0.0), 2),
        overbooked=load > at_work,
    )


def minutes_within(shifts: Sequence[Stretch], absences: Sequence[Stretch], window: Stretch) -> float:
    """Minutes of the window that lie in a shift and in no absence, each counted once."""
    edges: list[tuple[datetime, int, int]] = []
    for begin, finish in shifts:
        edges += [(begin, 1, 0), (finish, -1, 0)]
    for begin, finish in absences:
        edges += [(begin, 0, 1), (finish, 0, -1)]
    total, on, off = 0.0, 0, 0
    since = window[0]
    for at, shift, absence in sorted(edges, key=lambda edge: edge[0]):
        reached = min(max(at, window[0]), window[1])
        if on > 0 and off == 0:
            total += _minutes(since, reached)
        since = reached
        on, off = on + shift, off + absence
    return total


def _minutes(start: datetime, end: datetime) -> float:
    return max((end - start).total_seconds(), 0.0) / 60.0
