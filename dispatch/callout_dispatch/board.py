"""The dispatcher's board: each engineer's days with visits, travel, load and idle time, and what does not fit. Reads only."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec

from callout_dispatch import policies
from callout_dispatch.board_rules import Conflict, Day, Pause, Placed, Stretch, Way, at_risk, conflicts, days
from callout_dispatch.engineer_terms import ONLINE_MINUTES
from callout_dispatch.places.speeds import travel_model
from callout_dispatch.roster import VISIT_HOURS_MAX
from callout_dispatch.texts import FieldRefused
from callout_geo.distance import haversine_m
from callout_geo.points import Point
from callout_store.errors import LimitExceeded
from callout_store.work import Work

DAYS_MAX: Final = 14
ENGINEERS_MAX: Final = 500
"""Engineers on one board; a larger organisation turns pages by `after`."""
EDGE: Final = timedelta(hours=24)
_ENGINEER: Final = """
    e.id, e.name, e.territory_id, e.active, coalesce(e.last_lat, e.home_lat) as lat,
    coalesce(e.last_lng, e.home_lng) as lng, e.active and coalesce(e.last_seen_at >= $1, false) as seen
"""


class BoardVisit(msgspec.Struct, frozen=True, kw_only=True):
    """A visit on the board with what a dispatcher reads of its order and site; a site may have no point.

    `hold` is the lock by hand; `leads` is false where the engineer of the lane only works in the crew. `crew_lacks`: so many
    more should go along. `at_risk`: little or nothing of the promise to arrive is left.
    """

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
    hold: str | None
    leads: bool
    requested_from: datetime | None
    requested_until: datetime | None
    arrived_at: datetime | None
    ended_at: datetime | None
    eta: datetime | None
    crew_lacks: int
    at_risk: bool = False


class BoardEngineer(msgspec.Struct, frozen=True, kw_only=True):
    """An engineer's lane. Minutes are of the board's stretch of time.

    `shift_minutes` is time at work (shifts less absences), `load_minutes` the planned work, `travel_minutes` the way to
    it, and `idle_minutes` what is left of the shift, never below 0. `overbooked` when there is less shift than work.
    `days` tell the same by local day; `conflicts` are what does not fit, in order of time.
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
    breaks: list[Pause]
    days: list[Day]
    conflicts: list[Conflict]


class Board(msgspec.Struct, frozen=True, kw_only=True):
    """The lanes of [start, end) by name of engineer; `end_cursor` is the engineer to go on after if there are more.

    `time_zone` is the organisation's: its days are the board's.
    """

    start: datetime
    end: datetime
    time_zone: str
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
        f"""
        select {_ENGINEER}
        from engineer e
        where e.org_id = callout_org() and ($6::uuid is null or e.id > $6)
              and (e.active or exists (
                  select 1 from visit v where v.org_id = e.org_id and v.engineer_id = e.id and v.plan <> 'canceled'
                  and v.scheduled_start >= $4 and v.scheduled_start < $3 and v.scheduled_end > $2))
        order by e.id limit $5
        """,
        work.now - timedelta(minutes=ONLINE_MINUTES),
        start,
        end,
        start - timedelta(hours=VISIT_HOURS_MAX),
        limit + 1,
        after,
    )
    shown = engineers[:limit]
    ids = [row["id"] for row in shown]
    zone, found = await _lanes(work, shown, start, end)
    return Board(
        start=start,
        end=end,
        time_zone=zone,
        engineers=sorted(found, key=lambda lane: (lane.name, lane.id)),
        end_cursor=ids[-1] if ids else None,
        has_more=len(engineers) > limit,
    )


class Moved(msgspec.Struct, frozen=True, kw_only=True):
    """A visit as if it stood elsewhere already."""

    visit_id: UUID
    engineer_id: UUID
    start: datetime
    end: datetime
    travel_minutes: float


async def lanes(
    work: Work, engineer_ids: Sequence[UUID], start: datetime, end: datetime, moved: Moved | None = None
) -> list[BoardEngineer]:
    """The lanes of these engineers, in the order of their ids; with `moved`, as they would be then."""
    rows = await work.fetch(
        f"select {_ENGINEER} from engineer e where e.org_id = callout_org() and e.id = any($2) order by e.id",
        work.now - timedelta(minutes=ONLINE_MINUTES),
        sorted(set(engineer_ids)),
    )
    return (await _lanes(work, rows, start, end, moved))[1]


async def _lanes(
    work: Work, rows: Sequence[Any], start: datetime, end: datetime, moved: Moved | None = None
) -> tuple[str, list[BoardEngineer]]:
    """The organisation's time zone, and the lanes of these rows of engineers."""
    ids = [row["id"] for row in rows]
    visits = await _visits(work, ids, start, end)
    if moved is not None:
        visits = _as_moved(visits, moved)
    # A visit at the board's edge lies in a shift that may lie beyond it.
    shifts = await _stretches(work, "shift", ids, start - EDGE, end + EDGE)
    absences = await _stretches(work, "absence", ids, start - EDGE, end + EDGE)
    breaks = await _breaks(work, ids, start, end)
    travel, policy = await travel_model(work), await policies.active(work)

    def way(origin: Point | None, target: Point | None, at: datetime) -> float:
        if origin is None or target is None:
            return policy.travel_minutes_unknown
        return travel.minutes(haversine_m(origin, target), int(travel.hour_of_week_s(int(at.timestamp()))))

    return travel.time_zone, [
        _lane(
            work,
            row,
            visits.get(row["id"], []),
            shifts.get(row["id"], []),
            absences.get(row["id"], []),
            breaks.get(row["id"], []),
            (start, end),
            ZoneInfo(travel.time_zone),
            way,
        )
        for row in rows
    ]


