"""Who may take an order over, hand it on, or move its deadline: whoever is on duty for its team now, and supervisors (R4).

Supervisors are users of that role, admins, and the leads of the order's team. The right goes with the hour: the moment a duty
ends, so does the right.
"""

from datetime import datetime
from typing import Final
from uuid import UUID

import msgspec

from callout_orders.desk.refusals import FallbackOnly
from callout_orders.desk.staff.duty import OnDuty
from callout_orders.desk.unanswered.standings import duty_of_team
from callout_people.principals import Role
from callout_store.errors import NotFound
from callout_store.work import Work

ABOVE: Final = frozenset({Role.SUPERVISOR.value, Role.ADMIN.value})
NAMED_MAX: Final = 10


class Holder(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody who has the three rights over an order now: as `fallback` until `until`, or as `supervisor`."""

    user_id: UUID
    name: str
    by: str
    rank: int | None = None
    until: datetime | None = None


async def may_act(work: Work, team_id: UUID | None, *, at: datetime | None = None) -> list[Holder]:
    """Who has the three rights over orders of this team at `at` (now): those on duty in order, then supervisors."""
    duty = {one.user_id: one for one in await duty_of_team(work, team_id, at or work.now)}
    rows = await work.fetch(
        """
        select u.id, u.name, u.role = any($2) or m.user_id is not null as above, m.user_id is not null as lead
        from app_user u
        left join team_member m
          on m.org_id = u.org_id and m.user_id = u.id and m.team_id = $3 and m.part = 'lead'
        where u.org_id = callout_org() and u.active and (u.id = any($1) or u.role = any($2) or m.user_id is not null)
        order by lead desc, u.role desc, u.name, u.id
        """,
        list(duty),
        list(ABOVE),
        team_id,
    )
    named = {row["id"]: row["name"] for row in rows}
    fallback = [_fallback(one, named[one.user_id]) for one in duty.values() if one.user_id in named]
    return fallback + [
        Holder(user_id=row["id"], name=row["name"], by="supervisor") for row in rows if row["above"]
    ]


async def may_act_on(work: Work, order_id: UUID) -> list[Holder]:
    """Who has the three rights over this order now. Raises NotFound."""
    row = await work.fetchrow(
        "select team_id from work_order where org_id = callout_org() and id = $1", order_id
    )
    if row is None:
        raise NotFound(entity="work order", path="orderId")
    return await may_act(work, row["team_id"])


def _fallback(one: OnDuty, name: str) -> Holder:
    return Holder(user_id=one.user_id, name=name, by="fallback", rank=one.rank, until=one.until)


async def require(work: Work, team_id: UUID | None, act: str) -> Holder:
    """As what the actor of this unit of work may do it. Raises FallbackOnly, which names those who may."""
    holders = await may_act(work, team_id)
    for holder in holders:
        if holder.user_id == work.actor.user_id:
            return holder
    raise FallbackOnly(act, [(one.user_id, one.name, one.until) for one in holders[:NAMED_MAX]])
