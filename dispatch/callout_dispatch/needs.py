"""Orders as the pick sees them: what is needed, where, and by when. Reads only, but may lock.

An order is locked here so that two dispatchers cannot give it two visits; engineers and visits are locked before.
"""

from collections.abc import Collection, Mapping
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, Final
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec

from callout_dispatch.pick_terms import Interval, Need
from callout_dispatch.texts import FieldRefused, InWrongState
from callout_dispatch.windows import open_between
from callout_geo.points import Point
from callout_orders.terms import ORDER_STATE_LABELS, TO_BE_PLANNED, OrderState, Priority
from callout_store.errors import NotFound
from callout_store.work import Work

VISITING_DAYS: Final = 8
NEVER: Final = datetime(2200, 1, 1, tzinfo=UTC)
"""When an order is done of which nobody knows when it will be: no slot lies after it."""
DUPLICATE: Final = {"en": "duplicate", "zh": "重复单"}
BY_HAND: Final = TO_BE_PLANNED | {OrderState.COMPLETED}
"""States in which a person may give an order a visit: also after work the customer is not content with."""


class Waiting(msgspec.Struct, frozen=True, kw_only=True):
    """An order that may want a visit. `due_at` is the promise still open: to arrive, and after that to resolve.

    `parts` are those it was said to need, as quantities by code. `hours` are the site's visiting hours as they are stored,
    local to `time_zone`. `not_before` is when the order that must be done first will be done (`NEVER` while nobody knows),
    with the gap asked for. `required`, `excluded` and `preferred` are what order, site or customer say of engineers.
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
    territory_id: UUID | None = None
    territory_name: str = ""
    hours: str = "[]"
    time_zone: str = "UTC"
    requested_from: datetime | None = None
    requested_until: datetime | None = None
    not_before: datetime | None = None
    required: frozenset[str] = frozenset()
    excluded: frozenset[str] = frozenset()
    preferred: frozenset[str] = frozenset()
    crew_size: int = 1
    duplicate: bool = False
    """Linked to another order, for which somebody comes already: nobody is sent for this one."""

    def need(
        self,
        earliest: datetime,
        parts: Mapping[str, int] | None = None,
        *,
        until: datetime | None = None,
    ) -> Need:
        """What the pick is asked. `parts` are quantities by code; None: what the order was said to need.

        `until` is how far ahead slots are looked for, and so how far visiting hours are worked out (None: a week).
        """
        wanted = dict(self.parts if parts is None else parts)
        for code, quantity in wanted.items():
            if quantity < 1:
                raise FieldRefused(f"parts.{code}", "part_quantity")
        last = max(earliest, until) if until is not None else earliest + timedelta(days=VISITING_DAYS)
        requested = None
        if self.requested_from is not None and self.requested_until is not None:
            requested = Interval(self.requested_from, self.requested_until)
        return Need(
            point=self.point,
            duration_minutes=self.duration_minutes,
            earliest=earliest,
            priority=self.priority,
            due_at=self.due_at,
            territory_id=None if self.territory_id is None else str(self.territory_id),
            territory_name=self.territory_name,
            skills=self.skills,
            parts=wanted,
            visiting=_open(self.hours, self.time_zone, earliest, last),
            requested=requested,
            not_before=self.not_before,
            required=self.required,
            excluded=self.excluded,
            preferred=self.preferred,
            crew=self.crew_size,
        )

    def check_state(self, allowed: Collection[OrderState]) -> None:
        """Refuse an order that has a visit already, is over, or is a duplicate of another."""
        if self.duplicate:
            raise InWrongState("work_order", "duplicate", "needs_unlinked", DUPLICATE)
        if self.state not in allowed:
            raise InWrongState(
                "work_order", self.state.value, "needs_waiting", ORDER_STATE_LABELS[self.state]
            )


_SELECT: Final = """
select o.id, o.number, o.state, o.priority, o.duplicate_of_id is not null as duplicate, o.duration_minutes,
       o.skills::text as skills, s.lat, s.lng,
       (select json_object_agg(p.code, n.quantity)::text
        from work_order_part n join part p on p.org_id = n.org_id and p.id = n.part_id
        where n.org_id = o.org_id and n.order_id = o.id) as parts,
       case when o.arrived_at is null then o.arrive_due_at else o.resolve_due_at end as due_at,
       s.territory_id, t.name as territory_name, s.visiting_hours::text as hours, g.time_zone,
       o.requested_from, o.requested_until, o.crew_size, o.follows_order_id, o.follows_gap_minutes,
       f.state as first_state, f.resolved_at as first_resolved_at,
       (select max(v.scheduled_end) from visit v
        where v.org_id = f.org_id and v.order_id = f.id and v.ended_at is null and v.plan <> 'canceled') as first_until,
       (select json_object_agg(w.engineer_id, w.kind)::text from (
            select distinct on (e.engineer_id) e.engineer_id, e.kind from engineer_preference e
            where e.org_id = o.org_id
                  and (e.order_id = o.id or e.site_id = o.site_id or e.customer_id = o.customer_id)
            order by e.engineer_id, e.order_id is null, e.site_id is null) w) as wishes
