"""Runs of plans and their changes as they are read: one by one, and in pages."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import msgspec

from callout_dispatch.pick_terms import Reason
from callout_dispatch.plans.changes import Kind
from callout_orders import checks
from callout_orders.rows import Page, page_size
from callout_store.errors import NotFound
from callout_store.work import Work

STATES: Final = frozenset(
    {
        *("queued", "running", "proposed", "accepted", "partly_accepted"),
        *("rejected", "stale", "canceled", "failed", "done"),
    }
)
CHANGES_PAGE_MAX: Final = 1_000


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """A run. `progress` is 0 to 1, `stage` and `fault` are codes for `texts`, or words of a planner; `figures` is JSON.

    `kind` is plan or what_if. `expires_at`: from then on nothing of the proposal is accepted any more.
    """

    id: UUID
    kind: str
    state: str
    starts_at: datetime
    ends_at: datetime
    territory_id: UUID | None
    policy_version: int
    other_policy_version: int | None
    planner: str
    seconds_max: float
    seed: int
    progress: float
    stage: str
    cancel_asked: bool
    figures: dict[str, Any]
    fault: str | None
    asked_at: datetime
    asked_by: UUID | None
    started_at: datetime | None
    finished_at: datetime | None
    expires_at: datetime | None
    settled_at: datetime | None
    settled_by: UUID | None
    revision: int


class ChangeRow(msgspec.Struct, frozen=True, kw_only=True):
    """A change as it is kept, with what a person reads of it."""

    run_id: UUID
    number: int
    kind: Kind
    order_id: UUID
    order_number: str
    priority: str
    site_name: str
    visit_id: UUID | None
    visit_revision: int | None
    from_engineer_id: UUID | None
    from_name: str | None
    from_start: datetime | None
    engineer_id: UUID | None
    name: str | None
    crew: tuple[UUID, ...]
    crew_names: tuple[str, ...]
    starts_at: datetime | None
    ends_at: datetime | None
    travel_minutes: float | None
    leg_provider: str | None
    leg_metres: float | None
    pickup_depot_id: UUID | None
    reasons: tuple[Reason, ...]
    state: str
    time_zone: str


class ChangePage(msgspec.Struct, frozen=True, kw_only=True):
    """A page of changes by number; `end_cursor` is the number to go on after."""

    items: list[ChangeRow]
    end_cursor: int | None
    has_more: bool


COLUMNS: Final = ", ".join(
    "figures::text as figures" if name == "figures" else name for name in Run.__struct_fields__
)


def run_of(row: Any) -> Run:
    """A run of a row with `COLUMNS`."""
    return Run(**{**dict(row), "figures": msgspec.json.decode(row["figures"])})


async def run_by_id(work: Work, run_id: UUID, *, lock: bool = False) -> Run:
    """One run; NotFound."""
    locking = " for update" if lock else ""
    row = await work.fetchrow(
        f"select {COLUMNS} from plan_run where org_id = callout_org() and id = $1{locking}", run_id
    )
    if row is None:
        raise NotFound(entity="plan")
    return run_of(row)


async def runs_page(
    work: Work,
    *,
    states: Sequence[str] = (),
    kind: str | None = None,
    after: UUID | None = None,
    limit: int = 50,
) -> Page[Run]:
    """Runs, newest first; `limit` 1..200."""
    size = page_size(limit)
    wanted = [checks.one_of("states", state, STATES) for state in states] or None
    rows = await work.fetch(
        f"""
        select {COLUMNS} from plan_run
        where org_id = callout_org() and ($1::text[] is null or state = any($1)) and ($2::text is null or kind = $2)
          and ($3::uuid is null or id < $3)
        order by id desc limit $4
        """,
        wanted,
        kind,
        after,
        size + 1,
    )
    items = [run_of(row) for row in rows]
    return Page(
        items=items[:size],
        end_cursor=items[min(size, len(items)) - 1].id if items else None,
        has_more=len(items) > size,
    )


_CHANGES: Final = """
select c.run_id, c.number, c.kind, c.order_id, o.number as order_number, o.priority, s.name as site_name, c.visit_id,
       c.visit_revision, c.from_engineer_id, f.name as from_name, c.from_start, c.engineer_id, e.name, c.crew,
       array(select m.name from unnest(c.crew) with ordinality t(id, n) join engineer m
             on m.org_id = c.org_id and m.id = t.id order by t.n) as crew_names,
       c.starts_at, c.ends_at, c.travel_minutes, c.leg_provider, c.leg_metres, c.pickup_depot_id,
       c.reasons::text as reasons, c.state, z.time_zone
from plan_change c
join organisation z on z.id = c.org_id
join work_order o on o.org_id = c.org_id and o.id = c.order_id
join site s on s.org_id = o.org_id and s.id = o.site_id
left join engineer e on e.org_id = c.org_id and e.id = c.engineer_id
left join engineer f on f.org_id = c.org_id and f.id = c.from_engineer_id
where c.org_id = callout_org() and c.run_id = $1
"""


async def changes_page(
    work: Work,
    run_id: UUID,
    *,
    kinds: Sequence[str] = (),
    engineer_id: UUID | None = None,
    after: int | None = None,
    limit: int = 200,
) -> ChangePage:
    """A run's changes by number; those of an engineer who gains, loses or goes along where one is named. `limit` 1..1000."""
    size = checks.whole("first", limit, low=1, high=CHANGES_PAGE_MAX)
    allowed = frozenset(kind.value for kind in Kind)
    wanted = [checks.one_of("kinds", kind, allowed) for kind in kinds] or None
    rows = await work.fetch(
        f"""
        {_CHANGES} and ($2::text[] is null or c.kind = any($2))
          and ($3::uuid is null or c.engineer_id = $3 or c.from_engineer_id = $3 or $3 = any(c.crew))
          and c.number > $4
        order by c.number limit $5
        """,
        run_id,
        wanted,
        engineer_id,
        after or 0,
        size + 1,
    )
    items = [change_row(row) for row in rows[:size]]
    return ChangePage(items=items, end_cursor=items[-1].number if items else None, has_more=len(rows) > size)


async def changes_by_number(work: Work, run_id: UUID, numbers: Sequence[int] | None) -> list[ChangeRow]:
    """These changes of a run, or all of them; locked with their run by the caller."""
    rows = await work.fetch(
        f"{_CHANGES} and ($2::int[] is null or c.number = any($2)) order by c.number",
        run_id,
        None if numbers is None else list(numbers),
    )
    return [change_row(row) for row in rows]


def change_row(row: Any) -> ChangeRow:
    """A change of a row of `_CHANGES`."""
    values = dict(row)
    values["kind"] = Kind(values["kind"])
    values["crew"], values["crew_names"] = tuple(values["crew"]), tuple(values["crew_names"])
    values["reasons"] = msgspec.json.decode(values["reasons"], type=tuple[Reason, ...])
    return ChangeRow(**values)
