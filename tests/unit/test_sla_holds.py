"""Until when an order may be held, or a deadline moved."""

from datetime import UTC, datetime, timedelta

import pytest

from callout_orders.checks import FieldRefused
from callout_orders.sla.pausing import future

NOW = datetime(2027, 3, 1, 9, tzinfo=UTC)


@pytest.mark.parametrize(
    ("at", "reason", "said"),
    (
        (NOW, "hold_past", "必须是将来的时间"),
        (NOW + timedelta(days=367), "hold_far", "最多可设为 366 天之后"),  # a year mistyped
    ),
)
def test_a_moment_that_cannot_be_meant_is_named_as_what_it_is(at: datetime, reason: str, said: str) -> None:
    """Whoever mistypes the year must not be told that the future lies in the future."""
    with pytest.raises(FieldRefused) as caught:
        future("until", at, now=NOW)
    assert caught.value.details["reason"] == reason
    assert caught.value.why("zh") == said


def test_a_moment_within_the_year_is_taken() -> None:
    """A customer who is away for months is waited for."""
    assert future("until", NOW + timedelta(days=366), now=NOW) == NOW + timedelta(days=366)
