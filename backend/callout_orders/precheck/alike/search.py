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
     where org_id = callout_org() and {condition} and created_at >= {since} and created_at <= $2
     order by created_at desc limit {each})
"""
_BRANCHES: Final = (
    ("customer_id = $3", "$1"),
    ("site_id = $4", "$1"),
    ("serial_key = $5", "$8"),
    ("asset_id = $6", "$8"),
    ("reporter_phone = $7", "$8"),
)
_NEAR: Final = """
    (select o.id, o.duplicate_of_id
     from site s
     cross join lateral (
         select id, duplicate_of_id, created_at from work_order w
         where w.org_id = callout_org() and w.site_id = s.id and w.created_at >= $1 and w.created_at <= $2
         order by w.created_at desc limit 3) o
     where s.org_id = callout_org() and s.lat >= $9::float8 and s.lat <= $10::float8 and s.lng >= $11::float8
         and s.lng <= $12::float8
     order by o.created_at desc limit {each})
"""
CANDIDATES: Final = f"""
with found as materialized (
    select distinct coalesce(duplicate_of_id, id) as id from (
        {
    " union all ".join(
        _ONE.format(condition=condition, since=since, each=EACH_MAX) for condition, since in _BRANCHES
    )
}
        union all {_NEAR.format(each=EACH_MAX)}) as near)
select o.id, o.number, o.state, o.description, o.created_at, o.customer_id, o.site_id, o.contact_id, o.asset_id,
    o.serial, coalesce(o.reporter_phone, k.phone) as phone, o.error_code, s.lat, s.lng
from work_order o
left join lateral (select lat, lng from site where org_id = callout_org() and id = o.site_id) s on true
left join lateral (select phone from contact where org_id = callout_org() and id = o.contact_id) k on true
where o.org_id = callout_org() and o.id = any(array(select id from found))
  and o.state <> 'canceled' and o.duplicate_of_id is null and (o.state <> 'closed' or o.closed_at >= $13)
  and ($14::uuid is null or o.id <> $14) and ($15::uuid[] is null or o.customer_id = any($15))
"""


def arguments(
    traits: Traits,
    settings: Duplicates,
    *,
    now: datetime,
    not_id: UUID | None = None,
    customer_ids: Sequence[UUID] | None = None,
) -> tuple[Any, ...]:
    """The parameters of `CANDIDATES`."""
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
        now - timedelta(hours=settings.closed_hours),
        not_id,
        None if customer_ids is None else list(customer_ids),
    )


async def candidates(
    work: Work,
    traits: Traits,
    settings: Duplicates,
    *,
    not_id: UUID | None = None,
    customer_ids: Sequence[UUID] | None = None,
) -> tuple[Candidate, ...]:
    """Orders that may be about the same matter, the likeliest first; only those that score `possible` or more.

    `customer_ids`: of these customers only. `not_id`: not this one.
    """
    rows = await work.fetch(
        CANDIDATES,
        *arguments(traits, settings, now=work.now, not_id=not_id, customer_ids=customer_ids),
    )
    return scored(traits, rows, settings)


def scored(traits: Traits, rows: Sequence[Any], settings: Duplicates) -> tuple[Candidate, ...]:
    """The rows of `CANDIDATES` that score `possible` or more, the likeliest first."""
    found: list[Candidate] = []
    for row in rows:
        like = likeness(traits, of_row(row), hours_max=settings.hours, metres_max=settings.metres)
        if like.score >= settings.possible:
            found.append(_candidate(row, like, settings))
    found.sort(key=lambda one: (not one.sure, -one.score, one.created_at, one.number))
    return tuple(found[:SHOWN_MAX])


def of_row(row: Any) -> Traits:
    """The traits of a row of `CANDIDATES`."""
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
        sure=like.score >= settings.sure and like.anchored and row["state"] in LINKABLE,
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
