"""Many rows as one text a column: the cheapest way of handing them to a statement.

The driver's own encoding of typed arrays costs ten times as much as msgspec needs for a text, and PostgreSQL takes an array's
text apart faster than JSON objects, whose keys it reads for every row anew.
"""

from collections.abc import Iterable
from typing import Any

import msgspec

_encode = msgspec.json.Encoder().encode


def column(values: Iterable[Any]) -> str:
    """A PostgreSQL array's text of plain values (texts, numbers, booleans, UUIDs, instants, None), for `$1::text::uuid[]`.

    In a condition it is `any((select $1::text::uuid[])::uuid[])`, or it would be read again for every row.
    """
    rows = list(values)
    text = _encode(rows).decode()
    if "\\" in text:
        # JSON and arrays quote alike, but an array's text knows no \n and no \u0001: there a backslash stands for nothing.
        text = ",".join(_quoted(row) if isinstance(row, str) else _encode(row).decode() for row in rows)
        return "{" + text + "}"
    return "{" + text[1:-1] + "}"


def json_column(values: Iterable[Any]) -> str:
    """An array's text of JSON values, for `$1::text::jsonb[]`: each is written as JSON, in which no control character
    is left that the array's text would spell differently from JSON."""
    text = _encode([_encode(value).decode() for value in values]).decode()
    return "{" + text[1:-1] + "}"


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
