"""How fast the organisation's own people really are, by hour of the week, learned from departures and arrivals.

A way is observed when its visit has both times. Where it began is, in this order: where the phone was when the engineer
set out, a position of theirs in the minutes around, the site they came from that day, the place where their shift begins.
Offline phones tell late and correct what they told, so that a way is observed anew with every such event.
"""

from typing import Any, Final
from uuid import UUID

import msgspec

from callout_dispatch.places.geometry import haversine_sql
from callout_geo.distance import CIRCUITY, TRAVEL_SPEED_KM_PER_HOUR
from callout_geo.travel import HOURS_PER_WEEK, Travel
from callout_store.work import Work

STRAIGHT_M_MIN: Final = 300.0
"""A shorter way says more about lifts and car parks than about streets."""
SECONDS_MAX: Final = 4 * 3600.0
"""Whoever was on the way for longer did something else on the way."""
KM_PER_HOUR_MIN: Final = 3.0
KM_PER_HOUR_MAX: Final = 130.0
"""Speeds on the road outside of these are no way of an engineer; learned ones are held to them as well."""
EVENT_ACCURACY_M_MAX: Final = 500.0
"""A worse position does not say where a way of some kilometres began."""
FIX_MINUTES: Final = 10
"""How far from the departure a position may lie in time."""
LEARNED_DAYS: Final = 180
"""Older ways are of another road network, season and staff."""

ORGANISATION_PRIOR_S: Final = 10 * 3600.0
"""How many seconds on the road the standard speed counts for against the organisation's own."""
HOUR_PRIOR_S: Final = 2.5 * 3600.0
"""How many seconds the organisation's mean counts for against those of one hour of the week."""


class HourSpeed(msgspec.Struct, frozen=True, kw_only=True):
    """What is held of one hour of the week (0: Monday 00:00 local): km/h on the road, and how many ways it stands on."""

    hour_of_week: int
    km_per_hour: float
    samples: int


class Driven(msgspec.Struct, frozen=True, kw_only=True):
    """Ways of one hour of the week, added up: metres as the crow flies and seconds."""

    hour_of_week: int
    metres: float
    seconds: float
    samples: int


def shrunk(driven: list[Driven], *, circuity: float = CIRCUITY) -> tuple[float, ...]:
    """168 speeds in km/h on the road. Pure.

    Metres covered in given seconds at an unknown speed v, with a Gamma prior on v of shape v₀·b and rate b, give the
    posterior mean (v₀·b + metres) / (b + seconds): the prior counts like b seconds driven at v₀ (the conjugate pair of
    Gelman et al., Bayesian Data Analysis, 3rd ed., 2.6, in metres instead of events). It is used twice: the
    organisation's mean leans on the standard speed, each hour's on the organisation's mean. So an hour nobody drove in
    has the organisation's mean, and an organisation that never drove the standard speed.
    """
    standard = TRAVEL_SPEED_KM_PER_HOUR / 3.6
    metres = sum(hour.metres for hour in driven) * circuity
    seconds = sum(hour.seconds for hour in driven)
    mean = (standard * ORGANISATION_PRIOR_S + metres) / (ORGANISATION_PRIOR_S + seconds)
    speeds = [mean] * HOURS_PER_WEEK
    for hour in driven:
        speeds[hour.hour_of_week] = (mean * HOUR_PRIOR_S + hour.metres * circuity) / (
            HOUR_PRIOR_S + hour.seconds
        )
    return tuple(min(max(speed * 3.6, KM_PER_HOUR_MIN), KM_PER_HOUR_MAX) for speed in speeds)


async def travel_model(work: Work) -> Travel:
    """The organisation's travel times: its learned speeds in its time zone, the standard ones where it has none."""
    driven, zone = await _driven(work)
    return Travel(km_per_hour=shrunk(driven), time_zone=zone)


async def speeds(work: Work) -> list[HourSpeed]:
    """All 168 hours with what is held of each, and on how many ways that stands."""
    driven, _ = await _driven(work)
    samples = {hour.hour_of_week: hour.samples for hour in driven}
    return [
        HourSpeed(hour_of_week=hour, km_per_hour=speed, samples=samples.get(hour, 0))
        for hour, speed in enumerate(shrunk(driven))
    ]


