"""Whose order it is and where: which of the customers, contacts, sites and machines that were found by what a request names
are meant. What is looked at was read by `lookup`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final
from uuid import UUID

import msgspec

from callout_orders.checks import FieldRefused, Gather
from callout_orders.precheck.terms import Known, Request
from callout_orders.precheck.text.addresses import ALIKE, alike
from callout_orders.precheck.text.words import fold
from callout_orders.precheck.texts import NOUNS
from callout_store.errors import NotFound

SITES_MAX: Final = 500
UNKNOWN: Final = "unknown_customer"
"""The reason of a request that is refused because it is not known whose it is, or where, and nobody may be made for it."""
SHARED: Final = "shared"
"""How a customer was recognised whose telephone or e-mail others have, too: good enough for a person, not for a system."""


class Customer(msgspec.Struct, frozen=True):
    """A row of `customer`, as far as it is looked at."""

    id: UUID
    name: str
    tier: str
    number: str


class Contact(msgspec.Struct, frozen=True):
    """A row of `contact`."""

    id: UUID
    customer_id: UUID
    name: str
    phone: str | None
    email: str | None


class Asset(msgspec.Struct, frozen=True):
    """A row of `asset`, with its customer."""

    id: UUID
    site_id: UUID
    serial: str
    model: str
    serial_key: str | None
    customer_id: UUID


class Site(msgspec.Struct, frozen=True):
    """A row of `site`."""

    id: UUID
    name: str
    address: str
    customer_id: UUID | None = None
    lat: float | None = None
    lng: float | None = None


class Matched(msgspec.Struct, frozen=True, kw_only=True):
    """What was recognised; `sites` is how many sites the customer has, `point` where the recognised one is."""

    known: Known
    sites: int = 0
    point: tuple[float, float] | None = None


class Rows(msgspec.Struct, frozen=True, kw_only=True):
    """What is there of what a request names: in the order of their ids, contacts by id, then by telephone, then by e-mail."""

    customers: Sequence[Customer] = ()
    contacts: Sequence[Contact] = ()
    assets: Sequence[Asset] = ()
    sites: Sequence[Site] = ()


class Half(msgspec.Struct, frozen=True, kw_only=True):
    """Whose request it is, as far as that follows from what it names."""

    customer_id: UUID | None
    contact: Contact | None
    assets: Sequence[Asset]
    by: dict[str, str]


class Theirs(msgspec.Struct, frozen=True, kw_only=True):
    """What a customer has: sites, contacts with the request's telephone or e-mail, where the contact's last order was."""

    name: str
    tier: str
    sites: Sequence[Site]
    contacts: Sequence[Contact] = ()
    recent_site_id: UUID | None = None


def whose(request: Request, rows: Rows) -> Half:
    """The customer, and the contact as far as its telephone or e-mail is no other customer's. Raises NotFound."""
    own = request.own_customer_ids
    contacts = [one for one in rows.contacts if own is None or one.customer_id in own]
    assets = [one for one in rows.assets if own is None or one.customer_id in own]
    sites = [one for one in rows.sites if own is None or one.customer_id in own]
    by: dict[str, str] = {}
    customer_id = _customer(request, rows.customers, contacts, assets, sites, by)
    _refuse_strangers(request, customer_id, contacts, assets, sites)
    contact = _contact(request, customer_id, contacts, by) if customer_id is not None else None
    return Half(customer_id=customer_id, contact=contact, assets=assets, by=by)


def whole(request: Request, half: Half, theirs: Theirs) -> Matched:
    """All that is known of a request whose customer is known."""
    by, customer_id = half.by, half.customer_id
    assert customer_id is not None
    contact = half.contact or _contact(request, customer_id, theirs.contacts, by)
    asset = _asset(request, customer_id, half.assets, by)
    site = _site(request, asset, theirs.sites, theirs.recent_site_id, by)
    known = Known(
        customer_id=customer_id,
        customer_name=theirs.name,
        customer_tier=theirs.tier,
        contact_id=contact.id if contact else None,
        contact_name=contact.name if contact else None,
        contact_phone=contact.phone if contact else None,
        contact_email=contact.email if contact else None,
        site_id=site.id if site else None,
        site_name=site.name if site else None,
        site_address=site.address if site else None,
        asset_id=asset.id if asset else None,
        asset_serial=asset.serial if asset else None,
        asset_model=asset.model if asset else None,
        by=by,
    )
    point = (site.lat, site.lng) if site and site.lat is not None and site.lng is not None else None
    return Matched(known=known, sites=len(theirs.sites), point=point)


