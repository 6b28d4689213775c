"""The agent's desk (R3): what waits for an answer, the first due first, then what is answered and open.

Read in pages by position. `remaining_seconds` counts to the first response while that is owed, then to the resolution, in
working time as the SLA's clock does; it stands still outside of it and while that milestone is `paused`. A screen counts down
to the due time, and marks the order from `mark_at` on.
"""

from datetime import datetime
from typing import Any, Final
from uuid import UUID

import msgspec

from callout_orders import checks
from callout_orders.desk.unanswered.standings import presence_of
from callout_orders.desk.unanswered.watch_rules import offline_since
from callout_orders.sla import clocks
from callout_orders.sla.clock import MilestoneName, MilestoneState, left_at
from callout_store.ids import parse_id
from callout_store.work import Work

PAGE_MAX: Final = 200
TEXT_CHARS: Final = 240
MARK_MINUTES: Final = 3
"""So many working minutes before its deadline an order is marked (R3)."""


class DeskFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which orders; what is left out matters not. `answered` None: both, those without an answer first."""

    answered: bool | None = None
    team_id: UUID | None = None
    handler_id: UUID | None = None
    nobodys: bool = False
    """Only those that nobody has."""
    flagged: bool = False
    priorities: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()
    tag: str | None = None
    order_id: UUID | None = None


class DeskOrder(msgspec.Struct, frozen=True, kw_only=True):
    """A row of the desk. `red`: the red lane (P0). `epoch` is to be given when it is taken over or handed on."""

    order_id: UUID
    number: str
    priority: str
    red: bool
    kind: str
    state: str
    channel: str
    description: str
    customer_name: str
    site_name: str
    reporter_name: str | None
    reporter_phone: str | None
    serial: str | None
    error_code: str | None
    tags: list[str]
    duplicates: int
    team_id: UUID | None
    team_code: str | None
    team_name_en: str | None
    team_name_zh: str | None
    handler_id: UUID | None
    handler_name: str | None
    handler_presence: str
    handler_since: datetime | None
    by_what: str | None
    epoch: int
    flag: str | None
    """What somebody must see while nobody answered."""
    hold_reason: str | None
    created_at: datetime
    due_at: datetime
    responded_at: datetime | None
    resolve_due_at: datetime
    remaining_seconds: int
    paused: bool
    late: bool
    mark_at: datetime | None = None
    """When three working minutes are left; None while it is paused."""


class DeskPage(msgspec.Struct, frozen=True, kw_only=True):
    """A page of the desk, as it was at `now`."""

    items: list[DeskOrder]
    end_cursor: str | None
    has_more: bool
    now: datetime


async def desk(
    work: Work, given: DeskFilter | None = None, *, after: str | None = None, limit: int = 50
) -> DeskPage:
    """A page of open orders that are no linked duplicates. Raises BadField, LimitExceeded."""
    wanted = given or DeskFilter()
    checks.whole("first", limit, low=1, high=PAGE_MAX)
    part, since, last = _cursor(after)
    items: list[DeskOrder] = []
    for answered in (False, True):
        if wanted.answered not in (None, answered) or (part and not answered):
            continue
        begin = (since, last) if answered == part else (None, None)
        if len(items) <= limit:
            rows = await _rows(work, wanted, answered, begin, limit + 1 - len(items))
            items += [_order(row, work.now) for row in rows]
    shown = await _counted(work, items[:limit])
    return DeskPage(
        items=shown,
        end_cursor=_spell(shown[-1]) if shown else None,
        has_more=len(items) > limit,
        now=work.now,
    )


async def one(work: Work, order_id: UUID) -> DeskOrder | None:
    """One order as the desk sees it, whatever its state; None where there is none."""
    rows = await work.fetch(f"{_SELECT} where o.org_id = callout_org() and o.id = $1", order_id)
    return (await _counted(work, [_order(rows[0], work.now)]))[0] if rows else None


_SELECT: Final = f"""
    select o.id as order_id, o.number, o.priority, o.kind, o.state, o.channel,
           left(o.description, {TEXT_CHARS}) as description, c.name as customer_name, s.name as site_name,
           o.reporter_name, o.reporter_phone, o.serial, o.error_code, o.tags, o.team_id, t.code as team_code,
           t.name_en as team_name_en, t.name_zh as team_name_zh, o.handler_id, u.name as handler_name, w.handler_since,
           w.by_what, coalesce(w.epoch, 0) as epoch, case when o.responded_at is null then w.flag end as flag,
           o.hold_reason, o.created_at, o.respond_due_at as due_at, o.responded_at, o.resolve_due_at,
           p.state as presence, p.since, p.seen_at, (
               select count(*) from work_order d where d.org_id = o.org_id and d.duplicate_of_id = o.id) as duplicates
    from work_order o
    join customer c on c.org_id = o.org_id and c.id = o.customer_id
    join site s on s.org_id = o.org_id and s.id = o.site_id
    left join team t on t.org_id = o.org_id and t.id = o.team_id
    left join app_user u on u.org_id = o.org_id and u.id = o.handler_id
    left join order_watch w on w.org_id = o.org_id and w.order_id = o.id
    left join presence p on p.org_id = o.org_id and p.user_id = o.handler_id
