"""What many requests speak of, looked up together: the same answers as one by one, in a handful of statements."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, TypeVar
from uuid import UUID

import msgspec

from callout_orders.precheck import matching
from callout_orders.precheck.alike import search
from callout_orders.precheck.alike.duplicates import Traits
from callout_orders.precheck.alike.search import EACH_MAX
from callout_orders.precheck.matching import Asset, Contact, Customer, Half, Matched, Rows, Site, Theirs
from callout_orders.precheck.settings import Duplicates
from callout_orders.precheck.terms import Candidate, Known, Request
from callout_orders.precheck.text import serials
from callout_store.errors import NotFound
from callout_store.work import Work

T = TypeVar("T")

_NAMED: Final = """
select
    (select coalesce(json_agg(c), '[]') from (
        select id, name, tier, number from customer where org_id = callout_org() and id = any($1::uuid[])
        union select id, name, tier, number from customer
            where org_id = callout_org() and number = any($2::text[])) c)::text as customers,
    (select coalesce(json_agg(c order by c.id), '[]') from (
        select id, customer_id, name, phone, email from contact
            where org_id = callout_org() and id = any($3::uuid[])
        union select k.* from unnest($4::text[]) p cross join lateral (
            select id, customer_id, name, phone, email from contact
            where org_id = callout_org() and phone = p order by id limit 20) k
        union select k.* from unnest($5::text[]) e cross join lateral (
            select id, customer_id, name, phone, email from contact
            where org_id = callout_org() and email = e order by id limit 20) k) c)::text as contacts,
    (select coalesce(json_agg(a order by a.id), '[]') from (
        select a.id, a.site_id, a.serial, a.model, a.serial_key, s.customer_id
        from (
            select id, site_id, serial, model, serial_key from asset
                where org_id = callout_org() and id = any($6::uuid[])
            union select k.* from unnest($7::text[]) n cross join lateral (
                select id, site_id, serial, model, serial_key from asset
                where org_id = callout_org() and serial_key = n order by id limit 5) k) a
        join site s on s.org_id = callout_org() and s.id = a.site_id) a)::text as assets,
    (select coalesce(json_agg(s), '[]') from (
        select id, customer_id, name, address from site
        where org_id = callout_org() and id = any($8::uuid[])) s)::text as sites
"""
_THEIRS: Final = """
select
    (select coalesce(json_agg(c), '[]') from (
        select c.id, c.name, c.tier, (
            select coalesce(json_agg(s), '[]') from (
                select id, name, address, lat, lng from site
                where org_id = callout_org() and customer_id = c.id
                order by id = any($7::uuid[]) desc, id limit $2) s) as sites
        from customer c where c.org_id = callout_org() and c.id = any($1::uuid[])) c)::text as customers,
    (select coalesce(json_agg(k), '[]') from (
        select distinct k.* from unnest($3::uuid[], $4::text[], $5::text[]) as t(c, p, e) cross join lateral (
            select id, customer_id, name, phone, email from contact
            where org_id = callout_org() and customer_id = t.c and (phone = t.p or email = t.e)
            order by id limit 20) k order by id) k)::text as contacts,
    (select coalesce(json_agg(r), '[]') from (
        select t.k as contact_id, (
            select o.site_id from work_order o
            where o.org_id = callout_org() and o.contact_id = t.k order by o.id desc limit 1) as site_id
        from unnest($6::uuid[]) as t(k)) r)::text as recent
