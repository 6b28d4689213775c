"""Who else works on a visit, and in which territory an engineer works: both decide what lies on whose phone.

A crew member sees the visit and reports on it like its engineer; the plan, the calendar and the order's engineer stay as
they are.
"""

from collections.abc import Sequence
from typing import Final
from uuid import UUID

from callout_dispatch import policies
from callout_dispatch.by_hand import crew_reasons
from callout_dispatch.needs import load_order
from callout_dispatch.reading import EngineerView, engineers_by_ids
from callout_dispatch.texts import REASON_MAX, FieldRefused, InWrongState, Unavailable, checked_line
from callout_dispatch.visit_rows import lock_calendars, visit_entry
from callout_dispatch.visit_states import ENDED, VISIT_STATE_LABELS, VisitState
from callout_orders import progress
from callout_store import journal
from callout_store.errors import LimitExceeded, NotFound, StaleRevision
from callout_store.work import Work

CREW_MAX: Final = 20
"""Engineers beside the one who leads a visit."""
ENGINEER: Final = "engineer"
"""What `work.touch` is told where an engineer's territory changes; see `callout_sync.scope`."""


async def set_crew(
    work: Work,
    visit_id: UUID,
    engineer_ids: Sequence[UUID],
    revision: int | None = None,
    override: bool = False,
    reason: str = "",
) -> list[UUID]:
    """Let exactly these engineers work on a visit beside its own; their ids, sorted. The same again changes nothing.

    Whoever joins must be free then (or as soon as they can be there), unless `override` with a
    `reason`. Raises NotFound (visit, an engineer who is not in service), WrongState (ended), StaleRevision, BadField (an
    engineer twice, or the visit's own), LimitExceeded, EngineerUnavailable.
    """
    reason = checked_line("reason", reason, limit=REASON_MAX, blank=True)
    if override and not reason:
        raise FieldRefused("reason", "override_reason")
    wanted = checked_crew(engineer_ids)
    await lock_calendars(work, wanted)
    return await change_crew(work, visit_id, wanted, revision, judged=True, override=override, reason=reason)


def checked_crew(engineer_ids: Sequence[UUID]) -> list[UUID]:
    """The ids, sorted. Raises BadField (somebody twice), LimitExceeded."""
    wanted = sorted(set(engineer_ids))
    if len(engineer_ids) > CREW_MAX:
        raise LimitExceeded(
            path="engineerIds", what="engineers in a crew", limit=CREW_MAX, given=len(engineer_ids)
        )
    if len(wanted) < len(engineer_ids):
        twice = next(id_ for n, id_ in enumerate(engineer_ids) if id_ in engineer_ids[:n])
        raise FieldRefused("engineerIds", "twice", value=twice)
    return wanted


