"""What extraction finds, and how finds that claim the same characters are settled."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import msgspec

USED_FROM: Final = 0.7
"""A find this sure is taken where nothing was given; one below is only shown."""


class Find(msgspec.Struct, frozen=True, kw_only=True):
    """`value` of `field`, read from the characters `start`..`end`; `confidence` 0..1."""

    field: str
    value: str
    start: int
    end: int
    confidence: float


def settled(finds: Iterable[Find]) -> list[Find]:
    """The finds of which no two overlap: the surer first, then the longer, then the earlier; in the order of the text.

    A value that comes twice for a field is one find, the surest.
    """
    kept: list[Find] = []
    seen: set[tuple[str, str]] = set()
    for find in sorted(finds, key=lambda f: (-f.confidence, f.start - f.end, f.start, f.field)):
        if (find.field, find.value) in seen:
            continue
        if any(find.start < other.end and other.start < find.end for other in kept):
            continue
        kept.append(find)
        seen.add((find.field, find.value))
    return sorted(kept, key=lambda f: (f.start, f.end))
