"""Rows of clients that sync documents instead of commands: each becomes a command, and goes through the one door.

An edited row of a document becomes a `record.edit`; its id is made of its content, so that a row that is sent again
(collapsed with later edits or not) does no harm. A row of the appended collection `command` is a command as it stands.
What a phone may not do to a row (make or delete an office's record, write a server's field) is quarantined whole, under
a code of its own, and never answered with an error that such clients would repeat for ever.

After a push the row is read as it stands for this device: a client is told of every row that differs from what it sent.
"""

import uuid
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Literal
from uuid import UUID

import msgspec

from callout_contracts import SCHEMA_VERSION
from callout_contracts.commands import COMMANDS_MAX, Answer, PushEnvelope
from callout_contracts.rows import COLUMNS, COMMAND_COLUMNS
from callout_store.errors import Busy, DeviceRevoked
from callout_store.work import Actor, Database, Work
from callout_sync.push import push
from callout_sync.rows_read import Version, holdings, masters, versions

_NAMESPACE = UUID("0f1f4b2e-9a5c-4f43-8c67-5f9c2a6f1d40")
_ENCODER = msgspec.json.Encoder(order="sorted")
_IGNORED = frozenset({"id", "revision"})
_COUNTED_FROM = datetime(2020, 1, 1, tzinfo=UTC)


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """One row that a client sent, in the documents' own names.

    `values` holds what it has of the known columns, `assumed` what it believes the server to have. `changed` names the
    edited columns where the client says so. The base of its edit is `assumed`, else `base_revision`, else whatever had
    been pulled before transaction `base_xid`. `whole` is the row as it came, for a person to look at.
    """

    op: Literal["insert", "update", "delete"]
    id: str
    whole: Any
    values: dict[str, Any] = {}
    assumed: dict[str, Any] | None = None
    changed: frozenset[str] | None = None
    base_revision: int | None = None
    base_xid: int | None = None
    edited_at: datetime | None = None

    @property
    def row_id(self) -> UUID | None:
        """The id as the server knows ids; None where it can be none of its."""
        try:
            return UUID(self.id)
        except ValueError:
            return None