async def _driven(work: Work) -> tuple[list[Driven], str]:
    rows = await work.fetch(
        """
        select o.time_zone, t.hour_of_week, t.metres, t.seconds, t.samples
        from organisation o left join travel_speed t on t.org_id = o.id
        where o.id = callout_org() order by t.hour_of_week
        """
    )
    driven = [
        Driven(
            hour_of_week=row["hour_of_week"],
            metres=row["metres"],
            seconds=row["seconds"],
            samples=row["samples"],
        )
        for row in rows
        if row["hour_of_week"] is not None
    ]
    return driven, rows[0]["time_zone"] if rows else "UTC"


# ------------------------------------------------------------------------------------------------ observing

TOLD: Final = frozenset({"visit.travelling", "visit.arrived"})

OBSERVE: Final = f"""
with asked as (
    select v.org_id, v.id, v.engineer_id, v.travelling_at as departed_at, v.arrived_at, s.lat, s.lng, z.time_zone
    from visit v
    join organisation z on z.id = v.org_id
    join work_order o on o.org_id = v.org_id and o.id = v.order_id
    join site s on s.org_id = o.org_id and s.id = o.site_id
    where v.org_id = callout_org() and v.id = any($1)
), way as (
    select a.id, a.engineer_id, a.departed_at, a.arrived_at, a.lat, a.lng,
           coalesce(said.place, seen.place, visited.place, began.place) as origin
    from asked a
    left join lateral (
        select point(e.lng, e.lat) as place from visit_event e
        where e.org_id = a.org_id and e.visit_id = a.id and e.kind = 'travelling' and e.engineer_id = a.engineer_id
          and e.corrected_at = a.departed_at and e.lat is not null and not e.mock
          and not 'impossible_speed' = any(e.flags) and coalesce(e.accuracy_m, 0) <= {EVENT_ACCURACY_M_MAX}
        order by e.id limit 1) said on true
    left join lateral (
        select point(f.lng, f.lat) as place from position_fix f
        where f.org_id = a.org_id and f.engineer_id = a.engineer_id and not f.mock
          and f.at between a.departed_at - make_interval(mins => {FIX_MINUTES})
                       and a.departed_at + make_interval(mins => {FIX_MINUTES})
          and coalesce(f.accuracy_m, 0) <= {EVENT_ACCURACY_M_MAX}
        order by abs(extract(epoch from f.at - a.departed_at)), f.at limit 1) seen on true
    left join lateral (
        select point(bs.lng, bs.lat) as place from visit b
        join work_order bo on bo.org_id = b.org_id and bo.id = b.order_id
        join site bs on bs.org_id = bo.org_id and bs.id = bo.site_id
        where b.org_id = a.org_id and b.engineer_id = a.engineer_id and b.id <> a.id and bs.lat is not null
          and b.first_on_site_at is not null and b.first_on_site_at < a.departed_at
          and (b.first_on_site_at at time zone a.time_zone)::date = (a.departed_at at time zone a.time_zone)::date
          and b.scheduled_start > a.departed_at - interval '3 days'
        order by b.first_on_site_at desc, b.id limit 1) visited on true
    left join lateral (
        select point(coalesce(sh.start_lng, e.home_lng), coalesce(sh.start_lat, e.home_lat)) as place
        from engineer e left join lateral (
            select h.start_lat, h.start_lng from shift h
            where h.org_id = e.org_id and h.engineer_id = e.id and h.starts_at <= a.departed_at
              and h.ends_at > a.departed_at order by h.starts_at desc limit 1) sh on true
        where e.org_id = a.org_id and e.id = a.engineer_id) began on true
    where a.arrived_at > a.departed_at and a.lat is not null
      -- An arrival that was told from elsewhere, or with a forged place, says nothing about the way.
      and not exists (
          select 1 from visit_event e
          where e.org_id = a.org_id and e.visit_id = a.id and e.kind = 'arrived' and e.corrected_at = a.arrived_at
            and (e.mock or e.geofence = 'outside' or 'impossible_speed' = any(e.flags)))
), measured as (
    select w.id, w.engineer_id, w.departed_at, w.arrived_at,
           extract(epoch from w.arrived_at - w.departed_at)::float8 as seconds,
           {haversine_sql("w.origin[1]", "w.origin[0]", "w.lat", "w.lng")} as metres
    from way w where w.origin is not null
), good as (
    select * from measured
    where metres >= {STRAIGHT_M_MIN} and seconds <= {SECONDS_MAX}
      and metres * {CIRCUITY} / seconds between {KM_PER_HOUR_MIN / 3.6} and {KM_PER_HOUR_MAX / 3.6}
), gone as (
    delete from travel_observation t using asked a
    where t.org_id = callout_org() and t.visit_id = a.id and not exists (select 1 from good g where g.id = a.id)
)
insert into travel_observation as t (visit_id, engineer_id, departed_at, arrived_at, straight_metres)
select id, engineer_id, departed_at, arrived_at, metres from good order by id
on conflict (org_id, visit_id) do update
set engineer_id = excluded.engineer_id, departed_at = excluded.departed_at, arrived_at = excluded.arrived_at,
    straight_metres = excluded.straight_metres
where (t.engineer_id, t.departed_at, t.arrived_at, t.straight_metres)
      is distinct from (excluded.engineer_id, excluded.departed_at, excluded.arrived_at, excluded.straight_metres)
"""


