"""What a kind of order asks for before one is taken in: everything that is wrong with a request, at once. Pure.

What stands on the asset, the contact or the customer that was recognised counts as known, and is not asked for again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, Final

import msgspec

from callout_orders.checks import FieldRefused, Gather
from callout_orders.kinds import expressions
from callout_orders.kinds import fields as kind_fields
from callout_orders.kinds.terms import (
    AttachmentCheck,
    DescriptionCheck,
    ExpressionCheck,
    Kind,
    PhoneCheck,
    RequiredCheck,
    SerialCheck,
)
from callout_orders.precheck.product_terms import Product, fits, named
from callout_orders.precheck.terms import RequestFile
from callout_orders.precheck.text import phones, serials
from callout_orders.precheck.text.tags import Keyword, Tagger
from callout_orders.precheck.text.words import fold
from callout_orders.precheck.texts import FORMS, NOUNS, PATHS

SERIAL_CHARS: Final = (3, 80)
_OPTIONS_SHOWN: Final = 8


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a request. `given` holds the values by the names of `RequiredCheck` (contact_phone, serial, …), as
    they were given or found in the text; `known` those that stand on what was recognised. `order` is what expressions see."""

    channel: str
    given: Mapping[str, str | None]
    known: Mapping[str, str | None] = {}
    fields: Mapping[str, Any] = {}
    files: Sequence[RequestFile] = ()
    order: Mapping[str, Any] = {}
    regions: Sequence[str] = ("CN",)
    misread_phone: str | None = None
    """What the text calls a telephone number and cannot be dialled."""


class Judged(msgspec.Struct, frozen=True, kw_only=True):
    """The values as they are kept (`contact_phone` in E.164, `serial` as its product writes it, `product` by its code), and
    `broken`: what was wrong with the rules themselves, which then were not applied."""

    values: Mapping[str, str | None]
    fields: Mapping[str, Any]
    broken: tuple[str, ...] = ()


def judge(kind: Kind, facts: Facts, products: Sequence[Product], gather: Gather) -> Judged:
    """Put into `gather` what is wrong; what is not wrong is handed back in the form in which it is kept."""
    values: dict[str, str | None] = dict(facts.given)
    phone_check = next((one for one in kind.checks if isinstance(one, PhoneCheck)), None)
    serial_check = any(isinstance(one, SerialCheck) for one in kind.checks)
    with gather:
        values["contact_phone"] = _phone(values.get("contact_phone"), phone_check, facts.regions)
    product: Product | None = None
    with gather:
        product = _product(values.get("product"), products, strict=serial_check)
        if product is not None:
            values["product"] = product.code
    with gather:
        values["serial"], product = _serial(
            values.get("serial"), product, products, facts.known, strict=serial_check
        )
        if product is not None:
            values["product"] = product.code
    fields: Mapping[str, Any] = {}
    with gather:
        fields = kind_fields.checked(kind, facts.fields, path="fields", required=True)
    # Of what was refused above, it is not said too that it is missing.
    named_already = {fault.path for fault in gather.faults}
    broken: list[str] = []
    env = expressions.environment(kind, order=facts.order, fields=fields)
    for check in kind.checks:
        match check:
            case RequiredCheck():
                if not check.channels or facts.channel in check.channels:
                    _required(check, kind, facts, values, fields, named_already, gather)
            case DescriptionCheck():
                with gather:
                    _description(check, facts.given.get("description") or "")
            case AttachmentCheck() | ExpressionCheck():
                with gather:
                    try:
                        if isinstance(check, AttachmentCheck):
                            _attachment(check, facts, env)
                        elif expressions.holds(check.refuse_when, env):
                            raise FieldRefused(check.path, "rule", en=check.message.en, zh=check.message.zh)
                    except expressions.BadExpression as fault:
                        rule = check.when if isinstance(check, AttachmentCheck) else check.refuse_when
                        broken.append(f"{rule}: {fault.why('en')}")
            case _:
                pass
    return Judged(values=values, fields=fields, broken=tuple(broken))


def _required(
    check: RequiredCheck,
    kind: Kind,
    facts: Facts,
    values: Mapping[str, str | None],
    fields: Mapping[str, Any],
    named_already: set[str | None],
    gather: Gather,
) -> None:
    for name in check.fields:
        path = PATHS.get(name, name)
        if path in named_already:
            continue
        with gather:
            if name.startswith("fields."):
                field = kind.field(name.removeprefix("fields."))
                if field is not None and fields.get(field.code) is None:
                    named_already.add(path)
                    raise FieldRefused(path, "needed_field", noun=field.label.en, noun_zh=field.label.zh)
            elif not (values.get(name) or facts.known.get(name)):
                named_already.add(path)
                if name == "contact_phone":
                    _phone(facts.misread_phone, None, facts.regions)
                noun, noun_zh = NOUNS.get(name, (name, name))
                raise FieldRefused(path, "needed", noun=noun, noun_zh=noun_zh)


