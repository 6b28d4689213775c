"""When a site can be visited: a week of opening hours in local time, checked and stored. Pure.

No hours at all means that the site is always open; a weekday without an interval, where others have some, is closed. What
they mean on real days is dispatch's to reckon.
"""

import re
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, Final

import msgspec

from callout_orders.checks import FieldRefused, batch, whole

INTERVALS_MAX: Final = 42
"""Six a day."""
DAY_MINUTES: Final = 24 * 60
_CLOCK: Final = re.compile(r"([01]\d|2[0-3]):([0-5]\d)|24:00", re.ASCII)


class Opening(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename={"from_": "from"}
):
    """One interval of a week: `weekday` 0 is Monday, `from_` and `until` are `09:00` local; a day ends at `24:00`."""

    weekday: int
    from_: str
    until: str


def checked(path: str, given: Sequence[Opening]) -> list[Opening]:
    """The week in order of time. Refuses what is no time of a day, ends before it starts, or overlaps; names the field."""
    batch("intervals of visiting hours", list(given), limit=INTERVALS_MAX)
    placed = []
    for n, one in enumerate(given):
        whole(f"{path}.{n}.weekday", one.weekday, low=0, high=6)
        start, end = _minute(f"{path}.{n}.from", one.from_), _minute(f"{path}.{n}.until", one.until)
        if end <= start:
            raise FieldRefused(f"{path}.{n}.until", "hours_order")
        placed.append((one.weekday, start, end, n))
    placed.sort()
    for before, after in pairwise(placed):
        if before[0] == after[0] and after[1] < before[2]:
            raise FieldRefused(f"{path}.{after[3]}.from", "hours_overlap", other=before[3])
    return [given[n] for *_, n in placed]


def as_json(hours: Sequence[Opening]) -> str:
    """The week as it is stored."""
    return msgspec.json.encode(list(hours)).decode()


def from_json(values: Sequence[Mapping[str, Any]]) -> tuple[Opening, ...]:
    """The week as it was stored."""
    return msgspec.convert(values, tuple[Opening, ...])


def _minute(path: str, text: object) -> int:
    if not isinstance(text, str) or not _CLOCK.fullmatch(text):
        raise FieldRefused(path, "hours_form")
    minute = int(text[:2]) * 60 + int(text[3:])
    if minute == DAY_MINUTES and path.endswith("from"):
        raise FieldRefused(path, "hours_form")
    return minute
