"""An engineer's shifts of a range of days, with their breaks and the places where they start and end.

A shift is two instants, so that one over midnight, or through the night in which the clocks change, is as long as it
really is. It belongs to the range in which it starts.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import pairwise, permutations
from typing import Any, Final
from uuid import UUID

import msgspec

from callout_dispatch.engineer_terms import SHIFT_HOURS_MAX, check_point, check_stretch
from callout_dispatch.setup_texts import SetupRefused, check_range
from callout_dispatch.texts import FieldRefused
from callout_dispatch.visit_rows import lock_calendars
from callout_store import journal
from callout_store.errors import LimitExceeded, NotFound
from callout_store.ids import new_id
from callout_store.work import Work

RANGE_DAYS_MAX: Final = 400
SHIFTS_MAX: Final = 2_000
"""Shifts in one call."""
BREAKS_MAX: Final = 6
"""Breaks of one shift."""
BREAK_MINUTES_MAX: Final = 480

Place = tuple[float | None, float | None]
"""Latitude and longitude in WGS-84 degrees, both or neither."""


class Break(msgspec.Struct, frozen=True, kw_only=True):
    """A rest of so many minutes that begins at `earliest` or later and is over by `latest`."""

    earliest: datetime
    latest: datetime
    minutes: int


class PlannedShift(msgspec.Struct, frozen=True, kw_only=True):
    """Working time [starts_at, ends_at), at most 24 hours; where it starts and ends, if not at the engineer's own places."""

    starts_at: datetime
    ends_at: datetime
    start_lat: float | None = None
    start_lng: float | None = None
    end_lat: float | None = None
    end_lng: float | None = None
    breaks: tuple[Break, ...] = ()


class Shift(PlannedShift, frozen=True, kw_only=True):
    """A shift as it is kept."""

    id: UUID
    engineer_id: UUID


async def replace_shifts(
    work: Work, engineer_id: UUID, start: datetime, end: datetime, shifts: Sequence[PlannedShift]
) -> list[UUID]:
    """Let an engineer's shifts that start within [start, end) be exactly these; their ids in the order given.

    Shifts that start outside stay. Visits stay as they are: the board shows those that lie in no shift now.
    Raises NotFound, BadField, PointInvalid, LimitExceeded.
    """
    check_stretch("range", start, end)
    if end - start > timedelta(days=RANGE_DAYS_MAX):
        raise SetupRefused("range.endsAt", "range_long", limit=RANGE_DAYS_MAX)
    if len(shifts) > SHIFTS_MAX:
        raise LimitExceeded(path="shifts", what="shifts", limit=SHIFTS_MAX, given=len(shifts))
    for n, shift in enumerate(shifts):
        _check(f"shifts.{n}", shift)
        if not start <= shift.starts_at < end:
            raise SetupRefused(f"shifts.{n}.startsAt", "outside_range")
    _check_apart(shifts)
    if not await work.fetchval(
        "select true from engineer where org_id = callout_org() and id = $1", engineer_id
    ):
        raise NotFound(entity="engineer", path="engineerId")
    # Of two who set the same days, the second finds the first one's shifts; and nobody is given work meanwhile.
    await lock_calendars(work, [engineer_id])
    await _check_kept(work, engineer_id, start, end, shifts)
    gone = await work.execute(
        """
        delete from shift
        where org_id = callout_org() and engineer_id = $1 and starts_at >= $2 and starts_at < $3
        """,
        engineer_id,
        start,
        end,
    )
    if not gone and not shifts:
        return []
    ids = [new_id() for _ in shifts]
    await _insert(work, engineer_id, ids, shifts)
    await journal.write(
        work,
        journal.Entry(
            kind="engineer.shifts_set",
            entity="engineer",
            entity_id=engineer_id,
            data={
                "from": start,
                "until": end,
                "removed": gone,
                "shifts": [[shift.starts_at, shift.ends_at] for shift in shifts],
            },
        ),
    )
    return ids


async def shifts_between(
    work: Work, engineer_ids: Sequence[UUID], start: datetime, end: datetime
) -> list[list[Shift]]:
    """The shifts of each engineer that reach into [start, end), with their breaks, in order of time."""
    rows = await work.fetch(
        """
        select id, engineer_id, starts_at, ends_at, start_lat, start_lng, end_lat, end_lng from shift
        where org_id = callout_org() and engineer_id = any($1) and starts_at < $3 and ends_at > $2
        order by starts_at, id
        """,
        list(engineer_ids),
        start,
        end,
    )
    rests: dict[UUID, list[Break]] = {}
    for row in await work.fetch(
        """
        select shift_id, earliest, latest, minutes from shift_break
        where org_id = callout_org() and shift_id = any($1) order by earliest, latest, id
        """,
        [row["id"] for row in rows],
    ):
        rests.setdefault(row["shift_id"], []).append(
            Break(earliest=row["earliest"], latest=row["latest"], minutes=row["minutes"])
        )
    found: dict[UUID, list[Shift]] = {}
    for row in rows:
        values: dict[str, Any] = {**dict(row), "breaks": tuple(rests.get(row["id"], ()))}
        found.setdefault(row["engineer_id"], []).append(Shift(**values))
    return [found.get(id_, []) for id_ in engineer_ids]


# ------------------------------------------------------------------------------------------------ checks


