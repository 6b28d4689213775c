"""To-dos: something that a person has to do, with a state of its own (open, acknowledged, done, canceled).

A matter is asked of a person once: the same `matter` again changes nothing, whatever became of the first one.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import msgspec

from callout_store.errors import NotFound, WrongState
from callout_store.ids import new_id
from callout_store.journal import Entry, write_many
from callout_store.work import Work

LIVE: Final = frozenset({"open", "acknowledged"})
ANSWER_KIND: Final = "answer_order"
"""A to-do that asks for an order's first answer."""


class NewTodo(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked of whom. `kind` is a code with a text in `desk.todo_texts`; `data` fills that text in."""

    user_id: UUID
    kind: str
    matter: str
    order_id: UUID | None = None
    data: Mapping[str, Any] = {}
    urgent: bool = False
    due_at: datetime | None = None


async def ask(work: Work, todos: Sequence[NewTodo]) -> list[UUID]:
    """Write those that were not asked before, in one statement; the ids of the new ones. Journals `todo.asked`."""
    if not todos:
        return []
    rows = await work.fetch(
        """
        insert into todo (id, user_id, order_id, kind, matter, data, urgent, due_at, created_at)
        select i, u, o, k, m, d::jsonb, g, due, $9
        from unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::text[], $5::text[], $6::text[], $7::boolean[],
            $8::timestamptz[]) as t(i, u, o, k, m, d, g, due)
        on conflict (org_id, user_id, matter) do nothing
        returning id, user_id, order_id, kind, urgent
        """,
        [new_id() for _ in todos],
        [todo.user_id for todo in todos],
        [todo.order_id for todo in todos],
        [todo.kind for todo in todos],
        [todo.matter for todo in todos],
        [msgspec.json.encode(todo.data).decode() for todo in todos],
        [todo.urgent for todo in todos],
        [todo.due_at for todo in todos],
        work.now,
    )
    await _note(work, rows, "todo.asked")
    return [row["id"] for row in rows]


async def acknowledge(work: Work, todo_id: UUID, user_id: UUID) -> str:
    """Their owner has seen it; the state after it. Raises NotFound for another's, WrongState for one that is over."""
    return await _move(work, todo_id, user_id, "acknowledged")


async def finish(work: Work, todo_id: UUID, user_id: UUID) -> str:
    """Their owner did it; the state after it. Raises NotFound for another's, WrongState for a canceled one."""
    return await _move(work, todo_id, user_id, "done")


async def end(work: Work, matter: str, *, state: str = "done") -> int:
    """The matter is settled, whoever it was asked of: their live to-dos end; how many. `state`: done or canceled."""
    rows = await work.fetch(
        """
        update todo set state = $2, ended_at = $3, ended_by = $4
        where org_id = callout_org() and matter = $1 and state in ('open', 'acknowledged')
        returning id, user_id, order_id, kind, urgent
        """,
        matter,
        state,
        work.now,
        work.actor.user_id,
    )
    await _note(work, rows, f"todo.{state}")
    return len(rows)


async def _move(work: Work, todo_id: UUID, user_id: UUID, state: str) -> str:
    row = await work.fetchrow(
        "select id, user_id, order_id, kind, urgent, state from todo where id = $1 and user_id = $2 for update",
        todo_id,
        user_id,
    )
    if row is None:
        raise NotFound(entity="to-do", path="id")
    if row["state"] == state or (row["state"] == "done" and state == "acknowledged"):
        return str(row["state"])
    if row["state"] not in LIVE:
        raise WrongState(entity="to-do", state=row["state"], needed="a to-do that is open")
    ended = state == "done"
    await work.execute(
        """
        update todo set state = $2, acknowledged_at = coalesce(acknowledged_at, $3),
            ended_at = case when $4 then $3 end, ended_by = case when $4 then $5::uuid end
        where id = $1
        """,
        todo_id,
        state,
        work.now,
        ended,
        work.actor.user_id,
    )
    await _note(work, [row], f"todo.{state}")
    return state


async def _note(work: Work, rows: Sequence[Any], kind: str) -> None:
    if not rows:
        return
    entries = [
        Entry(
            kind=kind,
            entity="todo",
            entity_id=row["id"],
            order_id=row["order_id"],
            data={"userId": row["user_id"], "kind": row["kind"], "urgent": row["urgent"]},
        )
        for row in rows
    ]
    await write_many(work, entries)
