"""The one place where an order changes hands at the desk: its row, its epoch, the journal, the to-dos and the timer."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, Final
from uuid import UUID

import msgspec

from callout_orders.desk import todos
from callout_orders.desk.unanswered.standings import Watched, presences
from callout_orders.desk.unanswered.watch_rules import ByWhat, Flag, judge
from callout_orders.flow import reading as flow_reading
from callout_store import timers
from callout_store.journal import Entry, write
from callout_store.work import Work

CHANNEL: Final = "desk.look"
LOOK_AGAIN: Final = timedelta(seconds=5)
"""A timer that fired is set no closer than this: the clock that fires may be ahead of the one that judges."""


def timer_key(order_id: UUID) -> str:
    """The key of the timer that looks after an order."""
    return f"desk:{order_id}"


def matter(order_id: UUID, epoch: int) -> str:
    """The matter of the to-dos that ask for an order's first answer, in one pair of hands."""
    return f"answer:{order_id}:{epoch}"


async def give(
    work: Work,
    order: Watched,
    user_id: UUID | None,
    *,
    by_what: ByWhat,
    kind: str,
    data: Mapping[str, Any],
    flag: Flag | None = None,
    tell: Sequence[UUID] = (),
    team_id: UUID | None = None,
    restart: bool = False,
) -> int:
    """Put an order, whose row is locked, into other hands; its epoch after it.

    Journals `kind` with who had it and has it, ends the to-dos of whoever had it, asks `tell` for an answer where one is
    still owed, brings what the flow asked of its handler along, and sets the timer anew. `team_id`: its team from now on,
    where that changes. `restart`: everybody may have it again.
    """
    epoch = await put(work, order, user_id, by_what=by_what, flag=flag, team_id=team_id, restart=restart)
    await write(
        work,
        Entry(
            kind=kind,
            entity="work_order",
            entity_id=order.id,
            order_id=order.id,
            data={
                "number": order.number,
                "priority": order.priority,
                "from": order.handler_id,
                "to": user_id,
                "epoch": epoch,
                "dueAt": order.standing.due_at,
                **({"flag": flag.value} if flag else {}),
                **data,
            },
        ),
    )
    if order.epoch:
        await todos.end(work, matter(order.id, order.epoch), state="canceled")
    if order.waits:
        await todos.ask(
            work,
            [
                todos.NewTodo(
                    user_id=user,
                    kind=todos.ANSWER_KIND,
                    matter=matter(order.id, epoch),
                    order_id=order.id,
                    data={"number": order.number, "why": data.get("why", ""), "flag": flag},
                    urgent=True,
                    due_at=order.standing.due_at,
                )
                for user in dict.fromkeys(tell)
            ],
        )
        await _set_timer(work, order, user_id, by_what, flag)
    if user_id is not None:
        await _bring_along(work, order.id, user_id)
    work.touch("work_order", order.id)
    return epoch


async def _bring_along(work: Work, order_id: UUID, user_id: UUID) -> None:
    """What the order's flow asked of its handler is asked of the new one."""
    rows = await work.fetch(
        """
        select id, matter, user_id from todo
        where org_id = callout_org() and order_id = $1 and kind <> $2 and state in ('open', 'acknowledged') order by id
        """,
        order_id,
        todos.ANSWER_KIND,
    )
    owners = await flow_reading.owners_by_matters(work, [row["matter"] for row in rows]) if rows else {}
    asked = {row["matter"] for row in rows if row["user_id"] == user_id}
    moves, over = [], []
    for row in rows:
        if owners.get(row["matter"]) != "handler" or row["user_id"] == user_id:
            continue
        if row["matter"] in asked:
            over.append(row["id"])
        else:
            moves.append((row["id"], user_id))
            asked.add(row["matter"])
    await todos.cancel(work, over)
    await todos.pass_on(work, moves)


async def put(
    work: Work,
    order: Watched,
    user_id: UUID | None,
    *,
    by_what: ByWhat,
    flag: Flag | None = None,
    team_id: UUID | None = None,
    restart: bool = True,
) -> int:
    """Only the rows of `give`: the order's, and how it stands at the desk; its epoch after it."""
    await work.execute(
        """
        update work_order set handler_id = $2, team_id = coalesce($3, team_id), revision = revision + 1
        where org_id = callout_org() and id = $1
        """,
        order.id,
        user_id,
        team_id,
    )
    tried = [] if restart else [*order.tried, *([order.handler_id] if order.handler_id else [])]
    epoch: int = await work.fetchval(
        """
        insert into order_watch as w (order_id, handler_since, tried, by_what, flag) values ($1, $2, $3, $4, $5)
        on conflict (org_id, order_id) do update
        set epoch = w.epoch + 1, handler_since = excluded.handler_since, tried = excluded.tried,
            by_what = excluded.by_what, flag = excluded.flag
        returning epoch
        """,
        order.id,
        work.now,
        list(dict.fromkeys(tried)),
        by_what.value,
        flag.value if flag else None,
    )
    return epoch


async def _set_timer(
    work: Work, order: Watched, user_id: UUID | None, by_what: ByWhat, flag: Flag | None
) -> None:
    there = await presences(work, [user_id]) if user_id else {}
    standing = msgspec.structs.replace(
        order.standing,
        handler_id=user_id,
        handler_since=work.now,
        by_what=by_what,
        presence=there.get(user_id) if user_id else None,
        flag=flag,
    )
    verdict = judge(standing, order.rules, now=work.now)
    key = timer_key(order.id)
    if verdict.again is None and verdict.why is None and verdict.flag is None:
        await timers.cancel(work, key)
        return
    await timers.move_many(work, [(key, verdict.again, CHANNEL, {"orderId": str(order.id)})])
