"""Orders that a request may be a duplicate of: found in one statement through indexes, scored by `duplicates`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from callout_orders.precheck.alike.duplicates import Likeness, Traits, likeness
from callout_orders.precheck.settings import Duplicates
from callout_orders.precheck.terms import Candidate
from callout_orders.precheck.text import serials
from callout_orders.terms import OrderState
from callout_store.errors import NotFound
from callout_store.work import Work

EACH_MAX: Final = 60
"""Orders looked at by each of what they may have in common, the latest first."""
SHOWN_MAX: Final = 10
METRES_A_DEGREE: Final = 111_195.0
"""Of latitude, on a sphere of the mean radius of the earth."""

LINKABLE: Final = frozenset(
    {OrderState.NEW, OrderState.SCHEDULED, OrderState.IN_PROGRESS, OrderState.CANNOT_COMPLETE}
)
"""States in which somebody will still come: an order is never linked by itself to one where the work is over."""

_ONE: Final = """
    (select id, duplicate_of_id from work_order
     where org_id = callout_org() and {condition} and created_at >= g.{since} and created_at <= g.until
     order by created_at desc limit {each})
"""
_BRANCHES: Final = (
    ("customer_id = g.customer_id", "since"),
    ("site_id = g.site_id", "since"),
    ("serial_key = g.serial_key", "open_since"),
    ("asset_id = g.asset_id", "open_since"),
    ("reporter_phone = g.phone", "open_since"),
)
_NEAR: Final = """
    (select o.id, o.duplicate_of_id
     from site s
     cross join lateral (
         select id, duplicate_of_id, created_at from work_order w
         where w.org_id = callout_org() and w.site_id = s.id and w.created_at >= g.since and w.created_at <= g.until
         order by w.created_at desc limit 3) o
     where s.org_id = callout_org() and s.lat >= g.south and s.lat <= g.north and s.lng >= g.west and s.lng <= g.east
     order by o.created_at desc limit {each})
