"""The three rights of the fallback (R4): take over by force, hand on in one step, move the deadline for a time.

`epoch` is the one that the caller saw beside the order. Of two who act at the same time one wins; the other is told who has
the order now, instead of taking it away unseen.
"""

from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

import msgspec

from callout_orders import checks
from callout_orders.desk.assign_rules import choose_handler
from callout_orders.desk.assignment import members_of
from callout_orders.desk.refusals import HandlerChanged
from callout_orders.desk.unanswered import handing, standing_in, standings
from callout_orders.desk.unanswered.standings import Watched
from callout_orders.desk.unanswered.watch_rules import ByWhat
from callout_orders.sla import extensions
from callout_store.errors import NotFound, WrongState
from callout_store.work import Work

REASON_CHARS_MAX: Final = 1000
MINUTES_MAX: Final = 120
HOURS_MAX: Final = 24
"""How far, and for how long, deadlines of orders without a team may be moved."""


class Handed(msgspec.Struct, frozen=True, kw_only=True):
    """Who has the order now, and its new epoch."""

    order_id: UUID
    handler_id: UUID | None
    team_id: UUID | None
    epoch: int


async def take_over(work: Work, order_id: UUID, *, epoch: int, reason: str) -> Handed:
    """Take an order from whoever has it. Raises NotFound, FallbackOnly, HandlerChanged, WrongState.

    Taking what one has already changes nothing.
    """
    why = checks.text("reason", reason, chars_max=REASON_CHARS_MAX)
    order = await _locked(work, order_id)
    holder = await standing_in.require(work, order.team_id, "take_over")
    if order.handler_id == holder.user_id:
        return _handed(order, order.handler_id, order.team_id, order.epoch)
    await _check_epoch(work, order, epoch)
    made = await handing.give(
        work,
        order,
        holder.user_id,
        by_what=ByWhat.TAKEN,
        kind="work_order.taken_over",
        data=_audit(order, holder, why, handler_id=holder.user_id, team_id=order.team_id),
        tell=[holder.user_id],
        restart=True,
    )
    return _handed(order, holder.user_id, order.team_id, made)


async def hand_on(
    work: Work,
    order_id: UUID,
    *,
    epoch: int,
    reason: str,
    user_id: UUID | None = None,
    team_id: UUID | None = None,
) -> Handed:
    """Give an order to somebody of a team, or to another team, whose rule then finds somebody.

    Somebody of another team takes the order there. Raises BadField, NotFound, FallbackOnly, HandlerChanged, WrongState.
    """
    why = checks.text("reason", reason, chars_max=REASON_CHARS_MAX)
    if user_id is None and team_id is None:
        raise checks.FieldRefused("userId", "hand_on_to")
    order = await _locked(work, order_id)
    holder = await standing_in.require(work, order.team_id, "hand_on")
    await _check_epoch(work, order, epoch)
    to_user, to_team = await _target(work, order, user_id, team_id)
    if to_user is not None and to_user == order.handler_id and to_team == order.team_id:
        return _handed(order, order.handler_id, order.team_id, order.epoch)
    made = await handing.give(
        work,
        order,
        to_user,
        by_what=ByWhat.HANDED,
        kind="work_order.handed_on",
        data=_audit(order, holder, why, handler_id=to_user, team_id=to_team),
        tell=[to_user] if to_user else [],
        team_id=to_team,
        restart=True,
    )
    return _handed(order, to_user, to_team, made)


class Moved(msgspec.Struct, frozen=True, kw_only=True):
    """A deadline that was moved: from when to when, and until when that stands."""

    order_id: UUID
    milestone: str
    due_at: datetime | None
    original_due_at: datetime | None
    until: datetime


async def move_deadline(
    work: Work,
    order_id: UUID,
    *,
    milestone: str,
    minutes: int,
    reason: str,
    until: datetime | None = None,
) -> Moved:
    """Give a milestone so many more working minutes until `until` (an hour from now), then the original stands again.

    How far and for how long is the order's team's to say. Raises BadField(s), NotFound, FallbackOnly, WrongState.
    """
    order = await _locked(work, order_id)
    await standing_in.require(work, order.team_id, "move_deadline")
    minutes, ends = _checked_move(minutes, until, limits=await _limits(work, order.team_id), now=work.now)
    stands = await extensions.move(work, order_id, milestone, minutes, ends, reason)
    return Moved(
        order_id=order_id,
        milestone=milestone,
        due_at=stands.planning_due_at,
        original_due_at=stands.original_due_at,
        until=ends,
    )


