"""An offer's answer that does not come from the phone: by telephone to a dispatcher, or by the engineer at another screen.

It becomes the on-site event that the phone would have sent, with the source `desk`; what follows from it is the same.
"""

from datetime import UTC
from typing import Any
from uuid import UUID

from callout_dispatch import visits
from callout_dispatch.events import Happened, Reporter
from callout_dispatch.texts import REASON_MAX, InWrongState, checked_line
from callout_dispatch.visit_states import VISIT_STATE_LABELS, EventKind, VisitState
from callout_store.errors import NotFound
from callout_store.ids import new_id
from callout_store.work import Work

SCHEMA: int = 2
"""The version of contracts that first had declines."""


async def answer_offer(
    work: Work, visit_id: UUID, accept: bool, reason: str = "", *, engineer_id: UUID | None = None
) -> UUID:
    """Record that the engineer of an offered visit takes it, or does not; the lane's id.

    `engineer_id` is who answers, where it is not a dispatcher: a visit that is not theirs is not there for them. Raises
    NotFound, WrongState (no offer of it is open), BadField.
    """
    said = checked_line("reason", reason, limit=min(REASON_MAX, 400), blank=True)
    locked = await visits.lock(work, [visit_id], engineer_id=engineer_id)
    visit = locked.get(visit_id)
    if visit is None or (engineer_id is not None and visit.engineer_id != engineer_id):
        raise NotFound(entity="visit")
    # Looked at without its lock, which comes after the order's. Nobody answers while we hold the visit.
    lane_id: UUID | None = await work.fetchval(
        """
        select l.id from red_lane l
        join red_offer o on o.org_id = l.org_id and o.lane_id = l.id and o.round = l.round and o.answer is null
        where l.org_id = callout_org() and l.visit_id = $1 and l.state = 'offering' and o.engineer_id = $2
        """,
        visit_id,
        visit.engineer_id,
    )
    if lane_id is None or visit.engineer_id is None:
        state = VisitState(visit.state)
        raise InWrongState("visit", state.value, "needs_offer", VISIT_STATE_LABELS[state])
    user_id = await work.fetchval(
        "select user_id from engineer where org_id = callout_org() and id = $1", visit.engineer_id
    )
    data: dict[str, Any] = {} if accept else {"reason": "other", "text": said}
    event = Happened(
        id=new_id(),
        visit_id=visit_id,
        kind=EventKind.ACCEPTED if accept else EventKind.DECLINED,
        device_time=work.now.astimezone(UTC),
        received_at=work.now,
        corrected_at=work.now,
        clock_offset_ms=0,
        schema_version=SCHEMA,
        source="desk",
        data=data,
    )
    await visits.record(
        work, locked, [event], Reporter(engineer_id=visit.engineer_id, user_id=user_id, device_id=None)
    )
    return lane_id
