"""What is wrong with an engineer's days as they stand, and what each day holds. Pure.

A dispatcher who forces a visit, an absence that comes in later, a customer's new window: the board shows what no longer
fits, with the visit that it is about. Nothing here refuses anything.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from typing import Final
from zoneinfo import ZoneInfo

import msgspec

from callout_geo.points import Point

GRACE_MINUTES: Final = 1.0
"""Less than a minute too late is rounding, not a conflict."""
AT_RISK_MINUTES: Final = 30.0
"""A planned start that leaves less time before the promise runs out is at risk."""

Stretch = tuple[datetime, datetime]
Way = Callable[[Point | None, Point | None, datetime], float]


class ConflictCode(StrEnum):
    """What does not fit. Stable; the board's clients colour by it."""

    OVERLAP = "OVERLAP"
    """Two visits at one time."""
    OUTSIDE_SHIFT = "OUTSIDE_SHIFT"
    ABSENT = "ABSENT"
    WAY_TOO_SHORT = "WAY_TOO_SHORT"
    """Not enough time for the way from the visit before."""
    NO_ROOM_FOR_BREAK = "NO_ROOM_FOR_BREAK"
    OUTSIDE_WINDOW = "OUTSIDE_WINDOW"
    """Not within the time that the customer asked for."""
    AFTER_DUE = "AFTER_DUE"
    """Planned after the promise to arrive runs out."""
    CREW_INCOMPLETE = "CREW_INCOMPLETE"
    """Fewer go there than the work needs."""


CONFLICT_TEXTS: Final[Mapping[ConflictCode, Mapping[str, str]]] = {
    ConflictCode.OVERLAP: {"en": "Overlaps another visit.", "zh": "与另一任务时间重叠。"},
    ConflictCode.OUTSIDE_SHIFT: {"en": "Lies outside the shift.", "zh": "不在班次时间内。"},
    ConflictCode.ABSENT: {"en": "The engineer is absent then.", "zh": "工程师届时请假。"},
    ConflictCode.WAY_TOO_SHORT: {
        "en": "The way from the visit before takes {span} more than there is.",
        "zh": "从上一任务出发的路程时间不足,相差 {span}。",
    },
    ConflictCode.NO_ROOM_FOR_BREAK: {
        "en": "There is no room for a break of {span}.",
        "zh": "无法安排 {span}的休息。",
    },
    ConflictCode.OUTSIDE_WINDOW: {
        "en": "Starts outside the time that the customer asked for.",
        "zh": "开始时间不在客户预约时段内。",
    },
    ConflictCode.AFTER_DUE: {
        "en": "Starts {span} after the promise to arrive runs out.",
        "zh": "开始时间晚于承诺到达时限 {span}。",
    },
    ConflictCode.CREW_INCOMPLETE: {
        "en": "Fewer engineers go there than the work needs.",
        "zh": "前往的工程师人数少于工作所需。",
    },
}


class Placed(msgspec.Struct, frozen=True, kw_only=True):
    """A visit as it stands: its time, place and promises.

    `reached`: the engineer is there, so that no promise to arrive is at risk. `over`: it has ended; nothing can be mended.
    """

    id: str
    start: datetime
    end: datetime
    point: Point | None
    due_at: datetime
    requested: Stretch | None = None
    reached: bool = False
    over: bool = False
    crew_lacks: int = 0
    """So many more should go along."""


class Pause(msgspec.Struct, frozen=True, kw_only=True):
    """A break of so many minutes within [earliest, latest]."""

    earliest: datetime
    latest: datetime
    minutes: int


class Conflict(msgspec.Struct, frozen=True, kw_only=True):
    """What does not fit, at which visit (None: at none), with which other one, and by how many minutes."""

    code: ConflictCode
    at: datetime
    visit_id: str | None = None
    other_id: str | None = None
    minutes: int | None = None

    def text(self, locale: str) -> str:
        """The sentence for a person."""
        spoken = "zh" if locale.startswith("zh") else "en"
        return CONFLICT_TEXTS[self.code][spoken].format(span=_span(self.minutes or 0, spoken))


class Day(msgspec.Struct, frozen=True, kw_only=True):
    """One local day of an engineer. `at_risk`: visits that leave little or nothing of the promise to arrive."""

    day: date
    shift_minutes: float
    work_minutes: float
    travel_minutes: float
    idle_minutes: float
    visits: int
    at_risk: int
    conflicts: int


def conflicts(
    visits: Sequence[Placed],
    shifts: Sequence[Stretch],
    absences: Sequence[Stretch],
    pauses: Sequence[Pause],
    way: Way,
) -> list[Conflict]:
    """Everything that does not fit, in order of time. Visits that are over conflict with nothing."""
    live = sorted((visit for visit in visits if not visit.over), key=lambda v: (v.start, v.id))
    found: list[Conflict] = []
    for visit in live:
        found += _alone(visit, shifts, absences)
    before: Placed | None = None
    for after in live:
        if before is not None:
            found += _between(before, after, way)
        # The one that ends last, not the one that starts last: a long visit may swallow several short ones.
        before = after if before is None or after.end > before.end else before
    found += _breaks(live, pauses, way)
    return sorted(found, key=lambda one: (one.at, one.code.value, one.visit_id or ""))


def at_risk(visit: Placed) -> bool:
    """Whether a visit that has not ended leaves little or nothing of the promise to arrive."""
    return not (visit.over or visit.reached) and visit.start > visit.due_at - timedelta(
        minutes=AT_RISK_MINUTES
    )


