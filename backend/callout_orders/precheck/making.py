"""The customers, sites and contacts that requests need and that are not there, and the orders they are duplicates of."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final
from uuid import UUID

import msgspec

from callout_orders import customers, intake
from callout_orders.precheck.alike import search
from callout_orders.precheck.looking import Look, links
from callout_orders.precheck.terms import Candidate, Known
from callout_store.ids import new_id
from callout_store.work import Work

_UNKNOWN_PLACE: Final = {"en": "To be clarified with the customer", "zh": "待与客户确认"}
_NOBODY: Final = {"en": "Unknown requester", "zh": "未知联系人"}


async def make(work: Work, looks: Sequence[Look]) -> list[Known]:
    """What is known of each request, with what was not known made; a statement for each kind of row.

    The paths of refusals name the field alone where there is one request.
    """
    knowns = [look.known for look in looks]
    new = [n for n, look in enumerate(looks) if "customer" in look.makes]
    ids = await _customers(work, [_customer(looks[n]) for n in new])
    for n, customer_id in zip(new, ids, strict=True):
        knowns[n] = msgspec.structs.replace(knowns[n], customer_id=customer_id)
    new = [n for n, look in enumerate(looks) if "site" in look.makes]
    ids = await _sites(work, [_site(looks[n], knowns[n]) for n in new])
    for n, site_id in zip(new, ids, strict=True):
        knowns[n] = msgspec.structs.replace(knowns[n], site_id=site_id)
    new = [n for n, look in enumerate(looks) if "contact" in look.makes]
    ids = await _contacts(work, [_contact(looks[n], knowns[n]) for n in new])
    for n, contact_id in zip(new, ids, strict=True):
        knowns[n] = msgspec.structs.replace(knowns[n], contact_id=contact_id)
    return knowns


async def _customers(work: Work, new: Sequence[customers.NewCustomer]) -> list[UUID]:
    if len(new) == 1:
        return [await customers.create_customer(work, new[0])]
    return await customers.create_customers(work, new)


async def _sites(work: Work, new: Sequence[customers.NewSite]) -> list[UUID]:
    if len(new) == 1:
        return [await customers.create_site(work, new[0])]
    return await customers.create_sites(work, new)


async def _contacts(work: Work, new: Sequence[customers.NewContact]) -> list[UUID]:
    if len(new) == 1:
        return [await customers.create_contact(work, new[0])]
    return await customers.create_contacts(work, new)


def _customer(look: Look) -> customers.NewCustomer:
    return customers.NewCustomer(
        number=f"N-{new_id().hex[-12:]}",
        name=look.request.customer_name or _called(look) or _NOBODY[_locale(look)],
    )


def _site(look: Look, known: Known) -> customers.NewSite:
    assert known.customer_id is not None
    request, nowhere = look.request, _UNKNOWN_PLACE[_locale(look)]
    return customers.NewSite(
        customer_id=known.customer_id,
        name=(request.address or nowhere)[:200],
        address=request.address or nowhere,
        lat=request.lat,
        lng=request.lng,
    )


def _contact(look: Look, known: Known) -> customers.NewContact:
    assert known.customer_id is not None
    request, locale = look.request, _locale(look)
    return customers.NewContact(
        customer_id=known.customer_id,
        name=_called(look) or _NOBODY[locale],
        phone=request.contact_phone,
        email=request.contact_email,
        locale=locale,
    )


def _locale(look: Look) -> str:
    return "zh" if look.request.locale.startswith("zh") else "en"


def _called(look: Look) -> str | None:
    request = look.request
    return request.contact_name or request.contact_phone or request.contact_email


async def twins(work: Work, looks: Sequence[Look]) -> list[Candidate | None]:
    """The order that each is a duplicate of, held so that it cannot be closed before the new one stands."""
    sure = [_sure(look) for look in looks]
    wanted = sorted({one.order_id for one in sure if one is not None})
    if not wanted:
        return sure
    await intake.lock_counter(work)
    rows = await work.fetch(
        """
        select id, state from work_order
        where org_id = callout_org() and id = any($1) and duplicate_of_id is null order by id for share
        """,
        wanted,
    )
    linkable = {row["id"] for row in rows if row["state"] in search.LINKABLE}
    return [one if one is not None and one.order_id in linkable else None for one in sure]


def _sure(look: Look) -> Candidate | None:
    return next((one for one in look.duplicates if one.sure), None) if links(look) else None
