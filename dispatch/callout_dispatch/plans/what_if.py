"""The same day by two policies: what would have been, or would be, side by side. Nothing of it is ever accepted.

A day that has begun is replayed as it was known at its start: the orders that waited then or were given a visit on that day,
shifts and absences as they are stored, vans as they were loaded, nobody underway, nothing locked. A day to come is planned
from scratch likewise: so the policies are compared, and not how well each of them gets along with what stands already.
"""

from collections.abc import Mapping
from datetime import datetime
from uuid import UUID

import msgspec

from callout_dispatch import policies
from callout_dispatch.plans import runs
from callout_dispatch.plans.problems import TASKS_MAX
from callout_dispatch.plans.row_terms import EngineerRow, OrderRow, Rows, Scope
from callout_dispatch.plans.rows import (
    ENGINEER,
    ORDER,
    absence_rows,
    engineer_row,
    order_row,
    shift_rows,
    stock_of,
    wishes_of,
)
from callout_dispatch.plans.run_rows import Run
from callout_dispatch.texts import FieldRefused
from callout_store.work import Work


async def ask(
    work: Work,
    start: datetime,
    end: datetime,
    policy_version: int,
    other_policy_version: int,
    territory_id: UUID | None = None,
    *,
    planner: str = "vroom",
    seconds_max: float | None = None,
    seed: int = 1,
) -> UUID:
    """Ask for [start, end) by two versions of the policy; the run's id. It may lie in the past, present or future.

    Raises BadField, NotFound (a version, the territory), LimitExceeded.
    """
    start, end = runs.check_range(work, start, end, past=True)
    if policy_version == other_policy_version:
        raise FieldRefused("otherPolicyVersion", "same_policy")
    both = [await policies.version(work, version) for version in (policy_version, other_policy_version)]
    return await runs.queue(
        work,
        kind="what_if",
        start=start,
        end=end,
        territory_id=territory_id,
        policy_version=policy_version,
        other_policy_version=other_policy_version,
        planner=planner,
        seconds_max=max(policy.planning.seconds_max for policy in both)
        if seconds_max is None
        else seconds_max,
        seed=seed,
    )


async def load_day(work: Work, run: Run) -> Rows:
    """The run's day as it was known at its start, or is known now where it is to come."""
    at = min(run.starts_at, work.now)
    scope = Scope(start=run.starts_at, end=run.ends_at, at=run.starts_at, territory_id=run.territory_id)
    organisation = await work.fetchrow(
        """
        select o.time_zone, coalesce(s.travel_provider, 'estimate') as travel_provider
        from organisation o left join dispatch_setting s on s.org_id = o.id where o.id = callout_org()
        """
    )
    assert organisation is not None, "a unit of work has an organisation"
    orders = await _orders(work, scope, at)
    engineers = await _engineers(work, scope)
    ids = sorted(engineers)
    shifts = await shift_rows(work, scope.start, scope.end, ids)
    absences = await absence_rows(work, scope.start, scope.end, ids)
    depots, vans = await stock_of(work, ids, orders)
    since = await _moved_since(work, at, [*ids, *(depot.id for depot in depots)])
    return Rows(
        scope=scope,
        time_zone=organisation["time_zone"],
        provider=organisation["travel_provider"],
        engineers=tuple(
            msgspec.structs.replace(
                engineers[id_],
                shifts=shifts.get(id_, ()),
                absences=absences.get(id_, ()),
                van=_before(vans.get(id_, {}), since.get(id_, {})),
            )
            for id_ in ids
        ),
        visits=(),
        waiting=orders,
        depots=tuple(
            msgspec.structs.replace(depot, parts=_before(depot.parts, since.get(depot.id, {})))
            for depot in depots
        ),
        wishes=await wishes_of(work, orders),
    )


async def _orders(work: Work, scope: Scope, at: datetime) -> tuple[OrderRow, ...]:
    """Orders that were open at that moment and wanted a visit then: without one that stood, or with one in the range.

    The priority is that of that moment, where the journal tells of a later change.
    """
    rows = await work.fetch(
        f"""
        select {ORDER}, first.was,
               case when o.arrived_at is null or o.arrived_at > $1 then o.arrive_due_at else o.resolve_due_at end as due_then
        from work_order o join site s on s.org_id = o.org_id and s.id = o.site_id
        left join lateral (
            select j.data->>'from' as was from journal j
            where j.org_id = o.org_id and j.order_id = o.id and j.kind = 'work_order.priority_changed' and j.at > $1
            order by j.at limit 1
        ) first on true
        where o.org_id = callout_org() and o.created_at <= $1
          and (o.canceled_at is null or o.canceled_at > $1) and (o.resolved_at is null or o.resolved_at > $1)
          and (o.closed_at is null or o.closed_at > $1) and ($4::uuid is null or s.territory_id = $4)
          and (
              exists (select 1 from visit v where v.org_id = o.org_id and v.order_id = o.id
                      and v.scheduled_start >= $2 and v.scheduled_start < $3 and (v.ended_at is null or v.ended_at > $1))
              or not exists (select 1 from visit v where v.org_id = o.org_id and v.order_id = o.id
                             and v.created_at <= $1 and (v.ended_at is null or v.ended_at > $1))
          )
        order by o.priority, o.arrive_due_at, o.id limit $5
        """,
        at,
        scope.start,
        scope.end,
        scope.territory_id,
        TASKS_MAX + 1,
    )
    found = []
    for row in rows:
        order = order_row(row)
        priority = type(order.priority)(row["was"]) if row["was"] else order.priority
        found.append(msgspec.structs.replace(order, priority=priority, due_at=row["due_then"]))
    there = {order.id for order in found}
    # Whom it follows was done by then, or is asked about here as well.
    return tuple(
        order if order.follows_order_id in there else msgspec.structs.replace(order, follows_order_id=None)
        for order in found
    )


async def _engineers(work: Work, scope: Scope) -> dict[UUID, EngineerRow]:
    """Whoever had a shift in that range, active today or not; at home, and online."""
    rows = await work.fetch(
        f"""
        select {ENGINEER}, null::float8 as lat, null::float8 as lng, true as online
        from engineer e
        where e.org_id = callout_org()
          and exists (select 1 from shift t where t.org_id = e.org_id and t.engineer_id = e.id
                      and t.starts_at < $2 and t.ends_at > $1 and t.starts_at >= $1 - interval '1 day')
          and ($3::uuid is null or e.territory_id is null or e.territory_id = $3
               or exists (select 1 from engineer_territory t
                          where t.org_id = e.org_id and t.engineer_id = e.id and t.territory_id = $3))
        """,
        scope.start,
        scope.end,
        scope.territory_id,
    )
    return {row["id"]: engineer_row(row) for row in rows}


async def _moved_since(work: Work, at: datetime, holders: list[UUID]) -> dict[UUID, dict[str, int]]:
    """What came to each holder of stock since then, by code of part."""
    rows = await work.fetch(
        """
        select m.holder_id, p.code, sum(m.quantity)::int as moved
        from stock_move m join part p on p.org_id = m.org_id and p.id = m.part_id
        where m.org_id = callout_org() and m.holder_id = any($1) and m.at > $2
        group by m.holder_id, p.code
        """,
        holders,
        at,
    )
    found: dict[UUID, dict[str, int]] = {}
    for row in rows:
        found.setdefault(row["holder_id"], {})[row["code"]] = row["moved"]
    return found


def _before(now: Mapping[str, int], since: Mapping[str, int]) -> dict[str, int]:
    return {code: now.get(code, 0) - since.get(code, 0) for code in {*now, *since}}