def _description(check: DescriptionCheck, description: str) -> None:
    said = sum(not char.isspace() for char in description)
    if 0 < said < check.chars_min:
        raise FieldRefused("description", "description_short", given=said, low=check.chars_min)
    if not said and check.chars_min:
        noun, noun_zh = NOUNS["description"]
        raise FieldRefused("description", "needed", noun=noun, noun_zh=noun_zh)


def _phone(given: str | None, check: PhoneCheck | None, regions: Sequence[str]) -> str | None:
    if not given or not given.strip():
        return None
    path = PATHS["contact_phone"]
    shown = given.strip()[:60]
    if check is not None and check.countries:
        regions = check.countries
    try:
        phone = phones.read(given, regions)
    except phones.BadPhone as fault:
        reason = "phone_digits" if fault.reason == "phone_digits" else "phone_unreadable"
        raise FieldRefused(path, reason, given=shown, digits=fault.digits) from None
    if check is not None and check.countries and phone.country not in check.countries:
        raise FieldRefused(
            path, "phone_country", given=shown, found=phone.country, countries=", ".join(check.countries)
        )
    if check is not None and phone.form not in check.forms:
        raise FieldRefused(
            path,
            "phone_kind",
            given=shown,
            found=FORMS[phone.form][0],
            found_zh=FORMS[phone.form][1],
            forms=" or ".join(FORMS[form][0] for form in check.forms if form in FORMS),
            forms_zh="或".join(FORMS[form][1] for form in check.forms if form in FORMS),
        )
    return phone.e164


def _product(given: str | None, products: Sequence[Product], *, strict: bool) -> Product | None:
    if not given or not given.strip() or not products:
        return None
    found = named(given, products)
    if found is None and strict:
        shown = [one.code for one in products[:_OPTIONS_SHOWN]]
        more = ", …" if len(products) > _OPTIONS_SHOWN else ""
        raise FieldRefused(
            "product", "product_unknown", given=given.strip()[:60], options=", ".join(shown) + more
        )
    return found


def _serial(
    given: str | None,
    product: Product | None,
    products: Sequence[Product],
    known: Mapping[str, str | None],
    *,
    strict: bool,
) -> tuple[str | None, Product | None]:
    """The serial as it is kept, and its product. One that stands on an asset of ours needs no pattern."""
    if not given or not given.strip():
        return None, product
    shown = given.strip()[:80]
    compact = serials.key(given)
    hit = fits(given, products)
    if known.get("serial") and serials.key(str(known["serial"])) == compact:
        of_known = named(str(known["product"]), products) if known.get("product") else None
        return known["serial"], product or of_known or (hit[0] if hit else None)
    if product is not None and product.pattern is not None:
        kept = product.pattern.fit(given)
        if kept is not None:
            return kept, product
        if strict and hit is not None:
            raise FieldRefused(
                "serial",
                "serial_other_product",
                given=shown,
                other=hit[0].name_en,
                other_zh=hit[0].name_zh,
                product=product.name_en,
                product_zh=product.name_zh,
            )
        if strict:
            raise FieldRefused(
                "serial",
                "serial_product",
                given=shown,
                product=product.name_en,
                product_zh=product.name_zh,
                example=product.example or product.pattern.text,
            )
        return _plain(given), product
    if product is None and hit is not None:
        return hit[1], hit[0]
    with_pattern = [one for one in products if one.pattern is not None]
    # A product without a pattern takes any serial, and so may one that is not named.
    if strict and product is None and with_pattern and len(with_pattern) == len(products):
        examples = [one.example or one.pattern.text for one in with_pattern[:3] if one.pattern is not None]
        raise FieldRefused("serial", "serial_unknown", given=shown, example=" / ".join(examples))
    low, high = SERIAL_CHARS
    well_formed = (
        low <= len(compact) <= high
        and any(char.isdigit() for char in compact)
        and compact.isascii()
        and compact.isalnum()
    )
    if strict and not well_formed:
        raise FieldRefused("serial", "serial_form", given=shown)
    return _plain(given), product


def _plain(given: str) -> str:
    """A serial without a pattern: half width, capital letters, its own separators."""
    return " ".join(fold(given).upper().split())


def _attachment(check: AttachmentCheck, facts: Facts, env: Mapping[str, Any]) -> None:
    if check.words and not _words(check.words).hits(facts.given.get("description") or ""):
        return
    if not expressions.holds(check.when, env):
        return
    fitting = sum(any(file.media_type.startswith(media) for media in check.media) for file in facts.files)
    if fitting >= check.count_min:
        return
    if check.message is not None:
        raise FieldRefused("files", "rule", en=check.message.en, zh=check.message.zh)
    media = ", ".join(f"{one}*" if one.endswith("/") else one for one in check.media)
    raise FieldRefused("files", "attachment_needed", count=check.count_min, media=media, given=fitting)


@lru_cache(maxsize=256)
def _words(words: tuple[str, ...]) -> Tagger:
    return Tagger(Keyword(fold(word)) for word in words)
