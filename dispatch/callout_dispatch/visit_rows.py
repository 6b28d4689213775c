"""What a decision writes: visits, who holds them, and the decision itself. One statement a table for any number.

Locks, everywhere in Callout: engineers' calendars, then visits by id, then orders by id. A calendar is an advisory lock
and not the engineer's row, because phones write their position into that row while they hold a visit: a dispatcher
who held the row and wanted the visit would meet them in a deadlock, and positions would queue behind a day's planning.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final, Literal
from uuid import UUID

import msgspec

from callout_dispatch.pick_terms import PickResult
from callout_dispatch.visits import sync_orders
from callout_store import journal
from callout_store.ids import new_id
from callout_store.work import Work

Method = Literal["pick", "day", "hand", "red", "plan"]

CANDIDATES_MAX: Final = 2_000
"""Engineers whose reasons are stored with one decision; the counts of all are stored in any case."""


PROGRESS_CLEARED: Final = """
accepted_at = null, travelling_at = null, arrived_at = null, first_on_site_at = null, signed_at = null, left_at = null,
completed_at = null, could_not_complete_at = null, outcome = null, outcome_at = null, outcome_event_id = null,
ended_at = null
"""
"""Assignments of a visit's row for whoever starts afresh: its events stay, what they told of progress does not."""


class CalledOff(msgspec.Struct, frozen=True, kw_only=True):
    """A visit that is called off: of which order, who had it, and how far it was."""

    visit_id: UUID
    order_id: UUID
    engineer_id: UUID | None
    state: str | None
    reason: str


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """A decision for the record; without `visit_id` nobody was found. `result` is JSON.

    `input` is what `pick_record.encode` made of what was asked, so that it can be asked again.
    """

    order_id: UUID
    visit_id: UUID | None
    engineer_id: UUID | None
    method: Method
    policy_version: str
    result: Mapping[str, Any]
    reason: str = ""
    input: bytes | None = None


class NewVisit(msgspec.Struct, frozen=True, kw_only=True):
    """A visit to be made. `told` visits are dispatched, the others only scheduled. `crew` go along with the engineer."""

    order_id: UUID
    engineer_id: UUID
    start: datetime
    end: datetime
    travel_minutes: float
    method: Method
    told: bool = True
    crew: tuple[UUID, ...] = ()
    leg_provider: str = "estimate"
    id: UUID = msgspec.field(default_factory=new_id)


def record_of(result: PickResult, candidates_max: int = CANDIDATES_MAX) -> dict[str, Any]:
    """A pick's result as JSON values: those who can first, then those who cannot, together at most so many."""
    ranked = min(len(result.ranked), candidates_max)
    return result.record(ranked_max=ranked, out_max=candidates_max - ranked)


async def lock_calendars(work: Work, engineer_ids: Iterable[UUID]) -> None:
    """Nobody else gives these engineers work until this transaction ends. Taken in the order of their ids."""
    await work.execute(
        """
        select pg_advisory_xact_lock_shared(hashtextextended('callout.calendars:' || callout_org(), 0))
        """
    )
    await work.execute(
        """
        select pg_advisory_xact_lock(hashtextextended('callout.calendar:' || callout_org() || ':' || id, 0))
        from (select id from unnest($1::uuid[]) as t(id) order by id) as sorted
        """,
        sorted(set(engineer_ids)),
    )


async def lock_all_calendars(work: Work) -> None:
    """Nobody else gives any engineer of the organisation work until this transaction ends."""
    await work.execute(
        "select pg_advisory_xact_lock(hashtextextended('callout.calendars:' || callout_org(), 0))"
    )


