"""A week of the city's orders as the sheet that the city's clerks send."""

import csv
import io
from collections import defaultdict
from collections.abc import Callable, Sequence

from callout_backend.demo.sf311 import Request

WEEK_MIN, WEEK_MAX = 4, 12
"""Rows of the sheet."""


def one_week(history: Sequence[Request]) -> list[Request]:
    """The orders of the busiest week, which come in as a sheet instead; of a small history some of its latest."""
    weeks: dict[tuple[int, int], list[Request]] = defaultdict(list)
    for one in history:
        weeks[one.created_at.isocalendar()[:2]].append(one)
    busiest = max(weeks.values(), key=len, default=[])
    if len(busiest) < WEEK_MIN:
        busiest = sorted(history, key=lambda one: one.created_at)[-len(history) // 4 :]
    return sorted(busiest, key=lambda one: one.row)[:WEEK_MAX]


def as_csv(week: Sequence[Request], serial_of: Callable[[Request], str]) -> bytes:
    """The city's sheet, with one row more, in its middle, of which nothing can be made: no description, and a telephone
    number with a digit too few."""
    rows = [
        [
            one.key,
            f"{one.created_at:%Y-%m-%d %H:%M}",
            one.channel,
            one.kind,
            one.priority,
            one.description,
            "+1 415 555 0190",
            serial_of(one),
        ]
        for one in week
    ]
    key, *rest, _, _, serial = rows[len(rows) // 2]
    rows.insert(len(rows) // 2, [f"{key}-2", *rest, "", "1380013800", serial])
    out = io.StringIO()
    header = "unique_key,created_date,source,kind,priority,description,phone,serial number"
    csv.writer(out).writerows([header.split(","), *rows])
    return out.getvalue().encode()
