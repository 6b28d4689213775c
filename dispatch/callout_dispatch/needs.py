"""Orders as the pick sees them: what is needed, where, and by when. Reads only, but may lock.

An order is locked here so that two dispatchers cannot give it two visits; engineers and visits are locked before.
"""

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import msgspec

from callout_dispatch.pick_terms import Need
from callout_dispatch.texts import FieldRefused, InWrongState
from callout_geo.points import Point
from callout_orders.terms import ORDER_STATE_LABELS, TO_BE_PLANNED, OrderState, Priority
from callout_store.errors import NotFound
from callout_store.work import Work

BY_HAND: Final = TO_BE_PLANNED | {OrderState.COMPLETED}
"""States in which a person may give an order a visit: also after work the customer is not content with."""


class Waiting(msgspec.Struct, frozen=True, kw_only=True):
    """An order that may want a visit. `due_at` is the promise still open: to arrive, and after that to resolve.

    `parts` are those it was said to need, as quantities by code.
    """

    id: UUID
    number: str
    state: OrderState
    priority: Priority
    point: Point | None
    duration_minutes: int
    due_at: datetime
    skills: Mapping[str, int]
    parts: Mapping[str, int] = {}

    def need(self, earliest: datetime, parts: Mapping[str, int] | None = None) -> Need:
        """What the pick is asked. `parts` are quantities by code; None: what the order was said to need."""
        wanted = dict(self.parts if parts is None else parts)
        for code, quantity in wanted.items():
            if quantity < 1:
                raise FieldRefused(f"parts.{code}", "part_quantity")
        return Need(
            point=self.point,
            duration_minutes=self.duration_minutes,
            earliest=earliest,
            priority=self.priority,
            due_at=self.due_at,
            skills=self.skills,
            parts=wanted,
        )

    def check_state(self, allowed: Collection[OrderState]) -> None:
        """Refuse an order that has a visit already, or is over."""
        if self.state not in allowed:
            raise InWrongState(
                "work_order", self.state.value, "needs_waiting", ORDER_STATE_LABELS[self.state]
            )


_SELECT: Final = """
select o.id, o.number, o.state, o.priority, o.duration_minutes, o.skills::text as skills, s.lat, s.lng,
       (select json_object_agg(p.code, n.quantity)::text
        from work_order_part n join part p on p.org_id = n.org_id and p.id = n.part_id
        where n.org_id = o.org_id and n.order_id = o.id) as parts,
       case when o.arrived_at is null then o.arrive_due_at else o.resolve_due_at end as due_at
from work_order o join site s on s.org_id = o.org_id and s.id = o.site_id
where o.org_id = callout_org()
"""


async def load_order(work: Work, order_id: UUID, *, lock: bool = False) -> Waiting:
    """One order, or NotFound."""
    locking = " for no key update of o" if lock else ""
    row = await work.fetchrow(f"{_SELECT} and o.id = $1{locking}", order_id)
    if row is None:
        raise NotFound(entity="work_order")
    return _waiting(row)


async def lock_waiting(work: Work, order_ids: Collection[UUID] | None, limit: int) -> list[Waiting]:
    """Orders that wait for a visit, the most urgent `limit` (or those of `order_ids` that wait), locked in id order."""
    if order_ids is None:
        # Found first and locked second: `for update` under `order by priority` would lock in that order.
        found = await work.fetch(
            """
            select id from work_order where org_id = callout_org() and state = any($1)
            order by priority, arrive_due_at, id limit $2
            """,
            [state.value for state in TO_BE_PLANNED],
            limit,
        )
        order_ids = [row["id"] for row in found]
    rows = await work.fetch(
        f"{_SELECT} and o.id = any($1) and o.state = any($2) order by o.id for no key update of o",
        list(order_ids),
        [state.value for state in TO_BE_PLANNED],
    )
    return [_waiting(row) for row in rows]


def _waiting(row: Any) -> Waiting:
    return Waiting(
        id=row["id"],
        number=row["number"],
        state=OrderState(row["state"]),
        priority=Priority(row["priority"]),
        point=None if row["lat"] is None else Point(row["lat"], row["lng"]),
        duration_minutes=row["duration_minutes"],
        due_at=row["due_at"],
        skills=msgspec.json.decode(row["skills"], type=dict[str, int]),
        parts=msgspec.json.decode(row["parts"], type=dict[str, int]) if row["parts"] else {},
    )
