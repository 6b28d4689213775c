"""The pre-check at work: `check` says what would become of a request, `take` makes the order.

`take` holds an advisory lock on everything by which a requester is recognised (telephone, e-mail, serial, references), from
before the first look to the end: of two who report the same at once, the second sees the first one's customer and order.
"""

from __future__ import annotations

from typing import Final
from uuid import UUID

import msgspec
import structlog

from callout_orders import customers, intake
from callout_orders.checks import TEXT_CHARS_MAX, FieldRefused, Gather
from callout_orders.kinds import versions
from callout_orders.kinds.terms import Kind
from callout_orders.precheck import filling, links, matching, rules, search, serials, tags
from callout_orders.precheck.duplicates import Traits
from callout_orders.precheck.terms import (
    Candidate,
    Checked,
    Found,
    Known,
    Proposal,
    Request,
    TagHit,
    Taken,
)
from callout_orders.precheck.texts import NOUNS
from callout_orders.precheck.vocabulary import Vocabulary, vocabulary
from callout_store.errors import AlreadyExists
from callout_store.ids import new_id
from callout_store.work import Work

log = structlog.get_logger(__name__)

_NOWHERE: Final = UUID(int=0)
_UNKNOWN_PLACE: Final = {"en": "To be clarified with the customer", "zh": "待与客户确认"}
_NOBODY: Final = {"en": "Unknown requester", "zh": "未知联系人"}


class _Look(msgspec.Struct, kw_only=True):
    """A request on its way: filled in, recognised, judged."""

    request: Request
    words: Vocabulary
    kind: Kind
    kind_version: int
    priority: str
    known: Known
    found: tuple[Found, ...]
    hits: tuple[TagHit, ...]
    proposals: tuple[Proposal, ...]
    makes: tuple[str, ...]
    duplicates: tuple[Candidate, ...]
    gather: Gather


async def check(work: Work, request: Request) -> Checked:
    """What would become of the request; writes nothing. Raises NotFound for ids that lead nowhere."""
    existing = await _existing(work, request)
    if existing is not None:
        return Checked(
            ok=True,
            request=request,
            kind=existing.kind,
            kind_version=existing.kind_version,
            priority=existing.priority,
            existing_id=existing.id,
        )
    look = await _look(work, request, lock=False)
    faults = tuple(filling.fault_of(fault) for fault in look.gather.faults)
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


async def take(work: Work, request: Request) -> Taken:
    """Make the order, with the customer, site and contact that it needs where the channel may make them.

    The same reference again is answered with the order that exists, whatever else the request says. Raises everything that
    is wrong at once (`FieldsRefused`, or the one fault itself), NotFound for ids that lead nowhere, AlreadyExists where a
    reference leads to another customer's order.
    """
    existing = await _existing(work, request)
    if existing is not None:
        return existing
    look = await _look(work, request, lock=True)
    existing = await _existing(work, request)
    if existing is not None:
        return existing
    look.gather.settle()
    known = await _make(work, look)
    linked = await _link(work, look)
    order = _order(look, known, linked.order_id if linked else None)
    ref = await intake.create_order(work, order)
    if linked is not None:
        await links.linked(work, ref.id, linked, automatic=True)
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
    )


# ------------------------------------------------------------------------------------------------- looking


async def _existing(work: Work, request: Request) -> Taken | None:
    """The order that the references lead to. Raises AlreadyExists where it is none of the caller's business."""
    if not request.references:
        return None
    rows = await work.fetch(
        """
        select distinct on (o.id) o.id, o.number, o.customer_id, o.site_id, o.contact_id, o.kind, o.kind_version,
            o.priority, o.tags, o.duplicate_of_id, d.number as duplicate_of_number
        from unnest($1::text[], $2::text[]) as t(system, reference)
        join external_reference r on r.org_id = callout_org() and r.system = t.system and r.reference = t.reference
        join work_order o on o.org_id = r.org_id and o.id = r.order_id
        left join work_order d on d.org_id = o.org_id and d.id = o.duplicate_of_id
        limit 2
        """,
        [system.strip() for system, _ in request.references],
        [reference.strip() for _, reference in request.references],
    )
    if not rows:
        return None
    if len(rows) > 1:
        raise AlreadyExists(entity="work order", key="reference", path="references")
    (row,) = rows
    if request.own_customer_ids is not None and row["customer_id"] not in request.own_customer_ids:
        # References are unique in the organisation; whose the other order is, is not this caller's business.
        raise AlreadyExists(entity="work order", key="reference", path="references")
    return Taken(**{**dict(row), "tags": tuple(row["tags"])}, existing=True)