"""


async def _rows(
    work: Work,
    wanted: DeskFilter,
    answered: bool,
    begin: tuple[datetime | None, UUID | None],
    limit: int,
) -> list[Any]:
    due = "o.resolve_due_at" if answered else "o.respond_due_at"
    return await work.fetch(
        f"""
        {_SELECT}
        where o.org_id = callout_org() and o.responded_at is {"not null" if answered else "null"}
          and o.state not in ('completed', 'closed', 'canceled') and o.duplicate_of_id is null
          and ($1::uuid is null or o.team_id = $1) and ($2::uuid is null or o.handler_id = $2)
          and (not $3 or o.handler_id is null) and (not $4 or (w.flag is not null and o.responded_at is null))
          and ($5::text[] = '{{}}' or o.priority = any($5)) and ($6::text[] = '{{}}' or o.kind = any($6))
          and ($7::text is null or $7 = any(o.tags)) and ($8::uuid is null or o.id = $8)
          and ($9::timestamptz is null or ({due}, o.id) > ($9, $10::uuid))
        order by {due}, o.id limit $11
        """,
        wanted.team_id,
        wanted.handler_id,
        wanted.nobodys,
        wanted.flagged,
        list(wanted.priorities),
        list(wanted.kinds),
        wanted.tag,
        wanted.order_id,
        *begin,
        limit,
    )


def _order(row: Any, now: datetime) -> DeskOrder:
    known = presence_of(row, "presence")
    due = row["due_at"] if row["responded_at"] is None else row["resolve_due_at"]
    there = "offline"
    if known is not None and offline_since(known, now=now) is None:
        there = known.state.value
    values = {name: row[name] for name in DeskOrder.__struct_fields__ if name in row.keys()}  # noqa: SIM118 - a Record
    return DeskOrder(
        **values,
        red=row["priority"] == "P0",
        handler_presence=there,
        remaining_seconds=int((due - now).total_seconds()),
        paused=False,
        late=now > due,
    )


async def _counted(work: Work, orders: list[DeskOrder]) -> list[DeskOrder]:
    """The orders with what is left of their milestone in working time, and whether it stands still at present."""
    running = await clocks.load(work, [order.order_id for order in orders])
    shown = []
    for order in orders:
        one = running.get(order.order_id)
        if one is not None:
            name = MilestoneName.FIRST_RESPONSE if order.responded_at is None else MilestoneName.RESOLUTION
            stands = one.stand(name, work.now)
            left, paused = int(stands.remaining_seconds), stands.state is MilestoneState.PAUSED
            late = left < 0 if paused else order.late
            mark_at = left_at(one.promise(name), one.events, minutes=MARK_MINUTES, now=work.now)
            order = msgspec.structs.replace(
                order, paused=paused, remaining_seconds=left, late=late, mark_at=mark_at
            )
        shown.append(order)
    return shown


def _spell(last: DeskOrder) -> str:
    answered = last.responded_at is not None
    due = last.resolve_due_at if answered else last.due_at
    return f"{int(answered)}~{due.isoformat()}~{last.order_id}"


def _cursor(after: str | None) -> tuple[bool, datetime | None, UUID | None]:
    if after is None:
        return False, None, None
    part, _, rest = after.partition("~")
    due, _, id_ = rest.partition("~")
    try:
        since = datetime.fromisoformat(due)
        if part not in ("0", "1") or since.tzinfo is None:
            raise ValueError(after)
        return part == "1", since, parse_id(id_)
    except ValueError:
        raise checks.FieldRefused("after", "cursor") from None
