"""Where engineers were, as their phones tell in batches, and who may know.

Only what was taken on shift is stored; the rest is counted and forgotten at the door. One position a second is kept: the
second one of the same second is a repeat, as is the same batch again. Nothing is journaled, or the journal would become a
track of people that outlives its retention.
"""

import math
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

import msgspec
import numpy as np

from callout_contracts.limits import POSITION_FIXES_MAX
from callout_dispatch import engineers
from callout_dispatch.places.place_settings import MARGIN_MINUTES, POSITION_DAYS
from callout_dispatch.places.texts import say
from callout_geo import china
from callout_geo.points import BadPoint, Point, refuse_null_island
from callout_store.clock import taken_instant
from callout_store.errors import LimitExceeded
from callout_store.work import Work

FUTURE_S: Final = 120.0
"""A phone's clock may be ahead by so much; what is later than that was taken at another time."""
ON_SHIFT: Final = """
exists (
    select 1 from shift h where h.org_id = callout_org() and h.engineer_id = {engineer}
      and h.starts_at <= {at} + make_interval(mins => {margin}) and h.ends_at > {at} - make_interval(mins => {margin})
) and not exists (
    select 1 from absence a where a.org_id = callout_org() and a.engineer_id = {engineer}
      and a.starts_at <= {at} and a.ends_at > {at}
)
"""
"""Whether an engineer works at an instant, a margin of minutes before and after the shift included: an expression."""


class NewFix(msgspec.Struct, frozen=True, kw_only=True):
    """A position as a phone tells it: `at` corrected to the server's clock, degrees in `datum`, the radius of the fix in
    metres, and whether the phone says that the place is made up."""

    at: datetime
    lat: float
    lng: float
    accuracy_m: float | None = None
    speed_m_per_s: float | None = None
    mock: bool = False
    datum: str = "wgs84"


class FixRefused(msgspec.Struct, frozen=True, kw_only=True):
    """A fix that was not taken: its place in the batch, the field, and a stable word for why."""

    index: int
    path: str
    reason: str
    values: dict[str, Any] = {}

    def message(self, locale: str) -> str:
        """The sentence for a person, in `en` or `zh`."""
        return say(self.reason, locale, **self.values)


