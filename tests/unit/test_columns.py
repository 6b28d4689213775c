"""Arrays as texts: whatever is in a value, the database reads back the same."""

import json
from datetime import UTC, datetime
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from callout_store.columns import column, json_column

TEXTS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))


def read(text: str) -> list[str | None]:
    """An array's text by PostgreSQL's own rules: quoted elements, in which a backslash makes what follows it plain."""
    assert text[0] == "{"
    assert text[-1] == "}"
    found: list[str | None] = []
    rest = text[1:-1]
    while rest:
        if rest[0] == '"':
            element, n = "", 1
            while rest[n] != '"':
                n += rest[n] == "\\"
                element += rest[n]
                n += 1
            found.append(element)
            rest = rest[n + 1 :]
        else:
            bare, comma, after = rest.partition(",")
            found.append(None if bare == "null" else bare)
            rest = comma + after
        assert not rest or rest[0] == ","
        rest = rest[1:]
    return found


@given(st.lists(st.none() | TEXTS))
def test_texts_come_back(values: list[str | None]) -> None:
    """An app that names its boot `a"b\\n` must not tear the rows of its batch apart."""
    assert read(column(values)) == values


@given(st.lists(st.recursive(st.none() | st.booleans() | st.integers(-9, 9) | TEXTS, st.lists), min_size=1))
def test_json_comes_back(values: list[object]) -> None:
    """What an engineer wrote, with line breaks and quotes, is what the customer's paper shows."""
    found = read(json_column(values))
    assert [json.loads(text or "") for text in found] == values


def test_other_values_are_spelled_as_the_database_reads_them() -> None:
    """Numbers, instants and ids stand bare or quoted as PostgreSQL's own types take them."""
    values = [1, 2.5, None, True, UUID(int=1), datetime(2026, 1, 2, tzinfo=UTC)]
    assert column(values) == (
        '{1,2.5,null,true,"00000000-0000-0000-0000-000000000001","2026-01-02T00:00:00Z"}'
    )
    assert column([]) == "{}"