async def _visits(
    work: Work, engineer_ids: Sequence[UUID], start: datetime, end: datetime
) -> dict[UUID, list[BoardVisit]]:
    rows = await work.fetch(
        """
        select w.engineer_id, v.id, v.order_id, o.number as order_number, v.number, o.priority, o.kind, v.state, v.plan,
               v.scheduled_start as start, v.scheduled_end as end, coalesce(v.travel_minutes, 0) as travel_minutes,
               o.arrive_due_at, s.id as site_id, s.name as site_name, s.lat, s.lng, v.revision, v.hold,
               w.leads, o.requested_from, o.requested_until, least(v.arrived_at, v.first_on_site_at) as arrived_at,
               v.ended_at, t.eta, case when w.leads and o.crew_size > 1 then greatest(o.crew_size - 1 - (
                   select count(*) from visit_crew c where c.org_id = v.org_id and c.visit_id = v.id), 0) else 0 end
                   as crew_lacks
        from (
            select id, engineer_id, true as leads from visit
            where org_id = callout_org() and engineer_id = any($1) and plan <> 'canceled'
                  and scheduled_start >= $4 and scheduled_start < $3 and scheduled_end > $2
            union all
            select c.visit_id, c.engineer_id, false from visit_crew c
            join visit m on m.org_id = c.org_id and m.id = c.visit_id
            where c.org_id = callout_org() and c.engineer_id = any($1) and m.plan <> 'canceled'
                  and m.scheduled_start >= $4 and m.scheduled_start < $3 and m.scheduled_end > $2
        ) w
        join visit v on v.org_id = callout_org() and v.id = w.id
        join work_order o on o.org_id = v.org_id and o.id = v.order_id
        join site s on s.org_id = o.org_id and s.id = o.site_id
        left join visit_eta t on t.org_id = v.org_id and t.visit_id = v.id and v.ended_at is null
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


def _as_moved(visits: dict[UUID, list[BoardVisit]], moved: Moved) -> dict[UUID, list[BoardVisit]]:
    """The lanes with the visit in its new one, and at its new time in the lanes of those who go along."""
    after: dict[UUID, list[BoardVisit]] = {}
    for engineer_id, lane in visits.items():
        for one in lane:
            if one.id != moved.visit_id:
                after.setdefault(engineer_id, []).append(one)
                continue
            there = msgspec.structs.replace(one, start=moved.start, end=moved.end)
            if one.leads:
                there = msgspec.structs.replace(there, travel_minutes=moved.travel_minutes)
                after.setdefault(moved.engineer_id, []).append(there)
            elif engineer_id != moved.engineer_id:
                after.setdefault(engineer_id, []).append(there)
    return {id_: sorted(lane, key=lambda visit: (visit.start, visit.id)) for id_, lane in after.items()}


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


async def _breaks(
    work: Work, engineer_ids: Sequence[UUID], start: datetime, end: datetime
) -> dict[UUID, list[Pause]]:
    rows = await work.fetch(
        """
        select engineer_id, earliest, latest, minutes from shift_break
        where org_id = callout_org() and engineer_id = any($1) and earliest < $3 and latest > $2
        order by earliest, id
        """,
        list(engineer_ids),
        start,
        end,
    )
    found: dict[UUID, list[Pause]] = {}
    for row in rows:
        pause = Pause(earliest=row["earliest"], latest=row["latest"], minutes=row["minutes"])
        found.setdefault(row["engineer_id"], []).append(pause)
    return found


def _placed(visit: BoardVisit) -> Placed:
    asked = visit.requested_from, visit.requested_until
    return Placed(
        id=str(visit.id),
        start=visit.start,
        end=visit.end,
        point=None if visit.lat is None or visit.lng is None else Point(visit.lat, visit.lng),
        due_at=visit.arrive_due_at,
        requested=None if asked[0] is None or asked[1] is None else (asked[0], asked[1]),
        reached=visit.arrived_at is not None,
        over=visit.ended_at is not None,
        crew_lacks=visit.crew_lacks,
    )


def _lane(
    work: Work,
    row: Any,
    visits: list[BoardVisit],
    shifts: list[Stretch],
    absences: list[Stretch],
    breaks: list[Pause],
    window: Stretch,
    zone: ZoneInfo,
    way: Way,
) -> BoardEngineer:
    placed = [_placed(visit) for visit in visits]
    found = conflicts(placed, shifts, absences, breaks, way)
    ways = [(one, visit.travel_minutes) for one, visit in zip(placed, visits, strict=True)]
    visits = [
        msgspec.structs.replace(visit, at_risk=at_risk(one))
        for one, visit in zip(placed, visits, strict=True)
    ]
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
        shifts=_within(shifts, window),
        absences=_within(absences, window),
        visits=visits,
        shift_minutes=at_work,
        load_minutes=load,
        travel_minutes=round(travel, 2),
        idle_minutes=round(max(at_work - load - travel, 0.0), 2),
        overbooked=load > at_work,
        breaks=breaks,
        days=days(window, zone, ways, found, lambda part: minutes_within(shifts, absences, part)),
        conflicts=found,
    )


def _within(stretches: Sequence[Stretch], window: Stretch) -> list[Stretch]:
    return [(begin, finish) for begin, finish in stretches if begin < window[1] and finish > window[0]]


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
