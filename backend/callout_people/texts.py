"""What people write about themselves, checked once: names, e-mail addresses, telephone numbers, languages."""

import re
from typing import Final

import phonenumbers

from callout_store.errors import BadField

LINE_MAX: Final = 200
EMAIL_MAX: Final = 254
LOCALES: Final = ("en", "zh")
_EMAIL: Final = re.compile(r"[^@\s\x00-\x1f\x7f]{1,64}@[^@\s\x00-\x1f\x7f]{1,190}")
_UNPRINTED: Final = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")


def line(text: str, path: str, *, limit: int = LINE_MAX) -> str:
    """One line without its outer blanks; raises BadField for nothing, too much, or control characters."""
    text = text.strip()
    if not text or len(text) > limit:
        raise BadField(path=path, why=f"it has 1 to {limit} characters")
    if _UNPRINTED.search(text):
        raise BadField(path=path, why="it holds a control character")
    return text


def email_address(text: str, path: str = "email") -> str:
    """The address in lower case; raises BadField for what cannot be one."""
    text = text.strip().lower()
    if len(text) > EMAIL_MAX or not _EMAIL.fullmatch(text) or _UNPRINTED.search(text):
        raise BadField(path=path, why="it is not an e-mail address")
    return text


def phone_number(text: str, path: str = "phone") -> str:
    """The number as E.164 (`+8613800138000`); raises BadField for one that cannot be dialled from abroad."""
    try:
        number = phonenumbers.parse(text)
    except phonenumbers.NumberParseException as fault:
        raise BadField(
            path=path, why="it is not an international telephone number, such as +44 20 7946 0000"
        ) from fault
    if not phonenumbers.is_possible_number(number):
        raise BadField(path=path, why="it has too few or too many digits for its country")
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


def locale_code(text: str, path: str = "locale") -> str:
    """`en` or `zh`; raises BadField for another language."""
    if text not in LOCALES:
        raise BadField(path=path, why="the languages are en and zh")
    return text
