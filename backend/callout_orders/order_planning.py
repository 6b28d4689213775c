"""What a plan must keep to for one order: the customer's window, how many must come, and what must be done before.

An order's chain of predecessors has an end: whoever sets one waits for the others who do, so that two who each let one
order follow the other's cannot both be right.
"""

from datetime import datetime
from typing import Any, Final
from uuid import UUID

import msgspec
from msgspec import UNSET, UnsetType

from callout_orders import checks
from callout_orders.terms import FINAL, OrderState
from callout_store.errors import NotFound, StaleRevision, WrongState
from callout_store.journal import Entry, write
from callout_store.work import Work

CREW_MAX: Final = 10
GAP_MINUTES_MAX: Final = 43_200
AHEAD_S_MAX: Final = 2 * 366 * 86_400.0
"""How far ahead a customer may ask for a time."""
CHAIN_MAX: Final = 50
"""Orders that follow one another."""

_SELECT: Final = "requested_from, requested_until, crew_size, follows_order_id, follows_gap_minutes"


class OrderPlanning(msgspec.Struct, frozen=True, kw_only=True):
    """A change: what is UNSET stays, None clears.

    Work starts within [requested_from, requested_until]; both or neither. `crew_size` engineers work on it at the same
    time. It starts `follows_gap_minutes` or more after the end of `follows_order_id`.
    """

    requested_from: datetime | UnsetType | None = UNSET
    requested_until: datetime | UnsetType | None = UNSET
    crew_size: int | UnsetType = UNSET
    follows_order_id: UUID | UnsetType | None = UNSET
    follows_gap_minutes: int | UnsetType = UNSET


def checked_window(
    path: str, start: datetime | None, end: datetime | None, *, now: datetime
) -> tuple[datetime | None, datetime | None]:
    """The window in UTC, or (None, None); refuses half a window and one that ends before it starts."""
    if start is None and end is None:
        return None, None
    if start is None or end is None:
        raise checks.FieldRefused(f"{path}requested{'From' if start is None else 'Until'}", "window_half")
    start = checks.instant(f"{path}requestedFrom", start, now=now, ahead_s=AHEAD_S_MAX)
    end = checks.instant(f"{path}requestedUntil", end, now=now, ahead_s=AHEAD_S_MAX)
    if end <= start:
        raise checks.FieldRefused(f"{path}requestedUntil", "window_order")
    return start, end


def refuse_past(path: str, end: datetime | None, *, now: datetime) -> None:
    """Refuse a window that nobody could keep any more."""
    if end is not None and end <= now:
        raise checks.FieldRefused(f"{path}requestedUntil", "window_past")


def checked_crew(path: str, size: int) -> int:
    """How many engineers, 1 to 10."""
    return checks.whole(f"{path}crewSize", size, low=1, high=CREW_MAX)


def checked_gap(path: str, minutes: int, follows: UUID | None) -> int:
    """Minutes between two orders; refused where there is nothing to follow."""
    checks.whole(f"{path}followsGapMinutes", minutes, low=0, high=GAP_MINUTES_MAX)
    if minutes and follows is None:
        raise checks.FieldRefused(f"{path}followsGapMinutes", "gap_alone")
    return minutes


async def check_predecessors(work: Work, orders: list[UUID | None], paths: list[str]) -> None:
    """The orders that new ones shall follow exist, were not called off, and end no chain that is too long."""
    wanted = [order for order in orders if order is not None]
    if not wanted:
        return
    await _one_at_a_time(work)
    rows = await work.fetch("select id, state from work_order where id = any($1::uuid[])", wanted)
    states = {row["id"]: row["state"] for row in rows}
    for order, path in zip(orders, paths, strict=True):
        if order is not None:
            _check_one(states.get(order), f"{path}followsOrderId")
            await _check_chain(work, None, order, f"{path}followsOrderId")


