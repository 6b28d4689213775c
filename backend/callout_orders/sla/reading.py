"""What others may read of the SLA clock, always many orders with a few statements."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import msgspec

from callout_orders import checks
from callout_orders.sla import clock, why
from callout_orders.sla.clock import MilestoneName
from callout_orders.sla.clocks import OrderClock, load
from callout_orders.sla.policy import terms
from callout_store.work import Work


class MilestoneView(msgspec.Struct, frozen=True, kw_only=True):
    """A milestone of an order as it stands at `server_now`.

    `state`: running, paused, met, missed, stopped (called off before). `due_at` is None while paused; `remaining_seconds` is
    working time left, below zero when overdue, and stands still while paused and once reached. `original_due_at` is there
    while a moved deadline stands, until `moved_until`. `missed_at` is when a breach was recorded, which stays even where
    `in_time` says that a phone proved otherwise later. `marks` are minutes left at which it is spoken of, `warned`
    those that are over.
    """

    order_id: UUID
    name: str
    state: str
    started_at: datetime
    due_at: datetime | None
    planning_due_at: datetime
    original_due_at: datetime | None
    moved_until: datetime | None
    remaining_seconds: float
    elapsed_seconds: float
    budget_seconds: float
    paused_since: datetime | None
    paused_reasons: tuple[str, ...]
    met_at: datetime | None
    in_time: bool | None
    missed_at: datetime | None
    policy_version: int
    policy_name: str
    rule: str
    calendar: str
    time_zone: str
    marks: tuple[float, ...]
    warned: tuple[float, ...]
    epoch: int
    server_now: datetime
    why: tuple[why.Line, ...]


class HoldView(msgspec.Struct, frozen=True, kw_only=True):
    """A hold of an order. `ended_at` is None while it stands; `milestones` are those that its policy lets it stop."""

    order_id: UUID
    reason: str
    note: str
    since: datetime
    until: datetime | None
    by_user_id: UUID | None
    ended_at: datetime | None
    ended_by_user_id: UUID | None
    milestones: tuple[str, ...]


async def milestones_by_order_ids(work: Work, order_ids: Sequence[UUID]) -> list[list[MilestoneView]]:
    """The milestones of each order, in the order of the ids; none for an order that is not there, nor for a linked
    duplicate, whose clock does not run."""
    wanted = checks.ids("ids", list(order_ids))
    found = await load(work, wanted)
    return [_views(found[id_], work.now) if id_ in found and found[id_].running else [] for id_ in wanted]


async def holds_by_order_ids(work: Work, order_ids: Sequence[UUID]) -> list[list[HoldView]]:
    """The holds of each order, oldest first, in the order of the ids."""
    wanted = checks.ids("ids", list(order_ids))
    found = await load(work, wanted)
    return [_holds(found[id_]) if id_ in found else [] for id_ in wanted]


def _views(one: OrderClock, now: datetime) -> list[MilestoneView]:
    match = terms.match(one.policy, tier=one.tier, kind=one.kind, priority=one.priority)
    others = tuple(code for code in (match.rule.code, *match.others) if code != one.rule.code)
    views: list[MilestoneView] = []
    for name in MilestoneName:
        promise, said = one.promise(name), one.of(name)
        stands = one.stand(name, now)
        moved = clock.moved_until(one.events, name, now)
        views.append(
            MilestoneView(
                order_id=one.order_id,
                state=stands.state.value,
                moved_until=moved.until if moved is not None and stands.met_at is None else None,
                policy_version=one.policy.version,
                policy_name=one.policy.name,
                rule=one.rule.code,
                calendar=promise.calendar.code,
                time_zone=promise.calendar.time_zone,
                marks=terms.marks(one.policy, one.rule, name),
                warned=said.warned,
                epoch=said.epoch,
                server_now=now,
                why=why.explain(
                    one.policy, one.rule, others, promise, one.events, stands, said.missed_due_at
                ),
                **{
                    field: getattr(stands, field)
                    for field in clock.Stand.__struct_fields__
                    if field != "state"
                },
            )
        )
    return views


def _holds(one: OrderClock) -> list[HoldView]:
    found: list[HoldView] = []
    open_: dict[str, int] = {}
    for event in one.events:
        reason = str(event.reason)
        if event.kind == clock.EventKind.PAUSED and reason not in open_:
            open_[reason] = len(found)
            found.append(
                HoldView(
                    order_id=one.order_id,
                    reason=reason,
                    note=event.note,
                    since=event.at,
                    until=event.until,
                    by_user_id=event.actor_id,
                    ended_at=None,
                    ended_by_user_id=None,
                    milestones=tuple(name.value for name in one.policy.pauses.of(reason)),
                )
            )
        elif event.kind == clock.EventKind.PAUSED:
            n = open_[reason]
            found[n] = msgspec.structs.replace(found[n], until=event.until, note=event.note or found[n].note)
        elif event.kind == clock.EventKind.RESUMED and reason in open_:
            n = open_.pop(reason)
            found[n] = msgspec.structs.replace(found[n], ended_at=event.at, ended_by_user_id=event.actor_id)
    return found
