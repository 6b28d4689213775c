"""A robot's bucket of tokens. Values only; the row that holds it is locked by whoever takes from it.

A token that was taken comes back when its window is over, not a bit at a time: a bucket that drips lets through nearly twice
its size in one minute (a full bucket at once, and what dripped in meanwhile). So in no window are there more than `size`.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

import msgspec

WINDOW: Final = timedelta(seconds=62)
"""A minute, and two seconds for messages that were on their way for different times."""


class Bucket(msgspec.Struct, frozen=True, kw_only=True):
    """`spent`: when each token in use was taken, the oldest first. `reserve` tokens are for what is urgent."""

    size: int
    reserve: int = 0
    spent: tuple[datetime, ...] = ()


def at(bucket: Bucket, now: datetime) -> Bucket:
    """The bucket with the tokens back whose window is over."""
    kept = tuple(sorted(one for one in bucket.spent if one > now - WINDOW))
    return msgspec.structs.replace(bucket, spent=kept)


def free(bucket: Bucket, now: datetime, *, urgent: bool) -> int:
    """How many tokens may be taken now."""
    left = bucket.size - len(at(bucket, now).spent)
    return max(0, left if urgent else left - bucket.reserve)


def take(bucket: Bucket, now: datetime, count: int) -> Bucket:
    """The bucket without `count` tokens. Raises ValueError where they are not there: who takes has asked before."""
    fresh = at(bucket, now)
    if not 0 <= count <= bucket.size - len(fresh.spent):
        raise ValueError(f"{count} tokens of {bucket.size - len(fresh.spent)}")
    return msgspec.structs.replace(fresh, spent=(*fresh.spent, *[now] * count))


def next_at(bucket: Bucket, now: datetime, *, urgent: bool) -> datetime:
    """When a token can be taken next: now, or when enough of them are back."""
    fresh = at(bucket, now)
    short = len(fresh.spent) - (bucket.size - (0 if urgent else bucket.reserve)) + 1
    return now if short <= 0 else max(now, fresh.spent[short - 1] + WINDOW)


def of(spent: Sequence[datetime] | None, *, size: int, reserve: int) -> Bucket:
    """A bucket from its row."""
    return Bucket(size=size, reserve=min(reserve, size - 1), spent=tuple(spent or ()))
