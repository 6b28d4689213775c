"""What accepting a proposal writes: visits made, moved, given to others and called off. One statement a table for any number.

The caller holds the calendars of everybody concerned, the visits' rows and the orders' rows, and has judged the changes.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final
from uuid import UUID

import msgspec

from callout_dispatch.plans.changes import Kind
from callout_dispatch.plans.row_terms import OrderRow, VisitRow
from callout_dispatch.plans.run_rows import ChangeRow
from callout_dispatch.visit_rows import (
    CalledOff,
    Decision,
    NewVisit,
    call_off,
    close_assignments,
    insert_decisions,
    insert_visits,
    open_assignments,
    visit_entry,
)
from callout_dispatch.visits import sync_orders
from callout_store import journal
from callout_store.work import Work

REASON: Final = "plan"
"""Why a visit changed hands, in its history."""


class Taken(msgspec.Struct, frozen=True, kw_only=True):
    """A change that is taken, with the visit as it stands (None: an order that waits)."""

    change: ChangeRow
    before: VisitRow | None
    order: OrderRow | None


Ways = Mapping[str, tuple[UUID, float, float, str]]


async def write_changes(
    work: Work, taken: Sequence[Taken], ways: Ways, *, told: bool, policy: int
) -> list[UUID]:
    """Write them; the ids of the visits that were made. `ways` are of all visits of the days concerned, by task id."""
    new = [one.change for one in taken if one.change.kind is Kind.ASSIGN]
    changed = [one for one in taken if one.change.kind in (Kind.MOVE, Kind.REASSIGN)]
    gone = [one for one in taken if one.change.kind is Kind.UNASSIGN]
    visits = [_new_visit(change, ways, told) for change in new]
    made = {str(visit.order_id): visit.id for visit in visits}
    await _call_off(work, gone)
    await _change(work, changed, ways, told)
    await insert_visits(work, visits)
    await _crews(work, changed, [(made[str(change.order_id)], change) for change in new])
    await _legs(work, taken, ways, made)
    await insert_decisions(work, [_decision(one, made, policy) for one in taken])
    ids = [one.change.visit_id for one in (*changed, *gone) if one.change.visit_id is not None]
    work.touch("visit", *ids, *made.values())
    if changed or gone:
        await sync_orders(work, {one.change.order_id for one in (*changed, *gone)})
    return list(made.values())


def _new_visit(change: ChangeRow, ways: Ways, told: bool) -> NewVisit:
    assert change.engineer_id is not None
    assert change.starts_at is not None
    assert change.ends_at is not None
    way = ways.get(str(change.order_id))
    return NewVisit(
        order_id=change.order_id,
        engineer_id=change.engineer_id,
        start=change.starts_at,
        end=change.ends_at,
        travel_minutes=way[1] if way else change.travel_minutes or 0.0,
        method="plan",
        told=told,
    )


async def _change(work: Work, changed: Sequence[Taken], ways: Ways, told: bool) -> None:
    """Other times and other engineers. Whoever gets a visit starts afresh; events of the one before stay."""
    if not changed:
        return
    handed = [one.change for one in changed if one.change.engineer_id != one.change.from_engineer_id]
    handed_ids = [change.visit_id for change in handed if change.visit_id is not None]
    await close_assignments(work, handed_ids)
    await open_assignments(
        work,
        [
            (change.visit_id, change.engineer_id)
            for change in handed
            if change.visit_id and change.engineer_id
        ],
        REASON,
    )
    await work.execute(
        """
        update visit v set engineer_id = t.engineer_id, scheduled_start = t.starts, scheduled_end = t.ends,
            pickup_depot_id = t.depot, revision = v.revision + 1,
            plan = case when $6 then 'dispatched' else v.plan end,
            state = case when v.engineer_id <> t.engineer_id then case when $6 then 'dispatched' else v.plan end
                         when $6 and v.state = 'scheduled' then 'dispatched' else v.state end,
            assigned_at = case when v.engineer_id <> t.engineer_id then $7 else v.assigned_at end,
            accepted_at = case when v.engineer_id = t.engineer_id then v.accepted_at end
        from unnest($1::uuid[], $2::uuid[], $3::timestamptz[], $4::timestamptz[], $5::uuid[])
            as t(id, engineer_id, starts, ends, depot)
        where v.org_id = callout_org() and v.id = t.id
        """,
        [one.change.visit_id for one in changed],
        [one.change.engineer_id for one in changed],
        [one.change.starts_at for one in changed],
        [one.change.ends_at for one in changed],
        [one.change.pickup_depot_id for one in changed],
        told,
        work.now,
    )
    entries = []
    for one in changed:
        change = one.change
        assert change.visit_id is not None
        data: dict[str, Any] = {
            "engineerId": change.engineer_id,
            "fromStart": change.from_start,
            "start": change.starts_at,
            "end": change.ends_at,
            "reason": REASON,
            "override": False,
            "method": "plan",
        }
        kind = "visit.moved"
        if change.engineer_id != change.from_engineer_id:
            kind = "visit.reassigned"
            data |= {
                "fromEngineerId": change.from_engineer_id,
                "fromState": one.before.state.value if one.before else None,
            }
        entries.append(visit_entry(kind, change.visit_id, change.order_id, **data))
        if told and one.before is not None and one.before.state == "scheduled":
            entries.append(
                visit_entry(
                    "visit.dispatched",
                    change.visit_id,
                    change.order_id,
                    engineerId=change.engineer_id,
                    start=change.starts_at,
                    end=change.ends_at,
                    method="plan",
                )
            )
    await journal.write_many(work, entries)


async def _call_off(work: Work, gone: Sequence[Taken]) -> None:
    """Visits for which the plan has no place: their orders wait again."""
    await call_off(
        work,
        [
            CalledOff(
                visit_id=one.change.visit_id,
                order_id=one.change.order_id,
                engineer_id=one.change.from_engineer_id,
                state=one.before.state.value if one.before else None,
                reason=REASON,
            )
            for one in gone
            if one.change.visit_id is not None
        ],
    )


async def _crews(work: Work, changed: Sequence[Taken], new: Sequence[tuple[UUID, ChangeRow]]) -> None:
    """Who goes along. Whoever leaves a crew is noted like somebody from whom a visit was taken."""
    leaves: list[tuple[UUID, UUID]] = []
    joins: list[tuple[UUID, UUID]] = [(visit_id, id_) for visit_id, change in new for id_ in change.crew]
    entries = []
    for one in changed:
        change, before = one.change, set(one.before.crew if one.before else ())
        wanted = set(change.crew)
        if change.visit_id is None or wanted == before:
            continue
        gone, come = sorted(before - wanted), sorted(wanted - before)
        leaves += [(change.visit_id, id_) for id_ in gone]
        joins += [(change.visit_id, id_) for id_ in come]
        entries.append(
            visit_entry(
                "visit.crew_set",
                change.visit_id,
                change.order_id,
                crew=sorted(wanted),
                joined=come,
                left=gone,
            )
        )
    if leaves:
        await work.execute(
            """
            with gone as (
                delete from visit_crew c using unnest($1::uuid[], $2::uuid[]) as t(visit_id, engineer_id)
                where c.org_id = callout_org() and c.visit_id = t.visit_id and c.engineer_id = t.engineer_id
                returning c.visit_id, c.engineer_id, c.added_at
            )
            insert into visit_assignment (id, visit_id, engineer_id, from_at, until_at, by_user, reason)
            select gen_random_uuid(), visit_id, engineer_id, added_at, $3, $4, 'crew' from gone
            """,
            [visit_id for visit_id, _ in leaves],
            [id_ for _, id_ in leaves],
            work.now,
            work.actor.user_id,
        )
    if joins:
        await work.execute(
            """
            insert into visit_crew (visit_id, engineer_id, added_at, added_by)
            select v, e, $3, $4 from unnest($1::uuid[], $2::uuid[]) as t(v, e)
            """,
            [visit_id for visit_id, _ in joins],
            [id_ for _, id_ in joins],
            work.now,
            work.actor.user_id,
        )
    if entries:
        await journal.write_many(work, entries)


async def _legs(work: Work, taken: Sequence[Taken], ways: Ways, made: Mapping[str, UUID]) -> None:
    """How long the ways are now, also to visits that stay: theirs begin elsewhere. That alone counts up no revision."""
    depots = {str(one.change.order_id): one.change.pickup_depot_id for one in taken}
    found = [(made.get(id_) or UUID(id_), depots.get(id_), *way[1:]) for id_, way in ways.items()]
    if not found:
        return
    rows = await work.fetch(
        """
        update visit v set travel_minutes = t.minutes, leg_metres = t.metres, leg_provider = t.provider,
            pickup_depot_id = coalesce(t.depot, v.pickup_depot_id)
        from unnest($1::uuid[], $2::uuid[], $3::float8[], $4::float8[], $5::text[])
            as t(id, depot, minutes, metres, provider)
        where v.org_id = callout_org() and v.id = t.id
          and (v.travel_minutes, v.leg_metres, v.leg_provider, v.pickup_depot_id)
              is distinct from (t.minutes, t.metres, t.provider, coalesce(t.depot, v.pickup_depot_id))
        returning v.id
        """,
        *(list(column) for column in zip(*found, strict=True)),
    )
    work.touch("visit", *(row["id"] for row in rows))


def _decision(one: Taken, made: Mapping[str, UUID], policy: int) -> Decision:
    change = one.change
    return Decision(
        order_id=change.order_id,
        visit_id=change.visit_id or made.get(str(change.order_id)),
        engineer_id=change.engineer_id,
        method="plan",
        policy_version=str(policy),
        reason=REASON,
        result={
            "run": change.run_id,
            "number": change.number,
            "kind": change.kind.value,
            "from_engineer_id": change.from_engineer_id,
            "from_start": change.from_start,
            "start": change.starts_at,
            "end": change.ends_at,
            "crew": change.crew,
            "reasons": msgspec.to_builtins(change.reasons),
        },
    )