def _customer(
    request: Request,
    customers: Sequence[Customer],
    contacts: Sequence[Contact],
    assets: Sequence[Asset],
    sites: Sequence[Site],
    by: dict[str, str],
) -> UUID | None:
    """The customer: as named; else whose site, machine or contact it is."""
    own = request.own_customer_ids
    if request.customer_id is not None or request.customer_number is not None:
        if request.customer_id is not None:
            found = next((one.id for one in customers if one.id == request.customer_id), None)
            path, how = "customerId", "id"
        else:
            found = next((one.id for one in customers), None)
            path, how = "customerNumber", "number"
        if found is None or (own is not None and found not in own):
            raise NotFound(entity="customer", path=path)
        by["customer"] = how
        return found
    by_phone = [one for one in contacts if one.phone and one.phone == request.contact_phone]
    by_email = [one for one in contacts if one.email and one.email == request.contact_email]
    for owners, how in (
        ([one.customer_id for one in sites if one.id == request.site_id], "site"),
        ([one.customer_id for one in assets if one.id == request.asset_id], "asset"),
        ([one.customer_id for one in contacts if one.id == request.contact_id], "contact"),
        ([one.customer_id for one in assets], "serial"),
        ([one.customer_id for one in by_phone], "phone"),
        ([one.customer_id for one in by_email], "email"),
    ):
        if len(set(owners)) == 1 and owners[0] is not None:
            by["customer"] = how
            return owners[0]
    if by_phone or by_email:
        # Several customers share it: the one with a contact of this name, else the one that was made last.
        shared = by_phone or by_email
        name = fold(request.contact_name or "")
        same = [one for one in shared if name and fold(one.name) == name]
        by["customer"] = SHARED
        return max(same or shared, key=lambda one: one.id).customer_id
    if own is not None and len(own) == 1:
        by["customer"] = "only"
        return own[0]
    return None


def _refuse_strangers(
    request: Request,
    customer_id: UUID | None,
    contacts: Sequence[Contact],
    assets: Sequence[Asset],
    sites: Sequence[Site],
) -> None:
    """Ids that were given lead to rows of this customer, or to nothing that this caller may know of."""
    if request.site_id is not None and not any(
        one.id == request.site_id and one.customer_id == customer_id for one in sites
    ):
        raise NotFound(entity="site", path="siteId")
    if request.contact_id is not None and not any(
        one.id == request.contact_id and one.customer_id == customer_id for one in contacts
    ):
        raise NotFound(entity="contact", path="contactId")
    if request.asset_id is not None and not any(
        one.id == request.asset_id
        and one.customer_id == customer_id
        and request.site_id in (None, one.site_id)
        for one in assets
    ):
        raise NotFound(entity="asset", path="assetId")


def _contact(
    request: Request, customer_id: UUID, contacts: Sequence[Contact], by: dict[str, str]
) -> Contact | None:
    theirs = [one for one in contacts if one.customer_id == customer_id]
    for how, fits in (
        ("id", [one for one in theirs if one.id == request.contact_id]),
        ("phone", [one for one in theirs if one.phone and one.phone == request.contact_phone]),
        ("email", [one for one in theirs if one.email and one.email == request.contact_email]),
    ):
        if fits:
            by["contact"] = how
            # Of several with one telephone, the one of this name.
            name = fold(request.contact_name or "")
            return next((one for one in fits if name and fold(one.name) == name), fits[0])
    return None


def _asset(request: Request, customer_id: UUID, assets: Sequence[Asset], by: dict[str, str]) -> Asset | None:
    theirs = [
        one for one in assets if one.customer_id == customer_id and request.site_id in (None, one.site_id)
    ]
    for how, fits in (("id", [one for one in theirs if one.id == request.asset_id]), ("serial", theirs)):
        if fits:
            by["asset"] = how
            return fits[0]
    return None


def _site(
    request: Request,
    asset: Asset | None,
    theirs: Sequence[Site],
    recent: UUID | None,
    by: dict[str, str],
) -> Site | None:
    """The site: as named, the machine's, the one with this address, the customer's only one, or where the contact's last
    order was. With an address that is none of these it is a new place."""
    wanted = request.site_id or (asset.site_id if asset else None)
    if wanted is not None:
        by["site"] = "id" if request.site_id else "asset"
        return next((one for one in theirs if one.id == wanted), None)
    if request.address:
        best = max(theirs, key=lambda one: alike(request.address or "", one.address), default=None)
        if best is not None and alike(request.address, best.address) >= ALIKE:
            by["site"] = "address"
            return best
        return None
    if request.lat is not None:
        return None
    if len(theirs) == 1:
        by["site"] = "only"
        return theirs[0]
    found = next((one for one in theirs if one.id == recent), None)
    if found is not None:
        by["site"] = "recent"
    return found


def need_customer(request: Request, matched: Matched, *, may_create: bool, gather: Gather) -> tuple[str, ...]:
    """What would have to be made; what may not be made is refused through `gather`."""
    known = matched.known
    makes: list[str] = []
    named = bool(request.contact_name or request.contact_phone or request.contact_email)
    reachable = named or bool(request.customer_name)
    own = request.own_customer_ids is not None
    if known.customer_id is None:
        if may_create and reachable and not own:
            makes += ["customer", "site"]
        else:
            with gather:
                if may_create and not own:
                    raise FieldRefused(
                        "contactPhone",
                        "needed",
                        noun=NOUNS["contact_phone"][0],
                        noun_zh=NOUNS["contact_phone"][1],
                    )
                raise FieldRefused("customerId", UNKNOWN)
    elif known.by.get("customer") == SHARED and not may_create:
        with gather:
            raise FieldRefused("customerId", UNKNOWN)
    elif known.site_id is None:
        placed = bool(request.address) or request.lat is not None
        # Who is nobody yet is not told that the telephone is known here, or how many places its owner has.
        if may_create and (placed or not matched.sites or request.stranger):
            makes.append("site")
        else:
            with gather:
                if request.stranger:
                    raise FieldRefused("customerId", UNKNOWN)
                if matched.sites > 1:
                    path = "address" if may_create else "siteId"
                    raise FieldRefused(path, "unknown_site", count=matched.sites)
                raise FieldRefused("siteId", "unknown_site_none")
    if named and known.contact_id is None and may_create:
        makes.append("contact")
    return tuple(makes)