class Taken(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a batch: stored now, known before, taken outside of working time and forgotten, refused."""

    stored: int
    repeated: int
    off_shift: int
    refused: list[FixRefused]


class Fixes(msgspec.Struct, frozen=True, kw_only=True):
    """Fixes that can be stored, by column, with their places in the batch."""

    indexes: list[int]
    at: list[datetime]
    lats: list[float]
    lngs: list[float]
    accuracy_m: list[float | None]
    speed_m_per_s: list[float | None]
    mock: list[bool]


def checked(fixes: Sequence[NewFix], now: datetime) -> tuple[Fixes, list[FixRefused]]:
    """The fixes in WGS-84, and those that cannot be. Pure. Raises LimitExceeded for a batch that is too long."""
    if len(fixes) > POSITION_FIXES_MAX:
        raise LimitExceeded(path="fixes", what="fixes in a batch", limit=POSITION_FIXES_MAX, given=len(fixes))
    refused: list[FixRefused] = []
    good: list[tuple[int, NewFix, Point, china.Datum]] = []
    for index, fix in enumerate(fixes):
        read = _read(fix, now)
        if isinstance(read, tuple):
            good.append((index, fix, *read))
        else:
            refused.append(FixRefused(index=index, path=f"fixes.{index}.{read.path}", **_why(read)))
    lats = np.array([point.lat for _, _, point, _ in good], np.float64)
    lngs = np.array([point.lng for _, _, point, _ in good], np.float64)
    for datum, turn in (
        (china.Datum.GCJ02, china.gcj02_to_wgs84),
        (china.Datum.BD09, china.bd09_to_wgs84),
    ):
        of_datum = np.array([given == datum for _, _, _, given in good], bool)
        if of_datum.any():
            lats[of_datum], lngs[of_datum] = turn(lats[of_datum], lngs[of_datum])
    # The shift may run over a pole's or the date line's edge by some metres.
    lats, lngs = np.clip(lats, -90.0, 90.0), np.clip(lngs, -180.0, 180.0)
    return (
        Fixes(
            indexes=[index for index, *_ in good],
            at=[fix.at.astimezone(UTC).replace(microsecond=0) for _, fix, _, _ in good],
            lats=lats.tolist(),
            lngs=lngs.tolist(),
            accuracy_m=[fix.accuracy_m for _, fix, _, _ in good],
            speed_m_per_s=[fix.speed_m_per_s for _, fix, _, _ in good],
            mock=[fix.mock for _, fix, _, _ in good],
        ),
        refused,
    )


class _Bad(msgspec.Struct, frozen=True, kw_only=True):
    path: str
    reason: str
    values: dict[str, Any] = {}


def _why(bad: _Bad) -> dict[str, Any]:
    return {"reason": bad.reason, "values": bad.values}


def _read(fix: NewFix, now: datetime) -> tuple[Point, china.Datum] | _Bad:
    if fix.at.tzinfo is None:
        return _Bad(path="at", reason="no_zone")
    try:
        at = taken_instant(fix.at)
    except ValueError:
        return _Bad(path="at", reason="years")
    if (at - now).total_seconds() > FUTURE_S:
        return _Bad(path="at", reason="future")
    try:
        datum = china.parse_datum(fix.datum)
    except china.BadDatum:
        return _Bad(path="datum", reason="datum", values={"given": fix.datum[:40]})
    try:
        point = refuse_null_island(Point(fix.lat, fix.lng))
    except BadPoint as fault:
        return _Bad(path=fault.field, reason=fault.reason)
    for path, reason, value in (
        ("accuracyM", "accuracy", fix.accuracy_m),
        ("speed", "speed", fix.speed_m_per_s),
    ):
        if value is not None and not (math.isfinite(value) and value >= 0):
            return _Bad(path=path, reason=reason)
    return point, datum


RECORD: Final = f"""
with setting as (
    select coalesce(max(position_days), {POSITION_DAYS}) as days,
           coalesce(max(position_margin_minutes), {MARGIN_MINUTES}) as margin
    from dispatch_setting where org_id = callout_org()
), given as (
    select distinct on (at) * from unnest($2::int[], $3::timestamptz[], $4::float8[], $5::float8[], $6::float8[],
        $7::float8[], $8::bool[]) as t(index, at, lat, lng, accuracy_m, speed_m_per_s, mock)
    order by at, index
), judged as (
    select g.*, s.days, g.at < $9::timestamptz - make_interval(days => s.days) as old,
           {ON_SHIFT.format(engineer="$1::uuid", at="g.at", margin="s.margin")} as on_shift
    from given g cross join setting s
), stored as (
    insert into position_fix (engineer_id, at, lat, lng, accuracy_m, speed_m_per_s, mock, device_id, received_at)
    select $1, at, lat, lng, accuracy_m, speed_m_per_s, mock, $10::uuid, $9 from judged where on_shift and not old
    on conflict do nothing
    returning at
), newest as (
    select * from judged where on_shift and not old and not mock order by at desc limit 1
), moved as (
    update engineer e
    set last_lat = n.lat, last_lng = n.lng, last_accuracy_m = n.accuracy_m, last_position_at = least(n.at, $9)
    from newest n
    where e.org_id = callout_org() and e.id = $1 and (e.last_position_at is null or e.last_position_at < least(n.at, $9))
)
select j.index, j.old, j.on_shift, j.days, s.at is not null as stored
from judged j left join stored s on s.at = j.at
order by j.index
"""


async def record(work: Work, engineer_id: UUID, fixes: Sequence[NewFix]) -> Taken:
    """Store an engineer's positions, in one statement. The same batch again stores nothing.

    The engineer's last position only ever moves forward, and never to a place that is made up. Raises LimitExceeded.
    """
    good, refused = checked(fixes, work.now)
    await engineers.mark_seen(work, engineer_id)
    if not good.indexes:
        return Taken(stored=0, repeated=0, off_shift=0, refused=refused)
    rows = await work.fetch(
        RECORD,
        engineer_id,
        good.indexes,
        good.at,
        good.lats,
        good.lngs,
        good.accuracy_m,
        good.speed_m_per_s,
        good.mock,
        work.now,
        work.actor.device_id,
    )
    old = [row for row in rows if row["old"]]
    refused += [
        FixRefused(
            index=row["index"], path=f"fixes.{row['index']}.at", reason="old", values={"days": row["days"]}
        )
        for row in old
    ]
    stored = sum(row["stored"] for row in rows)
    off_shift = sum(not row["on_shift"] and not row["old"] for row in rows)
    return Taken(
        stored=stored,
        repeated=len(good.indexes) - stored - off_shift - len(old),
        off_shift=off_shift,
        refused=sorted(refused, key=lambda one: one.index),
    )


# ------------------------------------------------------------------------------------------------ reading


class LivePosition(msgspec.Struct, frozen=True, kw_only=True):
    """An engineer who works now, and where they are as far as this shift has told; `age_s` is how old that is."""

    id: UUID
    name: str
    territory_id: UUID | None
    lat: float | None
    lng: float | None
    accuracy_m: float | None
    at: datetime | None
    age_s: float | None


async def live(
    work: Work, *, after: UUID | None = None, limit: int, engineer_id: UUID | None = None
) -> list[LivePosition]:
    """Engineers on shift now, by id, one more than `limit` where there are more. A place from before the shift is not
    told: where somebody slept is their own business."""
    rows = await work.fetch(
        f"""
        with setting as (
            select coalesce(max(position_margin_minutes), {MARGIN_MINUTES}) as margin
            from dispatch_setting where org_id = callout_org()
        )
        select e.id, e.name, e.territory_id, p.lat, p.lng, p.accuracy_m, p.at,
               case when p.at is not null then greatest(0, extract(epoch from $1::timestamptz - p.at)) end::float8 as age_s
        from engineer e cross join setting s
        left join lateral (
            select e.last_lat as lat, e.last_lng as lng, e.last_accuracy_m as accuracy_m, e.last_position_at as at
            where e.last_lat is not null and exists (
                select 1 from shift h where h.org_id = e.org_id and h.engineer_id = e.id
                  and h.starts_at <= $1::timestamptz + make_interval(mins => s.margin)
                  and h.ends_at > $1::timestamptz - make_interval(mins => s.margin)
                  and e.last_position_at >= h.starts_at - make_interval(mins => s.margin))
        ) p on true
        where e.org_id = callout_org() and e.active and ($2::uuid is null or e.id > $2)
          and ($4::uuid is null or e.id = $4)
          and {ON_SHIFT.format(engineer="e.id", at="$1::timestamptz", margin="s.margin")}
        order by e.id limit $3
        """,
        work.now,
        after,
        limit + 1,
        engineer_id,
    )
    return [LivePosition(**dict(row)) for row in rows]


# ------------------------------------------------------------------------------------------------ forgetting

PURGE_MAX: Final = 5_000
"""Rows forgotten in one transaction."""


async def purge(work: Work) -> int:
    """Forget a chunk of positions older than the organisation keeps them, the engineers' last ones included; how many
    rows, to be called until that is 0. Run daily by a timer."""
    gone = await work.execute(
        f"""
        with kept as (
            select $1::timestamptz - make_interval(days => coalesce(max(position_days), {POSITION_DAYS})) as since
            from dispatch_setting where org_id = callout_org()
        )
        delete from position_fix f using (
            select engineer_id, at from position_fix, kept
            where org_id = callout_org() and at < since order by at limit {PURGE_MAX}
        ) old
        where f.org_id = callout_org() and f.engineer_id = old.engineer_id and f.at = old.at
        """,
        work.now,
    )
    if not gone:
        await work.execute(
            f"""
            update engineer set last_lat = null, last_lng = null, last_accuracy_m = null, last_position_at = null
            where org_id = callout_org()
              and last_position_at < $1::timestamptz - make_interval(days => coalesce(
                  (select position_days from dispatch_setting where org_id = callout_org()), {POSITION_DAYS}))
            """,
            work.now,
        )
    return gone
