"""Expected arrivals, kept up to date: on departure, at the end of a job, on a change of the plan, and every five minutes.

A hook over the journal's lines sets one durable timer for each engineer concerned; the worker that it wakes reads the
engineer's day, follows it by `rules.expect`, stores what changed, and owes the customer a word only where `rules.tell`
says so. Nothing here touches a visit's row: an ETA is no change of the plan.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

import msgspec

from callout_dispatch import policies
from callout_dispatch.arrivals.rules import (
    Because,
    Due,
    Expected,
    Rest,
    Stage,
    Whereabouts,
    expect,
    followed,
    minutes_away,
    tell,
)
from callout_dispatch.arrivals.texts import told_texts
from callout_dispatch.places.legs import Leg
from callout_dispatch.policy import Policy
from callout_dispatch.roster import POSITION_MINUTES
from callout_dispatch.visit_rows import visit_entry
from callout_geo.distance import haversine_m
from callout_geo.points import Point
from callout_geo.travel import Travel
from callout_store import journal, timers
from callout_store.work import Work

CHANNEL: Final = "eta"
EVERY: Final = timedelta(minutes=5)
BEFORE: Final = timedelta(hours=2)
"""So long before a visit its engineer is looked at every five minutes."""
BACK: Final = timedelta(hours=36)
"""Visits whose planned start lies further back do not belong to this day any more."""
AHEAD: Final = timedelta(hours=18)
LEFT_SINCE: Final = timedelta(hours=12)
"""Where somebody ended a job longer ago is not where they are."""
VISITS_MAX: Final = 200
"""Visits of one engineer that are looked at; nobody has as many in a day."""

STAGES: Final[Mapping[str, Stage]] = {"travelling": "travelling", "in_progress": "on_site"}
_BECAUSE: Final[Mapping[str, Because]] = {
    "travelling": "departed",
    "in_progress": "arrived",
    "completed": "finished",
    "could_not_complete": "finished",
}
_PLAN_KINDS: Final = frozenset(
    {
        "visit.scheduled",
        "visit.dispatched",
        "visit.moved",
        "visit.reassigned",
        "visit.canceled",
        "visit.displaced",
        "visit.crew_set",
    }
)


class Situation(msgspec.Struct, frozen=True, kw_only=True):
    """An engineer's day as far as it is still ahead, and what is needed to follow it."""

    engineer_id: UUID
    visits: list[Due]
    order_ids: Mapping[str, UUID]
    where: Whereabouts
    rests: list[Rest]
    policy: Policy
    travel: Travel


def engineers_concerned(work: Work, lines: Iterable[tuple[UUID, Any]]) -> dict[UUID, Because]:
    """The engineers whose expected arrivals may have changed by these journal lines, and why."""
    found: dict[UUID, Because] = {}
    for _, entry in lines:
        if entry.kind == "visit.state_changed":
            because = _BECAUSE.get(str(entry.data.get("to")))
            # The one who leads the visit and the one who reported it, who may be of the crew, or not on the telephone.
            for engineer_id in (entry.data.get("engineerId"), work.actor.engineer_id):
                if because is not None and engineer_id is not None:
                    found[UUID(str(engineer_id))] = because
        elif entry.kind in _PLAN_KINDS:
            concerned = [entry.data.get(name) for name in ("engineerId", "fromEngineerId", "toEngineerId")]
            concerned += [id_ for name in ("joined", "left") for id_ in entry.data.get(name, ())]
            for engineer_id in concerned:
                if engineer_id is not None:
                    found.setdefault(UUID(str(engineer_id)), "plan")
    return found


async def look_again(work: Work, lines: list[tuple[UUID, Any]]) -> None:
    """The hook over a unit of work's journal lines: the engineers concerned are looked at as soon as it has committed."""
    concerned = engineers_concerned(work, lines)
    if concerned:
        timers.move_later(work, [_timer(id_, None, because) for id_, because in concerned.items()])
        work.owes = True


