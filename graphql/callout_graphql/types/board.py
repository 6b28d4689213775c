"""Types of dragging a visit on the board."""

from datetime import datetime
from uuid import UUID

import strawberry

from callout_dispatch.board_rules import Conflict
from callout_dispatch.drag import DragCheck as DragCheckView
from callout_dispatch.drag import LaneChange as LaneChangeView
from callout_dispatch.pick_texts import explain
from callout_graphql.edges import Info
from callout_graphql.types.dispatch import BoardConflict, PickReason


def board_conflict(one: Conflict, locale: str) -> BoardConflict:
    """A conflict with its sentence."""
    return BoardConflict(
        code=one.code.value,
        at=one.at,
        visit_id=UUID(one.visit_id) if one.visit_id else None,
        other_id=UUID(one.other_id) if one.other_id else None,
        minutes=one.minutes,
        text=one.text(locale),
    )


@strawberry.type
class LaneChange:
    """What a move does to one engineer's lane; minutes are the difference."""

    engineer_id: UUID
    name: str
    travel_minutes: float
    work_minutes: float

    @strawberry.field
    def new_conflicts(root: strawberry.Parent[LaneChangeView], info: Info) -> list[BoardConflict]:
        """What would not fit any more."""
        return [board_conflict(one, info.context.locale) for one in root.new_conflicts]

    @strawberry.field
    def solved_conflicts(root: strawberry.Parent[LaneChangeView], info: Info) -> list[BoardConflict]:
        """What would fit again."""
        return [board_conflict(one, info.context.locale) for one in root.solved_conflicts]


@strawberry.type
class DragCheck:
    """What would break if a visit were dragged there. `allowed`: nothing; else `possible` with an override and a reason.

    `locked`: by its state or by hand. `lanes` are of all whose day would change, the crew's included.
    `revision` is the visit's that was looked at: hand it to `dragVisit`.
    """

    visit_id: UUID
    revision: int
    engineer_id: UUID
    start: datetime
    end: datetime
    travel_minutes: float
    allowed: bool
    possible: bool
    locked: bool
    lanes: list[LaneChange]

    @strawberry.field
    def reasons(root: strawberry.Parent[DragCheckView], info: Info) -> list[PickReason]:
        """The hard rules against it."""
        return [
            PickReason(code=reason.code.value, text=explain(reason, info.context.locale))
            for reason in root.reasons
        ]
