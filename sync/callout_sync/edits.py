"""Edits of records: what phones and the desk write into fields, merged field by field and stored in sets.

An edit is applied whole or not at all; only a field that was written on two sides keeps its loser apart, on a card for the
dispatcher (`conflicts`). Locks: visits, then (taken by events before) orders, then sites, contacts and assets, each by id.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from callout_contracts import stamps
from callout_contracts.commands import Command, Edit
from callout_contracts.stamps import Stamp
from callout_dispatch import fields as visit_fields
from callout_dispatch import visits
from callout_dispatch.events import LockedVisit, Reporter, standing
from callout_orders import fields as order_fields
from callout_orders import stock
from callout_store import journal
from callout_store.errors import BadField, NotFound
from callout_store.ids import new_id
from callout_store.work import Work
from callout_sync import edit_outcomes, edit_rows, merge
from callout_sync.edit_merge import EditResult, Writing, refusal, write
from callout_sync.edit_rows import Row

__all__ = ["EditItem", "EditResult", "apply", "apply_at_desk"]

Key = tuple[str, UUID]


class EditItem(msgspec.Struct, frozen=True, kw_only=True):
    """An edit of a phone, to be applied. `made_at` is the corrected instant; `visit` and `standing` are those of the
    command's `visitId`; `base_horizon` says instead of a revision that the phone had seen all transactions below it."""

    command: Command
    payload: Edit
    stamp: Stamp
    made_at: datetime
    received_at: datetime
    visit: LockedVisit | None = None
    standing: str = "unknown"
    base_horizon: int | None = None


async def apply(work: Work, items: Sequence[EditItem], reporter: Reporter | None) -> list[EditResult]:
    """Apply edits of one phone in their order; a result for each. The command's own visit may be anybody's: what counts
    is whether the record is, or once was, on this engineer's phone.

    The caller holds the commands' visits; edits of visits lock those that they name. Nothing is committed here.
    """
    wanted: list[merge.Wanted | EditResult] = []
    for item in items:
        try:
            wanted.append(merge.read(item.payload))
        except merge.Refused as refused:
            wanted.append(refusal(refused))
    asked = [one for one in wanted if isinstance(one, merge.Wanted)]
    rows, held = await lock_rows(work, asked, reporter)
    vans = await _van(work, [one.id for one in asked if one.entity == "stock"], reporter)
    moves: list[stock.Move] = []
    lines: list[journal.Entry] = []
    results: list[EditResult] = []
    for item, one in zip(items, wanted, strict=True):
        if isinstance(one, EditResult):
            results.append(one)
        elif one.entity == "stock":
            results.append(_count(work, item, one, vans, moves))
        else:
            row = rows.get((one.entity, one.id))
            visit = held.get(one.id) if one.entity == "visit" else None
            stands = standing(visit, reporter) if visit is not None and reporter is not None else None
            if row is None or stands == "stranger":
                results.append(_unknown())
                continue
            stray = {"reassigned": "REASSIGNED", "canceled": "CANCELED"}.get(stands or "")
            course = None if item.standing == "stranger" else item.visit
            edit = _of_phone(work, item, one, visit or course, stray)
            try:
                results.append(write(row, edit, lines, work.actor.locale))
            except merge.Refused as refused:
                results.append(refusal(refused))
    await store_rows(work, rows.values())
    if moves:
        await stock.move(work, moves)
    await journal.write_many(work, lines)
    return results


async def apply_at_desk(
    work: Work, *, entity: str, id: UUID, base_revision: int, changes: dict[str, Any]
) -> EditResult:
    """Apply what the office wrote, having seen `base_revision`. Its author may be told of a conflict like a phone.

    Raises NotFound, and BadField with a path below `changes`.
    """
    if entity not in merge.ROW_ENTITIES:
        raise BadField(path="entity", why=f"one of {', '.join(merge.ROW_ENTITIES)}")
    try:
        payload = msgspec.convert(
            {"entity": entity, "id": id, "baseRevision": base_revision, "changes": changes}, Edit
        )
        wanted = merge.read(payload)
    except msgspec.ValidationError as fault:
        why, _, where = str(fault).partition(" - at `$.")
        raise BadField(path=where.rstrip("`") or "changes", why=why) from None
    except merge.Refused as refused:
        raise BadField(path=refused.path, why=refused.why) from None
    row, visit = await lock_one(work, entity, id)
    if base_revision > row.revision:
        raise BadField(path="baseRevision", why=f"the revision is {row.revision}")
    edit = of_office(work, wanted, visit, base_revision=base_revision)
    lines: list[journal.Entry] = []
    try:
        result = write(row, edit, lines, work.actor.locale)
    except merge.Refused as refused:
        raise BadField(path=refused.path, why=refused.why) from None
    await store_rows(work, [row])
    await journal.write_many(work, lines)
    return result


def _of_phone(
    work: Work, item: EditItem, wanted: merge.Wanted, visit: LockedVisit | None, stray: str | None
) -> Writing:
    where = item.command.location
    return Writing(
        wanted=wanted,
        command_id=item.command.id,
        device_id=work.actor.device_id,
        user_id=work.actor.user_id,
        stamp=item.stamp,
        at=item.made_at,
        lat=where.lat if where else None,
        lng=where.lng if where else None,
        base_revision=item.payload.base_revision,
        base_horizon=item.base_horizon,
        visit_id=visit.id if visit else None,
        order_id=visit.order_id if visit else None,
        stray=stray,
    )


