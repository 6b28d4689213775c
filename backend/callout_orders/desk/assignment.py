"""Giving orders to a team and to somebody of it as they come in; any number with a handful of statements."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec

from callout_orders.desk.assign_rules import (
    HandlerChoice,
    Member,
    TeamRule,
    choose_handler,
    choose_team,
)
from callout_orders.desk.unanswered.handing import CHANNEL, timer_key
from callout_orders.desk.unanswered.standings import presence_of, rules_of
from callout_orders.desk.unanswered.watch_rules import (
    ByWhat,
    Presence,
    PresenceState,
    Rules,
    Standing,
    is_online,
    judge,
)
from callout_orders.sla.calendar import Calendar
from callout_orders.sla.clock import first_due
from callout_store import timers
from callout_store.work import Work


class Counted(msgspec.Struct, frozen=True, kw_only=True):
    """How the time for a first response is counted: so many working minutes of a calendar, from a moment on."""

    calendar: Calendar
    started_at: datetime
    minutes: int


class Coming(msgspec.Struct, frozen=True, kw_only=True):
    """An order that comes in, before or after its row is there. `due_at`: of its first response, with how it is counted
    where it comes in just now."""

    order_id: UUID
    site_id: UUID
    kind: str
    channel: str
    due_at: datetime
    counted: Counted | None = None


class Assigned(msgspec.Struct, frozen=True, kw_only=True):
    """Where an order goes. `team_by` and `handler_why` say why: see `assign_rules.Fit` and `HandlerChoice`; `watched`:
    whether it is looked after until somebody answers."""

    order_id: UUID
    team_id: UUID | None
    team_by: tuple[str, ...]
    handler_id: UUID | None
    handler_why: str
    due_at: datetime
    rules: Rules
    watched: bool
    counted: Counted | None = None

    def told(self) -> dict[str, Any]:
        """What the journal's `work_order.created` says of it."""
        return {
            "teamId": self.team_id,
            "teamBy": list(self.team_by),
            "handlerId": self.handler_id,
            "handlerWhy": self.handler_why,
        }


async def choose(work: Work, orders: Sequence[Coming]) -> dict[UUID, Assigned]:
    """A team and a handler for each of these orders, by order id; nothing in an organisation without teams.

    An order that no team fits goes to the supervisors at once, one whose team has nobody online to whoever is on duty. What
    was late when it came in (an import of last week) has a team, and nobody is hurried for it.
    """
    teams = {team.id: team for team in await team_rules(work)}
    if not teams or not orders:
        return {}
    territories = await _territories(work, {order.site_id for order in orders})
    chosen = {
        order.order_id: choose_team(
            teams.values(),
            kind=order.kind,
            channel=order.channel,
            territory_id=territories.get(order.site_id),
        )
        for order in orders
    }
    members = await members_of(work, {choice.team_id for choice in chosen.values() if choice.team_id})
    given: dict[UUID, int] = {}
    made: dict[UUID, Assigned] = {}
    for order in orders:
        choice = chosen[order.order_id]
        watched = order.due_at > work.now
        hands = HandlerChoice(user_id=None, why="late_at_intake")
        if watched:
            hands = choose_handler(members.get(choice.team_id, []) if choice.team_id else [], given)
        if hands.user_id is not None:
            given[hands.user_id] = given.get(hands.user_id, 0) + 1
        made[order.order_id] = Assigned(
            order_id=order.order_id,
            team_id=choice.team_id,
            team_by=tuple(choice.by),
            handler_id=hands.user_id,
            handler_why=hands.why,
            due_at=order.due_at,
            rules=teams[choice.team_id].rules if choice.team_id else Rules(),
            watched=watched,
            counted=order.counted,
        )
    return made


