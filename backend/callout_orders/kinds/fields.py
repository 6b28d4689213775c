"""Values of a kind's own fields: held to what the kind says, and the same as JSON Schema (draft 2020-12). Pure.

Values are JSON: a day and a moment are texts in ISO 8601, money is a number with at most two decimals. What is blank or null
is not filled in, and not stored.
"""

import math
from collections.abc import Mapping
from datetime import date, datetime
from decimal import Decimal
from functools import lru_cache
from typing import Any, Final

import jsonschema_rs

from callout_orders import checks
from callout_orders.checks import FieldRefused, Gather
from callout_orders.kinds import limits
from callout_orders.kinds.terms import Field, FieldType, Kind
from callout_store.clock import YEARS
from callout_store.errors import LimitExceeded

DRAFT: Final = "https://json-schema.org/draft/2020-12/schema"
TEXTS: Final = frozenset({FieldType.TEXT, FieldType.LONG_TEXT})
NUMBERS: Final = frozenset({FieldType.INTEGER, FieldType.NUMBER, FieldType.MONEY})
NUMBER_MAX: Final = 1e15
"""Beyond, a number of JSON is no longer exact to the cent."""
_PATTERN_BYTES_MAX: Final = 200_000


def checked(
    kind: Kind, values: Mapping[str, Any], *, path: str = "fields", required: bool = True
) -> dict[str, Any]:
    """The values as they are stored, in the order of the kind's fields; what is not filled in is left out.

    `required`: fields that the kind asks for must be filled in (at intake). Everything that is wrong is said at once, with
    paths `fields.<code>`.
    """
    gather = Gather()
    found: dict[str, Any] = {}
    for code in values:
        with gather:
            if kind.field(code) is None:
                options = ", ".join(field.code for field in kind.fields) or "–"
                raise FieldRefused(f"{path}.{code[:80]}", "kind_field", options=options)
    for field in kind.fields:
        with gather:
            value = value_of(field, values.get(field.code), path=f"{path}.{field.code}")
            if value is not None:
                found[field.code] = value
            elif required and field.required:
                raise FieldRefused(f"{path}.{field.code}", "missing")
    gather.settle()
    size = len(str(found).encode())
    if size > limits.VALUES_BYTES_MAX:
        raise LimitExceeded(
            what="bytes of an order's fields", limit=limits.VALUES_BYTES_MAX, given=size, path=path
        )
    return found


def value_of(field: Field, value: Any, *, path: str) -> Any:
    """One value as it is stored, None where it is not filled in. Raises FieldRefused."""
    if value is None or (isinstance(value, str) and not value.strip()):
        return None
    if field.type in TEXTS:
        return _text(field, value, path)
    if field.type in NUMBERS:
        return _number(field, value, path)
    match field.type:
        case FieldType.BOOLEAN:
            if not isinstance(value, bool):
                raise FieldRefused(path, "boolean")
            return value
        case FieldType.DATE:
            return _day(value, path)
        case FieldType.DATETIME:
            return _moment(value, path)
        case FieldType.CHOICE:
            return _choice(field, value, path)
        case _:
            return _choices(field, value, path)


def json_schema(kind: Kind, locale: str = "en") -> dict[str, Any]:
    """The kind's fields as JSON Schema: what a phone or a form shows and checks, texts in `en` or `zh`."""
    return {
        "$schema": DRAFT,
        "title": kind.label.of(locale),
        "type": "object",
        "properties": {field.code: _schema(field, locale) for field in kind.fields},
        "required": [field.code for field in kind.fields if field.required],
        "additionalProperties": False,
    }


def pattern_fault(pattern: str, *, whole: bool = True) -> str | None:
    """Why a pattern cannot be used, or None. It is one of the engine whose time grows with the text alone. `whole`: as one
    that the whole text must fit."""
    try:
        _matcher(_fitted(pattern) if whole else pattern)
    except (ValueError, jsonschema_rs.ValidationError) as fault:
        return str(fault).partition("\n")[0][:200]
    return None


def _text(field: Field, value: Any, path: str) -> str:
    long = field.type is FieldType.LONG_TEXT
    most = field.chars_max or (checks.TEXT_CHARS_MAX if long else checks.LINE_CHARS_MAX)
    text = checks.text(path, value, chars_max=min(most, checks.TEXT_CHARS_MAX))
    if field.pattern is not None and not _matcher(_fitted(field.pattern)).is_valid(text):
        raise FieldRefused(path, "pattern", pattern=field.pattern)
    return text


