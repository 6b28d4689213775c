"""A request on its way to an order: filled in from its text, brought into the form that is compared, and put before the
rules. Nothing here asks the database."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import msgspec

from callout_orders.kinds.terms import Kind
from callout_orders.precheck import rules
from callout_orders.precheck.product_terms import named
from callout_orders.precheck.terms import Found, Known, Proposal, Request, TagHit
from callout_orders.precheck.text import phones
from callout_orders.precheck.text.extract import extract, misread_phone
from callout_orders.precheck.texts import NOUNS
from callout_orders.precheck.vocabulary import Vocabulary
from callout_orders.terms import TAGS_MAX, OrderState


def regions_of(request: Request, words: Vocabulary) -> tuple[str, ...]:
    """Whose numbers are meant where one names no country, the likeliest first."""
    own = [request.phone_region] if request.phone_region else []
    return tuple(dict.fromkeys((*own, *words.settings.regions)))


def read(given: Request, words: Vocabulary) -> tuple[Request, tuple[Found, ...]]:
    """The request with what its text says in the places where nothing was given."""
    if not given.read_text:
        return given, ()
    finds = extract(given.description, products=words.products, regions=regions_of(given, words))
    taken: dict[str, str] = {}
    used: set[int] = set()
    for n, find in sorted(enumerate(finds), key=lambda pair: (-pair[1].confidence, pair[0])):
        blank = not (getattr(given, find.field) or "").strip()
        if blank and find.field not in taken and find.confidence >= words.settings.confidence:
            taken[find.field] = find.value
            used.add(n)
    found = tuple(
        Found(
            field=find.field,
            value=find.value,
            start=find.start,
            end=find.end,
            confidence=find.confidence,
            used=n in used,
        )
        for n, find in enumerate(finds)
    )
    return msgspec.structs.replace(given, **taken), found


def comparable(request: Request, words: Vocabulary) -> Request:
    """What customers are looked for by: the telephone in E.164, or none where it cannot be dialled."""
    phone = None
    if request.contact_phone:
        try:
            phone = phones.read(request.contact_phone, regions_of(request, words)).e164
        except phones.BadPhone:
            phone = None
    email = (request.contact_email or "").strip().lower() or None
    return msgspec.structs.replace(request, contact_phone=phone, contact_email=email)


def tags_of(request: Request, hits: Sequence[TagHit]) -> tuple[str, ...]:
    """The tags that were given, each once (too many are refused later), then those of its words, as far as an order takes
    them."""
    given = tuple(dict.fromkeys(request.tags))
    found = [hit.tag for hit in hits if hit.tag not in given]
    return (*given, *found[: max(0, TAGS_MAX - len(given))])


def facts(
    request: Request, known: Known, words: Vocabulary, kind: Kind, priority: str, hits: tuple[TagHit, ...]
) -> rules.Facts:
    if request.stranger:
        # By what is not asked for, or refused, a stranger would learn whom a telephone number leads to.
        known = Known(asset_serial=known.asset_serial, asset_model=known.asset_model)
    model = named(known.asset_model, words.products) if known.asset_model else None
    of_known = {
        "contact_name": known.contact_name,
        "contact_phone": known.contact_phone,
        "contact_email": known.contact_email,
        "serial": known.asset_serial,
        "product": model.code if model else known.asset_model,
        "address": known.site_address,
    }
    given = {name: getattr(request, name) for name in NOUNS}
    seen = {name: given[name] or of_known.get(name) or "" for name in ("serial", "product", "error_code")}
    return rules.Facts(
        channel=request.channel,
        given=given,
        known=of_known,
        fields=request.fields,
        files=request.files,
        order={
            **seen,
            "kind": kind.code,
            "priority": priority,
            "channel": request.channel,
            "state": OrderState.NEW.value,
            "description": request.description,
            "locale": request.locale,
            "tier": known.customer_tier or "",
            "tags": list(tags_of(request, hits)),
        },
        regions=regions_of(request, words),
        misread_phone=(
            misread_phone(request.description, regions_of(request, words))
            if request.read_text and not request.contact_phone
            else None
        ),
    )


def raised(base: str, raise_to: str | None, proposals: tuple[Proposal, ...]) -> str:
    """The channel's priority, or the one that the words suggest, as far as the channel may raise it."""
    wanted = next((one.value for one in proposals if one.field == "priority"), base)
    return base if raise_to is None else min(base, max(wanted, raise_to))


def proposed(proposals: tuple[Proposal, ...], field: str, among: Collection[str]) -> str | None:
    return next((one.value for one in proposals if one.field == field and one.value in among), None)
