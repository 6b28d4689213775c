"""Locks by hand: what a dispatcher pins, no pick, plan or red lane moves. Locks by state need no hand.

`engineer`: others may not get the visit, its time may change. `time`: neither may change.
"""

from typing import Final, Literal, cast
from uuid import UUID

from callout_dispatch.texts import FieldRefused, InWrongState
from callout_dispatch.visit_rows import visit_entry
from callout_dispatch.visit_states import ENDED, VISIT_STATE_LABELS, VisitState
from callout_store import journal
from callout_store.errors import NotFound, StaleRevision
from callout_store.work import Work

Hold = Literal["engineer", "time"]
HOLDS: Final = ("engineer", "time")


async def hold_visit(work: Work, visit_id: UUID, hold: str | None, revision: int | None = None) -> None:
    """Pin a visit to its engineer, or to engineer and time, or let it go again. The same again changes nothing.

    Raises BadField (no such hold), NotFound, StaleRevision, WrongState (ended).
    """
    if hold is not None and hold not in HOLDS:
        raise FieldRefused("hold", "hold_unknown", value=hold[:40])
    row = await work.fetchrow(
        "select order_id, engineer_id, state, hold, revision from visit where org_id = callout_org() and id = $1 for update",
        visit_id,
    )
    if row is None:
        raise NotFound(entity="visit")
    if revision is not None and revision != row["revision"]:
        raise StaleRevision(entity="visit", current=row["revision"], given=revision)
    state = VisitState(row["state"])
    if state in ENDED:
        raise InWrongState("visit", state.value, "needs_live", VISIT_STATE_LABELS[state])
    before = cast("Hold | None", row["hold"])
    if before == hold:
        return
    await work.execute(
        """
        update visit set hold = $2, held_by = $3, revision = revision + 1 where org_id = callout_org() and id = $1
        """,
        visit_id,
        hold,
        work.actor.user_id if hold is not None else None,
    )
    await journal.write(
        work,
        visit_entry(
            "visit.held",
            visit_id,
            row["order_id"],
            engineerId=row["engineer_id"],
            hold=hold,
            fromHold=before,
        ),
    )
    work.touch("visit", visit_id)