def days(
    window: Stretch,
    zone: ZoneInfo,
    visits: Sequence[tuple[Placed, float]],
    found: Sequence[Conflict],
    at_work: Callable[[Stretch], float],
) -> list[Day]:
    """Each local day that the window touches. `visits` come with the minutes of the way to them; a visit counts on the day
    on which it starts. `at_work` answers how many minutes of a stretch lie in shifts and in no absence."""
    result: list[Day] = []
    day = window[0].astimezone(zone).date()
    while (begin := _midnight(day, zone)) < window[1]:
        end = _midnight(day + timedelta(days=1), zone)
        inside = (max(begin, window[0]), min(end, window[1]))
        mine = [(one, way) for one, way in visits if begin <= one.start < end]
        shift = at_work(inside)
        work = sum(_minutes(one.start, one.end) for one, _ in mine)
        travel = sum(way for _, way in mine)
        result.append(
            Day(
                day=day,
                shift_minutes=shift,
                work_minutes=work,
                travel_minutes=round(travel, 2),
                idle_minutes=round(max(shift - work - travel, 0.0), 2),
                visits=len(mine),
                at_risk=sum(at_risk(one) for one, _ in mine),
                conflicts=sum(begin <= one.at < end for one in found),
            )
        )
        day += timedelta(days=1)
    return result


def _alone(visit: Placed, shifts: Sequence[Stretch], absences: Sequence[Stretch]) -> list[Conflict]:
    found: list[Conflict] = []
    if not any(begin <= visit.start and visit.end <= end for begin, end in shifts):
        found.append(Conflict(code=ConflictCode.OUTSIDE_SHIFT, at=visit.start, visit_id=visit.id))
    if any(begin < visit.end and visit.start < end for begin, end in absences):
        found.append(Conflict(code=ConflictCode.ABSENT, at=visit.start, visit_id=visit.id))
    if visit.crew_lacks > 0:
        found.append(Conflict(code=ConflictCode.CREW_INCOMPLETE, at=visit.start, visit_id=visit.id))
    if visit.reached:
        return found
    if visit.requested is not None and not visit.requested[0] <= visit.start <= visit.requested[1]:
        found.append(Conflict(code=ConflictCode.OUTSIDE_WINDOW, at=visit.start, visit_id=visit.id))
    if visit.start > visit.due_at:
        late = round(_minutes(visit.due_at, visit.start))
        found.append(Conflict(code=ConflictCode.AFTER_DUE, at=visit.start, visit_id=visit.id, minutes=late))
    return found


def _between(before: Placed, after: Placed, way: Way) -> list[Conflict]:
    if after.start < before.end:
        return [Conflict(code=ConflictCode.OVERLAP, at=after.start, visit_id=after.id, other_id=before.id)]
    if after.reached:
        # They made it.
        return []
    short = way(before.point, after.point, before.end) - _minutes(before.end, after.start)
    if short <= GRACE_MINUTES:
        return []
    return [
        Conflict(
            code=ConflictCode.WAY_TOO_SHORT,
            at=after.start,
            visit_id=after.id,
            other_id=before.id,
            minutes=round(short),
        )
    ]


def _breaks(live: Sequence[Placed], pauses: Sequence[Pause], way: Way) -> list[Conflict]:
    """Breaks that fit into no gap between visits, the way between them taken off; each gap holds what is left of it."""
    gaps: list[list[datetime]] = []
    edge: Placed | None = None
    for visit in live:
        if edge is None:
            gaps.append([datetime.min.replace(tzinfo=visit.start.tzinfo), visit.start])
        elif visit.start > edge.end:
            leave = visit.start - timedelta(minutes=way(edge.point, visit.point, edge.end))
            gaps.append([edge.end, max(leave, edge.end)])
        edge = visit if edge is None or visit.end > edge.end else edge
    if edge is not None:
        gaps.append([edge.end, datetime.max.replace(tzinfo=edge.end.tzinfo)])
    found: list[Conflict] = []
    for pause in sorted(pauses, key=lambda one: (one.latest, one.earliest)):
        length = timedelta(minutes=pause.minutes)
        for gap in gaps:
            begin = max(gap[0], pause.earliest)
            if begin + length <= min(gap[1], pause.latest):
                gap[0] = begin + length
                break
        else:
            if gaps:
                found.append(
                    Conflict(code=ConflictCode.NO_ROOM_FOR_BREAK, at=pause.earliest, minutes=pause.minutes)
                )
    return found


def _span(minutes: int, spoken: str) -> str:
    """A stretch of time as people say it: minutes up to two hours, hours up to two days, then days."""
    count, en, zh = next(
        (round(minutes / size), en, zh)
        for size, most, en, zh in (
            (1, 120, "minute", "分钟"),
            (60, 2880, "hour", "小时"),
            (1440, None, "day", "天"),
        )
        if most is None or minutes <= most
    )
    return f"{count} {zh}" if spoken == "zh" else f"{count} {en}{'' if count == 1 else 's'}"


def _midnight(day: date, zone: ZoneInfo) -> datetime:
    # In UTC, because two instants of one zone are subtracted by their wall clocks: a day of 23 hours would have 24.
    return datetime(day.year, day.month, day.day, tzinfo=zone).astimezone(UTC)


def _minutes(start: datetime, end: datetime) -> float:
    return max((end - start).total_seconds(), 0.0) / 60.0
