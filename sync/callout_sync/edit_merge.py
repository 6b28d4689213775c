"""One edit and one row, in memory: each field meets its claims, and what follows is noted. No I/O.

The rows that come out are stored by `edit_rows`, all of a chunk together; so several edits of one row in a chunk meet each
other's results here.
"""

from datetime import datetime
from typing import Any, Literal
from uuid import UUID

import msgspec
from msgspec import UNSET

from callout_contracts.merging import Change, Claim, Merged
from callout_contracts.stamps import Stamp
from callout_store import journal
from callout_sync import edit_rows, merge
from callout_sync.edit_rows import Author, Field, Row, Stray


class EditResult(msgspec.Struct, frozen=True, kw_only=True):
    """What became of an edit; `code` beside `applied` only tells that others wrote other fields. `revision`: the row's."""

    status: Literal["applied", "conflict", "quarantined"]
    code: str | None = None
    path: str | None = None
    why: str = ""
    revision: int | None = None


class Writing(msgspec.Struct, frozen=True, kw_only=True):
    """An edit of either side."""

    wanted: merge.Wanted
    command_id: UUID
    device_id: UUID | None
    user_id: UUID | None
    stamp: Stamp
    at: datetime
    lat: float | None = None
    lng: float | None = None
    base_revision: int | None = None
    base_horizon: int | None = None
    visit_id: UUID | None = None
    order_id: UUID | None = None
    stray: str | None = None


def write(row: Row, edit: Writing, lines: list[journal.Entry], locale: str) -> EditResult:
    """Merge an edit into its row, in memory. Raises Refused before anything is changed."""
    values = merge.tidy(edit.wanted, row.values, locale)
    names = edit.wanted.names
    if edit.stray is not None:
        return _keep_aside(row, edit, values, edit.stray, lines)
    before = dict(row.values)
    others = _written_by_others(row, edit)
    revision = row.revision + 1
    clashed: list[tuple[str, Merged]] = []
    for name, value in values.items():
        field = row.field(name)
        if field.stands is None and value == row.values[name]:
            continue  # nobody wrote it yet, and this says what it says
        merged = merge.meet(
            row.entity,
            name,
            field.stands,
            list(field.waiting),
            _change(row, edit, name, value, field),
            revision=revision,
        )
        if merged.result == "overtaken":
            continue
        if merged.result in ("won", "lost"):
            clashed.append((name, merged))
        if merged.stands == field.stands and merged.waiting == field.waiting:
            continue
        assert merged.stands is not None
        field.waiting = merged.waiting
        field.authors[str(edit.command_id)] = author_of(edit, base=edit.wanted.base.get(name, field.before))
        stand(row, name, field, merged.stands, edit)
    changed = {name: [before[name], row.values[name]] for name in values if before[name] != row.values[name]}
    if changed:
        row.revision, row.changed = revision, True
        lines.append(
            line(f"{row.entity}.edited", row, edit, {"fields": {names[n]: c for n, c in changed.items()}})
        )
    for name, merged in clashed:
        lines.append(line("sync.field_conflict", row, edit, _clash(row, names[name], name, merged)))
    if clashed:
        name = clashed[0][0]
        return EditResult(
            status="conflict",
            code="FIELD_CONFLICT",
            path=f"payload.changes.{names[name]}",
            why=names[name],
            revision=row.revision,
        )
    if others and changed:
        told = {"fields": [names[n] for n in changed], "others": [names[n] for n in others]}
        lines.append(line("sync.parallel_update", row, edit, told))
        return EditResult(status="applied", code="PARALLEL_UPDATE", revision=row.revision)
    return EditResult(status="applied", revision=row.revision)