def _check(path: str, shift: PlannedShift) -> None:
    check_stretch(path, shift.starts_at, shift.ends_at)
    if shift.ends_at - shift.starts_at > timedelta(hours=SHIFT_HOURS_MAX):
        raise FieldRefused(f"{path}.endsAt", "hours_max", limit=SHIFT_HOURS_MAX)
    check_place(f"{path}.start", shift.start_lat, shift.start_lng)
    check_place(f"{path}.end", shift.end_lat, shift.end_lng)
    if len(shift.breaks) > BREAKS_MAX:
        raise LimitExceeded(
            path=f"{path}.breaks", what="breaks of a shift", limit=BREAKS_MAX, given=len(shift.breaks)
        )
    for n, rest in enumerate(shift.breaks):
        where = f"{path}.breaks.{n}"
        check_range(f"{where}.minutes", rest.minutes, 1, BREAK_MINUTES_MAX)
        for name, at in (("earliest", rest.earliest), ("latest", rest.latest)):
            if at.tzinfo is None:
                raise FieldRefused(f"{where}.{name}", "no_zone")
            if not shift.starts_at <= at <= shift.ends_at:
                raise SetupRefused(f"{where}.{name}", "break_outside")
        if rest.latest - rest.earliest < timedelta(minutes=rest.minutes):
            raise SetupRefused(f"{where}.latest", "break_short", minutes=rest.minutes)
    if not any(map(_can_follow, permutations(shift.breaks))):
        raise SetupRefused(f"{path}.breaks", "breaks_clash")
    if sum(rest.minutes for rest in shift.breaks) * 60 >= (shift.ends_at - shift.starts_at).total_seconds():
        raise SetupRefused(f"{path}.breaks", "breaks_all")


def check_place(path: str, lat: float | None, lng: float | None) -> Place:
    """A point, or none; refused when half of one, beyond the world, or 0/0."""
    if lat is None and lng is None:
        return None, None
    if lat is None or lng is None:
        raise SetupRefused(f"{path}{'Lat' if lat is None else 'Lng'}", "half_point")
    point = check_point(path, lat, lng)
    return point.lat, point.lng


def _can_follow(breaks: Sequence[Break]) -> bool:
    """Whether breaks can be taken one after the other in this order."""
    at: datetime | None = None
    for rest in breaks:
        begins = rest.earliest if at is None else max(at, rest.earliest)
        at = begins + timedelta(minutes=rest.minutes)
        if at > rest.latest:
            return False
    return True


def _check_apart(shifts: Sequence[PlannedShift]) -> None:
    order = sorted(range(len(shifts)), key=lambda n: (shifts[n].starts_at, n))
    for before, after in pairwise(order):
        if shifts[after].starts_at < shifts[before].ends_at:
            raise SetupRefused(f"shifts.{after}.startsAt", "overlap_list")


async def _check_kept(
    work: Work, engineer_id: UUID, start: datetime, end: datetime, shifts: Sequence[PlannedShift]
) -> None:
    """New shifts do not overlap those that stay because they start outside the range."""
    if not shifts:
        return
    first, last = min(shift.starts_at for shift in shifts), max(shift.ends_at for shift in shifts)
    kept = await work.fetch(
        """
        select starts_at, ends_at from shift
        where org_id = callout_org() and engineer_id = $1 and starts_at < $3 and ends_at > $2
              and not (starts_at >= $4 and starts_at < $5)
        order by starts_at
        """,
        engineer_id,
        first,
        last,
        start,
        end,
    )
    for row in kept:
        for n, shift in enumerate(shifts):
            if shift.starts_at < row["ends_at"] and row["starts_at"] < shift.ends_at:
                raise SetupRefused(
                    f"shifts.{n}",
                    "overlap_kept",
                    start=row["starts_at"].isoformat(),
                    end=row["ends_at"].isoformat(),
                )


async def _insert(work: Work, engineer_id: UUID, ids: list[UUID], shifts: Sequence[PlannedShift]) -> None:
    await work.execute(
        """
        insert into shift (id, engineer_id, starts_at, ends_at, start_lat, start_lng, end_lat, end_lng)
        select t.id, $2, t.starts, t.ends, t.lat, t.lng, t.to_lat, t.to_lng
        from unnest($1::uuid[], $3::timestamptz[], $4::timestamptz[], $5::float8[], $6::float8[], $7::float8[],
            $8::float8[]) as t(id, starts, ends, lat, lng, to_lat, to_lng)
        """,
        ids,
        engineer_id,
        [shift.starts_at for shift in shifts],
        [shift.ends_at for shift in shifts],
        [shift.start_lat for shift in shifts],
        [shift.start_lng for shift in shifts],
        [shift.end_lat for shift in shifts],
        [shift.end_lng for shift in shifts],
    )
    rests = [(id_, rest) for id_, shift in zip(ids, shifts, strict=True) for rest in shift.breaks]
    if rests:
        await work.execute(
            """
            insert into shift_break (id, shift_id, engineer_id, earliest, latest, minutes)
            select t.id, t.shift_id, $2, t.earliest, t.latest, t.minutes
            from unnest($1::uuid[], $3::uuid[], $4::timestamptz[], $5::timestamptz[], $6::int[])
                as t(id, shift_id, earliest, latest, minutes)
            """,
            [new_id() for _ in rests],
            engineer_id,
            [id_ for id_, _ in rests],
            [rest.earliest for _, rest in rests],
            [rest.latest for _, rest in rests],
            [rest.minutes for _, rest in rests],
        )
