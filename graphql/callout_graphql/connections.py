"""Pages of lists."""

from typing import Any, Generic, TypeVar
from uuid import UUID

import strawberry

from callout_store.errors import BadField, LimitExceeded
from callout_store.ids import parse_id

T = TypeVar("T")

PAGE_MAX = 200
PAGE_DEFAULT = 50


@strawberry.type
class Connection(Generic[T]):
    """A page of a list: ask again with `after: endCursor` while `hasMore`."""

    nodes: list[T]
    end_cursor: str | None
    has_more: bool


def connection(page: Any) -> "Connection[Any]":
    """A service's page (`items`, `end_cursor`, `has_more`) as a connection."""
    return Connection(
        nodes=page.items,
        end_cursor=str(page.end_cursor) if page.end_cursor is not None else None,
        has_more=page.has_more,
    )


def cut(rows: list[Any], first: int) -> "Connection[Any]":
    """Rows, of which one more than `first` may have been read, as a connection whose cursor is the last id."""
    nodes = rows[:first]
    return Connection(
        nodes=nodes, end_cursor=str(nodes[-1].id) if nodes else None, has_more=len(rows) > first
    )


def page_size(first: int) -> int:
    """`first` within 1 and the limit; refused otherwise."""
    if not 1 <= first <= PAGE_MAX:
        raise LimitExceeded(path="first", what="rows a page", limit=PAGE_MAX, given=first)
    return first


def cursor_id(after: str | None) -> UUID | None:
    """The id within a cursor."""
    if after is None:
        return None
    try:
        return parse_id(after)
    except ValueError:
        raise BadField(path="after", why="not a cursor of this list") from None
