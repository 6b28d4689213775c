"""What is asked of the pre-check and what it answers. Values only, no I/O.

A `Request` is whatever a channel knows of an order that somebody wants: ids where it has them, words where it has not.
`precheck.check(work, request)` says what is wrong and what would become of it, and writes nothing; `precheck.take(work,
request)` makes the order, or raises everything that is wrong at once (`FieldsRefused`, or the one fault itself).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from callout_orders.checks import FieldRefused
from callout_store.errors import Refusal


class RequestFile(msgspec.Struct, frozen=True, kw_only=True):
    """A file that comes with a request: its media type is what the rules ask for. `id` is the channel's own."""

    media_type: str
    name: str = ""
    id: UUID | None = None


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """An order that somebody asks for.

    Whose it is and where: by ids; or by `customer_number`, `serial`, `contact_phone` or `contact_email`, by which those
    that are known are found; or made from `customer_name`, `contact_name` and `address`, where the channel may.
    `kind` None: as the words suggest, else the channel's. `priority` None: as the words suggest, within what the channel
    may raise to. `phone_region` (ISO 3166) is meant where a number names no country; None: as the organisation's settings
    say. `locale` (`en`, `zh`) is the requester's. `references` are (system, reference) pairs: the same again leads to the
    order that exists. `created_at`, for imports only, is when the clock began. `own_customer_ids`: the requester may order
    for these customers and sees no others (a signed-in contact); None: for every one. `may_create`: whether an unknown
    customer, site or contact may be made; None: as is configured for the channel. `read_text`: whether what is missing is
    looked for in the description. `link_duplicates`: whether a sure duplicate is linked; None: as is configured.
    `stranger`: the requester has shown by nothing who they are, and is told nothing of those whom their words lead to.
    """

    channel: str
    description: str
    kind: str | None = None
    priority: str | None = None
    locale: str = "en"
    customer_id: UUID | None = None
    site_id: UUID | None = None
    contact_id: UUID | None = None
    asset_id: UUID | None = None
    customer_number: str | None = None
    customer_name: str | None = None
    contact_name: str | None = None
    contact_phone: str | None = None
    contact_email: str | None = None
    phone_region: str | None = None
    serial: str | None = None
    product: str | None = None
    error_code: str | None = None
    address: str | None = None
    lat: float | None = None
    lng: float | None = None
    fields: Mapping[str, Any] = {}
    tags: tuple[str, ...] = ()
    files: tuple[RequestFile, ...] = ()
    references: tuple[tuple[str, str], ...] = ()
    skills: dict[str, int] = {}
    duration_minutes: int = 60
    parts: tuple[tuple[str | UUID, int], ...] = ()
    reported_at: datetime | None = None
    created_at: datetime | None = None
    requested_from: datetime | None = None
    requested_until: datetime | None = None
    crew_size: int = 1
    follows_order_id: UUID | None = None
    follows_gap_minutes: int = 0
    own_customer_ids: tuple[UUID, ...] | None = None
    may_create: bool | None = None
    read_text: bool = True
    link_duplicates: bool | None = None
    stranger: bool = False


