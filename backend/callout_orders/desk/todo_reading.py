"""What a person has to do, as they read it."""

from datetime import datetime
from typing import Any, Final
from uuid import UUID

import msgspec

from callout_orders import checks
from callout_orders.desk.todo_texts import say
from callout_store.work import Work

PAGE_MAX: Final = 200
STATES: Final = frozenset({"open", "acknowledged", "done", "canceled"})


class TodoView(msgspec.Struct, frozen=True, kw_only=True):
    """A to-do with its sentence in both languages."""

    id: UUID
    user_id: UUID
    order_id: UUID | None
    kind: str
    data: dict[str, Any]
    state: str
    urgent: bool
    due_at: datetime | None
    created_at: datetime
    acknowledged_at: datetime | None
    ended_at: datetime | None
    text_en: str
    text_zh: str


class TodoPage(msgspec.Struct, frozen=True, kw_only=True):
    """A page of to-dos, newest first."""

    items: list[TodoView]
    end_cursor: str | None
    has_more: bool


async def todos_of(
    work: Work,
    user_id: UUID,
    *,
    states: tuple[str, ...] = ("open", "acknowledged"),
    order_id: UUID | None = None,
    after: UUID | None = None,
    limit: int = 50,
) -> TodoPage:
    """Somebody's to-dos. Raises BadField."""
    checks.whole("first", limit, low=1, high=PAGE_MAX)
    for i, state in enumerate(states):
        checks.one_of(f"states.{i}", state, STATES)
    rows = await work.fetch(
        f"""
        select {_COLUMNS} from todo
        where org_id = callout_org() and user_id = $1 and state = any($2) and ($3::uuid is null or order_id = $3)
          and ($4::uuid is null or id < $4)
        order by id desc limit $5
        """,
        user_id,
        list(states),
        order_id,
        after,
        limit + 1,
    )
    items = [_view(row) for row in rows[:limit]]
    return TodoPage(items=items, end_cursor=str(items[-1].id) if items else None, has_more=len(rows) > limit)


async def todo(work: Work, todo_id: UUID) -> TodoView | None:
    """One to-do."""
    row = await work.fetchrow(
        f"select {_COLUMNS} from todo where org_id = callout_org() and id = $1", todo_id
    )
    return None if row is None else _view(row)


_COLUMNS: Final = """
    id, user_id, order_id, kind, data::text as data, state, urgent, due_at, created_at, acknowledged_at, ended_at
"""


def _view(row: Any) -> TodoView:
    data: dict[str, Any] = msgspec.json.decode(row["data"])
    return TodoView(
        **{
            **dict(row),
            "data": data,
            "text_en": say(row["kind"], data, "en"),
            "text_zh": say(row["kind"], data, "zh"),
        }
    )
