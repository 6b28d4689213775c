"""The free stretches ("gaps") of one engineer: shifts minus absences minus visits, and where breaks are held. Pure.

A break that floats between two moments of a shift must stay possible whatever is put into the shift. For each gap it is
worked out which breaks could not be held anywhere else if that gap were used: these are bound to the gap, and work that
goes into it must leave room for them, before the way or after the work. All other breaks have room elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from callout_dispatch.pick_terms import MINUTE_US, Candidate, Interval, Shift, to_us
from callout_geo.points import Point

Stretch = tuple[int, int]
Way = Callable[[Point | None, Point | None, int], float]
"""Minutes on the road from a place to another at a time in microseconds."""


class BoundBreak(NamedTuple):
    """A break in microseconds: `length_us` within [earliest_us, latest_us]."""

    earliest_us: int
    latest_us: int
    length_us: int


class Gap(NamedTuple):
    """A free stretch in microseconds.

    `origin` is where it is entered from. `onward`: from here the engineer must go on to `next_point` before the gap ends:
    to the next visit, or (`back`) to where the shift ends. Where an absence lies between, the way may also be driven after
    it, if it takes no longer than `slack_us` (-1: none lies between). `given_*` is the work of the gap's day. `breaks` are
    bound to it.
    """

    start_us: int
    end_us: int
    origin: Point | None
    onward: bool
    back: bool
    next_point: Point | None
    slack_us: int = -1
    given_minutes: float = 0.0
    given_visits: int = 0
    breaks: tuple[BoundBreak, ...] = ()


@dataclass(slots=True)
class Duty:
    """Shifts that touch or overlap, as one; and the pieces of it in which the engineer is not absent."""

    start_us: int
    end_us: int
    start_place: Point | None
    end_place: Point | None
    shifts: list[Shift]
    present: list[Stretch]


def union(intervals: Iterable[Interval]) -> list[Stretch]:
    """Sorted stretches in microseconds that do not touch each other."""
    result: list[Stretch] = []
    for start, end in sorted((to_us(interval.start), to_us(interval.end)) for interval in intervals):
        if result and start <= result[-1][1]:
            result[-1] = (result[-1][0], max(result[-1][1], end))
        else:
            result.append((start, end))
    return result


def duties(candidate: Candidate) -> list[Duty]:
    """An engineer's shifts in order of time. One that touches the one before begins and ends with it."""
    absences = union(candidate.absences) if candidate.absences else []
    found: list[Duty] = []
    for shift in sorted(candidate.shifts, key=lambda shift: (shift.start, shift.end)):
        start, end = to_us(shift.start), to_us(shift.end)
        end_place = shift.end_place or candidate.end_place
        if found and start <= found[-1].end_us:
            last = found[-1]
            last.shifts.append(shift)
            if end > last.end_us:
                last.end_us, last.end_place = end, end_place
        else:
            start_place = shift.start_place or candidate.position
            found.append(Duty(start, end, start_place, end_place, [shift], []))
    for duty in found:
        duty.present = _present(duty, absences)
    return found


def gaps_of(candidate: Candidate, on: Sequence[Duty], way: Way) -> list[Gap]:
    """The free stretches of an engineer, in order of time.

    A shift is entered from its start; after a visit, from that visit's site, also across an absence within the
    shift. A gap that a visit ends must leave time for the way to it, the last of a shift for the way to where it ends.
    """
    busy = sorted(
        ((to_us(b.start), to_us(b.end), b.point) for b in candidate.busy), key=lambda item: item[:2]
    )
    minutes, visits = _given(on, busy)
    result: list[Gap] = []
    for duty, given_minutes, given_visits in zip(on, minutes, visits, strict=True):
        gaps = [
            gap._replace(given_minutes=given_minutes, given_visits=given_visits) for gap in _free(duty, busy)
        ]
        breaks = _breaks(candidate, duty)
        result.extend(_bind(gaps, breaks, way) if breaks else gaps)
    return result


def _present(duty: Duty, absences: list[Stretch]) -> list[Stretch]:
    pieces: list[Stretch] = []
    cursor = duty.start_us
    for away_start, away_end in absences:
        if away_end <= cursor or away_start >= duty.end_us:
            continue
        if away_start > cursor:
            pieces.append((cursor, away_start))
        cursor = max(cursor, away_end)
    if cursor < duty.end_us:
        pieces.append((cursor, duty.end_us))
    return pieces


