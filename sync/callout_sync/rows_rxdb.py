"""RxDB: pages of one collection, and rows pushed with what their client believed the server to have.

What RxDB needs of a server, and where it is met:

* A page shorter than `limit` ends its pull, so that rows are counted after all filters, in the statement that reads them.
* Its checkpoint is kept only with a page that has documents. One that has not moved for a day is given one document again:
  else a quiet collection would be taken for a phone that was away until its deletes were purged.
* An accepted row is the truth from then on, as the client has it. So every row that differs from what stands here is
  answered with the document that stands; a row whose document is not this device's any more is answered as deleted.
* A document that was deleted must still fit its schema.
"""

import base64
import binascii
from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from callout_contracts.commands import Answer
from callout_contracts.limits import CURSOR_CHARS_MAX, PAGE_ROWS_MAX, ROWS_PUSH_MAX
from callout_contracts.rows import COLUMNS, COMMAND_COLUMNS, EDITED_AT, Column
from callout_store.clock import taken_instant
from callout_store.errors import (
    CursorInvalid,
    CursorOfAnotherDevice,
    LimitExceeded,
    ResyncRequired,
)
from callout_store.work import Actor, Database, Work
from callout_sync.rows import Change, Fate, differs, push_commands, push_rows, quarantine_rows
from callout_sync.rows_read import Stand, latest, rows_after, seen, stand

NIL = UUID(int=0)
XID_MAX = 2**64 - 1
STALE_S = 86_400
"""A checkpoint older than this is moved on by sending one document again."""


