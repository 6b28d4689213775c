"""Scalars, and how they are read and written. Values pass to msgspec as they are: it writes ids and instants itself."""

from datetime import date, datetime
from typing import Annotated, Any, NewType
from uuid import UUID

import msgspec
import strawberry
from strawberry.types.scalar import ScalarDefinition

from callout_store.clock import taken_instant
from callout_store.ids import parse_id

JSON = NewType("JSON", object)
"""Any JSON value, passed through without a look; a `msgspec.Raw` goes out as the bytes that it is."""
Long = NewType("Long", int)
"""A whole number of up to 64 bits, as a JSON number."""

_INSTANT = Annotated[datetime, msgspec.Meta(tz=True)]
LONG_MAX = 2**63 - 1


def _read_id(value: Any) -> UUID:
    if not isinstance(value, str):
        raise ValueError("an id is a text")
    return parse_id(value)


def _read_instant(value: Any) -> datetime:
    if not isinstance(value, str):
        raise ValueError("an instant is a text such as 2026-03-02T08:00:00Z")
    try:
        read = msgspec.convert(value, _INSTANT)
    except msgspec.ValidationError:
        raise ValueError("an instant has a date, a time and a time zone: 2026-03-02T08:00:00Z") from None
    return taken_instant(read)


def _read_day(value: Any) -> date:
    if not isinstance(value, str):
        raise ValueError("a day is a text such as 2026-03-02")
    try:
        return msgspec.convert(value, date)
    except msgspec.ValidationError:
        raise ValueError("a day is written 2026-03-02") from None


def _read_long(value: Any) -> int:
    if type(value) is not int or not -LONG_MAX <= value <= LONG_MAX:
        raise ValueError("a whole number of up to 64 bits")
    return value


SCALARS: dict[object, ScalarDefinition] = {
    UUID: strawberry.scalar(
        name="UUID", description="An id: 36 characters with four hyphens (RFC 9562).", parse_value=_read_id
    ),
    datetime: strawberry.scalar(
        name="DateTime", description="An instant with time zone (RFC 3339).", parse_value=_read_instant
    ),
    date: strawberry.scalar(name="Date", description="A day: 2026-03-02.", parse_value=_read_day),
    JSON: strawberry.scalar(name="JSON", description="Any JSON value."),
    Long: strawberry.scalar(
        name="Long", description="A whole number of up to 64 bits, as a JSON number.", parse_value=_read_long
    ),
}