async def situation(work: Work, engineer_id: UUID, travel: Travel) -> Situation:
    """The engineer's visits that have not ended, where they are, and the breaks still ahead. Reads only.

    Besides those of the next hours there are those that were put off to a later day: their customers expect somebody.
    """
    rows = await work.fetch(
        """
        select v.id, v.order_id, v.state, v.scheduled_start, v.scheduled_end, v.travelling_at,
               least(v.arrived_at, v.first_on_site_at) as arrived_at, s.lat, s.lng, o.requested_until,
               t.told_eta, t.missed_at
        from visit v
        join work_order o on o.org_id = v.org_id and o.id = v.order_id
        join site s on s.org_id = o.org_id and s.id = o.site_id
        left join visit_eta t on t.org_id = v.org_id and t.visit_id = v.id
        where v.org_id = callout_org() and v.ended_at is null and v.plan <> 'canceled'
              and (v.plan = 'dispatched' or v.state <> 'scheduled')
              and v.scheduled_start >= $2 and (v.scheduled_start < $3 or t.eta <> v.scheduled_start)
              and (v.engineer_id = $1 or exists (
                  select 1 from visit_crew c
                  where c.org_id = v.org_id and c.visit_id = v.id and c.engineer_id = $1))
        order by v.scheduled_start, v.id limit $4
        """,
        engineer_id,
        work.now - BACK,
        work.now + AHEAD,
        VISITS_MAX,
    )
    visits = [
        Due(
            id=str(row["id"]),
            point=None if row["lat"] is None else Point(row["lat"], row["lng"]),
            start=row["scheduled_start"],
            end=row["scheduled_end"],
            stage=STAGES.get(row["state"], "waiting"),
            travelling_at=row["travelling_at"],
            arrived_at=row["arrived_at"],
            promised_until=row["requested_until"],
            told_eta=row["told_eta"],
            missed=row["missed_at"] is not None,
        )
        for row in rows
    ]
    return Situation(
        engineer_id=engineer_id,
        visits=[visit for visit in visits if followed(visit, work.now)],
        order_ids={str(row["id"]): row["order_id"] for row in rows},
        where=await _whereabouts(work, engineer_id),
        rests=await _rests(work, engineer_id),
        policy=await policies.active(work),
        travel=travel,
    )


def places(given: Situation) -> list[Point]:
    """All places that the engineer may yet go between, each once."""
    points = [given.where.point, *(visit.point for visit in given.visits)]
    return list(dict.fromkeys(point for point in points if point is not None))


def follow(given: Situation, now: datetime, legs: Mapping[tuple[Point, Point], Leg] = {}) -> list[Expected]:
    """The expected arrivals. `legs` are the ways that a routing service was asked for; the others are estimated."""

    def way(start: Point | None, end: Point | None, at: datetime) -> float:
        if start is None or end is None:
            return given.policy.travel_minutes_unknown
        leg = legs.get((start, end))
        if leg is not None:
            return leg.seconds / 60
        hour = given.travel.hour_of_week(int(at.timestamp() * 1_000_000))
        return float(given.travel.minutes(haversine_m(start, end), hour))

    return expect(given.visits, given.where, given.rests, way, now)


async def store(
    work: Work,
    given: Situation,
    found: list[Expected],
    because: Because,
    legs: Mapping[tuple[Point, Point], Leg] = {},
) -> list[UUID]:
    """Store expected arrivals and owe the customers a word where they must hear of it; the visits they hear of.

    A crew member's look does not overrule that of the engineer who leads the visit. What the customer knows at first is the
    planned start as it was then: of a visit that is moved they hear once.
    """
    if not found:
        return []
    due = {visit.id: visit for visit in given.visits}
    rows = await work.fetch(
        """
        insert into visit_eta (visit_id, eta, computed_at, because, provider, told_eta)
        select v.id, t.eta, $3, $4, t.provider, v.scheduled_start
        from unnest($1::uuid[], $2::timestamptz[], $5::text[]) as t(id, eta, provider)
        join visit v on v.org_id = callout_org() and v.id = t.id and v.ended_at is null and v.engineer_id = $6
        order by v.id
        on conflict (org_id, visit_id) do update
        set eta = excluded.eta, computed_at = excluded.computed_at, because = excluded.because,
            provider = excluded.provider
        where visit_eta.computed_at <= excluded.computed_at
        returning visit_id, told_eta, missed_at
        """,
        [UUID(one.visit_id) for one in found],
        [one.eta for one in found],
        work.now,
        because,
        [_provider(one, due[one.visit_id], legs) for one in found],
        given.engineer_id,
    )
    # What was told meanwhile by another worker stands in the rows that were just locked, not in what was read before.
    known = {str(row["visit_id"]): row for row in rows}
    entries: list[journal.Entry] = []
    told: list[UUID] = []
    missed: list[UUID] = []
    for one in found:
        row = known.get(one.visit_id)
        if row is None:
            continue
        visit = msgspec.structs.replace(
            due[one.visit_id], told_eta=row["told_eta"], missed=row["missed_at"] is not None
        )
        verdict = tell(visit, one.eta, given.policy.eta_tell_minutes, because)
        if verdict == "nothing":
            continue
        visit_id = UUID(one.visit_id)
        told.append(visit_id)
        if verdict == "missed":
            missed.append(visit_id)
        entries.append(
            visit_entry(
                "visit.window_missed" if verdict == "missed" else "visit.eta_told",
                visit_id,
                given.order_ids[one.visit_id],
                eta=one.eta,
                before=visit.told_eta or visit.start,
                minutesAway=minutes_away(one.eta, work.now),
                stage=visit.stage,
                texts=told_texts(verdict, one.eta, work.now, given.travel.time_zone),
            )
        )
    if told:
        await work.execute(
            """
            update visit_eta set told_eta = eta, told_at = $2,
                missed_at = case when visit_id = any($3) then coalesce(missed_at, $2) else missed_at end
            where org_id = callout_org() and visit_id = any($1)
            """,
            sorted(told),
            work.now,
            missed,
        )
        await journal.write_many(work, entries)
    return told


