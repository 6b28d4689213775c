"""What others may read of dispatch, always many rows with one statement; only dispatch's own tables.

`…_by_ids` answer in the order of the ids, with None for what is not there (or belongs to another organisation).
Pages go backwards in time: ids are UUIDv7, so `id desc` is newest first, and the last id is the cursor.
The dispatcher's board is in `board.py` and reachable from here.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final, TypeVar
from uuid import UUID

import msgspec

from callout_dispatch.board import Board, BoardEngineer, BoardVisit, board
from callout_dispatch.engineer_terms import ONLINE_MINUTES
from callout_dispatch.views import (
    AbsenceView,
    AssignmentView,
    DecisionView,
    EngineerView,
    EventView,
    ShiftView,
    SkillLevel,
    SkillView,
    TerritoryView,
    VisitFilters,
    VisitView,
)
from callout_dispatch.visit_states import VisitState
from callout_orders import checks
from callout_orders.rows import Page, page_size
from callout_store.work import Work

__all__ = [
    "AbsenceView",
    "AssignmentView",
    "Board",
    "BoardEngineer",
    "BoardVisit",
    "DecisionView",
    "EngineerView",
    "EventView",
    "Page",
    "ShiftView",
    "SkillLevel",
    "SkillView",
    "TerritoryView",
    "VisitFilters",
    "VisitView",
    "absences_by_engineer_ids",
    "assignments_by_visit_ids",
    "board",
    "decisions_by_order_ids",
    "engineers_by_ids",
    "engineers_by_user_ids",
    "engineers_page",
    "events_by_ids",
    "events_by_visit_ids",
    "shifts_by_engineer_ids",
    "skills",
    "skills_by_engineer_ids",
    "territories",
    "territories_by_ids",
    "visits_by_ids",
    "visits_by_order_ids",
    "visits_page",
]

PER_PARENT_MAX: Final = 1_000
"""Events and decisions read of one visit or order; the newest decisions, the oldest events."""

T = TypeVar("T")


async def visits_by_ids(work: Work, ids: Sequence[UUID]) -> list[VisitView | None]:
    """Visits in the order of `ids`."""
    return await _by_ids(work, VisitView, "visit", ids)


async def visits_by_order_ids(work: Work, order_ids: Sequence[UUID]) -> list[list[VisitView]]:
    """The visits of each order, the first one first."""
    return await _lists(work, VisitView, "visit", "order_id", order_ids, "number")


async def visits_page(
    work: Work, filters: VisitFilters | None = None, after: UUID | None = None, limit: int = 50
) -> Page[VisitView]:
    """Visits, newest first; `limit` 1..200."""
    given = filters or VisitFilters()
    size = page_size(limit)
    values: list[Any] = [size + 1]
    conditions: list[str] = []
    allowed = frozenset(state.value for state in VisitState)
    states = [checks.one_of("states", state, allowed) for state in given.states] or None
    for condition, value in (
        ("engineer_id = {}", given.engineer_id),
        ("order_id = {}", given.order_id),
        ("state = any({}::text[])", states),
        ("scheduled_start >= {}", given.start),
        ("scheduled_start < {}", given.end),
        ("id < {}", after),
    ):
        if value is not None:
            values.append(value)
            conditions.append(condition.format(f"${len(values)}"))
    where = "".join(f" and {condition}" for condition in conditions)
    rows = await work.fetch(
        f"select {_columns(VisitView)} from visit where org_id = callout_org(){where} order by id desc limit $1",
        *values,
    )
    return _page([_view(VisitView, row) for row in rows], size)


async def events_by_ids(work: Work, ids: Sequence[UUID]) -> list[EventView | None]:
    """On-site events in the order of `ids`."""
    return await _by_ids(work, EventView, "visit_event", ids)


async def events_by_visit_ids(work: Work, visit_ids: Sequence[UUID]) -> list[list[EventView]]:
    """The on-site events of each visit, as they happened."""
    return await _lists(work, EventView, "visit_event", "visit_id", visit_ids, "corrected_at, id")


async def assignments_by_visit_ids(work: Work, visit_ids: Sequence[UUID]) -> list[list[AssignmentView]]:
    """Who held each visit, the first holder first."""
    return await _lists(work, AssignmentView, "visit_assignment", "visit_id", visit_ids, "from_at, id")


async def decisions_by_order_ids(work: Work, order_ids: Sequence[UUID]) -> list[list[DecisionView]]:
    """The decisions on each order, newest first."""
    return await _lists(work, DecisionView, "dispatch_decision", "order_id", order_ids, "id desc")


async def engineers_by_ids(work: Work, ids: Sequence[UUID]) -> list[EngineerView | None]:
    """Engineers in the order of `ids`."""
    return await _engineers(work, "id", ids)


async def engineers_by_user_ids(work: Work, user_ids: Sequence[UUID]) -> list[EngineerView | None]:
    """The engineers behind users, in the order of their ids."""
    return await _engineers(work, "user_id", user_ids)


async def engineers_page(
    work: Work, after: UUID | None = None, limit: int = 50, *, active: bool | None = None
) -> Page[EngineerView]:
    """Engineers, newest first; `limit` 1..200."""
    size = page_size(limit)
    rows = await work.fetch(
        f"""
        select {_ENGINEER} from engineer e
        where e.org_id = callout_org() and ($4::uuid is null or e.id < $4) and ($5::bool is null or e.active = $5)
        order by e.id desc limit $3
        """,
        *_online(work),
        size + 1,
        after,
        active,
    )
    return _page([_view(EngineerView, row) for row in rows], size)


async def skills_by_engineer_ids(work: Work, engineer_ids: Sequence[UUID]) -> list[list[SkillLevel]]:
    """The skills of each engineer with levels, by code."""
    rows = await work.fetch(
        """
        select engineer_id, skill, level from engineer_skill
        where org_id = callout_org() and engineer_id = any($1) order by skill
        """,
        list(engineer_ids),
    )
    found: dict[UUID, list[SkillLevel]] = {}
    for row in rows:
        found.setdefault(row["engineer_id"], []).append(SkillLevel(skill=row["skill"], level=row["level"]))
    return [found.get(id_, []) for id_ in engineer_ids]


async def shifts_by_engineer_ids(
    work: Work, engineer_ids: Sequence[UUID], start: datetime, end: datetime
) -> list[list[ShiftView]]:
    """The shifts of each engineer that reach into [start, end), in order of time."""
    return await _between(work, ShiftView, "shift", engineer_ids, start, end)


async def absences_by_engineer_ids(
    work: Work, engineer_ids: Sequence[UUID], start: datetime, end: datetime
) -> list[list[AbsenceView]]:
    """The absences of each engineer that reach into [start, end), in order of time."""
    return await _between(work, AbsenceView, "absence", engineer_ids, start, end)


async def skills(work: Work) -> list[SkillView]:
    """All skills of the organisation, by code."""
    rows = await work.fetch(
        f"select {_columns(SkillView)} from skill where org_id = callout_org() order by code"
    )
    return [_view(SkillView, row) for row in rows]


async def territories(work: Work) -> list[TerritoryView]:
    """All territories of the organisation, by code."""
    rows = await work.fetch(
        f"select {_columns(TerritoryView)} from territory where org_id = callout_org() order by code"
    )
    return [_view(TerritoryView, row) for row in rows]


async def territories_by_ids(work: Work, ids: Sequence[UUID]) -> list[TerritoryView | None]:
    """Territories in the order of `ids`."""
    return await _by_ids(work, TerritoryView, "territory", ids)


# ---------------------------------------------------------------------------------------------------- how it is read

_JSON: Final = frozenset({"data", "result"})


def _columns(view: type[Any], prefix: str = "") -> str:
    fields: Mapping[str, str] = {
        name: f"{prefix}{name}" for name in view.__struct_fields__ if name != "online"
    }
    return ", ".join(
        f"{column}::text as {name}" if name in _JSON else column for name, column in fields.items()
    )


def _view(view: type[T], row: Any) -> T:
    values = dict(row)
    for name in _JSON & values.keys():
        values[name] = msgspec.json.decode(values[name])
    return view(**values)


# The same words as in `roster.py`: what the board shows as online is what a pick takes for online.
_ENGINEER: Final = (
    _columns(EngineerView, "e.")
    + """,
    e.active and coalesce(e.last_seen_at >= $1, false) and not exists (
        select 1 from absence a
        where a.org_id = e.org_id and a.engineer_id = e.id and a.starts_at <= $2 and a.ends_at > $2
    ) as online
    """
)


def _online(work: Work) -> tuple[datetime, datetime]:
    return work.now - timedelta(minutes=ONLINE_MINUTES), work.now


async def _engineers(work: Work, key: str, ids: Sequence[UUID]) -> list[EngineerView | None]:
    rows = await work.fetch(
        f"select {_ENGINEER} from engineer e where e.org_id = callout_org() and e.{key} = any($3)",
        *_online(work),
        list(ids),
    )
    found = {row[key]: _view(EngineerView, row) for row in rows}
    return [found.get(id_) for id_ in ids]


async def _by_ids(work: Work, view: type[T], table: str, ids: Sequence[UUID]) -> list[T | None]:
    rows = await work.fetch(
        f"select {_columns(view)} from {table} where org_id = callout_org() and id = any($1)", list(ids)
    )
    found = {row["id"]: _view(view, row) for row in rows}
    return [found.get(id_) for id_ in ids]


async def _lists(
    work: Work, view: type[T], table: str, key: str, ids: Sequence[UUID], order: str
) -> list[list[T]]:
    rows = await work.fetch(
        f"""
        select t.* from unnest($1::uuid[]) as p(id)
        cross join lateral (
            select {_columns(view)} from {table}
            where org_id = callout_org() and {key} = p.id order by {order} limit {PER_PARENT_MAX}
        ) t
        """,
        list(dict.fromkeys(ids)),
    )
    found: dict[UUID, list[T]] = {}
    for row in rows:
        found.setdefault(row[key], []).append(_view(view, row))
    return [found.get(id_, []) for id_ in ids]


async def _between(
    work: Work, view: type[T], table: str, engineer_ids: Sequence[UUID], start: datetime, end: datetime
) -> list[list[T]]:
    rows = await work.fetch(
        f"""
        select {_columns(view)} from {table}
        where org_id = callout_org() and engineer_id = any($1) and starts_at < $3 and ends_at > $2
        order by starts_at, id
        """,
        list(engineer_ids),
        start,
        end,
    )
    found: dict[UUID, list[T]] = {}
    for row in rows:
        found.setdefault(row["engineer_id"], []).append(_view(view, row))
    return [found.get(id_, []) for id_ in engineer_ids]


def _page(found: list[T], size: int) -> Page[T]:
    items = found[:size]
    last: Any = items[-1] if items else None
    return Page(items=items, end_cursor=last.id if last is not None else None, has_more=len(found) > size)
