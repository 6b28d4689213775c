"""A page of a list: what every reading function that lists returns."""

from typing import Generic, TypeVar

from msgspec import Struct

T = TypeVar("T")


class Page(Struct, Generic[T], frozen=True, kw_only=True):
    """`end_cursor` continues after the last item (None on an empty page); `has_more` says whether that is worth it."""

    items: list[T]
    end_cursor: str | None
    has_more: bool