def stand(row: Row, name: str, field: Field, claim: Claim, edit: Writing) -> None:
    """Let a claim stand in a field."""
    if claim.value != row.values[name]:
        field.before = row.values[name]
        row.values[name] = claim.value
        field.xid = None
    if claim.id == str(edit.command_id):
        field.authors.setdefault(claim.id, author_of(edit, base=field.before))
    field.stands = claim
    # Whoever agrees with what stands now has nothing to decide any more.
    field.strays = [stray for stray in field.strays if stray.claim.value != claim.value]
    field.written = True


def _keep_aside(
    row: Row, edit: Writing, values: dict[str, Any], code: str, lines: list[journal.Entry]
) -> EditResult:
    """Whose visit it is no longer writes over nobody; what they wrote waits for a person."""
    author = edit_rows.author_of(edit.device_id, edit.user_id)
    kept = []
    for name, value in values.items():
        if value == row.values[name]:
            continue
        field = row.field(name)
        claim = Claim(id=str(edit.command_id), value=value, stamp=edit.stamp, author=author)
        field.authors[claim.id] = author_of(edit, base=edit.wanted.base.get(name, field.before))
        field.strays = [s for s in field.strays if s.claim.author != author] + [Stray(claim=claim, code=code)]
        field.written = True
        kept.append(edit.wanted.names[name])
    if not kept:
        return EditResult(status="applied", revision=row.revision)
    lines.append(line("sync.field_conflict", row, edit, {"fields": kept, "code": code}))
    return EditResult(
        status="conflict", code=code, path=f"payload.changes.{kept[0]}", why=kept[0], revision=row.revision
    )


def _base_revision(row: Row, edit: Writing) -> int | None:
    """The revision that the author had. One that the row never had (it was restored from a backup since) says nothing."""
    base = edit.base_revision
    return base if base is not None and base <= row.revision else None


def _change(row: Row, edit: Writing, name: str, value: Any, field: Field) -> Change:
    return Change(
        id=str(edit.command_id),
        value=value,
        stamp=edit.stamp,
        author=edit_rows.author_of(edit.device_id, edit.user_id),
        office=edit.device_id is None,
        base_revision=_base_revision(row, edit),
        base=edit.wanted.base.get(name, UNSET),
        knows=_below(edit.base_horizon, field),
    )


def _below(horizon: int | None, field: Field) -> bool:
    return horizon is not None and field.xid is not None and field.xid < horizon


def _written_by_others(row: Row, edit: Writing) -> list[str]:
    """Fields that somebody else wrote since this author looked, and that the edit leaves alone."""
    base_revision = _base_revision(row, edit)
    if base_revision is None and edit.base_horizon is None:
        return []
    author = edit_rows.author_of(edit.device_id, edit.user_id)
    return [
        name
        for name, field in row.fields.items()
        if name not in edit.wanted.changes
        and field.stands is not None
        and field.stands.author != author
        and not _below(edit.base_horizon, field)
        and not (base_revision is not None and (field.stands.since or 0) <= base_revision)
    ]


def refusal(refused: merge.Refused) -> EditResult:
    return EditResult(
        status="quarantined", code=refused.code, path=f"payload.{refused.path}", why=refused.why
    )


def author_of(edit: Writing, *, base: Any) -> Author:
    return Author(
        command_id=edit.command_id,
        device_id=edit.device_id,
        user_id=edit.user_id,
        at=edit.at,
        lat=edit.lat,
        lng=edit.lng,
        base=base,
        visit_id=edit.visit_id,
    )


def _clash(row: Row, wire: str, name: str, merged: Merged) -> dict[str, Any]:
    return {
        "field": wire,
        "policy": merge.policy_of(row.entity, name),
        "kept": row.values[name],
        "lost": [claim.value for claim in merged.waiting],
    }


def line(kind: str, row: Row, edit: Writing, data: dict[str, Any]) -> journal.Entry:
    return journal.Entry(
        kind=kind,
        entity=row.entity,
        entity_id=row.id,
        order_id=edit.order_id,
        visit_id=edit.visit_id,
        at=edit.at,
        data={**data, "commandId": edit.command_id},
    )
