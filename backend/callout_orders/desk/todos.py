"""To-dos: something that a person has to do, with a state of its own (open, acknowledged, done, canceled).

A matter is asked of a person once: the same `matter` again changes nothing, whatever became of the first one. What is asked
of somebody who may not sign in any more is passed on (`desk.staff.leaving`).
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import msgspec

from callout_orders.desk import todo_texts
from callout_store import timers
from callout_store.errors import NotFound, WrongState
from callout_store.ids import new_id
from callout_store.journal import Entry, write_later
from callout_store.work import Work

LIVE: Final = frozenset({"open", "acknowledged"})
ANSWER_KIND: Final = "answer_order"
"""A to-do that asks for an order's first answer."""
LEFT_CHANNEL: Final = "desk.left"


def left_timer(
    user_id: UUID, team_id: UUID | None = None
) -> tuple[str, datetime | None, str, Mapping[str, Any]]:
    """The timer, due at once, that passes on what somebody left behind, of a team's where they left only that."""
    of = [str(one) for one in (user_id, team_id) if one is not None]
    payload = dict(zip(("userId", "teamId"), of, strict=False))
    return f"desk:left:{':'.join(of)}", None, LEFT_CHANNEL, payload


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
    by_id = {new_id(): todo for todo in todos}
    rows = await work.fetch(
        """
        with there as (
            -- Waits for whoever is about to shut one of them out, and then sees that they are.
            select id from app_user where org_id = callout_org() and id = any($2) and active for key share
        ), asked as (
            insert into todo (id, user_id, order_id, kind, matter, data, urgent, due_at, created_at)
            select i, u, o, k, m, d::jsonb, g, due, $9
            from unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::text[], $5::text[], $6::text[], $7::boolean[],
                $8::timestamptz[]) as t(i, u, o, k, m, d, g, due)
            on conflict (org_id, user_id, matter) do nothing
            returning id, user_id, order_id, kind, urgent
        )
        select a.*, t.id is null as has_left from asked a left join there t on t.id = a.user_id
        """,
        list(by_id),
        [todo.user_id for todo in todos],
        [todo.order_id for todo in todos],
        [todo.kind for todo in todos],
        [todo.matter for todo in todos],
        [msgspec.json.encode(todo.data).decode() for todo in todos],
        [todo.urgent for todo in todos],
        [todo.due_at for todo in todos],
        work.now,
    )
    # Notices are written from the journal, and have to say what is to be done.
    await _note(work, rows, "todo.asked", {id_: _said(todo.kind, todo.data) for id_, todo in by_id.items()})
    if left := {row["user_id"] for row in rows if row["has_left"]}:
        await timers.move_many(work, [left_timer(user) for user in left])
    return [row["id"] for row in rows]


async def acknowledge(work: Work, todo_id: UUID, user_id: UUID) -> str:
    """Their owner has seen it; the state after it. Raises NotFound for another's, WrongState for one that is over."""
    return await _move(work, todo_id, user_id, "acknowledged")


async def finish(work: Work, todo_id: UUID, user_id: UUID) -> str:
    """Their owner did it; the state after it. Raises NotFound for another's, WrongState for a canceled one."""
    return await _move(work, todo_id, user_id, "done")


async def end(work: Work, *matters: str, state: str = "done") -> int:
    """The matters are settled, whoever they were asked of: their live to-dos end; how many. `state`: done or canceled."""
    return await end_many(work, dict.fromkeys(matters, state))


async def end_many(work: Work, matters: Mapping[str, str]) -> int:
    """Like `end`, each matter with the state in which its to-dos end; one statement."""
    if not matters:
        return 0
    rows = await work.fetch(
        """
        update todo d set state = t.state, ended_at = $3, ended_by = $4
        from unnest($1::text[], $2::text[]) as t(matter, state)
        where d.org_id = callout_org() and d.matter = t.matter and d.state in ('open', 'acknowledged')
        returning d.id, d.user_id, d.order_id, d.kind, d.urgent, d.state
        """,
        list(matters),
        list(matters.values()),
        work.now,
        work.actor.user_id,
    )
    for state in dict.fromkeys(row["state"] for row in rows):
        await _note(work, [row for row in rows if row["state"] == state], f"todo.{state}")
    return len(rows)


async def cancel(work: Work, ids: Sequence[UUID]) -> None:
    """These are no longer wanted of whoever has them: others are asked."""
    if not ids:
        return
    rows = await work.fetch(
        """
        update todo set state = 'canceled', ended_at = $2, ended_by = $3
        where org_id = callout_org() and id = any($1) and state in ('open', 'acknowledged')
        returning id, user_id, order_id, kind, urgent
        """,
        list(ids),
        work.now,
        work.actor.user_id,
    )
    await _note(work, rows, "todo.canceled")


async def pass_on(work: Work, moves: Sequence[tuple[UUID, UUID]]) -> None:
    """Live to-dos become somebody else's, anew; the matter's own end then ends them where they are.

    One who was asked of the matter before is asked again. Journals `todo.passed_on` and `todo.asked`.
    """
    if not moves:
        return
    rows = await work.fetch(
        """
        with t as (select * from unnest($1::uuid[], $2::uuid[]) as t(id, heir)),
        before as (
            select d.id, h.id as other, t.heir, d.user_id as was
            from t join todo d on d.org_id = callout_org() and d.id = t.id
            left join todo h on h.org_id = d.org_id and h.user_id = t.heir and h.matter = d.matter
        ), over as (
            update todo d set state = 'canceled', ended_at = $3
            from before b where d.org_id = callout_org() and d.id = b.id and b.other is not null
        )
        update todo d set user_id = b.heir, state = 'open', acknowledged_at = null, ended_at = null, ended_by = null
        from before b where d.org_id = callout_org() and d.id = coalesce(b.other, b.id)
        returning d.id, d.user_id, d.order_id, d.kind, d.urgent, d.data::text as data, b.was
        """,
        [id_ for id_, _ in moves],
        [heir for _, heir in moves],
        work.now,
    )
    texts = {row["id"]: _said(row["kind"], msgspec.json.decode(row["data"])) for row in rows}
    await _note(work, rows, "todo.passed_on", texts)
    await _note(work, rows, "todo.asked", texts)


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


def _said(kind: str, data: Mapping[str, Any]) -> dict[str, str]:
    return {locale: todo_texts.say(kind, data, locale)[:300] for locale in ("en", "zh")}


async def _note(
    work: Work, rows: Sequence[Any], kind: str, texts: Mapping[UUID, Mapping[str, str]] | None = None
) -> None:
    if not rows:
        return
    entries = [
        Entry(
            kind=kind,
            entity="todo",
            entity_id=row["id"],
            order_id=row["order_id"],
            data={
                "userId": row["user_id"],
                "kind": row["kind"],
                "urgent": row["urgent"],
                **({"fromUserId": row["was"]} if kind == "todo.passed_on" else {}),
                **({"text": texts[row["id"]]} if texts else {}),
            },
        )
        for row in rows
    ]
    write_later(work, entries)