async def watch(work: Work, given: Iterable[Assigned]) -> None:
    """Look after these orders, whose rows hold their team and handler, from now on until somebody answers."""
    watched = [one for one in given if one.watched]
    if not watched:
        return
    await work.execute(
        """
        insert into order_watch (order_id, handler_since, by_what)
        select i, $2, 'intake' from unnest($1::uuid[]) as t(i)
        on conflict (org_id, order_id) do nothing
        """,
        [one.order_id for one in watched],
        work.now,
    )
    online = Presence(state=PresenceState.ONLINE, since=work.now, seen_at=work.now)
    fresh: list[tuple[str, datetime, str, Mapping[str, Any]]] = []
    # Orders of a batch are much alike: each mark is reckoned once.
    marks: dict[tuple[datetime, datetime, int, timedelta], datetime | None] = {}
    for one in watched:
        of = one.counted
        alike = (
            one.due_at,
            of.started_at if of else one.due_at,
            id(of.calendar if of else None),
            one.rules.late,
        )
        if alike not in marks:
            marks[alike] = _mark(one)
        standing = Standing(
            due_at=one.due_at,
            mark_at=marks[alike],
            handler_id=one.handler_id,
            handler_since=work.now,
            by_what=ByWhat.INTAKE,
            presence=online,
        )
        due = judge(standing, one.rules, now=work.now).again or work.now
        fresh.append((timer_key(one.order_id), due, CHANNEL, {"orderId": str(one.order_id)}))
    await timers.arm_many(work, fresh)


def _mark(one: Assigned) -> datetime | None:
    """When so many working minutes are left as the team's rules say."""
    if one.counted is None:
        return None
    of, late = one.counted, one.rules.late.total_seconds() / 60
    return first_due(of.calendar, of.started_at, max(of.minutes - late, 0))


async def assign_team(work: Work, order_ids: Sequence[UUID]) -> dict[UUID, Assigned]:
    """Give orders that are there, and that nobody has, to teams and handlers, and look after them; by order id."""
    rows = await work.fetch(
        """
        select id as order_id, site_id, kind, channel, respond_due_at as due_at from work_order
        where org_id = callout_org() and id = any($1) and duplicate_of_id is null and handler_id is null
        order by id for no key update
        """,
        list(order_ids),
    )
    made = await choose(work, [Coming(**dict(row)) for row in rows])
    await work.execute(
        """
        update work_order o set team_id = t.team_id, handler_id = t.handler_id
        from unnest($1::uuid[], $2::uuid[], $3::uuid[]) as t(id, team_id, handler_id)
        where o.org_id = callout_org() and o.id = t.id
        """,
        [one.order_id for one in made.values()],
        [one.team_id for one in made.values()],
        [one.handler_id for one in made.values()],
    )
    await watch(work, made.values())
    return made


async def _territories(work: Work, site_ids: Collection[UUID]) -> dict[UUID, UUID | None]:
    rows = await work.fetch(
        "select id, territory_id from site where org_id = callout_org() and id = any($1)", list(site_ids)
    )
    return {row["id"]: row["territory_id"] for row in rows}


async def team_rules(work: Work) -> list[TeamRule]:
    """What the active teams answer for."""
    rows = await work.fetch(
        """
        select t.id, t.code, t.kinds, t.channels, t.is_default, t.late_minutes, t.offline_minutes, t.step_minutes, coalesce(
            (select array_agg(y.territory_id) from team_territory y where y.org_id = t.org_id and y.team_id = t.id),
            '{}') as territories
        from team t where t.org_id = callout_org() and t.active
        """
    )
    return [
        TeamRule(
            id=row["id"],
            code=row["code"],
            kinds=frozenset(row["kinds"]),
            channels=frozenset(row["channels"]),
            territories=frozenset(row["territories"]),
            is_default=row["is_default"],
            rules=rules_of(row),
        )
        for row in rows
    ]


async def members_of(work: Work, team_ids: Collection[UUID]) -> dict[UUID, list[Member]]:
    """The members of teams who may sign in, with their presence and how many open orders they have in hand."""
    if not team_ids:
        return {}
    rows = await work.fetch(
        """
        select m.team_id, m.user_id, m.part, p.state, p.since, p.seen_at, (
            select count(*) from work_order o
            where o.org_id = m.org_id and o.handler_id = m.user_id and o.state not in ('completed', 'closed', 'canceled')
        ) as load
        from team_member m
        join app_user u on u.org_id = m.org_id and u.id = m.user_id and u.active
        left join presence p on p.org_id = m.org_id and p.user_id = m.user_id
        where m.org_id = callout_org() and m.team_id = any($1)
        """,
        list(team_ids),
    )
    by_team: dict[UUID, list[Member]] = {}
    for row in rows:
        by_team.setdefault(row["team_id"], []).append(
            Member(
                user_id=row["user_id"],
                lead=row["part"] == "lead",
                online=is_online(presence_of(row), now=work.now),
                load=row["load"],
            )
        )
    return by_team