class Fault(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that is wrong. `path` is the field in camelCase (`contactPhone`, `fields.battery`); `code` is stable,
    `reason` says which of its cases (`missing`, `phone_digits`, `serial_other_product`, …); what was wrong and what to do
    stand in `en` and `zh`."""

    path: str
    code: str
    reason: str
    en: str
    zh: str

    def text(self, locale: str) -> str:
        """What was wrong and what to do, in `en` or `zh`."""
        return self.zh if locale.startswith("zh") else self.en


def fault_of(fault: Refusal) -> Fault:
    """A refusal as it is said and kept."""

    def why(locale: str) -> str:
        return fault.why(locale) if isinstance(fault, FieldRefused) else fault.message(locale)

    return Fault(
        path=fault.path or "",
        code=fault.code,
        reason=str(fault.details.get("reason", fault.code)).lower(),
        en=why("en"),
        zh=why("zh"),
    )


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """Something read from the description: `field` is a name of `Request` (`contact_phone`, `serial`, …), the text stands at
    `start`..`end`, `confidence` is 0..1. `used`: it was taken, because nothing was given and it is sure enough."""

    field: str
    value: str
    start: int
    end: int
    confidence: float
    used: bool = False


class TagHit(msgspec.Struct, frozen=True, kw_only=True):
    """A tag, and the word of the description at `start`..`end` that it comes from."""

    tag: str
    word: str
    start: int
    end: int


class Proposal(msgspec.Struct, frozen=True, kw_only=True):
    """What the words suggest for `field` (`priority` or `kind`), and why. Who takes the order decides."""

    field: str
    value: str
    reason: str
    en: str
    zh: str


class Reason(msgspec.Struct, frozen=True, kw_only=True):
    """One part of the score of a duplicate: `points` of 1 in all."""

    code: str
    points: float
    en: str
    zh: str


class Candidate(msgspec.Struct, frozen=True, kw_only=True):
    """An order that this one may be a duplicate of. `score` is 0..1, the sum of the reasons' points; `sure`: above the
    threshold from which it is linked by itself."""

    order_id: UUID
    number: str
    state: str
    description: str
    created_at: datetime
    score: float
    sure: bool
    reasons: tuple[Reason, ...] = ()


class Known(msgspec.Struct, frozen=True, kw_only=True):
    """Who and what was recognised, and by what (`id`, `number`, `serial`, `phone`, `email`, `only`, `recent`, `address`)."""

    customer_id: UUID | None = None
    site_id: UUID | None = None
    contact_id: UUID | None = None
    asset_id: UUID | None = None
    customer_name: str | None = None
    customer_tier: str | None = None
    site_name: str | None = None
    site_address: str | None = None
    contact_name: str | None = None
    contact_phone: str | None = None
    contact_email: str | None = None
    asset_serial: str | None = None
    asset_model: str | None = None
    by: Mapping[str, str] = {}


class Checked(msgspec.Struct, frozen=True, kw_only=True):
    """What would become of a request. Nothing was written.

    `request` is it with everything that was found filled in, in its stored form (numbers in E.164, serial by its
    product); `missing` are the paths that a requester could still fill in. `makes`: what would be made anew (`customer`,
    `site`, `contact`). `existing_id`: the order that its references lead to already; then nothing else was looked at.
    """

    ok: bool
    request: Request
    kind: str
    kind_version: int
    priority: str
    faults: tuple[Fault, ...] = ()
    missing: tuple[str, ...] = ()
    found: tuple[Found, ...] = ()
    tags: tuple[TagHit, ...] = ()
    proposals: tuple[Proposal, ...] = ()
    duplicates: tuple[Candidate, ...] = ()
    known: Known = Known()
    makes: tuple[str, ...] = ()
    existing_id: UUID | None = None


class Taken(msgspec.Struct, frozen=True, kw_only=True):
    """The order that was made, or that the references led to (`existing`).

    `duplicate_of_id`: it was linked to that order, and has no clock of its own. `possible`: orders that it may be a
    duplicate of. `customer_id`, `site_id` and `contact_id` are its own, found or made (`makes`).
    `place_said`: where it is was said with the request, and is not known by a telephone, a mail's address or a serial alone.
    """

    id: UUID
    number: str
    customer_id: UUID
    site_id: UUID
    contact_id: UUID | None
    kind: str
    kind_version: int
    priority: str
    existing: bool = False
    duplicate_of_id: UUID | None = None
    duplicate_of_number: str | None = None
    possible: tuple[Candidate, ...] = ()
    found: tuple[Found, ...] = ()
    tags: tuple[str, ...] = ()
    proposals: tuple[Proposal, ...] = ()
    makes: tuple[str, ...] = ()
    place_said: bool = False