async def restore_deadline(work: Work, order_id: UUID, *, milestone: str) -> bool:
    """Put a moved deadline back before its time; False where none stands. Raises as `move_deadline`."""
    order = await _locked(work, order_id)
    await standing_in.require(work, order.team_id, "move_deadline")
    return await extensions.restore(work, order_id, milestone)


async def _limits(work: Work, team_id: UUID | None) -> tuple[int, timedelta]:
    row = await work.fetchrow(
        "select move_minutes_max, move_hours_max from team where org_id = callout_org() and id = $1", team_id
    )
    if row is None:
        return MINUTES_MAX, timedelta(hours=HOURS_MAX)
    return row["move_minutes_max"], timedelta(hours=row["move_hours_max"])


def _checked_move(
    minutes: int, until: datetime | None, *, limits: tuple[int, timedelta], now: datetime
) -> tuple[int, datetime]:
    far, long = limits
    ends = now + min(timedelta(hours=1), long) if until is None else until
    gather = checks.Gather()
    with gather:
        checks.whole("minutes", minutes, low=1, high=far)
    with gather:
        if ends.tzinfo is None:
            raise checks.FieldRefused("until", "naive_time")
        if not now < ends <= now + long:
            raise checks.FieldRefused("until", "move_until", hours=round(long.total_seconds() / 3600))
    gather.settle()
    return minutes, ends


async def _locked(work: Work, order_id: UUID) -> Watched:
    order = (await standings.load(work, [order_id], lock=True)).get(order_id)
    if order is None:
        raise NotFound(entity="work order", path="orderId")
    return order


async def _check_epoch(work: Work, order: Watched, epoch: int) -> None:
    state = await work.fetchval(
        "select state from work_order where org_id = callout_org() and id = $1", order.id
    )
    if state in ("closed", "canceled"):
        raise WrongState(entity="work order", state=state, needed="an order that is not final")
    if order.epoch == epoch:
        return
    name = await work.fetchval("select name from app_user where id = $1", order.handler_id)
    raise HandlerChanged(
        handler=order.handler_id, name=name, since=order.standing.handler_since, epoch=order.epoch
    )


async def _target(
    work: Work, order: Watched, user_id: UUID | None, team_id: UUID | None
) -> tuple[UUID | None, UUID | None]:
    """The person and the team that an order goes to."""
    if team_id is not None and not await work.fetchval(
        "select true from team where org_id = callout_org() and id = $1 and active", team_id
    ):
        raise NotFound(entity="team", path="teamId")
    if user_id is None:
        assert team_id is not None
        # What was answered is not watched any more: it must not lie with a team in nobody's hands.
        chosen = choose_handler((await members_of(work, [team_id])).get(team_id, []), anyone=order.over)
        return chosen.user_id, team_id
    teams: list[UUID] = [
        row["team_id"]
        for row in await work.fetch(
            """
            select m.team_id from team_member m
            join team t on t.org_id = m.org_id and t.id = m.team_id and t.active
            join app_user u on u.org_id = m.org_id and u.id = m.user_id and u.active
            where m.org_id = callout_org() and m.user_id = $1 order by t.code
            """,
            user_id,
        )
    ]
    if not teams or (team_id is not None and team_id not in teams):
        raise checks.FieldRefused("userId", "not_in_team")
    return user_id, team_id or (order.team_id if order.team_id in teams else teams[0])


def _audit(
    order: Watched, holder: standing_in.Holder, why: str, *, handler_id: UUID | None, team_id: UUID | None
) -> dict[str, Any]:
    return {
        "why": why,
        "right": holder.by,
        "before": {"handlerId": order.handler_id, "teamId": order.team_id, "flag": order.standing.flag},
        "after": {"handlerId": handler_id, "teamId": team_id},
    }


def _handed(order: Watched, handler_id: UUID | None, team_id: UUID | None, epoch: int) -> Handed:
    return Handed(order_id=order.id, handler_id=handler_id, team_id=team_id, epoch=epoch)
