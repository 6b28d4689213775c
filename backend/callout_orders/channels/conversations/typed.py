"""What a person typed for a field of a kind, as the value that the field holds. Pure.

A form and a chat know texts only. What cannot be read stays a text, so that the check of the field says what is wrong.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from callout_orders.kinds.terms import Field, FieldType, Kind

_YES: Final = frozenset({"yes", "y", "true", "1", "on", "是", "有", "对", "需要", "涉及"})
_NO: Final = frozenset({"no", "n", "false", "0", "off", "否", "没有", "无", "不是", "不需要", "不涉及"})

_END: Final = "\u3002.!\uff01"
_MONEY: Final = "\u00a5\uffe5$\u20ac"


def values_of(kind: Kind | None, typed: Mapping[str, str | Sequence[str]]) -> dict[str, Any]:
    """Values by code of the kind's fields; codes that it has not are handed on as they are, to be refused by name."""
    out: dict[str, Any] = {}
    for code, text in typed.items():
        field = kind.field(code) if kind is not None else None
        out[code] = text if field is None else value_of(field, text)
    return out


def value_of(field: Field, given: str | Sequence[str]) -> Any:
    """One value; None where nothing was typed."""
    if field.type is FieldType.CHOICES:
        parts = (
            given.replace("\uff0c", ",").replace("\u3001", ",").split(",")
            if isinstance(given, str)
            else list(given)
        )
        chosen = [_option(field, part) for part in parts if part.strip()]
        return chosen or None
    text = (given if isinstance(given, str) else " ".join(given)).strip()
    if not text:
        return None
    match field.type:
        case FieldType.BOOLEAN:
            bare = text.lower().rstrip(_END)
            return True if bare in _YES else False if bare in _NO else text
        case FieldType.INTEGER:
            return int(text) if text.lstrip("+-").isdecimal() and len(text) <= 20 else text
        case FieldType.NUMBER | FieldType.MONEY:
            return _number(text)
        case FieldType.CHOICE:
            return _option(field, text)
        case _:
            return text


def _number(text: str) -> Any:
    bare = text.replace(",", "").replace("\uff0c", "").lstrip(_MONEY).strip()
    try:
        value = float(bare)
    except ValueError:
        return text
    return int(value) if value.is_integer() and abs(value) < 1e15 else value


def _option(field: Field, text: str) -> str:
    bare = text.strip().lower()
    for option in field.options:
        if bare in (option.code.lower(), option.label.en.lower(), option.label.zh.lower()):
            return option.code
    return text.strip()
