"""When an engineer will be where, and whether the customer is to be told. Pure.

The standing day is followed from where the engineer is now: the visit under way first, then the others in the order of the
plan, each after the way to it and never before its planned start, with the rests that still have to be taken in between.
"""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Final, Literal

import msgspec

from callout_geo.points import Point

OVERRUN_MINUTES: Final = 15
"""Somebody still on site after the planned work is expected to need so much longer, seen from now."""
ARRIVING_MINUTES: Final = 1
"""Somebody on the way who should be there by now is expected in so many minutes."""

FORGOTTEN: Final = timedelta(hours=4)
"""A visit that nobody set out for is followed so long after its planned end; then it is forgotten, not late."""
LEFT_OPEN: Final = timedelta(hours=12)
"""So long after they should be over, a way or a job that nobody ended says nothing of where the engineer is."""

Stage = Literal["waiting", "travelling", "on_site"]
Because = Literal["departed", "arrived", "finished", "plan", "clock"]
"""Why an ETA was reckoned anew: somebody set out, reached a site (late, perhaps), ended a job, the plan changed, or five
minutes passed."""

Way = Callable[[Point | None, Point | None, datetime], float]
"""Minutes on the road between two places for somebody who sets out then; an unknown place counts as the policy assumes."""


class Due(msgspec.Struct, frozen=True, kw_only=True):
    """A visit that has not ended: its plan, how far it is, and what the customer knows.

    `promised_until`: the end of the window that was asked for, None where there is none. `told_eta`: what the customer was
    told last; before that they know the planned start. `missed`: they know already that the window is missed.
    """

    id: str
    point: Point | None
    start: datetime
    end: datetime
    stage: Stage
    travelling_at: datetime | None = None
    arrived_at: datetime | None = None
    promised_until: datetime | None = None
    told_eta: datetime | None = None
    missed: bool = False


class Rest(msgspec.Struct, frozen=True, kw_only=True):
    """A break of so many minutes that still has to be taken within [earliest, latest]."""

    earliest: datetime
    latest: datetime
    minutes: int


class Whereabouts(msgspec.Struct, frozen=True, kw_only=True):
    """Where the engineer was last known to be, and `at` which instant."""

    point: Point | None
    at: datetime


class Expected(msgspec.Struct, frozen=True, kw_only=True):
    """When the engineer is expected at a visit, and sets out for it; `way_minutes` is the leg's, which starts at `origin`.

    `late_minutes`: after the planned start. `done`: when the work there will be over.
    """

    visit_id: str
    eta: datetime
    leaves: datetime
    origin: Point | None
    way_minutes: float
    late_minutes: float
    done: datetime


def followed(visit: Due, now: datetime) -> bool:
    """Whether a visit still belongs to the engineer's day: yesterday's, which nobody ended, does not delay all of today's."""
    length = visit.end - visit.start
    if visit.stage == "waiting":
        return now <= visit.end + FORGOTTEN
    begun = visit.arrived_at if visit.stage == "on_site" else visit.travelling_at
    return now <= (begun or visit.start) + length + LEFT_OPEN


def expect(
    visits: Sequence[Due], where: Whereabouts, rests: Sequence[Rest], way: Way, now: datetime
) -> list[Expected]:
    """The expected arrivals at the visits that were not reached yet, in the order in which they will be.

    Visits under way come first, whatever the plan says; the others go by planned start. Never before now.
    """
    found: list[Expected] = []
    free, place = max(where.at, now), where.point
    for visit in sorted((v for v in visits if v.stage == "on_site"), key=_order):
        begun = visit.arrived_at or visit.start
        planned_end = begun + (visit.end - visit.start)
        # Overdue work ends soon, but not at once: how soon nobody knows.
        free = max(free, planned_end if planned_end > now else now + timedelta(minutes=OVERRUN_MINUTES))
        place = visit.point
    left = sorted(rests, key=lambda rest: rest.earliest)
    ahead = sorted(
        (v for v in visits if v.stage != "on_site"), key=lambda v: (v.stage != "travelling", *_order(v))
    )
    for visit in ahead:
        if visit.stage == "travelling":
            leaves, origin, minutes, eta = _on_the_way(visit, where, place, way, now)
        else:
            free, left = _rested(left, free, visit, place, way)
            origin = place
            minutes = way(place, visit.point, free)
            leaves = max(free, visit.start - timedelta(minutes=minutes))
            eta = max(free + timedelta(minutes=minutes), visit.start)
        done = eta + (visit.end - visit.start)
        late = (eta - visit.start).total_seconds() / 60
        found.append(
            Expected(
                visit_id=visit.id,
                eta=eta,
                leaves=leaves,
                origin=origin,
                way_minutes=minutes,
                late_minutes=max(late, 0.0),
                done=done,
            )
        )
        free, place = done, visit.point
    return found


def tell(
    visit: Due, eta: datetime, tell_minutes: float, because: Because = "plan"
) -> Literal["nothing", "changed", "missed"]:
    """Whether the customer is to be told: on a change of more than `tell_minutes`, or a window that will be missed.

    A missed window is told once; so is each change, measured against what they were told last. Where only the clock moves on
    and nobody has set out, a delay is told again only once it has doubled: else there would be a message every quarter of an
    hour from an engineer of whom nothing is heard.
    """
    if visit.promised_until is not None and eta > visit.promised_until and not visit.missed:
        return "missed"
    known = visit.told_eta or visit.start
    least = timedelta(minutes=tell_minutes)
    if because == "clock" and visit.stage == "waiting":
        least = max(least, known - visit.start)
    if abs(eta - known) > least:
        return "changed"
    return "nothing"


def minutes_away(eta: datetime, now: datetime) -> int:
    """Whole minutes until then, rounded up, never below 0: what a customer reads."""
    return max(0, -(-int((eta - now).total_seconds()) // 60))


def _order(visit: Due) -> tuple[datetime, str]:
    return visit.start, visit.id


def _on_the_way(
    visit: Due, where: Whereabouts, place: Point | None, way: Way, now: datetime
) -> tuple[datetime, Point | None, float, datetime]:
    """When they set out, where what is left of the way starts, its minutes, and when they are there."""
    set_out = visit.travelling_at or now
    if where.at >= set_out:
        # Heard of since: what is left of the way counts from there and then.
        leaves, start, origin = set_out, where.at, where.point
    else:
        leaves, start, origin = set_out, set_out, place
    minutes = way(origin, visit.point, start)
    eta = start + timedelta(minutes=minutes)
    if eta <= now:
        eta = now + timedelta(minutes=ARRIVING_MINUTES)
    return leaves, origin, minutes, eta


def _rested(
    rests: list[Rest], free: datetime, visit: Due, place: Point | None, way: Way
) -> tuple[datetime, list[Rest]]:
    """Take the rests that come before the next visit: those that fit before it is due, and those that cannot wait."""
    left: list[Rest] = []
    for rest in rests:
        length = timedelta(minutes=rest.minutes)
        begin = max(free, rest.earliest)
        if begin + length > rest.latest:
            # Its time is over: it was taken, or it is lost; it delays nobody.
            continue
        reaches = free + timedelta(minutes=way(place, visit.point, free))
        in_time = begin + length + (reaches - free) <= visit.start
        last_chance = max(reaches, visit.start) + (visit.end - visit.start) + length > rest.latest
        if in_time or last_chance:
            free = begin + length
        else:
            left.append(rest)
    return free, left