"""


class _Numbered(msgspec.Struct, frozen=True):
    id: UUID
    name: str
    tier: str
    number: str


class _Keyed(msgspec.Struct, frozen=True):
    id: UUID
    site_id: UUID
    serial: str
    model: str
    customer_id: UUID
    serial_key: str | None


class _Owner(msgspec.Struct, frozen=True):
    id: UUID
    name: str
    tier: str
    sites: list[Site]


class _Recent(msgspec.Struct, frozen=True):
    contact_id: UUID
    site_id: UUID | None


async def match(work: Work, requests: Sequence[Request]) -> list[Matched | NotFound]:
    """What `matching.match` says of each; where it raises, the refusal stands in its place. Two statements in all."""
    named = await _rows(work, requests)
    halves: list[Half | NotFound] = []
    for request, rows in zip(requests, named, strict=True):
        try:
            halves.append(matching.whose(request, rows))
        except NotFound as fault:
            halves.append(fault)
    return await _wholes(work, requests, halves)


async def _rows(work: Work, requests: Sequence[Request]) -> list[Rows]:
    keys = [serials.key(one.serial) if one.serial else None for one in requests]
    row = await work.fetchrow(
        _NAMED,
        _some(one.customer_id for one in requests),
        _some(one.customer_number for one in requests),
        _some(one.contact_id for one in requests),
        _some(one.contact_phone for one in requests),
        _some(one.contact_email for one in requests),
        _some(one.asset_id for one in requests),
        _some(keys),
        _some(one.site_id for one in requests),
    )
    assert row is not None
    customers = msgspec.json.decode(row["customers"], type=list[_Numbered])
    contacts = msgspec.json.decode(row["contacts"], type=list[Contact])
    assets = msgspec.json.decode(row["assets"], type=list[_Keyed])
    sites = msgspec.json.decode(row["sites"], type=list[Site])
    by_number, by_customer = _by(customers, lambda one: one.number), _by(customers, lambda one: one.id)
    by_contact, by_phone = _by(contacts, lambda one: one.id), _by(contacts, lambda one: one.phone)
    by_email = _by(contacts, lambda one: one.email)
    by_asset, by_key = _by(assets, lambda one: one.id), _by(assets, lambda one: one.serial_key)
    by_site = _by(sites, lambda one: one.id)
    found = []
    for one, key in zip(requests, keys, strict=True):
        theirs = [*by_customer.get(one.customer_id, ()), *by_number.get(one.customer_number, ())]
        found.append(
            Rows(
                customers=[Customer(id=c.id, name=c.name, tier=c.tier) for c in theirs],
                contacts=[
                    *by_contact.get(one.contact_id, ()),
                    *by_phone.get(one.contact_phone, ())[:20],
                    *by_email.get(one.contact_email, ())[:20],
                ],
                assets=[
                    Asset(
                        id=a.id, site_id=a.site_id, serial=a.serial, model=a.model, customer_id=a.customer_id
                    )
                    for a in dict.fromkeys((*by_asset.get(one.asset_id, ()), *by_key.get(key, ())[:5]))
                ],
                sites=by_site.get(one.site_id, []),
            )
        )
    return found


async def _wholes(
    work: Work, requests: Sequence[Request], halves: Sequence[Half | NotFound]
) -> list[Matched | NotFound]:
    known = [
        (request, half)
        for request, half in zip(requests, halves, strict=True)
        if isinstance(half, Half) and half.customer_id is not None
    ]
    owners: dict[UUID, _Owner] = {}
    contacts: dict[Any, list[Contact]] = {}
    recent: dict[UUID, UUID | None] = {}
    if known:
        # Those whose contact did not come out by itself: it may be one of many with this telephone.
        searched = [
            (half.customer_id, request.contact_phone, request.contact_email)
            for request, half in known
            if half.contact is None and (request.contact_phone or request.contact_email)
        ]
        row = await work.fetchrow(
            _THEIRS,
            _some(half.customer_id for _, half in known),
            matching.SITES_MAX,
            [customer for customer, _, _ in searched],
            [phone for _, phone, _ in searched],
            [email for _, _, email in searched],
            _some(half.contact.id if half.contact else None for _, half in known),
            _some(
                id_
                for request, half in known
                for id_ in (request.site_id, *(one.site_id for one in half.assets))
            ),
        )
        assert row is not None
        owners = {one.id: one for one in msgspec.json.decode(row["customers"], type=list[_Owner])}
        contacts = _by(msgspec.json.decode(row["contacts"], type=list[Contact]), lambda one: one.customer_id)
        recent = {
            one.contact_id: one.site_id for one in msgspec.json.decode(row["recent"], type=list[_Recent])
        }
    found: list[Matched | NotFound] = []
    for request, half in zip(requests, halves, strict=True):
        if isinstance(half, NotFound):
            found.append(half)
        elif half.customer_id is None:
            found.append(Matched(known=Known(by=half.by)))
        else:
            owner = owners[half.customer_id]
            theirs = Theirs(
                name=owner.name,
                tier=owner.tier,
                sites=owner.sites,
                contacts=contacts.get(owner.id, ()),
                recent_site_id=recent.get(half.contact.id) if half.contact else None,
            )
            found.append(matching.whole(request, half, theirs))
    return found


def _some(values: Iterable[T | None]) -> list[T]:
    return list(dict.fromkeys(value for value in values if value is not None))


def _by(rows: Iterable[T], key: Callable[[T], Any]) -> dict[Any, list[T]]:
    found: dict[Any, list[T]] = {}
    for row in rows:
        value = key(row)
        if value is not None:
            found.setdefault(value, []).append(row)
    return found


# ------------------------------------------------------------------------------------------------- duplicates

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
)
select o.*, w.wanted from orders o join (select id, array_agg(n) as wanted from found group by id) w on w.id = o.id
"""


def arguments(traits: Sequence[Traits], settings: Duplicates, *, now: Any) -> tuple[Any, ...]:
    """The parameters of `CANDIDATES`."""
    each = [search.arguments(one, settings, now=now) for one in traits]
    columns = zip(*each, strict=True)
    return (list(range(len(each))), *(list(column) for column in list(columns)[:12]), each[0][12])


async def candidates(
    work: Work, traits: Sequence[Traits], settings: Duplicates, *, own: Sequence[Sequence[UUID] | None]
) -> list[tuple[Candidate, ...]]:
    """What `search.candidates` says of each; one statement. `own`: of these customers only."""
    if not traits:
        return []
    rows = await work.fetch(CANDIDATES, *arguments(traits, settings, now=work.now))
    near: list[list[Any]] = [[] for _ in traits]
    for row in rows:
        for n in row["wanted"]:
            customers = own[n]
            if customers is None or row["customer_id"] in customers:
                near[n].append(row)
    return [search.scored(one, found, settings) for one, found in zip(traits, near, strict=True)]
