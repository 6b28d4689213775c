"""A second opinion on picked slots: every hard rule, written again slowly and one engineer at a time.

For days as dispatchers make them: shifts and visits that do not overlap, one speed at all hours.
"""

from datetime import datetime, timedelta
from itertools import product

from callout_dispatch.pick_terms import Break, Candidate, Need, Ranked, Shift
from callout_dispatch.policy import (
    Availability,
    Capacity,
    DueDate,
    ExcludedEngineer,
    MaxTravel,
    Online,
    PartsOnVan,
    Policy,
    RequestedWindow,
    RequiredEngineer,
    Skills,
    TerritoryRule,
    VisitingHours,
)
from callout_geo.distance import haversine_m, travel_minutes
from callout_geo.points import Point

HAIR = timedelta(milliseconds=1)
"""Two formulas of one distance differ in their last digits."""
Stop = tuple[datetime, datetime, Point | None]


def broken_rules(need: Need, who: Candidate, policy: Policy, ranked: Ranked) -> list[str]:
    """The rules of the policy that this slot breaks; none, if the pick is right."""
    found = _of_the_person(need, who, policy)
    start, end = ranked.slot_start, ranked.slot_end
    if end - start != timedelta(minutes=need.duration_minutes) or start.second or start.microsecond:
        found.append("length or full minute")
    hours = need.visiting if policy.rule(VisitingHours) else None
    if hours is not None and not any(one.start <= start and end <= one.end for one in hours):
        found.append("visiting hours")
    asked = need.requested if policy.rule(RequestedWindow) else None
    if asked is not None and not asked.start <= start <= asked.end:
        found.append("requested window")
    due = policy.rule(DueDate)
    if due is not None and start > _due(need, policy) + timedelta(minutes=due.grace_minutes):
        found.append("due date")
    if need.not_before is not None and start < need.not_before:
        found.append("predecessor")
    shifts = [shift for shift in who.shifts if shift.start <= start and end <= shift.end]
    if not shifts:
        return [*found, "shift"]
    return found + _of_the_day(need, who, policy, shifts[0], start, end)


def _due(need: Need, policy: Policy) -> datetime:
    return need.due_at or need.earliest + timedelta(minutes=policy.due_minutes_default)


def _of_the_person(need: Need, who: Candidate, policy: Policy) -> list[str]:
    found = []
    if policy.rule(Skills) and any(who.skills.get(s, 0) < level for s, level in need.skills.items()):
        found.append("skills")
    territory = policy.rule(TerritoryRule)
    if territory and need.territory_id is not None and who.territory_id is not None:
        works_in = {who.territory_id, *(who.territories if territory.secondary else ())}
        if need.territory_id not in works_in:
            found.append("territory")
    if policy.rule(RequiredEngineer) and need.required and who.id not in need.required:
        found.append("required engineer")
    if policy.rule(ExcludedEngineer) and who.id in need.excluded:
        found.append("excluded engineer")
    online = policy.rule(Online)
    if online and need.priority in online.priorities and not who.online:
        found.append("online")
    if policy.rule(PartsOnVan) and any(who.van_stock.get(p, 0) < n for p, n in need.parts.items()):
        found.append("parts")
    return found


def _of_the_day(
    need: Need, who: Candidate, policy: Policy, shift: Shift, start: datetime, end: datetime
) -> list[str]:
    found = []
    stops: list[Stop] = sorted(((b.start, b.end, b.point) for b in who.busy), key=lambda stop: stop[0])
    if any(a < end and start < b for a, b, _ in stops):
        found.append("busy")
    if any(absence.start < end and start < absence.end for absence in who.absences):
        found.append("absence")
    inside = [stop for stop in stops if shift.start <= stop[0] < shift.end]
    capacity = policy.rule(Capacity)
    if capacity is not None:
        minutes = shift.done_minutes + sum((b - a).total_seconds() / 60 for a, b, _ in inside)
        if minutes + need.duration_minutes > (who.work_minutes_max or capacity.work_minutes_max):
            found.append("capacity in hours")
        if shift.done_visits + len(inside) + 1 > (who.visits_max or capacity.visits_max):
            found.append("capacity in visits")

    def way(a: Point | None, b: Point | None) -> timedelta:
        known = a is not None and b is not None
        return timedelta(
            minutes=travel_minutes(haversine_m(a, b)) if known else policy.travel_minutes_unknown  # type: ignore[arg-type]
        )

    # A visit may have begun before the shift: it counts on that day no more, but the engineer comes from it.
    around = [stop for stop in stops if stop[1] > shift.start and stop[0] < shift.end]
    before = [stop for stop in around if stop[1] <= start]
    after = [stop for stop in inside if stop[0] >= end]
    place = before[-1][2] if before else shift.start_place or who.position
    left = max([need.earliest, before[-1][1] if before else shift.start])
    legs = [(place, need.point)]
    if left + way(place, need.point) > start + HAIR:
        found.append("way there")
    home = shift.end_place or who.end_place
    if after:
        legs.append((need.point, after[0][2]))
        if end + way(need.point, after[0][2]) > after[0][0] + HAIR:
            found.append("way onward")
    elif home is not None:
        legs.append((need.point, home))
        availability = policy.rule(Availability)
        assert availability is not None
        if end + way(need.point, home) > shift.end + timedelta(minutes=availability.overtime_minutes) + HAIR:
            found.append("way back")
    furthest = policy.rule(MaxTravel)
    if furthest is not None:
        limit = timedelta(minutes=who.travel_minutes_max or furthest.minutes) + HAIR
        if any(a and b and way(a, b) > limit for a, b in legs):
            found.append("maximum travel")

    def rests(day: list[Stop], end_of_day: datetime, earliest: datetime) -> bool:
        """Whether all breaks find room between the stops of a day, each taken before setting out."""
        gaps: list[tuple[datetime, datetime]] = []
        cursor, origin = shift.start, shift.start_place or who.position
        for a, b, point in day:
            # The day's new work is not set out for before `earliest`; whatever comes before that is free time.
            late = a == start and b == end
            gaps.append((cursor, a - way(origin, point) if not late or a > earliest else a))
            cursor, origin = max(cursor, b), point
        gaps.append((cursor, end_of_day - (way(origin, home) if home is not None else timedelta())))
        return any(
            _fit(shift.breaks, chosen, gaps) for chosen in product(range(len(gaps)), repeat=len(shift.breaks))
        )

    over = timedelta(minutes=(policy.rule(Availability) or Availability()).overtime_minutes)
    planned = sorted([*around, (start, end, need.point)], key=lambda stop: stop[0])
    if rests(around, shift.end, need.earliest) and not rests(planned, shift.end + over + HAIR, need.earliest):
        found.append("break")
    return found


def _fit(breaks: tuple[Break, ...], chosen: tuple[int, ...], gaps: list[tuple[datetime, datetime]]) -> bool:
    now = [gap[0] for gap in gaps]
    for one, gap in sorted(
        zip(breaks, chosen, strict=True), key=lambda pair: (pair[0].earliest, pair[0].latest)
    ):
        rested = max(now[gap], one.earliest) + timedelta(minutes=one.minutes)
        if rested > min(one.latest, gaps[gap][1] + HAIR):
            return False
        now[gap] = rested
    return True