"""
CANDIDATES: Final = f"""
with given as materialized (
    select * from unnest($1::int[], $2::timestamptz[], $3::timestamptz[], $4::uuid[], $5::uuid[], $6::text[], $7::uuid[],
        $8::text[], $9::timestamptz[], $10::float8[], $11::float8[], $12::float8[], $13::float8[])
        as t(n, since, until, customer_id, site_id, serial_key, asset_id, phone, open_since, south, north, west, east)
), found as materialized (
    select distinct g.n, coalesce(near.duplicate_of_id, near.id) as id
    from given g
    cross join lateral ({
    " union all ".join(
        _ONE.format(condition=condition, since=since, each=EACH_MAX) for condition, since in _BRANCHES
    )
}
        union all {_NEAR.format(each=EACH_MAX)}) as near
), orders as materialized (
    select o.id, o.number, o.state, o.description, o.created_at, o.customer_id, o.site_id, o.contact_id, o.asset_id,
        o.serial, coalesce(o.reporter_phone, k.phone) as phone, o.error_code, s.lat, s.lng
    from work_order o
    left join lateral (select lat, lng from site where org_id = callout_org() and id = o.site_id) s on true
    left join lateral (select phone from contact where org_id = callout_org() and id = o.contact_id) k on true
    where o.org_id = callout_org() and o.id = any(array(select distinct id from found))
      and o.state <> 'canceled' and o.duplicate_of_id is null and (o.state <> 'closed' or o.closed_at >= $14)
      and ($15::uuid is null or o.id <> $15)
)
select o.*, w.wanted from orders o join (select id, array_agg(n) as wanted from found group by id) w on w.id = o.id
"""


def arguments(
    traits: Sequence[Traits], settings: Duplicates, *, now: datetime, not_id: UUID | None = None
) -> tuple[Any, ...]:
    """The parameters of `CANDIDATES`."""
    columns = zip(*(_sought(one, settings) for one in traits), strict=True)
    return (
        list(range(len(traits))),
        *(list(column) for column in columns),
        now - timedelta(hours=settings.closed_hours),
        not_id,
    )


def _sought(traits: Traits, settings: Duplicates) -> tuple[Any, ...]:
    """By what orders like this one are looked for."""
    at = traits.created_at
    south = north = west = east = None
    if traits.lat is not None and traits.lng is not None and settings.metres:
        high = settings.metres / METRES_A_DEGREE
        # At the poles every meridian is near; a band of one degree is wide enough for whoever lives there.
        wide = min(1.0, high / max(0.01, math.cos(math.radians(traits.lat))))
        south, north, west, east = traits.lat - high, traits.lat + high, traits.lng - wide, traits.lng + wide
    return (
        at - timedelta(hours=settings.hours),
        at + timedelta(hours=settings.hours),
        traits.customer_id,
        traits.site_id,
        serials.key(traits.serial) if traits.serial else None,
        traits.asset_id,
        traits.phone,
        at - timedelta(days=settings.open_days),
        south,
        north,
        west,
        east,
    )


async def candidates(
    work: Work,
    traits: Traits,
    settings: Duplicates,
    *,
    not_id: UUID | None = None,
    own: Sequence[UUID] | None = None,
) -> tuple[Candidate, ...]:
    """Orders that may be about the same matter, the likeliest first; only those that score `possible` or more.

    `own`: of these customers only. `not_id`: not this one.
    """
    (found,) = await candidates_of(work, [traits], settings, own=[own], not_id=not_id)
    return found


async def candidates_of(
    work: Work,
    traits: Sequence[Traits],
    settings: Duplicates,
    *,
    own: Sequence[Sequence[UUID] | None],
    not_id: UUID | None = None,
) -> list[tuple[Candidate, ...]]:
    """What `candidates` says of each; one statement."""
    if not traits:
        return []
    rows = await work.fetch(CANDIDATES, *arguments(traits, settings, now=work.now, not_id=not_id))
    near: list[list[Any]] = [[] for _ in traits]
    for row in rows:
        for n in row["wanted"]:
            customers = own[n]
            if customers is None or row["customer_id"] in customers:
                near[n].append(row)
    return [_scored(one, found, settings) for one, found in zip(traits, near, strict=True)]


def _scored(traits: Traits, rows: Sequence[Any], settings: Duplicates) -> tuple[Candidate, ...]:
    """The rows of `CANDIDATES` that score `possible` or more, the likeliest first."""
    found: list[Candidate] = []
    for row in rows:
        like = likeness(traits, _traits(row), hours_max=settings.hours, metres_max=settings.metres)
        if like.score >= settings.possible:
            found.append(_candidate(row, like, settings))
    found.sort(key=lambda one: (not one.sure, -one.score, one.created_at, one.number))
    return tuple(found[:SHOWN_MAX])


def _traits(row: Any) -> Traits:
    return Traits(
        description=row["description"],
        created_at=row["created_at"],
        customer_id=row["customer_id"],
        site_id=row["site_id"],
        contact_id=row["contact_id"],
        asset_id=row["asset_id"],
        serial=row["serial"],
        phone=row["phone"],
        error_code=row["error_code"],
        lat=row["lat"],
        lng=row["lng"],
    )


def _candidate(row: Any, like: Likeness, settings: Duplicates) -> Candidate:
    return Candidate(
        order_id=row["id"],
        number=row["number"],
        state=row["state"],
        description=row["description"],
        created_at=row["created_at"],
        score=like.score,
        sure=like.is_sure(settings.sure) and row["state"] in LINKABLE,
        reasons=like.reasons,
    )


async def of_order(work: Work, order_id: UUID, settings: Duplicates) -> tuple[Candidate, ...]:
    """Orders that an order of ours may be a duplicate of. Raises NotFound."""
    row = await work.fetchrow(
        """
        select o.description, o.created_at, o.customer_id, o.site_id, o.contact_id, o.asset_id, o.serial,
            coalesce(o.reporter_phone, k.phone) as phone, o.error_code, s.lat, s.lng
        from work_order o join site s on s.org_id = o.org_id and s.id = o.site_id
        left join contact k on k.org_id = o.org_id and k.id = o.contact_id
        where o.org_id = callout_org() and o.id = $1
        """,
        order_id,
    )
    if row is None:
        raise NotFound(entity="work order", path="orderId")
    return await candidates(work, Traits(**dict(row)), settings, not_id=order_id)
