"""Reading many rows as Structs with one statement: by ids, by owner, by page. For `reading` of this package."""

from collections.abc import Sequence
from typing import Any, Generic, TypeVar
from uuid import UUID

import msgspec

from callout_orders import checks
from callout_store.errors import LimitExceeded
from callout_store.work import Work

PAGE_MAX = 200

T = TypeVar("T")


class Page(msgspec.Struct, Generic[T], frozen=True, kw_only=True):
    """A page; `end_cursor` is the id to go on after, None on an empty page."""

    items: list[T]
    end_cursor: UUID | None
    has_more: bool


def page_size(limit: int) -> int:
    """`limit`, where it is 1..200; refused with `LimitExceeded` above and `BadField` below."""
    if limit > PAGE_MAX:
        raise LimitExceeded(what="limit", limit=PAGE_MAX, given=limit, path="limit")
    return checks.whole("limit", limit, low=1, high=PAGE_MAX)


_EXPRESSIONS = {
    "skills": "skills::text as skills",
    "data": "data::text as data",
    "fields": "fields::text as fields",
    "json_schema": "json_schema::text as json_schema",
    "visiting_hours": "visiting_hours::text as visiting_hours",
    "signed_sha256": "encode(signed_sha256, 'hex') as signed_sha256",
    "by_link": "link_id is not null as by_link",
}
_JSON = frozenset({"skills", "data", "fields", "json_schema", "visiting_hours"})


def columns_of(view: type[msgspec.Struct]) -> str:
    """The select list for a Struct: its fields are columns of the table, or one of the expressions above."""
    return ", ".join(_EXPRESSIONS.get(name, name) for name in view.__struct_fields__)


def view_of(view: type[T], row: Any) -> T:
    """A row as a Struct."""
    values = {name: msgspec.json.decode(value) if name in _JSON else value for name, value in row.items()}
    return view(**values)


async def by_ids(work: Work, view: type[T], table: str, ids: Sequence[UUID]) -> list[T | None]:
    """Rows of `table` in the order of `ids`, None for what is not there."""
    wanted = checks.ids("ids", list(ids))
    if not wanted:
        return []
    rows = await work.fetch(f"select {columns_of(view)} from {table} where id = any($1::uuid[])", wanted)  # type: ignore[arg-type]
    found = {row["id"]: view_of(view, row) for row in rows}
    return [found.get(one) for one in wanted]


async def lists(
    work: Work, view: type[T], table: str, key: str, ids: Sequence[UUID], order: str
) -> list[list[T]]:
    """For each of `ids`, in their order, the rows of `table` whose `key` it is."""
    wanted = checks.ids("ids", list(ids))
    if not wanted:
        return []
    rows = await work.fetch(
        f"select {columns_of(view)} from {table} where {key} = any($1::uuid[]) order by {order}",  # type: ignore[arg-type]
        wanted,
    )
    found: dict[UUID, list[T]] = {}
    for row in rows:
        found.setdefault(row[key], []).append(view_of(view, row))
    return [found.get(one, []) for one in wanted]


async def page_of(
    work: Work,
    view: type[T],
    table: str,
    conditions: list[str],
    values: list[Any],
    after: UUID | None,
    size: int,
) -> Page[T]:
    """The rows that meet `conditions`, newest first, after the id `after`; `values[0]` is the size plus one."""
    if after is not None:
        values.append(after)
        conditions.append(f"id < ${len(values)}")
    clause = f"where {' and '.join(conditions)}" if conditions else ""
    rows = await work.fetch(
        f"select {columns_of(view)} from {table} {clause} order by org_id desc, id desc limit $1",  # type: ignore[arg-type]
        *values,
    )
    return paged([view_of(view, row) for row in rows], size)


def paged(found: list[T], size: int) -> Page[T]:
    """A page of `size` from rows that were read one further, to know whether there are more."""
    items = found[:size]
    last: Any = items[-1] if items else None
    return Page(items=items, end_cursor=last.id if last is not None else None, has_more=len(found) > size)
