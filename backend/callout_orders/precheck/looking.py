"""A request as it is looked at: filled in, recognised, judged, and at last the order that it asks for. Nothing here asks
the database; whoever does (`taking` for one request, `many` for a sheet of them) hands in what was found there."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Final
from uuid import UUID

import msgspec
import structlog

from callout_orders import intake
from callout_orders.checks import TEXT_CHARS_MAX, FieldRefused, Gather
from callout_orders.kinds.terms import Kind
from callout_orders.kinds.versions import Active
from callout_orders.precheck import filling, matching, rules
from callout_orders.precheck.alike.duplicates import Traits
from callout_orders.precheck.settings import ChannelRules
from callout_orders.precheck.terms import (
    Candidate,
    Checked,
    Found,
    Known,
    Proposal,
    Request,
    TagHit,
    Taken,
    fault_of,
)
from callout_orders.precheck.text import serials, tags
from callout_orders.precheck.text.tags import Hit
from callout_orders.precheck.texts import NOUNS
from callout_orders.precheck.vocabulary import Vocabulary

log = structlog.get_logger(__name__)

_NOWHERE: Final = UUID(int=0)


class Begun(msgspec.Struct, kw_only=True):
    """A request with what its text says, before anybody asked who it is. `compared`: it, as customers are looked for."""

    given: Request
    request: Request
    compared: Request
    active: Active
    channel: ChannelRules
    found: tuple[Found, ...]
    hits: tuple[Hit, ...]
    proposals: tuple[Proposal, ...]
    gather: Gather


class Look(msgspec.Struct, kw_only=True):
    """A request on its way: filled in, recognised, judged. `point`: of the site that was recognised, else what was given."""

    request: Request
    words: Vocabulary
    kind: Kind
    kind_version: int
    priority: str
    known: Known
    point: tuple[float, float] | None
    found: tuple[Found, ...]
    hits: tuple[TagHit, ...]
    proposals: tuple[Proposal, ...]
    makes: tuple[str, ...]
    duplicates: tuple[Candidate, ...]
    gather: Gather


def begin(given: Request, words: Vocabulary, kinds: Mapping[str, Active]) -> Begun:
    """The request with what its text says, its kind and its channel's rules."""
    channel = words.settings.channel(given.channel)
    hits = words.tagger.hits(given.description[:TEXT_CHARS_MAX])
    proposals = tags.proposals_of(hits)
    gather = Gather()
    wanted = given.kind or filling.proposed(proposals, "kind", kinds) or channel.kind
    active = kinds.get(wanted)
    if active is None:
        with gather:
            raise FieldRefused("kind", "kind_unknown", options=", ".join(sorted(kinds)))
        active = kinds.get(channel.kind) or next(iter(kinds.values()))
    request, found = filling.read(given, words)
    return Begun(
        given=given,
        request=request,
        compared=filling.comparable(request, words),
        active=active,
        channel=channel,
        found=found,
        hits=tuple(hits),
        proposals=proposals,
        gather=gather,
    )


def judge(begun: Begun, matched: matching.Matched, words: Vocabulary, now: datetime) -> Look:
    """What is wrong with it, now that it is known whose it is; duplicates were not looked for yet."""
    given, request, active = begun.given, begun.request, begun.active
    gather = Gather()
    gather.faults += begun.gather.faults
    known = matched.known
    priority = given.priority or filling.raised(
        begun.channel.priority, begun.channel.raise_to, begun.proposals
    )
    tag_hits = tags.tags_of(begun.hits)
    judged = rules.judge(
        active.kind,
        filling.facts(request, known, words, active.kind, priority, tag_hits),
        words.products,
        gather,
    )
    for broken in judged.broken:
        log.warning("check_not_applied", kind=active.kind.code, version=active.version, why=broken)
    request = msgspec.structs.replace(
        request,
        **{name: judged.values.get(name) for name in NOUNS if name != "description"},
        fields=judged.fields,
    )
    may_create = begun.channel.create if given.may_create is None else given.may_create
    whose = Gather()
    makes = matching.need_customer(request, matched, may_create=may_create, gather=whose)
    point = matched.point
    if point is None and request.lat is not None and request.lng is not None:
        point = request.lat, request.lng
    look = Look(
        request=request,
        words=words,
        kind=active.kind,
        kind_version=active.version,
        priority=priority,
        known=known,
        point=point,
        found=begun.found,
        hits=tag_hits,
        proposals=begun.proposals,
        makes=makes,
        duplicates=(),
        gather=gather,
    )
    # What intake would refuse of the values themselves is said together with everything else.
    form = Gather()
    with form:
        intake.checked(order_of(look, Known(customer_id=_NOWHERE, site_id=_NOWHERE), None), "", now)
    _add(gather, form)
    # A stranger who has something to correct is told that only: the rest would say whether they are known here.
    _add(gather, whose, hidden=matching.UNKNOWN if request.stranger and gather.faults else "")
    return look


