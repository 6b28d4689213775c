"""Visiting hours: what a week of local times may be."""

import json
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callout_orders.checks import FieldRefused
from callout_orders.visiting_hours import Opening, as_json, checked, from_json
from callout_store.errors import Refusal


def opening(weekday: int, start: str, until: str) -> Opening:
    return Opening(weekday=weekday, from_=start, until=until)


@pytest.mark.parametrize(
    ("week", "path"),
    (
        ([opening(7, "09:00", "10:00")], "h.0.weekday"),
        ([opening(0, "9:00", "10:00")], "h.0.from"),
        ([opening(0, "24:00", "24:00")], "h.0.from"),
        ([opening(0, "09:00", "24:01")], "h.0.until"),
        ([opening(0, "09:00", "09:60")], "h.0.until"),
        ([opening(0, "10:00", "09:00")], "h.0.until"),  # ends before it starts
        ([opening(0, "10:00", "10:00")], "h.0.until"),
        ([opening(0, "10:00", "12:00"), opening(0, "09:00", "10:01")], "h.0.from"),  # overlap, however sorted
    ),
)
def test_bad_hours_are_refused_by_name(week: list[Opening], path: str) -> None:
    """The office must learn which interval is wrong, in its own language."""
    with pytest.raises(FieldRefused) as caught:
        checked("h", week)
    assert caught.value.path == path
    assert caught.value.message("zh") != caught.value.message("en")


def test_a_week_has_a_limit() -> None:
    """A site with a million intervals would stop every pick that looks at it."""
    with pytest.raises(Refusal) as caught:
        checked("h", [opening(0, "09:00", "10:00")] * 43)
    assert caught.value.code == "LIMIT_EXCEEDED"


MINUTES = st.lists(st.integers(0, 1440), min_size=2, max_size=6, unique=True).map(sorted)


def clock(minute: int) -> str:
    return f"{minute // 60:02}:{minute % 60:02}"


WEEKS = st.dictionaries(st.integers(0, 6), MINUTES, max_size=7).map(
    lambda days: [
        opening(day, clock(minutes[n]), clock(minutes[n + 1]))
        for day, minutes in days.items()
        for n in range(0, len(minutes) - 1, 2)
    ]
)


@given(WEEKS, st.randoms())
def test_a_week_is_stored_in_order_and_read_back(week: list[Opening], random: Random) -> None:
    """Hours that come back otherwise than they were typed close a site on the wrong day."""
    mixed = list(week)
    random.shuffle(mixed)
    stored = checked("h", mixed)
    assert stored == sorted(week, key=lambda one: (one.weekday, one.from_))
    assert from_json(json.loads(as_json(stored))) == tuple(stored)