def _number(field: Field, value: object, path: str) -> int | float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise FieldRefused(path, "number")
    if isinstance(value, float) and not math.isfinite(value):
        raise FieldRefused(path, "number")
    if field.type is FieldType.INTEGER:
        if value != int(value):
            raise FieldRefused(path, "whole_number")
        value = int(value)
    low = -NUMBER_MAX if field.low is None else field.low
    high = NUMBER_MAX if field.high is None else field.high
    if not low <= value <= high:
        raise FieldRefused(path, "range", low=f"{low:g}", high=f"{high:g}")
    if field.type is FieldType.MONEY and -int(Decimal(str(value)).normalize().as_tuple().exponent) > 2:
        raise FieldRefused(path, "decimals")
    return value


def _day(value: Any, path: str) -> str:
    try:
        day = date.fromisoformat(value) if isinstance(value, str) and len(value) == 10 else None
    except ValueError:
        day = None
    if day is None:
        raise FieldRefused(path, "date")
    if day.year not in YEARS:
        raise FieldRefused(path, "years", low=YEARS[0], high=YEARS[-1])
    return day.isoformat()


def _moment(value: Any, path: str) -> str:
    try:
        moment = datetime.fromisoformat(value) if isinstance(value, str) and len(value) <= 40 else None
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise FieldRefused(path, "datetime")
    if moment.year not in YEARS:
        raise FieldRefused(path, "years", low=YEARS[0], high=YEARS[-1])
    return moment.isoformat()


def _choice(field: Field, value: Any, path: str) -> str:
    codes = [option.code for option in field.options]
    if not isinstance(value, str) or value not in codes:
        raise FieldRefused(path, "not_one_of", options=", ".join(codes))
    return value


def _choices(field: Field, value: Any, path: str) -> list[str] | None:
    if not isinstance(value, list | tuple):
        raise FieldRefused(path, "choices")
    if len(value) > limits.CHOSEN_MAX:
        raise LimitExceeded(what="chosen options", limit=limits.CHOSEN_MAX, given=len(value), path=path)
    chosen = {_choice(field, one, path) for one in value}
    return [option.code for option in field.options if option.code in chosen] or None


def _fitted(pattern: str) -> str:
    """The whole text must fit, as of an HTML field."""
    return f"^(?:{pattern})$"


@lru_cache(maxsize=500)
def _matcher(pattern: str) -> jsonschema_rs.Draft202012Validator:
    limit = jsonschema_rs.RegexOptions(size_limit=_PATTERN_BYTES_MAX, dfa_size_limit=_PATTERN_BYTES_MAX)
    return jsonschema_rs.Draft202012Validator({"pattern": pattern}, pattern_options=limit)


def _schema(field: Field, locale: str) -> dict[str, Any]:
    schema: dict[str, Any] = {"title": field.label.of(locale)}
    if field.help is not None:
        schema["description"] = field.help.of(locale)
    match field.type:
        case FieldType.TEXT | FieldType.LONG_TEXT:
            most = checks.TEXT_CHARS_MAX if field.type is FieldType.LONG_TEXT else checks.LINE_CHARS_MAX
            schema |= {"type": "string", "maxLength": field.chars_max or most}
            if field.pattern is not None:
                schema["pattern"] = _fitted(field.pattern)
        case FieldType.INTEGER | FieldType.NUMBER | FieldType.MONEY:
            schema["type"] = "integer" if field.type is FieldType.INTEGER else "number"
            if field.low is not None:
                schema["minimum"] = field.low
            if field.high is not None:
                schema["maximum"] = field.high
            if field.type is FieldType.MONEY:
                schema["multipleOf"] = 0.01
        case FieldType.BOOLEAN:
            schema["type"] = "boolean"
        case FieldType.DATE:
            schema |= {"type": "string", "format": "date"}
        case FieldType.DATETIME:
            schema |= {"type": "string", "format": "date-time"}
        case FieldType.CHOICE:
            schema |= _options(field, locale)
        case FieldType.CHOICES:
            schema |= {
                "type": "array",
                "items": _options(field, locale),
                "uniqueItems": True,
                "maxItems": limits.CHOSEN_MAX,
            }
    if field.unit is not None:
        schema["x-unit"] = field.unit
    return schema


def _options(field: Field, locale: str) -> dict[str, Any]:
    return {
        "type": "string",
        "oneOf": [{"const": option.code, "title": option.label.of(locale)} for option in field.options],
    }