from work_order o
join site s on s.org_id = o.org_id and s.id = o.site_id
join organisation g on g.id = o.org_id
left join territory t on t.org_id = s.org_id and t.id = s.territory_id
left join work_order f on f.org_id = o.org_id and f.id = o.follows_order_id
where o.org_id = callout_org()
"""


async def load_order(work: Work, order_id: UUID, *, lock: bool = False) -> Waiting:
    """One order, or NotFound."""
    locking = " for no key update of o" if lock else ""
    row = await work.fetchrow(f"{_SELECT} and o.id = $1{locking}", order_id)
    if row is None:
        raise NotFound(entity="work order")
    return _waiting(row)


async def lock_waiting(work: Work, order_ids: Collection[UUID] | None, limit: int) -> list[Waiting]:
    """Orders that wait for a visit, the most urgent `limit` (or those of `order_ids` that wait), locked in id order."""
    if order_ids is None:
        # Found first and locked second: `for update` under `order by priority` would lock in that order.
        found = await work.fetch(
            """
            select id from work_order where org_id = callout_org() and state = any($1) and duplicate_of_id is null
            order by priority, arrive_due_at, id limit $2
            """,
            [state.value for state in TO_BE_PLANNED],
            limit,
        )
        order_ids = [row["id"] for row in found]
    rows = await work.fetch(
        f"{_SELECT} and o.id = any($1) and o.state = any($2) and o.duplicate_of_id is null "
        "order by o.id for no key update of o",
        list(order_ids),
        [state.value for state in TO_BE_PLANNED],
    )
    return [_waiting(row) for row in rows]


def _waiting(row: Any) -> Waiting:
    wishes = msgspec.json.decode(row["wishes"], type=dict[str, str]) if row["wishes"] else {}
    by_kind = {
        kind: frozenset(id_ for id_, told in wishes.items() if told == kind)
        for kind in ("required", "excluded", "preferred")
    }
    return Waiting(
        id=row["id"],
        number=row["number"],
        state=OrderState(row["state"]),
        priority=Priority(row["priority"]),
        duplicate=row["duplicate"],
        point=None if row["lat"] is None else Point(row["lat"], row["lng"]),
        duration_minutes=row["duration_minutes"],
        due_at=row["due_at"],
        skills=msgspec.json.decode(row["skills"], type=dict[str, int]),
        parts=msgspec.json.decode(row["parts"], type=dict[str, int]) if row["parts"] else {},
        territory_id=row["territory_id"],
        territory_name=row["territory_name"] or "",
        hours=row["hours"],
        time_zone=row["time_zone"],
        requested_from=row["requested_from"],
        requested_until=row["requested_until"],
        not_before=_not_before(row),
        crew_size=row["crew_size"],
        **by_kind,
    )


def _not_before(row: Any) -> datetime | None:
    """When the order that goes first is done, as far as one can know."""
    if row["follows_order_id"] is None or row["first_state"] == OrderState.CANCELED:
        return None
    done = row["first_state"] in (OrderState.COMPLETED, OrderState.CLOSED)
    ends: datetime | None = row["first_resolved_at"] if done else row["first_until"]
    if ends is None:
        return None if done else NEVER
    return ends + timedelta(minutes=row["follows_gap_minutes"])


@lru_cache(maxsize=1024)
def _open(hours: str, time_zone: str, start: datetime, end: datetime) -> tuple[Interval, ...] | None:
    """When a site is open from `start` on, also what began before it; None: always."""
    rows = msgspec.json.decode(hours, type=list[dict[str, Any]])
    if not rows:
        return None
    around = timedelta(days=2)
    found = open_between(
        rows, ZoneInfo(time_zone), int((start - around).timestamp()), int((end + around).timestamp())
    )
    return tuple(Interval(datetime.fromtimestamp(a, UTC), datetime.fromtimestamp(b, UTC)) for a, b in found)
