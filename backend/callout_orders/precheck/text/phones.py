"""Telephone numbers as people write them: their form, their country, and what is wrong with one that cannot be dialled.

Numbering plans are those of the `phonenumbers` library. On top of it stand what its plan of China lets through and a
person would not: a landline without its area code's 0 (ten digits, which is a mobile number that lost one).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

import msgspec
import phonenumbers
from phonenumbers import PhoneNumberFormat, PhoneNumberType

from callout_orders.precheck.text.words import narrow

CHARS_MAX: Final = 40

_SERVICE: Final = frozenset(
    {
        PhoneNumberType.TOLL_FREE,
        PhoneNumberType.SHARED_COST,
        PhoneNumberType.UAN,
        PhoneNumberType.PREMIUM_RATE,
        PhoneNumberType.VOIP,
    }
)
_EXTENSION: Final = re.compile(r"(?:转|分机|ext\.?|x|#)\s*(\d{1,6})\s*$", re.IGNORECASE)
_LABEL: Final = re.compile(
    r"(?:我的|联系)?(?:电话|手机|座机|固话|tel(?:ephone)?|phone|mobile|cell)(?:号码?|\s*(?:no\.?|number))?\s*(?:是|为|is)?\s*[:.]?\s*",
    re.IGNORECASE,
)
"""What people write before a number that they were asked for."""
_CN_SERVICE: Final = re.compile(r"[48]00\d{7}")


class Phone(msgspec.Struct, frozen=True, kw_only=True):
    """A number that can be dialled. `form`: mobile, landline or service (400, 800 and their like elsewhere)."""

    e164: str
    country: str
    form: str
    extension: str | None = None


class BadPhone(ValueError):
    """A number that cannot be dialled. `reason`: `phone_digits` (with `digits`), `phone_form` or `phone`."""

    def __init__(self, reason: str, digits: int = 0) -> None:
        self.reason, self.digits = reason, digits
        super().__init__(reason)


def read(given: str, regions: Sequence[str]) -> Phone:
    """The number; `regions` (ISO 3166) are tried in their order where it names no country. Raises BadPhone."""
    text = narrow(given).strip()
    label = _LABEL.match(text)
    text = text[label.end() :] if label else text
    found = _EXTENSION.search(text)
    extension = found[1] if found else None
    body = text[: found.start()].rstrip(" ,-(") if found else text
    digits = re.sub(r"\D", "", body)
    # `(` and `+` in front, then digits and what groups them: anything else is not a number but a sentence.
    if not digits or len(digits) > 18 or re.search(r"[^\d\s()+\-./]", body):
        raise BadPhone("phone")
    for region in regions or ("CN",):
        phone = _in_region(body, digits, region)
        if phone is not None:
            return msgspec.structs.replace(phone, extension=extension)
    plan = regions[0] if regions else "CN"
    if plan == "CN" and not body.startswith("+"):
        raise BadPhone("phone_digits", len(digits))
    raise BadPhone("phone", len(digits))


def _in_region(body: str, digits: str, region: str) -> Phone | None:
    if region == "CN" and not body.startswith(("+", "00")):
        bare = digits[2:] if digits.startswith("86") and len(digits) >= 12 else digits
        mobile = len(bare) == 11 and bare[0] == "1"
        if not (mobile or bare.startswith("0") or _CN_SERVICE.fullmatch(bare)):
            return None
    try:
        number = phonenumbers.parse(body, region)
    except phonenumbers.NumberParseException:
        return None
    if not phonenumbers.is_valid_number(number):
        return None
    kind = phonenumbers.number_type(number)
    country = phonenumbers.region_code_for_number(number) or region
    form = "landline"
    if kind in (PhoneNumberType.MOBILE, PhoneNumberType.FIXED_LINE_OR_MOBILE):
        form = "mobile"
    elif kind in _SERVICE:
        form = "service"
    return Phone(e164=phonenumbers.format_number(number, PhoneNumberFormat.E164), country=country, form=form)