async def insert_visits(work: Work, visits: Sequence[NewVisit]) -> None:
    """Make visits, give them to their engineers, journal them, and bring their orders up to them.

    The caller holds the engineers' calendars, those of crews too, and the orders' rows.
    """
    if not visits:
        return
    told = [visit.told for visit in visits]
    await work.execute(
        """
        insert into visit (id, order_id, number, plan, state, engineer_id, scheduled_start, scheduled_end,
                           travel_minutes, leg_provider, assigned_at, created_at)
        select t.id, t.order_id,
               (select coalesce(max(v.number), 0) + 1 from visit v
                where v.org_id = callout_org() and v.order_id = t.order_id),
               t.plan, t.plan, t.engineer_id, t.starts, t.ends, t.travel, t.provider, $9, $9
        from unnest($1::uuid[], $2::uuid[], $3::text[], $4::uuid[], $5::timestamptz[], $6::timestamptz[], $7::float8[],
                    $8::text[])
            as t(id, order_id, plan, engineer_id, starts, ends, travel, provider)
        """,
        [visit.id for visit in visits],
        [visit.order_id for visit in visits],
        ["dispatched" if one else "scheduled" for one in told],
        [visit.engineer_id for visit in visits],
        [visit.start for visit in visits],
        [visit.end for visit in visits],
        [visit.travel_minutes for visit in visits],
        [visit.leg_provider for visit in visits],
        work.now,
    )
    crews = [(visit.id, member) for visit in visits for member in visit.crew]
    if crews:
        await work.execute(
            """
            insert into visit_crew (visit_id, engineer_id, added_at, added_by)
            select v, e, $3, $4 from unnest($1::uuid[], $2::uuid[]) as t(v, e)
            """,
            [visit_id for visit_id, _ in crews],
            [member for _, member in crews],
            work.now,
            work.actor.user_id,
        )
    await open_assignments(work, [(visit.id, visit.engineer_id) for visit in visits])
    await journal.write_many(
        work,
        [
            visit_entry(
                "visit.dispatched" if visit.told else "visit.scheduled",
                visit.id,
                visit.order_id,
                engineerId=visit.engineer_id,
                start=visit.start,
                end=visit.end,
                method=visit.method,
                **({"crew": list(visit.crew)} if visit.crew else {}),
            )
            for visit in visits
        ],
    )
    work.touch("visit", *(visit.id for visit in visits))
    await sync_orders(work, {visit.order_id for visit in visits})


async def call_off(work: Work, gone: Sequence[CalledOff]) -> None:
    """Cancel visits. The caller holds their rows, and brings their orders up to them (`sync_orders`)."""
    if not gone:
        return
    ids = [one.visit_id for one in gone]
    await work.execute(
        """
        update visit set plan = 'canceled', state = 'canceled', ended_at = $2, revision = revision + 1
        where org_id = callout_org() and id = any($1)
        """,
        ids,
        work.now,
    )
    await close_assignments(work, ids)
    done = await work.fetch(
        """
        select distinct asset_id from visit_event
        where org_id = callout_org() and visit_id = any($1) and asset_id is not null
        """,
        ids,
    )
    # What was done before it was called off is the machine's history from now on.
    work.touch("history", *(row["asset_id"] for row in done))
    work.touch("visit", *ids)
    await journal.write_many(
        work,
        [
            visit_entry(
                "visit.canceled",
                one.visit_id,
                one.order_id,
                engineerId=one.engineer_id,
                fromState=one.state,
                reason=one.reason,
            )
            for one in gone
        ],
    )


async def open_assignments(work: Work, held: Sequence[tuple[UUID, UUID]], reason: str = "") -> None:
    """Note who holds visits from now on; `held` are (visit, engineer)."""
    await work.execute(
        """
        insert into visit_assignment (id, visit_id, engineer_id, from_at, by_user, reason)
        select i, v, e, $4, $5, $6 from unnest($1::uuid[], $2::uuid[], $3::uuid[]) as t(i, v, e)
        """,
        [new_id() for _ in held],
        [visit_id for visit_id, _ in held],
        [engineer_id for _, engineer_id in held],
        work.now,
        work.actor.user_id,
        reason,
    )


async def close_assignments(work: Work, visit_ids: Sequence[UUID]) -> None:
    """Note that whoever holds these visits holds them no longer."""
    await work.execute(
        """
        update visit_assignment set until_at = $2
        where org_id = callout_org() and visit_id = any($1) and until_at is null
        """,
        list(visit_ids),
        work.now,
    )


async def insert_decisions(work: Work, decisions: Sequence[Decision]) -> None:
    """Store decisions with their candidates and reasons, as this unit of work's actor."""
    if not decisions:
        return
    await work.execute(
        """
        insert into dispatch_decision
            (id, order_id, visit_id, at, method, policy_version, engineer_id, actor_id, reason, result, input)
        select i, o, v, $10, m, p, e, $11, r, j::jsonb, b
        from unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::text[], $5::text[], $6::uuid[], $7::text[], $8::text[],
                    $9::bytea[])
            as t(i, o, v, m, p, e, r, j, b)
        """,
        [new_id() for _ in decisions],
        [decision.order_id for decision in decisions],
        [decision.visit_id for decision in decisions],
        [decision.method for decision in decisions],
        [decision.policy_version for decision in decisions],
        [decision.engineer_id for decision in decisions],
        [decision.reason for decision in decisions],
        [msgspec.json.encode(decision.result).decode() for decision in decisions],
        [decision.input or None for decision in decisions],
        work.now,
        work.actor.user_id,
    )


def visit_entry(kind: str, visit_id: UUID, order_id: UUID, **data: Any) -> journal.Entry:
    """A journal entry about a visit."""
    return journal.Entry(
        kind=kind, entity="visit", entity_id=visit_id, order_id=order_id, visit_id=visit_id, data=data
    )