async def observe(work: Work, visit_ids: list[UUID]) -> int:
    """Write down the ways to these visits as far as they are known now, and forget those that no longer hold; how many
    were written. The visits' times and events must be written already."""
    return await work.execute(OBSERVE, sorted(set(visit_ids)))


async def observe_told(work: Work, lines: list[tuple[UUID, Any]]) -> None:
    """The hook over journal lines: whatever tells of setting out or arriving may make or change a way."""
    told = {entry.visit_id for _, entry in lines if entry.kind in TOLD and entry.visit_id is not None}
    # Most of it is somebody setting out: nobody has arrived yet, and there is nothing to look for.
    told -= {
        entry.visit_id
        for _, entry in lines
        if entry.kind == "visit.state_changed" and entry.data.get("to") == "travelling"
    }
    if told:
        await observe(work, [id_ for id_ in told if id_ is not None])


# ------------------------------------------------------------------------------------------------ learning

LEARN: Final = f"""
with fresh as (
    select (extract(isodow from t.departed_at at time zone o.time_zone)::int - 1) * 24
               + extract(hour from t.departed_at at time zone o.time_zone)::int as hour_of_week,
           sum(t.straight_metres) as metres, sum(extract(epoch from t.arrived_at - t.departed_at))::float8 as seconds,
           count(*)::int as samples
    from travel_observation t join organisation o on o.id = t.org_id
    where t.org_id = callout_org() and t.arrived_at > $1::timestamptz - make_interval(days => {LEARNED_DAYS})
    group by 1
), gone as (
    delete from travel_speed s where s.org_id = callout_org()
      and not exists (select 1 from fresh f where f.hour_of_week = s.hour_of_week)
)
insert into travel_speed as s (hour_of_week, metres, seconds, samples, updated_at)
select hour_of_week, metres, seconds, samples, $1 from fresh order by hour_of_week
on conflict (org_id, hour_of_week) do update
set metres = excluded.metres, seconds = excluded.seconds, samples = excluded.samples, updated_at = excluded.updated_at
"""


async def learn(work: Work) -> int:
    """Reckon the speeds anew from the ways of the last half year, in one statement; hours of the week that have any.

    The hour is that of the departure by the organisation's clock as it is set now. Run by the daily sweep and on demand.
    """
    return await work.execute(LEARN, work.now)


KEPT_DAYS: Final = 400
PURGE_MAX: Final = 5_000


async def purge(work: Work) -> int:
    """Forget a chunk of ways that nothing is learned from any more; how many, to be called until that is 0."""
    return await work.execute(
        f"""
        delete from travel_observation t using (
            select visit_id from travel_observation
            where org_id = callout_org() and arrived_at < $1::timestamptz - make_interval(days => {KEPT_DAYS})
            order by arrived_at limit {PURGE_MAX}
        ) old
        where t.org_id = callout_org() and t.visit_id = old.visit_id
        """,
        work.now,
    )