def _provider(one: Expected, visit: Due, legs: Mapping[tuple[Point, Point], Leg]) -> str:
    """Who reckoned the way to a visit."""
    if one.origin is None or visit.point is None:
        return "none"
    leg = legs.get((one.origin, visit.point))
    return "estimate" if leg is None else leg.provider


async def note_later(work: Work, engineer_id: UUID) -> datetime | None:
    """Note what customers of later days know, that they hear of it if it changes; the next planned start of those days."""
    await work.execute(
        """
        insert into visit_eta (visit_id, eta, computed_at, because, provider, told_eta)
        select v.id, v.scheduled_start, $3, 'plan', 'none', v.scheduled_start from visit v
        where v.org_id = callout_org() and v.engineer_id = $1 and v.ended_at is null and v.plan = 'dispatched'
              and v.scheduled_start >= $2
        order by v.id
        on conflict (org_id, visit_id) do nothing
        """,
        engineer_id,
        work.now + AHEAD,
        work.now,
    )
    later: datetime | None = await work.fetchval(
        """
        select min(scheduled_start) from visit
        where org_id = callout_org() and engineer_id = $1 and ended_at is null and plan = 'dispatched'
              and scheduled_start >= $2
        """,
        engineer_id,
        work.now + AHEAD,
    )
    return later


async def arm_next(work: Work, engineer_id: UUID, given: Situation, epoch: int) -> bool:
    """Set the next look: five minutes from now while a visit ahead starts soon or should have, else two hours before the
    next one, be it days from now. Whether it was set: not where the engineer's timer was moved since it fired in `epoch`,
    because whoever set out meanwhile is looked at at once."""
    later = await note_later(work, engineer_id)
    ahead = [visit.start for visit in given.visits if visit.stage != "on_site"]
    first = min([*ahead, *([later] if later is not None else [])], default=None)
    if first is None:
        return False
    pause = max(first - BEFORE - work.now, EVERY)
    due_at = await work.fetchval("select now() + $1::interval", pause)
    key, _, _, payload = _timer(engineer_id, due_at, "clock")
    return await timers.again(work, key=key, epoch=epoch, due_at=due_at, payload=payload)


def _timer(
    engineer_id: UUID, due_at: datetime | None, because: Because
) -> tuple[str, datetime | None, str, Mapping[str, Any]]:
    return f"eta:{engineer_id}", due_at, CHANNEL, {"engineerId": str(engineer_id), "because": because}


async def _whereabouts(work: Work, engineer_id: UUID) -> Whereabouts:
    """The newest of: the last position, the site they left last, and where a shift starts (their home)."""
    long_ago = work.now - LEFT_SINCE
    row = await work.fetchrow(
        """
        select e.home_lat, e.home_lng, e.last_lat, e.last_lng, e.last_position_at,
               l.lat as left_lat, l.lng as left_lng, l.ended_at as left_at
        from engineer e
        left join lateral (
            select s.lat, s.lng, v.ended_at from visit v
            join work_order o on o.org_id = v.org_id and o.id = v.order_id
            join site s on s.org_id = o.org_id and s.id = o.site_id
            where v.org_id = e.org_id and v.engineer_id = e.id and v.ended_at >= $2 and v.plan <> 'canceled'
            order by v.ended_at desc limit 1
        ) l on true
        where e.org_id = callout_org() and e.id = $1
        """,
        engineer_id,
        long_ago,
    )
    if row is None:
        return Whereabouts(point=None, at=long_ago)
    seen, left = row["last_position_at"], row["left_at"]
    if seen is not None and seen < work.now - timedelta(minutes=POSITION_MINUTES):
        seen = None
    if seen is not None and (left is None or seen >= left):
        return Whereabouts(point=Point(row["last_lat"], row["last_lng"]), at=min(seen, work.now))
    if left is not None:
        point = None if row["left_lat"] is None else Point(row["left_lat"], row["left_lng"])
        return Whereabouts(point=point, at=min(left, work.now))
    # Nobody was heard of at home just now: for somebody on the way that would begin the way anew at every look.
    return Whereabouts(point=Point(row["home_lat"], row["home_lng"]), at=long_ago)


async def _rests(work: Work, engineer_id: UUID) -> list[Rest]:
    rows = await work.fetch(
        """
        select earliest, latest, minutes from shift_break
        where org_id = callout_org() and engineer_id = $1 and latest > $2 and earliest < $3
        order by earliest limit 20
        """,
        engineer_id,
        work.now,
        work.now + AHEAD,
    )
    return [Rest(earliest=row["earliest"], latest=row["latest"], minutes=row["minutes"]) for row in rows]
