"""What the phones are told of their edits after the answer: lost to a later one, decided, or asked about no more."""

from collections.abc import Sequence
from uuid import UUID

import msgspec

from callout_contracts.codes import sentence
from callout_store.work import Work
from callout_sync import merge, outcomes
from callout_sync.edit_rows import Moved


class Turned(msgspec.Struct, frozen=True, kw_only=True):
    """The fate of a command's value: `lost`, it waits now; `stands`; `dropped`, nobody asks about it any more."""

    command_id: UUID
    device_id: UUID | None
    field: str
    fate: str
    visit_id: UUID | None = None
    note: str | None = None


def turned(moved: Moved, note: str | None) -> Turned:
    """What to tell of a claim whose fate has turned; `note` is a person's word on it."""
    return Turned(
        command_id=moved.author.command_id,
        device_id=moved.author.device_id,
        field=merge.wire_name(moved.entity, moved.field),
        fate=moved.fate,
        visit_id=moved.author.visit_id,
        note=note,
    )


_STATUS = {"lost": "conflict", "stands": "applied", "dropped": "dismissed"}


async def tell(work: Work, all_turned: Sequence[Turned]) -> None:
    """Write outcomes for the devices behind the commands. Whose command this unit of work answers hears it by the answer;
    of what was decided hears only who was told of a conflict before."""
    heard = [
        one
        for one in all_turned
        if one.device_id is not None and not (one.fate == "lost" and one.device_id == work.actor.device_id)
    ]
    if not heard:
        return
    told = await work.fetch(
        """
        select t.id, u.locale, exists (
            select 1 from outcome o where o.org_id = callout_org() and o.id = t.id and o.status = 'conflict') as asked
        from unnest($1::uuid[], $2::uuid[]) as t(id, device_id)
        left join device d on d.org_id = callout_org() and d.id = t.device_id
        left join app_user u on u.org_id = d.org_id and u.id = d.user_id
        """,
        [one.command_id for one in heard],
        [one.device_id for one in heard],
    )
    known = {row["id"]: row for row in told}
    rows: dict[UUID, outcomes.Became] = {}
    for one in heard:
        row = known[one.command_id]
        if one.device_id is None or (one.fate != "lost" and not row["asked"]):
            continue
        lost = one.fate == "lost"
        rows[one.command_id] = outcomes.Became(
            id=one.command_id,
            device_id=one.device_id,
            status=_STATUS[one.fate],
            kind="record.edit",
            visit_id=one.visit_id,
            code="FIELD_CONFLICT",
            path=f"payload.changes.{one.field}",
            message=sentence("FIELD_CONFLICT", row["locale"] or "en", why=one.field) if lost else None,
            note=one.note,
            at=work.now,
        )
    await outcomes.write(work, list(rows.values()))