def _free(duty: Duty, busy: list[tuple[int, int, Point | None]]) -> list[Gap]:
    gaps: list[Gap] = []
    # From the shift's own start, not from that of its first piece: a visit may stand inside an absence, and
    # the engineer then sets out from its site all the same.
    origin, origin_until = duty.start_place, duty.start_us
    for start, end in duty.present:
        cursor = start
        following: tuple[int, Point | None] | None = None
        for busy_start, busy_end, point in busy:
            if busy_start >= end:
                following = (busy_start, point) if busy_start < duty.end_us or busy_start == end else None
                break
            if busy_start > cursor:
                gaps.append(Gap(cursor, busy_start, origin, True, False, point))
            cursor = max(cursor, busy_end)
            # Visits that overlap (a dispatcher may force that) leave the engineer where the last one ends.
            if busy_end > origin_until:
                origin, origin_until = point, busy_end
        if cursor < end:
            back = following is None and duty.end_place is not None
            to = following[1] if following else duty.end_place
            until = following[0] if following else duty.end_us
            slack = _slack(duty, end, until) if until > end else -1
            gaps.append(Gap(cursor, end, origin, following is not None or back, back, to, slack))
    return gaps


def _slack(duty: Duty, after_us: int, until_us: int) -> int:
    """The time that is free in one piece right before `until_us`, after an absence that begins at `after_us`."""
    pieces = [(start, min(end, until_us)) for start, end in duty.present if after_us < start < until_us]
    return max((end - start for start, end in pieces if end == until_us), default=0)


def _given(on: Sequence[Duty], busy: list[tuple[int, int, Point | None]]) -> tuple[list[float], list[int]]:
    """Minutes and visits of the day of each duty: what is done, and what stands within its shifts."""
    days = [duty.shifts[0].day if duty.shifts[0].day is not None else -n - 1 for n, duty in enumerate(on)]
    minutes: dict[int, float] = {}
    visits: dict[int, int] = {}
    for day, duty in zip(days, on, strict=True):
        minutes[day] = minutes.get(day, 0.0) + sum(shift.done_minutes for shift in duty.shifts)
        visits[day] = visits.get(day, 0) + sum(shift.done_visits for shift in duty.shifts)
        for start, end, _ in busy:
            if duty.start_us <= start < duty.end_us:
                minutes[day] += (end - start) / MINUTE_US
                visits[day] += 1
    return [minutes[day] for day in days], [visits[day] for day in days]


# ------------------------------------------------------------------------------------------------- breaks


def _breaks(candidate: Candidate, duty: Duty) -> list[BoundBreak]:
    """The breaks of a duty in order, without those for which an absence leaves no room: it takes their place."""
    found = [
        BoundBreak(to_us(b.earliest), to_us(b.latest), b.minutes * MINUTE_US)
        for shift in duty.shifts
        for b in shift.breaks
    ]
    if not found:
        return []

    def has_room(one: BoundBreak) -> bool:
        return any(
            min(end, one.latest_us) - max(start, one.earliest_us) >= one.length_us
            for start, end in duty.present
        )

    return sorted((one for one in found if has_room(one)), key=_order)


def _order(one: BoundBreak) -> tuple[int, int, int]:
    return (one.earliest_us, one.latest_us, one.length_us)


def _bind(gaps: list[Gap], breaks: list[BoundBreak], way: Way) -> list[Gap]:
    ways = [way(gap.origin, gap.next_point, gap.start_us) if gap.onward else 0.0 for gap in gaps]

    def rested(at: int, held: list[BoundBreak]) -> int | None:
        now = gaps[at].start_us
        for one in sorted(held, key=_order):
            now = max(now, one.earliest_us) + one.length_us
            if now > one.latest_us:
                return None
        return now

    def fits(at: int, held: list[BoundBreak]) -> bool:
        now = rested(at, held)
        if now is None:
            return False
        way_us = int(ways[at] * MINUTE_US)
        return now + way_us <= gaps[at].end_us or (now <= gaps[at].end_us and way_us <= gaps[at].slack_us)

    def hold(wanted: list[BoundBreak], without: int) -> tuple[dict[int, list[BoundBreak]], list[BoundBreak]]:
        held: dict[int, list[BoundBreak]] = {}
        left: list[BoundBreak] = []
        for one in wanted:
            for at in range(len(gaps)):
                if at != without and fits(at, [*held.get(at, ()), one]):
                    held.setdefault(at, []).append(one)
                    break
            else:
                left.append(one)
        return held, left

    # What finds no room even now was given up when the day was made: no new work is to blame for it.
    usual, lost = hold(breaks, -1)
    possible = [one for one in breaks if one not in lost]
    result: list[Gap] = []
    for at, gap in enumerate(gaps):
        elsewhere, bound = hold(possible, at)
        if gap.slack_us > 0:
            # The piece after the absence from which the way is driven: breaks that are held there come first.
            piece = next(n for n in range(at + 1, len(gaps)) if gaps[n].slack_us < 0)
            now = rested(piece, elsewhere.get(piece, []))
            if now is not None:
                gap = gap._replace(slack_us=max(0, min(gap.slack_us, gaps[piece].end_us - now)))
        if bound and not fits(at, bound):
            # Held elsewhere in another way than now, the rest does not fit in here: the breaks stay as they are.
            bound = usual.get(at, [])
        result.append(gap._replace(breaks=tuple(sorted(bound, key=_order))))
    return result