async def change_crew(
    work: Work,
    visit_id: UUID,
    engineer_ids: Sequence[UUID],
    revision: int | None = None,
    *,
    judged: bool = False,
    override: bool = False,
    reason: str = "",
) -> list[UUID]:
    """`set_crew` by somebody who holds the calendars; without `judged` the caller knows already that everybody is free."""
    wanted = sorted(engineer_ids)
    visit = await work.fetchrow(
        """
        select order_id, engineer_id, state, revision, scheduled_start from visit
        where org_id = callout_org() and id = $1 for update
        """,
        visit_id,
    )
    if visit is None:
        raise NotFound(entity="visit")
    if revision is not None and revision != visit["revision"]:
        raise StaleRevision(entity="visit", current=visit["revision"], given=revision)
    state = VisitState(visit["state"])
    if state in ENDED:
        raise InWrongState("visit", state.value, "needs_live", VISIT_STATE_LABELS[state])
    if visit["engineer_id"] in wanted:
        raise FieldRefused("engineerIds", "leads_already")
    # The order's document goes to more phones, or to fewer: nobody may be changing it meanwhile.
    await progress.hold(work, [visit["order_id"]])
    await check_in_service(work, wanted)
    before = {
        row["engineer_id"]
        for row in await work.fetch(
            "select engineer_id from visit_crew where org_id = callout_org() and visit_id = $1", visit_id
        )
    }
    joins, leaves = sorted(set(wanted) - before), sorted(before - set(wanted))
    if not joins and not leaves:
        return wanted
    overridden = ""
    if judged and joins and visit["scheduled_start"] is not None:
        against = await crew_reasons(
            work,
            await load_order(work, visit["order_id"]),
            joins,
            visit["scheduled_start"],
            without_visit=visit_id,
            policy=await policies.active(work),
            joining=True,
        )
        if against and not override:
            raise Unavailable(against)
        overridden = ",".join(sorted({one.code.value for one in against}))
    # Noted like a visit that was given away: what a leaver did on it, still offline, is not a stranger's work.
    await work.execute(
        """
        with gone as (
            delete from visit_crew where org_id = callout_org() and visit_id = $1 and engineer_id = any($2)
            returning visit_id, engineer_id, added_at
        )
        insert into visit_assignment (id, visit_id, engineer_id, from_at, until_at, by_user, reason)
        select gen_random_uuid(), visit_id, engineer_id, added_at, $3, $4, 'crew' from gone
        """,
        visit_id,
        leaves,
        work.now,
        work.actor.user_id,
    )
    await work.execute(
        "insert into visit_crew (visit_id, engineer_id, added_at, added_by) select $1, unnest($2::uuid[]), $3, $4",
        visit_id,
        joins,
        work.now,
        work.actor.user_id,
    )
    await work.execute(
        "update visit set revision = revision + 1 where org_id = callout_org() and id = $1", visit_id
    )
    await journal.write(
        work,
        visit_entry(
            "visit.crew_set",
            visit_id,
            visit["order_id"],
            crew=wanted,
            joined=joins,
            left=leaves,
            **({"override": overridden, "reason": reason} if overridden else {}),
        ),
    )
    work.touch("visit", visit_id)
    return wanted


async def set_territory(work: Work, engineer_id: UUID, territory_id: UUID | None) -> None:
    """Let an engineer work in a territory, or in none. Raises NotFound (engineer, territory)."""
    row = await work.fetchrow(
        "select territory_id from engineer where org_id = callout_org() and id = $1 for no key update",
        engineer_id,
    )
    if row is None:
        raise NotFound(entity="engineer")
    if row["territory_id"] == territory_id:
        return
    known = territory_id is None or await work.fetchval(
        "select true from territory where org_id = callout_org() and id = $1", territory_id
    )
    if not known:
        raise NotFound(entity="territory")
    await work.execute(
        "update engineer set territory_id = $2 where org_id = callout_org() and id = $1",
        engineer_id,
        territory_id,
    )
    await journal.write(
        work,
        journal.Entry(
            kind="engineer.territory_set",
            entity="engineer",
            entity_id=engineer_id,
            data={"territoryId": territory_id, "fromTerritoryId": row["territory_id"]},
        ),
    )
    work.touch(ENGINEER, engineer_id)


async def crew_by_visit_ids(work: Work, visit_ids: Sequence[UUID]) -> list[list[EngineerView]]:
    """Who works on each visit beside its engineer, in the order of the ids."""
    rows = await work.fetch(
        """
        select c.visit_id, c.engineer_id from visit_crew c
        where c.org_id = callout_org() and c.visit_id = any($1) order by c.engineer_id
        """,
        list(visit_ids),
    )
    found = await engineers_by_ids(work, sorted({row["engineer_id"] for row in rows}))
    engineers = {engineer.id: engineer for engineer in found if engineer is not None}
    crews: dict[UUID, list[EngineerView]] = {}
    for row in rows:
        crews.setdefault(row["visit_id"], []).append(engineers[row["engineer_id"]])
    return [crews.get(id_, []) for id_ in visit_ids]


async def check_in_service(work: Work, engineer_ids: Sequence[UUID]) -> None:
    """Raises NotFound where one of these engineers is not there or not in service."""
    known = await work.fetchval(
        "select count(*) from engineer where org_id = callout_org() and id = any($1) and active",
        list(engineer_ids),
    )
    if known != len(engineer_ids):
        raise NotFound(entity="engineer", path="engineerIds")
