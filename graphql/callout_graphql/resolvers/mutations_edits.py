"""Mutations of single fields that phones may write too, and of what was written on two sides."""

from typing import cast
from uuid import UUID

import strawberry

from callout_contracts.codes import sentence
from callout_graphql.edges import Info
from callout_graphql.scalars import JSON
from callout_graphql.types.edits import EditResult, FieldConflict
from callout_store.errors import BadField
from callout_sync import conflicts, edits


@strawberry.type
class EditMutations:
    """What the office may write into records, by the same rules as phones."""

    @strawberry.mutation
    async def edit_record(
        self, info: Info, entity: str, id: UUID, base_revision: int, changes: JSON
    ) -> EditResult:
        """Change fields of a visit, site, contact or asset that you saw at `baseRevision`. `changes` are new values by
        the field's name; which fields there are stands in the contract (`merge` in document.*.json)."""
        if not isinstance(changes, dict):
            raise BadField(path="changes", why="an object of values by field")
        given = changes
        result = await info.context.run(
            lambda work: edits.apply_at_desk(
                work, entity=entity, id=id, base_revision=base_revision, changes=given
            )
        )
        code = result.code
        return EditResult(
            status=result.status,
            code=code,
            path=result.path.removeprefix("payload.") if result.path else None,
            message=sentence(code, info.context.locale, why=result.why) if code else None,
            revision=result.revision or base_revision,
        )

    @strawberry.mutation
    async def settle_conflict(
        self, info: Info, id: UUID, choice: str, value: JSON | None = None, note: str = ""
    ) -> FieldConflict:
        """Decide on a card. `choice`: kept (what stands now stays), lost (the other one stands), other (`value` does).
        What is chosen counts as written by the office, now."""
        settled = await info.context.run(
            lambda work: conflicts.settle(work, id=id, choice=choice, value=value, note=note)
        )
        return cast(FieldConflict, settled)
