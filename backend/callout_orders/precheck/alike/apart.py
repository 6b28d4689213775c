"""Which requests of a sheet have nothing to do with the ones before them: they may be taken in together. Pure."""

from __future__ import annotations

import math
from collections import defaultdict
from datetime import datetime
from typing import Final, NamedTuple
from uuid import UUID

from callout_orders.precheck import looking
from callout_orders.precheck.alike.duplicates import Traits, likeness
from callout_orders.precheck.alike.search import EACH_MAX, METRES_A_DEGREE
from callout_orders.precheck.looking import Look
from callout_orders.precheck.settings import Duplicates
from callout_orders.precheck.terms import Request
from callout_orders.precheck.text import serials
from callout_orders.precheck.text.addresses import ALIKE, alike

_FIXED: Final = frozenset({"id", "asset"})
"""By what a site was recognised that no new site and no later order changes."""


class _Seen(NamedTuple):
    """What of a request is compared; `asks`: it waits, and will ask itself whether it is a duplicate."""

    traits: Traits
    asks: bool


class Apart:
    """Asked of one request after the other, in their order. One that does not fit counts all the same: what follows from
    it waits as well, and so does what would change what becomes of it."""

    def __init__(self, settings: Duplicates, now: datetime, *, possible: bool) -> None:
        self._settings, self._now, self._possible = settings, now, possible
        self._named: dict[tuple[str, object], set[UUID]] = defaultdict(set)
        """References, and the telephones and addresses of contacts that are made; the known customers that these are of."""
        self._places: dict[UUID, list[str]] = defaultdict(list)
        """Addresses of sites that are made, by customer."""
        self._served: set[UUID] = set()
        """Contacts with an order: where their last one was is where the next one may be meant."""
        self._alike: dict[tuple[str, object], list[_Seen]] = defaultdict(list)
        self._near: list[_Seen] = []
        self._waiting: set[UUID] = set()
        """Customers and contacts of requests that wait, and whose site may be another one by the next order."""

    def fits(self, look: Look) -> bool:
        """Whether nothing before it changes what becomes of it. One that is refused for good leaves nothing."""
        traits = looking.traits(look, self._now)
        asked = self._possible or looking.links(look)
        free = self._stands(look) and not self._doubles(traits, asked)
        if not (free and look.gather.faults):
            self._note(look, _Seen(traits, asks=asked and not free))
        if not free:
            self._wait(look)
        return free

    def answered(self, request: Request) -> bool:
        """Whether a reference of it is one of those before it, whose order will be the answer."""
        return any(name in self._named for name in _references(request))

    def _stands(self, look: Look) -> bool:
        request, known = look.request, look.known
        if any(name in self._named for name in (*_references(look.request), *_reached_by(look))):
            return False
        by = known.by.get("site")
        if known.contact_id in self._waiting or (by not in _FIXED and known.customer_id in self._waiting):
            return False
        if known.customer_id is not None and by not in _FIXED:
            made = self._places.get(known.customer_id, [])
            # Of a site that was recognised by being the only one, the request has the address by now.
            if request.address and by in (None, "address"):
                if any(alike(request.address, one) >= ALIKE for one in made):
                    return False
            elif made and request.lat is None:
                return False
        return not (by in (None, "recent") and known.contact_id in self._served)

    def _wait(self, look: Look) -> None:
        reached = _reached_by(look)
        # It may turn out to be of a customer that is known by a contact which is made before it.
        of = {id_ for name in reached if name in self._named for id_ in self._named[name]}
        of |= {id_ for id_ in (look.known.customer_id,) if id_ is not None}
        for name in reached:
            self._named[name] |= of
        if look.known.by.get("site") not in _FIXED:
            self._waiting |= of | {id_ for id_ in (look.known.contact_id,) if id_ is not None}

    def _doubles(self, traits: Traits, asked: bool) -> bool:
        settings = self._settings
        looked_at: set[int] = set()
        near = [one for one in self._near[-EACH_MAX:] if _close(one.traits, traits, settings.metres)]
        for other in (*(one for key in _keys(traits) for one in self._alike[key][-EACH_MAX:]), *near):
            if id(other) in looked_at or not (asked or other.asks):
                continue
            looked_at.add(id(other))
            like = likeness(traits, other.traits, hours_max=settings.hours, metres_max=settings.metres)
            # Where nobody looks at what is only possible, it makes no difference to what becomes of either.
            if like.score >= settings.possible if self._possible else like.is_sure(settings.sure):
                return True
        return False

    def _note(self, look: Look, seen: _Seen) -> None:
        known = look.known
        of = {id_ for id_ in (known.customer_id,) if id_ is not None}
        names = _references(look.request)
        if "customer" in look.makes or "contact" in look.makes:
            names += _reached_by(look)
        for name in names:
            self._named[name] |= of
        if "site" in look.makes and known.customer_id is not None:
            self._places[known.customer_id].append(look.request.address or "")
        if known.contact_id is not None:
            self._served.add(known.contact_id)
        for key in _keys(seen.traits):
            self._alike[key].append(seen)
        if seen.traits.lat is not None:
            self._near.append(seen)


def _references(request: Request) -> list[tuple[str, object]]:
    return [("reference", (system.strip(), reference.strip())) for system, reference in request.references]


def _reached_by(look: Look) -> list[tuple[str, object]]:
    request = look.request
    email = (request.contact_email or "").strip().lower()
    return [(name, one) for name, one in (("phone", request.contact_phone), ("email", email)) if one]


def _keys(traits: Traits) -> list[tuple[str, object]]:
    """By what earlier orders are found: see `search.CANDIDATES`."""
    given: tuple[tuple[str, object], ...] = (
        ("customer", traits.customer_id),
        ("site", traits.site_id),
        ("serial", serials.key(traits.serial) if traits.serial else None),
        ("asset", traits.asset_id),
        ("phone", traits.phone),
    )
    return [(name, value) for name, value in given if value is not None]


def _close(one: Traits, other: Traits, metres: int) -> bool:
    if one.lat is None or one.lng is None or other.lat is None or other.lng is None:
        return False
    high = metres / METRES_A_DEGREE
    wide = min(1.0, high / max(0.01, math.cos(math.radians(other.lat))))
    return abs(one.lat - other.lat) <= high and abs(one.lng - other.lng) <= wide