class Checkpoint(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """Where a collection of a device stands. `check` is of the device, what it holds, and the epoch."""

    version: int
    entity: str
    device: UUID
    check: UUID
    base: int
    xid: int
    row: UUID
    at: int

    def encode(self) -> str:
        """The text that travels."""
        return base64.urlsafe_b64encode(msgspec.msgpack.encode(self)).rstrip(b"=").decode()


class Pulled(msgspec.Struct, frozen=True, kw_only=True):
    """A page: documents as `DOCUMENT_TYPES[entity]`, and the checkpoint after them. `wipe`: the office asks this phone to
    send what it has, and then to forget everything."""

    documents: list[Any]
    cursor: str
    wipe: bool


class Pushed(msgspec.Struct, frozen=True, kw_only=True):
    """`conflicts` are the documents that stand, of the rows that differ from them; `answers` one or more for a row."""

    conflicts: list[Any]
    answers: list[Answer]


_TYPES: dict[str, Any] = {
    "text": str,
    "instant": str,
    "whole": int,
    "number": float,
    "flag": bool,
    "object": Any,
    "array": Any,
}


def _document_type(name: str, columns: Sequence[Column], *, editable: bool) -> type[msgspec.Struct]:
    fields: list[Any] = [("id", str)]
    for column in columns:
        if column.field != "id":
            kind = _TYPES[column.kind]
            default: Any = column.neutral
            if isinstance(default, dict | list):
                default = msgspec.field(default_factory=type(default))
            fields.append((column.field, kind | None if column.nullable else kind, default))
    if editable:
        fields.append(("edited_at", str | None, None))
    fields.append(("deleted", bool, False))
    return msgspec.defstruct(name, fields, rename="camel", frozen=True)


DOCUMENT_TYPES: dict[str, type[msgspec.Struct]] = {
    entity: _document_type(entity, columns, editable=any(column.merge for column in columns))
    for entity, columns in COLUMNS.items()
}
"""Entity → a document as RxDB has it. Texts stay as they are stored: an instant must not be written in another way."""
COMMAND_TYPE = _document_type("command", COMMAND_COLUMNS, editable=False)


def _decoder(entity: str) -> msgspec.json.Decoder[Any]:
    item = msgspec.defstruct("Item", [("id", str), ("doc", DOCUMENT_TYPES[entity] | None, None)])
    return msgspec.json.Decoder(item)


_DECODERS = {entity: _decoder(entity) for entity in COLUMNS}


def _read_cursor(text: str, entity: str, where: Stand) -> Checkpoint:
    if len(text) > CURSOR_CHARS_MAX:
        raise CursorInvalid(path="checkpoint.cursor")
    try:
        raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        found = msgspec.msgpack.decode(raw, type=Checkpoint)
    except (binascii.Error, ValueError, msgspec.DecodeError) as fault:
        raise CursorInvalid(path="checkpoint.cursor") from fault
    if (
        found.version != 1
        or found.entity != entity
        or not 0 <= found.xid <= XID_MAX
        or not 0 <= found.base <= XID_MAX
    ):
        raise CursorInvalid(path="checkpoint.cursor")
    if found.device != where.device_id:
        raise CursorOfAnotherDevice(path="checkpoint.cursor")
    if found.check != where.check or (found.base > 0 and max(found.xid, found.base) <= where.purged):
        raise ResyncRequired(path="checkpoint.cursor")
    return found


async def pull(
    work: Work, *, entity: str, cursor: str | None, limit: int, app_version: str | None = None
) -> Pulled:
    """The next page of one entity for the device of this unit of work's actor; `limit` 1 to 2,000 rows.

    Refuses: no device, a revoked device, a cursor of another device or collection, and with RESYNC_REQUIRED one that
    cannot be gone on from (restored server, other scopes, purged deletes): the client begins this collection anew.
    """
    if not 1 <= limit <= PAGE_ROWS_MAX:
        raise LimitExceeded(path="limit", what="rows a page", limit=PAGE_ROWS_MAX, given=limit)
    where = await stand(work, app_version=app_version)
    now = int(work.now.timestamp())
    at = (
        _read_cursor(cursor, entity, where)
        if cursor
        else Checkpoint(1, entity, where.device_id, where.check, 0, 0, NIL, now)
    )
    if where.wipe:
        return Pulled(documents=[], cursor=at.encode(), wipe=True)
    found, horizon = await rows_after(
        work, where, entity=entity, xid=at.xid, row_id=at.row, base=at.base, limit=limit
    )
    await seen(work, where)
    documents = [_decoded(entity, row["body"]) for row in found]
    base = at.base or horizon
    if len(found) == limit:
        xid, row_id = int(found[-1]["xid"]), found[-1]["row_id"]
    else:
        # All below the horizon was sent: the next pull begins there, before any row of that transaction.
        xid, row_id = max(at.xid, horizon), NIL
        if not found and cursor and now - at.at > STALE_S:
            last = await latest(work, where, entity=entity)
            if last is not None and (last["op"] == "U" or at.base <= int(last["xid"])):
                documents = [_decoded(entity, last["body"])]
    after = msgspec.structs.replace(at, base=base, xid=xid, row=row_id, at=now)
    return Pulled(documents=documents, cursor=after.encode(), wipe=False)


def _decoded(entity: str, body: str) -> Any:
    item = _DECODERS[entity].decode(body)
    return item.doc if item.doc is not None else _tombstone(entity, item.id, {})


def _tombstone(entity: str, id_: str, values: dict[str, Any]) -> Any:
    """A deleted document, of what is known of it."""
    whole = {"id": id_, **{column.wire: column.neutral for column in COLUMNS[entity] if column.field != "id"}}
    try:
        return msgspec.convert({**whole, **values, "id": id_, "deleted": True}, DOCUMENT_TYPES[entity])
    except msgspec.ValidationError:
        return msgspec.convert({**whole, "deleted": True}, DOCUMENT_TYPES[entity])


async def push(db: Database, *, org_id: UUID, actor: Actor, entity: str, rows: Sequence[Any]) -> Pushed:
    """Apply pushed rows `{assumedMasterState, newDocumentState}` of one collection.

    Refuses only what concerns all of them: too many, no device, a revoked device, a database that is away.
    """
    _check_count(rows)
    changes: list[Change] = []
    odd: list[Any] = []
    sent_at: datetime | None = None
    for row in rows:
        new = row.get("newDocumentState") if isinstance(row, dict) else None
        if not isinstance(new, dict) or not isinstance(new.get("id"), str):
            odd.append(row)
            continue
        sent_at = _instant(new.get("sentAt")) or sent_at
        changes.append(_change(entity, row, new))
    fates = await push_rows(db, org_id=org_id, actor=actor, entity=entity, changes=changes, sent_at=sent_at)
    answers = [answer for fate in fates for answer in fate.answers]
    if odd:
        answers += await quarantine_rows(
            db, org_id=org_id, actor=actor, kind="row.insert", collection=entity, rows=odd
        )
    conflicts = [found for fate in fates if (found := _conflict(entity, fate)) is not None]
    return Pushed(conflicts=conflicts, answers=answers)


async def push_command_rows(db: Database, *, org_id: UUID, actor: Actor, rows: Sequence[Any]) -> Pushed:
    """Take rows of the collection `command`. One that its phone has deleted is nothing to do: what happened, happened."""
    _check_count(rows)
    taken: list[tuple[str, dict[str, Any]]] = []
    odd: list[Any] = []
    sent_at: datetime | None = None
    for row in rows:
        new = row.get("newDocumentState") if isinstance(row, dict) else None
        if not isinstance(new, dict) or not isinstance(new.get("id"), str):
            odd.append(row)
            continue
        sent_at = _instant(new.get("sentAt")) or sent_at
        if not new.get("_deleted"):
            taken.append((new["id"], new))
    answers = await push_commands(db, org_id=org_id, actor=actor, rows=taken, sent_at=sent_at)
    if odd:
        answers += await quarantine_rows(
            db, org_id=org_id, actor=actor, kind="row.insert", collection="command", rows=odd
        )
    return Pushed(conflicts=[], answers=answers)


def _check_count(rows: Sequence[Any]) -> None:
    if len(rows) > ROWS_PUSH_MAX:
        raise LimitExceeded(path="rows", what="rows a push", limit=ROWS_PUSH_MAX, given=len(rows))


def _change(entity: str, row: dict[str, Any], new: dict[str, Any]) -> Change:
    assumed = row.get("assumedMasterState")
    values = _values(entity, new)
    revision = values.get("revision")
    deleted = bool(new.get("_deleted"))
    return Change(
        op="delete" if deleted else "update" if isinstance(assumed, dict) else "insert",
        id=new["id"],
        whole={key: value for key, value in new.items() if key != "sentAt"},
        values=values,
        assumed=_values(entity, assumed) if isinstance(assumed, dict) else None,
        base_revision=revision if type(revision) is int and 0 <= revision < 2**31 else None,
        edited_at=_instant(new.get(EDITED_AT)),
    )


def _values(entity: str, document: dict[str, Any]) -> dict[str, Any]:
    return {column.wire: document[column.rxdb] for column in COLUMNS[entity] if column.rxdb in document}


def _conflict(entity: str, fate: Fate) -> Any:
    """The document that stands, where the client has another one."""
    change, master = fate.change, fate.master
    if master is None:
        return None if change.op == "delete" else _tombstone(entity, change.id, change.values)
    if change.op == "delete" or differs(entity, change.values, master):
        return msgspec.convert(master, DOCUMENT_TYPES[entity])
    return None


def _instant(value: Any) -> datetime | None:
    """An instant that a row may carry; nothing where it is none."""
    if not isinstance(value, str):
        return None
    try:
        return taken_instant(msgspec.convert(value, datetime))
    except ValueError:
        return None
