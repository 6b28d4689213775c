"""Fields of visits that phones and the desk may write. The visits' rows are locked by `visits.lock` before."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import msgspec

from callout_orders.checks import TEXT_CHARS_MAX, text
from callout_orders.fields import FieldsRow
from callout_store.work import Work


async def read(work: Work, visit_ids: Sequence[UUID]) -> dict[UUID, FieldsRow]:
    """Revision and values of locked visits, as they are now: events of this transaction included."""
    rows = await work.fetch(
        "select id, revision, engineer_note from visit where org_id = callout_org() and id = any($1)",
        list(visit_ids),
    )
    return {
        row["id"]: FieldsRow(
            id=row["id"], revision=row["revision"], values={"engineer_note": row["engineer_note"]}
        )
        for row in rows
    }


async def store(work: Work, rows: Sequence[FieldsRow]) -> None:
    """Write values and revisions of locked visits in one statement, and let the phones that hold them know."""
    if not rows:
        return
    await work.execute(
        """
        update visit v set revision = t.revision, engineer_note = t.engineer_note
        from json_to_recordset($1::text::json) as t(id uuid, revision int, engineer_note text)
        where v.org_id = callout_org() and v.id = t.id
        """,
        msgspec.json.encode(
            [{"id": row.id, "revision": row.revision, **row.values} for row in rows]
        ).decode(),
    )
    work.touch("visit", *(row.id for row in rows))


def tidy(value: Any, *, path: str) -> str:
    """An engineer's note as it is stored. Raises FieldRefused."""
    return text(path, value, chars_max=TEXT_CHARS_MAX, blank=True)