class Fate(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a row: the answers to its commands, and the document as this device would pull it now."""

    change: Change
    answers: list[Answer]
    master: dict[str, Any] | None


async def push_rows(
    db: Database,
    *,
    org_id: UUID,
    actor: Actor,
    entity: str,
    changes: Sequence[Change],
    sent_at: datetime | None = None,
) -> list[Fate]:
    """Apply rows of one entity's collection; their fates in the same order.

    Raises what a push raises as a whole, and Busy where a part of it has to be sent again: nothing is answered then.
    """
    ids = [id_ for change in changes if (id_ := change.row_id) is not None]

    async def look(
        work: Work,
    ) -> tuple[UUID, list[UUID], dict[UUID, Any], dict[UUID, dict[str, Version]]]:
        device_id, scopes = await holdings(work)
        found = await masters(work, scopes, entity, ids)
        return device_id, scopes, found, await versions(work, entity, ids)

    device_id, scopes, before, written = await db.run(org_id, look, actor=actor)
    now = db.clock.now()
    commands: list[dict[str, Any]] = []
    of: list[int] = []
    for n, change in enumerate(changes):
        id_ = change.row_id
        made = translate(
            entity,
            change,
            master=before.get(id_) if id_ else None,
            written=written.get(id_, {}) if id_ else {},
            device_id=device_id,
            now=now,
        )
        commands += made
        of += [n] * len(made)
    answers = await send(db, org_id=org_id, actor=actor, commands=commands, sent_at=sent_at or now)
    after = before
    if commands:

        async def look_again(work: Work) -> dict[UUID, Any]:
            return await masters(work, scopes, entity, ids)

        after = await db.run(org_id, look_again, actor=actor)
    sorted_: list[list[Answer]] = [[] for _ in changes]
    for n, answer in zip(of, answers, strict=True):
        # The id is made of the content: used before means sent before.
        again = answer.status == "refused"
        sorted_[n].append(
            Answer(index=n, id=answer.id, status="duplicate")
            if again
            else msgspec.structs.replace(answer, index=n)
        )
    return [
        Fate(change=change, answers=mine, master=after.get(change.row_id) if change.row_id else None)
        for change, mine in zip(changes, sorted_, strict=True)
    ]


async def push_commands(
    db: Database,
    *,
    org_id: UUID,
    actor: Actor,
    rows: Sequence[tuple[str, dict[str, Any]]],
    sent_at: datetime | None = None,
) -> list[Answer]:
    """Take rows `(id, values)` of the collection `command`; the answers in the same order.

    A row that was changed after it had been sent is kept for a person beside the command that it was.
    """
    device_id = actor.device_id
    commands = [_command(id_, values, device_id) for id_, values in rows]
    at = sent_at or db.clock.now()
    answers = await send(db, org_id=org_id, actor=actor, commands=commands, sent_at=at)
    reused = [n for n, answer in enumerate(answers) if answer.status == "refused"]
    if reused:
        again = [
            _fault("row.changed", "command", rows[n][0], commands[n], device_id, path=None, why="")
            for n in reused
        ]
        more = await send(db, org_id=org_id, actor=actor, commands=again, sent_at=at)
        for n, answer in zip(reused, more, strict=True):
            answers[n] = answer
    return [msgspec.structs.replace(answer, index=n) for n, answer in enumerate(answers)]


async def quarantine_rows(
    db: Database,
    *,
    org_id: UUID,
    actor: Actor,
    kind: Literal["row.insert", "row.unknown"],
    collection: str,
    rows: Sequence[Any],
) -> list[Answer]:
    """Keep rows that belong to no collection of ours, or are no rows, for a person."""
    commands = [
        _fault(kind, collection, "", row, actor.device_id, path="collection", why=collection) for row in rows
    ]
    return await send(db, org_id=org_id, actor=actor, commands=commands, sent_at=db.clock.now())


async def send(
    db: Database, *, org_id: UUID, actor: Actor, commands: Sequence[dict[str, Any]], sent_at: datetime
) -> list[Answer]:
    """Push commands, as many at a time as a push takes; raises where one of them was not stored and is to come again."""
    answers: list[Answer] = []
    for start in range(0, len(commands), COMMANDS_MAX):
        envelope = PushEnvelope(
            sent_at=sent_at,
            commands=list(commands[start : start + COMMANDS_MAX]),
            schema_version=SCHEMA_VERSION,
        )
        answers += (await push(db, org_id=org_id, actor=actor, envelope=envelope)).answers
    for answer in answers:
        if answer.status == "refused" and answer.code == "DEVICE_REVOKED":
            raise DeviceRevoked()
        if answer.status == "refused" and answer.code != "COMMAND_ID_REUSED":
            raise Busy(what="push", retry_after_ms=1000)
    return answers


def translate(
    entity: str,
    change: Change,
    *,
    master: dict[str, Any] | None,
    written: dict[str, Version],
    device_id: UUID,
    now: datetime,
) -> list[dict[str, Any]]:
    """The commands that a changed row amounts to: none where the server has it like that already. Pure.

    `master` is the document as this device would pull it now, `written` who wrote its fields last.
    """
    if change.op == "delete":
        if master is None:
            return []
        return [_fault("row.delete", entity, change.id, change.whole, device_id, path=None, why="")]
    if change.row_id is None or (master is None and change.op == "insert"):
        return [_fault("row.insert", entity, change.id, change.whole, device_id, path=None, why="")]
    edited: dict[str, Any] = {}
    made = []
    for column in COLUMNS[entity]:
        if column.field in _IGNORED or not _is_changed(change, column.wire, master):
            continue
        if column.merge is None or column.merge == "counter":
            kind: Literal["row.field", "row.counter"] = "row.counter" if column.merge else "row.field"
            made.append(
                _fault(
                    kind,
                    entity,
                    change.id,
                    change.whole,
                    device_id,
                    path=f"changes.{column.wire}",
                    why=column.wire,
                    content=[change.values[column.wire]],
                )
            )
        else:
            edited[column.wire] = change.values[column.wire]
    if edited:
        made.append(_edit(entity, change, edited, master or {}, written, device_id, now))
    return made


def differs(entity: str, values: dict[str, Any], master: dict[str, Any]) -> bool:
    """Whether a row that a client has is not what the server has, in the columns that both know."""
    return any(
        column.wire in values
        and column.field not in _IGNORED
        and values[column.wire] != master.get(column.wire, column.neutral)
        for column in COLUMNS[entity]
    )


def _is_changed(change: Change, wire: str, master: dict[str, Any] | None) -> bool:
    if wire not in change.values:
        return False
    value = change.values[wire]
    if master is not None and wire in master and master[wire] == value:
        return False
    if change.changed is not None:
        return wire in change.changed
    if change.assumed is not None:
        return bool(change.assumed.get(wire) != value)
    return master is not None and wire in master


def _edit(
    entity: str,
    change: Change,
    edited: dict[str, Any],
    master: dict[str, Any],
    written: dict[str, Version],
    device_id: UUID,
    now: datetime,
) -> dict[str, Any]:
    payload: dict[str, Any] = {"entity": entity, "id": str(change.row_id), "changes": edited}
    told: dict[str, Any] = {}
    if change.assumed is not None:
        told["base"] = {wire: change.assumed[wire] for wire in edited if wire in change.assumed}
    elif change.base_revision is not None:
        told["baseRevision"] = change.base_revision
    content: dict[str, Any] = {"changes": edited, **told}
    if change.edited_at is not None:
        content["editedAt"] = change.edited_at
    else:
        # Back and forth between two values: what this very device wrote there since tells the second time from the first.
        fields = {column.wire: column.field for column in COLUMNS[entity]}
        content["since"] = [
            found.xid
            for wire in sorted(edited)
            if (found := written.get(fields[wire])) is not None and found.device_id == device_id
        ]
    if not told.get("base") and "baseRevision" not in told:
        told = {"base": _base_before(entity, change.base_xid, edited, master, written, device_id)}
    return {
        "id": str(_id(device_id, entity, change.id, content)),
        # A device's later edit of a field must have a higher number than its earlier one; such clients count nothing.
        "sequence": int((now - _COUNTED_FROM).total_seconds()),
        "schemaVersion": SCHEMA_VERSION,
        "kind": "record.edit",
        "visitId": str(change.row_id) if entity == "visit" else None,
        "deviceTime": (change.edited_at or now).astimezone(UTC).isoformat(),
        "payload": {**payload, **told},
    }


def _base_before(
    entity: str,
    base_xid: int | None,
    edited: dict[str, Any],
    master: dict[str, Any],
    written: dict[str, Version],
    device_id: UUID,
) -> dict[str, Any]:
    """The values that the phone had: today's where nobody else wrote the field since `base_xid`, else those before."""
    base = {}
    for column in COLUMNS[entity]:
        if column.wire not in edited:
            continue
        last = written.get(column.field)
        theirs = (
            last is not None and last.device_id != device_id and (base_xid is None or last.xid > base_xid)
        )
        base[column.wire] = (
            last.before if theirs and last is not None else master.get(column.wire, column.neutral)
        )
    return base


def _command(id_: str, values: dict[str, Any], device_id: UUID | None) -> dict[str, Any]:
    """A row of the collection as the command that it is. An id that is no UUID gives one, always the same."""
    try:
        key = str(UUID(id_))
    except ValueError:
        key = str(_id(device_id, "command", id_, None))
    command: dict[str, Any] = {"sequence": 1, "schemaVersion": SCHEMA_VERSION}
    for column in COMMAND_COLUMNS:
        if values.get(column.wire) is not None:
            command[column.wire] = values[column.wire]
    return {**command, "id": key}


def _fault(
    kind: Literal["row.insert", "row.delete", "row.field", "row.counter", "row.changed", "row.unknown"],
    collection: str,
    row_id: str,
    whole: Any,
    device_id: UUID | None,
    *,
    path: str | None,
    why: str,
    content: Any = None,
) -> dict[str, Any]:
    """A command that `commands.read` quarantines under the code of its kind; the same `content` (else the whole row)
    gives the same one."""
    key = _id(device_id, collection, row_id, [kind, path, whole if content is None else content])
    return {
        "id": str(key),
        "sequence": 1,
        "schemaVersion": SCHEMA_VERSION,
        "kind": kind,
        "payload": {"collection": collection, "row": whole, "path": path, "why": why},
    }


def _id(device_id: UUID | None, collection: str, row_id: str, content: Any) -> UUID:
    whole = [str(device_id), collection, row_id, content]
    try:
        text = _ENCODER.encode(whole).decode()
    except RecursionError:
        # Nothing of it can be kept, and so nothing of it counts.
        text = f"{device_id} {collection} {row_id!a} nested too deeply"
    except (TypeError, ValueError):
        # Lone surrogates, which JavaScript lets through.
        text = ascii(whole)
    return uuid.uuid5(_NAMESPACE, text)