async def set_planning(work: Work, order_id: UUID, change: OrderPlanning, revision: int | None = None) -> int:
    """Change what a plan must keep to; the order's revision. The same again changes nothing; visits stay as they are.

    Raises NotFound (order, predecessor), BadField, StaleRevision, WrongState for an order that is over.
    """
    if change.follows_order_id not in (UNSET, None):
        await _one_at_a_time(work)
    row = await work.fetchrow(
        f"select {_SELECT}, state, revision from work_order where id = $1 for no key update", order_id
    )
    if row is None:
        raise NotFound(entity="work order", path="orderId")
    if revision is not None and revision != row["revision"]:
        raise StaleRevision(entity="work order", current=row["revision"], given=revision)
    if row["state"] in FINAL:
        raise WrongState(entity="work order", state=row["state"], needed="an order that is not final")
    before = {name: row[name] for name in change.__struct_fields__}
    given = {name: value for name in before if (value := getattr(change, name)) is not UNSET}
    now: dict[str, Any] = {**before, **given}
    if now["follows_order_id"] is None and "follows_gap_minutes" not in given:
        now["follows_gap_minutes"] = 0
    window = checked_window("", now["requested_from"], now["requested_until"], now=work.now)
    now["requested_from"], now["requested_until"] = window
    if window != (before["requested_from"], before["requested_until"]):
        refuse_past("", window[1], now=work.now)
    checked_crew("", now["crew_size"])
    checked_gap("", now["follows_gap_minutes"], now["follows_order_id"])
    if now == before:
        return int(row["revision"])
    if now["follows_order_id"] not in (None, before["follows_order_id"]):
        await _check_follows(work, order_id, now["follows_order_id"])
    await work.execute(
        """
        update work_order set requested_from = $2, requested_until = $3, crew_size = $4, follows_order_id = $5,
            follows_gap_minutes = $6, revision = revision + 1
        where org_id = callout_org() and id = $1
        """,
        order_id,
        *now.values(),
    )
    await write(
        work,
        Entry(
            kind="work_order.planning_set",
            entity="work_order",
            entity_id=order_id,
            order_id=order_id,
            data={
                "requestedFrom": now["requested_from"],
                "requestedUntil": now["requested_until"],
                "crewSize": now["crew_size"],
                "followsOrderId": now["follows_order_id"],
                "followsGapMinutes": now["follows_gap_minutes"],
            },
        ),
    )
    # Nothing of it stands in the order's document but the revision, which phones name when they are asked about it.
    work.touch("work_order", order_id)
    return int(row["revision"]) + 1


async def _one_at_a_time(work: Work) -> None:
    await work.execute("select pg_advisory_xact_lock(hashtextextended($1, 0))", f"follows:{work.org_id}")


async def _check_follows(work: Work, order_id: UUID, follows: UUID) -> None:
    path = "followsOrderId"
    if follows == order_id:
        raise checks.FieldRefused(path, "follows_self")
    _check_one(await work.fetchval("select state from work_order where id = $1", follows), path)
    await _check_chain(work, order_id, follows, path)


def _check_one(state: str | None, path: str) -> None:
    if state is None:
        raise NotFound(entity="work order", path=path)
    if state == OrderState.CANCELED:
        raise checks.FieldRefused(path, "follows_canceled")


async def _check_chain(work: Work, order_id: UUID | None, follows: UUID, path: str) -> None:
    """The orders before `follows` do not lead back to `order_id`, and are not too many."""
    rows = await work.fetch(
        """
        with recursive chain(id, before_id, n) as (
            select id, follows_order_id, 1 from work_order where org_id = callout_org() and id = $1
            union all
            select o.id, o.follows_order_id, c.n + 1 from chain c
            join work_order o on o.org_id = callout_org() and o.id = c.before_id
            where c.n <= $2
        )
        select id from chain
        """,
        follows,
        CHAIN_MAX,
    )
    if order_id in {row["id"] for row in rows}:
        raise checks.FieldRefused(path, "follows_cycle")
    if len(rows) >= CHAIN_MAX:
        raise checks.FieldRefused(path, "follows_long", limit=CHAIN_MAX)