async def _look(work: Work, given: Request, *, lock: bool) -> _Look:
    words = await vocabulary(work)
    channel = words.settings.channel(given.channel)
    hits = words.tagger.hits(given.description[:TEXT_CHARS_MAX])
    proposals = tags.proposals_of(hits)
    gather = Gather()
    kinds = await versions.active(work)
    wanted = given.kind or filling.proposed(proposals, "kind", kinds) or channel.kind
    active = kinds.get(wanted)
    if active is None:
        with gather:
            raise FieldRefused("kind", "kind_unknown", options=", ".join(sorted(kinds)))
        active = kinds.get(channel.kind) or next(iter(kinds.values()))
    request, found = filling.read(given, words)
    if lock:
        await _lock(work, request)
    matched = await matching.match(work, filling.comparable(request, words))
    known = matched.known
    if lock and known.customer_id is not None:
        # Of two orders of one customer at once, the second finds the first one.
        await work.execute(
            "select from customer where org_id = callout_org() and id = $1 for no key update",
            known.customer_id,
        )
    priority = given.priority or filling.raised(channel.priority, channel.raise_to, proposals)
    tag_hits = tags.tags_of(hits)
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
    may_create = channel.create if given.may_create is None else given.may_create
    whose = Gather()
    makes = matching.need_customer(request, matched, may_create=may_create, gather=whose)
    # A telephone that cannot be dialled is not asked for a second time.
    said = {fault.path for fault in gather.faults}
    gather.faults += [fault for fault in whose.faults if fault.path not in said]
    look = _Look(
        request=request,
        words=words,
        kind=active.kind,
        kind_version=active.version,
        priority=priority,
        known=known,
        found=found,
        hits=tag_hits,
        proposals=proposals,
        makes=makes,
        duplicates=(),
        gather=gather,
    )
    _check_form(work, look)
    look.duplicates = await search.candidates(
        work,
        _traits(work, look, matched.point),
        words.settings.duplicates,
        customer_ids=given.own_customer_ids,
    )
    return look


async def _lock(work: Work, request: Request) -> None:
    names = [f"reference:{system.strip()}:{reference.strip()}" for system, reference in request.references]
    if request.contact_phone:
        digits = "".join(char for char in request.contact_phone if char.isdigit())
        # With and without the country code is one telephone.
        names.append(f"phone:{digits[-8:]}")
    if request.contact_email:
        names.append(f"email:{request.contact_email.strip().lower()}")
    if request.serial:
        names.append(f"serial:{serials.key(request.serial)}")
    if names:
        await work.execute(
            """
            select pg_advisory_xact_lock(k)
            from (select distinct hashtextextended(n, 0) as k from unnest($1::text[]) as t(n) order by k) as keys
            """,
            [f"precheck:{work.org_id}:{name}" for name in names],
        )


def _check_form(work: Work, look: _Look) -> None:
    """What intake would refuse of the values themselves, said together with everything else."""
    refused = {fault.path for fault in look.gather.faults}
    form = Gather()
    with form:
        intake.checked(_order(look, Known(customer_id=_NOWHERE, site_id=_NOWHERE), None), "", work.now)
    look.gather.faults += [fault for fault in form.faults if fault.path not in refused]


def _traits(work: Work, look: _Look, point: tuple[float, float] | None) -> Traits:
    request, known = look.request, look.known
    if point is None and request.lat is not None and request.lng is not None:
        point = request.lat, request.lng
    return Traits(
        description=request.description,
        created_at=request.created_at or work.now,
        customer_id=known.customer_id,
        site_id=known.site_id,
        contact_id=known.contact_id,
        asset_id=known.asset_id,
        serial=request.serial or known.asset_serial,
        phone=request.contact_phone or known.contact_phone,
        error_code=request.error_code,
        lat=point[0] if point else None,
        lng=point[1] if point else None,
    )


# -------------------------------------------------------------------------------------------------- making


async def _make(work: Work, look: _Look) -> Known:
    """The known, with what was not known made."""
    request, known, makes = look.request, look.known, look.makes
    locale = "zh" if request.locale.startswith("zh") else "en"
    customer_id, site_id, contact_id = known.customer_id, known.site_id, known.contact_id
    called = request.contact_name or request.contact_phone or request.contact_email
    if "customer" in makes:
        customer_id = await customers.create_customer(
            work,
            customers.NewCustomer(
                number=f"N-{new_id().hex[-12:]}",
                name=request.customer_name or called or _NOBODY[locale],
            ),
        )
    assert customer_id is not None
    if "site" in makes:
        site_id = await customers.create_site(
            work,
            customers.NewSite(
                customer_id=customer_id,
                name=(request.address or _UNKNOWN_PLACE[locale])[:200],
                address=request.address or _UNKNOWN_PLACE[locale],
                lat=request.lat,
                lng=request.lng,
            ),
        )
    if "contact" in makes:
        contact_id = await customers.create_contact(
            work,
            customers.NewContact(
                customer_id=customer_id,
                name=called or _NOBODY[locale],
                phone=request.contact_phone,
                email=request.contact_email,
                locale=locale,
            ),
        )
    return msgspec.structs.replace(known, customer_id=customer_id, site_id=site_id, contact_id=contact_id)


async def _link(work: Work, look: _Look) -> Candidate | None:
    """The order that this one is a duplicate of, held so that it cannot be closed before this one stands."""
    settings = look.words.settings.duplicates
    wanted = settings.link if look.request.link_duplicates is None else look.request.link_duplicates
    sure = next((one for one in look.duplicates if one.sure), None)
    if not wanted or sure is None:
        return None
    await intake.lock_counter(work)
    state = await work.fetchval(
        "select state from work_order where org_id = callout_org() and id = $1 and duplicate_of_id is null for share",
        sure.order_id,
    )
    return sure if state in search.LINKABLE else None


def _order(look: _Look, known: Known, duplicate_of_id: UUID | None) -> intake.NewOrder:
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
        tags=tuple(dict.fromkeys((*request.tags, *(hit.tag for hit in look.hits))))[: intake.TAGS_MAX],
        duplicate_of_id=duplicate_of_id,
    )
