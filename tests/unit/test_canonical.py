"""Canonical JSON, summaries and signature pictures: what a signature stands on."""

import hashlib
import json
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callout_orders import strokes
from callout_orders.canonical import canonical, sha256
from callout_orders.summary import Summary, SummaryPart
from callout_store.errors import BadField, LimitExceeded

TEXT = st.text(st.characters(exclude_characters="\x00", exclude_categories=("Cs",)), max_size=20)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=20,
)


def test_one_value_has_one_spelling() -> None:
    """A lawyer's program would compute another hash for the same summary."""
    text = canonical({"b": [1, True, None], "a": 'é\n"电梯"', "B": {"y": 1, "x": {}}})
    assert text == '{"B":{"x":{},"y":1},"a":"é\\n\\"电梯\\"","b":[1,true,null]}'
    assert sha256(text) == hashlib.sha256(text.encode("utf-8")).digest()


@given(st.dictionaries(TEXT, VALUES, max_size=5))
def test_reading_and_writing_again_changes_nothing(value: dict[str, object]) -> None:
    """A summary that went through another program would no longer match its signature."""
    text = canonical(value)
    assert canonical(json.loads(text)) == text
    assert canonical(dict(reversed(list(value.items())))) == text


@pytest.mark.parametrize(
    "value",
    (
        0.5,  # programs disagree on how to spell fractions
        float("nan"),
        2**53,  # JavaScript reads another number
        "a\x00",
        "\ud800",
        b"bytes",
        datetime(2026, 3, 2, tzinfo=UTC),
    ),
)
def test_values_without_one_spelling_are_refused(value: object) -> None:
    """The hash would depend on who computes it, or the database would refuse the text."""
    with pytest.raises(BadField) as caught:
        canonical({"list": [{"x": value}]})
    assert caught.value.path == "summary.list.0.x"


def test_nesting_has_a_limit() -> None:
    """A summary nested without end would exhaust the stack of whoever checks it."""
    value: dict[str, object] = {}
    for _ in range(20):
        value = {"x": value}
    with pytest.raises(LimitExceeded):
        canonical(value)


def test_a_summary_is_spelled_for_signing() -> None:
    """The customer would sign something else than the page shows."""
    arrived = datetime(2026, 3, 2, 9, 0, 0, 123456, tzinfo=timezone(timedelta(hours=8)))
    summary = Summary(
        organisation="Bay",
        order_number="WO-000001",
        description="Pump leaks",
        engineer="Eva",
        parts=(SummaryPart(code="SEAL", name="Seal", quantity=2),),
        arrived_at=arrived,
        finished_at=arrived + timedelta(minutes=42, seconds=20),
    )
    assert canonical(summary.as_dict()) == (
        '{"arrivedAt":"2026-03-02T01:00:00Z","description":"Pump leaks","engineer":"Eva",'
        '"finishedAt":"2026-03-02T01:42:20Z","minutesOnSite":42,"orderNumber":"WO-000001","organisation":"Bay",'
        '"parts":[{"code":"SEAL","name":"Seal","quantity":2}],"version":1}'
    )


def test_the_same_strokes_give_the_same_picture() -> None:
    """A picture that differs at each drawing could not be compared with the one that was stored."""
    drawn = strokes.checked(
        "strokes", [[(0.1, 0.5, 0), (0.5, 0.1, 40.7), (2.0, -1.0, 90)], [(0.9, 0.9, 200)]]
    )
    assert drawn == [[(0.1, 0.5, 0), (0.5, 0.1, 40), (1.0, 0.0, 90)], [(0.9, 0.9, 200)]]
    picture = strokes.png(drawn)
    assert picture == strokes.png(drawn)
    assert picture.startswith(b"\x89PNG\r\n\x1a\n")
    assert picture != strokes.png(drawn[:1]) != strokes.png([])


@pytest.mark.parametrize(
    ("given_strokes", "error"),
    (
        ([[(0.1, 0.1, 0)]] * 201, LimitExceeded),
        ([[(0.1, 0.1, 0)] * 2001], LimitExceeded),
        ([[(0.1, 0.1, 0)] * 1900] * 11, LimitExceeded),
        ([[(float("nan"), 0.1, 0)]], BadField),
        ([[(0.1, 0.1)]], BadField),
    ),
)
def test_strokes_have_limits(given_strokes: list[list[tuple[float, ...]]], error: type[Exception]) -> None:
    """One drawing could keep a processor busy for minutes, or not be storable at all."""
    with pytest.raises(error):
        strokes.checked("strokes", given_strokes)
