"""A visit dragged on the board: what would break is asked first, then it is moved, or not, in one act.

The check and the move judge by the same rules. What is broken all the same needs an override with a reason, which stands
in the decision and in the journal with who insisted.
"""

from collections.abc import Collection, Iterable
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

import msgspec

from callout_dispatch import policies
from callout_dispatch.assign import move_visit, reassign
from callout_dispatch.board import BoardEngineer, Moved, lanes
from callout_dispatch.board_rules import Conflict
from callout_dispatch.by_hand import check_slot, crew_reasons
from callout_dispatch.needs import load_order
from callout_dispatch.pick_terms import Reason
from callout_dispatch.reassign import crew_of
from callout_dispatch.texts import FieldRefused, InWrongState
from callout_dispatch.visit_states import ENDED, LOCKED_TO_ENGINEER_AND_TIME, VISIT_STATE_LABELS, VisitState
from callout_orders.terms import FINAL, ORDER_STATE_LABELS
from callout_store.errors import NotFound
from callout_store.work import Work

AROUND: Final = timedelta(hours=36)
"""So far before and after the old and the new place the lanes are compared: a day on either side."""


class LaneChange(msgspec.Struct, frozen=True, kw_only=True):
    """What a move does to one engineer's lane: conflicts that come and go, and how many minutes of travel and work."""

    engineer_id: UUID
    name: str
    new_conflicts: list[Conflict]
    solved_conflicts: list[Conflict]
    travel_minutes: float
    work_minutes: float


class DragCheck(msgspec.Struct, frozen=True, kw_only=True):
    """What a move would break. `allowed`: it can be done as it is; else `possible` by an override, or not at all.

    `locked`: by its state or by hand. `reasons` are the hard rules against it, those of the crew included; `revision` is the
    visit's that was looked at.
    """

    visit_id: UUID
    revision: int
    engineer_id: UUID
    start: datetime
    end: datetime
    travel_minutes: float
    allowed: bool
    possible: bool
    locked: bool
    reasons: tuple[Reason, ...]
    lanes: list[LaneChange]


async def check_drag(
    work: Work, visit_id: UUID, engineer_id: UUID | None = None, start: datetime | None = None
) -> DragCheck:
    """What would break if the visit went to this engineer (None: stays) at this time (None: stays). Writes and locks nothing.

    Raises NotFound, WrongState (ended), BadField (nothing would change, or a time that cannot be).
    """
    visit = await _visit(work, visit_id)
    target, at = _target(visit, engineer_id, start)
    under_way = VisitState(visit["state"]) in LOCKED_TO_ENGINEER_AND_TIME
    stays = target == visit["engineer_id"]
    locked = under_way or visit["hold"] == "time" or (visit["hold"] == "engineer" and not stays)
    order = await load_order(work, visit["order_id"])
    if order.state in FINAL:
        raise InWrongState("work_order", order.state.value, "needs_open", ORDER_STATE_LABELS[order.state])
    policy = await policies.active(work)
    slot = await check_slot(work, order, target, at, without_visit=visit_id, policy=policy)
    crew = await crew_of(work, visit_id)
    others = crew - {target}
    against = await crew_reasons(
        work,
        order,
        others,
        slot.start,
        without_visit=visit_id,
        policy=policy,
        needed=order.crew_size - 1 if len(others) < len(crew) else 0,
    )
    return DragCheck(
        visit_id=visit_id,
        revision=visit["revision"],
        engineer_id=target,
        start=slot.start,
        end=slot.end,
        travel_minutes=slot.travel_minutes,
        allowed=not slot.reasons and not against and not locked,
        # Whoever is on the way comes when they come; only somebody else may be sent instead.
        possible=not (under_way and stays),
        locked=locked,
        reasons=(*slot.reasons, *against),
        lanes=await _changes(work, visit, target, others, slot.start, slot.end, slot.travel_minutes),
    )


async def drag(
    work: Work,
    visit_id: UUID,
    engineer_id: UUID | None = None,
    start: datetime | None = None,
    revision: int | None = None,
    override: bool = False,
    reason: str = "",
) -> None:
    """Move a visit to this engineer and time; what is None stays. See `reassign` and `move_visit` for what is refused."""
    visit = await _visit(work, visit_id)
    target, at = _target(visit, engineer_id, start)
    # What was left out stays as it is now: if it has moved once the locks are held, that is no longer what was meant.
    revision = visit["revision"] if revision is None else revision
    if target == visit["engineer_id"]:
        await move_visit(work, visit_id, at, revision, override, reason)
    else:
        await reassign(work, visit_id, target, revision, at, override, reason)


async def _visit(work: Work, visit_id: UUID) -> Any:
    row = await work.fetchrow(
        """
        select id, order_id, engineer_id, state, hold, scheduled_start, scheduled_end, revision from visit
        where org_id = callout_org() and id = $1
        """,
        visit_id,
    )
    if row is None:
        raise NotFound(entity="visit")
    state = VisitState(row["state"])
    if state in ENDED or row["scheduled_start"] is None:
        raise InWrongState("visit", state.value, "needs_live", VISIT_STATE_LABELS[state])
    return row


def _target(visit: Any, engineer_id: UUID | None, start: datetime | None) -> tuple[UUID, datetime]:
    target = engineer_id or visit["engineer_id"]
    at = start or visit["scheduled_start"]
    if (target, at) == (visit["engineer_id"], visit["scheduled_start"]):
        raise FieldRefused("start", "nothing_moves")
    return target, at


async def _changes(
    work: Work,
    visit: Any,
    target: UUID,
    crew: Collection[UUID],
    start: datetime,
    end: datetime,
    travel_minutes: float,
) -> list[LaneChange]:
    """The lanes before and after."""
    concerned = sorted({visit["engineer_id"], target, *crew} - {None})
    first = min(start, visit["scheduled_start"]) - AROUND
    last = max(end, visit["scheduled_end"]) + AROUND
    moved = Moved(
        visit_id=visit["id"], engineer_id=target, start=start, end=end, travel_minutes=travel_minutes
    )
    before = await lanes(work, concerned, first, last)
    after = await lanes(work, concerned, first, last, moved)
    return [_change(old, new) for old, new in zip(before, after, strict=True)]


def _change(before: BoardEngineer, after: BoardEngineer) -> LaneChange:
    return LaneChange(
        engineer_id=after.id,
        name=after.name,
        new_conflicts=_less(after.conflicts, before.conflicts),
        solved_conflicts=_less(before.conflicts, after.conflicts),
        travel_minutes=round(after.travel_minutes - before.travel_minutes, 2),
        work_minutes=round(after.load_minutes - before.load_minutes, 2),
    )


def _less(these: Iterable[Conflict], those: Iterable[Conflict]) -> list[Conflict]:
    known = {(one.code, one.visit_id, one.other_id) for one in those}
    return [one for one in these if (one.code, one.visit_id, one.other_id) not in known]