def of_office(work: Work, wanted: merge.Wanted, visit: LockedVisit | None, *, base_revision: int) -> Writing:
    """What this unit of work's user writes at the desk, now."""
    return Writing(
        wanted=wanted,
        command_id=new_id(),
        device_id=None,
        user_id=work.actor.user_id,
        stamp=stamps.now(work.now),
        at=work.now,
        base_revision=base_revision,
        visit_id=visit.id if visit else None,
        order_id=visit.order_id if visit else None,
    )


def _count(
    work: Work, item: EditItem, wanted: merge.Wanted, vans: dict[UUID, Any], moves: list[stock.Move]
) -> EditResult:
    """A counter only adds: whatever others added meanwhile stays."""
    level = vans.get(wanted.id)
    if level is None:
        return _unknown()
    amount = wanted.add["quantity"]
    if amount:
        moves.append(
            stock.Move(
                holder_id=level["holder_id"],
                part_id=level["part_id"],
                quantity=amount,
                reason="counted",
                event_id=item.command.id,
                order_id=item.visit.order_id if item.visit else None,
                at=item.made_at,
            )
        )
    return EditResult(status="applied")


def _unknown() -> EditResult:
    return EditResult(status="quarantined", code="RECORD_UNKNOWN", path="payload.id")


async def lock_rows(
    work: Work, wanted: Sequence[merge.Wanted], reporter: Reporter | None, *, office: bool = False
) -> tuple[dict[Key, Row], dict[UUID, LockedVisit]]:
    """The rows that the edits name and that their author may write to, under lock, with their claims; and the visits
    among them."""
    if not office and reporter is None:
        return {}, {}
    rows: dict[Key, Row] = {}
    held: dict[UUID, LockedVisit] = {}
    for entity in merge.ROW_ENTITIES:
        ids = sorted({one.id for one in wanted if one.entity == entity})
        if not ids:
            continue
        if entity == "visit":
            held = await visits.lock(work, ids, engineer_id=reporter.engineer_id if reporter else None)
            found = await visit_fields.read(work, list(held))
        else:
            if reporter is not None:
                ids = await _reached(work, entity, ids, reporter.engineer_id)
            found = await order_fields.lock(work, entity, ids)
        for id_, row in found.items():
            visit = held.get(id_)
            rows[entity, id_] = Row(
                entity=entity,
                id=id_,
                revision=row.revision,
                values=row.values,
                order_id=visit.order_id if visit else None,
            )
    if rows:
        await edit_rows.load(work, list(rows.values()))
    return rows, held


async def lock_one(work: Work, entity: str, id: UUID) -> tuple[Row, LockedVisit | None]:
    """A row for the office to write to, under lock, with its visit if it is one. Raises NotFound."""
    rows, held = await lock_rows(work, [merge.Wanted(entity=entity, id=id)], None, office=True)
    row = rows.get((entity, id))
    if row is None:
        raise NotFound(entity=entity)
    return row, held.get(id)


async def store_rows(work: Work, rows: Iterable[Row], *, note: str | None = None) -> None:
    """Write rows that were merged, and their claims, and let the phones know whose edits this turned. `note`: a person's
    word on it."""
    rows = list(rows)
    for entity in merge.ROW_ENTITIES:
        changed = [row.stored() for row in rows if row.entity == entity and row.changed]
        if entity == "visit":
            await visit_fields.store(work, changed)
        else:
            await order_fields.store(work, entity, changed)
    policies = {(row.entity, name): merge.policy_of(row.entity, name) for row in rows for name in row.fields}
    moved = await edit_rows.save(work, rows, dict(policies))
    await edit_outcomes.tell(
        work,
        [edit_outcomes.turned(one, note) for one in moved],
    )


async def _reached(work: Work, entity: str, ids: Sequence[UUID], engineer_id: UUID) -> list[UUID]:
    """Those of the ids that a visit leads to which the engineer has, or once had, or works on in its crew."""
    rows = await work.fetch(
        f"""
        select t.id from unnest($1::uuid[]) as t(id)
        where exists (
            select 1 from work_order o
            join visit v on v.org_id = o.org_id and v.order_id = o.id and v.plan <> 'scheduled'
            where o.org_id = callout_org() and o.{entity}_id = t.id
              and (v.engineer_id = $2
                   or exists (select 1 from visit_assignment a
                              where a.org_id = v.org_id and a.visit_id = v.id and a.engineer_id = $2)
                   or exists (select 1 from visit_crew c
                              where c.org_id = v.org_id and c.visit_id = v.id and c.engineer_id = $2)))
        order by t.id
        """,
        list(ids),
        engineer_id,
    )
    return [row["id"] for row in rows]


async def _van(work: Work, ids: Sequence[UUID], reporter: Reporter | None) -> dict[UUID, Any]:
    if not ids or reporter is None:
        return {}
    rows = await work.fetch(
        "select id, holder_id, part_id from stock_level "
        "where org_id = callout_org() and id = any($1) and holder_id = $2",
        list(set(ids)),
        reporter.engineer_id,
    )
    return {row["id"]: row for row in rows}
