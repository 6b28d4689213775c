"""Documents as columns of WatermelonDB: nothing nested, instants as milliseconds since 1970."""

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from callout_contracts.rows import BASED, COLUMNS, Column

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_encode = msgspec.json.Encoder().encode


def row_of(entity: str, document: dict[str, Any] | None) -> dict[str, Any]:
    """A document as columns; `base_revision` is empty until the phone edits the row."""
    document = document or {}
    row = {
        column.column: _flat(column, document.get(column.wire, column.neutral)) for column in COLUMNS[entity]
    }
    return {**row, "base_revision": None} if entity in BASED else row


def _flat(column: Column, value: Any) -> Any:
    if value is None:
        return None
    if column.kind in ("object", "array"):
        return _encode(value).decode()
    if column.kind == "instant" and isinstance(value, str) and value:
        return (msgspec.convert(value, datetime) - _EPOCH) // timedelta(milliseconds=1)
    return value


def value_of(column: Column, value: Any) -> Any:
    """A column's value as documents and commands have it; what cannot be read stays as it is, for a person."""
    if column.kind in ("object", "array") and isinstance(value, str):
        try:
            return msgspec.json.decode(value)
        except (msgspec.DecodeError, RecursionError):
            return value
    if column.kind == "instant":
        at = instant_of(value)
        return at.isoformat() if at is not None else value
    if column.kind == "whole" and isinstance(value, float) and value.is_integer():
        return int(value)
    return value


def instant_of(value: Any) -> datetime | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 4e12:
        return None
    return _EPOCH + timedelta(milliseconds=float(value))
