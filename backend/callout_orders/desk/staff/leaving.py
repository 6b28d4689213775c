"""Whoever leaves, the house or a team: what they had in hand and were asked to do reaches somebody else, once.

Who was shut out leaves everything behind. Who was taken out of a team leaves what the team's orders owe an answer, and what
they were asked as its member or lead; a case that they answered already stays theirs. Nothing moves in the transaction in
which they leave: a timer does it, with the locks in their order, a batch a transaction.
"""

from collections.abc import Sequence
from typing import Any, Final
from uuid import UUID

from callout_orders.channels import desk_people
from callout_orders.desk import todos
from callout_orders.desk.assign_rules import choose_handler
from callout_orders.desk.assignment import members_of
from callout_orders.desk.staff import people
from callout_orders.desk.unanswered import handing, standings, watching
from callout_orders.desk.unanswered.watch_rules import ByWhat, Why
from callout_orders.flow import reading as flow_reading
from callout_store.work import Work

BATCH: Final = 50
"""Orders that change hands in one transaction."""


async def pass_on(work: Work, user_id: UUID, team_id: UUID | None = None) -> bool:
    """Pass on a batch of what somebody left behind, of a team's where they left only that; whether there is more."""
    # Of two who leave at once, the second finds where the first one's to-dos went.
    await work.execute("select pg_advisory_xact_lock(hashtextextended($1, 0))", f"leaving:{work.org_id}")
    if team_id is None and await work.fetchval(
        "select active from app_user where org_id = callout_org() and id = $1", user_id
    ):
        return False
    ids = await _orders_of(work, user_id, team_id)
    for order in (await standings.load(work, ids, lock=True)).values():
        if order.handler_id == user_id:
            await _hand_over(work, order)
    if len(ids) == BATCH:
        return True
    await _pass_todos(work, user_id, team_id)
    return False


async def _orders_of(work: Work, user_id: UUID, team_id: UUID | None) -> list[UUID]:
    rows = await work.fetch(
        """
        select o.id from work_order o
        left join order_watch w on w.org_id = o.org_id and w.order_id = o.id
        where o.org_id = callout_org() and o.handler_id = $1 and o.state not in ('closed', 'canceled')
          and ($2::uuid is null or (
              o.team_id = $2 and o.responded_at is null and w.by_what in ('intake', 'handed') and not exists (
                  select 1 from team_member m where m.org_id = o.org_id and m.team_id = $2 and m.user_id = $1)))
        order by o.id limit $3
        """,
        user_id,
        team_id,
        BATCH,
    )
    return [row["id"] for row in rows]


async def _hand_over(work: Work, order: standings.Watched) -> None:
    """Without an answer: to whoever stands in, as ever. Else to a colleague, or a supervisor where there is none."""
    if not order.over:
        await watching.turn_over(work, order, Why.LEFT)
        return
    team = order.team_id
    colleagues = [] if team is None else (await members_of(work, [team])).get(team, [])
    heir = choose_handler(colleagues, anyone=True).user_id
    if heir is None:
        above = (await people.supervisors_of(work, [order.id]))[order.id]
        heir = above[0] if above else None
    await handing.give(
        work,
        order,
        heir,
        by_what=ByWhat.HANDED,
        kind="work_order.handler_set",
        data={"why": Why.LEFT.value},
        restart=True,
    )


async def _pass_todos(work: Work, user_id: UUID, team_id: UUID | None) -> None:
    """Each live to-do goes to one of those who would be asked today, unless somebody else is asked already."""
    rows = await work.fetch(
        """
        select d.id, d.order_id, d.kind, d.matter from todo d
        left join work_order o on o.org_id = d.org_id and o.id = d.order_id
        where d.org_id = callout_org() and d.user_id = $1 and d.state in ('open', 'acknowledged')
          and ($2::uuid is null or o.team_id = $2)
        order by d.id for update of d
        """,
        user_id,
        team_id,
    )
    heirs = await _heirs(work, rows)
    others = await work.fetch(
        """
        select d.matter, d.user_id, u.active and d.state in ('open', 'acknowledged') as asked
        from todo d join app_user u on u.org_id = d.org_id and u.id = d.user_id
        where d.org_id = callout_org() and d.matter = any($1) and d.user_id <> $2
        """,
        [row["matter"] for row in rows],
        user_id,
    )
    asked = {row["matter"] for row in others if row["asked"]}
    known = {(row["matter"], row["user_id"]) for row in others}
    over: list[UUID] = []
    moves: list[tuple[UUID, UUID]] = []
    for row, users in zip(rows, heirs, strict=True):
        if user_id in users:
            continue
        if row["matter"] in asked:
            over.append(row["id"])
        elif users:
            # Rather somebody who did not hear of it than one who settled theirs.
            fresh = [user for user in users if (row["matter"], user) not in known]
            moves.append((row["id"], (fresh or users)[0]))
    await todos.cancel(work, over)
    await todos.pass_on(work, moves)


async def _heirs(work: Work, rows: Sequence[Any]) -> list[Sequence[UUID]]:
    """Who would be asked today, of each to-do: the owner of its step or approval, else supervisors; without an order the
    desk."""
    owners = await flow_reading.owners_by_matters(work, [row["matter"] for row in rows])
    owned = [row for row in rows if row["matter"] in owners and row["order_id"] is not None]
    holding = await people.holders_of(work, [(owners[row["matter"]], row["order_id"]) for row in owned])
    by_id: dict[UUID, Sequence[UUID]] = {
        row["id"]: users for row, users in zip(owned, holding, strict=True) if users
    }
    above = await people.supervisors_of(
        work, [row["order_id"] for row in rows if row["order_id"] is not None]
    )
    desk = await desk_people.desk(work) if any(row["order_id"] is None for row in rows) else []
    return [by_id.get(row["id"]) or above.get(row["order_id"]) or desk for row in rows]
