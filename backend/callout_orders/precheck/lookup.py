"""Whom and what requests speak of, one or hundreds, in two statements: the first looks by ids, numbers, telephones, e-mail
and serial, each through its index; the second reads the sites of the customers that came out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, TypeVar
from uuid import UUID

import msgspec

from callout_orders.precheck import matching
from callout_orders.precheck.matching import Asset, Contact, Customer, Half, Matched, Rows, Site, Theirs
from callout_orders.precheck.terms import Known, Request
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


class _Owner(msgspec.Struct, frozen=True):
    id: UUID
    name: str
    tier: str
    sites: list[Site]


class _Recent(msgspec.Struct, frozen=True):
    contact_id: UUID
    site_id: UUID | None


async def match(work: Work, requests: Sequence[Request]) -> list[Matched | NotFound]:
    """Who and what each request speaks of; NotFound in the place of one whose id or number leads nowhere."""
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
    customers = msgspec.json.decode(row["customers"], type=list[Customer])
    contacts = msgspec.json.decode(row["contacts"], type=list[Contact])
    assets = msgspec.json.decode(row["assets"], type=list[Asset])
    sites = msgspec.json.decode(row["sites"], type=list[Site])
    by_number, by_customer = _by(customers, lambda one: one.number), _by(customers, lambda one: one.id)
    by_contact, by_phone = _by(contacts, lambda one: one.id), _by(contacts, lambda one: one.phone)
    by_email = _by(contacts, lambda one: one.email)
    by_asset, by_key = _by(assets, lambda one: one.id), _by(assets, lambda one: one.serial_key)
    by_site = _by(sites, lambda one: one.id)
    found = []
    for one, key in zip(requests, keys, strict=True):
        found.append(
            Rows(
                customers=[*by_customer.get(one.customer_id, ()), *by_number.get(one.customer_number, ())],
                contacts=[
                    *by_contact.get(one.contact_id, ()),
                    *by_phone.get(one.contact_phone, ())[:20],
                    *by_email.get(one.contact_email, ())[:20],
                ],
                # One that is named by its id and by its serial is one.
                assets=list(dict.fromkeys((*by_asset.get(one.asset_id, ()), *by_key.get(key, ())[:5]))),
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
