"""What the red lane does to visits: hands one over, and finds those that gave way another place. The caller holds the
calendars, the visits and their orders."""

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import msgspec

from callout_dispatch import red_look
from callout_dispatch.crew import change_crew
from callout_dispatch.needs import load_order
from callout_dispatch.pick_terms import Ranked
from callout_dispatch.policy import Policy
from callout_dispatch.reassign import cancel_visit
from callout_dispatch.red_look import Displaced
from callout_dispatch.red_rows import LaneView
from callout_dispatch.visit_rows import (
    PROGRESS_CLEARED,
    Decision,
    close_assignments,
    insert_decisions,
    open_assignments,
    record_of,
    visit_entry,
)
from callout_dispatch.visit_states import VisitState
from callout_dispatch.visits import sync_orders
from callout_orders import progress
from callout_store import journal
from callout_store.work import Work

METHOD: Final = "red"
DISPLACED: Final = "displaced"
"""The reason of whatever happens to a visit that gave way."""


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """A visit's row under lock."""

    id: UUID
    order_id: UUID
    engineer_id: UUID | None
    plan: str
    state: VisitState
    scheduled_start: datetime | None
    revision: int


async def lock(work: Work, visit_ids: Collection[UUID], order_ids: Collection[UUID]) -> Mapping[UUID, Row]:
    """Lock visits and then orders, each by id; the visits by id."""
    rows = await work.fetch(
        """
        select id, order_id, engineer_id, plan, state, scheduled_start, revision from visit
        where org_id = callout_org() and id = any($1) order by id for update
        """,
        sorted(set(visit_ids)),
    )
    await progress.hold(work, set(order_ids))
    return {row["id"]: msgspec.convert(dict(row), Row) for row in rows}


async def hand_over(work: Work, visit: Row, slot: Ranked, why: str, **data: Any) -> None:
    """Give a visit to the engineer of a slot, who starts afresh; events of the one before stay, their progress does not.

    With the same engineer only the time changes.
    """
    engineer_id = UUID(slot.id)
    other = engineer_id != visit.engineer_id
    if other:
        await close_assignments(work, [visit.id])
        await open_assignments(work, [(visit.id, engineer_id)], why)
    afresh = f", state = plan, assigned_at = $6, {PROGRESS_CLEARED}" if other else ""
    await work.execute(
        f"""
        update visit set engineer_id = $2, scheduled_start = $3, scheduled_end = $4, travel_minutes = $5,
            leg_provider = 'estimate', leg_metres = null, pickup_depot_id = null, revision = revision + 1{afresh}
        where org_id = callout_org() and id = $1
        """,
        visit.id,
        engineer_id,
        slot.slot_start,
        slot.slot_end,
        slot.travel_minutes,
        *([work.now] if other else []),
    )
    told = {
        "engineerId": engineer_id,
        **({"fromEngineerId": visit.engineer_id, "fromState": visit.state.value} if other else {}),
        "fromStart": visit.scheduled_start,
        "start": slot.slot_start,
        "end": slot.slot_end,
        "reason": why,
        "override": False,
        "method": METHOD,
        **data,
    }
    kind = "visit.reassigned" if other else "visit.moved"
    await journal.write(work, visit_entry(kind, visit.id, visit.order_id, **told))
    work.touch("visit", visit.id)
    # Who goes along goes with the engineer; whoever leaves is noted like one who gave the visit away.
    await change_crew(work, visit.id, [UUID(id_) for id_ in slot.crew])
    await sync_orders(work, {visit.order_id})


async def give_way(
    work: Work,
    policy: Policy,
    lane: LaneView,
    held: Mapping[UUID, Row],
    displaced: Collection[Displaced],
) -> list[dict[str, Any]]:
    """Find those that gave way another place, the more urgent first; who finds none waits to be planned again.

    The urgent visit stands already, so that nobody is sent into its time. What became of each, for the offer's record.
    """
    told: list[dict[str, Any]] = []
    pending = sorted(displaced, key=lambda one: (one.visit.priority, one.visit.start, one.visit.id))
    away = {UUID(one.visit.id) for one in pending}
    for one in pending:
        visit = held[UUID(one.visit.id)]
        order = await load_order(work, visit.order_id)
        found = await red_look.ask(work, order, policy, engineer_ids=one.rivals, without=away)
        slot = found.result.ranked[0] if len(found.result.ranked) else None
        became = (
            "waiting" if slot is None else "moved" if UUID(slot.id) == visit.engineer_id else "reassigned"
        )
        if slot is None:
            await cancel_visit(work, visit.id, DISPLACED)
        else:
            await hand_over(work, visit, slot, DISPLACED, laneId=lane.id)
            decision = Decision(
                order_id=visit.order_id,
                visit_id=visit.id,
                engineer_id=UUID(slot.id),
                method="red",
                policy_version=policy.label,
                result=record_of(found.result),
                reason=DISPLACED,
                input=found.kept(),
            )
            await insert_decisions(work, [decision])
        away.discard(visit.id)
        became_of = {
            "visitId": str(visit.id),
            "orderId": str(visit.order_id),
            "became": became,
            "fromEngineerId": str(visit.engineer_id),
            "fromStart": visit.scheduled_start,
            "engineerId": slot.id if slot is not None else None,
            "start": slot.slot_start if slot is not None else None,
            "end": slot.slot_end if slot is not None else None,
        }
        told.append(became_of)
        await journal.write(
            work,
            visit_entry(
                "visit.displaced",
                visit.id,
                visit.order_id,
                laneId=lane.id,
                forOrderId=lane.order_id,
                **{key: value for key, value in became_of.items() if key not in ("visitId", "orderId")},
            ),
        )
    return told