def _add(gather: Gather, more: Gather, *, hidden: str = "") -> None:
    """A telephone that cannot be dialled is not asked for a second time. `hidden`: a reason that is not said."""
    said = {fault.path for fault in gather.faults}
    gather.faults += [
        fault for fault in more.faults if fault.path not in said and fault.details.get("reason") != hidden
    ]


def links(look: Look) -> bool:
    """Whether a sure duplicate is linked."""
    wanted = look.request.link_duplicates
    return look.words.settings.duplicates.link if wanted is None else wanted


def traits(look: Look, now: datetime) -> Traits:
    """What of the request is compared with other orders."""
    request, known = look.request, look.known
    return Traits(
        description=request.description,
        created_at=request.created_at or now,
        customer_id=known.customer_id,
        site_id=known.site_id,
        contact_id=known.contact_id,
        asset_id=known.asset_id,
        serial=request.serial or known.asset_serial,
        phone=request.contact_phone or known.contact_phone,
        error_code=request.error_code,
        lat=look.point[0] if look.point else None,
        lng=look.point[1] if look.point else None,
    )


def names(work_org: UUID, request: Request) -> list[str]:
    """By what a requester is recognised, as keys of advisory locks."""
    # With more of them it is refused; a lock for each would take those of everybody else.
    references = request.references[: intake.REFERENCES_MAX]
    keys = [f"reference:{system.strip()}:{reference.strip()}" for system, reference in references]
    if request.contact_phone:
        digits = "".join(char for char in request.contact_phone if char.isdigit())
        # With and without the country code is one telephone.
        keys.append(f"phone:{digits[-8:]}")
    if request.contact_email:
        keys.append(f"email:{request.contact_email.strip().lower()}")
    if request.serial:
        keys.append(f"serial:{serials.key(request.serial)}")
    return [f"precheck:{work_org}:{key}" for key in keys]


def order_of(look: Look, known: Known, duplicate_of_id: UUID | None) -> intake.NewOrder:
    """The order that the request asks for."""
    request = look.request
    assert known.customer_id is not None
    assert known.site_id is not None
    asset_id = look.known.asset_id if look.known.asset_id and look.known.site_id == known.site_id else None
    return intake.NewOrder(
        customer_id=known.customer_id,
        site_id=known.site_id,
        contact_id=known.contact_id,
        asset_id=asset_id if look.known.by.get("site") in ("id", "asset") else None,
        priority=look.priority,
        kind=look.kind.code,
        kind_version=look.kind_version,
        description=request.description,
        channel=request.channel,
        skills=request.skills,
        duration_minutes=request.duration_minutes,
        references=request.references,
        reported_at=request.reported_at,
        created_at=request.created_at,
        parts=request.parts,
        requested_from=request.requested_from,
        requested_until=request.requested_until,
        crew_size=request.crew_size,
        follows_order_id=request.follows_order_id,
        follows_gap_minutes=request.follows_gap_minutes,
        fields=request.fields,
        serial=request.serial or look.known.asset_serial,
        product=request.product,
        error_code=request.error_code,
        reporter_name=request.contact_name or look.known.contact_name,
        reporter_phone=request.contact_phone or look.known.contact_phone,
        reporter_email=request.contact_email or look.known.contact_email,
        locale="zh" if request.locale.startswith("zh") else "en",
        tags=filling.tags_of(request, look.hits),
        duplicate_of_id=duplicate_of_id,
    )


def checked(look: Look) -> Checked:
    """What would become of the request."""
    faults = tuple(fault_of(fault) for fault in look.gather.faults)
    return Checked(
        ok=not faults,
        request=look.request,
        kind=look.kind.code,
        kind_version=look.kind_version,
        priority=look.priority,
        faults=faults,
        missing=tuple(
            fault.path
            for fault in faults
            if fault.reason in ("needed", "needed_field", "missing", "unknown_site")
        ),
        found=look.found,
        tags=look.hits,
        proposals=look.proposals,
        duplicates=look.duplicates,
        known=look.known,
        makes=look.makes,
    )


def already(request: Request, existing: Taken) -> Checked:
    """The answer to a request whose references lead to an order that is there."""
    return Checked(
        ok=True,
        request=request,
        kind=existing.kind,
        kind_version=existing.kind_version,
        priority=existing.priority,
        existing_id=existing.id,
    )


def taken(
    look: Look, known: Known, ref: intake.OrderRef, order: intake.NewOrder, linked: Candidate | None
) -> Taken:
    """The answer where the order was made."""
    assert known.customer_id is not None
    assert known.site_id is not None
    return Taken(
        id=ref.id,
        number=ref.number,
        customer_id=known.customer_id,
        site_id=known.site_id,
        contact_id=known.contact_id,
        kind=look.kind.code,
        kind_version=look.kind_version,
        priority=look.priority,
        duplicate_of_id=linked.order_id if linked else None,
        duplicate_of_number=linked.number if linked else None,
        possible=tuple(one for one in look.duplicates if linked is None or one.order_id != linked.order_id),
        found=look.found,
        tags=order.tags,
        proposals=look.proposals,
        makes=look.makes,
        place_said="site" in look.makes or look.known.by.get("site") in ("id", "address"),
    )
